"""Whatever comes in between: no answer of the map is older than it may be.

The store is the slow reference. Every question to it stands still twice, before it is carried
out and before its answer is heard; the steps say who goes on next. So every order of logouts,
polls and requests can happen, and so can a store that goes away in the middle.

The rule, from its text: an answer is one that the store would have given at some moment from
STALE_SECONDS before the question until the answer.
"""

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.epoch_map import STALE_SECONDS, LocalEpochs
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from tests.oracles.memory_epochs import MemoryEpochs

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
TICK = 1 / 64  # seconds; sums of it are exact
SESSIONS = [
    (StaffId("staff:mei"), None),
    (StaffId("staff:mei"), DeviceId("phone-1")),
    (StaffId("staff:ken"), None),
]
AWAY = "away"


class SteppedEpochs(MemoryEpochs):
    """Every call waits to be let in and to be let out."""

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

    async def floor(self, staff, device):
        return await self.stepped(super().floor(staff, device))

    async def version(self):
        return await self.stepped(super().version())

    async def revoke(self, staff, device, now):
        return await self.stepped(super().revoke(staff, device, now))

    async def now_in_force(self):
        if self.away:
            return dict.fromkeys(SESSIONS, AWAY)
        return {session: await MemoryEpochs.floor(self, *session) for session in SESSIONS}


class World:
    def __init__(self):
        self.now = 0.0
        self.store = SteppedEpochs()
        self.map = LocalEpochs(self.store, monotonic=lambda: self.now)
        self.history = []  # (since when, session -> what the store would say)
        self.asking = []  # (session, asked at, task)
        self.writing = []
        self.polling = None

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)
        found = await self.store.now_in_force()
        if not self.history or self.history[-1][1] != found:
            self.history.append((self.now, found))
        for one in [one for one in self.asking if one[2].done()]:
            self.asking.remove(one)
            self.judge(*one)

    def judge(self, session, asked, task):
        try:
            answer = task.result()
        except StateUnavailableError:
            answer = AWAY
        ends = [since for since, _ in self.history[1:]] + [self.now]
        allowed = {
            found[session]
            for (_, found), end in zip(self.history, ends, strict=True)
            if end >= asked - STALE_SECONDS
        }
        assert answer in allowed, (session, answer, allowed)

    async def step(self, verb, number):
        session = SESSIONS[number % len(SESSIONS)]
        match verb:
            case "ask":
                task = asyncio.ensure_future(self.map.floor(*session))
                self.asking.append((session, self.now, task))
            case "poll" if self.polling is None or self.polling.done():
                self.polling = asyncio.ensure_future(self.map.poll())
            case "go" if self.store.waiting:
                self.store.waiting.pop(number % len(self.store.waiting)).set()
            case "pass":
                self.now += TICK * (number % 12)
            case "revoke":
                self.writing.append(asyncio.ensure_future(self.map.revoke(*session, NOON)))
            case "revoke elsewhere" if not self.store.away:
                await MemoryEpochs.revoke(self.store, *session, NOON)
            case "lose":
                self.store.lose_memory()
            case "away":
                self.store.away = not self.store.away
        await self.settle()

    async def drain(self):
        while self.store.waiting:
            await self.step("go", 0)

    async def end(self):
        """Everything is heard; then one poll is enough to be of the store's opinion."""
        await self.drain()
        assert not self.asking
        await asyncio.gather(*self.writing, return_exceptions=True)
        self.store.away = False
        await self.settle()
        for _ in range(2):  # the second round may be answered from what is kept
            await self.step("poll", 0)
            await self.drain()
            for number, session in enumerate(SESSIONS):
                await self.step("ask", number)
                await self.drain()
                assert await self.map_says(session) == self.history[-1][1][session]

    async def map_says(self, session):
        task = asyncio.ensure_future(self.map.floor(*session))
        await asyncio.sleep(0)
        while self.store.waiting:
            self.store.waiting.pop().set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return await task


OFTEN = ["ask", "ask", "poll", "go", "go", "go", "go"]
VERBS = [*OFTEN, "pass", "revoke", "revoke elsewhere", "revoke elsewhere", "lose", "away"]


@settings(max_examples=400 * FUZZ, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 11)), max_size=60))
def test_no_answer_is_older_than_it_may_be_whatever_comes_in_between(steps):
    async def play():
        world = World()
        for staff, device in SESSIONS:
            await world.store.enrol(staff, device, NOON)
        await world.settle()
        for verb, number in steps:
            await world.step(verb, number)
        await world.end()

    asyncio.run(play())
