"""Which rows can make no difference? Each claim here is proved, never guessed.

A row's questions are what the decision really asks and the row speaks about: a card under any
action, a field under `read` and `write` only (enforcer/decide.py). Compared are single rows,
never several together, so a claim may be missing, but none is false:

* never_true: no facts the gateway can know make the condition hold, so an allow never fires;
* shadowed: whenever the allow fires, the one deny named fires too, on every question;
* redundant: whenever the row fires, the one other row named fires too, on every question.

Whenever all literals of a row hold, so does a subset of them; and no part of a subset is false
when no part of the whole is. So "its literals are a subset" is enough, in three values, for
denies (which fire in doubt) as for allows (which do not).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from operator import attrgetter

from gateway.domain.resource import UNMAPPED, Vocabulary
from gateway.domain.subject import ANYONE, Role, RoleGraph
from gateway.enforcer.index import READ, WRITE, View, covers
from gateway.enforcer.rules import Effect, Origin, Rule
from gateway.enforcer.when import Condition, Literal

MAX_STEPS = 2_000_000  # comparisons of two rows; a second or two. A salon needs hundreds

Question = tuple[str, str]  # (target, action), as `decide` asks
Asked = int  # a set of questions, one bit each: 10,000 rows are compared as numbers


@dataclass(slots=True)
class Budget:
    """How many comparisons are left. What is not compared is not claimed."""

    steps: int = MAX_STEPS

    def spend(self, steps: int = 1) -> bool:
        """Take some steps; False when there are not as many left."""
        self.steps -= steps
        return self.steps >= 0

    @property
    def spent(self) -> bool:
        """Was anything left out?"""
        return self.steps < 0


class Reach:
    """Rows → the questions they speak about."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._bits: dict[str, dict[str, Asked]] = {}
        self._known: dict[tuple[str, Effect, frozenset[str]], Asked] = {}
        count = 0
        for resource in vocabulary.resources.values():
            fields = (resource.target(name) for name in resource.maskable)
            wanted = {resource.name: sorted(vocabulary.actions)}
            wanted |= {target: [READ, WRITE] for target in fields}
            for target, actions in wanted.items():
                bits = self._bits.setdefault(target, {})
                for action in actions:
                    bits[action] = 1 << count
                    count += 1

    def of(self, rule: Rule) -> Asked:
        """Everything a row speaks about; 0 = nothing that could be asked."""
        key = (rule.resource, rule.effect, rule.actions)
        if key not in self._known:
            self._known[key] = self._sum(
                (target, action)
                for target, bits in self._bits.items()
                if covers(rule.resource, target, rule.effect, self._vocabulary)
                for action in bits
                if action in rule.actions or "*" in rule.actions
            )
        return self._known[key]

    def served(self, cards: Iterable[Question]) -> Asked:
        """What requests can ask, given what the routes ask of the cards.

        The fields of a card that any route asks for count as read and as written: too much
        rather than too little.
        """
        pairs = frozenset(cards)
        names = {card for card, _ in pairs}
        fields = (
            (target, action)
            for target, bits in self._bits.items()
            if target.partition(".")[0] in names and "." in target
            for action in bits
        )
        return self._sum((*pairs, *fields))

    def _sum(self, questions: Iterable[Question]) -> Asked:
        total = 0
        for target, action in questions:
            total |= self._bits[target][action]
        return total


@dataclass(frozen=True, slots=True)
class Clash:
    """Why a condition never holds.

    Attributes:
        typed: the parts that cannot hold together.
        unknown: what has to be unknown for a deny to fire all the same; "" = a deny never does.
    """

    typed: tuple[str, ...]
    unknown: str = ""


_SIDES = ("inside_window", "outside_window")


def never_true(condition: Condition, apps: Collection[str]) -> Clash | None:
    """Parts of a condition that are never all true, in any facts `known_facts` can give.

    Args:
        condition: of a row.
        apps: every declared app. A token names one of them, or its app is unknown.
    """
    literals = set(condition.literals)
    clashes = [
        Clash((name, f"!{name}"), "" if _always_known(name) else f"`{name}`")
        for name in sorted({literal.name for literal in literals})
        if {Literal(name), Literal(name, negated=True)} <= literals
    ]
    for negated in (False, True):
        both = [Literal(side, negated) for side in _SIDES]
        if literals.issuperset(both):
            clashes.append(Clash(tuple(map(str, both))))
    wanted = sorted(str(x) for x in literals if x.name.startswith("app:") and not x.negated)
    if len(wanted) > 1:
        clashes.append(Clash(tuple(wanted), "the app"))
    every = [Literal(f"app:{name}", negated=True) for name in sorted(apps)]
    if every and literals.issuperset(every):
        clashes.append(Clash(tuple(map(str, every)), "the app"))
    return min(clashes, key=lambda clash: bool(clash.unknown), default=None)


def _always_known(name: str) -> bool:
    """Is this fact True or False in every request, never unknown?"""
    return name in {*_SIDES, "on_notice"} or name.startswith("network:")


MAX_LISTED = 6  # literals; a set of so many has 64 subsets, and few rows have as many

_Subsets = tuple[frozenset[Literal], ...]


class _Group:
    """Rows of one subject and one set of literals: the first for each set of questions.

    Attributes:
        number: counts the groups of one subject.
        union: every question that some of them speak about.
    """

    __slots__ = ("by_asked", "number", "union")

    def __init__(self, number: int) -> None:
        """Begin without rows."""
        self.number = number
        self.union: Asked = 0
        self.by_asked: dict[Asked, Rule] = {}


