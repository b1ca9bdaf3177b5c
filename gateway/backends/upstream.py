"""The hop to the CRM: one request out, one answer back. Decides nothing. Read this file first.

    upstream_wire -> upstream_pool -> upstream_connection -> upstream_head, upstream_chunks
    what is written   on which one     the exchange           what is read (upstream_reading)

House rules:
- The bytes of the target that are sent are the bytes that were decided on. Nothing is added
  that the caller did not give, but Host and the framing; nothing is followed, decoded or
  remembered.
- What was sent once is sent once. The one exception: a request that changes nothing and has no
  body (GET, HEAD, OPTIONS), on a connection that was used before and ended before any byte of
  an answer came, is asked once more, on a fresh one (RFC 9112 9.3.1).
- Every wait has a bound. Every fault leaves as an UpstreamError: UPSTREAM_UNREACHABLE when no
  connection was made (so nothing was sent), UPSTREAM_TIMEOUT and UPSTREAM_INVALID otherwise.
- A connection is used again only after an answer that ended where it said it would. Whoever
  stops half-way (an error, a cancelled task, a consumer that leaves) drops the connection.
- An answer whose end is only the end of the connection is taken if the CRM said that it would
  close (HTTP/1.0, `Connection: close`), and within TLS only if the end itself is signed.
"""

import asyncio
from collections.abc import AsyncIterator

from gateway.backends.upstream_connection import Connection
from gateway.backends.upstream_exchange import Exchange
from gateway.backends.upstream_pool import Pool
from gateway.backends.upstream_socket import UpstreamSockets
from gateway.backends.upstream_upload import upload_stream, upload_whole
from gateway.backends.upstream_wire import (
    broken_off,
    origin_of,
    request_head,
    tls_context,
    too_large,
)
from gateway.domain.decision import Clearance
from gateway.domain.errors import UpstreamError
from gateway.domain.http import SAFE_METHODS, CanonicalTarget, Channel, Headers

MAX_AT_ONCE_BYTES = 128 * 2**10  # a body beyond it goes out in pieces
SMALL_BODY = 64 * 2**10  # bytes; one read of the socket


class LeanUpstream:
    """`ports.Upstream` over HTTP/1.1 with keep-alive connections of our own.

    Args:
        base_url: scheme, host and port of the CRM, no path.
        connect_timeout_seconds: for the name, TCP and TLS.
        answer_timeout_seconds: from asking for a connection to the head of the answer. It
            stands still while we wait for the client's next piece of a streamed body.
        read_timeout_seconds: between two pieces of an answer's body.
        total_timeout_seconds: for `UpstreamAnswer.read` as a whole.
        ca_file: for https, PEM file to trust instead of the system's; checking is never off.
        max_connections: open at once; who finds none free waits, as part of the answer's time.
        max_streams: more of them, for answers that stream.

    Raises:
        ValueError: the URL is not an origin, or the CA file cannot be read.
    """

    def __init__(
        self,
        *,
        base_url: str,
        connect_timeout_seconds: float = 2.0,
        answer_timeout_seconds: float = 15.0,
        read_timeout_seconds: float = 15.0,
        total_timeout_seconds: float = 60.0,
        ca_file: str | None = None,
        max_connections: int = 100,
        max_streams: int = 1000,
    ) -> None:
        origin = origin_of(base_url)
        self._host = origin.host_port_subcomponent or ""
        self._answer_seconds = answer_timeout_seconds
        self._read_seconds = read_timeout_seconds
        self._total_seconds = total_timeout_seconds
        self._pool = Pool(
            origin,
            tls=tls_context(ca_file) if origin.scheme == "https" else None,
            connect_seconds=connect_timeout_seconds,
            max_connections=max_connections,
            max_streams=max_streams,
        )
        self._sockets = UpstreamSockets(
            base_url=base_url,
            connect_timeout_seconds=connect_timeout_seconds,
            answer_timeout_seconds=answer_timeout_seconds,
            ca_file=ca_file,
        )

    async def send(
        self,
        clearance: Clearance,  # noqa: ARG002  # the turnstile: no clearance, no call
        *,
        method: str,
        target: CanonicalTarget,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
        length: int | None = None,
    ) -> "UpstreamAnswer":
        """See `ports.Upstream`."""
        head = request_head(
            method, target.wire, headers, host=self._host, body=body, length=length
        )
        due = asyncio.get_running_loop().time() + self._answer_seconds
        connection = self._pool.take() or await self._pool.get(due)
        head_only = method == "HEAD"
        if body is not None and body != b"":
            exchange = await self._send_with_body(connection, head, body, length, head_only, due)
        else:
            exchange = connection.ask(head, head_only=head_only, due=due, whole=True)
            try:
                await connection.headed(exchange)
            except UpstreamError:
                reused = connection.asked > 1
                untouched = exchange.broken and not exchange.begun
                if not (method in SAFE_METHODS and reused and untouched):
                    raise
                connection = await self._pool.get(due, fresh=True)
                exchange = connection.ask(head, head_only=head_only, due=due, whole=True)
                await connection.headed(exchange)
        return UpstreamAnswer(
            connection, exchange, self._pool, self._read_seconds, self._total_seconds
        )

    async def converse(
        self,
        clearance: Clearance,
        *,
        target: CanonicalTarget,
        headers: Headers,
        subprotocols: tuple[str, ...],
    ) -> Channel:
        """See `ports.Upstream`. Each conversation has a connection of its own."""
        return await self._sockets.converse(
            clearance, target=target, headers=headers, subprotocols=subprotocols
        )

    async def check(self) -> None:
        """See `ports.Upstream`. Opens a connection of its own and asks nothing."""
        (await self._pool.connect()).abort()

    async def close(self) -> None:
        """See `ports.Upstream`. Safe to call twice; a later `send` is refused."""
        self._pool.close()
        await self._sockets.close()

    async def _send_with_body(
        self,
        connection: Connection,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None,
        head_only: bool,  # noqa: FBT001  # one caller
        due: float,
    ) -> Exchange:
        if isinstance(body, bytes) and len(body) <= MAX_AT_ONCE_BYTES:
            exchange = connection.ask(head + body, head_only=head_only, due=due, whole=True)
            await connection.headed(exchange)
            return exchange
        exchange = connection.ask(head, head_only=head_only, due=due, whole=False)
        sending = (
            upload_whole(connection, exchange, body)
            if isinstance(body, bytes)
            else upload_stream(connection, exchange, body, length, self._answer_seconds)
        )
        # Two things may happen first: the body ends, or the answer comes. The handle is kept.
        uploading = asyncio.get_running_loop().create_task(sending)
        try:
            await connection.headed(exchange)
        finally:
            uploading.cancel()
            await asyncio.wait((uploading,))  # nobody reads the client's body after us
        return exchange


