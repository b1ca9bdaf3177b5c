"""One act from the command line: entered in the trail, then done, then in force everywhere.

`serve` may be running and writing its own chains, so what is done here has a chain of its own,
`trail-cli-...`. It is held only for the moment of the act; another command that comes at the
same moment waits for it. A trail that cannot be opened means that nothing is done.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final, TypeVar
from uuid import uuid4

from gateway.app import base_of, document_store, load_settings, state_store
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.clock import SystemClock
from gateway.backends.epoch_map import STALE_SECONDS
from gateway.cli.exits import Exit
from gateway.domain.errors import AuditUnavailableError, StateUnavailableError
from gateway.domain.subject import StaffId, staff_id
from gateway.sessions import Sessions

T = TypeVar("T")

WORKER: Final = "cli"
HERE: Final = "-"  # where it was asked from: the gateway's own machine
NO_POLICY: Final = "-"  # which policy is in force only the running gateway knows
# An act takes some milliseconds; people do not type so many that two seconds are not enough.
TRIES: Final = 20
PAUSE_SECONDS: Final = 0.1


class NotDoneError(Exception):
    """What was asked for makes no sense; nothing was entered, nothing done."""


def act(
    verb: str,
    config: str,
    ask: Callable[[Sessions], Awaitable[T]],
    done: Callable[[T], int],
) -> int:
    """Do it, wait until it is in force, say so; the exit code.

    Args:
        verb: `session` or `staff`, for what is said on standard error.
        config: where gateway.yaml is.
        ask: the act, with the questions before and after it; may raise NotDoneError.
        done: says what came of it, and with which exit code.
    """
    try:
        found = asyncio.run(_once(config, ask))
    except NotDoneError as error:
        print(f"salon-gateway {verb}: {error}", file=sys.stderr)
        return Exit.USAGE
    except AuditUnavailableError as error:
        print(f"salon-gateway {verb}: nothing was done: {error.detail}", file=sys.stderr)
        return Exit.BROKEN
    except StateUnavailableError as error:
        print(
            f"salon-gateway {verb}: no answer: {error.detail}; it may not have been done, or not "
            "all of it; run it again until it says so",
            file=sys.stderr,
        )
        return Exit.BROKEN
    return done(found)


async def _once(config: str, ask: Callable[[Sessions], Awaitable[T]]) -> T:
    settings, base = load_settings(config), base_of(config)
    clock = SystemClock()
    keep = settings.audit.retention_days
    async with AsyncExitStack() as stack:
        epochs = state_store(settings, base)  # connects to nothing yet
        stack.push_async_callback(epochs.close)
        documents = document_store(settings, base)
        stack.push_async_callback(documents.close)
        trail = await own_chain(
            lambda: FileAuditTrail.open(
                base / settings.audit.directory,
                worker=WORKER,
                clock=clock,
                max_file_bytes=settings.audit.max_file_bytes,
                retention_days=None if keep == "forever" else keep,
            )
        )
        stack.push_async_callback(_let_go, trail)
        sessions = Sessions(
            epochs=epochs,
            documents=documents,
            audit=trail,
            clock=clock,
            policy=lambda: NO_POLICY,
            new_id=lambda: str(uuid4()),
        )
        found = await ask(sessions)
    await asyncio.sleep(STALE_SECONDS)  # now every gateway has heard of it, or asks anew
    return found


async def own_chain(open_it: Callable[[], Awaitable[FileAuditTrail]]) -> FileAuditTrail:
    """The chain of the command line, once nobody else holds it."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(AuditUnavailableError):
            return await open_it()
        await asyncio.sleep(PAUSE_SECONDS)
    return await open_it()


async def _let_go(trail: FileAuditTrail) -> None:
    """What was entered is durable, sealed or not; the next one who opens the chain seals it."""
    with contextlib.suppress(AuditUnavailableError):
        await trail.close()


def staff_of(text: str) -> StaffId:
    """`mei` or `staff:mei`, as an argument's type."""
    try:
        return staff_id(text.removeprefix("staff:"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is not a name: {error}") from error


def bare(staff: StaffId) -> str:
    """`staff:mei` → `mei`."""
    return staff.removeprefix("staff:")
