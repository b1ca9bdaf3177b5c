"""`salon-gateway check`: good, a warning, or everything wrong at once."""

import pytest

from gateway.cli import check
from gateway.domain.subject import StaffId
from gateway.tools.proof import Difference


def test_the_starter_set_is_good_and_proved(line):
    code, out, err = line("check")
    assert (code, err) == (0, "")
    data = line.data("check")[1]
    assert out.splitlines()[-1] == (
        f"good: {data['rules']} rules, {data['people']} people, {data['routes']} routes, "
        f"0 warnings; {data['proved']} decisions agree with pycasbin; policy {data['policy'][:12]}"
    )


def test_it_names_every_role_that_a_deny_reaches_by_inheritance(line):
    line.edit(
        "policies/salon_rules.csv",
        "# Which role carries which.",
        "p, role:reception, booking, delete, , deny",
    )
    _, out, _ = line("check")
    (note,) = [text for text in out.splitlines() if text.startswith("note: ")]
    assert "reaches role:manager, role:owner too" in note
    assert "salon_rules.csv:" in note


def test_the_json_has_the_same_facts(line):
    code, data = line.data("check")
    assert code == 0
    assert data.keys() == {
        "policy",
        "rules",
        "people",
        "routes",
        "warnings",
        "denies_reach",
        "proved",
        "differences",
    }
    rows = (line.folder / "policies" / "salon_rules.csv").read_text(encoding="utf-8")
    hours = 2  # what `protected` lists becomes two rows more
    assert data["rules"] == rows.count("\np, ") + hours
    assert (data["people"], data["warnings"], data["differences"]) == (6, [], [])
    assert data["proved"] > 1000


def test_a_warning_is_told_and_the_policy_is_good_all_the_same(line):
    line.edit("policies/staff.yaml", "{yoyogi: [role:stylist]}", "{shibuya: [role:stylist]}")
    code, out, _ = line("check")
    assert code == 0
    assert "staff.yaml:" in out
    assert "warning: salon `shibuya` has no hours" in out


def test_a_rule_that_makes_no_difference_is_warned_of_in_text_and_json(line):
    line.edit(
        "policies/salon_rules.csv",
        "# Which role carries which.",
        "p, role:stylist, booking, export, , deny",
    )
    code, out, _ = line("check")
    assert code == 0
    warning = next(text for text in out.splitlines() if "warning: " in text)
    assert "no route asks for `export` of `booking`" in warning
    assert ", 1 warnings; " in out
    code, data = line.data("check")
    assert (code, data["warnings"]) == (0, [warning])


def test_everything_wrong_is_told_at_once(line):
    line.edit("policies/staff.yaml", "joined: 2019-10-01", "joined: 2019-13-01")
    line.edit("policies/hours.yaml", 'fri: ["12:00-24:00"]', 'fri: ["12:00-25:00"]')
    line.edit("policies/hours.yaml", "exempt_roles:", "exempt_role:")
    code, _, err = line("check")
    assert code == 3
    files = sorted(text.partition(":")[0] for text in err.splitlines())
    assert set(files) == {"staff.yaml", "hours.yaml"}
    assert len(files) >= 3


@pytest.mark.parametrize("secret", ["", "short", None])
def test_a_key_that_is_not_good_enough_is_a_finding_without_the_key_in_it(line, secret):
    file = line.folder / "secrets" / "token-secret"
    if secret is None:
        file.unlink()
    else:
        file.write_text(secret, encoding="ascii")
    code, _, err = line("check")
    assert code == 3
    assert "secret" in err
    assert "short" not in err


def test_a_difference_to_pycasbin_is_a_broken_promise(line, monkeypatch):
    difference = Difference(
        staff=StaffId("staff:mei"), target="client.contact", action="read", index_allows=True
    )
    monkeypatch.setattr(check, "prove", lambda _: (1, (difference,)))
    code, out, err = line("check")
    assert code == 1
    assert "good:" not in out
    assert "the index allows what pycasbin denies: staff:mei read client.contact" in err
    assert line.data("check")[0] == 1
