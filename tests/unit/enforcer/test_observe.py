"""observe.yaml: what is observed, which rows that are, and on which days."""

from datetime import date

import pytest

from gateway.domain.finding import PolicyError
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.observe import (
    MAX_DATES,
    Kind,
    parse_observe,
    refuse_observed,
    remind,
    trial_on,
    trials,
)
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition, Literal
from gateway.texts.yamltext import parse_yaml


def row(line, who, resource, actions, *literals, effect=Effect.DENY, file="salon_rules.csv"):
    return Rule(
        ref=RuleRef(file, line),
        who=who,
        resource=resource,
        actions=frozenset(actions.split("|")),
        condition=Condition(tuple(literals)),
        effect=effect,
        origin=Origin.HOURS if file == "hours.yaml" else Origin.RULES,
    )


EXPORT = row(1, "role:stylist", "client", "export|merge")
PHONE = row(2, "role:anyone", "client.contact", "read", Literal("app:phone"), Literal("trained"))
EXPORT_AGAIN = row(3, "role:stylist", "client", "merge|export")
LIST = row(4, "role:stylist", "client", "list", effect=Effect.ALLOW)
CLOSED = row(30, "role:anyone", "client", "*", Literal("outside_window"), file="hours.yaml")
ROWS = (EXPORT, PHONE, EXPORT_AGAIN, LIST, CLOSED)
EXPORT_TEXT = "p, role:stylist, client, export|merge, , deny"
ON_ONE_LINE = f'{{rule: "{EXPORT_TEXT}", enforce_from: 2026-12-01}}'


def observed(text, rows=ROWS):
    return parse_observe(parse_yaml(text, "observe.yaml"), rows)


def a_rule(text, day="2026-12-01"):
    return f'rules:\n  - {{rule: "{text}", enforce_from: {day}}}\n'


def findings(text, rows=ROWS):
    with pytest.raises(PolicyError) as caught:
        observed(text, rows)
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize("text", ["", "# rules:\n", "rules:\n", "rules: []\n"])
def test_a_file_in_which_everything_is_commented_out_observes_nothing(text):
    assert observed(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        EXPORT_TEXT,
        "p,role:stylist,client,merge|export,,deny",
        "p, role:stylist ,client,  merge | export , , deny",
    ],
)
def test_a_row_is_known_by_what_it_says_and_every_row_that_says_the_same_goes_with_it(text):
    (one,) = observed(a_rule(text))
    assert (one.kind, one.enforce_from) == (Kind.RULE, date(2026, 12, 1))
    assert one.rows == {EXPORT.ref, EXPORT_AGAIN.ref}
    assert str(one.place) == "observe.yaml:2:6"


def test_the_order_of_conditions_does_not_count_either():
    (one,) = observed(a_rule("p, role:anyone, client.contact, read, trained&app:phone, deny"))
    assert one.rows == {PHONE.ref}


