"""`routes:` of an adapter → patterns and routes, with everything wrong in them as findings."""

from collections.abc import Callable, Mapping

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.finding import Finding, Severity, did_you_mean
from gateway.domain.resource import ANY, UNMAPPED, Resource, Vocabulary
from gateway.mapping.headernames import NEVER_CUT
from gateway.mapping.parameters import Capped, Parameter, Plain, Searches, field_named
from gateway.mapping.pattern import Pattern, parse_pattern
from gateway.mapping.routes import Route, RouteKind
from gateway.mapping.shapes import ParameterShape, RouteShape
from gateway.mapping.target import is_parameter_name
from gateway.texts.yamltext import Document, Key

READING = frozenset({"list", "read"})
WRITING = frozenset({"create", "update", "write", "delete", "merge", "send"})
_WORDS = ("plain", "field")

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
    route = Route(
        method=pattern.method if pattern else "",
        template=shape.match,
        kind=kind,
        resource=resource,
        action=shape.action,
        records=records,
        beside=_read_beside(shape, records, complain),
        query=_read_query(shape, resource, complain),
        answer_headers=_read_headers(shape, complain),
        record_at=pattern.record_at if pattern else None,
    )
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
    if pattern is None:
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
    for key in ("records", "beside", "query", "headers"):
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


def _read_headers(shape: RouteShape, complain: Complain) -> frozenset[str]:
    for at, name in enumerate(shape.headers):
        if not name.isascii() or not name.replace("-", "").isalnum():
            complain(f"`{name}` is not a header name", "headers", at)
        elif name.lower() in NEVER_CUT:
            complain(
                f"`{name}` describes the answer before it is cut and never passes", "headers", at
            )
    return frozenset(name.lower() for name in shape.headers)


def _read_query(
    shape: RouteShape, resource: Resource, complain: Complain
) -> Mapping[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, typed in shape.query.items():

        def object_to(message: str, *path: Key, name: str = name) -> None:
            complain(message, "query", name, *path)

        if not is_parameter_name(name):
            object_to(f"`{name}` can never arrive as a parameter name; write it decoded")
        parameter = (
            _read_detailed(typed, resource, object_to)
            if isinstance(typed, ParameterShape)
            else _read_word(typed, resource, object_to)
        )
        if parameter is not None:
            found[name] = parameter
    return found


def _read_word(typed: str, resource: Resource, complain: Complain) -> Parameter | None:
    match typed:
        case "plain":
            return Plain()
        case "field":
            return field_named(resource)
        case _:
            complain(
                f"`{typed}` must be `plain`, `field`, `{{max: N}}`, `{{one_of: [...]}}` or "
                f"`{{searches: [...]}}`; {did_you_mean(typed, _WORDS)}"
            )
            return None


def _read_detailed(
    typed: ParameterShape, resource: Resource, complain: Complain
) -> Parameter | None:
    if len(typed.model_fields_set) != 1:
        complain("a parameter is one of `{max: N}`, `{one_of: [...]}`, `{searches: [...]}`")
        return None
    if typed.max is not None:
        return Capped(max=typed.max)
    if typed.one_of is not None:
        if not typed.one_of:
            complain("`one_of` must list the values it takes", "one_of")
        return Plain(one_of=frozenset(typed.one_of))
    searches = typed.searches or []
    if not searches:
        complain('`searches` must list the fields it looks in; `["*"]` for all', "searches")
    for at, name in enumerate(searches):
        if name not in {*resource.fields, UNMAPPED, ANY}:
            known = did_you_mean(name, (*resource.fields, UNMAPPED))
            complain(f"unknown field `{name}`; {known}", "searches", at)
    everything = resource.maskable if ANY in searches else ()
    return Searches(fields=frozenset({*searches, *everything} - {ANY}))
