"""Who there is to ask about, and everything that may be so or so for them.

A person's facts come from the roster: dates cut their time here into stretches in which
nothing changes. Everybody may have an approved device: somebody may approve one at any time,
and no file says so. A role alone is held by nobody in particular, so every fact of a person may
be anything. Unknown is a setting wherever a request may leave it unknown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from gateway.domain.access import Facts
from gateway.domain.resource import Vocabulary
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, Role, StaffId
from gateway.enforcer.circumstances import Bearer, Dial, Setting
from gateway.enforcer.days import SalonHours
from gateway.enforcer.week import sides

ONE_DAY = timedelta(days=1)
NO_SALON = ""  # where somebody with a role alone works
NOBODY = StaffId("")  # no row speaks of this name
DATES, APP, WINDOW, ROLES = "dates", "app", "window", "roles"
# Neither a roster nor a token can hold them: the one is nobody's approved device, the other
# stands for one that the registry of devices approves.
_ANY_OTHER, _APPROVED = DeviceId(""), DeviceId("+")
_OF_DATES = ("on_notice", "trained")

# (person, date on the salon's calendar) → the roster's facts.
Attributes = Callable[[Principal, date], Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What may be so or so for everybody.

    Attributes:
        calendar: salon → its hours; a salon that is missing is always closed.
        roles: every declared role.
    """

    vocabulary: Vocabulary
    calendar: Mapping[str, SalonHours]
    apps: tuple[str, ...]
    networks: tuple[str, ...]
    roles: frozenset[Role]

    def person(self, principal: Principal, attributes: Attributes) -> Bearer:
        """Somebody on the roster, with their full token."""
        abroad = self._abroad(principal)
        dates = _dates(principal, attributes, slack=ONE_DAY if abroad else timedelta(0))
        # Where salons' dates may differ, each has a dial of its own.
        salons = [post.salon for post in principal.posts] if abroad else [None]
        dials = [
            *(replace(dates, salon=salon) for salon in salons),
            _device(principal, attributes),
            _fixed("nda_signed", principal.nda_signed),
            *self._anywhere(),
        ]
        for post in principal.posts:
            hours = self.calendar.get(post.salon)
            dials += [_window(post.salon, sides(hours)), self._roles(post)]
        return Bearer(
            name=principal.staff, staff=principal.staff, posts=principal.posts, dials=tuple(dials)
        )

    def role(self, role: Role, carried: frozenset[Role]) -> Bearer:
        """Somebody with this role and no other.

        Args:
            role: `role:anyone` = somebody on the roster without any role.
            carried: what the role inherits, itself included.
        """
        held = carried | {ANYONE}
        post = Post(salon=NO_SALON, held=held, acting=held, first_role=role)
        dials = (
            _free("on_notice", (False, True)),
            *(_free(name) for name in ("trained", "nda_signed", "approved_device")),
            *self._anywhere(),
            _window(NO_SALON, (True, False)),
            self._roles(post),
        )
        return Bearer(name=role, staff=NOBODY, posts=(post,), dials=dials)

    def _anywhere(self) -> Iterator[Dial]:
        """What depends on the request or the record alone."""
        apps = [
            Setting(facts={f"app:{name}": name == app for name in self.apps}) for app in self.apps
        ]
        yield Dial(
            name=APP, settings=(*apps, Setting(facts={f"app:{n}": None for n in self.apps}))
        )
        yield from (_free(f"network:{name}") for name in self.networks)
        for resource in self.vocabulary.resources.values():
            for fact in resource.facts:
                yield replace(_free(fact.name), resource=resource.name)

    def _roles(self, post: Post) -> Dial:
        facts: dict[str, bool | None] = {role: role in post.held for role in self.roles}
        return Dial(name=ROLES, settings=(Setting(facts=facts),), salon=post.salon)

    def _abroad(self, principal: Principal) -> bool:
        """Do the person's salons have several calendars? Then dates differ by a day at times."""
        known = (self.calendar.get(post.salon) for post in principal.posts)
        return len({hours.timezone if hours else "UTC" for hours in known}) > 1


