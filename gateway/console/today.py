"""The first room: is each salon open, what was refused lately, which policy is in force. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.bundle import Bundle
from gateway.console.authority import Viewer
from gateway.domain.access import WindowState
from gateway.domain.reason import Reason
from gateway.domain.time import Instant

MAX_FINDINGS = 10  # `salon-gateway check` prints them all


class LoadFailure(Protocol):
    """The files on disk are not the policy in force."""

    @property
    def since(self) -> Instant:
        """Since when."""
        ...

    def told(self, most: int) -> list[str]:
        """The first findings as text."""
        ...


class Policies(Protocol):
    """The policy in force, and what keeps the files on disk from being it."""

    def current(self) -> Bundle:
        """The last good one."""
        ...

    @property
    def loaded_at(self) -> Instant:
        """Since when it is in force."""
        ...

    @property
    def stale(self) -> LoadFailure | None:
        """None = nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SalonNow:
    """A salon at this moment.

    Attributes:
        changes: when `state` changes next, on the salon's clock; None = not known, or never.
    """

    name: str
    state: WindowState
    changes: datetime | None
    now: datetime
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """All that the room shows.

    Attributes:
        refused: family of reasons → how often within the last hour; most frequent first.
        digest: the policy's, shortened.
        failed_since, findings: why the files on disk are not in force; None and () = they are.
        observed: how many things are only observed, not enforced.
    """

    salons: tuple[SalonNow, ...]
    refused: tuple[tuple[str, int], ...]
    digest: str
    loaded_at: Instant
    failed_since: Instant | None
    findings: tuple[str, ...]
    observed: int


def today(
    policies: Policies,
    viewer: Viewer,
    refused: Mapping[Reason, int],
    families: Mapping[Reason, str],
    now: Instant,
) -> Today:
    """What somebody is shown of this moment.

    Args:
        policies: the policy in force.
        viewer: whose salons are shown.
        refused: within the last hour, by this gateway.
        families: under which heading a reason is told.
        now: this moment.
    """
    bundle, stale = policies.current(), policies.stale
    names = {*bundle.calendar.salons, *bundle.without_calendar}
    counts: Counter[str] = Counter()
    for reason, count in refused.items():
        counts[families[reason]] += count
    return Today(
        salons=tuple(
            _salon(bundle, name, now)
            for name in sorted(names)
            if viewer.salons is None or name in viewer.salons
        ),
        refused=tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))),
        digest=bundle.digest[:12],
        loaded_at=policies.loaded_at,
        failed_since=None if stale is None else stale.since,
        findings=() if stale is None else tuple(stale.told(MAX_FINDINGS)),
        observed=len(bundle.observing(now)),
    )


def _salon(bundle: Bundle, name: str, now: Instant) -> SalonNow:
    window = bundle.window(name, now)
    zone = ZoneInfo(window.timezone)
    changes = window.changes_at
    return SalonNow(
        name=name,
        state=window.state,
        changes=None if changes is None else changes.astimezone(zone),
        now=now.astimezone(zone),
        timezone=window.timezone,
    )
