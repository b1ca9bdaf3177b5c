"""Who may enter the console, whom they see there, and on whom they may act. Pure.

True here:
- Who may enter stands on the roster, works here today, is not locked, and holds one of the
  roles that open the console.
- Whoever holds one of the `everywhere` roles sees everybody; others see the people of the
  salons where they hold a role that opens it.
- Nobody locks, unlocks or sees out themselves, nor says which devices of theirs come in; nor
  does anybody do so to somebody who holds a role of rank that they
  do not hold. Of rank is each role that opens the console, by itself or by what it inherits:
  so a manager cannot see out an owner, while both can a stylist, whose role neither holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.act import Act
from gateway.domain.subject import Role, StaffId
from gateway.identity.principal import Person
from gateway.mapping.client_address import Network

GRAVE = frozenset({Act.LOCK, Act.UNLOCK, Act.OFFBOARD})  # the password again
DEVICE_ACTS = frozenset({Act.APPROVE_DEVICE, Act.REFUSE_DEVICE})
ACTS = GRAVE | DEVICE_ACTS | {Act.LOG_OUT}  # all but the last never on somebody above


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """How the console is set up.

    Attributes:
        roles: whoever holds one of them, directly or inherited, may enter.
        everywhere: those of them who see every salon, and not only their own.
        trusted_proxies: whose word is taken for `https` and for whom they ask.
    """

    roles: frozenset[Role] = frozenset({Role("role:manager"), Role("role:owner")})
    everywhere: frozenset[Role] = frozenset({Role("role:owner")})
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody who may enter.

    Attributes:
        salons: whose people they see; None = everybody's.
        rank: the roles of rank that they hold.
    """

    staff: StaffId
    salons: frozenset[str] | None
    rank: frozenset[Role]

    def sees(self, person: Person) -> bool:
        """Does this person work in a salon of theirs?"""
        return self.salons is None or any(post.salon in self.salons for post in person.posts)

    def may(self, act: Act, person: Person, settings: ConsoleSettings) -> bool:
        """May they do this to this person?"""
        if act not in ACTS or not self.sees(person):
            return False
        if act is Act.LOG_OUT:
            return True
        return person.member.staff != self.staff and rank(person, settings) <= self.rank


def viewer(
    people: Mapping[StaffId, Person], staff: StaffId, settings: ConsoleSettings
) -> Viewer | None:
    """Somebody of the roster as who they are here; None = they may not enter."""
    person = people.get(staff)
    if person is None:
        return None
    salons = frozenset(post.salon for post in person.posts if post.held & settings.roles)
    if not salons:
        return None
    everywhere = bool(person.held & settings.everywhere)
    return Viewer(staff=staff, salons=None if everywhere else salons, rank=rank(person, settings))


def rank(person: Person, settings: ConsoleSettings) -> frozenset[Role]:
    """The roles by which somebody could enter, in whatever salon."""
    return frozenset(role for role, carried in person.carries.items() if carried & settings.roles)
