"""The end of the shift, as somebody who works there would say it."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.ruleref import RuleRef
from gateway.domain.time import instant
from gateway.enforcer.closing import closing_time
from gateway.enforcer.days import DayHours, SalonHours
from gateway.enforcer.hours import LocalInterval

TOKYO = ZoneInfo("Asia/Tokyo")
BY = RuleRef("hours.yaml", 1)


def day(*intervals):
    spans = tuple(LocalInterval(start * 60, end * 60) for start, end in intervals)
    return DayHours(intervals=spans, by=BY)


# Wednesday plain, Friday with a break, Saturday into the night, Monday shut.
AOYAMA = SalonHours(
    timezone="Asia/Tokyo",
    weekly={
        2: day((10, 19)),
        4: day((10, 14), (15, 20)),
        5: day((10, 14), (20, 26)),
        6: day((12, 17)),
    },
    closed_dates={date(2026, 11, 25): BY},
)


def at(text):
    return instant(datetime.fromisoformat(text).replace(tzinfo=TOKYO))


@pytest.mark.parametrize(
    ("asked", "closes"),
    [
        ("2026-11-18T12:00", "2026-11-18T19:00"),
        ("2026-11-18T18:59", "2026-11-18T19:00"),
        ("2026-11-18T19:00", None),  # half-open: closed from then on
        ("2026-11-18T08:00", "2026-11-18T19:00"),  # before opening: tonight
        ("2026-11-20T12:00", "2026-11-20T20:00"),  # not at noon, when there is a break
        ("2026-11-20T14:30", "2026-11-20T20:00"),
        ("2026-11-21T23:00", "2026-11-22T02:00"),
        ("2026-11-22T01:30", "2026-11-22T02:00"),  # still Saturday's shift
        ("2026-11-22T02:00", "2026-11-22T17:00"),
        ("2026-11-23T12:00", None),  # no hours that day
        ("2026-11-25T12:00", None),  # a closed date
    ],
)
def test_a_shift_ends_with_its_days_last_closing(asked, closes):
    assert closing_time(AOYAMA, at(asked)) == (closes and at(closes))


def test_a_salon_without_a_calendar_has_no_shift():
    assert closing_time(None, instant(datetime(2026, 11, 18, 3, 0, tzinfo=UTC))) is None
