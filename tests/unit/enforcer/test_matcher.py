"""What a matcher may add to its five conjuncts, and how slips in it are told."""

import pytest

from gateway.domain.fieldpath import FieldPath
from gateway.domain.finding import Place, PolicyError
from gateway.domain.resource import Field, Resource, Vocabulary
from gateway.enforcer.matcher import CONJUNCTS, MAX_MATCHER, PLAIN_MATCHER, parse_matcher
from gateway.enforcer.modeltext import Entry
from gateway.enforcer.rules import Words
from gateway.enforcer.when import ConditionNames, Literal

FIVE = " && ".join(CONJUNCTS)
ALLOW = ("role:stylist", "client", "list|read", "inside_window & !app:phone", "allow")
DENY = (*ALLOW[:4], "deny")
CLIENT = Resource(
    name="client",
    fields={
        "name": Field(name="name", paths=(FieldPath(("name",)),)),
        "phone": Field(name="phone", paths=(FieldPath(("phone",)),), field_class="contact"),
    },
)
WORDS = Words(
    vocabulary=Vocabulary(
        resources={"client": CLIENT}, actions=frozenset({"list", "read", "export"})
    ),
    staff=frozenset({"staff:mei"}),
    roles=frozenset({"role:stylist", "role:manager"}),
    conditions=ConditionNames(apps=["phone"]),
)
OF_RECORDS = (
    "`own_client` is known from the record only; "
    "it may stand in the `when` of a rule, not in the model"
)


def entry(value):
    """As it would stand in line 9, behind `m = `."""
    return Entry(value, Place("model.conf", 9), ((-4, Place("model.conf", 9)),))


def parsed(extra):
    return parse_matcher(entry(f"{extra} && {FIVE}"))


def refused(value):
    with pytest.raises(PolicyError) as caught:
        parse_matcher(entry(value))
    return [str(finding) for finding in caught.value.findings]


def test_the_five_conjuncts_alone_add_nothing():
    assert parse_matcher(entry(FIVE)) == PLAIN_MATCHER
    assert PLAIN_MATCHER.speaks(ALLOW, "client", "export")


def test_an_action_can_be_taken_from_everybody():
    matcher = parsed('r.act != "export"')
    assert matcher.speaks(ALLOW, "client", "read")
    assert not matcher.speaks(ALLOW, "client", "export")


def test_allows_alone_can_be_narrowed_so_that_denies_stay():
    matcher = parsed('(p.eft == "deny" || r.res in ("client", "client.name"))')
    assert matcher.speaks(ALLOW, "client.name", "read")
    assert not matcher.speaks(ALLOW, "client.contact.phone", "read")
    assert matcher.speaks(DENY, "client.contact.phone", "read")


def test_a_comparison_sees_the_columns_in_their_normal_form():
    assert parsed('p.act == "list|read"').speaks(ALLOW, "client", "read")
    assert not parsed('p.act == "read|list"').speaks(ALLOW, "client", "read")
    assert not parsed('p.act == "read"').speaks(ALLOW, "client", "read")
    assert parsed('p.when != ""').speaks(ALLOW, "client", "read")
    assert parsed("p.res == r.res").speaks(ALLOW, "client", "read")


def test_and_binds_closer_than_or_inside_brackets():
    matcher = parsed('(r.act == "list" || r.act == "read" && p.eft == "deny")')
    assert matcher.speaks(ALLOW, "client", "list")
    assert not matcher.speaks(ALLOW, "client", "read")


def test_every_added_conjunct_must_be_true():
    matcher = parsed('r.act != "export" && !(p.who == "role:stylist")')
    assert not matcher.speaks(ALLOW, "client", "read")


def test_conditions_join_the_when_of_every_row_once_each():
    first, second = ('holds("trained & !app:phone", r.ctx, p.eft)', "holds('trained',r.ctx,p.eft)")
    matcher = parsed(f"{first} && {second}")
    assert matcher.condition.literals == (Literal("trained"), Literal("app:phone", negated=True))
    assert matcher.conjuncts == ()


