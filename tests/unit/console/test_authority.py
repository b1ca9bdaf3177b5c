"""Who may enter, whom they see, and on whom they may act: against the rules written twice."""

import os
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.console.authority import ACTS, ConsoleSettings, rank, viewer
from gateway.domain.act import Act
from gateway.domain.finding import Place
from gateway.domain.subject import Role, RoleGraph, StaffId
from gateway.identity.principal import people as joined
from gateway.identity.roster import Member, Roster
from tests.oracles import slow_authority
from tests.oracles.console_world import BUNDLE, DAI, EVIL, HANA, KEN, MEI, YUKI

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ROLES = ["role:owner", "role:manager", "role:reception", "role:stylist", "role:deputy"]
SALONS = ["aoyama", "yoyogi", "osaka"]
SET = ConsoleSettings()


def may(who, act, whom):
    entered = viewer(BUNDLE.people, who, SET)
    assert entered is not None
    return entered.may(act, BUNDLE.people[whom], SET)


@pytest.mark.parametrize("who", [MEI, YUKI, EVIL, StaffId("staff:nobody")])
def test_only_managers_and_owners_enter(who):
    assert viewer(BUNDLE.people, who, SET) is None


def test_an_owner_sees_everybody():
    entered = viewer(BUNDLE.people, HANA, SET)
    assert all(entered.sees(person) for person in BUNDLE.people.values())


def test_a_manager_sees_the_people_of_the_salons_they_manage_and_no_others():
    dai = viewer(BUNDLE.people, DAI, SET)  # manages Yoyogi, cuts hair in Aoyama
    seen = {staff for staff, person in BUNDLE.people.items() if dai.sees(person)}
    assert seen == {DAI, YUKI}


def test_a_manager_may_see_out_a_stylist_though_they_are_none():
    assert may(KEN, Act.OFFBOARD, MEI)


def test_a_manager_may_not_lock_or_see_out_an_owner_but_may_log_them_out():
    assert {act for act in ACTS if may(KEN, act, HANA)} == {Act.LOG_OUT}


def test_managers_may_act_on_each_other():
    assert may(KEN, Act.LOCK, DAI)  # who works in Aoyama, too


def test_nobody_locks_unlocks_or_sees_out_themselves():
    assert {act for act in ACTS if may(HANA, act, HANA)} == {Act.LOG_OUT}


def test_an_owner_stays_above_a_manager_also_where_only_managers_are_named():
    named = ConsoleSettings(roles=frozenset({Role("role:manager")}))
    ken = viewer(BUNDLE.people, KEN, named)
    assert not ken.may(Act.OFFBOARD, BUNDLE.people[HANA], named)
    assert rank(BUNDLE.people[HANA], named) == {"role:owner", "role:manager"}


@pytest.mark.parametrize("act", sorted(set(Act) - ACTS))
def test_there_is_no_button_for_anything_else(act):
    assert not may(HANA, act, MEI)


def member(name, salons):
    return Member(
        staff=StaffId(f"staff:{name}"),
        name=name,
        salons={salon: tuple(map(Role, roles)) for salon, roles in salons.items()},
        crm_id=name,
        joined=date(2024, 4, 1),
        on_notice_since=None,
        leaves_on=None,
        nda_signed=None,
        trained_until=None,
        approved_devices=frozenset(),
        place=Place("staff.yaml"),
    )


posts = st.dictionaries(
    st.sampled_from(SALONS), st.lists(st.sampled_from(ROLES), unique=True), min_size=1
)
# Downwards only, so that there are no circles.
rows = st.sets(
    st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)).filter(
        lambda row: ROLES.index(row[0]) < ROLES.index(row[1])
    )
)


@settings(deadline=None, max_examples=300 * FUZZ)
@given(staff=st.dictionaries(st.sampled_from("abcd"), posts, min_size=2), inherits=rows)
def test_it_is_what_the_rules_say(staff, inherits):
    graph = RoleGraph(
        {a: frozenset(Role(to) for frm, to in inherits if frm == a) for a, _ in inherits}
    )
    members = [member(name, salons) for name, salons in staff.items()]
    roster = Roster(members={one.staff: one for one in members}, roles=frozenset(map(Role, ROLES)))
    people = joined(roster, graph)
    for who in staff:
        entered = viewer(people, StaffId(f"staff:{who}"), SET)
        assert (entered is not None) == slow_authority.may_enter(staff[who], inherits)
        for whom in staff if entered is not None else ():
            person = people[StaffId(f"staff:{whom}")]
            for act in ACTS:
                wanted = slow_authority.may(act, who, whom, staff, inherits)
                assert entered.may(act, person, SET) == wanted, (who, act, whom)
