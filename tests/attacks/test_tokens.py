"""One test per trick with a token. Tests here are never deleted.

Tokens are put together by hand, byte for byte, and signed with the right key wherever the
trick is not the signature: what is refused here is refused because of the trick alone. The
library alone would accept several of them; where that was tried, the test shows it.
"""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.domain.time import from_milliseconds
from gateway.identity.claims import ClaimNames, TokenPolicy, verify
from gateway.identity.keys import Key, KeyTable, merge, secret_table

SECONDS = 1_795_000_000
NOW = from_milliseconds(SECONDS * 1000)
SECRET = b"the-secret-of-the-salon-aoyama-0"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()

POLICY = TokenPolicy(
    issuer="https://id.salon.example",
    audience="salon-gateway",
    keys=merge(
        [
            secret_table(SECRET, "hs"),
            KeyTable((Key(kid="rs", algorithm="RS256", material=RSA_KEY.public_key()),)),
            KeyTable((Key(kid="es", algorithm="ES256", material=EC_KEY.public_key()),)),
            KeyTable((Key(kid="ed", algorithm="EdDSA", material=ED_KEY.public_key()),)),
        ]
    ),
    names=ClaimNames(roles="roles"),
)

HEADER = {"alg": "HS256", "kid": "hs", "typ": "JWT"}
PAYLOAD = {
    "iss": "https://id.salon.example",
    "aud": "salon-gateway",
    "iat": SECONDS,
    "exp": SECONDS + 60,
    "sub": "mei",
    "epoch": 7,
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def as_bytes(part) -> bytes:
    if isinstance(part, bytes):
        return part
    return part.encode() if isinstance(part, str) else json.dumps(part).encode()


def hs256(text: str, secret: bytes = SECRET) -> str:
    return f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def a_token(payload=PAYLOAD, header=HEADER, secret=SECRET) -> str:
    return hs256(f"{b64(as_bytes(header))}.{b64(as_bytes(payload))}", secret)


def with_header(**changes):
    return a_token(header=HEADER | changes)


def with_claims(**changes):
    return a_token(PAYLOAD | changes)


def without(name):
    return a_token({key: value for key, value in PAYLOAD.items() if key != name})


def raw_payload(name, value):
    """The payload as text, with one claim spelled by hand."""
    rest = json.dumps({key: claim for key, claim in PAYLOAD.items() if key != name})
    return f'{{"{name}": {value}, {rest[1:]}'


def cause(token, policy=POLICY):
    with pytest.raises(RequestError) as caught:
        verify(token, policy, NOW)
    assert caught.value.reason is Reason.UNAUTHENTICATED
    # Nothing of a credential in what is said or logged.
    assert caught.value.detail == ""
    assert str(caught.value) == "unauthenticated"
    return caught.value.cause


def the_library_alone_accepts(token):
    """What would have got through without the strict reading."""
    jwt.decode(
        token,
        SECRET,
        algorithms=["HS256"],
        audience="salon-gateway",
        issuer="https://id.salon.example",
        # Only because this token's `now` is not the machine's.
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    return True


def test_the_token_that_all_tricks_start_from_is_good():
    claims = verify(a_token(), POLICY, NOW)
    assert (claims.staff, claims.epoch) == ("staff:mei", 7)


# --- the signature ---------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AA"])
@pytest.mark.parametrize("kid", ["hs", "rs", "unheard-of"])
def test_a_token_without_a_signature(alg, signature, kid):
    text = f"{b64(as_bytes(HEADER | {'alg': alg, 'kid': kid}))}.{b64(as_bytes(PAYLOAD))}"
    assert cause(f"{text}.{signature}") is Cause.ALGORITHM_REFUSED


@pytest.mark.parametrize("kid", ["hs", "rs", "es", "ed"])
def test_a_signature_cut_off_under_a_good_algorithm(kid):
    alg = {"hs": "HS256", "rs": "RS256", "es": "ES256", "ed": "EdDSA"}[kid]
    text = f"{b64(as_bytes(HEADER | {'alg': alg, 'kid': kid}))}.{b64(as_bytes(PAYLOAD))}"
    for signature in ("", "AA", "AAAA", b64(bytes(64)), b64(bytes(256))):
        assert cause(f"{text}.{signature}") is Cause.BAD_SIGNATURE


def public_forms(key):
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ):
        data = key.public_key().public_bytes(encoding, form)
        yield data
        yield data.strip()


@pytest.mark.parametrize("kid", ["rs", "es", "ed"])
def test_the_public_key_taken_for_an_hmac_secret(kid):
    key = {"rs": RSA_KEY, "es": EC_KEY, "ed": ED_KEY}[kid]
    for secret in public_forms(key):
        for named in (kid, "hs"):
            token = a_token(header=HEADER | {"kid": named}, secret=secret)
            expected = Cause.BAD_SIGNATURE if named == "hs" else Cause.ALGORITHM_REFUSED
            assert cause(token) is expected


def test_a_token_that_only_names_a_stronger_algorithm():
    for alg in (
        "HS384",
        "HS512",
        "PS256",
        "RS384",
        "ES384",
        "ES256K",
        "Ed25519",
        "hs256",
        "HS256 ",
    ):
        assert cause(with_header(alg=alg)) is Cause.ALGORITHM_REFUSED


def test_the_key_of_another_algorithm():
    for kid in ("rs", "es", "ed"):
        assert cause(with_header(kid=kid)) is Cause.ALGORITHM_REFUSED
    for alg in ("RS256", "ES256", "EdDSA"):
        assert cause(with_header(alg=alg)) is Cause.ALGORITHM_REFUSED


def test_a_key_of_somebody_else():
    assert cause(a_token(secret=b"x" * 32)) is Cause.BAD_SIGNATURE
    text = f"{b64(as_bytes({'alg': 'RS256', 'kid': 'rs'}))}.{b64(as_bytes(PAYLOAD))}"
    stranger = rsa.generate_private_key(65537, 2048)
    signature = stranger.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert cause(f"{text}.{b64(signature)}") is Cause.BAD_SIGNATURE


@pytest.mark.parametrize(
    "kid", ["other", "", "HS", "hs ", "hs\u0000", "../../dev/null", "hs' OR '1'='1", "*", "0"]
)
def test_a_key_id_that_is_not_in_the_table(kid):
    assert cause(with_header(kid=kid)) is Cause.UNKNOWN_KEY


@pytest.mark.parametrize("kid", [None, 0, True, ["hs"], {"kid": "hs"}, 1.0])
def test_a_key_id_that_is_not_text(kid):
    assert cause(with_header(kid=kid)) is Cause.TOKEN_MALFORMED


def test_no_key_id_with_several_keys_is_not_a_search_for_one_that_fits():
    assert cause(a_token(header={"alg": "HS256"})) is Cause.UNKNOWN_KEY


def test_a_der_signature_where_the_raw_form_belongs():
    text = f"{b64(as_bytes({'alg': 'ES256', 'kid': 'es'}))}.{b64(as_bytes(PAYLOAD))}"
    der = EC_KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    assert cause(f"{text}.{b64(der)}") is Cause.BAD_SIGNATURE


def test_psychic_signatures_of_zeros():
    text = f"{b64(as_bytes({'alg': 'ES256', 'kid': 'es'}))}.{b64(as_bytes(PAYLOAD))}"
    assert cause(f"{text}.{b64(bytes(64))}") is Cause.BAD_SIGNATURE
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r, s in ((order, order), (0, 1), (1, 0), (order, 1), (1, order)):
        forged = r.to_bytes(32) + s.to_bytes(32)
        assert cause(f"{text}.{b64(forged)}") is Cause.BAD_SIGNATURE


def test_a_second_ecdsa_signature_is_the_same_token_and_not_a_new_one():
    """Anyone can turn (r, s) into (r, n - s): so revocation goes by epoch, never by text."""
    text = f"{b64(as_bytes({'alg': 'ES256', 'kid': 'es'}))}.{b64(as_bytes(PAYLOAD))}"
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(EC_KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    assert encode_dss_signature(r, order - s)
    twins = [f"{text}.{b64(r.to_bytes(32) + x.to_bytes(32))}" for x in (s, order - s)]
    assert twins[0] != twins[1]
    assert verify(twins[0], POLICY, NOW) == verify(twins[1], POLICY, NOW)


# --- the header ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": True},
        {"crit": None},
        {"b64": True},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
        {"cty": ""},
    ],
)
def test_a_header_that_asks_for_another_reading(member):
    assert cause(with_header(**member)) is Cause.TOKEN_MALFORMED


