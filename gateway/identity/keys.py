"""The key table: key id → one key with one algorithm.

House rules: the algorithm belongs to the key and is never read from a token, so a public
RSA key cannot become an HMAC secret. What we cannot use safely is a finding at load, not a
surprise at the first request. Messages never hold key material.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from gateway.domain.finding import Finding, Place, PolicyError
from gateway.identity.base64url import decode_base64url
from gateway.texts.jsontext import parse_strict_json

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")  # one per kind of key

MIN_SECRET_BYTES = 32  # RFC 7518 3.2: at least as long as the hash
MIN_RSA_BITS = 2048  # RFC 7518 3.3
MAX_RSA_BITS = 8192  # each verification costs the square; nobody issues longer ones
MAX_JWKS_BYTES = 256 * 2**10  # an identity provider's set with certificate chains is 10 KB
MAX_KID_CHARS = 256
MAX_PUBLISHED_KEYS = 64  # in a set that was fetched; issuers publish two to five
PUBLIC_ALGORITHMS = ("RS256", "ES256", "EdDSA")  # those whose keys may be published

Material = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key that tokens may be signed with.

    Attributes:
        kid: as tokens name it; None only for the single key of a set without ids.
        algorithm: the one of `ALGORITHMS` that this key verifies.
        material: the secret for HS256, else a public key.
    """

    kid: str | None
    algorithm: str
    material: Material = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Every key we trust. Key ids are unique; only a single key may go without one."""

    keys: tuple[Key, ...]

    def __post_init__(self) -> None:
        kids = [key.kid for key in self.keys]
        if not kids:
            raise ValueError("no key to verify tokens with; configure a secret or a JWKS")
        if len(kids) > 1 and None in kids:
            raise ValueError("a key without `kid` must be the only one; give each key a `kid`")
        if len(set(kids)) != len(kids):
            raise ValueError("two keys have the same `kid`; give each its own")

    def find(self, kid: str | None) -> Key | None:
        """The key a token names; without a name only ever the single key of the table."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return next((key for key in self.keys if key.kid == kid), None)


def merge(tables: Iterable[KeyTable]) -> KeyTable:
    """One table of several sources.

    Raises:
        ValueError: a key id stands in two of them, or a key without one is not alone.
    """
    return KeyTable(tuple(key for table in tables for key in table.keys))


def secret_table(secret: bytes, kid: str = "default") -> KeyTable:
    """A table of one shared HS256 secret.

    Raises:
        ValueError: the secret is too short, is a key file, or is one character repeated.
    """
    problem = _weakness(secret)
    if problem:
        raise ValueError(problem)
    return KeyTable((Key(kid=kid, algorithm="HS256", material=secret),))


def parse_jwks(text: str, file: str) -> KeyTable:
    """Read a JSON Web Key Set (RFC 7517): RSA, P-256, Ed25519 and shared secrets.

    Keys for encryption (`use: enc`) are left out: identity providers publish them in the
    same set, and they sign nothing. Every other key must be one we can use.

    Raises:
        PolicyError: everything wrong; JSON keeps no places, so keys are counted from 1.
    """
    try:
        data = parse_strict_json(text, max_depth=8, max_bytes=MAX_JWKS_BYTES)
    except ValueError as error:
        raise _refuse(file, [f"not a key set: {error}"]) from None
    entries = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise _refuse(file, ['not a key set: write `{"keys": [...]}`'])
    problems: list[str] = []
    keys: list[Key] = []
    for number, entry in enumerate(entries, start=1):
        try:
            keys += _key(entry)
        except ValueError as error:
            problems.append(f"key {number}: {error}")
    if not problems:
        try:
            return KeyTable(tuple(keys))
        except ValueError as error:
            problems.append(str(error))
    raise _refuse(file, problems)


def parse_published(text: str | bytes, algorithms: frozenset[str]) -> KeyTable | None:
    """Read a key set that an issuer publishes for everybody.

    RFC 7517 5: keys we have no use for (another type, curve or algorithm, for encryption) are
    left out, since issuers publish those of all their clients in one set. What is broken in any
    other way makes the whole set none.

    Args:
        text: as it was fetched.
        algorithms: those of `PUBLIC_ALGORITHMS` whose keys count.

    Returns:
        None: a set by whose word no key counts now.

    Raises:
        ValueError: it is no key set, or holds what nobody may publish.
    """
    data = parse_strict_json(text, max_depth=8, max_bytes=MAX_JWKS_BYTES)
    entries = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('not a key set: no `{"keys": [...]}`')
    if len(entries) > MAX_PUBLISHED_KEYS:
        raise ValueError(f"more than {MAX_PUBLISHED_KEYS} keys")
    for entry in entries:
        if entry.get("kty") == "oct" or "k" in entry:
            raise ValueError("a shared secret in a published set is a secret no more")
        _refuse_private(entry)
    counting = [entry for entry in entries if _is_for(entry, algorithms)]
    keys = tuple(key for entry in counting for key in _key(entry))
    return KeyTable(keys) if keys else None


