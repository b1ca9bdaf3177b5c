"""No token is accepted but those we signed, and a bad one ends in a refusal and nothing else.

The first byte says what the rest is: a token as it came; header and payload, signed by a
stranger; a payload, signed with one of our keys, as a careless issuer might.
"""

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.base64url import encode_base64url
from gateway.identity.claims import ClaimNames, Claims, TokenPolicy, issue, verify
from gateway.identity.compact import MAX_TOKEN_CHARS
from gateway.identity.keys import Key, KeyTable, merge, secret_table
from gateway.texts.jsontext import parse_strict_json
from tests.fuzz.refusals import require_reason

SECONDS = 1_795_000_000
NOW = from_milliseconds(SECONDS * 1000)
SECRET = b"the-secret-of-the-salon-aoyama-0"
PRIVATE = {
    "HS256": SECRET,
    "ES256": ec.derive_private_key(0x5A10, ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.from_private_bytes(b"salon-aoyama" * 2 + b"12345678"),
}
PUBLIC = {name: PRIVATE[name].public_key() for name in ("ES256", "EdDSA")}
STRANGER = ed25519.Ed25519PrivateKey.from_private_bytes(b"not-a-salon!" * 2 + b"12345678")
NAMES = ClaimNames(roles="roles")
POLICY = TokenPolicy(
    issuer="https://id.example",
    audience="salon",
    names=NAMES,
    keys=merge(
        [
            secret_table(SECRET, "HS256"),
            *(
                KeyTable((Key(kid=name, algorithm=name, material=key),))
                for name, key in PUBLIC.items()
            ),
        ]
    ),
)


def a_token(algorithm: str, lifetime_seconds: int = 60) -> str:
    return issue(
        key=PRIVATE[algorithm],
        algorithm=algorithm,
        kid=algorithm,
        issuer="https://id.example",
        audience="salon",
        names=NAMES,
        staff=StaffId("staff:mei"),
        epoch=7,
        now=NOW,
        lifetime_seconds=lifetime_seconds,
    )


ISSUED = {name: a_token(name) for name in PRIVATE}
# Of ES256 a second signature can be made by whoever has the first: only the rest is compared.
MALLEABLE = ISSUED["ES256"].rpartition(".")[0]
PAYLOAD = (
    b'{"iss":"https://id.example","aud":"salon","iat":1794999990,"exp":1795000060,'
    b'"sub":"mei","epoch":7,"device":"phone-1","app":"phone","roles":["role:stylist"]}'
)
SEEDS = (
    *(b"\x00" + token.encode() for token in ISSUED.values()),
    b"\x01" + b'{"typ":"JWT","alg":"HS256","kid":"EdDSA"}\n' + PAYLOAD,
    b"\x02" + b'{"typ":"JWT","alg":"none","kid":"HS256"}\n' + PAYLOAD,
    b"\x03" + b'{"typ":"at+jwt","alg":"EdDSA"}\n' + PAYLOAD,
    *(bytes([number]) + PAYLOAD for number in (4, 5, 6)),
)
# fmt: off
WORDS = (
    b'"alg":', b'"kid":', b'"crit":', b'"b64":false', b'"zip":"DEF"', b'"exp":', b'"nbf":',
    b'"iat":', b'"sub":', b'"epoch":', b"none", b"HS256", b"ES256", b"EdDSA", b"RS256", b"NaN",
    b"1e400", b"true", b"null", b"\\u0000", b"\\ud800", b"staff:", b"1795000060.0", b"-1",
)
# fmt: on
# What somebody without a key of ours may sign with: their own, or what is public of ours.
_PEM = PUBLIC["EdDSA"].public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
_RAW = PUBLIC["EdDSA"].public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def check(data: bytes) -> None:
    kind, rest = (data[0] % 7, data[1:]) if data else (0, b"")
    if kind == 0:
        token = rest.decode("latin-1")
        signed = token.rpartition(".")[0]
        assert accepted(token) is None or token in ISSUED.values() or signed == MALLEABLE
    elif kind <= 3:
        header, _, payload = rest.partition(b"\n")
        signed = f"{encode_base64url(header)}.{encode_base64url(payload)}"
        strange = (STRANGER.sign, _hmac(_PEM), _hmac(_RAW))[kind - 1](signed.encode())
        assert accepted(f"{signed}.{encode_base64url(strange)}") is None
        assert accepted(f"{signed}.") is None
    else:
        _careless(("HS256", "ES256", "EdDSA")[kind - 4], rest)


def accepted(token: str) -> Claims | None:
    """The claims, or None: refused in the one way there is."""
    try:
        return verify(token, POLICY, NOW)
    except RequestError as error:
        require_reason(error, {Reason.UNAUTHENTICATED})
        return None


def _hmac(secret: bytes) -> Any:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def _careless(algorithm: str, payload: bytes) -> None:
    """A payload of whatever bytes, under a right signature: right claims or a refusal."""
    header = b'{"alg":"%b","typ":"JWT","kid":"%b"}' % (algorithm.encode(), algorithm.encode())
    signed = f"{encode_base64url(header)}.{encode_base64url(payload)}"
    found = accepted(f"{signed}.{encode_base64url(_signature(algorithm, signed.encode()))}")
    if found is None:
        return
    members = parse_strict_json(payload, 16, MAX_TOKEN_CHARS)
    assert members == json.loads(payload)
    assert (members["iss"], members["aud"]) == ("https://id.example", "salon")
    assert type(members["exp"]) is int
    assert members["exp"] > SECONDS
    assert all(type(members.get(name, 0)) is int for name in ("nbf", "iat"))
    assert max(members.get("nbf", 0), members.get("iat", 0)) <= SECONDS
    assert found.staff == "staff:" + members["sub"].removeprefix("staff:")
    assert (found.device, found.app) == (members.get("device"), members.get("app"))
    assert type(members["epoch"]) is int
    assert found.epoch == members["epoch"]
    assert (found.roles is None) == ("roles" not in members)


def _signature(algorithm: str, signed: bytes) -> bytes:
    if algorithm == "HS256":
        return hmac.digest(SECRET, signed, hashlib.sha256)
    if algorithm == "EdDSA":
        return PRIVATE["EdDSA"].sign(signed)
    r, s = utils.decode_dss_signature(PRIVATE["ES256"].sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)
