"""Two identity providers and our own tokens at one gateway: keys by real https, real processes."""

from contextlib import closing, contextmanager

import pytest
from aiohttp import web

from gateway.backends.clock import SystemClock
from gateway.demo.world import crm
from tests.e2e.gateway_process import fetch, run_cli, send, started, write_folder
from tests.oracles.foreign_world import SigningKey, a_payload, key_set
from tests.oracles.key_server import KeyServer
from tests.oracles.loop_thread import loop_thread

MANY = 10_000  # asks, in one second at most
A, B = "https://a.example", "https://b.example"


class Provider:
    """Issuer A, behind TLS; it can publish other keys."""

    def __init__(self, server):
        self.server = server
        self.key = SigningKey("one")
        self.publish(self.key)

    def publish(self, *keys):
        self.server.body = key_set(*keys).encode()


@pytest.fixture(scope="module")
def provider():
    server = KeyServer()
    with loop_thread(server.listening()):
        yield Provider(server)


@pytest.fixture(scope="module")
def filed():
    return SigningKey("one")  # the same id as A's


@contextmanager
def salon_of(provider, filed, tmp_path_factory, **config):
    folder = tmp_path_factory.mktemp("salon")
    with crm(tmp_path_factory.mktemp("crm")) as behind:
        authority = folder / "ca.pem"
        provider.server.authority.cert_pem.write_to_path(str(authority))
        (folder / "b.json").write_text(key_set(filed), encoding="utf-8")
        issuers = [
            {
                "issuer": A,
                "audience": "salon-crm",
                "jwks_url": provider.server.url,
                "ca_file": "ca.pem",
                "claims": {"app": "client"},
            },
            {"issuer": B, "audience": "salon-crm", "jwks": "b.json", "claims": {"app": "client"}},
        ]
        tokens = {"secret_file": "secrets/token-secret", "issuers": issuers}
        write_folder(folder, f"http://127.0.0.1:{behind.said['port']}", tokens=tokens, **config)
        with started(folder) as running:
            yield running


@pytest.fixture(scope="module")
def salon(provider, filed, tmp_path_factory):
    with salon_of(provider, filed, tmp_path_factory) as running:
        yield running


def token(key, issuer, **claims):
    at = SystemClock().now()
    return key.sign(a_payload(at, issuer=issuer, staff="ken", client="backoffice", **claims))


def ask(salon, bearer):
    return salon.ask("GET", "/api/clients/7", token=bearer).verdict


def signed_in(salon, key, issuer):
    """A token of a new session, and its name.

    What began in the second in which Ken became known, or was logged out, counts as before it:
    so ever new ones are tried until one is of the next second.
    """
    for number in range(MANY):
        sid = f"{number}-{SystemClock().now().timestamp()}"
        made = token(key, issuer, sid=sid)
        if ask(salon, made)[0] == 200:
            return made, sid
    raise AssertionError("no session comes in")


def test_tokens_of_every_issuer_and_our_own_are_somebody(salon, provider, filed):
    for key, issuer in ((provider.key, A), (filed, B)):
        signed_in(salon, key, issuer)
    assert salon.ask("GET", "/api/clients/7", "ken").status == 200


def test_no_issuer_speaks_for_another(salon, provider, filed):
    assert ask(salon, token(filed, A)) == (401, "unauthenticated")
    assert ask(salon, token(provider.key, B)) == (401, "unauthenticated")
    assert ask(salon, token(provider.key, "salon-gateway")) == (401, "unauthenticated")


def test_a_forced_logout_ends_the_session_and_each_token_of_it_on_an_open_connection(
    salon, provider
):
    first, sid = signed_in(salon, provider.key, A)
    with closing(salon.connect()) as connection:
        bearer = {"Authorization": f"Bearer {first}"}
        assert send(connection, "GET", "/api/clients/7", bearer).status == 200
        assert run_cli(salon.folder, "session", "revoke", "ken").returncode == 0
        assert send(connection, "GET", "/api/clients/7", bearer).status == 401
        again = {"Authorization": f"Bearer {token(provider.key, A, sid=sid)}"}
        assert send(connection, "GET", "/api/clients/7", again).status == 401
    signed_in(salon, provider.key, A)


def test_the_metrics_say_whose_keys_count(salon):
    text = fetch(salon.admin, "/metrics").text
    assert f'salon_gateway_issuer_keys_up{{issuer="{A}"}} 1.0' in text
    assert f'salon_gateway_issuer_keys_age_seconds{{issuer="{A}"}}' in text
    assert f'salon_gateway_issuer_keys_failures_total{{issuer="{A}"}} 0.0' in text
    assert f'issuer="{B}"' not in text  # of a file


def test_check_finds_a_key_set_that_is_none(salon):
    file = salon.folder / "b.json"
    good = file.read_text(encoding="utf-8")
    try:
        file.write_text("{}", encoding="utf-8")
        done = run_cli(salon.folder, "check")
        assert done.returncode == 3
        assert "b.json" in done.stderr + done.stdout
    finally:
        file.write_text(good, encoding="utf-8")


def test_an_issuer_that_is_away_at_the_start_takes_only_its_own_tokens_with_it(
    filed, tmp_path_factory
):
    server = KeyServer()
    with loop_thread(server.listening()):
        away = Provider(server)

        async def refuse(request):
            return web.Response(status=503)

        server.answer = refuse
        with salon_of(away, filed, tmp_path_factory) as salon:
            assert ask(salon, token(away.key, A)) == (401, "unauthenticated")
            signed_in(salon, filed, B)
            assert fetch(salon.admin, "/readyz").status == 200
            text = fetch(salon.admin, "/metrics").text
            assert f'salon_gateway_issuer_keys_up{{issuer="{A}"}} 0.0' in text
            assert f'salon_gateway_issuer_keys_failures_total{{issuer="{A}"}} 1.0' in text
