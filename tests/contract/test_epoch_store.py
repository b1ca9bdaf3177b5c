"""What every EpochStore promises. One suite; SQLite, a real Redis, and the memory reference.

Each also behind the map of floors at hand. Its clock stands still here, so that it never asks
anew of its own accord: what it hears, it hears by `hear`, which is one round of its poller.
"""

import asyncio
import os
from contextlib import closing
from datetime import timedelta
from itertools import count

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.epoch_map import LocalEpochs
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, to_milliseconds
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.redis_process import RedisProcess

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
MEI, KEN = StaffId("staff:mei"), StaffId("staff:ken")
PHONE, TABLET = DeviceId("phone-1"), DeviceId("tablet-1")
NOON = from_milliseconds(1_795_000_000_000)
FRESH = count()
YEARS = 400 * 86_400_000  # milliseconds after which a device may be forgotten


def later(milliseconds, moment=NOON):
    return moment + timedelta(milliseconds=milliseconds)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started:
        yield started


class Kept:
    """Where a store keeps things: opens more stores on it, and can lose it all."""

    def __init__(self, kind, path, server):
        self.kind, _, behind = kind.partition(" ")
        self.behind_a_map = bool(behind)
        self.path = path / f"{next(FRESH)}.sqlite3"
        self.prefix = f"test-{next(FRESH)}[*]:"
        self.server = server
        self.memory = MemoryEpochs()

    def open(self):
        store = self.bare()
        return LocalEpochs(store, monotonic=lambda: 0.0) if self.behind_a_map else store

    def bare(self):
        match self.kind:
            case "sqlite":
                return SqliteEpochs(self.path)
            case "redis":
                return RedisEpochs(
                    parse_redis(self.server.url()), prefix=self.prefix, ledger=self.path
                )
            case _:
                return self.memory

    async def lose(self):
        """All of it; and an operator has said to go on, where that needs one."""
        match self.kind:
            case "sqlite":
                self.path.unlink()
            case "redis":
                with closing(redis.Redis(port=self.server.port)) as admin:
                    for key in admin.scan_iter():
                        if key.startswith(self.prefix.encode()):
                            admin.delete(key)
                repairer = self.bare()
                await repairer.repair()
                await repairer.close()
            case _:
                self.memory.lose_memory()


KINDS = [f"{kind}{behind}" for behind in ("", " mapped") for kind in ("sqlite", "redis", "memory")]


async def hear(store):
    if isinstance(store, LocalEpochs):
        await store.poll()


@pytest.fixture(params=KINDS)
def kept(request, tmp_path):
    server = request.getfixturevalue("server") if "redis" in request.param else None
    return Kept(request.param, tmp_path, server)


@pytest.fixture
async def store(kept):
    store = kept.open()
    await hear(store)
    yield store
    await store.close()


async def is_current(store, staff, device, epoch):
    floor = await store.floor(staff, device)
    return floor is not None and epoch >= floor


async def test_an_unknown_person_has_no_floor(store):
    assert await store.floor(MEI, None) is None
    assert await store.floor(MEI, PHONE) is None


async def test_asking_makes_nobody_known(store):
    await store.floor(MEI, PHONE)
    assert list(await store.rows()) == []


async def test_an_enrolment_starts_at_its_milliseconds_and_is_current(store):
    epoch = await store.enrol(MEI, None, NOON)
    assert epoch == to_milliseconds(NOON) == await store.floor(MEI, None)
    assert await store.floor(KEN, None) is None


async def test_enrolling_a_known_person_gives_the_epoch_they_have(store):
    first = await store.enrol(MEI, None, NOON)
    assert await store.enrol(MEI, PHONE, later(5000)) == first
    assert await store.floor(MEI, PHONE) == first


