"""What a good token gives; every bad one stands in tests/attacks/test_tokens.py."""

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.base64url import decode_base64url
from gateway.identity.claims import ClaimNames, TokenPolicy, issue, verify
from gateway.identity.keys import Key, KeyTable, merge, secret_table

NOW = from_milliseconds(1_795_000_000_500)  # half a second past a whole one
SECRET = bytes(range(32))
PRIVATE = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KEYS = merge(
    [
        secret_table(SECRET, "HS256"),
        *(
            KeyTable((Key(kid=name, algorithm=name, material=private.public_key()),))
            for name, private in PRIVATE.items()
        ),
    ]
)


def a_policy(**changes):
    values = {"issuer": "https://id.salon.example", "audience": "salon-gateway", "keys": KEYS}
    return TokenPolicy(**(values | changes))


def a_token(**changes):
    values = {
        "key": SECRET,
        "algorithm": "HS256",
        "kid": "HS256",
        "issuer": "https://id.salon.example",
        "audience": "salon-gateway",
        "staff": StaffId("staff:mei"),
        "epoch": 7,
        "now": NOW,
        "lifetime_seconds": 60,
    }
    return issue(**(values | changes))


def cause(token, policy=None, now=NOW):
    with pytest.raises(RequestError) as caught:
        verify(token, policy or a_policy(), now)
    return caught.value.cause


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_each_algorithm_verifies_with_its_key(algorithm):
    key = SECRET if algorithm == "HS256" else PRIVATE[algorithm]
    token = a_token(key=key, algorithm=algorithm, kid=algorithm)
    assert verify(token, a_policy(), NOW).staff == "staff:mei"


def test_the_claims_are_those_that_were_issued():
    names = ClaimNames(
        staff="employee", device="did", epoch="gen", app="client_app", roles="realm_roles"
    )
    token = a_token(
        names=names,
        device=DeviceId("phone-mei"),
        app="phone",
        epoch=2**63 - 1,
        roles=frozenset({Role("role:stylist")}),
    )
    claims = verify(token, a_policy(names=names), NOW)
    assert (claims.staff, claims.device, claims.app) == ("staff:mei", "phone-mei", "phone")
    assert claims.epoch == 2**63 - 1
    assert claims.roles == {"role:stylist"}
    assert claims.expires_at == from_milliseconds(1_795_000_060_000)


def test_what_a_token_does_not_say_is_none():
    claims = verify(a_token(), a_policy(names=ClaimNames(roles="roles")), NOW)
    assert (claims.device, claims.app, claims.roles) == (None, None, None)


def test_roles_narrow_only_when_a_claim_is_named_for_them():
    names = ClaimNames(roles="roles")
    token = a_token(names=names, roles=frozenset({Role("role:stylist")}))
    assert verify(token, a_policy(), NOW).roles is None
    assert verify(token, a_policy(names=names), NOW).roles == {"role:stylist"}


def test_no_roles_at_all_is_not_the_same_as_no_claim():
    names = ClaimNames(roles="roles")
    assert (
        verify(a_token(names=names, roles=frozenset()), a_policy(names=names), NOW).roles == set()
    )


def test_a_token_without_kid_is_read_with_a_single_key_only():
    token = a_token(kid=None)
    assert verify(token, a_policy(keys=secret_table(SECRET)), NOW)
    assert cause(token) is Cause.UNKNOWN_KEY


def test_a_token_is_good_up_to_but_not_at_the_second_it_expires():
    expiry = from_milliseconds(1_795_000_060_000)
    assert verify(a_token(), a_policy(), expiry - timedelta(microseconds=1))
    assert cause(a_token(), now=expiry) is Cause.EXPIRED


def test_leeway_moves_both_ends():
    policy = a_policy(leeway_seconds=10)
    start, expiry = from_milliseconds(1_795_000_000_000), from_milliseconds(1_795_000_060_000)
    assert verify(a_token(), policy, expiry + timedelta(seconds=9))
    assert cause(a_token(), policy, expiry + timedelta(seconds=10)) is Cause.EXPIRED
    assert verify(a_token(), policy, start - timedelta(seconds=10))
    assert cause(a_token(), policy, start - timedelta(seconds=11)) is Cause.NOT_YET_VALID


