"""The epochs as a running gateway sees them: under the floor of the last incident.

Whoever sits at the gateway's own machine may make a session known during a lockdown, too: it
counts only for an owner, and for everybody else only after the end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.app import document_store, state_store
from gateway.backends.clock import SystemClock
from gateway.backends.incident_floor import FlooredEpochs
from gateway.domain.subject import StaffId
from gateway.identity.incident import Incident
from gateway.incidents import incident_in
from gateway.ports import EpochStore
from gateway.settings import Settings


@asynccontextmanager
async def known_epochs(settings: Settings, base: Path) -> AsyncIterator[EpochStore]:
    """The epoch store of gateway.yaml, closed at the end. Connects to nothing yet."""
    epochs, documents = state_store(settings, base), document_store(settings, base)

    async def incident() -> Incident | None:
        return await incident_in(documents, SystemClock().now())

    try:
        yield FlooredEpochs(epochs, incident, _whoever)
    finally:
        await documents.close()
        await epochs.close()


def _whoever(staff: StaffId, incident: Incident) -> None:
    """Let pass."""
