"""The keys of another issuer, kept fresh: `ports.KeySet` over its published set.

INVARIANTS
- A look that fails never replaces a good set; a good one replaces the one before it at once and
  whole, also where it has fewer keys.
- No set counts for longer than `keep_seconds` after the look that found it, on either clock; that
  goes for the one on disk, which only helps over a start while the issuer is away.
- However many tokens name unknown keys, the issuer is asked once in LEAST_SECONDS at most, and all
  who wait for it wait for the same look.
"""

import asyncio
import contextlib
import os
import tempfile
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from random import SystemRandom
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from gateway.backends.jwks_fetch import FetchError, Published
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.events import Event, emit
from gateway.identity.keys import MAX_JWKS_BYTES, KeyTable
from gateway.ports import Clock

LEAST_SECONDS: Final = 60.0  # between two looks
# A withdrawn key counts for that long, if the issuer answers; and for LEAST_SECONDS more, where
# an unknown key has made us look just before the key was withdrawn.
REFETCH_SECONDS: Final = 300.0
JITTER: Final = 0.2  # of each pause, so that gateways that start together do not ask together
STOP_SECONDS: Final = 2.0
_MAX_FILE_BYTES: Final = 2 * MAX_JWKS_BYTES  # base64 of a set, and a little


class Address(Protocol):
    """Where to look: `jwks_fetch.JwksAddress`."""

    @property
    def algorithms(self) -> frozenset[str]:
        """Whose keys count."""
        ...

    async def fetch(self) -> Published:
        """Look once.

        Raises:
            FetchError: there is no set to be had.
        """
        ...


class Tell(Protocol):
    """Told after every look."""

    def __call__(self, issuer: str, found_at: Instant | None, *, ok: bool) -> None:
        """`found_at`: when the set that counts was found, None = none does; `ok`: this look."""
        ...


def unheard(issuer: str, found_at: Instant | None, *, ok: bool) -> None:
    """Where nobody measures: `check` looks at nothing."""


class OnDisk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last good set, as a file keeps it."""

    issuer: str
    url: str
    found_at: int
    text: bytes


class IssuerKeys:
    """Implements ports.KeySet. `start` looks once, and then again and again.

    Args:
        issuer: as tokens name it.
        url: of its key set; a file that was written for another one does not count.
        address: where to look.
        folder: where the last good set is kept.
        keep_seconds: for how long a set counts that cannot be looked at again.
        clock: the machine's.
        tell: the metrics.
    """

    def __init__(
        self,
        issuer: str,
        url: str,
        address: Address,
        *,
        folder: Path,
        keep_seconds: float,
        clock: Clock,
        tell: Tell,
    ) -> None:
        self._issuer = issuer
        self._url = url
        self._address = address
        self._file = folder / f"issuer-{sha256(issuer.encode()).hexdigest()[:16]}.json"
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._tell = tell
        self._found: Published | None = None
        self._found_at = clock.now()
        self._found_when = clock.monotonic()
        self._tried: float | None = None
        self._failing = False
        self._look: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._random = SystemRandom()

    def __repr__(self) -> str:
        return f"IssuerKeys({self._issuer!r})"

    def current(self) -> KeyTable | None:
        """The keys that count now; None = none does."""
        if self._found is None or self._age() >= self._keep_seconds:
            return None
        return self._found.table

    async def renewed(self) -> KeyTable | None:
        """As `current`, after a fresh look if the last one is LEAST_SECONDS ago."""
        look = self._look
        if look is None and not self._is_too_soon():
            look = self._begin()
        if look is not None:
            await asyncio.wait({look})  # who gives up waiting does not end it for the others
        return self.current()

    async def start(self) -> None:
        """Take the last good set, look once, and go on looking."""
        await asyncio.to_thread(self._recall)
        await self.renewed()
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="issuer keys")

    async def stop(self) -> None:
        """End it."""
        tasks = {task for task in (self._loop, self._look) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    def pause(self) -> float:
        """Seconds until the next look."""
        if self._failing:
            return LEAST_SECONDS * (1 + JITTER * self._random.random())
        return REFETCH_SECONDS * (1 - JITTER * self._random.random())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.pause())
            await self.renewed()

    def _age(self) -> float:
        """Seconds. By the clock that says more: one may be set back, the other sleeps at night."""
        wall = (self._clock.now() - self._found_at) / timedelta(seconds=1)
        return max(wall, self._clock.monotonic() - self._found_when)

    def _is_too_soon(self) -> bool:
        return self._tried is not None and self._clock.monotonic() - self._tried < LEAST_SECONDS

    def _begin(self) -> "asyncio.Task[None]":
        self._tried = self._clock.monotonic()
        self._look = asyncio.get_running_loop().create_task(self._once(), name="issuer keys: look")
        return self._look

    async def _once(self) -> None:
        now, when = self._clock.now(), self._clock.monotonic()
        try:
            found = await self._address.fetch()
        except FetchError as error:
            self._failing = True
            emit(Event.ISSUER_KEYS_FAILED, issuer=self._issuer, why=str(error.fault))
        except Exception as error:  # noqa: BLE001  # a reader failed: a bug of ours, and no key set
            self._failing = True
            emit(Event.ISSUER_KEYS_FAILED, error, issuer=self._issuer, why="internal")
        else:
            self._failing = False
            self._take(found, now, when)
            await asyncio.to_thread(self._remember, found, now)
        finally:
            self._look = None
            self._told()

    def _take(self, found: Published, now: Instant, when: float) -> None:
        """From now on these, and no others. The same text is the same table."""
        if self._found is None or self._found.text != found.text:
            self._found = found
            kids = 0 if found.table is None else len(found.table.keys)
            emit(Event.ISSUER_KEYS_CHANGED, issuer=self._issuer, keys=kids)
        self._found_at, self._found_when = now, when

    def _told(self) -> None:
        there = self.current() is not None
        self._tell(self._issuer, self._found_at if there else None, ok=not self._failing)

    # -- on disk --------------------------------------------------------------------------

    def _recall(self) -> None:
        """The last good set, unless it is too old, of another address, or no set any more."""
        try:
            with self._file.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            emit(Event.ISSUER_KEYS_FAILED, error, issuer=self._issuer, why="file")
            return
        try:
            kept = msgspec.json.decode(data, type=OnDisk, strict=True)
            found = Published.read(kept.text, self._address.algorithms)
            found_at = from_milliseconds(kept.found_at)
        except (msgspec.MsgspecError, ValueError, OverflowError):
            emit(Event.ISSUER_KEYS_FAILED, issuer=self._issuer, why="file")
            return
        age = (self._clock.now() - found_at) / timedelta(seconds=1)
        # One from the future: nobody knows how old it is.
        if (kept.issuer, kept.url) != (self._issuer, self._url) or age < 0:
            return
        self._found, self._found_at = found, found_at
        self._found_when = self._clock.monotonic() - age

    def _remember(self, found: Published, now: Instant) -> None:
        kept = OnDisk(
            issuer=self._issuer, url=self._url, found_at=to_milliseconds(now), text=found.text
        )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, msgspec.json.encode(kept))
        except OSError as error:
            # The next start needs the issuer; what runs does not need the file.
            emit(Event.ISSUER_KEYS_FAILED, error, issuer=self._issuer, why="file")


def _replace(file: Path, data: bytes) -> None:
    """Another file under this name, at once and whole: several workers write it."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(data)
            written.flush()
            os.fsync(written.fileno())
        Path(name).replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
