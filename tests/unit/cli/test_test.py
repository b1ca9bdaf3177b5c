"""`salon-gateway test`: sentences that are true or not, and whether they hold every row."""

import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = """cases:
  - says: a stylist sees no phone number
    who: mei
    what: GET /api/clients/7
    at: 2026-11-25T12:00
    app: backoffice
    decision: allow
    hidden: [contact, health, personal, unmapped]

  - says: the client base stays here, 100 % <sure>
    who: mei
    what: GET /api/clients/export
    at: 2026-11-25T12:00
    decision: deny
    reason: rule_denies
"""

RULES = """\
p, role:stylist, client, merge|delete, , deny
p, role:stylist, client, list|read|search, , allow
p, role:manager, *, *, , allow
"""
ROWS = 3 + 2  # and what hours.yaml protects


@pytest.fixture
def broken(line, monkeypatch):
    """One case passes, one fails; seen from the folder itself, as a job in CI is."""
    monkeypatch.chdir(line.folder)
    line.config = Path("gateway.yaml")
    (line.folder / "policies" / "cases" / "starter.yaml").unlink()
    (line.folder / "policies" / "assertions.yaml").unlink()
    (line.folder / "policies" / "cases" / "ours.yaml").write_text(CASES, encoding="utf-8")
    (line.folder / "policies" / "salon_rules.csv").write_text(RULES, encoding="utf-8")
    return line


@pytest.fixture
def mended(broken):
    broken.edit("policies/salon_rules.csv", "merge|delete", "export|merge|delete")
    return broken


def golden(name, printed):
    """What is printed is what stands in tests/golden; SALON_GOLDEN=write writes it anew."""
    file = GOLDEN / name
    if os.environ.get("SALON_GOLDEN") == "write":
        file.write_text(printed, encoding="utf-8")
    assert printed == file.read_text(encoding="utf-8")


def test_the_starter_cases_are_good(line):
    code, out, err = line("test")
    assert (code, err) == (0, "")
    data = line.data("test")[1]
    rows = data["coverage"]["rules"]
    assert out == (
        f"good: {len(data['cases'])} cases; they come to {rows} of {rows} rows (100 %); "
        f"policy {data['policy'][:12]}\n"
    )
    assert len(data["cases"]) >= 20
    assert (data["failed"], data["mutation"]) == (0, None)


def test_the_starter_cases_hold_every_row(line):
    code, out, err = line("test", "--coverage", "--min-score", "100")
    assert (code, err) == (0, "")
    assert out.startswith("mutation score: 100 % (")
    assert "warning" not in out


@pytest.mark.parametrize("output", ["text", "json", "junit", "github"])
def test_a_case_that_fails_is_told_first_with_its_place_and_the_rules(broken, output):
    code, out, err = broken("test", output=output)
    assert (code, err) == (4, "")
    digest = json.loads(broken("test", output="json")[1])["policy"]
    out = re.sub(rf"{digest[:12]}\w*", "DIGEST", out)
    golden(f"test_failed.{output}", out)


def test_the_junit_report_is_xml_with_one_test_for_each_case(broken):
    (suite,) = ET.fromstring(broken("test", output="junit")[1])  # noqa: S314  # our own
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        "salon-gateway test",
        "2",
        "1",
    )
    good, bad = suite
    assert (good.get("name"), len(good)) == ("a stylist sees no phone number", 0)
    assert bad.get("name") == "the client base stays here, 100 % <sure>"
    assert (bad.get("file"), bad.get("line")) == ("policies/cases/ours.yaml", "10")
    (failure,) = bad
    assert failure.get("message").startswith("reason: expected rule_denies, got no_rule_allows")


def test_a_file_can_be_named(broken):
    file = broken.folder / "one.yaml"
    file.write_text(CASES.partition("\n\n")[0] + "\n", encoding="utf-8")
    code, out, _ = broken("test", "one.yaml")
    assert code == 0
    assert out.startswith("good: 1 cases; ")


