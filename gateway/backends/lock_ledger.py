"""What one machine has seen of Redis's memory, and every lock in it, on its own disk.

All gateways of a machine share the file. By it a Redis that lost its memory is noticed, and its
locks are put back from it: see `redis_memory.py`. So it stands on a disk that outlives them all.

House rules
- What is noted replaces exactly what was read before Redis was asked: of two processes the
  later one reads again. So the ledger never goes back.
- A lock is never deleted here; one that was removed in Redis stands as removed.
"""

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.backends.redis_entry import Entry, parse_entry
from gateway.backends.redis_memory import Remembered, View
from gateway.backends.sqlite_file import LIST_SECONDS, ORIGIN, Form, SqliteFile, count
from gateway.domain.errors import StateUnavailableError
from gateway.ports import Kind

SCHEMA = f"""
CREATE TABLE seen (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    generation TEXT    NOT NULL,
    sequence   INTEGER NOT NULL CHECK (typeof(sequence) = 'integer' AND sequence >= 0),
    word       TEXT    NOT NULL,
    noted      TEXT    NOT NULL
);
CREATE TABLE lock (
    key  TEXT NOT NULL PRIMARY KEY,
    text BLOB NOT NULL
) WITHOUT ROWID;
{ORIGIN}"""
FORM = Form(application_id=0x53_47_4C_4C, version=2, schema=SCHEMA, lasting=True)  # "SGLL"

SEEN = "SELECT generation, sequence, word, noted FROM seen"
_NOTED = re.compile(r"[0-9]{1,15}:[0-9a-f]{32}")

LOCKS = "SELECT key, text FROM lock"
NOTE = "INSERT OR REPLACE INTO seen VALUES (1, ?, ?, ?, ?)"
NOTE_LOCK = "INSERT OR REPLACE INTO lock VALUES (?, ?)"


class LockLedger:
    """Remembers. Opens the file at the first call, not when made."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, FORM, thread="lock-ledger")

    def __repr__(self) -> str:
        return f"LockLedger({str(self._file.path)!r})"

    async def read(self) -> Remembered | None:
        """What was noted last; None = nothing ever was.

        Raises:
            StateUnavailableError: the file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> Remembered | None:
            connection.execute("BEGIN")  # both tables as of one moment
            view = _view(connection)
            locks = dict(_lock(row) for row in connection.execute(LOCKS))
            connection.execute("COMMIT")
            if view is None and locks:
                raise _strange()
            return None if view is None else Remembered(view=view, locks=locks)

        return await self._file.read(read, LIST_SECONDS)

    async def note(
        self, before: View | None, now: View, locks: Sequence[tuple[str, Entry]]
    ) -> bool:
        """Write down what was seen, durably; False = another process noted something else.

        Args:
            before: what `read` gave before Redis was asked.
            now: what Redis said then.
            locks: those that are new or another.
        """

        def write(connection: sqlite3.Connection) -> bool:
            noted = _view(connection)
            # The very same may have been noted by another process meanwhile: after a repair all
            # of them look at once.
            if noted not in (before, now):
                return False
            connection.execute(NOTE, (now.generation, now.sequence, now.word, now.noted))
            connection.executemany(NOTE_LOCK, [(key, lock.text) for key, lock in locks])
            return True

        return await self._file.write(write)

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        await self._file.close()


def _view(connection: sqlite3.Connection) -> View | None:
    match connection.execute(SEEN).fetchone():
        case None:
            return None
        case (str(generation), sequence, str(word), str(noted)) if _NOTED.fullmatch(noted):
            return View(generation=generation, sequence=count(sequence), word=word, noted=noted)
        case _:
            raise _strange()


def _lock(row: tuple[object, object]) -> tuple[str, Entry]:
    match row:
        case (str(key), bytes(text)):
            return key, parse_entry(text, Kind.LOCK, key)
        case _:
            raise _strange()


def _strange() -> StateUnavailableError:
    return StateUnavailableError("the ledger of locks holds something that is not ours")
