"""Rules compiled at load: what a person's request needs is a few dictionary look-ups.

Everything a rule speaks of is a closed list (subjects, targets, actions), so rows are
expanded once into exact keys, and each person gets a `View`: the rows that can ever
speak about them. Nothing here knows an order between rows, because there is none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from gateway.domain.access import Facts
from gateway.domain.obligation import CLOSED, Conjunct, Residual
from gateway.domain.resource import ANY, Resource, Vocabulary
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Post, StaffId
from gateway.enforcer.matcher import PLAIN_MATCHER, Matcher
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition

READ = "read"  # asked of a field that is shown, searched or sorted on
WRITE = "write"  # asked of a field that is sent

Reach = Mapping[tuple[str, Effect], tuple[str, ...]]  # (resource, effect) → targets covered


@dataclass(frozen=True, slots=True)
class Row:
    """A rule as one resource sees it: what the request must tell, and what the record must.

    Attributes:
        request: the literals that are known before the CRM answers.
        left: the others, as facts of the resource.
    """

    rule: Rule
    request: Condition
    left: Conjunct


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows that speak about one target and one action."""

    denies: tuple[Row, ...] = ()
    hours: tuple[Row, ...] = ()
    allows: tuple[Row, ...] = ()

    def firing(self, staff: StaffId, post: Post, facts: Facts) -> "Firing":
        """The rows that fire under these facts, as far as the request can tell."""
        return Firing(
            denies=tuple(r.left for r in self.denies if r.request.fires(facts, deny=True)),
            hours=tuple(r.left for r in self.hours if r.request.fires(facts, deny=True)),
            allows=tuple(
                r.left
                for r in self.allows
                if (r.rule.who in post.acting or r.rule.who == staff)
                and r.request.fires(facts, deny=False)
            ),
        )


@dataclass(frozen=True, slots=True)
class Firing:
    """Which rows fire, or may once the record is known; each with its place."""

    denies: tuple[Conjunct, ...] = ()
    hours: tuple[Conjunct, ...] = ()
    allows: tuple[Conjunct, ...] = ()

    @property
    def live(self) -> tuple[Conjunct, ...]:
        """The allows that do not fire only where one and the same deny of the rules does too."""
        return tuple(
            allow
            for allow in self.allows
            if not allow.positive & allow.negative
            and not any(deny.within(allow) for deny in self.denies)
        )

    @property
    def residual(self) -> Residual:
        """Some allow and no deny, of either kind; reduced to one row where it is settled."""
        whole = Residual(self.live, self.denies + self.hours)
        match whole.settled:
            case False:
                return CLOSED
            case True:
                return Residual(tuple(row for row in whole.allows if row.settled)[:1])
            case None:
                return whole


def places(rows: Iterable[Conjunct]) -> tuple[RuleRef, ...]:
    """Where rows stand."""
    return tuple(row.ref for row in rows)


NOTHING = Cell()


@dataclass(frozen=True, slots=True)
class FieldSet:
    """The fields of a resource under one action, for one person.

    Attributes:
        hidden: no facts could show these.
        conditional: these depend on the facts, or on which roles the token may use.
    """

    hidden: frozenset[str]
    conditional: tuple[tuple[str, Cell], ...]

    def residuals(self, staff: StaffId, post: Post, facts: Facts) -> dict[str, Residual]:
        """Each field with what the record has still to say about it."""
        known = dict.fromkeys(self.hidden, CLOSED)
        for name, cell in self.conditional:
            known[name] = cell.firing(staff, post, facts).residual
        return known


@dataclass(frozen=True, slots=True)
class View:
    """Every row that can speak about one person in one salon.

    Attributes:
        cells: (target, action) → rows.
        fields: (resource, `read` or `write`) → its fields.
    """

    cells: Mapping[tuple[str, str], Cell]
    fields: Mapping[tuple[str, str], FieldSet]


