"""A request body: read once, whole or as a stream, bounded in size and in time.

A whole body has a deadline. A stream may take as long as it is large, but never keeps us
waiting: it has an allowance of seconds that waiting uses up and bytes earn back.

A client that announced `Expect: 100-continue` is told to go on only when the body is really
about to be read, so a refused upload is never sent. (aiohttp's `web.Server` sends no 100 of
its own; its `Application` would, before anything is decided.)
"""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.proxy.limits import PortLimits
from gateway.proxy.wire import WireRequest

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class WireBody:
    """The body of one request, a `BodySource`.

    Attributes:
        unread: bytes of it may still be on the wire, so the connection cannot be used again.
    """

    def __init__(self, request: WireRequest, limits: PortLimits) -> None:
        self._request = request
        self._limits = limits
        self._begun = False
        length = request.headers.get("Content-Length", "0")  # digits: the parser saw to it
        self._announced = 0 if request.raw.chunked else int(length)
        self.unread = bool(request.raw.chunked or self._announced)

    async def read(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            RequestError: BODY_TOO_LARGE, BODY_TIMEOUT, or MALFORMED_REQUEST when it breaks off.
        """
        return b"".join([chunk async for chunk in self._chunks(max_bytes, earned=0.0)])

    def stream(self) -> AsyncIterator[bytes]:
        """Chunk by chunk; aiohttp stops reading the socket while nobody asks for more.

        Raises, while iterating:
            RequestError: as `read`, with the port's own cap.
        """
        earned = 1 / self._limits.min_bytes_per_second
        return self._chunks(self._limits.max_body_bytes, earned=earned)

    async def _chunks(self, max_bytes: int, *, earned: float) -> AsyncIterator[bytes]:
        """Piece by piece; each byte earns back so many seconds of what the client may take."""
        if self._begun:
            raise RuntimeError("a body is read once")
        self._begun = True
        if not self.unread:
            return
        if self._announced > max_bytes:
            raise _too_large(max_bytes)
        self._invite()
        clock = asyncio.get_running_loop().time
        allowed = left = self._limits.body_seconds
        received = 0
        # Only what we wait counts: that the CRM is slow is not the client's fault.
        while chunk := await self._next((began := clock()) + left):
            left = min(allowed, left - (clock() - began) + earned * len(chunk))
            received += len(chunk)
            if received > max_bytes:
                raise _too_large(max_bytes)
            yield chunk
        self.unread = False

    async def _next(self, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._request.content.readany()
        except TimeoutError as error:
            raise RequestError(
                Reason.BODY_TIMEOUT,
                f"the body, or enough of it, did not come within {self._limits.body_seconds:g} "
                "seconds",
            ) from error
        # RuntimeError is what aiohttp raises when the connection closed before the call.
        except (web.RequestPayloadError, OSError, RuntimeError) as error:
            raise RequestError(Reason.MALFORMED_REQUEST, "the body broke off") from error

    def _invite(self) -> None:
        """Send `100 Continue` if the client waits for it (RFC 9110 10.1.1)."""
        waits = "Expect" in self._request.headers and self._request.version >= (1, 1)
        transport = self._request.transport
        if waits and transport is not None and not self._request.content.total_bytes:
            transport.write(_CONTINUE)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(Reason.BODY_TOO_LARGE, f"the body is larger than {max_bytes} bytes")
