"""Whatever comes in between: no answer of the map of documents is older than it may be.

The store is the memory reference. Every question to it stands still twice, before it is carried
out and before its answer is heard; the steps say who goes on next. So every order of writes,
polls and requests can happen, and so can a store that goes away in the middle.

The rule, from its text: an answer is one that the store would have given at some moment from
STALE_SECONDS before the question until the answer; and never a document that had expired when
the question was asked.
"""

import asyncio
import os
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.document_map import LocalDocuments
from gateway.backends.epoch_map import STALE_SECONDS
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import Kind
from tests.contract.memory_documents import MemoryDocuments

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
TICK = 1 / 64  # seconds; sums of it are exact
LOCK, KEYS = Kind.LOCK, ["mei", "ken"]
AWAY = b"away"
GARBAGE = b"?"


def decode(value):
    if value == GARBAGE:
        raise ValueError("not a document")
    return value


class SteppedDocuments(MemoryDocuments):
    """Every question waits to be let in and to be let out."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    async def stepped(self, call):
        await self.gate()
        try:
            found = await call
        except StateUnavailableError as error:
            found = error
        await self.gate()
        if isinstance(found, StateUnavailableError):
            raise found
        return found

    async def gate(self):
        gate = asyncio.Event()
        self.waiting.append(gate)
        await gate.wait()

    async def get(self, kind, key, now):
        return await self.stepped(super().get(kind, key, now))

    async def all(self, kind, now):
        return await self.stepped(self.found_now(kind, now))

    async def version(self):
        return await self.stepped(super().version())

    async def found_now(self, kind, now):
        self._must_be_here()
        every = {key: await MemoryDocuments.get(self, kind, key, now) for key in KEYS}
        return {key: kept for key, kept in every.items() if kept is not None}


class World:
    def __init__(self):
        self.clock = 0.0
        self.store = SteppedDocuments()
        self.map = LocalDocuments(
            self.store, LOCK, decode, monotonic=lambda: self.clock, now=self.now
        )
        self.history = []  # (since when, key -> what the store would say)
        self.asking = []  # (key, asked at, task)
        self.polling = []
        self.written = 0

    def now(self):
        return NOON + timedelta(seconds=self.clock)

    async def in_force(self):
        if self.store.away:
            return dict.fromkeys(KEYS, AWAY)
        found = await self.store.found_now(LOCK, self.now())
        values = {key: kept.value for key, kept in found.items()}
        return {key: AWAY if values.get(key) == GARBAGE else values.get(key) for key in KEYS}

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)
        found = await self.in_force()
        if not self.history or self.history[-1][1] != found:
            self.history.append((self.clock, found))
        for one in [one for one in self.asking if one[2].done()]:
            self.asking.remove(one)
            self.judge(*one)

    def judge(self, key, asked, task):
        try:
            answer = task.result()
        except StateUnavailableError:
            answer = AWAY
        ends = [since for since, _ in self.history[1:]] + [self.clock]
        allowed = {
            found[key]
            for (_, found), end in zip(self.history, ends, strict=True)
            if end >= asked - STALE_SECONDS
        }
        assert answer in allowed, (key, answer, allowed)
        if answer is not None and answer.startswith(b"until "):
            assert float(answer[6:]) > asked

    async def write(self, key, number, *, remove=False):
        standing = await MemoryDocuments.get(self.store, LOCK, key, self.now())
        replaces = None if standing is None else standing.revision
        # The reference asks itself what stands there: that is no question to wait for.
        self.written += 1
        if remove:
            self.store.documents.pop((LOCK, key), None)
            self.store.changed += 1
            return
        expires, value = None, b"%d" % self.written
        if number % 3 == 0:
            until = self.clock + TICK * (number + 1)
            expires, value = NOON + timedelta(seconds=until), b"until %.6f" % until
        elif number % 7 == 0:
            value = GARBAGE
        plain = MemoryDocuments()
        plain.documents, plain.revisions = self.store.documents, self.store.revisions
        await plain.put(LOCK, key, value, replaces=replaces, now=self.now(), expires=expires)
        self.store.changed += 1

    async def step(self, verb, number):
        key = KEYS[number % len(KEYS)]
        match verb:
            case "ask":
                task = asyncio.ensure_future(self.map.get(key))
                self.asking.append((key, self.clock, task))
            case "poll" if len(self.polling) < 3:
                task = asyncio.ensure_future(self.map.poll())
                self.polling.append(task)
                task.add_done_callback(self.polling.remove)
            case "go" if self.store.waiting:
                self.store.waiting.pop(number % len(self.store.waiting)).set()
            case "pass":
                self.clock += TICK * (number % 12)
            case "write" if not self.store.away:
                await self.write(key, number)
            case "remove" if not self.store.away:
                await self.write(key, number, remove=True)
            case "away":
                self.store.away = not self.store.away
        await self.settle()

    async def end(self):
        """Everything is heard; then one poll is enough to be of the store's opinion."""
        self.store.away = False
        while self.store.waiting:
            await self.step("go", 0)
        assert not self.asking
        for verb in ("poll", "ask", "ask"):
            await self.step(verb, len(self.asking))
            while self.store.waiting:
                await self.step("go", 0)
        for key in KEYS:
            asked = asyncio.ensure_future(self.map.get(key))
            await self.settle()
            assert not self.store.waiting, "it asks although it has just heard"
            answer = AWAY if asked.exception() else asked.result()
            assert answer == self.history[-1][1][key]


OFTEN = ["ask", "ask", "poll", "poll", "go", "go", "go", "go", "go"]
VERBS = [*OFTEN, "pass", "write", "write", "remove", "away"]


@settings(max_examples=150 * FUZZ, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 11)), max_size=60))
def test_no_answer_is_older_than_it_may_be_whatever_comes_in_between(steps):
    async def play():
        world = World()
        await world.settle()
        for verb, number in steps:
            await world.step(verb, number)
        await world.end()

    asyncio.run(play())
