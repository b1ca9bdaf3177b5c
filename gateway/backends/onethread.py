"""Blocking work on one thread of its own, in order, so that the event loop never blocks.

House rules: the queue is bounded and the wait is bounded. A thread that hangs (a dead
disk) makes callers fail at once when the queue is full; it never eats memory. Work whose
caller has gone is skipped if it has not begun; if it has, it runs to its end unheard.
The thread is a daemon: a disk that never answers does not keep the process from exiting.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

MAX_WAITING = 512  # at 100 µs each about 50 ms of work, a fifth of what a reader may wait


class BusyError(Exception):
    """The work was not done in time, or there is too much waiting already."""


class LateError(BusyError):
    """The work was done, but the event loop was too busy to hear of it in time.

    The thread is well. What it found may be as old as the loop was busy: ask again.
    """


class OneThread:
    """Runs callables one after the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._queue: queue.Queue[tuple[Future[Any], Callable[[], Any]] | None] = queue.Queue(
            maxsize=MAX_WAITING
        )

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """Do the work on the thread and return what it returns.

        Raises:
            BusyError: not done within `seconds`; it may still be done later if it had begun.
            LateError: done, and nobody listened.
        """
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((future, work))
        except queue.Full:
            raise BusyError("too much is waiting") from None
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.done() and not future.cancelled():
                raise LateError(f"an answer came after {seconds} s") from None
            raise BusyError(f"no answer within {seconds} s") from None

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue  # the caller has gone
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # handed over to the caller
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, future, work  # hold on to nobody's result while waiting

    def stop(self) -> None:
        """End the thread after what is waiting; what is given later is never done."""
        with contextlib.suppress(queue.Full):  # a full queue hangs: the daemon dies with us
            self._queue.put_nowait(None)
