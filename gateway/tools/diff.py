"""What does a change of policy change for whom? Complete in both directions.

True here: of everybody on either roster, each action of a route and each field that is shown or
sent is compared, under all circumstances there are (`sidebyside.py`). What opens is *gained*,
what closes is *lost*; if neither is listed and no note matters, nobody can do anything they
could not do before, and nobody is kept from what they could do. Full tokens are compared: a
narrowed one never gets more.

Whatever is only observed is compared as if it counted. People with equal rights before and
after are compared once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from gateway.bundle import Bundle
from gateway.domain.resource import UNMAPPED, Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Post, StaffId
from gateway.enforcer.bearers import DATES, WINDOW
from gateway.enforcer.circumstances import Answer, Inquiry, Question, Ways
from gateway.enforcer.cubes import NOWHERE, Cover, Cube, TooManyError
from gateway.enforcer.index import READ, WRITE
from gateway.enforcer.witness import conditions, example, stops, stretches
from gateway.tools.diff_notes import Note, notes
from gateway.tools.hours_words import Hours
from gateway.tools.sidebyside import Ground, SideBySide
from gateway.tools.timeline import Pair, Timeline

UNKNOWN_SALON = "?"  # records that do not tell their salon; no salon can have this name
OTHER_SALON = "*"  # records of salons where the person does not work
OLD, NEW = 0, 1
_OWN_WORDS = frozenset({DATES, WINDOW})  # said in words of their own


class Change(StrEnum):
    """Which way."""

    GAINED = "gained"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Circumstances in words.

    Attributes:
        salons: of whose records, if that is not simply the person's one salon.
        hours: salon ("" = the person's one) and when its window is as it has to be.
        dates: from when, until when; "" = from now on.
        given: what else has to be so, in the words of the rules.
        inside: only inside another record.
    """

    salons: tuple[str, ...] = ()
    hours: tuple[tuple[str, Hours], ...] = ()
    dates: str = ""
    given: tuple[str, ...] = ()
    inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that some people can do now, or no longer.

    Attributes:
        people: for whom it is so, sorted.
        resource: of which everything below is.
        actions: of the card.
        read: fields that are shown, as rules name them.
        write: fields that may be sent, likewise.
        by: the rules that allow it: now if gained, before if lost.
        stopped: what was lost: the denies that are in the way now; none where no allow is left.
        weeks: what `within the opening hours` means for these people, each in words.
    """

    change: Change
    people: tuple[StaffId, ...]
    resource: str
    actions: tuple[str, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]
    when: When
    by: tuple[RuleRef, ...]
    stopped: tuple[RuleRef, ...]
    weeks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Everything that differs.

    Attributes:
        since: the first day that is looked at.
        lines: who can do what now, and no longer: gained first.
        notes: what else the files say otherwise.
        unsaid: people whose rules combine too many conditions; of them nothing is said.
        resources: those of both policies, to tell classes from fields.
        roster: everybody on the new roster.
    """

    since: date
    lines: tuple[Line, ...]
    notes: tuple[Note, ...]
    unsaid: tuple[StaffId, ...]
    resources: Mapping[str, Resource]
    roster: frozenset[StaffId]

    @property
    def changes(self) -> bool:
        """Does, or may, anything change in who can do what?"""
        return bool(self.lines or self.unsaid or any(note.matters for note in self.notes))