@dataclass(frozen=True, slots=True)
class Index:
    """The compiled rules.

    Attributes:
        rules: all rows, hours included, in file order.
        subjects: every name some row speaks of.
        asked: every condition of the request that some row or the model asks about.
        views: the part of a person's subjects that rows speak of → what they say.
    """

    vocabulary: Vocabulary
    rules: tuple[Rule, ...]
    subjects: frozenset[str]
    asked: frozenset[str]
    views: Mapping[frozenset[str], View] = field(repr=False)

    def view(self, staff: StaffId, post: Post) -> View | None:
        """The person's rows; None for a set of subjects that was not on the roster at load."""
        return self.views.get((post.held | {staff}) & self.subjects)

    def cell(self, staff: StaffId, post: Post, target: str, action: str) -> Cell:
        """The rows about one target and action; none at all for a stranger."""
        view = self.view(staff, post)
        return view.cells.get((target, action), NOTHING) if view else NOTHING


def compile_index(
    rules: Iterable[Rule],
    vocabulary: Vocabulary,
    people: Iterable[frozenset[str]],
    matcher: Matcher = PLAIN_MATCHER,
) -> Index:
    """Expand the rows and build a view for each distinct set of subjects.

    Args:
        rules: salon_rules.csv and the rows of hours.yaml.
        vocabulary: the adapter's resources and actions, over which rows are expanded.
        people: the roles and the staff id of everyone on the roster, for each of their salons.
        matcher: what model.conf asks beyond who, resource, action and `when`.
    """
    rows = tuple(rules)
    compiler = _Compiler(vocabulary, matcher, rows)
    subjects = frozenset(compiler.by_who)
    wanted = {person & subjects for person in people}
    views = {spoken_of: compiler.view(spoken_of) for spoken_of in wanted}
    conditions = {*(row.condition for row in rows), matcher.condition}
    asked = {literal.name for condition in conditions for literal in condition.literals}
    of_records = {fact.name for card in vocabulary.resources.values() for fact in card.facts}
    return Index(
        vocabulary=vocabulary,
        rules=rows,
        subjects=subjects,
        asked=frozenset(asked - of_records),
        views=views,
    )


def covers(resource: str, target: str, effect: Effect, vocabulary: Vocabulary) -> bool:
    """Does a row on `resource` speak about `target`?

    A deny reaches everything below its resource. An allow reaches its resource and the
    fields directly under it, but no class: each class needs an allow of its own.
    """
    if resource in {ANY, target}:
        return True
    if not target.startswith(f"{resource}."):
        return False
    if effect is Effect.DENY:
        return True
    rest = target.removeprefix(f"{resource}.")
    card = vocabulary.resources.get(resource)
    return "." not in rest and (card is None or rest not in card.classes)


class _Stack:
    """The rows about one target and action, in file order, and what they come to."""

    __slots__ = ("cell", "rows", "shut")

    def __init__(self, rows: list[tuple[int, Row]]) -> None:
        """Sort the rows into a cell.

        Args:
            rows: each with its number in file order, ascending.
        """
        denies: list[Row] = []
        hours: list[Row] = []
        allows: list[Row] = []
        self.rows = rows
        self.shut = False  # a deny without any condition: nothing here can ever be open
        for _, row in rows:
            if row.rule.effect is Effect.ALLOW:
                allows.append(row)
                continue
            (hours if row.rule.origin is Origin.HOURS else denies).append(row)
            if row.rule.origin is Origin.RULES and not row.request.literals and row.left.settled:
                self.shut = True
        self.shut = self.shut or not allows
        self.cell = Cell(denies=tuple(denies), hours=tuple(hours), allows=tuple(allows))


Key = tuple[str, str]  # (target, action)
_Stacks = dict[Key, _Stack]
_Part = tuple[Condition, int, int]  # of the request; of the record, positive and negative bits


