"""`tokens.issuers` of gateway.yaml as other issuers."""

import json

import pytest

from gateway.backends.issuer_keys import unheard
from gateway.backends.issuers import read_issuers
from gateway.domain.finding import PolicyError
from gateway.settings import parse_settings
from tests.oracles.foreign_world import HandClock, SigningKey, key_set


def settings(*issuers, **tokens):
    given = {"secret": "a-secret-of-32-characters-or-more-12", "issuers": issuers} | tokens
    whole = {
        "upstream": {"url": "http://127.0.0.1:9", "adapter": "crm.yaml"},
        "tokens": {key: value for key, value in given.items() if value is not None},
    }
    return parse_settings(json.dumps(whole), "gateway.yaml", {}, str)


def an_issuer(**changes):
    whole = {"issuer": "https://a.example", "audience": "salon-crm", "jwks": "keys.json"}
    return {key: value for key, value in (whole | changes).items() if value is not None}


def read(folder, *issuers, **tokens):
    return read_issuers(settings(*issuers, **tokens), folder, clock=HandClock(), tell=unheard)


def findings(of, *args, **kwargs):
    with pytest.raises(PolicyError) as caught:
        of(*args, **kwargs)
    return [finding.message for finding in caught.value.findings]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keys.json").write_text(key_set(SigningKey("one")))
    return tmp_path


async def test_the_keys_of_a_file_are_its_keys(folder):
    found = read(folder, an_issuer(), leeway_seconds=30)
    (issuer,) = found.all
    assert [key.kid for key in issuer.keys.current().keys] == ["one"]
    assert await issuer.keys.renewed() is issuer.keys.current()
    assert issuer.leeway_seconds == 30
    assert found.fetched == ()


def test_what_an_issuer_is_not_asked_for_its_tokens_do_not_tell(folder):
    (issuer,) = read(folder, an_issuer()).all
    names = issuer.names
    assert (names.staff, names.device, names.epoch, names.app, names.roles) == (
        "sub", None, None, None, None,
    )  # fmt: skip


def test_keys_by_https_are_fetched_and_nothing_is_asked_for_yet(folder):
    found = read(folder, an_issuer(jwks=None, jwks_url="https://a.example/keys"))
    assert found.all[0].keys is found.fetched[0]
    assert found.all[0].keys.current() is None


def test_every_wrong_issuer_is_found_at_once(folder):
    (folder / "broken.json").write_text("{}")
    (folder / "no.pem").write_text("no certificate")
    told = findings(
        read,
        folder,
        an_issuer(jwks="broken.json"),
        an_issuer(issuer="b", jwks="nowhere.json"),
        an_issuer(issuer="c", jwks=None, jwks_url="https://c.example/", ca_file="no.pem"),
        an_issuer(issuer="d", algorithms=["RS256"]),
        an_issuer(issuer="e", claims={"staff": "iss"}),
        an_issuer(issuer="f", jwks=None, jwks_url="https://c.example/", ca_file="nowhere.pem"),
    )
    assert len(told) == 6
    assert "`ca_file` cannot be loaded: no PEM certificate in it" in told[2]
    assert "number 4: `keys.json` has a key for EdDSA" in told[3]
    assert "`iss` has a meaning of its own" in told[4]


@pytest.mark.parametrize(
    ("issuers", "said"),
    [
        ([an_issuer(jwks=None)], "give a `jwks` file or a `jwks_url`"),
        ([an_issuer(jwks_url="https://a.example/k")], "give a `jwks` file or a `jwks_url`"),
        ([an_issuer(), an_issuer()], "two issuers have one name"),
        ([an_issuer(issuer="salon-gateway")], "two issuers have one name"),
        ([an_issuer(ca_file="ca.pem")], "`ca_file` goes with `jwks_url`"),
        ([an_issuer(algorithms=[])], "`algorithms` names one at least"),
        ([an_issuer(jwks=None, jwks_url="http://a.example/k")], "is not `https://host/path`"),
        ([an_issuer(jwks=None, jwks_url="https:///k")], "is not `https://host/path`"),
        ([an_issuer(jwks=None, jwks_url="https://u:p@a.example/k")], "neither a user nor"),
        ([an_issuer(jwks=None, jwks_url="https://a.example/k#x")], "neither a user nor"),
        ([an_issuer(jwks=None, jwks_url="https://a.example/k\u00e9")], "plain ASCII"),
        ([an_issuer(issuer=str(number)) for number in range(17)], "16"),
    ],
)
def test_what_no_issuer_can_be_is_a_finding(issuers, said):
    (told,) = findings(settings, *issuers)
    assert said in told


@pytest.mark.parametrize("wrong", [{"algorithms": ["HS256"]}, {"keep_hours": 0}, {"kid": "x"}])
def test_a_key_or_value_nobody_knows_is_a_finding(wrong):
    assert findings(settings, an_issuer(**wrong))


def test_other_issuers_need_a_secret_to_remember_sessions_under():
    (told,) = findings(settings, an_issuer(), secret=None, jwks="ours.json")
    assert "give a `secret_file`" in told


SIGN_IN = {"sign_in": True, "client_id": "us"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sign_in": True}, "client_id"),
        ({"client_id": "us"}, "sign_in"),
        ({"client_secret_file": "client"}, "sign_in"),
        (SIGN_IN | {"issuer": "http://a.example"}, "https"),
        (SIGN_IN | {"issuer": "https://a.example?x=y"}, "https address"),
        (SIGN_IN, "`accounts.enabled`"),
    ],
)
def test_signing_in_at_an_issuer_needs_all_that_it_needs(folder, changes, told):
    assert any(told in one for one in findings(read, folder, an_issuer(**changes)))
