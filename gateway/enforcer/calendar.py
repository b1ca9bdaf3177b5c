"""hours.yaml → Calendar, or every finding about it at once.

What cannot be read, or says two things at once, is an error and nothing loads. What can be
read but is hardly meant is a warning and stands in `Calendar.warnings`. One text is read in
`hours.py`, texts are held against each other in `hourschecks.py`, and `days.py` says what a
day of the calendar looks like; its names are offered here too, for callers outside.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.domain.finding import Finding, PolicyError, Severity
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Role
from gateway.enforcer.days import DayHours, DayPlan, HoursSource, SalonHours, Span, day_plan
from gateway.enforcer.hours import (
    WEEKDAYS,
    LocalInterval,
    RegularHoliday,
    quoted,
    read_date,
    read_exempt_role,
    read_grace,
    read_interval,
    read_regular_holiday,
    read_salon_name,
    read_timezone,
    read_weekday,
)
from gateway.enforcer.hourschecks import contradictions, oddities
from gateway.texts.yamltext import Document, Key, Strict, validate

__all__ = [
    "Calendar",
    "DayHours",
    "DayPlan",
    "HoursSource",
    "SalonHours",
    "Span",
    "day_plan",
    "parse_hours",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Everything hours.yaml says.

    Attributes:
        salons: hours by salon.
        protected: resources that are closed outside the window, with the line that says so.
        exempt_roles: whom the window does not hold.
        warnings: worth a look; they do not keep the calendar from loading.
    """

    salons: Mapping[str, SalonHours]
    protected: tuple[tuple[str, RuleRef], ...]
    exempt_roles: tuple[Role, ...] = ()
    warnings: tuple[Finding, ...] = ()


def _listed(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError(  # noqa: TRY004  # pydantic collects ValueErrors
            f"write a list in `[ ]`, `[]` for none; got {quoted(value)}"
        )
    return value


_List = BeforeValidator(_listed)
_Interval = Annotated[LocalInterval, PlainValidator(read_interval)]
_Date = Annotated[date, PlainValidator(read_date)]
_Weekday = Annotated[int, PlainValidator(read_weekday)]
_Holiday = Annotated[RegularHoliday, PlainValidator(read_regular_holiday)]
_Minutes = Annotated[int, PlainValidator(read_grace)]
_SalonName = Annotated[str, PlainValidator(read_salon_name)]
_ExemptRole = Annotated[Role, PlainValidator(read_exempt_role)]
_Intervals = Annotated[list[_Interval], _List]
_Dates = Annotated[list[_Date], _List]


class _Grace(Strict):
    before: _Minutes = 0
    after: _Minutes = 0


class _Salon(Strict):
    timezone: Annotated[str, PlainValidator(read_timezone)]
    weekly: dict[_Weekday, _Intervals]
    regular_holidays: Annotated[list[_Holiday], _List] = Field(default_factory=list)
    public_holidays: _Dates = Field(default_factory=list)
    closed_dates: _Dates = Field(default_factory=list)
    special_openings: dict[_Date, _Intervals] = Field(default_factory=dict)
    grace: _Grace = Field(default_factory=_Grace)


class HoursFile(Strict):
    """hours.yaml, whole."""

    salons: dict[_SalonName, _Salon]
    # Without a default: who protects nothing says so with `[]`.
    protected: Annotated[list[str], _List]
    exempt_roles: Annotated[list[_ExemptRole], _List] = Field(default_factory=list)


def parse_hours(document: Document) -> Calendar:
    """Read hours.yaml.

    That `protected` names resources and `exempt_roles` roles that exist is for the bundle to
    see, which knows the adapter and the rules.

    Raises:
        PolicyError: everything wrong with it.
    """
    findings = list(contradictions(document))
    try:
        file = validate(document, HoursFile)
    except PolicyError as error:
        raise PolicyError([*findings, *error.findings]) from error
    if findings:
        raise PolicyError(findings)
    calendar = Calendar(
        salons={name: _salon(document, name, salon) for name, salon in file.salons.items()},
        protected=tuple(
            (name, _ref(document, "protected", index)) for index, name in enumerate(file.protected)
        ),
        exempt_roles=tuple(file.exempt_roles),
    )
    return replace(calendar, warnings=tuple(sorted(_warnings(document, calendar))))


def _salon(document: Document, name: str, salon: _Salon) -> SalonHours:
    def at(*path: Key) -> RuleRef:
        return _ref(document, "salons", name, *path)

    def hours(intervals: list[LocalInterval], *path: Key) -> DayHours:
        return DayHours(intervals=tuple(sorted(intervals)), by=at(*path))

    return SalonHours(
        timezone=salon.timezone,
        weekly={
            day: hours(intervals, "weekly", WEEKDAYS[day])
            for day, intervals in salon.weekly.items()
        },
        regular_holidays={
            holiday: at("regular_holidays", index)
            for index, holiday in enumerate(salon.regular_holidays)
        },
        public_holidays={
            day: at("public_holidays", index) for index, day in enumerate(salon.public_holidays)
        },
        closed_dates={
            day: at("closed_dates", index) for index, day in enumerate(salon.closed_dates)
        },
        special_openings={
            day: hours(intervals, "special_openings", day.isoformat())
            for day, intervals in salon.special_openings.items()
        },
        grace_before=timedelta(minutes=salon.grace.before),
        grace_after=timedelta(minutes=salon.grace.after),
    )


def _ref(document: Document, *path: Key) -> RuleRef:
    return RuleRef(document.file, document.place(*path).line)


def _warnings(document: Document, calendar: Calendar) -> Iterator[Finding]:
    """What can be read but is hardly meant."""

    def warning(message: str, *path: Key) -> Finding:
        return replace(document.finding(message, *path), severity=Severity.WARNING)

    if not calendar.salons:
        yield warning("no salon has hours; everything protected is closed to all", "salons")
    if not calendar.protected:
        yield warning("nothing is protected; the opening hours close nothing", "protected")
    for name, hours in calendar.salons.items():
        for message, path in oddities(hours):
            yield warning(message, "salons", name, *path)
