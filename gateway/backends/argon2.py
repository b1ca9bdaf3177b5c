"""Hashes of passwords: Argon2id (RFC 9106), off the event loop, never more than a few at once.

Parameters: 19 MiB, 2 passes, 1 lane, as OWASP's Password Storage Cheat Sheet has it. RFC 9106's
second recommended option (64 MiB, 3 passes, 4 lanes) costs ten times as much, and whoever can
reach the port can have it spent; here passwords have 12 characters and guesses wait
(`identity/attempts.py`). Raised parameters take effect for each person with their next sign-in.

True here:
* Two lanes, one thread each: what strangers ask for never keeps a known device waiting.
* Strangers have PLACES in all, a known device has PLACES_EACH of its own, which nobody else can
  take; who finds none is refused at once. Nothing grows.
* A name nobody has is checked against a hash that nothing matches: the same work, the same no.
"""

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import Parameters, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, hash_secret, verify_secret

from gateway.domain.errors import StateUnavailableError

T = TypeVar("T")

PLACES = 16  # at 50 ms each nobody waits longer than a second
PLACES_EACH = 2  # one for a page that is loaded twice
SALT_BYTES, HASH_BYTES = 16, 32  # RFC 9106 3.1
# Of a stored hash: whoever can write to the state shall not stop the gateway with it.
MOST_MEMORY = 256 * 1024  # KiB
MOST_WORK = 4 * MOST_MEMORY  # KiB times passes
NOTHING = b"\0"  # hashed in place of what is no password at all; no password is this one
PARAMETERS = Parameters(
    type=Type.ID,
    version=ARGON2_VERSION,
    salt_len=SALT_BYTES,
    hash_len=HASH_BYTES,
    time_cost=2,
    memory_cost=19 * 1024,
    parallelism=1,
)


@dataclass(slots=True, eq=False, kw_only=True)
class Argon2Hasher:
    """Implements accounts.PasswordHasher. Belongs to one event loop.

    Attributes:
        parameters: of new hashes.
        runs: how many hashes were worked out, for whomever.
    """

    parameters: Parameters = field(default_factory=lambda: PARAMETERS)
    runs: int = 0
    _threads: dict[bool, ThreadPoolExecutor] = field(default_factory=dict)
    _taken: Counter[str | None] = field(default_factory=Counter)
    _nobodys: str = field(init=False)

    def __post_init__(self) -> None:
        for known, name in ((True, "argon2-known"), (False, "argon2-stranger")):
            self._threads[known] = ThreadPoolExecutor(1, thread_name_prefix=name)
        # The right form, and a hash that nobody has worked out.
        self._nobodys = _phc(self.parameters, secrets.token_bytes(HASH_BYTES))

    @contextmanager
    def place(self, known: str | None) -> Iterator[None]:
        """A place before the hashes, for as long as one sign-in takes.

        Args:
            known: which known device; None = a stranger.

        Raises:
            StateUnavailableError: there is none.
        """
        if self._taken[known] >= (PLACES if known is None else PLACES_EACH):
            raise StateUnavailableError("Too many people are signing in. Try again in a moment.")
        self._taken[known] += 1
        try:
            yield
        finally:
            self._taken[known] -= 1
            if not self._taken[known]:
                del self._taken[known]

    async def verify(self, encoded: str | None, password: bytes | None, *, known: bool) -> bool:
        """Is it this password? The same work whatever the answer.

        Args:
            encoded: a PHC string; None = there is none, and the answer is no.
            password: None = it is none, and the answer is no.
            known: which lane.

        Raises:
            StateUnavailableError: the PHC string cannot be read, or asks for too much.
        """
        wanted = self._nobodys if encoded is None else encoded
        _require_affordable(wanted)
        typed = NOTHING if password is None else password
        right = await self._run(lambda: _is_right(wanted, typed), known=known)
        return right and encoded is not None and password is not None

    async def hash(self, password: bytes, *, known: bool) -> str:
        """A PHC string for a new password, with a fresh salt and today's parameters."""
        ours = self.parameters

        def work() -> str:
            made = hash_secret(
                password,
                secrets.token_bytes(ours.salt_len),
                time_cost=ours.time_cost,
                memory_cost=ours.memory_cost,
                parallelism=ours.parallelism,
                hash_len=ours.hash_len,
                type=Type.ID,
            )
            return made.decode()

        return await self._run(work, known=known)

    def is_outdated(self, encoded: str) -> bool:
        """Was it made with other parameters than new ones are?"""
        return _parameters_of(encoded) != self.parameters

    def close(self) -> None:
        """Begin nothing new; what is under way comes to its end unheard."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T], *, known: bool) -> T:
        self.runs += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads[known], work)
        except Argon2Error:  # no memory to be had
            raise StateUnavailableError("a password could not be worked on") from None


def _is_right(encoded: str, password: bytes) -> bool:
    try:
        return verify_secret(encoded.encode(), password, Type.ID)
    except VerifyMismatchError:
        return False


def _parameters_of(encoded: str) -> Parameters:
    try:
        return extract_parameters(encoded)
    except (InvalidHashError, ValueError, UnicodeError):
        raise StateUnavailableError("the hash of a password cannot be read") from None


def _require_affordable(encoded: str) -> None:
    found = _parameters_of(encoded)
    costs = found.memory_cost * found.time_cost
    if found.type is not Type.ID or found.memory_cost > MOST_MEMORY or costs > MOST_WORK:
        raise StateUnavailableError("the hash of a password asks for too much work")


def _phc(parameters: Parameters, found: bytes) -> str:
    """A PHC string with this result, and a salt of its own."""
    salt, result = (
        base64.b64encode(value).decode().rstrip("=")
        for value in (secrets.token_bytes(parameters.salt_len), found)
    )
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${costs}${salt}${result}"
