"""The audit trail on disk: many waiting requests, one thread that writes and syncs.

Whoever appends puts a rendered entry into the queue and waits. The thread takes all that
has come together while it was busy, writes it in one piece and syncs once (group commit):
with one request at a time each has its own sync, with a thousand they share a few.

INVARIANT: `append` returns only after its line was synced.
INVARIANT: after `open`, only the writer thread touches the files; the loop never waits
for the disk.

A caller that gives up (timed out, cancelled) takes nothing back: its entry is still
written, in its place in the order.
"""

import asyncio
import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from gateway.audit.chain import entry_body
from gateway.audit.entry import Entry
from gateway.backends.audit_directory import is_worker
from gateway.backends.audit_recovery import Repair
from gateway.backends.audit_writer import TrailWriter
from gateway.domain.errors import AuditUnavailableError
from gateway.events import Event, emit
from gateway.ports import Clock

MAX_FILE_BYTES = 64 * 2**20  # about 100,000 entries; a tail that is checked in a second
MAX_BATCH = 512  # entries a write; a file outgrows its bound by at most one such batch
# A disk that hangs must not eat the memory: about 10 MB of waiting entries, then refuse.
MAX_WAITING = 16_384


@dataclass(frozen=True, slots=True)
class _Job:
    """What somebody waits for: an entry to be written, or (None) a probe of the disk."""

    body: bytes | None
    done: "asyncio.Future[None]"


class FileAuditTrail:
    """Implements ports.AuditTrail. Belongs to the event loop that opened it."""

    def __init__(self, writer: TrailWriter, *, timeout_seconds: float) -> None:
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()  # None: the end
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()  # due when, and what
        self._alarm: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="audit-trail", daemon=True)
        self._thread.start()

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        worker: str = "0",
        clock: Clock,
        max_file_bytes: int = MAX_FILE_BYTES,
        retention_days: int | None = None,
        timeout_seconds: float = 2.0,
        sync: Callable[[int], None] = os.fsync,
    ) -> Self:
        """Open a worker's trail and go on with its chain.

        Args:
            directory: made (0700) if it is not there.
            worker: each writing process has its own: lower-case letters, digits, `_`.
            clock: asked on the writer thread too.
            max_file_bytes: a file of this size is followed by the next one.
            retention_days: files older than this are deleted when a file begins; None = never.
            timeout_seconds: how long `append`, `check` and `close` wait.
            sync: makes an open file's content durable.

        Raises:
            AuditUnavailableError: another process writes this trail, or the disk refuses.
        """
        if not is_worker(worker):
            raise AuditUnavailableError(
                "a worker's name is 1 to 32 lower-case letters, digits and `_`"
            )
        writer = TrailWriter(
            directory,
            worker=worker,
            clock=clock,
            max_file_bytes=max_file_bytes,
            retention_days=retention_days,
            sync=sync,
        )
        try:
            await asyncio.to_thread(writer.open)
        except OSError as error:
            what = error.strerror or type(error).__name__
            raise AuditUnavailableError(
                f"cannot open the trail in `{directory}`: {what}"
            ) from error
        for repair in writer.repairs:
            emit(Event.AUDIT_REPAIRED, file=repair.file, what=repair.what)
        return cls(writer, timeout_seconds=timeout_seconds)

    @property
    def repaired(self) -> tuple[Repair, ...]:
        """What was not as it should be when the trail was opened; () is the good case."""
        return self._writer.repairs

    async def append(self, entry: Entry) -> None:
        """Make the entry durable: it is on disk when this returns.

        Raises:
            AuditUnavailableError: it is not, for whatever reason.
        """
        try:
            body = entry_body(entry)
        except (TypeError, ValueError) as error:
            raise AuditUnavailableError("the audit entry cannot be rendered") from error
        try:
            await self._ask(body)
        except AuditUnavailableError as error:
            # Whoever asked learns that it failed; why is for the log and for `check`.
            raise AuditUnavailableError("the audit entry could not be made durable") from error

    async def check(self) -> None:
        """Raise AuditUnavailableError unless an entry could be written now (`/readyz`)."""
        await self._ask(None)

    async def close(self) -> None:
        """Write what waits, seal, and let go of the files. Safe to call twice.

        Raises:
            AuditUnavailableError: not done in time, or the seal could not be saved; what was
                appended is durable all the same.
        """
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await asyncio.shield(self._ended)
        except TimeoutError:
            raise AuditUnavailableError("the audit trail did not close in time") from None
        self._thread.join()  # it has nothing left to do
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _ask(self, body: bytes | None) -> None:
        if self._closing:
            raise AuditUnavailableError("the audit trail is closed")
        if self._queue.qsize() >= MAX_WAITING:
            raise AuditUnavailableError("too many audit entries are waiting for the disk")
        done = self._loop.create_future()
        self._queue.put(_Job(body, done))
        self._expect(done)
        await done

    def _expect(self, done: "asyncio.Future[None]") -> None:
        """Fail it unless it is settled in time. One alarm serves all: they are due in order."""
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((self._loop.time() + self._timeout_seconds, done))
        if self._alarm is None:
            self._alarm = self._loop.call_at(waiting[0][0], self._ring)

    def _ring(self) -> None:
        """Fail what is overdue, and look again when the next one is."""
        now, waiting = self._loop.time(), self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            _, done = waiting.popleft()
            if not done.done():
                late = AuditUnavailableError("the audit entry was not written in time")
                done.set_exception(late)
        self._alarm = self._loop.call_at(waiting[0][0], self._ring) if waiting else None

    # Below: the writer thread.

    def _work(self) -> None:
        ended = False
        while not ended:
            jobs, ended = self._collect()
            bodies = [job.body for job in jobs if job.body is not None]
            if bodies:
                wrong = self._attempt(partial(self._writer.commit, bodies))
                self._tell([job.done for job in jobs if job.body is not None], wrong)
            if probes := [job.done for job in jobs if job.body is None]:
                self._tell(probes, self._attempt(self._writer.probe))
        self._tell([self._ended], self._attempt(self._writer.close))

    def _collect(self) -> tuple[list[_Job], bool]:
        """What has come together by now, at least one thing; and is that the end?"""
        jobs: list[_Job] = []
        item = self._queue.get()
        with contextlib.suppress(queue.Empty):
            while item is not None:
                jobs.append(item)
                if len(jobs) == MAX_BATCH:
                    break
                item = self._queue.get_nowait()
        return jobs, item is None

    def _attempt(self, work: Callable[[], None]) -> str:
        """Do it. Returns what went wrong, for the callers, without a path; "" if nothing did."""
        try:
            work()
        except OSError as error:
            wrong = error.strerror or str(error)
        except AuditUnavailableError as error:
            wrong = error.detail
        except Exception as error:  # noqa: BLE001  # a bug must not end the thread: all would hang
            emit(Event.INTERNAL_ERROR, error, part="audit")
            wrong = type(error).__name__
        else:
            if self._failing:
                emit(Event.AUDIT_RECOVERED)
            self._failing = False
            return ""
        if not self._failing:  # once, not for every refused request
            emit(Event.AUDIT_FAILING, why=wrong)
        self._failing = True
        return wrong

    def _tell(self, futures: Sequence["asyncio.Future[None]"], wrong: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, futures, wrong)


def _settle(futures: Sequence["asyncio.Future[None]"], wrong: str) -> None:
    """On the loop: wake whoever still waits."""
    for future in futures:
        if future.done():
            continue  # timed out or cancelled
        if wrong:
            future.set_exception(AuditUnavailableError(f"the audit trail: {wrong}"))
        else:
            future.set_result(None)
