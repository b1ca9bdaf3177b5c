"""Answer → bytes on the wire.

INVARIANT: an answer that is not whole never looks whole. If a stream raises, or yields more
or fewer bytes than its `Content-Length` says, the connection is reset: no last chunk, no
clean end, no further request on it.

What goes out is what the answer names, plus `Date`, and the framing (`Content-Length`,
`Transfer-Encoding`, `Connection`), which is ours alone.

A whole answer is one head and one body, written here at once: aiohttp's way to the same bytes
(a response object, a dictionary of headers, a writer) costs several times as much.
tests/unit/proxy/test_reply.py compares the two. Streams take aiohttp's.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion, HttpVersion10
from multidict import CIMultiDict

from gateway.domain.http import HOP_BY_HOP, Answer, Headers
from gateway.events import Event, emit
from gateway.mapping.hygiene import wire_text
from gateway.proxy.wire import WireRequest, reset, watch

# The pipeline drops the CRM's; this is the last door.
_FRAMING = HOP_BY_HOP | {"content-length"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_EMPTY = frozenset({204, 304})  # RFC 9110 6.4.1: never with a body, whatever they announce
_COPIED = 64 * 2**10  # bytes; a larger body is written behind its head, not copied to it


class BrokeOffError(Exception):
    """A stream did not yield what its head announced."""


def require_sendable(answer: Answer) -> None:
    """Refuse an answer that cannot be written as one HTTP message.

    Raises:
        ValueError: an interim or impossible status, or a header name or value that would
            break the head. Says which kind, never the value.
    """
    if not 200 <= answer.status <= 599:
        raise ValueError("the status is not a final one")
    for name, value in answer.headers:
        if not _is_name(name):
            raise ValueError("a header name is not valid")
        if value.isascii() and value.isprintable():
            continue
        if _CONTROL.search(value):
            raise ValueError("a header value is not valid")
        wire_text(value)  # ValueError: its bytes are not UTF-8


async def send(request: WireRequest, answer: Answer, *, close: bool) -> web.StreamResponse:
    """Write a whole answer.

    Args:
        request: what is answered.
        answer: one that `require_sendable` let pass.
        close: end the connection after it.

    Raises:
        ConnectionResetError: the answer broke off or was not taken; the connection is cut.
    """
    request.named = frozenset(name.lower() for name, _ in answer.headers)
    if isinstance(answer.body, bytes):
        return await _send_whole(request, answer, answer.body, close=close)
    try:
        return await _send_stream(request, answer, answer.body, close=close)
    finally:
        finish = getattr(answer.body, "aclose", None)
        if finish is not None:
            await finish()


async def _send_whole(
    request: WireRequest, answer: Answer, body: bytes, *, close: bool
) -> web.StreamResponse:
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    keep_alive = request.keep_alive and not close
    head = _head(request.method, request.version, answer, len(body), keep_alive=keep_alive)
    if request.method == "HEAD" or answer.status in _EMPTY:
        body = b""
    if len(body) <= _COPIED:
        transport.write(head + body)
    else:
        transport.write(head)
        transport.write(body)
    writer = request.writer
    writer.output_size += len(head) + len(body)  # aiohttp asks it whether an answer has begun
    await writer.drain()
    return cast("web.StreamResponse", _Written(keep_alive=keep_alive))


class _Written:
    """What aiohttp asks of a response, of one that is on the wire already."""

    __slots__ = ("keep_alive",)

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, _request: web.BaseRequest) -> None:
        """Done."""

    async def write_eof(self) -> None:
        """Done."""


def _head(
    method: str, version: HttpVersion, answer: Answer, size: int, *, keep_alive: bool
) -> bytes:
    """The head of a whole answer, down to the empty line."""
    lines = [_status_line(version, answer.status)]
    dated = False
    announced, upgrades = None, False
    for name, value in answer.headers:
        kind = _kind(name)
        if kind == "":
            lines.append(f"{name}: {value}")
        elif kind == "date":
            lines.append(f"{name}: {value}")
            dated = True
        # RFC 9110 7.8, 15.5.22: the one answer that names an upgrade. Only ours do, not the CRM's.
        elif kind == "upgrade" and answer.status == 426:
            lines.append(f"{name}: {value}")
            upgrades = True
        elif kind == "content-length":
            announced = value
    # RFC 9110 8.6: what GET would have, as the CRM counted it, or nothing.
    if method == "HEAD" and not size:
        length = None if announced is None else _length(answer.headers)
    else:
        length = size
    if length is not None and answer.status not in _EMPTY:
        lines.append(f"Content-Length: {length}")
    if not dated:
        lines.append(f"Date: {rfc822_formatted_time()}")
    if upgrades:
        lines.append("Connection: Upgrade" if keep_alive else "Connection: Upgrade, close")
    elif keep_alive == (version == HttpVersion10):  # each says what is not usual for it
        lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")  # a value is one character per byte


@lru_cache(maxsize=1024)
def _status_line(version: HttpVersion, status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return f"HTTP/{version.major}.{version.minor} {status} {phrase}"


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _kind(name: str) -> str:
    """The name in lower case if it is framing or `date`, "" for all others."""
    lower = name.lower()
    return lower if lower in _FRAMING or lower == "date" else ""


async def _send_stream(
    request: WireRequest,
    answer: Answer,
    body: AsyncIterator[bytes],
    *,
    close: bool,
) -> web.StreamResponse:
    length = _length(answer.headers)
    response = web.StreamResponse(status=answer.status, headers=_headers(answer.headers))
    if length is not None:
        response.content_length = length
    # Without a length HTTP/1.0 knows the end by the close only; aiohttp would stay open.
    if close or (length is None and request.version < (1, 1)):
        response.force_close()
    watch(request, asyncio.current_task())
    try:
        await response.prepare(request)
        if request.method != "HEAD" and answer.status not in {204, 304}:
            await _pump(response, body, length)
        await response.write_eof()
    except ConnectionError:
        _cut(request)  # the client went away, or the stream lost its connection
        raise
    except asyncio.CancelledError as error:
        if request.transport is None:  # `watch` did it: the client is gone
            raise ConnectionResetError("the client is gone") from error
        _cut(request)
        raise
    except Exception as error:  # whatever it was: the answer must not look whole
        emit(Event.ANSWER_BROKE_OFF, error)
        raise _cut(request) from error
    finally:
        watch(request, None)
    return response


async def _pump(
    response: web.StreamResponse, body: AsyncIterator[bytes], length: int | None
) -> None:
    """Chunk by chunk, waiting for the client: the socket's buffer is all that piles up."""
    sent = 0
    async for chunk in body:
        sent += len(chunk)
        if length is not None and sent > length:
            raise BrokeOffError  # aiohttp would clip it and call it whole
        await response.write(chunk)
    if length is not None and sent < length:
        raise BrokeOffError  # aiohttp would keep the connection, one answer off


def _cut(request: WireRequest) -> ConnectionResetError:
    """Reset the connection; a plain close is a clean end to an HTTP/1.0 client."""
    if request.transport is not None:
        reset(request.transport)
    return ConnectionResetError("the answer is broken off")


def _headers(headers: Headers) -> CIMultiDict[str]:
    """All but the framing, in order, as often as they stand there."""
    # Values are one character per byte here, and aiohttp writes UTF-8.
    return CIMultiDict([(n, wire_text(v)) for n, v in headers if n.lower() not in _FRAMING])


def _length(headers: Headers) -> int | None:
    """The one announced length; None if there is none or it is not clear."""
    found = {value.strip() for name, value in headers if name.lower() == "content-length"}
    text = found.pop() if len(found) == 1 else ""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
