"""The workers' processes, as `supervision.py` wants them: it says what, this does it.

One task steers: everything that happens comes into one inbox, one after the other, and is put to
the core with the time at which it is taken out. So nothing here decides, and nothing races.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from signal import Signals

from gateway.backends.all_workers import AllWorkers, Desk
from gateway.backends.worker_channel import Orders
from gateway.backends.worker_process import WorkerProcess
from gateway.events import Event, emit
from gateway.supervision import (
    FAILED,
    Action,
    Announce,
    Kill,
    Start,
    Supervision,
    Terminate,
)

Step = Callable[[float], Iterable[Action]]


class Supervisor:
    """Runs workers until all is over.

    Args:
        core: what is to be done.
        workers: answers for them at the admin port.
        orders: what a worker is to be; the bool: is it started again?
        told: called once, when all listen, with the policy of the first.
        monotonic: seconds that never jump.
    """

    def __init__(
        self,
        core: Supervision,
        workers: AllWorkers,
        *,
        orders: Callable[[int, bool], Orders],
        told: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._core = core
        self._workers = workers
        self._orders = orders
        self._told = told
        self._monotonic = monotonic
        self._inbox: asyncio.Queue[Step] = asyncio.Queue()
        self._running: dict[int, WorkerProcess] = {}
        self._policy = ""

    async def run(self, stopped: asyncio.Event, hung_up: asyncio.Event) -> int:
        """Start them, keep them, and end them once `stopped` is set; the exit code."""
        try:
            async with asyncio.TaskGroup() as tasks:
                asides = [
                    tasks.create_task(self._stop_at(stopped)),
                    tasks.create_task(self._reload_at(hung_up)),
                ]
                code = await self._steer(tasks)
                for aside in asides:
                    aside.cancel()
            return code
        finally:
            for process in self._running.values():  # only if something above failed
                process.kill()
                await process.ended()

    async def _steer(self, tasks: asyncio.TaskGroup) -> int:
        self._inbox.put_nowait(self._core.begin)
        while self._core.ended is None:
            step = await self._next_step()
            now = self._monotonic()
            for action in [*(step(now) if step else ()), *self._core.due(now)]:
                await self._do(action, tasks)
        return self._core.ended

    async def _next_step(self) -> Step | None:
        """What has happened; None when the time has come for something."""
        wait = self._core.next_at() - self._monotonic()
        try:
            async with asyncio.timeout(None if wait == math.inf else max(0.0, wait)):
                return await self._inbox.get()
        except TimeoutError:
            return None

    async def _do(self, action: Action, tasks: asyncio.TaskGroup) -> None:
        match action:
            case Start():
                await self._start(action, tasks)
            case Terminate():
                self._running[action.worker].terminate()
            case Kill():
                emit(Event.WORKER_KILLED, worker=action.worker)
                self._running[action.worker].kill()
            case Announce():
                self._told(self._policy)

    async def _start(self, start: Start, tasks: asyncio.TaskGroup) -> None:
        orders = self._orders(start.worker, start.again)
        if start.again:
            self._workers.restarted(start.worker)
        try:
            process = await WorkerProcess.start(orders)
        except OSError as error:
            emit(Event.WORKER_NOT_STARTED, error, worker=start.worker)
            self._inbox.put_nowait(partial(self._core.died, start.worker, FAILED))
            return
        self._running[start.worker] = process
        self._workers.came(Desk(start.worker, process.pid, Path(orders.admin)))
        tasks.create_task(self._watch(start.worker, process))

    async def _watch(self, worker: int, process: WorkerProcess) -> None:
        """Tell what becomes of a process, in the order in which it did."""
        listening = await process.listening()
        if listening is not None:
            self._inbox.put_nowait(partial(self._listens, worker, process, listening.policy))
        code = await process.ended()
        self._inbox.put_nowait(partial(self._ended, worker, process, code))

    def _listens(
        self, worker: int, process: WorkerProcess, policy: str, now: float
    ) -> Iterable[Action]:
        self._policy = self._policy or policy
        emit(Event.WORKER_LISTENS, worker=worker, pid=process.pid)
        return self._core.listening(worker, now)

    def _ended(
        self, worker: int, process: WorkerProcess, code: int, now: float
    ) -> Iterable[Action]:
        del self._running[worker]
        self._workers.went(worker)
        actions = self._core.died(worker, code, now)
        wait = self._core.slots[worker].start_at - now
        if wait < math.inf:
            emit(
                Event.WORKER_ENDED,
                worker=worker,
                pid=process.pid,
                how=_how(code),
                again_in_ms=round(wait * 1000),
            )
        elif code < 0:  # at the start, or while stopping; whoever has an exit code spoke itself
            emit(Event.WORKER_ENDED, worker=worker, pid=process.pid, how=_how(code))
        return actions

    async def _stop_at(self, stopped: asyncio.Event) -> None:
        await stopped.wait()
        self._inbox.put_nowait(self._core.stop)

    async def _reload_at(self, hung_up: asyncio.Event) -> None:
        while await hung_up.wait():
            hung_up.clear()
            for process in self._running.values():
                process.reload()


def _how(code: int) -> str:
    """`SIGKILL`, or `exit code 1`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return Signals(-code).name
    except ValueError:
        return f"signal {-code}"
