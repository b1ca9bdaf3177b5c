"""Hours that a change of calendar makes different, in words: `Tue-Sun 20:00-21:00`.

The usual week first, then every single date that is not like it: none is left out.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise

from gateway.enforcer.days import SalonHours
from gateway.enforcer.hours import DAY_MINUTES
from gateway.enforcer.week import WEEK_MINUTES, Run, usual_week
from gateway.tools.timeline import Pair, Sides, Timeline, by_day, joined, whole_days
from gateway.tools.week import runs_in_words, week_in_words

FOUR: tuple[Sides, ...] = ((False, False), (False, True), (True, False), (True, True))
MAX_DATES = 6  # listed one by one in a sentence; JSON has them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Some hours of a salon, on its clock.

    Attributes:
        weekly: those of every usual week, in words; "" = none. `within the opening hours`
            stands for those of each salon as they are.
        week: what those are in this one, in words; "" for others.
        dates: dates on which they are otherwise, each with its hours in words.
        without: dates on which the weekly ones are not.
    """

    weekly: str = ""
    week: str = field(default="", compare=False)
    dates: tuple[tuple[date, str], ...] = ()
    without: tuple[date, ...] = ()

    @property
    def ever(self) -> bool:
        """Are there any such hours?"""
        return bool(self.weekly or self.dates)

    def __str__(self) -> str:
        parts = [self.weekly] if self.weekly else []
        by_times: dict[str, list[date]] = {}
        for day, times in self.dates:
            by_times.setdefault(times, []).append(day)
        parts += [f"on {_days(days)} {times}" for times, days in by_times.items()]
        if self.without:
            parts.append(f"except on {_days(self.without)}")
        return ", ".join(parts) or "never"


def hours_in_words(
    timeline: Timeline, salon: str, chosen: Collection[Sides], occurring: Collection[Sides] = FOUR
) -> Hours:
    """When the windows of before and after are like this.

    Args:
        timeline: of both.
        salon: which of them.
        chosen: (open before, open after): some of the four.
        occurring: those of the four that there are at some time.
    """
    pair = timeline.pair(salon)
    for at, mark in ((1, "" if pair.same else "new "), (0, "old ")):
        hours = (pair.old, pair.new)[at]
        for inside, where in ((True, "within"), (False, "outside")):
            if {*chosen} == {sides for sides in occurring if sides[at] is inside}:
                week = week_in_words(hours)
                return Hours(
                    weekly=f"{where} the {mark}opening hours",
                    week=week if inside else f"only outside opening hours ({week})",
                )
    if _zone(pair.old) != _zone(pair.new):
        return Hours(weekly=_apart(pair, chosen))
    start = timeline.start(salon)
    stretches = timeline.stretches(start)
    pieces = timeline.walk([salon], stretches)
    actual = by_day(joined((a, b) for a, b, (now,) in pieces if now in chosen), pair.any)
    runs = _weekly(pair, chosen)
    usual = {day: _of_day(runs, day) for day in range(7)}
    dates, without = [], []
    for day in whole_days(stretches, pair.any):
        found = actual.get(day, [])
        if found == usual[day.weekday()]:
            continue
        if found:
            dates.append((day, ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in found)))
        else:
            without.append(day)
    return Hours(weekly=runs_in_words(runs), dates=tuple(dates), without=tuple(without))


def _zone(hours: SalonHours | None) -> str | None:
    return hours.timezone if hours else None


def _apart(pair: Pair, chosen: Collection[Sides]) -> str:
    """Weeks on two clocks have no difference that a week could show."""
    words = []
    for old, new in sorted(chosen):
        sides = [
            f"{'within' if inside else 'outside'} {week_in_words(hours)}"
            + (f" ({hours.timezone}{mark})" if hours else f"{mark}")
            for hours, inside, mark in ((pair.new, new, ""), (pair.old, old, ", as it was"))
        ]
        words.append(" and ".join(sides))
    return ", or ".join(words)


def _weekly(pair: Pair, chosen: Collection[Sides]) -> tuple[Run, ...]:
    """The minutes of the usual week in which both are like this."""
    old, new = (list(_folded(usual_week(h) if h else ())) for h in (pair.old, pair.new))
    cuts = sorted({0, WEEK_MINUTES, *(at for run in (*old, *new) for at in run)})
    runs: list[Run] = []
    for start, end in pairwise(cuts):
        if (_holds(old, start), _holds(new, start)) not in chosen:
            continue
        if runs and runs[-1][1] == start:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == WEEK_MINUTES:
        # What runs over the week's end is one run that starts in this week.
        runs = [*runs[1:-1], (runs[-1][0], WEEK_MINUTES + runs[0][1])]
    return tuple(runs)


def _folded(runs: Iterable[Run]) -> Iterable[Run]:
    """Runs within the week: what goes on in the next one begins at its start."""
    for start, end in runs:
        yield start, min(end, WEEK_MINUTES)
        if end > WEEK_MINUTES:
            yield 0, end - WEEK_MINUTES


def _holds(runs: Iterable[Run], minute: int) -> bool:
    return any(start <= minute < end for start, end in runs)


def _of_day(week: Iterable[Run], weekday: int) -> list[tuple[int, int]]:
    """The part of the usual week on one day, in minutes of the day."""
    first = weekday * DAY_MINUTES
    found = [
        (max(start, first) - first, min(end, first + DAY_MINUTES) - first)
        for start, end in _folded(week)
        if start < first + DAY_MINUTES and end > first
    ]
    return sorted(found)


def _days(days: Collection[date]) -> str:
    listed = sorted(days)
    if len(listed) <= MAX_DATES:
        return ", ".join(map(str, listed))
    return f"{len(listed)} dates from {listed[0]} to {listed[-1]}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
