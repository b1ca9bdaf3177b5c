"""Who is locked out, and who has left: the verdict of one small document a person.

    nothing        nobody said anything
    locked         until somebody unlocks it
    left           a tombstone: for ever, whatever staff.yaml says, so that an id is never
                   used again; it may be set for an instant to come (the end of a shift), and
                   the person may be locked until then

THEOREMS (tests/properties/test_locks.py, against tests/oracles/slow_locks.py):
  a tombstone in effect is in effect at every later instant and after every act;
  before its instant it does nothing, and no act but seeing out makes or moves one;
  the verdict of an instant stays as it is up to `next_change`.

House rules: pure. A document is read back exactly as it was written, or not at all: what
cannot be read is a state store that cannot answer, never a person without a lock.
"""

import dataclasses
from datetime import date
from typing import NewType

import msgspec

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import Principal, StaffId, is_name
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds

UnlockedStaff = NewType("UnlockedStaff", StaffId)  # only `require_unlocked` makes one
_LAST = 253_370_764_800_000  # milliseconds: the year 9999 begins


class Lock(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What was said of one person's access.

    Attributes:
        since: milliseconds since 1970: when it was said.
        by: who said it; None = somebody on the gateway's own machine.
        left: a tombstone; False = a lock that can be lifted.
        effective: milliseconds since 1970: from when a tombstone refuses; None = at once, and
            then no clock is asked: one that is behind revives nobody. A lock is always at once.
        locked_meanwhile: locked until the tombstone's instant.
        notice_from: the date from which the condition `on_notice` is true, whatever staff.yaml
            says; None = staff.yaml alone says it.
    """

    since: int
    by: str | None
    left: bool
    effective: int | None = None
    locked_meanwhile: bool = False
    notice_from: date | None = None

    def __post_init__(self) -> None:
        if self.by is not None and not is_name(self.by.removeprefix("staff:")):
            raise ValueError("a lock is by a member of the staff, or by nobody")
        if self.by is not None and not self.by.startswith("staff:"):
            raise ValueError("a member of the staff is written `staff:...`")
        for moment in (self.since, self.effective):
            if moment is not None and not 0 <= moment <= _LAST:
                raise ValueError("an instant lies between 1970 and 9999")
        if self.effective is None:
            if self.locked_meanwhile:
                raise ValueError("there is no meanwhile before what is so at once")
        elif not self.left or self.effective <= self.since:
            raise ValueError("only leaving can be set for later, and only for later")
        if self.notice_from is not None and not self.left:
            raise ValueError("only somebody who leaves is on notice")

    @property
    def leaves_at(self) -> Instant | None:
        """The instant of a tombstone that was set for later, also when it has passed."""
        return None if self.effective is None else from_milliseconds(self.effective)

    def has_left(self, now: Instant) -> bool:
        """Is it a tombstone in effect?"""
        return self.left and (self.effective is None or to_milliseconds(now) >= self.effective)

    def is_locked(self, now: Instant) -> bool:
        """Is it a lock that can still be lifted?"""
        return not self.has_left(now) and (not self.left or self.locked_meanwhile)


def require_unlocked(staff: StaffId, lock: Lock | None, now: Instant) -> UnlockedStaff:
    """Let somebody pass whom nobody has locked or seen out.

    Args:
        staff: who.
        lock: what the state says of them; None = it says that there is nothing.
        now: the instant of the request.

    Raises:
        RequestError: HAS_LEFT with OFFBOARDED, or LOCKED.
    """
    if lock is None:
        return UnlockedStaff(staff)
    if lock.has_left(now):
        raise RequestError(
            Reason.HAS_LEFT, "you do not work here any more", cause=Cause.OFFBOARDED
        )
    if lock.is_locked(now):
        raise RequestError(Reason.LOCKED, "Your access is locked. Speak to your manager.")
    return UnlockedStaff(staff)


def next_change(lock: Lock | None, now: Instant) -> Instant | None:
    """The instant from which `require_unlocked` would say something else; None = never.

    What flows ends there: the `until` of a verdict is not later than this.
    """
    if lock is None or lock.has_left(now):
        return None
    return lock.leaves_at


def noticed(lock: Lock | None, principal: Principal) -> Principal:
    """The principal, on notice from the earlier of two dates: the roster's and the lock's."""
    notice = None if lock is None else lock.notice_from
    known = principal.on_notice_since
    if notice is None or (known is not None and known <= notice):
        return principal
    return dataclasses.replace(principal, on_notice_since=notice)


# -- what an act makes of what was said before --------------------------------------------


def locked(before: Lock | None, now: Instant, by: StaffId | None) -> Lock:
    """Lock somebody: at once, and until the tombstone if one is set for later."""
    if before is None:
        return Lock(since=to_milliseconds(now), by=by, left=False)
    if before.has_left(now) or before.is_locked(now):
        return before
    return _meanwhile(before, now, by, locked=True)


def unlocked(before: Lock | None, now: Instant, by: StaffId | None) -> Lock | None:
    """Lift a lock; None = nothing is left of it. A tombstone stays, also one set for later."""
    if before is None or not before.left:
        return None
    if before.has_left(now) or not before.is_locked(now):
        return before
    return _meanwhile(before, now, by, locked=False)


def seen_out(
    before: Lock | None,
    now: Instant,
    by: StaffId | None,
    *,
    at: Instant | None,
    notice_from: date | None,
) -> Lock:
    """See somebody out, or set it for later, or move what was set for later.

    Args:
        before: what was said until now.
        now: the instant of the act.
        by: who does it.
        at: from when on; None, or an instant that is not to come any more = at once.
        notice_from: None = leave what was said of it.
    """
    if before is not None and before.has_left(now):
        return before
    since = to_milliseconds(now)
    effective = None if at is None else to_milliseconds(at)
    if effective is not None and effective <= since:
        effective = None
    after = Lock(
        since=since,
        by=by,
        left=True,
        effective=effective,
        locked_meanwhile=effective is not None and before is not None and before.is_locked(now),
        notice_from=notice_from or (None if before is None else before.notice_from),
    )
    # The same said again leaves who said it first, and when.
    return before if before is not None and _says_the_same(before, after) else after


def _meanwhile(leaving: Lock, now: Instant, by: StaffId | None, *, locked: bool) -> Lock:
    return msgspec.structs.replace(
        leaving, since=to_milliseconds(now), by=by, locked_meanwhile=locked
    )


def _says_the_same(one: Lock, other: Lock) -> bool:
    return one == msgspec.structs.replace(other, since=one.since, by=one.by)


# -- as a document ------------------------------------------------------------------------


def render_lock(lock: Lock) -> bytes:
    """The one form in which a lock is kept."""
    return _ENCODER.encode(lock)


def parse_lock(data: bytes) -> Lock:
    """Read a lock back.

    Raises:
        StateUnavailableError: it is not exactly what `render_lock` writes: another member, a
            member twice, another spelling. Who is locked is not known then.
    """
    try:
        lock = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("a lock in the state cannot be read") from None
    if _ENCODER.encode(lock) != data:
        raise StateUnavailableError("a lock in the state is written in another form")
    return lock


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Lock)
