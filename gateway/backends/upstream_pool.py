"""The connections to the CRM: how many, whose turn, and which may be used again.

House rules:
- A request holds a slot from before it has a connection until its exchange is over. Slots are
  given in the order in which they were asked for. Connections are opened only by who finds none
  idle, so there are never more of them than slots.
- An answer that streams gives its slot back when it begins: slow readers of films must not keep
  others from their cards. Of those there may be `max_streams`; the next one keeps its slot.
- A connection is looked at, down to the socket, before it is asked. The CRM's end of an idle one
  is usually there by then; keeping idle ones for less time than common servers do (Node: 5 s)
  does the rest.
"""

import asyncio
import ssl
from collections import deque

from yarl import URL

from gateway.backends.upstream_connection import Connection
from gateway.backends.upstream_wire import invalid, too_slow, unreachable
from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason

IDLE_SECONDS = 4.0
HAPPY_EYEBALLS_SECONDS = 0.25  # RFC 8305 5: the next address is tried after so long


class Pool:
    """Connections to one origin.

    Args:
        tls: None for plain HTTP.
        connect_seconds: for the name, TCP and TLS together.
        max_connections: open at once, but for
        max_streams: those whose answer streams.
    """

    def __init__(
        self,
        origin: URL,
        *,
        tls: ssl.SSLContext | None,
        connect_seconds: float,
        max_connections: int,
        max_streams: int,
    ) -> None:
        self._host = origin.raw_host or ""
        self._port = origin.port or 0
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._slots = max_connections  # free ones
        self._max_streams = max_streams
        self._streaming: set[Connection] = set()  # those that hold no slot
        self._queue: deque[asyncio.Future[None]] = deque()
        self._idle: list[Connection] = []  # the one used last is the one used next
        self._open: set[Connection] = set()
        self._closed = False

    def take(self) -> Connection | None:
        """An idle connection, if there is one that can be asked and nobody waits before us."""
        if not self._idle or not self._slots or self._queue:
            return None
        connection = self._quiet()
        if connection is not None:
            self._slots -= 1
        return connection

    async def get(self, due: float, *, fresh: bool = False) -> Connection:
        """A connection, as soon as it is our turn.

        Args:
            due: the loop's time by which to have one.
            fresh: one that was never used.

        Raises:
            UpstreamError: UPSTREAM_TIMEOUT; UPSTREAM_UNREACHABLE; UPSTREAM_INVALID: it talks
                before it is asked.
        """
        await self._slot(due)
        try:
            connection = None if fresh else self._quiet()
            if connection is None:
                connection = await self.connect(due)
            _require_quiet(connection)
        except BaseException:
            self._free_slot()
            raise
        return connection

    async def connect(self, due: float | None = None) -> Connection:
        """Open a connection; outside of any slot, if nobody asks on it."""
        self._require_open()
        loop = asyncio.get_running_loop()
        soon = loop.time() + self._connect_seconds
        try:
            async with asyncio.timeout_at(soon if due is None else min(soon, due)):
                _, connection = await loop.create_connection(
                    lambda: Connection(let_go=self._let_go, lost=self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host.removesuffix(".") if self._tls else None,
                    happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS,
                )
        except TimeoutError as error:
            raise too_slow() from error
        except (OSError, UnicodeError) as error:  # refused, not resolved, not trusted
            raise unreachable() from error
        if not connection.gone:
            self._open.add(connection)
        try:
            self._require_open()
        except UpstreamError:
            connection.abort()
            raise
        return connection

    def streams(self, connection: Connection) -> None:
        """The answer on it streams: its slot is for the next who asks."""
        if len(self._streaming) < self._max_streams:
            self._streaming.add(connection)
            self._free_slot()

    def close(self) -> None:
        """Drop every connection, used or not. Who waits is refused."""
        self._closed = True
        for connection in tuple(self._open):
            connection.abort()
        for turn in self._queue:
            if not turn.done():
                turn.set_exception(_stopping())
        self._queue.clear()

    def _require_open(self) -> None:
        if self._closed:
            raise _stopping()

    def _quiet(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def _slot(self, due: float) -> None:
        self._require_open()
        if self._slots and not self._queue:
            self._slots -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout_at(due):
                await turn
        except TimeoutError as error:
            self._hand_back(turn)
            raise too_slow() from error
        except asyncio.CancelledError:
            self._hand_back(turn)
            raise

    def _hand_back(self, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._free_slot()  # it came in the moment in which we left

    def _free_slot(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._slots += 1

    def _let_go(self, connection: Connection, keeps: bool) -> None:  # noqa: FBT001  # one caller
        if keeps and not self._closed:
            self._idle.append(connection)
            connection.rest(IDLE_SECONDS)
        elif keeps:
            connection.abort()
        if connection in self._streaming:
            self._streaming.discard(connection)
        else:
            self._free_slot()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def _require_quiet(connection: Connection) -> None:
    """Nothing may come before we ask; and whoever closes at once is not asked."""
    if not connection.is_quiet():
        connection.abort()
        raise invalid("the CRM talks before it is asked, or does not listen")


def _stopping() -> UpstreamError:
    return UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the gateway is stopping")