async def test_a_revoked_person_is_out_everywhere_and_a_new_token_is_in(store):
    old = await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, None, later(1))
    for device in (None, PHONE, TABLET):
        assert await store.floor(MEI, device) == floor
        assert not await is_current(store, MEI, device, old)
    new = await store.enrol(MEI, PHONE, later(2))
    assert new == floor
    assert await is_current(store, MEI, PHONE, new)


async def test_a_revoked_person_is_out_even_in_the_millisecond_of_the_enrolment(store):
    old = await store.enrol(MEI, None, NOON)
    assert await store.revoke(MEI, None, NOON) > old


async def test_a_revocation_is_above_every_epoch_even_if_the_clock_went_back(store):
    old = await store.enrol(MEI, None, NOON)
    assert await store.revoke(MEI, None, later(-60_000)) == old + 1
    assert await store.revoke(MEI, PHONE, later(-60_000)) == old + 2


async def test_a_revoked_device_is_out_and_the_others_stay_in(store):
    old = await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, PHONE, later(1))
    assert not await is_current(store, MEI, PHONE, old)
    assert await store.floor(MEI, PHONE) == floor
    assert await is_current(store, MEI, TABLET, old)
    assert await is_current(store, MEI, None, old)


async def test_after_a_device_was_revoked_a_new_token_is_current_on_every_device(store):
    await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, PHONE, later(1))
    new = await store.enrol(MEI, PHONE, later(2))
    assert new >= floor
    for device in (None, PHONE, TABLET):
        assert await is_current(store, MEI, device, new)


async def test_a_device_never_seen_has_the_persons_floor(store):
    await store.enrol(MEI, None, NOON)
    floor = await store.revoke(MEI, None, later(1))
    assert await store.floor(MEI, TABLET) == floor


async def test_enrolling_a_device_logs_nobody_out(store):
    old = await store.enrol(MEI, None, NOON)
    await store.revoke(MEI, TABLET, later(1))
    await store.enrol(MEI, PHONE, later(2))
    assert await is_current(store, MEI, PHONE, old)


async def test_enrolling_a_revoked_device_again_does_not_revive_its_old_tokens(store):
    old = await store.enrol(MEI, PHONE, NOON)
    await store.revoke(MEI, PHONE, later(1))
    await store.enrol(MEI, PHONE, later(2))
    assert not await is_current(store, MEI, PHONE, old)


async def test_revoking_someone_unknown_makes_them_known_above_now(store):
    floor = await store.revoke(MEI, None, NOON)
    assert floor > to_milliseconds(NOON)
    assert await store.floor(MEI, PHONE) == floor
    assert await store.enrol(MEI, None, later(1)) == floor


async def test_revoking_one_device_of_someone_unknown_lets_no_other_device_in(store):
    floor = await store.revoke(MEI, PHONE, NOON)
    assert not await is_current(store, MEI, TABLET, to_milliseconds(NOON))
    assert await store.floor(MEI, None) == floor


async def test_a_store_that_lost_its_memory_knows_nobody_and_starts_above(kept, store):
    issued = [await store.enrol(MEI, PHONE, NOON)]
    issued += [await store.revoke(MEI, None, later(step)) for step in range(1, 20)]
    assert await store.floor(MEI, PHONE) == issued[-1]
    await kept.lose()
    await hear(store)
    assert await store.floor(MEI, PHONE) is None
    new = await store.enrol(MEI, PHONE, later(21))
    assert new > max(issued)
    assert await store.floor(MEI, PHONE) == new


async def test_a_revocation_after_a_loss_is_above_all_that_was_issued_before(kept, store):
    old = await store.enrol(MEI, PHONE, NOON)
    await kept.lose()
    assert await store.revoke(MEI, PHONE, NOON) > old
    assert not await is_current(store, MEI, TABLET, old)


