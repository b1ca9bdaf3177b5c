"""Under which circumstances may somebody do something? Complete, and exact in three values.

True here, and held against the plain reference in tests/properties/test_circumstances.py:

* a cover of `Inquiry.cell` holds exactly the circumstances in which some allow of the cell
  fires and no deny does;
* what is asked about is the full token: a narrowed one never gets more
  (test_narrowing_never_widens), so a `never` that holds for it holds for all.

How: an allow fires where each of its literals is known to hold, a deny stays silent where one
of its literals is known to fail. Both are conjunctions and disjunctions of "this dial is at one
of these settings", so the answer is multiplied out (`cubes.py`) rather than tried out.

Facts of a record are taken to be independent of each other, and so are networks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from gateway.domain.access import Facts
from gateway.domain.resource import UNMAPPED, Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Post, StaffId
from gateway.enforcer.cubes import Cover, Cube, Space
from gateway.enforcer.index import READ, Index, Row
from gateway.enforcer.when import Literal

NO_RULES: frozenset[RuleRef] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way in which something may be.

    Attributes:
        facts: what rules are told then.
        since, until: the dates of it, both included, for a dial of dates; None = no bound.
    """

    facts: Facts
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Something that is always in exactly one of its settings.

    Attributes:
        settings: the one to take for an example first.
        salon: whose window or roles; None = the same in every salon.
        resource: whose record; None = not of a record.
    """

    name: str
    settings: tuple[Setting, ...]
    salon: str | None = None
    resource: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Somebody to ask about: a person on the roster, or a role and nobody in particular.

    Attributes:
        name: `staff:mei`, `role:stylist`.
        staff: as rules name the person; a name that no rule can have for a role alone.
        posts: with the full token.
        dials: everything that may be so or so for them. None is without settings.
    """

    name: str
    staff: StaffId
    posts: tuple[Post, ...]
    dials: tuple[Dial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What the routes of an adapter ask of rules.

    Attributes:
        showing: resource → the actions whose answers show its records.
        sending: resource → those of them that carry a body.
    """

    showing: Mapping[str, frozenset[str]]
    sending: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May they do this?

    Attributes:
        field: a field or `unmapped`, with the action `read` (is it shown?) or `write` (may it be
            sent?); None = the action is asked of the card.
    """

    resource: Resource
    action: str
    field: str | None = None

    @property
    def target(self) -> str:
        """As rules name it."""
        return self.resource.name if self.field is None else self.resource.target(self.field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to it.

    Attributes:
        action: what is asked of the card.
        inside: the record stands inside another one that is shown.
    """

    action: str
    inside: bool
    cover: Cover


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where somebody may do what was asked.

    Attributes:
        posts: of whose salons' records this speaks: one salon, or, for a resource that does not
            tell a record's salon, all of the person's, each of which must agree.
        cover: of all ways together.
    """

    question: Question
    posts: tuple[Post, ...]
    ways: tuple[Way, ...]
    cover: Cover


@dataclass(frozen=True, slots=True)
class _Told:
    """How a fact depends on a dial: the settings in which it is true, and false."""

    dial: int
    true: int
    false: int


_Lens = Mapping[str, _Told]


@dataclass(slots=True)
class Inquiry:
    """Questions about one bearer.

    Attributes:
        without: rows that are left out, as if somebody deleted them.
        heard: denies of the cells that were asked for. Those that others make superfluous
            there, alone or together with an equal one, are left out.
    """

    index: Index
    bearer: Bearer
    ways: Ways
    without: frozenset[RuleRef] = NO_RULES
    heard: set[RuleRef] = field(default_factory=set)
    space: Space = field(init=False)
    _lenses: dict[tuple[str, str], _Lens] = field(default_factory=dict)
    _shown: dict[str, Cover] | None = None
    _cells: dict[tuple[tuple[str, ...], str, str], Cover] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.space = Space(tuple(len(dial.settings) for dial in self.bearer.dials))

    def ask(self, question: Question) -> Iterator[Answer]:
        """One answer for each salon of the bearer's, or one for all of them.

        Raises:
            TooManyError: there are too many combinations to say.
        """
        for posts in self._scopes(question.resource):
            yield self.answer(question, posts)

    def answer(self, question: Question, posts: tuple[Post, ...]) -> Answer:
        """For records that pass only where all of these posts let them.

        Args:
            question: of a resource that the index knows.
            posts: some of the bearer's: of a record's salon, or all of them where it is not known.

        Raises:
            TooManyError: there are too many combinations to say.
        """
        part = self._field(posts, question)
        ways = tuple(
            Way(action=action, inside=inside, cover=cover)
            for action, inside, card in self._cards(posts, question)
            if (cover := self.space.meet(card, part))
        )
        cover = self.space.join(*(way.cover for way in ways))
        return Answer(question=question, posts=posts, ways=ways, cover=cover)

    def doubtful(self, answer: Answer, literals: Iterable[Literal]) -> Cover:
        """The part of an answer where a deny with these conditions would fire, in some salon."""
        found = []
        for post in answer.posts:
            lens = self._lens(post, answer.question.resource)
            cube = self.space.everywhere
            for literal in literals:
                cube &= self._unless(lens, literal)
            found.append((cube,))
        return self.space.meet(answer.cover, self.space.join(*found))

    def cell(self, post: Post, resource: Resource, target: str, action: str) -> Cover:
        """Where the rows about one target and action let it through, in one salon."""
        cell = self.index.cell(self.bearer.staff, post, target, action)
        lens = self._lens(post, resource)
        found = self.space.absorb(
            self._fires(lens, _literals(row, resource))
            for row in cell.allows
            if row.rule.who in post.acting or row.rule.who == self.bearer.staff
        )
        for clause in self._clauses(lens, resource, (*cell.denies, *cell.hours)):
            found = self.space.meet(found, clause)
        return found

    def _scopes(self, resource: Resource) -> tuple[tuple[Post, ...], ...]:
        """A record of one salon is judged by it; one that tells no salon, by all of them."""
        if resource.salon is None:
            return (self.bearer.posts,)
        return tuple((post,) for post in self.bearer.posts)

    def _cell(self, posts: tuple[Post, ...], resource: Resource, target: str, act: str) -> Cover:
        key = (tuple(post.salon for post in posts), target, act)
        if key not in self._cells:
            found: Cover = (self.space.everywhere,)
            for post in posts:
                found = self.space.meet(found, self.cell(post, resource, target, act))
            self._cells[key] = found
        return self._cells[key]

    def _field(self, posts: tuple[Post, ...], question: Question) -> Cover:
        resource, name = question.resource, question.field
        if name is None or (name == UNMAPPED and not resource.sensitive):
            return (self.space.everywhere,)  # undeclared members are no secret there
        return self._cell(posts, resource, question.target, question.action)

    def _cards(
        self, posts: tuple[Post, ...], question: Question
    ) -> Iterator[tuple[str, bool, Cover]]:
        """Every way to the record: each action of a route, and inside other records."""
        resource = question.resource
        if question.field is None:
            card = self._cell(posts, resource, resource.name, question.action)
            yield question.action, False, card
            return
        shown = question.action == READ
        actions = self.ways.showing if shown else self.ways.sending
        for action in sorted(actions.get(resource.name, ())):
            yield action, False, self._cell(posts, resource, resource.name, action)
        outer = [r.name for r in self._cards_known() if _embeds(r, resource.name)]
        if shown and outer and (around := self._around(outer)):
            card = self._cell(posts, resource, resource.name, READ)
            yield READ, True, self.space.meet(card, around)

    def _around(self, outer: Iterable[str]) -> Cover:
        """Where some record of one of these resources is shown."""
        if self._shown is None:
            self._shown = self._all_shown()
        return self.space.join(*(self._shown[name] for name in outer))

    def _all_shown(self) -> dict[str, Cover]:
        """Where some record of each resource is shown, whatever that record is like."""
        known = tuple(self._cards_known())
        read = {r.name: self._some(r, [READ]) for r in known}
        shown = {r.name: self._some(r, self.ways.showing.get(r.name, ())) for r in known}
        for _ in known:  # a chain of records inside records repeats none of them
            for inner in known:
                around = (shown[outer.name] for outer in known if _embeds(outer, inner.name))
                met = self.space.meet(read[inner.name], self.space.join(*around))
                shown[inner.name] = self.space.join(shown[inner.name], met)
        return shown

    def _cards_known(self) -> Iterable[Resource]:
        return self.index.vocabulary.resources.values()

    def _some(self, resource: Resource, actions: Iterable[str]) -> Cover:
        """Where some record of a resource passes one of these actions."""
        found = [
            self._cell(posts, resource, resource.name, action)
            for posts in self._scopes(resource)
            for action in actions
        ]
        own = [i for i, dial in enumerate(self.bearer.dials) if dial.resource == resource.name]
        return self.space.regardless(self.space.join(*found), own)

    def _fires(self, lens: _Lens, literals: Iterable[Literal]) -> Cube:
        """Where every literal is known to hold."""
        cube = self.space.everywhere
        for literal in literals:
            told = lens.get(literal.name)
            if told is None:
                return 0
            cube &= self.space.where(told.dial, told.false if literal.negated else told.true)
        return cube

    def _unless(self, lens: _Lens, literal: Literal) -> Cube:
        """Where a literal is not known to fail."""
        told = lens.get(literal.name)
        if told is None:
            return self.space.everywhere
        fails = told.true if literal.negated else told.false
        return self.space.where(told.dial, ~fails)

    def _clauses(self, lens: _Lens, resource: Resource, denies: Iterable[Row]) -> Iterator[Cover]:
        """For each deny, where it stays silent; those that say less than another are left out."""
        by_clause: dict[Cover, list[RuleRef]] = {}
        for row in denies:
            if row.rule.ref not in self.without:
                fails = (
                    self._fires(lens, [Literal(x.name, not x.negated)])
                    for x in _literals(row, resource)
                )
                clause = self.space.absorb(self._by_dial(fails))
                by_clause.setdefault(clause, []).append(row.rule.ref)
        for clause, refs in by_clause.items():
            self.space.effort.spend(len(by_clause))
            if any(_implies(other, clause) for other in by_clause if other != clause):
                continue
            if clause != (self.space.everywhere,) and len(refs) == 1:
                self.heard.update(refs)
            yield clause

    def _by_dial(self, cubes: Iterable[Cube]) -> Iterable[Cube]:
        """Cubes that look at one dial each, joined where it is the same one: inside or outside."""
        joined: dict[int, Cube] = {}
        for cube in cubes:
            dial = next((m for m in self.space.dials if cube & m != m), 0)
            joined[dial] = joined.get(dial, 0) | cube
        return joined.values()

    def _lens(self, post: Post, resource: Resource) -> _Lens:
        key = (post.salon, resource.name)
        if key not in self._lenses:
            self._lenses[key] = {
                name: told
                for at, dial in enumerate(self.bearer.dials)
                if dial.salon in {None, post.salon} and dial.resource in {None, resource.name}
                for name, told in _told(at, dial)
            }
        return self._lenses[key]


def _told(at: int, dial: Dial) -> Iterator[tuple[str, _Told]]:
    for name in {name for setting in dial.settings for name in setting.facts}:
        values = [setting.facts.get(name) for setting in dial.settings]
        true = sum(1 << i for i, value in enumerate(values) if value is True)
        yield name, _Told(at, true, sum(1 << i for i, v in enumerate(values) if v is False))


def _implies(clause: Cover, other: Cover) -> bool:
    return all(any(a & ~b == 0 for b in other) for a in clause)


def _literals(row: Row, resource: Resource) -> Iterator[Literal]:
    """The whole condition of a row: of the request, and of the resource's records."""
    yield from row.request.literals
    for at, fact in enumerate(resource.facts):
        if row.left.positive >> at & 1:
            yield Literal(fact.name)
        if row.left.negative >> at & 1:
            yield Literal(fact.name, negated=True)


def _embeds(outer: Resource, name: str) -> bool:
    return any(embed.resource == name for embed in outer.embeds.values())
