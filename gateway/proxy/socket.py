"""The client's side of a WebSocket: the 101, and then its frames instead of HTTP.

House rules:
- What takes the connection over from aiohttp stands here. aiohttp's own WebSocketResponse is
  not used: it answers with headers of its own and collects fragments without counting them.
- Nothing is promised before `require_acceptable` let it pass; after the 101 the connection
  is never used for HTTP again, whatever happens.
"""

import asyncio
import base64
import hashlib
import re

from aiohttp.helpers import rfc822_formatted_time

from gateway.channel import CLIENT, FramedChannel, SocketLimits
from gateway.domain.errors import RequestError
from gateway.domain.http import HOP_BY_HOP, Conversation, Headers, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.websocket import require_handshake
from gateway.proxy.wire import WireRequest, reset

_READ = 64 * 2**10
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Ours alone, or without meaning in a 101.
_NOT_TO_GIVE = HOP_BY_HOP | {"content-length", "date", "server"}


def require_acceptable(conversation: Conversation, request: WireRequest, inbound: Inbound) -> None:
    """Refuse a 101 that would not be one, or that this client did not ask for.

    Raises:
        ValueError: the request opens no WebSocket, or the subprotocol was not offered, or a
            header would break the head. Says which kind, never the value.
    """
    try:
        offered = require_handshake(inbound)
    except RequestError as error:
        raise ValueError("the request opens no WebSocket") from error
    if not request.raw.upgrade:  # then aiohttp goes on reading HTTP
        raise ValueError("the request opens no WebSocket")
    if conversation.subprotocol is not None and conversation.subprotocol not in offered:
        raise ValueError("the subprotocol was not offered")
    for name, value in conversation.headers:
        lower = name.lower()
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header name or value is not valid")
        if lower in _NOT_TO_GIVE or lower.startswith("sec-websocket-"):
            raise ValueError("a header of the handshake is not the pipeline's to say")


def accept(
    request: WireRequest, conversation: Conversation, limits: SocketLimits
) -> FramedChannel:
    """Send the 101 and take the connection over.

    Args:
        request: what is answered.
        conversation: one that `require_acceptable` let pass.
        limits: of the conversation.

    Raises:
        ConnectionResetError: the client is gone.
    """
    pipe = _Hijacked(request)
    pipe.begin(_head(request.headers["Sec-WebSocket-Key"], conversation))
    return FramedChannel(pipe, peer=CLIENT, subprotocol=conversation.subprotocol, limits=limits)


class Departed:
    """A client that was gone before there was a channel to it: a `Channel` that has ended."""

    subprotocol: str | None = None
    farewell: int | None = None

    async def receive(self) -> str | bytes | None:
        """See `domain.http.Channel`."""
        raise _departed()

    async def send(self, message: str | bytes) -> None:  # noqa: ARG002  # nobody gets it
        """See `domain.http.Channel`."""
        raise _departed()

    async def close(self, code: int, reason: str) -> None:
        """See `domain.http.Channel`. There is nothing to close."""


class _Hijacked:
    """`channel.Pipe` over a connection that aiohttp's server made.

    aiohttp hands the bytes that come to whatever stands as its payload parser, and tells it
    when the connection is lost. asyncio's reader stops the transport at twice its limit.
    """

    def __init__(self, request: WireRequest) -> None:
        self._request = request
        self._protocol = request.protocol
        self._reader = asyncio.StreamReader(limit=_READ)

    def begin(self, head: bytes) -> None:
        transport = self._transport()
        transport.write(head)
        self._protocol.set_parser(self)  # type: ignore[arg-type]  # it calls these two alone
        # Not before: what aiohttp kept until now must not stop a transport that it then starts.
        self._reader.set_transport(transport)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp; no end, no rest."""
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp, when the connection is lost."""
        self._reader.feed_eof()

    async def read(self) -> bytes:
        return await self._reader.read(_READ)

    async def write(self, data: bytes) -> None:
        self._transport().write(data)
        await self._protocol._drain_helper()  # noqa: SLF001  # bounded, in `wire.py`

    def end(self, *, clean: bool) -> None:
        transport = self._protocol.transport
        if transport is None:
            return
        # `close` would wait for ever until the client takes what is still to be written.
        if clean and not transport.get_write_buffer_size():
            transport.close()
        else:
            reset(transport)

    def _transport(self) -> asyncio.Transport:
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        return transport


def _head(key: str, conversation: Conversation) -> bytes:
    """The 101 (RFC 6455 4.2.2): the handshake's own headers, and what the pipeline says."""
    proof = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    headers: Headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", base64.b64encode(proof).decode()),
        ("Date", rfc822_formatted_time()),
    )
    if conversation.subprotocol is not None:
        headers += (("Sec-WebSocket-Protocol", conversation.subprotocol),)
    lines = (f"{name}: {value}" for name, value in (*headers, *conversation.headers))
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1")


def _departed() -> RequestError:
    return RequestError(Reason.MALFORMED_REQUEST, "the client is gone")
