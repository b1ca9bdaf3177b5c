"""Whoever manages a salon and can be told something, and how.

True here: only somebody whom the roster knows, who works today and is neither locked nor gone, is
told anything.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.domain.subject import Role, StaffId
from gateway.domain.time import Instant
from gateway.identity.grant import MAX_TOLD
from gateway.identity.locks import parse_lock
from gateway.identity.principal import Person
from gateway.ports import DocumentStore, Kind

Ways = Mapping[str, frozenset[StaffId] | None]  # each way → who can be told so; None = everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Managers:
    """Who is told.

    Attributes:
        people: everybody on the roster of the policy in force.
        roles: whoever holds one of these in a salon manages it.
        everywhere: whoever holds one of these somewhere manages every salon.
    """

    documents: DocumentStore
    people: Callable[[], Mapping[StaffId, Person]]
    roles: frozenset[Role]
    everywhere: frozenset[Role]

    def manages(self, person: Person, salon: str) -> bool:
        """Do they manage the salon, or every salon?"""
        here = any(post.salon == salon and post.held & self.roles for post in person.posts)
        return here or bool(person.held & self.everywhere)

    async def of(
        self, salons: Iterable[str], now: Instant, *, but: StaffId | None = None
    ) -> tuple[StaffId, ...]:
        """Whoever manages one of the salons, works today and is not locked; MAX_TOLD of them.

        Args:
            salons: by name.
            now: the instant of what is told.
            but: somebody who is not told; None = nobody.

        Raises:
            StateUnavailableError: who is locked cannot be told.
        """
        wanted = tuple(salons)
        found = [
            staff
            for staff, person in self.people().items()
            if staff != but
            and _works(person, now)
            and any(self.manages(person, salon) for salon in wanted)
        ]
        return tuple([who for who in sorted(found)[:MAX_TOLD] if await self.is_in(who, now)])

    async def is_in(self, staff: StaffId, now: Instant) -> bool:
        """Are they neither locked nor gone? Raises StateUnavailableError."""
        kept = await self.documents.get(Kind.LOCK, staff, now)
        lock = None if kept is None else parse_lock(kept.value)
        return lock is None or not (lock.has_left(now) or lock.is_locked(now))


def ways_to(ways: Ways, told: tuple[StaffId, ...]) -> tuple[str, ...]:
    """The ways by which at least one of them can be told."""
    return tuple(
        way
        for way, people in ways.items()
        if told and (people is None or not people.isdisjoint(told))
    )


def _works(person: Person, now: Instant) -> bool:
    """By the roster, and to the day: whoever may or may not is told once too often."""
    last = person.member.leaves_on
    return last is None or now.date() <= last + timedelta(days=1)
