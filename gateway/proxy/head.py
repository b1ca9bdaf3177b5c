"""The head of a request as raw facts: what aiohttp parsed, before it interprets anything."""

import asyncio
import ipaddress
from functools import lru_cache
from itertools import chain
from typing import Any

from aiohttp.http import RawRequestMessage

from gateway.domain.errors import RequestError
from gateway.domain.http import HEADS_KEPT, Headers, Inbound, is_short
from gateway.domain.reason import Reason
from gateway.proxy.limits import PortLimits

RawHeaders = tuple[tuple[bytes, bytes], ...]


def inbound_of(message: RawRequestMessage, transport: asyncio.Transport | None) -> Inbound:
    """The raw facts of a request, nothing decoded or repaired.

    Header bytes become text one to one (ISO 8859-1). `message.path` is the request target as
    on the request line; `rel_url`, `path` and `host` of aiohttp's request are derived from it
    and disagree with it.

    Raises:
        ConnectionResetError: the client is gone already.
    """
    peer = transport and transport.get_extra_info("peername")
    if transport is None or not peer:
        raise ConnectionResetError("the client is gone")
    major, minor = message.version
    return Inbound(
        method=message.method,
        target=message.path,
        version=f"{major}.{minor}",
        headers=_as_text(message.raw_headers),
        peer=address_of(peer),
        secure=transport.get_extra_info("sslcontext") is not None,
    )


def _as_text(raw: RawHeaders) -> Headers:
    return _kept_text(raw) if is_short(raw) else _text_of(raw)


def _text_of(raw: RawHeaders) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)


_kept_text = lru_cache(maxsize=HEADS_KEPT)(_text_of)


def require_plain_head(message: RawRequestMessage, limits: PortLimits) -> None:
    """Refuse what no later stage can read in one way only.

    Raises:
        RequestError: MALFORMED_REQUEST for bytes outside ASCII (RFC 9110 5.5: their meaning
            is not defined) or an expectation we do not know (10.1.1), or too large a head;
            AMBIGUOUS_TARGET for a target that is not ASCII.
    """
    if not message.path.isascii():
        raise RequestError(Reason.AMBIGUOUS_TARGET, "the request target is not plain ASCII")
    raw = b"".join(chain.from_iterable(message.raw_headers))
    if len(raw) + 4 * len(message.raw_headers) > limits.max_head_bytes:  # `: ` and CRLF
        raise RequestError(Reason.MALFORMED_REQUEST, "the headers are too large together")
    if not raw.isascii():
        raise RequestError(Reason.MALFORMED_REQUEST, "a header holds bytes outside ASCII")
    for value in message.headers.getall("Expect", ()):
        if value.lower() != "100-continue":
            raise RequestError(Reason.MALFORMED_REQUEST, "`Expect` must be `100-continue`")


@lru_cache(maxsize=4096)
def _plain_address(host: str) -> str:
    """Without a zone, and IPv4 as IPv4: on a dual-stack socket it comes as `::ffff:a.b.c.d`."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def address_of(peername: Any) -> str:
    """The IP address in a socket's peer name; "" if it has none."""
    return _plain_address(peername[0]) if peername else ""
