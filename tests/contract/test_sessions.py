"""Locks and offboarding over the real stores: several at once, from several processes' side.

Each `Sessions` has connections of its own, as the workers and the command line have. Whoever is
first, the outcome is one that the acts allow: what is in effect stays, and nothing is left over.
"""

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count

import pytest

from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import parse_redis
from gateway.domain.act import Act
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.ports import Kind
from gateway.sessions import Sessions, locks_in
from tests.oracles.redis_process import RedisProcess

NOON = from_milliseconds(1_795_000_000_000)
MEI, KEN, HANA = StaffId("staff:mei"), StaffId("staff:ken"), StaffId("staff:hana")
PHONE = DeviceId("phone-1")
FRESH = count()


def later(seconds):
    return instant(NOON + timedelta(seconds=seconds))


class StillClock:
    def now(self):
        return NOON


class Trail:
    def __init__(self):
        self.entries = []

    async def append(self, entry):
        self.entries.append(entry)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started:
        yield started


class Salon:
    """Several gateways on one state, with one trail to look at."""

    def __init__(self, gateways, trail):
        self.gateways = gateways
        self.trail = trail

    @property
    def documents(self):
        return self.gateways[0].documents

    @property
    def epochs(self):
        return self.gateways[0].epochs

    async def lock_of(self, staff):
        return (await locks_in(self.documents, NOON)).get(staff)

    async def at_once(self, *acts):
        """Every gateway does each of the acts, all at the same time."""
        await asyncio.gather(*(insist(act, each) for act in acts for each in self.gateways))


async def insist(act, sessions):
    """Whoever is told that the state does not answer says it again: a store may be so busy."""
    for _ in range(20):
        with contextlib.suppress(StateUnavailableError):
            return await act(sessions)
    return await act(sessions)


@pytest.fixture(params=["sqlite", "redis"])
async def salon(request, tmp_path):
    server = request.getfixturevalue("server") if request.param == "redis" else None
    prefix, trail = f"test-{next(FRESH)}:", Trail()
    async with AsyncExitStack() as stack:

        def a_gateway():
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
            return Sessions(
                epochs=epochs,
                documents=documents,
                audit=trail,
                clock=StillClock(),
                policy=lambda: "digest",
                new_id=lambda: f"act-{next(FRESH)}",
            )

        yield Salon([a_gateway() for _ in range(4)], trail)


def locking(sessions):
    return sessions.lock(MEI, by=HANA, peer="-")


def unlocking(sessions):
    return sessions.unlock(MEI, by=HANA, peer="-")


def seeing_out(at=None):
    return lambda sessions: sessions.offboard(MEI, at=at, notice_from=None, by=HANA, peer="-")


async def test_whoever_is_locked_by_several_at_once_is_locked_once(salon):
    await salon.at_once(locking)
    assert (await salon.documents.get(Kind.LOCK, MEI, NOON)).revision == 1
    assert len(salon.trail.entries) >= 4
    assert {entry.act for entry in salon.trail.entries} == {Act.LOCK}


async def test_nothing_that_comes_at_the_same_time_undoes_a_tombstone(salon):
    await salon.at_once(locking, unlocking, seeing_out(later(60)), seeing_out(), unlocking)
    lock = await salon.lock_of(MEI)
    assert lock.has_left(NOON)
    assert len(salon.trail.entries) >= 20
    await salon.at_once(unlocking, locking, seeing_out(later(60)))
    assert await salon.lock_of(MEI) == lock


async def test_of_several_moments_at_once_one_counts_and_a_lock_is_not_lost(salon):
    await salon.at_once(locking, seeing_out(later(60)), seeing_out(later(90)))
    lock = await salon.lock_of(MEI)
    assert lock.leaves_at in {later(60), later(90)}
    assert lock.is_locked(NOON)
    assert not lock.has_left(NOON)


async def test_a_lock_and_its_lifting_at_once_leave_one_or_the_other(salon):
    await salon.at_once(locking, unlocking)
    lock = await salon.lock_of(MEI)
    assert lock is None or lock.is_locked(NOON)


async def test_who_is_seen_out_is_out_everywhere_and_leaves_nothing(salon):
    epoch = await salon.epochs.enrol(MEI, PHONE, NOON)
    await salon.epochs.enrol(KEN, PHONE, NOON)

    async def put(kind, key, staff):
        value = json.dumps({"staff": staff}).encode()
        assert await salon.documents.put(kind, key, value, replaces=None, now=NOON)

    for staff in (MEI, KEN):
        await put(Kind.ACCOUNT, staff, staff)
        for number in range(6):
            await put(Kind.LEARNED, f"{staff}-{number}", staff)
        await put(Kind.SIGN_IN, f"{staff}-console", staff)

    async def renewing(sessions):
        """A credential is seen again, and noted, while it is taken away."""
        for number in range(6):
            key = f"{MEI}-{number}"
            kept = await sessions.documents.get(Kind.LEARNED, key, NOON)
            if kept is not None:
                await sessions.documents.put(
                    Kind.LEARNED, key, kept.value, replaces=kept.revision, now=NOON
                )

    await salon.at_once(renewing, seeing_out(), renewing)
    for sessions in salon.gateways:
        assert await sessions.epochs.floor(MEI, PHONE) > epoch
        assert await sessions.epochs.floor(KEN, PHONE) <= epoch
        left = {
            key
            for kind in (Kind.ACCOUNT, Kind.LEARNED, Kind.SIGN_IN)
            for key in await sessions.documents.all(kind, NOON)
        }
        assert left == {KEN, *(f"{KEN}-{number}" for number in range(6)), f"{KEN}-console"}


async def test_what_one_gateway_locks_every_other_knows(salon):
    first, *others = salon.gateways
    lock = await first.lock(MEI, by=None, peer="-")
    for other in others:
        assert await other.locks() == {MEI: lock}
    await others[0].unlock(MEI, by=None, peer="-")
    assert await first.locks() == {}
