"""aiohttp's low-level server, bent where it would lie, wait or chatter.

House rules: everything that reaches into aiohttp's own classes stands here, each with the
behaviour of 3.14.5 that makes it necessary; tests/e2e/test_wire_shell.py holds every one of
them over a real socket, so a release that changes one is noticed.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import http_parser, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import (
    HttpVersion,
    HttpVersion10,
    HttpVersion11,
    RawRequestMessage,
    StreamWriter,
)
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import (
    ERROR,
    PayloadAccessError,
    RequestHandler,
    RequestPayloadError,
    _ErrInfo,
)

from gateway.domain.reason import Reason
from gateway.events import Event, emit
from gateway.proxy.head import Heads, address_of
from gateway.proxy.limits import PortLimits
from gateway.proxy.rawbytes import Framing, RawBytes

_NO_LINGER = struct.pack("ii", 1, 0)  # on, for 0 seconds
_TYPED = frozenset({"content-type"})
_ADDED = frozenset({"server"}) | _TYPED
_ANSWERABLE = frozenset({HttpVersion10, HttpVersion11})
_OVER = PayloadAccessError()  # a body, once its request is answered
_NOT_HTTP = HttpVersion(0, 0)  # stands for what the parser took for HTTP; the guard refuses it
# Requests that wait for their turn on one connection before it is read no further: nobody who
# talks to us sends more than one ahead. (aiohttp's 32 holds within one read of the socket.)
_AHEAD = 2


class ParserMissingError(RuntimeError):
    """aiohttp runs on its pure-Python parser, which accepts other requests than the C one."""


def require_c_parser() -> None:
    """Refuse to start on aiohttp's pure-Python parser.

    Raises:
        ParserMissingError: the C extension is missing or switched off.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ParserMissingError(
            "aiohttp's C parser is not in use; install a binary wheel of aiohttp "
            "and unset `AIOHTTP_NO_EXTENSIONS`"
        )


class WireRequest(web.BaseRequest):
    """A request that remembers how it really came.

    Attributes:
        raw: the message as parsed. The base class is given one with a version that may be
            answered with: aiohttp would send `HTTP/2.0 200 OK` to a `GET / HTTP/2.0`.
        heads: reads the heads of its connection.
        named: lower-case names of the headers that the answer names; `reply.py` sets it.
    """

    ATTRS = web.BaseRequest.ATTRS | {"raw", "heads", "named"}

    def __init__(
        self, message: RawRequestMessage, heads: Heads, *args: Any, **kwargs: Any
    ) -> None:
        self.raw = message
        self.heads = heads
        self.named = _TYPED
        if message is ERROR or message.version not in _ANSWERABLE:
            message = message._replace(version=HttpVersion11)
        super().__init__(message, *args, **kwargs)

    @property
    def is_last(self) -> bool:
        """May what follows on this connection be anything but a request?

        So after a refused upgrade, and after a transfer coding that the parser took for none:
        its body would be read as the next request. After chunks too: the parser takes the last
        field of their trailer for the first header of the next request.
        """
        return "Transfer-Encoding" in self.headers or bool(self.raw.upgrade)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # aiohttp adds its banner, and `application/octet-stream` where no type was named.
        for name in _ADDED - self.named:
            response.headers.popall(name, None)


class WireServer(web.Server):
    """The connections of one port.

    Attributes:
        turned_away: connections closed at once because there were too many.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Any],
        limits: PortLimits,
        malformed: Callable[[web.BaseRequest, Reason], web.StreamResponse],
    ) -> None:
        super().__init__(handler, request_factory=self._factory)
        self.limits = limits
        self.malformed = malformed
        self.turned_away = 0
        self._peers: dict[RequestHandler, str] = {}
        self._per_peer: Counter[str] = Counter()

    def __call__(self) -> RequestHandler:
        """Make the protocol of one connection, as asyncio asks for it."""
        return _WireProtocol(self, loop=self._loop, **self.limits.server_options())

    def _factory(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        assert isinstance(protocol, _WireProtocol)  # noqa: S101  # only __call__ makes them
        protocol.reading = payload
        return WireRequest(message, protocol.heads, payload, protocol, writer, task, self._loop)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection; close it at once if there are too many."""
        super().connection_made(handler, transport)
        peer = address_of(transport.get_extra_info("peername"))
        self._peers[handler] = peer
        self._per_peer[peer] += 1
        if (
            len(self._peers) > self.limits.max_connections
            or self._per_peer[peer] > self.limits.max_connections_per_peer
        ):
            self.turned_away += 1
            if self.turned_away % 1000 == 1:  # a flood must not become a flood of log lines
                emit(Event.CONNECTION_TURNED_AWAY, total=self.turned_away)
            # Soon, not now: aiohttp starts its task first and would find it half closed.
            self._loop.call_soon(reset, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler, None)
        if peer is not None:
            self._per_peer[peer] -= 1
            if not self._per_peer[peer]:
                del self._per_peer[peer]


