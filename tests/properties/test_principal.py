"""The theorems of gateway/identity/principal.py, on random role graphs and claims."""

import os
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.finding import Place
from gateway.domain.subject import ANYONE, Role, RoleGraph, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.claims import Claims
from gateway.identity.principal import people, resolve
from gateway.identity.roster import Member, Roster

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ROLES = [Role(f"role:{letter}") for letter in "abcdef"]
MEI = StaffId("staff:mei")

role_sets = st.frozensets(st.sampled_from(ROLES))
claimed_sets = st.frozensets(st.sampled_from([*ROLES, ANYONE, Role("role:unheard-of")]))
graphs = st.dictionaries(st.sampled_from([*ROLES, MEI, "staff:ken"]), role_sets).map(RoleGraph)
memberships = st.lists(st.sampled_from(ROLES), unique=True, max_size=3)


def principal(roles, graph, claimed, elsewhere=()):
    mei = Member(
        staff=MEI,
        name="Mei",
        salons={"aoyama": tuple(roles), "shibuya": tuple(elsewhere)},
        crm_id="mei",
        joined=date(2024, 4, 1),
        on_notice_since=None,
        leaves_on=None,
        nda_signed=None,
        trained_until=None,
        approved_devices=frozenset(),
        place=Place("staff.yaml"),
    )
    claims = Claims(
        staff=MEI,
        device=None,
        epoch=1,
        app=None,
        roles=claimed,
        expires_at=from_milliseconds(0),
    )
    return resolve(claims, people(Roster(members={MEI: mei}, roles=frozenset(ROLES)), graph))


def reaches(start, graph):
    """What a set of roles carries, the slow way: add a row at a time until nothing changes."""
    found = set(start)
    while True:
        more = {to for name in found for to in graph.parents.get(name, ())} - found
        if not more:
            return {name for name in found if name.startswith("role:")}
        found |= more


@settings(max_examples=200 * FUZZ)
@given(memberships, graphs, claimed_sets)
def test_whatever_a_token_claims_acting_is_part_of_held(roles, graph, claimed):
    mei = principal(roles, graph, claimed)
    assert mei.home.acting <= mei.home.held
    assert ANYONE in mei.home.acting


@settings(max_examples=200 * FUZZ)
@given(memberships, graphs, claimed_sets, claimed_sets)
def test_claiming_more_never_gives_less_and_claiming_fewer_never_more(roles, graph, one, other):
    small = principal(roles, graph, one).home.acting
    large = principal(roles, graph, one | other).home.acting
    assert small <= large <= principal(roles, graph, None).home.acting


@settings(max_examples=200 * FUZZ)
@given(memberships, graphs, claimed_sets)
def test_what_is_held_depends_on_the_roster_and_the_rules_alone(roles, graph, claimed):
    assert principal(roles, graph, claimed).home.held == reaches({*roles, MEI}, graph) | {ANYONE}


@settings(max_examples=300 * FUZZ)
@given(memberships, graphs, claimed_sets)
def test_acting_is_what_the_held_part_of_the_claim_carries(roles, graph, claimed):
    mei = principal(roles, graph, claimed)
    assert mei.home.acting == reaches(claimed & mei.home.held, graph) | {ANYONE}


@settings(max_examples=100 * FUZZ)
@given(memberships, graphs)
def test_a_token_that_does_not_narrow_acts_as_all_that_is_held(roles, graph):
    mei = principal(roles, graph, None)
    assert mei.home.acting == mei.home.held


@settings(max_examples=200 * FUZZ)
@given(memberships, memberships, graphs, claimed_sets)
def test_each_salon_is_as_if_it_were_the_only_one(roles, elsewhere, graph, claimed):
    mei = principal(roles, graph, claimed, elsewhere)
    aoyama, shibuya = mei.posts
    assert aoyama == principal(roles, graph, claimed).home
    alone = principal(elsewhere, graph, claimed).home
    assert (shibuya.held, shibuya.acting) == (alone.held, alone.acting)
