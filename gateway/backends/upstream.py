"""The hop to the CRM: one request out, one answer back. Decides nothing.

House rules:
- The bytes of the target that are sent are the bytes that were decided on. They are compared
  at the last place where they can be, on the request that is about to be written.
- Nothing is added that the caller did not give, but Host and the framing; nothing is followed,
  decoded, remembered or **retried**: a write that was sent once is sent once.
- Every wait has a bound. Every fault leaves as an UpstreamError: UPSTREAM_UNREACHABLE when no
  connection was made (so nothing was sent), UPSTREAM_TIMEOUT and UPSTREAM_INVALID otherwise.
- A connection is used again only after an answer that ended where it said it would. Whoever
  stops half-way (an error, a cancelled task, a consumer that leaves) drops the connection.

A connection that the CRM closes while we send is an error to the person who asked. So the pool
keeps idle ones for less time than common servers do (Node: 5 s), and each is looked at, down to
the socket, before the first byte is written.
"""

import asyncio
import re
import select
import ssl
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.domain.decision import Clearance
from gateway.domain.errors import GatewayError, RequestError, UpstreamError
from gateway.domain.http import CanonicalTarget, Headers
from gateway.domain.reason import Reason
from gateway.mapping.hygiene import wire_text

IDLE_SECONDS = 4.0
MAX_HEADERS = 128  # of an answer; aiohttp's own bound, as Apache's (100) is in the wild
MAX_HEADER_BYTES = 16 * 2**10  # one field; a long Content-Security-Policy has 8 KB
MAX_SPENT_CONNECTIONS = 8  # taken from the pool and found unusable, for one request
MAX_WHOLE_BYTES = 2**20  # a body beyond it goes out in pieces, so that it blocks nobody

_WIRE = re.compile(r"/[!-~]*")  # no spaces, no control bytes: nothing that ends a request line
_METHOD = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_UNSPOKEN_METHODS = frozenset({"CONNECT", "TRACE"})  # another target form; echoes our headers
# Framing and hop-by-hop fields are the library's; `Expect` would wait for a 100 nobody passes on.
_NOT_TO_GIVE = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_BODYLESS = frozenset({204, 304})  # RFC 9110 6.4.1, with HEAD
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# TimeoutError is an OSError.
_FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError)


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
        if not _METHOD.fullmatch(method) or method in _UNSPOKEN_METHODS:
            raise _invalid("the method cannot be forwarded")
        url = self._url(target.wire)
        pairs = _given(headers)
        feed: _Feed | None = None
        try:
            async with asyncio.timeout(self._answer_seconds) as patience:
                if isinstance(body, AsyncIterator):
                    feed = _Feed(body, patience, self._answer_seconds)
                response = await self._session().request(
                    method,
                    url,
                    headers=pairs,
                    data=_payload(body) if feed is None else feed,
                    allow_redirects=False,
                )
        except (UpstreamError, *_FAULTS) as error:
            if feed is not None and feed.failure is not None:
                raise feed.failure from error
            raise _fault(error) from error
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
            raise _fault(error) from error
        except OSError as error:  # refused, not resolved, not trusted
            raise _unreachable() from error
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
                request_class=_ExactRequest,
                middlewares=(_once,),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        return self._opened

    def _url(self, wire: str) -> URL:
        """The URL of a target, if the library will send exactly these bytes."""
        if not _WIRE.fullmatch(wire):
            raise _invalid("the target is not in the form that can be sent")
        url = URL(f"{self._origin}{wire}", encoded=True)
        if url.raw_path_qs != wire or _address(url) != _address(self._origin):
            raise _invalid("the target would not be sent as it was decided on")
        return url

    def _accept(self, response: aiohttp.ClientResponse) -> "UpstreamAnswer":
        try:
            length = _framing(response)
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
                raise _too_large(max_bytes)
            async with asyncio.timeout(self._total_seconds):
                while piece := await self._next():
                    body += piece
                    if len(body) > max_bytes:
                        raise _too_large(max_bytes)
        except TimeoutError as error:
            raise _fault(error) from error
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
        except _FAULTS as error:
            raise _fault(error) from error


class _Feed:
    """The client's body on its way out, with the clock of the CRM's answer.

    While we wait for the client the clock is stopped: a slow phone is not the CRM's fault, and
    the body's source has its own deadline. With each piece the CRM's time starts anew.

    Attributes:
        patience: the running timeout; None once the head is there (or never will be).
        failure: what went wrong with the client's body, if anything did.
    """

    def __init__(
        self, source: AsyncIterator[bytes], patience: asyncio.Timeout, seconds: float
    ) -> None:
        self.patience: asyncio.Timeout | None = patience
        self.failure: GatewayError | None = None
        self._source = source
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._stop_clock()
        try:
            async for piece in self._source:
                self._start_clock()
                if piece:
                    yield piece
                self._stop_clock()
        except GatewayError as error:
            self.failure = error
            raise
        except Exception as error:
            self.failure = RequestError(Reason.BODY_INVALID, "the request body broke off")
            raise self.failure from error
        finally:
            self._start_clock()

    def _stop_clock(self) -> None:
        if self.patience is not None and not self.patience.expired():
            self.patience.reschedule(None)

    def _start_clock(self) -> None:
        if self.patience is not None and not self.patience.expired():
            self.patience.reschedule(asyncio.get_running_loop().time() + self._seconds)


