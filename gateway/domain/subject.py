"""People and roles, in separate name spaces, and the principal a request comes from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NewType

StaffId = NewType("StaffId", str)  # `staff:ann`
Role = NewType("Role", str)  # `role:stylist`
DeviceId = NewType("DeviceId", str)  # as the token names it, no prefix

ANYONE = Role("role:anyone")  # everyone on the roster, and nobody else
MAX_ROLE_DEPTH = 5  # stock Casbin silently stops matching at 10: we refuse long before

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def is_name(text: str) -> bool:
    """Is this a name as files may spell it: lower-case ASCII, digits, `_`, `-`?"""
    return _NAME.fullmatch(text) is not None


def staff_id(bare: str) -> StaffId:
    """`ann` → `staff:ann`. Raises ValueError if the name is not one."""
    if not is_name(bare):
        raise ValueError("a staff id is lower-case letters, digits, `_` and `-`")
    return StaffId(f"staff:{bare}")


def device_id(text: str) -> DeviceId:
    """A device as tokens and the roster name it. Raises ValueError if it is not one.

    The alphabet of a UUID or of a name somebody types: it becomes part of a state key.
    """
    if _DEVICE.fullmatch(text) is None:
        raise ValueError("a device id is 1 to 64 letters, digits, `.`, `_` and `-`")
    return DeviceId(text)


@dataclass(frozen=True, slots=True)
class RoleGraph:
    """Which role carries which: `g, role:manager, role:reception` and its like.

    Attributes:
        parents: role or staff → the roles it is given directly.
    """

    parents: Mapping[str, frozenset[Role]]

    def closure(self, start: Iterable[str]) -> frozenset[Role]:
        """Every role reached from `start`, the roles in `start` included."""
        found: set[Role] = set()
        todo = list(start)
        while todo:
            name = todo.pop()
            if name.startswith("role:"):
                if name in found:
                    continue
                found.add(Role(name))
            todo.extend(self.parents.get(name, ()))
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A person's roles in one salon, for this request.

    INVARIANT: `acting <= held`. A token may narrow what its bearer acts as; it never adds.
    Allows are asked of `acting`, denies of `held`, so that narrowing never widens.

    Attributes:
        held: every role the roster and the `g` rows give here, inherited ones and
            `role:anyone` included.
        acting: the part of `held` that this token may use.
        first_role: first in the roster; the only person-like label a metric may carry.
    """

    salon: str
    held: frozenset[Role]
    acting: frozenset[Role]
    first_role: Role

    def __post_init__(self) -> None:
        if not self.acting <= self.held:
            raise ValueError("a token may narrow the roster's roles, never add")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated person on the roster, with the roles of this request.

    Attributes:
        posts: one for each salon the person works in, in the roster's order.
        device: the token's device, None when it names none.
        epoch: the token's device-session epoch.
        app: the token's `app` claim, None when it has none (an unknown fact).
        narrowed_to: the roles the token claims; None = all that are held. Under one policy,
            `staff` and this determine `posts`.
        crm_id: as the CRM's records name the person.
        joined, on_notice_since, leaves_on, trained_until: dates on the salon's calendar;
            None = not given.
        nda_signed: None = the roster does not say.
        approved_devices: device ids the owner approved on the roster.
        roles: every role acted as somewhere, the first of the first salon before the others.
    """

    staff: StaffId
    posts: tuple[Post, ...]
    device: DeviceId | None
    epoch: int
    app: str | None
    narrowed_to: frozenset[Role] | None = None
    crm_id: str = ""
    joined: date | None = None
    on_notice_since: date | None = None
    leaves_on: date | None = None
    trained_until: date | None = None
    nda_signed: bool | None = None
    approved_devices: frozenset[DeviceId] = frozenset()
    roles: tuple[Role, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        salons = {post.salon for post in self.posts}
        if not self.posts or len(salons) < len(self.posts):
            raise ValueError("a person has one post in each salon, and at least one")
        first = self.home.first_role
        others = sorted({role for post in self.posts for role in post.acting} - {first})
        object.__setattr__(self, "roles", (first, *others))  # derived, and frozen like the rest

    @property
    def home(self) -> Post:
        """The first post on the roster: whose calendar and first role stand for the person."""
        return self.posts[0]
