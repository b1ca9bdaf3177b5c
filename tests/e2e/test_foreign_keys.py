"""An identity provider of somebody else's: a JWKS with every algorithm, through real sockets."""

import base64
import hmac
import json
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.backends.clock import SystemClock
from gateway.demo.world import crm
from gateway.domain.subject import Role, staff_id
from gateway.identity.claims import ClaimNames, issue
from tests.e2e.gateway_process import run_cli, send, started, write_folder

KEYS = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": Ed25519PrivateKey.generate(),
}
NAMES = ClaimNames(roles="groups")


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    size = length or (value.bit_length() + 7) // 8
    return encoded(value.to_bytes(size, "big"))


def jwks():
    """The public halves, as a provider publishes them."""
    rsa_numbers = KEYS["RS256"].public_key().public_numbers()
    ec_numbers = KEYS["ES256"].public_key().public_numbers()
    point = KEYS["EdDSA"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {
        "keys": [
            {"kid": "RS256", "kty": "RSA", "n": number(rsa_numbers.n), "e": number(rsa_numbers.e)},
            {
                "kid": "ES256",
                "kty": "EC",
                "crv": "P-256",
                "x": number(ec_numbers.x, 32),
                "y": number(ec_numbers.y, 32),
            },
            {"kid": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": encoded(point)},
        ]
    }


@pytest.fixture(scope="module")
def salon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("salon")
    with crm(tmp_path_factory.mktemp("crm")) as behind:
        tokens = {
            "jwks": "secrets/keys.json",
            "issuer": "https://id.example",
            "claims": {"roles": "groups"},
        }
        write_folder(folder, f"http://127.0.0.1:{behind.said['port']}", tokens=tokens)
        (folder / "secrets" / "keys.json").write_text(json.dumps(jwks()), encoding="utf-8")
        with started(folder) as running:
            yield running


def token(salon, who, *, kid, signed_with=None, roles=None):
    """A token as the provider would issue it, at the epoch that `session enrol` tells it."""
    done = salon.cli("--output", "json", "session", "enrol", who)
    return issue(
        key=KEYS[signed_with or kid],
        algorithm=signed_with or kid,
        kid=kid,
        issuer="https://id.example",
        audience="salon-crm",
        names=NAMES,
        staff=staff_id(who),
        app="backoffice",
        roles=roles,
        epoch=json.loads(done.stdout)["epoch"],
        now=SystemClock().now(),
        lifetime_seconds=600,
    )


@pytest.mark.parametrize("kid", sorted(KEYS))
def test_a_token_of_each_algorithm_is_somebody(salon, kid):
    reply = salon.ask("GET", "/api/clients/7", token=token(salon, "ken", kid=kid))
    assert reply.status == 200
    assert "phone" in reply.data


@pytest.mark.parametrize(("kid", "other"), [("RS256", "ES256"), ("EdDSA", "RS256")])
def test_a_key_counts_for_its_own_algorithm_only(salon, kid, other):
    forged = token(salon, "ken", kid=kid, signed_with=other)
    assert salon.ask("GET", "/api/clients/7", token=forged).verdict == (401, "unauthenticated")


def test_the_public_key_as_a_shared_secret_opens_nothing(salon):
    # Signed by hand: PyJWT knows this trick and would not help with it.
    _, payload, _ = token(salon, "ken", kid="RS256").split(".")
    head = {"alg": "HS256", "typ": "JWT", "kid": "RS256"}
    signed = f"{encoded(json.dumps(head).encode())}.{payload}"
    published = KEYS["RS256"].public_key()
    public = published.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"
    assert salon.ask("GET", "/api/clients/7", token=forged).status == 401


def test_roles_in_the_token_narrow_what_the_roster_gives_and_never_add(salon):
    narrow = token(salon, "ken", kid="ES256", roles=frozenset({Role("role:reception")}))
    assert salon.ask("GET", "/api/clients/7", token=narrow).status == 200
    assert salon.ask("DELETE", "/api/clients/7", token=narrow).reason == "no_rule_allows"
    more = token(salon, "mei", kid="ES256", roles=frozenset({Role("role:manager")}))
    assert salon.ask("GET", "/api/clients/7", token=more).reason == "no_rule_allows"


def test_a_forced_logout_ends_a_foreign_token_on_its_open_connection(salon):
    bearer = {"Authorization": f"Bearer {token(salon, 'ken', kid='EdDSA')}"}
    with closing(salon.connect()) as connection:
        assert send(connection, "GET", "/api/clients/7", bearer).status == 200
        assert run_cli(salon.folder, "session", "revoke", "ken").returncode == 0
        assert send(connection, "GET", "/api/clients/7", bearer).status == 401
