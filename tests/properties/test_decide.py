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
    RECORD_FACTS,
    RESOURCES,
    SALONS,
    VOCABULARY,
    facts_by_salon,
    principals,
    records,
    rule_lists,
    state_of,
    subjects,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
resources = st.sampled_from(RESOURCES)
actions = st.sampled_from(ACTIONS)


def answer(rules, principal, resource, action, known):
    index = compile_index(rules, VOCABULARY, subjects(principal))
    access = Access(principal=principal, resource=resource, action=action, facts=known)
    return decide(index, access)


def plain(decision):
    match decision:
        case Permit():
            return ("permit", decision.exempt)
        case Denial():
            return ("deny", decision.reason.value)


def of_record(decision, resource, record):
    """What a decision makes of one record, in the reference's words."""
    if isinstance(decision, Denial):
        return ("refused",)
    verdict = decision.judge(state_of(resource, record))
    if not verdict.passes:
        return ("refused",)
    return ("passes", verdict.hidden, verdict.unwritable)


@settings(max_examples=700 * FUZZ, deadline=None)
@given(
    rule_lists,
    principals(),
    st.lists(facts_by_salon, min_size=2, max_size=2),
    st.lists(records, min_size=3, max_size=3),
)
def test_decide_agrees_with_the_plain_reference(rules, principal, moments, cards):
    """700 policies x 2 moments x 10 questions x 3 records: 42,000 verdicts."""
    index = compile_index(rules, VOCABULARY, subjects(principal))
    rows = [(rule.origin.value, rule.row) for rule in rules]
    for known, resource, action in product(moments, RESOURCES, ACTIONS):
        access = Access(principal=principal, resource=resource, action=action, facts=known)
        decision = decide(index, access)
        assert plain(decision) == slow_decide.decide(rows, principal, resource, action, known)
        if isinstance(decision, Denial):
            continue
        for record in cards:
            assert of_record(decision, resource, record) == slow_decide.judge_record(
                rows, principal, resource, action, known, record
            )


@settings(deadline=None)
@given(rule_lists, principals(), resources, actions, facts_by_salon, records)
def test_a_denial_at_the_door_refuses_nothing_that_would_pass(
    rules, principal, resource, action, known, record
):
    decision = answer(rules, principal, resource, action, known)
    rows = [(rule.origin.value, rule.row) for rule in rules]
    if isinstance(decision, Denial):
        assert slow_decide.judge_record(rows, principal, resource, action, known, record) == (
            "refused",
        )


@given(rule_lists, principals(), resources, actions, facts_by_salon)
def test_default_deny(rules, principal, resource, action, known):
    denies = [rule for rule in rules if rule.effect is Effect.DENY]
    assert isinstance(answer(denies, principal, resource, action, known), Denial)


@given(rule_lists, principals(), resources, actions, facts_by_salon, records)
def test_deny_trumps_allow(rules, principal, resource, action, known, record):
    everything = {fact.name: record[1][fact.name] for fact in resource.facts}
    home = known[principal.home.salon] | everything
    always = [
        replace(rule, who="role:anyone", resource=resource.name, actions=frozenset({ANY}))
        for rule in rules
        if rule.effect is Effect.DENY and rule.condition.value(home) is not False
    ]
    decision = answer(rules + always, principal, resource, action, known)
    at_home = (principal.home.salon, record[1])
    assert not always or of_record(decision, resource, at_home) == ("refused",)


@given(
    rule_lists,
    principals(),
    resources,
    actions,
    facts_by_salon,
    records,
    st.randoms(use_true_random=False),
)
def test_order_is_irrelevant(rules, principal, resource, action, known, record, random):
    shuffled = random.sample(rules, k=len(rules))
    one = answer(rules, principal, resource, action, known)
    other = answer(shuffled, principal, resource, action, known)
    assert plain(one) == plain(other)
    assert set(one.by) == set(other.by)
    assert of_record(one, resource, record) == of_record(other, resource, record)


def no_wider(narrow, wide):
    """Whatever one verdict on a record lets through, the other does too."""
    if narrow == ("refused",):
        return True
    return wide != ("refused",) and narrow[1] >= wide[1] and narrow[2] >= wide[2]


