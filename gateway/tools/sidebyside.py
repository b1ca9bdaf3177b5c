"""One space of circumstances for two policies, so that their answers can be subtracted.

Every dial stands for one thing in the world: an app, a device, a record's fact, a stretch of
time, a salon's window. Each of its settings tells what the old rules are told of it, and what
the new ones are. Where both mean the same by a word it has the same value in both; where they
do not (a fact with another comparison, a network with other addresses, other opening hours),
the settings are the pairs of values that really occur together.

What two dials can never be at once (a date on which the salon never has such hours) is left
out of `SideBySide.possible`. Facts of a record are taken to be independent of each other, and
so are networks, as in `enforcer/circumstances.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

from gateway.bundle import Bundle
from gateway.domain.subject import DeviceId, Post, Principal, StaffId
from gateway.domain.time import Instant
from gateway.enforcer.bearers import DATES, ROLES, WINDOW
from gateway.enforcer.circumstances import Bearer
from gateway.enforcer.cubes import Cover, Space
from gateway.enforcer.days import ONE_DAY
from gateway.enforcer.window import local_date
from gateway.identity.principal import attributes
from gateway.tools.hours_words import Hours, hours_in_words
from gateway.tools.joint import Both, Joint, Told, apps, networks, of_pairs, same_or_not
from gateway.tools.timeline import LAST_DAY, Sides, Timeline, midnight

_OTHER_DEVICE = DeviceId("")  # neither a roster nor a token can hold it, nor the next one
_APPROVED = DeviceId("+")
_SOME_DAY = date(2026, 3, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """One person under one of the policies.

    Attributes:
        posts: salon and roles, in the roster's order; none for somebody who is not on it.
        named: the person's id, if rows of this policy speak of it.
    """

    posts: tuple[tuple[str, frozenset[str]], ...] = ()
    named: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """A person under both policies. Equal ones have the same rights, and so the same changes.

    Attributes:
        here: for each stretch of time, do they work here: before, after the change.
        combos: salons whose windows matter, and which sides occur together in each stretch.
    """

    old: Standpoint
    new: Standpoint
    joints: tuple[Joint, ...]
    here: tuple[tuple[bool, bool], ...]
    salons: tuple[str, ...]
    combos: tuple[frozenset[tuple[Sides, ...]], ...]

    def space(self) -> Space:
        """The space of its dials."""
        return Space(tuple(len(joint.settings) for joint in self.joints))

    def possible(self, space: Space) -> Cover:
        """Which circumstances there are at all."""
        times = [at for at, joint in enumerate(self.joints) if joint.name == DATES]
        windows = {j.salon: at for at, j in enumerate(self.joints) if j.name == WINDOW}
        cubes = []
        for stretch, combos in enumerate(self.combos):
            here = space.everywhere
            for at in times:
                here &= space.where(at, 1 << stretch)
            for combo in combos:
                cube = here
                for salon, sides in zip(self.salons, combo, strict=True):
                    dial = windows[salon]
                    joint = self.joints[dial]
                    every = range(len(joint.settings))
                    bit = next(i for i in every if joint.sides(i) == sides)
                    cube &= space.where(dial, 1 << bit)
                cubes.append(cube)
        return space.tidy(space.absorb(cubes))

    def working(self, space: Space, side: int) -> Cover:
        """Where the person works here at all, before (0) or after (1) the change."""
        at = next(at for at, joint in enumerate(self.joints) if joint.name == DATES)
        bits = sum(1 << i for i, here in enumerate(self.here) if here[side])
        return space.absorb([space.where(at, bits)])

    def bearer(self, staff: StaffId, posts: tuple[Post, ...], side: int) -> Bearer:
        """The person as the old policy (0) or the new one (1) knows them."""
        dials = tuple(joint.seen(side) for joint in self.joints)
        return Bearer(name=staff, staff=staff, posts=posts, dials=dials)

    def shown(self, staff: StaffId, posts: tuple[Post, ...]) -> Bearer:
        """The person with dials whose facts tell both sides apart, for words."""
        dials = tuple(joint.in_words() for joint in self.joints)
        return Bearer(name=staff, staff=staff, posts=posts, dials=dials)


@dataclass(slots=True)
class Ground:
    """Two policies, and everything that may be so or so under them.

    Attributes:
        timeline: of both calendars.
        asked: conditions that some row of either asks about.
    """

    old: Bundle
    new: Bundle
    timeline: Timeline
    asked: frozenset[str] = field(init=False)
    _shared: tuple[Joint, ...] = field(init=False)
    _facts: dict[bool | tuple[str, str], tuple[Joint, ...]] = field(default_factory=dict)
    _hours: dict[tuple[str, frozenset[Sides], frozenset[Sides]], Hours] = field(
        default_factory=dict
    )
    _combos: dict[object, tuple[frozenset[tuple[Sides, ...]], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked = self.old.index.asked | self.new.index.asked
        self._shared = (
            apps(self.old.apps, self.new.apps),
            *networks(self.old.networks, self.new.networks),
        )

    def hours(self, window: Joint, settings: int) -> Hours:
        """When a salon's window is in one of these settings, in words."""
        sides = [window.sides(at) for at in range(len(window.settings))]
        chosen = frozenset(side for at, side in enumerate(sides) if settings >> at & 1)
        key = (window.salon or "", chosen, frozenset(sides))
        if key not in self._hours:
            self._hours[key] = hours_in_words(self.timeline, *key)
        return self._hours[key]

    def person(self, staff: StaffId) -> SideBySide:
        """Somebody on either roster."""
        before, after = (
            b.full_token(staff) if staff in b.people else None for b in (self.old, self.new)
        )
        posts = [post.salon for p in (after, before) if p is not None for post in p.posts]
        salons = tuple(dict.fromkeys(posts))
        cuts = self._cuts(before, after)
        stretches, here = self._dates(before, after, salons, cuts)
        watched = salons if self.asked & {"inside_window", "outside_window"} else ()
        combos = self._occurring(watched, cuts)
        joints = (
            *stretches,
            *self._own(before, after),
            *self._shared,
            *self._record_facts(before, after),
            *_windows(watched, combos),
            *(self._roles(salon, before, after) for salon in salons),
        )
        return SideBySide(
            old=_standpoint(self.old, before),
            new=_standpoint(self.new, after),
            joints=joints,
            here=here,
            salons=watched,
            combos=combos,
        )

    # -- time

    def _cuts(self, *people: Principal | None) -> tuple[Instant, ...]:
        """The instants, the first day's first, from which on something of the roster differs."""
        homes = [person.home.salon for person in people if person is not None]
        start = min(self.timeline.start(salon) for salon in homes)
        cuts = {
            midnight(bundle.hours(post.salon), day)
            for bundle, person in zip((self.old, self.new), people, strict=True)
            if person is not None
            for day in self._days(person)
            for post in person.posts
            if date.min < day < LAST_DAY
        }
        return (start, *sorted(at for at in cuts if at > start))

    def _days(self, person: Principal) -> Iterator[date]:
        if person.joined is not None:
            yield person.joined
        last_days = [person.leaves_on]
        if "trained" in self.asked:
            last_days.append(person.trained_until)
        if "on_notice" in self.asked and person.on_notice_since is not None:
            yield person.on_notice_since
        yield from (day + ONE_DAY for day in last_days if day is not None and day < LAST_DAY)

    def _dates(
        self,
        before: Principal | None,
        after: Principal | None,
        salons: tuple[str, ...],
        cuts: tuple[Instant, ...],
    ) -> tuple[list[Joint], tuple[tuple[bool, bool], ...]]:
        """One dial of time; one for each salon where their dates may differ."""
        here = tuple((_works(self.old, before, at), _works(self.new, after, at)) for at in cuts)
        joints = []
        for salon in salons:
            zone = self.timeline.pair(salon).any
            days = [local_date(zone, at) for at in cuts]
            ends = [local_date(zone, at) - ONE_DAY for at in cuts[1:]]
            settings = tuple(
                Both(
                    old=_of_dates(self.old, before, salon, at),
                    new=_of_dates(self.new, after, salon, at),
                    since=None if number == 0 else day,
                    until=ends[number] if number < len(ends) else None,
                )
                for number, (at, day) in enumerate(zip(cuts, days, strict=True))
            )
            joints.append(Joint(name=DATES, settings=settings, salon=salon))
        if len({replace(joint, salon=None) for joint in joints}) == 1:
            joints = [replace(joints[0], salon=None)]
        return joints, here

    def _occurring(
        self, salons: tuple[str, ...], cuts: tuple[Instant, ...]
    ) -> tuple[frozenset[tuple[Sides, ...]], ...]:
        """Which sides of the windows occur together in each stretch of time."""
        key = (salons, cuts)
        if key not in self._combos:
            found: list[set[tuple[Sides, ...]]] = [set() for _ in cuts]
            at = 0
            stretches = self.timeline.stretches(cuts[0], cuts[1:])
            for since, until, sides in self.timeline.walk(salons, stretches):
                while at + 1 < len(cuts) and cuts[at + 1] <= since:
                    at += 1
                here = at
                while here < len(cuts) and cuts[here] < until:
                    found[here].add(sides)
                    here += 1
            self._combos[key] = tuple(map(frozenset, found))
        return self._combos[key]

    # -- the person

    def _own(self, before: Principal | None, after: Principal | None) -> Iterator[Joint]:
        nda = "nda_signed"
        old, new = (((nda, p.nda_signed),) if p else () for p in (before, after))
        yield Joint(name=nda, settings=(Both(old=old, new=new),))
        # What the registry of devices approves is approved before and after.
        rosters = [p.approved_devices if p else frozenset() for p in (before, after)]
        approved = [roster | {_APPROVED} for roster in rosters]
        kinds = (approved[0] & approved[1], approved[1] - approved[0], approved[0] - approved[1])
        devices = [min(kind) for kind in kinds if kind]
        pairs = [
            (_approved(before, device), _approved(after, device))
            for device in (*devices, _OTHER_DEVICE, None)
        ]
        yield of_pairs("approved_device", pairs, before=bool(before), after=bool(after))

    def _roles(self, salon: str, *people: Principal | None) -> Joint:
        old, new = (
            _role_facts(bundle, person, salon)
            for bundle, person in zip((self.old, self.new), people, strict=True)
        )
        return Joint(name=ROLES, settings=(Both(old=old, new=new),), salon=salon)

    def _record_facts(
        self, before: Principal | None, after: Principal | None
    ) -> tuple[Joint, ...]:
        ids = before.crm_id if before else "", after.crm_id if after else ""
        moved = bool(before and after) and ids[0] != ids[1]
        key = ids if moved else moved
        if key not in self._facts:
            self._facts[key] = tuple(self._facts_of(ids if moved else ("me", "me")))
        return self._facts[key]

    def _facts_of(self, ids: tuple[str, str]) -> Iterator[Joint]:
        cards = [bundle.adapter.vocabulary.resources for bundle in (self.old, self.new)]
        for name in dict.fromkeys((*cards[1], *cards[0])):
            old, new = (card.get(name) for card in cards)
            facts = [{f.name: f for f in r.facts} if r else {} for r in (old, new)]
            for fact in dict.fromkeys((*facts[1], *facts[0])):
                before, after = (known.get(fact) for known in facts)
                yield of_pairs(
                    fact,
                    same_or_not(before, after, old, new, ids),
                    before=before is not None,
                    after=after is not None,
                    resource=name,
                )