def test_rows_that_no_case_comes_to_are_listed_on_request(mended):
    line = mended
    code, out, _ = line("test")
    assert (code, out.count("\n")) == (0, 1)
    code, out, _ = line("test", "--coverage")
    *listed, summary = out.splitlines()
    assert all(": warning: no case comes to this row: `p, " in text for text in listed)
    assert f"they come to {ROWS - len(listed)} of {ROWS} rows" in summary
    assert any("`p, role:manager, *, *, , allow`" in text for text in listed)
    assert not any("export|merge" in text for text in listed)
    data = line.data("test")[1]
    assert len(data["coverage"]["uncovered"]) == len(listed)


def test_mutants_that_no_case_notices_are_named_and_bring_the_score_down(mended):
    line = mended
    code, out, _ = line("test", "--mutants")
    assert code == 0
    assert ": warning: no case notices if this row is deleted: `p, role:manager, *" in out
    assert ": warning: no case notices if this row says `deny`: `p, role:manager, *" in out
    # The deny of exports: deleted, another reason is told; turned round, the export goes out.
    assert "export|merge" not in out
    data = line.data("test", "--mutants")[1]["mutation"]
    assert data["percent"] == data["killed"] * 100 // data["mutants"]
    assert data["mutants"] - data["killed"] == len(data["survivors"]) == out.count("no case")
    share = data["killed"] * 100 / data["mutants"]
    assert line("test", "--min-score", str(int(share)))[0] == 0
    assert line("test", "--min-score", str(int(share) + 1))[0] == 1
    suite = ET.fromstring(line("test", "--min-score", "99", output="junit")[1])[0]  # noqa: S314  # our own
    assert suite.get("failures") == "1"
    assert suite.get("skipped") == str(len(data["survivors"]))
    _, out, _ = line("test", "--min-score", "99", output="github")
    assert out.count("::warning file=policies/") == len(data["survivors"])
    assert out.splitlines()[-1].startswith("::error::at least 99 %25 of the changed rows")


def test_mutants_wait_until_every_case_passes(broken):
    code, out, err = broken("test", "--min-score", "10")
    assert code == 4
    assert "mutation" not in out
    assert err == "salon-gateway test: mutants are tried once every case passes\n"


def test_without_cases_there_is_nothing_to_test(line):
    (line.folder / "policies" / "cases" / "starter.yaml").unlink()
    (line.folder / "policies" / "assertions.yaml").unlink()
    code, out, err = line("test")
    assert (code, out) == (2, "")
    assert "there are no cases" in err
    (line.folder / "policies" / "cases").rmdir()
    assert line("test")[0] == 2


def test_everything_that_does_not_load_is_told_at_once(broken):
    broken.edit("policies/cases/ours.yaml", "reason: rule_denies", "reason: rule_denis")
    broken.edit("policies/staff.yaml", "{aoyama: [role:manager]}", "{aoyama: [role:manger]}")
    code, out, err = broken("test")
    assert (code, out) == (3, "")
    assert [text.partition(":")[0] for text in err.splitlines()] == [
        "cases/ours.yaml",
        "staff.yaml",
    ]
    # What a job keeps is standard output.
    code, out, err = broken("test", output="github")
    assert (code, err) == (3, "")
    first, second = out.splitlines()
    assert first.startswith("::error file=policies/cases/ours.yaml,line=15,col=5::unknown reason")
    assert second.startswith("::error file=policies/staff.yaml,line=")


def test_files_that_are_no_cases_are_left_alone_and_both_endings_are_read(broken):
    folder = broken.folder / "policies" / "cases"
    (folder / "README.md").write_text("no cases", encoding="utf-8")
    (folder / ".ours.yaml.swp").write_text("no cases", encoding="utf-8")
    (folder / ".hidden.yaml").write_text("no cases", encoding="utf-8")
    (folder / "more.yml").write_text("case: []\n", encoding="utf-8")
    code, _, err = broken("test")
    assert code == 3
    assert all(text.startswith("cases/more.yml:1:1: ") for text in err.splitlines())


def test_a_case_file_that_cannot_be_read_is_a_finding(broken):
    (broken.folder / "policies" / "cases" / "gone.yaml").symlink_to("nowhere")
    code, _, err = broken("test")
    assert code == 3
    assert "gone.yaml:1:1: cannot be read: no such file or directory" in err
