"""Facts of a record, in three values: `stylist is me`, `last_visit older than 5y`.

True here: a value that is missing, `null` or of another type than the comparison speaks of
makes the fact unknown. Nothing is converted to fit: `"true"` is not true, `"5"` is no number.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import NamedTuple, assert_never

MAX_FACTS = 16  # of one resource; nobody needs more, and sets of them stay small integers

_SPAN = re.compile(r"([1-9]\d{0,3})([dmy])", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_WORD = re.compile(r"[^\s,&|!\"'`]{1,64}")
FORMS = (
    "`<field> is me`, `<field> is true`, `<field> is <word>`, `<field> at least <number>`, "
    "`<field> at most <number>` or `<field> older than 5y` (`d`, `m`, `y`)"
)


@dataclass(frozen=True, slots=True)
class IsMe:
    """The field holds the id by which the CRM knows who asks (`crm_id` in staff.yaml)."""


@dataclass(frozen=True, slots=True)
class Is:
    """The field is exactly this: true, false or a word. A word also equals a whole number."""

    value: bool | str


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The field is a number, and not less."""

    number: int


@dataclass(frozen=True, slots=True)
class AtMost:
    """The field is a number, and not more."""

    number: int


@dataclass(frozen=True, slots=True)
class OlderThan:
    """The field is a date, or begins with one, that lies longer ago than this span.

    Dates are compared as written, against the date on the salon's calendar.
    """

    count: int
    unit: str  # `d`, `m` or `y`

    def since(self, today: date) -> date:
        """The date so long before `today`: 29 February less a year is 28 February."""
        if self.unit == "d":
            return today - min(timedelta(days=self.count), today - date.min)
        months = self.count * (12 if self.unit == "y" else 1)
        year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
        if year < 1:
            return date.min
        return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))


Comparison = IsMe | Is | AtLeast | AtMost | OlderThan


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFact:
    """A named condition on a record: an adapter's `dormant: last_visit older than 5y`.

    Attributes:
        name: as rules name it.
        field: the field of the resource whose value is compared.
    """

    name: str
    field: str
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class SalonOf:
    """Which field of a record tells its salon.

    Attributes:
        names: the CRM's spelling → the salon in staff.yaml; others stand for themselves.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    field: str

    def salon(self, value: object) -> str | None:
        """The salon that a field's value names; None = not known."""
        text = _text(value)
        return None if not text else self.names.get(text, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """What comparisons need to know of who asks, and when.

    Attributes:
        crm_id: as the CRM names the person.
        today: the date on the salon's calendar.
    """

    crm_id: str
    today: date


NOT_KNOWN = "?"  # no salon is called so


class RecordNote(NamedTuple):
    """What was known of one record, in words that outlive the policy of the day.

    Attributes:
        salon: whose it is; `?` = not known; None = records of its kind do not tell.
        facts: every fact of the resource: `dormant` is true, `!dormant` false, `?dormant` not
            known. What is not named was not looked at.
    """

    salon: str | None = None
    facts: tuple[str, ...] = ()


class RecordState(NamedTuple):
    """Everything rules ask about one record.

    Attributes:
        salon: whose record it is; None = not known.
        true, false: one bit for each fact of the resource, in its order; a fact in neither
            is unknown.
    """

    salon: str | None = None
    true: int = 0
    false: int = 0

    def note(self, facts: Iterable[RecordFact], *, salons: bool) -> RecordNote:
        """All of it as an audit entry keeps it.

        Args:
            facts: the resource's, in its order.
            salons: records of the resource can tell their salon.
        """
        signs = ("!" if self.false >> n & 1 else "?" for n in count())
        return RecordNote(
            salon=self.salon or (NOT_KNOWN if salons else None),
            facts=tuple(
                fact.name if self.true >> n & 1 else f"{sign}{fact.name}"
                for n, (fact, sign) in enumerate(zip(facts, signs, strict=False))
            ),
        )


NOTHING_KNOWN = RecordState()


def state_of(
    facts: Iterable[RecordFact], known: Mapping[str, bool | None], salon: str | None
) -> RecordState:
    """A record of which this is known.

    Args:
        facts: the resource's, in its order.
        known: by name; None and what is missing is not known, other names are of no matter.
        salon: whose record it is; None = not known.
    """
    values = [known.get(fact.name) for fact in facts]
    true = sum(1 << at for at, value in enumerate(values) if value is True)
    return RecordState(
        salon, true, sum(1 << at for at, value in enumerate(values) if value is False)
    )


def parse_comparison(text: str) -> tuple[str, Comparison]:
    """Read `<field> <comparison>`.

    Raises:
        ValueError: it is none of `FORMS`.
    """
    words = text.split()
    match words:
        case [name, "is", "me"]:
            return name, IsMe()
        case [name, "is", "true" | "false" as word]:
            return name, Is(word == "true")
        case [name, "is", word] if word != "not" and _WORD.fullmatch(word):
            return name, Is(word)
        case [name, "at", "least", number] if _NUMBER.fullmatch(number):
            return name, AtLeast(int(number))
        case [name, "at", "most", number] if _NUMBER.fullmatch(number):
            return name, AtMost(int(number))
        case [name, "older", "than", span] if found := _SPAN.fullmatch(span):
            return name, OlderThan(int(found[1]), found[2])
        case _:
            raise ValueError(f"`{text}` is not understood; write {FORMS}")


def predicate(comparison: Comparison, asker: Asker) -> Callable[[object], bool | None]:
    """The comparison as a function of a decoded JSON value: True, False, or None = unknown."""
    match comparison:
        case IsMe():
            me = asker.crm_id
            return lambda value: None if (text := _text(value)) is None else text == me
        case Is(value=bool() as wanted):
            return lambda value: value is wanted if isinstance(value, bool) else None
        case Is(value=word):
            return lambda value: None if (text := _text(value)) is None else text == word
        case AtLeast(number=number):
            return lambda value: value >= number if _is_number(value) else None  # type: ignore[operator]  # _is_number has looked
        case AtMost(number=number):
            return lambda value: value <= number if _is_number(value) else None  # type: ignore[operator]  # _is_number has looked
        case OlderThan():
            since = comparison.since(asker.today)
            return lambda value: None if (day := _date(value)) is None else day < since
        case _:
            assert_never(comparison)


def _text(value: object) -> str | None:
    """A text or a whole number, as text: CRMs write ids both ways."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _date(value: object) -> date | None:
    """`2026-11-25`, alone or before `T` or a blank and a time: done for every record of a list."""
    if not isinstance(value, str) or (len(value) > 10 and value[10] not in "T "):
        return None
    day = value[:10]
    # Python also reads `20261125` and `2026-W48-3`: hyphens in both places leave one form.
    if day[4:8:3] != "--":
        return None
    try:
        return date.fromisoformat(day)
    except ValueError:
        return None
