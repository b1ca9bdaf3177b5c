"""A request that was written, and its answer as somebody waits for it. No I/O.

House rule: at most one waits, and says for what; only that, or the end, wakes them.
"""

from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.backends.upstream_reading import AnswerReader

if TYPE_CHECKING:
    import asyncio

NEVER = float("inf")  # of the loop's time


class Wants(Enum):
    """What the one who waits waits for."""

    HEAD = auto()
    SOME = auto()
    ALL = auto()


class Exchange(AnswerReader):
    """A request that was written, and its answer as somebody waits for it."""

    __slots__ = ("last_due", "max_bytes", "piece_seconds", "waiter", "wants")

    def __init__(self, *, head_only: bool) -> None:
        super().__init__(head_only=head_only)
        self.waiter: asyncio.Future[None] | None = None
        self.wants = Wants.HEAD
        self.max_bytes = 0  # of a body that is wanted whole
        self.piece_seconds = 0.0  # the next piece is due so long after the last
        self.last_due = NEVER  # and the whole then

    @property
    def over(self) -> bool:
        """There will be no more."""
        return self.ended or self.failure is not None

    def wake(self) -> None:
        """Wake who waits, if this is what they wait for."""
        waiter = self.waiter
        if waiter is None or waiter.done():
            return
        if self.over or (
            self.head is not None
            and (self.wants is Wants.HEAD or (self.wants is Wants.SOME and self.held))
        ):
            waiter.set_result(None)
