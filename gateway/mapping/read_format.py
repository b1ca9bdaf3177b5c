"""`format:` and `columns:` of a route: how its answers are written, with findings.

True here: a column is a member of a record that the resource declares, at one path without
`[]`; no two columns stand at one path or inside each other. What a column would show that
nothing declares is simply not listed: it is `unmapped`.
"""

from collections.abc import Callable, Iterator, Mapping

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.finding import did_you_mean
from gateway.domain.http import Format
from gateway.domain.resource import Resource, Vocabulary
from gateway.mapping.routes import ASKING
from gateway.mapping.shapes import RouteShape

LISTS = frozenset({Format.NDJSON, Format.CSV})  # the answer is a list of records, always
MAX_NESTED = 3  # records inside records, as deep as answers are cut

Complain = Callable[..., None]


def read_format(
    shape: RouteShape, resource: Resource, words: Vocabulary, complain: Complain
) -> tuple[Format, Mapping[str, FieldPath]]:
    """Read how a route's answers are written; what is wrong is complained about.

    Returns:
        The format, and of CSV: text in the header → where its cells stand in a record.
    """
    wanted = Format(shape.format)
    if wanted is not Format.JSON:
        _require_reading(shape, wanted, complain)
    if wanted in LISTS and shape.records not in {"", ITEMS}:
        complain(
            f'`{wanted}` answers are a list of records; write `records: "[]"`, or leave it out',
            "records",
        )
    if wanted is not Format.CSV:
        if shape.columns:
            complain("`columns` are of CSV; write `format: csv`, or remove them", "columns")
        return wanted, {}
    if not shape.columns:
        complain(
            "`format: csv` needs `columns`: which text in the header is which member", "format"
        )
    return wanted, _read_columns(shape, resource, words, complain)


def records_of(wanted: Format, records: FieldPath) -> FieldPath:
    """Where the records stand, in an answer of this format."""
    return FieldPath((ITEMS,)) if wanted in LISTS else records


def _require_reading(shape: RouteShape, wanted: Format, complain: Complain) -> None:
    method = shape.match.partition(" ")[0]
    if method != "GET" and not (method == "POST" and shape.action in ASKING):
        complain(
            f"only what reads can answer as `{wanted}`: a GET, or a POST with the action "
            "`list`, `read` or `search`",
            "format",
        )
    if shape.passes or shape.public:
        kind = "public" if shape.public else "pass"
        complain(f"a `{kind}` route is neither asked nor cut; remove `format`", "format")


def _read_columns(
    shape: RouteShape, resource: Resource, words: Vocabulary, complain: Complain
) -> Mapping[str, FieldPath]:
    known = tuple(_places(resource, words.resources, (), MAX_NESTED))
    found: dict[str, FieldPath] = {}
    for header, typed in shape.columns.items():

        def object_to(message: str, header: str = header) -> None:
            complain(message, "columns", header)

        if not header or not header.isprintable():
            object_to(f"`{header}` can never stand in a header; write the text of a column")
            continue
        path = _read_path(typed, known, object_to)
        if path is None:
            continue
        for other, taken in found.items():
            if all(a == b for a, b in zip(path.steps, taken.steps, strict=False)):
                object_to(f"`{typed}` is where the column `{other}` stands already; keep one")
        found[header] = path
    return found


def _read_path(typed: str, known: tuple[FieldPath, ...], complain: Complain) -> FieldPath | None:
    try:
        path = parse_field_path(typed)
    except ValueError as error:
        complain(str(error))
        return None
    if path.whole or ITEMS in path.steps or not path.steps:
        complain(f"`{typed}` must be one member of a record: a cell holds one text")
        return None
    if not any(_leads_to(path, place) for place in known):
        names = (str(place) for place in known if ITEMS not in place.steps)
        complain(f"no field has the path `{typed}`; {did_you_mean(typed, names)}")
        return None
    return path


def _leads_to(path: FieldPath, place: FieldPath) -> bool:
    """Is this what the adapter declares, or under a `.**` of it?"""
    inside = path.steps[: len(place.steps)] == place.steps
    return inside and (place.whole or len(path.steps) == len(place.steps))


def _places(
    resource: Resource, known: Mapping[str, Resource], prefix: tuple[str, ...], deeper: int
) -> Iterator[FieldPath]:
    """Every declared place of a record, and of those inside it."""
    paths = [path for declared in resource.fields.values() for path in declared.paths]
    paths += [] if resource.id is None else [resource.id]
    yield from (FieldPath((*prefix, *path.steps), path.whole) for path in paths)
    for embed in resource.embeds.values():
        inner = known.get(embed.resource)
        if inner is not None and deeper:
            yield from _places(inner, known, (*prefix, *embed.path.steps), deeper - 1)
