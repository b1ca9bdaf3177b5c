"""When a salon's day ends: what `--at end-of-shift` means.

As everywhere, an interval belongs to the day on which it starts: at half past one at night it is
still Saturday's shift. A break at noon ends no shift. Without grace: that is for clearing up.
"""

from gateway.domain.time import Instant
from gateway.enforcer.days import ONE_DAY, SalonHours, spans_of
from gateway.enforcer.window import local_date


def closing_time(hours: SalonHours | None, at: Instant) -> Instant | None:
    """The last closing of the day whose shift is under way, else of today.

    Args:
        hours: None = the salon has no calendar.
        at: asked at.

    Returns:
        An instant after `at`; None = no shift is under way or to come today.
    """
    if hours is None:
        return None
    today = local_date(hours, at)
    yesterday = spans_of(hours, today - ONE_DAY)
    # An interval ends with the next day at the latest, so no other day's can run still.
    under_way = any(at < closing for _, closing in yesterday)
    spans = yesterday if under_way else spans_of(hours, today)
    last = max((closing for _, closing in spans), default=None)
    return last if last is not None and at < last else None
