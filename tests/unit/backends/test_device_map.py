"""Devices at hand: how old an answer may be, what is written and when, within which bounds."""

import json
import logging
from datetime import timedelta

import pytest

from gateway.backends import device_map
from gateway.backends.device_map import KEEP_SECONDS, SEEN_SECONDS, DevicesAtHand
from gateway.backends.epoch_map import STALE_SECONDS
from gateway.devices import NEWS, devices_in, tell
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, StaffId
from gateway.domain.time import from_milliseconds, instant, to_milliseconds
from gateway.identity.devices import Device, Record, State, render_record
from gateway.ports import Kind
from tests.contract.memory_documents import MemoryDocuments

NOON = from_milliseconds(1_795_000_000_000)
MEI = StaffId("staff:mei")
PHONE = DeviceId("phone")
HOME, WORK = "192.0.2.7", "198.51.100.9"
TOLD = Record(devices={PHONE: Device(first=1, last=2, state=State.REFUSED, said=3)}, seen=2)


class CountingDocuments(MemoryDocuments):
    def __init__(self):
        super().__init__()
        self.reads = self.writes = 0

    async def get(self, kind, key, now):
        self.reads += key != NEWS
        return await super().get(kind, key, now)

    async def put(self, kind, key, value, **more):
        self.writes += key != NEWS
        return await super().put(kind, key, value, **more)


class World:
    def __init__(self, documents=None, *, waits=False):
        self.seconds = 0.0
        self.documents = documents or CountingDocuments()
        self.at_hand = DevicesAtHand(
            self.documents, waits=waits, monotonic=lambda: self.seconds, now=self.now
        )

    def now(self):
        return instant(NOON + timedelta(seconds=self.seconds))

    async def later(self, seconds):
        self.seconds += seconds
        await self.at_hand.poll()

    async def come(self, staff=MEI, device=PHONE, peer=HOME, *, admitted=True):
        known = await self.at_hand.of(staff)
        principal = a_principal(staff, device)
        self.at_hand.seen(principal, known, peer, self.now(), admitted=admitted)

    async def kept(self):
        return await devices_in(self.documents, self.now())

    async def write(self, record, staff=MEI):
        before = await self.documents.get(Kind.DEVICE, staff, self.now())
        replaces = None if before is None else before.revision
        value = render_record(record)
        await self.documents.put(Kind.DEVICE, staff, value, replaces=replaces, now=self.now())


def a_principal(staff, device):
    post = Post(
        salon="aoyama", held=frozenset({ANYONE}), acting=frozenset({ANYONE}), first_role=ANYONE
    )
    return Principal(staff=staff, posts=(post,), device=device, epoch=1, app="phone")


async def test_without_a_poll_the_store_itself_is_asked():
    world = World()
    await world.write(TOLD)
    assert (await world.at_hand.of(MEI)).record == TOLD
    await world.write(Record(devices={}))
    assert (await world.at_hand.of(MEI)).record == Record(devices={})


async def test_with_polls_it_is_asked_once():
    world = World()
    await world.at_hand.poll()
    world.documents.reads = 0
    for _ in range(10):
        await world.at_hand.of(MEI)
    assert world.documents.reads == 1


async def test_what_somebody_said_is_told_with_the_next_poll():
    world = World()
    await world.at_hand.poll()
    assert (await world.at_hand.of(MEI)).record.devices == {}
    await world.write(TOLD)
    await tell(world.documents, world.now())
    await world.at_hand.poll()
    assert (await world.at_hand.of(MEI)).record == TOLD


async def test_what_only_others_saw_comes_later():
    world = World()
    await world.at_hand.poll()
    await world.at_hand.of(MEI)
    await world.write(TOLD)  # and nothing is told
    await world.at_hand.poll()
    assert (await world.at_hand.of(MEI)).record.devices == {}
    await world.later(KEEP_SECONDS)
    assert (await world.at_hand.of(MEI)).record == TOLD


async def test_a_store_that_is_away_is_not_papered_over():
    world = World()
    await world.at_hand.poll()
    await world.at_hand.of(MEI)
    world.documents.away = True
    await world.later(STALE_SECONDS * 0.99)
    assert await world.at_hand.of(MEI)
    await world.later(STALE_SECONDS * 0.02)
    with pytest.raises(StateUnavailableError):
        await world.at_hand.of(MEI)


