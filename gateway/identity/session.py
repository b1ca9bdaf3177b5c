"""Is this principal still in? Logged out, left, not begun: each ends here.

Two turnstiles: only `require_current` makes a CurrentPrincipal, only `require_standing` a
StandingPrincipal, and the stages behind them take nothing else.
"""

from datetime import date
from typing import NewType

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import Principal
from gateway.identity.compact import refuse

CurrentPrincipal = NewType("CurrentPrincipal", Principal)  # not logged out
StandingPrincipal = NewType("StandingPrincipal", Principal)  # and works here today


def require_current(principal: Principal, floor: int | None) -> CurrentPrincipal:
    """A token is current iff its epoch is at least the floor.

    Args:
        principal: as resolved from a verified token.
        floor: what the epoch store answered just now; None = it does not know the person,
            which is never taken for zero: a store that lost its memory revives nobody.

    Raises:
        RequestError: UNAUTHENTICATED with SESSION_UNKNOWN or EPOCH_STALE.
    """
    if floor is None:
        refuse(Cause.SESSION_UNKNOWN)
    if principal.epoch < floor:
        refuse(Cause.EPOCH_STALE)
    return CurrentPrincipal(principal)


def require_standing(principal: CurrentPrincipal, today: date) -> StandingPrincipal:
    """Works here today: from `joined` to `leaves_on`, both days included.

    Args:
        principal: not logged out, as the type says.
        today: the date on the salon's calendar.

    Raises:
        RequestError: NOT_ON_ROSTER before the first day, HAS_LEFT after the last.
    """
    if principal.joined is not None and today < principal.joined:
        raise RequestError(Reason.NOT_ON_ROSTER, "your first day is still to come")
    if principal.leaves_on is not None and today > principal.leaves_on:
        raise RequestError(Reason.HAS_LEFT, "you do not work here any more")
    return StandingPrincipal(principal)
