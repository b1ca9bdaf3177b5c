"""A token's text → claims we vouch for. The only file that imports jwt.

In this order, first stop wins, and every stop is a RequestError with its cause:
form -> key of the table -> its one algorithm -> signature -> strict JSON -> issuer and
audience -> time -> the shape of each claim.

THEOREMS (tests/properties/test_claims.py):
  an issued token verifies until it expires, with exactly the claims it was issued with;
  a token with one character changed verifies never;
  nothing but RequestError leaves `verify`.

House rules: PyJWT checks the signature and nothing else. It reads "exp": "9999999999" and
duplicate members without complaint, and asks a clock of its own; so the payload is parsed,
typed and timed here, on the one clock reading of the request. Never key a revocation on a
token's text: for ES256 a second valid signature can be made of the first.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt import InvalidAlgorithmError, PyJWS, PyJWTError

from gateway.domain.reason import Cause
from gateway.domain.subject import DeviceId, Role, StaffId, device_id, is_name, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.compact import (
    MAX_TOKEN_CHARS,
    TYPES,
    Unverified,
    parse_compact,
    parse_object,
    refuse,
)
from gateway.identity.keys import ALGORITHMS, Key, KeyTable

MAX_LEEWAY_SECONDS = 60  # clocks that differ by more need repair, not patience
MAX_EPOCH = 2**63 - 1  # what SQLite and Redis count to
MAX_SECONDS = 32_503_680_000  # the year 3000: beyond it somebody wrote milliseconds
MAX_AUDIENCES = 16  # of one token
MAX_SESSION_CHARS = 1024  # of `sid` and `jti`

_REGISTERED = frozenset({"iss", "aud", "exp", "nbf", "iat"})  # ours to read, not to rename

_JWS = PyJWS(algorithms=list(ALGORITHMS), options={"enforce_minimum_key_length": True})

SigningKey = bytes | RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """What the issuer calls our claims; None = its tokens have none that counts.

    `roles` None: tokens of this issuer narrow nothing. `epoch` None: it knows none of ours, and
    only `verify_foreign` reads its tokens.
    """

    staff: str = "sub"
    device: str | None = "device"
    epoch: str | None = "epoch"
    app: str | None = "app"
    roles: str | None = None

    def __post_init__(self) -> None:
        given = (self.staff, self.device, self.epoch, self.app, self.roles)
        names = [name for name in given if name is not None]
        if len(set(names)) != len(names) or not all(names):
            raise ValueError("claim names must differ from each other and not be empty")
        taken = _REGISTERED.intersection(names)
        if taken:
            raise ValueError(f"`{min(taken)}` has a meaning of its own; name another claim")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """Whose tokens count.

    Attributes:
        issuer, audience: compared exactly; the token's audience must be one text.
        leeway_seconds: for clocks that differ, 0 to 60.
        several_audiences: the audience may also be one of a list (RFC 7519 4.1.3), as identity
            providers write it.
    """

    issuer: str
    audience: str
    keys: KeyTable = field(repr=False)
    names: ClaimNames = field(default_factory=ClaimNames)
    leeway_seconds: int = 0
    several_audiences: bool = False

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError(
                "tokens need an issuer and an audience; an empty one matches anything"
            )
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"the leeway must be 0 to {MAX_LEEWAY_SECONDS} seconds")
        require_usable(self.keys)


def require_usable(keys: KeyTable) -> None:
    """Better no start than a key that PyJWT refuses at each request.

    Raises:
        ValueError: a key is not one for its algorithm.
    """
    for key in keys.keys:
        try:
            _JWS.get_algorithm_by_name(key.algorithm).prepare_key(key.material)
        except (PyJWTError, TypeError, ValueError, NotImplementedError):
            raise ValueError(f"the key is not one for {key.algorithm}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says. Whether it is still current, the epoch store knows.

    Attributes:
        device: None when the token names none.
        epoch: the device session's epoch at issue.
        app: None when the token names none: an unknown fact.
        roles: None when it does not narrow; else the roles it may act as, some of which
            its bearer may not hold.
        expires_at: without leeway.
    """

    staff: StaffId
    device: DeviceId | None
    epoch: int
    app: str | None
    roles: frozenset[Role] | None
    expires_at: Instant


class SessionName(StrEnum):
    """By what a session of another issuer is known, the best first."""

    SID = "sid"  # OpenID Connect: one sign-in, and every token of it
    JTI = "jti"  # RFC 7519 4.1.7: one token
    PAYLOAD = "payload"  # no name at all: one token, by what was signed


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClaims:
    """What a verified token says whose issuer knows no epochs of ours.

    Attributes:
        claims: as ever, with an epoch of 0: below every floor, so it is nobody's by itself.
        named_by, session: which session it is of, among those of its issuer.
        began_at: the earliest instant it names for its own making and for the sign-in behind it.
    """

    claims: Claims
    named_by: SessionName
    session: str
    began_at: Instant

    @property
    def expires_at(self) -> Instant:
        """Without leeway."""
        return self.claims.expires_at


