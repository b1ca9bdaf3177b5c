"""A credential that the CRM issued and the gateway has learned: whose it is, and until when.

INVARIANTS
- The value is nowhere: a document stands under a keyed hash of place, name and value, so that
  neither the state nor a copy of it holds anything that opens the CRM.
- What is issued in place of an earlier credential (a refresh, a renewed cookie) has the earlier
  one's epoch: a forced logout ends them all.
- One person has at most MAX_SESSIONS sessions, each with MAX_OF_SESSION credentials of a kind.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

import msgspec
from msgspec import Struct

from gateway.domain.errors import StateUnavailableError
from gateway.domain.login import Source
from gateway.domain.subject import StaffId, device_id, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.claims import MAX_EPOCH, MAX_SECONDS, Claims

MIN_KEY_BYTES = 32  # RFC 2104 3: not less than the hash's output
MAX_SESSIONS = 32  # of one person; a colleague has a phone, a tablet, the desk's computer
MAX_OF_SESSION = 8  # of each kind: browsers ask several things at once while a cookie changes
# So long a credential stays known after its end. A CRM may take it for longer than we do, and
# at the login one that was somebody's must not pass for one of nobody.
REMEMBERED = timedelta(days=30)
_DOMAIN = b"salon-gateway learned credential 1"


class Use(StrEnum):
    """What a credential is good for."""

    ACCESS = "access"  # says who asks
    REFRESH = "refresh"  # is exchanged for one that does; says nothing by itself


class Learned(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One credential, as the state keeps it.

    Attributes:
        device: made up at the login, unless the app names one.
        session: of one sign-in; refreshed and renewed credentials share it.
        epoch: of the person's counter at the sign-in.
        issued_at, expires_at: in milliseconds since 1970.
    """

    staff: str
    device: str
    session: str
    epoch: int
    use: Use
    issued_at: int
    expires_at: int


def credential_key(secret: bytes, use: Use, form: Source, value: str) -> str:
    """The document's key: HMAC-SHA-256 in hex, of parts that cannot run into each other.

    Args:
        secret: MIN_KEY_BYTES or more, of the gateway alone.
        use: a refresh token is never found as a credential, nor the other way round.
        form: where it is presented; of refresh tokens the place does not matter.
        value: exactly as presented.

    Raises:
        ValueError: the secret is too short.
    """
    if len(secret) < MIN_KEY_BYTES:
        raise ValueError(f"the key of learned credentials has {MIN_KEY_BYTES} bytes or more")
    place = (form.place.value, form.name) if use is Use.ACCESS else ("", "")
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for part in (_DOMAIN, use.value.encode(), *(p.encode() for p in place), value.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def encode(learned: Learned) -> bytes:
    """The document."""
    return msgspec.json.encode(learned)


def decode(document: bytes) -> Learned:
    """Read a document back, strictly.

    Raises:
        StateUnavailableError: it is not one that `encode` wrote. Never "nobody": what stands
            there was somebody's.
    """
    try:
        learned = msgspec.json.decode(document, type=Learned, strict=True)
    except msgspec.MsgspecError:
        learned = None
    if learned is None or not _is_sound(learned) or encode(learned) != document:
        raise StateUnavailableError("A learned credential cannot be read.")
    return learned


def _is_sound(learned: Learned) -> bool:
    try:
        device_id(learned.device)
        staff = staff_id(learned.staff.removeprefix("staff:"))
    except ValueError:
        return False
    return (
        staff == learned.staff
        and learned.session != ""
        and 0 <= learned.epoch <= MAX_EPOCH
        and 0 <= learned.issued_at < learned.expires_at <= MAX_SECONDS * 1000
    )


def claims_of(learned: Learned) -> Claims:
    """As a token's claims: the rest of the way is the same. It names no app and no roles."""
    return Claims(
        staff=StaffId(learned.staff),
        device=device_id(learned.device),
        epoch=learned.epoch,
        app=None,
        roles=None,
        expires_at=from_milliseconds(learned.expires_at),
    )


def remembered_until(learned: Learned) -> Instant:
    """When the document itself may go."""
    return Instant(from_milliseconds(learned.expires_at) + REMEMBERED)


def succeeded_by(earlier: Learned, *, use: Use, now: Instant, expires_at: Instant) -> Learned:
    """What was issued in place of an earlier one: the same person, device, session, epoch."""
    return msgspec.structs.replace(
        earlier,
        use=use,
        issued_at=to_milliseconds(now),
        expires_at=to_milliseconds(expires_at),
    )


def surplus(kept: Mapping[str, Learned], staff: StaffId) -> tuple[str, ...]:
    """The keys of a person's credentials that are too many: of old sessions, old ones of one."""
    newest: dict[str, int] = {}
    for one in kept.values():
        if one.staff == staff:
            newest[one.session] = max(one.issued_at, newest.get(one.session, 0))
    order = sorted(newest, key=lambda session: (newest[session], session), reverse=True)
    staying = frozenset(order[:MAX_SESSIONS])
    counts: dict[tuple[str, Use], int] = {}
    gone: list[str] = []
    mine = [(one.issued_at, key, one) for key, one in kept.items() if one.staff == staff]
    for _, key, one in sorted(mine, key=lambda found: found[:2], reverse=True):
        kind = (one.session, one.use)
        counts[kind] = counts.get(kind, 0) + 1
        if one.session not in staying or counts[kind] > MAX_OF_SESSION:
            gone.append(key)
    return tuple(gone)
