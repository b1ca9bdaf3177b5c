"""Which route is this? A tree of literal segments and slots, walked once, never backwards.

RULES
- Segments are compared decoded and in exact case, unless the adapter says that the CRM reads
  any. A trailing `/` must be there if the route is written with one and must not if not,
  unless the adapter says that it makes no difference. HEAD asks for the GET route.
- At every segment: the literal, else the slot, else `**`; the first that can take the
  segment keeps it, for every method. So where `/clients/export` exists, no method falls
  through to `/clients/{id}`: `DELETE /clients/export` is unmapped, not a record `export`.
- A segment that some program might take for a literal and that is not that literal is
  unmapped (`look`): many CRMs route `/clients/EXPORT` like `/clients/export`.
- A slot takes letters, digits, `-` and `_`, at most 128. No dot: `export.csv` would be the
  export again to a CRM with format suffixes. No colon: `7:merge` is an action on 7.
- Nothing found is None, and None is refused.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import CanonicalTarget, Format
from gateway.domain.resource import Resource
from gateway.mapping.parameters import AskedMember, Parameter
from gateway.mapping.pattern import EXACT, Pattern, Reading, Slot

_SLOT_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")


ROOT = FieldPath(())  # the answer is one record
# The actions that only ask, whatever the method: a search by POST.
ASKING = frozenset({"list", "read", "search"})


def fold(name: str) -> str:
    """What may be left of a parameter's name where names are read loosely.

    Some frameworks ignore case, PHP turns `a.b`, `a b` and `a[b` into `a_b`, and a `[]` at the
    end makes a list of the same parameter.
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, plain))


class RouteKind(StrEnum):
    """What stands between the request and the CRM."""

    RULED = "ruled"  # identity, standing, rules
    PASS = "pass"  # noqa: S105  # the adapter's word: identity and standing, no rules
    PUBLIC = "public"  # nobody in particular


@dataclass(frozen=True, slots=True, kw_only=True)
class IdSource:
    """Where a request names a record besides its path: `query:id`, `body:ids[]`.

    Attributes:
        parameter: the query parameter; "" = it stands in the body.
        path: the member of the JSON body; `ids[]` holds several.
    """

    parameter: str = ""
    path: FieldPath = ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing the CRM can be asked.

    Attributes:
        template: the adapter's `match` as written, method included.
        action: of the adapter's closed list.
        records: where the records stand in the answer; the root = the answer is one record.
        beside: members of the enveloping object that are kept beside the records.
        query: the declared parameters, by exact name.
        answer_headers: lower-case names of the CRM's headers that may pass.
        record_at: which path segment names the record; None = none does.
        ids: where the request names further records, all of which must pass.
        page_totals: members beside the records that count those of this answer.
        lookup: the template of the route that reads one record of this resource, for what
            changes one; None = there is none.
        asks: what its body may ask; None = a body of it does not ask, it sends fields.
        variants: parameter → the route that a request with this parameter is instead.
        folded: the names of all declared parameters, as `fold` has them.
    """

    method: str
    template: str
    kind: RouteKind
    resource: Resource
    action: str
    records: FieldPath = ROOT
    beside: frozenset[str] = frozenset()
    query: Mapping[str, Parameter] = field(default_factory=dict)
    answer_headers: frozenset[str] = frozenset()
    record_at: int | None = None
    ids: tuple[IdSource, ...] = ()
    page_totals: frozenset[str] = frozenset()
    lookup: str | None = None
    slash: bool = False
    format: Format = Format.JSON
    columns: Mapping[str, FieldPath] = field(default_factory=dict)
    websocket: bool = False
    asks: AskedMember | None = None
    variants: Mapping[str, "Route"] = field(default_factory=dict)
    folded: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = frozenset(map(fold, (*self.query, *self.variants)))
        object.__setattr__(self, "folded", names)  # frozen, so once is enough


class RouteMatch(Struct, frozen=True, kw_only=True):
    """A route and the record id the path names."""

    route: Route
    record: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What may follow at one place of the path.

    Attributes:
        literals: by their one spelling (`Reading.literal`).
        folded: what the literals look like.
        routes: method and trailing slash → route that ends here.
        rest: the same → route that takes everything from here on.
    """

    literals: Mapping[str, "Node"]
    folded: frozenset[str]
    slot: "Node | None"
    routes: Mapping[tuple[str, bool], Route]
    rest: Mapping[tuple[str, bool], Route]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """Every route, as written and as a tree."""

    routes: tuple[Route, ...]
    root: Node = field(repr=False)
    reading: Reading = EXACT

    def ruled(self) -> Iterator[Route]:
        """Everything that rules are asked about: routes under rules, and their variants."""
        for route in self.routes:
            if route.kind is RouteKind.RULED:
                yield route
                yield from route.variants.values()


