"""Lockdown: everyone but the owners out, every session ended, for all of them in one step.

True here, as of every act on people (`sessions.py`):

* it is entered in the trail before it takes effect: what cannot be entered is not done;
* then it is done, so that doing it again leaves things as they are. Whoever is told of an
  error does not know how far it came, and says it again;
* of acts at the same time each counts (compare and set).

A start is two writes of one document, however many people there are:

    active, floor above the clock ─► every gateway has heard ─► floor above every epoch ─► settled

From the first on nobody but owners passes and, once it is heard of, nobody begins a session;
so what is read for the second is every epoch that was ever given out. Stopped in between, the
gateway stays closed (owners cannot sign in either) until somebody says start or end again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.audit.entry import entry_of_act
from gateway.domain.act import Act
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import StaffId
from gateway.domain.time import Instant
from gateway.identity.incident import (
    KEY,
    Incident,
    begun,
    ended,
    parse_incident,
    render_incident,
    settled,
)
from gateway.ports import AuditTrail, Clock, DocumentStore, EpochStore, Kind

ATTEMPTS = 32  # of those who change the document at once, each round lets one through

Said = TypeVar("Said", bound=Incident | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """Closes the house to all but the owners, and opens it again.

    Every method raises AuditUnavailableError (and then nothing was done) or
    StateUnavailableError (and then it may have been done, in part: say it again).

    Attributes:
        heard: returns once every gateway knows what was written before it was called, or asks
            the store anew.
        policy: the digest of the policy in force; `-` where none is.
        new_id: a name for an entry that no other entry has.
    """

    epochs: EpochStore
    documents: DocumentStore
    audit: AuditTrail
    clock: Clock
    heard: Callable[[], Awaitable[None]]
    policy: Callable[[], str]
    new_id: Callable[[], str]

    async def start(self, reason: str, contact: str, *, by: StaffId | None, peer: str) -> Incident:
        """Keep everybody but the owners out, and end every session there is, the owners' too.

        Args:
            reason: one line, for those who read it later (`identity/incident.py`).
            contact: one line for those who are kept out; "" = none, or as it was said before.
            by: who does it; None = somebody on the gateway's own machine.
            peer: where it was asked from.

        Returns:
            The incident; the one that was active before, if there was one.

        Raises:
            ValueError: the reason or the contact line is none; nothing was entered.
        """
        begun(None, self.clock.now(), by, reason=reason, contact=contact)  # can they be written?
        now = await self._enter(Act.INCIDENT_START, by=by, peer=peer)
        started = await self._change(
            now, lambda before: begun(before, now, by, reason=reason, contact=contact)
        )
        return await self._settled(started, now)

    async def end(self, *, by: StaffId | None, peer: str) -> Incident | None:
        """Let people sign in again. No session of before comes back.

        Returns:
            The last incident, which has ended; None = there never was one.
        """
        now = await self._enter(Act.INCIDENT_END, by=by, peer=peer)
        found = await self.state()
        if found is not None:
            await self._settled(found, now)
        return await self._change(now, lambda before: ended(before, now, by))

    async def state(self) -> Incident | None:
        """The last incident, active or not; None = there never was one."""
        return await incident_in(self.documents, self.clock.now())

    # -- how --------------------------------------------------------------------------------

    async def _settled(self, started: Incident, now: Instant) -> Incident:
        """Put the floor above every epoch, unless it is."""
        if started.settled:
            return started
        await self.heard()
        highest = max((row.floor for row in await self.epochs.rows()), default=0)
        after = await self._change(now, lambda before: settled(before, started.number, highest))
        if after is None or not after.settled:
            raise StateUnavailableError("another incident began meanwhile")
        await self.heard()  # now owners may sign in, and whatever was counted last is over, too
        return after

    async def _enter(self, act: Act, *, by: StaffId | None, peer: str) -> Instant:
        """Enter an act that is about to be done; its one reading of the clock."""
        now = self.clock.now()
        entry = entry_of_act(
            act, request_id=self.new_id(), at=now, peer=peer, policy=self.policy(), staff=by
        )
        await self.audit.append(entry)
        return now

    async def _change(self, now: Instant, step: Callable[[Incident | None], Said]) -> Said:
        """Make of the document what `step` makes of it, in one step."""
        for _ in range(ATTEMPTS):
            kept = await self.documents.get(Kind.LOCK, KEY, now)
            before = None if kept is None else parse_incident(kept.value)
            after = step(before)
            if after is None or after == before:
                return after
            replaces = None if kept is None else kept.revision
            value = render_incident(after)
            if await self.documents.put(Kind.LOCK, KEY, value, replaces=replaces, now=now):
                return after
        raise StateUnavailableError("the incident was changed by others again and again")


async def incident_in(documents: DocumentStore, now: Instant) -> Incident | None:
    """The last incident, active or not; None = there never was one.

    Raises:
        StateUnavailableError: it cannot be read.
    """
    kept = await documents.get(Kind.LOCK, KEY, now)
    return None if kept is None else parse_incident(kept.value)
