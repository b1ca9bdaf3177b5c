"""Group commit, waiting and giving up: a disk that answers when the test says so."""

import asyncio
import errno
import json
import logging
import os
import re
import stat
import threading
from datetime import UTC, datetime

import pytest

from gateway.audit.entry import Entry, Phase
from gateway.backends import audit_file
from gateway.backends.audit_directory import list_trail, verify_directory
from gateway.backends.audit_file import FileAuditTrail
from gateway.domain.errors import AuditUnavailableError, OperatorError
from gateway.domain.time import Instant

AT = Instant(datetime(2026, 11, 21, 11, 31, tzinfo=UTC))


class StillClock:
    def now(self):
        return AT

    def monotonic(self):
        return 0.0


class Disk:
    """Syncs for real, but can be held, and can fail."""

    def __init__(self):
        self.syncs = 0
        self.free = threading.Event()
        self.free.set()
        self.held = threading.Event()
        self.error = None

    def sync(self, descriptor):
        self.syncs += 1
        self.held.set()
        self.free.wait(10)
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        os.fsync(descriptor)

    def hold(self):
        self.held.clear()
        self.free.clear()

    async def until_held(self):
        await asyncio.to_thread(self.held.wait, 10)


def an_entry(number):
    return Entry(
        request_id=f"r{number}",
        at=AT,
        phase=Phase.ANSWER,
        method="GET",
        peer="192.0.2.1",
        policy="p",
    )


async def a_trail(directory, disk=None, **options):
    disk = disk or Disk()
    return await FileAuditTrail.open(directory, clock=StillClock(), sync=disk.sync, **options)


def ids(directory):
    text = "".join(file.path.read_text() for file in list_trail(directory))
    return re.findall('"request_id":"([^"]*)"', text)


def is_whole(directory, worker="0"):
    return verify_directory(directory, worker, {}).broken is None


async def test_entries_that_wait_together_share_one_sync(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.hold()
    first = asyncio.ensure_future(trail.append(an_entry(0)))
    await disk.until_held()
    others = [asyncio.ensure_future(trail.append(an_entry(n))) for n in range(1, 101)]
    await asyncio.sleep(0)
    before = disk.syncs
    disk.free.set()
    await asyncio.gather(first, *others)
    assert disk.syncs == before + 1
    assert ids(tmp_path) == [f"r{n}" for n in range(101)]
    await trail.close()


async def test_nobody_is_told_before_the_sync_has_come_back(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.hold()
    task = asyncio.ensure_future(trail.append(an_entry(0)))
    await disk.until_held()
    assert ids(tmp_path) == ["r0"]  # written
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done  # but not told
    disk.free.set()
    await task
    await trail.close()


async def test_a_disk_that_hangs_is_waited_for_only_so_long(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk, timeout_seconds=0.05)
    disk.hold()
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(0))
    with pytest.raises(AuditUnavailableError):
        await trail.check()
    with pytest.raises(AuditUnavailableError):
        await trail.close()
    disk.free.set()
    await asyncio.wait_for(asyncio.shield(trail._ended), 10)


async def test_what_came_too_late_is_chained_all_the_same(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk, timeout_seconds=0.05)
    disk.hold()
    results = await asyncio.gather(
        *(trail.append(an_entry(n)) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, AuditUnavailableError) for result in results)
    disk.free.set()
    trail._timeout_seconds = 10
    await trail.append(an_entry(3))
    assert ids(tmp_path) == ["r0", "r1", "r2", "r3"]
    assert is_whole(tmp_path)
    await trail.close()


async def test_a_queue_that_only_grows_is_refused_at_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_file, "MAX_WAITING", 5)
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.hold()
    first = asyncio.ensure_future(trail.append(an_entry(0)))
    await disk.until_held()
    waiting = [asyncio.ensure_future(trail.append(an_entry(n))) for n in range(1, 6)]
    await asyncio.sleep(0)
    with pytest.raises(AuditUnavailableError) as caught:
        await trail.append(an_entry(6))
    assert "too many" in str(caught.value.__cause__)
    disk.free.set()
    await asyncio.gather(first, *waiting)
    await trail.close()


