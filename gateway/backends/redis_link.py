"""One question, one answer, one deadline: to the server that has our keys, wherever it is now.

    single     the server of the URL
    sentinel   the master that the sentinels name; asked again once in CONFIRM_SECONDS, and at any
               sign that it is another one by now
    cluster    the node that has our slot: any of the listed ones says where it is (MOVED)

House rules
- The whole exchange (finding the server, waiting for a connection, TCP, TLS, AUTH, SELECT,
  command, answer) has one deadline. `redis_pool.py` holds the rules for connections.
- Sent elsewhere, a question goes there once, and to nobody after that. A server that is no longer
  the one is asked nothing more: its connections are closed.
- Nothing is ever retried after a timeout, and the password stands in no text.
"""

import asyncio
import math

from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as LostError

from gateway.backends.redis_address import RedisAddress, Server, Topology
from gateway.backends.redis_pace import Pace
from gateway.backends.redis_pool import Pool, Reply, Tls, Word
from gateway.backends.redis_sentinels import Sentinels
from gateway.domain.errors import StateUnavailableError

MAX_CONNECTIONS = 32  # each carries thousands of commands a second; more only queue in Redis
CONFIRM_SECONDS = 1.0  # so long a master that nobody complains of is believed to be it


class RedisLink:
    """Asks. Belongs to one event loop; connects at the first question."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tls = Tls(address)
        self._pace: Pace | None = None
        self._finding = asyncio.Lock()
        self._sentinels: Sentinels | None = None
        self._pool: Pool | None = None  # the one, as far as we know
        self._believed = -math.inf  # until then it is
        self._turn = 0  # which of the listed nodes is asked first
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisLink({self._address})"

    async def ask(self, *words: Word, seconds: float) -> Reply:
        """Send one command and return its answer, as Redis gave it (RESP2).

        Raises:
            StateUnavailableError: no answer in time, or an error instead of one.
        """
        if self._closed:
            raise StateUnavailableError("the state store is closed")
        try:
            async with asyncio.timeout(seconds), self._slots:
                return await self._asked(words)
        except TimeoutError:
            await self._doubt()
            raise StateUnavailableError(
                f"{self._address} gave no answer within {seconds} s"
            ) from None
        # UnicodeError: a name that is no text. ValueError: an answer that is not RESP.
        except (RedisError, OSError, UnicodeError, ValueError) as error:
            raise StateUnavailableError(f"{self._address}: {_plain(error)}") from error

    @property
    def attempts(self) -> int:
        """How often a connection was begun: with each, it may be another Redis that answers."""
        return 0 if self._pace is None else self._pace.attempts

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()
        if self._sentinels is not None:
            await self._sentinels.close()
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def _asked(self, words: tuple[Word, ...]) -> Reply:
        pool = await self._place()
        try:
            return await pool.ask(*words)
        except MovedError as error:
            pool = await self._go(pool, _named(error, pool.server))
            return await pool.ask(*words)
        except AskError as error:
            return await self._ask_once(_named(error, pool.server), words)
        except (ReadOnlyError, LostError, ClusterDownError, OSError):
            if self._address.topology is Topology.SINGLE:
                raise
            await self._doubt(pool)
        pool = await self._place()  # once; a node of the cluster may send us on, once
        try:
            return await pool.ask(*words)
        except MovedError as error:
            pool = await self._go(pool, _named(error, pool.server))
            return await pool.ask(*words)

    async def _place(self) -> Pool:
        """The server that is believed to be the one, found anew if need be."""
        if self._pool is not None and self._now() < self._believed:
            return self._pool
        async with self._finding:
            if self._pool is not None and self._now() < self._believed:
                return self._pool
            server, believed = await self._find()
            return await self._settle(server, believed)

    async def _find(self) -> tuple[Server, float]:
        if self._address.topology is Topology.SENTINEL:
            asked = self._now()
            self._sentinels = self._sentinels or Sentinels(self._address, self._tls)
            return await self._sentinels.master(), asked + CONFIRM_SECONDS
        servers = self._address.servers
        server = servers[self._turn % len(servers)]
        self._turn += 1
        return server, math.inf

    async def _settle(self, server: Server, believed: float) -> Pool:
        if self._closed:
            raise StateUnavailableError("the state store is closed")
        left, self._believed = self._pool, believed
        if left is None or left.server != server:
            self._pool = pool = self._pool_to(server)
            if left is not None:
                await left.close()
            return pool
        return left

    async def _go(self, sender: Pool, server: Server) -> Pool:
        """Where a node of the cluster sent us; many may be sent at once."""
        self._require_cluster()
        if self._pool is sender or self._pool is None:
            return await self._settle(server, math.inf)
        return self._pool

    async def _ask_once(self, server: Server, words: tuple[Word, ...]) -> Reply:
        self._require_cluster()
        pool = self._pool_to(server)
        try:
            return await pool.ask(*words, asking=True)
        finally:
            await pool.close()

    async def _doubt(self, pool: Pool | None = None) -> None:
        """Find out again who it is, before anything else is asked."""
        if self._address.topology is not Topology.SINGLE and pool in {None, self._pool}:
            left, self._pool = self._pool, None
            if left is not None:
                await left.close()

    def _pool_to(self, server: Server) -> Pool:
        self._pace = self._pace or Pace(monotonic=asyncio.get_running_loop().time)
        return Pool(
            server,
            self._address,
            self._tls,
            self._pace,
            database=self._address.database,
            master=self._address.topology is Topology.SENTINEL,
        )

    def _require_cluster(self) -> None:
        if self._address.topology is not Topology.CLUSTER:
            raise StateUnavailableError(
                f"{self._address} is a cluster; `state.url` begins with `redis+cluster://` then"
            )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _named(error: AskError, sender: Server) -> Server:
    """Redis Cluster specification, "MOVED Redirection": no host = the one that was asked."""
    if not 0 < error.port <= 65535:
        raise ValueError("a redirection to no port")
    return Server(host=error.host.strip("[]") or sender.host, port=error.port)


def _plain(error: Exception) -> str:
    """What went wrong. Redis repeats neither passwords nor values, but may repeat a key."""
    text = str(error).split("'")[0].split("`")[0].strip()
    return text or type(error).__name__
