"""Questions to a Redis that may lose its memory: answered in the memory that was seen, or not.

A Redis can lose its memory: it is flushed, it evicts, a replica without the last writes takes
its place, an older copy is put back. Then a lock must not become "none", and nobody who was logged
out be in again. So each machine has a *ledger* (`lock_ledger.py`): what it has seen last, and
every lock. A question says what that is.

    a question ──► the script: does this memory go on from what you have seen? ──no──┐
                      │ yes, with the answer                                          │
                      ▼                                                               │
        was a lock or a logout written since? ──no──► the answer                      │
                      │ yes                                                           │
                      ▼                                                               ▼
        look: what there is, and all locks ──► lost? MemoryLostError, to everybody
                      │ whole (`redis_memory.py` says how that is told)
                      ▼
        into the ledger, on disk ──► the answer; or the question again, if there was none

A lock is in the ledger of this machine before its write returns, and in that of another before it
is told there; of a logout, that it was, and which. Only the first gateway of all begins a memory:
its ledger is empty, and so is Redis.

`repair` (`salon-gateway state repair`) puts this machine's locks back and begins a new generation,
without epochs (everybody signs in anew), which names those that it comes after. Other machines'
ledgers know one of them and accept it, if every lock of their own is in it, too. If not, `repair`
there adds it.

House rules
- One look at a time, in a task of its own: it ends, and is noted, whoever has gone away meanwhile.
- What was seen in memory counts beside the ledger. Writes that are no locks or logouts are noted
  once in NOTE_SECONDS: a crash of this machine may forget that it has seen the last of them.
- The other processes of this machine may have heard more. So Redis is compared with the ledger
  again before anything is told that came over a new connection, and once in NOTE_SECONDS.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from uuid import uuid4

from gateway.backends.document_form import require_key
from gateway.backends.lock_ledger import LockLedger
from gateway.backends.redis_address import RedisAddress
from gateway.backends.redis_entry import Entry, parse_entry
from gateway.backends.redis_link import RedisLink
from gateway.backends.redis_memory import (
    Found,
    MemoryLostError,
    Remembered,
    Repair,
    View,
    plan_repair,
    require_memory,
)
from gateway.backends.redis_pool import Reply, Word
from gateway.backends.redis_scripts import BEGIN, KINDS, LOOK, REPAIR
from gateway.domain.errors import StateUnavailableError
from gateway.ports import Kind

LOOK_SECONDS = 1.0  # of Redis, each time; the ledger has its own bounds
REPAIR_SECONDS = 5.0
# So often may what is looked at change under a look: while many sign in or are logged out at
# once, several processes note what they saw, and one of them is first each time.
TRIES = 16
PAUSE_SECONDS = 0.01  # at most, before it is tried once more; by chance, or all would meet again
NOTE_SECONDS = 1.0

_WORD = re.compile(rb"[0-9a-f]{32}")
_COUNT = re.compile(rb"[0-9]{1,15}")
_STAMP = re.compile(rb"[0-9]{1,15}:[0-9a-f]{32}")
_AFTER = re.compile(rb"[0-9a-f]{32}(?:,[0-9a-f]{32})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a script said, and the state of the memory it said it in."""

    view: View
    value: Reply


