"""`incident`: start, end, status, export, verify over a real folder."""

import json
import tarfile

import pytest

from gateway.backends import evidence_parts
from gateway.backends.evidence_parts import LEFT_OUT, SAFE, told_settings
from gateway.cli.main import main
from gateway.settings import parse_settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    assert main(["init", str(tmp_path)]) == 0
    monkeypatch.setenv("SALON_GATEWAY_CONFIG", str(tmp_path / "gateway.yaml"))
    return tmp_path


def run(folder, *arguments, output="text"):
    return main(["--config", str(folder / "gateway.yaml"), "--output", output, *arguments])


def said(capsys):
    return json.loads(capsys.readouterr().out)


def start(folder, *more, output="text"):
    return run(folder, "incident", "start", "--reason", "a lost laptop", *more, output=output)


def epoch(folder, who, capsys):
    capsys.readouterr()
    assert run(folder, "session", "enrol", who, output="json") == 0
    return said(capsys)["epoch"]


def test_a_start_says_how_it_stands_and_status_says_the_same(folder, capsys):
    capsys.readouterr()
    assert start(folder, "--contact", "Hana, 00-0000-0000", output="json") == 0
    started = said(capsys)
    assert (started["active"], started["settled"], started["by"]) == (True, True, None)
    assert (started["reason"], started["contact"]) == ("a lost laptop", "Hana, 00-0000-0000")
    assert run(folder, "incident", "status", output="json") == 0
    assert said(capsys) == started
    assert start(folder) == 0
    assert "a lost laptop" in capsys.readouterr().out


def test_an_end_is_said_and_whoever_signs_in_after_it_has_an_epoch_above_the_floor(folder, capsys):
    before = epoch(folder, "mei", capsys)
    start(folder, output="json")
    floor = said(capsys)["floor"]
    assert before < floor
    assert run(folder, "incident", "end", output="json") == 0
    ended = said(capsys)
    assert (ended["active"], ended["floor"]) == (False, floor)
    assert epoch(folder, "mei", capsys) >= floor
    assert epoch(folder, "ken", capsys) >= floor


def test_both_stand_in_the_trail_and_what_cannot_be_entered_is_not_done(folder, capsys):
    start(folder)
    run(folder, "incident", "end")
    capsys.readouterr()
    assert run(folder, "audit", "tail", "--acts", output="json") == 0
    acts = [json.loads(line)["act"] for line in capsys.readouterr().out.splitlines()]
    assert acts == ["incident_start", "incident_end"]


def test_without_one_status_and_end_say_so(folder, capsys):
    capsys.readouterr()
    assert run(folder, "incident", "status") == 0
    assert "never" in capsys.readouterr().out
    assert run(folder, "incident", "end") == 0
    assert "never" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["", "a\nb", "x" * 301])
def test_a_reason_is_one_line(folder, reason, capsys):
    with pytest.raises(SystemExit):
        run(folder, "incident", "start", "--reason", reason)
    assert "reason" in capsys.readouterr().err


def test_the_contact_line_of_gateway_yaml_is_taken_where_none_is_given(folder, capsys):
    config = folder / "gateway.yaml"
    config.write_text(config.read_text() + '\nincident: {contact: "call Hana"}\n')
    capsys.readouterr()
    start(folder, output="json")
    assert said(capsys)["contact"] == "call Hana"


def test_it_is_said_if_nobody_may_come_in(folder, capsys):
    config = folder / "gateway.yaml"
    config.write_text(config.read_text() + '\nincident: {owners: ["role:nobody"]}\n')
    assert start(folder) == 0
    assert "nobody" in capsys.readouterr().err


def export(folder, *more):
    target = folder / "evidence.tar"
    return target, run(folder, "incident", "export", str(target), *more)


def names(target):
    with tarfile.open(target) as tar:
        return tar.getnames()


def test_the_evidence_holds_trail_policy_roster_state_versions_and_is_whole(folder, capsys):
    start(folder)
    target, code = export(folder)
    assert code == 0
    found = names(target)
    for name in (
        "policy/salon_rules.csv",
        "policy/staff.yaml",
        "policy/hours.yaml",
        "adapter/salon-demo.yaml",
        "state/incident.json",
        "state/sessions.json",
        "settings.json",
        "versions.json",
        "audit/chain-cli.json",
        "MANIFEST.json",
    ):
        assert name in found, name
    assert any(name.startswith("audit/trail-cli-000001-") for name in found)
    out = capsys.readouterr().out
    digest = out.partition("sha256 ")[2].split()[0]
    assert run(folder, "incident", "verify", str(target), "--hash", digest) == 0
    assert run(folder, "incident", "verify", str(target), "--hash", "0" * 64) == 1
    data = bytearray(target.read_bytes())
    data[600] ^= 1
    target.write_bytes(data)
    assert run(folder, "incident", "verify", str(target)) == 1


def test_a_range_without_the_day_leaves_the_trail_out(folder):
    start(folder)
    target, code = export(folder, "--first", "2001-01-01", "--last", "2001-01-02")
    assert code == 0
    assert not any(name.endswith(".jsonl") for name in names(target))


def test_no_secret_of_the_gateway_is_in_it(folder):
    secret = (folder / "secrets" / "token-secret").read_text().strip()
    key = "k-9f8e7d6c5b4a"
    config = folder / "gateway.yaml"
    text = config.read_text().replace(
        "upstream:\n", f'upstream:\n  headers: {{Authorization: "Bearer {key}"}}\n', 1
    )
    config.write_text(text)
    target, code = export(folder)
    assert code == 0
    data = target.read_bytes()
    assert secret.encode() not in data
    assert key.encode() not in data


@pytest.mark.parametrize("where", ["policies/cases/odd.yaml", "policies/staff.yaml"])
def test_a_secret_that_somebody_wrote_into_the_policy_ends_the_export(folder, where, capsys):
    secret = (folder / "secrets" / "token-secret").read_text().strip()
    file = folder / where
    file.parent.mkdir(exist_ok=True)
    before = file.read_text() if file.exists() else ""
    file.write_text(f"{before}\n# {secret}\n")
    target, code = export(folder)
    assert (code, target.exists()) == (1, False)
    err = capsys.readouterr().err
    assert file.name in err
    assert secret not in err


def test_nothing_is_written_over(folder):
    target, code = export(folder)
    before = target.read_bytes()
    assert (code, export(folder)[1]) == (0, 1)
    assert target.read_bytes() == before


def test_what_is_not_known_to_be_safe_is_left_out(folder):
    config = folder / "gateway.yaml"
    settings = parse_settings(config.read_text(), "gateway.yaml", {}, lambda _: "")
    told = told_settings(settings)
    assert told.keys() >= SAFE
    assert {told[key] for key in told.keys() - SAFE} == {LEFT_OUT}
    for key in ("tokens.secret", "upstream.headers", "upstream.lookup_headers", "state.url"):
        assert told[key] == LEFT_OUT


def test_a_key_is_safe_by_name_and_none_of_them_sounds_like_a_secret():
    for key in SAFE:
        assert not key.endswith((*evidence_parts.SECRETS, *evidence_parts.SECRET_FILES, ".key"))