def compare(old: Bundle, new: Bundle, since: date) -> Difference:
    """Compare two policies.

    Args:
        old: the policy as it was.
        new: the policy as it is going to be.
        since: what is over by this day, on each salon's clock, is left out.
    """
    names = {**old.calendar.salons, **new.calendar.salons}
    pairs = {name: Pair(old=old.hours(name), new=new.hours(name)) for name in names}
    timeline = Timeline(pairs, since)
    ground = Ground(old, new, timeline)
    groups: dict[SideBySide, list[StaffId]] = {}
    for staff in sorted({*old.people, *new.people}):
        groups.setdefault(ground.person(staff), []).append(staff)
    ways = old.everyone().ways, new.everyone().ways
    asked = tuple(_asked(old, new, ways))
    parts: list[_Part] = []
    unsaid: list[StaffId] = []
    for side, people in groups.items():
        try:
            found = list(_Comparison(ground, side, people[0], ways).parts(asked))
        except TooManyError:
            unsaid += people
            continue
        parts += [replace(part, staff=staff) for part in found for staff in people]
    resources = {**old.adapter.vocabulary.resources, **new.adapter.vocabulary.resources}
    return Difference(
        since=since,
        lines=tuple(sorted(_lines(parts), key=_first_things_first)),
        notes=tuple(notes(old, new, timeline)),
        unsaid=tuple(sorted(unsaid)),
        resources=resources,
        roster=frozenset(new.people),
    )


# -- what is asked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # the same only if it is one
class _Asked:
    """One thing to do, as both policies know it; None = nobody can, under that policy."""

    resource: str
    action: str
    target: str
    field: str | None
    questions: tuple[Question | None, Question | None]


def _asked(old: Bundle, new: Bundle, ways: tuple[Ways, Ways]) -> Iterator[_Asked]:
    known = [bundle.adapter.vocabulary.resources for bundle in (old, new)]
    for name in dict.fromkeys((*known[NEW], *known[OLD])):
        both = known[OLD].get(name), known[NEW].get(name)
        routed = [way.showing.get(name, frozenset()) for way in ways]
        for action in sorted(routed[OLD] | routed[NEW]):
            yield _Asked(
                resource=name,
                action=action,
                target=name,
                field=None,
                questions=(
                    _of_card(both[OLD], action, routed[OLD]),
                    _of_card(both[NEW], action, routed[NEW]),
                ),
            )
        yield from _fields(name, both)


def _of_card(card: Resource | None, action: str, routed: frozenset[str]) -> Question | None:
    return Question(resource=card, action=action) if card and action in routed else None


def _fields(name: str, both: tuple[Resource | None, Resource | None]) -> Iterator[_Asked]:
    cards = [card for card in both[::-1] if card]
    for one in dict.fromkeys(f for card in cards for f in (*card.fields, UNMAPPED)):
        named = next(card for card in cards if one in {*card.fields, UNMAPPED})
        for action in (READ, WRITE):
            old, new = (_of_field(card, action, one, named) for card in both)
            yield _Asked(
                resource=name,
                action=action,
                target=named.target(one),
                field=one,
                questions=(old, new),
            )


def _of_field(card: Resource | None, action: str, name: str, named: Resource) -> Question | None:
    if card is None:
        return None
    return Question(resource=card, action=action, field=_standing_for(card, name, named))


def _standing_for(card: Resource, name: str, named: Resource) -> str:
    """The field under which a policy knows a member: another name for it, or undeclared."""
    if name in card.fields or name == UNMAPPED:
        return name
    paths = {*named.fields[name].paths}
    return next((f.name for f in card.fields.values() if paths & {*f.paths}), UNMAPPED)


