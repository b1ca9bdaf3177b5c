"""Break-glass: one card, for some minutes, outside the salon's window. The rules of it.

    asked       it lifts the window for exactly one record, up to an instant
    over        that instant has passed; somebody has still to look at it
    reviewed    a manager has; only now may the person ask again. A review also ends it

THEOREMS (tests/properties/test_grant.py, against tests/oracles/slow_grant.py):
  a grant lifts nothing but `read` by GET of its record, for its person in its device session;
  it lifts nothing from its end on, nor once it was reviewed;
  nobody reviews their own, and a review is never changed.

What a grant does to a decision stands in `enforcer/decide.py`; this file says only whether it
counts. House rules: pure. A document is read back exactly as it was written, or not at all:
what cannot be read is a state store that cannot answer, never a person without a grant.
"""

import re
from datetime import timedelta
from enum import StrEnum

import msgspec

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import Principal, StaffId, is_name
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds

MIN_MINUTES, MAX_MINUTES = 15, 30
MAX_REASON = 300  # characters
MAX_TOLD = 64  # managers named in a grant; a salon has a few
# Two gateways' clocks differ by less. A clock that is further behind opens nothing.
SKEW = timedelta(seconds=60)
_LAST = 253_370_764_800_000  # milliseconds: the year 9999 begins
_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_RECORD = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)  # what a slot of a route may hold
_TO = re.compile(r"[a-z_]{1,16}", re.ASCII)


class Verdict(StrEnum):
    """What a manager found."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


class Blocked(StrEnum):
    """Why somebody may not ask."""

    OPEN = "open"  # one card at a time
    UNREVIEWED = "unreviewed"
    NOBODY = "nobody"  # nobody could be told, or could review it


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody found when they looked at it.

    Attributes:
        at: milliseconds since 1970.
    """

    by: str
    at: int
    verdict: Verdict

    def __post_init__(self) -> None:
        _require_staff(self.by)
        _require_moment(self.at)


