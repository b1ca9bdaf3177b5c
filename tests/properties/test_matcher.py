"""What model.conf adds means to us what it means to stock pycasbin, or is refused."""

import os
from itertools import product
from pathlib import Path

import casbin
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.fieldpath import FieldPath
from gateway.domain.finding import PolicyError
from gateway.domain.resource import Field, Resource, Vocabulary
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, Post, Role, StaffId
from gateway.enforcer.index import covers
from gateway.enforcer.model import check_model, stock_verdict
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Condition, Literal

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SHIPPED = Path("policies/model.conf").read_text(encoding="utf-8")
ABOVE, _, MATCHER = SHIPPED.partition("\nm = ")
FIVE = MATCHER.strip()

ACTIONS = ("list", "read", "export")
ROLES = ("role:stylist", "role:manager")
CONDITIONS = ("inside_window", "app:phone", "trained")
MEI = StaffId("staff:mei")
CLIENT = Resource(
    name="client",
    fields={
        "name": Field(name="name", paths=(FieldPath(("name",)),)),
        "phone": Field(name="phone", paths=(FieldPath(("phone",)),), field_class="contact"),
    },
)
VOCABULARY = Vocabulary(resources={"client": CLIENT}, actions=frozenset(ACTIONS))
ASKED = ("client", "client.name", "client.contact.phone")

# Many of these are a value that some row or request has, so comparisons are often true.
VALUES = (
    *ACTIONS, *ROLES, *ASKED, *CONDITIONS, ANYONE, MEI, "*", "export|read", "list|read",
    "inside_window & trained", "allow", "deny", "",
)  # fmt: skip
NAMES = ("r.res", "r.act", "p.who", "p.res", "p.act", "p.when", "p.eft")
plain = st.sampled_from([chr(code) for code in range(32, 127) if chr(code) not in "\"'\\!#&|."])
quoted = st.builds(
    lambda text, quote: f"{quote}{text}{quote}",
    st.one_of(st.sampled_from(VALUES), st.text(plain, max_size=4)),
    st.sampled_from("\"'"),
)
operands = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), quoted)
blank = st.sampled_from(("", " ", "  "))
among = st.lists(operands, min_size=1, max_size=3)
comparisons = st.one_of(
    st.builds(lambda a, s, b: f"{a}{s}{b}", operands, st.sampled_from(("==", " != ")), operands),
    st.builds(lambda a, many: f"{a} in ({', '.join(many)},)", operands, among),
    st.builds(lambda a, b, c: f"{a} in({b},{c})", operands, operands, operands),
)  # fmt: skip
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda a, s, one: f"{s}{one} && {a}{s}", inner, blank, inner),
        st.builds(lambda a, s, one: f"{a}  ||  {s}{one}", inner, blank, inner),
        st.builds(lambda a, s: f"!{s}({a})", inner, blank),
        st.builds(lambda a: f"!!({a})", inner),
        st.builds(lambda a, s: f"({s}{a}{s})", inner, blank),
    ),
    max_leaves=6,
)


def a_rule(who, resource, actions, condition, effect):
    return Rule(
        ref=RuleRef("salon_rules.csv", 1),
        who=who,
        resource=resource,
        actions=frozenset(actions),
        condition=Condition(tuple(Literal(c.strip("!"), c[:1] == "!") for c in condition)),
        effect=effect,
    )


# Drawn from a list, because drawing each column anew takes longer than asking pycasbin.
RULES = tuple(
    a_rule(who, resource, actions, condition, effect)
    for who in (*ROLES, MEI, "staff:ken", ANYONE)
    for resource in ("*", *VOCABULARY.targets())
    for actions in ("*", ("read",), ("list", "read"), ("export", "read"))
    for condition in ((), ("inside_window",), ("!app:phone",), ("inside_window", "trained"))
    for effect in (Effect.ALLOW, Effect.ALLOW, Effect.DENY)
)
rules = st.sampled_from(RULES)
rule_lists = st.lists(rules, max_size=3)
QUESTIONS = tuple(product(ASKED, ACTIONS))
questions = st.sampled_from(QUESTIONS)
literals = st.builds(Literal, st.sampled_from(CONDITIONS), st.booleans())
conditions = st.lists(literals, min_size=1, max_size=2).map(lambda ls: Condition(tuple(ls)))
KNOWN = [
    dict(zip(CONDITIONS, values, strict=True))
    for values in product((True, True, False, None), repeat=len(CONDITIONS))
]


