"""A model that the index does not compile is refused, never honoured by half."""

from pathlib import Path

import pytest

from gateway.domain.finding import PolicyError
from gateway.domain.resource import Resource, Vocabulary
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, Post, Role, StaffId
from gateway.enforcer.matcher import PLAIN_MATCHER
from gateway.enforcer.model import check_model, stock_verdict
from gateway.enforcer.rules import Effect, Rule
from gateway.enforcer.when import Condition, Literal

SHIPPED = Path("policies/model.conf").read_text(encoding="utf-8")
LINES = SHIPPED.split("\n")
VOCABULARY = Vocabulary(
    resources={"client": Resource(name="client")}, actions=frozenset({"read", "export"})
)


def refused(text):
    with pytest.raises(PolicyError) as caught:
        check_model(text, "model.conf")
    return [str(finding) for finding in caught.value.findings]


def line_of(start):
    return next(n for n, line in enumerate(LINES, start=1) if line.startswith(start))


def test_the_shipped_model_asks_nothing_beyond_the_five_conjuncts():
    assert check_model(SHIPPED, "model.conf") == PLAIN_MATCHER


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("when, eft", "when, effect", "write `p = who, res, act, when, eft`"),
        ("p = who", "p = w ho", "write `p = who, res, act, when, eft`"),
        ("p = who, res", "p = res, who", "write `p = who, res, act, when, eft`"),
        ("when, eft", "when, eft, priority", "write `p = who, res, act, when, eft`"),
        (" && !some(where (p.eft == deny))", "", "write `e = some"),
        ("some(where (p.eft == allow)) && ", "", "write `e = some"),
        ("e = some(where (", "e = some(where(", "write `e = some"),
        (
            "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
            "e = priority(p.eft) || deny",
            "write `e = some",
        ),
        ("g(r.sub, p.who) && ", "", "must keep `g(r.sub, p.who)`"),
        ("covers(p.res, r.res, p.eft) && ", "", "must keep `covers"),
        ("names(p.act, r.act) && ", "", "must keep `names"),
        (" && holds(p.when, r.ctx, p.eft)", "", "must keep `holds"),
        ("acts_as(r.ctx, p.who, p.eft) && ", "", "must keep `acts_as"),
        ("holds(p.when, r.ctx, p.eft)", "holds(p.when, r.ctx, 'deny')", "must keep `holds"),
        ("m = g(", "m = r.sub == 'staff:ken' || g(", "`r.sub` may not be compared"),
        ("m = g(", "m = r.act == 'read' || g(", "put alternatives in brackets"),
        ("g = _, _", "g = _, _, _", "write `g = _, _`"),
        ("g = _, _", "g = _, _\ng2 = _, _", "`g2` in [role_definition] is not understood"),
        ("[role_definition]", "p2 = who\n[role_definition]", "`p2` in [policy_definition]"),
        ("m = g(", "M = g(", "`M` in [matchers] is not understood"),
        ("m = g(", "M = g(", "`m` is missing in [matchers]; write `m = g(r.sub, p.who) && "),
        ("[matchers]", "[matcher]", "did you mean `matchers`?"),
        ("[policy_effect]", "policy_effect]", "write `key = value`"),
        ("r = sub, res, act, ctx", "r = sub, res, act", "write `r = sub, res, act, ctx`"),
    ],
)
def test_a_model_that_drops_or_changes_something_is_refused_by_name(old, new, says):
    changed = SHIPPED.replace(old, new)
    assert changed != SHIPPED
    found = refused(changed)
    assert any(says in finding for finding in found), found


def test_every_construct_is_named_at_once_each_at_its_place():
    changed = SHIPPED.replace("when, eft", "when, effect").replace(
        "g = _, _", "g = _, _\ng2 = _, _"
    )
    changed = changed.replace("m = g(r.sub, p.who)", "m = r.atc == 'x' && !r.act == 'x'")
    found = refused(changed)
    matcher = line_of("m = ") + 1
    assert [finding.partition("; ")[0] for finding in found] == [
        f"model.conf:{line_of('p = ')}:1: `p = who, res, act, when, effect` is not understood",
        f"model.conf:{line_of('g = ') + 1}:1: `g2` in [role_definition] is not understood",
        f"model.conf:{matcher}:5: the matcher must keep `g(r.sub, p.who)`",
        f"model.conf:{matcher}:5: unknown word `r.atc`",
        f"model.conf:{matcher}:22: put brackets behind `!`: `!(...)`, or write `!=`",
    ]


