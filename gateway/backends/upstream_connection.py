"""One connection to the CRM: a request out, its answer in, one after the other.

House rules:
- Bytes that nobody asked for end the connection, and are shown to nobody.
- An exchange lets go of its connection exactly once, in `_let_go`: for the next request, if the
  request went out whole and the answer ended where it said it would; otherwise by dropping it.
- Whoever stops waiting (an error, a cancelled task) drops the connection.
- Nobody holds more than HIGH_WATER bytes of a body that is not taken, plus one read of the loop
  (READ_BYTES, within TLS 256 KiB): beyond it the connection is not read, and the CRM waits.
- One timer a connection, set anew only when it rings: most waits end long before.
"""

import asyncio
import select
import ssl
from collections.abc import Callable

from gateway.backends.upstream_exchange import NEVER, Exchange, Wants
from gateway.backends.upstream_wire import broken_off, too_large, too_slow
from gateway.domain.errors import GatewayError, UpstreamError

HIGH_WATER = 64 * 2**10  # bytes, each way
# At once from the socket. asyncio's 256 KiB are allocated anew for each read, beyond what the
# allocator keeps: a small answer then costs a third more. TLS reads by a measure of its own.
READ_BYTES = 64 * 2**10


class Connection(asyncio.Protocol):
    """The protocol of one transport.

    Args:
        let_go: called when an exchange is over, with whether the connection may be used again.
        lost: called once when the connection is gone.

    Attributes:
        asked: how many requests were written.
        gone: it is not open any more, or not yet.
    """

    __slots__ = (
        "_alarm",
        "_clock",
        "_drained",
        "_due",
        "_exchange",
        "_let_go_of",
        "_loop",
        "_lost",
        "_poll",
        "_reading",
        "_sent",
        "_tls",
        "_transport",
        "_writable",
        "asked",
        "gone",
    )

    def __init__(
        self,
        *,
        let_go: Callable[["Connection", bool], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self.asked = 0
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._let_go_of = let_go
        self._lost = lost
        self._transport: asyncio.Transport
        self._tls: ssl.SSLObject | None = None
        self._poll = select.poll()
        self._exchange: Exchange | None = None
        self.gone = True
        self._sent = False  # the request of this exchange, whole
        self._reading = True
        self._writable = True
        self._drained: asyncio.Future[None] | None = None
        self._due = NEVER
        self._alarm: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ asking

    def is_quiet(self) -> bool:
        """It can be asked: open, nobody's, and nothing has arrived, not even in the socket.

        A fresh TLS connection is not looked at that deeply: session tickets may be there.
        """
        if self.gone or self._exchange is not None or self._transport.is_closing():
            return False
        return (self._tls is not None and not self.asked) or not self._poll.poll(0)

    def ask(self, head: bytes, *, head_only: bool, due: float, whole: bool) -> Exchange:
        """Write a request, or the beginning of one, and expect its answer.

        Args:
            head: of the request, with as much of its body as there is.
            head_only: it is a HEAD.
            due: the loop's time by which the answer's head must be here.
            whole: these bytes are all of it; otherwise `sent` is called after the rest.
        """
        exchange = self._exchange = Exchange(head_only=head_only)
        self.asked += 1
        self._sent = whole
        self._watch(due)
        self._transport.write(head)
        return exchange

    async def write(self, exchange: Exchange, data: bytes | memoryview) -> bool:
        """Write more of the request; wait while the CRM takes nothing. False: it is over."""
        if self._exchange is not exchange:
            return False
        self._transport.write(data)
        while not self._writable and self._exchange is exchange:
            self._drained = self._loop.create_future()
            await self._drained
        return self._exchange is exchange

    def sent(self, exchange: Exchange) -> None:
        """The request is written, whole."""
        if self._exchange is exchange:
            self._sent = True

    def expect(self, exchange: Exchange, due: float | None) -> None:
        """Until when the CRM has time; None = as long as the client takes."""
        if self._exchange is exchange and exchange.head is None:
            self._watch(NEVER if due is None else due)

    # ------------------------------------------------------------ waiting

    async def headed(self, exchange: Exchange) -> None:
        """Wait for the head of the answer.

        Raises:
            GatewayError: there will be none.
        """
        if exchange.head is None and exchange.failure is None:
            await self._wait(exchange, Wants.HEAD)
        if exchange.failure is not None:
            raise exchange.failure
        if self._exchange is exchange:
            self._watch(NEVER)  # until somebody wants the body

    async def some(self, exchange: Exchange, piece_seconds: float) -> bytes:
        """Whatever has come of the body since the last time; b"" at the end.

        Raises:
            GatewayError: the body breaks off.
        """
        if not exchange.held and not exchange.over:
            exchange.piece_seconds = piece_seconds
            self._resume()
            self._watch(self._clock() + piece_seconds)
            await self._wait(exchange, Wants.SOME)
            if self._exchange is exchange:
                self._watch(NEVER)
        if piece := exchange.take():
            return piece
        if exchange.failure is not None:
            raise exchange.failure
        return b""

    async def everything(
        self, exchange: Exchange, max_bytes: int, *, piece_seconds: float, total_seconds: float
    ) -> bytes:
        """The whole body.

        Raises:
            GatewayError: the body breaks off, takes too long or is larger.
        """
        if not exchange.over:
            now = self._clock()
            exchange.max_bytes = max_bytes
            exchange.piece_seconds = piece_seconds
            exchange.last_due = now + total_seconds
            self._watch(min(now + piece_seconds, exchange.last_due))
            self._resume()
            await self._wait(exchange, Wants.ALL)
        if exchange.failure is not None:
            raise exchange.failure
        if exchange.held > max_bytes:
            raise too_large(max_bytes)
        return exchange.take()

    def drop(self, exchange: Exchange, error: GatewayError | None = None) -> None:
        """End the exchange, and the connection with it. Does nothing once it is over."""
        if self._exchange is exchange:
            exchange.failure = error or broken_off()
            self._let_go(exchange)

    def abort(self) -> None:
        """Close at once, whatever is going on."""
        exchange = self._exchange
        if exchange is not None:
            self.drop(exchange)
        elif not self.gone:
            self._transport.abort()

    def rest(self, seconds: float) -> None:
        """Idle from now on; close after so many seconds."""
        self._watch(self._clock() + seconds)

    async def _wait(self, exchange: Exchange, wants: Wants) -> None:
        exchange.wants = wants
        exchange.waiter = self._loop.create_future()
        exchange.wake()  # it may be here already
        try:
            await exchange.waiter
        except BaseException:
            self.drop(exchange)
            raise
        finally:
            exchange.waiter = None

    # ------------------------------------------------------------ what the loop tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # a stream's, always
        self.gone = False
        self._transport = transport
        self._tls = transport.get_extra_info("ssl_object")
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        if hasattr(transport, "max_size"):
            transport.max_size = READ_BYTES

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        try:
            exchange.feed(data)
        except UpstreamError as error:
            exchange.failure = error
        if exchange.wants is Wants.ALL:
            if exchange.held > exchange.max_bytes:
                exchange.failure = too_large(exchange.max_bytes)
        elif exchange.held > HIGH_WATER and not exchange.over:
            self._pause()
        if exchange.over:
            self._let_go(exchange)
            return
        if self._due != NEVER and exchange.head is not None:
            self._watch(min(self._clock() + exchange.piece_seconds, exchange.last_due))
        exchange.wake()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. The transport closes itself."""
        exchange = self._exchange
        if exchange is not None:
            exchange.end(clean=self._tls is None or _said_goodbye(self._tls))
            self._let_go(exchange)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # lost is lost
        """See `asyncio.Protocol`."""
        self.gone = True
        exchange = self._exchange
        if exchange is not None:
            exchange.end(clean=False)
            self._let_go(exchange)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self.resume_writing()
        self._lost(self)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable = False

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable = True
        self._wake_writer()

    # ------------------------------------------------------------ inside

    def _let_go(self, exchange: Exchange) -> None:
        self._exchange = None
        self._due = NEVER
        self._wake_writer()
        keeps = (
            exchange.ended
            and exchange.failure is None
            and not exchange.surplus
            and self._sent
            and exchange.head is not None
            and exchange.head.keeps
            and not self.gone
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()  # it answered what it had not read
        )
        if keeps:
            self._resume()
        elif not self.gone:
            self._transport.abort()
        exchange.wake()
        self._let_go_of(self, keeps)

    def _wake_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _watch(self, due: float) -> None:
        self._due = due
        if due != NEVER and (self._alarm is None or self._alarm.when() > due):
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._due > self._clock():
            self._watch(self._due)
        elif self._exchange is not None:
            self.drop(self._exchange, too_slow())
        else:
            self.abort()  # idle for long enough


def _said_goodbye(tls: ssl.SSLObject) -> bool:
    """Was the end announced within TLS (close_notify), so that nobody else can have cut it?"""
    try:
        return not tls.read(1)
    except ssl.SSLError:
        return False
