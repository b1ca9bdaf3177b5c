"""Locks and tombstones: whatever was done in whichever order, the slow history agrees."""

import os
from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.locks import (
    Lock,
    locked,
    next_change,
    parse_lock,
    render_lock,
    require_unlocked,
    seen_out,
    unlocked,
)
from tests.oracles import slow_locks

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
MEI, HANA = StaffId("staff:mei"), StaffId("staff:hana")
DAY = date(2026, 12, 1)

# Microseconds, so that acts meet within one millisecond too.
STEPS = st.sampled_from([0, 1, 400, 999, 1000, 1001, 60_000_000])
LATER = st.none() | st.sampled_from([-5_000_000, -1, 0, 1, 999, 1000, 2500, 60_000_000, 10**12])
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["lock", "unlock", "offboard"]),
        STEPS,
        LATER,
        st.none() | st.dates(DAY, DAY + timedelta(days=3)),
        st.sampled_from([None, HANA]),
    ),
    max_size=8,
)


def after(microseconds, moment=NOON):
    return instant(moment + timedelta(microseconds=microseconds))


def played(steps):
    """The acts as the reference has them, and the lock after each of them."""
    acts, lock, now = [], None, NOON
    for do, wait, later, notice, by in steps:
        now = after(wait, now)
        at = None if later is None else after(later, now)
        acts.append({"do": do, "now": now, "at": at, "notice": notice})
        match do:
            case "lock":
                lock = locked(lock, now, by)
            case "unlock":
                lock = unlocked(lock, now, by)
            case _:
                lock = seen_out(lock, now, by, at=at, notice_from=notice)
        lock = None if lock is None else parse_lock(render_lock(lock))
        yield list(acts), lock, now


def verdict(lock, now):
    try:
        require_unlocked(MEI, lock, now)
    except RequestError as error:
        told = {
            (Reason.HAS_LEFT, Cause.OFFBOARDED): "left",
            (Reason.LOCKED, None): "locked",
        }
        return told[error.reason, error.cause]
    return None


@settings(max_examples=250 * FUZZ, deadline=None)
@given(ACTS, st.lists(LATER.filter(lambda n: n is None or n >= 0), max_size=4))
def test_the_verdict_is_that_of_the_history_now_and_later(steps, waits):
    for acts, lock, now in played(steps):
        for moment in (now, *(after(wait or 0, now) for wait in waits)):
            assert verdict(lock, moment) == slow_locks.verdict(acts, moment)
        leaves, notice = slow_locks.leaving(acts)
        if lock is None:
            assert leaves is None
        else:
            assert lock.left == (leaves is not None)
            assert lock.notice_from == notice


@settings(max_examples=120 * FUZZ, deadline=None)
@given(ACTS)
def test_a_tombstone_in_effect_is_in_effect_after_every_act_and_for_ever(steps):
    gone = None
    for _, lock, now in played(steps):
        if gone is not None:
            assert lock == gone
            assert verdict(lock, now) == "left"
            assert verdict(lock, from_milliseconds(253_000_000_000_000)) == "left"
        if lock is not None and lock.has_left(now):
            gone = lock


@settings(max_examples=120 * FUZZ, deadline=None)
@given(ACTS)
def test_the_same_act_again_changes_nothing(steps):
    for acts, lock, now in played(steps):
        act = acts[-1]
        match act["do"]:
            case "lock":
                again = locked(lock, now, MEI)
            case "unlock":
                again = unlocked(lock, now, MEI)
            case _:
                again = seen_out(lock, now, MEI, at=act["at"], notice_from=act["notice"])
        assert again == lock


@settings(max_examples=120 * FUZZ, deadline=None)
@given(ACTS, st.integers(0, 70_000_000))
def test_the_verdict_holds_until_the_next_change_and_no_longer(steps, wait):
    for _, lock, now in played(steps):
        change = next_change(lock, now)
        moment = after(wait, now)
        if change is None or moment < change:
            assert verdict(lock, moment) == verdict(lock, now)
        if change is not None:
            assert change > now
            assert verdict(lock, after(-1, change)) == verdict(lock, now)
            assert verdict(lock, change) != verdict(lock, now)


LOCKS = st.sampled_from(
    [
        Lock(since=1, by=None, left=False),
        Lock(since=1, by=HANA, left=True),
        Lock(since=1, by=HANA, left=True, effective=9, locked_meanwhile=True, notice_from=DAY),
    ]
)


@settings(max_examples=250 * FUZZ, deadline=None)
@given(LOCKS, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3))
def test_a_document_that_was_touched_is_read_as_itself_or_not_at_all(lock, at, put, cut):
    data = render_lock(lock)
    touched = data[:at] + put + data[at + cut :]
    try:
        found = parse_lock(touched)
    except StateUnavailableError:
        return
    assert render_lock(found) == touched


@settings(max_examples=300 * FUZZ, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["since", "by", "left", "effective", "locked_meanwhile", "x"]),
                inner,
            )
        ),
        max_leaves=8,
    ).map(msgspec.json.encode)
)
@example(b'{"since":1,"by":null,"left":true,"left":false}')
@example(b'{"since":1,"by":null,"left":false,"notice_from":null}')
def test_whatever_stands_there_is_a_lock_as_it_is_written_or_an_error(data):
    try:
        found = parse_lock(data)
    except StateUnavailableError:
        return
    assert render_lock(found) == data


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"{}",
        b'{"since":1,"by":null,"left":false} ',
        b'{"since":1.0,"by":null,"left":false}',
        b'{"since":true,"by":null,"left":false}',
        b'{"since":-1,"by":null,"left":false}',
        b'{"since":999999999999999,"by":null,"left":false}',
        b'{"since":1,"by":"hana","left":false}',
        b'{"since":1,"by":"staff:","left":false}',
        b'{"since":1,"by":null,"left":0}',
        b'{"since":1,"by":null,"left":true,"left":false}',
        b'{"by":null,"since":1,"left":false}',
        b'{"since":1,"by":null,"left":false,"effective":9}',
        b'{"since":1,"by":null,"left":true,"effective":1}',
        b'{"since":1,"by":null,"left":true,"locked_meanwhile":true}',
        b'{"since":1,"by":null,"left":false,"notice_from":"2026-12-01"}',
        b'{"since":1,"by":null,"left":true,"notice_from":"2026-12-1"}',
        b'{"since":1,"by":null,"left":false,"more":1}',
    ],
)
def test_what_no_act_writes_is_not_read(document):
    with pytest.raises(StateUnavailableError):
        parse_lock(document)
