"""When are salons' windows open, before and after a change? Looked up, not guessed.

Nothing is derived from the texts of hours.yaml: `window_at` is asked from one change to the
next, as requests ask it, over every stretch of time that is looked at. What is not looked at
(`HORIZON` after the start and after each later cut, and the days round every listed date) is
taken to be like what is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from gateway.domain.time import Instant, instant
from gateway.enforcer.days import ONE_DAY, SalonHours
from gateway.enforcer.window import HORIZON, window_at

LAST_DAY = date(9000, 1, 1)  # a date beyond is no date that anybody means
_ROUND = 3 * ONE_DAY  # an interval of a listed date and its grace end within so many days

Sides = tuple[bool, bool]  # is the window open: before, after the change
Stretch = tuple[Instant, Instant]  # half-open


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One salon's hours before and after; None = it has no calendar, and counts as closed."""

    old: SalonHours | None
    new: SalonHours | None

    @property
    def same(self) -> bool:
        """Do both say the same, wherever they say it?"""
        return self.old is self.new or meaning(self.old) == meaning(self.new)

    @property
    def any(self) -> SalonHours | None:
        """Whose clock stands for the salon: the new one's, if it has one."""
        return self.new or self.old


def meaning(hours: SalonHours | None) -> object:
    """What a calendar says, without where it says it."""
    if hours is None:
        return None
    return (
        hours.timezone,
        {day: found.intervals for day, found in hours.weekly.items() if found.intervals},
        frozenset(hours.regular_holidays),
        frozenset(hours.public_holidays),
        frozenset(hours.closed_dates),
        {day: found.intervals for day, found in hours.special_openings.items()},
        hours.grace_before,
        hours.grace_after,
    )


def midnight(hours: SalonHours | None, day: date) -> Instant:
    """When a day begins on a salon's clock; UTC's for a salon without one."""
    return instant(datetime.combine(day, time(), hours.zone if hours else UTC))


@dataclass(slots=True)
class Timeline:
    """Every salon's windows from a day on.

    Attributes:
        salons: by name.
        since: the first day that is looked at, on each salon's clock.
    """

    salons: Mapping[str, Pair]
    since: date
    _tracks: dict[tuple[str, Stretch], list[tuple[Instant, Sides]]] = field(default_factory=dict)
    _listed: list[Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listed = list(self._round_listed_dates())

    def pair(self, salon: str) -> Pair:
        """A salon's hours before and after."""
        return self.salons.get(salon) or Pair(old=None, new=None)

    def start(self, salon: str) -> Instant:
        """When the first day begins in a salon."""
        return midnight(self.pair(salon).any, self.since)

    def stretches(self, start: Instant, cuts: Iterable[Instant] = ()) -> list[Stretch]:
        """What is looked at: joined where it overlaps, in order.

        Args:
            start: nothing before it.
            cuts: when something about a person changes.
        """
        wanted = [(at, Instant(at + HORIZON)) for at in (start, *cuts)]
        wanted += [(max(start, since), until) for since, until in self._listed if until > start]
        joined: list[Stretch] = []
        for since, until in sorted(wanted):
            if joined and since <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(until, joined[-1][1])
            else:
                joined.append((since, until))
        return joined

    def walk(
        self, salons: Sequence[str], stretches: Iterable[Stretch]
    ) -> Iterator[tuple[Instant, Instant, tuple[Sides, ...]]]:
        """Each piece of time in which nothing changes, with the sides of every salon."""
        for stretch in stretches:
            tracks = [self._track(salon, stretch) for salon in salons]
            changes = sorted(
                (at, number, sides) for number, track in enumerate(tracks) for at, sides in track
            )
            now: list[Sides] = [(False, False)] * len(salons)
            begun = stretch[0]
            for at, number, sides in changes:
                if at > begun:
                    yield begun, at, tuple(now)
                    begun = at
                now[number] = sides
            yield begun, stretch[1], tuple(now)

    def _track(self, salon: str, stretch: Stretch) -> list[tuple[Instant, Sides]]:
        """A salon's sides from each instant at which they change."""
        key = (salon, stretch)
        if key not in self._tracks:
            pair = self.pair(salon)
            old = _changes(pair.old, stretch)
            new = old if pair.same else _changes(pair.new, stretch)
            now_old = now_new = False
            track: list[tuple[Instant, Sides]] = []
            for at in sorted({*old, *new}):
                now_old, now_new = old.get(at, now_old), new.get(at, now_new)
                track.append((at, (now_old, now_new)))
            self._tracks[key] = track
        return self._tracks[key]

    def _round_listed_dates(self) -> Iterator[Stretch]:
        for pair in self.salons.values():
            for hours in filter(None, (pair.old, pair.new)):
                dates = {*hours.public_holidays, *hours.closed_dates, *hours.special_openings}
                for day in dates:
                    at = midnight(hours, day)
                    yield Instant(at - _ROUND), Instant(at + _ROUND)


def _changes(hours: SalonHours | None, stretch: Stretch) -> dict[Instant, bool]:
    """Is the window open, from each instant on at which that changes."""
    at, end = stretch
    found: dict[Instant, bool] = {}
    while at < end:
        window = window_at(hours, at)
        found[at] = window.state.inside
        if hours is None:
            break
        at = window.changes_at or Instant(at + HORIZON)
    return found


def joined(pieces: Iterable[Stretch]) -> list[Stretch]:
    """Pieces in order, those that adjoin as one."""
    found: list[Stretch] = []
    for since, until in pieces:
        if found and found[-1][1] == since:
            found[-1] = found[-1][0], until
        else:
            found.append((since, until))
    return found


def by_day(
    pieces: Iterable[Stretch], hours: SalonHours | None
) -> dict[date, list[tuple[int, int]]]:
    """Pieces of time as minutes of days on a salon's clock, half-open; 1440 = midnight."""
    zone = hours.zone if hours else UTC
    found: dict[date, list[tuple[int, int]]] = {}
    for since, until in pieces:
        start, end = since.astimezone(zone), until.astimezone(zone)
        days = [start.date()]
        while days[-1] < end.date():
            days.append(days[-1] + ONE_DAY)
        for day in days:
            first = _minute(start) if day == start.date() else 0
            last = _minute(end) if day == end.date() else 24 * 60
            if first < last:
                found.setdefault(day, []).append((first, last))
    return found


def _minute(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute


def whole_days(stretches: Iterable[Stretch], hours: SalonHours | None) -> Iterator[date]:
    """The days that lie wholly in what is looked at, on a salon's clock."""
    zone = hours.zone if hours else UTC
    for since, until in stretches:
        day = since.astimezone(zone).date()
        while midnight(hours, day) < since:
            day += ONE_DAY
        while midnight(hours, day + ONE_DAY) <= until:
            yield day
            day += ONE_DAY
