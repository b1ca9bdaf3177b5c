"""`salon-gateway session`: sentences for people, JSON for programs, exit codes for scripts."""

import argparse
import json

import pytest

from gateway.cli import acting, session
from gateway.domain.finding import PolicyError

SETTINGS = """
upstream: {{url: "http://127.0.0.1:9", adapter: salon-demo}}
tokens: {{secret: 0123456789abcdef0123456789abcdef}}
state: {{url: "{url}"}}
"""


@pytest.fixture
def run(tmp_path, capsys):
    def run(*words, output="text", url="sqlite:state/epochs.sqlite3"):
        config = tmp_path / "gateway.yaml"
        config.write_text(SETTINGS.format(url=url), encoding="utf-8")
        parser = argparse.ArgumentParser()
        session.register(parser.add_subparsers())
        args = parser.parse_args(["session", *words])
        args.config, args.output = str(config), output
        code = args.run(args)
        said = capsys.readouterr()
        return int(code), said.out, said.err

    return run


def as_json(answer):
    code, out, err = answer
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_revocation_says_who_is_out_and_below_which_epoch(run):
    code, out, err = run("revoke", "mei")
    (row,) = as_json(run("list", output="json"))
    expected = f"mei is logged out everywhere: tokens below epoch {row['floor']} are refused\n"
    assert (code, out, err) == (0, expected, "")


def test_a_revoked_device_is_named(run):
    run("enrol", "mei")
    code, out, _ = run("revoke", "staff:mei", "--device", "phone-1")
    assert code == 0
    assert out.startswith("mei is logged out on phone-1: tokens below epoch ")


def test_enrolling_prints_the_epoch_that_a_new_token_needs(run):
    enrolled = as_json(run("enrol", "mei", "--device", "phone-1", output="json"))
    assert enrolled["staff"] == "staff:mei"
    revoked = as_json(run("revoke", "mei", output="json"))
    assert revoked["floor"] > enrolled["epoch"]
    again = as_json(run("enrol", "staff:mei", output="json"))
    assert again == {"staff": "staff:mei", "device": None, "epoch": revoked["floor"]}
    assert run("enrol", "mei")[1] == f"mei is known: new tokens carry epoch {revoked['floor']}\n"


def test_the_list_is_a_table_people_first(run):
    assert "nobody is known yet" in run("list")[1]
    run("enrol", "mei", "--device", "phone-1")
    run("enrol", "ken")
    code, out, _ = run("list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["who", "device"],
        ["ken", "(everywhere)"],
        ["mei", "(everywhere)"],
        ["mei", "phone-1"],
    ]
    assert [row["device"] for row in as_json(run("list", output="json"))] == [
        None,
        None,
        "phone-1",
    ]


@pytest.mark.parametrize("words", [("revoke", "Mei"), ("revoke", "staff:"), ("enrol", "m e i")])
def test_a_staff_that_is_no_name_is_a_usage_error(run, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    assert "is not a name" in capsys.readouterr().err


def test_a_device_that_is_no_id_is_a_usage_error(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("revoke", "mei", "--device", "my phone")
    assert stopped.value.code == 2
    assert "is not a device" in capsys.readouterr().err


def test_a_state_that_is_away_is_said_so_and_the_logout_is_not_claimed(run):
    code, out, err = run("revoke", "mei", url="redis://someone:sesame@127.0.0.1:1/0")
    assert (code, out) == (1, "")
    assert "no answer" in err
    assert "run it again" in err
    assert "sesame" not in err


def test_a_logout_stands_in_the_trail(run, tmp_path):
    run("revoke", "mei", "--device", "phone-1")
    (file,) = (tmp_path / "audit").glob("trail-cli-*.jsonl")
    entry = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    expected = {"phase": "act", "act": "log_out", "whom": "staff:mei", "device": "phone-1"}
    assert expected.items() <= entry.items()
    assert "staff" not in entry


def test_a_logout_that_cannot_be_entered_is_not_done(run, tmp_path, monkeypatch):
    monkeypatch.setattr(acting, "PAUSE_SECONDS", 0.0)
    run("enrol", "mei")
    before = as_json(run("list", output="json"))
    (tmp_path / "audit").write_text("not a folder", encoding="utf-8")
    code, out, err = run("revoke", "mei")
    assert (code, out) == (1, "")
    assert "nothing was done" in err
    assert as_json(run("list", output="json")) == before


def test_a_state_url_that_names_no_store_is_a_finding_without_the_url(run):
    with pytest.raises(PolicyError) as caught:
        run("list", url="redis://:sesame@127.0.0.1:1/0?ssl_cert_reqs=none")
    assert "takes no `?` options" in str(caught.value)
    assert "sesame" not in str(caught.value)
