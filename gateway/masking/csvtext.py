r"""CSV with one meaning or none (RFC 4180), as raw cells: quotes included, bytes untouched.

True here:
- UTF-8, with or without a byte-order mark. The first row is the header, no name in it empty
  (`sep=;` is no header) or twice; every row has as many cells as it. Rows end in CRLF or LF;
  after the last one that may be missing.
- The separator is the one of `,`, `;` and tab that the header has outside quotes; `,` if it has
  none. A header with two of them is refused.
- Quotes stand round a whole cell, and doubled inside it. A quote anywhere else is refused.
- Some CRMs write `\"` for a quote and `\,` for a comma. Where a backslash could mean that, two
  readers would see different cells, so it is refused: before a quote, and at the end of a cell
  without quotes.
- No control characters but tab, and CR and LF in quotes.
- A cell that looks like a formula is a text like any other.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from gateway.masking.pieces import STRIDE, require_utf8_steps

BOM = b"\xef\xbb\xbf"
# Each cell of a row is a piece of work; real tables have some dozen columns.
MAX_COLUMNS = 1_024

_QUOTED = rb'"(?:[^"]++|"")*+"'
_ANY_QUOTED = re.compile(_QUOTED)
_ROW = re.compile(rb'((?:[^"\r\n]++|' + _QUOTED + rb")*+)(?:\r\n|\n|\Z)")
_CONTROLS = bytes({*range(32), 127} - {*b"\t\r\n"})
_CELL = {
    separator: re.compile(
        rb'(?:"(?:[^"\\]++|""|\\(?!"))*+"|[^"' + separator + rb"]*+)(?=" + separator + rb"|\Z)"
    )
    for separator in (b",", b";", b"\t")
}


class NotCsvError(Exception):
    """Not a table that has one meaning. Says no more: it would tell what stands in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A CSV body whose header has been read.

    Attributes:
        header: the raw cells of the first row.
        names: their texts, no two alike.
        separator: one byte.
        marked: it begins with a byte-order mark.
        start: where the second row begins.
    """

    body: bytes = field(repr=False)
    header: tuple[bytes, ...]
    names: tuple[str, ...]
    separator: bytes
    marked: bool
    start: int

    def rows(self) -> Iterator[list[bytes]]:
        """The rows after the header, as raw cells.

        Raises:
            NotCsvError: where the first row stands that is none.
        """
        at = self.start
        while at < len(self.body):
            row, at = _row(self.body, at)
            cells = _cells(row, self.separator)
            if len(cells) != len(self.header):
                raise NotCsvError
            yield cells


def read_table_steps(body: bytes) -> Generator[None, None, Table]:
    """Read the header; the rows are read as they are asked for.

    Raises:
        NotCsvError: no header, or a body that cannot be a table.
    """
    try:
        yield from require_utf8_steps(body)
    except UnicodeError:
        raise NotCsvError from None
    for start in range(0, len(body), STRIDE):
        part = body[start : start + STRIDE]
        if len(part.translate(None, _CONTROLS)) != len(part):
            raise NotCsvError
        yield
    marked = body.startswith(BOM)
    if not body:
        raise NotCsvError
    row, start = _row(body, len(BOM) if marked else 0)
    separator = _separator(row)
    header = _cells(row, separator)
    names = tuple(map(cell_text, header))
    if len(header) > MAX_COLUMNS or len(set(names)) != len(names) or "" in names:
        raise NotCsvError
    # Where the columns before it leave, it would come first and be taken for the table's mark.
    if any(cell.startswith(BOM) for cell in header):
        raise NotCsvError
    return Table(
        body=body,
        header=tuple(header),
        names=names,
        separator=separator,
        marked=marked,
        start=start,
    )


def cell_text(cell: bytes) -> str:
    """What a raw cell says."""
    if cell.startswith(b'"'):
        return cell[1:-1].replace(b'""', b'"').decode()
    return cell.decode()


def quoted(text: str) -> bytes:
    """The raw cell in quotes that says this."""
    return b'"' + text.encode().replace(b'"', b'""') + b'"'


def _row(body: bytes, at: int) -> tuple[bytes, int]:
    """A row without its line end, and where the next one begins."""
    found = _ROW.match(body, at)
    if found is None:
        raise NotCsvError
    return found[1], found.end()


def _separator(header: bytes) -> bytes:
    bare = _ANY_QUOTED.sub(b"", header)
    used = [separator for separator in _CELL if separator in bare]
    if len(used) > 1:
        raise NotCsvError
    return used[0] if used else b","


def _cells(row: bytes, separator: bytes) -> list[bytes]:
    if b'"' not in row:
        cells = row.split(separator)
    else:
        cells, at, pattern = [], 0, _CELL[separator]
        while at <= len(row):
            found = pattern.match(row, at)
            if found is None:
                raise NotCsvError
            cells.append(found[0])
            at = found.end() + 1  # behind the separator, or behind the end
    if b"\\" in row and any(cell.endswith(b"\\") for cell in cells):
        raise NotCsvError
    return cells
