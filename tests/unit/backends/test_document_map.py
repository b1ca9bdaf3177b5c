"""The documents at hand: what they tell by themselves, for how long, when they ask the store."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from gateway.backends.document_map import LocalDocuments
from gateway.backends.epoch_map import KEEP_SECONDS, POLL_SECONDS, STALE_SECONDS
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import Kept, Kind
from tests.contract.memory_documents import MemoryDocuments

NOON = from_milliseconds(1_795_000_000_000)
LOCK = Kind.LOCK
MEI, KEN = "staff:mei", "staff:ken"


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    said: str


def word(said):
    return msgspec.json.encode(Word(said))


class CountingDocuments(MemoryDocuments):
    """Counts its questions; holds back answers: all while `flows` is not set, or whole kinds."""

    def __init__(self):
        super().__init__()
        self.asked = self.loaded = 0
        self.flows = asyncio.Event()
        self.flows.set()
        self.loads = asyncio.Event()
        self.loads.set()

    async def get(self, kind, key, now):
        self.asked += 1
        return await super().get(kind, key, now)

    async def all(self, kind, now):
        self.loaded += 1
        found = await super().all(kind, now)
        await self.loads.wait()
        return found

    async def version(self):
        found = await super().version()
        await self.flows.wait()
        return found


class Desk:
    """A map over a store, and the times that it sees."""

    def __init__(self):
        self.monotonic = 1000.0
        self.now = NOON
        self.decoded = []
        self.store = CountingDocuments()
        self.map = LocalDocuments(
            self.store,
            LOCK,
            self.decode,
            monotonic=lambda: self.monotonic,
            now=lambda: self.now,
        )

    def decode(self, value):
        self.decoded.append(value)
        return msgspec.json.decode(value, type=Word)

    async def say(self, key, value, *, kind=LOCK, expires=None):
        old = await self.store.get(kind, key, self.now)
        replaces = old.revision if old else None
        await self.store.put(kind, key, value, replaces=replaces, now=self.now, expires=expires)

    async def asks_the_store(self, key=MEI):
        before = self.store.asked
        await self.map.get(key)
        return self.store.asked > before

    async def passes(self, seconds):
        self.monotonic += seconds
        self.now += timedelta(seconds=seconds)
        await self.map.poll()


async def a_desk():
    desk = Desk()
    await desk.say(MEI, word("out"))
    await desk.map.poll()
    return desk


async def test_what_stands_is_told_without_asking_and_so_is_what_does_not():
    desk = await a_desk()
    assert await desk.map.get(MEI) == Word("out")
    assert await desk.map.get(KEN) is None
    assert not await desk.asks_the_store(MEI)
    assert not await desk.asks_the_store(KEN)
    assert await desk.map.all() == {MEI: Word("out")}


async def test_without_a_poll_every_request_asks_the_store():
    desk = Desk()
    await desk.say(MEI, word("out"))
    for key in (MEI, KEN, MEI):
        assert await desk.asks_the_store(key)
    assert await desk.map.get(MEI) == Word("out")
    assert await desk.map.all() == {MEI: Word("out")}


async def test_what_is_not_confirmed_for_a_tenth_of_a_second_is_not_told():
    desk = await a_desk()
    desk.monotonic += STALE_SECONDS * 0.99
    assert not await desk.asks_the_store()
    desk.monotonic = 1000.0 + STALE_SECONDS
    assert await desk.asks_the_store()
    await desk.say(KEN, word("new"))
    assert await desk.map.get(KEN) == Word("new")


async def test_what_somebody_else_wrote_counts_with_the_next_poll():
    desk = await a_desk()
    assert await desk.map.get(MEI) == Word("out")
    await desk.say(MEI, word("in"))
    await desk.say(KEN, word("out"))
    await desk.map.poll()
    assert await desk.map.get(MEI) == Word("in")
    assert await desk.map.get(KEN) == Word("out")
    await desk.store.remove(LOCK, KEN, replaces=1, now=NOON)
    await desk.map.poll()
    assert await desk.map.get(KEN) is None


async def test_everything_is_loaded_once_while_nothing_changes():
    desk = await a_desk()
    for _ in range(5):
        await desk.passes(POLL_SECONDS)
    assert desk.store.loaded == 1
    await desk.passes(KEEP_SECONDS)
    assert desk.store.loaded == 2


async def test_what_changed_without_a_write_of_ours_comes_to_light():
    desk = await a_desk()
    desk.store.documents[LOCK, MEI] = Kept(value=word("in"), revision=1)
    await desk.passes(KEEP_SECONDS)
    assert await desk.map.get(MEI) == Word("in")


async def test_a_document_is_decoded_once_as_long_as_it_is_the_same():
    desk = await a_desk()
    await desk.map.get(MEI)
    await desk.say(KEN, word("out"))
    await desk.passes(KEEP_SECONDS)
    await desk.map.get(MEI)
    assert desk.decoded == [word("out")]


async def test_what_expires_is_not_told_from_that_instant_on_also_without_a_poll():
    desk = await a_desk()
    await desk.say(KEN, word("out"), expires=NOON + timedelta(milliseconds=40))
    await desk.map.poll()
    assert await desk.map.get(KEN) == Word("out")
    desk.now += timedelta(milliseconds=39)
    assert KEN in await desk.map.all()
    desk.now += timedelta(milliseconds=1)
    assert await desk.map.get(KEN) is None
    assert await desk.map.all() == {MEI: Word("out")}


async def test_a_document_that_does_not_read_is_an_error_for_its_key_only():
    desk = await a_desk()
    for value in (b"", b"{", b"null", b"\xff", b'{"said": 1}', b'{"said": "x", "more": 1}'):
        await desk.say(KEN, value)
        desk.monotonic += STALE_SECONDS
        for _ in ("asked for", "kept"):
            with pytest.raises(StateUnavailableError):
                await desk.map.get(KEN)
            with pytest.raises(StateUnavailableError):
                await desk.map.all()
            assert await desk.map.get(MEI) == Word("out")
            await desk.map.poll()


async def test_documents_of_other_kinds_are_not_told():
    desk = await a_desk()
    await desk.say(KEN, word("in"), kind=Kind.ACCOUNT)
    await desk.map.poll()
    assert await desk.map.get(KEN) is None


async def test_a_key_that_is_none_is_a_value_error():
    desk = await a_desk()
    with pytest.raises(ValueError):
        await desk.map.get("é")
    desk.monotonic += STALE_SECONDS
    with pytest.raises(ValueError):
        await desk.map.get("é")


async def test_a_store_that_is_away_is_papered_over_for_a_tenth_of_a_second_at_most():
    desk = await a_desk()
    desk.store.away = True
    await desk.map.poll()
    assert await desk.map.get(MEI) == Word("out")
    desk.monotonic += STALE_SECONDS
    await desk.map.poll()
    for key in (MEI, KEN):
        with pytest.raises(StateUnavailableError):
            await desk.map.get(key)


async def test_it_is_confirmed_from_when_the_version_was_asked_for_not_from_its_answer():
    desk = await a_desk()
    desk.store.flows.clear()
    polling = asyncio.ensure_future(desk.map.poll())
    await asyncio.sleep(0)
    desk.monotonic += STALE_SECONDS
    desk.store.flows.set()
    await polling
    assert await desk.asks_the_store()


async def test_after_a_write_of_ours_a_poll_is_enough_whatever_else_is_under_way():
    desk = await a_desk()
    await desk.say(KEN, word("old"))
    held, desk.store.loads = desk.store.loads, asyncio.Event()
    slow = asyncio.ensure_future(desk.map.poll())  # has heard of `old`
    await asyncio.sleep(0)
    desk.store.loads, slowly = held, desk.store.loads
    await desk.say(KEN, word("new"))
    await desk.map.poll()
    assert await desk.map.get(KEN) == Word("new")
    slowly.set()
    await slow
    assert await desk.map.get(KEN) == Word("new")


async def test_changes_tells_whether_anything_is_another():
    desk = await a_desk()
    seen = [desk.map.changes]

    async def is_other():
        await desk.map.poll()
        seen.append(desk.map.changes)
        return seen[-1] != seen[-2]

    assert not await is_other()
    await desk.say(KEN, word("in"), kind=Kind.ACCOUNT)
    assert not await is_other()
    await desk.say(MEI, word("in"))
    assert await is_other()
    await desk.say(KEN, word("out"), expires=NOON + timedelta(seconds=60))
    assert await is_other()
    desk.now += timedelta(seconds=60)
    assert await is_other()
    assert not await is_other()
    await desk.passes(KEEP_SECONDS)
    assert not await is_other()
    await desk.store.remove(LOCK, MEI, replaces=2, now=desk.now)
    assert await is_other()
