"""Bytes become an adapter or findings, and an adapter that lost lines never grants more.

The first byte says which: 0 a file as it stands; else an adapter from which lines were lost, as
by half a save or a slip of the hand, and the rest of the input says which.
"""

from gateway.domain.errors import RequestError
from gateway.domain.finding import PolicyError
from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.mapping.adapter import Adapter, parse_adapter
from gateway.mapping.guard import METHODS
from gateway.mapping.pattern import Slot, parse_pattern
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import Route, RouteKind, find
from gateway.masking.plan import build_plan
from gateway.texts.encoding import decode
from gateway.texts.yamltext import parse_yaml
from tests.fuzz.draws import Draws
from tests.fuzz.refusals import require_findings

WHOLE = b"""\
adapter: sample
actions: [list, read, search, update, write]
paths: {case: insensitive, trailing_slash: either}
resources:
  client:
    sensitive: true
    id: id
    fields:
      name: name
      phone: [phone, contact.phone]
      notes: notes[].text
      extra: extra.**
      salon: salon
      stylist: stylist_id
    classes:
      contact: [phone]
      health: [notes]
    facts: {own_client: stylist is me}
    salon: {field: salon, names: {A: aoyama}}
    lookup: GET /clients/{id}
  booking:
    id: id
    fields: {memo: memo}
    embeds: {whose: {at: client, resource: client}}
  asset:
    sensitive: false
    fields: {}
routes:
  - match: GET /clients
    resource: client
    action: list
    records: data[]
    beside: [total, next]
    totals: [total]
    headers: [X-Total-Count]
    query:
      page: {max: 50}
      order: {one_of: [asc, desc]}
      sort: field
      q: {searches: [name, phone], recheck: true}
      phone: {searches: [phone]}
      number: {exact: phone, action: search, allowance: 5}
      "filter[{field}]": searches
  - {match: "GET /clients/{id}", resource: client, action: read}
  - {match: "PUT /clients/{id}", resource: client, action: update}
  - match: POST /clients/search
    resource: client
    action: search
    records: "[]"
    asks: {q: {searches: [name]}, "sort[]": field, "filter.{field}": searches}
  - match: GET /clients.csv
    resource: client
    action: list
    format: csv
    columns: {Name: name, Tel: phone}
  - {match: GET /live, resource: client, action: list, websocket: true}
  - {match: POST /bookings, resource: booking, action: write, ids: ["body:client.id"]}
  - {match: GET /assets/**, resource: asset, action: read, pass: true}
  - {match: POST /login, resource: asset, action: write, public: true}
"""
MAX_BYTES = len(WHOLE) + 400
SEEDS = (
    b"\x00" + WHOLE,
    (
        b"\x00adapter: a\nresources: {a: {fields: {b: b}}}\n"
        b"routes: [{match: GET /a, resource: a, action: read}]\n"
    ),
    *(bytes([1, line, count]) for line in range(0, 60, 3) for count in (1, 3)),
    *(bytes([2, line, 1, 2]) for line in range(4, 60, 5)),
)
# fmt: off
WORDS = (
    b"sensitive: false", b"pass: true", b"public: true", b'records: "[]"', b"{id}", b"/**",
    b"GET ", b"DELETE ", b"[].", b".**", b'"*"', b"{field}", b"is me", b"older than 5y",
    b"unmapped", b"recheck: true", b"format: events", b"websocket: true", b"exact: ", b"~",
)
# fmt: on
_OPENNESS = (RouteKind.RULED, RouteKind.PASS, RouteKind.PUBLIC)


def check(data: bytes) -> None:
    kind, rest = (data[0], data[1:]) if data else (0, b"")
    if kind == 0:
        adapter = read(rest)
        if adapter is not None:
            _require_sound(adapter)
        return
    lines = WHOLE.splitlines(keepends=True)
    draws = Draws(rest)
    for _ in range(1 + kind % 3):
        start = draws.below(len(lines) + 1)
        count = draws.below(8)
        if kind & 8:  # half a line
            lines[start : start + 1] = [line[:count] + b"\n" for line in lines[start : start + 1]]
        else:
            del lines[start : start + count]
    adapter = read(b"".join(lines))
    if adapter is not None:
        _require_sound(adapter)
        _require_no_more(adapter)


def read(data: bytes) -> Adapter | None:
    try:
        return parse_adapter(parse_yaml(decode(data, "a.yaml"), "a.yaml"))
    except PolicyError as error:
        require_findings(error, "a.yaml")
        return None


def _require_sound(adapter: Adapter) -> None:
    words = adapter.vocabulary
    for route in (*adapter.routes.routes, *adapter.routes.ruled()):
        resource = route.resource
        assert words.resources[resource.name] is resource
        assert route.action in words.actions
        assert route.method in METHODS
        assert route.kind is RouteKind.RULED or not resource.sensitive
        assert route.kind is RouteKind.RULED or not route.query
        if route.kind is RouteKind.RULED:
            _require_shut(route)
            build_plan(
                resource,
                frozenset(resource.maskable),
                records=route.records,
                beside=route.beside,
                page_totals=route.page_totals,
            )
    for route in adapter.routes.routes:
        _require_reached(adapter, route)


def _require_shut(route: Route) -> None:
    """Whoever may see nothing can ask nothing that nobody declared."""
    try:
        require_answerable(
            route, (("no such parameter", "1"),), frozenset(route.resource.maskable)
        )
    except RequestError:
        return
    assert not route.resource.maskable


def _require_reached(adapter: Adapter, route: Route) -> None:
    """An address of a route is this route's, or that of one whose literals stand before it."""
    pattern = parse_pattern(route.template)
    segments = tuple("7" if isinstance(step, Slot) else step for step in pattern.steps)
    segments = (*segments, "x") if pattern.rest else segments
    target = CanonicalTarget(
        path=CanonicalPath("/"), segments=segments, query=(), wire="/", slash=pattern.slash
    )
    match = find(adapter.routes, pattern.method, target)
    if match is None or match.route is not route:
        others = {other.template for other in adapter.routes.routes} - {route.template}
        assert others
        return
    assert match.record == (None if route.record_at is None else segments[route.record_at])


def _require_no_more(adapter: Adapter) -> None:
    before = {route.template: route for route in _ADAPTER.routes.routes}
    for route in adapter.routes.routes:
        was = before[route.template]
        assert _OPENNESS.index(route.kind) <= _OPENNESS.index(was.kind)
        assert set(route.query) <= set(was.query)
        assert route.answer_headers <= was.answer_headers
        assert route.beside <= was.beside
        assert set(route.columns) <= set(was.columns)
        assert not route.websocket or was.websocket
        assert route.resource.sensitive or not was.resource.sensitive
        assert set(route.resource.fields) <= set(was.resource.fields)
        for name, field in route.resource.fields.items():
            assert set(field.paths) <= set(was.resource.fields[name].paths)


_ADAPTER = read(WHOLE)
assert _ADAPTER is not None
