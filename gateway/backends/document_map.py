"""The documents of one kind, whole and decoded, kept at hand in front of any store.

INVARIANT: what is written in the store, by anybody, is told here at most STALE_SECONDS later; a
store that cannot answer is never papered over for longer than that; and what cannot be read is
an error for its key, never `None`.

House rules
- As in `epoch_map.py`: the store's version says whether what is kept is still true, from the
  moment it was asked for. What is not confirmed is not told: each request asks the store itself.
- The map is the whole kind, so a key that is not in it has no document: only for kinds that are
  few, such as locks and accounts.
- What expires is not told from its instant on, whoever confirmed it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from gateway.backends.document_form import require_key
from gateway.backends.epoch_map import KEEP_SECONDS, STALE_SECONDS
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import Instant
from gateway.ports import DocumentStore, Kept, Kind

T = TypeVar("T")

# What a decoder may say of bytes that are not a document.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class LocalDocuments(Generic[T]):
    """Tells nothing by itself until `poll` is called every POLL_SECONDS (`epoch_map.py`).

    Args:
        store: who knows.
        kind: which documents.
        decode: bytes → document; raises msgspec's errors, ValueError or StateUnavailableError
            for what is none.
        monotonic: seconds that never jump.
        now: the current instant.
    """

    def __init__(
        self,
        store: DocumentStore,
        kind: Kind,
        decode: Callable[[bytes], T],
        *,
        monotonic: Callable[[], float],
        now: Callable[[], Instant],
    ) -> None:
        self._store = store
        self._kind = kind
        self._decode = decode
        self._monotonic = monotonic
        self._now = now
        self._kept: Mapping[str, Kept] = {}
        self._decoded: dict[str, T] = {}  # of the above, those that were asked for
        self._version: int | str | None = None
        self._loaded = self._confirmed = -math.inf
        self._polls = self._heard = 0
        self._next_expiry: Instant | None = None
        self._changes = 0

    def __repr__(self) -> str:
        return f"LocalDocuments({self._store!r}, {self._kind})"

    @property
    def changes(self) -> int:
        """Another number once a poll has found other documents than the one before it did.

        Also when one has expired. It says nothing of what is not confirmed.
        """
        return self._changes

    async def get(self, key: str) -> T | None:
        """The document of the key, or None if there is none (any more).

        Raises:
            StateUnavailableError: the store cannot answer in time, or what it has is no document.
            ValueError: no document has such a key.
        """
        if self._monotonic() - self._confirmed >= STALE_SECONDS:
            found = await self._store.get(self._kind, key, self._now())
            return None if found is None else self._read(found)
        kept = self._kept.get(require_key(key))
        if kept is None or not _lives(kept, self._now()):
            return None
        if key not in self._decoded:
            self._decoded[key] = self._read(kept)
        return self._decoded[key]

    async def all(self) -> Mapping[str, T]:
        """Every document, by key.

        Raises:
            StateUnavailableError: the store cannot answer in time, or one of them is no document.
        """
        if self._monotonic() - self._confirmed >= STALE_SECONDS:
            found = await self._store.all(self._kind, self._now())
            return {key: self._read(kept) for key, kept in found.items()}
        now = self._now()
        keys = [key for key, kept in self._kept.items() if _lives(kept, now)]
        for key in keys:
            if key not in self._decoded:
                self._decoded[key] = self._read(self._kept[key])
        return {key: self._decoded[key] for key in keys}

    async def poll(self) -> None:
        """Ask once whether anything changed, and if so for everything.

        After a write of ours: when this returns, `get` tells what was written. Several at once
        are no harm.
        """
        self._polls += 1
        number, asked = self._polls, self._monotonic()
        try:
            version = await self._store.version()
            if version == self._version and asked - self._loaded < KEEP_SECONDS:
                found = None
            else:
                found = await self._store.all(self._kind, self._now())
        except StateUnavailableError:
            return  # what is kept grows stale, and each request gets the store's own refusal
        if number < self._heard:
            return  # a poll that began later has told us more
        self._heard = number
        if found is not None:
            self._take(found)
            self._version, self._loaded = version, asked
        self._confirmed = asked
        self._let_expire(self._now())

    def _take(self, found: Mapping[str, Kept]) -> None:
        if found != self._kept:
            self._decoded = {
                key: document
                for key, document in self._decoded.items()
                if found.get(key) == self._kept[key]
            }
            self._kept = found
            self._changes += 1
        self._next_expiry = _first_expiry(found)

    def _let_expire(self, now: Instant) -> None:
        if self._next_expiry is not None and self._next_expiry <= now:
            self._take({key: kept for key, kept in self._kept.items() if _lives(kept, now)})

    def _read(self, kept: Kept) -> T:
        try:
            return self._decode(kept.value)
        except UNREADABLE as error:
            raise StateUnavailableError(
                f"the state store holds a document of the kind `{self._kind}` that cannot be read"
            ) from error


def _lives(kept: Kept, now: Instant) -> bool:
    return kept.expires is None or kept.expires > now


def _first_expiry(found: Mapping[str, Kept]) -> Instant | None:
    return min((kept.expires for kept in found.values() if kept.expires is not None), default=None)
