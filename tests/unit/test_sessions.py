"""Logging out, locking, seeing out: entered first, done whole, and the same when said twice.

A small store stands here, beside the contract suite's real ones, because it can be told to be
away, or that somebody else is always faster.
"""

import json
from datetime import date, timedelta

import pytest

from gateway.audit.entry import Phase
from gateway.domain.act import Act
from gateway.domain.errors import AuditUnavailableError, StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.locks import Lock, parse_lock, render_lock
from gateway.ports import Kept, Kind
from gateway.sessions import ATTEMPTS, Sessions
from tests.oracles.memory_epochs import MemoryEpochs

NOON = from_milliseconds(1_795_000_000_000)
MEI, KEN, HANA = StaffId("staff:mei"), StaffId("staff:ken"), StaffId("staff:hana")
PHONE = DeviceId("phone-1")
PEER = "192.0.2.7"


def later(seconds):
    return instant(NOON + timedelta(seconds=seconds))


class Documents:
    """`faster` writers come in between a reading and its writing."""

    def __init__(self, done):
        self.kept = {}
        self.ends = {}
        self.done = done
        self.faster = 0
        self.writes = None  # what they write; None = the same again
        self.away = False

    def set(self, kind, key, value, expires=None):
        before = self.kept.get((kind, key))
        self.kept[kind, key] = Kept(value=value, revision=before.revision + 1 if before else 1)
        self.ends[kind, key] = expires
        return self.kept[kind, key]

    def is_here(self, name, now):
        return name in self.kept and (self.ends[name] is None or now < self.ends[name])

    def beaten(self, kind, key, replaces, now):
        """Does another revision stand there than the one that was read?"""
        if self.faster and self.is_here((kind, key), now):
            self.faster -= 1
            self.set(kind, key, self.writes or self.kept[kind, key].value)
        here = self.kept[kind, key].revision if self.is_here((kind, key), now) else None
        return here != replaces

    async def get(self, kind, key, now):
        if self.away:
            raise StateUnavailableError
        return self.kept[kind, key] if self.is_here((kind, key), now) else None

    async def put(self, kind, key, value, *, replaces, now, expires=None):
        if self.beaten(kind, key, replaces, now):
            return None
        self.done.append(f"put {kind} {key}")
        return self.set(kind, key, value, expires)

    async def remove(self, kind, key, *, replaces, now):
        if self.beaten(kind, key, replaces, now):
            return False
        del self.kept[kind, key]
        self.done.append(f"remove {kind} {key}")
        return True

    async def all(self, kind, now):
        if self.away:
            raise StateUnavailableError
        here = (name for name in self.kept if name[0] is kind and self.is_here(name, now))
        return {name[1]: self.kept[name] for name in here}


class Epochs(MemoryEpochs):
    def __init__(self, done):
        super().__init__()
        self.done = done

    async def revoke(self, staff, device, now):
        floor = await super().revoke(staff, device, now)
        self.done.append(f"revoke {staff} {device}")
        return floor


class Trail:
    def __init__(self, done):
        self.entries = []
        self.full = False
        self.done = done

    async def append(self, entry):
        if self.full:
            raise AuditUnavailableError
        self.entries.append(entry)
        self.done.append(f"enter {entry.act} {entry.whom}")


class World:
    def __init__(self):
        self.at = NOON
        self.done = []
        self.epochs, self.documents, self.trail = (
            Epochs(self.done),
            Documents(self.done),
            Trail(self.done),
        )
        self.sessions = Sessions(
            epochs=self.epochs,
            documents=self.documents,
            audit=self.trail,
            clock=self,
            policy=lambda: "digest",
            new_id=lambda: f"act-{len(self.trail.entries)}",
        )

    def now(self):
        return self.at

    def lock_of(self, staff):
        kept = self.documents.kept.get((Kind.LOCK, staff))
        return None if kept is None else parse_lock(kept.value)

    async def offboard(self, staff=MEI, *, at=None, notice_from=None):
        return await self.sessions.offboard(
            staff, at=at, notice_from=notice_from, by=HANA, peer=PEER
        )

    def belongings(self):
        """Everything there is in the state besides locks."""
        return {(k, key) for k, key in self.documents.kept if k is not Kind.LOCK}


@pytest.fixture
def world():
    return World()


def owned(staff, **more):
    return json.dumps({"staff": staff, **more}).encode()


