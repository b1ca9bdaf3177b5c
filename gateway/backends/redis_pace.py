"""When may a process connect to a server again? Not at once, not all together, not endlessly.

House rules
- At most MAX_CONNECTS attempts begin within any second, whatever happens.
- While the last attempt did not lead to an answer, there is one at a time, and a pause of chance
  before it: a server that comes back is met by one question of each process, at different moments.
- Nobody waits here beyond their own deadline: who calls, sets it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from secrets import SystemRandom

MAX_CONNECTS = 64  # a second; a pool of 32 may be lost and made again at once
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.1  # seconds; a read that waits for it still has its answer

Chance = Callable[[], float]  # from 0 to below 1
_CHANCE: Chance = SystemRandom().random


class Pace:
    """Lets attempts begin, and counts them (`attempts`). Belongs to one event loop.

    Args:
        monotonic: seconds that never jump.
        chance: for the jitter.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        chance: Chance = _CHANCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._chance = chance
        self._sleep = sleep
        self._begun: deque[float] = deque(maxlen=MAX_CONNECTS)
        self._probe = asyncio.Lock()
        self.attempts = 0
        self._pause = 0.0  # before the next attempt; 0 = the last one was answered

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Connect, ask and hear the answer in here; what is raised counts as no answer."""
        if self._pause:
            async with self._probe:
                if self._pause:
                    # From half of it to all of it: spread, and never none at all.
                    await self._sleep(self._pause * (1 + self._chance()) / 2)
                    async with self._one():
                        yield
                    return
        async with self._one():
            yield

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[None]:
        await self._room()
        self.attempts += 1
        try:
            yield
        except BaseException:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            raise
        self._pause = 0.0

    async def _room(self) -> None:
        while len(self._begun) == MAX_CONNECTS and self._monotonic() - self._begun[0] < 1.0:
            await self._sleep(1.0 - (self._monotonic() - self._begun[0]))
        self._begun.append(self._monotonic())
