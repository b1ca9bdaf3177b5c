"""Documents of the state in Redis, shared by any number of gateways.

Redis may forget, and is caught at it: `redis_watched.py` says how, and how it is repaired. What
is no lock is in nobody's ledger: after a flush, accounts, sign-ins, devices and learned
credentials are gone, and people without them are refused. The epochs (`redis_epochs.py`) stand in
the same memory.

House rules
- Nothing expires by Redis's clock, and nothing has a time to live there: instants come from the
  caller, and no `volatile-...` policy ever evicts a document.
- The version is asked for in the memory that was seen, too: what `document_map.py` keeps is
  never confirmed by a Redis that forgot.
- What does not read, to the last byte, as it is written is StateUnavailableError, never a guess.
"""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from gateway.backends.document_form import PRUNE, forget_before, require_key, require_value
from gateway.backends.redis_address import RedisAddress, key_prefix
from gateway.backends.redis_entry import NEVER, entry_tail, kept, parse_entry
from gateway.backends.redis_memory import Repair
from gateway.backends.redis_scripts import ALL, GET, KINDS, VERSION, WRITE
from gateway.backends.redis_watched import WatchedRedis, documents_in, number_in
from gateway.domain.time import Instant, to_milliseconds
from gateway.ports import Kept, Kind

READ_SECONDS = 0.2  # a request that waits longer is refused; it has heard so within 250 ms
WRITE_SECONDS = 2.0  # Redis, and the ledger's disk, may be busy
LIST_SECONDS = 1.0  # what is kept at hand is loaded by it

PREFIX = key_prefix("salon-gateway")


class RedisDocuments:
    """Implements ports.DocumentStore. Connects at the first call, not when made.

    Args:
        address: where Redis is.
        prefix: what every key begins with.
        ledger: this machine's ledger; its gateways share it. On a disk that lasts.
    """

    def __init__(self, address: RedisAddress, *, prefix: str = PREFIX, ledger: Path) -> None:
        self._redis = WatchedRedis(address, prefix=prefix, ledger=ledger)

    def __repr__(self) -> str:
        return f"RedisDocuments({self._redis.address})"

    async def get(self, kind: Kind, key: str, now: Instant) -> Kept | None:
        """The document, or None if there is none (any more)."""
        number, moment = _hash_of(kind), to_milliseconds(now)
        text = (await self._redis.ask(GET, number, require_key(key), seconds=READ_SECONDS)).value
        return None if text is None else parse_entry(text, Kind(kind), key).living(moment)

    async def put(
        self,
        kind: Kind,
        key: str,
        value: bytes,
        *,
        replaces: int | None,
        now: Instant,
        expires: Instant | None = None,
    ) -> Kept | None:
        """Write it, durably; None = another one stands there than `replaces` says."""
        gone_at = None if expires is None else to_milliseconds(expires)
        revision = await self._write(kind, key, require_value(value), gone_at, replaces, now)
        return None if revision is None else kept(value, revision, gone_at)

    async def remove(self, kind: Kind, key: str, *, replaces: int, now: Instant) -> bool:
        """Remove it; False = another one, or none, stands there."""
        gone_at = to_milliseconds(now)
        return await self._write(kind, key, None, gone_at, replaces, now) is not None

    async def all(self, kind: Kind, now: Instant) -> Mapping[str, Kept]:
        """Every document of a kind, by key."""
        number, moment = _hash_of(kind), to_milliseconds(now)
        reply = (await self._redis.ask(ALL, number, seconds=LIST_SECONDS)).value
        found = {
            key: parse_entry(text, Kind(kind), key).living(moment)
            for key, text in documents_in(reply).items()
        }
        return {key: one for key, one in found.items() if one is not None}

    async def version(self) -> str:
        """Another value whenever any document may have changed since it was last asked."""
        view = (await self._redis.ask(VERSION, seconds=READ_SECONDS)).view
        return f"{view.generation}.{view.sequence}.{view.word}"

    async def check(self) -> None:
        """Raise StateUnavailableError unless the server answers now, and has lost nothing."""
        await self._redis.ask(VERSION, seconds=READ_SECONDS)

    async def repair(self) -> Repair | None:
        """Put this machine's locks back and begin a new generation, if anything is lost.

        Returns:
            What was done; None = nothing was lost.

        Raises:
            StateUnavailableError: Redis or the ledger cannot answer, or it is still not whole.
        """
        return await self._redis.repair()

    async def close(self) -> None:
        """Close every connection, and the ledger. Safe to call twice."""
        await self._redis.close()

    async def _write(
        self,
        kind: Kind,
        key: str,
        value: bytes | None,
        gone_at: int | None,
        replaces: int | None,
        now: Instant,
    ) -> int | None:
        word = uuid4().hex
        answer = await self._redis.ask(
            WRITE,
            _hash_of(kind),
            require_key(key),
            "" if replaces is None else str(replaces),
            to_milliseconds(now),
            NEVER if gone_at is None else gone_at,
            word,
            forget_before(now),
            PRUNE,
            entry_tail(Kind(kind), key, value, gone_at=gone_at, word=word),
            seconds=WRITE_SECONDS,
            noted=Kind(kind) is Kind.LOCK,
        )
        return None if answer.value is None else number_in(answer.value)


def _hash_of(kind: Kind) -> int:
    """Which of the hashes; raises ValueError if there is no such kind."""
    return KINDS.index(Kind(kind)) + 1
