"""For whom one process of ours asks another: a header that only we write.

With several workers one process has the admin port and hands what is asked of the console on to
another, over a Unix socket. The one behind sees no address there, so it is told. Believed on a
Unix socket alone, which only processes of this user can open; whatever a client sends under this
name is taken out first.
"""

import re
from ipaddress import ip_address

PEER_HEADER = "Salon-Gateway-Peer"
_FORM = re.compile(r"(https?) ([0-9A-Fa-f:.]{2,45})", re.ASCII)


def write_peer(peer: str, *, secure: bool) -> str:
    """The header's value.

    Args:
        peer: the address that the client connects from.
        secure: by TLS.
    """
    return f"{'https' if secure else 'http'} {peer}"


def read_peer(text: str) -> tuple[str, bool] | None:
    """The address, and is it by TLS; None = this is not what `write_peer` writes."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    try:
        ip_address(found[2])
    except ValueError:
        return None
    return found[2], found[1] == "https"
