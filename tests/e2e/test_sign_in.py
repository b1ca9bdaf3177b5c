"""From a password that the owner hands out to a card, and out again: the whole programs."""

import io
import re
from contextlib import closing, redirect_stderr, redirect_stdout
from urllib.parse import urlencode

import pytest

from gateway.backends.clock import SystemClock
from gateway.cli.main import main
from gateway.demo.world import crm
from gateway.identity.totp import counter_at, hotp, read_secret
from tests.e2e.gateway_process import salon as a_salon
from tests.e2e.gateway_process import send

ORIGIN, COOKIE = "https://crm.example", "__Host-salon"
OWN = "seven quiet umbrellas"
TOKENS = {"secret_file": "secrets/token-secret", "cookie": COOKIE, "origins": [ORIGIN]}
CARD = "/api/clients/7"


@pytest.fixture(scope="module")
def salon(tmp_path_factory):
    with (
        crm(tmp_path_factory.mktemp("crm")) as process,
        a_salon(
            tmp_path_factory.mktemp("salon"),
            f"http://127.0.0.1:{process.said['port']}",
            tokens=TOKENS,
            accounts={"enabled": True},
        ) as running,
    ):
        yield running


class Browser:
    """Keeps cookies, sends forms, follows nothing."""

    def __init__(self, salon):
        self.salon = salon
        self.cookies = {}

    def ask(self, method, target, headers=None, body=None):
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(self.salon.connect()) as connection:
            reply = send(connection, method, target, sent, body)
        for name, value in reply.headers:
            if name.lower() == "set-cookie":
                key, kept = re.match(r"([^=]+)=([^;]*)", value).groups()
                self.cookies[key] = kept
        self.cookies = {name: kept for name, kept in self.cookies.items() if kept}
        return reply

    def get(self, target):
        return self.ask("GET", target, {"Accept": "text/html"})

    def form(self, page, **members):
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN}
        return self.ask("POST", f"/_salon/{page}", headers, urlencode(members).encode())