class WatchedRedis:
    """Asks; looks at what it asks; repairs it. Connects at the first question.

    Args:
        address: where Redis is.
        prefix: what every key begins with.
        ledger: this machine's ledger; its gateways share it. On a disk that lasts.
    """

    def __init__(self, address: RedisAddress, *, prefix: str, ledger: Path) -> None:
        self.address = address
        self._link = RedisLink(address)
        self._ledger = LockLedger(ledger)
        self._keys = (
            f"{prefix}documents",
            *(f"{prefix}documents:{kind}" for kind in KINDS),
            f"{prefix}epochs",
            *(f"{prefix}documents-going:{kind}" for kind in KINDS),
        )
        self._view: View | None = None  # the last that was seen; what is noted may be behind
        self._noted = 0.0  # when a look ended well, in the loop's seconds
        self._looked = -1  # how many connections there were before it; -1 = it ended badly
        self._looking: asyncio.Task[View] | None = None
        self._closed = False

    async def ask(self, script: str, *words: Word, seconds: float, noted: bool = False) -> Answer:
        """Ask for what holds in the memory that we have seen, after a look if it is another.

        Args:
            script: of `redis_scripts.py`, one that looks first.
            words: what it needs beside that.
            seconds: for all of it.
            noted: what it did must be in the ledger when this returns.

        Raises:
            MemoryLostError: Redis does not know what it was told.
            StateUnavailableError: no answer in time, or none of ours.
        """
        if self._closed:
            raise StateUnavailableError("the state store is closed")
        try:
            async with asyncio.timeout(seconds):
                for _ in range(TRIES):
                    view = await self._sure()
                    answer = await self._ask_in(view, script, words, seconds)
                    connections = self._link.attempts
                    if answer is not None:
                        await self._hear(answer, noted=noted)
                        while self._looked < connections:
                            await self._look()
                        return answer
                    if self._view is view:  # nobody else has looked meanwhile
                        await self._look()
        except TimeoutError:
            raise StateUnavailableError(
                f"{self.address} gave no answer within {seconds} s"
            ) from None
        raise _unsteady()

    async def close(self) -> None:
        """Close every connection, and the ledger. Safe to call twice."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        await self._link.close()
        await self._ledger.close()

    async def repair(self) -> Repair | None:
        """Put this machine's locks back and begin a new generation, if anything is lost.

        Returns:
            What was done; None = nothing was lost.

        Raises:
            StateUnavailableError: Redis or the ledger cannot answer, or it is still not whole.
        """
        generation, done = uuid4().hex, None
        for _ in range(TRIES):
            try:
                view = await self._look()
            except MemoryLostError:
                remembered = self._with_seen(await self._ledger.read())
                found = await self._find(remembered)
                done = plan_repair(remembered, found)
                await self._put_back(generation, done, found.stands)
            else:
                return done if view.generation == generation else None
        raise _unsteady()

    async def _ask_in(
        self, view: View, script: str, words: tuple[Word, ...], seconds: float
    ) -> Answer | None:
        echo = uuid4().hex
        seen = view.generation, view.sequence, view.word, view.noted
        match await self._eval(script, echo, *seen, *words, seconds=seconds):
            case [bytes(said), b"look"] if said == echo.encode():
                return None
            case [bytes(said), b"is", sequence, bytes(word), bytes(noted), value] if (
                said == echo.encode()
            ):
                now = View(
                    generation=view.generation,
                    sequence=number_in(sequence),
                    word=word.decode("ascii", "replace"),
                    noted=noted.decode("ascii", "replace"),
                )
                return Answer(view=now, value=value)
            case _:
                raise _strange("no answer to our question")

    async def _sure(self) -> View:
        """What was seen last, if Redis has been compared with the ledger since it was reached."""
        if self._view is None or self._looked < self._link.attempts:
            return await self._look()
        return self._view

    async def _hear(self, answer: Answer, *, noted: bool) -> None:
        """Go on from what was heard; a lock or a logout goes into the ledger first."""
        heard = answer.view
        for _ in range(TRIES):
            view = self._view
            if asyncio.get_running_loop().time() - self._noted >= NOTE_SECONDS:
                self._begin_look()
            if view is not None and (
                view.generation != heard.generation or view.sequence >= heard.sequence
            ):
                return
            if not noted and view is not None and view.noted == heard.noted:
                self._view = heard
                return
            await self._look()
        raise _unsteady()

    def _begin_look(self) -> asyncio.Task[View]:
        """One look at a time, for everybody who waits for one; it ends, whoever has gone."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_now(), name="look")
            # A look that nobody waits for any more may fail: the next question tries again.
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._looking

    async def _look(self) -> View:
        look = self._begin_look()
        await asyncio.wait({look})  # which cancels nothing but our waiting
        if look.cancelled():
            raise StateUnavailableError("the state store is closed")
        return look.result()

    async def _look_now(self) -> View:
        connections = self._link.attempts
        try:
            view = await self._compared()
        except BaseException:
            self._looked = -1
            raise
        self._view, self._noted = view, asyncio.get_running_loop().time()
        self._looked = connections
        return view

    async def _compared(self) -> View:
        """What Redis says, if it goes on from the ledger, and once that is noted there."""
        for _ in range(TRIES):
            noted = await self._ledger.read()
            remembered = self._with_seen(noted)
            found = await self._find(remembered)
            if remembered is None and found.empty:
                await self._eval(BEGIN, "", uuid4().hex, uuid4().hex, seconds=LOOK_SECONDS)
                continue
            view = require_memory(remembered, found)
            if await self._note(noted, view, found):
                return view
            await asyncio.sleep(uniform(0, PAUSE_SECONDS))  # noqa: S311  # no secret
        raise _unsteady()

    async def _note(self, noted: Remembered | None, view: View, found: Found) -> bool:
        known = {} if noted is None else noted.locks
        news = [
            (key, lock)
            for key, lock in found.locks.items()
            if lock is not None and lock != known.get(key)
        ]
        before = None if noted is None else noted.view
        return (view == before and not news) or await self._ledger.note(before, view, news)

    def _with_seen(self, noted: Remembered | None) -> Remembered | None:
        """What is noted, or what we have seen since."""
        seen = self._view
        if (
            noted is None
            or seen is None
            or seen.generation != noted.view.generation
            or seen.sequence <= noted.view.sequence
        ):
            return noted
        return Remembered(view=seen, locks=noted.locks)

    async def _find(self, remembered: Remembered | None) -> Found:
        echo = uuid4().hex
        seen = (
            (0, 0)
            if remembered is None
            else (remembered.view.sequence, remembered.view.noted_count)
        )
        match await self._eval(LOOK, echo, *seen, seconds=LOOK_SECONDS):
            case [bytes(said), *meta, int(whole), int(there), list(locks)] if (
                said == echo.encode() and len(meta) == 7
            ):
                return _found(meta, whole=whole == 1, empty=there == 0, locks=locks)
            case _:
                raise _strange("no answer to our question")

    async def _eval(self, script: str, *words: Word, seconds: float) -> Reply:
        return await self._link.ask(
            "EVAL", script, len(self._keys), *self._keys, *words, seconds=seconds
        )

    async def _put_back(self, generation: str, plan: Repair, stands: tuple[bytes, bytes]) -> None:
        echo = uuid4().hex
        entries = [part for key, text in plan.entries.items() for part in (key, text)]
        reply = await self._eval(
            REPAIR,
            echo,
            *stands,
            generation,
            plan.sequence,
            uuid4().hex,
            ",".join(plan.after),
            *entries,
            seconds=REPAIR_SECONDS,
        )
        if reply not in ([echo.encode(), b"done"], [echo.encode(), b"look"]):
            raise _strange("no answer to a repair")


