import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.quota import RefusalQuota

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))


def test_the_first_sixty_are_entered_each_for_itself():
    quota = RefusalQuota()
    assert [quota.admit(5.0) for _ in range(60)] == [0] * 60


def test_the_sixty_first_within_a_minute_is_only_counted():
    quota = RefusalQuota()
    for _ in range(60):
        quota.admit(5.0)
    assert quota.admit(64.9) is None
    assert quota.suppressed == 1


def test_the_next_entered_line_says_how_many_it_stands_for():
    quota = RefusalQuota()
    for _ in range(65):
        quota.admit(5.0)
    assert quota.admit(65.0) == 5
    assert quota.admit(65.0) == 0


def test_the_minute_slides_so_that_no_edge_lets_through_twice_as_many():
    quota = RefusalQuota()
    for second in range(60):
        assert quota.admit(59.0 + second / 100) == 0
    assert quota.admit(60.0) is None  # a new minute on the wall
    assert quota.admit(118.99) is None
    assert quota.admit(119.0) == 2


def test_the_leftover_is_taken_once():
    quota = RefusalQuota()
    for _ in range(63):
        quota.admit(0.0)
    assert quota.flush(10.0) == 3
    assert quota.flush(10.0) == 0


def test_nothing_left_over_needs_no_line():
    quota = RefusalQuota()
    quota.admit(0.0)
    assert quota.flush(1.0) == 0


def test_asking_for_a_leftover_that_is_not_there_uses_no_allowance():
    quota = RefusalQuota()
    for _ in range(59):
        quota.admit(0.0)
    quota.flush(1.0)
    assert quota.admit(2.0) == 0


def test_a_line_that_could_not_be_entered_is_carried_by_the_next_one():
    quota = RefusalQuota()
    for _ in range(62):
        quota.admit(0.0)
    carried = quota.admit(100.0)
    assert carried == 2
    quota.give_back(carried)
    assert quota.admit(100.0) == 3


steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.5, 1.0, 20.0, 60.0]), st.integers(1, 30)), max_size=40
)


@settings(max_examples=100 * FUZZ)
@given(steps)
def test_none_goes_unseen_and_no_minute_holds_more_than_sixty(plan):
    quota, now, asked, carried = RefusalQuota(), 0.0, 0, 0
    entered = []
    for wait, count in plan:
        now += wait
        for _ in range(count):
            asked += 1
            answer = quota.admit(now)
            if answer is not None:
                entered.append(now)
                carried += answer
    assert asked == len(entered) + carried + quota.suppressed
    for start in entered:
        assert sum(start <= moment < start + 60 for moment in entered) <= 60


@settings(max_examples=50 * FUZZ)
@given(steps)
def test_a_refusal_is_suppressed_only_when_the_minute_is_full(plan):
    quota, now = RefusalQuota(), 0.0
    entered = []
    for wait, count in plan:
        now += wait
        for _ in range(count):
            recent = sum(now - moment < 60 for moment in entered)
            if quota.admit(now) is None:
                assert recent == 60
            else:
                entered.append(now)
