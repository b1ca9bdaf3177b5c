"""A salon's hours as values, and one day of them as intervals in UTC.

The order of the rules for a day, first that speaks wins:

    special_openings > closed_dates > public_holidays > regular_holidays > weekly

An interval belongs to the day on which it starts and runs to its end: a holiday on the next
day does not cut it. Local times become UTC here and nowhere else; a grace is real minutes
and is added to UTC afterwards, in `window.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.domain.ruleref import RuleRef
from gateway.domain.time import Instant
from gateway.enforcer.hours import EVERY, LAST, LocalInterval, RegularHoliday

ONE_DAY = timedelta(days=1)

Span = tuple[Instant, Instant]  # half-open [open, close), never empty


class HoursSource(StrEnum):
    """Which key of a salon's hours speaks for a day, strongest first."""

    SPECIAL_OPENINGS = "special_openings"
    CLOSED_DATES = "closed_dates"
    PUBLIC_HOLIDAYS = "public_holidays"
    REGULAR_HOLIDAYS = "regular_holidays"
    WEEKLY = "weekly"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayHours:
    """The hours listed for a weekday or a date; no interval = closed.

    Attributes:
        intervals: sorted, not overlapping.
        by: where they are listed.
    """

    intervals: tuple[LocalInterval, ...]
    by: RuleRef


# eq=False: two are the same only if they are one. They are memo keys on the hot path, and a
# hash of every date they hold would cost more than it saves.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SalonHours:
    """The opening hours of one salon.

    Attributes:
        timezone: IANA name.
        weekly: by weekday, 0 = Monday.
        regular_holidays, public_holidays, closed_dates: what closes → where it is listed.
        grace_before, grace_after: real time around every interval.
        zone: of `timezone`.
    """

    timezone: str
    weekly: Mapping[int, DayHours]
    regular_holidays: Mapping[RegularHoliday, RuleRef] = field(default_factory=dict)
    public_holidays: Mapping[date, RuleRef] = field(default_factory=dict)
    closed_dates: Mapping[date, RuleRef] = field(default_factory=dict)
    special_openings: Mapping[date, DayHours] = field(default_factory=dict)
    grace_before: timedelta = timedelta(0)
    grace_after: timedelta = timedelta(0)
    # Held here: zoneinfo keeps only 8 zones alive by itself and would read files again.
    zone: ZoneInfo = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "zone", ZoneInfo(self.timezone))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPlan:
    """One day of a salon, and why.

    Attributes:
        intervals: open times in UTC, without grace, of the intervals that start on the day.
        source: the key of hours.yaml that spoke.
        by: where it stands; None when nothing speaks for the day.
    """

    intervals: tuple[Span, ...]
    source: HoursSource
    by: RuleRef | None


def day_plan(hours: SalonHours, day: date) -> DayPlan:
    """What a day of the salon's calendar looks like, and which line says so."""
    source, _, by = rule_of(hours, day)
    return DayPlan(intervals=spans_of(hours, day), source=source, by=by)


# 4096 = 400 days of ten salons, the furthest that window.py looks; an entry is about 500 bytes.
@lru_cache(maxsize=4096)
def spans_of(hours: SalonHours, day: date) -> tuple[Span, ...]:
    """The intervals that start on a day, in UTC, as listed.

    One that the clock's change leaves nothing of, or less, is none: it has no grace either.
    """
    _, listed, _ = rule_of(hours, day)
    spans = (
        (_instant(hours.zone, day, interval.start), _instant(hours.zone, day, interval.end))
        for interval in listed
    )
    return tuple((opening, closing) for opening, closing in spans if opening < closing)


def rule_of(
    hours: SalonHours, day: date
) -> tuple[HoursSource, tuple[LocalInterval, ...], RuleRef | None]:
    """The one rule that speaks for a day, what it lists, and where it stands."""
    if (special := hours.special_openings.get(day)) is not None:
        return HoursSource.SPECIAL_OPENINGS, special.intervals, special.by
    if (by := hours.closed_dates.get(day)) is not None:
        return HoursSource.CLOSED_DATES, (), by
    if (by := hours.public_holidays.get(day)) is not None:
        return HoursSource.PUBLIC_HOLIDAYS, (), by
    if hours.regular_holidays:
        for holiday in _regular_holidays_on(day):
            if (by := hours.regular_holidays.get(holiday)) is not None:
                return HoursSource.REGULAR_HOLIDAYS, (), by
    if (week := hours.weekly.get(day.weekday())) is not None:
        return HoursSource.WEEKLY, week.intervals, week.by
    return HoursSource.NONE, (), None


def _regular_holidays_on(day: date) -> Iterator[RegularHoliday]:
    """Every name under which a day could be a regular holiday."""
    weekday = day.weekday()
    yield RegularHoliday(weekday, EVERY)
    yield RegularHoliday(weekday, (day.day - 1) // 7 + 1)
    if (day + 7 * ONE_DAY).month != day.month:
        yield RegularHoliday(weekday, LAST)


def _instant(zone: ZoneInfo, day: date, minutes: int) -> Instant:
    """A wall-clock time as an instant.

    RFC 5545 3.3.5: a time that occurs twice is its first occurrence; one that does not exist
    is read with the offset before the gap. That is what `fold=0` means (PEP 495).
    """
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minutes)
    return Instant(wall.astimezone(UTC))
