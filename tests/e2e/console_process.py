"""A guarded salon with the owner's console, over real stores: who has it, and where it is.

The console is the gateway's own, where the settings know one. Until then it stands in this
process, on an admin port of its own, over the very files of the gateway: the same rooms, the same
stores, another process.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from gateway.accounts import Accounts
from gateway.app import document_store, load_settings, state_store
from gateway.backends.argon2 import Argon2Hasher
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.bundle_files import LiveBundle
from gateway.backends.clock import SystemClock
from gateway.backends.meter import PrometheusMeter
from gateway.console.authority import ConsoleSettings
from gateway.console.console import Console
from gateway.console.house import House
from gateway.console.refused import RefusalCounts
from gateway.console.visits import Visits
from gateway.demo.world import crm
from gateway.domain.subject import DeviceId, StaffId
from gateway.proxy.admin import AdminServer
from gateway.proxy.negotiate import language
from gateway.sessions import Sessions
from gateway.settings import Settings
from tests.e2e.gateway_process import Salon, salon

OWNER, PASSWORD = StaffId("staff:hana"), "seven quiet umbrellas"
IN_THE_GATEWAY = "console" in Settings.model_fields


@dataclass(frozen=True, kw_only=True)
class Consoled:
    """A salon, its console's address, and the services behind it."""

    salon: Salon
    url: str
    accounts: Accounts
    sessions: Sessions


@asynccontextmanager
async def consoled(folder: Path) -> AsyncIterator[Consoled]:
    """The sample CRM, the gateway before it, and the console; the owner has a password."""
    config = {"console": {"enabled": True}} if IN_THE_GATEWAY else {}
    async with AsyncExitStack() as stack:
        behind = stack.enter_context(crm(folder))
        url = f"http://127.0.0.1:{behind.said['port']}"
        running = stack.enter_context(salon(folder / "salon", url, **config))
        house = await _house(running.folder, stack)
        await house.accounts.set_password(OWNER, PASSWORD, by=None, peer="-", temporary=False)
        where = running.admin if IN_THE_GATEWAY else await _served(house, stack)
        yield Consoled(salon=running, url=where, accounts=house.accounts, sessions=house.sessions)


async def _house(folder: Path, stack: AsyncExitStack) -> House:
    settings, clock = load_settings(str(folder / "gateway.yaml")), SystemClock()
    bundles = LiveBundle(settings, folder, clock=clock, meter=PrometheusMeter())
    stack.callback(bundles.close)
    epochs, documents = state_store(settings, folder), document_store(settings, folder)
    stack.push_async_callback(epochs.close)
    stack.push_async_callback(documents.close)
    # Of its own: the gateway's folder is the gateway's.
    audit = await FileAuditTrail.open(folder / "console-audit", clock=clock)
    stack.push_async_callback(audit.close)
    hasher = Argon2Hasher()
    stack.callback(hasher.close)
    common = {
        "epochs": epochs,
        "documents": documents,
        "audit": audit,
        "clock": clock,
        "policy": lambda: bundles.current().digest,
        "new_id": lambda: str(uuid4()),
    }
    accounts = Accounts(
        **common,
        hasher=hasher,
        roster=lambda: bundles.current().roster,
        new_device=lambda: DeviceId(str(uuid4())),
    )
    return House(
        policies=bundles,
        accounts=accounts,
        sessions=Sessions(**common),
        epochs=epochs,
        visits=Visits(documents),
        refusals=RefusalCounts(),
        clock=clock,
        settings=ConsoleSettings(),
        language=language,
        device_key=b"k" * 32,
    )


async def _served(house: House, stack: AsyncExitStack) -> str:
    async def ready():
        return True, []

    async def metrics():
        return b"", "text/plain"

    async def status():
        return {}

    server = AdminServer(ready, metrics, status, console=Console(house).handle)
    port = await server.start("127.0.0.1", 0)
    stack.push_async_callback(server.stop)
    return f"http://127.0.0.1:{port}"
