"""One access request, as the decision sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.resource import Resource
from gateway.domain.subject import Principal
from gateway.domain.time import Instant

# Named conditions at the instant of the request: True, False, or None for "not known".
# Names as rules spell them: `inside_window`, `app:phone`, `role:manager`, `on_notice`.
Facts = Mapping[str, bool | None]


class WindowState(StrEnum):
    """Where an instant lies against a salon's opening hours."""

    OPEN = "open"
    GRACE = "grace"  # before opening or after closing, but within the grace
    CLOSED = "closed"
    UNKNOWN = "unknown"  # the salon has no calendar: treated as closed

    @property
    def inside(self) -> bool:
        """Is the window open, grace included?"""
        return self in {WindowState.OPEN, WindowState.GRACE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A salon's window at one instant.

    Attributes:
        changes_at: the next instant at which `state` differs; None = never, as far as known.
        opens_at: the next instant from which the window is open, grace included, when it is
            not now; None when inside, or when no opening is known.
        timezone: IANA name of the salon's zone.
    """

    state: WindowState
    changes_at: Instant | None = None
    opens_at: Instant | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who wants to do what, under which facts.

    Attributes:
        action: the route's action, of the adapter's closed list.
        facts: every condition known from the request, by name; a missing name is unknown.
    """

    principal: Principal
    resource: Resource
    action: str
    facts: Facts
