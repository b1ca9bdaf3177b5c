from datetime import date

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.finding import Place
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, DeviceId, Role, RoleGraph, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.claims import Claims
from gateway.identity.principal import attributes, people, resolve
from gateway.identity.roster import Member, Roster

OWNER, MANAGER, RECEPTION, STYLIST = (
    Role(f"role:{name}") for name in ("owner", "manager", "reception", "stylist")
)
GRAPH = RoleGraph({OWNER: frozenset({MANAGER}), MANAGER: frozenset({RECEPTION})})
TODAY = date(2026, 11, 21)


def a_member(*roles, **changes):
    values = {
        "staff": StaffId("staff:mei"),
        "name": "Mei",
        "salons": {"aoyama": roles},
        "crm_id": "17",
        "joined": date(2024, 4, 1),
        "on_notice_since": None,
        "leaves_on": None,
        "nda_signed": None,
        "trained_until": None,
        "approved_devices": frozenset(),
        "place": Place("staff.yaml", 2, 5),
    }
    return Member(**(values | changes))


def some_claims(**changes):
    values = {
        "staff": StaffId("staff:mei"),
        "device": None,
        "epoch": 7,
        "app": None,
        "roles": None,
        "expires_at": from_milliseconds(0),
    }
    return Claims(**(values | changes))


def principal(member, graph=GRAPH, **claims):
    given = frozenset(role for roles in member.salons.values() for role in roles)
    roster = Roster(members={member.staff: member}, roles=given)
    return resolve(some_claims(**claims), people(roster, graph))


def test_roles_are_held_with_everything_they_inherit():
    hana = principal(a_member(OWNER))
    assert hana.home.held == hana.home.acting == {OWNER, MANAGER, RECEPTION, ANYONE}


def test_a_g_row_for_the_person_counts_too():
    graph = RoleGraph({StaffId("staff:mei"): frozenset({MANAGER}), **GRAPH.parents})
    assert principal(a_member(STYLIST), graph).home.held == {STYLIST, MANAGER, RECEPTION, ANYONE}


def test_roles_of_another_person_do_not():
    graph = RoleGraph({StaffId("staff:ken"): frozenset({MANAGER})})
    assert principal(a_member(STYLIST), graph).home.held == {STYLIST, ANYONE}


def test_what_role_anyone_would_inherit_is_not_followed():
    graph = RoleGraph({ANYONE: frozenset({OWNER})})
    assert principal(a_member(STYLIST), graph).home.held == {STYLIST, ANYONE}
    graph = RoleGraph({ANYONE: frozenset({STYLIST})})
    assert principal(a_member(STYLIST), graph, roles=frozenset({ANYONE})).home.acting == {ANYONE}


def test_roles_belong_to_their_salon():
    mei = principal(a_member(salons={"aoyama": (MANAGER,), "shibuya": (STYLIST,)}))
    assert [(post.salon, post.held) for post in mei.posts] == [
        ("aoyama", {MANAGER, RECEPTION, ANYONE}),
        ("shibuya", {STYLIST, ANYONE}),
    ]
    assert [post.first_role for post in mei.posts] == [MANAGER, STYLIST]


def test_a_g_row_for_the_person_counts_in_all_of_their_salons():
    graph = RoleGraph({StaffId("staff:mei"): frozenset({RECEPTION})})
    mei = principal(a_member(salons={"aoyama": (STYLIST,), "shibuya": ()}), graph)
    assert all(RECEPTION in post.held for post in mei.posts)


def test_a_token_narrows_in_each_salon_to_what_is_held_there():
    member = a_member(salons={"aoyama": (MANAGER,), "shibuya": (STYLIST,)})
    mei = principal(member, roles=frozenset({MANAGER}))
    assert [post.acting for post in mei.posts] == [{MANAGER, RECEPTION, ANYONE}, {ANYONE}]
    assert mei.narrowed_to == {MANAGER}


def test_the_crm_knows_people_by_its_own_ids():
    assert principal(a_member(STYLIST)).crm_id == "17"