class Grant(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One time that somebody broke the glass.

    Attributes:
        id: of its entries in the trail.
        device, epoch: the device session that asked; None = its token names no device.
        reason: what they wrote. It stands here and nowhere else: it may name a client.
        asked, until: milliseconds since 1970; it lifts nothing from `until` on.
        told: the managers of the salon who are told of it.
        review: None = nobody has looked at it yet.
    """

    id: str
    staff: str
    device: str | None
    epoch: int
    salon: str
    resource: str
    record: str
    reason: str
    asked: int
    until: int
    told: tuple[str, ...]
    review: Review | None = None

    def __post_init__(self) -> None:
        _require_staff(self.staff)
        for staff in self.told:
            _require_staff(staff)
        _require_moment(self.asked)
        _require_moment(self.until)
        if not MIN_MINUTES * 60_000 <= self.until - self.asked <= MAX_MINUTES * 60_000:
            raise ValueError(f"a grant lasts {MIN_MINUTES} to {MAX_MINUTES} minutes")
        if _ID.fullmatch(self.id) is None or _RECORD.fullmatch(self.record) is None:
            raise ValueError("a grant has an id, and is for one record")
        if not all(name.isprintable() and name for name in (self.salon, self.resource)):
            raise ValueError("a grant is for a resource in a salon")
        if self.reason != read_reason(self.reason):
            raise ValueError("a reason is written with single blanks")
        if not 1 <= len(self.told) <= MAX_TOLD or self.staff in self.told:
            raise ValueError("somebody else is told of a grant")
        if self.review is not None and self.review.by == self.staff:
            raise ValueError("nobody reviews their own grant")

    @property
    def ends(self) -> Instant:
        """From when on it lifts nothing."""
        return from_milliseconds(self.until)

    @property
    def begun(self) -> Instant:
        """When it was asked for."""
        return from_milliseconds(self.asked)

    def is_open(self, now: Instant) -> bool:
        """Does it lift anything now?"""
        return self.review is None and self.begun - SKEW <= now < self.ends


def read_reason(text: str) -> str:
    """What somebody wrote as their reason, on one line.

    Raises:
        ValueError: it is empty, longer than MAX_REASON, or holds what cannot be seen.
    """
    plain = " ".join(text.split())
    if not 1 <= len(plain) <= MAX_REASON or not plain.isprintable():
        raise ValueError(f"a reason has 1 to {MAX_REASON} printable characters")
    return plain


def blocked(last: Grant | None, now: Instant) -> Blocked | None:
    """Why somebody whose last grant this is may not ask for another; None = they may."""
    if last is None or last.review is not None:
        return None
    return Blocked.OPEN if last.is_open(now) else Blocked.UNREVIEWED


def lifts(
    grant: Grant,
    principal: Principal,
    *,
    method: str,
    resource: str,
    action: str,
    record: str | None,
    now: Instant,
) -> bool:
    """Does the grant lift the window for this request?

    Args:
        grant: the person's last one.
        principal: who asks.
        method: of the request. HEAD is none: nobody reads a card by it.
        resource: the route's.
        action: the route's.
        record: as the path names it; None = it names none.
        now: the instant of the request.
    """
    return (
        grant.is_open(now)
        and (method, action) == ("GET", "read")
        and (resource, record) == (grant.resource, grant.record)
        and principal.staff == grant.staff
        and (principal.device, principal.epoch) == (grant.device, grant.epoch)
        and any(post.salon == grant.salon for post in principal.posts)
    )


def asked_for(
    principal: Principal,
    *,
    id: str,  # noqa: A002  # the grant's
    salon: str,
    resource: str,
    record: str,
    reason: str,
    told: tuple[StaffId, ...],
    now: Instant,
    minutes: int,
) -> Grant:
    """A grant for the person in this device session, from now on. Raises ValueError."""
    asked = to_milliseconds(now)
    return Grant(
        id=id,
        staff=principal.staff,
        device=principal.device,
        epoch=principal.epoch,
        salon=salon,
        resource=resource,
        record=record,
        reason=read_reason(reason),
        asked=asked,
        until=asked + minutes * 60_000,
        told=told,
    )


def reviewed(grant: Grant, by: StaffId, verdict: Verdict, now: Instant) -> Grant:
    """The grant as somebody else has looked at it; a second review changes nothing.

    Raises:
        ValueError: it is their own.
    """
    if by == grant.staff:
        raise ValueError("nobody reviews their own grant")
    if grant.review is not None:
        return grant
    review = Review(by=by, at=to_milliseconds(now), verdict=verdict)
    return msgspec.structs.replace(grant, review=review)


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is still to be told of a grant, one way. It is removed once it was told.

    Holds all that is told, so the grant need not be read: no reason, which may name a client.

    Attributes:
        to: the way, `webhook` or `smtp`.
        tries: how often it was begun.
        due: milliseconds since 1970: when it is tried (again).
        given_up: it was tried for as long as makes sense. It is kept to be shown.
    """

    grant: str
    to: str
    staff: str
    salon: str
    resource: str
    record: str
    asked: int
    until: int
    told: tuple[str, ...]
    tries: int
    due: int
    given_up: bool

    def __post_init__(self) -> None:
        _require_staff(self.staff)
        for staff in self.told:
            _require_staff(staff)
        for moment in (self.asked, self.until, self.due):
            _require_moment(moment)
        if _ID.fullmatch(self.grant) is None or _TO.fullmatch(self.to) is None or self.tries < 0:
            raise ValueError("a notice is of a grant, one way")

    @property
    def key(self) -> str:
        """Its own among the notices."""
        return f"{self.grant}.{self.to}"


def notice_of(grant: Grant, to: str) -> Notice:
    """The notice of a grant, due at once."""
    return Notice(
        grant=grant.id,
        to=to,
        staff=grant.staff,
        salon=grant.salon,
        resource=grant.resource,
        record=grant.record,
        asked=grant.asked,
        until=grant.until,
        told=grant.told,
        tries=0,
        due=grant.asked,
        given_up=False,
    )


# -- as documents -------------------------------------------------------------------------


def render(document: msgspec.Struct) -> bytes:
    """The one form in which it is kept."""
    return _ENCODER.encode(document)


def parse_grant(data: bytes) -> Grant:
    """Read a grant back.

    Raises:
        StateUnavailableError: it is not exactly what `render` writes. What was granted to whom
            is not known then.
    """
    try:
        grant = _GRANTS.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("a grant in the state cannot be read") from None
    if render(grant) != data:
        raise StateUnavailableError("a grant in the state is written in another form")
    return grant


def parse_notice(data: bytes) -> Notice:
    """Read a notice back. Raises StateUnavailableError, as `parse_grant`."""
    try:
        notice = _NOTICES.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("a notice in the state cannot be read") from None
    if render(notice) != data:
        raise StateUnavailableError("a notice in the state is written in another form")
    return notice


def _require_staff(staff: str) -> None:
    if not staff.startswith("staff:") or not is_name(staff.removeprefix("staff:")):
        raise ValueError("a member of the staff is written `staff:...`")


def _require_moment(moment: int) -> None:
    if not 0 <= moment <= _LAST:
        raise ValueError("an instant lies between 1970 and 9999")


_ENCODER = msgspec.json.Encoder(order="deterministic")
_GRANTS = msgspec.json.Decoder(Grant)
_NOTICES = msgspec.json.Decoder(Notice)
