"""Requests and answers as values, free of any HTTP library."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NewType, Protocol

from gateway.domain.decision import Refusal

Headers = tuple[tuple[str, str], ...]  # in wire order, names as they came
Fields = Mapping[str, tuple[str, ...]]  # lower-case name → its values in order

# A phone sends the same head with every request, so what is found out about one is kept for
# the next. At most this many of each kind; a head has some 700 bytes.
HEADS_KEPT = 512
SHORT_HEAD = 4096  # bytes of values; a longer one is looked at anew each time

# A request target that `mapping/target.py` accepted: exactly the bytes that will be sent.
CanonicalPath = NewType("CanonicalPath", str)
# A body that `masking/cut.py` made: nothing hidden is left in it.
MaskedBody = NewType("MaskedBody", bytes)

# One connection's business, not the request's: RFC 9110 7.6.1 and its ancestor RFC 2616
# 13.5.1. Whatever a `Connection` header names comes on top.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
BODYLESS = frozenset({204, 205, 304})  # RFC 9110 15.3.5, 15.3.6, 15.4.5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, without TRACE
SENDING = frozenset({"POST", "PUT", "PATCH"})  # the methods whose body means something
# A parameter or member of this name (in lower case) replaces the method of a POST, to Rails,
# Laravel, Symfony, Spring and WordPress (`_method`) and to ASP.NET (the header's name).
METHOD_OVERRIDES = frozenset(
    {
        "_method",
        "_httpmethod",
        "http_method",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    }
)
# PHP reads ` `, `.` and `[` in a parameter's name as `_`, and `_method[]` as a list of it.
_AS_UNDERSCORE = str.maketrans(dict.fromkeys(". [", "_"))
MISSING = frozenset({404, 410})  # RFC 9110 15.5.5, 15.5.11


def names_a_method(parameter: str) -> bool:
    """Would a parameter of this name put another method in the place of the request's?"""
    name = parameter.lower().strip(" ")
    read_by_php = name.translate(_AS_UNDERSCORE).rstrip("]_")
    return name in METHOD_OVERRIDES or read_by_php in METHOD_OVERRIDES


class Format(StrEnum):
    """How the answers of a route are written, as its adapter says."""

    JSON = "json"  # one document
    NDJSON = "ndjson"  # one document a line
    EVENTS = "events"  # server-sent events, each with one document as its data
    CSV = "csv"  # RFC 4180, with a header line


def fields_of(headers: Headers) -> Fields:
    """The headers by lower-case name, each with its values in order."""
    # A stranger's may be large: kept before anybody has looked at it, it would fill the memory.
    short = len("".join([value for _, value in headers])) <= SHORT_HEAD
    return _kept_fields(headers) if short else _fields_of(headers)


def _fields_of(headers: Headers) -> Fields:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        lower = name.lower()
        found[lower] = (*found.get(lower, ()), value)
    return MappingProxyType(found)


_kept_fields = lru_cache(maxsize=HEADS_KEPT)(_fields_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A request as the proxy shell hands it over, nothing decoded or repaired.

    Attributes:
        target: the raw request target, as on the request line.
        version: `1.0` or `1.1`; anything else is refused by the wire guard.
        peer: the socket peer's IP address.
        secure: the client's side of the connection is TLS.
        fields: the headers by lower-case name.
    """

    method: str
    target: str
    version: str
    headers: Headers
    peer: str
    secure: bool
    fields: Fields = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", fields_of(self.headers))

    def values(self, name: str) -> tuple[str, ...]:
        """Every value of one header, in order; names compare case-insensitively."""
        return self.fields.get(name.lower(), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalTarget:
    """A request target in the one form we accept. Only `mapping/target.py` makes one.

    Attributes:
        path: what is sent upstream, before the `?`.
        segments: the decoded path segments; `()` for `/`.
        query: decoded name/value pairs in order.
        wire: path and query exactly as they came, which is exactly as they go.
        slash: the path ends with a `/` behind its last segment; never of `/` itself.
    """

    path: CanonicalPath
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    wire: str
    slash: bool = False


class BodySource(Protocol):
    """The client's request body, read once: whole, or as a stream."""

    async def read(self, max_bytes: int) -> bytes:
        """The whole body. Raises RequestError BODY_TOO_LARGE or BODY_TIMEOUT."""
        ...

    def stream(self) -> AsyncIterator[bytes]:
        """Chunk by chunk, with back-pressure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the shell sends back for a request that was let through.

    Attributes:
        body: whole and masked, or a stream that needs no cut.
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = field(default=b"", repr=False)


class Close(IntEnum):
    """Why a WebSocket is closed (RFC 6455 7.4.1), as far as we say so ourselves."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY = 1008
    FAILED = 1011


class Channel(Protocol):
    """One open WebSocket, on either side, as whole messages. Pings are its own business.

    One task receives and one sends; `close` is called when neither does any more.
    """

    @property
    def subprotocol(self) -> str | None:
        """What both ends agreed to speak; None = nothing in particular."""
        ...

    @property
    def farewell(self) -> int | None:
        """The close code the other end said (RFC 6455 7.1.5); None = it has not closed."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message, text or binary; None = the other end has closed.

        Raises:
            GatewayError: too large, not a WebSocket's frames, or it broke off.
        """
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message; waits while the other end takes nothing.

        Raises:
            GatewayError: it is gone, or takes nothing for too long.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say why and end it (RFC 6455 7.4). Safe to call twice, and on what is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What the shell gets for a request that may become a WebSocket.

    Attributes:
        headers: go out with the 101; neither framing nor the handshake's own.
        subprotocol: what the CRM chose of those the client offered; None = nothing.
        converse: runs until one side ends; closes both. The shell calls it exactly once, also
            when the client is gone by then: it holds the CRM's side.
    """

    headers: Headers = ()
    subprotocol: str | None = None
    converse: Callable[[Channel], Awaitable[None]] = field(repr=False)


Outcome = Answer | Refusal | Conversation
