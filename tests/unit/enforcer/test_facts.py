"""What is known of a request before the CRM answers, and what is not known."""

from ipaddress import ip_network

import pytest

from gateway.domain.access import Window, WindowState
from gateway.domain.subject import ANYONE, Post, Principal, Role, StaffId
from gateway.enforcer.facts import known_facts

MANAGER, RECEPTION, STYLIST = Role("role:manager"), Role("role:reception"), Role("role:stylist")


def facts(*, state=WindowState.OPEN, app=None, peer="192.0.2.7", held=(), acting=None):
    held = frozenset(held) | {ANYONE}
    principal = Principal(
        staff=StaffId("staff:mei"),
        posts=(
            Post(
                salon="aoyama",
                held=held,
                acting=held if acting is None else frozenset(acting) | {ANYONE},
                first_role=STYLIST,
            ),
        ),
        device=None,
        epoch=1,
        app=app,
    )
    return known_facts(
        principal,
        principal.home,
        {"on_notice": False},
        Window(state=state),
        networks={"salon": (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))},
        peer=peer,
        apps=("phone", "backoffice"),
        roles=(MANAGER, RECEPTION, STYLIST),
    )


@pytest.mark.parametrize(
    ("state", "inside"),
    [
        (WindowState.OPEN, True),
        (WindowState.GRACE, True),
        (WindowState.CLOSED, False),
        (WindowState.UNKNOWN, False),
    ],
)
def test_grace_is_inside_and_an_unknown_calendar_is_outside(state, inside):
    known = facts(state=state)
    assert (known["inside_window"], known["outside_window"]) == (inside, not inside)


def test_without_an_app_claim_every_app_is_unknown():
    assert {facts()[f"app:{name}"] for name in ("phone", "backoffice")} == {None}
    assert (facts(app="phone")["app:phone"], facts(app="phone")["app:backoffice"]) == (True, False)


@pytest.mark.parametrize(
    ("peer", "inside"), [("192.0.2.255", True), ("192.0.3.0", False), ("2001:db8::9", True)]
)
def test_a_network_is_known_by_the_peers_address(peer, inside):
    assert facts(peer=peer)["network:salon"] is inside


def test_an_address_that_nobody_knows_lies_in_no_known_network_and_in_no_other():
    assert facts(peer=None)["network:salon"] is None


def test_a_role_that_the_token_leaves_out_is_unknown_not_absent():
    known = facts(held=(MANAGER, STYLIST), acting=(STYLIST,))
    assert (known[STYLIST], known[MANAGER], known[RECEPTION]) == (True, None, False)
