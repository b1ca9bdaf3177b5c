"""A case passes if the policy does what its sentence says, and fails for whatever else."""

from pathlib import Path

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.domain.finding import PolicyError
from gateway.tools.cases import MAX_CASES, failed_cases, read_cases, run, run_all
from gateway.tools.mutants import coverage, mutation_score

ROOT = Path(__file__).parents[3]
FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
OPEN = "2026-11-25T12:00"  # a Wednesday


def a_source(path):
    return SourceFile(name=Path(path).name, data=(ROOT / path).read_bytes())


def a_bundle(*rows, networks=None):
    """The starter policy, with more rows."""
    files = {part: a_source(path) for part, path in FILES.items()}
    more = "".join(f"\n{row}" for row in rows).encode()
    rules = SourceFile(name="salon_rules.csv", data=files["rules"].data + more)
    return build(
        Sources(
            **(files | {"rules": rules}),
            apps=("phone", "backoffice"),
            networks=networks or {"salon": ("192.0.2.0/24",)},
        )
    )


BUNDLE = a_bundle()


def a_case(**keys):
    """One case of one file; values as they are typed."""
    typed = {"who": "mei", "what": "GET /api/clients/7", "at": OPEN, "decision": "allow"} | keys
    lines = ["cases:", "  - says: it is so"]
    lines += [f"    {key}: {value}" for key, value in typed.items()]
    file = SourceFile(name="cases/a.yaml", data="\n".join(lines).encode())
    (case,) = read_cases([file]).cases
    return case


def wrong(case, bundle=BUNDLE):
    return [str(mismatch) for mismatch in run(bundle, case).mismatches]


def line_of(text):
    rows = FILES["rules"]
    lines = (ROOT / rows).read_text(encoding="utf-8").splitlines()
    (number,) = [n for n, row in enumerate(lines, 1) if " ".join(row.split()).startswith(text)]
    return f"salon_rules.csv:{number}"


HEALTH = line_of("p, role:stylist, client.health")
EXPORT = line_of("p, role:stylist, client, export")
LIST = line_of("p, role:stylist, client, list")
EMAIL = line_of("p, role:anyone, client.contact.email")


# -- decision, reason, rule -------------------------------------------------------------------


def test_what_is_as_it_says_passes():
    result = run(BUNDLE, a_case())
    assert (result.passed, result.happened) == (True, "allow")
    assert [str(ref) for ref in result.rules] == [LIST]


def test_an_allow_that_is_refused_says_why_and_nothing_that_follows_from_it():
    case = a_case(what="GET /api/clients/export", hidden="[phone]", rule=HEALTH)
    why = "a deny rule fires; deny beats every allow"
    assert wrong(case) == [f"decision: expected allow, got deny, rule_denies: {why}"]
    assert [str(ref) for ref in run(BUNDLE, case).rules] == [EXPORT]


def test_a_refusal_that_goes_through_fails():
    assert wrong(a_case(decision="deny")) == ["decision: expected deny, got allow"]


def test_the_reason_is_the_one_that_the_person_is_told():
    case = a_case(what="GET /api/clients/export", decision="deny", reason="rule_denies")
    assert wrong(case) == []
    # After hours two stops are in the way; the first one is told.
    shut = {"at": "2026-11-25T23:00", "what": "GET /api/clients/export", "decision": "deny"}
    assert wrong(a_case(**shut, reason="rule_denies")) == []
    (said,) = wrong(a_case(**shut, reason="outside_hours"))
    assert said.startswith("reason: expected outside_hours, got rule_denies: ")


@pytest.mark.parametrize(
    "rule", [EXPORT, "p, role:stylist, client, merge | delete|export, , deny"]
)
def test_a_rule_is_named_by_its_place_or_by_its_row(rule):
    assert wrong(a_case(what="GET /api/clients/export", decision="deny", rule=rule)) == []


def test_another_rule_than_the_one_that_decides_fails():
    case = a_case(what="GET /api/clients/export", decision="deny", rule=LIST)
    assert wrong(case) == [f"rule: expected `{LIST}`, got {EXPORT}"]
    case = a_case(what="GET /api/reports", decision="deny", rule=LIST)
    assert wrong(case) == [f"rule: expected `{LIST}`, got no row at all"]


@pytest.mark.parametrize("rule", ["salon_rules.csv:1", "p, role:stylist, client, send, , deny"])
def test_a_rule_that_does_not_stand_in_the_policy_fails(rule):
    case = a_case(what="GET /api/clients/export", decision="deny", rule=rule)
    assert wrong(case) == [f"rule: expected `{rule}`, got no such row in the policy"]


