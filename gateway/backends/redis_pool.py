"""A few kept connections to one server that speaks Redis: one question, one answer.

House rules
- A connection on which anything went wrong, a timeout and a cancellation included, is
  closed and never used again: a connection that is one answer off would tell one person's
  state as another's.
- A kept connection that turns out to be dead is replaced once, within the caller's deadline.
  So a command may be carried out twice; give only commands for which that is harmless.
- A server that must be a master says so on every new connection, before it is asked anything.
"""

from redis.asyncio.connection import Connection, RedisSSLContext, SSLConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ReadOnlyError, ResponseError

from gateway.backends.redis_address import RedisAddress, Server
from gateway.backends.redis_pace import Pace

Word = str | bytes | int
Reply = bytes | int | list["Reply"] | None


class Tls:
    """One TLS context for all connections, made at the first: loading authorities takes 20 ms."""

    def __init__(self, address: RedisAddress) -> None:
        self._files = address.files
        self._made: RedisSSLContext | None = None

    def get(self) -> RedisSSLContext:
        """As redis-py wants it. Raises OSError: a file cannot be read."""
        if self._made is None:
            made = RedisSSLContext(cert_reqs="required", check_hostname=True)
            made.context = self._files.context()
            self._made = made
        return self._made


class Pool:
    """Asks one server. Belongs to one event loop; bounds neither time nor number of questions.

    Args:
        server: whom to ask.
        address: how to enter.
        tls, pace: shared with the other pools of a link.
        database: to select; sentinels have none.
        master: it must be a master.
    """

    def __init__(
        self,
        server: Server,
        address: RedisAddress,
        tls: Tls,
        pace: Pace,
        *,
        database: int = 0,
        master: bool = False,
    ) -> None:
        self.server = server
        self._address = address
        self._tls = tls
        self._database = database
        self._master = master
        self._pace = pace
        self._idle: list[Connection] = []
        self._closed = False

    async def ask(self, *words: Word, asking: bool = False) -> Reply:
        """Send one command and return its answer, as Redis gave it (RESP2).

        Args:
            words: the command.
            asking: the server is being given this slot, and its last owner sends us.

        Raises:
            redis.exceptions.RedisError, OSError, ValueError: no answer, or an error instead.
        """
        while self._idle:  # ends: every turn takes one away, and a fresh one follows
            try:
                return await self._talk(self._idle.pop(), words, asking=asking)
            except LostError:
                continue
        async with self._pace.attempt():
            try:
                return await self._talk(self._fresh(), words, asking=asking)
            except ResponseError as error:
                if isinstance(error, ReadOnlyError):
                    raise
                refused: ResponseError = error  # an answer, too: the server is well
        raise refused

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _talk(
        self, connection: Connection, words: tuple[Word, ...], *, asking: bool
    ) -> Reply:
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]  # as redis-py left it
                if self._master:
                    await _require_master(connection)
            # Before we ask there must be nothing to read: neither an end nor an answer.
            if await connection.can_read():
                raise LostError("the connection was closed or is out of step")  # noqa: TRY301
            if asking:
                await _exchange(connection, "ASKING")
            reply = await _exchange(connection, *words)
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
            host=self.server.host,
            port=self.server.port,
            db=self._database,
            username=self._address.username,
            password=self._address.password,
            # One deadline, the caller's. With None redis-py adds none of its own.
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,
            driver_info=None,  # no CLIENT SETINFO: two commands fewer, and ACLs may refuse it
        )
        if isinstance(connection, SSLConnection):
            connection.ssl_context = self._tls.get()
        return connection


async def _exchange(connection: Connection, *words: Word) -> Reply:
    await connection.send_command(*words)
    reply: Reply = await connection.read_response()
    return reply


async def _require_master(connection: Connection) -> None:
    match await _exchange(connection, "ROLE"):
        case [b"master", *_]:
            return
        case _:
            raise ReadOnlyError("the server is no master")