@settings(max_examples=300 * FUZZ, deadline=None)
@given(rule_lists, principals(), resources, actions, facts_by_salon, records, st.data())
def test_unknown_never_helps(rules, principal, resource, action, known, record, data):
    salon = data.draw(st.sampled_from(SALONS))
    forgotten = data.draw(st.sampled_from(sorted(known[salon])) if known[salon] else st.none())
    less = {name: None if name == forgotten else value for name, value in known[salon].items()}
    blank = data.draw(st.sampled_from(RECORD_FACTS))
    lost = data.draw(st.booleans())  # the record's salon is forgotten too
    less_known = (None if lost else record[0], record[1] | {blank: None})
    narrow = answer(rules, principal, resource, action, known | {salon: less})
    wide = answer(rules, principal, resource, action, known)
    if lost and record[0] not in {post.salon for post in principal.posts}:
        return  # a salon where the person does not work lets nothing pass; see below
    assert no_wider(of_record(narrow, resource, less_known), of_record(wide, resource, record))


@settings(max_examples=300 * FUZZ, deadline=None)
@given(rule_lists, principals(), resources, actions, facts_by_salon, records)
def test_narrowing_never_widens(rules, principal, resource, action, known, record):
    full = replace(
        principal, posts=tuple(replace(post, acting=post.held) for post in principal.posts)
    )
    narrow_facts, full_facts = dict(known), dict(known)
    for post in principal.posts:
        roles = {role for role in known[post.salon] if role.startswith("role:")} | post.held
        narrow_facts[post.salon] = known[post.salon] | {
            r: True if r in post.acting else None if r in post.held else False for r in roles
        }
        full_facts[post.salon] = known[post.salon] | {r: r in post.held for r in roles}
    assert no_wider(
        of_record(answer(rules, principal, resource, action, narrow_facts), resource, record),
        of_record(answer(rules, full, resource, action, full_facts), resource, record),
    )


@given(rule_lists, principals(), resources, actions, facts_by_salon)
def test_a_permit_has_a_rule(rules, principal, resource, action, known):
    decision = answer(rules, principal, resource, action, known)
    if isinstance(decision, Permit):
        allows = {rule.ref for rule in rules if rule.effect is Effect.ALLOW}
        assert decision.by
        assert set(decision.by) <= allows


@settings(deadline=None)
@given(rule_lists, principals(), actions, facts_by_salon, records)
def test_a_salon_speaks_for_its_own_records(rules, principal, action, known, record):
    """What the other salon says, or how its clock stands, is nothing to this one's records."""
    (client, _), (salon, card) = RESOURCES, record
    mine = [post for post in principal.posts if post.salon == salon]
    whole = of_record(answer(rules, principal, client, action, known), client, record)
    if not mine and salon is not None:
        assert whole == ("refused",)
    if mine:
        alone = replace(principal, posts=tuple(mine))
        elsewhere = {other: known[other] if other == salon else {} for other in SALONS}
        assert whole == of_record(answer(rules, alone, client, action, elsewhere), client, record)
    if salon is None:
        for post in principal.posts:
            alone = replace(principal, posts=(post,))
            one = of_record(
                answer(rules, alone, client, action, known), client, (post.salon, card)
            )
            assert no_wider(whole, one)


@settings(deadline=None)
@given(rule_lists, principals(), resources, actions, facts_by_salon)
def test_hidden_in_some_is_hidden_from_questions(rules, principal, resource, action, known):
    decision = answer(rules, principal, resource, action, known)
    if isinstance(decision, Denial):
        return
    hidden, unwritable, refused = set(), set(), False
    for values in product((True, False, None), repeat=len(RECORD_FACTS)):
        card = dict(zip(RECORD_FACTS, values, strict=True))
        for post in principal.posts:
            verdict = decision.judge(state_of(resource, (post.salon, card)))
            refused |= not verdict.passes
            if verdict.passes:
                hidden |= verdict.hidden
                unwritable |= verdict.unwritable
    assert (decision.hidden, decision.unwritable) == (hidden, unwritable)
    assert decision.refuses or not refused
    assert decision.depends or not decision.refuses


@given(rule_lists, principals(), resources, actions, facts_by_salon)
def test_a_person_unknown_at_load_gets_nothing(rules, principal, resource, action, known):
    index = compile_index(rules, VOCABULARY, [])
    access = Access(principal=principal, resource=resource, action=action, facts=known)
    assert isinstance(decide(index, access), Denial)
