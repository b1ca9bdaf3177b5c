"""The facts of a request: every named condition that is known before the CRM answers."""

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

from gateway.domain.access import Facts, Window
from gateway.domain.subject import Principal

Network = IPv4Network | IPv6Network


def known_facts(
    principal: Principal,
    attributes: Facts,
    window: Window,
    *,
    networks: Mapping[str, tuple[Network, ...]],
    peer: str,
    apps: Collection[str],
    roles: Collection[str],
) -> dict[str, bool | None]:
    """Name everything that is known; what stays out, or None, is unknown.

    A role the person holds but this token may not use is unknown, not absent: it opens
    nothing and it exempts from nothing.

    Args:
        principal: who asks, with held and acting roles.
        attributes: the roster's facts about the person (on_notice, trained, ...).
        window: the salon's window at the instant of the request.
        networks: configured networks by name.
        peer: the socket peer's address.
        apps: every declared app.
        roles: every declared role.
    """
    address = ip_address(peer)
    facts: dict[str, bool | None] = dict(attributes)
    facts["inside_window"] = window.state.inside
    facts["outside_window"] = not window.state.inside
    for role in roles:
        facts[role] = (
            True if role in principal.acting else None if role in principal.held else False
        )
    # An app that nobody declared may be any of them under another name: `app:phone` decides.
    app = principal.app if principal.app in apps else None
    for name in apps:
        facts[f"app:{name}"] = None if app is None else app == name
    for name, ranges in networks.items():
        facts[f"network:{name}"] = any(address in network for network in ranges)
    return facts
