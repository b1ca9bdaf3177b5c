"""Circumstances against brute force: every combination, one after the other."""

import os
import random
from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.access import Access
from gateway.domain.decision import Permit
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.circumstances import Bearer, Dial, Inquiry, Question, Setting, Ways
from gateway.enforcer.decide import decide
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import Effect, Rule
from tests.oracles import slow_decide
from tests.properties.worlds import (
    ACTIONS,
    RESOURCES,
    ROLES,
    SALONS,
    VOCABULARY,
    conditions,
    posts,
    principals,
    rule_lists,
    state_of,
    subjects,
)

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
MOMENTS = 25  # combinations looked at in each world
WAYS = Ways(
    showing={"client": frozenset({"list", "read"}), "booking": frozenset({"list"})},
    sending={"client": frozenset({"write"}), "booking": frozenset()},
)


def free(name, values=(True, False, None), **where):
    return Dial(name=name, settings=tuple(Setting(facts={name: v}) for v in values), **where)


def dials_of(person):
    """Everything that worlds ask about: an hour has two sides, an app is one of two or unknown."""
    yield free("approved_device")
    yield free("on_notice")
    yield free("network:salon")
    apps = (True, False, None)
    yield Dial(name="app", settings=tuple(Setting(facts={"app:phone": v}) for v in apps))
    for post in person.posts:
        sides = [{"inside_window": s, "outside_window": not s} for s in (True, False)]
        yield Dial(
            name="window", settings=tuple(Setting(facts=f) for f in sides), salon=post.salon
        )
        roles = {role: role in post.held for role in ROLES}
        yield Dial(name="roles", settings=(Setting(facts=roles),), salon=post.salon)
    for resource in RESOURCES:
        yield from (free(fact.name, resource=resource.name) for fact in resource.facts)


def with_full_token(person):
    return replace(person, posts=tuple(replace(p, acting=p.held) for p in person.posts))


def inquiry_of(rules, person, **changed):
    index = compile_index(rules, VOCABULARY, subjects(person))
    bearer = Bearer(
        name=person.staff, staff=person.staff, posts=person.posts, dials=tuple(dials_of(person))
    )
    return Inquiry(index, bearer, WAYS, **changed)


