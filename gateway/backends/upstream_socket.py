"""The other hop to the CRM: a WebSocket of our own, opened for one request.

House rules, beside those of `upstream.py`:
- Each conversation has a connection of its own, which is never used for HTTP again.
- Bytes before the head of the CRM's answer are no head; bytes after it are frames.
- What is said in the handshake, and which answer counts, stands in `upstream_handshake.py`.
"""

import asyncio

from gateway.backends.upstream_handshake import agreed, new_key, opening
from gateway.backends.upstream_wire import (
    broken_off,
    origin_of,
    tls_context,
    too_slow,
    unreachable,
)
from gateway.channel import CRM, FramedChannel, SocketLimits
from gateway.domain.decision import Clearance
from gateway.domain.errors import UpstreamError
from gateway.domain.http import CanonicalTarget, Channel, Headers
from gateway.domain.reason import Reason

MAX_HEAD_BYTES = 16 * 2**10
_READ = 64 * 2**10


class UpstreamSockets:
    """`ports.Upstream.converse` over TCP and TLS.

    Args:
        base_url: scheme, host and port of the CRM, no path.
        connect_timeout_seconds: for TCP and TLS.
        answer_timeout_seconds: from sending the handshake to the end of the answer's head.
        write_timeout_seconds: for the CRM to take some of a message, once buffers are full.
        ca_file: for https, PEM file to trust instead of the system's; checking is never off.
        max_message_bytes: of one message from the CRM.

    Raises:
        ValueError: the URL is not an origin, or the CA file cannot be read.
    """

    def __init__(
        self,
        *,
        base_url: str,
        connect_timeout_seconds: float = 2.0,
        answer_timeout_seconds: float = 15.0,
        write_timeout_seconds: float = 30.0,
        ca_file: str | None = None,
        max_message_bytes: int = 2**20,
    ) -> None:
        self._origin = origin_of(base_url)
        self._connect_seconds = connect_timeout_seconds
        self._answer_seconds = answer_timeout_seconds
        self._write_seconds = write_timeout_seconds
        self._tls = tls_context(ca_file) if self._origin.scheme == "https" else None
        self._limits = SocketLimits(max_message_bytes=max_message_bytes)
        self._open: set[asyncio.StreamWriter] = set()
        self._closed = False

    async def converse(
        self,
        clearance: Clearance,  # noqa: ARG002  # the turnstile: no clearance, no call
        *,
        target: CanonicalTarget,
        headers: Headers,
        subprotocols: tuple[str, ...],
    ) -> Channel:
        """See `ports.Upstream`."""
        key = new_key()
        host = self._origin.host_port_subcomponent or ""
        request = opening(host, target.wire, headers, subprotocols, key)
        if self._closed:
            raise UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the gateway is stopping")
        reader, writer = await self._connect()
        self._open.add(writer)
        try:
            async with asyncio.timeout(self._answer_seconds):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
            chosen = agreed(head, key, subprotocols)
        except BaseException as error:
            self._drop(writer)
            if isinstance(error, TimeoutError):
                raise too_slow() from error
            if isinstance(error, OSError | EOFError | asyncio.LimitOverrunError):
                raise broken_off() from error
            raise
        pipe = _Stream(reader, writer, self._write_seconds, self._open)
        return FramedChannel(pipe, peer=CRM, subprotocol=chosen, limits=self._limits)

    async def close(self) -> None:
        """Cut what is still open; a later `converse` is refused. Safe to call twice."""
        self._closed = True
        for writer in tuple(self._open):
            self._drop(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._origin.raw_host, self._origin.port
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await asyncio.open_connection(
                    host, port, ssl=self._tls, limit=MAX_HEAD_BYTES
                )
        except TimeoutError as error:
            raise too_slow() from error
        except OSError as error:  # refused, not resolved, not trusted
            raise unreachable() from error

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()


class _Stream:
    """`channel.Pipe` over asyncio's streams, which stop reading at twice their limit."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        write_seconds: float,
        still_open: set[asyncio.StreamWriter],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._write_seconds = write_seconds
        self._open = still_open

    async def read(self) -> bytes:
        return await self._reader.read(_READ)

    async def write(self, data: bytes) -> None:
        if self._writer.is_closing():  # asyncio would take the bytes and lose them
            raise ConnectionResetError("the connection has ended")
        self._writer.write(data)
        async with asyncio.timeout(self._write_seconds):
            await self._writer.drain()

    def end(self, *, clean: bool) -> None:
        self._open.discard(self._writer)
        transport = self._writer.transport
        # `close` would wait for ever until the CRM takes what is still to be written.
        if clean and not transport.get_write_buffer_size():
            transport.close()
        else:
            transport.abort()
