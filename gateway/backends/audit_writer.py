"""The files of one worker's trail, written. Blocking; one thread at a time uses it.

INVARIANT: what `commit` returned for is on disk, under its name, in the chain.
INVARIANT: `_link` and `_size` describe the last durable line of the current file. A commit
that fails leaves them as they were, and the next one first cuts the file back to them, so a
half-written line is never followed by another one.

A file is born whole: its head is written under another name, synced, then renamed. A crash
can leave lines that nobody was told about, whole or torn, only at the end of the last file:
the trail may say more than was answered, never less.

House rules: an OSError goes up; nothing is retried here.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec

from gateway.audit.chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Head,
    chain,
    head_body,
    read_line,
    stamp,
)
from gateway.backends.audit_directory import TrailPath, list_trail, seal_path, write_all
from gateway.backends.audit_recovery import Repair, find_end
from gateway.domain.errors import AuditUnavailableError
from gateway.ports import Clock

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
_PROBE_BYTES = 4096  # one block: less could fit into one that is already there


class TrailWriter:
    """Appends to one worker's trail.

    Attributes:
        repairs: what had to be mended when it was opened.
    """

    def __init__(
        self,
        directory: Path,
        *,
        worker: str,
        clock: Clock,
        max_file_bytes: int,
        retention_days: int | None,
        sync: Callable[[int], None],
    ) -> None:
        self._directory = directory
        self._worker = worker
        self._clock = clock
        self._max_file_bytes = max_file_bytes
        self._retention_days = retention_days
        self._sync = sync
        self._lock: int | None = None
        self._file: TrailPath | None = None
        self._descriptor: int | None = None  # None: the file must be opened anew
        self._link = GENESIS
        self._size = 0
        self._oldest = 1
        self.repairs: tuple[Repair, ...] = ()

    def open(self) -> None:
        """Take the lock, mend the end, go on with the chain.

        Raises:
            AuditUnavailableError: another process writes this worker's trail.
            OSError: it cannot be read or written.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        try:
            end = find_end(self._directory, self._worker)
            self.repairs = end.repairs
            self._file, self._size = end.file, end.size
            self._link, self._oldest = end.link, end.oldest
            if end.file is None:
                self._begin_file(end.number + 1)
            else:
                self._descriptor = os.open(end.file.path, _APPEND)
        except BaseException:
            self._release()
            raise

    def commit(self, bodies: Sequence[bytes]) -> None:
        """Make the entries durable, in this order, with one write and one sync.

        Raises:
            AuditUnavailableError: another process took the trail meanwhile.
            OSError: none of them counts as written.
        """
        descriptor = self._ready()
        lines, link = [], self._link
        for body in bodies:
            line, link = chain(body, link)
            lines.append(line)
        data = b"".join(lines)
        try:
            write_all(descriptor, data)
            self._sync(descriptor)
            self._require_named(descriptor)
        except BaseException:
            self._cut_back(descriptor)
            raise
        self._link, self._size = link, self._size + len(data)

    def probe(self) -> None:
        """Raise OSError unless an entry could be written now: writes a block beside the trail."""
        self._require_named(self._ready())
        path = self._directory / f"trail-{self._worker}.probe"
        try:
            self._write_file(path, b"\0" * _PROBE_BYTES)
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Seal and release. Everything committed is durable already.

        Raises:
            OSError: the seal could not be saved.
        """
        try:
            if self._file is not None and self._descriptor is not None:
                self._save_seal(self._file.number)
        finally:
            self._release()

    def _take_lock(self) -> None:
        """Be the only writer, or say who is not."""
        path = self._lock_path()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AuditUnavailableError(
                f"another process writes the audit trail of worker `{self._worker}` in "
                f"`{self._directory}`; stop it, or give each process its own worker name"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        if self._lock is not None:
            os.close(self._lock)
        self._lock = descriptor

    def _lock_path(self) -> Path:
        return self._directory / f"trail-{self._worker}.lock"

    def _ready(self) -> int:
        """A file that ends in the last durable line, begun today and not full."""
        if self._descriptor is None:
            self._reopen()
        file = self._file
        today = self._clock.now().date()
        if file is not None and (file.day != today or self._size >= self._max_file_bytes):
            self._begin_file(file.number + 1)
        if self._descriptor is None:
            raise OSError("the audit file is not open")
        return self._descriptor

    def _reopen(self) -> None:
        """After a failure: the file cut back to its last durable line, or a new one.

        A directory that has gone is not made anew: it may be a disk that is not mounted.
        """
        # The lock file may have been replaced together with the directory.
        if not self._is_at(self._lock_path(), self._lock):
            self._take_lock()
        if self._file is not None and (descriptor := self._open_ours(self._file.path)):
            try:
                os.ftruncate(descriptor, self._size)
                os.fsync(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            return
        # Lines that were durable are gone. The chain goes on behind the gap.
        there = [file.number for file in list_trail(self._directory, self._worker)]
        self._begin_file(max([*there, self._file.number if self._file else 0]) + 1)

    def _open_ours(self, path: Path) -> int | None:
        """The file at `path`, if our last durable line stands in it where we wrote it."""
        try:
            descriptor = os.open(path, _APPEND)
        except FileNotFoundError:
            return None
        try:
            if self._ends_in_our_line(descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _ends_in_our_line(self, descriptor: int) -> bool:
        """Do the first `_size` bytes end in the line with our link?"""
        start = max(0, self._size - MAX_LINE_BYTES)
        before = os.pread(descriptor, self._size - start, start)
        _, _, last = (b"\n" + before.removesuffix(b"\n")).rpartition(b"\n")
        line = read_line(last + before[-1:])
        whole = len(before) == self._size - start
        return whole and line is not None and line.sound and line.link == self._link

    def _begin_file(self, number: int) -> None:
        """Rotate: seal what was, begin the next file, delete what is too old."""
        if self._link.n:
            self._save_seal(number - 1)
        now = self._clock.now()
        file = TrailPath.of(self._directory, self._worker, number, now.date())
        expired, oldest = self._expired(now.date())
        head = Head(worker=self._worker, file=number, oldest=oldest, started=now)
        line, link = chain(head_body(head), self._link)
        try:
            self._put(file.path, line)
            descriptor = os.open(file.path, _APPEND)
        except BaseException:
            # Nobody was told of it; left behind it would be a file too many in the chain.
            with contextlib.suppress(OSError):
                file.path.unlink(missing_ok=True)
            raise
        self._drop_descriptor()
        self._descriptor, self._file = descriptor, file
        self._link, self._size, self._oldest = link, len(line), oldest
        # Last: a file is deleted only when a durable head says that it may be missing.
        for old in expired:
            for path in (old.path, old.torn):
                with contextlib.suppress(OSError):  # in the way of nothing; next time again
                    path.unlink(missing_ok=True)

    def _expired(self, today: date) -> tuple[list[TrailPath], int]:
        """The files older than the retention, and the least number that stays."""
        if self._retention_days is None:
            return [], self._oldest
        keep_from = today - timedelta(days=self._retention_days)
        oldest, expired = self._oldest, []
        for file in list_trail(self._directory, self._worker):
            if file.day >= keep_from:
                break
            expired.append(file)
            oldest = max(oldest, file.number + 1)
        return expired, oldest

    def _save_seal(self, number: int) -> None:
        """Replace the seal by the current link."""
        members = {
            "worker": self._worker,
            "n": self._link.n,
            "hash": self._link.hash,
            "file": number,
            "oldest": self._oldest,
            "sealed": stamp(self._clock.now()),
        }
        self._put(seal_path(self._directory, self._worker), msgspec.json.encode(members) + b"\n")

    def _put(self, path: Path, data: bytes) -> None:
        """A file that is there whole or not at all, after a crash too."""
        new = path.with_name(f"trail-{self._worker}.new")
        self._write_file(new, data)
        new.replace(path)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(directory)
        finally:
            os.close(directory)

    def _write_file(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, _CREATE, 0o600)
        try:
            write_all(descriptor, data)
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _require_named(self, descriptor: int) -> None:
        """What was synced must also be found again: somebody may have moved or deleted it."""
        if self._file is None or not self._is_at(self._file.path, descriptor):
            raise FileNotFoundError("the audit file was moved, deleted or replaced")

    @staticmethod
    def _is_at(path: Path, descriptor: int | None) -> bool:
        """Does this name lead to this open file?"""
        try:
            return descriptor is not None and os.path.samestat(path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _cut_back(self, descriptor: int) -> None:
        """After a failed write: take it off again if that works; `_reopen` insists on it."""
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, self._size)
        self._drop_descriptor()

    def _drop_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _release(self) -> None:
        self._drop_descriptor()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