async def test_rows_come_people_first_by_name_with_the_floor_that_counts(store):
    await store.enrol(MEI, TABLET, NOON)
    await store.revoke(MEI, PHONE, later(1))
    floor = await store.revoke(MEI, None, later(2))
    ken = await store.revoke(KEN, PHONE, later(3))
    assert [(r.staff, r.device, r.floor, r.changed_at) for r in await store.rows()] == [
        (KEN, None, ken, later(3)),
        (MEI, None, floor, later(2)),
        (KEN, PHONE, ken, later(3)),
        (MEI, PHONE, floor, later(1)),
        (MEI, TABLET, floor, NOON),
    ]


@pytest.mark.parametrize(
    "device", ["counter", "floor", "staff", ":", "device:", "a:b", "かばん", "'; --", "x" * 500]
)
async def test_any_text_can_name_a_device(store, device):
    old = await store.enrol(MEI, DeviceId(device), NOON)
    floor = await store.revoke(MEI, DeviceId(device), later(1))
    assert await store.floor(MEI, DeviceId(device)) == floor
    assert await store.floor(MEI, None) == old
    assert DeviceId(device) in {row.device for row in await store.rows()}


async def test_what_one_gateway_revokes_another_sees_at_once(kept, store):
    old = await store.enrol(MEI, PHONE, NOON)
    other = kept.open()
    await hear(other)
    assert await is_current(other, MEI, PHONE, old)
    await store.revoke(MEI, None, later(1))
    await hear(other)
    assert not await is_current(other, MEI, PHONE, old)
    if other is not store:
        await other.close()


async def test_no_revocation_is_lost_when_many_come_at_once(kept, store):
    other = kept.open()
    await store.enrol(MEI, PHONE, NOON)
    floors = await asyncio.gather(
        *(s.revoke(MEI, d, NOON) for _ in range(8) for s in (store, other) for d in (PHONE, None))
    )
    assert len(set(floors)) == 32
    await hear(store)
    assert await store.floor(MEI, PHONE) == max(floors)
    if other is not store:
        await other.close()


async def test_enrolments_at_once_agree_on_one_epoch(kept, store):
    other = kept.open()
    epochs = await asyncio.gather(
        *(s.enrol(MEI, PHONE, later(step)) for step in range(8) for s in (store, other))
    )
    assert len(set(epochs)) == 1
    await hear(store)
    assert await store.floor(MEI, PHONE) == epochs[0]
    if other is not store:
        await other.close()


async def test_what_was_revoked_is_still_revoked_after_the_store_was_opened_again(kept, store):
    old = await store.enrol(MEI, PHONE, NOON)
    await store.revoke(MEI, PHONE, later(1))
    if kept.kind != "memory":
        await store.close()
    again = kept.open()
    await hear(again)
    assert not await is_current(again, MEI, PHONE, old)
    await again.close()


async def test_the_version_stays_while_nobody_writes(store):
    await store.enrol(MEI, PHONE, NOON)
    before = await store.version()
    await store.floor(MEI, PHONE)
    await store.rows()
    await store.check()
    assert await store.version() == before


async def test_every_write_brings_a_version_never_seen_before(kept, store):
    other = kept.open()
    seen = [await store.version()]
    for step in range(3):
        for writer in (store, other):
            await writer.enrol(MEI, DeviceId(f"phone-{step}"), NOON)
            seen.append(await store.version())
            await writer.revoke(MEI, PHONE, later(step))
            seen.append(await store.version())
            await writer.revoke(KEN, None, later(step))
            seen.append(await store.version())
    assert len(set(seen)) == len(seen)
    if other is not store:
        await other.close()


async def test_a_loss_brings_a_version_never_seen_before_with_every_write_after_it(kept, store):
    seen = [await store.version()]
    for step in range(3):
        await store.enrol(MEI, PHONE, later(step))
        seen.append(await store.version())
        await kept.lose()
        seen.append(await store.version())
        await kept.lose()
        seen.append(await store.version())
    assert len(set(seen)) == len(seen)


async def test_a_closed_store_has_no_version(store):
    await store.version()
    await store.close()
    with pytest.raises(StateUnavailableError):
        await store.version()


