"""Epochs under the floor of an incident: no session from before it is current again.

What the store says of a person, and what the incident says of all, is one answer here; so
whoever asks for a floor or begins a session need not know of incidents at all.

INVARIANT, with `incidents.py`: an epoch that `enrol` returns is not below the incident's floor,
and no epoch that was returned before a start is at or above the floor that it settles on. For
`enrol` looks at the incident before it asks the store and again after that, and gives nothing
out if another one began meanwhile: an epoch that was read too late to be counted is never told.

While an incident is active, a session is begun for owners only; while it is not settled, for
nobody.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds
from gateway.identity.incident import Incident
from gateway.ports import EpochRow, EpochStore


class FlooredEpochs:
    """Implements ports.EpochStore.

    Args:
        store: who knows what there is of each person.
        incident: the last one, as it stands or stood at most STALE_SECONDS ago (`epoch_map.py`);
            raises StateUnavailableError where it cannot be told.
        require_admitted: raises RequestError for a person whom an incident keeps out.
    """

    def __init__(
        self,
        store: EpochStore,
        incident: Callable[[], Awaitable[Incident | None]],
        require_admitted: Callable[[StaffId, Incident], None],
    ) -> None:
        self._store = store
        self._incident = incident
        self._require_admitted = require_admitted

    def __repr__(self) -> str:
        return f"FlooredEpochs({self._store!r})"

    async def require_admitted(self, staff: StaffId) -> None:
        """Let a person begin a session, if no incident keeps them out.

        Raises:
            RequestError: INCIDENT.
            StateUnavailableError: it cannot be told, or sessions are just being ended.
        """
        await self._opening(staff)

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""
        own = await self._store.floor(staff, device)
        incident = await self._incident()
        return own if own is None or incident is None else max(own, incident.floor)

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token.

        Raises:
            RequestError: INCIDENT, as `require_admitted`.
        """
        before = await self._opening(staff)
        epoch = await self._store.enrol(staff, device, now)
        if before is not None and epoch < before.floor:
            # Nothing of theirs is current, so a logout ends nothing. It goes above the floor,
            # also where the clock is behind.
            floor = from_milliseconds(before.floor)
            epoch = await self._store.revoke(staff, None, max(now, floor))
        after = await self._incident()
        if _floor_of(after) != _floor_of(before):
            raise StateUnavailableError("a lockdown began while somebody signed in; try again")
        return epoch

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Raise the floor of the person, or of one device, above every issued epoch."""
        return await self._store.revoke(staff, device, now)

    async def version(self) -> str:
        """Another value whenever any floor may have changed since it was last asked."""
        return f"{await self._store.version()} {_floor_of(await self._incident())}"

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""
        rows, incident = await self._store.rows(), await self._incident()
        floor = 0 if incident is None else incident.floor
        return [replace(row, floor=max(row.floor, floor)) for row in rows]

    async def check(self) -> None:
        """The store's."""
        await self._store.check()

    async def close(self) -> None:
        """The store's."""
        await self._store.close()

    async def _opening(self, staff: StaffId) -> Incident | None:
        incident = await self._incident()
        if incident is not None and incident.is_active:
            self._require_admitted(staff, incident)
            if not incident.settled:
                raise StateUnavailableError("every session is just being ended; try again")
        return incident


def _floor_of(incident: Incident | None) -> tuple[int, int]:
    return (0, 0) if incident is None else (incident.number, incident.floor)