def model(matcher):
    return f"{ABOVE}\nm = {matcher}\n"


def stock_of(expression):
    """Does a row match, to stock pycasbin, under a model of this expression alone?"""
    stock = casbin.Model()
    stock.load_model_from_text(model(expression))
    enforcer = casbin.Enforcer(stock)
    enforcer.logger.disabled = True

    def speaks(row, target, action):
        stock.clear_policy()
        stock.add_policy("p", "p", list(row))
        _, matched = enforcer.enforce_ex("staff:mei", target, action, None)
        return matched == list(row)

    return speaks


@settings(max_examples=500 * FUZZ, deadline=None)
@given(expressions, st.lists(st.tuples(rules, questions), min_size=5, max_size=5))
def test_comparisons_mean_what_stock_pycasbin_makes_of_them(expression, asked):
    matcher = check_model(model(f"({expression}) && {FIVE}"), "model.conf")
    theirs = stock_of(expression)
    for rule, question in asked:
        assert matcher.speaks(rule.row, *question) == theirs(rule.row, *question)


POSTS = [
    Post(
        salon="aoyama",
        held=frozenset(map(Role, held)) | {ANYONE},
        acting=frozenset(map(Role, acting)) | {ANYONE},
        first_role=ANYONE,
    )
    for held in ((), ROLES[:1], ROLES)
    for acting in ((), ROLES[:1], ROLES)
    if set(acting) <= set(held)
]


def expected(matcher, rows, question):
    """Some allow fires and no deny, written down plainly from the rule's text."""
    post, (target, action), known = question
    fired = set()
    for rule in rows:
        deny = rule.effect is Effect.DENY
        whole = Condition((*rule.condition.literals, *matcher.condition.literals))
        if (
            (rule.who == MEI or rule.who in (post.held if deny else post.acting))
            and covers(rule.resource, target, rule.effect, VOCABULARY)
            and ("*" in rule.actions or action in rule.actions)
            and matcher.speaks(rule.row, target, action)
            and whole.fires(known, deny=deny)
        ):
            fired.add(rule.effect)
    return fired == {Effect.ALLOW}


def holds(condition, gap):
    """Typed as an owner may type it."""
    return f'holds("{str(condition).replace("!", "!" + gap)}", r.ctx, p.eft)'


extras = st.lists(
    st.one_of(
        expressions.map(lambda text: f"({text})"), comparisons, st.builds(holds, conditions, blank)
    ),
    max_size=2,
)
asked = st.tuples(st.sampled_from(POSTS), questions, st.sampled_from(KNOWN))
OPEN = a_rule(ANYONE, "*", "*", (), Effect.ALLOW)  # so that about half of the answers are yes
rows = st.one_of(rule_lists, rule_lists.map(lambda drawn: [*drawn, OPEN]))
worlds = st.tuples(rows, st.lists(asked, min_size=3, max_size=3))


def agree(text, matcher, world):
    """Hold every question's answer against stock pycasbin's."""
    rows, several = world
    for question in several:
        post, (target, action), known = question
        stock = stock_verdict(text, rows, [(MEI, post)], VOCABULARY)
        theirs = stock(MEI, post, target, action, known)
        assert expected(matcher, rows, question) == theirs, question


