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

# Of the request or the salon's hours, with a plain name: no fact of a record may share it.
REQUEST_CONDITIONS = frozenset(
    {"approved_device", "on_notice", "nda_signed", "trained", "inside_window", "outside_window"}
)


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
        facts: salon → every condition known from the request there, by name; a missing name
            is unknown. Facts of the record never stand here.
    """

    principal: Principal
    resource: Resource
    action: str
    facts: Mapping[str, Facts]
