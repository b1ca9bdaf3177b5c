"""The last incident at hand, as `document_map.py` keeps it; and whether one is on, as a metric."""

from collections.abc import Callable

from gateway.backends.document_map import LocalDocuments
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import Instant
from gateway.identity.incident import KEY, Incident, parse_incident
from gateway.ports import DocumentStore, Kind, Meter


class IncidentAtHand:
    """Implements ports.Lockdown. `poll` is called every POLL_SECONDS, as of any map at hand.

    Args:
        store: who knows.
        meter: is told at each poll that hears something.
        monotonic: seconds that never jump.
        now: the current instant.
    """

    def __init__(
        self,
        store: DocumentStore,
        *,
        meter: Meter,
        monotonic: Callable[[], float],
        now: Callable[[], Instant],
    ) -> None:
        self._documents = LocalDocuments(
            store, Kind.LOCK, parse_incident, monotonic=monotonic, now=now
        )
        self._meter = meter

    async def current(self) -> Incident | None:
        """The last incident, active or not; None = there never was one.

        Raises:
            StateUnavailableError: it cannot be told.
        """
        return await self._documents.get(KEY)

    async def poll(self) -> None:
        """Ask once whether anything changed. What cannot be told leaves the metric as it was."""
        await self._documents.poll()
        try:
            incident = await self.current()
        except StateUnavailableError:
            return
        self._meter.incident(active=incident is not None and incident.is_active)
