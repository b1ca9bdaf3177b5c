"""A case file is good or bad by itself, and every mistake in it is told with its place."""

from datetime import datetime

import pytest

from gateway.domain.finding import PolicyError
from gateway.domain.reason import Reason
from gateway.domain.ruleref import RuleRef
from gateway.texts.yamltext import parse_yaml
from gateway.tools.case_file import parse_cases, row_of

NEEDED = {"says": "s", "who": "mei", "what": "GET /c/7", "at": "2026-11-25T12:00"}


def a_file(*cases):
    lines = ["cases:"]
    for case in cases:
        keys = {"decision": "allow"} | NEEDED | case
        lines += [f"  - says: {keys.pop('says')}"]
        lines += [f"    {key}: {value}" for key, value in keys.items() if value is not None]
    return "\n".join(lines)


def read(*cases):
    return parse_cases(parse_yaml(a_file(*cases), "cases/a.yaml"))


def findings(*cases):
    with pytest.raises(PolicyError) as caught:
        read(*cases)
    return [str(finding) for finding in caught.value.findings]


def test_a_case_with_every_key():
    (case,) = read(
        {
            "says": "a stylist   sees her own client",
            "who": "staff:mei",
            "what": "PATCH /c/7?full=1",
            "at": "2026-11-25T12:00+09:00",
            "app": "phone",
            "device": "phone-mei",
            "roles": "[role:stylist]",
            "peer": "192.0.2.7",
            "sends": "[name]",
            "record": """'{"stylist_id": "mei", "visits": 3, "consents": {"all": true}}'""",
            "rule": "salon_rules.csv:41",
            "hidden": "[phone, email]",
            "shown": "[name]",
        }
    )
    assert case.says == "a stylist sees her own client"
    assert (case.who, case.method, case.target) == ("staff:mei", "PATCH", "/c/7?full=1")
    assert case.at == datetime.fromisoformat("2026-11-25T12:00+09:00")
    assert (case.app, case.device, case.roles) == ("phone", "phone-mei", {"role:stylist"})
    assert (case.peer, case.sends) == ("192.0.2.7", ("name",))
    assert case.record == {"stylist_id": "mei", "visits": 3, "consents": {"all": True}}
    assert (case.allowed, case.reason) == (True, None)
    assert case.rule == RuleRef("salon_rules.csv", 41)
    assert (case.hidden, case.shown) == (("phone", "email"), ("name",))
    assert str(case.place) == "cases/a.yaml:2:5"
    assert str(case.at_key("rule")) == "cases/a.yaml:13:5"
    assert case.at_key("reason") == case.place


def test_what_is_left_out_is_not_asked():
    (case,) = read({"decision": "deny", "reason": "outside_hours"})
    assert case.at == datetime(2026, 11, 25, 12)
    assert (case.allowed, case.reason) == (False, Reason.OUTSIDE_HOURS)
    assert (case.app, case.device, case.roles, case.record) == (None, None, None, None)
    assert (case.rule, case.hidden, case.shown, case.sends) == (None, None, None, ())


@pytest.mark.parametrize(
    "written",
    [
        "p, role:stylist, client, export|merge, app:phone & !trained, deny",
        "p,role:stylist,client,merge|export,!trained&app:phone,deny",
        '"p,  role:stylist, client, merge | export, ! trained & app:phone, deny"',
    ],
)
def test_a_row_is_the_same_row_however_it_is_spaced(written):
    (case,) = read({"rule": written})
    assert case.rule == row_of(
        "role:stylist", "client", "export|merge", "app:phone & !trained", "deny"
    )


