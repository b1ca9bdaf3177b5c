"""A lifted window lifts the window and nothing else: against a slow reference, on any policy."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.access import Access
from gateway.domain.decision import Denial, Permit
from gateway.domain.reason import Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE
from gateway.enforcer.decide import decide
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Condition, Literal
from tests.oracles import slow_decide, slow_lifting
from tests.properties.worlds import (
    ACTIONS,
    CLIENT,
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
CLOSED = {"inside_window": False, "outside_window": True}


# Rows that ask about the window are rare by chance, and all that matters here.
window_rows = st.lists(
    st.builds(
        dict,
        who=st.just(ANYONE),
        resource=st.sampled_from(("client", "client.contact", "client.health", "client.name")),
        actions=st.sampled_from((frozenset({"*"}), frozenset({"read"}))),
        condition=st.builds(
            lambda name, negated: Condition((Literal(name, negated),)),
            st.sampled_from(tuple(CLOSED)),
            st.booleans(),
        ),
        effect=st.sampled_from(Effect),
    ),
    max_size=4,
)
ALL = {
    "who": ANYONE,
    "resource": "*",
    "actions": frozenset({"*"}),
    "condition": Condition(),
    "effect": Effect.ALLOW,
}


@st.composite
def policies(draw):
    """Any policy; or one with rows about the window, often on top of an allow of everything."""
    rules = draw(rule_lists)
    rows = [*draw(st.sampled_from(([], [ALL]))), *draw(window_rows)]
    more = [
        Rule(ref=RuleRef("salon_rules.csv", 100 + line), **row) for line, row in enumerate(rows)
    ]
    return [*(rules if draw(st.booleans()) else []), *more]


@st.composite
def questions(draw):
    """Rules, who asks what, what is known (some salons are closed), whose window is lifted."""
    principal = draw(principals())
    known = draw(facts_by_salon)
    lifted = draw(st.sampled_from([post.salon for post in principal.posts]))
    shut = {lifted} | draw(st.frozensets(st.sampled_from(SALONS)))
    facts = {salon: {**f, **(CLOSED if salon in shut else {})} for salon, f in known.items()}
    return (
        draw(policies()),
        principal,
        draw(st.sampled_from((*RESOURCES, CLIENT))),
        draw(st.sampled_from(ACTIONS)),
        facts,
        lifted,
    )


def decided(question):
    """(as ever, with the window lifted)."""
    rules, principal, resource, action, facts, lifted = question
    index = compile_index(rules, VOCABULARY, subjects(principal))
    access = Access(principal=principal, resource=resource, action=action, facts=facts)
    return decide(index, access), decide(index, access, lifted)


def rows_of(rules):
    return [(rule.origin.value, rule.row) for rule in rules]


def of_record(decision, resource, record):
    verdict = decision.judge(state_of(resource, record))
    return (verdict.passes, verdict.hidden, verdict.unwritable)


@settings(max_examples=250 * FUZZ, deadline=None)
@given(questions(), st.lists(records, min_size=3, max_size=3))
def test_lifting_lifts_the_window_and_nothing_else(question, cards):
    """Never more than inside the window, nor than the rules leave open as the clock stands."""
    rules, principal, resource, action, facts, lifted = question
    before, after = decided(question)
    if not isinstance(after, Permit):
        return
    assert not after.exempt or isinstance(before, Permit) or len(principal.posts) > 1
    for record in cards:
        passes, hidden, unwritable = of_record(after, resource, record)
        if not passes:
            continue
        wide = slow_lifting.judge_record(
            rows_of(rules), principal, resource, action, facts, lifted, record
        )
        assert wide[0] == "passes"
        assert wide[1] <= hidden
        assert wide[2] <= unwritable
        assert hidden <= after.hidden
        assert unwritable <= after.unwritable


@settings(max_examples=100 * FUZZ, deadline=None)
@given(questions(), st.lists(records, min_size=3, max_size=3))
def test_it_is_what_the_plain_reference_says(question, cards):
    rules, principal, resource, action, facts, lifted = question
    _, after = decided(question)
    if not isinstance(after, Permit):
        return
    for record in cards:
        passes, hidden, unwritable = of_record(after, resource, record)
        plain = slow_lifting.judge_record(
            rows_of(rules),
            principal,
            resource,
            action,
            facts,
            lifted,
            record,
            how=slow_lifting.as_told,
        )
        assert (("passes", hidden, unwritable) if passes else ("refused",)) == plain


@settings(max_examples=100 * FUZZ, deadline=None)
@given(questions(), st.lists(records, min_size=3, max_size=3))
def test_where_no_row_but_those_of_the_hours_asks_about_the_window_all_of_it_opens(
    question, cards
):
    """It is good for something: then it is exactly what it would be inside the window."""
    rules, principal, resource, action, facts, lifted = question
    rules = [
        rule
        for rule in rules
        if rule.origin.value == "hours"
        or not {x.name for x in rule.condition.literals} & {*CLOSED}
    ]
    before, after = decided((rules, principal, resource, action, facts, lifted))
    inside = {**facts, lifted: {**facts[lifted], **slow_lifting.INSIDE}}
    rows = rows_of(rules)
    told = slow_decide.decide(rows, principal, resource, action, inside)
    assert isinstance(after, Permit) == (told[0] == "permit")
    if isinstance(before, Denial) and before.reason is Reason.RULE_DENIES:
        assert len(principal.posts) > 1 or isinstance(after, Denial)
    if isinstance(after, Denial):
        return
    for record in cards:
        passes, hidden, unwritable = of_record(after, resource, record)
        plain = slow_decide.judge_record(rows, principal, resource, action, inside, record)
        assert (("passes", hidden, unwritable) if passes else ("refused",)) == plain


@settings(max_examples=100 * FUZZ, deadline=None)
@given(questions(), records)
def test_records_of_other_salons_are_judged_as_ever(question, record):
    resource, lifted = question[2], question[5]
    before, after = decided(question)
    salon, _ = record
    if resource.salon is None or salon in (lifted, None) or isinstance(after, Denial):
        return
    passes, hidden, unwritable = of_record(after, resource, record)
    if isinstance(before, Denial):
        assert not passes
    else:
        assert (passes, hidden, unwritable) == of_record(before, resource, record)


@settings(max_examples=40 * FUZZ, deadline=None)
@given(questions())
def test_what_no_grant_lifts_is_decided_as_before(question):
    rules, principal, resource, action, facts, _ = question
    index = compile_index(rules, VOCABULARY, subjects(principal))
    access = Access(principal=principal, resource=resource, action=action, facts=facts)
    assert decide(index, access, None) == decide(index, access)
    assert decide(index, access, "ginza") == decide(index, access)