async def test_check_passes_while_the_store_answers(store):
    await store.check()


async def test_a_closed_store_is_unavailable_not_empty(store):
    await store.enrol(MEI, None, NOON)
    await store.close()
    await store.close()
    with pytest.raises(StateUnavailableError):
        await store.floor(MEI, None)
    with pytest.raises(StateUnavailableError):
        await store.check()


async def test_a_name_that_is_no_text_is_refused(kept, store):
    if kept.kind == "memory":
        return
    with pytest.raises(StateUnavailableError):
        await store.floor(StaffId("staff:\ud800"), None)
    with pytest.raises(StateUnavailableError):
        await store.revoke(MEI, DeviceId("\ud800"), NOON)
    await store.enrol(MEI, PHONE, NOON)  # and the store goes on


async def test_a_device_that_says_no_more_than_its_person_goes_after_400_days(store):
    epoch = await store.enrol(MEI, PHONE, NOON)
    await store.enrol(MEI, TABLET, later(YEARS))
    assert {row.device for row in await store.rows()} == {None, PHONE, TABLET}
    await store.enrol(MEI, None, later(YEARS + 1))
    assert {row.device for row in await store.rows()} == {None, TABLET}
    assert await is_current(store, MEI, PHONE, epoch)


async def test_a_device_that_was_logged_out_stays_so_however_long_ago(store):
    old = await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, PHONE, later(1))
    for times in range(1, 4):
        await store.enrol(MEI, TABLET, later(2 * times * YEARS))
        assert await store.floor(MEI, PHONE) == floor > old
    # The person was logged out everywhere since: now that says it.
    floor = await store.revoke(MEI, None, later(8 * YEARS))
    await store.enrol(MEI, None, later(10 * YEARS))
    assert PHONE not in {row.device for row in await store.rows()}
    assert await store.floor(MEI, PHONE) == floor


PEOPLE = st.sampled_from([MEI, KEN])
DEVICES = st.sampled_from([None, PHONE, TABLET])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["enrol", "revoke", "floor", "lose", "enrol elsewhere", "revoke elsewhere"]
        ),
        PEOPLE,
        DEVICES,
        st.integers(-3, 5000) | st.sampled_from([YEARS - 1, YEARS, YEARS + 1]),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "memory"])
@settings(max_examples=30 * FUZZ, deadline=None)
@given(steps=STEPS)
def test_every_store_gives_the_answers_of_the_reference(server, tmp_path_factory, kind, steps):
    async def play():
        kept = Kept(kind, tmp_path_factory.getbasetemp(), server)
        store, other, reference = kept.open(), kept.bare(), MemoryEpochs()
        forgets_nothing = MemoryEpochs(forgets=False)
        await hear(store)
        now = NOON
        try:
            for verb, staff, device, milliseconds in steps:
                now = later(milliseconds, now)
                if verb == "lose":
                    if kept.kind != "sqlite" or kept.path.exists():
                        await kept.lose()
                    await hear(store)
                    reference.lose_memory()
                    forgets_nothing.lose_memory()
                elif verb == "floor":
                    found = await store.floor(staff, device)
                    assert found == await reference.floor(staff, device)
                    assert found == await forgets_nothing.floor(staff, device)
                else:
                    write, _, elsewhere = verb.partition(" ")
                    got = await getattr(other if elsewhere else store, write)(staff, device, now)
                    if elsewhere:
                        await hear(store)
                    assert got == await getattr(reference, write)(staff, device, now)
                    assert got == await getattr(forgets_nothing, write)(staff, device, now)
            assert list(await store.rows()) == await reference.rows()
            for staff in (MEI, KEN):  # nobody who was refused is current, nor the other way round
                for device in (None, PHONE, TABLET):
                    kept_all = await forgets_nothing.floor(staff, device)
                    assert await store.floor(staff, device) == kept_all
        finally:
            await store.close()
            await other.close()

    asyncio.run(play())
