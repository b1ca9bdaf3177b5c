"""What CI reads: nothing an owner typed ends a command or an element early."""

from xml.etree import ElementTree as ET

import pytest

from gateway.cli.reports import Check, Outcome, github, junit, of_findings
from gateway.domain.finding import Finding, Place, Severity

NASTY = "100 % a,b:c \"d\" <e> 'f' & ]]>\r\n::error::g\x00\x1b\ud800 結城"


def a_check(outcome=Outcome.FAILED, **keys):
    return Check(**({"name": NASTY, "outcome": outcome, "details": NASTY} | keys))


def test_a_command_is_one_line_and_escaped_as_github_does_it():
    check = a_check(place=Place("a,b:c%\n.yaml", 4, 7), details="")
    (line,) = github([check])
    head, _, said = line.partition("::100")
    assert head == "::error file=a%2Cb%3Ac%25%0A.yaml,line=4,col=7"
    assert "\n" not in said
    assert "\r" not in said
    assert said.startswith(" %25 a,b:c ")
    assert "%0D%0A::error::g" in said


def test_warnings_are_warnings_and_what_passed_is_not_told():
    checks = [a_check(Outcome.PASSED), a_check(Outcome.WARNED, name="w", details="")]
    assert list(github(checks)) == ["::warning::w"]


def test_files_are_told_as_the_job_sees_them():
    check = a_check(name="n", details="", place=Place("staff.yaml", 2, 3))
    assert list(github([check], lambda name: f"policies/{name}")) == [
        "::error file=policies/staff.yaml,line=2,col=3::n"
    ]


def test_the_report_is_xml_whatever_was_typed():
    place = Place('x"<&.yaml', 4, 7)
    text = junit(NASTY, [a_check(place=place), a_check(Outcome.WARNED), a_check(Outcome.PASSED)])
    (suite,) = ET.fromstring(text.encode())  # noqa: S314  # our own
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["3", "1", "0", "1"]
    failed, warned, passed = suite
    shown = NASTY.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert all(case.get("name") == shown for case in suite)
    assert (failed.get("file"), failed.get("line")) == ('x"<&.yaml', "4")
    assert [child.tag for child in failed] == ["failure"]
    assert [child.tag for child in warned] == ["skipped"]
    assert [child.tag for child in passed] == []
    assert failed[0].get("message") == shown.splitlines()[0]
    assert failed[0].text == f"{place}: {shown}".replace("\r\n", "\n")


def test_findings_are_checks_that_did_not_pass():
    findings = [
        Finding(Place("a.yaml", 1, 2), "is bad"),
        Finding(Place("a.yaml", 3, 4), "is odd", Severity.WARNING),
    ]
    assert [(check.name, check.outcome) for check in of_findings(findings)] == [
        ("is bad", "failed"),
        ("is odd", "warned"),
    ]


# -- the verbs ----------------------------------------------------------------------------------


def test_check_annotates_its_warnings_and_passes(line, monkeypatch):
    monkeypatch.chdir(line.folder)
    line.config = "gateway.yaml"
    line.edit("policies/staff.yaml", "{yoyogi: [role:stylist]}", "{shibuya: [role:stylist]}")
    code, out, err = line("check", output="github")
    assert (code, err) == (0, "")
    (said,) = out.splitlines()
    assert said.startswith("::warning file=policies/staff.yaml,line=")
    assert "::salon `shibuya` has no hours" in said
    code, out, err = line("check", output="junit")
    assert (code, err) == (0, "")
    (suite,) = ET.fromstring(out)  # noqa: S314  # our own
    assert [suite.get(name) for name in ("name", "tests", "failures", "skipped")] == [
        "salon-gateway check", "3", "0", "1",
    ]  # fmt: skip


def test_a_finding_in_the_configuration_itself_has_its_path(line, monkeypatch):
    monkeypatch.chdir(line.folder.parent)
    line.config = f"{line.folder.name}/gateway.yaml"
    line.edit("gateway.yaml", "policies: policies ", "polices: policies ")
    code, out, err = line("check", output="github")
    assert (code, err) == (3, "")
    assert out.startswith(f"::error file={line.folder.name}/gateway.yaml,line=")


def test_a_finding_in_the_adapter_has_its_path(line, monkeypatch):
    monkeypatch.chdir(line.folder)
    line.config = "gateway.yaml"
    line.edit("adapters/salon-demo.yaml", "adapter: salon-demo\n", "adapters: salon-demo\n")
    _, out, _ = line("check", output="github")
    assert "::error file=adapters/salon-demo.yaml,line=" in out


@pytest.mark.parametrize("output", ["junit", "github"])
@pytest.mark.parametrize("verb", [("hours",), ("audit", "verify"), ("schema",), ("serve",)])
def test_a_verb_without_such_an_output_says_so(line, verb, output):
    code, out, err = line(*verb, output=output)
    assert (code, out) == (2, "")
    said = f"`{verb[0]}` has no output `{output}`; it has text, json"
    assert err == f"salon-gateway: {said}\n"


# -- verbs that answer questions --------------------------------------------------------------


@pytest.mark.parametrize("output", ["junit", "github"])
def test_who_can_and_explain_speak_to_ci_servers_too(line, output):
    broken = ("who-can", "--assert", "never: role:reception read client.contact")
    refused = ("explain", "--who", "mei", "GET", "/api/clients/export")
    for words in (broken, refused):
        code, out, _ = line(*words, output=output)
        assert code == 1
        assert ("<failure " if output == "junit" else "::error") in out
    for words in (
        ("who-can", "export", "client"),
        ("who-can", "--assert", "never: role:stylist export client"),
        ("explain", "--who", "ken", "GET", "/api/clients/export"),
    ):
        code, out, _ = line(*words, output=output)
        assert code == 0
        assert "<failure" not in out
        assert "::error" not in out


def test_an_annotation_stands_at_the_row_that_refuses(line):
    _, out, _ = line("explain", "--who", "mei", "GET", "/api/clients/export", output="github")
    assert out.startswith("::error file=")
    assert "salon_rules.csv,line=" in out
