"""The theorems of gateway/identity/claims.py, on random tokens."""

import base64
import hashlib
import hmac
import json
import os
import string

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.claims import ClaimNames, TokenPolicy, issue, verify
from gateway.identity.keys import Key, KeyTable, merge, secret_table

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SECRET = b"the-secret-of-the-salon-aoyama-0"
SECONDS = 1_795_000_000
NOW = from_milliseconds(SECONDS * 1000)
PRIVATE = {
    "HS256": SECRET,
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
NAMES = ClaimNames(roles="roles")
KEYS = merge(
    [
        secret_table(SECRET, "HS256"),
        *(
            KeyTable((Key(kid=alg, algorithm=alg, material=PRIVATE[alg].public_key()),))
            for alg in ("RS256", "ES256", "EdDSA")
        ),
    ]
)
POLICY = TokenPolicy(issuer="https://id.example", audience="salon", keys=KEYS, names=NAMES)
ALGORITHMS = sorted(PRIVATE)
URL_SAFE = string.ascii_letters + string.digits + "-_"

names = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,20}\Z")
devices = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")


def a_token(algorithm, **changes):
    values = {
        "key": PRIVATE[algorithm],
        "algorithm": algorithm,
        "kid": algorithm,
        "issuer": "https://id.example",
        "audience": "salon",
        "names": NAMES,
        "staff": StaffId("staff:mei"),
        "epoch": 7,
        "now": NOW,
        "lifetime_seconds": 60,
    }
    return issue(**(values | changes))


GOOD = {algorithm: a_token(algorithm) for algorithm in ALGORITHMS}


def refused(token, policy=POLICY, now=NOW):
    """Refused in the one way there is: nothing else may be raised."""
    with pytest.raises(RequestError) as caught:
        verify(token, policy, now)
    assert caught.value.reason is Reason.UNAUTHENTICATED
    assert caught.value.cause is not None
    return caught.value.cause


@settings(max_examples=100 * FUZZ, deadline=None)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    staff=names,
    device=st.none() | devices,
    app=st.none() | names,
    roles=st.none() | st.frozensets(names.map(lambda name: Role(f"role:{name}")), max_size=5),
    epoch=st.integers(0, 2**63 - 1),
    now=st.integers(0, 4_000_000_000_000).map(from_milliseconds),
    lifetime=st.integers(1, 10**8),
)
def test_an_issued_token_verifies_with_exactly_the_claims_it_was_issued_with(
    algorithm, staff, device, app, roles, epoch, now, lifetime
):
    token = a_token(
        algorithm,
        staff=StaffId(f"staff:{staff}"),
        device=None if device is None else DeviceId(device),
        app=app,
        roles=roles,
        epoch=epoch,
        now=now,
        lifetime_seconds=lifetime,
    )
    claims = verify(token, POLICY, now)
    assert (claims.staff, claims.device, claims.app) == (f"staff:{staff}", device, app)
    assert (claims.roles, claims.epoch) == (roles, epoch)
    assert 0 < (claims.expires_at - now).total_seconds() <= lifetime
    assert refused(token, now=claims.expires_at) is Cause.EXPIRED


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.sampled_from(ALGORITHMS), st.data())
def test_a_token_with_one_character_changed_never_verifies(algorithm, data):
    token = GOOD[algorithm]
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(URL_SAFE + ".=+/ ").filter(lambda c: c != token[at]))
    refused(token[:at] + other + token[at + 1 :])


@settings(max_examples=200 * FUZZ, deadline=None)
@given(st.sampled_from(ALGORITHMS), st.data())
def test_a_token_with_something_put_in_or_cut_out_never_verifies(algorithm, data):
    token = GOOD[algorithm]
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    middle = data.draw(st.text(URL_SAFE + ".= \n", max_size=8))
    changed = token[:start] + middle + token[end:]
    if changed != token:
        refused(changed)


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.permutations(ALGORITHMS), st.sampled_from(list(range(3))))
def test_a_segment_of_another_good_token_never_fits(algorithms, part):
    one, other = (a_token(alg, epoch=i).split(".") for i, alg in enumerate(algorithms[:2]))
    one[part] = other[part]
    refused(".".join(one))


@settings(max_examples=200 * FUZZ, deadline=None)
@given(st.text(max_size=200) | st.lists(st.text(URL_SAFE, max_size=40), max_size=5).map(".".join))
def test_no_text_at_all_gets_anything_but_a_refusal(token):
    refused(token)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes, payload: bytes) -> str:
    """What an issuer gone wrong could send: anything, under a good signature."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(hmac.digest(SECRET, text.encode(), hashlib.sha256))}"


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([SECONDS, SECONDS + 1, SECONDS + 60, "mei", "salon", "https://id.example"])
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
CLAIMS = ("iss", "aud", "exp", "nbf", "iat", "sub", "device", "epoch", "app", "roles")
GOOD_PAYLOAD = {
    "iss": "https://id.example",
    "aud": "salon",
    "exp": SECONDS + 60,
    "sub": "mei",
    "epoch": 7,
}
GOOD_HEADER = {"alg": "HS256", "kid": "HS256"}


def is_a(claim, value):
    """The schema of one claim, written a second time."""
    integer = isinstance(value, int) and not isinstance(value, bool)
    ascii_word = isinstance(value, str) and value.isascii()
    lower = set(string.ascii_lowercase + string.digits)
    match claim:
        case "iss":
            return value == "https://id.example"
        case "aud":
            return value == "salon"
        case "exp":
            return integer and SECONDS < value <= 32_503_680_000
        case "nbf" | "iat":
            return integer and 0 <= value <= SECONDS
        case "epoch":
            return integer and 0 <= value < 2**63
        case "sub" | "app":
            word = value
            if claim == "sub" and ascii_word and value.startswith("staff:"):
                word = value[6:]
            return (
                ascii_word
                and 1 <= len(word) <= 63
                and word[0] in lower
                and all(char in lower or char in "-_" for char in word)
            )
        case "device":
            return (
                ascii_word
                and 1 <= len(value) <= 64
                and value[0].isalnum()
                and all(char.isalnum() or char in "-_." for char in value)
            )
        case "roles":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)


@settings(max_examples=500 * FUZZ, deadline=None)
@given(st.dictionaries(st.sampled_from(CLAIMS), anything, min_size=1, max_size=2))
def test_each_claim_is_judged_as_the_schema_says(changes):
    payload = GOOD_PAYLOAD | changes
    text = json.dumps(payload)
    token = signed(json.dumps(GOOD_HEADER).encode(), text.encode())
    wild = any(word in text for word in ("NaN", "Infinity")) or not _utf8(changes)
    if not wild and all(is_a(claim, value) for claim, value in changes.items()):
        assert verify(token, POLICY, NOW)
    else:
        refused(token)


def _utf8(value):
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@settings(max_examples=200 * FUZZ, deadline=None)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "x"]), anything),
    st.binary(max_size=60) | st.just(GOOD_PAYLOAD),
)
def test_whatever_is_signed_nothing_but_a_refusal_or_claims_comes_out(header, payload):
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode()
        for part in (header, payload)
    ]
    try:
        verify(signed(*parts), POLICY, NOW)
    except RequestError as error:
        assert error.reason is Reason.UNAUTHENTICATED  # noqa: PT017  # either way is fine
