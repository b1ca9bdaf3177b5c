"""One question, one answer, over a few kept connections to one Redis server.

House rules
- The whole exchange (waiting for a connection, TCP, TLS, AUTH, SELECT, command, answer)
  has one deadline.
- A connection on which anything went wrong, a timeout and a cancellation included, is
  closed and never used again: a connection that is one answer off would tell one person's
  state as another's.
- A kept connection that turns out to be dead is replaced once, within the same deadline.
  So a command may be carried out twice; give only commands for which that is harmless.
- Nothing is ever retried after a timeout, and the password stands in no text.
"""

import asyncio
from dataclasses import dataclass, field

from redis.asyncio.connection import Connection, RedisSSLContext, SSLConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError

from gateway.domain.errors import StateUnavailableError

MAX_CONNECTIONS = 32  # each carries thousands of commands a second; more only queue in Redis

Word = str | bytes | int
Reply = bytes | int | list["Reply"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """Where the server is and how to enter. `str()` and `repr()` hold no secret."""

    host: str
    port: int = 6379
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"


class RedisLink:
    """Asks one server. Belongs to one event loop."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tls = RedisSSLContext(cert_reqs="required", check_hostname=True)
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
                return await self._exchange(words)
        except TimeoutError:
            raise StateUnavailableError(
                f"{self._address} gave no answer within {seconds} s"
            ) from None
        # UnicodeError: a name that is no text. ValueError: an answer that is not RESP.
        except (RedisError, OSError, UnicodeError, ValueError) as error:
            raise StateUnavailableError(f"{self._address}: {_plain(error)}") from error

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def _exchange(self, words: tuple[Word, ...]) -> Reply:
        while self._idle:  # ends: every turn takes one away, and a fresh one follows
            try:
                return await self._talk(self._idle.pop(), words)
            except LostError:
                continue
        return await self._talk(self._fresh(), words)

    async def _talk(self, connection: Connection, words: tuple[Word, ...]) -> Reply:
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]  # as redis-py left it
            # Before we ask there must be nothing to read: neither an end nor an answer.
            if await connection.can_read():
                raise LostError("the connection was closed or is out of step")  # noqa: TRY301
            await connection.send_command(*words)
            reply: Reply = await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return reply

    def _fresh(self) -> Connection:
        kind = SSLConnection if self._address.tls else Connection
        connection = kind(
            host=self._address.host,
            port=self._address.port,
            db=self._address.database,
            username=self._address.username,
            password=self._address.password,
            # One deadline, ours. With None redis-py adds none of its own.
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,
            driver_info=None,  # no CLIENT SETINFO: two commands fewer, and ACLs may refuse it
        )
        if isinstance(connection, SSLConnection):
            # Shared, because loading the system's CAs blocks the loop for some 20 ms.
            connection.ssl_context = self._tls
        return connection


def _plain(error: Exception) -> str:
    """What went wrong. Redis repeats neither passwords nor values, but may repeat a key."""
    text = str(error).split("'")[0].split("`")[0].strip()
    return text or type(error).__name__
