"""Learned credentials that were asked for lately, at hand in front of the store.

Whose a credential is, and how old, never changes; whether it still counts is a matter of epochs,
which are asked every time (`epoch_map.py`). So what is kept may be a moment old:

- Only its end may have moved, later: at its end as known here the store is asked again.
- A document that was removed counts here for KEEP_SECONDS more at most: the oldest session of a
  person with too many, or of somebody who has left, whose epoch has ended it at once.
- What is not known here is not said to be unknown: the store is asked.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from gateway.domain.time import Instant, from_milliseconds
from gateway.identity.learned import Learned, decode
from gateway.ports import DocumentStore, Kind

KEEP_SECONDS: Final = 10
MAX_CREDENTIALS: Final = 16_384  # a few hundred bytes each; beyond it the map begins anew


class LearnedAtHand:
    """`get` for `Learning.at_hand`."""

    def __init__(self, documents: DocumentStore, now: Callable[[], Instant]) -> None:
        self._documents = documents
        self._now = now
        self._known: dict[str, tuple[Instant, Learned]] = {}

    async def get(self, key: str) -> Learned | None:
        """The credential of this key; None = there is none.

        Raises:
            StateUnavailableError: the store cannot say, or what it has cannot be read.
        """
        now = self._now()
        until, learned = self._known.get(key, (now, None))
        if learned is not None and now < until:
            return learned
        kept = await self._documents.get(Kind.LEARNED, key, now)
        if kept is None:
            self._known.pop(key, None)
            return None
        learned = decode(kept.value)
        if len(self._known) >= MAX_CREDENTIALS:
            self._known.clear()
        soon = Instant(now + timedelta(seconds=KEEP_SECONDS))
        self._known[key] = (min(soon, from_milliseconds(learned.expires_at)), learned)
        return learned
