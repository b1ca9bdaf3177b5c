"""Where does a request come from? The socket's peer, or whom trusted proxies name.

True here:
- Without trusted proxies, or from any other peer, forwarding headers are not even read.
- `X-Forwarded-For` is read from its right end, where the proxy next to us wrote: trusted
  addresses are skipped, the first other one is the client. What stands left of it was
  written by somebody nobody vouches for.
- In doubt nobody knows: no entry, one that is no bare address, only trusted ones. Then
  every `network:` condition is unknown, which opens nothing.
- Whether the client speaks TLS is asked the same way. In doubt it is what the socket says.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.domain.http import Headers

FORWARDED_FOR = "x-forwarded-for"
FORWARDED_PROTO = "x-forwarded-proto"
FORWARDED = "forwarded"
MAX_HOPS = 32  # entries looked at; real chains have two or three

_SECURE = {"https": True, "http": False}
# RFC 7239 4: one element of `name=value` pairs. Commas and semicolons in quotes are possible
# there and written by nobody: then the element is not read at all.
_PAIR = re.compile(r"[ \t]*([A-Za-z]+)=(\"[^\",;\\]*\"|[^\",;\\ \t]+)[ \t]*")

Network = IPv4Network | IPv6Network


def client_address(peer: str, headers: Headers, trusted: tuple[Network, ...]) -> str | None:
    """The address that a request comes from; None = not known.

    Args:
        peer: the socket's peer, an IP address.
        headers: of the request, as they came.
        trusted: the proxies whose word is taken.
    """
    if not trusted:
        return _spelled(peer)
    address = _plain(peer)
    if address is None or not _among(address, trusted):
        return _spelled(peer)
    hops = [
        hop.strip(" \t")
        for name, value in headers
        if name.lower() == FORWARDED_FOR
        for hop in value.split(",")
    ]
    for hop in reversed(hops[-MAX_HOPS:]):
        address = _plain(hop)
        if address is None:
            return None
        if not _among(address, trusted):
            return _spelled(hop)
    return None


def client_scheme(
    peer: str, headers: Headers, trusted: tuple[Network, ...], *, secure: bool
) -> bool:
    """Does the client speak TLS, to us or to the trusted proxy in front of us?

    Args:
        peer: the socket's peer, an IP address.
        headers: of the request, as they came.
        trusted: the proxies whose word is taken.
        secure: the socket's own side is TLS.

    Returns:
        What a trusted proxy says in exactly one value, of `X-Forwarded-Proto` or of
        `Forwarded`; else, and where the two disagree, `secure`.
    """
    if not _among(_plain(peer), trusted):
        return secure
    said = {
        _SECURE.get(value.strip(' \t"').lower())
        for name, value in headers
        for value in _schemes(name.lower(), value)
    }
    (only,) = said if len(said) == 1 else (None,)
    once = all(
        sum(key.lower() == name for key, _ in headers) < 2 for name in (FORWARDED_PROTO, FORWARDED)
    )
    return only if only is not None and once else secure


def _schemes(name: str, value: str) -> tuple[str, ...]:
    """The schemes a forwarding header names; `?` for one that cannot be read."""
    if name == FORWARDED_PROTO:
        return (value,)
    if name != FORWARDED:
        return ()
    pairs = [_PAIR.fullmatch(part) for part in value.split(";")]
    if not all(pairs):
        return ("?",)
    return tuple(pair[2] for pair in pairs if pair is not None and pair[1].lower() == "proto")


@lru_cache(maxsize=4096)  # one phone asks many times
def _plain(text: str) -> IPv4Address | IPv6Address | None:
    """An address without port, brackets or zone; `::ffff:192.0.2.1` is the IPv4 one in it."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


@lru_cache(maxsize=4096)
def _spelled(text: str) -> str | None:
    """The address in its one spelling."""
    address = _plain(text)
    return None if address is None else str(address)


def _among(address: IPv4Address | IPv6Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)