class UpstreamAnswer:
    """`ports.UpstreamAnswer`: the head at once, the body once.

    Attributes:
        status: 200 to 599.
        headers: one character per byte (latin-1).
    """

    __slots__ = (
        "_connection",
        "_exchange",
        "_length",
        "_pool",
        "_read_seconds",
        "_taken",
        "_total_seconds",
        "headers",
        "status",
    )

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        pool: Pool,
        read_seconds: float,
        total_seconds: float,
    ) -> None:
        head = exchange.head
        if head is None:
            raise broken_off()
        self.status = head.status
        self.headers = head.headers
        self._length = head.length
        self._connection = connection
        self._exchange = exchange
        self._pool = pool
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds
        self._taken = False

    async def read(self, max_bytes: int) -> bytes:
        """See `ports.UpstreamAnswer`."""
        self._take()
        if self._length is not None and self._length > max_bytes:
            self._leave()
            raise too_large(max_bytes)
        return await self._connection.everything(
            self._exchange,
            max_bytes,
            piece_seconds=self._read_seconds,
            total_seconds=self._total_seconds,
        )

    def arrived(self) -> bytes | None:
        """See `ports.UpstreamAnswer`."""
        exchange = self._exchange
        if self._taken or not exchange.ended or exchange.failure or exchange.held > SMALL_BODY:
            return None
        self._take()
        return exchange.take()

    async def stream(self) -> AsyncIterator[bytes]:
        """See `ports.UpstreamAnswer`. Reads from the CRM only as fast as it is consumed."""
        self._take()
        if not self._exchange.over:
            self._pool.streams(self._connection)
        try:
            while piece := await self._connection.some(self._exchange, self._read_seconds):
                yield piece
        finally:
            self._leave()

    async def close(self) -> None:
        """See `ports.UpstreamAnswer`."""
        self._leave()

    def __del__(self) -> None:
        """Nobody can read it any more: a connection that nobody waits for helps nobody."""
        if hasattr(self, "_exchange"):
            self._leave()

    def _leave(self) -> None:
        """Does nothing after the end of the answer: the connection may be another's by then."""
        self._connection.drop(self._exchange)

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError("the body of an answer can be taken once")
        self._taken = True
