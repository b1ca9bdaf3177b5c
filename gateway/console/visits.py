"""Visits: sessions of the console, kept as documents of the state.

A visit is found by a secret of 256 bits that only the browser has; the store holds its SHA-256,
so that reading the store lets nobody in. It ends 8 hours after it began and after half an hour
in which nothing was asked, whichever comes first: the store forgets it by itself, and what the
visit says is looked at again besides. What cannot be read is no "nobody": it is an error.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId, device_id, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import DocumentStore, Kept, Kind

LIFETIME = timedelta(hours=8)  # a long working day
IDLE = timedelta(minutes=30)
PROOF = timedelta(minutes=5)  # for so long after the password, grave acts need it no more
TOUCH = timedelta(minutes=1)  # that somebody is still there is written down so often
MAX_VISITS = 8  # of one person at once; the longest unused one ends for a ninth

_TRIES = 8  # of ending a visit that is being touched meanwhile
_SKEW = 5_000  # milliseconds by which the clocks of one salon's gateways may differ
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes as base64url


class Visit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One visit. Instants as milliseconds since 1970.

    Attributes:
        device, epoch: of the session that the sign-in began; a forced logout ends it.
        csrf: stands in every form of this visit.
        created, seen: when it began, and when something was asked last, give or take a minute.
        proved: when the password was given last.
    """

    staff: str
    device: str
    epoch: int
    csrf: str
    created: int
    seen: int
    proved: int

    def __post_init__(self) -> None:
        device_id(self.device)
        if staff_id(self.staff.removeprefix("staff:")) != self.staff:
            raise ValueError("a visit is somebody's of the staff")

    def ends(self) -> Instant:
        """When it is over, if nothing more is asked."""
        created, seen = from_milliseconds(self.created), from_milliseconds(self.seen)
        return Instant(min(created + LIFETIME, seen + IDLE))

    def is_proved(self, now: Instant) -> bool:
        """Was the password given within the last minutes?"""
        return 0 <= to_milliseconds(now) - self.proved < PROOF / timedelta(milliseconds=1)


class Visits:
    """The visits that a store keeps."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    async def open(self, staff: StaffId, device: DeviceId, epoch: int, now: Instant) -> str:
        """Begin a visit; returns its secret, which was never used before.

        Raises:
            StateUnavailableError: it could not be written.
        """
        await self._make_room(staff, now)
        secret = secrets.token_urlsafe(32)
        moment = to_milliseconds(now)
        visit = Visit(
            staff=staff,
            device=device,
            epoch=epoch,
            csrf=secrets.token_urlsafe(32),
            created=moment,
            seen=moment,
            proved=moment,
        )
        if await self._put(_key(secret), visit, None, now) is None:
            raise StateUnavailableError("a visit stands where none can stand")
        return secret

    async def find(self, secret: str, now: Instant) -> Visit | None:
        """The visit of a secret as a browser sent it; None = there is none (any more)."""
        found = await self._get(secret, now)
        return None if found is None else found[1]

    async def touch(self, secret: str, visit: Visit, now: Instant) -> None:
        """Something was asked: it goes on for another while. Revives nothing that has ended."""
        if now - from_milliseconds(visit.seen) < TOUCH:
            return
        await self._change(secret, now, lambda old: replace(old, seen=to_milliseconds(now)))

    async def prove(self, secret: str, now: Instant) -> None:
        """The password was given."""
        moment = to_milliseconds(now)
        await self._change(secret, now, lambda old: replace(old, seen=moment, proved=moment))

    async def close(self, secret: str, now: Instant) -> None:
        """End it, if it has not ended by itself; also one that cannot be read."""
        if _SECRET.fullmatch(secret) is None:
            return
        key = _key(secret)
        for _ in range(_TRIES):
            kept = await self._documents.get(Kind.SIGN_IN, key, now)
            if kept is None or await self._documents.remove(
                Kind.SIGN_IN, key, replaces=kept.revision, now=now
            ):
                return
        raise StateUnavailableError("a visit changes faster than it can be ended")

    async def _change(self, secret: str, now: Instant, change: Callable[[Visit], Visit]) -> None:
        """Write it anew unless it has ended. Another writer wins: it knew of a later moment."""
        found = await self._get(secret, now)
        if found is not None:
            kept, visit = found
            await self._put(_key(secret), change(visit), kept.revision, now)

    async def _get(self, secret: str, now: Instant) -> tuple[Kept, Visit] | None:
        if _SECRET.fullmatch(secret) is None:
            return None
        kept = await self._documents.get(Kind.SIGN_IN, _key(secret), now)
        if kept is None:
            return None
        visit = _read(kept)
        # Of another clock that ran ahead, too: what is still to begin is no visit.
        begun = visit.created <= to_milliseconds(now) + _SKEW
        return (kept, visit) if begun and now < visit.ends() else None

    async def _put(
        self, key: str, visit: Visit, replaces: int | None, now: Instant
    ) -> Kept | None:
        return await self._documents.put(
            Kind.SIGN_IN,
            key,
            msgspec.json.encode(visit),
            replaces=replaces,
            now=now,
            expires=visit.ends(),
        )

    async def _make_room(self, staff: StaffId, now: Instant) -> None:
        """A person who signs in again and again does not fill the store.

        Somebody's visit that cannot be read keeps nobody else out: it ends by itself.
        """
        theirs = []
        for key, kept in (await self._documents.all(Kind.SIGN_IN, now)).items():
            try:
                visit = _read(kept)
            except StateUnavailableError:
                continue
            if visit.staff == staff:
                theirs.append((visit.seen, key, kept.revision))
        for _, key, revision in sorted(theirs)[: max(0, len(theirs) - MAX_VISITS + 1)]:
            await self._documents.remove(Kind.SIGN_IN, key, replaces=revision, now=now)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(kept: Kept) -> Visit:
    try:
        return msgspec.json.decode(kept.value, type=Visit)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("a visit in the state cannot be read") from None
