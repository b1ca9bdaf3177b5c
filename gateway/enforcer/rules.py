"""salon_rules.csv, read strictly: clean rows, or every finding with its place.

Plain Casbin rows, so that Casbin's documentation and editors apply, but never through
Casbin's own reader: that one drops what it does not understand, and a dropped row may be
a deny. Here every line is a comment, a rule, a role link or a finding.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.finding import Finding, Place, PolicyError, Severity, did_you_mean
from gateway.domain.resource import ANY, Vocabulary
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import ANYONE, MAX_ROLE_DEPTH, Role, RoleGraph
from gateway.enforcer.when import Condition, ConditionError, ConditionNames, parse_condition

COLUMNS = ("p", "who", "resource", "action", "when", "eft")
LINK_COLUMNS = ("g", "who", "role")
MAX_RULES = 200_000
MAX_PLAIN_LINE = 4096  # characters; far below the length at which csv refuses a value
_BLANK = " \t"  # the only blanks that are trimmed; a full-width one is a typing error
_LOOKALIKES = {
    "，": "a full-width comma",
    "；": "a full-width semicolon",
    "：": "a full-width colon",
    "｜": "a full-width bar",
    "\u3000": "a full-width space",
    "\u00a0": "a no-break space",
    "“": "a curly quote",
    "”": "a curly quote",
}


class Effect(StrEnum):
    """What a row does when it fires. Deny beats allow, always."""

    ALLOW = "allow"
    DENY = "deny"


_EFFECTS = {effect.value: effect for effect in Effect}


class Origin(StrEnum):
    """Which file a row comes from: a deny of hours.yaml reports `outside_hours`."""

    RULES = "rules"
    HOURS = "hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row.

    Attributes:
        who: `role:stylist`, `staff:ann` or `role:anyone`.
        resource: a card, a class, a field, or `*`.
        actions: of the adapter's closed list; `{"*"}` for all.
    """

    ref: RuleRef
    who: str
    resource: str
    actions: frozenset[str]
    condition: Condition
    effect: Effect
    origin: Origin = Origin.RULES

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """The row as Casbin's policy columns: who, res, act, when, eft."""
        actions = "|".join(sorted(self.actions))
        return self.who, self.resource, actions, str(self.condition), self.effect.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Everything salon_rules.csv says."""

    rules: tuple[Rule, ...]
    graph: RoleGraph
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Every name that may stand in salon_rules.csv.

    Attributes:
        staff: everyone on the roster, `staff:` included.
        roles: every declared role, `role:` included, without `role:anyone`.
    """

    vocabulary: Vocabulary
    staff: frozenset[str]
    roles: frozenset[str]
    conditions: ConditionNames


def parse_rules(text: str, file: str, words: Words) -> RuleSet:
    """Read the whole file.

    Raises:
        PolicyError: every finding, in file order. Zero rules is one.
    """
    return _Reader(file, words).read(text)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One trimmed column and where it starts."""

    text: str
    place: Place


@dataclass(slots=True)
class _Known:
    """What columns of rows that were kept mean: the same text means the same again.

    Attributes:
        conditions: card and effect → `when` → what it says; its names depend on both.
    """

    whos: set[str] = field(default_factory=set)
    cards: dict[str, str] = field(default_factory=dict)
    actions: dict[str, frozenset[str]] = field(default_factory=dict)
    conditions: dict[tuple[str, Effect], dict[str, Condition]] = field(default_factory=dict)

    def remember(self, row: Rule, action: str, when: str) -> None:
        """Keep what a row's columns mean; `action` and `when` as they are spelt."""
        card = row.resource.partition(".")[0]
        self.whos.add(row.who)
        self.cards[row.resource] = card
        self.actions[action] = row.actions
        self.conditions.setdefault((card, row.effect), {})[when] = row.condition

    def rule(self, ref: RuleRef, columns: list[str]) -> Rule | None:
        """The rule that these columns make, if each of them is known."""
        _, who, resource, action, when, eft = columns
        effect, actions, card = (
            _EFFECTS.get(eft),
            self.actions.get(action),
            self.cards.get(resource),
        )
        if effect is None or actions is None or card is None or who not in self.whos:
            return None
        condition = self.conditions.get((card, effect), {}).get(when)
        if condition is None:
            return None
        return Rule(
            ref=ref,
            who=who,
            resource=resource,
            actions=actions,
            condition=condition,
            effect=effect,
        )


