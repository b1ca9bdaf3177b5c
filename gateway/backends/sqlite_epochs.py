"""Device-session epochs in one SQLite file, shared by every gateway process on a machine.

House rules
- One thread, one connection. Reads answer within READ_SECONDS or raise.
- Every write is one IMMEDIATE transaction, on disk when it returns (WAL, synchronous=FULL).
- The file that stands at the path is the one that counts: if it is deleted or replaced
  while we hold it open, the next call opens what stands there now. A fresh file knows
  nobody, and who is not known is refused.
- After any error the connection is dropped, so that the next call starts from the file.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gateway.backends.onethread import BusyError, LateError, OneThread
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import EpochRow

T = TypeVar("T")

READ_SECONDS = 0.25
WRITE_SECONDS = 5.0  # enrolments and logouts, not requests: a busy disk may take its time
LIST_SECONDS = 5.0  # for the command line, not for requests
LOCK_MILLISECONDS = 200  # how long SQLite waits for another process: less than READ_SECONDS
WRITE_TRIES = 4  # at the lock, so that reads get their turn in between

APPLICATION_ID = 0x53_47_45_50  # "SGEP": this file is ours and not some other database
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE person (
    staff      TEXT    NOT NULL PRIMARY KEY,
    counter    INTEGER NOT NULL CHECK (typeof(counter) = 'integer' AND counter >= floor),
    floor      INTEGER NOT NULL CHECK (typeof(floor) = 'integer' AND floor >= 0),
    changed_at INTEGER NOT NULL CHECK (typeof(changed_at) = 'integer')
) WITHOUT ROWID;
CREATE TABLE device (
    staff      TEXT    NOT NULL REFERENCES person,
    device     TEXT    NOT NULL,
    floor      INTEGER NOT NULL CHECK (typeof(floor) = 'integer' AND floor >= 0),
    changed_at INTEGER NOT NULL CHECK (typeof(changed_at) = 'integer'),
    PRIMARY KEY (staff, device)
) WITHOUT ROWID;
"""

FLOOR = """
SELECT person.floor, device.floor FROM person
LEFT JOIN device ON device.staff = person.staff AND device.device = :device
WHERE person.staff = :staff
"""
ENROL_PERSON = "INSERT INTO person VALUES (:staff, :now, :now, :now) ON CONFLICT DO NOTHING"
# A device that is enrolled starts at the person's floor: that logs nobody out.
ENROL_DEVICE = """
INSERT INTO device SELECT staff, :device, floor, :now FROM person WHERE staff = :staff
ON CONFLICT DO NOTHING
"""
# Above the counter AND above now: nothing issued before is current, not even by a store
# that was flushed or put back from an older copy since.
REVOKE_PERSON = """
INSERT INTO person VALUES (:staff, :now + 1, :now + 1, :now)
ON CONFLICT (staff) DO UPDATE SET
    counter = max(counter, :now) + 1, floor = max(counter, :now) + 1, changed_at = :now
"""
# Someone unknown becomes known with a floor above everything: other devices of theirs
# were refused a moment ago and stay so.
REVOKE_ONE = """
INSERT INTO person VALUES (:staff, :now + 1, :now + 1, :now)
ON CONFLICT (staff) DO UPDATE SET counter = max(counter, :now) + 1
"""
REVOKE_DEVICE = """
INSERT INTO device SELECT staff, :device, counter, :now FROM person WHERE staff = :staff
ON CONFLICT (staff, device) DO UPDATE SET floor = excluded.floor, changed_at = :now
"""
COUNTER = "SELECT counter FROM person WHERE staff = :staff"
ROWS = """
SELECT staff, device, floor, changed_at FROM (
    SELECT staff, NULL AS device, floor, changed_at FROM person
    UNION ALL
    SELECT staff, device, max(device.floor, person.floor), device.changed_at
    FROM device JOIN person USING (staff)
)
ORDER BY device IS NOT NULL, staff, device
"""


class _LateError(StateUnavailableError):
    """The answer came, but the event loop was too busy to hear it."""


class _LockedError(StateUnavailableError):
    """Another process is writing. Nothing was done."""


