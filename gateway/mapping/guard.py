"""The wire guard: is this request in the one form that everybody reads alike?

HTTP libraries are lenient where two of them differ: that difference is how a request is
smuggled past a gateway. What the server library does not refuse is refused here, before
anything is decoded or decided.

INVARIANT: a `Guarded` is made by `guard` and nowhere else, and nothing in it was changed.

The sizes bound the work of every later stage; they are not meant to be comfortable.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NewType

from gateway.domain.errors import RequestError
from gateway.domain.http import HEADS_KEPT, SAFE_METHODS, Fields, Headers, Inbound, fields_of
from gateway.domain.reason import Reason
from gateway.mapping.headernames import END_TO_END
from gateway.mapping.websocket import require_handshake

Guarded = NewType("Guarded", Inbound)

# No TRACE (echoes credentials), no CONNECT (a tunnel), no PURGE, LINK and other dialects.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
VERSIONS = frozenset({"1.0", "1.1"})

# Read by us and by the CRM; two of them would be read differently. All fields of a request that
# RFC 9110 and 6265 (5.4) define as one value, and those of browsers (Fetch, RFC 6455). `Host`
# and the framing headers have checks of their own, two credentials a cause of their own.
SINGLETONS = (
    "access-control-request-method",
    "content-disposition",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "from",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
)

# RFC 9110 5.6.2 `token`, without `_`: CGI and WSGI read `X_Salon` and `X-Salon` as one name.
_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
# RFC 9110 8.6, without leading zeros; 18 digits always fit 63 bits.
_LENGTH = re.compile(r"0|[1-9][0-9]{0,17}")
# Controls but for the tab; C1 and the Unicode line breaks, which start a line to a log reader.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# RFC 9110 7.2, without what is legal and never sent: user info, `%`, an empty port, `name.`.
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[(?P<v6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_MAX_HOST = 261  # 255 of a name (RFC 1035 2.3.4), a colon and a port


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What the frame of a request may be.

    Attributes:
        hosts: lower-case `name` (on any port) or `name:port`; empty = any well-formed one.
        max_target_bytes: of the request target.
        max_headers: how many header lines.
        max_header_bytes: of all of them together, names, values and separators.
    """

    hosts: frozenset[str] = frozenset()
    max_target_bytes: int = 4096
    max_headers: int = 100
    max_header_bytes: int = 16384

    def __post_init__(self) -> None:
        for host in self.hosts:
            found = _split_host(host)
            if found is None or host != ":".join(filter(None, found)):
                raise ValueError(f"`{host}` is not a lower-case host name or `name:port`")


def guard(inbound: Inbound, limits: WireLimits) -> Guarded:
    """Admit a request's frame, or refuse it.

    Raises:
        RequestError: MALFORMED_REQUEST, METHOD_REFUSED, HOST_REFUSED, WEBSOCKET_ONLY or
            CONTENT_TYPE_REFUSED.
    """
    if inbound.version not in VERSIONS:
        raise _malformed("only HTTP/1.0 and HTTP/1.1 are spoken here")
    if _size(inbound.target) > limits.max_target_bytes:
        raise _malformed("the address is too long")
    if inbound.method not in METHODS:
        raise RequestError(Reason.METHOD_REFUSED, "this method is not accepted")
    _require_head(inbound.headers, inbound.method, inbound.version, inbound.secure, limits)
    # Browsers send Upgrade for WebSockets only (`Upgrade-Insecure-Requests` is another
    # header); what follows any other is not HTTP and nothing here could judge it.
    if "upgrade" in inbound.fields:
        require_handshake(inbound)
    return Guarded(inbound)


@lru_cache(maxsize=HEADS_KEPT)  # what is refused raises, and is looked at each time
def _require_head(
    headers: Headers,
    method: str,
    version: str,
    secure: bool,  # noqa: FBT001  # a key of the cache
    limits: WireLimits,
) -> None:
    """Everything about a head that does not hang on the target; raises RequestError."""
    _require_plain(headers, limits)
    fields = fields_of(headers)
    _require_host(fields, limits, secure=secure)
    _require_framing(fields, method, version)
    _require_ordinary(fields)