class _Shelf:
    """One subject's rows."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        """Begin without rows."""
        self._groups: dict[frozenset[Literal], _Group] = {}

    def add(self, literals: frozenset[Literal], asked: Asked, rule: Rule) -> None:
        """Put a row behind those before it."""
        group = self._groups.get(literals)
        if group is None:
            group = self._groups[literals] = _Group(len(self._groups))
        group.by_asked.setdefault(asked, rule)
        group.union |= asked

    def within(
        self, literals: frozenset[Literal], subsets: _Subsets, budget: Budget
    ) -> Iterable[_Group]:
        """Rows that ask for no other literals, in order; none if the budget ends before.

        Args:
            literals: of the row that is held against these.
            subsets: of them, the quicker way where conditions are short; () = not listed.
            budget: pays for every set of literals that is looked at.
        """
        groups = self._groups
        if subsets and len(subsets) < len(groups):
            if not budget.spend(len(subsets)):
                return ()
            found = [groups[fewer] for fewer in subsets if fewer in groups]
            return sorted(found, key=_number) if len(found) > 1 else found
        if not budget.spend(len(groups)):
            return ()
        return [group for fewer, group in groups.items() if fewer <= literals]


_number = attrgetter("number")
_Shelves = dict[str, _Shelf]  # by who


@dataclass(slots=True)
class Coverage:
    """Rows held against rows.

    Attributes:
        held: staff → every role they hold in all of their salons.
    """

    rules: tuple[Rule, ...]
    reach: Reach
    graph: RoleGraph
    held: Mapping[str, frozenset[Role]]
    budget: Budget
    _denies: _Shelves = field(default_factory=dict)
    _same: dict[tuple[Effect, Origin], _Shelves] = field(default_factory=dict)
    _subsets: dict[frozenset[Literal], _Subsets] = field(default_factory=dict)
    _names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in sorted(self.rules, key=lambda rule: (rule.ref.file, rule.ref.line)):
            groups = [self._same.setdefault((rule.effect, rule.origin), {})]
            groups += [self._denies] if rule.effect is Effect.DENY else []
            literals, asked = frozenset(rule.condition.literals), self.reach.of(rule)
            for shelves in groups:
                shelf = shelves.get(rule.who)
                if shelf is None:
                    shelf = shelves[rule.who] = _Shelf()
                shelf.add(literals, asked, rule)

    def shadowed_by(self, allow: Rule) -> Rule | None:
        """A deny that fires whenever this allow does."""
        return self._covering(allow, self._denies, self._all_hold(allow.who))

    def redundant_with(self, rule: Rule) -> Rule | None:
        """Another row of the same effect that fires whenever this one does.

        Of two rows that say the same, the later one is redundant. Rows of hours.yaml are held
        against each other only: they give another reason.
        """
        rows = self._same[rule.effect, rule.origin]
        # A token may leave out roles: a person keeps the rows in their own name, not these.
        if rule.effect is Effect.DENY or rule.who.startswith("role:"):
            return self._covering(rule, rows, self._all_hold(rule.who))
        return self._covering(rule, rows, sorted({rule.who, ANYONE}))

    def _all_hold(self, who: str) -> tuple[str, ...]:
        """Names that everyone who is meant by `who` has too, in order."""
        known = self._names.get(who)
        if known is None:
            names = {who, ANYONE, *self.graph.closure([who]), *self.held.get(who, ())}
            known = self._names[who] = tuple(sorted(names))
        return known

    def _covering(self, rule: Rule, shelves: _Shelves, whos: Iterable[str]) -> Rule | None:
        asked, literals = self.reach.of(rule), frozenset(rule.condition.literals)
        subsets = self._subsets.get(literals)
        if subsets is None:
            subsets = self._subsets[literals] = _subsets_of(literals)
        for who in whos:
            shelf = shelves.get(who)
            if shelf is None:
                continue
            for group in shelf.within(literals, subsets, self.budget):
                if asked & ~group.union:
                    continue
                for more, other in group.by_asked.items():
                    if not self.budget.spend():
                        return None
                    if not asked & ~more and other is not rule:
                        return other
        return None


def _subsets_of(literals: frozenset[Literal]) -> _Subsets:
    """Every subset; () if there are too many to list."""
    if len(literals) > MAX_LISTED:
        return ()
    sizes = range(len(literals) + 1)
    return tuple(frozenset(few) for size in sizes for few in combinations(literals, size))


def has_rights(
    view: View, cards: Iterable[Question], apps: Collection[str], budget: Budget
) -> bool:
    """May the people of this view ever do anything that a route asks?

    False is proved: for each card and action, every allow never holds, or a deny that reaches
    the same people fires whenever it does. Without budget the answer is True: no claim.
    """
    for card in cards:
        cell = view.cell(*card)
        if not cell.allows:
            continue
        denies = {frozenset(deny.rule.condition.literals) for deny in (*cell.denies, *cell.hours)}
        for allow in cell.allows:
            condition = allow.rule.condition
            literals = frozenset(condition.literals)
            if not budget.spend():
                return True
            if never_true(condition, apps):
                continue
            for fewer in denies:
                if not budget.spend():
                    return True
                if fewer <= literals:
                    break
            else:
                return True
    return False


def undeclared(rule: Rule) -> bool:
    """Does the row speak about undeclared members only?"""
    return rule.resource.endswith(f".{UNMAPPED}")