def _standpoint(bundle: Bundle, person: Principal | None) -> Standpoint:
    if person is None:
        return Standpoint()
    named = person.staff if person.staff in bundle.index.subjects else ""
    posts = tuple((post.salon, frozenset[str](post.held)) for post in person.posts)
    return Standpoint(posts=posts, named=named)


def _works(bundle: Bundle, person: Principal | None, at: Instant) -> bool:
    """From the first day to the last, both included, on the home salon's clock."""
    if person is None:
        return False
    today = local_date(bundle.hours(person.home.salon), at)
    return (person.joined or date.min) <= today <= (person.leaves_on or date.max)


def _of_dates(bundle: Bundle, person: Principal | None, salon: str, at: Instant) -> Told:
    if person is None or salon not in {post.salon for post in person.posts}:
        return ()
    facts = attributes(person, local_date(bundle.hours(salon), at))
    return tuple((name, facts[name]) for name in ("on_notice", "trained"))


def _approved(person: Principal | None, device: DeviceId | None) -> bool | None:
    if person is None:
        return None
    approved = person.approved_devices | {_APPROVED}
    person = replace(person, device=device, approved_devices=approved)
    return attributes(person, _SOME_DAY)["approved_device"]


def _role_facts(bundle: Bundle, person: Principal | None, salon: str) -> Told:
    posts = [post for post in person.posts if post.salon == salon] if person else []
    return tuple((role, role in post.held) for post in posts for role in sorted(bundle.roles))


def _windows(
    salons: Iterable[str], combos: Iterable[frozenset[tuple[Sides, ...]]]
) -> Iterator[Joint]:
    """One dial for each salon, with the sides that its windows have at some time."""
    together = frozenset[tuple[Sides, ...]]().union(*combos)
    for at, salon in enumerate(salons):
        settings = tuple(
            Both(old=_side(inside=old), new=_side(inside=new))
            for old, new in sorted({combo[at] for combo in together}, reverse=True)
        )
        yield Joint(name=WINDOW, settings=settings, salon=salon)


def _side(*, inside: bool) -> Told:
    return (("inside_window", inside), ("outside_window", not inside))
