"""A key set that an issuer publishes: what counts of it, what is left out, what makes it none."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.identity.keys import MAX_PUBLISHED_KEYS, parse_published
from tests.oracles.foreign_world import ALL, SigningKey

RSA = json.loads(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key()))
P256 = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))
P384 = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()))
GOOD = SigningKey("good").public


def read(*entries, algorithms=ALL):
    table = parse_published(json.dumps({"keys": entries}), algorithms)
    return None if table is None else [(key.kid, key.algorithm) for key in table.keys]


def test_keys_of_every_kind_count():
    found = read(GOOD, RSA | {"kid": "r"}, P256 | {"kid": "p"})
    assert found == [("good", "EdDSA"), ("r", "RS256"), ("p", "ES256")]


def test_a_set_without_any_key_of_ours_is_a_set_that_withdraws_them_all():
    assert read() is None
    assert read(P384 | {"kid": "big"}) is None


@pytest.mark.parametrize(
    "other",
    [
        P384 | {"kid": "x"},
        {"kty": "OKP", "crv": "Ed448", "x": "AAAA", "kid": "x"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "x"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"},
        {"kty": 7, "kid": "x"},
        {"kid": "x"},
        RSA | {"kid": "x", "alg": "RS512"},
        RSA | {"kid": "x", "alg": "PS256"},
        RSA | {"kid": "x", "alg": "RSA-OAEP", "use": "enc"},
        RSA | {"kid": "x", "use": "enc"},
        RSA | {"kid": "x", "key_ops": ["encrypt"]},
        RSA | {"kid": "x", "key_ops": "verify"},
    ],
)
def test_keys_for_something_else_are_left_out(other):
    assert read(GOOD, other) == [("good", "EdDSA")]


def test_only_the_algorithms_that_the_owner_named_count():
    assert read(GOOD, RSA | {"kid": "r"}, algorithms=frozenset({"RS256"})) == [("r", "RS256")]


@pytest.mark.parametrize(
    "broken",
    [
        RSA | {"kid": "x", "d": "AAAA"},
        P384 | {"kid": "x", "d": "AAAA"},  # a private key of any kind: its issuer leaks
        {"kty": "AKP", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "oct", "kid": "x"},
        RSA | {"kid": "x", "n": RSA["n"][:100]},
        RSA | {"kid": "x", "e": "AQ"},
        P256 | {"kid": "x", "y": P256["x"]},
        {name: value for name, value in P256.items() if name != "y"} | {"kid": "x"},
        RSA | {"kid": ""},
        RSA | {"kid": "good"},
        RSA,  # without a name beside another
    ],
)
def test_one_broken_key_makes_the_whole_set_none(broken):
    with pytest.raises(ValueError):
        read(GOOD, broken)


def test_a_single_key_may_go_without_a_name():
    assert read(RSA) == [(None, "RS256")]


def test_a_set_has_so_many_keys_and_not_one_more():
    entries = [GOOD | {"kid": str(number)} for number in range(MAX_PUBLISHED_KEYS)]
    assert len(read(*entries)) == MAX_PUBLISHED_KEYS
    with pytest.raises(ValueError, match="more than"):
        read(*entries, P384 | {"kid": "left out otherwise"})
