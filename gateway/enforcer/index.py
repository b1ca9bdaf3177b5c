"""Rules compiled at load: what a person's request needs is a few dictionary look-ups.

Everything a rule speaks of is a closed list (subjects, targets, actions). At load, rows are
sorted by subject and resource, and each set of subjects on the roster gets a `View`: the rows
that can ever speak about them. A view puts the rows about one target and action together when
it is first asked, and keeps them: of 100,000 rows, most are never asked about all people. What
it answers is settled at load. Nothing here knows an order between rows, because there is none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

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

Key = tuple[str, str]  # (target, action)
_Lines = dict[tuple[str, Effect], list["_Line"]]  # of one subject, by resource and effect


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

    @property
    def shut(self) -> bool:
        """Nothing here can ever be open: no allow, or a deny without any condition."""
        return not self.allows or any(
            not row.request.literals and row.left.settled for row in self.denies
        )

    def firing(self, staff: StaffId, post: Post, facts: Facts, *, hours: bool = True) -> "Firing":
        """The rows that fire under these facts, as far as the request can tell.

        Those of hours.yaml do not where `hours` is False: they are lifted.
        """
        return Firing(
            denies=tuple(r.left for r in self.denies if r.request.fires(facts, deny=True)),
            hours=tuple(r.left for r in self.hours if hours and r.request.fires(facts, deny=True)),
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

    def residuals(
        self, staff: StaffId, post: Post, facts: Facts, *, hours: bool = True
    ) -> dict[str, Residual]:
        """Each field with what the record has still to say about it; `hours` as in `firing`."""
        known = dict.fromkeys(self.hidden, CLOSED)
        for name, cell in self.conditional:
            known[name] = cell.firing(staff, post, facts, hours=hours).residual
        return known


class View:
    """Every row that can speak about one person in one salon."""

    __slots__ = ("_cells", "_fields", "_lines", "_sheet")

    def __init__(self, sheet: "_Sheet", subjects: Iterable[str]) -> None:
        """Open a view.

        Args:
            sheet: all rows.
            subjects: the names the person has, of those that rows speak of.
        """
        self._sheet = sheet
        self._lines = tuple(sheet.lines[who] for who in subjects)
        self._cells: dict[Key, Cell] = {}
        self._fields: dict[Key, FieldSet] = {}

    def cell(self, target: str, action: str) -> Cell:
        """The rows about one target and action."""
        key = (target, action)
        known = self._cells.get(key)
        if known is None:
            known = self._sheet.cell(self._lines, target, action)
            if target in self._sheet.speaking:  # of a closed list, so these stay few
                self._cells[key] = known
        return known

    def field_set(self, resource: Resource, action: str) -> FieldSet:
        """The fields of a resource under `read` or `write`."""
        key = (resource.name, action)
        known = self._fields.get(key)
        if known is None:
            cells = [(n, self.cell(resource.target(n), action)) for n in resource.maskable]
            known = self._fields[key] = FieldSet(
                hidden=frozenset(name for name, cell in cells if cell.shut),
                conditional=tuple((name, cell) for name, cell in cells if not cell.shut),
            )
        return known


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
        return view.cell(target, action) if view else NOTHING


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
    sheet = _Sheet(vocabulary, matcher, rows)
    subjects = frozenset(sheet.lines)
    wanted = {person & subjects for person in people}
    conditions = {*(row.condition for row in rows), matcher.condition}
    asked = {literal.name for condition in conditions for literal in condition.literals}
    of_records = {fact.name for card in vocabulary.resources.values() for fact in card.facts}
    return Index(
        vocabulary=vocabulary,
        rules=rows,
        subjects=subjects,
        asked=frozenset(asked - of_records),
        views={spoken_of: View(sheet, spoken_of) for spoken_of in wanted},
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


@dataclass(frozen=True, slots=True)
class _Line:
    """A rule on the sheet.

    Attributes:
        number: its place in file order.
        actions: all of them, where the rule says `*`.
    """

    number: int
    rule: Rule
    actions: frozenset[str]


class _Sheet:
    """All rows, sorted by whom and what they speak of; shared by every view.

    Attributes:
        lines: who → resource and effect → its rows.
        speaking: target → every resource and effect under which rows speak about it.
    """

    def __init__(self, vocabulary: Vocabulary, matcher: Matcher, rules: Iterable[Rule]) -> None:
        """Sort the rows. `matcher` is what model.conf adds."""
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._rows: dict[tuple[int, str], Row] = {}
        self._split: dict[tuple[str, Condition], tuple[Condition, int, int]] = {}
        self.speaking = _speaking(vocabulary)
        self.lines: dict[str, _Lines] = {}
        in_order = sorted(rules, key=lambda rule: (rule.ref.file, rule.ref.line))
        for number, rule in enumerate(in_order):
            actions = vocabulary.actions if ANY in rule.actions else rule.actions
            of_subject = self.lines.setdefault(rule.who, {})
            of_resource = of_subject.setdefault((rule.resource, rule.effect), [])
            of_resource.append(_Line(number, rule, actions))

    def cell(self, of_subjects: Iterable[_Lines], target: str, action: str) -> Cell:
        """The rows of some subjects about one target and action, in file order."""
        columns = self.speaking.get(target, ())
        found = [
            line
            for lines in of_subjects
            for column in columns
            for line in lines.get(column, ())
            if action in line.actions
        ]
        if self._matcher.conjuncts:
            found = [x for x in found if self._matcher.speaks(x.rule.row, target, action)]
        if not found:
            return NOTHING
        card = target.partition(".")[0]
        return _cell([self._row(line, card) for line in sorted(found, key=_number)])

    def _row(self, line: _Line, card: str) -> Row:
        """A row looks the same to everybody, so it is taken apart once."""
        row = self._rows.get((line.number, card))
        if row is None:
            request, positive, negative = self._parts(line.rule.condition, card)
            left = Conjunct(line.rule.ref, positive, negative)
            row = self._rows[line.number, card] = Row(line.rule, request, left)
        return row

    def _parts(self, condition: Condition, card: str) -> tuple[Condition, int, int]:
        """What the request tells, and what only the record does: facts as bits."""
        known = self._split.get((card, condition))
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
        known = self._split[card, condition] = (request, positive, negative)
        return known


_number = attrgetter("number")


def _speaking(vocabulary: Vocabulary) -> Mapping[str, tuple[tuple[str, Effect], ...]]:
    """Target → the resources, each with an effect, whose rows speak about it."""
    targets = tuple(dict.fromkeys(vocabulary.targets()))
    return {
        target: tuple(
            (resource, effect)
            for resource in (*targets, ANY)
            for effect in Effect
            if covers(resource, target, effect, vocabulary)
        )
        for target in targets
    }


def _cell(rows: Iterable[Row]) -> Cell:
    denies: list[Row] = []
    hours: list[Row] = []
    allows: list[Row] = []
    for row in rows:
        if row.rule.effect is Effect.ALLOW:
            allows.append(row)
        else:
            (hours if row.rule.origin is Origin.HOURS else denies).append(row)
    return Cell(denies=tuple(denies), hours=tuple(hours), allows=tuple(allows))
