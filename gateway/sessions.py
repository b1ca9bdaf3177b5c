"""Out at once: logging out, locking, seeing out; the one room in which that is done.

True of every act here, whether the console or the command line asks for it:

* it is entered in the trail before it takes effect: what cannot be entered is not done;
* then it is done, so that doing it again leaves things as they are. Whoever is told of an
  error does not know how far it came, and says it again;
* of acts at the same time each counts: what was read and what is written is one step
  (compare and set), or it is read again.

Somebody who is seen out keeps nothing: the tombstone comes first, since from then on every
stage refuses them, whatever is still being cleared away. What was set for a later instant is
refused from that instant on by the tombstone alone; no job has to run. Saying it again after
that instant clears away what is left.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from gateway.audit.entry import entry_of_act
from gateway.domain.act import Act
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId, staff_id
from gateway.domain.time import Instant
from gateway.identity.incident import KEY as INCIDENT
from gateway.identity.locks import Lock, locked, parse_lock, render_lock, seen_out, unlocked
from gateway.ports import (
    MAX_DOCUMENT_BYTES,
    AuditTrail,
    Clock,
    DocumentStore,
    EpochStore,
    Kept,
    Kind,
)
from gateway.texts.jsontext import parse_strict_json

# Of those who change one document at once, each round lets one through: this many may meet.
ATTEMPTS = 32
MAX_DEPTH = 16  # of a document that names its owner
OWN = (Kind.ACCOUNT, Kind.DEVICE)  # by staff id
THEIRS = (Kind.LEARNED, Kind.SIGN_IN)  # by another key; whose they are stands in them: `staff`

Said = TypeVar("Said", bound=Lock | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Ends sessions, and keeps people from beginning new ones.

    Every method raises AuditUnavailableError (and then nothing was done) or
    StateUnavailableError (and then it may have been done, in part: say it again).

    Attributes:
        policy: the digest of the policy in force; `-` where none is.
        new_id: a name for an entry that no other entry has.
    """

    epochs: EpochStore
    documents: DocumentStore
    audit: AuditTrail
    clock: Clock
    policy: Callable[[], str]
    new_id: Callable[[], str]

    async def log_out(
        self, staff: StaffId, device: DeviceId | None, *, by: StaffId | None, peer: str
    ) -> int:
        """End every session of a person, or those of one device.

        Returns:
            The floor: tokens with a lesser epoch are refused.
        """
        now = await self._enter(Act.LOG_OUT, staff, by=by, peer=peer, device=device)
        return await self.epochs.revoke(staff, device, now)

    async def lock(self, staff: StaffId, *, by: StaffId | None, peer: str) -> Lock:
        """Keep a person out until somebody unlocks them, and end their sessions.

        Returns:
            What is said of the person now: a tombstone, if there was one.
        """
        now = await self._enter(Act.LOCK, staff, by=by, peer=peer)
        lock = await self._change(staff, now, lambda before: locked(before, now, by))
        await self.epochs.revoke(staff, None, now)
        return lock

    async def unlock(self, staff: StaffId, *, by: StaffId | None, peer: str) -> None:
        """Lift a lock. A tombstone is never lifted, also not one set for later."""
        now = await self._enter(Act.UNLOCK, staff, by=by, peer=peer)
        await self._change(staff, now, lambda before: unlocked(before, now, by))

    async def offboard(
        self,
        staff: StaffId,
        *,
        at: Instant | None,
        notice_from: date | None,
        by: StaffId | None,
        peer: str,
    ) -> Lock:
        """See a person out: for good, so that their id is never used again.

        Args:
            staff: whoever it is; they need not be on the roster any more.
            at: from when on; None, or an instant that is not to come any more = at once. One
                that was set before moves to it, unless it is in effect.
            notice_from: they are on notice from this date; None = as was said before.
            by: who does it; None = somebody on the gateway's own machine.
            peer: where it was asked from.

        Returns:
            The tombstone as it stands now.
        """
        now = await self._enter(Act.OFFBOARD, staff, by=by, peer=peer)
        lock = await self._change(
            staff, now, lambda before: seen_out(before, now, by, at=at, notice_from=notice_from)
        )
        if lock.has_left(now):
            await self._clear_away(staff, now)
        return lock

    async def locks(self) -> Mapping[StaffId, Lock]:
        """What is said of whom, tombstones included."""
        return await locks_in(self.documents, self.clock.now())

    # -- how --------------------------------------------------------------------------------

    async def _enter(
        self,
        act: Act,
        whom: StaffId,
        *,
        by: StaffId | None,
        peer: str,
        device: DeviceId | None = None,
    ) -> Instant:
        """Enter an act that is about to be done; its one reading of the clock."""
        now = self.clock.now()
        entry = entry_of_act(
            act,
            request_id=self.new_id(),
            at=now,
            peer=peer,
            policy=self.policy(),
            staff=by,
            whom=whom,
            device=device,
        )
        await self.audit.append(entry)
        return now

    async def _change(
        self, staff: StaffId, now: Instant, step: Callable[[Lock | None], Said]
    ) -> Said:
        """Make of a lock what `step` makes of it, in one step."""
        for _ in range(ATTEMPTS):
            kept = await self.documents.get(Kind.LOCK, staff, now)
            before = None if kept is None else parse_lock(kept.value)
            after = step(before)
            if after == before or await self._write(staff, kept, after, now):
                return after
        raise StateUnavailableError("a lock was changed by others again and again")

    async def _write(
        self, staff: StaffId, kept: Kept | None, after: Lock | None, now: Instant
    ) -> bool:
        replaces = None if kept is None else kept.revision
        if after is not None:
            value = render_lock(after)
            written = await self.documents.put(Kind.LOCK, staff, value, replaces=replaces, now=now)
            return written is not None
        return replaces is None or await self.documents.remove(
            Kind.LOCK, staff, replaces=replaces, now=now
        )

    async def _clear_away(self, staff: StaffId, now: Instant) -> None:
        """End all that a person had: sessions, account, devices, what was learned, the console's.

        A document that cannot be read keeps none of the others from being removed.
        """
        await self.epochs.revoke(staff, None, now)
        for own in OWN:
            await self._remove(own, staff, now, lambda _: True)
        unreadable = 0
        for kind in THEIRS:
            for key, kept in (await self.documents.all(kind, now)).items():
                try:
                    if _owner(kept.value) == staff:
                        await self._remove(kind, key, now, lambda v: _owner(v) == staff)
                except ValueError:
                    unreadable += 1
        if unreadable:
            raise StateUnavailableError(
                "they have left and are refused, but whose some documents of the state are "
                f"cannot be read: {unreadable}"
            )

    async def _remove(
        self, kind: Kind, key: str, now: Instant, is_theirs: Callable[[bytes], bool]
    ) -> None:
        for _ in range(ATTEMPTS):
            kept = await self.documents.get(kind, key, now)
            if kept is None or not is_theirs(kept.value):
                return
            if await self.documents.remove(kind, key, replaces=kept.revision, now=now):
                return
        raise StateUnavailableError("a document was changed by others again and again")


async def locks_in(documents: DocumentStore, now: Instant) -> Mapping[StaffId, Lock]:
    """What is said of whom, tombstones included.

    Raises:
        StateUnavailableError: a single one of them cannot be read.
    """
    kept = await documents.all(Kind.LOCK, now)
    return {
        _staff_of_key(key): parse_lock(one.value) for key, one in kept.items() if key != INCIDENT
    }


def _owner(value: bytes) -> str | None:
    """The `staff` of a document. Raises ValueError if it does not say whose it is."""
    document = parse_strict_json(value, max_depth=MAX_DEPTH, max_bytes=MAX_DOCUMENT_BYTES)
    match document:
        case {"staff": str() | None as owner}:
            return owner
        case _:
            raise ValueError("not a document that names its owner")


def _staff_of_key(key: str) -> StaffId:
    try:
        staff = staff_id(key.removeprefix("staff:"))
    except ValueError:
        raise StateUnavailableError("a lock in the state is nobody's") from None
    if staff != key:
        raise StateUnavailableError("a lock in the state is nobody's")
    return staff
