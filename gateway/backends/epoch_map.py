"""The floors that were asked for lately, kept at hand in front of any store.

INVARIANT: whoever is logged out in the store, by anybody, is refused here at most STALE_SECONDS
later; and a store that cannot answer is never papered over for longer than that.

House rules
- The store's version says whether what is kept is still true. It is kept true until the moment the
  version was asked for, not until the answer came: a slow answer proves nothing about now.
- What is not confirmed is not told. When the poller fails, is late or stands still, every request
  asks the store itself, and gets its refusal.
- A floor that was asked for before a change never comes among what is asked for after it.
- People the store does not know are asked about every time: an enrolment counts at once.
"""

import math
from collections.abc import Callable, Sequence

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant
from gateway.ports import EpochRow, EpochStore

# A forced logout takes this, and for what flows a beat more (`flowing.py`), to be in force.
STALE_SECONDS = 0.07
POLL_SECONDS = 0.02  # several in it: two polls may be lost or late
# A version changes with every write of ours, not when somebody reaches past us into Redis or
# Redis evicts a person. Such things come to light within this time.
KEEP_SECONDS = 1.0
MAX_SESSIONS = 65_536  # a few hundred bytes each; beyond it the map begins anew


class LocalEpochs:
    """Implements ports.EpochStore. Tells nothing by itself until `poll` is called again and again.

    Args:
        store: who knows.
        monotonic: seconds that never jump.
    """

    def __init__(self, store: EpochStore, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._floors: dict[tuple[StaffId, DeviceId | None], int] = {}
        self._version: int | str | None = None
        self._began = self._confirmed = -math.inf

    def __repr__(self) -> str:
        return f"LocalEpochs({self._store!r})"

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""
        # If it is emptied while we ask, the answer goes into a dict where nobody looks any more.
        floors = self._floors
        if self._monotonic() - self._confirmed < STALE_SECONDS:
            known = floors.get((staff, device))
            if known is not None:
                return known
        floor = await self._store.floor(staff, device)
        if floor is not None:
            if len(floors) >= MAX_SESSIONS:
                floors.clear()
            floors[staff, device] = floor
        return floor

    async def poll(self) -> None:
        """Ask once whether anything changed; call it every POLL_SECONDS. One at a time."""
        asked = self._monotonic()
        try:
            version = await self._store.version()
        except StateUnavailableError:
            return  # what is kept grows stale, and each request gets the store's own refusal
        if version != self._version or asked - self._began >= KEEP_SECONDS:
            self._empty()
            self._version, self._began = version, asked
        self._confirmed = asked

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token."""
        try:
            return await self._store.enrol(staff, device, now)
        finally:
            self._empty()

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Raise the floor of the person, or of one device, above every issued epoch."""
        self._empty()  # whoever asks while it is under way hears of it as soon as it is done
        try:
            return await self._store.revoke(staff, device, now)
        finally:
            self._empty()  # after an error, too: it may have been done

    async def version(self) -> int | str:
        """The store's."""
        return await self._store.version()

    async def rows(self) -> Sequence[EpochRow]:
        """The store's."""
        return await self._store.rows()

    async def check(self) -> None:
        """Ask the store itself: what is kept is no sign that it answers."""
        await self._store.check()

    async def close(self) -> None:
        """Forget everything, and close the store."""
        self._empty()
        await self._store.close()

    def _empty(self) -> None:
        self._floors = {}
