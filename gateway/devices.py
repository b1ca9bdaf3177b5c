"""The registry of devices: approve, refuse, name, forget; and whoever was away for long.

True of every act here, as in `sessions.py`:

* it is entered in the trail before it takes effect: what cannot be entered is not done;
* what was read and what is written is one step, or it is read again;
* doing it again leaves things as they are, and brings to an end what an error cut short.

Refusing a device, and forgetting it, ends its sessions: what is under way stops with them.

Beside the people's documents stands one under NEWS. Its revision tells every gateway that
somebody said something, so that what they have at hand is read anew; being seen does not move
it. What it holds is since when there has been a registry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.audit.entry import entry_of_act
from gateway.domain.act import Act
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, StaffId, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.devices import (
    NOTHING,
    Record,
    State,
    forgotten,
    labelled,
    parse_record,
    reactivated,
    render_record,
    said_of,
)
from gateway.ports import AuditTrail, Clock, DocumentStore, EpochStore, Kept, Kind

NEWS: Final = "-"  # no person's key: those begin with `staff:`
ATTEMPTS: Final = 32  # of those who change one document at once, each round lets one through
_LAST: Final = 253_370_764_800_000  # milliseconds: the year 9999 begins


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistry:
    """Says what may come in.

    Every method raises AuditUnavailableError (and then nothing was done) or
    StateUnavailableError (and then it may have been done, in part: say it again). Those that
    name a device raise RequestError UNMAPPED if the person has no such one.

    Attributes:
        policy: the digest of the policy in force; `-` where none is.
        new_id: a name for an entry that no other entry has.
    """

    documents: DocumentStore
    epochs: EpochStore
    audit: AuditTrail
    clock: Clock
    policy: Callable[[], str]
    new_id: Callable[[], str]

    async def approve(
        self, staff: StaffId, device: DeviceId, *, by: StaffId | None, peer: str
    ) -> None:
        """Let a device come in, also one that was refused."""
        await self._require(staff, device)
        now = await self._enter(Act.APPROVE_DEVICE, staff, device, by=by, peer=peer)
        await self._change(
            staff, device, now, lambda record: said_of(record, device, State.APPROVED, now, by)
        )

    async def refuse(
        self, staff: StaffId, device: DeviceId, *, by: StaffId | None, peer: str
    ) -> None:
        """Keep a device out until somebody approves or forgets it, and end its sessions."""
        await self._require(staff, device)
        now = await self._enter(Act.REFUSE_DEVICE, staff, device, by=by, peer=peer)
        await self._change(
            staff, device, now, lambda record: said_of(record, device, State.REFUSED, now, by)
        )
        await self.epochs.revoke(staff, device, now)

    async def rename(
        self, staff: StaffId, device: DeviceId, label: str | None, *, by: StaffId | None, peer: str
    ) -> None:
        """Give a device a name of your own, as `read_label` has read it; None = take it away."""
        await self._require(staff, device)
        now = await self._enter(Act.RENAME_DEVICE, staff, device, by=by, peer=peer)
        await self._change(staff, device, now, lambda record: labelled(record, device, label))

    async def forget(
        self, staff: StaffId, device: DeviceId, *, by: StaffId | None, peer: str
    ) -> None:
        """Forget a device, what was said of it included; it comes anew as a new one."""
        await self._require(staff, device)
        now = await self._enter(Act.FORGET_DEVICE, staff, device, by=by, peer=peer)
        await self._change(staff, device, now, lambda record: forgotten(record, device))
        await self.epochs.revoke(staff, device, now)

    async def reactivate(self, staff: StaffId, *, by: StaffId | None, peer: str) -> None:
        """Somebody who was away for long is not idle, counted from now on."""
        now = await self._enter(Act.REACTIVATE, staff, None, by=by, peer=peer)
        await self._change(staff, None, now, lambda record: reactivated(record, now))

    async def of(self, staff: StaffId) -> Record:
        """What is known of a person's devices."""
        kept = await self.documents.get(Kind.DEVICE, staff, self.clock.now())
        return NOTHING if kept is None else parse_record(kept.value)

    async def all(self) -> Mapping[StaffId, Record]:
        """What is known of everybody's devices."""
        return await devices_in(self.documents, self.clock.now())

    # -- how --------------------------------------------------------------------------------

    async def _require(self, staff: StaffId, device: DeviceId) -> None:
        if device not in (await self.of(staff)).devices:
            raise RequestError(Reason.UNMAPPED, "They have no such device.")

    async def _enter(
        self, act: Act, whom: StaffId, device: DeviceId | None, *, by: StaffId | None, peer: str
    ) -> Instant:
        now = self.clock.now()
        await self.audit.append(
            entry_of_act(
                act,
                request_id=self.new_id(),
                at=now,
                peer=peer,
                policy=self.policy(),
                staff=by,
                whom=whom,
                device=device,
            )
        )
        return now

    async def _change(
        self,
        staff: StaffId,
        device: DeviceId | None,
        now: Instant,
        step: Callable[[Record], Record],
    ) -> None:
        """Make of a record what `step` makes of it, in one step; then tell every gateway."""
        for _ in range(ATTEMPTS):
            kept = await self.documents.get(Kind.DEVICE, staff, now)
            record = NOTHING if kept is None else parse_record(kept.value)
            if device is not None and device not in record.devices:
                break  # forgotten meanwhile: there is nothing left to say it of
            after = step(record)
            if after == record or await _put(self.documents, staff, kept, after, now):
                break
        else:
            raise StateUnavailableError("devices were changed by others again and again")
        # Also where nothing was left to change: whoever did it may not have come this far.
        await tell(self.documents, now)


