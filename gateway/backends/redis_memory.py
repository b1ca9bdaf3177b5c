"""Does Redis still know what it was told? And if not, what is put back? Pure.

Redis keeps a *generation* (a word of chance, made once), the number of its last write and a word
of chance of that write, and those of the writes before it for a while. What must never be
forgotten (a lock, a logout) is counted beside that, with words of its own for much longer. Each
machine remembers in its ledger what it has seen of all this, and every lock.

THEOREM (tests/unit/backends/test_redis_memory.py): what `require_memory` accepts has every lock
that is remembered, or a later word on that key. And in one generation it comes after everything
that was noted: no logout is undone in it. A new generation begins without any epoch.

House rules
- Another generation is a loss, unless it says that it came after the one that is remembered: a
  repair writes that.
- A lower number is a loss (an old copy). So is another word under the number that was seen: an
  old copy that has gone on since.
- Who has not looked for NOTED_DEPTH locks and logouts cannot tell any more: that is a loss, too.
- A removed lock keeps its number for ever. So a lock that is not there was never taken away by
  anybody: it is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.backends.redis_entry import Entry, with_revision
from gateway.domain.errors import StateUnavailableError

DEPTH = 1024  # so many writes back the words are known
NOTED_DEPTH = 16_384  # and so many locks and logouts back; a megabyte in Redis
MAX_ANCESTORS = 64  # generations that a generation came after


class MemoryLostError(StateUnavailableError):
    """Redis does not know what it was told. It stays so until somebody repairs it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; run `salon-gateway state repair`")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One state of the memory, as it was seen.

    Attributes:
        generation: which memory.
        sequence: the number of its last write.
        word: of chance, of that write.
        noted: how many locks and logouts were written, and the word of the last, `7:0123...`.
    """

    generation: str
    sequence: int
    word: str
    noted: str

    @property
    def noted_count(self) -> int:
        """How many locks and logouts were written."""
        return int(self.noted.partition(":")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a machine has seen last, and every lock that it knows, removed ones too."""

    view: View
    locks: Mapping[str, Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What Redis says now.

    Attributes:
        view: None = it knows no generation, or what it has does not read as one.
        stands: generation and number as they stand there, whatever they are.
        after: the generations that this one came after.
        word_then: number and word of the write with the number that is remembered, if known.
        noted_then: the same of the lock or logout that is remembered.
        whole: every kind that was ever written is there, and of this generation.
        empty: there is nothing of ours.
        locks: every lock, removed ones too. None = something is there that is no lock.
    """

    view: View | None
    stands: tuple[bytes, bytes]
    after: tuple[str, ...]
    word_then: str | None
    noted_then: str | None
    whole: bool
    empty: bool
    locks: Mapping[str, Entry | None]


def require_memory(remembered: Remembered | None, found: Found) -> View:
    """What was found, if nothing is lost.

    Raises:
        MemoryLostError: something is.
    """
    if found.view is None:
        raise MemoryLostError("Redis has lost its memory")
    if not found.whole:
        raise MemoryLostError("Redis has lost a part of its memory")
    if remembered is not None:
        _require_same_past(remembered.view, found.view, found)
        for key, lock in remembered.locks.items():
            if not _still_said(lock, found.locks.get(key)):
                raise MemoryLostError("Redis has lost a lock")
    return found.view


def _require_same_past(seen: View, now: View, found: Found) -> None:
    if now.generation != seen.generation:
        if seen.generation not in found.after:
            raise MemoryLostError("Redis has another memory than before")
    elif now.sequence < seen.sequence or now.noted_count < seen.noted_count:
        raise MemoryLostError("Redis has forgotten what it was told last")
    elif now.noted_count - seen.noted_count >= NOTED_DEPTH:
        raise MemoryLostError("Redis was told more than this machine can compare")
    elif found.noted_then != seen.noted or (
        now.sequence - seen.sequence < DEPTH and found.word_then != f"{seen.sequence}:{seen.word}"
    ):
        raise MemoryLostError("Redis has forgotten something that it was told")


def _still_said(known: Entry, found: Entry | None) -> bool:
    if found is None:
        return False
    return found.revision > known.revision or found.text == known.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What is written to make the memory whole.

    Attributes:
        after: the generations that the new one comes after.
        sequence: the number to begin with, above everything that is known.
        entries: locks to write, by key.
        disputed: keys of which Redis and the ledger say different things under one number.
        unreadable: keys under which something stands that is no lock, and no one knows what was.
    """

    after: tuple[str, ...]
    sequence: int
    entries: Mapping[str, bytes]
    disputed: tuple[str, ...]
    unreadable: tuple[str, ...]


def plan_repair(remembered: Remembered | None, found: Found) -> Repair:
    """Every lock that Redis or the ledger knows, each in its latest word.

    Where they differ under one number, a lock wins over its removal, then Redis over the ledger;
    the winner gets the next number, so that everybody hears of it.
    """
    known = {} if remembered is None else remembered.locks
    entries: dict[str, bytes] = {}
    disputed = []
    for key, lock in known.items():
        there = found.locks.get(key)
        if there is None or there.revision < lock.revision:
            entries[key] = lock.text
        elif there.revision == lock.revision and there.text != lock.text:
            disputed.append(key)
            winner = lock if there.removed else there
            entries[key] = with_revision(winner, winner.revision + 1)
    seen = None if remembered is None else remembered.view
    views = [view for view in (found.view, seen) if view is not None]
    ancestors = [view.generation for view in views] + list(found.after)
    return Repair(
        after=tuple(dict.fromkeys(ancestors))[:MAX_ANCESTORS],
        sequence=max((view.sequence for view in views), default=0) + 1,
        entries=entries,
        disputed=tuple(disputed),
        unreadable=tuple(
            sorted(key for key, lock in found.locks.items() if lock is None and key not in known)
        ),
    )