def verify(token: str, policy: TokenPolicy, now: Instant) -> Claims:
    """Check a token and read its claims.

    Raises:
        RequestError: UNAUTHENTICATED with the first cause found. Nothing else is raised.
    """
    _, payload, expires_at = _verified(token, policy, now)
    try:
        return _claims(payload, policy.names, expires_at)
    except ValueError:
        refuse(Cause.CLAIM_INVALID)


def verify_foreign(token: str, policy: TokenPolicy, now: Instant) -> ForeignClaims:
    """The same for a policy whose `names.epoch` is None.

    A token that tells nothing of when it began (`iat`, else `auth_time`) is refused: of such a
    one nobody could say whether it is older than a logout.

    Raises:
        RequestError: UNAUTHENTICATED with the first cause found. Nothing else is raised.
    """
    signed, payload, expires_at = _verified(token, policy, now)
    # RFC 8417 2.2: it tells of something that happened (a logout, say) and is for no access.
    if "events" in payload:
        refuse(Cause.CLAIM_INVALID)
    try:
        named_by, session = _session(payload, signed)
        return ForeignClaims(
            claims=_claims(payload, policy.names, expires_at),
            named_by=named_by,
            session=session,
            began_at=_began(payload),
        )
    except ValueError:
        refuse(Cause.CLAIM_INVALID)


def verify_payload(
    token: str, policy: TokenPolicy, now: Instant, *, types: frozenset[str]
) -> dict[str, Any]:
    """Check a token of another kind (`typ`), and give all it says, to be read by its kind.

    It is by this issuer, for us, and in force now. It lets nobody in.

    Raises:
        RequestError: UNAUTHENTICATED with the first cause found. Nothing else is raised.
    """
    return _verified(token, policy, now, types)[1]


def _verified(
    token: str, policy: TokenPolicy, now: Instant, types: frozenset[str] = TYPES
) -> tuple[bytes, dict[str, Any], Instant]:
    """The payload as signed, as read, and its end: of a token by this issuer, for us, now."""
    outer = parse_compact(token, types)
    _require_signature(token, _key_for(outer, policy.keys))
    payload = parse_object(outer.payload)
    _require_text(payload, "iss", policy.issuer, Cause.WRONG_ISSUER)
    _require_audience(payload, policy)
    expires_at = _require_time(payload, timedelta(seconds=policy.leeway_seconds), now)
    return outer.payload, payload, expires_at


def _began(payload: dict[str, Any]) -> Instant:
    told = [_instant(payload[name]) for name in ("iat", "auth_time") if name in payload]
    if not told:
        raise ValueError("a session without a beginning")
    return min(told)


def _session(payload: dict[str, Any], signed: bytes) -> tuple[SessionName, str]:
    for name in (SessionName.SID, SessionName.JTI):
        value = _text(payload, name)
        if value is not None:
            if not 0 < len(value) <= MAX_SESSION_CHARS:
                raise ValueError("no name of a session")
            return name, value
    # Not of the token's text: a second signature makes no second session.
    return SessionName.PAYLOAD, hashlib.sha256(signed).hexdigest()


def _require_audience(payload: dict[str, Any], policy: TokenPolicy) -> None:
    several = payload.get("aud")
    if not policy.several_audiences or not isinstance(several, list):
        _require_text(payload, "aud", policy.audience, Cause.WRONG_AUDIENCE)
        return
    if len(several) > MAX_AUDIENCES or not all(isinstance(one, str) for one in several):
        refuse(Cause.CLAIM_INVALID)
    if policy.audience not in several:
        refuse(Cause.WRONG_AUDIENCE)


def _key_for(outer: Unverified, keys: KeyTable) -> Key:
    if outer.alg not in ALGORITHMS:
        refuse(Cause.ALGORITHM_REFUSED)
    key = keys.find(outer.kid)
    if key is None:
        refuse(Cause.UNKNOWN_KEY)
    # RFC 8725 3.1: the key decides, the token may only agree. PyJWT is told the same below.
    if key.algorithm != outer.alg:
        refuse(Cause.ALGORITHM_REFUSED)
    return key


def _require_signature(token: str, key: Key) -> None:
    try:
        _JWS.decode_complete(token, key.material, algorithms=[key.algorithm])
    except InvalidAlgorithmError:
        refuse(Cause.ALGORITHM_REFUSED)
    except Exception:  # noqa: BLE001  # whatever a forged token makes a library raise is a no
        refuse(Cause.BAD_SIGNATURE)


def _require_text(payload: dict[str, Any], name: str, wanted: str, cause: Cause) -> None:
    value = payload.get(name)
    if not isinstance(value, str):
        refuse(Cause.CLAIM_INVALID)
    if value != wanted:
        refuse(cause)