def _is_for(entry: Mapping[str, Any], algorithms: frozenset[str]) -> bool:
    """Does its issuer mean this key for signatures of these algorithms?"""
    kty = entry.get("kty")
    if not isinstance(kty, str) or kty not in _KINDS:
        return False
    algorithm, _ = _KINDS[kty]
    curve = entry.get("crv", _CURVES.get(kty)) == _CURVES.get(kty)
    agrees = entry.get("alg", algorithm) == algorithm
    operations = entry.get("key_ops", ["verify"])
    verifies = isinstance(operations, list) and "verify" in operations
    return (
        algorithm in algorithms
        and curve
        and agrees
        and verifies
        and entry.get("use", "sig") == "sig"
    )


def _refuse(file: str, problems: Iterable[str]) -> PolicyError:
    return PolicyError(Finding(Place(file), problem) for problem in problems)


def _key(entry: Any) -> tuple[Key, ...]:
    """One member of the set, or none if it is for encryption. Raises ValueError."""
    if not isinstance(entry, dict):
        raise ValueError("must be an object")  # noqa: TRY004  # a finding, not a bug
    if entry.get("use", "sig") == "enc":
        return ()
    if entry.get("use", "sig") != "sig":
        raise ValueError("`use` must be `sig`")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("`key_ops` must list `verify`")
    kty = entry.get("kty")
    if not isinstance(kty, str) or kty not in _KINDS:
        raise ValueError(f"unknown `kty`; known: {', '.join(f'`{k}`' for k in sorted(_KINDS))}")
    algorithm, read = _KINDS[kty]
    if entry.get("alg", algorithm) != algorithm:
        raise ValueError(f"the `alg` of a `{kty}` key must be `{algorithm}`")
    return (Key(kid=_kid(entry), algorithm=algorithm, material=read(entry)),)


def _kid(entry: Mapping[str, Any]) -> str | None:
    kid = entry.get("kid")
    if "kid" in entry and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS):
        raise ValueError(f"`kid` must be text of 1 to {MAX_KID_CHARS} characters")
    return kid


# RFC 7518 6.2.2 and 6.3.2, RFC 8037 2.
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth")


def _refuse_private(entry: Mapping[str, Any]) -> None:
    """Who can verify must not be able to sign: a leak here would mint tokens."""
    found = [name for name in _PRIVATE_MEMBERS if name in entry]
    if found:
        names = ", ".join(f"`{name}`" for name in found)
        raise ValueError(f"holds the private part ({names}); give the gateway the public key only")


def _bytes(entry: Mapping[str, Any], name: str) -> bytes:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` is missing or not text")
    try:
        return decode_base64url(value)
    except ValueError as error:
        raise ValueError(f"`{name}` is {error}") from None


def _rsa(entry: Mapping[str, Any]) -> Material:
    _refuse_private(entry)
    n = int.from_bytes(_bytes(entry, "n"))
    e = int.from_bytes(_bytes(entry, "e"))
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        raise ValueError(
            f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, got {n.bit_length()}"
        )
    # e = 1 would make every signature valid; above 2**32 it only costs time.
    if not 3 <= e < 2**32 or e % 2 == 0 or n % 2 == 0:
        raise ValueError("`n` and `e` are not an RSA public key")
    return RSAPublicNumbers(e, n).public_key()


def _ec(entry: Mapping[str, Any]) -> Material:
    _refuse_private(entry)
    if entry.get("crv") != "P-256":
        raise ValueError("`crv` of an `EC` key must be `P-256`")
    x, y = _bytes(entry, "x"), _bytes(entry, "y")
    if len(x) != 32 or len(y) != 32:
        raise ValueError("`x` and `y` must have 32 bytes each")
    try:
        numbers = EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1())
        return numbers.public_key()
    except ValueError:
        raise ValueError("`x` and `y` are not a point on P-256") from None


def _okp(entry: Mapping[str, Any]) -> Material:
    _refuse_private(entry)
    if entry.get("crv") != "Ed25519":
        raise ValueError("`crv` of an `OKP` key must be `Ed25519`")
    x = _bytes(entry, "x")
    if len(x) != 32:
        raise ValueError("`x` must have 32 bytes")
    return Ed25519PublicKey.from_public_bytes(x)


def _oct(entry: Mapping[str, Any]) -> Material:
    secret = _bytes(entry, "k")
    problem = _weakness(secret)
    if problem:
        raise ValueError(problem)
    return secret


_KINDS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Material]]] = {
    "RSA": ("RS256", _rsa),
    "EC": ("ES256", _ec),
    "OKP": ("EdDSA", _okp),
    "oct": ("HS256", _oct),
}

_CURVES = {"EC": "P-256", "OKP": "Ed25519"}  # of the kinds that have one

_KEY_FILE = re.compile(rb"-----BEGIN |ssh-|ecdsa-sha2-|\s*\{\s*\"")


def _weakness(secret: bytes) -> str | None:
    """What keeps bytes from being an HMAC secret, and what to do."""
    if len(secret) < MIN_SECRET_BYTES:
        return (
            f"a secret must have at least {MIN_SECRET_BYTES} bytes, got {len(secret)}; "
            "make one with `openssl rand -base64 48`"
        )
    # A public key as a secret is a secret everybody knows.
    if _KEY_FILE.match(secret) is not None:
        return "this is a key file, not a secret; put public keys into a JWKS"
    if len(set(secret)) == 1:
        return "a secret of one repeated character is no secret; use `openssl rand -base64 48`"
    return None
