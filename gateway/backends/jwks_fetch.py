"""One look at an issuer's key set: an https GET, and a strict reading of what comes.

House rules: the address is the owner's, never a token's (`jku`, `x5u`). TLS is always checked; no
redirect is followed, no proxy of the environment used, no cookie kept, no coding taken. The whole
look takes FETCH_SECONDS at most and holds MAX_JWKS_BYTES at most, whatever the other side does.
A look that fails in any way says nothing of any key.
"""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from gateway.identity.claims import require_usable
from gateway.identity.keys import MAX_JWKS_BYTES, KeyTable, parse_published

FETCH_SECONDS = 5.0
MEDIA_TYPES = frozenset({"application/json", "application/jwk-set+json"})  # RFC 7517 8.5.2
_OK = 200
_HEADERS = {
    "Accept-Encoding": "identity",
    "User-Agent": "salon-gateway",
}


class Fault(StrEnum):
    """Why there is no key set."""

    UNREACHABLE = "unreachable"  # no connection, no TLS that can be checked, or it broke off
    TIMEOUT = "timeout"
    STATUS = "status"  # another answer than 200; a redirect, too
    CONTENT_TYPE = "content_type"
    TOO_LARGE = "too_large"
    INVALID = "invalid"  # JSON of another kind, a broken key, a secret


class FetchError(Exception):
    """There is no key set, and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A key set as it was published.

    Attributes:
        text: of the whole set.
        table: None = by its word no key counts now.
    """

    text: bytes
    table: KeyTable | None

    @classmethod
    def read(cls, text: bytes, algorithms: frozenset[str]) -> Self:
        """Read a set strictly.

        Raises:
            ValueError: it is none, or one of its keys is none.
        """
        table = parse_published(text, algorithms)
        if table is not None:
            require_usable(table)
        return cls(text=text, table=table)


class JwksAddress:
    """Where one issuer publishes its keys.

    Args:
        url: `https://...`.
        tls: whom to believe that it is that host.
        algorithms: whose keys count.

    Raises:
        ValueError: another scheme.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext, algorithms: frozenset[str]) -> None:
        self._url = URL(url)
        if self._url.scheme != "https":
            raise ValueError("keys are fetched by https and by nothing else")
        if tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname:
            raise ValueError("the certificate of an issuer is always checked")
        self._tls = tls
        self.algorithms = algorithms

    def __repr__(self) -> str:
        return f"JwksAddress({str(self._url)!r})"

    async def fetch(self) -> Published:
        """Look once.

        Raises:
            FetchError: with what was wrong.
        """
        text = await fetch(
            self._url, tls=self._tls, media_types=MEDIA_TYPES, max_bytes=MAX_JWKS_BYTES
        )
        try:
            return Published.read(text, self.algorithms)
        except ValueError:
            raise FetchError(Fault.INVALID) from None


async def fetch(
    url: URL,
    *,
    tls: ssl.SSLContext,
    media_types: frozenset[str],
    max_bytes: int,
    form: bytes | None = None,
    authorization: str | None = None,
) -> bytes:
    """Ask an issuer once, by the house rules above.

    Args:
        url: `https://...`, of somebody who may say where we ask.
        tls: whom to believe that it is that host.
        media_types: what the answer may be.
        max_bytes: of the answer.
        form: what is posted; None = it is a GET.
        authorization: the header.

    Raises:
        FetchError: with what was wrong.
    """
    headers = {**_HEADERS, "Accept": ", ".join(sorted(media_types))}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if authorization is not None:
        headers["Authorization"] = authorization
    method = "GET" if form is None else "POST"
    connector = TCPConnector(ssl=tls, force_close=True)
    try:
        async with (
            ClientSession(
                connector=connector,
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=FETCH_SECONDS),
                trust_env=False,
                auto_decompress=False,
            ) as session,
            session.request(
                method, url, headers=headers, data=form, allow_redirects=False
            ) as answer,
        ):
            return await _whole(answer, media_types, max_bytes)
    except TimeoutError:
        raise FetchError(Fault.TIMEOUT) from None
    except (ClientError, OSError, ValueError):
        raise FetchError(Fault.UNREACHABLE) from None


async def _whole(answer: ClientResponse, media_types: frozenset[str], max_bytes: int) -> bytes:
    if answer.status != _OK:
        raise FetchError(Fault.STATUS)
    codings = answer.headers.getall("Content-Encoding", [])
    if answer.content_type not in media_types or any(one.lower() != "identity" for one in codings):
        raise FetchError(Fault.CONTENT_TYPE)
    text = bytearray()
    async for chunk in answer.content.iter_any():
        text += chunk
        if len(text) > max_bytes:
            _hang_up(answer)
            raise FetchError(Fault.TOO_LARGE)
    return bytes(text)


def _hang_up(answer: ClientResponse) -> None:
    """A farewell in TLS would go on reading what an endless answer goes on sending."""
    transport = None if answer.connection is None else answer.connection.transport
    if transport is not None:
        transport.abort()