@settings(max_examples=400 * FUZZ, deadline=None)
@given(extras, st.integers(0, 8), worlds)
def test_a_longer_matcher_decides_as_stock_pycasbin_does(extra, shift, world):
    parts = [*extra, *FIVE.split(" && ")]
    parts = parts[shift:] + parts[:shift]  # the order of conjuncts means nothing
    text = model(" && ".join(parts))
    agree(text, check_model(text, "model.conf"), world)


SLIPS = (
    "&&", "||", "!", "=", "==", "!=", "(", ")", ",", '"', "'", '""', "\\", "#", ";", "%", "{", "[",
    "]", " ", "\t", "\n", "\r", "\n  ", "\\\n", "\u3000", "\u00a0", "\ufeff", "ж", "_", "1", "in",
    " in ", "not ", " and ", "or", "True", "r.", "p.", "p2.", "r.act", "r.sub", "p.eft", "eval(",
    "g(", "m =",
)  # fmt: skip
# Whole conjuncts of which stock pycasbin makes something else than they look like.
WILD = """{n} in ("{v}x")
!{n} == "{v}"
{n} == "r.act"
{n} == "{v}&&{v}"
{n} != "a||b"
{n} != "{v}"&&{n} != "x"
{n} == "{v}" || {m} == "x"
{n} == "li" "st"
{n} != "!x"
{n} != "x" # {v}
eval(p.when)
{n} != "eval(p_when)"
{n} == {m} == "{v}"
{n} != "p2.x"
{n} not in ("{v}", "x")
{n}
"{v}"
({n}) == "{v}"
{n} == \"\"\"{v}\"\"\"
{n}!= "x"&& 1
{n} == ("{v}",)
{n} in {m}
{n} in "{v}{v}"
{n} == r"{v}"
{n} != "\\x41"
!!{n}
r.sub != "{v}"
r.ctx != {n}
holds("!!trained", r.ctx, p.eft)
holds("x", r.ctx, "deny")
holds("trained&&!app:phone", r.ctx, p.eft)
!holds(p.when, r.ctx, p.eft)
names(p.act, p.act)""".splitlines()
names = st.sampled_from(NAMES)
wild = st.builds(str.format, st.sampled_from(WILD), n=names, m=names, v=st.sampled_from(VALUES))
JOINTS = (" && ",) * 6 + ("&&", " &&", "&& ", " || ", " and ", " && !", " & ")
slips = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(0, 2), st.sampled_from(("", *SLIPS))),
    min_size=1,
    max_size=3,
)


def slipped(text, edits):
    """Cut out and put in, here and there."""
    for at, length, new in edits:
        where = at % (len(text) + 1)
        text = text[:where] + new + text[where + length :]
    return text


@settings(max_examples=500 * FUZZ, deadline=None)
@given(extras, slips, worlds, st.booleans())
def test_a_model_with_slips_is_refused_or_means_the_same(extra, edits, world, everywhere):
    matcher = " && ".join([*extra, FIVE])
    text = slipped(model(matcher), edits) if everywhere else model(slipped(matcher, edits))
    refused_or_alike(text, world)


@settings(max_examples=500 * FUZZ, deadline=None)
@given(wild, st.sampled_from(JOINTS), st.integers(0, 20), st.integers(0, 5), worlds)
def test_a_wild_conjunct_is_refused_or_means_the_same(conjunct, joint, dropped, at, world):
    five = FIVE.split(" && ")
    kept = [part for number, part in enumerate(five) if number != dropped]
    refused_or_alike(model(joint.join([*kept[:at], conjunct, *kept[at:]])), world)
    refused_or_alike(model(joint.join(kept)), world)
    try:
        understood = check_model(model(f"{conjunct} && {FIVE}"), "model.conf")
    except PolicyError:
        return
    theirs = stock_of(conjunct)
    for rule, question in product(RULES[::71], QUESTIONS):
        assert understood.speaks(rule.row, *question) == theirs(rule.row, *question)


def refused_or_alike(text, world):
    try:
        understood = check_model(text, "model.conf")
    except PolicyError:
        return
    agree(text, understood, world)