def _require_plain(headers: Headers, limits: WireLimits) -> None:
    """Not too many, not too large, each of them plain text."""
    if len(headers) > limits.max_headers:
        raise _malformed("the request has too many headers")
    left = limits.max_header_bytes
    for name, value in headers:
        left -= _size(name) + _size(value) + 4  # `: ` and CRLF
        if left < 0:
            raise _malformed("the headers are too large")
        if not _TOKEN.fullmatch(name):
            raise _malformed("a header name is not a plain token")
        # Most values are plain: asked first, because the rest costs ten times as much.
        if not (value.isascii() and value.isprintable()) and not _is_printable(value):
            raise _malformed("a header value holds control characters or is not UTF-8")


def _require_host(fields: Fields, limits: WireLimits, *, secure: bool) -> None:
    # RFC 9112 3.2 lets HTTP/1.0 come without Host; we cannot judge what is not named.
    values = fields.get("host", ())
    found = _split_host(values[0]) if len(values) == 1 else None
    if found is None:
        raise _malformed("the request needs exactly one well-formed Host header")
    name, port = found
    shown = port or ("443" if secure else "80")
    if limits.hosts and not limits.hosts & {name, f"{name}:{shown}"}:
        raise RequestError(Reason.HOST_REFUSED, "this host name is not served here")


def _require_framing(fields: Fields, method: str, version: str) -> None:
    """One way to tell where the body ends: RFC 9112 6.1 to 6.3, without its leniencies."""
    codings = fields.get("transfer-encoding", ())
    lengths = fields.get("content-length", ())
    if codings and (codings != ("chunked",) or lengths or version == "1.0"):
        raise _malformed("Transfer-Encoding must be one `chunked`, in HTTP/1.1, without a length")
    if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0])):
        raise _malformed("Content-Length must be one plain number")
    # RFC 9110 9.3.1: content in a GET means nothing. Some frameworks read a form in it all
    # the same and merge it with the query, so a question could be asked that we never saw.
    if method in SAFE_METHODS and (codings or lengths not in ((), ("0",))):
        raise _malformed("a request with this method cannot have a body")


def _require_ordinary(fields: Fields) -> None:
    if any(len(fields.get(name, ())) > 1 for name in SINGLETONS):
        raise _malformed("a header that may stand once stands twice")
    if any(value.lower() != "100-continue" for value in fields.get("expect", ())):
        raise _malformed("only `100-continue` can be expected")
    named = [
        part.strip(" \t").lower() for v in fields.get("connection", ()) for part in v.split(",")
    ]
    # RFC 9110 7.6.1: what Connection names ends here. Not those that we judge a request by: the
    # CRM would see another one.
    if not all(map(_TOKEN.fullmatch, named)) or not END_TO_END.isdisjoint(named):
        raise _malformed("Connection names a header that is not for one connection only")
    # A coded body is a body that nobody here has read.
    if any(value.lower() != "identity" for value in fields.get("content-encoding", ())):
        raise RequestError(Reason.CONTENT_TYPE_REFUSED, "send the body without a coding")


def _split_host(text: str) -> tuple[str, str | None] | None:
    """Name and port in their one spelling, or None: `EXAMPLE:80` → `("example", "80")`."""
    match = _HOST.fullmatch(text) if len(text) <= _MAX_HOST else None
    if match is None:
        return None
    port = match["port"]
    if port is not None and int(port) > 65535:
        return None
    if match["v6"] is None:
        return match["name"].lower(), port
    try:
        return f"[{IPv6Address(match['v6']).compressed}]", port
    except ValueError:
        return None


def _is_printable(value: str) -> bool:
    """Is a header value, one character per byte as the shell reads it, printable UTF-8?"""
    try:
        text = value if value.isascii() else value.encode("latin-1").decode("utf-8")
    except ValueError:
        return False
    return not _CONTROL.search(text)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _malformed(detail: str) -> RequestError:
    return RequestError(Reason.MALFORMED_REQUEST, detail)