def given(bearer: Bearer, told: Iterable[tuple[str, bool | None]], resource: str) -> Bearer | None:
    """The bearer under these facts only; None if they are never so.

    Args:
        bearer: anybody.
        told: fact → its value; None = not known.
        resource: of whose records facts speak.
    """
    dials = bearer.dials
    for name, value in told:
        dials = tuple(
            replace(dial, settings=tuple(s for s in dial.settings if s.facts.get(name) is value))
            if dial.resource in {None, resource}
            and any(name in setting.facts for setting in dial.settings)
            else dial
            for dial in dials
        )
    return _if_possible(bearer, dials)


def at_moment(
    bearer: Bearer, today: Mapping[str, date], inside: Mapping[str, bool]
) -> Bearer | None:
    """The bearer at one moment; None if they do not work here then.

    Args:
        bearer: a person; of a role alone no date is asked.
        today: salon → the date on its calendar, for each of the person's.
        inside: salon → is its window open? Of a salon that is missing nothing is known.
    """
    home = bearer.posts[0].salon
    dials = tuple(
        replace(
            dial,
            settings=tuple(
                setting
                for setting in dial.settings
                if _is_on(setting, today.get(dial.salon or home))
                and (
                    dial.name != WINDOW
                    or dial.salon is None
                    or dial.salon not in inside
                    or setting.facts["inside_window"] is inside[dial.salon]
                )
            ),
        )
        for dial in bearer.dials
    )
    return _if_possible(bearer, dials)


def from_date(bearer: Bearer, today: date) -> Bearer | None:
    """The bearer from this date on; None if they have left."""
    dials = tuple(
        replace(dial, settings=tuple(s for s in dial.settings if not _is_over(s, today)))
        for dial in bearer.dials
    )
    return _if_possible(bearer, dials)


def _if_possible(bearer: Bearer, dials: tuple[Dial, ...]) -> Bearer | None:
    return replace(bearer, dials=dials) if all(dial.settings for dial in dials) else None


def _is_on(setting: Setting, day: date | None) -> bool:
    if day is None:
        return True
    return (setting.since or date.min) <= day <= (setting.until or date.max)


def _is_over(setting: Setting, today: date) -> bool:
    return setting.until is not None and setting.until < today


def _dates(principal: Principal, attributes: Attributes, *, slack: timedelta) -> Dial:
    """The person's time here, cut wherever the roster's facts may change."""
    joined, leaves = principal.joined, principal.leaves_on
    first = date.min if joined is None else joined - slack
    last = date.max if leaves is None else leaves + slack
    notice, trained = principal.on_notice_since, principal.trained_until
    cuts = [notice] if notice is not None else []
    cuts += [trained + ONE_DAY] if trained is not None and trained < date.max else []
    starts = [first, *sorted({cut for cut in cuts if first < cut <= last})]
    ends = [*(start - ONE_DAY for start in starts[1:]), last]
    settings = [
        Setting(
            facts={name: attributes(principal, start).get(name) for name in _OF_DATES},
            since=None if start == date.min else start,
            until=None if end == date.max else end,
        )
        for start, end in zip(starts, ends, strict=True)
    ]
    return Dial(name=DATES, settings=tuple(settings))


def _device(principal: Principal, attributes: Attributes) -> Dial:
    """No device, an approved one, another one: as a token may name them."""
    name = "approved_device"
    person = replace(principal, approved_devices=principal.approved_devices | {_APPROVED})
    devices = (_APPROVED, _ANY_OTHER, None)
    values = [attributes(replace(person, device=d), date.min).get(name) for d in devices]
    return Dial(name=name, settings=tuple(Setting(facts={name: value}) for value in values))


def _window(salon: str, there: tuple[bool, ...]) -> Dial:
    settings = tuple(
        Setting(facts={"inside_window": inside, "outside_window": not inside}) for inside in there
    )
    return Dial(name=WINDOW, settings=settings, salon=salon)


def _free(name: str, values: tuple[bool | None, ...] = (True, False, None)) -> Dial:
    return Dial(name=name, settings=tuple(Setting(facts={name: value}) for value in values))


def _fixed(name: str, value: bool | None) -> Dial:  # noqa: FBT001  # a fact's value
    return _free(name, (value,))