class SqliteEpochs:
    """Implements ports.EpochStore. Opens the file at the first call, not when made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = OneThread("sqlite-epochs")
        self._connection: sqlite3.Connection | None = None  # touched by the thread only
        self._opened: tuple[int, int] | None = None  # device and inode of the open file
        self._openings = 0  # the thread's, like the two above and the next
        self._writes = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"SqliteEpochs({str(self._path)!r})"

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""

        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(FLOOR, {"staff": staff, "device": device}).fetchone()
            if row is None:
                return None
            person, own = row
            return max(_count(person), 0 if own is None else _count(own))

        try:
            return await self._run(read, READ_SECONDS)
        except _LateError:
            # The loop was busy, not the file. That answer is old by now; this one will not be.
            return await self._run(read, READ_SECONDS)

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token."""
        return await self._write(
            [ENROL_PERSON] if device is None else [ENROL_PERSON, ENROL_DEVICE],
            {"staff": staff, "device": device, "now": to_milliseconds(now)},
        )

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Raise the floor of the person, or of one device, above every issued epoch."""
        return await self._write(
            [REVOKE_PERSON] if device is None else [REVOKE_ONE, REVOKE_DEVICE],
            {"staff": staff, "device": device, "now": to_milliseconds(now)},
        )

    async def version(self) -> str:
        """Another value whenever any floor may have changed since it was last asked."""

        def read(connection: sqlite3.Connection) -> str:
            # It tells of commits by every connection but this one (so we count our own writes),
            # and begins anew with each connection (so we count those: a file that was deleted
            # or replaced gets a new one).
            (others,) = connection.execute("PRAGMA data_version").fetchone()
            return f"{self._openings}.{self._writes}.{_count(others)}"

        return await self._run(read, READ_SECONDS)

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""

        def read(connection: sqlite3.Connection) -> list[EpochRow]:
            return [
                EpochRow(
                    staff=StaffId(staff),
                    device=None if device is None else DeviceId(device),
                    floor=_count(floor),
                    changed_at=from_milliseconds(_count(changed_at)),
                )
                for staff, device, floor, changed_at in connection.execute(ROWS)
            ]

        return await self._run(read, LIST_SECONDS)

    async def check(self) -> None:
        """Raise StateUnavailableError unless the file can be read now."""
        await self._run(
            lambda connection: connection.execute("SELECT 1 FROM person LIMIT 1").fetchone(),
            READ_SECONDS,
        )

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(BusyError):  # a hung disk does not hold up the exit
            await self._thread.run(self._drop, WRITE_SECONDS)
        self._thread.stop()

    async def _write(self, statements: Sequence[str], values: dict[str, object]) -> int:
        """One transaction; returns the person's counter at its end."""

        def write(connection: sqlite3.Connection) -> int:
            self._writes += 1  # first: a write that failed half-way counts as one, too
            connection.execute("BEGIN IMMEDIATE")
            for statement in statements:
                connection.execute(statement, values)
            (counter,) = connection.execute(COUNTER, values).fetchone()
            connection.execute("COMMIT")
            _fold(connection)
            return _count(counter)

        for _ in range(WRITE_TRIES - 1):
            with contextlib.suppress(_LockedError):
                return await self._run(write, WRITE_SECONDS)
        return await self._run(write, WRITE_SECONDS)

    async def _run(self, work: Callable[[sqlite3.Connection], T], seconds: float) -> T:
        if self._closed:
            raise StateUnavailableError("the state file is closed")
        try:
            return await self._thread.run(lambda: self._perform(work), seconds)
        except LateError as error:
            raise _LateError(f"the state file: {error}") from error
        except BusyError as error:
            raise StateUnavailableError(f"the state file: {error}") from error

    # What follows runs on the thread.

    def _perform(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._current())
        # UnicodeError: a name that is no text. OverflowError: a time beyond year 9999.
        except (sqlite3.Error, OSError, UnicodeError, OverflowError) as error:
            self._drop()
            kind = _LockedError if _is_locked(error) else StateUnavailableError
            raise kind(f"the state file: {_plain(error)}") from error
        except StateUnavailableError:
            self._drop()
            raise

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that stands at the path now."""
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                if _identity(self._path) == self._opened:
                    return self._connection
            # Deleted or replaced under us. SQLite sees it too and leaves the WAL of the
            # new file alone when the old one is closed (SQLITE_FCNTL_HAS_MOVED).
            self._drop()
        self._connection, self._opened = _open(self._path)
        self._openings += 1
        return self._connection

    def _drop(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # it is given up either way
                connection.close()


def _open(path: Path) -> tuple[sqlite3.Connection, tuple[int, int]]:
    """Open the file, making it first if there is none."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, not by SQLite, for the mode: who can write to it can log people in again.
    # O_EXCL, so that a file some connection of ours holds is never opened and closed
    # beside SQLite: closing it would drop that connection's POSIX locks.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o600)
    # SQLite would open it read-only without a word, and the first logout would fail.
    if not os.access(path, os.W_OK, effective_ids=True):
        raise StateUnavailableError("the state file is read-only")
    before = _identity(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=LOCK_MILLISECONDS / 1000,
        isolation_level=None,  # we say BEGIN and COMMIT
        check_same_thread=False,  # made, used and closed on one thread, whichever that is
    )
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        _prepare(connection)
        if _identity(path) != before:
            raise StateUnavailableError("the state file was replaced while it was opened")
        undo.pop_all()
    return connection, before


def _prepare(connection: sqlite3.Connection) -> None:
    """Durable, and ours: make the tables in an empty file, refuse a foreign one."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateUnavailableError("the state file stands on a filesystem without shared memory")
    connection.execute("PRAGMA synchronous = FULL")
    if _schema(connection) == (APPLICATION_ID, SCHEMA_VERSION):
        return
    connection.execute("BEGIN IMMEDIATE")
    application, version = _schema(connection)  # again: another process may have been faster
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
        connection.execute("COMMIT")
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID:
        raise StateUnavailableError(
            f"the state file has version {version}; this gateway reads {SCHEMA_VERSION}"
        )
    if tables or application or version:
        raise StateUnavailableError("the state file is some other program's database")
    for statement in SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
    _fold(connection)


def _fold(connection: sqlite3.Connection) -> None:
    """Move the WAL into the file and empty it, if nobody is reading just now.

    SQLite lays a left-over WAL over whatever file stands at the path, also over a backup
    that somebody just put there. Logouts are rare, so there need be none left over.
    """
    # The commit is on disk already: if this does not work, the next write does it.
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")  # nor does it make other writers wait
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {LOCK_MILLISECONDS}")


def _schema(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _identity(path: Path) -> tuple[int, int]:
    # While we hold the old file open its inode number is not given to another.
    found = path.stat()
    return found.st_dev, found.st_ino


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise StateUnavailableError("the state file holds a value that is not a count")
    return value


def _is_locked(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the rest is its finer code


def _plain(error: Exception) -> str:
    """What went wrong, without the path or a value."""
    match error:
        case OSError():
            return error.strerror or type(error).__name__
        case sqlite3.Error():
            return str(error)
        case _:
            return type(error).__name__
