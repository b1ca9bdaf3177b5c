import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.domain.finding import PolicyError
from gateway.identity.base64url import encode_base64url
from gateway.identity.keys import Key, KeyTable, merge, parse_jwks, secret_table

SECRET = bytes(range(32))
P256 = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
RSA_2048 = rsa.generate_private_key(65537, 2048).public_key().public_numbers()


def b64(number: int, length: int | None = None) -> str:
    return encode_base64url(number.to_bytes(length or (number.bit_length() + 7) // 8))


def an_rsa_key(**changes):
    return {"kty": "RSA", "kid": "r", "n": b64(RSA_2048.n), "e": "AQAB"} | changes


def an_ec_key(**changes):
    point = {"x": b64(P256.x, 32), "y": b64(P256.y, 32)}
    return {"kty": "EC", "kid": "e", "crv": "P-256"} | point | changes


def an_okp_key(**changes):
    public = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": encode_base64url(public)} | changes


def a_secret_key(**changes):
    return {"kty": "oct", "kid": "s", "k": encode_base64url(SECRET)} | changes


def parse(*keys):
    return parse_jwks(json.dumps({"keys": keys}), "jwks.json")


def messages(*keys):
    with pytest.raises(PolicyError) as caught:
        parse(*keys)
    return [str(finding) for finding in caught.value.findings]


def test_each_kind_of_key_has_its_one_algorithm():
    table = parse(an_rsa_key(), an_ec_key(), an_okp_key(), a_secret_key())
    assert {key.kid: key.algorithm for key in table.keys} == {
        "r": "RS256",
        "e": "ES256",
        "o": "EdDSA",
        "s": "HS256",
    }


def test_use_alg_and_key_ops_may_say_what_we_do_anyway():
    parse(an_rsa_key(use="sig", alg="RS256", key_ops=["verify"], x5t="ignored"))


def test_a_key_for_encryption_is_left_out():
    assert [key.kid for key in parse(an_rsa_key(use="enc", alg="RSA-OAEP"), an_ec_key()).keys] == [
        "e"
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (an_rsa_key(alg="PS256"), "the `alg` of a `RSA` key must be `RS256`"),
        (an_rsa_key(alg="HS256"), "the `alg` of a `RSA` key must be `RS256`"),
        (a_secret_key(alg="RS256"), "the `alg` of a `oct` key must be `HS256`"),
        (an_rsa_key(use="other"), "`use` must be `sig`"),
        (an_rsa_key(key_ops=["encrypt"]), "`key_ops` must list `verify`"),
        (an_rsa_key(key_ops="verify"), "`key_ops` must list `verify`"),
        (an_rsa_key(n=b64((1 << 1023) + 1)), "2048 to 8192 bits, got 1024"),
        (an_rsa_key(n=b64((1 << 8192) + 1)), "2048 to 8192 bits, got 8193"),
        (an_rsa_key(e="AQ"), "not an RSA public key"),
        (an_rsa_key(e="Ag"), "not an RSA public key"),
        (an_rsa_key(n=b64(RSA_2048.n) + "=="), "`n` is not base64url"),
        (an_rsa_key(n=7), "`n` is missing or not text"),
        (an_rsa_key(d="AQ", p="AQ"), "holds the private part (`d`, `p`)"),
        (an_ec_key(d="AQ"), "holds the private part (`d`)"),
        (an_okp_key(d="AQ"), "holds the private part (`d`)"),
        (an_ec_key(crv="P-384"), "`crv` of an `EC` key must be `P-256`"),
        (an_ec_key(crv="secp256k1"), "`crv` of an `EC` key must be `P-256`"),
        (an_ec_key(y=b64(P256.y ^ 1, 32)), "not a point on P-256"),
        (an_ec_key(x="AQ"), "32 bytes each"),
        (an_okp_key(crv="Ed448"), "`crv` of an `OKP` key must be `Ed25519`"),
        (an_okp_key(crv="X25519"), "`crv` of an `OKP` key must be `Ed25519`"),
        (an_okp_key(x="AQ"), "`x` must have 32 bytes"),
        (a_secret_key(k=encode_base64url(SECRET[:31])), "at least 32 bytes, got 31"),
        ({"kty": "AKP", "kid": "a"}, "unknown `kty`; known: `EC`, `OKP`, `RSA`, `oct`"),
        ({"kid": "a"}, "unknown `kty`"),
        ({"kty": ["RSA"]}, "unknown `kty`"),
        (an_rsa_key(kid=""), "`kid` must be text"),
        (an_rsa_key(kid=7), "`kid` must be text"),
        (an_rsa_key(kid=None), "`kid` must be text"),
        ("RSA", "must be an object"),
    ],
)
def test_a_key_we_cannot_use_safely_is_a_finding(key, expected):
    (message,) = messages(key)
    assert message.startswith("jwks.json:1:1: key 1: ")
    assert expected in message


def test_all_findings_come_at_once():
    found = messages(an_rsa_key(e="AQ"), an_ec_key(), an_okp_key(d="AQ"))
    assert [message.split(":")[3].strip() for message in found] == ["key 1", "key 3"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], "no key to verify tokens with"),
        ([an_rsa_key(use="enc")], "no key to verify tokens with"),
        ([an_rsa_key(kid="a"), an_ec_key(kid="a")], "two keys have the same `kid`"),
    ],
)
def test_a_set_that_cannot_be_looked_up_in_is_a_finding(keys, expected):
    (message,) = messages(*keys)
    assert expected in message


def test_only_a_single_key_may_go_without_a_name():
    nameless = an_rsa_key()
    del nameless["kid"]
    assert parse(nameless).find(None) is not None
    (message,) = messages(nameless, an_ec_key())
    assert "must be the only one" in message


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": {}}', '{"keys": [], "keys": []}', '{"keys": NaN}']
)
def test_what_is_not_a_key_set_is_a_finding(text):
    with pytest.raises(PolicyError, match="not a key set"):
        parse_jwks(text, "jwks.json")


def test_a_token_that_names_no_key_finds_only_the_single_one():
    one = secret_table(SECRET)
    two = merge([one, secret_table(SECRET[::-1], "other")])
    assert one.find(None) == one.keys[0] == one.find("default")
    assert two.find(None) is None
    assert two.find("other") == two.keys[1]
    assert two.find("missing") is None
    assert one.find("missing") is None


def test_tables_with_the_same_key_id_do_not_merge():
    with pytest.raises(ValueError, match="same `kid`"):
        merge([secret_table(SECRET), secret_table(SECRET[::-1])])


def test_a_table_without_keys_is_not_one():
    with pytest.raises(ValueError, match="no key"):
        KeyTable(())


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (b"", "at least 32 bytes, got 0"),
        (b"x" * 31, "at least 32 bytes, got 31"),
        (b"x" * 32, "one repeated character"),
        (b"-----BEGIN PUBLIC KEY-----" + b"x" * 99, "key file"),
        (b"ssh-ed25519 AAAA" + b"x" * 99, "key file"),
        (b'{"kty": "oct", "k": "abcabcabcabcabc"}', "key file"),
    ],
)
def test_a_weak_secret_is_refused_with_a_remedy(secret, expected):
    with pytest.raises(ValueError, match=expected):
        secret_table(secret)


def test_no_key_material_is_printed():
    key = Key(kid="a", algorithm="HS256", material=b"very-secret-very-secret-very-secret")
    assert "very-secret" not in repr(KeyTable((key,)))
