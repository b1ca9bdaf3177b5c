"""Asking a provider over real TLS: what it says of itself, and a code."""

import json

import pytest
from aiohttp import web

from gateway.backends import oidc_provider
from gateway.backends.oidc_provider import FRESH_SECONDS, PAUSE_SECONDS, OidcProvider
from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause
from gateway.identity.oidc import MAX_ANSWER_BYTES
from tests.oracles.foreign_world import HandClock
from tests.oracles.honest_provider import HonestProvider
from tests.oracles.key_server import KeyServer


class Home:
    """A provider on a server, and who asks it."""

    def __init__(self, server):
        self.server = server
        self.clock = HandClock()
        self.issuer = server.url.removesuffix("/keys")
        self.honest = HonestProvider(self.issuer, self.clock.now)
        self.describe()
        self.asked = OidcProvider(self.issuer, tls=server.trusting(), clock=self.clock)

    def describe(self, **more):
        self.server.body = json.dumps(self.honest.metadata() | more).encode()


@pytest.fixture
async def home():
    async with KeyServer().listening() as server:
        yield Home(server)


async def refused(promise):
    with pytest.raises(RequestError) as caught:
        await promise
    assert caught.value.cause is Cause.PROVIDER_REFUSED


async def test_a_provider_is_asked_where_it_describes_itself_and_not_again_for_a_while(home):
    for _ in range(3):
        assert (await home.asked.metadata()).token_endpoint == f"{home.issuer}/token"
    ((path, _),) = home.server.asked
    assert path == "/.well-known/openid-configuration"
    home.clock.later(seconds=FRESH_SECONDS)
    await home.asked.metadata()
    assert len(home.server.asked) == 2


async def test_a_provider_that_failed_is_left_alone_for_a_moment_and_then_asked_again(home):
    home.server.status = 503
    for _ in range(5):
        await refused(home.asked.metadata())
    assert len(home.server.asked) == 1
    home.server.status = 200
    home.clock.later(seconds=PAUSE_SECONDS)
    assert await home.asked.metadata()


async def test_a_description_of_another_issuer_is_none(home):
    home.describe(issuer="https://evil.example")
    await refused(home.asked.metadata())


@pytest.mark.parametrize("kind", ["text/html", "application/jwk-set+json"])
async def test_a_description_is_json_of_its_own_kind(home, kind):
    home.server.headers = {"Content-Type": kind}
    await refused(home.asked.metadata())


async def test_a_redirect_is_not_followed_and_an_endless_answer_is_not_read(home):
    home.server.status = 302
    home.server.headers = home.server.headers | {"Location": f"{home.issuer}/there"}
    await refused(home.asked.exchange(f"{home.issuer}/token", b"a=b", None))
    assert len(home.server.asked) == 1
    home.server.status, home.server.body = 200, b" " * (MAX_ANSWER_BYTES + 1)
    await refused(home.asked.exchange(f"{home.issuer}/token", b"a=b", None))


async def test_a_code_is_posted_with_its_credential_and_the_whole_answer_comes_back(home):
    seen = []

    async def answer(request):
        seen.append((request.method, await request.read(), request.headers["Authorization"]))
        return web.json_response({"id_token": "x"})

    home.server.answer = answer
    found = await home.asked.exchange(f"{home.issuer}/token", b"code=%2Bx", "Basic abc")
    assert json.loads(found) == {"id_token": "x"}
    assert seen == [("POST", b"code=%2Bx", "Basic abc")]


async def test_no_more_than_so_many_codes_are_exchanged_at_once(home, monkeypatch):
    monkeypatch.setattr(oidc_provider, "MOST_AT_ONCE", 0)
    await refused(home.asked.exchange(f"{home.issuer}/token", b"a=b", None))
    assert home.server.asked == []


def test_a_provider_whose_certificate_is_not_checked_is_none():
    server = KeyServer()
    careless = server.trusting()
    careless.check_hostname = False
    with pytest.raises(ValueError, match="always checked"):
        OidcProvider("https://a.example", tls=careless, clock=HandClock())