class _WireProtocol(RequestHandler):
    """One connection."""

    __slots__ = ("broken", "filling", "framing", "heads", "raw", "reading", "streaming", "wire")

    def __init__(self, manager: WireServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self._max_msg_queue_size = _AHEAD
        self._msg_queue_resume_size = _AHEAD // 2
        self.wire = manager
        self.raw = RawBytes()
        self.heads = Heads(manager.limits.max_head_bytes)
        self.broken = False  # nothing that comes is looked at any more
        self.reading: StreamReader | None = None  # the body of the request being answered
        self.filling: StreamReader | None = None  # the body that is coming in
        self.framing: Framing | None = None  # of that one, if it is chunked
        self.streaming: asyncio.Task[Any] | None = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser, look at what it does not tell, and stop at the first thing wrong.

        aiohttp queues a 400 behind the request whose body is malformed but leaves its reader
        waiting for bytes that can no longer come, and goes on feeding a parser that failed.
        """
        if self.broken or self._close or self._force_close:
            return
        if self._payload_parser is not None or self._upgraded:  # no HTTP any more
            super().data_received(data)
            return
        before = len(self._messages)
        super().data_received(data)
        made = [
            (at, message)
            for at, (message, _) in enumerate(self._messages)
            if at >= before and isinstance(message, RawRequestMessage)
        ]
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._break()
        else:
            self._weigh(data, made)

    def _weigh(self, data: bytes, made: list[tuple[int, RawRequestMessage]]) -> None:
        """Refuse what is not plain HTTP, and what is more head or framing than anybody needs."""
        limits = self.wire.limits
        plain = self.raw.read(data, [message for _, message in made])
        for (at, message), honest in zip(made, plain, strict=True):
            if not honest:
                said = message._replace(version=_NOT_HTTP)
                self._messages[at] = (said, self._messages[at][1])
        if self._upgraded:
            return
        if made:
            at, message = made[-1]
            self.filling = self._messages[at][1]
            self.framing = Framing(self.filling.total_bytes) if message.chunked else None
        elif self.framing is not None:
            self.framing.raw += len(data)
        if self.filling is not None and self.filling.is_eof():
            self.filling = self.framing = None
        if self._reading_paused or self._buffer_paused:
            return  # the parser has stopped before the end of what it was given
        if self.filling is not None and self.framing is not None:
            slack = limits.max_chunk_overhead_bytes
            if self.framing.exceeds(self.filling.total_bytes, slack):
                self._break()
        elif self.raw.begun > limits.max_line_bytes + limits.max_head_bytes:
            error = _ErrInfo(status=400, exc=BadHttpMessage("too large"), message="")
            self._messages.append((error, EMPTY_PAYLOAD))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)
            self._break()

    def _break(self) -> None:
        """Look at nothing that still comes; whoever waits for a body learns that it is broken."""
        self.broken = True
        for payload in (self.reading, self.filling, *(payload for _, payload in self._messages)):
            if payload is not None and not payload.is_eof():
                payload.set_exception(RequestPayloadError("malformed body"))
                payload.feed_eof()

    async def start(self) -> None:
        """Serve the connection; and end it, even if the client never takes the last answer.

        As aiohttp's, but for two things. It makes a task for each request, for context variables
        that nobody here has: a tenth of what a small answer costs. And closed as aiohttp closes
        it, a transport waits for ever to get rid of what it holds.
        """
        transport = self.transport
        try:
            while not self._force_close and await self._serve_one():
                self._stay_open()
            if not self._force_close:
                self._task_handler = None
                if self.transport is not None:
                    self.transport.close()
        finally:
            if transport is not None and transport.get_write_buffer_size():
                self._loop.call_later(self.wire.limits.write_seconds, reset, transport)

    async def _serve_one(self) -> bool:
        """Wait for the next request and answer it. False: the last one on this connection."""
        message, payload = await self._next()
        handler, error = self._request_handler, isinstance(message, _ErrInfo)
        if isinstance(message, _ErrInfo):
            handler = self._make_error_handler(message)
        task = self._task_handler or asyncio.current_task(self._loop)
        assert self._request_factory is not None  # noqa: S101  # nobody has let go of it yet
        assert handler is not None and task is not None  # noqa: S101, PT018  # nor of these
        request = self._request_factory(
            ERROR if error else message,
            payload,
            self,
            StreamWriter(self, self._loop),
            task,
        )
        try:
            response, gone = await self._handle_request(request, None, handler)
            if gone:
                return False
            self._keepalive = bool(response.keep_alive)
            if not payload.is_eof():
                await self._linger(payload)
            payload.set_exception(_OVER)
        except ConnectionError:
            return False
        except Exception as failed:  # noqa: BLE001  # as aiohttp: the connection is lost, no more
            self.log_exception(exc_info=failed)
            self.force_close()
        except BaseException:
            self.force_close()
            raise
        finally:
            request._task = None  # type: ignore[assignment]  # noqa: SLF001  # a reference in a circle
        return self._keepalive and not self._close and not self._force_close

    async def _linger(self, payload: StreamReader) -> None:
        """Read what nobody wants of a body for a while, then close.

        Closed at once it would be a reset, and the answer lost with it (RFC 9112 9.6).
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof():
                    await payload.readany()
        if not payload.is_eof():
            self.close()

    async def _next(self) -> Any:
        """The next message and its payload, as the parser made them."""
        if not self._messages:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        made = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        return made

    def _stay_open(self) -> None:
        """Until the client has been silent for too long."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop a stream nobody reads: it may have nothing to write for hours."""
        super().connection_lost(exc)
        if self.streaming is not None:
            self.streaming.cancel()

    async def _drain_helper(self) -> None:
        """Wait until the client has taken what piles up, but only as long as it does take it.

        Every write of every answer waits here once the buffer is full, and only then.
        """
        limits, transport = self.wire.limits, self.transport
        left = 0 if transport is None else transport.get_write_buffer_size()
        # aiohttp keeps the waiter of a task that was cancelled; who waits next would be as well.
        if self._drain_waiter is not None and self._drain_waiter.cancelled():
            self._drain_waiter = None
        while True:
            try:
                async with asyncio.timeout(limits.write_seconds):
                    await super()._drain_helper()
                    return
            except TimeoutError as error:
                self._drain_waiter = None  # the timeout has cancelled it
                now_left = 0 if self.transport is None else self.transport.get_write_buffer_size()
                if left - now_left >= limits.write_seconds * limits.min_bytes_per_second:
                    left = now_left
                    continue
                emit(Event.ANSWER_NOT_TAKEN)
                if self.transport is not None:
                    reset(self.transport)
                raise ConnectionResetError("the client takes too little") from error

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request: never sent or logged
    ) -> web.StreamResponse:
        """Answer what aiohttp itself refuses; its own text would quote the request."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError("the answer is broken off") from exc
        if status == 400:
            return self.wire.malformed(request, Reason.MALFORMED_REQUEST)
        emit(Event.WIRE_FAILED, exc)
        return self.wire.malformed(request, Reason.INTERNAL_ERROR)

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Log by name only: aiohttp's own line and traceback quote header bytes."""
        emit(Event.WIRE_FAILED, kw.get("exc_info"))


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that nobody can take it for a clean end: RST, not FIN.

    `abort` alone throws the buffer away and then closes with a FIN like any other.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() != -1:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def watch(request: web.BaseRequest, task: "asyncio.Task[Any] | None") -> None:
    """Name the task to cancel when this request's client goes away; None = nobody."""
    if isinstance(request.protocol, _WireProtocol):
        request.protocol.streaming = task
