"""Documents of the state in one SQLite file, shared by every gateway process on a machine.

How a file is opened, kept and left is `sqlite_file.py`'s. This one must not forget: who deletes it
while a gateway runs gets an error until it is put back, or the gateway is started anew.

House rules
- A document that was removed leaves a row without a value, one that expired stays as it is: both
  are as if they were not there, and go with a later write (see `document_form.py`).
- A row is read to the last column as it is written here, or StateUnavailableError is raised.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.document_form import PRUNE, forget_before, require_key, require_value
from gateway.backends.sqlite_file import (
    LIST_SECONDS,
    ORIGIN,
    READ_SECONDS,
    Form,
    SqliteFile,
    count,
)
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import MAX_DOCUMENT_BYTES, Kept, Kind

# `value` is NULL in what was removed; `gone_at` is when it was, or when it expires.
SCHEMA = f"""
CREATE TABLE document (
    kind     TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    value    BLOB,
    revision INTEGER NOT NULL CHECK (typeof(revision) = 'integer' AND revision >= 1),
    gone_at  INTEGER CHECK (gone_at IS NOT NULL OR value IS NOT NULL),
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX gone ON document (gone_at) WHERE gone_at IS NOT NULL;
{ORIGIN}"""
FORM = Form(application_id=0x53_47_44_43, version=1, schema=SCHEMA, lasting=True)  # "SGDC"

ONE = "SELECT value, revision, gone_at FROM document WHERE kind = ? AND key = ?"
ALL = "SELECT key, value, revision, gone_at FROM document WHERE kind = ? ORDER BY key"
WRITE = """
INSERT INTO document VALUES (:kind, :key, :value, :revision, :gone_at)
ON CONFLICT (kind, key) DO UPDATE SET
    value = excluded.value, revision = excluded.revision, gone_at = excluded.gone_at
"""
PRUNE_ROWS = """
DELETE FROM document WHERE (kind, key) IN (
    SELECT kind, key FROM document WHERE gone_at <= ? ORDER BY gone_at LIMIT ?
)
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it is written. `value` is None in what was removed."""

    value: bytes | None
    revision: int
    gone_at: int | None


class SqliteDocuments:
    """Implements ports.DocumentStore. Opens the file at the first call, not when made."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, FORM, thread="sqlite-documents")

    def __repr__(self) -> str:
        return f"SqliteDocuments({str(self._file.path)!r})"

    async def get(self, kind: Kind, key: str, now: Instant) -> Kept | None:
        """The document, or None if there is none (any more)."""
        place, moment = (Kind(kind), require_key(key)), to_milliseconds(now)
        return await self._file.read(
            lambda connection: _living(_row(connection, place), moment), READ_SECONDS
        )

    async def put(
        self,
        kind: Kind,
        key: str,
        value: bytes,
        *,
        replaces: int | None,
        now: Instant,
        expires: Instant | None = None,
    ) -> Kept | None:
        """Write it, durably; None = another one stands there than `replaces` says."""
        gone_at = None if expires is None else to_milliseconds(expires)
        return await self._change(
            (Kind(kind), require_key(key)), require_value(value), gone_at, replaces, now
        )

    async def remove(self, kind: Kind, key: str, *, replaces: int, now: Instant) -> bool:
        """Remove it; False = another one, or none, stands there."""
        moment = to_milliseconds(now)
        done = await self._change((Kind(kind), require_key(key)), None, moment, replaces, now)
        return done is not None

    async def all(self, kind: Kind, now: Instant) -> Mapping[str, Kept]:
        """Every document of a kind, by key."""
        wanted, moment = Kind(kind), to_milliseconds(now)

        def read(connection: sqlite3.Connection) -> dict[str, Kept]:
            found = {
                _key(key): _living(_parse(row), moment)
                for key, *row in connection.execute(ALL, (wanted,))
            }
            return {key: kept for key, kept in found.items() if kept is not None}

        return await self._file.read(read, LIST_SECONDS)

    async def version(self) -> str:
        """Another value whenever any document may have changed since it was last asked."""
        return await self._file.version()

    async def check(self) -> None:
        """Raise StateUnavailableError unless the file can be read now."""
        await self._file.read(
            lambda connection: connection.execute("SELECT 1 FROM document LIMIT 1").fetchone(),
            READ_SECONDS,
        )

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        await self._file.close()

    async def _change(
        self,
        place: tuple[Kind, str],
        value: bytes | None,
        gone_at: int | None,
        replaces: int | None,
        now: Instant,
    ) -> Kept | None:
        kind, key = place
        moment = to_milliseconds(now)

        def write(connection: sqlite3.Connection) -> Kept | None:
            found = _row(connection, place)
            standing = _living(found, moment)
            if (None if standing is None else standing.revision) != replaces:
                return None
            revision = 1 if found is None else found.revision + 1
            connection.execute(
                WRITE,
                {
                    "kind": kind,
                    "key": key,
                    "value": value,
                    "revision": revision,
                    "gone_at": gone_at,
                },
            )
            connection.execute(PRUNE_ROWS, (forget_before(now), PRUNE))
            return _kept(value or b"", revision, gone_at)

        return await self._file.write(write)


def _row(connection: sqlite3.Connection, place: tuple[Kind, str]) -> _Row | None:
    found = connection.execute(ONE, place).fetchone()
    return None if found is None else _parse(found)


def _parse(row: Sequence[object]) -> _Row:
    match row:
        case [bytes() | None as value, int(revision), int() | None as gone_at] if (
            revision >= 1
            and (value is None or len(value) <= MAX_DOCUMENT_BYTES)
            and (value is not None or gone_at is not None)
        ):
            return _Row(value, revision, None if gone_at is None else count(gone_at))
        case _:
            raise StateUnavailableError("the state file holds a row that is no document")


def _key(key: object) -> str:
    try:
        return require_key(str(key))
    except ValueError as error:
        raise StateUnavailableError("the state file holds a key that is none") from error


def _living(row: _Row | None, moment: int) -> Kept | None:
    if row is None or row.value is None or (row.gone_at is not None and row.gone_at <= moment):
        return None
    return _kept(row.value, row.revision, row.gone_at)


def _kept(value: bytes, revision: int, gone_at: int | None) -> Kept:
    expires = None if gone_at is None else from_milliseconds(gone_at)
    return Kept(value=value, revision=revision, expires=expires)
