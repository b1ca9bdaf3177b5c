"""One SQLite file of ours, shared by every gateway process on a machine.

House rules
- One thread, one connection. Reads answer within their seconds or raise.
- Every write is one IMMEDIATE transaction, on disk when it returns (WAL, synchronous=FULL).
- The file that stands at the path is the one that counts: if it is deleted or replaced
  while we hold it open, the next call opens what stands there now. What must not forget
  (`lasting`) is not made anew, and takes a copy of itself for itself, but no other file.
- After any error the connection is dropped, so that the next call starts from the file.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.backends.onethread import BusyError, LateError, OneThread
from gateway.domain.errors import StateUnavailableError

T = TypeVar("T")

READ_SECONDS = 0.25
WRITE_SECONDS = 5.0  # enrolments and logouts, not requests: a busy disk may take its time
LIST_SECONDS = 5.0  # for the command line, not for requests
LOCK_MILLISECONDS = 200  # how long SQLite waits for another process: less than READ_SECONDS
WRITE_TRIES = 4  # at the lock, so that reads get their turn in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a file looks like inside.

    Attributes:
        application_id: says that the file is ours, and of which kind.
        version: of the schema; a file of another one is refused.
        schema: statements that make the tables, each ended by `;` and a line break.
        lasting: losing it must be noticed. The schema then has a table `origin` with one
            row, a word that no other file has.
    """

    application_id: int
    version: int
    schema: str
    lasting: bool = False


ORIGIN = """
CREATE TABLE origin (word TEXT NOT NULL);
INSERT INTO origin VALUES (lower(hex(randomblob(16))));
"""


class _LateError(StateUnavailableError):
    """The answer came, but the event loop was too busy to hear it."""


class _LockedError(StateUnavailableError):
    """Another process is writing. Nothing was done."""


class SqliteFile:
    """Runs work on the file. Opens it at the first call, not when made.

    Args:
        path: where it stands; it is made if there is none.
        form: what it must look like.
        thread: the name of its thread.
    """

    def __init__(self, path: Path, form: Form, *, thread: str) -> None:
        self.path = path
        self._form = form
        self._thread = OneThread(thread)
        self._connection: sqlite3.Connection | None = None  # touched by the thread only
        self._opened: tuple[int, int] | None = None  # device and inode of the open file
        self._openings = 0  # the thread's, like the two above and the two below
        self._writes = 0
        self._origin: str | None = None
        self._closed = False

    async def read(self, work: Callable[[sqlite3.Connection], T], seconds: float) -> T:
        """Let the work ask the file, and return what it returns.

        Raises:
            StateUnavailableError: no answer within so many seconds, or an error.
        """
        try:
            return await self._run(work, seconds)
        except _LateError:
            # The loop was busy, not the file. That answer is old by now; this one will not be.
            return await self._run(work, seconds)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Let the work change the file in one transaction, and return what it returns.

        Raises:
            StateUnavailableError: an error, or not done in time; it may still be done then.
        """

        def transaction(connection: sqlite3.Connection) -> T:
            self._writes += 1  # first: a write that failed half-way counts as one, too
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            _fold(connection)
            return result

        for _ in range(WRITE_TRIES - 1):
            with contextlib.suppress(_LockedError):
                return await self._run(transaction, WRITE_SECONDS)
        return await self._run(transaction, WRITE_SECONDS)

    async def version(self) -> str:
        """Another value whenever anything in the file may have changed since it was last asked.

        To be compared with earlier answers of the same object only.
        """

        def read(connection: sqlite3.Connection) -> str:
            # It tells of commits by every connection but this one (so we count our own writes),
            # and begins anew with each connection (so we count those: a file that was deleted
            # or replaced gets a new one).
            (others,) = connection.execute("PRAGMA data_version").fetchone()
            return f"{self._openings}.{self._writes}.{count(others)}"

        return await self.read(read, READ_SECONDS)

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(BusyError):  # a hung disk does not hold up the exit
            await self._thread.run(self._drop, WRITE_SECONDS)
        self._thread.stop()

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
                if _identity(self.path) == self._opened:
                    return self._connection
            # Deleted or replaced under us. SQLite sees it too and leaves the WAL of the
            # new file alone when the old one is closed (SQLITE_FCNTL_HAS_MOVED).
            self._drop()
        connection, opened = _open(self.path, self._form, make=self._origin is None)
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            if self._form.lasting:
                self._origin = _same_origin(connection, self._origin)
            undo.pop_all()
        self._connection, self._opened = connection, opened
        self._openings += 1
        return connection

    def _drop(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # it is given up either way
                connection.close()


def count(value: object) -> int:
    """A value that the file must hold as a count.

    Raises:
        StateUnavailableError: it is anything else.
    """
    if type(value) is not int or value < 0:
        raise StateUnavailableError("the state file holds a value that is not a count")
    return value


def _open(path: Path, form: Form, *, make: bool) -> tuple[sqlite3.Connection, tuple[int, int]]:
    """Open the file; if there is none, make it first, or raise FileNotFoundError."""
    if make:
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
        _prepare(connection, form)
        if _identity(path) != before:
            raise StateUnavailableError("the state file was replaced while it was opened")
        undo.pop_all()
    return connection, before


def _prepare(connection: sqlite3.Connection, form: Form) -> None:
    """Durable, and ours: make the tables in an empty file, refuse a foreign one."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StateUnavailableError("the state file stands on a filesystem without shared memory")
    connection.execute("PRAGMA synchronous = FULL")
    ours = form.application_id, form.version
    if _schema(connection) == ours:
        return
    connection.execute("BEGIN IMMEDIATE")
    application, version = _schema(connection)  # again: another process may have been faster
    if (application, version) == ours:
        connection.execute("COMMIT")
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == form.application_id:
        raise StateUnavailableError(
            f"the state file has version {version}; this gateway reads {form.version}"
        )
    if tables or application or version:
        raise StateUnavailableError("the state file is some other program's database")
    for statement in form.schema.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {form.application_id}")
    connection.execute(f"PRAGMA user_version = {form.version}")
    connection.execute("COMMIT")
    _fold(connection)


def _same_origin(connection: sqlite3.Connection, known: str | None) -> str:
    """The file's origin, if it is the one that is known, or none is."""
    match connection.execute("SELECT word FROM origin").fetchall():
        case [(str(word),)] if word and known in {None, word}:
            return word
        case [(str(word),)] if word:
            raise StateUnavailableError(
                "the state file is another one than before: put the old one back, or restart"
            )
        case _:
            raise StateUnavailableError("the state file does not say where it comes from")


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
