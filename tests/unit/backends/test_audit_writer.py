"""Rotation, retention and what a disk that is full leaves behind."""

import errno
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.backends.audit_directory import list_trail, read_seal, seal_path, verify_directory
from gateway.backends.audit_writer import TrailWriter
from gateway.domain.errors import AuditUnavailableError
from gateway.domain.time import Instant
from tests.oracles.audit_samples import NOON, SetClock, a_body


def a_writer(directory, *, clock=None, size=2**20, retention=None, sync=os.fsync):
    writer = TrailWriter(
        directory,
        worker="0",
        clock=clock or SetClock(),
        max_file_bytes=size,
        retention_days=retention,
        sync=sync,
    )
    writer.open()
    return writer


def ids(directory):
    text = "".join(file.path.read_text() for file in list_trail(directory))
    return re.findall('"request_id":"([^"]*)"', text)


def numbers(directory):
    return [file.number for file in list_trail(directory)]


def broken(directory):
    return verify_directory(directory, "0", {}).broken


def test_a_file_that_is_full_is_followed_by_the_next_one(tmp_path):
    writer = a_writer(tmp_path, size=2000)
    for number in range(20):
        writer.commit([a_body(number)])
    assert len(numbers(tmp_path)) > 2
    assert ids(tmp_path) == [str(number) for number in range(20)]
    assert all(file.path.stat().st_size < 2500 for file in list_trail(tmp_path))
    writer.close()
    assert broken(tmp_path) is None


def test_a_new_day_in_utc_begins_a_new_file(tmp_path):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock)
    writer.commit([a_body("late")])
    clock.at = Instant(datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC))
    writer.commit([a_body("later")])
    clock.at = Instant(datetime(2026, 11, 22, 0, 0, tzinfo=UTC))
    writer.commit([a_body("early")])
    names = [file.path.name for file in list_trail(tmp_path)]
    assert names == ["trail-0-000001-2026-11-21.jsonl", "trail-0-000002-2026-11-22.jsonl"]
    assert "early" not in list_trail(tmp_path)[0].path.read_text()
    writer.close()
    assert broken(tmp_path) is None


def test_opening_again_on_the_same_day_goes_on_in_the_same_file(tmp_path):
    for name in ("a", "b"):
        writer = a_writer(tmp_path)
        writer.commit([a_body(name)])
        writer.close()
    assert numbers(tmp_path) == [1]
    assert ids(tmp_path) == ["a", "b"]
    assert broken(tmp_path) is None


def test_retention_deletes_whole_files_of_days_that_are_over(tmp_path):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock, retention=2)
    for day in range(6):
        clock.at = Instant(NOON + timedelta(days=day))
        writer.commit([a_body(day)])
    assert numbers(tmp_path) == [4, 5, 6]  # today, and two days before it
    assert ids(tmp_path) == ["3", "4", "5"]
    assert broken(tmp_path) is None
    writer.close()
    assert broken(tmp_path) is None


def test_retention_takes_the_torn_bytes_of_a_file_along(tmp_path):
    clock = SetClock()
    a_writer(tmp_path, clock=clock).close()
    with list_trail(tmp_path)[0].path.open("ab") as file:
        file.write(b"torn")
    writer = a_writer(tmp_path, clock=clock, retention=2)
    assert list(tmp_path.glob("*.torn"))
    clock.at = Instant(NOON + timedelta(days=3))
    writer.commit([a_body(1)])
    assert not list(tmp_path.glob("*.torn"))
    writer.close()


def test_without_retention_nothing_is_ever_deleted(tmp_path):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock)
    for day in (0, 400, 4000):
        clock.at = Instant(NOON + timedelta(days=day))
        writer.commit([a_body(day)])
    assert numbers(tmp_path) == [1, 2, 3]
    writer.close()


def test_the_current_file_is_never_deleted_however_old(tmp_path):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock, retention=1)
    writer.commit([a_body("old")])
    writer.close()
    clock.at = Instant(NOON + timedelta(days=30))
    writer = a_writer(tmp_path, clock=clock, retention=1)
    assert ids(tmp_path) == ["old"]
    writer.commit([a_body("new")])
    assert ids(tmp_path) == ["new"]
    writer.close()
    assert broken(tmp_path) is None


def test_a_file_deleted_by_hand_is_not_excused_by_a_later_start(tmp_path):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock, size=1, retention=30)
    for number in range(4):
        writer.commit([a_body(number)])
    writer.close()
    for file in list_trail(tmp_path)[:2]:
        file.path.unlink()
    writer = a_writer(tmp_path, clock=clock, size=1, retention=30)
    writer.commit([a_body("after")])
    writer.close()
    assert "not by retention" in broken(tmp_path).detail


def test_the_seal_knows_the_last_line_of_the_file_before_and_at_closing_the_last_of_all(tmp_path):
    writer = a_writer(tmp_path, size=1)
    assert not seal_path(tmp_path, "0").exists()
    writer.commit([a_body(1)])  # file 1 held a head: full; file 2: a head and this
    assert read_seal(seal_path(tmp_path, "0")).link.n == 1
    writer.close()
    assert read_seal(seal_path(tmp_path, "0")).link.n == 3


