"""Where a grant meets a request: it lifts the window for one card, and nothing else. Pure.

True here:
* only a request that the window alone refused is asked about a second time;
* only of a route that shows one card, named by its path, and of that card alone: records inside
  it are judged as ever, by the clock;
* what comes of the second time is what `decide` makes of a lifted window: at most what would be
  given inside it, and at most what the rules leave open as the clock stands.
"""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from gateway.bundle import Bundle
from gateway.domain.decision import Decision, Denial, Permit
from gateway.domain.fieldpath import ITEMS
from gateway.domain.http import Format
from gateway.domain.reason import Reason
from gateway.domain.subject import Principal
from gateway.domain.time import Instant
from gateway.enforcer.ruling import Ruling
from gateway.identity.grant import Grant, lifts
from gateway.mapping.guard import Guarded
from gateway.mapping.routes import Route, RouteKind, RouteMatch


class Grants(Protocol):
    """The last grant of each person, at hand."""

    async def get(self, key: str) -> Grant | None:
        """A person's last grant; None = they have none.

        Raises:
            StateUnavailableError: it cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """That cards may be asked for outside the window, and of what.

    Attributes:
        resources: the names of those whose cards may be asked for.
    """

    grants: Grants
    resources: frozenset[str]


class Visitor(Struct, frozen=True, kw_only=True):
    """Somebody who has passed every check that comes before the rules.

    Attributes:
        peer: the address they come from; None = not known.
    """

    guarded: Guarded
    bundle: Bundle
    person: Principal
    now: Instant
    peer: str | None


def is_one_card(route: Route) -> bool:
    """Does the route show one card, by the id in its path, and no more?"""
    return (
        (route.kind, route.method, route.action) == (RouteKind.RULED, "GET", "read")
        and route.format is Format.JSON
        and route.record_at is not None
        and ITEMS not in route.records.steps
        and not (route.ids or route.beside or route.websocket)
    )


def salons_to_lift(
    break_glass: BreakGlass | None,
    bundle: Bundle,
    person: Principal,
    match: RouteMatch,
    method: str,
    decision: Decision,
    now: Instant,
    peer: str | None,
) -> tuple[str, ...]:
    """The salons of the person whose window, if it were lifted, would let the request pass.

    Args:
        break_glass: None = no card can be asked for.
        bundle: the policy in force.
        person: who asks.
        match: what they ask for, as `asked_as` has it.
        method: of the request.
        decision: what the rules say to it.
        now: the instant of the request.
        peer: as in `Bundle.ruling`.
    """
    if break_glass is None or not _is_refused_by_the_window(decision) or method != "GET":
        return ()
    route = match.route
    if match.record is None or not is_one_card(route):
        return ()
    if route.resource.name not in break_glass.resources:
        return ()
    return tuple(
        post.salon
        for post in person.posts
        if _lifts_something(_second(bundle, person, route, now, peer, post.salon))
    )


def lifted(
    bundle: Bundle,
    person: Principal,
    match: RouteMatch,
    method: str,
    decision: Decision,
    grant: Grant | None,
    now: Instant,
    peer: str | None,
) -> Ruling | None:
    """The ruling under the person's grant; None = it changes nothing. Args: as above."""
    route = match.route
    if grant is None or not _is_refused_by_the_window(decision) or not is_one_card(route):
        return None
    if not lifts(
        grant,
        person,
        method=method,
        resource=route.resource.name,
        action=route.action,
        record=match.record,
        now=now,
    ):
        return None
    ruling = _second(bundle, person, route, now, peer, grant.salon)
    return ruling if _lifts_something(ruling) else None


def _is_refused_by_the_window(decision: Decision) -> bool:
    return isinstance(decision, Denial) and decision.reason is Reason.OUTSIDE_HOURS


def _lifts_something(ruling: Ruling) -> bool:
    return isinstance(ruling.decision, Permit)


def _second(
    bundle: Bundle, person: Principal, route: Route, now: Instant, peer: str | None, salon: str
) -> Ruling:
    return bundle.ruling(person, route.resource, route.action, now, peer, lifted=salon)
