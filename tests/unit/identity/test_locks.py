"""What a person is told, what flows is told, and what rules are told of a lock."""

from datetime import date, timedelta

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.subject import ANYONE, Post, Principal, Role, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.locks import (
    Lock,
    locked,
    next_change,
    noticed,
    require_unlocked,
    seen_out,
    unlocked,
)

NOON = from_milliseconds(1_795_000_000_000)
MEI, HANA = StaffId("staff:mei"), StaffId("staff:hana")


def later(seconds):
    return instant(NOON + timedelta(seconds=seconds))


def refused(lock, now):
    with pytest.raises(RequestError) as caught:
        require_unlocked(MEI, lock, now)
    return caught.value


def leaving(*, at=None, before=None, notice_from=None):
    return seen_out(before, NOON, HANA, at=at, notice_from=notice_from)


def a_principal(on_notice_since=None):
    role = Role("role:stylist")
    held = frozenset({role, ANYONE})
    post = Post(salon="aoyama", held=held, acting=held, first_role=role)
    return Principal(
        staff=MEI, posts=(post,), device=None, epoch=0, app=None, on_notice_since=on_notice_since
    )


def test_who_is_not_locked_may_pass():
    assert require_unlocked(MEI, None, NOON) == MEI


def test_who_is_locked_is_sent_to_the_manager():
    error = refused(locked(None, NOON, HANA), NOON)
    assert (error.reason, STATUS[error.reason]) == (Reason.LOCKED, 403)
    assert error.detail == "Your access is locked. Speak to your manager."


def test_who_has_left_is_told_so_and_the_trail_why():
    error = refused(leaving(), NOON)
    assert (error.reason, error.cause) == (Reason.HAS_LEFT, Cause.OFFBOARDED)


def test_a_lock_counts_at_once_even_where_the_clock_is_behind():
    assert refused(locked(None, NOON, HANA), later(-3600)).reason is Reason.LOCKED
    assert refused(leaving(), later(-3600)).reason is Reason.HAS_LEFT


def test_what_is_set_for_later_does_nothing_before_its_instant():
    lock = leaving(at=later(60))
    assert require_unlocked(MEI, lock, later(59.999)) == MEI
    assert refused(lock, later(60)).reason is Reason.HAS_LEFT


def test_who_is_locked_and_leaves_later_stays_locked_until_then():
    lock = leaving(before=locked(None, NOON, HANA), at=later(60))
    assert refused(lock, later(59)).reason is Reason.LOCKED
    assert refused(lock, later(60)).reason is Reason.HAS_LEFT
    open_again = unlocked(lock, later(1), HANA)
    assert require_unlocked(MEI, open_again, later(59)) == MEI
    assert refused(open_again, later(60)).reason is Reason.HAS_LEFT


def test_a_leaving_may_be_moved_both_ways_until_it_is_in_effect():
    lock = leaving(at=later(60))
    assert seen_out(lock, later(1), HANA, at=later(30), notice_from=None).leaves_at == later(30)
    assert seen_out(lock, later(1), HANA, at=later(90), notice_from=None).leaves_at == later(90)
    assert seen_out(lock, later(60), HANA, at=later(90), notice_from=None) == lock


def test_a_leaving_set_for_the_past_is_at_once():
    assert leaving(at=later(-1)) == leaving()
    assert leaving().leaves_at is None


def test_moving_a_leaving_keeps_the_notice_unless_another_is_given():
    first, second = date(2026, 12, 1), date(2026, 12, 5)
    lock = leaving(at=later(60), notice_from=first)
    assert seen_out(lock, later(1), HANA, at=later(90), notice_from=None).notice_from == first
    assert seen_out(lock, later(1), HANA, at=later(90), notice_from=second).notice_from == second


def test_who_said_it_first_stays_who_said_it():
    lock = locked(None, NOON, HANA)
    assert locked(lock, later(5), MEI) == lock
    lock = leaving(at=later(60))
    assert seen_out(lock, later(5), MEI, at=later(60), notice_from=None) == lock


def test_what_flows_is_looked_at_again_when_somebody_leaves():
    assert next_change(None, NOON) is None
    assert next_change(locked(None, NOON, HANA), NOON) is None
    assert next_change(leaving(), NOON) is None
    assert next_change(leaving(at=later(60)), NOON) == later(60)
    assert next_change(leaving(at=later(60)), later(60)) is None


def test_a_notice_given_with_the_leaving_counts_beside_the_rosters():
    early, late = date(2026, 11, 1), date(2026, 12, 1)
    lock = leaving(at=later(60), notice_from=early)
    assert noticed(lock, a_principal()).on_notice_since == early
    assert noticed(lock, a_principal(late)).on_notice_since == early
    lock = leaving(at=later(60), notice_from=late)
    principal = a_principal(early)
    assert noticed(lock, principal) is principal
    assert noticed(None, principal) is principal
    assert noticed(leaving(at=later(60)), principal) is principal


def test_a_lock_that_contradicts_itself_cannot_be_made():
    for wrong in (
        {"left": False, "effective": 2},
        {"left": True, "effective": 1},
        {"left": True, "locked_meanwhile": True},
        {"left": False, "notice_from": date(2026, 12, 1)},
        {"left": False, "by": "hana"},
    ):
        with pytest.raises(ValueError, match=r"\w"):
            Lock(**{"since": 1, "by": None, **wrong})