def test_time_is_the_callers_and_not_the_machines():
    long_ago = from_milliseconds(1_000)
    token = a_token(now=long_ago)
    assert verify(token, a_policy(), long_ago)
    far_away = from_milliseconds(20_000_000_000_000)
    assert verify(a_token(now=far_away), a_policy(), far_away)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"issuer": ""}, "an issuer and an audience"),
        ({"audience": ""}, "an issuer and an audience"),
        ({"leeway_seconds": 61}, "leeway must be 0 to 60"),
        ({"leeway_seconds": -1}, "leeway must be 0 to 60"),
        (
            {"keys": KeyTable((Key(kid="a", algorithm="RS256", material=SECRET),))},
            "not one for RS256",
        ),
        (
            {
                "keys": KeyTable(
                    (Key(kid="a", algorithm="HS256", material=PRIVATE["RS256"].public_key()),)
                )
            },
            "not one for HS256",
        ),
        (
            {
                "keys": KeyTable(
                    (Key(kid="a", algorithm="EdDSA", material=PRIVATE["ES256"].public_key()),)
                )
            },
            "not one for EdDSA",
        ),
        ({"keys": KeyTable((Key(kid="a", algorithm="none", material=b""),))}, "not one for none"),
    ],
)
def test_a_policy_that_cannot_hold_is_refused_at_load(changes, expected):
    with pytest.raises(ValueError, match=expected):
        a_policy(**changes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"staff": "exp"}, "`exp` has a meaning"),
        ({"roles": "aud"}, "`aud` has a meaning"),
        ({"device": "sub"}, "must differ"),
        ({"roles": "app"}, "must differ"),
        ({"epoch": ""}, "not be empty"),
    ],
)
def test_claim_names_that_collide_are_refused_at_load(names, expected):
    with pytest.raises(ValueError, match=expected):
        ClaimNames(**names)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epoch": -1}, "would be refused"),
        ({"epoch": 2**63}, "would be refused"),
        ({"epoch": True}, "would be refused"),
        ({"staff": "staff:"}, "would be refused"),
        ({"device": ""}, "would be refused"),
        ({"app": "Phone App"}, "would be refused"),
        ({"lifetime_seconds": 0}, "at least one second"),
        ({"lifetime_seconds": 10**12}, "would be refused"),
        ({"issuer": ""}, "an issuer and an audience"),
        ({"issuer": "x" * 9_000}, "would be refused: longer"),
        ({"roles": frozenset({Role("role:stylist")})}, "no claim is named"),
        ({"algorithm": "none"}, "the algorithm must be one of"),
        ({"algorithm": "HS512"}, "the algorithm must be one of"),
        ({"algorithm": "RS256"}, "does not fit RS256"),
        ({"algorithm": "RS256", "key": PRIVATE["RS256"].public_key()}, "does not fit RS256"),
        ({"algorithm": "ES256", "key": ec.generate_private_key(ec.SECP384R1())}, "does not fit"),
        ({"key": b"short"}, "does not fit HS256"),
    ],
)
def test_no_token_is_issued_that_would_not_verify(changes, expected):
    with pytest.raises(ValueError, match=expected):
        a_token(**changes)


def test_an_issued_token_says_no_more_than_it_must():
    header, payload, _ = a_token().split(".")
    assert json.loads(decode_base64url(header)) == {"alg": "HS256", "kid": "HS256", "typ": "JWT"}
    assert json.loads(decode_base64url(payload)) == {
        "iss": "https://id.salon.example",
        "aud": "salon-gateway",
        "iat": 1_795_000_000,
        "exp": 1_795_000_060,
        "sub": "mei",
        "epoch": 7,
    }


def test_nothing_secret_is_printed():
    assert SECRET.hex() not in repr(a_policy())
    assert "keys" not in repr(a_policy())
