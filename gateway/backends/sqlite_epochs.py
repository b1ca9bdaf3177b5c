"""Device-session epochs in one SQLite file, shared by every gateway process on a machine.

How a file is opened, kept and left is `sqlite_file.py`'s. A fresh one knows nobody, and who is
not known is refused; so this one may be deleted.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.backends.sqlite_file import LIST_SECONDS, READ_SECONDS, Form, SqliteFile, count
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import DEVICE_FLOOR_DAYS, EpochRow

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
FORM = Form(application_id=0x53_47_45_50, version=1, schema=SCHEMA)  # "SGEP"

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
# First in each write. What goes says nothing that the person's floor does not say, now and later,
# for that one never falls.
FORGET_DEVICES = """
DELETE FROM device WHERE staff = :staff AND changed_at < :now - :kept
AND floor <= (SELECT floor FROM person WHERE staff = :staff)
"""
KEPT_MILLISECONDS = DEVICE_FLOOR_DAYS * 86_400_000
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


class SqliteEpochs:
    """Implements ports.EpochStore. Opens the file at the first call, not when made."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, FORM, thread="sqlite-epochs")

    def __repr__(self) -> str:
        return f"SqliteEpochs({str(self._file.path)!r})"

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""

        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(FLOOR, {"staff": staff, "device": device}).fetchone()
            if row is None:
                return None
            person, own = row
            return max(count(person), 0 if own is None else count(own))

        return await self._file.read(read, READ_SECONDS)

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
        return await self._file.version()

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""

        def read(connection: sqlite3.Connection) -> list[EpochRow]:
            return [
                EpochRow(
                    staff=StaffId(staff),
                    device=None if device is None else DeviceId(device),
                    floor=count(floor),
                    changed_at=from_milliseconds(count(changed_at)),
                )
                for staff, device, floor, changed_at in connection.execute(ROWS)
            ]

        return await self._file.read(read, LIST_SECONDS)

    async def check(self) -> None:
        """Raise StateUnavailableError unless the file can be read now."""
        await self._file.read(
            lambda connection: connection.execute("SELECT 1 FROM person LIMIT 1").fetchone(),
            READ_SECONDS,
        )

    async def close(self) -> None:
        """Close the file. Safe to call twice."""
        await self._file.close()

    async def _write(self, statements: Sequence[str], values: dict[str, object]) -> int:
        """One transaction; returns the person's counter at its end."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute(FORGET_DEVICES, {**values, "kept": KEPT_MILLISECONDS})
            for statement in statements:
                connection.execute(statement, values)
            (counter,) = connection.execute(COUNTER, values).fetchone()
            return count(counter)

        return await self._file.write(write)