# -- one person, or several with the same rights


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One cube of what changes for one person."""

    change: Change
    staff: StaffId
    asked: _Asked
    when: When
    by: tuple[RuleRef, ...]
    stopped: tuple[RuleRef, ...]


@dataclass(slots=True)
class _Side:
    """A person under one of the policies."""

    posts: tuple[Post, ...]
    inquiry: Inquiry
    working: Cover

    def answer(self, question: Question | None, salon: str) -> Answer | None:
        """The answer for records of a salon; None = never."""
        if question is None:
            return None
        posts = self.posts
        if question.resource.salon is not None and salon != UNKNOWN_SALON:
            posts = tuple(post for post in posts if post.salon == salon)
        return self.inquiry.answer(question, posts) if posts else None

    def cover(self, answer: Answer | None) -> Cover:
        """Where they may, as long as they work here."""
        if answer is None:
            return NOWHERE
        return self.inquiry.space.meet(answer.cover, self.working)


@dataclass(frozen=True, slots=True)
class _Changed:
    """Where one thing changes.

    Attributes:
        exact: nothing more and nothing less.
        allowed: the answer of the policy that lets them.
        other: the other one's; None = nobody can, under it.
    """

    change: Change
    exact: Cover
    allowed: Answer
    other: Answer | None


class _Comparison:
    """Everything that changes for one person."""

    def __init__(
        self, ground: Ground, side: SideBySide, staff: StaffId, ways: tuple[Ways, Ways]
    ) -> None:
        self._ground = ground
        self._staff = staff
        self._side = side
        self._space = side.space()
        self._possible = side.possible(self._space)
        self._impossible = self._space.minus((self._space.everywhere,), self._possible)
        self._sides = tuple(
            self._as_seen(bundle, at, ways[at])
            for at, bundle in enumerate((ground.old, ground.new))
        )
        salons = [post.salon for side in self._sides[::-1] for post in side.posts]
        self._salons = tuple(dict.fromkeys(salons))
        self._shown = side.shown(staff, self._sides[NEW].posts or self._sides[OLD].posts)

    def _as_seen(self, bundle: Bundle, at: int, ways: Ways) -> _Side:
        known = self._staff in bundle.people
        posts = bundle.full_token(self._staff).posts if known else ()
        bearer = self._side.bearer(self._staff, posts, at)
        return _Side(
            posts=posts,
            inquiry=Inquiry(bundle.index, bearer, ways),
            working=self._side.working(self._space, at),
        )

    def parts(self, asked: Iterable[_Asked]) -> Iterator[_Part]:
        """Each cube of each thing that changes."""
        for one in asked:
            found: dict[_Part, list[str]] = {}
            kinds = self._kinds(one)
            for salon in kinds:
                for part in self._of_salon(one, salon):
                    found.setdefault(part, []).append(salon)
            for part, salons in found.items():
                told = tuple(salons) if len(kinds) > 1 else ()
                yield replace(part, when=replace(part.when, salons=told))

    def _kinds(self, one: _Asked) -> tuple[str, ...]:
        """The salons that a record may be of, as far as that makes a difference."""
        cards = [question.resource for question in one.questions if question]
        if not any(card.salon for card in cards):
            return (UNKNOWN_SALON,)
        if len(self._salons) > 1 or not all(card.salon for card in cards):
            return (*self._salons, UNKNOWN_SALON, OTHER_SALON)
        return self._salons  # one: a record of unknown salon is judged by it, too

    def changed(self, one: _Asked, salon: str) -> Iterator[_Changed]:
        """Where one thing changes, for records of one salon: exactly there."""
        answers = [
            side.answer(question, salon)
            for side, question in zip(self._sides, one.questions, strict=True)
        ]
        covers = [side.cover(a) for side, a in zip(self._sides, answers, strict=True)]
        if covers[OLD] == covers[NEW]:
            return
        for change, more, less in ((Change.GAINED, NEW, OLD), (Change.LOST, OLD, NEW)):
            apart = self._space.minus(covers[more], covers[less])
            exact = self._space.meet(apart, self._possible)
            allowed = answers[more]
            if exact and allowed is not None:
                yield _Changed(change, exact, allowed, answers[less])

    def _of_salon(self, one: _Asked, salon: str) -> Iterator[_Part]:
        for changed in self.changed(one, salon):
            for cube in self._put(changed.exact):
                yield self._part(one, changed, cube)

    def _put(self, exact: Cover) -> Cover:
        """The same in few wide cubes: what cannot be may be said along with what changes."""
        tidy = self._space.tidy(exact)
        if not self._impossible:
            return tidy
        within = self._space.join(exact, self._impossible)
        return self._space.tidy(self._space.absorb(self._widened(cube, within) for cube in tidy))

    def _widened(self, cube: Cube, within: Cover) -> Cube:
        """A cube with every dial, else every setting, out of the way that need not be told."""
        for mask in self._space.dials:
            for more in (mask, *(1 << at for at in range(mask.bit_length()) if mask >> at & 1)):
                if more & ~cube and self._space.covered(cube | more, within):
                    cube |= more
        return cube

    def _part(self, one: _Asked, changed: _Changed, cube: Cube) -> _Part:
        more, less = (NEW, OLD) if changed.change is Change.GAINED else (OLD, NEW)
        some = self._space.meet((cube,), changed.exact)[0]
        witness = example(self._sides[more].inquiry, changed.allowed, some)
        stopped: tuple[RuleRef, ...] = ()
        if changed.change is Change.LOST and changed.other is not None:
            inquiry = self._sides[less].inquiry
            stopped = stops(inquiry, changed.other, changed.allowed, some)
        return _Part(
            change=changed.change,
            staff=self._staff,
            asked=one,
            when=When(
                hours=tuple(self._hours(cube)),
                dates=self._dates(cube),
                given=tuple(conditions(self._shown, self._space, cube, but=_OWN_WORDS)),
                inside=witness.inside,
            ),
            by=witness.by,
            stopped=stopped,
        )

    def _hours(self, cube: Cube) -> Iterator[tuple[str, Hours]]:
        for at, joint in enumerate(self._side.joints):
            bits = self._space.settings(cube, at)
            if joint.name == WINDOW and bits.bit_count() < len(joint.settings):
                salon = joint.salon or ""
                yield salon if len(self._salons) > 1 else "", self._ground.hours(joint, bits)

    def _dates(self, cube: Cube) -> str:
        said: list[str] = []
        for at, dial in enumerate(self._shown.dials):
            if dial.name == DATES:
                bits = self._space.settings(cube, at)
                chosen = [s for i, s in enumerate(dial.settings) if bits >> i & 1]
                said.append(" or ".join(stretches(chosen, self._ground.timeline.since)))
        return " and ".join(dict.fromkeys(text for text in said if text != "at any date"))


# -- sentences out of parts


@dataclass(slots=True)
class _Gathered:
    """What one person can do with one resource under the same circumstances."""

    targets: dict[str | None, dict[str, None]] = field(default_factory=dict)
    by: set[RuleRef] = field(default_factory=set)
    stopped: set[RuleRef] = field(default_factory=set)
    weeks: set[str] = field(default_factory=set)

    def add(self, part: _Part) -> None:
        one = part.asked
        kind, what = (None, one.action) if one.field is None else (one.action, one.target)
        self.targets.setdefault(kind, {})[what] = None
        self.by.update(part.by)
        self.stopped.update(part.stopped)
        self.weeks.update(hours.week for _, hours in part.when.hours if hours.week)


def _lines(parts: Iterable[_Part]) -> Iterator[Line]:
    """What changes alike for one person as one, then people for whom that is the same."""
    gathered: dict[tuple[Change, StaffId, str, When], _Gathered] = {}
    for part in parts:
        key = (part.change, part.staff, part.asked.resource, part.when)
        gathered.setdefault(key, _Gathered()).add(part)
    together: dict[Line, list[tuple[StaffId, set[str]]]] = {}
    for (change, staff, resource, when), found in gathered.items():
        line = Line(
            change=change,
            people=(),
            resource=resource,
            actions=tuple(found.targets.get(None, ())),
            read=tuple(found.targets.get(READ, ())),
            write=tuple(found.targets.get(WRITE, ())),
            when=when,
            by=tuple(sorted(found.by)),
            stopped=tuple(sorted(found.stopped)),
        )
        together.setdefault(line, []).append((staff, found.weeks))
    for line, members in together.items():
        weeks = set[str]().union(*(weeks for _, weeks in members))
        people = sorted(staff for staff, _ in members)
        yield replace(line, people=tuple(people), weeks=tuple(sorted(weeks)))


def _first_things_first(line: Line) -> tuple[object, ...]:
    return (line.change, -len(line.people), line.people, line.resource, line.by, str(line.when))