def test_a_token_narrows_to_a_role_with_what_it_inherits():
    hana = principal(a_member(OWNER, STYLIST), roles=frozenset({MANAGER}))
    assert hana.home.acting == {MANAGER, RECEPTION, ANYONE}
    assert hana.home.held == {OWNER, MANAGER, RECEPTION, STYLIST, ANYONE}


@pytest.mark.parametrize("claimed", [{OWNER}, {Role("role:made-up")}, {Role("role:staff:ken")}])
def test_a_role_that_is_not_held_is_not_added_by_claiming_it(claimed):
    mei = principal(a_member(STYLIST), roles=frozenset(claimed))
    assert mei.home.acting == {ANYONE}
    assert mei.home.held == {STYLIST, ANYONE}


def test_an_empty_list_of_roles_narrows_to_everyone():
    assert principal(a_member(OWNER), roles=frozenset()).home.acting == {ANYONE}


def test_the_first_role_of_the_roster_is_the_label_even_for_a_narrowed_token():
    mei = principal(a_member(STYLIST, MANAGER), roles=frozenset({MANAGER}))
    assert mei.home.first_role == STYLIST
    assert principal(a_member()).home.first_role == ANYONE


def test_who_is_not_on_the_roster_has_no_rights_whatever_the_token_says():
    with pytest.raises(RequestError) as caught:
        principal(a_member(STYLIST), staff=StaffId("staff:gone"), roles=frozenset({OWNER}))
    assert caught.value.reason is Reason.NOT_ON_ROSTER


def test_the_rest_comes_from_the_claims_and_the_roster():
    member = a_member(
        STYLIST,
        on_notice_since=date(2026, 11, 1),
        leaves_on=date(2026, 12, 31),
        trained_until=date(2027, 3, 31),
        nda_signed=False,
        approved_devices=frozenset({DeviceId("phone-mei")}),
    )
    mei = principal(member, device=DeviceId("tablet"), app="phone", epoch=9)
    assert (mei.staff, mei.home.salon, mei.device, mei.epoch, mei.app) == (
        "staff:mei", "aoyama", "tablet", 9, "phone",
    )  # fmt: skip
    assert (mei.joined, mei.on_notice_since, mei.leaves_on, mei.trained_until) == (
        date(2024, 4, 1), date(2026, 11, 1), date(2026, 12, 31), date(2027, 3, 31),
    )  # fmt: skip
    assert mei.nda_signed is False
    assert mei.approved_devices == {"phone-mei"}


def facts(device=None, **changes):
    return attributes(principal(a_member(STYLIST, **changes), device=device), TODAY)


def test_what_the_roster_does_not_say_is_unknown_but_no_notice_is_no_notice():
    assert facts() == {
        "on_notice": False,
        "nda_signed": None,
        "trained": None,
        "approved_device": None,
    }


@pytest.mark.parametrize(
    ("since", "expected"),
    [(date(2026, 11, 20), True), (TODAY, True), (date(2026, 11, 22), False)],
)
def test_notice_counts_from_its_day_on(since, expected):
    assert facts(on_notice_since=since)["on_notice"] is expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [(date(2026, 11, 20), False), (TODAY, True), (date(2026, 11, 22), True)],
)
def test_training_counts_to_its_last_day(until, expected):
    assert facts(trained_until=until)["trained"] is expected


@pytest.mark.parametrize("signed", [True, False])
def test_a_signature_is_as_the_roster_says(signed):
    assert facts(nda_signed=signed)["nda_signed"] is signed


def test_a_device_is_approved_if_the_roster_lists_exactly_it():
    approved = frozenset({DeviceId("phone-mei")})
    assert facts(DeviceId("phone-mei"), approved_devices=approved)["approved_device"] is True
    assert facts(DeviceId("Phone-Mei"), approved_devices=approved)["approved_device"] is False
    assert facts(DeviceId("phone-mei"))["approved_device"] is False