def _require_time(payload: dict[str, Any], leeway: timedelta, now: Instant) -> Instant:
    """RFC 7519 4.1.4 to 4.1.6: `exp` is needed; expired from that second on."""
    try:
        expires_at = _instant(payload["exp"])
        starts = [_instant(payload[name]) for name in ("nbf", "iat") if name in payload]
    except (KeyError, ValueError):
        refuse(Cause.CLAIM_INVALID)
    if now >= expires_at + leeway:
        refuse(Cause.EXPIRED)
    if any(now < start - leeway for start in starts):
        refuse(Cause.NOT_YET_VALID)
    return expires_at


def _instant(value: Any) -> Instant:
    return from_milliseconds(1000 * _integer(value, MAX_SECONDS))


def _integer(value: Any, most: int) -> int:
    # `type(...) is`: True is an int to isinstance, and would be epoch 1.
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not an integer in range")
    return value


def _claims(payload: dict[str, Any], names: ClaimNames, expires_at: Instant) -> Claims:
    """The claims by type. An optional claim is absent or of its type; null is neither."""
    device = _text(payload, names.device)
    app = _text(payload, names.app)
    if app is not None and not is_name(app):
        raise ValueError("an app that no rule can name")
    staff = _text(payload, names.staff)
    if staff is None:
        raise ValueError("a token for nobody")
    return Claims(
        staff=staff_id(staff.removeprefix("staff:")),
        device=None if device is None else device_id(device),
        epoch=0 if names.epoch is None else _integer(payload.get(names.epoch), MAX_EPOCH),
        app=app,
        roles=_roles(payload, names.roles),
        expires_at=expires_at,
    )


def _text(payload: dict[str, Any], name: str | None) -> str | None:
    if name is None or name not in payload:
        return None
    value = payload[name]
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004  # one kind of error for one refusal
    return value


def _roles(payload: dict[str, Any], name: str | None) -> frozenset[Role] | None:
    """The claimed roles, prefixed. Names we do not know stay in: nobody holds them."""
    if name is None or name not in payload:
        return None
    value = payload[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of texts")
    return frozenset(Role(f"role:{item.removeprefix('role:')}") for item in value)


def issue(
    *,
    key: SigningKey,
    algorithm: str,
    kid: str | None,
    issuer: str,
    audience: str,
    staff: StaffId,
    epoch: int,
    now: Instant,
    lifetime_seconds: int,
    names: ClaimNames | None = None,
    device: DeviceId | None = None,
    app: str | None = None,
    roles: frozenset[Role] | None = None,
) -> str:
    """Sign a token that `verify` accepts.

    `key` is the secret or the private half of a key in the table. `iat` is the whole second
    of `now`, so the token is valid at once. `roles` narrows what its bearer acts as.

    Raises:
        ValueError: a value that `verify` would refuse, or a key not for the algorithm.
    """
    names = names or ClaimNames()
    if lifetime_seconds <= 0:
        raise ValueError("a token needs a lifetime of at least one second")
    if not issuer or not audience:
        raise ValueError("a token needs an issuer and an audience")
    if names.epoch is None:
        raise ValueError("a token of ours needs a claim for the epoch")
    seconds = to_milliseconds(now) // 1000
    payload: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "iat": seconds,
        "exp": seconds + lifetime_seconds,
        names.staff: staff.removeprefix("staff:"),
        names.epoch: epoch,
    }
    for name, value in ((names.device, device), (names.app, app)):
        if value is not None and name is None:
            raise ValueError("the device or the app cannot be told: no claim is named for it")
        if value is not None and name is not None:
            payload[name] = value
    if roles is not None and names.roles is None:
        raise ValueError("the roles cannot be narrowed: no claim is named for them")
    if roles is not None and names.roles is not None:
        payload[names.roles] = sorted(roles)
    try:
        _claims(payload, names, _instant(payload["exp"]))
    except ValueError as error:
        raise ValueError(f"such a token would be refused: {error}") from None
    return _sign(payload, key, algorithm, kid)


def _sign(payload: dict[str, Any], key: SigningKey, algorithm: str, kid: str | None) -> str:
    if algorithm not in ALGORITHMS:
        raise ValueError(f"the algorithm must be one of {', '.join(ALGORITHMS)}")
    headers = {"typ": "JWT"} if kid is None else {"typ": "JWT", "kid": kid}
    try:
        token = _JWS.encode(json.dumps(payload).encode(), key, algorithm, headers=headers)
    except (PyJWTError, TypeError, AttributeError) as error:
        # AttributeError: a public key has no `sign`.
        raise ValueError(f"the key does not fit {algorithm}: {error}") from None
    if len(token) > MAX_TOKEN_CHARS:
        raise ValueError(f"such a token would be refused: longer than {MAX_TOKEN_CHARS} bytes")
    return token
