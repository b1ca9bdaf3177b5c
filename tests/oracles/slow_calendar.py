"""The salon's hours a second time: minute by minute, from the words of the rules.

Works on the plain data of hours.yaml (dicts, lists, str). Knows nothing of the gateway, and
resolves local times in another way: it walks the minutes of UTC and reads the salon's clock
at each, instead of asking a library what a local time means in UTC.

- An interval is half-open `[open, close)`; an end at or before the start is the next day's;
  `24:00` is the next day's midnight.
- An interval belongs to the day on which it starts. Nothing on the next day cuts it.
- special_openings > closed_dates > public_holidays > regular_holidays > weekly.
- Local times become UTC first: a time that occurs twice is its first occurrence, a time that
  does not exist is read with the offset before the gap. Then the grace, in real minutes.
- Open wins over grace. No interval = closed, grace included.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = {"mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "sun": 7}


def salon_clock(zone, moment):
    """What the salon's clock shows."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=100_000)
def utc_of(zone, wall):
    """The first UTC minute at which the salon's clock shows `wall`."""
    # No zone is further from UTC than 15 hours.
    moment = wall.replace(tzinfo=UTC) - timedelta(hours=15)
    last = moment + timedelta(hours=30)
    while moment <= last:
        if salon_clock(zone, moment) == wall:
            return moment
        moment += MINUTE
    # It never does: find the jump over it, and keep counting as if the clock had not jumped.
    moment = wall.replace(tzinfo=UTC) - timedelta(hours=15)
    while not (salon_clock(zone, moment) < wall < salon_clock(zone, moment + MINUTE)):
        moment += MINUTE
    return moment + (wall - salon_clock(zone, moment))


def is_regular_holiday(phrases, day):
    same_weekday = [
        other
        for other in (date(day.year, day.month, n) for n in range(1, 32) if is_day(day, n))
        if other.isoweekday() == day.isoweekday()
    ]
    for phrase in phrases:
        *which, name = phrase.split(" ")
        if NAMES[name] != day.isoweekday():
            continue
        if not which:
            return True
        if which == ["last"] and same_weekday[-1] == day:
            return True
        if which != ["last"]:
            number = int(which[0][0])
            if len(same_weekday) >= number and same_weekday[number - 1] == day:
                return True
    return False


def is_day(day, number):
    try:
        day.replace(day=number)
    except ValueError:
        return False
    return True


def listed_hours(salon, day):
    """The hours of a day, and the key that says so."""
    text = str(day)
    if text in salon.get("special_openings", {}):
        return salon["special_openings"][text], "special_openings"
    if text in salon.get("closed_dates", []):
        return [], "closed_dates"
    if text in salon.get("public_holidays", []):
        return [], "public_holidays"
    if is_regular_holiday(salon.get("regular_holidays", []), day):
        return [], "regular_holidays"
    for name, hours in salon["weekly"].items():
        if NAMES[name] == day.isoweekday():
            return hours, "weekly"
    return [], "none"


def wall_time(day, text):
    hour, minute = text.split(":")
    if hour == "24":
        day, hour = day + timedelta(days=1), "0"
    return datetime(day.year, day.month, day.day, int(hour), int(minute))


def intervals(salon, day):
    """The intervals that start on a day, in UTC, without those that the clock's change ate."""
    found = []
    for text in listed_hours(salon, day)[0]:
        start, end = text.split("-")
        opening, closing = wall_time(day, start), wall_time(day, end)
        if closing <= opening:
            closing = wall_time(day + timedelta(days=1), end)
        opening, closing = utc_of(salon["timezone"], opening), utc_of(salon["timezone"], closing)
        if opening < closing:
            found.append((opening, closing))
    return found


def timeline(salon, first, minutes):
    """The state of every UTC minute from `first` on: a list of "open", "grace", "closed"."""
    states = ["closed"] * minutes
    before = int(salon.get("grace", {}).get("before", "0"))
    after = int(salon.get("grace", {}).get("after", "0"))

    def paint(start, end, state):
        for index in range(max(start, 0), min(end, minutes)):
            states[index] = state

    found = []
    day = first.date() - timedelta(days=5)
    while day <= (first + minutes * MINUTE).date() + timedelta(days=4):
        found += intervals(salon, day)
        day += timedelta(days=1)
    numbers = [((a - first) // MINUTE, (b - first) // MINUTE) for a, b in found]
    for opening, closing in numbers:
        paint(opening - before, closing + after, "grace")
    for opening, closing in numbers:
        paint(opening, closing, "open")
    return states
