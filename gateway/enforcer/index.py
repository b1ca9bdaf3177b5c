"""Rules compiled at load: what a person's request needs is a few dictionary look-ups.

Everything a rule speaks of is a closed list (subjects, targets, actions), so rows are
expanded once into exact keys, and each person gets a `View`: the rows that can ever
speak about them. Nothing here knows an order between rows, because there is none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.access import Facts
from gateway.domain.decision import RuleRef
from gateway.domain.resource import ANY, Resource, Vocabulary
from gateway.domain.subject import Principal
from gateway.enforcer.rules import Effect, Origin, Rule

READ = "read"  # asked of a field that is shown, searched or sorted on
WRITE = "write"  # asked of a field that is sent

Reach = Mapping[tuple[str, Effect], tuple[str, ...]]  # (resource, effect) → targets covered


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows that speak about one target and one action."""

    denies: tuple[Rule, ...] = ()
    hours: tuple[Rule, ...] = ()
    allows: tuple[Rule, ...] = ()

    def firing(self, principal: Principal, facts: Facts) -> "Firing":
        """The rows that fire under these facts."""
        return Firing(
            denies=tuple(r.ref for r in self.denies if r.condition.fires(facts, deny=True)),
            hours=tuple(r.ref for r in self.hours if r.condition.fires(facts, deny=True)),
            allows=tuple(
                r.ref
                for r in self.allows
                if (r.who in principal.acting or r.who == principal.staff)
                and r.condition.fires(facts, deny=False)
            ),
        )


@dataclass(frozen=True, slots=True)
class Firing:
    """Which rows fired, with their places."""

    denies: tuple[RuleRef, ...] = ()
    hours: tuple[RuleRef, ...] = ()
    allows: tuple[RuleRef, ...] = ()

    @property
    def allowed(self) -> bool:
        """Some allow and no deny, of either kind."""
        return bool(self.allows) and not self.denies and not self.hours


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

    def hidden_under(self, principal: Principal, facts: Facts) -> frozenset[str]:
        """Every field that no row shows, or that a row hides, under these facts."""
        if not self.conditional:
            return self.hidden
        more = [
            name for name, cell in self.conditional if not cell.firing(principal, facts).allowed
        ]
        return self.hidden.union(more)


@dataclass(frozen=True, slots=True)
class View:
    """Every row that can speak about one person.

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
        views: the part of a person's subjects that rows speak of → what they say.
    """

    vocabulary: Vocabulary
    rules: tuple[Rule, ...]
    subjects: frozenset[str]
    views: Mapping[frozenset[str], View] = field(repr=False)

    def view(self, principal: Principal) -> View | None:
        """The person's rows; None for a set of subjects that was not on the roster at load."""
        return self.views.get(principal.subjects & self.subjects)

    def cell(self, principal: Principal, target: str, action: str) -> Cell:
        """The rows about one target and action; none at all for a stranger."""
        view = self.view(principal)
        return view.cells.get((target, action), NOTHING) if view else NOTHING


def compile_index(
    rules: Iterable[Rule], vocabulary: Vocabulary, people: Iterable[frozenset[str]]
) -> Index:
    """Expand the rows and build a view for each distinct set of subjects.

    Args:
        rules: salon_rules.csv and the rows of hours.yaml.
        vocabulary: the adapter's resources and actions, over which rows are expanded.
        people: `Principal.subjects` of everyone on the roster.
    """
    rows = tuple(rules)
    subjects = frozenset(rule.who for rule in rows)
    by_who: dict[str, list[Rule]] = {}
    for rule in rows:
        by_who.setdefault(rule.who, []).append(rule)
    reach = _reach(vocabulary)
    views = {
        spoken_of: _view([rule for who in spoken_of for rule in by_who[who]], vocabulary, reach)
        for spoken_of in {person & subjects for person in people}
    }
    return Index(vocabulary=vocabulary, rules=rows, subjects=subjects, views=views)


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


def _view(rules: list[Rule], vocabulary: Vocabulary, reach: Reach) -> View:
    """Expand the rows of one set of subjects."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.ref):
        actions = vocabulary.actions if ANY in rule.actions else rule.actions
        for target in reach[rule.resource, rule.effect]:
            for action in actions:
                found.setdefault((target, action), []).append(rule)
    cells = {key: _cell(rows) for key, rows in found.items()}
    fields = {
        (resource.name, action): _field_set(resource, action, cells)
        for resource in vocabulary.resources.values()
        for action in (READ, WRITE)
    }
    return View(cells=cells, fields=fields)


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


def _cell(rows: list[Rule]) -> Cell:
    denies = [rule for rule in rows if rule.effect is Effect.DENY]
    return Cell(
        denies=tuple(rule for rule in denies if rule.origin is Origin.RULES),
        hours=tuple(rule for rule in denies if rule.origin is Origin.HOURS),
        allows=tuple(rule for rule in rows if rule.effect is Effect.ALLOW),
    )


def _field_set(resource: Resource, action: str, cells: Mapping[tuple[str, str], Cell]) -> FieldSet:
    """Sort the fields into those nothing can show and those to ask about."""
    hidden = set()
    conditional = []
    for name in resource.maskable:
        cell = cells.get((resource.target(name), action), NOTHING)
        if not cell.allows or any(not rule.condition.literals for rule in cell.denies):
            hidden.add(name)
        else:
            conditional.append((name, cell))
    return FieldSet(hidden=frozenset(hidden), conditional=tuple(conditional))
