"""Where an instant lies against a salon's hours, and when that changes.

Open is the union of all intervals `[open, close)`; inside is the union of all intervals
widened by the grace, `[open - before, close + after)`. Open wins over grace, everything
else is closed. Half-open: of two adjoining windows never both claim an instant.

House rule: only UTC here; the salon's clock is `days.py`'s. Each question is asked of the
runs around one UTC day, which are memoised, so that an answer costs a few microseconds.
"""

from datetime import UTC, date, timedelta
from functools import lru_cache

from gateway.domain.access import Window, WindowState
from gateway.domain.time import Instant
from gateway.enforcer.days import ONE_DAY, SalonHours, Span, spans_of

# How far ahead a change is looked for. A window without `changes_at` may be kept this long.
HORIZON = timedelta(days=400)

# An offset is less than 24 h (Python refuses others), an interval ends at most 48 h after
# its day's midnight, a grace is at most 24 h. So what is listed under day D lies, grace
# included, strictly within D 00:00 UTC - 48 h and D 00:00 UTC + 96 h: no other days than
# these touch a UTC day.
_DAYS_BEFORE, _DAYS_AFTER = 3, 2


def window_at(hours: SalonHours | None, at: Instant) -> Window:
    """The salon's window at an instant.

    Args:
        hours: None when the salon has no calendar: unknown, which counts as closed.
        at: the instant of the request.

    Returns:
        The state from `at` up to `changes_at`; without one it holds for `HORIZON` at least.
    """
    if hours is None:
        return Window(state=WindowState.UNKNOWN)
    limit = Instant(at + HORIZON)
    opens_at = None
    if _run_end(hours, at, graced=False) is not None:
        state = WindowState.OPEN
        changes_at = _next_gap(hours, at, limit, graced=False)
    elif _run_end(hours, at, graced=True) is not None:
        state = WindowState.GRACE
        opening = _next_run(hours, at, limit, graced=False)
        changes_at = _next_gap(hours, at, opening or limit, graced=True) or opening
    else:
        state = WindowState.CLOSED
        changes_at = opens_at = _next_run(hours, at, limit, graced=True)
    return Window(state=state, changes_at=changes_at, opens_at=opens_at, timezone=hours.timezone)


def local_date(hours: SalonHours | None, at: Instant) -> date:
    """The date on the salon's calendar; UTC's for a salon without one."""
    return at.astimezone(hours.zone if hours is not None else UTC).date()


def _run_end(hours: SalonHours, at: Instant, *, graced: bool) -> Instant | None:
    """Where the run that covers `at` ends, as seen from its day; None if none covers it."""
    for start, end in _runs(hours, at.date(), graced):
        if start <= at < end:
            return end
    return None


def _next_gap(hours: SalonHours, at: Instant, limit: Instant, *, graced: bool) -> Instant | None:
    """The first instant from `at` on that no run covers; None if not by `limit`."""
    while at <= limit:
        end = _run_end(hours, at, graced=graced)
        if end is None:
            return at
        at = end  # seen from its own day, a further run may go on there
    return None


def _next_run(hours: SalonHours, at: Instant, limit: Instant, *, graced: bool) -> Instant | None:
    """The first start of a run after `at`; None if not by `limit`."""
    day = at.date()
    while day <= limit.date():
        for start, _ in _runs(hours, day, graced):
            # Starts on other days may be where the view from this day begins.
            if start.date() == day and at < start <= limit:
                return start
        day += ONE_DAY
    return None


@lru_cache(maxsize=8192)  # 400 days of ten salons, with and without grace
def _runs(hours: SalonHours, day: date, graced: bool) -> tuple[Span, ...]:  # noqa: FBT001  # memo key
    """The intervals that can touch a UTC day, overlapping and adjoining ones joined, sorted."""
    before = hours.grace_before if graced else timedelta(0)
    after = hours.grace_after if graced else timedelta(0)
    runs: list[Span] = []
    for opening, closing in sorted(
        span
        for ahead in range(-_DAYS_BEFORE, _DAYS_AFTER + 1)
        for span in spans_of(hours, day + ahead * ONE_DAY)
    ):
        start, end = Instant(opening - before), Instant(closing + after)
        if runs and start <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((start, end))
    return tuple(runs)
