r"""CSV x plan -> the same table without what is hidden.

True here:
- A row is a record: an object of texts, each at the path of its column. An empty cell is a
  missing member. A column that nothing declares is `unmapped`: its member is called `.` and the
  header's text, which no path of an adapter can name. Where no column is declared at all, the
  first row is no header, and the answer is refused.
- So facts that compare numbers, or true and false, find texts and stay unknown: what rests on
  them is refused.
- A record that may not be seen loses its row, a hidden cell is empty; nothing tells it from one
  that was empty before. A column leaves if it is hidden in every record; if that depends on the
  record, if no row of this answer shows anything in it.
- A cell that stays keeps its bytes. Rows go out with CRLF, separator and byte-order mark as
  they came. A table of which no column stays is empty.

How a cell's bytes come through a cut that knows JSON only: a raw cell is its text and whether
it had quotes. Text without quotes becomes a plain JSON string; text that had them becomes one
whose first character is written `\uXXXX`, and the cut keeps such spellings.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Union

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import MaskedBody
from gateway.domain.question import Condition
from gateway.domain.reason import Reason
from gateway.masking.csvtext import BOM, NotCsvError, Table, cell_text, quoted, read_table_steps
from gateway.masking.cut import MAX_CUT_BODY, Cut, cut_steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge
from gateway.masking.pieces import Text, read_members, read_records
from gateway.masking.plan import Plan

# Member name → the column, or what is inside the member.
Layout = Mapping[str, Union[int, "Layout"]]

_encode = msgspec.json.Encoder().encode
_TEXT = msgspec.json.Decoder(str)


def cut_table_steps(
    body: bytes,
    plan: Plan,
    *,
    columns: Mapping[str, FieldPath],
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    conditions: tuple[Condition, ...] = (),
) -> Generator[None, None, Cut]:
    """Cut a CSV answer; a caller may pause wherever this yields.

    Args:
        body: the table, of a size that the caller has bounded.
        plan: of a list of records, `[]`.
        columns: text in the header → where its cells stand in a record. No path is another's
            beginning.
        judge: as for `cut_steps`.
        judges: as for `cut_steps`.
        conditions: as for `cut_steps`.

    Raises:
        UpstreamError: ANSWER_NOT_CUT; ANSWER_TOO_LARGE: written as JSON it is larger than
            `MAX_CUT_BODY`.
    """
    try:
        table = yield from read_table_steps(body)
        paths = _paths(table, columns)
        layout = _layout(paths)
        records = yield from _as_json(table, layout)
    except NotCsvError:
        raise UpstreamError(
            Reason.ANSWER_NOT_CUT, "The CRM's answer is not a CSV table with one meaning."
        ) from None
    made = yield from cut_steps(records, plan, judge=judge, judges=judges, conditions=conditions)
    del records
    shows = [_shows(plan, path, judges) for path in paths]
    unsure = {column for column, known in enumerate(shows) if known is None}
    seen = (yield from _seen(made.body, layout, unsure)) if unsure else set()
    stay = [column for column, known in enumerate(shows) if known or column in seen]
    shown = yield from _as_csv(table, layout, made.body, stay)
    return replace(made, body=MaskedBody(shown))


def _paths(table: Table, columns: Mapping[str, FieldPath]) -> list[tuple[str, ...]]:
    """Where the cells of each column stand in a record."""
    if columns.keys().isdisjoint(table.names):
        raise NotCsvError  # a page, or a table without its header
    found = (columns.get(name) for name in table.names)
    return [
        ("." + name,) if path is None else path.steps
        for name, path in zip(table.names, found, strict=True)
    ]


def _layout(paths: Iterable[tuple[str, ...]]) -> Layout:
    root: dict[str, Any] = {}
    for column, (*way, last) in enumerate(paths):
        inside = root
        for step in way:
            inside = inside.setdefault(step, {})
        inside[last] = column
    return root


# -- there ----------------------------------------------------------------------------------


def _as_json(table: Table, layout: Layout) -> Generator[None, None, bytes]:
    """The rows as a JSON list of records."""
    pieces: list[bytes] = []
    size = 2
    named = _named(layout)
    for cells in table.rows():
        yield
        piece = _object(named, [_string(cell) for cell in cells])
        size += len(piece) + 1
        if size > MAX_CUT_BODY:
            raise UpstreamError(Reason.ANSWER_TOO_LARGE, "The CRM's table is too large to cut.")
        pieces.append(piece)
    return b"[" + b",".join(pieces) + b"]"


Named = tuple[tuple[bytes, Union[int, "Named"]], ...]


def _named(layout: Layout) -> Named:
    """The layout with its names as they stand in JSON, colon included."""
    return tuple(
        (_encode(name) + b":", below if isinstance(below, int) else _named(below))
        for name, below in layout.items()
    )


def _object(named: Named, strings: list[bytes]) -> bytes:
    members = []
    for name, below in named:
        value = strings[below] if isinstance(below, int) else _object(below, strings)
        if value and value != b"{}":
            members.append(name + value)
    return b"{" + b",".join(members) + b"}"


def _string(cell: bytes) -> bytes:
    """A raw cell as a JSON string; nothing for an empty one."""
    if not cell or cell == b'""':
        return b""
    if not cell.startswith(b'"'):
        plain = b"\\" not in cell and b"\t" not in cell
        return b'"' + cell + b'"' if plain else _encode(cell.decode())
    text = cell_text(cell)
    units = text[0].encode("utf-16-be").hex()
    first = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return b'"' + first.encode() + _encode(text[1:])[1:]


# -- and back -------------------------------------------------------------------------------


def _cell(string: Raw) -> bytes:
    """The raw cell that became this JSON string."""
    written = bytes(string)
    if b"\\" not in written:
        return written[1:-1]
    text = _TEXT.decode(written)
    # No control character comes this far that `_encode` would write so.
    return quoted(text) if written.startswith(b'"\\u') else text.encode()


def _as_csv(
    table: Table, layout: Layout, kept: bytes, stay: list[int]
) -> Generator[None, None, bytes]:
    if not stay:
        return b""
    header = table.separator.join([table.header[column] for column in stay])
    pieces = [BOM if table.marked else b"", header, b"\r\n"]
    for record in _records(kept):
        yield
        cells = dict(_found(layout, record))
        row = [_cell(cells[column]) if column in cells else b"" for column in stay]
        pieces += (table.separator.join(row), b"\r\n")
    return b"".join(pieces)


def _records(kept: bytes) -> Iterator[dict[str, Raw]]:
    for records, _ in Text(kept).pieces(read_records):
        yield from records


def _found(layout: Layout, members: Mapping[str, Raw]) -> Iterator[tuple[int, Raw]]:
    """The columns that show something in a record, and what."""
    for name, raw in members.items():
        below = layout[name]
        if isinstance(below, int):
            yield below, raw
        else:
            yield from _found(below, read_members(raw))


# -- which columns --------------------------------------------------------------------------


def _seen(kept: bytes, layout: Layout, unsure: set[int]) -> Generator[None, None, set[int]]:
    """Those of the columns in which some record shows something."""
    missing = set(unsure)
    for record in _records(kept):
        yield
        missing.difference_update(column for column, _ in _found(layout, record))
        if not missing:
            break
    return unsure - missing


def _shows(plan: Plan, path: tuple[str, ...], judges: Judges) -> bool | None:
    """May a text at this path stay? None = it depends on the record."""
    depends = plan.depends
    node, shows = plan.record, True
    for step in path:
        inside = node.members.get(step)
        if inside is None:
            shows = node.rest is None
            break
        if inside.embed is not None:
            judge, prefix = judges.get(inside.embed.resource), inside.embed.prefix
            depends = depends or (judge is not None and judge.depends)
            inside = None if judge is None or judge.depends else judge.node({}, prefix)
        if inside is None or inside.gone is not None:
            shows = False
            break
        node, shows = inside, inside.leaf or inside.misfit is None
    return True if shows else None if depends else False
