"""Which changes of a row the cases notice, and which rows they come to."""

from pathlib import Path

from gateway.build import SourceFile, Sources, build
from gateway.tools.cases import read_cases, run_all
from gateway.tools.mutants import Change, coverage, mutation_score

ROOT = Path(__file__).parents[3]
OPEN, SHUT = "2026-11-25T12:00", "2026-11-24T12:00"  # a Wednesday; the weekly day off


def a_source(path):
    return SourceFile(name=Path(path).name, data=(ROOT / path).read_bytes())


def a_bundle(*rows):
    """The starter policy under other rules; of hours.yaml, `protected` makes two rows more."""
    return build(
        Sources(
            rules=SourceFile(name="salon_rules.csv", data="\n".join(rows).encode()),
            model=a_source("policies/model.conf"),
            hours=a_source("policies/hours.yaml"),
            staff=a_source("policies/staff.yaml"),
            adapter=a_source("adapters/salon-demo.yaml"),
            apps=("phone", "backoffice"),
        )
    )


def results(bundle, *cases):
    """Each case by its keys; values as they are typed."""
    lines = ["cases:"]
    for number, keys in enumerate(cases):
        lines.append(f"  - says: case {number}")
        lines += [f"    {key}: {value}" for key, value in ({"at": OPEN} | keys).items()]
    return run_all(
        bundle, read_cases([SourceFile(name="cases/a.yaml", data="\n".join(lines).encode())])
    )


def survivors(bundle, found):
    listed = mutation_score(bundle, found).survivors
    return [(str(m.rule.ref), m.change) for m in listed if m.rule.ref.file == "salon_rules.csv"]


CARD = "p, role:reception, client, read|update, , allow"
READ = {"who": "rei", "what": "GET /api/clients/7", "decision": "allow"}
SHOWS_NAME = READ | {"hidden": "[contact, health, personal, unmapped]"}


def test_a_row_that_no_case_expects_anything_of_survives():
    bundle = a_bundle(CARD, "p, role:reception, client.contact, read, , allow")
    assert survivors(bundle, results(bundle, READ)) == [
        ("salon_rules.csv:2", Change.DELETED),
        ("salon_rules.csv:2", Change.FLIPPED),
    ]
    exact = READ | {"hidden": "[health, personal, unmapped]"}
    assert survivors(bundle, results(bundle, exact)) == []


def test_a_row_that_lets_a_field_be_sent_is_held_by_a_case_that_sends_it():
    bundle = a_bundle(CARD, "p, role:reception, client.contact, write, , allow")
    patch = {"who": "rei", "what": "PATCH /api/clients/7", "decision": "allow"}
    assert survivors(bundle, results(bundle, patch | {"sends": "[phone]"})) == []
    assert len(survivors(bundle, results(bundle, patch))) == 2


def test_a_row_of_other_people_or_things_is_not_noticed():
    bundle = a_bundle(
        CARD,
        "p, role:trainee, client, read, , allow",
        "p, role:reception, booking, list, , allow",
    )
    assert {place for place, _ in survivors(bundle, results(bundle, SHOWS_NAME))} == {
        "salon_rules.csv:2",
        "salon_rules.csv:3",
    }


def test_a_row_that_another_row_repeats_can_be_deleted_unnoticed():
    bundle = a_bundle(CARD, "p, role:reception, client, read, , allow")
    assert survivors(bundle, results(bundle, READ)) == [
        ("salon_rules.csv:1", Change.DELETED),
        ("salon_rules.csv:2", Change.DELETED),
    ]


def test_an_allow_that_would_not_load_as_a_deny_is_only_taken_out():
    bundle = a_bundle(CARD, "p, role:manager, *, *, own_client, allow")
    changes = [m.change for m in mutation_score(bundle, ()).mutants if m.rule.resource == "*"]
    # Not every resource of the adapter declares `own_client`.
    assert changes == [Change.DELETED]


def test_rows_of_the_hours_are_only_taken_out_and_held_by_a_case_after_hours():
    bundle = a_bundle(CARD)
    shut = {"who": "rei", "what": "GET /api/clients/7", "at": SHUT, "decision": "deny"}
    score = mutation_score(bundle, results(bundle, shut))
    hours = {m.rule.resource: m for m in score.mutants if m.rule.ref.file == "hours.yaml"}
    assert {m.change for m in hours.values()} == {Change.DELETED}
    assert hours["client"].noticed_by is not None
    assert hours["message"].noticed_by is None


def test_two_rows_at_one_place_are_covered_each_for_itself():
    bundle = a_bundle(CARD)
    shut = {"who": "rei", "what": "GET /api/clients/7", "at": SHUT, "decision": "deny"}
    places = {rule.ref for rule in bundle.rules if rule.ref.file == "hours.yaml"}
    assert len(places) == 1  # `protected: [client, message]`
    uncovered = coverage(bundle, results(bundle, shut)).uncovered
    assert [rule.resource for rule in uncovered] == ["client", "message"]
    assert {str(rule.ref) for rule in uncovered} == {"salon_rules.csv:1", *map(str, places)}


def test_a_row_that_shows_a_field_or_hides_one_had_a_say():
    bundle = a_bundle(
        "p, role:anyone, client.contact.email, read, app:phone, deny",
        CARD,
        "p, role:reception, client.contact, read, , allow",
        "p, role:reception, client.health, write, , allow",
    )
    found = results(bundle, READ | {"app": "phone"})
    uncovered = [str(rule.ref) for rule in coverage(bundle, found).uncovered]
    assert [ref for ref in uncovered if ref.startswith("salon")] == ["salon_rules.csv:4"]


def test_cases_that_fail_already_notice_nothing():
    bundle = a_bundle(CARD)
    failing = results(bundle, READ | {"decision": "deny"})
    score = mutation_score(bundle, failing)
    assert (score.killed, score.percent, len(score.mutants)) == (0, 0, 4)


def test_a_percentage_is_rounded_down_so_that_100_is_all():
    bundle = a_bundle(CARD)
    score = mutation_score(bundle, results(bundle, SHOWS_NAME))
    assert (score.killed, len(score.mutants), score.percent) == (2, 4, 50)
