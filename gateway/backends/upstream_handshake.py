"""The opening handshake of a WebSocket to the CRM: what is sent, and which answer counts.

House rules:
- The CRM's answer is a 101 in every detail of RFC 6455 4.1, or there is no conversation.
- Of a 101 only the subprotocol is kept: its other headers, cookies too, go nowhere.
- No extension is offered, so none may be answered.
"""

import base64
import hashlib
import os
import re

from gateway.backends.upstream_head import parse_fields
from gateway.backends.upstream_wire import broken_off, invalid, request_head
from gateway.domain.errors import UpstreamError
from gateway.domain.http import REDIRECTS, Headers
from gateway.domain.reason import Reason
from gateway.mapping.websocket import VERSION, is_subprotocol

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_STATUS = re.compile(r"HTTP/1\.1 ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_HANDSHAKE = "sec-websocket-"


def new_key() -> bytes:
    """RFC 6455 4.1: a fresh nonce, so that no answer of another handshake fits this one."""
    return base64.b64encode(os.urandom(16))


def opening(
    host: str, wire: str, headers: Headers, subprotocols: tuple[str, ...], key: bytes
) -> bytes:
    """The opening handshake: exactly this target and these headers, and the handshake's own.

    Args:
        host: the CRM's own name, for where `headers` have no Host.
        wire: the request target.
        headers: one character per byte.
        subprotocols: to be offered, in this order.
        key: from `new_key`.

    Raises:
        UpstreamError: UPSTREAM_INVALID: it could be read as something else.
    """
    if any(name.lower().startswith(_HANDSHAKE) for name, _ in headers):
        raise invalid("a header of the request cannot be sent")
    if not all(map(is_subprotocol, subprotocols)):
        raise invalid("a subprotocol cannot be offered")
    head = request_head("GET", wire, headers, host=host, body=None)
    own = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        f"Sec-WebSocket-Version: {VERSION}",
    ]
    if subprotocols:
        own.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
    return head.removesuffix(b"\r\n") + "\r\n".join([*own, "", ""]).encode("ascii")


def agreed(head: bytes, key: bytes, subprotocols: tuple[str, ...]) -> str | None:
    """Which subprotocol the CRM chose, once its answer is known to be a 101 for this handshake.

    Args:
        head: of the answer, to its empty line.
        key: of the handshake.
        subprotocols: that were offered.

    Raises:
        UpstreamError: UPSTREAM_REDIRECT, or UPSTREAM_INVALID for everything else.
    """
    first, _, rest = head.decode("latin-1").removesuffix("\r\n").partition("\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise broken_off()
    if int(status[1]) in REDIRECTS:
        raise UpstreamError(Reason.UPSTREAM_REDIRECT, "The CRM sent the request elsewhere.")
    if status[1] != "101":
        raise invalid("the CRM does not open a WebSocket here")
    fields: dict[str, list[str]] = {}
    for name, value in parse_fields(rest):
        fields.setdefault(name.lower(), []).append(value)
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    options = [part.strip(" \t") for part in ",".join(fields.get("connection", [])).split(",")]
    if (
        [value.lower() for value in fields.get("upgrade", [])] != ["websocket"]
        or "upgrade" not in [option.lower() for option in options]
        or fields.get("sec-websocket-accept") != [proof]
    ):
        raise invalid("the CRM answered another handshake than ours")
    # RFC 9110 8.6, RFC 9112 6.1: a 101 has no body, so nothing may announce one.
    if {"sec-websocket-extensions", "content-length", "transfer-encoding"} & fields.keys():
        raise invalid("the CRM answered with something that was not offered")
    chosen = fields.get("sec-websocket-protocol", [])
    if len(chosen) > 1 or not set(chosen) <= set(subprotocols):
        raise invalid("the CRM chose a subprotocol that was not offered")
    return chosen[0] if chosen else None
