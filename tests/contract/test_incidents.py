"""A lockdown over the real stores: several gateways at once, many people, sign-ins in flight.

Each gateway has connections of its own and the incident at hand, as a worker has.
"""

import asyncio
import contextlib
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from functools import partial
from itertools import count

import pytest
import redis

from gateway.backends.epoch_map import STALE_SECONDS, LocalEpochs
from gateway.backends.incident_floor import FlooredEpochs
from gateway.backends.incident_map import IncidentAtHand
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import parse_redis
from gateway.domain.act import Act
from gateway.domain.errors import (
    AuditUnavailableError,
    GatewayError,
    RequestError,
    StateUnavailableError,
)
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.incident import KEY, OWNERS, require_admitted
from gateway.incidents import Incidents
from gateway.ports import Kind
from gateway.sessions import locks_in
from tests.oracles.redis_process import RedisProcess

NOON = from_milliseconds(1_795_000_000_000)
HANA, MEI = StaffId("staff:hana"), StaffId("staff:mei")
PHONE = DeviceId("phone-1")
GATEWAYS = 4
FRESH = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started:
        yield started


class Trail:
    def __init__(self):
        self.entries = []
        self.away = False

    async def append(self, entry):
        if self.away:
            raise AuditUnavailableError("told to be away")
        self.entries.append(entry)


class Gauge:
    active = None

    def incident(self, *, active):
        self.active = active


class Clock:
    """One that is so many seconds off."""

    def __init__(self, off):
        self.off = off

    def now(self):
        return NOON + timedelta(seconds=self.off)


class Gateway:
    def __init__(self, epochs, documents, trail, clock):
        self.documents = documents
        self.bare = epochs
        self.clock = clock
        self.meter = Gauge()
        loop = asyncio.get_running_loop()
        self.local = LocalEpochs(epochs, monotonic=loop.time)
        self.at_hand = IncidentAtHand(
            documents, meter=self.meter, monotonic=loop.time, now=clock.now
        )
        self.epochs = FlooredEpochs(self.local, self.at_hand.current, admit)
        self.incidents = Incidents(
            epochs=epochs,
            documents=documents,
            audit=trail,
            clock=clock,
            heard=lambda: asyncio.sleep(STALE_SECONDS),
            policy=lambda: "digest",
            new_id=lambda: f"act-{next(FRESH)}",
        )

    async def poll(self):
        while True:
            await self.local.poll()
            await self.at_hand.poll()
            await asyncio.sleep(0.02)

    async def sign_in(self, staff, device=None):
        now = self.clock.now()
        return staff, device, await told(lambda: self.epochs.enrol(staff, device, now))

    async def passes(self, session):
        return await told(lambda: self._passes(session))

    async def _passes(self, session):
        staff, device, epoch = session
        try:
            admit(staff, await self.at_hand.current())
        except RequestError:
            return False
        floor = await self.epochs.floor(staff, device)
        return floor is not None and epoch >= floor


def admit(staff, incident):
    require_admitted({Role("role:owner")} if staff == HANA else set(), incident, OWNERS)


@pytest.fixture(params=["sqlite", "redis"])
async def salon(request, tmp_path):
    server = request.getfixturevalue("server") if request.param == "redis" else None
    prefix, trail = f"test-{next(FRESH)}:", Trail()
    async with AsyncExitStack() as stack:

        def stores():
            if server is None:
                epochs = SqliteEpochs(tmp_path / "epochs.sqlite3")
                documents = SqliteDocuments(tmp_path / "documents.sqlite3")
            else:
                address = parse_redis(server.url())
                ledger = tmp_path / "ledger.sqlite3"
                epochs = RedisEpochs(address, prefix=prefix, ledger=ledger)
                documents = RedisDocuments(address, prefix=prefix, ledger=ledger)
            stack.push_async_callback(epochs.close)
            stack.push_async_callback(documents.close)
            return epochs, documents

        # One is minutes ahead, one behind: what they gave out must end all the same.
        gateways = [Gateway(*stores(), trail, Clock(off)) for off in (0, 300, -300, 0)]
        polls = [asyncio.ensure_future(one.poll()) for one in gateways]
        yield gateways
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def told(ask):
    """What it says in the end: a store that is asked too much at once refuses for a moment."""
    for _ in range(100):
        try:
            return await ask()
        except StateUnavailableError:
            await asyncio.sleep(0.01)
    return await ask()


async def start(gateway, contact=""):
    return await told(lambda: gateway.incidents.start("a lost laptop", contact, by=HANA, peer="-"))


async def heard():
    await asyncio.sleep(2 * STALE_SECONDS)


async def test_every_session_ends_everywhere_whosever_clock_gave_it_and_none_comes_back(salon):
    first, *others = salon
    sessions = [await one.sign_in(who, PHONE) for one in salon for who in (HANA, MEI)]
    incident = await start(first)
    assert (incident.settled, incident.is_active) == (True, True)
    for one in salon:
        assert not any([await one.passes(session) for session in sessions])
    with pytest.raises(RequestError) as caught:
        await others[0].sign_in(MEI, PHONE)
    assert caught.value.reason is Reason.INCIDENT
    owner = await others[1].sign_in(HANA, PHONE)  # whose clock is behind
    assert await first.passes(owner)
    ended = await told(lambda: others[2].incidents.end(by=HANA, peer="-"))
    assert (ended.is_active, ended.ended_by) == (False, HANA)
    await heard()
    for one in salon:
        assert not any([await one.passes(session) for session in sessions])
        assert await one.passes(owner)
        assert await one.passes(await one.sign_in(MEI, PHONE))
        assert one.meter.active is False