def give_everything(world, staff):
    name = staff.removeprefix("staff:")
    world.documents.set(Kind.ACCOUNT, staff, b"{}")
    world.documents.set(Kind.LEARNED, f"{name}-1", owned(staff, device="phone-1"))
    world.documents.set(Kind.LEARNED, f"{name}-2", owned(staff))
    world.documents.set(Kind.SIGN_IN, f"{name}-console", owned(staff))
    return {
        (Kind.ACCOUNT, staff),
        (Kind.LEARNED, f"{name}-1"),
        (Kind.LEARNED, f"{name}-2"),
        (Kind.SIGN_IN, f"{name}-console"),
    }


async def test_an_act_is_entered_before_it_takes_effect(world):
    await world.sessions.log_out(MEI, PHONE, by=HANA, peer=PEER)
    await world.sessions.lock(MEI, by=HANA, peer=PEER)
    await world.sessions.unlock(MEI, by=HANA, peer=PEER)
    await world.offboard()
    assert world.done == [
        "enter log_out staff:mei",
        "revoke staff:mei phone-1",
        "enter lock staff:mei",
        "put lock staff:mei",
        "revoke staff:mei None",
        "enter unlock staff:mei",
        "remove lock staff:mei",
        "enter offboard staff:mei",
        "put lock staff:mei",
        "revoke staff:mei None",
    ]


async def test_an_entry_says_who_did_what_to_whom_from_where(world):
    await world.sessions.log_out(MEI, PHONE, by=HANA, peer=PEER)
    (entry,) = world.trail.entries
    assert entry.phase is Phase.ACT
    assert (entry.staff, entry.act, entry.whom, entry.device) == (HANA, Act.LOG_OUT, MEI, PHONE)
    assert (entry.at, entry.method, entry.peer, entry.policy) == (NOON, "-", PEER, "digest")
    assert entry.request_id == "act-0"


ACTS = {
    "log_out": lambda world: world.sessions.log_out(MEI, None, by=HANA, peer=PEER),
    "lock": lambda world: world.sessions.lock(MEI, by=HANA, peer=PEER),
    "unlock": lambda world: world.sessions.unlock(MEI, by=HANA, peer=PEER),
    "offboard": lambda world: world.offboard(),
}


@pytest.mark.parametrize("act", ACTS)
async def test_what_cannot_be_entered_is_not_done(world, act):
    await world.sessions.lock(MEI, by=HANA, peer=PEER)
    give_everything(world, MEI)
    before = (dict(world.documents.kept), await world.epochs.rows())
    world.trail.full = True
    with pytest.raises(AuditUnavailableError):
        await ACTS[act](world)
    assert (dict(world.documents.kept), await world.epochs.rows()) == before


async def test_a_locked_person_is_logged_out_everywhere(world):
    epoch = await world.epochs.enrol(MEI, PHONE, NOON)
    lock = await world.sessions.lock(MEI, by=HANA, peer=PEER)
    assert lock == world.lock_of(MEI) == Lock(since=1_795_000_000_000, by=HANA, left=False)
    assert await world.epochs.floor(MEI, PHONE) > epoch


async def test_who_is_seen_out_keeps_nothing_and_others_keep_theirs(world):
    give_everything(world, MEI)
    kens = give_everything(world, KEN)
    epoch = await world.epochs.enrol(MEI, PHONE, NOON)
    lock = await world.offboard()
    assert lock.has_left(NOON)
    assert world.lock_of(MEI) == lock
    assert world.lock_of(KEN) is None
    assert await world.epochs.floor(MEI, PHONE) > epoch
    assert world.belongings() == kens


async def test_what_is_set_for_later_takes_nothing_away_before(world):
    theirs = give_everything(world, MEI)
    epoch = await world.epochs.enrol(MEI, PHONE, NOON)
    lock = await world.offboard(at=later(60), notice_from=date(2026, 12, 1))
    assert (lock.leaves_at, lock.notice_from) == (later(60), date(2026, 12, 1))
    assert world.belongings() == theirs
    assert await world.epochs.floor(MEI, PHONE) == epoch


async def test_said_again_after_its_instant_it_clears_away_what_is_left(world):
    give_everything(world, MEI)
    lock = await world.offboard(at=later(60))
    world.at = later(61)
    assert await world.offboard(at=later(600)) == lock
    assert world.belongings() == set()