async def tell(documents: DocumentStore, now: Instant) -> None:
    """Tell every gateway to read anew what it has at hand of devices.

    Raises:
        StateUnavailableError: the store does not answer.
    """
    for _ in range(ATTEMPTS):
        kept = await documents.get(Kind.DEVICE, NEWS, now)
        value = _began_now(now) if kept is None else kept.value
        replaces = None if kept is None else kept.revision
        if await documents.put(Kind.DEVICE, NEWS, value, replaces=replaces, now=now):
            return
    raise StateUnavailableError("the news of devices was changed by others again and again")


async def news(documents: DocumentStore, now: Instant) -> tuple[int, Instant]:
    """Another number whenever somebody said something; and since when there is a registry.

    It begins with the first call ever.

    Raises:
        StateUnavailableError: the store does not answer, or what it holds cannot be read.
    """
    kept = await documents.get(Kind.DEVICE, NEWS, now)
    if kept is None:
        value = _began_now(now)
        await documents.put(Kind.DEVICE, NEWS, value, replaces=None, now=now)
        kept = await documents.get(Kind.DEVICE, NEWS, now)
    if kept is None:
        raise StateUnavailableError("the registry of devices does not keep what is written")
    try:
        began = msgspec.json.decode(kept.value, type=int)
    except msgspec.MsgspecError:
        began = -1
    if not 0 <= began <= _LAST or msgspec.json.encode(began) != kept.value:
        raise StateUnavailableError("when the registry of devices began cannot be read")
    return kept.revision, from_milliseconds(began)


async def devices_in(documents: DocumentStore, now: Instant) -> Mapping[StaffId, Record]:
    """What is known of everybody's devices.

    Raises:
        StateUnavailableError: a single one of them cannot be read.
    """
    kept = await documents.all(Kind.DEVICE, now)
    return {
        _staff_of_key(key): parse_record(one.value) for key, one in kept.items() if key != NEWS
    }


async def change(
    documents: DocumentStore, staff: StaffId, now: Instant, step: Callable[[Record], Record]
) -> tuple[Record, Record]:
    """Being seen, in one step, told to nobody: the record before and after.

    Raises:
        StateUnavailableError: it was not written.
    """
    for _ in range(ATTEMPTS):
        kept = await documents.get(Kind.DEVICE, staff, now)
        before = NOTHING if kept is None else parse_record(kept.value)
        after = step(before)
        if after == before or await _put(documents, staff, kept, after, now):
            return before, after
    raise StateUnavailableError("devices were changed by others again and again")


async def _put(
    documents: DocumentStore, staff: StaffId, kept: Kept | None, after: Record, now: Instant
) -> bool:
    replaces = None if kept is None else kept.revision
    written = await documents.put(
        Kind.DEVICE, staff, render_record(after), replaces=replaces, now=now
    )
    return written is not None


def _began_now(now: Instant) -> bytes:
    return msgspec.json.encode(to_milliseconds(now))


def _staff_of_key(key: str) -> StaffId:
    try:
        staff = staff_id(key.removeprefix("staff:"))
    except ValueError:
        raise StateUnavailableError("devices in the state are nobody's") from None
    if staff != key:
        raise StateUnavailableError("devices in the state are nobody's")
    return staff
