"""What the admin port says when there are several workers: each is asked, the answers are one.

Every worker has an admin port of its own, on a Unix socket in a folder that only this user may
enter; this file asks it, and `console_relay.py` hands on what is asked of the console.

INVARIANT: each process's counts are in a scrape once: as it said itself, or, once it has ended
or while it does not answer, as it said last.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.backends.merge import (
    Departed,
    Exposition,
    counted,
    merged,
    read_exposition,
    render,
)
from gateway.backends.meter import PrometheusMeter
from gateway.backends.unix_http import SilentError, exchange
from gateway.supervision import Slot, State

ASK_SECONDS: Final = 2.0  # a worker's own probes take one at most
RELOAD_SECONDS: Final = 60.0  # 10,000 rules and their cases are a second or two


@dataclass(eq=False, slots=True)  # each one is itself, also among those of one number
class Desk:
    """One process's admin port.

    Attributes:
        heard: what it counted, when it was asked last.
    """

    worker: int
    pid: int
    path: Path
    heard: Exposition | None = None

    async def ask(
        self, page: str, method: str = "GET", seconds: float = ASK_SECONDS
    ) -> tuple[int, bytes]:
        """One page of it: status and body.

        Raises:
            SilentError: see there.
        """
        told = await exchange(self.path, method, page, (("Host", "localhost"),), seconds=seconds)
        return told.status, told.body


class AllWorkers:
    """Answers for all of them.

    Args:
        slots: the workers, whether they have a process or not.
        meter: the supervisor's own.
        monotonic: seconds that never jump, for "in 3 s".
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        meter: PrometheusMeter,
        monotonic: Callable[[], float],
    ) -> None:
        self._slots = slots
        self._meter = meter
        self._monotonic = monotonic
        self._desks: dict[int, Desk] = {}
        self._departed = Departed()
        self._scraping = asyncio.Lock()  # one after the other: an older answer never replaces
        for slot in slots:
            meter.worker_restarted(slot.number, 0)

    def came(self, desk: Desk) -> None:
        """A worker has a process now."""
        self._desks[desk.worker] = desk

    def restarted(self, worker: int) -> None:
        """It is started again."""
        self._meter.worker_restarted(worker)

    def went(self, worker: int) -> None:
        """It has ended; what it counted stays."""
        desk = self._desks.pop(worker)
        if desk.heard is not None:
            self._departed.add(desk.heard)

    def listening(self) -> Sequence[Path]:
        """The sockets of those that listen now."""
        return [desk.path for slot in self._slots if (desk := self._listening(slot)) is not None]

    async def ready(self) -> tuple[bool, Sequence[Mapping[str, Any]]]:
        """Every worker's parts. Ready if at least one listens, and every one that listens is.

        A worker that is being started again is told as not `ok`, and keeps nobody from the
        others: they have its connections.
        """
        answers = await asyncio.gather(*(self._ready(slot) for slot in self._slots))
        listening = [parts for listens, parts in answers if listens]
        ready = bool(listening) and all(part["ok"] for parts in listening for part in parts)
        return ready, [part for _, parts in answers for part in parts]

    async def _ready(self, slot: Slot) -> tuple[bool, Sequence[Mapping[str, Any]]]:
        desk = self._listening(slot)
        itself = {"part": "worker", "worker": slot.number}
        if desk is None:
            return False, [{**itself, "ok": False, "detail": self._absence(slot)}]
        try:
            parts = json.loads((await desk.ask("/readyz"))[1])
            told = [{**part, "worker": slot.number} for part in parts]
        except (SilentError, ValueError, TypeError):
            return True, [{**itself, "ok": False, "detail": "does not answer"}]
        return True, [{**itself, "ok": True, "detail": ""}, *told]

    async def metrics(self) -> tuple[bytes, str]:
        """One exposition for all, ours included."""
        async with self._scraping:
            answers = await asyncio.gather(*(self._scrape(slot) for slot in self._slots))
            # Only now: whoever has ended while others were asked is among the departed.
            told = [
                found or desk.heard
                for desk, found in answers
                if desk is not None and self._desks.get(desk.worker) is desk
            ]
            ours = read_exposition(self._meter.render().decode())
            whole = merged([ours, *filter(None, told), self._departed.total])
        return render(whole), self._meter.content_type

    async def _scrape(self, slot: Slot) -> tuple[Desk | None, Exposition | None]:
        """Whom we asked, and what it says; None if it does not."""
        desk = self._listening(slot)
        found: Exposition | None = None
        try:
            if desk is not None:
                status, body = await desk.ask("/metrics")
                if status == 200:
                    found = read_exposition(body.decode())
                    desk.heard = counted(found)
        except (SilentError, ValueError):
            pass  # told by `worker_up`
        self._meter.worker_up(slot.number, ok=found is not None)
        return desk, found

    async def status(self) -> Mapping[str, Any]:
        """What each worker runs on; `policy` is null while they differ."""
        workers = await asyncio.gather(*map(self._status, self._slots))
        return {"policy": _common(workers), "workers": workers}

    async def _status(self, slot: Slot) -> Mapping[str, Any]:
        desk = self._desks.get(slot.number)
        _, told = await self._told(slot, "/status", "GET", ASK_SECONDS)
        return {
            "worker": slot.number,
            "pid": None if desk is None else desk.pid,
            "state": str(slot.state),
            "restarts": slot.restarts,
            **told,
        }

    async def reload(self) -> tuple[int, Mapping[str, Any]]:
        """All of them read the policy again; 409 if one that listens does not take it."""
        workers = await asyncio.gather(*map(self._reload, self._slots))
        refused = any(told["ok"] is False for told in workers)
        return 409 if refused else 200, {"policy": _common(workers), "workers": workers}

    async def _reload(self, slot: Slot) -> Mapping[str, Any]:
        """`ok` is null for a worker that is being started: it reads the files anyway."""
        status, told = await self._told(slot, "/reload", "POST", RELOAD_SECONDS)
        taken = None if status is None else status == 200
        return {"worker": slot.number, "ok": taken, **told}

    async def _told(
        self, slot: Slot, page: str, method: str, seconds: float
    ) -> tuple[int | None, dict[str, Any]]:
        """A worker's status and JSON object; None if it does not listen, 0 for no answer."""
        desk = self._listening(slot)
        if desk is None:
            return None, {"detail": self._absence(slot)}
        try:
            status, body = await desk.ask(page, method, seconds)
            return status, dict(json.loads(body))
        except (SilentError, ValueError, TypeError):
            return 0, {"detail": "does not answer"}

    def _listening(self, slot: Slot) -> Desk | None:
        return self._desks.get(slot.number) if slot.state is State.LISTENING else None

    def _absence(self, slot: Slot) -> str:
        if slot.state is State.STARTING:
            return "is starting"
        wait = slot.start_at - self._monotonic()
        return f"has ended; starts again in {max(0.0, wait):.1f} s" if wait < 1e6 else "waits"


def _common(workers: Sequence[Mapping[str, Any]]) -> str | None:
    """The policy that all of those have who told theirs."""
    policies = {told["policy"] for told in workers if "policy" in told}
    return policies.pop() if len(policies) == 1 else None
