"""Claims + roster → the principal of one request.

THEOREMS (tests/properties/test_principal.py):
  whatever a token claims, `acting <= held`;
  claiming fewer roles never gives more, claiming none at all gives all that is held;
  `held` depends on the roster and the rules alone.

Everything that can be known at load is computed at load, in `people`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, Post, Principal, Role, RoleGraph, StaffId
from gateway.identity.claims import Claims
from gateway.identity.roster import Member, Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody on the roster with everything their roles carry.

    Attributes:
        posts: one for each salon, acting as everything held.
        carries: each held role but `role:anyone` → itself and what it inherits.
    """

    member: Member
    posts: tuple[Post, ...]
    carries: Mapping[Role, frozenset[Role]]

    @property
    def held(self) -> frozenset[Role]:
        """Every role held in some salon."""
        return frozenset().union(*(post.held for post in self.posts))


def people(roster: Roster, graph: RoleGraph) -> Mapping[StaffId, Person]:
    """Join the roster with the `g` rows of the rules."""
    return {staff: _person(member, graph) for staff, member in roster.members.items()}


def _person(member: Member, graph: RoleGraph) -> Person:
    posts = tuple(_post(member, salon, graph) for salon in member.salons)
    held = frozenset().union(*(post.held for post in posts)) - {ANYONE}
    return Person(
        member=member, posts=posts, carries={role: graph.closure([role]) for role in held}
    )


def _post(member: Member, salon: str, graph: RoleGraph) -> Post:
    roles = member.salons[salon]
    # `g, staff:mei, role:cashier` counts in every salon of hers. `role:anyone` is added, not
    # followed: it may not stand in a `g` row, and if one slipped through it must not give.
    held = graph.closure([*roles, member.staff]) | {ANYONE}
    first = roles[0] if roles else ANYONE
    return Post(salon=salon, held=held, acting=held, first_role=first)


def resolve(claims: Claims, people: Mapping[StaffId, Person]) -> Principal:
    """Find the person a token speaks for.

    Raises:
        RequestError: NOT_ON_ROSTER. Who is not on it has no rights, whatever a token says.
    """
    person = people.get(claims.staff)
    if person is None:
        raise RequestError(Reason.NOT_ON_ROSTER, "you are not on the staff list of this salon")
    member = person.member
    return Principal(
        staff=member.staff,
        posts=_narrowed(person, claims.roles),
        device=claims.device,
        epoch=claims.epoch,
        app=claims.app,
        narrowed_to=claims.roles,
        crm_id=member.crm_id,
        joined=member.joined,
        on_notice_since=member.on_notice_since,
        leaves_on=member.leaves_on,
        trained_until=member.trained_until,
        nda_signed=member.nda_signed,
        approved_devices=member.approved_devices,
    )


def _narrowed(person: Person, claimed: frozenset[Role] | None) -> tuple[Post, ...]:
    """The claimed part of what is held, with what that part inherits, in each salon."""
    if claimed is None:
        return person.posts
    return tuple(replace(post, acting=_acting(person, post, claimed)) for post in person.posts)


def _acting(person: Person, post: Post, claimed: frozenset[Role]) -> frozenset[Role]:
    parts = (person.carries[role] for role in claimed & post.held & person.carries.keys())
    return frozenset({ANYONE}).union(*parts) & post.held


def attributes(principal: Principal, today: date) -> dict[str, bool | None]:
    """The conditions known from the roster, by name; None = unknown.

    Args:
        principal: whose.
        today: the date on the salon's calendar.
    """
    notice, trained = principal.on_notice_since, principal.trained_until
    device = principal.device
    return {
        "on_notice": notice is not None and notice <= today,
        "nda_signed": principal.nda_signed,
        "trained": None if trained is None else today <= trained,
        "approved_device": None if device is None else device in principal.approved_devices,
    }