class _SpentConnectionError(aiohttp.ClientError):
    """The connection cannot be used; nothing was written to it."""


class _ExactRequest(ClientRequest):
    """A request at the last moment before it is written."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request, unless something was already received on the connection.

        The pool does not look: without this, a CRM that answers once too often would have its
        surplus answer shown to the next person who asks.
        """
        protocol = conn.protocol
        if protocol is None or protocol.should_close or _has_input(conn.transport):
            raise _SpentConnectionError
        return await super().send(conn)


async def _once(
    request: ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Write a request once. aiohttp repeats idempotent ones by itself, but not on our errors.

    Taking another connection before anything was written is not a repetition.
    """
    for _ in range(MAX_SPENT_CONNECTIONS):
        try:
            return await handler(request)
        except _SpentConnectionError:
            continue
        except _FAULTS as error:
            raise _fault(error) from error
    raise _invalid("the CRM sends answers nobody asked for")


def _has_input(transport: asyncio.Transport | None) -> bool:
    """Has something arrived that the loop has not read yet: bytes, or the other side's end?

    Under TLS bytes may also be its own (session tickets follow the handshake), so there only
    what the loop has read counts.
    """
    if transport is None or transport.get_extra_info("sslcontext") or not hasattr(select, "poll"):
        return False
    socket = transport.get_extra_info("socket")
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _framing(response: aiohttp.ClientResponse) -> int | None:
    """Check the head of an answer; return the announced length of the body that follows.

    aiohttp's parser is lenient with answers. Where two readers could see two bodies, or a
    header could break a line, there is no answer.
    """
    version = response.version
    if version is None or (version.major, version.minor) not in {(1, 0), (1, 1)}:
        raise _invalid("the CRM speaks another version of HTTP")
    if not 200 <= response.status <= 599:  # 1xx are skipped; 101 nobody asked for
        raise _invalid("the CRM answered with a status that is no answer")
    for name, value in response.raw_headers:
        if not _TOKEN.fullmatch(name.decode("latin-1")) or not _VALUE.fullmatch(
            value.decode("latin-1")
        ):
            raise _invalid("the CRM sent a malformed header")
    lengths = response.headers.getall("Content-Length", ())
    codings = response.headers.getall("Transfer-Encoding", ())
    # RFC 9112 6.1, 6.3: both, several or unreadable ones are how answers are smuggled.
    if len(lengths) + len(codings) > 1:
        raise _invalid("the CRM announced the body's length in two ways")
    if any(coding.lower() != "chunked" for coding in codings):
        raise _invalid("the CRM sent an unknown transfer coding")
    if any(not _LENGTH.fullmatch(length) for length in lengths):
        raise _invalid("the CRM announced a length that is no number")
    if response.method == "HEAD" or response.status in _BODYLESS or not lengths:
        return None
    return int(lengths[0])


def _given(headers: Headers) -> list[tuple[str, str]]:
    """The caller's headers as the library needs them, or a refusal to send them."""
    pairs = []
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_TO_GIVE or not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            raise _invalid("a header of the request cannot be sent")
        try:
            pairs.append((name, wire_text(value)))
        except ValueError as error:
            raise _invalid("a header of the request cannot be sent") from error
    if sum(name.lower() == "host" for name, _ in pairs) > 1:
        raise _invalid("the request has two Host headers")
    return pairs


def _payload(body: bytes | AsyncIterator[bytes] | None) -> bytes | BytesIO | None:
    assert body is None or isinstance(body, bytes)  # noqa: S101  # an iterator became a _Feed
    return BytesIO(body) if body is not None and len(body) > MAX_WHOLE_BYTES else body


def _origin(base_url: str) -> URL:
    url = URL(base_url)
    origin = url.origin() if url.absolute and url.scheme in {"http", "https"} else None
    if origin is None or url not in {origin, origin / ""}:
        raise ValueError("the upstream's URL is http:// or https://, a host and a port, no more")
    return origin


def _address(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"the CA file `{ca_file}` cannot be read") from error


def _fault(error: Exception) -> UpstreamError:
    """Whose fault it is, and whether anything can have been sent."""
    match error:
        case UpstreamError():
            return error
        case aiohttp.ClientConnectorError():  # refused, not resolved, TLS
            return _unreachable()
        case TimeoutError():
            return UpstreamError(Reason.UPSTREAM_TIMEOUT, "the CRM took too long")
        case _:
            return _invalid("the CRM broke off or did not speak HTTP")


def _unreachable() -> UpstreamError:
    return UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the CRM cannot be reached")


def _invalid(detail: str) -> UpstreamError:
    return UpstreamError(Reason.UPSTREAM_INVALID, detail)


def _too_large(max_bytes: int) -> UpstreamError:
    return UpstreamError(
        Reason.ANSWER_TOO_LARGE, f"the CRM's answer is larger than {max_bytes} bytes"
    )