async def test_what_cannot_be_read_is_never_taken_for_nothing():
    world = World()
    await world.at_hand.poll()
    await world.documents.put(Kind.DEVICE, MEI, b"{}", replaces=None, now=world.now())
    with pytest.raises(StateUnavailableError):
        await world.at_hand.of(MEI)


async def test_an_answer_that_was_overtaken_is_not_kept():
    world = World()
    await world.at_hand.poll()
    asked = world.documents.get

    async def slow(kind, key, now):
        found = await asked(kind, key, now)
        if key == MEI:
            world.documents.get = asked
            await world.write(TOLD)
            await tell(world.documents, world.now())
            await world.at_hand.poll()
        return found

    world.documents.get = slow
    await world.at_hand.of(MEI)
    assert (await world.at_hand.of(MEI)).record == TOLD


async def test_since_when_there_is_a_list_is_noted_once():
    world = World()
    await world.at_hand.poll()
    await world.later(3600)
    again = World(world.documents)
    again.seconds = world.seconds
    assert (await again.at_hand.of(MEI)).began == NOON
    await again.at_hand.poll()
    assert (await again.at_hand.of(MEI)).began == NOON


# -- who came


async def test_nothing_is_written_while_somebody_waits_for_an_answer():
    world = World()
    await world.at_hand.poll()
    await world.come()
    assert world.documents.writes == 0
    await world.at_hand.write()
    device = (await world.kept())[MEI].devices[PHONE]
    assert (device.first, device.last) == (to_milliseconds(NOON),) * 2
    assert (device.state, device.app) == (State.KNOWN, "phone")


async def test_a_device_that_keeps_coming_is_written_every_few_minutes():
    world = World()
    for _ in range(2 * SEEN_SECONDS + 1):
        await world.later(1)
        await world.come()
        await world.at_hand.write()
    assert world.documents.writes == 3
    seen = (await world.kept())[MEI].seen
    assert seen == to_milliseconds(world.now())


async def test_what_another_worker_has_just_written_is_not_written_again():
    one = World()
    await one.later(1)
    await one.come()
    await one.at_hand.write()
    other = World(one.documents)
    await other.later(2)
    await other.come()
    await other.at_hand.write()
    assert one.documents.writes == 1


async def test_a_new_device_waits_where_new_ones_wait_and_the_person_was_not_seen():
    world = World(waits=True)
    await world.at_hand.poll()
    await world.come(admitted=False)
    await world.at_hand.write()
    record = (await world.kept())[MEI]
    assert record.devices[PHONE].state is State.WAITING
    assert record.seen is None


async def test_whoever_names_no_device_is_seen_all_the_same():
    world = World()
    await world.at_hand.poll()
    await world.come(device=None)
    await world.at_hand.write()
    assert (await world.kept())[MEI] == Record(devices={}, seen=to_milliseconds(NOON))


async def test_what_could_not_be_written_is_written_when_they_come_again():
    world = World()
    await world.at_hand.poll()
    await world.come()
    world.documents.away = True
    await world.at_hand.write()
    world.documents.away = False
    assert await world.kept() == {}
    await world.come()
    await world.at_hand.write()
    assert PHONE in (await world.kept())[MEI].devices


async def test_what_could_not_be_written_of_one_device_comes_with_the_next_one():
    world = World()
    await world.at_hand.poll()
    await world.come(device=DeviceId("tablet"))
    world.documents.away = True
    await world.at_hand.write()
    world.documents.away = False
    await world.come()
    await world.at_hand.write()
    assert set((await world.kept())[MEI].devices) == {"tablet", PHONE}


async def test_a_device_that_hops_from_network_to_network_is_not_written_more_often():
    world = World()
    for n in range(100):
        await world.later(1)
        await world.come(peer=f"10.{n}.0.1")
        await world.at_hand.write()
    assert world.documents.writes == 1


async def test_what_was_forgotten_is_not_written_down_again():
    world = World()
    await world.at_hand.poll()
    await world.come()
    await world.at_hand.write()
    await world.later(10)
    await world.come()  # not due
    await world.write(Record(devices={}))
    await tell(world.documents, world.now())
    await world.later(SEEN_SECONDS)
    await world.come(device=DeviceId("tablet"))
    await world.at_hand.write()
    assert set((await world.kept())[MEI].devices) == {"tablet"}