def build_table(declared: Iterable[tuple[Pattern, Route]], reading: Reading = EXACT) -> RouteTable:
    """Grow the tree.

    Args:
        declared: no two patterns may have the same shape to the CRM; the adapter's reader sees
            to it.
        reading: how the CRM reads addresses.
    """
    pairs = tuple(declared)
    root = _grow(pairs, 0, reading)
    return RouteTable(routes=tuple(route for _, route in pairs), root=root, reading=reading)


def find(table: RouteTable, method: str, target: CanonicalTarget) -> RouteMatch | None:
    """The one route of a request, or None: unmapped."""
    reading = table.reading
    wanted = "GET" if method == "HEAD" else method
    ending = (wanted, reading.ending(slash=target.slash))
    route = _route(table.root, ending, target.segments, reading)
    if route is None:
        return None
    record = None if route.record_at is None else target.segments[route.record_at]
    return RouteMatch(route=route, record=record)


def is_record_id(text: str) -> bool:
    """Could a slot of a route take this? No other text names a record, wherever it stands."""
    return _SLOT_VALUE.fullmatch(text) is not None


def look(segment: str) -> str:
    """What a segment looks like to the most careless reader: no case, no accents, one `i`.

    Two segments that look alike may be one to a file system, a collation or a router that
    compares in upper case (`ı` is `I` there). They are never taken for each other here; it
    only tells which segment is none of those that are left for a slot or a `**`.
    """
    if segment.isascii():
        return segment.lower()
    parts = unicodedata.normalize("NFKD", segment.upper().casefold())
    return "".join(char for char in parts if unicodedata.category(char)[0] != "M")


def _route(
    node: Node, ending: tuple[str, bool], segments: tuple[str, ...], reading: Reading
) -> Route | None:
    for segment in segments:
        following = node.literals.get(reading.literal(segment))
        if following is None:
            if look(segment) in node.folded:
                return None
            if node.slot is None:
                return node.rest.get(ending)
            if not is_record_id(segment):
                return None
            following = node.slot
        node = following
    return node.routes.get(ending)


def _grow(pairs: Iterable[tuple[Pattern, Route]], depth: int, reading: Reading) -> Node:
    literals: dict[str, list[tuple[Pattern, Route]]] = {}
    slot: list[tuple[Pattern, Route]] = []
    routes: dict[tuple[str, bool], Route] = {}
    rest: dict[tuple[str, bool], Route] = {}
    for pattern, route in pairs:
        if depth == len(pattern.steps):
            ending = (pattern.method, reading.ending(slash=pattern.slash))
            (rest if pattern.rest else routes)[ending] = route
            continue
        step = pattern.steps[depth]
        following = (
            slot if isinstance(step, Slot) else literals.setdefault(reading.literal(step), [])
        )
        following.append((pattern, route))
    return Node(
        literals={text: _grow(inner, depth + 1, reading) for text, inner in literals.items()},
        folded=frozenset(map(look, literals)),
        slot=_grow(slot, depth + 1, reading) if slot else None,
        routes=routes,
        rest=rest,
    )
