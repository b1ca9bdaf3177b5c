"""How the gateway itself reads one record, before something changes it.

INVARIANT: the look-up and what is then forwarded name one record, byte for byte: the id is
plain letters, digits, `-` and `_`, which have one spelling wherever they stand.

An id that another route's address has in its place (`/clients/export`) is refused: the
look-up would ask for something else than a record.
"""

from dataclasses import dataclass

from gateway.domain.errors import RequestError
from gateway.domain.http import CanonicalTarget
from gateway.domain.reason import Reason
from gateway.mapping.pattern import Pattern, Slot
from gateway.mapping.routes import Route, RouteTable, is_record_id, look
from gateway.mapping.target import own_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The way to one record of a resource.

    Attributes:
        route: the GET route that answers with it.
        before, after: the decoded path segments on both sides of the record id.
        taken: what segments look like that are no record id at its place.
    """

    route: Route
    before: tuple[str, ...]
    after: tuple[str, ...]
    taken: frozenset[str] = frozenset()


def build_lookup(declared: tuple[Pattern, Route], table: RouteTable) -> Lookup:
    """Prepare a look-up by a route of the table, whose one slot is `{id}`."""
    pattern, route = declared
    literals = tuple("" if isinstance(step, Slot) else step for step in pattern.steps)
    at = literals.index("")
    node = table.root
    for step in literals[:at]:
        node = node.literals[table.reading.literal(step)]
    return Lookup(route=route, before=literals[:at], after=literals[at + 1 :], taken=node.folded)


def lookup_target(lookup: Lookup, record_id: str) -> CanonicalTarget:
    """The target of the request that reads one record.

    Raises:
        RequestError: BODY_INVALID: no record can have this id. (Not of ids in the path: a
            route has found those.)
    """
    if not is_record_id(record_id) or look(record_id) in lookup.taken:
        raise RequestError(Reason.BODY_INVALID, "The request names a record that cannot be.")
    segments = (*lookup.before, record_id, *lookup.after)
    return own_target(segments, slash=lookup.route.slash)
