"""A salon's usual week in words: `Mon, Wed-Sat 09:00-20:00; Sun 09:00-19:00; except holidays`.

Grace included: it is the time in which the window is open, not that on the door.
"""

from collections.abc import Iterator

from gateway.enforcer.days import SalonHours
from gateway.enforcer.hours import DAY_MINUTES
from gateway.enforcer.week import WEEK_MINUTES, Run, is_unusual_sometimes, usual_week

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def week_in_words(hours: SalonHours | None) -> str:
    """When the window is open; `never` for a salon without hours."""
    if hours is None:
        return "never"
    runs = usual_week(hours)
    parts = list(_said(runs)) or ["on no usual day"]
    unusual = ["except holidays"] if is_unusual_sometimes(hours) and runs else []
    unusual += ["plus special openings"] if hours.special_openings else []
    return "; ".join([*parts, ", ".join(unusual)] if unusual else parts)


def runs_in_words(runs: tuple[Run, ...]) -> str:
    """`Tue-Sun 20:00-21:00`; "" for none."""
    return "; ".join(_said(runs))


def _said(runs: tuple[Run, ...]) -> Iterator[str]:
    if runs == ((0, WEEK_MINUTES),):
        yield "round the clock"
        return
    times: dict[int, list[str]] = {}
    for start, end in runs:
        day = start // DAY_MINUTES
        until = _clock(end - day * DAY_MINUTES)
        if end - start > DAY_MINUTES:
            until = f"{_DAYS[end // DAY_MINUTES % 7]} {_clock(end % DAY_MINUTES)}"
        times.setdefault(day, []).append(f"{_clock(start % DAY_MINUTES)}-{until}")
    days: dict[str, list[int]] = {}
    for day in sorted(times):
        days.setdefault(", ".join(times[day]), []).append(day)
    for text, listed in days.items():
        yield f"{', '.join(_ranges(listed))} {text}"


def _ranges(days: list[int]) -> Iterator[str]:
    """`Mon, Wed-Sat`: three days in a row and more as a range."""
    rest = list(days)
    while rest:
        length = next((n for n, day in enumerate(rest) if day != rest[0] + n), len(rest))
        if length >= 3:
            yield f"{_DAYS[rest[0]]}-{_DAYS[rest[length - 1]]}"
            rest = rest[length:]
        else:
            yield _DAYS[rest.pop(0)]


def _clock(minutes: int) -> str:
    """`24:00` is midnight at the end of a day; beyond it the clock begins again."""
    if minutes > DAY_MINUTES:
        minutes -= DAY_MINUTES
    return f"{minutes // 60:02}:{minutes % 60:02}"
