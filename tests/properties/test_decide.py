"""The theorems of `decide`, one test of the same name each, and the plain reference."""

import os
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.access import Access
from gateway.domain.decision import Denial, Permit
from gateway.domain.resource import ANY
from gateway.enforcer.decide import decide
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import Effect
from tests.oracles import slow_decide
from tests.properties.worlds import (
    ACTIONS,
    BOOKING,
    CLIENT,
    VOCABULARY,
    facts,
    principals,
    rule_lists,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
resources = st.sampled_from((CLIENT, BOOKING))
actions = st.sampled_from(ACTIONS)


def answer(rules, principal, resource, action, known):
    index = compile_index(rules, VOCABULARY, [principal.subjects])
    access = Access(principal=principal, resource=resource, action=action, facts=known)
    return decide(index, access)


def plain(decision):
    match decision:
        case Permit():
            return ("permit", decision.hidden, decision.unwritable, decision.exempt)
        case Denial():
            return ("deny", decision.reason.value)


@settings(max_examples=700 * FUZZ, deadline=None)
@given(rule_lists, principals(), st.lists(facts, min_size=3, max_size=3))
def test_decide_agrees_with_the_plain_reference(rules, principal, moments):
    """700 policies x 3 moments x 10 questions: 21,000 decisions."""
    index = compile_index(rules, VOCABULARY, [principal.subjects])
    rows = [(rule.origin.value, rule.row) for rule in rules]
    for known, resource, action in product(moments, (CLIENT, BOOKING), ACTIONS):
        access = Access(principal=principal, resource=resource, action=action, facts=known)
        expected = slow_decide.decide(rows, principal, resource, action, known)
        assert plain(decide(index, access)) == expected


@given(rule_lists, principals(), resources, actions, facts)
def test_default_deny(rules, principal, resource, action, known):
    denies = [rule for rule in rules if rule.effect is Effect.DENY]
    assert isinstance(answer(denies, principal, resource, action, known), Denial)


@given(rule_lists, principals(), resources, actions, facts)
def test_deny_trumps_allow(rules, principal, resource, action, known):
    always = [
        replace(rule, who="role:anyone", resource=resource.name, actions=frozenset({ANY}))
        for rule in rules
        if rule.effect is Effect.DENY and rule.condition.value(known) is not False
    ]
    decision = answer(rules + always, principal, resource, action, known)
    assert not always or isinstance(decision, Denial)


@given(rule_lists, principals(), resources, actions, facts, st.randoms(use_true_random=False))
def test_order_is_irrelevant(rules, principal, resource, action, known, random):
    shuffled = random.sample(rules, k=len(rules))
    assert answer(rules, principal, resource, action, known) == answer(
        shuffled, principal, resource, action, known
    )


def no_wider(narrow, wide):
    """Whatever `narrow` lets through, `wide` does too."""
    if isinstance(narrow, Denial):
        return True
    return (
        isinstance(wide, Permit)
        and narrow.hidden >= wide.hidden
        and narrow.unwritable >= wide.unwritable
    )


@settings(max_examples=300 * FUZZ, deadline=None)
@given(rule_lists, principals(), resources, actions, facts, st.data())
def test_unknown_never_helps(rules, principal, resource, action, known, data):
    forgotten = data.draw(st.sampled_from(sorted(known)) if known else st.none())
    less = {name: None if name == forgotten else value for name, value in known.items()}
    assert no_wider(
        answer(rules, principal, resource, action, less),
        answer(rules, principal, resource, action, known),
    )


@settings(max_examples=300 * FUZZ, deadline=None)
@given(rule_lists, principals(), resources, actions, facts)
def test_narrowing_never_widens(rules, principal, resource, action, known):
    roles = {role for role in known if role.startswith("role:")} | principal.held
    full = replace(principal, acting=principal.held)
    narrow_facts = known | {
        r: True if r in principal.acting else None if r in principal.held else False for r in roles
    }
    full_facts = known | {r: r in principal.held for r in roles}
    assert no_wider(
        answer(rules, principal, resource, action, narrow_facts),
        answer(rules, full, resource, action, full_facts),
    )


@given(rule_lists, principals(), resources, actions, facts)
def test_a_permit_has_a_rule(rules, principal, resource, action, known):
    decision = answer(rules, principal, resource, action, known)
    if isinstance(decision, Permit):
        allows = {rule.ref for rule in rules if rule.effect is Effect.ALLOW}
        assert decision.by
        assert set(decision.by) <= allows


@given(rule_lists, principals(), resources, actions, facts)
def test_a_person_unknown_at_load_gets_nothing(rules, principal, resource, action, known):
    index = compile_index(rules, VOCABULARY, [])
    access = Access(principal=principal, resource=resource, action=action, facts=known)
    assert isinstance(decide(index, access), Denial)
