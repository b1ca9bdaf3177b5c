"""The usual week of a salon: when is the window open, grace included, if nothing is special?

On the salon's clock, in minutes from Monday 00:00. Holidays that come every week are out;
those of some dates, and special openings, are what makes a week unusual.
"""

from gateway.enforcer.days import SalonHours
from gateway.enforcer.hours import DAY_MINUTES, EVERY, RegularHoliday

WEEK_MINUTES = 7 * DAY_MINUTES

Run = tuple[int, int]  # minutes, half-open; it starts in the week and may end in the next


def usual_week(hours: SalonHours) -> tuple[Run, ...]:
    """The runs that start in a week, sorted; one of a whole week if it never closes."""
    before = int(hours.grace_before.total_seconds()) // 60
    after = int(hours.grace_after.total_seconds()) // 60
    listed = [
        (day * DAY_MINUTES + interval.start - before, day * DAY_MINUTES + interval.end + after)
        for day, found in hours.weekly.items()
        if RegularHoliday(day, EVERY) not in hours.regular_holidays
        for interval in found.intervals
    ]
    # The weeks before and after, so that what runs over a week's end is joined too.
    around = [
        (start + w, end + w) for w in (-WEEK_MINUTES, 0, WEEK_MINUTES) for start, end in listed
    ]
    runs: list[Run] = []
    for start, end in sorted(around):
        if runs and start <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((start, end))
    if any(end - start >= WEEK_MINUTES for start, end in runs):
        return ((0, WEEK_MINUTES),)
    return tuple(run for run in runs if 0 <= run[0] < WEEK_MINUTES)


def is_unusual_sometimes(hours: SalonHours) -> bool:
    """Do some dates close the salon that are not closed every week?"""
    some_weeks = any(holiday.nth != EVERY for holiday in hours.regular_holidays)
    return bool(some_weeks or hours.public_holidays or hours.closed_dates)


def sides(hours: SalonHours | None) -> tuple[bool, ...]:
    """Which sides of the window there ever are: inside (True), outside (False).

    Without a calendar there is no inside. A salon is never outside only if its usual week has
    no gap and no date is unlike the others.
    """
    if hours is None:
        return (False,)
    week = usual_week(hours)
    specials = hours.special_openings.values()
    if not week and not any(special.intervals for special in specials):
        return (False,)
    unlike = is_unusual_sometimes(hours) or bool(hours.special_openings)
    if week == ((0, WEEK_MINUTES),) and not unlike:
        return (True,)
    return (True, False)