class _Compiler:
    """Expands rows for one set of subjects after the other.

    What many people share is worked out once: a condition taken apart, what a subject's rows
    say, and what a set of roles says, on which the views of all who hold it are built.
    """

    def __init__(self, vocabulary: Vocabulary, matcher: Matcher, rules: Iterable[Rule]) -> None:
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._reach = _reach(vocabulary)
        self._keys: dict[tuple[str, Effect, frozenset[str]], dict[str, tuple[Key, ...]]] = {}
        self._parts: dict[tuple[str, Condition], _Part] = {}
        self._said: dict[tuple[str, ...], _Stacks] = {(): {}}
        self._fields = tuple(
            (resource.name, action, [(n, (resource.target(n), action)) for n in resource.maskable])
            for resource in vocabulary.resources.values()
            for action in (READ, WRITE)
        )
        self.by_who: dict[str, list[tuple[int, Rule]]] = {}
        in_order = sorted(rules, key=lambda rule: (rule.ref.file, rule.ref.line))
        for number, rule in enumerate(in_order):
            self.by_who.setdefault(rule.who, []).append((number, rule))

    def view(self, subjects: Iterable[str]) -> View:
        """Everything that is said of somebody who has all of these names."""
        stacks = self._stacks(tuple(sorted(subjects)))
        return View(
            cells={key: stack.cell for key, stack in stacks.items()},
            fields={
                (resource, action): _field_set(keys, stacks)
                for resource, action, keys in self._fields
            },
        )

    def _stacks(self, subjects: tuple[str, ...]) -> _Stacks:
        """Sorted, a person's own name comes last: their roles are what others have too."""
        known = self._said.get(subjects)
        if known is None:
            known = self._expanded(self.by_who[subjects[-1]])
            if subjects[:-1]:
                known = _joined(self._stacks(subjects[:-1]), self._stacks(subjects[-1:]))
            self._said[subjects] = known
        return known

    def _expanded(self, rules: list[tuple[int, Rule]]) -> _Stacks:
        """One subject's rows under every target and action that they speak about."""
        found: dict[Key, list[tuple[int, Row]]] = {}
        narrowed = bool(self._matcher.conjuncts)
        for number, rule in rules:
            casbin = rule.row if narrowed else None
            for card, keys in self._keys_of(rule).items():
                request, positive, negative = self._part(card, rule.condition)
                row = Row(rule, request, Conjunct(rule.ref, positive, negative))
                for key in keys:
                    if casbin is None or self._matcher.speaks(casbin, *key):
                        found.setdefault(key, []).append((number, row))
        return {key: _Stack(rows) for key, rows in found.items()}

    def _keys_of(self, rule: Rule) -> Mapping[str, tuple[Key, ...]]:
        """Card → every target and action of it that the row speaks about."""
        columns = (rule.resource, rule.effect, rule.actions)
        known = self._keys.get(columns)
        if known is None:
            actions = self._vocabulary.actions if ANY in rule.actions else rule.actions
            listed: dict[str, list[Key]] = {}
            for target in self._reach[rule.resource, rule.effect]:
                keys = listed.setdefault(target.partition(".")[0], [])
                keys += [(target, action) for action in actions]
            known = self._keys[columns] = {card: tuple(keys) for card, keys in listed.items()}
        return known

    def _part(self, card: str, condition: Condition) -> _Part:
        """Part a condition: what the request tells, and what only the record does."""
        known = self._parts.get((card, condition))
        if known is not None:
            return known
        facts = self._vocabulary.resources[card].facts
        bits = {fact.name: 1 << at for at, fact in enumerate(facts)}
        added = self._matcher.condition.literals
        literals = (*condition.literals, *added)
        positive = negative = 0
        for literal in literals:
            if literal.negated:
                negative |= bits.get(literal.name, 0)
            else:
                positive |= bits.get(literal.name, 0)
        request = condition
        if positive or negative or added:
            request = Condition(tuple(x for x in literals if x.name not in bits))
        known = self._parts[card, condition] = (request, positive, negative)
        return known


def _reach(vocabulary: Vocabulary) -> Reach:
    """What each nameable resource covers, per effect."""
    targets = tuple(dict.fromkeys(vocabulary.targets()))
    return {
        (resource, effect): tuple(
            target for target in targets if covers(resource, target, effect, vocabulary)
        )
        for resource in (*targets, ANY)
        for effect in Effect
    }


def _joined(some: _Stacks, more: _Stacks) -> _Stacks:
    """What two sets of subjects say together. Most stacks are of one of them alone: shared."""
    joined = {**some, **more}
    for key in some.keys() & more.keys():
        joined[key] = _Stack(sorted([*some[key].rows, *more[key].rows], key=itemgetter(0)))
    return joined


def _field_set(keys: Iterable[tuple[str, Key]], stacks: _Stacks) -> FieldSet:
    """Sort the fields into those nothing can show and those to ask about."""
    hidden = set()
    conditional = []
    for name, key in keys:
        stack = stacks.get(key)
        if stack is None or stack.shut:
            hidden.add(name)
        else:
            conditional.append((name, stack.cell))
    return FieldSet(hidden=frozenset(hidden), conditional=tuple(conditional))
