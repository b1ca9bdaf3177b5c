"""`salon-gateway account`: passwords never on the command line, sentences for people."""

import asyncio
import io
import json

import pytest

from gateway.app import base_of, document_store, load_settings
from gateway.backends.clock import SystemClock
from gateway.cli import account
from gateway.identity.accounts import parse_account, render_account, with_second
from gateway.identity.passwords import weaknesses
from gateway.identity.second_factor import begun, recovery_code
from gateway.identity.totp import counter_at, hotp
from gateway.ports import Kind

GOOD = "seven quiet umbrellas"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def given(monkeypatch, text):
    """Standard input is a file or a pipe with this text."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def typing(monkeypatch, *answers):
    """Somebody types this at a terminal, unseen."""
    waiting = list(answers)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(account.getpass, "getpass", lambda _: waiting.pop(0))


def kept(line):
    async def read():
        config = str(line.config)
        documents = document_store(load_settings(config), base_of(config))
        found = await documents.all(Kind.ACCOUNT, SystemClock().now())
        await documents.close()
        return {key: parse_account(one.value) for key, one in found.items()}

    return asyncio.run(read())


def acts(line):
    files = (line.folder / "audit").glob("*.jsonl")
    lines = [json.loads(row) for file in files for row in file.read_text("utf-8").splitlines()]
    return [(row["act"], row.get("whom")) for row in lines if row.get("phase") == "act"]


def test_a_generated_password_is_printed_once_and_has_to_be_changed(line):
    code, out, err = line("account", "set-password", "mei", "--generate")
    assert (code, "can sign in with it once" in err) == (0, True)
    assert weaknesses(out.strip()) == ()
    assert kept(line)["staff:mei"].must_change
    assert out.strip() not in str(kept(line))
    assert acts(line) == [("set_password", "staff:mei")]


def test_a_password_is_read_from_standard_input(line, monkeypatch):
    given(monkeypatch, GOOD + "\r\n")
    code, out, err = line("account", "set-password", "staff:mei")
    assert (code, err) == (0, "")
    assert out == "mei has a new password; every session of theirs has ended\n"
    assert not kept(line)["staff:mei"].must_change


def test_a_password_is_typed_twice_at_a_terminal(line, monkeypatch):
    typing(monkeypatch, GOOD, GOOD + "!")
    assert line("account", "set-password", "mei")[0] == 2
    assert kept(line) == {}
    typing(monkeypatch, GOOD, GOOD)
    assert line("account", "set-password", "mei")[0] == 0


def test_a_weak_password_is_refused_with_everything_wrong_with_it(line, monkeypatch):
    given(monkeypatch, "qwerty\n")
    code, out, err = line("account", "set-password", "mei")
    assert (code, out) == (2, "")
    assert "at least 12 characters" in err
    assert "keyboard" in err
    assert "qwerty" not in err
    assert kept(line) == {}


def test_nothing_on_standard_input_is_no_password(line, monkeypatch):
    given(monkeypatch, "")
    assert line("account", "set-password", "mei")[0] == 2


def test_only_people_on_the_roster_get_one(line):
    code, _, err = line("account", "set-password", "mej", "--generate")
    assert code == 2
    assert "did you mean `mei`?" in err
    assert acts(line) == []


def test_accounts_are_listed_for_people_and_for_programs(line, monkeypatch):
    assert "nobody has an account yet" in line("account", "list")[1]
    line("account", "set-password", "mei", "--generate")
    given(monkeypatch, GOOD)
    line("account", "set-password", "rei")
    out = line("account", "list")[1]
    assert [row.split()[0] for row in out.splitlines()] == ["who", "mei", "rei"]
    assert "to be changed" in out
    code, listed = line.data("account", "list")
    assert code == 0
    assert [(row["staff"], row["must_change"], row["on_roster"]) for row in listed] == [
        ("staff:mei", True, True),
        ("staff:rei", False, True),
    ]
    assert GOOD not in str(listed)


def test_an_account_is_removed(line):
    line("account", "set-password", "mei", "--generate")
    assert line("account", "remove", "mei")[0] == 0
    assert kept(line) == {}
    assert acts(line)[-1] == ("remove_account", "staff:mei")
    code, _, err = line("account", "remove", "mei")
    assert (code, "has no account" in err) == (2, True)


def test_programs_get_json(line):
    code, out, _ = line("account", "set-password", "mei", "--generate", output="json")
    told = json.loads(out)
    assert (code, told["staff"], told["temporary"]) == (0, "staff:mei", True)
    assert line.data("account", "remove", "mei") == (0, {"staff": "staff:mei", "removed": True})


def test_a_password_is_no_argument(line):
    with pytest.raises(SystemExit):
        line("account", "set-password", "mei", GOOD)


def with_second_factor(line, staff="staff:mei"):
    """As the page would have set one up."""

    async def write():
        now = SystemClock().now()
        documents = document_store(load_settings(str(line.config)), base_of(str(line.config)))
        before = await documents.get(Kind.ACCOUNT, staff, now)
        key = b"k" * 20
        codes = [recovery_code(bytes([n]) * 10) for n in range(10)]
        second = begun(key, hotp(key, counter_at(now)), codes, now)
        after = render_account(with_second(parse_account(before.value), second))
        await documents.put(Kind.ACCOUNT, staff, after, replaces=before.revision, now=now)
        await documents.close()

    asyncio.run(write())


def test_a_second_factor_is_taken_away_and_it_is_entered(line):
    line("account", "set-password", "mei", "--generate")
    with_second_factor(line)
    assert "yes, 10 recovery codes left" in line("account", "list")[1]
    code, out, _ = line("account", "second-factor", "remove", "mei")
    assert (code, "no second factor any more" in out) == (0, True)
    assert kept(line)["staff:mei"].second is None
    assert acts(line)[-1] == ("remove_second_factor", "staff:mei")


def test_whoever_has_no_second_factor_has_none_to_lose(line):
    assert line("account", "second-factor", "remove", "mei")[0] == 2
    line("account", "set-password", "mei", "--generate")
    code, _, err = line("account", "second-factor", "remove", "mei")
    assert (code, "has no second factor" in err) == (2, True)
    assert acts(line) == [("set_password", "staff:mei")]


def test_no_key_and_no_recovery_code_is_listed(line):
    line("account", "set-password", "mei", "--generate")
    with_second_factor(line)
    _, out, _ = line("--output", "json", "account", "list")
    (mei,) = json.loads(out)
    assert (mei["second_factor"], mei["recovery_codes"]) == (True, 10)
    second = kept(line)["staff:mei"].second
    assert second.secret not in out
    assert not any(mark in out for mark in second.recovery)


def test_a_role_that_must_have_one_and_that_nobody_could_have_is_a_finding(line):
    text = line.config.read_text(encoding="utf-8")
    own = 'origins: ["https://crm.example"]'
    cookie = f"secret_file: secrets/token-secret\n  cookie: __Host-salon\n  {own}"
    text = text.replace("secret_file: secrets/token-secret", cookie)
    asked = "accounts: {enabled: true, second_factor: {required_for: [role:ownr]}}\n"
    line.config.write_text(text + asked, encoding="utf-8")
    code, out, err = line("check")
    assert code == 3
    assert "unknown role `role:ownr`; did you mean `role:owner`?" in out + err
