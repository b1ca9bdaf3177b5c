"""A guarded salon with the owner's console on its admin port: who has it, and where it is.

The console is the running gateway's own. Accounts and sessions here are a second process on the
same state, as the command line is.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.accounts import Accounts
from gateway.app import document_store, load_bundle, load_settings, state_store
from gateway.backends.argon2 import Argon2Hasher
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.clock import SystemClock
from gateway.demo.world import crm
from gateway.domain.subject import DeviceId, StaffId
from gateway.sessions import Sessions
from tests.e2e.gateway_process import Salon, salon

OWNER, PASSWORD = StaffId("staff:hana"), "seven quiet umbrellas"


@dataclass(frozen=True, kw_only=True)
class Consoled:
    """A salon, its console's address, and the services behind it."""

    salon: Salon
    url: str
    accounts: Accounts
    sessions: Sessions


@asynccontextmanager
async def consoled(folder: Path, **config: Any) -> AsyncIterator[Consoled]:
    """The sample CRM, the gateway before it, and the console; the owner has a password."""
    async with AsyncExitStack() as stack:
        behind = stack.enter_context(crm(folder))
        url = f"http://127.0.0.1:{behind.said['port']}"
        running = stack.enter_context(
            salon(folder / "salon", url, console={"enabled": True}, **config)
        )
        accounts, sessions = await _beside(running.folder, stack)
        await accounts.set_password(OWNER, PASSWORD, by=None, peer="-", temporary=False)
        yield Consoled(salon=running, url=running.admin, accounts=accounts, sessions=sessions)


async def _beside(folder: Path, stack: AsyncExitStack) -> tuple[Accounts, Sessions]:
    config, clock = str(folder / "gateway.yaml"), SystemClock()
    settings, bundle = load_settings(config), load_bundle(config)
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
        "policy": lambda: bundle.digest,
        "new_id": lambda: str(uuid4()),
    }
    accounts = Accounts(
        **common,
        hasher=hasher,
        roster=lambda: bundle.roster,
        new_device=lambda: DeviceId(str(uuid4())),
    )
    return accounts, Sessions(**common)
