"""What may be written to the CRM, what may be read from it, and what goes wrong between.

House rules:
- aiohttp's client is made for browsing: it repeats, repairs and puts up with a lot. Each
  place where that would change what was decided, or whose answer it is, is closed here.
- A fault becomes an UpstreamError in `fault`, and nowhere else.
"""

import asyncio
import re
import select
from collections.abc import AsyncIterator

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.domain.errors import GatewayError, RequestError, UpstreamError
from gateway.domain.http import HOP_BY_HOP, Headers
from gateway.domain.reason import Reason
from gateway.mapping.hygiene import wire_text

MAX_SPENT_CONNECTIONS = 8  # taken from the pool and found unusable, for one request

_WIRE = re.compile(r"/[!-~]*")  # no spaces, no control bytes: nothing that ends a request line
_METHOD = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_UNSPOKEN_METHODS = frozenset({"CONNECT", "TRACE"})  # another target form; echoes our headers
# Framing is the library's; `Expect` would wait for a 100 nobody passes on.
_NOT_TO_GIVE = HOP_BY_HOP | {"content-length", "expect"}
_BODYLESS = frozenset({204, 304})  # RFC 9110 6.4.1, with HEAD
FAULTS = (aiohttp.ClientError, HttpProcessingError, OSError)  # TimeoutError is an OSError


def target_url(origin: URL, wire: str) -> URL:
    """The URL of a target, if the library will send exactly these bytes to this origin."""
    if not _WIRE.fullmatch(wire):
        raise invalid("the target is not in the form that can be sent")
    url = URL(f"{origin}{wire}", encoded=True)
    if url.raw_path_qs != wire or _address(url) != _address(origin):
        raise invalid("the target would not be sent as it was decided on")
    return url


def require_method(method: str) -> None:
    """Refuse what the library would write differently, or as another form of request."""
    if not _METHOD.fullmatch(method) or method in _UNSPOKEN_METHODS:
        raise invalid("the method cannot be forwarded")


def given(headers: Headers) -> list[tuple[str, str]]:
    """The caller's headers as the library needs them, or a refusal to send them."""
    pairs = []
    for name, value in headers:
        lower = name.lower()
        if lower in _NOT_TO_GIVE or not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            raise invalid("a header of the request cannot be sent")
        try:
            pairs.append((name, wire_text(value)))
        except ValueError as error:
            raise invalid("a header of the request cannot be sent") from error
    if sum(name.lower() == "host" for name, _ in pairs) > 1:
        raise invalid("the request has two Host headers")
    return pairs


def framing(response: aiohttp.ClientResponse) -> int | None:
    """Check the head of an answer; return the announced length of the body that follows.

    aiohttp's parser is lenient with answers. Where two readers could see two bodies, or a
    header could break a line, there is no answer.
    """
    version = response.version
    if version is None or (version.major, version.minor) not in {(1, 0), (1, 1)}:
        raise invalid("the CRM speaks another version of HTTP")
    if not 200 <= response.status <= 599:  # 1xx are skipped; 101 nobody asked for
        raise invalid("the CRM answered with a status that is no answer")
    for name, value in response.raw_headers:
        if not _TOKEN.fullmatch(name.decode("latin-1")) or not _VALUE.fullmatch(
            value.decode("latin-1")
        ):
            raise invalid("the CRM sent a malformed header")
    lengths = response.headers.getall("Content-Length", ())
    codings = response.headers.getall("Transfer-Encoding", ())
    # RFC 9112 6.1, 6.3: both, several or unreadable ones are how answers are smuggled.
    if len(lengths) + len(codings) > 1:
        raise invalid("the CRM announced the body's length in two ways")
    if any(coding.lower() != "chunked" for coding in codings):
        raise invalid("the CRM sent an unknown transfer coding")
    if any(not _LENGTH.fullmatch(length) for length in lengths):
        raise invalid("the CRM announced a length that is no number")
    if response.method == "HEAD" or response.status in _BODYLESS or not lengths:
        return None
    return int(lengths[0])


class _SpentConnectionError(aiohttp.ClientError):
    """The connection cannot be used; nothing was written to it."""


class ExactRequest(ClientRequest):
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


async def once(
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
        except FAULTS as error:
            raise fault(error) from error
    raise invalid("the CRM sends answers nobody asked for")


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


class Feed:
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


def fault(error: Exception) -> UpstreamError:
    """Whose fault it is, and whether anything can have been sent."""
    match error:
        case UpstreamError():
            return error
        case aiohttp.ClientConnectorError():  # refused, not resolved, TLS
            return unreachable()
        case TimeoutError():
            return UpstreamError(Reason.UPSTREAM_TIMEOUT, "the CRM took too long")
        case _:
            return invalid("the CRM broke off or did not speak HTTP")


def unreachable() -> UpstreamError:
    """There is no connection, so nothing was sent."""
    return UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the CRM cannot be reached")


def invalid(detail: str) -> UpstreamError:
    """Not an exchange of HTTP as we accept it."""
    return UpstreamError(Reason.UPSTREAM_INVALID, detail)


def too_large(max_bytes: int) -> UpstreamError:
    """More than can be held to be cut."""
    return UpstreamError(
        Reason.ANSWER_TOO_LARGE, f"the CRM's answer is larger than {max_bytes} bytes"
    )


def _address(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port
