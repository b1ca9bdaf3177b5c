"""Answer → bytes on the wire.

INVARIANT: an answer that is not whole never looks whole. If a stream raises, or yields more
or fewer bytes than its `Content-Length` says, the connection is reset: no last chunk, no
clean end, no further request on it.

What goes out is what the answer names, plus `Date`, and the framing (`Content-Length`,
`Transfer-Encoding`, `Connection`), which is ours alone.
"""

import asyncio
import re
from collections.abc import AsyncIterator

from aiohttp import web
from multidict import CIMultiDict

from gateway.domain.http import HOP_BY_HOP, Answer, Headers
from gateway.events import Event, emit
from gateway.mapping.hygiene import wire_text
from gateway.proxy.wire import WireRequest, reset, watch

# The pipeline drops the CRM's; this is the last door.
_FRAMING = HOP_BY_HOP | {"content-length"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


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
        if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise ValueError("a header name or value is not valid")
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
    headers = _headers(answer.headers)
    length = _length(answer.headers)
    if request.method == "HEAD" and not body and length is not None:
        headers["Content-Length"] = str(length)  # what GET would have, as the CRM counted it
    # RFC 9110 7.8, 15.5.22: the one answer that names an upgrade. Only ours do, not the CRM's.
    upgrade = [(n, v) for n, v in answer.headers if n.lower() == "upgrade"]
    if answer.status == 426 and upgrade:
        headers.extend(upgrade)
        headers["Connection"] = "Upgrade, close" if close else "Upgrade"
    response = web.Response(status=answer.status, headers=headers, body=body)
    if close:
        response.force_close()
    await response.prepare(request)
    await response.write_eof()
    return response


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
