"""How many 401s are entered in the trail: at most 60 a minute.

Anyone on the internet can cause one, and a phone that was logged out goes on asking, so
without a bound anyone could fill the disk, and a full disk stops the salon. Beyond the bound
they are counted, and the next entered line says how many it stands for: none goes unseen.

INVARIANT: asked = entered + carried by entered lines + still `suppressed`.
INVARIANT: no span of `SPAN_SECONDS`, however it is laid, holds more than `MAX_ENTERED`
lines that `admit` let in.

A state machine without a clock; one gateway process has one, on its event loop.
"""

from collections import deque
from typing import Final

MAX_ENTERED: Final = 60
SPAN_SECONDS: Final = 60.0


class RefusalQuota:
    """The allowance of one process.

    Attributes:
        suppressed: refusals that no entered line stands for yet.
    """

    __slots__ = ("_entered", "suppressed")

    def __init__(self) -> None:
        self._entered: deque[float] = deque(maxlen=MAX_ENTERED)  # the latest, oldest first
        self.suppressed = 0

    def admit(self, now: float) -> int | None:
        """May this refusal be entered?

        Args:
            now: monotonic seconds, never less than before.

        Returns:
            The `suppressed` of the line to enter; None = enter none.
        """
        # Half-open (now - span, now]: a line exactly one span old no longer counts.
        if len(self._entered) == MAX_ENTERED and now - self._entered[0] < SPAN_SECONDS:
            self.suppressed += 1
            return None
        return self._carry(now)

    def give_back(self, carried: int) -> None:
        """The line that was admitted could not be made durable: it and what it carried wait."""
        self.suppressed += carried + 1

    def flush(self, now: float) -> int:
        """Take the leftover for a line of its own: when closing, or after a quiet minute.

        Returns:
            How many refusals that line stands for; 0 = no line is due.
        """
        return self._carry(now) if self.suppressed else 0

    def _carry(self, now: float) -> int:
        """A line is entered now: what it carries."""
        carried, self.suppressed = self.suppressed, 0
        self._entered.append(now)
        return carried