def test_hours_stand_for_the_rows_of_hours_yaml_and_everything_for_every_deny():
    hours, everything = observed(
        "hours: {enforce_from: 2026-12-15}\neverything: {enforce_from: 2026-12-16}\n"
    )
    assert (hours.kind, hours.rows) == (Kind.HOURS, {CLOSED.ref})
    assert (everything.kind, str(everything.ref)) == (Kind.EVERYTHING, "observe.yaml:2")
    assert everything.rows == {rule.ref for rule in ROWS} - {LIST.ref}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (a_rule("p, role:stylist, client, list, , allow"),
         "observe.yaml:2:6: an `allow` cannot be observed"),
        (a_rule("p, role:stylist, client, export|mrge, , deny"),
         "export|mrge, , deny`; did you mean `p, role:stylist, client, export|merge, , deny`?"),
        (a_rule("p, role:stylist, client, export, , deny"), "no such row"),
        (a_rule("p, role:owner, booking, send, , deny"), "copy the row as it stands"),
        (a_rule("p, role:anyone, client, *, outside_window, deny"), "no such row"),
        (a_rule("g, role:stylist, role:manager"), "is not a rule"),
        (a_rule("role:stylist client export"), "is not a rule"),
        (a_rule(EXPORT_TEXT, "2026-13-01"), "not a day of the calendar"),
        (a_rule(EXPORT_TEXT, "01.12.2026"), "is not a date"),
        (f'rules:\n  - {{rule: "{EXPORT_TEXT}"}}\n', "the key `enforce_from` is missing"),
        (f'rules: ["{EXPORT_TEXT}"]', "observe.yaml:1:9: write `{enforce_from: 2026-12-01}`"),
        ("rules: yes", "observe.yaml:1:1: write a list"),
        ("hours: 2026-12-01", "observe.yaml:1:1: write `{enforce_from: 2026-12-01}`"),
        ("hours:", "write `{enforce_from: 2026-12-01}`"),
        ("everything: {}", "the key `enforce_from` is missing"),
        ("everything: {until: 2026-12-01}", "unknown key `until`"),
        ("all: {enforce_from: 2026-12-01}", "unknown key `all`"),
        (a_rule(EXPORT_TEXT) + f'  - {{rule: "{EXPORT_TEXT}", enforce_from: 2027-01-01}}\n',
         "observe.yaml:3:6: the same rule stands in line 2"),
        (f"rules: [{ON_ONE_LINE}, {ON_ONE_LINE}]", "the same rule stands in line 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_observed_is_a_finding_with_its_place(text, says):
    found = findings(text)
    assert any(says in finding for finding in found), found


def test_hours_that_protect_nothing_cannot_be_observed():
    assert "protects nothing" in findings("hours: {enforce_from: 2026-12-15}", ROWS[:4])[0]


def test_all_findings_come_at_once():
    text = a_rule("p, x, client, list, , deny") + "hours: {enforce_from: tomorrow}\n"
    assert len(findings(text)) == 1  # dates are read before rows are looked for
    text = a_rule("p, x, client, list, , deny") + "  - {rule: p, enforce_from: 2026-12-01}\n"
    assert len(findings(text)) == 2


def test_the_number_of_dates_is_bounded():
    rows = [row(line, "role:stylist", "client", f"act{line}") for line in range(1, MAX_DATES + 2)]
    lines = [
        f'  - {{rule: "p, role:stylist, client, act{n}, , deny", enforce_from: 2026-12-{n:02}}}\n'
        for n in range(1, len(rows) + 1)
    ]
    assert "different dates" in findings("rules:\n" + "".join(lines), rows)[0]
    assert len(observed("rules:\n" + "".join(lines[:-1]), rows)) == MAX_DATES


def kept(text):
    """Of each trial: its last day but one, and the rows that count."""
    return [
        (trial.until.day, trial.index) for trial in trials(observed(text), ROWS, lambda rows: rows)
    ]


def test_each_stretch_of_days_has_its_own_rules_and_ends_by_itself():
    text = a_rule(EXPORT_TEXT, "2026-12-05") + "hours: {enforce_from: 2026-12-03}\n"
    assert kept(text) == [(3, [PHONE, LIST]), (5, [PHONE, LIST, CLOSED])]
    listed = trials(observed(text), ROWS, lambda rows: rows)
    days = {day: trial_on(listed, date(2026, 12, day)) for day in range(1, 7)}
    assert [trial and trial.until.day for trial in days.values()] == [3, 3, 5, 5, None, None]


def test_while_everything_is_observed_no_rows_count():
    text = a_rule(EXPORT_TEXT, "2026-12-05") + "everything: {enforce_from: 2026-12-03}\n"
    assert kept(text) == [(3, None), (5, [PHONE, LIST, CLOSED])]
    text = a_rule(EXPORT_TEXT, "2026-12-01") + "everything: {enforce_from: 2026-12-03}\n"
    assert kept(text) == [(1, None), (3, None)]


def test_a_reminder_names_the_day_and_later_says_that_the_line_may_go():
    text = a_rule(EXPORT_TEXT) + "hours: {enforce_from: 2026-12-15}\n"
    rule, hours = observed(text)
    assert str(remind(rule, over=True)) == (
        "observe.yaml:2:6: warning: delete this line: it has been enforced since 2026-12-01"
    )
    assert str(remind(hours, over=False)) == (
        "observe.yaml:3:1: warning: observed only: the opening hours close nothing "
        "before 2026-12-15"
    )


# -- what an assertion rests on --------------------------------------------------------------


def told(text, rests):
    """`rests`: assertion → the sets of rows that would have to go to break it."""

    def broken_without(rows):
        return [said for said, sets in rests.items() if any(needed <= rows for needed in sets)]

    return [str(f) for f in refuse_observed(observed(text), list(rests), broken_without)]


NEVER = "role:stylist export client"


def test_what_an_assertion_rests_on_cannot_be_observed_only():
    rests = {NEVER: [{EXPORT.ref, EXPORT_AGAIN.ref}], "role:anyone read client": [{CLOSED.ref}]}
    assert told(a_rule(EXPORT_TEXT), rests) == [
        f"observe.yaml:2:6: the assertion `{NEVER}` rests on this; it cannot be observed only"
    ]
    assert len(told("hours: {enforce_from: 2026-12-15}", rests)) == 1
    phone = "p, role:anyone, client.contact, read, app:phone & trained, deny"
    assert told(a_rule(phone), rests) == []


def test_every_assertion_rests_on_everything_even_one_that_no_allow_could_break():
    assert len(told("everything: {enforce_from: 2026-12-15}", {NEVER: []})) == 1
    assert told("everything: {enforce_from: 2026-12-15}", {}) == []


def test_rows_on_which_an_assertion_rests_together_cannot_be_observed_together():
    rests = {NEVER: [{EXPORT.ref, CLOSED.ref}]}
    both = a_rule(EXPORT_TEXT) + "hours: {enforce_from: 2026-12-15}\n"
    assert told(a_rule(EXPORT_TEXT), rests) == []
    (finding,) = told(both, rests)
    assert finding.startswith("observe.yaml:3:1: the assertion")
    assert "together" in finding
