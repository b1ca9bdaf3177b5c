"""The head of a request as raw facts: what aiohttp parsed, before it interprets anything."""

import asyncio
import ipaddress
from functools import lru_cache
from itertools import chain
from typing import Any

from aiohttp.http import RawRequestMessage

from gateway.domain.errors import RequestError
from gateway.domain.http import Headers, Inbound
from gateway.domain.reason import Reason

RawHeaders = tuple[tuple[bytes, bytes], ...]


class Heads:
    """Reads the heads of one connection, one after the other.

    A client sends the same one again and again: what is equal to the last one is that one, read
    and looked at already. One head is kept, for as long as the connection is.
    """

    __slots__ = ("_max_bytes", "_raw", "_text", "_wrong")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._raw: RawHeaders | None = None
        self._text: Headers = ()
        self._wrong = ""

    def inbound_of(
        self, message: RawRequestMessage, transport: asyncio.Transport | None
    ) -> Inbound:
        """The raw facts of a request, nothing decoded or repaired.

        Header bytes become text one to one (ISO 8859-1). `message.path` is the request target
        as on the request line; `rel_url`, `path` and `host` of aiohttp's request are derived
        from it and disagree with it.

        Raises:
            ConnectionResetError: the client is gone already.
        """
        peer = transport and transport.get_extra_info("peername")
        if transport is None or not peer:
            raise ConnectionResetError("the client is gone")
        self._read(message)
        major, minor = message.version
        return Inbound(
            method=message.method,
            target=message.path,
            version=f"{major}.{minor}",
            headers=self._text,
            peer=address_of(peer),
            secure=transport.get_extra_info("sslcontext") is not None,
        )

    def require_plain(self, message: RawRequestMessage) -> None:
        """Refuse what no later stage can read in one way only.

        Raises:
            RequestError: MALFORMED_REQUEST for bytes outside ASCII (RFC 9110 5.5: their meaning
                is not defined) or an expectation we do not know (10.1.1), or too large a head;
                AMBIGUOUS_TARGET for a target that is not ASCII.
        """
        if not message.path.isascii():
            raise RequestError(Reason.AMBIGUOUS_TARGET, "the request target is not plain ASCII")
        self._read(message)
        if self._wrong:
            raise RequestError(Reason.MALFORMED_REQUEST, self._wrong)

    def _read(self, message: RawRequestMessage) -> None:
        raw = message.raw_headers
        if raw == self._raw:
            return
        self._raw = None  # until all of it is read
        self._wrong = _wrong_with(raw, self._max_bytes)
        self._text = tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in raw)
        self._raw = raw


def _wrong_with(headers: RawHeaders, max_bytes: int) -> str:
    """What keeps a head from being read in one way only; "" = nothing."""
    raw = b"".join(chain.from_iterable(headers))
    if len(raw) + 4 * len(headers) > max_bytes:  # `: ` and CRLF
        return "the headers are too large together"
    if not raw.isascii():
        return "a header holds bytes outside ASCII"
    for name, value in headers:
        if name.lower() == b"expect" and value.lower() != b"100-continue":
            return "`Expect` must be `100-continue`"
    return ""


@lru_cache(maxsize=4096)
def _plain_address(host: str) -> str:
    """Without a zone, and IPv4 as IPv4: on a dual-stack socket it comes as `::ffff:a.b.c.d`."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def address_of(peername: Any) -> str:
    """The IP address in a socket's peer name; "" if it has none."""
    return _plain_address(peername[0]) if peername else ""
