"""Sessions of other issuers, whose tokens know none of our epochs: when was each seen first?

The rule, in full:
1. A session has the epoch of its person's counter at the moment it was seen first. So whoever is
   logged out is out with every session that was seen before, whatever fresh token it is given.
2. A session that is seen first after a logout is refused for good if a token of it says that it
   began before the logout: `iat` and `auth_time` may refuse here, they never let anybody in.
3. The moment at which a person became known counts as a logout: a store that lost its memory
   knows nobody, and revives nobody.

INVARIANTS
- Whose session it is never changes: one that is told to be somebody else's is refused.
- Neither the state nor a copy of it holds a session's name: it stands under a keyed hash.
- A session that has a name of its own (`sid`) is remembered for REMEMBERED after the last token
  that was shown of it, so that no token fetched later makes it a new one. Others are one token,
  and forgotten with it.
"""

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta

import msgspec
from msgspec import Struct

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Cause
from gateway.domain.subject import DeviceId, device_id, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.claims import MAX_EPOCH, MAX_SECONDS, Claims, ForeignClaims, SessionName
from gateway.identity.compact import MAX_TOKEN_CHARS, TYPES, parse_compact, parse_object, refuse

MIN_KEY_BYTES = 32  # RFC 2104 3: not less than the hash's output
REMEMBERED = timedelta(days=30)
WORTH_A_WRITE = timedelta(days=1)  # a document may end so much earlier than it ought to
NEVER_CURRENT = 0  # below every floor: floors are milliseconds since 1970
DEVICE_PREFIX = "idp."  # a session's own device, where the issuer names none
_DOMAIN = b"salon-gateway foreign session 1"


class Seen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session, as the state keeps it.

    Attributes:
        epoch: of the person's counter when it was seen first; NEVER_CURRENT = it was over then.
        seen_at: when that was, in milliseconds since 1970.
        expires_at: the end of the token that lasts longest of those that were shown.
    """

    staff: str
    epoch: int
    seen_at: int
    expires_at: int


def issuer_named(token: str, types: frozenset[str] = TYPES) -> str | None:
    """Which issuer a token says it is of. Nothing of it is verified.

    To choose under whose keys it is verified, where the same name is asked for again, and for
    nothing else. None: it says nothing that can be read; then it is verified as one of ours.
    """
    if len(token) > MAX_TOKEN_CHARS:
        return None
    try:
        named = parse_object(parse_compact(token, types).payload).get("iss")
    except RequestError:
        return None
    return named if isinstance(named, str) else None


def session_key(secret: bytes, issuer: str, named_by: str, session: str) -> str:
    """The document's key: HMAC-SHA-256 in hex, of parts that cannot run into each other.

    Args:
        secret: MIN_KEY_BYTES or more, of the gateway alone.
        issuer: whose session it is; two of them may give the same name.
        named_by: a SessionName (a `sid` is never taken for a `jti`), or what else it names.
        session: the name.

    Raises:
        ValueError: the secret is too short.
    """
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(f"the key of sessions has {MIN_KEY_BYTES} bytes or more")
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for part in (_DOMAIN, issuer.encode(), named_by.encode(), session.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def device_of(key: str, told: ForeignClaims) -> DeviceId | None:
    """The device of a session: as the issuer names it, else one made of a session's own name.

    So that one session can be logged out by itself. A single token gets none: it is no session.
    """
    if told.claims.device is not None or told.named_by is not SessionName.SID:
        return told.claims.device
    return device_id(f"{DEVICE_PREFIX}{key[:32]}")


def first_seen(
    told: ForeignClaims, *, epoch: int, floor: int, leeway_seconds: int, now: Instant
) -> Seen:
    """What is remembered of a session that nothing is remembered of.

    Args:
        told: by its token.
        epoch: the person's counter, asked for before the floor.
        floor: of the person on this device: an instant in milliseconds, too, of the last logout.
        leeway_seconds: an issuer's clock may be that much ahead of ours.
        now: of this request.
    """
    began = to_milliseconds(told.began_at) - leeway_seconds * 1000
    return Seen(
        staff=told.claims.staff,
        # `iat` has whole seconds: what began in the second of the logout counts as before it.
        epoch=epoch if began >= floor else NEVER_CURRENT,
        seen_at=to_milliseconds(now),
        expires_at=to_milliseconds(told.expires_at),
    )


def claims_of(seen: Seen, told: ForeignClaims, device: DeviceId | None) -> Claims:
    """The token's claims with the epoch of its session.

    Raises:
        RequestError: UNAUTHENTICATED: the session was over when it was seen first
            (EPOCH_STALE), or is somebody else's (SESSION_UNKNOWN).
    """
    if seen.staff != told.claims.staff:
        refuse(Cause.SESSION_UNKNOWN)
    if seen.epoch == NEVER_CURRENT:
        refuse(Cause.EPOCH_STALE)
    return replace(told.claims, device=device, epoch=seen.epoch)


def lasting(seen: Seen, told: ForeignClaims) -> Seen | None:
    """The same with the end of this token, where that is worth a write; else None."""
    ends = to_milliseconds(told.expires_at)
    worth = WORTH_A_WRITE // timedelta(milliseconds=1) if told.named_by is SessionName.SID else 1
    if ends - seen.expires_at < worth:
        return None
    return msgspec.structs.replace(seen, expires_at=ends)


def remembered_until(seen: Seen, named_by: SessionName, leeway_seconds: int) -> Instant:
    """When the document may go."""
    ends = from_milliseconds(seen.expires_at)
    if named_by is SessionName.SID:
        return Instant(ends + REMEMBERED)
    return Instant(ends + timedelta(seconds=leeway_seconds))


def encode(seen: Seen) -> bytes:
    """The document."""
    return msgspec.json.encode(seen)


def decode(document: bytes) -> Seen:
    """Read a document back, strictly.

    Raises:
        StateUnavailableError: it is not one that `encode` wrote. Never "not seen": that would
            let a session in anew.
    """
    try:
        seen = msgspec.json.decode(document, type=Seen, strict=True)
    except msgspec.MsgspecError:
        seen = None
    if seen is None or not _is_sound(seen) or encode(seen) != document:
        raise StateUnavailableError("A session of another issuer cannot be read.")
    return seen


def _is_sound(seen: Seen) -> bool:
    try:
        staff = staff_id(seen.staff.removeprefix("staff:"))
    except ValueError:
        return False
    return (
        staff == seen.staff
        and 0 <= seen.epoch <= MAX_EPOCH
        and seen.seen_at >= 0
        and 0 <= seen.expires_at <= MAX_SECONDS * 1000
    )
