"""What becomes of N workers: which is started, ended, killed, and when. No process, no clock.

House rules
- The first worker goes ahead alone; the others follow once it listens. What keeps a policy from
  loading is so said once, as by a single process, and not N times.
- Until all of them listened, one that ends takes everything with it, with its own exit code: a
  gateway that cannot start must say so and not try for ever.
- After that none of them matters alone: whichever ends is started again, later each time.
- A worker has one process at a time. It is started again only when the one before is gone, since
  both would write one chain of the audit trail.
- Times are seconds that never jump, given by the caller, never less than before.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FIRST_SECONDS: Final = 0.25  # before the first start anew; twice as long each time
MOST_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0  # who listened so long begins at FIRST_SECONDS again
# `stop` of a worker takes 10 s for open requests and some for closing the trail and the state.
DRAIN_SECONDS: Final = 20.0
FAILED: Final = 1  # the exit code where a process left none that says what was wrong


class State(StrEnum):
    """Where a worker is. `STARTING` and `LISTENING` have a process."""

    WAITING = "waiting"  # for its start
    STARTING = "starting"
    LISTENING = "listening"


@dataclass(slots=True)
class Slot:
    """One worker, whichever process it has.

    Attributes:
        number: from 0; also the name of its chain in the audit trail.
        since: when `state` began.
        start_at: when it is to be started, if it waits.
        failures: ends in a row, none of them after STEADY_SECONDS.
        restarts: how often it was started again, in all.
    """

    number: int
    state: State = State.WAITING
    since: float = -math.inf
    start_at: float = math.inf
    failures: int = 0
    restarts: int = 0

    @property
    def lives(self) -> bool:
        """Has it a process?"""
        return self.state is not State.WAITING


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process for this worker."""

    worker: int
    again: bool


@dataclass(frozen=True, slots=True)
class Terminate:
    """Tell its process to stop: finish open requests, close, end."""

    worker: int


@dataclass(frozen=True, slots=True)
class Kill:
    """It had its time to stop."""

    worker: int


@dataclass(frozen=True, slots=True)
class Announce:
    """All of them listen, for the first time."""


Action = Start | Terminate | Kill | Announce


def back_off(failures: int, chance: float) -> float:
    """How long to wait after so many ends in a row.

    Args:
        failures: 1 or more.
        chance: 0 to 1. Half of the time is left to it: workers that fell together over one
            thing do not all come back at once.
    """
    whole = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 32))
    return whole * (1 + chance) / 2


@dataclass(slots=True)
class Supervision:
    """What is known of all workers. Each method takes what happened and says what to do.

    Attributes:
        count: how many.
        chance: a number from 0 to 1, another one each time.
        slots: by number; to be read, not changed.
        announced: have all of them listened once?
        ended: the exit code, once everything is over.
    """

    count: int
    chance: Callable[[], float]
    slots: tuple[Slot, ...] = field(init=False)
    announced: bool = False
    ended: int | None = None
    _stopping: bool = False
    _code: int = 0
    _kill_at: float = math.inf

    def __post_init__(self) -> None:
        self.slots = tuple(Slot(number) for number in range(self.count))

    def begin(self, now: float) -> Sequence[Action]:
        """The first one goes ahead."""
        return [self._start(self.slots[0], now)]

    def listening(self, worker: int, now: float) -> Sequence[Action]:
        """Its process listens."""
        slot = self.slots[worker]
        if slot.state is not State.STARTING:  # it ended meanwhile, which was heard first
            return []
        slot.state, slot.since = State.LISTENING, now
        if self.announced or self._stopping:
            return []
        if not any(other.lives for other in self.slots if other is not slot):
            followers = [other for other in self.slots if not other.lives]
            if followers:
                return [self._start(other, now) for other in followers]
        if all(other.state is State.LISTENING for other in self.slots):
            self.announced = True
            return [Announce()]
        return []

    def died(self, worker: int, code: int, now: float) -> Sequence[Action]:
        """Its process has ended.

        Args:
            worker: whose.
            code: its exit code; negative: the signal that ended it.
            now: see above.
        """
        slot = self.slots[worker]
        steady = slot.state is State.LISTENING and now - slot.since >= STEADY_SECONDS
        slot.state, slot.since = State.WAITING, now
        if not self._stopping and not self.announced:
            self._code = code if code > 0 else FAILED
            return self.stop(now)
        if self._stopping:
            self._end_if_over()
            return []
        slot.failures = 1 if steady else slot.failures + 1
        slot.start_at = now + back_off(slot.failures, self.chance())
        return []

    def stop(self, now: float) -> Sequence[Action]:
        """Stop all of them; once is enough."""
        if self._stopping:
            return []
        self._stopping, self._kill_at = True, now + DRAIN_SECONDS
        for slot in self.slots:
            slot.start_at = math.inf
        self._end_if_over()
        return [Terminate(slot.number) for slot in self.slots if slot.lives]

    def due(self, now: float) -> Sequence[Action]:
        """What the time has come for."""
        if now >= self._kill_at:
            self._kill_at = math.inf
            return [Kill(slot.number) for slot in self.slots if slot.lives]
        return [self._start(slot, now) for slot in self.slots if slot.start_at <= now]

    def next_at(self) -> float:
        """When `due` has something to say next; infinity: not before something happens."""
        return min(self._kill_at, *(slot.start_at for slot in self.slots))

    def _start(self, slot: Slot, now: float) -> Start:
        slot.state, slot.since, slot.start_at = State.STARTING, now, math.inf
        slot.restarts += self.announced
        return Start(slot.number, again=self.announced)

    def _end_if_over(self) -> None:
        if not any(slot.lives for slot in self.slots):
            self.ended = self._code