async def test_writes_come_in_small_numbers():
    world = World()
    await world.at_hand.poll()
    for n in range(device_map.WRITES + 1):
        await world.come(StaffId(f"staff:p{n}"))
    await world.at_hand.write()
    assert len(await world.kept()) == device_map.WRITES
    await world.at_hand.write()
    assert len(await world.kept()) == device_map.WRITES + 1


async def test_memory_is_bounded_whoever_comes(monkeypatch):
    monkeypatch.setattr(device_map, "MAX_PEOPLE", 3)
    world = World()
    await world.at_hand.poll()
    for n in range(20):
        for device in range(20):
            await world.come(StaffId(f"staff:p{n}"), DeviceId(f"d{device}"), f"10.0.{device}.1")
    at_hand = world.at_hand
    assert len(at_hand._kept) <= 3
    assert len(at_hand._traces) <= 3
    assert len(at_hand._due) <= 3
    assert all(len(traces) <= 16 for traces in at_hand._traces.values())


# -- two places at once


async def use(worlds_and_peers, minutes):
    """Every ten seconds each of them asks from there; all share one store."""
    for _ in range(minutes * 6):
        for world, peer in worlds_and_peers:
            await world.later(10)
            await world.come(peer=peer)
            await world.at_hand.write()


def shared_events(caplog):
    lines = [json.loads(record.message) for record in caplog.records]
    return [line for line in lines if line["event"] == "device_shared"]


async def test_a_sign_in_in_two_places_side_by_side_is_told_also_across_workers(caplog):
    caplog.set_level(logging.WARNING, logger="gateway")
    one = World()
    other = World(one.documents)
    await use([(one, HOME), (other, WORK)], minutes=12)
    assert (await one.kept())[MEI].devices[PHONE].shared is not None
    events = shared_events(caplog)
    assert len(events) == 1
    assert events[0]["staff"] == MEI


async def test_a_phone_that_leaves_the_wifi_is_not_shared(caplog):
    caplog.set_level(logging.WARNING, logger="gateway")
    world = World()
    await use([(world, HOME)], minutes=12)
    await use([(world, WORK)], minutes=12)
    assert (await world.kept())[MEI].devices[PHONE].shared is None
    assert shared_events(caplog) == []


async def test_an_address_that_moves_within_its_network_is_one_place():
    world = World()
    await use([(world, "192.0.2.7"), (world, "192.0.2.200")], minutes=12)
    assert (await world.kept())[MEI].devices[PHONE].shared is None


# -- who hears of new devices -------------------------------------------------------------


class Heard:
    """Somebody who hears of new devices, and what the store knew of them by then."""

    def __init__(self, world):
        self.world, self.heard, self.away = world, [], False
        world.at_hand._came = self.came

    async def came(self, staff, device, app, now):
        if self.away:
            raise StateUnavailableError("told to be away")
        assert now == self.world.now()
        known = (await self.world.kept()).get(staff, Record(devices={}))
        self.heard.append((staff, device, app, device in known.devices))


async def test_a_new_device_is_told_once_before_it_is_written_down():
    world = World()
    heard = Heard(world)
    for _ in range(3):
        await world.come()
        await world.at_hand.write()
        world.seconds += SEEN_SECONDS
    assert heard.heard == [(MEI, PHONE, "phone", False)]
    await world.come(device=DeviceId("tablet"))
    await world.at_hand.write()
    assert [one[1] for one in heard.heard] == [PHONE, "tablet"]


async def test_a_device_that_another_process_wrote_down_or_that_has_no_name_is_not_told():
    world = World()
    heard = Heard(world)
    await world.come()
    await world.come(device=None)
    await world.write(TOLD)
    await world.at_hand.write()
    assert heard.heard == []


async def test_what_could_not_be_told_is_not_written_down_and_told_when_they_come_again():
    world = World()
    heard = Heard(world)
    heard.away = True
    await world.come()
    await world.at_hand.write()
    assert await world.kept() == {}
    heard.away = False
    await world.come()
    await world.at_hand.write()
    assert [one[1] for one in heard.heard] == [PHONE]
    assert PHONE in (await world.kept())[MEI].devices
