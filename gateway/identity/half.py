"""Halfway through a sign-in: the password was right, the second factor is still to come.

Nothing is kept of it here. What the next request must bring is a ticket that only we can have
written, good for some minutes, in the one browser whose device cookie names the same device,
and as long as nobody changes the account's password or second factor.

House rules: pure. A ticket that is not exactly as we wrote it is none.
"""

import hmac
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256

import msgspec

from gateway.domain.subject import DeviceId, StaffId, device_id, staff_id
from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.base64url import decode_base64url, encode_base64url
from gateway.identity.totp import read_secret, write_secret

MAX_TICKET = 1024  # characters
_CONTEXT = b"salon-gateway half a sign-in v1"  # no other MAC of the key is one of these


class Step(StrEnum):
    """What is still to come."""

    CODE = "code"  # a code of the second factor they have
    ENROL = "enrol"  # the first code of one that they are setting up


LASTS = {
    Step.CODE: timedelta(minutes=5),
    Step.ENROL: timedelta(minutes=15),  # an app has to be found first
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """Half a sign-in: whoever holds one has shown the right password.

    Only `Accounts` makes one, and `read_half` of what it made.

    Attributes:
        device: the one it goes on with.
        generation: of the account (`accounts.py`), as the password was right.
        secret: of an ENROL, the key to be set up; else empty.
    """

    staff: StaffId
    device: DeviceId
    generation: int
    step: Step
    secret: bytes = field(default=b"", repr=False)


class _Ticket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    staff: str
    device: str
    generation: int
    step: Step
    secret: str
    until: int


def half_key(secret: bytes) -> bytes:
    """The key for tickets, made of another secret."""
    return hmac.digest(secret, _CONTEXT, sha256)


def write_half(half: Half, key: bytes, now: Instant) -> str:
    """A ticket for it."""
    ticket = _Ticket(
        staff=half.staff,
        device=half.device,
        generation=half.generation,
        step=half.step,
        secret=write_secret(half.secret) if half.secret else "",
        until=to_milliseconds(Instant(now + LASTS[half.step])),
    )
    data = msgspec.json.encode(ticket)
    return f"{encode_base64url(data)}.{encode_base64url(hmac.digest(key, data, sha256))}"


def read_half(
    text: str, key: bytes, now: Instant, *, step: Step, device: DeviceId | None
) -> Half | None:
    """What a ticket says; None = it is none of ours, or of no use here and now.

    Args:
        text: as it came.
        key: of `half_key`.
        now: by our clock.
        step: what it must be for.
        device: which device has been shown with it; None = none.
    """
    body, _, mark = text[: MAX_TICKET + 1].partition(".")
    try:
        data, mac = decode_base64url(body), decode_base64url(mark)
    except ValueError:
        return None
    if len(text) > MAX_TICKET or not hmac.compare_digest(mac, hmac.digest(key, data, sha256)):
        return None
    ticket = msgspec.json.decode(data, type=_Ticket)  # we wrote it
    moment = to_milliseconds(now)
    if device is None or ticket.device != device or ticket.step is not step:
        return None
    if moment >= ticket.until:
        return None
    return Half(
        staff=staff_id(ticket.staff.removeprefix("staff:")),
        device=device_id(ticket.device),
        generation=ticket.generation,
        step=ticket.step,
        secret=read_secret(ticket.secret) if ticket.secret else b"",
    )
