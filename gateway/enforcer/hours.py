"""What an owner may write for a time, a date, a day or a zone: one text → one value.

Each `read_x` takes one scalar of hours.yaml and returns its value or raises ValueError with
the sentence the owner will see. Nothing here knows a second scalar: what contradicts what
is `calendar.py`'s business.
"""

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple
from unicodedata import normalize
from zoneinfo import available_timezones

from gateway.domain.finding import did_you_mean
from gateway.domain.subject import ANYONE, Role, is_name

DAY_MINUTES = 24 * 60
MAX_GRACE_MINUTES = DAY_MINUTES  # beyond a day it would no longer be a grace
FIRST_YEAR, LAST_YEAR = 2000, 2199  # a year outside is a slip of the finger (`0206`, `20226`)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as date.weekday() counts
EVERY, LAST = 0, -1
ORDINALS = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": LAST}

_INTERVAL = re.compile(r"(\d{1,2}):(\d\d) ?- ?(\d{1,2}):(\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOOSE_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", re.ASCII)
_DASHES = str.maketrans(dict.fromkeys("〜~‐‑‒–—―−ー", "-"))  # what phones type
_NOT_A_ZONE = frozenset({"localtime", "Factory"})  # of the machine, not of a salon


@dataclass(frozen=True, slots=True, order=True)
class LocalInterval:
    """Opening hours on the salon's clock, half-open `[start, end)`.

    Attributes:
        start: minutes from midnight of the day it belongs to, 0 to 1439.
        end: likewise, after `start`; above 1440 it lies on the next day.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < DAY_MINUTES and 0 < self.end - self.start <= DAY_MINUTES):
            raise ValueError(f"[{self.start}, {self.end}) is no interval of a day")

    def __str__(self) -> str:
        end = self.end if self.end <= DAY_MINUTES else self.end - DAY_MINUTES
        return f"{_clock(self.start)}-{_clock(end)}"


class RegularHoliday(NamedTuple):
    """`tue`, `2nd mon`, `last sun`. A tuple, because three are looked up per day.

    Attributes:
        weekday: 0 = Monday.
        nth: 1 to 5 of the month, `LAST`, or `EVERY`.
    """

    weekday: int
    nth: int


def quoted(typed: object) -> str:
    """What the owner typed, in backticks, at a length that a finding can bear."""
    text = typed if isinstance(typed, str) else type(typed).__name__
    text = text if len(text) <= 60 else f"{text[:57]}..."
    # A finding is one line, and what is wrong may be what one cannot see.
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"`{''.join(shown)}`"


def read_interval(typed: object) -> LocalInterval:
    """`10:00-19:00`, `20:00-02:00` (next day), `15:00-24:00`.

    Raises:
        ValueError: anything else; full-width characters and `26:00` get a proposal.
    """
    match = _INTERVAL.fullmatch(typed) if isinstance(typed, str) else None
    if match is None:
        near = _plain_interval(typed)
        tail = f"did you mean `{near}`?" if near else "write hours like `10:00-19:00`"
        raise ValueError(f"{quoted(typed)} is not an opening time; {tail}")
    hours = [int(group) for group in match.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if hours[1] > 59 or hours[3] > 59:
        raise ValueError(f"{quoted(typed)} has a minute above 59")
    if start >= DAY_MINUTES:
        raise ValueError(
            f"{quoted(typed)} starts after `23:59`; list it under the day on which it starts"
        )
    if end - start > DAY_MINUTES:
        raise ValueError(f"{quoted(typed)} is longer than 24 hours")
    if end > DAY_MINUTES:
        meant = f"{_clock(start)}-{_clock(end - DAY_MINUTES)}"
        raise ValueError(
            f"{quoted(typed)} ends after `24:00`; write `{meant}`: an end at or before the start"
            " is on the next day"
        )
    return LocalInterval(start, end if end > start else end + DAY_MINUTES)


def read_date(typed: object) -> date:
    """`2026-08-13`, and only in this form."""
    text = typed if isinstance(typed, str) else ""
    if not _DATE.fullmatch(text):
        loose = _LOOSE_DATE.fullmatch(normalize("NFKC", text))
        near = "{}-{:0>2}-{:0>2}".format(*loose.groups()) if loose else ""
        tail = f"did you mean `{near}`?" if near else "write dates like `2026-08-13`"
        raise ValueError(f"{quoted(typed)} is not a date; {tail}")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is not a day of the calendar") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"`{text}` is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return day


def read_weekday(typed: object) -> int:
    """`mon` to `sun` → 0 to 6."""
    if typed not in WEEKDAYS:
        tail = did_you_mean(str(typed)[:60].casefold(), WEEKDAYS)
        raise ValueError(f"unknown weekday {quoted(typed)}; {tail}")
    return WEEKDAYS.index(str(typed))


def read_regular_holiday(typed: object) -> RegularHoliday:
    """`tue`, `2nd mon`, `last sun`."""
    known = _regular_holidays()
    if not isinstance(typed, str) or typed not in known:
        near = get_close_matches(str(typed)[:60].casefold(), known, n=1)
        tail = f"did you mean `{near[0]}`?" if near else "write `tue`, `2nd mon` or `last sun`"
        raise ValueError(f"unknown regular holiday {quoted(typed)}; {tail}")
    return known[typed]


def read_timezone(typed: object) -> str:
    """An IANA zone that this machine knows."""
    zones = _zones()
    if not isinstance(typed, str) or typed not in zones:
        text = str(typed)[:60]
        by_city = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(zones)}
        near = get_close_matches(text, zones, n=1)
        near = near or [by_city[city] for city in get_close_matches(text.casefold(), by_city, n=1)]
        tail = f"did you mean `{near[0]}`?" if near else "write an IANA name like `Asia/Tokyo`"
        raise ValueError(f"unknown time zone {quoted(typed)}; {tail}")
    return typed


def read_grace(typed: object) -> int:
    """Whole minutes, 0 to 1440."""
    text = typed if isinstance(typed, str) else ""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > MAX_GRACE_MINUTES:
        raise ValueError(
            f"a grace is whole minutes from 0 to {MAX_GRACE_MINUTES}, got {quoted(typed)}"
        )
    return int(text)


def read_salon_name(typed: object) -> str:
    """As staff.yaml spells it."""
    if not isinstance(typed, str) or not is_name(typed):
        raise ValueError(
            f"{quoted(typed)} is not a salon's name; use lower-case letters, digits, `_` and `-`"
        )
    return typed


def read_exempt_role(typed: object) -> Role:
    """A role with its prefix; never everyone."""
    text = typed if isinstance(typed, str) else ""
    prefix, _, name = text.partition(":")
    if prefix != "role" or not is_name(name):
        tail = f"did you mean `role:{text}`?" if is_name(text) else "write it like `role:manager`"
        raise ValueError(f"{quoted(typed)} is not a role; {tail}")
    if text == ANYONE:
        # No switch turns protection off; whoever wants no window protects nothing.
        raise ValueError(f"`{ANYONE}` cannot be exempt: the window would hold nobody")
    return Role(text)


def _plain_interval(typed: object) -> str | None:
    """The interval that full-width digits, wave dashes or stray blanks stand for, if any."""
    text = normalize("NFKC", typed).translate(_DASHES) if isinstance(typed, str) else ""
    plain = re.sub(r"\s+", "", text)
    try:
        return str(read_interval(plain)) if _INTERVAL.fullmatch(plain) else None
    except ValueError:
        return None  # nothing worth proposing


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@cache
def _regular_holidays() -> dict[str, RegularHoliday]:
    every = {name: RegularHoliday(day, EVERY) for day, name in enumerate(WEEKDAYS)}
    return every | {
        f"{word} {name}": RegularHoliday(day, nth)
        for word, nth in ORDINALS.items()
        for day, name in enumerate(WEEKDAYS)
    }


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_A_ZONE
