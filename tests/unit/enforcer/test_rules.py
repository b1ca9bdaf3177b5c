"""salon_rules.csv is read strictly: each of Casbin's silent losses is a finding here."""

import pytest

from gateway.domain.finding import PolicyError, Severity
from gateway.domain.resource import ANY
from gateway.enforcer.rules import Words, parse_rules
from gateway.enforcer.when import ConditionNames
from tests.properties.worlds import VOCABULARY

ROLES = frozenset(
    {"role:stylist", "role:reception", "role:manager", *(f"role:r{n}" for n in range(9))}
)
WORDS = Words(
    vocabulary=VOCABULARY,
    staff=frozenset({"staff:mei", "staff:ken"}),
    roles=ROLES,
    conditions=ConditionNames(apps=["phone"], networks=["salon"], roles=ROLES),
)
GOOD = "p, role:stylist, client, list|read, , allow\n"


def read(text):
    return parse_rules(text, "salon_rules.csv", WORDS)


def refused(text):
    with pytest.raises(PolicyError) as caught:
        read(text)
    return [str(finding) for finding in caught.value.findings]


def test_a_plain_row_is_a_rule_with_its_line():
    (rule,) = read("# comment\n\n" + GOOD).rules
    assert (rule.who, rule.resource, sorted(rule.actions)) == (
        "role:stylist",
        "client",
        ["list", "read"],
    )
    assert str(rule.ref) == "salon_rules.csv:3"


def test_excels_padding_quotes_and_crlf_change_nothing():
    text = (
        '# p,who,resource,action,when,eft\r\n"p","role:stylist","client","read",,"allow"\r\n'
        "g,role:manager,role:reception,,,\r\n,,,,,\r\n"
    )
    rules = read(text)
    assert len(rules.rules) == 1
    assert rules.graph.closure(["role:manager"]) == {"role:manager", "role:reception"}


def test_a_star_covers_every_action():
    (rule,) = read("p, role:manager, *, *, , allow").rules
    assert rule.actions == {ANY}


@pytest.mark.parametrize(
    ("line", "place", "says"),
    [
        ("p, role:stylist, client, read, , Deny", "1:34", "effect must be `allow` or `deny`"),
        ("p, role:stylist, client, read, , deny # why", "1:34", "got `deny # why`"),
        ("p, role:stylist, client, read, , denied", "1:34", "got `denied`"),
        ("P, role:stylist, client, read, , deny", "1:1", "starts with `p`, `g` or `#`, got `P`"),
        ("p2, role:stylist, client, read, , deny", "1:1", "got `p2`"),
        ("p; role:stylist; client; read; ; deny", "1:1", "save as CSV with commas"),
        ("p， role:stylist, client, read, , deny", "1:2", "a full-width comma"),
        ("p, role:stylist,\u3000client, read, , deny", "1:17", "a full-width space"),
        ("p, role:stylist, client, read, deny", "1:1", "6 columns"),
        ("p, role:stylist, client, read, , deny, x", "1:1", "got 7"),
        ("p, role:stylst, client, read, , deny", "1:4", "did you mean `role:stylist`?"),
        ("p, stylist, client, read, , deny", "1:4", "`role:stylist` or `staff:stylist`"),
        ("p, staff:mai, client, read, , deny", "1:4", "did you mean `staff:mei`"),
        ("p, role:stylist, clients, read, , deny", "1:18", "did you mean `client`?"),
        ("p, role:stylist, client.contct, read, , deny", "1:18", "`client.contact`"),
        ("p, role:stylist, client, raed, , deny", "1:26", "did you mean `read`?"),
        ("p, role:stylist, client, read||list, , deny", "1:26", "unknown action ``"),
        ("p, role:stylist, client, read|*, , deny", "1:26", "unknown action `*`"),
        ("p, role:stylist, client, read, app:fone, deny", "1:32", "did you mean `app:phone`?"),
        ("p, role:stylist, client, read, on_notice & , deny", "1:43", "a condition is missing"),
        ("p, role:stylist, client, read, own_client, deny", "1:32", "unknown condition"),
        ('p, role:stylist, client, read, , "deny', "1:1", "not valid CSV"),
        ("g, role:stylist", "1:1", "3 columns"),
        ("g, role:anyone, role:stylist", "1:4", "may not stand in a `g` row"),
        ("g, role:stylist, staff:mei", "1:18", "is not a role"),
        ("g, role:stylist, role:manger", "1:18", "did you mean `role:manager`?"),
    ],
)
def test_a_wrong_line_is_a_finding_at_its_place(line, place, says):
    found = refused(line + "\n" + GOOD)
    assert any(f.startswith(f"salon_rules.csv:{place}: ") and says in f for f in found), found


def test_every_finding_is_reported_at_once():
    wrong = "p, role:x, client, read, , allow\np, role:stylist, client, read, , Allow\n"
    found = refused(wrong + GOOD)
    assert [f.split(":")[1] for f in found] == ["1", "2"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "g, role:manager, role:reception\n"])
def test_no_rules_at_all_is_an_error(text):
    assert any("no rule" in f for f in refused(text))


def test_roles_that_inherit_from_each_other_are_refused():
    found = refused(GOOD + "g, role:manager, role:reception\ng, role:reception, role:manager\n")
    assert len([f for f in found if "inherit from each other" in f]) == 2


def test_a_chain_deeper_than_casbin_follows_is_refused():
    chain = "".join(f"g, role:r{n}, role:r{n + 1}\n" for n in range(6))
    found = refused(GOOD + chain)
    assert any("a chain of more than 5 roles starts at `role:r0`" in f for f in found)
    shorter = "".join(f"g, role:r{n}, role:r{n + 1}\n" for n in range(5))
    assert read(GOOD + shorter).graph.closure(["role:r0"]) == {f"role:r{n}" for n in range(6)}


def test_a_duplicate_rule_is_a_warning_and_still_loads():
    rules = read(GOOD + GOOD)
    (warning,) = rules.warnings
    assert warning.severity is Severity.WARNING
    assert "line 1" in warning.message


def test_a_line_separator_inside_a_value_does_not_shift_the_line_numbers():
    found = refused("# a\u2028b\np, role:stylist, client, read, , Deny\n" + GOOD)
    assert found[0].startswith("salon_rules.csv:2:")
