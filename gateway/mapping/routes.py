"""Which route is this? A tree of literal segments and slots, walked once, never backwards.

RULES
- Segments are compared decoded and in exact case. HEAD asks for the GET route.
- At every segment: the literal, else the slot, else `**`; the first that can take the
  segment keeps it, for every method. So where `/clients/export` exists, no method falls
  through to `/clients/{id}`: `DELETE /clients/export` is unmapped, not a record `export`.
- A segment that differs from a literal only in case is unmapped: many CRMs route
  `/clients/EXPORT` like `/clients/export`.
- A slot takes letters, digits, `-` and `_`, at most 128. No dot: `export.csv` would be the
  export again to a CRM with format suffixes. No colon: `7:merge` is an action on 7.
- Nothing found is None, and None is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import CanonicalTarget, Format
from gateway.domain.resource import Resource
from gateway.mapping.parameters import Parameter
from gateway.mapping.pattern import Pattern, Slot

_SLOT_VALUE = re.compile(r"[A-Za-z0-9_-]{1,128}")


ROOT = FieldPath(())  # the answer is one record


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
    asks: Mapping[str, Parameter] = field(default_factory=dict)
    variants: Mapping[str, "Route"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """A route and the record id the path names."""

    route: Route
    record: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What may follow at one place of the path.

    Attributes:
        folded: the literals' case-folded spellings.
        routes: method → route that ends here.
        rest: method → route that takes everything from here on.
    """

    literals: Mapping[str, "Node"]
    folded: frozenset[str]
    slot: "Node | None"
    routes: Mapping[str, Route]
    rest: Mapping[str, Route]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """Every route, as written and as a tree."""

    routes: tuple[Route, ...]
    root: Node = field(repr=False)


def build_table(declared: Iterable[tuple[Pattern, Route]]) -> RouteTable:
    """Grow the tree. No two patterns may have the same shape; the adapter's reader sees to it."""
    pairs = tuple(declared)
    return RouteTable(routes=tuple(route for _, route in pairs), root=_grow(pairs, 0))


def find(table: RouteTable, method: str, target: CanonicalTarget) -> RouteMatch | None:
    """The one route of a request, or None: unmapped."""
    wanted = "GET" if method == "HEAD" else method
    route = _route(table.root, wanted, target.segments)
    if route is None:
        return None
    record = None if route.record_at is None else target.segments[route.record_at]
    return RouteMatch(route=route, record=record)


def is_record_id(text: str) -> bool:
    """Could a slot of a route take this? No other text names a record, wherever it stands."""
    return _SLOT_VALUE.fullmatch(text) is not None


def _route(node: Node, method: str, segments: tuple[str, ...]) -> Route | None:
    for segment in segments:
        following = node.literals.get(segment)
        if following is None:
            if segment.casefold() in node.folded:
                return None
            if node.slot is None:
                return node.rest.get(method)
            if not is_record_id(segment):
                return None
            following = node.slot
        node = following
    return node.routes.get(method)


def _grow(pairs: Iterable[tuple[Pattern, Route]], depth: int) -> Node:
    literals: dict[str, list[tuple[Pattern, Route]]] = {}
    slot: list[tuple[Pattern, Route]] = []
    routes: dict[str, Route] = {}
    rest: dict[str, Route] = {}
    for pattern, route in pairs:
        if depth == len(pattern.steps):
            (rest if pattern.rest else routes)[pattern.method] = route
            continue
        step = pattern.steps[depth]
        (slot if isinstance(step, Slot) else literals.setdefault(step, [])).append(
            (pattern, route)
        )
    return Node(
        literals={text: _grow(inner, depth + 1) for text, inner in literals.items()},
        folded=frozenset(text.casefold() for text in literals),
        slot=_grow(slot, depth + 1) if slot else None,
        routes=routes,
        rest=rest,
    )