def _found(meta: list[Reply], *, whole: bool, empty: bool, locks: list[Reply]) -> Found:
    generation, sequence, word, noted, after, word_then, noted_then = meta
    ancestors = _text(after, _AFTER)
    view = None
    if (
        (a_generation := _text(generation, _WORD)) is not None
        and (a_sequence := _text(sequence, _COUNT)) is not None
        and (a_word := _text(word, _WORD)) is not None
        and (last_noted := _text(noted, _STAMP)) is not None
    ):
        view = View(
            generation=a_generation, sequence=int(a_sequence), word=a_word, noted=last_noted
        )
    return Found(
        view=view,
        stands=(_raw(generation), _raw(sequence)),
        after=() if ancestors is None else tuple(ancestors.split(",")),
        word_then=_text(word_then, _STAMP),
        noted_then=_text(noted_then, _STAMP),
        whole=whole,
        empty=empty,
        locks={key: _lock(key, text) for key, text in documents_in(locks).items()},
    )


def _lock(key: str, text: Reply) -> Entry | None:
    try:
        return parse_entry(text, Kind.LOCK, key)
    except StateUnavailableError:
        return None  # as Found says it; who asks for this key gets the error


def documents_in(reply: Reply) -> dict[str, Reply]:
    """The fields of a hash, without the one that says of which generation it is.

    Raises:
        StateUnavailableError: it is anything else.
    """
    if not isinstance(reply, list) or len(reply) % 2:
        raise _strange("no list of documents")
    found = dict(zip(reply[::2], reply[1::2], strict=True))
    found.pop(b"", None)
    return {_key(key): text for key, text in found.items()}


def _key(key: Reply) -> str:
    try:
        if isinstance(key, bytes):
            return require_key(key.decode("ascii"))
    except ValueError as error:
        raise _strange("a key that is not ours") from error
    raise _strange("a key that is not ours")


def _raw(value: Reply) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: Reply, form: re.Pattern[bytes]) -> str | None:
    return value.decode() if isinstance(value, bytes) and form.fullmatch(value) else None


def number_in(value: Reply) -> int:
    """A count as the scripts write it. Raises StateUnavailableError."""
    text = _text(value, _COUNT)
    if text is None:
        raise _strange("a value that is not a count")
    return int(text)


def _strange(what: str) -> StateUnavailableError:
    return StateUnavailableError(f"the state store holds {what}")


def _unsteady() -> StateUnavailableError:
    return StateUnavailableError("the state store changes faster than it can be looked at")