def test_nothing_hidden_is_not_the_same_as_not_asked():
    (case,) = read({"hidden": "[]"})
    assert case.hidden == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decison": "deny"}, "unknown key `decison`; did you mean `decision`?"),
        ({"decision": None}, "the key `decision` is missing"),
        ({"at": None}, "the key `at` is missing"),
        ({"decision": "refuse"}, "write `allow` or `deny`, got `refuse`"),
        ({"says": "''"}, "nothing is written here; fill it in, or leave the key out"),
        ({"says": '"a\\u202eb"'}, "write a sentence of at most 300 printable characters"),
        ({"says": "x" * 301}, "write a sentence of at most 300 printable characters"),
        ({"who": "Mei"}, "write the person's id in staff.yaml, like `mei`, got `Mei`"),
        (
            {"what": "/c/7"},
            "write the method and the address, like `GET /api/clients/7`, got `/c/7`",
        ),
        (
            {"what": "get /c/7"},
            "write the method and the address, like `GET /api/clients/7`, got `get /c/7`",
        ),
        (
            {"at": "noon"},
            "`noon` is not a moment; write 2026-11-24T20:31 (the salon's clock)",
        ),
        (
            {"at": "0001-01-01T00:00"},
            "`0001-01-01T00:00` is not a moment: its year is out of range",
        ),
        ({"app": ""}, "nothing is written here; fill it in, or leave the key out"),
        ({"app": "[phone]"}, "write one text here"),
        (
            {"device": "my phone"},
            "a device id is 1 to 64 letters, digits, `.`, `_` and `-`",
        ),
        ({"roles": "role:stylist"}, "write a list, like `[one, other]`, or"),
        ({"roles": "[stylist]"}, "a role needs its prefix: write `role:stylist`"),
        (
            {"roles": "[role:anyone]"},
            "`role:anyone` is no role that a token can name; write one of staff.yaml",
        ),
        ({"peer": "salon"}, "write the address it comes from, like `192.0.2.7`, got `salon`"),
        (
            {"record": "{stylist_id: mei}"},
            """write the record as JSON in quotes: '{"stylist_id": "mei"}'""",
        ),
        (
            {"record": "'{stylist_id: mei}'"},
            "not valid JSON at character 1; write the record as JSON in quotes: '{",
        ),
        (
            {"record": "'[1]'"},
            (
                "a record is one JSON object; write the record as JSON in quotes: "
                """'{"stylist_id": "mei"}'"""
            ),
        ),
        (
            {"decision": "deny", "reason": "bolted"},
            "unknown reason `bolted`; known: ",
        ),
        (
            {"decision": "deny", "reason": "rule_denis"},
            "unknown reason `rule_denis`; did you mean `rule_denies`?",
        ),
        ({"decision": "deny", "reason": "rule_allows"}, "unknown reason `rule_allows`"),
        (
            {"rule": "role:stylist may not export"},
            "write the row as it stands in the file, like `p, role:stylist, client, export, ,",
        ),
        ({"rule": "p, role:stylist, client, deny"}, "write the row as it stands in the file"),
        ({"rule": "g, role:a, role:b, , , "}, "write the row as it stands in the file"),
        ({"hidden": ""}, "write a list, like `[one, other]`, or `[]` for none"),
        ({"hidden": "phone"}, "write a list, like `[one, other]`, or `[]` for none, got `phone`"),
        ({"reason": "rule_denies"}, "`reason` says why a request is refused; leave it out"),
        (
            {"decision": "deny", "hidden": "[phone]"},
            "a refused request shows nothing; leave `hidden` out after `deny`",
        ),
        (
            {"decision": "deny", "shown": "[]"},
            "a refused request shows nothing; leave `shown` out after `deny`",
        ),
        ({"sends": "[name]"}, "a GET sends no fields; leave `sends` out"),
    ],
)
def test_a_mistake_is_told_with_its_remedy(change, said):
    (finding,) = findings(change)
    place, _, message = finding.partition(": ")
    assert message.startswith(said)
    assert place.startswith("cases/a.yaml:")


def test_everything_wrong_is_told_at_once_each_at_its_place():
    assert findings({"at": "noon"}, {"says": "t", "decision": "no"}) == [
        "cases/a.yaml:6:5: `noon` is not a moment; write 2026-11-24T20:31 (the salon's clock)",
        "cases/a.yaml:8:5: write `allow` or `deny`, got `no`",
    ]


def test_two_cases_do_not_say_the_same_sentence():
    assert findings({}, {"what": "GET /d"}) == [
        "cases/a.yaml:7:5: the same sentence stands in line 2; say what is different"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cases/a.yaml:1:1: the key `cases` is missing"),
        ("cases:\n", "cases/a.yaml:1:1: write a list of cases, each beginning with `- says:`"),
        ("case: []\n", "unknown key `case`; did you mean `cases`?"),
        ("cases: {a: b}\n", "write a list of cases, each beginning with `- says:`"),
        ("cases: [one]\n", "cases/a.yaml:1:9: "),
        ("- says: s\n", "cases/a.yaml:1:1: the file begins with `cases:`"),
        ("one\n", "cases/a.yaml:1:1: the file begins with `cases:`"),
    ],
)
def test_a_file_that_holds_no_list_of_cases_is_refused(text, said):
    with pytest.raises(PolicyError) as caught:
        parse_cases(parse_yaml(text, "cases/a.yaml"))
    assert any(said in str(finding) for finding in caught.value.findings)
