"""What counts while rows are observed, and what all rows say beside it."""

import os
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.access import Access
from gateway.domain.decision import Denial, Permit
from gateway.domain.finding import Place
from gateway.enforcer.decide import decide
from gateway.enforcer.index import compile_index
from gateway.enforcer.observe import Kind, Observation, trial_on, trials
from gateway.enforcer.rules import Effect, Origin
from gateway.enforcer.ruling import ruling_on
from tests.properties.worlds import (
    ACTIONS,
    RESOURCES,
    VOCABULARY,
    facts_by_salon,
    principals,
    records,
    rule_lists,
    state_of,
    subjects,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
FIRST = date(2026, 12, 1)
days = st.integers(0, 3).map(lambda number: FIRST + timedelta(days=number))


def observation(kind, rows, day):
    refs = frozenset(row.ref for row in rows)
    place = Place("observe.yaml", 1)
    return Observation(kind=kind, enforce_from=day, place=place, rows=refs, text=kind.value)


@st.composite
def worlds(draw):
    """Rules, and what of them is observed until when."""
    rules = draw(rule_lists)
    denies = [r for r in rules if r.effect is Effect.DENY and r.origin is Origin.RULES]
    chosen = draw(st.lists(st.sampled_from(denies), unique_by=id)) if denies else []
    observed = [observation(Kind.RULE, [row], draw(days)) for row in chosen]
    hours = [rule for rule in rules if rule.origin is Origin.HOURS]
    if hours and draw(st.booleans()):
        observed.append(observation(Kind.HOURS, hours, draw(days)))
    if draw(st.integers(0, 5)) == 0:
        every = [rule for rule in rules if rule.effect is Effect.DENY]
        observed.append(observation(Kind.EVERYTHING, every, draw(days)))
    return rules, observed


@settings(max_examples=300 * FUZZ, deadline=None)
@given(
    worlds(),
    principals(),
    st.sampled_from(RESOURCES),
    st.sampled_from(ACTIONS),
    facts_by_salon,
    days,
    records,
)
def test_what_counts_is_the_policy_without_what_is_observed_that_day(
    world, principal, resource, action, known, today, record
):
    rules, observed = world
    people = subjects(principal)

    def compiled(rows):
        return compile_index(rows, VOCABULARY, people)

    access = Access(principal=principal, resource=resource, action=action, facts=known)
    trial = trial_on(trials(observed, rules, compiled), today)
    ruling = ruling_on(compiled(rules), access, trial)
    assert ruling.full == decide(compiled(rules), access)

    active = [one for one in observed if today < one.enforce_from]  # the rule, once more
    if any(one.kind is Kind.EVERYTHING for one in active):
        assert ruling.decision == Permit(by=(active[0].ref,), uncut=True)
    else:
        left = [rule for rule in rules if not any(rule.ref in one.rows for one in active)]
        assert ruling.decision == decide(compiled(left), access)
    if not active:
        assert trial is None
        assert ruling.decision is ruling.full

    # Whatever is observed, the decision that counts is never the stricter one.
    if isinstance(ruling.decision, Denial):
        assert isinstance(ruling.full, Denial)
    elif isinstance(ruling.full, Permit):
        state = state_of(resource, record)
        now, then = ruling.decision.judge(state), ruling.full.judge(state)
        assert now.passes or not then.passes
        if then.passes:
            assert now.hidden <= then.hidden
            assert now.unwritable <= then.unwritable
        # Over all records it may hide more: those that only now pass count among them.
        if not ruling.full.refuses:
            assert ruling.decision.hidden <= ruling.full.hidden
