"""observe.yaml: what is tried out before it counts, and until when.

True here:
- Only what refuses or hides can be observed: a deny row, the rows of hours.yaml, or everything.
- `enforce_from` is the first day on the salon's calendar on which it counts. Before that day
  it is observed, so every observation ends by itself, without a reload.
- What is observed is decided all the same: requests are judged by the rules without it, and
  by all of them. `ruling.py` keeps both decisions side by side.
- What a `never` assertion rests on is never only observed.
"""

import csv
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.domain.access import Access
from gateway.domain.decision import Decision, Permit
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.decide import decide
from gateway.enforcer.hours import read_date
from gateway.enforcer.index import Index
from gateway.enforcer.rules import COLUMNS, Effect, Origin, Rule
from gateway.texts.yamltext import Document, Key, Strict, validate

MAX_DATES = 12  # one more index of all rules for each; nobody can follow as many
_NEAR = 500  # rows that a misspelt one is compared with
_UNTIL = "write `{enforce_from: 2026-12-01}`, the first day on which it counts"
_COPY = f"copy the row as it stands in salon_rules.csv: `{', '.join(COLUMNS)}`"


class Kind(StrEnum):
    """What is observed: the label of its metrics."""

    RULE = "rule"
    HOURS = "hours"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that is observed before it counts.

    Attributes:
        enforce_from: the first day on which it counts.
        place: where the owner says so.
        rows: what does not count before; of `everything` every row that denies.
        text: the row as the owner wrote it, `hours` or `everything`.
    """

    kind: Kind
    enforce_from: date
    place: Place
    rows: frozenset[RuleRef]
    text: str

    @property
    def ref(self) -> RuleRef:
        """Where it stands, as a decision names it."""
        return RuleRef(self.place.file, self.place.line)

    def __str__(self) -> str:
        return f"{_NAMED[self.kind].format(self.text)} before {self.enforce_from} ({self.ref})"


_NAMED = {
    Kind.RULE: "`{}` refuses and hides nothing",
    Kind.HOURS: "the opening hours close nothing",
    Kind.EVERYTHING: "no rule refuses or hides anything",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Days on which the same is observed.

    Attributes:
        until: the first day after them.
        index: the rules that count, without the observed ones; None = everything is observed.
        by: then, where that stands.
    """

    until: date
    index: Index | None
    by: RuleRef

    def decide(self, access: Access, lifted: str | None = None) -> Decision:
        """The decision that counts; `lifted` as in `decide.py`."""
        if self.index is not None:
            return decide(self.index, access, lifted)
        return Permit(by=(self.by,), uncut=True)


# -- reading ---------------------------------------------------------------------------------


def _read_until(typed: object) -> object:
    if not isinstance(typed, dict):
        raise ValueError(_UNTIL)  # noqa: TRY004  # pydantic collects ValueErrors
    return typed


def _read_observed(typed: object) -> object:
    if typed == "":
        return []
    if not isinstance(typed, list):
        raise ValueError(  # noqa: TRY004  # ditto
            'write a list: `- {rule: "p, role:stylist, client, export, , deny", '
            "enforce_from: 2026-12-01}`"
        )
    return typed


_Date = Annotated[date, PlainValidator(read_date)]


class _Until(Strict):
    enforce_from: _Date


class _Rule(_Until):
    rule: str


_UntilForm = BeforeValidator(_read_until)


class ObserveFile(Strict):
    """observe.yaml, whole."""

    rules: Annotated[list[Annotated[_Rule, _UntilForm]], BeforeValidator(_read_observed)] = Field(
        default_factory=list
    )
    hours: Annotated[_Until, _UntilForm] | None = None
    everything: Annotated[_Until, _UntilForm] | None = None


def parse_observe(document: Document, rows: Iterable[Rule]) -> tuple[Observation, ...]:
    """Read observe.yaml.

    Args:
        document: the file.
        rows: every row of the policy, those of hours.yaml included.

    Raises:
        PolicyError: everything wrong with it.
    """
    file = validate(document, ObserveFile)
    reader = _Reader(document, tuple(rows))
    found = [
        one
        for number, typed in enumerate(file.rules)
        if (one := reader.rule(number, typed)) is not None
    ]
    found += [one] if (one := reader.hours(file.hours)) is not None else []
    found += [one] if (one := reader.everything(file.everything)) is not None else []
    if len({one.enforce_from for one in found}) > MAX_DATES:
        reader.refuse(f"more than {MAX_DATES} different dates; let some of it begin together")
    if reader.findings:
        raise PolicyError(reader.findings)
    return tuple(found)


