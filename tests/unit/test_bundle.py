"""The owner's files become one whole, or every finding in every one of them."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.bundle import deny_reach
from gateway.domain.access import WindowState
from gateway.domain.finding import PolicyError
from gateway.domain.time import instant
from gateway.enforcer.window import HORIZON

FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TEXTS = {part: Path(path).read_text(encoding="utf-8") for part, path in FILES.items()}


def sources(apps=("phone", "backoffice"), **changed):
    texts = TEXTS | changed
    files = {
        part: SourceFile(name=Path(path).name, data=texts[part].encode())
        for part, path in FILES.items()
    }
    return Sources(**files, apps=apps, networks={"salon": ("192.0.2.0/24",)})


def refused(**changed):
    with pytest.raises(PolicyError) as caught:
        build(sources(**changed))
    return [str(finding) for finding in caught.value.findings]


def test_the_starter_set_loads_without_a_warning():
    bundle = build(sources())
    assert bundle.warnings == ()
    assert bundle.without_calendar == ()


@pytest.mark.parametrize(
    ("part", "old", "new", "says"),
    [
        ("rules", "export|merge|delete", "exprt", "unknown action `exprt`"),
        ("hours", "10:00-19:00", "10:00-1900", "hours.yaml:13:"),
        ("hours", "protected: [client", "protected: [clint", "did you mean `client`?"),
        ("hours", "[role:manager, role:owner]", "[role:manger]", "did you mean `role:manager`?"),
        ("staff", "[role:stylist]", "[role:stylst]", "did you mean `role:stylist`?"),
        ("model", "names(p.act, r.act) && ", "", "must keep `names"),
        ("adapter", "action: list", "action: lst", "salon-demo.yaml:"),
        ("adapter", "adapter: salon-demo", "adapter: [", "not valid YAML"),
        ("staff", TEXTS["staff"], "- a\n", "the file holds keys and values"),
    ],
)
def test_a_wrong_line_in_any_file_is_a_finding_of_that_file(part, old, new, says):
    assert old in TEXTS[part]
    found = refused(**{part: TEXTS[part].replace(old, new)})
    assert any(says in finding for finding in found), found
    assert any(finding.startswith(Path(FILES[part]).name) for finding in found)


def test_findings_of_all_files_come_together():
    found = refused(
        rules=TEXTS["rules"] + "p, role:stylst, client, read, , allow\n",
        hours=TEXTS["hours"].replace("Asia/Tokyo", "Asia/Tokio"),
        model=TEXTS["model"].replace("eft", "effect"),
    )
    assert {finding.split(":")[0] for finding in found} == {
        "salon_rules.csv",
        "hours.yaml",
        "model.conf",
    }


def test_an_app_that_nobody_declared_may_not_stand_in_a_rule():
    with pytest.raises(PolicyError, match="unknown condition `app:phone`"):
        build(sources(apps=("backoffice",)))


def test_the_digest_changes_with_every_source_and_with_nothing_else():
    first = build(sources()).digest
    assert first == build(sources()).digest
    others = {build(sources(**{part: TEXTS[part] + "\n"})).digest for part in FILES}
    others.add(build(sources(apps=("phone", "backoffice", "kiosk"))).digest)
    assert len(others - {first}) == 6


def test_a_salon_without_hours_is_a_warning_and_counts_as_closed():
    start, end = TEXTS["hours"].index("  yoyogi:"), TEXTS["hours"].index("# What is closed")
    bundle = build(sources(hours=TEXTS["hours"][:start] + TEXTS["hours"][end:]))
    assert bundle.without_calendar == ("yoyogi",)
    assert any("salon `yoyogi` has no hours" in finding.message for finding in bundle.warnings)
    now = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
    assert bundle.window("yoyogi", now).state is WindowState.UNKNOWN


def test_every_role_that_a_deny_reaches_is_named():
    rules = TEXTS["rules"] + "p, role:reception, client, export, , deny\n"
    (reached,) = [
        roles
        for rule, roles in deny_reach(build(sources(rules=rules)))
        if rule.who == "role:reception"
    ]
    assert reached == ("role:manager", "role:owner")


def test_the_window_is_worked_out_anew_at_its_change_and_when_the_clock_goes_back():
    bundle = build(sources())
    noon = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
    open_window = bundle.window("aoyama", noon)
    assert open_window.state is WindowState.OPEN
    assert bundle.window("aoyama", open_window.changes_at).state is WindowState.GRACE
    night = instant(datetime.fromisoformat("2026-11-25T03:00+09:00"))
    assert bundle.window("aoyama", night).state is WindowState.CLOSED
    assert bundle.window("aoyama", noon).state is WindowState.OPEN


def test_no_change_in_sight_is_believed_only_as_far_as_was_looked():
    always = "".join(f'      {d}: ["00:00-24:00"]\n' for d in DAYS)
    hours = (
        f"salons:\n  aoyama:\n    timezone: Asia/Tokyo\n    weekly:\n{always}"
        '    closed_dates: ["2028-06-01"]\n'
        "  yoyogi: {timezone: Asia/Tokyo, weekly: {}}\n"
        "protected: [client]\nexempt_roles: [role:manager]\n"
    )
    bundle = build(sources(hours=hours))
    now = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
    assert bundle.window("aoyama", now).changes_at is None
    closed = instant(datetime.fromisoformat("2028-06-01T12:00+09:00"))
    assert closed - now > HORIZON > timedelta(days=1)
    assert bundle.window("aoyama", closed).state is WindowState.CLOSED


# -- observe.yaml ----------------------------------------------------------------------------

EXPORTS = "p, role:stylist, client, export|merge|delete, , deny"
ONE_ROW = f'rules: [{{rule: "{EXPORTS}", enforce_from: 2026-12-01}}]\n'
HOURS_TOO = ONE_ROW + "hours: {enforce_from: 2026-12-15}\n"


def observing(text, assertions=None, **changed):
    files = {"observe": text} | ({} if assertions is None else {"assertions": assertions})
    further = {
        part: SourceFile(name=f"{part}.yaml", data=data.encode()) for part, data in files.items()
    }
    return replace(sources(**changed), **further)


def at(text):
    return instant(datetime.fromisoformat(text))


def test_observe_yaml_is_part_of_the_policy():
    digests = {
        build(given).digest
        for given in (
            sources(),
            observing(""),
            observing(ONE_ROW),
            replace(sources(), assertions=SourceFile(name="x", data=b"")),
        )
    }
    assert len(digests) == 4


def test_findings_of_observe_yaml_come_with_all_the_others():
    with pytest.raises(PolicyError) as caught:
        build(observing("all: now", assertions="never: [what]"))
    assert {finding.place.file for finding in caught.value.findings} == {
        "observe.yaml",
        "assertions.yaml",
    }


def test_what_is_observed_is_known_until_midnight_in_the_last_salon():
    bundle = build(observing(HOURS_TOO, hours=TEXTS["hours"].replace(
        "yoyogi:\n    timezone: Asia/Tokyo", "yoyogi:\n    timezone: Europe/Kyiv")))  # fmt: skip
    rule, hours = bundle.observed
    assert bundle.counts_from(rule) == at("2026-12-01T00:00+02:00")
    assert bundle.observed_until == (
        ("rule", at("2026-11-30T22:00+00:00")),
        ("hours", at("2026-12-14T22:00+00:00")),
    )
    assert bundle.observing(at("2026-11-30T21:59+00:00")) == (rule, hours)
    assert bundle.observing(at("2026-11-30T22:00+00:00")) == (hours,)
    assert bundle.observing(at("2026-12-15T00:00+02:00")) == ()
    assert [
        finding.message[:13] for finding in bundle.reminders(at("2026-12-05T00:00+00:00"))
    ] == [
        "delete this l",
        "observed only",
    ]


def test_what_is_asked_about_a_policy_is_asked_of_all_its_rows():
    plain, bundle = build(sources()), build(observing(HOURS_TOO))
    assert (bundle.rules, bundle.index.rules) == (plain.rules, plain.index.rules)
    assert build(observing("")).trials == ()
    assert len(bundle.trials) == 2


@pytest.mark.parametrize(
    ("observe", "assertion", "says"),
    [
        (ONE_ROW, "role:stylist export client", "observe.yaml:1:10: the assertion `role:stylist"),
        ("everything: {enforce_from: 2026-12-01}", "role:trainee delete client", "yaml:1:1: the"),
        ("hours: {enforce_from: 2026-12-01}", "role:stylist list client when outside_window",
         "rests on this; it cannot be observed only"),
    ],
)  # fmt: skip
def test_what_an_assertion_rests_on_is_never_only_observed(observe, assertion, says):
    # Without the deny a stylist could do it.
    allow = "p, role:stylist, client, export|merge|delete, , allow\n"
    given = observing(observe, f"never: [{assertion}]", rules=TEXTS["rules"] + allow)
    build(replace(given, observe=None))
    with pytest.raises(PolicyError) as caught:
        build(given)
    (finding,) = map(str, caught.value.findings)
    assert says in finding


def test_what_no_assertion_rests_on_may_be_observed():
    assert build(observing(HOURS_TOO, "never: [role:trainee delete client]")).observed
