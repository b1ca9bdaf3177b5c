"""Where does a request come from? The socket's peer, or whom trusted proxies name.

True here:
- Without trusted proxies, or from any other peer, forwarding headers are not even read.
- `X-Forwarded-For` is read from its right end, where the proxy next to us wrote: trusted
  addresses are skipped, the first other one is the client. What stands left of it was
  written by somebody nobody vouches for.
- In doubt nobody knows: no entry, one that is no bare address, only trusted ones. Then
  every `network:` condition is unknown, which opens nothing.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.domain.http import Headers

FORWARDED_FOR = "x-forwarded-for"
MAX_HOPS = 32  # entries looked at; real chains have two or three

Network = IPv4Network | IPv6Network


def client_address(peer: str, headers: Headers, trusted: tuple[Network, ...]) -> str | None:
    """The address that a request comes from; None = not known.

    Args:
        peer: the socket's peer, an IP address.
        headers: of the request, as they came.
        trusted: the proxies whose word is taken.
    """
    address = _plain(peer)
    if address is None or not _among(address, trusted):
        return None if address is None else str(address)
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
            return str(address)
    return None


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


def _among(address: IPv4Address | IPv6Address | None, networks: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in networks)
