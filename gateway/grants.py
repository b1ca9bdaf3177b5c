"""Breaking the glass, and looking at it afterwards; the one room in which that is done.

True here:
* it is entered in the trail before it takes effect, under one number: the grant's;
* what managers are to be told is written durably before the grant is: there is no grant of
  which nobody will be told. `telling.py` tells it;
* one grant a person at a time, and the next one only after somebody else has looked at the last:
  what was read and what is written is one step (compare and set), or it is read again.

Why somebody asked stands in the state, and is shown to the managers of the salon; it is neither
in the trail, which is kept for long and read by many, nor in what is sent out. What was reviewed
is filed under its number for REVIEWED_DAYS, so that the next one does not overwrite it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from gateway.audit.entry import Entry, entry_of_act
from gateway.domain.act import Act
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import STATUS, Reason
from gateway.domain.subject import Principal, Role, StaffId
from gateway.domain.time import Instant
from gateway.identity.grant import (
    Blocked,
    Grant,
    Verdict,
    asked_for,
    blocked,
    notice_of,
    parse_grant,
    parse_notice,
    read_reason,
    render,
    reviewed,
)
from gateway.identity.principal import Person
from gateway.managers import Managers, Ways, ways_to
from gateway.ports import AuditTrail, BreakGlassStep, Clock, DocumentStore, Kept, Kind, Meter

ATTEMPTS = 32  # as in sessions.py: so many may meet at one document
REVIEWED_DAYS = 400
_DETAIL = {
    Blocked.OPEN: "A card is open for you already. One at a time.",
    Blocked.UNREVIEWED: "A manager has to look at your last one first.",
    Blocked.NOBODY: "Nobody could be told of it.",
}


class BlockedError(RequestError):
    """They may not ask, as things stand."""

    def __init__(self, why: Blocked) -> None:
        super().__init__(Reason.BREAK_GLASS_REFUSED, _DETAIL[why])
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSettings:
    """How it is set up.

    Attributes:
        minutes: how long a card is open.
        ways: how managers are told: each way → the people who can be told so; None = everybody.
    """

    minutes: int
    ways: Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """Grants: asked for, listed, reviewed.

    Every method raises AuditUnavailableError (and then nothing was done) or
    StateUnavailableError (and then it may have been done: look, before it is said again).

    Attributes:
        people: everybody on the roster of the policy in force.
        managers: whoever holds one of these roles in a salon is told, and reviews.
        everywhere: those of them who do so for every salon.
        policy: its digest; `-` where none is known.
        new_id: a name for an entry that no other entry has.
        settings: None = none can be asked for here; what was asked for can be reviewed.
    """

    documents: DocumentStore
    audit: AuditTrail
    clock: Clock
    people: Callable[[], Mapping[StaffId, Person]]
    managers: frozenset[Role]
    everywhere: frozenset[Role]
    policy: Callable[[], str]
    new_id: Callable[[], str]
    meter: Meter | None
    settings: GrantSettings | None

    async def ask(
        self,
        person: Principal,
        *,
        salon: str,
        resource: str,
        record: str,
        reason: str,
        peer: str,
    ) -> Grant:
        """Open one card for somebody, whom the window alone keeps from it.

        Args:
            person: who asks; passed every check that comes before the rules.
            salon: whose window is lifted.
            resource: of the card.
            record: its id, as the path names it.
            reason: as they wrote it.
            peer: where it was asked from.

        Raises:
            BlockedError: not as things stand.
            RequestError: BODY_INVALID: the reason is none.
        """
        now = self.clock.now()
        try:
            reason = read_reason(reason)
        except ValueError as error:
            raise RequestError(Reason.BODY_INVALID, str(error)) from None
        entry = self._entry(Act.BREAK_GLASS_ASK, now, peer, person.staff)
        entry = replace(
            entry,
            device=person.device,
            salon=salon,
            resource=resource,
            action="read",
            record=record,
        )
        settings = self.settings
        told = await self._house.of((salon,), now, but=person.staff)
        ways = () if settings is None else ways_to(settings.ways, told)
        if settings is None or not ways:
            raise await self._refused(entry, Blocked.NOBODY)
        why = blocked(_read(await self._kept(person.staff, now)), now)
        if why is not None:
            raise await self._refused(entry, why)
        await self.audit.append(entry)
        grant = asked_for(
            person,
            id=entry.request_id,
            salon=salon,
            resource=resource,
            record=record,
            reason=reason,
            told=told,
            now=now,
            minutes=settings.minutes,
        )
        await self._queue(grant, ways, now)
        why = await self._give(grant, now)
        if why is not None:
            await self._unqueue(grant, ways, now)
            raise await self._refused(entry, why)
        self._count(BreakGlassStep.ASKED, resource)
        return grant

    async def last(self, staff: StaffId) -> Grant | None:
        """The person's last grant, as the store has it; None = they have none."""
        return _read(await self._kept(staff, self.clock.now()))

    async def waiting(self) -> tuple[Grant, ...]:
        """Everything that nobody has reviewed yet, open ones included; the oldest first."""
        kept = await self.documents.all(Kind.GRANT, self.clock.now())
        found = (parse_grant(one.value) for one in kept.values())
        return tuple(sorted((g for g in found if g.review is None), key=_by_age))

    async def past(self) -> tuple[Grant, ...]:
        """Everything that was reviewed, the latest first."""
        kept = await self.documents.all(Kind.GRANT_PAST, self.clock.now())
        return tuple(
            sorted((parse_grant(one.value) for one in kept.values()), key=_by_age, reverse=True)
        )

    async def untold(self) -> frozenset[str]:
        """The ids of grants of which somebody could not be told yet, though it was tried."""
        kept = await self.documents.all(Kind.NOTICE, self.clock.now())
        notices = (parse_notice(one.value) for one in kept.values())
        return frozenset(n.grant for n in notices if n.tries > 1 or n.given_up)

    def may_review(self, by: StaffId, grant: Grant) -> bool:
        """Is it somebody else, who manages the salon?"""
        person = self.people().get(by)
        return person is not None and by != grant.staff and self.manages(person, grant.salon)

    def manages(self, person: Person, salon: str) -> bool:
        """Do they manage the salon, or every salon?"""
        return self._house.manages(person, salon)

    async def review(self, name: str, verdict: Verdict, *, by: StaffId, peer: str) -> Grant:
        """Say what was found of the grant of this id; an open one ends.

        Raises:
            RequestError: UNMAPPED where no such grant waits; NO_RULE_ALLOWS for whoever may not.
        """
        now = self.clock.now()
        grant = next((one for one in await self.waiting() if one.id == name), None)
        if grant is None:
            raise RequestError(Reason.UNMAPPED, "No such asking waits to be reviewed.")
        if not self.may_review(by, grant) or not await self._house.is_in(by, now):
            raise RequestError(Reason.NO_RULE_ALLOWS, "That is not for you to review.")
        staff = StaffId(grant.staff)
        entry = self._entry(Act.BREAK_GLASS_REVIEW, now, peer, by)
        await self.audit.append(
            replace(
                entry,
                request_id=grant.id,
                whom=staff,
                salon=grant.salon,
                resource=grant.resource,
                record=grant.record,
            )
        )
        after = await self._set_reviewed(staff, name, verdict, by, now)
        self._count(BreakGlassStep.REVIEWED, grant.resource)
        return after

    # -- how --------------------------------------------------------------------------------

    @property
    def _house(self) -> Managers:
        return Managers(
            documents=self.documents,
            people=self.people,
            roles=self.managers,
            everywhere=self.everywhere,
        )

    async def _kept(self, staff: StaffId, now: Instant) -> Kept | None:
        return await self.documents.get(Kind.GRANT, staff, now)

    async def _give(self, grant: Grant, now: Instant) -> Blocked | None:
        """Write the grant; or why not, if another one came first."""
        staff = StaffId(grant.staff)
        for _ in range(ATTEMPTS):
            kept = await self._kept(staff, now)
            why = blocked(_read(kept), now)
            if why is not None:
                return why
            if kept is not None:  # reviewed; its reviewer may not have come to file it
                await self._file(parse_grant(kept.value), now)
            replaces = None if kept is None else kept.revision
            if await self.documents.put(
                Kind.GRANT, staff, render(grant), replaces=replaces, now=now
            ):
                return None
        raise StateUnavailableError("a grant was changed by others again and again")

    async def _set_reviewed(
        self,
        staff: StaffId,
        name: str,
        verdict: Verdict,
        by: StaffId,
        now: Instant,
    ) -> Grant:
        for _ in range(ATTEMPTS):
            kept = await self._kept(staff, now)
            before = _read(kept)
            if kept is None or before is None or before.id != name:
                raise RequestError(Reason.UNMAPPED, "No such asking waits to be reviewed.")
            after = reviewed(before, by, verdict, now)
            if after == before or await self.documents.put(
                Kind.GRANT, staff, render(after), replaces=kept.revision, now=now
            ):
                await self._file(after, now)
                return after
        raise StateUnavailableError("a grant was changed by others again and again")

    async def _file(self, grant: Grant, now: Instant) -> None:
        """Keep what was reviewed, beyond the next one. Twice is once."""
        expires = Instant(now + timedelta(days=REVIEWED_DAYS))
        await self.documents.put(
            Kind.GRANT_PAST, grant.id, render(grant), replaces=None, now=now, expires=expires
        )

    async def _queue(self, grant: Grant, ways: Iterable[str], now: Instant) -> None:
        for way in ways:
            notice = notice_of(grant, way)
            await self.documents.put(
                Kind.NOTICE, notice.key, render(notice), replaces=None, now=now
            )

    async def _unqueue(self, grant: Grant, ways: Iterable[str], now: Instant) -> None:
        """Nothing came of it; what was told meanwhile was told."""
        for way in ways:
            key = notice_of(grant, way).key
            kept = await self.documents.get(Kind.NOTICE, key, now)
            if kept is not None:
                await self.documents.remove(Kind.NOTICE, key, replaces=kept.revision, now=now)

    async def _refused(self, entry: Entry, why: Blocked) -> BlockedError:
        """Enter and count that somebody asked, and was not given."""
        error = BlockedError(why)
        status = STATUS[error.reason]
        await self.audit.append(replace(entry, reason=error.reason, status=status))
        self._count(BreakGlassStep.REFUSED, entry.resource or "-")
        return error

    def _count(self, step: BreakGlassStep, resource: str) -> None:
        if self.meter is not None:
            self.meter.break_glass(step, resource)

    def _entry(self, act: Act, now: Instant, peer: str, staff: StaffId) -> Entry:
        return entry_of_act(
            act, request_id=self.new_id(), at=now, peer=peer, policy=self.policy(), staff=staff
        )


def _read(kept: Kept | None) -> Grant | None:
    return None if kept is None else parse_grant(kept.value)


def _by_age(grant: Grant) -> tuple[int, str]:
    return grant.asked, grant.id