class _Reader:
    """Finds the rows that observe.yaml speaks of, collecting findings."""

    def __init__(self, document: Document, rows: tuple[Rule, ...]) -> None:
        self.document = document
        self.rows = rows
        self.findings: list[Finding] = []
        self.seen: dict[object, tuple[int, int]] = {}  # its number in the list, and its line
        self.known: dict[object, list[Rule]] = {}
        for row in rows:
            if row.origin is Origin.RULES:
                self.known.setdefault(_meaning(_text(row)), []).append(row)

    def refuse(self, message: str, *path: Key) -> None:
        self.findings.append(self.document.finding(message, *path))

    def rule(self, number: int, typed: _Rule) -> Observation | None:
        path: tuple[Key, ...] = ("rules", number, "rule")
        meaning = _meaning(typed.rule)
        if meaning is None:
            self.refuse(f"`{typed.rule}` is not a rule; {_COPY}", *path)
            return None
        found = self.known.get(meaning)
        if found is None:
            near = self._near(typed.rule)
            self.refuse(f"no such row in salon_rules.csv: `{typed.rule}`; {near}", *path)
            return None
        if found[0].effect is not Effect.DENY:
            self.refuse(
                "an `allow` cannot be observed: it refuses nobody; delete this line, and the row "
                "itself if it shall open nothing yet",
                *path,
            )
            return None
        first, line = self.seen.setdefault(meaning, (number, self.document.place(*path).line))
        if first != number:
            self.refuse(f"the same rule stands in line {line}; delete one", *path)
            return None
        return Observation(
            kind=Kind.RULE,
            enforce_from=typed.enforce_from,
            place=self.document.place(*path),
            rows=frozenset(row.ref for row in found),
            text=_text(found[0]),
        )

    def hours(self, typed: _Until | None) -> Observation | None:
        rows = frozenset(row.ref for row in self.rows if row.origin is Origin.HOURS)
        if typed is not None and not rows:
            self.refuse("hours.yaml protects nothing; delete this line", "hours")
        return self._whole(Kind.HOURS, typed, rows)

    def everything(self, typed: _Until | None) -> Observation | None:
        rows = frozenset(row.ref for row in self.rows if row.effect is Effect.DENY)
        return self._whole(Kind.EVERYTHING, typed, rows)

    def _whole(
        self, kind: Kind, typed: _Until | None, rows: frozenset[RuleRef]
    ) -> Observation | None:
        if typed is None:
            return None
        return Observation(
            kind=kind,
            enforce_from=typed.enforce_from,
            place=self.document.place(kind.value),
            rows=rows,
            text=kind.value,
        )

    def _near(self, typed: str) -> str:
        words = {word.strip() for word in typed.split(",")[1:3]}
        texts = [_text(row) for row in self.rows if {row.who, row.resource} & words]
        near = get_close_matches(typed, texts[:_NEAR], n=1, cutoff=0.6)
        return f"did you mean `{near[0]}`?" if near else _COPY


def _text(row: Rule) -> str:
    return ", ".join(("p", *row.row))


def _meaning(text: str) -> object:
    """What a row says, in whatever order and with whatever blanks; None = it is no row."""
    try:
        cells = next(csv.reader([text], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return None
    cells = [cell.strip(" \t") for cell in cells]
    if len(cells) != len(COLUMNS) or cells[0] != COLUMNS[0]:
        return None
    _, who, resource, actions, when, effect = cells
    return (
        who,
        resource,
        frozenset(action.strip(" \t") for action in actions.split("|")),
        frozenset(when.replace(" ", "").replace("\t", "").split("&")),
        effect,
    )


# -- what it means ---------------------------------------------------------------------------


def trials(
    observed: Iterable[Observation],
    rows: Collection[Rule],
    compiled: Callable[[Collection[Rule]], Index],
) -> tuple[Trial, ...]:
    """The days on which something is observed, earliest first; each but the last ends sooner.

    Args:
        observed: everything that is, or was.
        rows: every row of the policy.
        compiled: how rows become an index.
    """
    listed = tuple(observed)
    found = []
    for until in sorted({one.enforce_from for one in listed}):
        active = [one for one in listed if until <= one.enforce_from]
        whole = next((one for one in active if one.kind is Kind.EVERYTHING), None)
        left_out = frozenset[RuleRef]().union(*(one.rows for one in active))
        index = None if whole else compiled([row for row in rows if row.ref not in left_out])
        found.append(Trial(until=until, index=index, by=(whole or active[0]).ref))
    return tuple(found)


def trial_on(listed: Iterable[Trial], today: date) -> Trial | None:
    """What is observed on a day; None = nothing, or nothing any more."""
    return next((trial for trial in listed if today < trial.until), None)


def remind(one: Observation, *, over: bool) -> Finding:
    """What an owner should not forget, as a warning.

    Args:
        one: of observe.yaml.
        over: it counts by now, in every salon.
    """
    message = f"observed only: {_NAMED[one.kind].format(one.text)} before {one.enforce_from}"
    if over:
        message = f"delete this line: it has been enforced since {one.enforce_from}"
    return Finding(one.place, message, Severity.WARNING)


def refuse_observed(
    observed: Iterable[Observation],
    asserted: Collection[str],
    broken_without: Callable[[frozenset[RuleRef]], Collection[str]],
) -> list[Finding]:
    """What may not be only observed, because a `never` assertion rests on it.

    Dates do not matter: what was broken until yesterday is no assertion.

    Args:
        observed: everything that is, or was.
        asserted: every assertion, as the owner wrote it. While everything is observed, none
            of them holds.
        broken_without: the assertions that would be broken without these rows.
    """
    listed = tuple(observed)
    findings = []
    for one in listed:
        rests = asserted if one.kind is Kind.EVERYTHING else broken_without(one.rows)
        findings += [
            Finding(one.place, f"the assertion `{text}` rests on this; it cannot be observed only")
            for text in rests
        ]
    if not findings and len(listed) > 1:
        # Two rows that say the same: it rests on neither alone, but on both.
        together = broken_without(frozenset().union(*(one.rows for one in listed)))
        findings = [
            Finding(
                listed[-1].place,
                f"the assertion `{text}` rests on what is observed here together; "
                "let one of these rows count",
            )
            for text in together
        ]
    return findings
