"""The hop to the CRM: one request out, one answer back. Decides nothing.

House rules:
- The bytes of the target that are sent are the bytes that were decided on: what the library
  made of them is compared before anything is sent.
- Nothing is added that the caller did not give, but Host and the framing; nothing is followed,
  decoded, remembered or **retried**: a write that was sent once is sent once.
- Every wait has a bound. Every fault leaves as an UpstreamError: UPSTREAM_UNREACHABLE when no
  connection was made (so nothing was sent), UPSTREAM_TIMEOUT and UPSTREAM_INVALID otherwise.
- A connection is used again only after an answer that ended where it said it would. Whoever
  stops half-way (an error, a cancelled task, a consumer that leaves) drops the connection.

`upstream_wire.py` holds what may be written and read, and what goes wrong between.

A connection that the CRM closes while we send is an error to the person who asked. So the pool
keeps idle ones for less time than common servers do (Node: 5 s), and each is looked at, down to
the socket, before the first byte is written.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
from yarl import URL

from gateway.backends.upstream_wire import (
    FAULTS,
    ExactRequest,
    Feed,
    fault,
    framing,
    given,
    once,
    require_method,
    target_url,
    too_large,
    unreachable,
)
from gateway.domain.decision import Clearance
from gateway.domain.errors import UpstreamError
from gateway.domain.http import CanonicalTarget, Headers
from gateway.domain.reason import Reason

IDLE_SECONDS = 4.0
MAX_HEADERS = 128  # of an answer; aiohttp's own bound, as Apache's (100) is in the wild
MAX_HEADER_BYTES = 16 * 2**10  # one field; a long Content-Security-Policy has 8 KB
MAX_WHOLE_BYTES = 2**20  # a body beyond it goes out in pieces, so that it blocks nobody

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpUpstream:
    """`ports.Upstream` over HTTP/1.1 with aiohttp's client.

    Args:
        base_url: scheme, host and port of the CRM, no path.
        connect_timeout_seconds: for TCP and TLS.
        answer_timeout_seconds: from sending to the head of the answer. It stands still while
            we wait for the client's next piece of a streamed body.
        read_timeout_seconds: between two pieces of an answer's body.
        total_timeout_seconds: for `UpstreamAnswer.read` as a whole.
        ca_file: for https, PEM file to trust instead of the system's; checking is never off.
        max_connections: open at once; who finds none free waits, as part of the answer's time.

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
    ) -> None:
        self._origin = _origin(base_url)
        self._connect_seconds = connect_timeout_seconds
        self._answer_seconds = answer_timeout_seconds
        self._read_seconds = read_timeout_seconds
        self._total_seconds = total_timeout_seconds
        self._max_connections = max_connections
        self._tls = _tls(ca_file) if self._origin.scheme == "https" else None
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self,
        clearance: Clearance,  # noqa: ARG002  # the turnstile: no clearance, no call
        *,
        method: str,
        target: CanonicalTarget,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
    ) -> "UpstreamAnswer":
        """See `ports.Upstream`."""
        require_method(method)
        url = target_url(self._origin, target.wire)
        pairs = given(headers)
        feed: Feed | None = None
        try:
            async with asyncio.timeout(self._answer_seconds) as patience:
                if isinstance(body, AsyncIterator):
                    feed = Feed(body, patience, self._answer_seconds)
                response = await self._session().request(
                    method,
                    url,
                    headers=pairs,
                    data=_payload(body) if feed is None else feed,
                    allow_redirects=False,
                )
        except (UpstreamError, *FAULTS) as error:
            if feed is not None and feed.failure is not None:
                raise feed.failure from error
            raise fault(error) from error
        finally:
            if feed is not None:
                feed.patience = None
        return self._accept(response)

    async def check(self) -> None:
        """See `ports.Upstream`. Opens a connection of its own and asks nothing."""
        host, port = self._origin.raw_host, self._origin.port
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, writer = await asyncio.open_connection(host, port, ssl=self._tls)
        except TimeoutError as error:
            raise fault(error) from error
        except OSError as error:  # refused, not resolved, not trusted
            raise unreachable() from error
        writer.transport.abort()

    async def close(self) -> None:
        """See `ports.Upstream`. Safe to call twice; a later `send` is refused."""
        self._closed = True
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        """The one session. Made late, because it needs a running loop."""
        if self._closed:
            raise UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the gateway is stopping")
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections,
                    ssl=self._tls or True,  # True checks as well; without https it is not asked
                    keepalive_timeout=IDLE_SECONDS,
                ),
                timeout=aiohttp.ClientTimeout(sock_connect=self._connect_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_AUTOMATIC,
                auto_decompress=False,
                trust_env=False,
                request_class=ExactRequest,
                middlewares=(once,),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        return self._opened

    def _accept(self, response: aiohttp.ClientResponse) -> "UpstreamAnswer":
        try:
            length = framing(response)
        except UpstreamError:
            response.close()
            raise
        return UpstreamAnswer(response, length, self._read_seconds, self._total_seconds)


class UpstreamAnswer:
    """`ports.UpstreamAnswer`: the head at once, the body once.

    Attributes:
        status: 200 to 599.
        headers: one character per byte (latin-1).
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        length: int | None,
        read_seconds: float,
        total_seconds: float,
    ) -> None:
        self._response = response
        self._length = length  # announced, of a body that will come; None = not announced
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds
        self._taken = False
        self.status = response.status
        self.headers: Headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.raw_headers
        )

    async def read(self, max_bytes: int) -> bytes:
        """See `ports.UpstreamAnswer`."""
        self._take()
        body = bytearray()
        try:
            if self._length is not None and self._length > max_bytes:
                raise too_large(max_bytes)
            async with asyncio.timeout(self._total_seconds):
                while piece := await self._next():
                    body += piece
                    if len(body) > max_bytes:
                        raise too_large(max_bytes)
        except TimeoutError as error:
            raise fault(error) from error
        finally:
            # Does nothing after the announced end: the connection is in the pool by then.
            self._response.close()
        return bytes(body)

    async def stream(self) -> AsyncIterator[bytes]:
        """See `ports.UpstreamAnswer`. Reads from the CRM only as fast as it is consumed."""
        self._take()
        try:
            while piece := await self._next():
                yield piece
        finally:
            self._response.close()

    async def close(self) -> None:
        """See `ports.UpstreamAnswer`."""
        self._response.close()

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError("the body of an answer can be taken once")
        self._taken = True

    async def _next(self) -> bytes:
        """The next piece; b"" at the end."""
        try:
            async with asyncio.timeout(self._read_seconds):
                return await self._response.content.readany()
        except FAULTS as error:
            raise fault(error) from error


def _payload(body: bytes | AsyncIterator[bytes] | None) -> bytes | BytesIO | None:
    assert body is None or isinstance(body, bytes)  # noqa: S101  # an iterator became a Feed
    return BytesIO(body) if body is not None and len(body) > MAX_WHOLE_BYTES else body


def _origin(base_url: str) -> URL:
    url = URL(base_url)
    origin = url.origin() if url.absolute and url.scheme in {"http", "https"} else None
    if origin is None or url not in {origin, origin / ""}:
        raise ValueError("the upstream's URL is http:// or https://, a host and a port, no more")
    return origin


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"the CA file `{ca_file}` cannot be read") from error