def test_what_a_failed_write_left_is_taken_off_before_the_next(tmp_path):
    fail = []

    def sync(descriptor):
        if fail:
            raise OSError(errno.EIO, "broken")
        os.fsync(descriptor)

    writer = a_writer(tmp_path, sync=sync)
    writer.commit([a_body("good")])
    fail.append(True)
    for _ in range(3):
        with pytest.raises(OSError, match="broken"):
            writer.commit([a_body("bad")])
    assert ids(tmp_path) == ["good"]
    fail.clear()
    writer.commit([a_body("next")])
    assert ids(tmp_path) == ["good", "next"]
    assert broken(tmp_path) is None
    writer.close()


def test_half_a_write_that_could_not_be_taken_off_at_once_is_taken_off_before_the_next(
    tmp_path, monkeypatch
):
    fail = []

    def sync(descriptor):
        if fail:
            raise OSError(errno.EIO, "broken")
        os.fsync(descriptor)

    def no_truncate(descriptor, size):
        raise OSError(errno.EROFS, "read-only")

    writer = a_writer(tmp_path, sync=sync)
    writer.commit([a_body("good")])
    fail.append(True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", no_truncate)
        with pytest.raises(OSError, match="broken"):
            writer.commit([a_body("bad")])
        fail.clear()
        assert ids(tmp_path) == ["good", "bad"]
        with pytest.raises(OSError, match="read-only"):
            writer.commit([a_body("bad too")])
    writer.commit([a_body("next")])
    assert ids(tmp_path) == ["good", "next"]
    assert broken(tmp_path) is None
    writer.close()


def test_a_directory_that_was_replaced_is_locked_again(tmp_path):
    directory = tmp_path / "audit"
    writer = a_writer(directory)
    writer.commit([a_body("a")])
    directory.rename(tmp_path / "old")
    directory.mkdir()
    with pytest.raises(FileNotFoundError):
        writer.commit([a_body("refused")])
    writer.commit([a_body("b")])
    assert ids(directory) == ["b"]
    with pytest.raises(AuditUnavailableError, match="another process"):
        a_writer(directory)
    writer.close()


def test_a_rotation_that_fails_is_done_again_and_leaves_no_file_too_many(tmp_path):
    clock, fail = SetClock(), []

    def sync(descriptor):
        if len(fail) == 1:
            fail.clear()
            raise OSError(errno.ENOSPC, "full")
        if fail:
            fail.pop()
        os.fsync(descriptor)

    writer = a_writer(tmp_path, clock=clock, sync=sync)
    writer.commit([a_body("a")])
    # The seal's and its directory's, the new file's and its directory's, the entry's own.
    for failing_sync in (1, 2, 3, 4, 5):
        clock.at = Instant(clock.at + timedelta(days=1))
        fail[:] = [True] * failing_sync
        with pytest.raises(OSError, match="full"):
            writer.commit([a_body("refused")])
        clock.at = Instant(clock.at + timedelta(days=1))
        writer.commit([a_body(failing_sync)])
        assert broken(tmp_path) is None
    assert ids(tmp_path) == ["a", "1", "2", "3", "4", "5"]
    writer.close()
    assert broken(tmp_path) is None


def test_a_power_cut_between_rotation_and_deletion_leaves_a_whole_trail(tmp_path, monkeypatch):
    clock = SetClock()
    writer = a_writer(tmp_path, clock=clock, retention=1)
    writer.commit([a_body("old")])
    clock.at = Instant(NOON + timedelta(days=9))

    def no_unlink(path, *, missing_ok=False):
        raise OSError(errno.EIO, "gone dark")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", no_unlink)
        writer.commit([a_body("new")])
    assert numbers(tmp_path) == [1, 2]
    assert broken(tmp_path) is None
    clock.at = Instant(NOON + timedelta(days=10))
    writer.commit([a_body("newer")])
    assert numbers(tmp_path) == [2, 3]
    assert broken(tmp_path) is None
    writer.close()


FULL = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from gateway.audit.entry import Entry, Phase
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.audit_directory import list_trail
from gateway.domain.errors import AuditUnavailableError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

class Clock:
    def now(self): return NOON
    def monotonic(self): return 0.0

def an_entry(number):
    return Entry(request_id=f"r{number}", at=NOON, phase=Phase.ANSWER, method="GET",
                 peer="192.0.2.1", policy="p")

async def main():
    directory = Path(sys.argv[1])
    trail = await FileAuditTrail.open(directory, clock=Clock())
    # A file may grow no further than this: the write that crosses it is cut in the middle of
    # a line, the next one fails, as on a disk that is full. (Python ignores SIGXFSZ.)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    good = 0
    for number in range(100):
        try:
            await trail.append(an_entry(number))
        except AuditUnavailableError:
            break
        good += 1
    size = list_trail(directory)[0].path.stat().st_size
    failed = await asyncio.gather(
        *(trail.append(an_entry(900 + n)) for n in range(5)), return_exceptions=True)
    assert all(isinstance(one, AuditUnavailableError) for one in failed), failed
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await trail.append(an_entry("after"))
    await trail.close()
    print(good, size)

asyncio.run(main())
"""


def test_on_a_full_disk_nothing_is_acknowledged_and_when_it_has_room_again_all_goes_on(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    good, size = map(int, run.stdout.split())
    assert good > 0
    assert size < 3000  # the half line was taken off at once
    assert ids(tmp_path) == [f"r{number}" for number in range(good)] + ["rafter"]
    assert broken(tmp_path) is None
