"""`routes:` of an adapter → patterns and routes, with everything wrong in them as findings."""

from collections.abc import Callable
from dataclasses import replace

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.finding import Finding, Severity, did_you_mean
from gateway.domain.http import SAFE_METHODS
from gateway.domain.resource import Resource, Vocabulary
from gateway.mapping.headernames import NEVER_CUT
from gateway.mapping.pattern import Pattern, parse_pattern
from gateway.mapping.read_asks import read_asks
from gateway.mapping.read_format import read_format, records_of
from gateway.mapping.read_query import read_query
from gateway.mapping.read_socket import read_websocket
from gateway.mapping.read_variants import read_variants
from gateway.mapping.routes import IdSource, Route, RouteKind
from gateway.mapping.shapes import RouteShape
from gateway.texts.yamltext import Document, Key

READING = frozenset({"list", "read"})
WRITING = frozenset({"create", "update", "write", "delete", "merge", "send"})

Complain = Callable[..., None]


def read_route(
    document: Document,
    at: int,
    shape: RouteShape,
    words: Vocabulary,
    findings: list[Finding],
) -> tuple[Pattern, Route] | None:
    """Read one route, or append what is wrong with it to `findings` and return None."""
    before = len(findings)

    def complain(message: str, *path: Key, severity: Severity = Severity.ERROR) -> None:
        place = document.place("routes", at, *path)
        findings.append(Finding(place, message, severity))

    pattern = _read_pattern(shape, complain)
    _require_action(shape, pattern, words, complain)
    resource = words.resources.get(shape.resource)
    if resource is None:
        known = did_you_mean(shape.resource, words.resources)
        complain(f"unknown resource `{shape.resource}`; {known}", "resource")
        return None
    kind = _read_kind(shape, resource, complain)
    records = _read_records(shape, complain)
    wanted, columns = read_format(shape, resource, words, complain)
    route = Route(
        method=pattern.method if pattern else "",
        template=shape.match,
        kind=kind,
        resource=resource,
        action=shape.action,
        records=records_of(wanted, records),
        beside=_read_beside(shape, records, complain),
        query=read_query(shape, resource, words, complain),
        answer_headers=_read_headers(shape, complain),
        record_at=pattern.record_at if pattern else None,
        ids=_read_ids(shape, pattern, complain),
        page_totals=_read_totals(shape, complain),
        format=wanted,
        columns=columns,
        slash=pattern is not None and pattern.slash,
        websocket=pattern is not None and read_websocket(shape, pattern.method, complain),
        asks=read_asks(shape, pattern.method, resource, words, complain) if pattern else None,
    )
    route = replace(route, variants=read_variants(shape, route, words, complain))
    wrong = any(found.severity is Severity.ERROR for found in findings[before:])
    return None if wrong or pattern is None else (pattern, route)


def _read_pattern(shape: RouteShape, complain: Complain) -> Pattern | None:
    try:
        return parse_pattern(shape.match)
    except ValueError as error:
        complain(str(error), "match")
        return None


def _require_action(
    shape: RouteShape, pattern: Pattern | None, words: Vocabulary, complain: Complain
) -> None:
    if shape.action not in words.actions:
        known = did_you_mean(shape.action, words.actions)
        complain(f"unknown action `{shape.action}`; {known}", "action")
        return
    if pattern is None or shape.asks:  # a body that asks is what makes a POST a list
        return
    reads = pattern.method in {"GET", "OPTIONS"}
    if shape.action in (WRITING if reads else READING):
        complain(
            f"the action `{shape.action}` of a {pattern.method} route is unusual; "
            f"rules on `{shape.action}` will decide it",
            "action",
            severity=Severity.WARNING,
        )