async def test_it_takes_no_longer_for_ten_thousand_people(salon):
    """Two writes and one look, whoever is known: nobody is gone through one by one."""
    written = []
    for store in (salon[0].documents, salon[0].bare):
        for name in ("put", "revoke", "enrol"):
            if hasattr(store, name):
                asked = getattr(store, name)

                async def counted(*given, _asked=asked, _name=name, **more):
                    written.append(_name)
                    return await _asked(*given, **more)

                setattr(store, name, counted)
    for number in range(50):
        await salon[0].sign_in(StaffId(f"staff:p{number}"))
    written.clear()
    await start(salon[0])
    assert written == ["put", "put"]


async def test_of_those_who_sign_in_while_it_begins_nobody_has_a_session_after_it(salon):
    sessions, first, over, some = [], salon[0], asyncio.Event(), asyncio.Event()

    async def insist(gateway, number):
        turn = 0
        while not over.is_set():
            turn += 1
            with contextlib.suppress(GatewayError):
                who = StaffId(f"staff:p{number}-{turn % 3}")
                sessions.append(await gateway.sign_in(who, PHONE))
                some.set()
            await asyncio.sleep(0)

    trying = [asyncio.ensure_future(insist(one, n)) for n, one in enumerate(salon)]
    await some.wait()
    await start(first)
    began = len(sessions)
    await heard()
    over.set()
    await asyncio.gather(*trying)
    assert len(sessions) == began  # nobody came in after it was said to be in force
    await told(lambda: first.incidents.end(by=None, peer="-"))
    await heard()
    for one in salon:
        assert not any([await one.passes(session) for session in sessions])


async def test_of_several_who_begin_it_at_once_there_is_one(salon):
    found = await asyncio.gather(*(start(one) for one in salon))
    assert {incident.number for incident in found} == {1}
    assert len({incident.floor for incident in found}) == 1
    ends = [partial(one.incidents.end, by=None, peer="-") for one in salon]
    ended = await asyncio.gather(*map(told, ends))
    assert {incident.is_active for incident in ended} == {False}
    again = await start(salon[1])
    assert (again.number, again.is_active) == (2, True)
    assert again.floor > found[0].floor


async def test_what_cannot_be_entered_is_not_done(salon):
    session = await salon[0].sign_in(MEI)
    trail = salon[0].incidents.audit
    trail.away = True
    for act in (start(salon[0]), salon[0].incidents.end(by=None, peer="-")):
        with pytest.raises(AuditUnavailableError):
            await act
    assert await salon[0].incidents.state() is None
    assert await salon[0].passes(session)
    trail.away = False
    await start(salon[0])
    await salon[0].incidents.end(by=HANA, peer="192.0.2.7")
    acts = [(entry.act, entry.staff, entry.whom, entry.peer) for entry in trail.entries]
    assert acts == [
        (Act.INCIDENT_START, HANA, None, "-"),
        (Act.INCIDENT_END, HANA, None, "192.0.2.7"),
    ]


async def test_a_reason_that_is_none_is_neither_entered_nor_done(salon):
    with pytest.raises(ValueError, match="reason"):
        await salon[0].incidents.start("a\nb", "", by=None, peer="-")
    assert salon[0].incidents.audit.entries == []
    assert await salon[0].incidents.state() is None


async def test_a_state_that_cannot_be_read_lets_nobody_in(salon):
    session = await salon[0].sign_in(HANA)
    await salon[0].documents.put(Kind.LOCK, KEY, b'{"number":1}', replaces=None, now=NOON)
    await heard()
    for asked in (salon[0].passes(session), salon[0].sign_in(HANA), salon[0].incidents.state()):
        with pytest.raises(StateUnavailableError):
            await asked


async def test_it_is_among_the_locks_and_no_person_is_locked_by_it(salon):
    await start(salon[0])
    assert await locks_in(salon[1].documents, NOON) == {}


async def test_a_redis_that_lost_its_memory_has_it_again_after_the_repair(salon, server):
    documents = salon[0].documents
    if not isinstance(documents, RedisDocuments):
        return  # an embedded store has its file, or is none
    session = await salon[0].sign_in(MEI)
    before = await start(salon[0])
    with closing(redis.Redis(port=server.port)) as admin:
        admin.flushall()
    await heard()
    with pytest.raises(StateUnavailableError):
        await salon[1].incidents.state()

    async def repaired():
        await documents.repair()
        await asyncio.sleep(1.5)  # the others accept it within a second
        return await told(salon[1].incidents.state)

    assert await told(repaired) == before  # said again, as its refusal asks, if it is not yet
    assert not await salon[1].passes(session)


async def test_the_gauge_follows(salon):
    assert await gauges(salon, wanted=False) == [False] * GATEWAYS
    await start(salon[0])
    assert await gauges(salon, wanted=True) == [True] * GATEWAYS


async def gauges(salon, *, wanted):
    """What they show in the end: a disk that stalls may let them hear of it late."""
    for _ in range(50):
        await heard()
        if {one.meter.active for one in salon} == {wanted}:
            break
    return [one.meter.active for one in salon]
