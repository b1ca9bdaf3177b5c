"""What lint says of rows and people is true: taking such rows out changes no answer."""

import os
from dataclasses import replace
from itertools import product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.domain.access import Access
from gateway.domain.decision import Denial, Permit
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, Role, RoleGraph
from gateway.enforcer.decide import decide
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import Effect, Origin
from gateway.tools.reach import Budget, Coverage, Reach, has_rights, never_true
from tests.properties.worlds import (
    ACTIONS,
    PEOPLE,
    RECORD_FACTS,
    ROLES,
    VOCABULARY,
    facts,
    principals,
    rule_lists,
    state_of,
    subjects,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
APPS = ("phone",)
GRAPHS = st.sampled_from(
    (
        RoleGraph({}),
        RoleGraph({"role:manager": frozenset({Role("role:reception")})}),
        RoleGraph(
            {
                "role:manager": frozenset({Role("role:reception")}),
                "role:reception": frozenset({Role("role:stylist")}),
                "staff:mei": frozenset({Role("role:reception")}),
            }
        ),
    )
)
ALL_CARDS = frozenset(product(("client", "booking"), ACTIONS))
card_sets = st.one_of(
    st.just(ALL_CARDS), st.frozensets(st.sampled_from(sorted(ALL_CARDS)), min_size=1)
)


@st.composite
def somebody(draw, graph):
    """Held and acting roles carry what they inherit, as identity/principal.py makes them."""
    bare = draw(principals(salons=1))
    own = bare.home.held - {ANYONE}
    held = graph.closure([*own, bare.staff]) | {ANYONE}
    acting = held if draw(st.booleans()) else graph.closure(bare.home.acting) | {ANYONE}
    return replace(bare, posts=(replace(bare.home, held=held, acting=acting & held),))


@st.composite
def possible_facts(draw, principal):
    """Facts that hang together, as enforcer/facts.py gives them."""
    known = draw(facts)
    inside = draw(st.booleans())
    known |= {"inside_window": inside, "outside_window": not inside}
    known["on_notice"] = draw(st.booleans())
    known["network:salon"] = draw(st.booleans())
    known["app:phone"] = draw(st.sampled_from((True, None)))  # the only app there is
    post = principal.home
    for role in ROLES:
        known[role] = True if role in post.acting else None if role in post.held else False
    return known


def a_coverage(rules, graph, held):
    return Coverage(
        rules=tuple(rules), reach=Reach(VOCABULARY), graph=graph, held=held, budget=Budget()
    )


def found(rules, graph, held, cards):
    """(never asked, shadowed by rules, shadowed by hours, redundant)."""
    coverage = a_coverage(rules, graph, held)
    served = coverage.reach.served(cards)
    unasked, shadowed, closed, redundant = [], [], [], []
    for rule in rules:
        deny = coverage.shadowed_by(rule) if rule.effect is Effect.ALLOW else None
        if not coverage.reach.of(rule) & served:
            unasked.append(rule)
        elif deny is not None:
            (shadowed if deny.origin is Origin.RULES else closed).append(rule)
        elif coverage.redundant_with(rule) is not None:
            redundant.append(rule)
    return unasked, shadowed, closed, redundant


def answer(index, principal, resource, action, known):
    facts = {principal.home.salon: known}
    access = Access(principal=principal, resource=resource, action=action, facts=facts)
    match decide(index, access):
        case Permit() as permit:
            return ("permit", permit.exempt, tuple(verdicts(permit, principal, resource)))
        case Denial() as denial:
            return ("deny", denial.reason)


def verdicts(permit, principal, resource):
    """On every record there can be of the person's salon, and of none known."""
    for values in product((True, False, None), repeat=len(RECORD_FACTS)):
        card = dict(zip(RECORD_FACTS, values, strict=True))
        for salon in (principal.home.salon, None):
            verdict = permit.judge(state_of(resource, (salon, card)))
            yield verdict.passes and (verdict.hidden, verdict.unwritable)


def lightly(said):
    """An allow that hours.yaml shadows may change the reason of a denial, and nothing else."""
    return ("deny", Reason.NO_RULE_ALLOWS) if said[-1] is Reason.OUTSIDE_HOURS else said


@settings(max_examples=250 * FUZZ, deadline=None)
@given(rule_lists, GRAPHS, card_sets, st.data())
def test_no_row_that_is_named_makes_a_difference_alone_or_together(rules, graph, cards, data):
    principal = data.draw(somebody(graph))
    held = {principal.staff: principal.home.held}
    unasked, shadowed, closed, redundant = found(rules, graph, held, cards)
    named = [*unasked, *shadowed, *closed, *redundant]
    assume(named)
    known = data.draw(possible_facts(principal))
    wilder = known | data.draw(facts)
    one = data.draw(st.sampled_from(named))
    all_rows, without_one, without_all = (
        compile_index(rows, VOCABULARY, subjects(principal))
        for rows in (
            rules,
            [rule for rule in rules if rule is not one],
            [rule for rule in rules if rule not in named],
        )
    )
    for moment, (card, action) in product((known, wilder), sorted(cards)):
        asked = (principal, VOCABULARY.resources[card], action, moment)
        said = answer(all_rows, *asked)
        alone, together = answer(without_one, *asked), answer(without_all, *asked)
        if one in closed:
            assert lightly(alone) == lightly(said)
        else:
            assert alone == said
        assert lightly(together) == lightly(said)


@settings(max_examples=200 * FUZZ, deadline=None)
@given(rule_lists, GRAPHS, st.data())
def test_a_condition_that_is_never_true_never_is(rules, graph, data):
    principal = data.draw(somebody(graph))
    known = data.draw(possible_facts(principal))
    for rule in rules:
        clash = never_true(rule.condition, APPS)
        if clash is None:
            continue
        assert not rule.condition.fires(known, deny=False)
        if not clash.unknown:
            assert not rule.condition.fires(known, deny=True)
        elif rule.condition.fires(known, deny=True):
            name = "app:phone" if clash.unknown == "the app" else clash.unknown.strip("`")
            assert known.get(name) is None


@settings(max_examples=200 * FUZZ, deadline=None)
@given(rule_lists, GRAPHS, card_sets, st.data())
def test_nobody_who_may_do_anything_is_said_to_have_no_rights(rules, graph, cards, data):
    principal = data.draw(somebody(graph))
    index = compile_index(rules, VOCABULARY, subjects(principal))
    assume(
        not has_rights(index.view(principal.staff, principal.home), sorted(cards), APPS, Budget())
    )
    known = data.draw(possible_facts(principal))
    for card, action in sorted(cards):
        access = Access(
            principal=principal,
            resource=VOCABULARY.resources[card],
            action=action,
            facts={principal.home.salon: known},
        )
        assert isinstance(decide(index, access), Denial)


@given(rule_lists, GRAPHS, st.integers(0, 30))
def test_with_a_smaller_budget_less_is_claimed_and_nothing_else(rules, graph, steps):
    held = dict.fromkeys(PEOPLE, frozenset({ANYONE}))
    whole, short = a_coverage(rules, graph, held), a_coverage(rules, graph, held)
    short.budget = Budget(steps)
    for rule in rules:
        other = short.redundant_with(rule)
        assert other is None or other is whole.redundant_with(rule)
