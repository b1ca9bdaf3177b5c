"""From the button of a provider to a card, and out when the provider says so: real processes."""

from urllib.parse import quote, urlencode, urlsplit

import pytest
from aiohttp import web

from gateway.backends.clock import SystemClock
from gateway.demo.world import crm
from tests.e2e.gateway_process import Reply, started, write_folder
from tests.e2e.test_sign_in import Browser
from tests.oracles.honest_provider import CLIENT, CLIENT_SECRET, HonestProvider
from tests.oracles.key_server import KeyServer
from tests.oracles.loop_thread import loop_thread

ORIGIN, COOKIE = "https://crm.example", "__Host-salon"
CARD = "/api/clients/7"
MANY = 10_000  # asks, in one second at most
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def provider():
    """An honest one, behind TLS."""
    server = KeyServer()
    with loop_thread(server.listening()):
        honest = HonestProvider(server.url.removesuffix("/keys"), SystemClock().now)
        honest.server = server

        async def answer(request):
            match request.method, request.path:
                case "GET", "/.well-known/openid-configuration":
                    return web.json_response(honest.metadata())
                case "GET", "/keys":
                    return web.Response(text=honest.keys, content_type="application/json")
                case "POST", "/token":
                    form, sent = await request.read(), request.headers.get("Authorization")
                    status, told = honest.exchange(form, sent)
                    return web.json_response(told, status=status)
            return web.Response(status=404)

        server.answer = answer
        yield honest


@pytest.fixture(scope="module")
def salon(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("salon")
    with crm(tmp_path_factory.mktemp("crm")) as behind:
        provider.server.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        (folder / "client").write_text(CLIENT_SECRET + "\n", encoding="utf-8")
        issuer = {
            "issuer": provider.issuer,
            "audience": "salon-crm",
            "jwks_url": provider.server.url,
            "ca_file": "ca.pem",
            "sign_in": True,
            "client_id": CLIENT,
            "client_secret_file": "client",
        }
        tokens = {
            "secret_file": "secrets/token-secret",
            "cookie": COOKIE,
            "origins": [ORIGIN],
            "issuers": [issuer],
        }
        write_folder(
            folder,
            f"http://127.0.0.1:{behind.said['port']}",
            tokens=tokens,
            accounts={"enabled": True},
        )
        with started(folder) as running:
            yield running


def back(browser, location) -> Reply:
    address = urlsplit(location)
    return browser.get(f"{address.path}?{address.query}")


def begun(browser, provider):
    asked = urlencode({"issuer": provider.issuer, "next": CARD}, quote_via=quote)
    reply = browser.get(f"/_salon/oidc/start?{asked}")
    assert reply.status == 303, reply.text
    return reply.header("location")


def signed_in(salon, provider, who="ken", sid=None):
    """A browser that is in.

    A sign-in in the second in which Ken became known, or was logged out, counts as before it: so
    it is done again until one is of the next second.
    """
    for _ in range(MANY):
        browser = Browser(salon)
        reply = back(browser, provider.authorize(begun(browser, provider), who, sid))
        if reply.status == 303:
            return browser, reply
    raise AssertionError("nobody comes in")


def test_from_the_button_to_a_card_and_out_when_the_provider_says_so(salon, provider):
    page = Browser(salon).get(f"/_salon/sign-in?next={CARD}")
    assert 'class="elsewhere" href="/_salon/oidc/start?issuer=https%3A%2F%2Flocalhost' in page.text
    phone, reply = signed_in(salon, provider, sid="s1")
    assert reply.header("location") == CARD
    assert set(phone.cookies) == {COOKIE, "__Host-salon-device"}
    assert phone.get(CARD).data["id"] == 7

    token = urlencode({"logout_token": provider.logout_token(sub="ken", sid="s1")}).encode()
    told = Browser(salon).ask("POST", "/_salon/oidc/logout", FORM, token)
    assert (told.status, told.header("cache-control")) == (200, "no-store")
    assert phone.get(CARD).status == 401
    assert Browser(salon).ask("POST", "/_salon/oidc/logout", FORM, token).status == 400
    acts = [entry.get("act") for entry in salon.entries() if entry.get("staff") == "staff:ken"]
    assert [act for act in acts if act in {"sign_in", "sign_out"}] == ["sign_in", "sign_out"]


def test_a_forced_logout_here_ends_it_too(salon, provider):
    phone, _ = signed_in(salon, provider)
    assert salon.cli("session", "revoke", "ken").returncode == 0
    assert phone.get(CARD).status == 401
    signed_in(salon, provider)


def test_a_code_that_the_provider_takes_back_and_a_stranger_are_a_page_and_a_line_in_the_log(
    salon, provider
):
    phone = Browser(salon)
    link = provider.authorize(begun(phone, provider))
    provider.codes.clear()
    reply = back(phone, link)
    assert (reply.status, COOKIE in phone.cookies) == (401, False)
    assert "invalid_grant" not in reply.text
    (event, *_) = salon.events("sign_in_provider_failed")
    assert (event["asked"], event["why"]) == ("token", "status")
    stranger = Browser(salon)
    assert back(stranger, provider.authorize(begun(stranger, provider), "nobody")).status == 403
    assert COOKIE not in stranger.cookies
