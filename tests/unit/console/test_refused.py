"""The refusals of an hour, against a list of all of them."""

import os
from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.console.refused import MINUTES, RefusalCounts
from gateway.domain.reason import Reason
from gateway.domain.time import instant

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = instant(datetime.fromisoformat("2026-11-25T12:00:30+09:00"))
CLOSED, RULES = Reason.OUTSIDE_HOURS, Reason.RULE_DENIES


def after(**span):
    return instant(NOON + timedelta(**span))


def test_nothing_was_refused_at_first():
    assert RefusalCounts().last_hour(NOON) == {}


def test_it_counts_by_reason():
    counts = RefusalCounts()
    for reason in (CLOSED, RULES, CLOSED):
        counts.refused(reason, NOON)
    assert counts.last_hour(after(minutes=1)) == {CLOSED: 2, RULES: 1}


def test_what_is_an_hour_old_is_told_no_more():
    counts = RefusalCounts()
    counts.refused(CLOSED, NOON)
    assert counts.last_hour(after(minutes=59)) == {CLOSED: 1}
    assert counts.last_hour(after(minutes=60)) == {}


def test_a_flood_needs_no_more_room_than_a_drop():
    counts = RefusalCounts()
    for second in range(20_000):
        counts.refused(CLOSED, after(seconds=second))
    assert len(counts._counts) == MINUTES
    assert all(len(one) <= 1 for one in counts._counts)


def slow(told, now):
    """Count what lies in the same minute as `now` or in the 59 before it."""
    this = int(now.timestamp()) // 60
    return Counter(reason for reason, at in told if 0 <= this - int(at.timestamp()) // 60 < 60)


@settings(deadline=None, max_examples=200 * FUZZ)
@given(
    steps=st.lists(st.tuples(st.sampled_from([CLOSED, RULES]), st.integers(0, 2400)), max_size=60),
    more=st.integers(0, 5000),
)
def test_it_is_what_a_list_would_say(steps, more):
    counts, told, at = RefusalCounts(), [], NOON
    for reason, seconds in steps:
        at = instant(at + timedelta(seconds=seconds))
        counts.refused(reason, at)
        told.append((reason, at))
        assert counts.last_hour(at) == slow(told, at)
    late = instant(at + timedelta(seconds=more))
    assert counts.last_hour(late) == slow(told, late)


def test_a_clock_that_goes_back_makes_nothing_up():
    counts = RefusalCounts()
    counts.refused(CLOSED, after(hours=2))
    counts.refused(RULES, NOON)  # its place holds a later hour by now
    assert counts.last_hour(NOON) == {}
    assert counts.last_hour(after(hours=2)) == {CLOSED: 1}
