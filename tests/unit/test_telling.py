"""What was queued is told once, or tried again with growing pauses, or given up after a day."""

from dataclasses import replace

import pytest

from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.device_notice import device_notice, parse_device_notice
from gateway.identity.grant import Grant, notice_of, parse_notice, render
from gateway.ports import Kind
from gateway.telling import NotToldError, Teller, pause_seconds
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.accounts_world import MovingClock
from tests.oracles.memory_world import CountingMeter


class KilledError(BaseException):
    """The worker is no more."""


class Way:
    def __init__(self):
        self.told = []
        self.works = True
        self.meanwhile = None

    async def tell(self, notice):
        if self.meanwhile is not None:
            await self.meanwhile()
        self.told.append(notice.key)
        if not self.works:
            raise NotToldError("told to fail")


class World:
    def __init__(self):
        self.clock = MovingClock()
        self.documents = MemoryDocuments()
        self.ways = {"webhook": Way(), "smtp": Way()}
        self.meter = CountingMeter()

    def teller(self):
        return Teller(
            documents=self.documents,
            queued=self.queued,
            ways=self.ways,
            clock=self.clock,
            meter=self.meter,
        )

    async def queued(self):
        kept = await self.documents.all(Kind.NOTICE, self.clock.now())
        return {key: parse_notice(one.value) for key, one in kept.items()}

    async def queue(self, to="webhook"):
        begun = 1_795_000_000_000
        grant = Grant(
            id="g-1", staff="staff:mei", device=None, epoch=1, salon="aoyama", resource="client",
            record="7", reason="an allergy", asked=begun, until=begun + 20 * 60_000,
            told=("staff:ken",),
        )  # fmt: skip
        assert self.clock.now() == from_milliseconds(begun)
        notice = notice_of(grant, to)
        await self.documents.put(
            Kind.NOTICE, notice.key, render(notice), replaces=None, now=self.clock.now()
        )


async def test_what_was_told_is_told_once():
    world = World()
    await world.queue()
    await world.teller().beat()
    await world.teller().beat()
    assert world.ways["webhook"].told == ["g-1.webhook"]
    assert await world.queued() == {}
    assert world.meter.named("notice") == [("webhook", "told")]


async def test_a_way_that_fails_is_tried_again_when_it_is_due_and_holds_up_no_other():
    world = World()
    await world.queue("webhook")
    await world.queue("smtp")
    world.ways["webhook"].works = False
    await world.teller().beat()
    await world.teller().beat()
    assert [len(w.told) for w in world.ways.values()] == [1, 1]
    world.clock.later(seconds=29)
    await world.teller().beat()
    assert len(world.ways["webhook"].told) == 1
    world.clock.later(seconds=1)
    world.ways["webhook"].works = True
    await world.teller().beat()
    assert len(world.ways["webhook"].told) == 2
    assert await world.queued() == {}


async def test_of_two_workers_one_tells_it():
    world = World()
    await world.queue()
    world.ways["webhook"].meanwhile = world.teller().beat
    seen = await world.queued()
    first, second = world.teller(), world.teller()
    await first.beat()
    assert seen
    await second._try("g-1.webhook")  # it heard of it before it was told
    assert world.ways["webhook"].told == ["g-1.webhook"]


async def test_a_worker_that_died_on_the_way_leaves_it_to_the_next():
    world = World()
    await world.queue()

    async def dies():
        raise KilledError

    world.ways["webhook"].meanwhile = dies
    with pytest.raises(KilledError):
        await world.teller().beat()
    world.ways["webhook"].meanwhile = None
    world.clock.later(seconds=30)
    await world.teller().beat()
    assert world.ways["webhook"].told == ["g-1.webhook"]


async def test_after_a_day_it_is_given_up_and_stays_to_be_seen():
    world = World()
    await world.queue()
    world.ways["webhook"].works = False
    for _ in range(200):
        await world.teller().beat()
        world.clock.later(seconds=900)
    (notice,) = (await world.queued()).values()
    assert notice.given_up
    assert 90 < len(world.ways["webhook"].told) < 110
    assert world.meter.named("notice").count(("webhook", "given_up")) == 1


async def test_a_way_that_gateway_yaml_lost_is_a_failure_not_an_end():
    world = World()
    await world.queue()
    world.ways = {}
    await world.teller().beat()
    (notice,) = (await world.queued()).values()
    assert notice.tries == 1
    assert world.meter.named("notice") == [("webhook", "failed")]


def test_pauses_grow_and_are_bounded():
    assert [pause_seconds(n) for n in (0, 1, 2, 3, 5, 1000)] == [30, 60, 120, 240, 900, 900]


async def test_of_a_new_device_it_is_told_from_a_queue_of_its_own_and_nothing_stays():
    world = World()
    now = world.clock.now()
    notice = device_notice(
        StaffId("staff:mei"),
        DeviceId("phone-1"),
        "phone",
        to="webhook",
        told=(StaffId("staff:ken"),),
        now=now,
    )
    kind = Kind.DEVICE_NOTICE
    await world.documents.put(kind, notice.key, render(notice), replaces=None, now=now)

    async def queued():
        kept = await world.documents.all(kind, world.clock.now())
        return {key: parse_device_notice(one.value) for key, one in kept.items()}

    teller = replace(
        world.teller(), kind=kind, parse=parse_device_notice, queued=queued, keeps=False
    )
    world.ways["webhook"].works = False
    await teller.beat()
    assert [one.tries for one in (await queued()).values()] == [1]
    world.clock.later(hours=24)
    await teller.beat()
    assert await queued() == {}  # given up: the device stands on the list of devices
    assert world.meter.named("notice")[-1] == ("webhook", "given_up")
    assert world.ways["webhook"].told == [notice.key] * 2
