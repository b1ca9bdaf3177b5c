"""How often may somebody ask what they may ask? At most so many times in any hour.

For what is harmless once and not a thousand times: one number looked up is work, all numbers
tried out are the client base.

INVARIANTS
- No hour, however it is laid, holds more than `allowance` granted asks of one budget.
- A refused ask costs nothing: waiting as long as was said is always enough.
- A budget is forgotten only when it is whole again, so forgetting grants nothing. Where there
  is no room for another one, its person waits.

A state machine without a clock. One gateway process has one `Budgets` on its event loop; it
knows of no other process and of nothing before its start.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final

SPAN_SECONDS: Final = 3600.0
# Spent budgets at once: people on the roster times routes with an allowance, with room to spare.
MAX_BUDGETS: Final = 10_000


class Budget:
    """One person's asks of one thing in the last hour."""

    __slots__ = ("_granted",)

    def __init__(self) -> None:
        self._granted: deque[float] = deque()  # oldest first; never more than an allowance

    def spend(self, allowance: int, now: float) -> float | None:
        """May this ask be made?

        Args:
            allowance: asks an hour, at least 1, as the policy in force has it.
            now: monotonic seconds, never less than before.

        Returns:
            None = granted, and spent; else the seconds until the next one is free, above 0.
        """
        # Half-open (now - span, now]: an ask exactly one span old no longer counts.
        while self._granted and self._granted[0] + SPAN_SECONDS <= now:
            self._granted.popleft()
        over = len(self._granted) - allowance
        if over >= 0:  # above 0 where the policy allows less than the one before it
            return self._granted[over] + SPAN_SECONDS - now
        self._granted.append(now)
        return None

    def whole_in(self, now: float) -> float:
        """Seconds until nothing of it is spent; 0 or less = nothing is."""
        return self._granted[-1] + SPAN_SECONDS - now if self._granted else 0.0


class Budgets:
    """Everybody's, as far as they are not whole."""

    __slots__ = ("_budgets", "_most")

    def __init__(self, most: int = MAX_BUDGETS) -> None:
        self._budgets: OrderedDict[Hashable, Budget] = OrderedDict()  # by their last grant
        self._most = most

    def __len__(self) -> int:
        return len(self._budgets)

    def spend(self, key: Hashable, allowance: int, now: float) -> float | None:
        """May this ask be made?

        Args:
            key: who asks what, such as (staff id, route template, parameter). Only of people on
                the roster: strangers could name as many as they like.
            allowance: as for `Budget.spend`.
            now: likewise.

        Returns:
            Likewise; a person for whom there is no room waits too.
        """
        budget = self._budgets.get(key)
        if budget is None:
            wait = self._forget(now)
            if wait > 0:
                return wait
            budget = self._budgets[key] = Budget()
        refused = budget.spend(allowance, now)
        if refused is None:
            self._budgets.move_to_end(key)
        return refused

    def _forget(self, now: float) -> float:
        """Drop what is whole again. Seconds until there is room; 0 or less = there is."""
        wait = 0.0
        while self._budgets:
            key, oldest = next(iter(self._budgets.items()))
            wait = oldest.whole_in(now)
            if wait > 0:
                break
            del self._budgets[key]
        return wait if len(self._budgets) >= self._most else 0.0