def _read_kind(shape: RouteShape, resource: Resource, complain: Complain) -> RouteKind:
    if shape.passes and shape.public:
        complain("a route is `pass` or `public`, not both", "public")
    if not (shape.passes or shape.public):
        return RouteKind.RULED
    kind = RouteKind.PUBLIC if shape.public else RouteKind.PASS
    if resource.sensitive:
        complain(
            f"`{kind}` would skip the rules of the sensitive resource `{resource.name}`; "
            "remove it, or give the route a resource with `sensitive: false`",
            "public" if shape.public else "pass",
        )
    for key in ("records", "beside", "totals", "query", "asks", "ids", "headers"):
        if getattr(shape, key):
            complain(f"a `{kind}` route is neither asked nor cut; remove `{key}`", key)
    return kind


def _read_records(shape: RouteShape, complain: Complain) -> FieldPath:
    try:
        path = parse_field_path(shape.records)
    except ValueError as error:
        complain(str(error), "records")
        return FieldPath(())
    if path.whole or ITEMS in path.steps[:-1]:
        complain(
            f"`{shape.records}` must lead to one record or to one list of them: "
            "`data`, `[]`, `data[]`",
            "records",
        )
    return path


def _read_beside(shape: RouteShape, records: FieldPath, complain: Complain) -> frozenset[str]:
    names = [step for step in records.steps if step != ITEMS]
    if shape.beside and len(names) != 1:
        complain("`beside` needs records in one envelope: `data`, `data[]`", "beside")
    for at, member in enumerate(shape.beside):
        if not member or any(char in member for char in ".[]*"):
            complain(f"`{member}` must be one member name beside the records", "beside", at)
        elif member in names:
            complain(f"`{member}` holds the records; it is not beside them", "beside", at)
    return frozenset(shape.beside)


def _read_totals(shape: RouteShape, complain: Complain) -> frozenset[str]:
    for at, member in enumerate(shape.totals):
        if member not in shape.beside:
            known = did_you_mean(member, shape.beside)
            complain(f"`{member}` must stand in `beside` as well; {known}", "totals", at)
    return frozenset(shape.totals)


def _read_ids(
    shape: RouteShape, pattern: Pattern | None, complain: Complain
) -> tuple[IdSource, ...]:
    found: list[IdSource] = []
    for at, text in enumerate(shape.ids):
        source = _read_source(text, shape, lambda message, at=at: complain(message, "ids", at))
        if source is None:
            continue
        if not source.parameter and pattern is not None and pattern.method in SAFE_METHODS:
            complain(f"a {pattern.method} request has no body to hold `{text}`", "ids", at)
        if any(_collide(source, other) for other in found):
            complain(f"`{text}` names what another line names already; keep one", "ids", at)
        found.append(source)
    return tuple(found)


def _read_source(text: str, shape: RouteShape, complain: Complain) -> IdSource | None:
    where, _, name = text.partition(":")
    match where:
        case "query":
            if name not in shape.query:
                known = did_you_mean(name, shape.query)
                complain(f"`{name}` is no parameter of this route; {known}")
                return None
            return IdSource(parameter=name)
        case "body":
            try:
                path = parse_field_path(name)
            except ValueError as error:
                complain(str(error))
                return None
            if not path.steps or path.whole or ITEMS in (path.steps[0], *path.steps[:-1]):
                complain(f"`{text}` must lead to one id or to one list: `body:id`, `body:ids[]`")
                return None
            return IdSource(path=path)
        case _:
            complain(f"`{text}` must be `query:` and a parameter or `body:` and a member")
            return None


def _collide(one: IdSource, other: IdSource) -> bool:
    """The same parameter; or one member of the body, or one inside the other."""
    if one.parameter or other.parameter:
        return one.parameter == other.parameter
    return all(a == b for a, b in zip(one.path.steps, other.path.steps, strict=False))


def _read_headers(shape: RouteShape, complain: Complain) -> frozenset[str]:
    for at, name in enumerate(shape.headers):
        if not name.isascii() or not name.replace("-", "").isalnum():
            complain(f"`{name}` is not a header name", "headers", at)
        elif name.lower() in NEVER_CUT:
            complain(
                f"`{name}` describes the answer before it is cut and never passes", "headers", at
            )
    return frozenset(name.lower() for name in shape.headers)