def command(salon, *words):
    """The command line, in this process; what it prints."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(io.StringIO()):
        assert main(["--config", str(salon.folder / "gateway.yaml"), *words]) == 0
    return said.getvalue()


def handed_out(salon, who):
    return command(salon, "account", "set-password", who, "--generate").strip()


def test_from_a_handed_out_password_to_a_card_and_out_again(salon):
    done = salon.cli("account", "set-password", "ken", "--generate")
    assert done.returncode == 0, done.stderr
    given = done.stdout.strip()
    phone = Browser(salon)
    lost = phone.get(CARD)
    assert lost.status == 401
    (way_in,) = re.findall(r'href="(/_salon/[^"]+)"', lost.text)
    assert 'value="/api/clients/7"' in phone.get(way_in.replace("&amp;", "&")).text

    assert phone.form("sign-in", name="ken", password=given, next=CARD).status == 403
    assert phone.cookies == {}
    changed = phone.form("password", name="ken", password=given, new=OWN, again=OWN)
    assert (changed.status, changed.header("location")) == (303, "/")
    assert set(phone.cookies) == {COOKIE, "__Host-salon-device"}
    assert phone.get(CARD).data["id"] == 7

    tablet = Browser(salon)
    assert tablet.form("sign-in", name="Ken", password=OWN, next=CARD).status == 303
    assert tablet.get(CARD).status == 200
    assert tablet.form("sign-out").status == 303
    assert COOKIE not in tablet.cookies
    assert tablet.get(CARD).status == 401
    assert phone.get(CARD).status == 200


def test_a_session_that_was_signed_out_is_over_for_whoever_copied_it(salon):
    phone = Browser(salon)
    given = handed_out(salon, "mei")
    phone.form("password", name="mei", password=given, new=OWN + "!", again=OWN + "!")
    copied = dict(phone.cookies)
    assert phone.get(CARD).status == 200
    phone.form("sign-out")
    phone.cookies = copied
    assert phone.get(CARD).status == 401


def test_a_password_that_the_owner_sets_ends_every_session(salon):
    given = handed_out(salon, "hana")
    phone = Browser(salon)
    phone.form("password", name="hana", password=given, new=OWN + "?", again=OWN + "?")
    assert phone.get(CARD).status == 200
    handed_out(salon, "hana")
    assert phone.get(CARD).status == 401
    assert phone.form("sign-in", name="hana", password=OWN + "?").status == 401


def test_a_program_signs_in_with_json_and_the_trail_tells_all_of_it(salon):
    given = handed_out(salon, "rei")
    assert salon.ask(
        "POST", "/_salon/sign-in", body={"name": "rei", "password": given}
    ).reason == ("password_temporary")
    done = salon.ask(
        "POST", "/_salon/password", body={"name": "rei", "password": given, "new": OWN + "."}
    )
    token = done.data["token"]
    assert salon.ask("GET", CARD, token=token).status == 200
    assert salon.ask("POST", "/_salon/sign-out", token=token).status == 204
    assert salon.ask("GET", CARD, token=token).verdict == (401, "unauthenticated")
    wrong = salon.ask("POST", "/_salon/sign-in", body={"name": "rei", "password": "no"})
    assert wrong.verdict == (401, "unauthenticated")
    acts = [
        (entry["act"], entry.get("staff"), entry.get("whom"), entry.get("reason"))
        for entry in salon.acts()
        if entry["phase"] == "act" and "staff:rei" in (entry.get("staff"), entry.get("whom"))
    ]
    assert acts == [
        ("set_password", None, "staff:rei", None),  # of the command line: a chain of its own
        ("sign_in_refused", None, "staff:rei", "password_temporary"),
        ("set_password", "staff:rei", "staff:rei", None),
        ("sign_in", "staff:rei", None, None),
        ("sign_out", "staff:rei", None, None),
        ("sign_in_refused", None, "staff:rei", "unauthenticated"),
    ]
    command(salon, "audit", "verify")
    assert salon.metric("salon_gateway_unauthenticated_total", cause="wrong_password") >= 1


def test_an_owner_with_a_second_factor_is_in_by_password_and_code_and_not_by_one_of_them(salon):
    given = handed_out(salon, "hana")
    desk = Browser(salon)
    desk.form("password", name="hana", password=given, new=OWN + "#", again=OWN + "#", code="")
    page = desk.form("second-factor", name="hana", password=OWN + "#", code="", next="/")
    secret = read_secret(re.search(r"secret=([A-Z2-7]+)", page.text)[1])
    ticket = re.search(r'name="ticket" type="hidden" value="([^"]+)"', page.text)[1]
    first = counter_at(SystemClock().now())
    done = desk.form("set-up", ticket=ticket, code=hotp(secret, first), next="/")
    recovery = re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>", done.text)
    assert len(recovery) == 10
    assert desk.get(CARD).status == 200

    phone = Browser(salon)
    half = phone.form("sign-in", name="hana", password=OWN + "#", next=CARD)
    assert half.status == 200
    assert phone.get(CARD).status == 401
    ticket = re.search(r'name="ticket" type="hidden" value="([^"]+)"', half.text)[1]
    again = phone.form("code", ticket=ticket, code=hotp(secret, first), next=CARD)
    assert again.status == 401  # it was used to set it up
    there = phone.form("code", ticket=ticket, code=recovery[0], next=CARD)
    assert (there.status, there.header("location")) == (303, CARD)
    assert phone.get(CARD).status == 200

    command(salon, "account", "second-factor", "remove", "hana")
    assert phone.get(CARD).status == 401
    assert desk.get(CARD).status == 401
    assert phone.form("sign-in", name="hana", password=OWN + "#", next=CARD).status == 303


def test_whoever_must_have_a_second_factor_gets_no_session_without(tmp_path):
    """By an inherited role: owners are managers, too."""
    accounts = {"enabled": True, "second_factor": {"required_for": ["role:manager"]}}
    with a_salon(tmp_path, tokens=TOKENS, accounts=accounts) as strict:
        told = {}
        for who in ("hana", "mei"):
            change = {"name": who, "password": handed_out(strict, who), "new": OWN}
            told[who] = strict.ask("POST", "/_salon/password", body=change).data
    assert "token" in told["mei"]
    assert "token" not in told["hana"]
    assert told["hana"]["second_factor"] == "enrol"
