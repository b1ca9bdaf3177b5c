"""The map of floors: what it tells by itself, for how long, and when it asks the store."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from gateway.backends import epoch_map
from gateway.backends.epoch_map import KEEP_SECONDS, POLL_SECONDS, STALE_SECONDS, LocalEpochs
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from tests.oracles.memory_epochs import MemoryEpochs

MEI, KEN, PHONE = StaffId("staff:mei"), StaffId("staff:ken"), DeviceId("phone-1")
NOON = from_milliseconds(1_795_000_000_000)


def later(milliseconds):
    return NOON + timedelta(milliseconds=milliseconds)


class SlowEpochs(MemoryEpochs):
    """Counts its questions; holds back answers (`flows`), or what is to be written (`writes`)."""

    def __init__(self):
        super().__init__()
        self.writes = asyncio.Event()
        self.writes.set()
        self.asked = 0
        self.flows = asyncio.Event()
        self.flows.set()

    async def floor(self, staff, device):
        self.asked += 1
        found = await super().floor(staff, device)
        await self.flows.wait()
        return found

    async def version(self):
        found = await super().version()
        await self.flows.wait()
        return found

    async def revoke(self, staff, device, now):
        await self.writes.wait()
        floor = await super().revoke(staff, device, now)
        await self.flows.wait()
        return floor


class Desk:
    """A map over a store, and the time that it sees."""

    def __init__(self, store=None):
        self.now = 1000.0
        self.store = SlowEpochs() if store is None else store
        self.map = LocalEpochs(self.store, monotonic=lambda: self.now)

    async def asks_the_store(self, staff=MEI, device=None):
        before = self.store.asked
        await self.map.floor(staff, device)
        return self.store.asked > before


async def a_desk():
    """Mei is known, and the map has heard that nothing changed since."""
    desk = Desk()
    await desk.store.enrol(MEI, None, NOON)
    await desk.map.poll()
    await desk.map.floor(MEI, None)
    return desk


@asynccontextmanager
async def under_way(desk, call):
    """The call has been carried out by the store, and its answer is on its way meanwhile."""
    desk.store.flows.clear()
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    yield task
    desk.store.flows.set()
    await asyncio.wait({task})


async def test_a_floor_is_asked_for_once_while_nothing_changes():
    desk = await a_desk()
    assert not await desk.asks_the_store()
    desk.now += POLL_SECONDS
    await desk.map.poll()
    assert not await desk.asks_the_store()


async def test_without_a_poll_every_request_asks_the_store():
    desk = Desk()
    await desk.store.enrol(MEI, None, NOON)
    assert await desk.asks_the_store()
    assert await desk.asks_the_store()


async def test_people_and_devices_are_kept_apart():
    desk = await a_desk()
    floor = await desk.store.revoke(MEI, PHONE, later(1))
    await desk.store.enrol(KEN, None, later(5))
    await desk.map.poll()
    for _ in range(2):
        assert await desk.map.floor(MEI, PHONE) == floor
        assert await desk.map.floor(MEI, None) < floor
        assert await desk.map.floor(KEN, PHONE) > floor


async def test_what_is_not_confirmed_for_a_tenth_of_a_second_is_not_told():
    desk = await a_desk()
    desk.now += STALE_SECONDS * 0.99
    assert not await desk.asks_the_store()
    desk.now = 1000.0 + STALE_SECONDS
    assert await desk.asks_the_store()


async def test_it_is_confirmed_from_when_the_version_was_asked_for_not_from_its_answer():
    desk = await a_desk()
    async with under_way(desk, desk.map.poll()):
        desk.now += STALE_SECONDS
    assert await desk.asks_the_store()


async def test_a_logout_elsewhere_counts_with_the_next_poll():
    desk = await a_desk()
    floor = await desk.store.revoke(MEI, None, later(1))
    await desk.map.poll()
    assert await desk.map.floor(MEI, None) == floor


async def test_a_floor_asked_for_before_a_logout_is_not_kept_after_it():
    desk = await a_desk()
    await desk.store.enrol(KEN, None, NOON)
    await desk.map.poll()
    async with under_way(desk, desk.map.floor(KEN, None)) as old:
        floor = await MemoryEpochs.revoke(desk.store, KEN, None, later(1))
        desk.store.flows.set()
        await desk.map.poll()
    assert await old < floor
    assert await desk.map.floor(KEN, None) == floor


async def test_a_floor_asked_for_before_a_poll_and_answered_after_it_is_kept_if_nothing_changed():
    desk = await a_desk()
    await desk.store.enrol(KEN, None, NOON)
    await desk.map.poll()
    desk.store.flows.clear()
    asking = asyncio.ensure_future(desk.map.floor(KEN, None))
    polling = asyncio.ensure_future(desk.map.poll())
    await asyncio.sleep(0)
    desk.store.flows.set()
    await asyncio.gather(asking, polling)
    assert not await desk.asks_the_store(KEN)


async def test_a_logout_through_the_map_counts_at_once_without_a_poll():
    desk = await a_desk()
    floor = await desk.map.revoke(MEI, None, later(1))
    assert await desk.map.floor(MEI, None) == floor


async def test_a_logout_through_the_map_counts_as_soon_as_the_store_has_it():
    desk = await a_desk()
    async with under_way(desk, desk.map.revoke(MEI, None, later(1))) as revoking:
        asking = asyncio.ensure_future(desk.map.floor(MEI, None))
    assert await asking == await revoking


async def test_a_floor_asked_for_before_a_logout_through_the_map_is_not_kept_after_it():
    desk = await a_desk()
    await desk.store.enrol(KEN, None, NOON)
    await desk.map.poll()
    async with under_way(desk, desk.map.floor(KEN, None)) as old:
        revoking = asyncio.ensure_future(desk.map.revoke(KEN, None, later(1)))
        await asyncio.sleep(0)
    floor = await revoking
    assert await old < floor
    assert await desk.map.floor(KEN, None) == floor


async def test_a_floor_read_while_a_logout_waits_for_the_store_is_not_kept_after_it():
    desk = await a_desk()
    desk.store.writes.clear()
    revoking = asyncio.ensure_future(desk.map.revoke(MEI, None, later(1)))
    await asyncio.sleep(0)
    old = await desk.map.floor(MEI, None)
    desk.store.writes.set()
    floor = await revoking
    assert await desk.map.floor(MEI, None) == floor > old


async def test_an_enrolment_through_the_map_in_a_store_that_was_emptied_counts_at_once():
    desk = await a_desk()
    desk.store.lose_memory()
    epoch = await desk.map.enrol(MEI, None, later(9))
    assert await desk.map.floor(MEI, None) == epoch


async def test_a_logout_whose_answer_nobody_waited_for_counts():
    desk = await a_desk()
    async with under_way(desk, desk.map.revoke(MEI, None, later(1))) as revoking:
        before = await MemoryEpochs.floor(desk.store, MEI, None)
        revoking.cancel()
    assert await desk.map.floor(MEI, None) == before


async def test_someone_unknown_is_asked_about_every_time():
    desk = await a_desk()
    assert await desk.map.floor(KEN, None) is None
    assert await desk.asks_the_store(KEN)
    await desk.store.enrol(KEN, None, NOON)
    assert await desk.map.floor(KEN, None) is not None


async def test_a_lost_memory_is_heard_of():
    desk = await a_desk()
    desk.store.lose_memory()
    await desk.map.poll()
    assert await desk.map.floor(MEI, None) is None


async def test_a_store_that_is_away_is_papered_over_for_a_tenth_of_a_second_at_most():
    desk = await a_desk()
    desk.store.away = True
    await desk.map.poll()
    assert await desk.map.floor(MEI, None) is not None
    desk.now += STALE_SECONDS
    await desk.map.poll()
    with pytest.raises(StateUnavailableError):
        await desk.map.floor(MEI, None)


async def test_after_a_store_was_away_what_is_kept_counts_again_only_if_nothing_changed():
    desk = await a_desk()
    for change in (False, True):
        desk.store.away = True
        desk.now += 2 * STALE_SECONDS
        await desk.map.poll()
        desk.store.away = False
        if change:
            await desk.store.revoke(MEI, None, later(1))
        await desk.map.poll()
        assert await desk.asks_the_store() == change
    assert await desk.map.floor(MEI, None) == await desk.store.floor(MEI, None)


async def test_the_check_asks_the_store_itself():
    desk = await a_desk()
    await desk.map.check()
    desk.store.away = True
    with pytest.raises(StateUnavailableError):
        await desk.map.check()


async def test_somebody_who_was_evicted_behind_our_back_is_unknown_after_a_while():
    desk = await a_desk()
    del desk.store.counters[MEI]  # no write of ours, so the version stays
    await desk.map.poll()
    desk.now += KEEP_SECONDS
    await desk.map.poll()
    assert await desk.map.floor(MEI, None) is None


async def test_more_sessions_than_it_holds_begin_it_anew(monkeypatch):
    monkeypatch.setattr(epoch_map, "MAX_SESSIONS", 3)
    desk = await a_desk()
    for number in range(10):
        device = DeviceId(f"phone-{number}")
        assert await desk.map.floor(MEI, device) is not None
        assert not await desk.asks_the_store(MEI, device)
        assert len(desk.map._floors) <= 3


async def test_a_closed_map_tells_nothing():
    desk = await a_desk()
    await desk.map.close()
    with pytest.raises(StateUnavailableError):
        await desk.map.floor(MEI, None)


# -- over a real file


@pytest.fixture
async def lite(tmp_path):
    store = SqliteEpochs(tmp_path / "epochs.sqlite3")
    yield LocalEpochs(store, monotonic=lambda: 0.0)
    await store.close()


async def test_a_logout_by_another_process_counts_with_the_next_poll(tmp_path, lite):
    before = await lite.enrol(MEI, PHONE, NOON)
    await lite.poll()
    assert await lite.floor(MEI, PHONE) == before
    script = (
        "import asyncio, pathlib, sys\n"
        "from gateway.backends.sqlite_epochs import SqliteEpochs\n"
        "from gateway.domain.time import from_milliseconds\n"
        "store = SqliteEpochs(pathlib.Path(sys.argv[1]))\n"
        "now = from_milliseconds(1_795_000_000_001)\n"
        "print(asyncio.run(store.revoke('staff:mei', 'phone-1', now)))\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "epochs.sqlite3")]
    done = await asyncio.to_thread(
        subprocess.run, words, check=True, capture_output=True, text=True
    )
    assert (
        await lite.floor(MEI, PHONE) == before
    )  # within the tenth of a second: this clock stands
    await lite.poll()
    assert await lite.floor(MEI, PHONE) == int(done.stdout) > before


async def test_a_replaced_file_counts_with_the_next_poll(tmp_path, lite):
    await lite.enrol(MEI, PHONE, NOON)
    await lite.poll()
    await lite.floor(MEI, PHONE)
    spare = SqliteEpochs(tmp_path / "spare.sqlite3")
    epoch = await spare.enrol(MEI, PHONE, later(9))
    await spare.close()
    (tmp_path / "spare.sqlite3").rename(tmp_path / "epochs.sqlite3")
    await lite.poll()
    assert await lite.floor(MEI, PHONE) == epoch


async def test_a_file_put_back_from_an_older_copy_counts_with_the_next_poll(tmp_path, lite):
    path = tmp_path / "epochs.sqlite3"
    issued = await lite.enrol(MEI, PHONE, NOON)
    copy = path.read_bytes()
    floor = await lite.revoke(MEI, PHONE, later(1))
    await lite.poll()
    assert await lite.floor(MEI, PHONE) == floor
    path.with_suffix(".copy").write_bytes(copy)
    path.with_suffix(".copy").rename(path)
    await lite.poll()
    assert await lite.floor(MEI, PHONE) == issued