async def test_a_sync_that_fails_fails_everybody_who_waits_for_it(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    await trail.append(an_entry("good"))
    disk.hold()
    first = asyncio.ensure_future(trail.append(an_entry(0)))
    await disk.until_held()
    others = [asyncio.ensure_future(trail.append(an_entry(n))) for n in range(1, 10)]
    await asyncio.sleep(0)
    disk.error = errno.EIO
    disk.free.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert all(isinstance(result, AuditUnavailableError) for result in results)
    assert ids(tmp_path) == ["rgood"]  # a refused entry is taken off again
    disk.error = None
    await trail.append(an_entry("after"))
    assert ids(tmp_path) == ["rgood", "rafter"]
    assert is_whole(tmp_path)
    await trail.close()


async def test_the_message_of_a_failure_names_no_path(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.error = errno.ENOSPC
    with pytest.raises(AuditUnavailableError) as caught:
        await trail.append(an_entry(0))
    assert str(tmp_path) not in caught.value.detail
    with pytest.raises(AuditUnavailableError, match="No space left"):
        await trail.check()
    disk.error = None
    await trail.close()


async def test_check_fails_while_the_disk_fails_and_is_good_again_after(tmp_path):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.error = errno.EROFS
    with pytest.raises(AuditUnavailableError):
        await trail.check()
    disk.error = None
    await trail.check()
    await trail.append(an_entry(0))
    assert not list(tmp_path.glob("*.probe"))
    await trail.close()


async def test_a_bug_in_the_writer_ends_no_thread(tmp_path, caplog):
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.error = "not a number"  # os.strerror raises TypeError
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(0))
    assert '"event": "internal_error"' in caplog.text
    disk.error = None
    await trail.append(an_entry(1))
    assert ids(tmp_path) == ["r1"]
    await trail.close()


async def test_failure_and_recovery_are_logged_once_each(tmp_path, caplog):
    caplog.set_level(logging.INFO, "gateway")
    disk = Disk()
    trail = await a_trail(tmp_path, disk)
    disk.error = errno.ENOSPC
    for number in range(5):
        with pytest.raises(AuditUnavailableError):
            await trail.append(an_entry(number))
    disk.error = None
    await trail.append(an_entry(9))
    events = [json.loads(record.message) for record in caplog.records]
    assert events == [
        {"event": "audit_failing", "why": "No space left on device"},
        {"event": "audit_recovered"},
    ]
    await trail.close()


async def test_a_directory_that_was_deleted_is_noticed_although_the_file_is_open(tmp_path):
    directory = tmp_path / "audit"
    trail = await a_trail(directory)
    await trail.append(an_entry(0))
    directory.rename(tmp_path / "elsewhere")
    for number in (1, 2):
        with pytest.raises(AuditUnavailableError):
            await trail.append(an_entry(number))
    with pytest.raises(AuditUnavailableError):
        await trail.check()
    assert not directory.exists()  # a disk that is not mounted is not replaced by a directory
    (tmp_path / "elsewhere").rename(directory)
    await trail.append(an_entry(3))
    assert ids(directory) == ["r0", "r3"]
    assert is_whole(directory)
    await trail.close()


async def test_behind_a_deleted_file_the_chain_goes_on_and_the_gap_is_seen(tmp_path):
    trail = await a_trail(tmp_path)
    await trail.append(an_entry(0))
    list_trail(tmp_path)[0].path.unlink()
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(1))
    await trail.append(an_entry(2))
    assert ids(tmp_path) == ["r2"]
    assert not is_whole(tmp_path)
    await trail.close()


@pytest.mark.parametrize(
    "foreign_of",
    [
        lambda _: b"x" * 100_000 + b"\n",
        lambda ours: ours.replace(b"r0", b"r9"),
        lambda ours: ours.replace(b"r0", b"r9") + b"more\n",
        lambda ours: ours[:-20],
        lambda _: b"",
    ],
)
async def test_a_file_put_in_the_place_of_ours_is_not_written_on(tmp_path, foreign_of):
    trail = await a_trail(tmp_path)
    await trail.append(an_entry(0))
    path = list_trail(tmp_path)[0].path
    foreign = foreign_of(path.read_bytes())
    path.unlink()
    path.write_bytes(foreign)
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(1))
    await trail.append(an_entry(2))
    assert path.read_bytes() == foreign
    assert ids(tmp_path)[-1] == "r2"
    assert len(list_trail(tmp_path)) == 2
    await trail.close()


async def test_an_exact_copy_in_the_place_of_ours_is_ours(tmp_path):
    trail = await a_trail(tmp_path)
    await trail.append(an_entry(0))
    path = list_trail(tmp_path)[0].path
    ours = path.read_bytes()
    path.unlink()
    path.write_bytes(ours)  # moved to another disk and back
    with pytest.raises(AuditUnavailableError):
        await trail.append(an_entry(1))
    await trail.append(an_entry(2))
    assert ids(tmp_path) == ["r0", "r2"]
    assert is_whole(tmp_path)
    await trail.close()


async def test_two_writers_of_one_trail_are_refused_in_words(tmp_path):
    trail = await a_trail(tmp_path)
    with pytest.raises(OperatorError, match=r"another process writes .* of worker `0`"):
        await a_trail(tmp_path)
    other = await a_trail(tmp_path, worker="1")
    await other.append(an_entry(1))
    await trail.append(an_entry(0))
    await other.close()
    await trail.close()
    again = await a_trail(tmp_path)
    await again.close()
    assert is_whole(tmp_path, "0")
    assert is_whole(tmp_path, "1")


@pytest.mark.parametrize("worker", ["", "../x", "a-b", "A", "a" * 33, "a\n"])
async def test_a_worker_name_that_could_leave_its_file_name_is_refused(tmp_path, worker):
    with pytest.raises(OperatorError):
        await a_trail(tmp_path, worker=worker)
    assert list(tmp_path.iterdir()) == []


async def test_only_the_owner_may_read_the_trail(tmp_path):
    directory = tmp_path / "deep" / "audit"
    trail = await a_trail(directory, max_file_bytes=1)
    await trail.append(an_entry(0))
    await trail.close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {0o600}


async def test_a_place_that_cannot_be_a_directory_is_refused_when_opening(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditUnavailableError, match="cannot open the trail"):
        await a_trail(tmp_path / "file")
    with pytest.raises(AuditUnavailableError, match="cannot open the trail"):
        await a_trail(tmp_path / "file" / "below")
