"""The salon's hours told to somebody else: a library that reads OpenStreetMap's `opening_hours`.

Works on the plain data of hours.yaml (dicts, lists, str). Days, weekdays, nth weekdays, dates,
what overrides what and the salon's clock are all the library's; here is only how to say it.

House rules:
- OSM's word order is its strength: a later rule replaces all that earlier ones say of its day.
  So the weakest key is said first.
- There the day's rule also cuts what began on the evening before; here an interval belongs to
  the day on which it starts. So two things are said: what is open up to midnight, and, a day
  on, what of it is left after midnight (`[..., +1 day]`). Open is either.
- There the hours are compared with what the clock shows; here they are instants. On the night
  of a clock change the two differ, and `moment_to_ask` says which question has our answer.
"""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from opening_hours import OpeningHours

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAY_MINUTES = 1440
UTC = ZoneInfo("UTC")  # the library knows zones by their names only
WEEKDAYS = {
    "mon": "Mo",
    "tue": "Tu",
    "wed": "We",
    "thu": "Th",
    "fri": "Fr",
    "sat": "Sa",
    "sun": "Su",
}
EXCEPTIONS = ("regular_holidays", "public_holidays", "closed_dates", "special_openings")
NUMBERS = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": -1}


def told(salon):
    """The salon's hours as the library has them: a function of the moment to ask for."""
    said = [_hours(say(salon), salon["timezone"]) for say in (before_midnight, after_midnight)]

    def is_open(asked):
        return any(hours.is_open(asked) for hours in said)

    return is_open


def before_midnight(salon):
    """What every day opens, cut at its midnight."""
    return _expression(salon, 0, _until_midnight)


def after_midnight(salon):
    """What is left of it on the next day."""
    return _expression(salon, 1, _from_midnight)


def next_change(salon, at):
    """When the state of `at` ends, in UTC, or None; `Sa 20:00-02:00` is said uncut.

    Only for hours whose nights nothing cuts: see `says_its_nights`.
    """
    # Joined with commas, days add up: the hours of Sunday do not cut Saturday's night.
    expression = _expression(salon, 0, _plainly, weekly=", ")
    change = _hours(expression, salon["timezone"]).next_change(at.astimezone(UTC))
    return None if change is None else change.astimezone(UTC)


def says_its_nights(salon):
    """No interval runs past midnight where dates or holidays have a word too."""
    exceptions = any(salon[key] for key in EXCEPTIONS)
    listed = [*salon["weekly"].values(), *salon["special_openings"].values()]
    return not exceptions or all(span(text)[1] <= DAY_MINUTES for day in listed for text in day)


def clock_changes_between(salon, first, last):
    """The UTC minutes in [first, last] from which on the salon's clock has another offset."""
    zone = ZoneInfo(salon["timezone"])
    changes, moment = [], first
    while moment < last:
        later = min(moment + DAY, last)
        if moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            while moment.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
                moment, before = moment + MINUTE, moment
                if moment.astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset():
                    changes.append(moment)
        moment = later
    return changes


def moment_to_ask(salon, at):
    """When to ask the library for what is true `at` an instant; None if no answer is ours.

    Almost always `at` itself. Not so for
    - the last minute before the clock goes back. The library takes the state of a time from the
      hours between it and a minute later (2.1.4); 03:59 to 03:00 it finds closed whatever the
      hours are. Asked by what the clock shows, without a zone, it finds them.
    - the second time that the clock shows the same. An edge there is its first occurrence, so
      that it is past by now: ask for the last minute of the repeated time, when all are.
    - the time after a gap, as long as the gap was. An edge in the gap is read with the offset
      before it: ask for what the clock would show without the change. An edge after the gap
      needs what it really shows. With edges in both places no reading of one clock is right.
    """
    local = at.astimezone(ZoneInfo(salon["timezone"]))
    wall = local.replace(tzinfo=None, fold=0)
    if local.fold:
        moment = at.replace(second=0, microsecond=0)
        while (moment + MINUTE).astimezone(local.tzinfo).fold:
            moment += MINUTE
        return moment.astimezone(local.tzinfo).replace(tzinfo=None, fold=0)
    if (at + MINUTE).astimezone(local.tzinfo).fold:
        return wall
    minute = at.replace(second=0, microsecond=0)
    for change in clock_changes_between(salon, minute - 180 * MINUTE, minute):
        after = change.astimezone(local.tzinfo)
        before = (change - MINUTE).astimezone(local.tzinfo)
        gap = (after.utcoffset() - before.utcoffset()) // MINUTE
        if at - change >= gap * MINUTE:
            continue
        end = after.hour * 60 + after.minute
        if any(0 < (end - edge) % DAY_MINUTES < gap for edge in edges(salon)):
            after_it_too = any((edge - end) % DAY_MINUTES < gap for edge in edges(salon))
            return None if after_it_too else wall - gap * MINUTE
    return at.astimezone(UTC)


def edges(salon):
    """Every clock time at which something listed opens or closes, in minutes."""
    listed = [*salon["weekly"].values(), *salon["special_openings"].values()]
    return {edge % DAY_MINUTES for hours in listed for text in hours for edge in span(text)}


def span(text):
    """`20:00-02:00` in minutes of the day on which it starts: (1200, 1560)."""
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return start, end if end > start else end + DAY_MINUTES


def _hours(expression, zone):
    # auto_country: no country's holidays unless they are listed.
    # max_interval_days: otherwise a change that never comes is looked for until the year 9999.
    return OpeningHours(
        expression, timezone=ZoneInfo(zone), auto_country=False, max_interval_days=500
    )


def _expression(salon, ahead, say, weekly="; "):
    """Every key of the salon's hours, `ahead` days on, the weakest first."""
    names = list(WEEKDAYS)

    def hours(texts):
        return ",".join(say(texts)) or "off"

    def on(day):
        return f"{date.fromisoformat(day) + ahead * DAY:%Y %b %d}"

    # A day without hours is not said: `off` would take away what the days before it leave.
    week = [
        f"{WEEKDAYS[names[(names.index(name) + ahead) % 7]]} {hours(texts)}"
        for name, texts in salon["weekly"].items()
        if say(texts)
    ]
    rest = [f"{_regular(phrase, ahead)} off" for phrase in salon["regular_holidays"]]
    rest += [f"{on(day)} off" for day in (*salon["public_holidays"], *salon["closed_dates"])]
    rest += [f"{on(day)} {hours(texts)}" for day, texts in salon["special_openings"].items()]
    return "; ".join([weekly.join(week) or "off", *rest])


def _regular(phrase, ahead):
    *which, name = phrase.split(" ")
    if not which:
        names = list(WEEKDAYS)
        return WEEKDAYS[names[(names.index(name) + ahead) % 7]]
    return f"{WEEKDAYS[name]}[{NUMBERS[which[0]]}]" + (" +1 day" if ahead else "")


def _plainly(texts):
    return texts


def _until_midnight(texts):
    spans = map(span, texts)
    return [f"{_clock(start)}-{_clock(min(end, DAY_MINUTES))}" for start, end in spans]


def _from_midnight(texts):
    ends = (span(text)[1] - DAY_MINUTES for text in texts)
    return [f"00:00-{_clock(end)}" for end in ends if end > 0]


def _clock(minutes):
    return f"{minutes // 60:02}:{minutes % 60:02}"