def some_points(inquiry, seed):
    """One setting of each dial, at random: the numbers of the settings."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(MOMENTS):
        yield [chance.randrange(len(dial.settings)) for dial in inquiry.bearer.dials]


def told(inquiry, point, *, salon=None, resource=None):
    """The facts at a point, as one salon and one resource see them."""
    known = {}
    for dial, at in zip(inquiry.bearer.dials, point, strict=True):
        if dial.salon in {None, salon} and dial.resource in {None, resource}:
            known |= dial.settings[at].facts
    return known


def holds(inquiry, cover, point):
    cube = inquiry.space.everywhere
    for dial, at in enumerate(point):
        cube &= inquiry.space.where(dial, 1 << at)
    return any(cube & ~c == 0 for c in cover)


@settings(max_examples=15 * FUZZ, deadline=None)
@given(rule_lists, principals(), st.integers(0, 2**32))
def test_a_cover_holds_exactly_what_brute_force_finds_open(rules, person, seed):
    person = with_full_token(person)
    inquiry = inquiry_of(rules, person)
    rows = [(rule.origin.value, rule.row) for rule in rules]
    points = list(some_points(inquiry, seed))
    for resource, post in product(RESOURCES, person.posts):
        asked = [(resource.name, action) for action in ACTIONS]
        asked += [(resource.target(n), a) for n in resource.maskable for a in ("read", "write")]
        for target, action in asked:
            cover = inquiry.cell(post, resource, target, action)
            tidy = inquiry.space.tidy(cover)
            for point in points:
                facts = told(inquiry, point, salon=post.salon, resource=resource.name)
                slow = slow_decide.is_open(
                    rows, person.staff, post, resource, target, action, facts
                )
                assert holds(inquiry, cover, point) == slow
                assert holds(inquiry, tidy, point) == slow


@settings(max_examples=30 * FUZZ, deadline=None)
@given(rule_lists, principals(), st.integers(0, 2**32))
def test_a_card_or_a_field_is_answered_as_the_decision_answers_each_record(rules, person, seed):
    """Against the whole decision: several salons, records of one salon and of none."""
    person = with_full_token(person)
    inquiry = inquiry_of(rules, person)
    for resource in RESOURCES:
        cards = {a: list(inquiry.ask(Question(resource=resource, action=a))) for a in ACTIONS}
        fields = {
            (name, act): list(inquiry.ask(Question(resource=resource, action=act, field=name)))
            for name in resource.maskable
            for act in ("read", "write")
        }
        for point in some_points(inquiry, seed):
            facts = {s: told(inquiry, point, salon=s) for s in SALONS}
            record = {
                f.name: told(inquiry, point, resource=resource.name)[f.name]
                for f in resource.facts
            }
            for at, salon in enumerate(
                [p.salon for p in person.posts] if resource.salon else [None]
            ):
                state = state_of(resource, (salon, record))
                verdicts = {
                    action: verdict(inquiry, person, resource, action, facts, state)
                    for action in ACTIONS
                }
                for action, answers in cards.items():
                    assert holds(inquiry, answers[at].cover, point) == verdicts[action].passes
                for (name, act), answers in fields.items():
                    by = WAYS.showing if act == "read" else WAYS.sending
                    passing = [v for a in by[resource.name] if (v := verdicts[a]).passes]
                    closed = [v.hidden if act == "read" else v.unwritable for v in passing]
                    # Undeclared members of what is not sensitive are never hidden.
                    assert holds(inquiry, answers[at].cover, point) == any(
                        name not in hidden for hidden in closed
                    )


def verdict(inquiry, person, resource, action, facts, state):
    access = Access(principal=person, resource=resource, action=action, facts=facts)
    decision = decide(inquiry.index, access)
    if isinstance(decision, Permit):
        return decision.judge(state)
    return slow_refused


class slow_refused:  # noqa: N801  # a value
    passes = False


@settings(max_examples=30 * FUZZ, deadline=None)
@given(rule_lists, principals(), st.data())
def test_a_narrowed_token_never_gets_what_the_cover_does_not_hold(rules, person, data):
    full = inquiry_of(rules, with_full_token(person))
    for post in person.posts:
        narrow = data.draw(posts(salon=post.salon))
        narrow = replace(post, acting=narrow.acting & post.held | {"role:anyone"})
        for resource, action in product(RESOURCES, ACTIONS):
            wide = next(p for p in full.bearer.posts if p.salon == post.salon)
            cover = full.cell(wide, resource, resource.name, action)
            for point in some_points(full, 7):
                facts = told(full, point, salon=post.salon, resource=resource.name)
                for role in ROLES:
                    held, acts = role in post.held, role in narrow.acting
                    facts[role] = True if acts else None if held else False
                rows = [(rule.origin.value, rule.row) for rule in rules]
                if slow_decide.is_open(
                    rows, person.staff, narrow, resource, resource.name, action, facts
                ):
                    assert holds(full, cover, point)


@settings(max_examples=25 * FUZZ, deadline=None)
@given(rule_lists, principals(salons=1))
def test_rows_left_out_are_as_if_deleted_and_the_others_heard_change_nothing(rules, person):
    person = with_full_token(person)
    denies = [rule for rule in rules if rule.effect == "deny"]
    whole = inquiry_of(rules, person)
    (post,) = person.posts

    def cells(inquiry):
        return [
            inquiry.cell(post, resource, target, action)
            for resource in RESOURCES
            for target in (resource.name, *map(resource.target, resource.maskable))
            for action in ACTIONS
        ]

    before = cells(whole)
    for deny in denies:
        less = inquiry_of([rule for rule in rules if rule is not deny], person)
        skipped = inquiry_of(rules, person, without=frozenset({deny.ref}))
        after = cells(less)
        for one, other, was in zip(after, cells(skipped), before, strict=True):
            assert less.space.within(one, other)
            assert less.space.within(other, one)
            if deny.ref not in whole.heard:
                assert less.space.within(one, was)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(rule_lists, principals(), conditions, st.sampled_from(RESOURCES), st.data())
def test_an_assertion_holds_iff_the_same_deny_would_change_nothing(
    rules, person, condition, resource, data
):
    person = with_full_token(person)
    own = {fact.name for fact in resource.facts}
    others = {f.name for r in RESOURCES for f in r.facts} - own
    if any(literal.name in others for literal in condition.literals):
        return
    name = data.draw(st.sampled_from([None, *resource.maskable]))
    action = data.draw(st.sampled_from(ACTIONS if name is None else ("read", "write")))
    question = Question(resource=resource, action=action, field=name)
    deny = Rule(
        ref=RuleRef("assertions.yaml", 1),
        who=person.staff,
        resource=question.target,
        actions=frozenset({action}),
        condition=condition,
        effect=Effect.DENY,
    )
    before, after = inquiry_of(rules, person), inquiry_of([*rules, deny], person)
    for was, now in zip(before.ask(question), after.ask(question), strict=True):
        changed = not before.space.within(was.cover, now.cover)
        # A card's deny also reaches into the ways to other things; here it is asked of itself.
        assert bool(before.doubtful(was, condition.literals)) == changed
