"""What an hours.yaml says twice, says against itself, or can hardly mean.

Contradictions are errors: nothing loads. They are looked for in the plain data, so that they
are found also when something elsewhere in the file cannot be read. Oddities are warnings:
the calendar loads and does what the file says.
"""

from collections.abc import Iterator
from typing import Any

from gateway.domain.finding import Finding
from gateway.enforcer.days import ONE_DAY, DayHours, SalonHours, rule_of
from gateway.enforcer.hours import (
    DAY_MINUTES,
    EVERY,
    WEEKDAYS,
    LocalInterval,
    RegularHoliday,
    quoted,
    read_interval,
)
from gateway.texts.yamltext import Document, Key, Path

Oddity = tuple[str, Path]  # a message, and where under the salon


def contradictions(document: Document) -> Iterator[Finding]:
    """What stands twice, and hours of one day that overlap."""
    for key in ("protected", "exempt_roles"):
        yield from _doubles(document, key)
    salons = _under(document.data, "salons")
    for name in salons if isinstance(salons, dict) else ():
        for key in ("regular_holidays", "public_holidays", "closed_dates"):
            yield from _doubles(document, "salons", name, key)
        for key in ("weekly", "special_openings"):
            days = _under(salons, name, key)
            for day in days if isinstance(days, dict) else ():
                yield from _overlaps(document, "salons", name, key, day)


def _doubles(document: Document, *path: Key) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, text in _texts(document, *path):
        if text in first:
            line = document.place(*path, first[text]).line
            yield document.finding(
                f"{quoted(text)} stands twice (first in line {line}); delete one", *path, index
            )
        first.setdefault(text, index)


def _overlaps(document: Document, *path: Key) -> Iterator[Finding]:
    """Intervals of one day that share a minute; adjoining ones are fine."""
    read: list[tuple[LocalInterval, int]] = []
    for index, text in _texts(document, *path):
        try:
            read.append((read_interval(text), index))
        except ValueError:
            continue  # `validate` finds the same and says it
    widest: LocalInterval | None = None
    for interval, index in sorted(read):
        if widest is not None and interval.start < widest.end:
            yield document.finding(
                f"`{interval}` overlaps `{widest}` of the same day; join or part them",
                *path,
                index,
            )
        if widest is None or interval.end > widest.end:
            widest = interval


def _texts(document: Document, *path: Key) -> Iterator[tuple[int, str]]:
    """The texts of a list, with their indices; nothing if it is not one."""
    items = _under(document.data, *path)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, str):
            yield index, item


def _under(data: Any, *path: Key) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def oddities(hours: SalonHours) -> Iterator[Oddity]:
    """What a salon's hours say and hardly mean."""
    days = [*hours.weekly.values(), *hours.special_openings.values()]
    if not any(day.intervals for day in days):
        yield "the salon never opens; give it hours", ("weekly",)
    for day in hours.special_openings.keys() & hours.closed_dates.keys():
        yield (
            f"`{day}` is in `closed_dates` too; the special opening wins",
            ("special_openings", day.isoformat()),
        )
    for weekday, listed in hours.weekly.items():
        path = ("weekly", WEEKDAYS[weekday])
        if listed.intervals and RegularHoliday(weekday, EVERY) in hours.regular_holidays:
            yield f"`{path[1]}` is a regular holiday; these hours are never used", path
        following = hours.weekly.get((weekday + 1) % 7)
        yield from _odd_intervals(listed, following, path)
    for day, listed in hours.special_openings.items():
        _, following_intervals, by = rule_of(hours, day + ONE_DAY)
        following = DayHours(intervals=following_intervals, by=by) if by is not None else None
        yield from _odd_intervals(listed, following, ("special_openings", day.isoformat()))


def _odd_intervals(listed: DayHours, following: DayHours | None, path: Path) -> Iterator[Oddity]:
    """Round the clock by a slip, or into the hours of the next day."""
    for interval in listed.intervals:
        if interval.end - interval.start == DAY_MINUTES and interval.start != 0:
            yield f"`{interval}` is open for 24 hours; is it meant?", path
        spill = interval.end - DAY_MINUTES
        if following is not None and any(other.start < spill for other in following.intervals):
            line = following.by.line
            yield f"`{interval}` runs into the next day's hours (line {line}); they join", path