def test_a_key_brought_along_in_the_header_is_never_looked_at():
    own = {"kty": "oct", "k": b64(b"y" * 32)}
    brought = {
        "jwk": own,
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/cert",
        "x5c": ["AAAA"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
    }
    header = HEADER | brought
    assert cause(a_token(header=header, secret=b"y" * 32)) is Cause.BAD_SIGNATURE
    assert verify(a_token(header=header), POLICY, NOW).staff == "staff:mei"
    stranger = {key: value for key, value in header.items() if key != "kid"}
    assert cause(a_token(header=stranger, secret=b"y" * 32)) is Cause.UNKNOWN_KEY


@pytest.mark.parametrize(
    "typ", ["logout+jwt", "dpop+jwt", "JWE", "secevent+jwt", "", None, 7, ["JWT"], "\uff2aWT"]
)
def test_another_kind_of_token_of_the_same_issuer(typ):
    assert cause(with_header(typ=typ)) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_access_tokens_are_known_by_their_type(typ):
    assert verify(with_header(typ=typ), POLICY, NOW)


@pytest.mark.parametrize("alg", [None, 0, True, ["HS256"], {"HS256": 1}])
def test_an_algorithm_that_is_not_text(alg):
    assert cause(with_header(alg=alg)) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        '{"kid": "hs"}',
        '{"alg": "none", "alg": "HS256", "kid": "hs"}',
        '{"alg": "HS256", "kid": "rs", "kid": "hs"}',
        '{"alg": "HS256", "kid": "rs", "k\\u0069d": "hs"}',
        '{"alg": "HS256", "kid": "hs", "x": NaN}',
        '{"alg": "HS256", "kid": "hs", "x": "\\ud800"}',
        '["HS256"]',
        '"HS256"',
        "null",
        "",
        "{",
        '{"alg": "HS256", "kid": "hs"} {}',
        b'\xef\xbb\xbf{"alg": "HS256", "kid": "hs"}',
        '{"alg": "HS256", "kid": "hs"}'.encode("utf-16"),
        b'{"alg": "HS256", "kid": "hs", "x": "\xff"}',
        '{"alg": "HS256", "kid": "hs", "x": ' + "[" * 16 + "]" * 16 + "}",
        '{"alg": "HS256", "kid": "hs", "x": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
def test_a_header_with_two_readings_or_none(header):
    assert cause(a_token(header=header)) is Cause.TOKEN_MALFORMED


# --- the outer form --------------------------------------------------------------------------


def spelled(*, header=None, payload=None, signature=None):
    """The good token with one segment spelled by a function of it, signed as spelled."""
    first, second = b64(as_bytes(HEADER)), b64(as_bytes(PAYLOAD))
    text = f"{(header or str)(first)}.{(payload or str)(second)}"
    whole = hs256(text)
    head, _, last = whole.rpartition(".")
    return f"{head}.{(signature or str)(last)}"


def padded(segment):
    return segment + "=" * (-len(segment) % 4 or 4)


def test_padding_is_a_second_spelling_of_the_same_token():
    assert the_library_alone_accepts(spelled(signature=padded))
    for segment in ("header", "payload", "signature"):
        assert cause(spelled(**{segment: padded})) is Cause.TOKEN_MALFORMED
        assert cause(spelled(**{segment: lambda text: text + "="})) is Cause.TOKEN_MALFORMED


def next_letter(segment):
    """Another last letter with the same bytes, where the last letter has bits to spare."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def test_bits_after_the_last_byte_are_a_second_spelling():
    # 32 bytes of signature are 43 letters: the last one has two bits to spare.
    good, twin = a_token(), spelled(signature=next_letter)
    decoded = [base64.urlsafe_b64decode(t.rpartition(".")[2] + "=") for t in (good, twin)]
    assert good != twin
    assert decoded[0] == decoded[1]
    assert cause(twin) is Cause.TOKEN_MALFORMED


def test_the_alphabet_of_plain_base64():
    payload = PAYLOAD | {"x": "\u00ff\u00fe\u00fb?>?>?>"}
    text = json.dumps(payload, ensure_ascii=False).encode()
    plain = base64.b64encode(text).rstrip(b"=").decode()
    assert "/" in plain or "+" in plain
    assert cause(hs256(f"{b64(as_bytes(HEADER))}.{plain}")) is Cause.TOKEN_MALFORMED
    assert verify(a_token(text), POLICY, NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "null",
        a_token().rpartition(".")[0],
        a_token() + ".",
        a_token() + ".AAAA",
        a_token() + "." + a_token(),
        "." + a_token(),
        a_token().replace(".", "..", 1),
        a_token() + "\n",
        " " + a_token(),
        a_token() + " ",
        a_token().replace(".", ". ", 1),
        a_token().replace(".", "\n.", 1),
        a_token()[:50] + "\r\n" + a_token()[50:],
        a_token() + "\x00",
        a_token() + "\u200b",
        "\ufeff" + a_token(),
        a_token().replace("e", "\uff45", 1),
        a_token().replace(".", "\u3002", 1),
        a_token()[:-1] + "\ud800",
        "%2E".join(a_token().split(".")),
        f'"{a_token()}"',
        json.dumps({"payload": b64(as_bytes(PAYLOAD)), "signatures": []}),
    ],
)
def test_what_is_not_three_segments_of_base64url(token):
    assert cause(token) is Cause.TOKEN_MALFORMED


def test_more_than_8_kilobytes_are_not_even_read():
    filler = 8192 - len(a_token())
    fits = a_token(PAYLOAD | {"x": "y" * (filler * 3 // 4 - 12)})
    assert 8180 < len(fits) <= 8192
    assert verify(fits, POLICY, NOW)
    # Its parts are all below the bound; the whole is a little above.
    above = a_token(PAYLOAD | {"x": "y" * (filler * 3 // 4 + 4)})
    assert 8192 < len(above) < 8220
    assert cause(above) is Cause.TOKEN_MALFORMED
    assert cause(with_claims(x="y" * 8192)) is Cause.TOKEN_MALFORMED
    assert cause("A" * 10**6) is Cause.TOKEN_MALFORMED
    assert cause("A." * 10**6) is Cause.TOKEN_MALFORMED


# --- the payload -----------------------------------------------------------------------------


def test_a_duplicate_member():
    twice = '{"sub": "ken", ' + json.dumps(PAYLOAD)[1:]
    assert the_library_alone_accepts(a_token(twice))
    assert cause(a_token(twice)) is Cause.TOKEN_MALFORMED
    escaped = '{"s\\u0075b": "ken", ' + json.dumps(PAYLOAD)[1:]
    assert the_library_alone_accepts(a_token(escaped))
    assert cause(a_token(escaped)) is Cause.TOKEN_MALFORMED
    nested = raw_payload("x", '{"a": 1, "a": 2}')
    assert cause(a_token(nested)) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["x", "exp"])
def test_numbers_that_are_none(name, constant):
    if name == "x":
        assert the_library_alone_accepts(a_token(raw_payload(name, constant)))
    assert cause(a_token(raw_payload(name, constant))) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"]
)
def test_another_encoding(encoding):
    payload = json.dumps(PAYLOAD | {"name": "ï"}, ensure_ascii=False).encode(encoding)
    if encoding in {"utf-16", "utf-8-sig"}:
        assert the_library_alone_accepts(a_token(payload))
    if encoding == "utf-7":  # plain ASCII: not another encoding, but another name
        assert verify(a_token(payload), POLICY, NOW).staff == "staff:mei"
    else:
        assert cause(a_token(payload)) is Cause.TOKEN_MALFORMED


def test_half_a_surrogate_pair():
    assert cause(a_token(raw_payload("x", '"\\ud800"'))) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize("depth", [16, 17, 500, 3000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_nesting(depth, pair):
    opening = '{"a":' if pair == "{}" else "["
    tower = opening * (depth - 1) + pair + pair[1] * (depth - 1)
    token = a_token(raw_payload("x", tower))
    assert cause(token) is Cause.TOKEN_MALFORMED


def test_nesting_up_to_16_levels_is_read():
    assert verify(a_token(raw_payload("x", "[" * 15 + "]" * 15)), POLICY, NOW)


@pytest.mark.parametrize(
    "payload", ["", "[]", "null", "7", '"x"', "{", "{}{}", "{'a': 1}", b"\x00"]
)
def test_a_payload_that_is_no_object(payload):
    # An empty payload is an empty segment: refused before anything is computed.
    assert cause(a_token(payload)) is Cause.TOKEN_MALFORMED


def test_a_token_inside_a_token():
    assert cause(a_token(json.dumps(a_token()))) is Cause.TOKEN_MALFORMED
    assert cause(a_token(a_token())) is Cause.TOKEN_MALFORMED


# --- the claims ------------------------------------------------------------------------------

NOT_INTEGERS = [
    '"1795000060"',
    '"\uff11\uff17\uff19\uff15\uff10\uff10\uff10\uff10\uff16\uff10"',
    "1795000060.0",
    "1795000060.5",
    "1.79500006e9",
    "true",
    "false",
    "null",
    "[1795000060]",
    '{"exp": 1795000060}',
    "99999999999999999999999",  # 23 digits
    "1795000060000",  # milliseconds
    "-1",
    "-1795000060",
]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", NOT_INTEGERS)
def test_a_time_is_an_integer_of_seconds_within_reason(name, value):
    assert cause(a_token(raw_payload(name, value))) is Cause.CLAIM_INVALID


@pytest.mark.parametrize("value", ['"9999999999"', "9999999999.9", "99999999999999999999999"])
def test_the_library_alone_takes_such_an_expiry(value):
    token = a_token(raw_payload("exp", value))
    assert the_library_alone_accepts(token)
    assert jwt.decode(
        token, SECRET, algorithms=["HS256"], options={"verify_aud": False, "verify_iat": False}
    )
    assert cause(token) is Cause.CLAIM_INVALID


def test_a_number_of_thousands_of_digits():
    assert cause(a_token(raw_payload("exp", "9" * 999))) is Cause.CLAIM_INVALID
    assert cause(a_token(raw_payload("exp", "9" * 5000))) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize("name", ["exp", "sub", "epoch", "iss", "aud"])
def test_a_missing_claim(name):
    assert cause(without(name)) is Cause.CLAIM_INVALID


@pytest.mark.parametrize("exp", [SECONDS, SECONDS - 1, 0])
def test_an_expired_token(exp):
    assert cause(with_claims(exp=exp)) is Cause.EXPIRED


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_from_the_future(name):
    assert cause(with_claims(**{name: SECONDS + 1})) is Cause.NOT_YET_VALID


@pytest.mark.parametrize(
    "epoch", [True, False, None, "7", 7.0, 7.5, -1, 2**63, 10**30, [7], {"epoch": 7}]
)
def test_an_epoch_is_an_integer_that_a_store_can_count(epoch):
    assert cause(with_claims(epoch=epoch)) is Cause.CLAIM_INVALID


@pytest.mark.parametrize(
    "sub",
    [
        "",
        None,
        7,
        True,
        ["mei"],
        {"sub": "mei"},
        "Mei",
        "mei ",
        " mei",
        "mei\n",
        "mei\u0000",
        "m\u0435i",  # a Cyrillic letter that looks like e
        "\uff4dei",
        "staff:",
        "staff:staff:mei",
        "role:owner",
        "staff:role:owner",
        "STAFF:mei",
        "*",
        "mei,ken",
        "../mei",
        "x" * 64,
    ],
)
def test_a_subject_is_one_staff_id(sub):
    assert cause(with_claims(sub=sub)) is Cause.CLAIM_INVALID


@pytest.mark.parametrize("sub", ["mei", "staff:mei"])
def test_a_subject_may_carry_its_prefix(sub):
    assert verify(with_claims(sub=sub), POLICY, NOW).staff == "staff:mei"


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.salon.example/",
        "https://ID.salon.example",
        "http://id.salon.example",
        "https://id.salon.example.evil.example",
        " https://id.salon.example",
        "",
    ],
)
def test_an_issuer_that_is_almost_ours(issuer):
    assert cause(with_claims(iss=issuer)) is Cause.WRONG_ISSUER


@pytest.mark.parametrize(
    "audience", ["salon-gateway ", "Salon-Gateway", "salon-gateway,x", "*", ""]
)
def test_an_audience_that_is_almost_ours(audience):
    assert cause(with_claims(aud=audience)) is Cause.WRONG_AUDIENCE


@pytest.mark.parametrize(
    "value", [["salon-gateway"], ["salon-gateway", "other"], {"salon-gateway": 1}, None, 7, True]
)
@pytest.mark.parametrize("name", ["iss", "aud"])
def test_an_issuer_or_audience_that_is_not_one_text(name, value):
    assert cause(with_claims(**{name: value})) is Cause.CLAIM_INVALID


@pytest.mark.parametrize(
    "device",
    ["", None, 7, True, ["phone"], "a b", "a:b", "a/b", "a\n", "phone\u0000", "x" * 65, "美"],
)
def test_a_device_is_one_plain_id(device):
    assert cause(with_claims(device=device)) is Cause.CLAIM_INVALID


@pytest.mark.parametrize(
    "app", ["", None, 7, True, ["phone"], "Phone", "phone ", "app:phone", "*"]
)
def test_an_app_is_a_name_that_rules_can_say(app):
    assert cause(with_claims(app=app)) is Cause.CLAIM_INVALID


@pytest.mark.parametrize(
    "roles",
    [
        "role:stylist",
        "",
        None,
        7,
        True,
        {"role:stylist": True},
        [7],
        ["role:a", None],
        [["role:a"]],
    ],
)
def test_roles_are_a_list_of_texts(roles):
    """A text is not a list of one: `in` would look for a part of it."""
    assert cause(with_claims(roles=roles)) is Cause.CLAIM_INVALID


def test_roles_may_be_bare_or_prefixed_and_strange_ones_are_nobodys():
    roles = ["stylist", "role:manager", "Offline Access", "staff:ken", "*", "role:", ""]
    claims = verify(with_claims(roles=roles), POLICY, NOW)
    assert claims.roles == {
        "role:stylist",
        "role:manager",
        "role:Offline Access",
        "role:staff:ken",
        "role:*",
        "role:",
    }


def test_claims_we_do_not_know_change_nothing():
    plain = verify(a_token(), POLICY, NOW)
    loud = with_claims(held=["role:owner"], admin=True, role="role:owner", scope="*", jti=7)
    assert verify(loud, POLICY, NOW) == plain