async def test_the_same_said_twice_is_one_effect_and_two_entries(world):
    first = await world.offboard()
    revision = world.documents.kept[Kind.LOCK, MEI].revision
    world.at = later(5)
    assert await world.offboard() == first
    assert world.documents.kept[Kind.LOCK, MEI].revision == revision
    assert [entry.act for entry in world.trail.entries] == [Act.OFFBOARD] * 2
    await world.sessions.lock(KEN, by=HANA, peer=PEER)
    await world.sessions.lock(KEN, by=MEI, peer=PEER)
    assert world.documents.kept[Kind.LOCK, KEN].revision == 1


async def test_a_tombstone_is_not_lifted_by_an_unlock_nor_softened_by_a_lock(world):
    gone = await world.offboard()
    await world.sessions.unlock(MEI, by=HANA, peer=PEER)
    assert await world.sessions.lock(MEI, by=HANA, peer=PEER) == gone
    assert world.lock_of(MEI) == gone
    coming = await world.offboard(KEN, at=later(60))
    await world.sessions.unlock(KEN, by=HANA, peer=PEER)
    assert world.lock_of(KEN) == coming


async def test_unlocking_who_is_not_locked_changes_nothing(world):
    await world.sessions.unlock(MEI, by=HANA, peer=PEER)
    assert world.documents.kept == {}


async def test_whoever_is_beaten_to_it_reads_again(world):
    world.documents.set(Kind.LOCK, MEI, render_lock(Lock(since=1, by=None, left=False)))
    world.documents.faster = ATTEMPTS - 1
    assert (await world.offboard()).left
    assert world.lock_of(MEI).left


async def test_whoever_is_always_beaten_to_it_gives_up_and_says_so(world):
    world.documents.set(Kind.LOCK, MEI, render_lock(Lock(since=1, by=None, left=False)))
    world.documents.faster = ATTEMPTS
    with pytest.raises(StateUnavailableError):
        await world.offboard()


async def test_a_document_renewed_while_it_is_removed_is_removed_all_the_same(world):
    give_everything(world, MEI)
    await world.offboard(at=later(60))
    world.at = later(60)
    world.documents.faster = 5
    await world.offboard()
    assert world.belongings() == set()


async def test_what_is_somebody_elses_by_then_is_left_alone(world):
    world.documents.set(Kind.LEARNED, "shared", owned(MEI))
    await world.offboard(at=later(60))
    world.at = later(60)
    world.documents.faster, world.documents.writes = 2, owned(KEN)
    await world.offboard()
    assert world.documents.kept[Kind.LEARNED, "shared"].value == owned(KEN)


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b"{}", b'{"staff": 7}', b'{"staff":"staff:ken","staff":null}']
)
async def test_a_document_whose_owner_cannot_be_read_keeps_no_other_and_is_told(world, value):
    give_everything(world, MEI)
    world.documents.set(Kind.LEARNED, "broken", value)
    with pytest.raises(StateUnavailableError) as caught:
        await world.offboard()
    assert "cannot be read: 1" in caught.value.detail
    assert world.lock_of(MEI).has_left(NOON)
    assert world.belongings() == {(Kind.LEARNED, "broken")}


async def test_a_lock_that_cannot_be_read_is_never_taken_for_none(world):
    world.documents.set(Kind.LOCK, MEI, b"{}")
    with pytest.raises(StateUnavailableError):
        await world.sessions.locks()
    with pytest.raises(StateUnavailableError):
        await world.sessions.unlock(MEI, by=HANA, peer=PEER)
    assert world.documents.kept[Kind.LOCK, MEI].value == b"{}"


@pytest.mark.parametrize("key", ["mei", "staff:", "staff:Mei", "staff:staff:mei", "role:mei"])
async def test_a_lock_of_nobody_is_not_passed_over(world, key):
    world.documents.set(Kind.LOCK, key, render_lock(Lock(since=1, by=None, left=False)))
    with pytest.raises(StateUnavailableError):
        await world.sessions.locks()


async def test_all_locks_are_told_by_whose_they_are(world):
    assert await world.sessions.locks() == {}
    locked = await world.sessions.lock(MEI, by=None, peer="-")
    gone = await world.offboard(KEN)
    assert await world.sessions.locks() == {MEI: locked, KEN: gone}


async def test_a_state_that_is_away_is_said_so(world):
    world.documents.away = True
    with pytest.raises(StateUnavailableError):
        await world.sessions.lock(MEI, by=HANA, peer=PEER)
    with pytest.raises(StateUnavailableError):
        await world.sessions.locks()