def test_a_row_that_hides_a_field_determines_the_answer_too():
    assert wrong(a_case(app="phone", rule=EMAIL)) == []
    assert wrong(a_case(app="backoffice", rule=EMAIL)) == [f"rule: expected `{EMAIL}`, got {LIST}"]


# -- who and when -------------------------------------------------------------------------------


def test_a_moment_is_on_the_clock_of_the_persons_salon_unless_it_names_a_zone():
    late = {"what": "GET /api/clients", "decision": "deny", "reason": "outside_hours"}
    assert wrong(a_case(at="2026-11-25T20:00", **late)) == []
    assert wrong(a_case(at="2026-11-25T11:00Z", **late)) == []  # 20:00 in Tokyo
    assert wrong(a_case(at="2026-11-25T19:59")) == []


def test_a_token_of_fewer_roles_an_app_a_device_and_an_address_are_asked_about():
    bundle = a_bundle(
        "p, role:trainee, message, list, approved_device, allow",
        "p, role:trainee, message, read, network:salon, allow",
    )
    manager = {"who": "ken", "what": "DELETE /api/clients/7"}
    assert wrong(a_case(**manager)) == []
    assert wrong(a_case(**manager, roles="[role:reception]")) == [
        (
            "decision: expected allow, got deny, no_rule_allows: "
            "no rule allows role:manager to `delete` `client`"
        )
    ]
    trainee = {"who": "oksana", "what": "GET /api/messages", "decision": "deny"}
    unapproved = a_case(**trainee, device="phone-of-hers", reason="device_not_approved")
    assert wrong(unapproved, bundle) == []
    trainee |= {"what": "GET /api/messages/3"}
    assert wrong(a_case(**trainee), bundle) == []
    assert wrong(a_case(**(trainee | {"decision": "allow"}), peer="192.0.2.9"), bundle) == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"who": "mai"}, "who: expected somebody in staff.yaml, got `mai`; did you mean `mei`?"),
        ({"app": "phon"}, "app: expected an app of gateway.yaml, got `phon`; did you"),
        (
            {"roles": "[role:stylst]"},
            "roles: expected roles of staff.yaml, got `role:stylst`; did you mean `role:stylist`?",
        ),
        ({"hidden": "[phne]"}, "hidden: expected fields of `client`, got `phne`; did you mean"),
        ({"shown": "[nam]"}, "shown: expected fields of `client`, got `nam`; did you mean"),
        (
            {"what": "PATCH /api/clients/7", "who": "rei", "sends": "[contact]"},
            "sends: expected fields of `client`, got `contact`; ",
        ),
        (
            {"what": "GET /staff", "hidden": "[phone]"},
            "hidden: expected a route under rules, got GET /staff",
        ),
        (
            {"what": "GET /nowhere", "decision": "allow", "shown": "[phone]"},
            "shown: expected a route under rules, got no route",
        ),
    ],
)  # fmt: skip
def test_words_that_the_policy_does_not_know_fail_with_the_nearest_one(keys, said):
    (found,) = wrong(a_case(**keys))
    assert found.startswith(said)


def test_a_stranger_may_be_meant():
    stranger = {"who": "nobody", "decision": "deny"}
    assert wrong(a_case(**stranger, reason="not_on_roster")) == []
    assert wrong(a_case(**stranger)) != []


# -- fields -------------------------------------------------------------------------------------


def test_hidden_is_exact_in_both_directions_and_names_the_rows():
    case = a_case(app="backoffice", hidden="[phone, email, address, birthday, unmapped, name]")
    assert wrong(case) == [
        (
            "hidden: expected exactly phone, email, address, birthday, unmapped, name, "
            f"got not hidden: name ({LIST})"
        )
    ]
    assert wrong(a_case(app="phone", hidden="[phone, birthday]")) == [
        (
            "hidden: expected exactly phone, birthday, got hidden too: "
            f"email ({EMAIL}), address ({line_of('p, role:anyone, client.contact.address')}), "
            "unmapped (no row shows it)"
        )
    ]


def test_a_class_stands_for_its_fields():
    assert wrong(a_case(app="backoffice", hidden="[contact, personal, unmapped]")) == []
    assert wrong(a_case(shown="[health, name]")) == []
    (said,) = wrong(a_case(app="backoffice", shown="[contact]"))
    assert said.startswith("shown: expected contact, got hidden: phone (no row shows it), email")


def test_nothing_hidden_is_asked_by_an_empty_list():
    assert wrong(a_case(who="ken", app="backoffice", hidden="[]")) == []
    (said,) = wrong(a_case(app="backoffice", hidden="[]"))
    assert said.startswith("hidden: expected exactly nothing, got hidden too: phone")


