"""How often each reason refused a request within the last hour. Pure, of bounded size.

Sixty minutes, one count each: an hour is the current minute and the 59 before it. It is this
process's own memory, begins empty and is told of no person and no path.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from gateway.domain.reason import Reason
from gateway.domain.time import Instant, to_milliseconds

MINUTES = 60
_MILLISECONDS = 60_000


class RecentRefusals(Protocol):
    """What the first room asks."""

    async def in_last_hour(self, now: Instant) -> Mapping[Reason, int]:
        """Each reason that refused something, with how often, in every process; none with 0."""
        ...


class RefusalCounts:
    """Implements RecentRefusals for one process alone: `refused` is told of each refusal."""

    def __init__(self) -> None:
        self._minutes: list[int | None] = [None] * MINUTES
        self._counts: list[Counter[Reason]] = [Counter() for _ in range(MINUTES)]

    def refused(self, reason: Reason, at: Instant) -> None:
        """Count one. Of an hour older than what its place holds by now, it is forgotten."""
        minute = _minute(at)
        place = minute % MINUTES
        held = self._minutes[place]
        if held is not None and held > minute:
            return
        if held != minute:
            self._minutes[place], self._counts[place] = minute, Counter()
        self._counts[place][reason] += 1

    async def in_last_hour(self, now: Instant) -> Mapping[Reason, int]:
        """As `last_hour`: there is no other process."""
        return self.last_hour(now)

    def last_hour(self, now: Instant) -> Mapping[Reason, int]:
        """Each reason that refused something, with how often; none with 0."""
        last = _minute(now)
        total: Counter[Reason] = Counter()
        for minute, counts in zip(self._minutes, self._counts, strict=True):
            if minute is not None and last - MINUTES < minute <= last:
                total.update(counts)
        return total


def _minute(at: Instant) -> int:
    return to_milliseconds(at) // _MILLISECONDS
