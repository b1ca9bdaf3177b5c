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

    def spend(self) -> bool:
        """Take one step; False when there is none left."""
        self.steps -= 1
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


# The first row for each who, set of literals and set of questions.
_Rows = dict[str, dict[frozenset[Literal], dict[Asked, Rule]]]


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
    _denies: _Rows = field(default_factory=dict)
    _same: dict[tuple[Effect, Origin], _Rows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule in sorted(self.rules, key=lambda rule: rule.ref):
            groups = [self._same.setdefault((rule.effect, rule.origin), {})]
            groups += [self._denies] if rule.effect is Effect.DENY else []
            literals, asked = frozenset(rule.condition.literals), self.reach.of(rule)
            for rows in groups:
                by_asked = rows.setdefault(rule.who, {}).setdefault(literals, {})
                by_asked.setdefault(asked, rule)

    def shadowed_by(self, allow: Rule) -> Rule | None:
        """A deny that fires whenever this allow does."""
        return self._covering(allow, self._denies, self._all_hold(allow.who))

    def redundant_with(self, rule: Rule) -> Rule | None:
        """Another row of the same effect that fires whenever this one does.

        Of two rows that say the same, the later one is redundant. Rows of hours.yaml are held
        against each other only: they give another reason.
        """
        rows = self._same[rule.effect, rule.origin]
        if rule.effect is Effect.DENY:
            return self._covering(rule, rows, self._all_hold(rule.who))
        # A token may leave out roles: a person keeps the rows in their own name, not these.
        whos = self._all_hold(rule.who) if rule.who.startswith("role:") else {rule.who, ANYONE}
        return self._covering(rule, rows, whos)

    def _all_hold(self, who: str) -> set[str]:
        """Names that everyone who is meant by `who` has too."""
        return {who, ANYONE, *self.graph.closure([who]), *self.held.get(who, ())}

    def _covering(self, rule: Rule, rows: _Rows, whos: set[str]) -> Rule | None:
        asked, literals = self.reach.of(rule), frozenset(rule.condition.literals)
        for who in sorted(whos):
            for fewer, by_asked in rows.get(who, {}).items():
                if not self.budget.spend():
                    return None
                if not fewer <= literals:
                    continue
                for more, other in by_asked.items():
                    if not self.budget.spend():
                        return None
                    if not asked & ~more and other is not rule:
                        return other
        return None


def has_rights(
    view: View, cards: Iterable[Question], apps: Collection[str], budget: Budget
) -> bool:
    """May the people of this view ever do anything that a route asks?

    False is proved: for each card and action, every allow never holds, or a deny that reaches
    the same people fires whenever it does. Without budget the answer is True: no claim.
    """
    for card in cards:
        cell = view.cells.get(card)
        if cell is None or not cell.allows:
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
