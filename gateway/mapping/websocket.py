"""Does this request open a WebSocket, and in the one form of RFC 6455 that is spoken here?

House rules:
- A route is a WebSocket or it is not, and says so in the adapter. A request that opens one
  elsewhere is refused, and so is a request that opens none here.
- Every header of the handshake stands once, in its one spelling. What two servers could read
  differently never becomes a connection on which nobody reads HTTP any more.
- No extensions: a compressed message is a message that nobody here has read. They are not
  refused (browsers always offer one), only never accepted and never offered (RFC 6455 9.1).
"""

import base64
import re

from gateway.domain.errors import RequestError
from gateway.domain.http import Headers, Inbound
from gateway.domain.reason import Reason

VERSION = "13"  # RFC 6455 4.1; the drafts before it frame differently
MAX_SUBPROTOCOLS = 16  # real ones offer one to three
MAX_SUBPROTOCOL = 128  # characters; the longest that IANA lists has 51

_HANDSHAKE = "sec-websocket-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # base64 of 16 bytes
_NUMBER = re.compile(r"[0-9]{1,3}")


def require_no_upgrade(inbound: Inbound) -> None:
    """Refuse a request that wants to open something on a route that is no WebSocket.

    RFC 9110 7.8 would let us ignore it; but then the client's next bytes are frames or HTTP,
    depending on whom you ask.

    Raises:
        RequestError: MALFORMED_REQUEST.
    """
    if inbound.values("upgrade"):
        raise _malformed("the connection cannot be upgraded here")


def require_handshake(inbound: Inbound) -> tuple[str, ...]:
    """Accept an opening handshake (RFC 6455 4.2.1), or refuse it.

    Args:
        inbound: a request to a WebSocket route; only its line and headers are read.

    Returns:
        The subprotocols the client offers, its favourite first; each once.

    Raises:
        RequestError: WEBSOCKET_ONLY where it asks for no WebSocket, or for another version;
            MALFORMED_REQUEST where it asks in another form.
    """
    upgrades = inbound.values("upgrade")
    if not upgrades:
        raise RequestError(Reason.WEBSOCKET_ONLY, "this address is a WebSocket; open it as one")
    if inbound.method != "GET" or inbound.version != "1.1":
        raise _malformed("a WebSocket opens with GET in HTTP/1.1")
    if len(upgrades) != 1 or upgrades[0].lower() != "websocket":
        raise _malformed("only a WebSocket can be opened here")
    options = {part.strip(" \t").lower() for part in _list(inbound, "connection")}
    if "upgrade" not in options:
        raise _malformed("Connection must name the upgrade")
    if inbound.values("transfer-encoding") or inbound.values("content-length") not in {(), ("0",)}:
        raise _malformed("a WebSocket opens without a body")
    _require_key(inbound)
    _require_version(inbound)
    return _subprotocols(inbound)


def socket_headers(headers: Headers) -> Headers:
    """Which headers of a request to the CRM go on where it opens a WebSocket.

    Args:
        headers: what `hygiene.request_headers` let pass.

    Returns:
        All but the handshake's own: the hop to the CRM is another WebSocket, with a key,
        subprotocols and framing of its own.
    """
    return tuple((n, v) for n, v in headers if not n.lower().startswith(_HANDSHAKE))


def is_subprotocol(text: str) -> bool:
    """Could this be the name of a subprotocol?"""
    return len(text) <= MAX_SUBPROTOCOL and _TOKEN.fullmatch(text) is not None


def _require_key(inbound: Inbound) -> None:
    """RFC 6455 4.1: the base64 of 16 bytes, written as everybody writes it."""
    keys = inbound.values("sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise _malformed("the handshake needs exactly one well-formed Sec-WebSocket-Key")
    # Of the last character only two bits count: what it says beyond them has two spellings.
    if base64.b64encode(base64.b64decode(keys[0])).decode() != keys[0]:
        raise _malformed("the handshake needs exactly one well-formed Sec-WebSocket-Key")


def _require_version(inbound: Inbound) -> None:
    versions = inbound.values("sec-websocket-version")
    if len(versions) != 1 or not _NUMBER.fullmatch(versions[0]):
        raise _malformed("the handshake needs exactly one Sec-WebSocket-Version")
    if versions[0] != VERSION:  # RFC 6455 4.2.2: answered with the one that would do
        raise RequestError(Reason.WEBSOCKET_ONLY, "only version 13 of the protocol is spoken here")


def _subprotocols(inbound: Inbound) -> tuple[str, ...]:
    """RFC 6455 4.1: tokens, all different. They compare exactly: 11.3.4 registers names as is."""
    if not inbound.values("sec-websocket-protocol"):
        return ()
    offered = tuple(part.strip(" \t") for part in _list(inbound, "sec-websocket-protocol"))
    if len(offered) > MAX_SUBPROTOCOLS or len(set(offered)) != len(offered):
        raise _malformed("the handshake offers too many subprotocols, or one of them twice")
    if not all(is_subprotocol(name) for name in offered):
        raise _malformed("a subprotocol is not a plain token")
    return offered


def _list(inbound: Inbound, name: str) -> list[str]:
    """RFC 9110 5.3: several lines of a list are one list."""
    return [part for value in inbound.values(name) for part in value.split(",")]


def _malformed(detail: str) -> RequestError:
    return RequestError(Reason.MALFORMED_REQUEST, detail)