@dataclass(slots=True)
class _Reader:
    """One pass over the lines, collecting rows and findings."""

    file: str
    words: Words
    rules: list[Rule] = field(default_factory=list)
    links: dict[tuple[str, Role], Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seen: dict[object, int] = field(default_factory=dict)  # a row → the line it stands in
    opened: bool = False  # an allow was read
    warned: bool = False
    targets: frozenset[str] = frozenset()
    names: dict[tuple[str, bool], frozenset[str]] = field(default_factory=dict)
    known: _Known = field(default_factory=_Known)

    def read(self, text: str) -> RuleSet:
        self.targets = frozenset(self.words.vocabulary.targets())
        for number, line in enumerate(_lines(text), start=1):
            if not self._known_line(number, line):
                self._line(number, line)
        graph = RoleGraph(_parents(self.links))
        self.findings += _role_findings(graph, self.links)
        if not self.rules:
            self._refuse(Place(self.file), "no rule that can be read: nobody could do anything")
        if len(self.rules) > MAX_RULES:
            self._refuse(Place(self.file), f"more than {MAX_RULES} rules")
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            raise PolicyError(self.findings)
        return RuleSet(rules=tuple(self.rules), graph=graph, warnings=tuple(self.findings))

    def _known_line(self, number: int, line: str) -> bool:
        """Read a rule that is made of columns read before, as nearly all of a long file are.

        Without quotes, a line is what stands between its commas: `_cells` would say the same.
        Whatever has to be said about a line, `_line` says it.

        Returns:
            Is the line done?
        """
        if '"' in line or not line.isascii() or len(line) > MAX_PLAIN_LINE:
            return False
        cells = [cell.strip(_BLANK) for cell in line.split(",")]
        if len(cells) != len(COLUMNS) or cells[0] != "p":
            return False
        rule = self.known.rule(RuleRef(self.file, number), cells)
        if rule is None:
            return False
        self._keep(rule, column=len(line) - len(line.lstrip(_BLANK)) + 1)
        return True

    def _line(self, number: int, line: str) -> None:
        start = Place(self.file, number)
        if not line.strip(_BLANK + ",") or line.lstrip(_BLANK + '"').startswith("#"):
            return
        strange = [(line.index(char), name) for char, name in _LOOKALIKES.items() if char in line]
        if strange:
            column, name = min(strange)
            self._refuse(Place(self.file, number, column + 1),
                         f"{name} (`{line[column]}`); type the plain one")  # fmt: skip
            return
        try:
            cells = _cells(line, start)
        except csv.Error as error:
            self._refuse(start, f"not valid CSV: {error}")
            return
        match cells[0].text:
            case "p":
                self._rule(cells)
            case "g":
                self._link(cells)
            case _ if ";" in line and "," not in line:
                self._refuse(start, "columns are separated by `;`; save as CSV with commas")
            case other:
                self._refuse(cells[0].place, f"a line starts with `p`, `g` or `#`, got `{other}`")

    def _rule(self, cells: list[_Cell]) -> None:
        if len(cells) != len(COLUMNS):
            wanted = ", ".join(COLUMNS)
            self._refuse(cells[0].place, f"a rule has {len(COLUMNS)} columns ({wanted}), "
                         f"got {len(cells)}; an empty `when` still needs its comma")  # fmt: skip
            return
        _, who, resource, action, when, effect = cells
        before = len(self.findings)
        self._check_who(who)
        self._check_resource(resource)
        actions = self._actions(action)
        condition = self._condition(when, resource.text, deny=effect.text != Effect.ALLOW)
        if effect.text not in _EFFECTS:
            self._refuse(effect.place, f"effect must be `allow` or `deny`, got `{effect.text}`")
        if len(self.findings) > before:
            return
        place = cells[0].place
        rule = Rule(
            ref=RuleRef(self.file, place.line),
            who=who.text,
            resource=resource.text,
            actions=actions,
            condition=condition,
            effect=_EFFECTS[effect.text],
        )
        self.known.remember(rule, action.text, when.text)
        self._keep(rule, place.column)

    def _keep(self, rule: Rule, column: int) -> None:
        """Take a row in. Where it starts is for warnings."""
        number = rule.ref.line
        if rule.effect is Effect.ALLOW:
            self.opened = True
        else:
            self._warn_below_allow(number, column)
        row = (rule.who, rule.resource, rule.actions, rule.condition, rule.effect.value)
        first = self.seen.setdefault(row, number)
        if first != number:
            place = Place(self.file, number, column)
            self._warn(place, f"the same rule stands in line {first}; delete one")
        self.rules.append(rule)

    def _link(self, cells: list[_Cell]) -> None:
        if len(cells) != len(LINK_COLUMNS):
            self._refuse(
                cells[0].place, f"a role link has 3 columns (g, who, role), got {len(cells)}"
            )
            return
        _, child, parent = cells
        before = len(self.findings)
        self._check_who(child)
        self._check_who(parent)
        if not parent.text.startswith("role:"):
            self._refuse(parent.place, f"`{parent.text}` is not a role; a `g` row gives a role")
        for cell in (child, parent):
            if cell.text == ANYONE:
                self._refuse(cell.place, f"`{ANYONE}` may not stand in a `g` row")
        if len(self.findings) > before:
            return
        self._warn_below_allow(cells[0].place.line, cells[0].place.column)
        link = (child.text, Role(parent.text))
        if link in self.links:
            first = self.links[link]
            self._warn(cells[0].place, f"the same link stands in line {first.line}; delete one")
        else:
            self.links[link] = cells[0].place

    def _check_who(self, cell: _Cell) -> None:
        who, words = cell.text, self.words
        if who in words.roles or who in words.staff or who == ANYONE:
            return
        if who.startswith("role:"):
            near = did_you_mean(who, words.roles)
            self._refuse(
                cell.place, f"unknown role `{who}`; {near} (roles are declared in staff.yaml)"
            )
        elif who.startswith("staff:"):
            near = did_you_mean(who, words.staff)
            self._refuse(cell.place, f"`{who}` is not on the roster; {near} "
                         "(keep leavers on it, with `leaves_on`)")  # fmt: skip
        else:
            self._refuse(cell.place, f"`{who}` needs a prefix: `role:{who}` or `staff:{who}`")

    def _check_resource(self, cell: _Cell) -> None:
        if cell.text != ANY and cell.text not in self.targets:
            near = did_you_mean(cell.text, self.targets)
            self._refuse(cell.place, f"unknown resource `{cell.text}`; {near}")

    def _actions(self, cell: _Cell) -> frozenset[str]:
        known = self.words.vocabulary.actions
        actions = [action.strip(_BLANK) for action in cell.text.split("|")]
        for action in actions:
            if action not in known and actions != [ANY]:
                near = did_you_mean(action, known)
                self._refuse(cell.place, f"unknown action `{action}`; {near}")
        return frozenset(actions)

    def _condition(self, cell: _Cell, resource: str, *, deny: bool) -> Condition:
        if not cell.text:
            return Condition()
        key = (resource, deny)
        names = self.names.get(key)
        if names is None:
            names = self.names[key] = self.words.conditions.of(resource, deny=deny)
        try:
            return parse_condition(cell.text, names)
        except ConditionError as error:
            place = cell.place
            where = self._where_declared(error.name)
            self._refuse(
                Place(place.file, place.line, place.column + error.offset), f"{error}{where}"
            )
            return Condition()

    def _where_declared(self, name: str) -> str:
        """A fact of other resources: say of which."""
        cards = [c for c, facts in self.words.conditions.facts.items() if name in facts]
        listed = ", ".join(f"`{card}`" for card in sorted(cards))
        return f" (a fact of {listed} only)" if cards else ""

    def _warn_below_allow(self, number: int, column: int) -> None:
        """Said once: above every allow, a half-written file can only be stricter."""
        if self.opened and not self.warned:
            self.warned = True
            place = Place(self.file, number, column)
            self._warn(place, "a `deny` or `g` row below an `allow` is lost first when the file "
                       "is cut off; move such rows up")  # fmt: skip

    def _refuse(self, place: Place, message: str) -> None:
        self.findings.append(Finding(place, message))

    def _warn(self, place: Place, message: str) -> None:
        self.findings.append(Finding(place, message, Severity.WARNING))


def _lines(text: str) -> list[str]:
    """Lines as editors count them: `splitlines` would also split at U+2028 and form feeds."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _cells(line: str, start: Place) -> list[_Cell]:
    """Split one line as CSV, with the column at which each value starts.

    Excel pads every row to the longest one: empty cells beyond a row's own are dropped.

    Raises:
        csv.Error: a quote that is not closed or stands in the middle of a value.
    """
    values = next(csv.reader([line], strict=True, skipinitialspace=True))
    offsets = list(_offsets(line))
    if len(offsets) != len(values):  # `ro"le,x"`: text to csv, quotes to others
        raise csv.Error("a quote stands in the middle of a value")
    cells = []
    for value, offset in zip(values, offsets, strict=True):
        raw = line[offset:]
        lead = len(raw) - len(raw.lstrip(_BLANK))
        column = offset + lead + 1
        cells.append(_Cell(value.strip(_BLANK), Place(start.file, start.line, column)))
    columns = LINK_COLUMNS if cells[0].text == "g" else COLUMNS
    while len(cells) > len(columns) and not cells[-1].text:
        cells.pop()
    return cells


def _offsets(line: str) -> Iterator[int]:
    """Where each CSV value starts: after every comma that is not inside quotes."""
    yield 0
    quoted = False
    for index, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            yield index + 1


def _parents(links: Iterable[tuple[str, Role]]) -> dict[str, frozenset[Role]]:
    parents: dict[str, set[Role]] = {}
    for child, parent in links:
        parents.setdefault(child, set()).add(parent)
    return {child: frozenset(roles) for child, roles in parents.items()}


def _role_findings(graph: RoleGraph, links: dict[tuple[str, Role], Place]) -> Iterator[Finding]:
    """Cycles, and chains deeper than Casbin would follow."""
    for (child, parent), place in links.items():
        if child in graph.closure([parent]):
            yield Finding(
                place, f"`{child}` and `{parent}` inherit from each other; cut the circle"
            )
        elif _depth(graph, child, MAX_ROLE_DEPTH + 1) > MAX_ROLE_DEPTH:
            yield Finding(
                place, f"a chain of more than {MAX_ROLE_DEPTH} roles starts at `{child}`"
            )


def _depth(graph: RoleGraph, name: str, limit: int) -> int:
    """How many links stand above a name, counted no further than `limit` (circles exist)."""
    level = {name}
    for depth in range(limit):
        level = {parent for child in level for parent in graph.parents.get(child, ())}
        if not level:
            return depth
    return limit
