"""The request's side: is this a page of ours that asks, and what does it say?

House rules
- A request comes by https, by itself or through a trusted proxy that says so, or else from this
  machine to a loopback name. Anything else would carry the password and the cookie in the clear.
- Whatever changes something comes by POST with the `Origin` of this very address. Every browser
  sends one with a POST; a page elsewhere cannot choose it. Fetch metadata, where there is any,
  must agree. The token of the visit in the form (`console.py` compares it) is a second lock.
- What is only read is not handed to a page elsewhere either: an image, a frame or a script of
  another site gets nothing, whatever cookie comes along. (All ports of `localhost` are one site
  to a browser, and share their cookies: `SameSite` alone would let them in.)
- A form is small, whole, in one coding, and holds each of the expected names once.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.relayed import PEER_HEADER, read_peer
from gateway.mapping.client_address import Network, client_address, client_scheme

MAX_FORM_BYTES = 8 * 2**10  # a password of 1,000 signs takes 9 bytes each at worst
MAX_FIELDS = 16
FORM_SECONDS = 10.0
MAX_COOKIES = 64
_FORM = "application/x-www-form-urlencoded"
_NAMED = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\],]+)(?::\d{1,5})?", re.ASCII)
_UNTRUSTED = "untrusted"  # in the trail, where a trusted proxy does not say for whom it asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a request comes from, and how it calls us.

    Attributes:
        origin: ours, as the caller's browser names it: `https://console.example`.
        peer: the address it comes from.
        secure: by https.
    """

    origin: str
    peer: str
    secure: bool

    def cookie(self, name: str) -> str:
        """A cookie's name. By https one that only we can set: `__Host-` (RFC 6265bis 4.1.3)."""
        return f"__Host-{name}" if self.secure else name


def caller_of(request: web.BaseRequest, trusted: tuple[Network, ...]) -> Caller:
    """Where it comes from.

    Raises:
        RequestError: HOST_REFUSED for plain http from, or to, anywhere but this machine.
    """
    headers = tuple(request.headers.items())
    address, tls = _peer_of(request)
    secure = client_scheme(address, headers, trusted, secure=tls)
    peer = client_address(address, headers, trusted)
    host = request.headers.get("Host", "").lower()
    if not secure and not (_is_loopback(peer or "") and _is_loopback(_name(host))):
        raise RequestError(Reason.HOST_REFUSED, "The console is opened by https.")
    scheme = "https" if secure else "http"
    return Caller(origin=f"{scheme}://{host}", peer=peer or _UNTRUSTED, secure=secure)


def require_ours(request: web.BaseRequest, caller: Caller) -> None:
    """Refuse what a page elsewhere asks.

    Raises:
        RequestError: ORIGIN_REFUSED.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origins = request.headers.getall("Origin", [])
    if request.method == "POST":
        if origins != [caller.origin] or site not in {None, "same-origin"}:
            raise _foreign()
        return
    if origins and origins != [caller.origin]:
        raise _foreign()
    if site in {None, "same-origin", "none"}:
        return
    # A link that somebody follows, in the whole window: it comes without our cookie anyway.
    opened = request.headers.get("Sec-Fetch-Mode"), request.headers.get("Sec-Fetch-Dest")
    if opened != ("navigate", "document"):
        raise _foreign()


def cookie_of(request: web.BaseRequest, name: str) -> str | None:
    """The value of a cookie; None where it is not there, or more than once.

    RFC 6265 4.2.1. Two of one name: somebody set one beside ours, and nobody can tell which.
    """
    pairs = [
        pair.strip(" \t").partition("=")
        for line in request.headers.getall("Cookie", [])
        for pair in line.split(";", MAX_COOKIES)[:MAX_COOKIES]
    ]
    values = [value for key, _, value in pairs if key == name]
    return values[0] if len(values) == 1 else None


async def read_form(request: web.BaseRequest, names: frozenset[str]) -> Mapping[str, str]:
    """The fields of a form.

    Args:
        request: a POST.
        names: the fields that it may have; one that is not sent is not in the result.

    Raises:
        RequestError: CONTENT_TYPE_REFUSED, BODY_TOO_LARGE, BODY_TIMEOUT or BODY_INVALID.
    """
    media, _, parameters = request.headers.get("Content-Type", "").partition(";")
    if (
        media.strip(" \t").lower() != _FORM
        or parameters.strip(" \t").lower() not in {"", "charset=utf-8"}
        or "Content-Encoding" in request.headers
    ):
        raise RequestError(Reason.CONTENT_TYPE_REFUSED, "A form was expected.")
    body = await _read(request)
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise RequestError(Reason.BODY_INVALID, "The form cannot be read.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs) or not fields.keys() <= names:
        raise RequestError(Reason.BODY_INVALID, "The form holds something else than expected.")
    return fields


async def _read(request: web.BaseRequest) -> bytes:
    length = request.headers.get("Content-Length")
    if length is None or "Transfer-Encoding" in request.headers:
        raise RequestError(Reason.BODY_INVALID, "A form says how long it is.")
    if int(length) > MAX_FORM_BYTES:  # digits: the parser saw to it
        raise RequestError(Reason.BODY_TOO_LARGE, "The form is too large.")
    try:
        async with asyncio.timeout(FORM_SECONDS):
            return await request.content.read()
    except TimeoutError as error:
        raise RequestError(Reason.BODY_TIMEOUT, "The form did not come in time.") from error
    except (web.RequestPayloadError, OSError, RuntimeError) as error:
        raise RequestError(Reason.BODY_INVALID, "The form broke off.") from error


def _foreign() -> RequestError:
    return RequestError(Reason.ORIGIN_REFUSED, "This was not asked by a page of the console.")


def _peer_of(request: web.BaseRequest) -> tuple[str, bool]:
    """The address that the client connects from, and does it by TLS; "" = nobody knows.

    On a Unix socket it is another process of ours that asks, and says for whom. One that does not
    say so is nobody on this machine for sure, and a proxy must say.
    """
    transport = request.transport
    if transport is None:
        return "", False
    own = transport.get_extra_info("socket")
    if own is not None and own.family == socket.AF_UNIX:
        told = request.headers.getall(PEER_HEADER, [])
        return (read_peer(told[0]) if len(told) == 1 else None) or ("", False)
    peer: Any = transport.get_extra_info("peername")
    address = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) else ""
    return address, transport.get_extra_info("sslcontext") is not None


def _name(host: str) -> str:
    found = _NAMED.fullmatch(host)
    return "" if found is None else found[1].strip("[]")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