def test_an_unknown_condition_is_found_where_it_stands():
    matcher = parsed('holds("trained & !app:fone & own_client", r.ctx, p.eft)')
    found = matcher.unknown_conditions(WORDS.conditions.request(), of_records=["own_client"])
    assert list(map(str, found)) == [
        "model.conf:9:22: unknown condition `app:fone`; did you mean `app:phone`?",
        f"model.conf:9:34: {OF_RECORDS}",
    ]
    assert not parsed('holds("trained", r.ctx, p.eft)').unknown_conditions({"trained"})


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('r.act != "exprot"', "`r.act` is never `exprot`; did you mean `export`?"),
        ('"exprot" == r.act', "`r.act` is never `exprot`; did you mean `export`?"),
        ('!(r.act in ("list", "exprot"))', "`r.act` is never `exprot`; did you mean `export`?"),
        ('p.who == "stylist"', "did you mean `role:stylist`?"),
        ('p.eft == "Deny"', "`p.eft` is never `Deny`; did you mean `deny`?"),
        ('p.res == "clients"', "did you mean `client`?"),
        ('r.res == "client.phone"', "`r.res` is never `client.phone`"),
        ('r.res == "client.contact"', "`r.res` is never `client.contact`"),
        ('p.act == "read|list"', "`p.act` is never `read|list`; write `list|read`"),
        ('p.act == "list|reed"', "`p.act` is never `list|reed`"),
    ],
)
def test_a_text_that_can_never_be_is_found(extra, says):
    (found,) = parsed(extra).unknown_texts(WORDS)
    assert says in str(found)
    assert found.place == Place("model.conf", 9, 6 + extra.index(found.message.split("`")[3]) - 1)


@pytest.mark.parametrize(
    "extra",
    [
        'p.who in ("role:anyone", "staff:mei", "role:manager")',
        'p.res in ("*", "client.contact")',
        'p.act in ("*", "list|read")',
        'r.res in ("client.unmapped", "client.contact.phone")',
        'p.when == "whatever"',
        '"a" == "b"',
        "p.who == r.res",
    ],
)
def test_a_text_that_can_be_is_left_alone(extra):
    assert parsed(extra).unknown_texts(WORDS) == ()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (f"{FIVE} &&", "a conjunct is missing here; delete the `&&`"),
        (f"&& {FIVE}", "a conjunct is missing here; delete the `&&`"),
        ("", "a conjunct is missing here"),
        (f"({FIVE})", "`g(...)` is not understood here; only comparisons may stand here"),
        (f'{FIVE} && (r.act == "a"', "no `)` belongs to this `(`"),
        (f'{FIVE} && r.act == "a")', "no `(` belongs to this `)`"),
        (f'{FIVE} && regexMatch(r.act, "a")', '`regexMatch(r.act, "a")` in the matcher is not'),
        (f'{FIVE} && holds("", r.ctx, p.eft)', "`` is not a condition"),
        (f'{FIVE} && holds("a & ", r.ctx, p.eft)', "`` is not a condition"),
        (f'{FIVE} && holds("not a", r.ctx, p.eft)', "`not a` is not a condition"),
        (f'{FIVE} && holds("!!a", r.ctx, p.eft)', "`!a` is not a condition"),
        (f'{FIVE} && holds("a | b", r.ctx, p.eft)', "`a | b` is not a condition"),
        (f'{FIVE} && holds("a && b", r.ctx, p.eft)', "Casbin rewrites `&&`"),
        (f'{FIVE} && holds("a", r.ctx, "allow")', "is not understood; remove it"),
        (f'{FIVE} && !holds("a", r.ctx, p.eft)', "put brackets behind `!`"),
        (f'{FIVE} && (holds("a", r.ctx, p.eft))', "`holds(...)` is not understood here"),
        (f'{FIVE} && holds("{" & ".join("abcdefghijklmnopq")}", r.ctx, p.eft)', "more than 16"),
        (f"{FIVE}{' ' * MAX_MATCHER}", "the matcher is longer than 4096 characters"),
    ],
)
def test_what_is_not_understood_is_named(value, says):
    found = refused(value)
    assert any(says in finding for finding in found), found