def test_blanks_and_order_do_not_matter():
    five = SHIPPED.partition("m = ")[2].strip().split(" && ")
    turned = "  &&\t".join(reversed(five)).replace(", ", " ,").replace("(", " ( ")
    assert check_model(SHIPPED.replace(" && ".join(five), turned), "model.conf") == PLAIN_MATCHER


def test_casbin_needs_blanks_round_its_joints():
    assert "put a blank on both sides of `&&`" in refused(SHIPPED.replace(" && g", "&& g", 1)
        .replace("who) && ", "who)&&"))[0]  # fmt: skip


def test_every_example_of_the_docs_is_understood():
    section = Path("docs/policy.md").read_text(encoding="utf-8").partition("\n## model.conf\n")[2]
    table = section.partition("\n## ")[0].partition("|---|---|\n")[2].partition("\n\n")[0]
    shown = [row.split("`")[1].replace("\\|", "|") for row in table.splitlines()]
    marks = [line.lstrip("# ").split("   ")[0] for line in LINES if line.startswith("#   ")]
    commented = [text for text in marks if text.startswith(("r.", "(p.", 'holds("'))]
    assert len(shown) == 4
    assert len(commented) == 3
    for extra in (*shown, *commented):
        matcher = check_model(SHIPPED.replace("m = g", f"m = {extra} && g"), "model.conf")
        assert matcher != PLAIN_MATCHER, extra


# Stock pycasbin, asked through our functions.


def a_rule(who, effect=Effect.ALLOW, *literals):
    return Rule(
        ref=RuleRef("salon_rules.csv", 1),
        who=who,
        resource="client",
        actions=frozenset({"read"}),
        condition=Condition(literals),
        effect=effect,
    )


def a_post(salon="aoyama", held=("role:stylist",), acting=None):
    return Post(
        salon=salon,
        held=frozenset(map(Role, held)) | {ANYONE},
        acting=frozenset(map(Role, held if acting is None else acting)) | {ANYONE},
        first_role=Role("role:stylist"),
    )


def reads(post, *rules, model=SHIPPED, posts=None, **known):
    mei = StaffId("staff:mei")
    held = [(mei, each) for each in posts or [post]]
    ask = stock_verdict(model, rules, held, VOCABULARY)
    return ask(mei, post, "client", "read", {k.replace("__", ":"): v for k, v in known.items()})


def test_a_role_counts_in_the_salon_where_it_is_held_only():
    aoyama, shibuya = a_post(held=["role:manager"]), a_post("shibuya")
    both = [aoyama, shibuya]
    assert reads(aoyama, a_rule("role:manager"), posts=both)
    assert not reads(shibuya, a_rule("role:manager"), posts=both)


def test_a_row_that_names_the_person_counts_in_all_salons():
    both = [a_post(), a_post("shibuya")]
    assert all(reads(post, a_rule("staff:mei"), posts=both) for post in both)
    assert not any(reads(post, a_rule("staff:ken"), posts=both) for post in both)


def test_allows_are_asked_of_the_roles_in_the_token_and_denies_of_all():
    narrowed = a_post(held=["role:stylist", "role:manager"], acting=["role:stylist"])
    assert not reads(narrowed, a_rule("role:manager"))
    assert not reads(narrowed, a_rule("role:stylist"), a_rule("role:manager", Effect.DENY))


def test_facts_of_request_and_record_are_asked_alike():
    rule = a_rule("role:stylist", Effect.ALLOW, Literal("own_client"), Literal("app:phone", True))  # noqa: FBT003  # the second word of a literal
    assert reads(a_post(), rule, own_client=True, app__phone=False)
    assert not reads(a_post(), rule, own_client=True, app__phone=None)
    assert not reads(a_post(), rule, app__phone=False)


def test_a_negation_in_the_model_survives_what_casbin_makes_of_it():
    model = SHIPPED.replace("m = g", 'm = holds("trained & ! app:phone", r.ctx, p.eft) && g')
    rule = a_rule("role:stylist")
    assert reads(a_post(), rule, model=model, trained=True, app__phone=False)
    assert not reads(a_post(), rule, model=model, trained=True, app__phone=True)
    assert not reads(a_post(), rule, model=model, trained=True)
    assert not reads(a_post(), rule, model=model, trained=False, app__phone=False)
