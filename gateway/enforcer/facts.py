"""The facts of a request: every named condition that is known before the CRM answers."""

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from gateway.domain.access import Facts, Window
from gateway.domain.subject import Post, Principal

Network = IPv4Network | IPv6Network


def known_facts(
    principal: Principal,
    post: Post,
    attributes: Facts,
    window: Window,
    *,
    networks: Mapping[str, tuple[Network, ...]],
    peer: str | None,
    apps: Collection[str],
    roles: Collection[str],
) -> dict[str, bool | None]:
    """Name everything that is known; what stays out, or None, is unknown.

    A role the person holds but this token may not use is unknown, not absent: it opens
    nothing and it exempts from nothing.

    Args:
        principal: who asks.
        post: with which roles, in which salon.
        attributes: the roster's facts about the person (on_notice, trained, ...).
        window: the salon's window at the instant of the request.
        networks: configured networks by name.
        peer: the address the request comes from; None = not known.
        apps: every declared app.
        roles: every declared role.
    """
    address = None if peer is None else ip_address(peer)
    facts: dict[str, bool | None] = dict(attributes)
    facts["inside_window"] = window.state.inside
    facts["outside_window"] = not window.state.inside
    for role in roles:
        facts[role] = True if role in post.acting else None if role in post.held else False
    # An app that nobody declared may be any of them under another name: `app:phone` decides.
    app = principal.app if principal.app in apps else None
    for name in apps:
        facts[f"app:{name}"] = None if app is None else app == name
    for name, ranges in networks.items():
        inside = None if address is None else any(address in network for network in ranges)
        facts[f"network:{name}"] = inside
    return facts