def test_what_is_sent_must_be_writable():
    patch = {"who": "rei", "what": "PATCH /api/clients/7", "app": "backoffice"}
    assert wrong(a_case(**patch, sends="[phone]")) == []
    refused = {"decision": "deny", "reason": "field_not_writable"}
    assert wrong(a_case(**patch, **refused, sends="[phone, notes]")) == []


def test_a_question_about_a_hidden_field_is_refused():
    asked = {"what": "GET /api/clients?email=a@mail.example", "decision": "deny"}
    assert wrong(a_case(**asked, reason="hidden_field_asked")) == []


# -- records ------------------------------------------------------------------------------------

OWN = "p, role:trainee, client, read, own_client, allow"
OWN_CONTACT = "p, role:stylist, client.contact, read, own_client, allow"


def test_a_record_decides_where_rules_ask_about_it():
    bundle = a_bundle(OWN)
    trainee = {"who": "oksana", "what": "GET /api/clients/7"}
    assert wrong(a_case(**trainee, record="""'{"stylist_id": "oksana"}'"""), bundle) == []
    others = a_case(
        **trainee,
        record="""'{"stylist_id": "mei"}'""",
        decision="deny",
        reason="no_such_record",
    )
    assert wrong(others, bundle) == []


def test_without_a_record_a_field_that_depends_on_it_is_neither_surely_shown_nor_forgotten():
    bundle = a_bundle(OWN_CONTACT)
    keys = {"app": "backoffice"}
    own = """'{"stylist_id": "mei"}'"""
    assert wrong(a_case(**keys, hidden="[personal, unmapped]", record=own), bundle) == []
    assert wrong(a_case(**keys, hidden="[contact, personal, unmapped]"), bundle) == []
    assert wrong(a_case(**keys, shown="[phone]"), bundle) == [
        "shown: expected phone, got hidden: phone unless own_client (give the case a `record`)"
    ]


# -- the whole ----------------------------------------------------------------------------------


def test_failed_cases_are_errors_at_their_sentences():
    text = """cases:
  - says: this is so
    {who: mei, what: GET /api/bookings, at: 2026-11-25T12:00, decision: allow}
"""
    text = text.replace("    {", "    ").replace("}", "").replace(", ", "\n    ")
    text += (
        text.removeprefix("cases:\n").replace("this is so", "this is not").replace("allow", "deny")
    )
    cases = read_cases([SourceFile(name="cases/a.yaml", data=text.encode())])
    assert [result.passed for result in run_all(BUNDLE, cases)] == [True, False]
    (finding,) = failed_cases(BUNDLE, cases)
    assert (finding.severity, finding.place.line) == ("error", 7)
    assert finding.message.startswith(
        "the case `this is not` fails: decision: expected deny, got allow (salon_rules.csv:"
    )


def test_every_finding_of_every_file_is_told():
    files = [
        SourceFile(name="cases/a.yaml", data=b"cases: no\n"),
        SourceFile(name="cases/b.yaml", data="cases: [\xff]\n".encode("latin-1")),
        SourceFile(name="cases/c.yaml", data=b"cases: []\n"),
    ]
    with pytest.raises(PolicyError) as caught:
        read_cases(files)
    assert [finding.place.file for finding in caught.value.findings] == [
        "cases/a.yaml",
        "cases/b.yaml",
    ]


def test_too_many_cases_are_refused():
    keys = "who: mei, what: GET /c, at: 2026-11-25, decision: allow"
    listed = "".join(f"- {{says: c{n}, {keys}}}\n" for n in range(2))
    files = [SourceFile(name="cases/a.yaml", data=f"cases:\n{listed}".encode())]
    assert len(read_cases(files).cases) == 2
    with pytest.raises(PolicyError, match=f"more than {MAX_CASES} cases"):
        read_cases(files * (MAX_CASES // 2 + 1))


# -- the starter set ----------------------------------------------------------------------------


def starter_cases():
    folder = ROOT / "policies" / "cases"
    return read_cases(
        SourceFile(name=f"cases/{path.name}", data=path.read_bytes())
        for path in sorted(folder.glob("*.yaml"))
    )


def test_the_starter_cases_pass_come_to_every_row_and_notice_every_change():
    results = run_all(BUNDLE, starter_cases())
    assert [result.case.says for result in results if not result.passed] == []
    assert coverage(BUNDLE, results).uncovered == ()
    score = mutation_score(BUNDLE, results)
    assert [(str(mutant.rule.ref), mutant.change) for mutant in score.survivors] == []
    hours = sum(rule.ref.file == "hours.yaml" for rule in BUNDLE.rules)
    assert len(score.mutants) == 2 * len(BUNDLE.rules) - hours
