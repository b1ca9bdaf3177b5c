"""When which worker is started, ended, killed. No process: times are given."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.supervision import (
    DRAIN_SECONDS,
    FAILED,
    FIRST_SECONDS,
    MOST_SECONDS,
    STEADY_SECONDS,
    Announce,
    Kill,
    Start,
    State,
    Supervision,
    Terminate,
    back_off,
)

NOW = 1000.0


def workers(count=3, chance=lambda: 1.0):
    return Supervision(count, chance)


def serving(count=3, chance=lambda: 1.0):
    """All of them listen."""
    core = workers(count, chance)
    core.begin(NOW)
    for number in range(count):
        core.listening(number, NOW)
    assert core.announced
    return core


# -- the start


def test_the_first_goes_ahead_and_the_others_follow_once_it_listens():
    core = workers()
    assert core.begin(NOW) == [Start(0, again=False)]
    assert core.due(NOW + 1e6) == []
    assert core.listening(0, NOW) == [Start(1, again=False), Start(2, again=False)]


def test_it_is_told_once_when_all_listen():
    core = workers()
    core.begin(NOW)
    core.listening(0, NOW)
    assert core.listening(2, NOW) == []
    assert core.listening(1, NOW) == [Announce()]
    core.died(1, -9, NOW)
    core.due(NOW + MOST_SECONDS)
    assert core.listening(1, NOW + MOST_SECONDS) == []


def test_one_worker_is_announced_by_itself():
    core = workers(1)
    core.begin(NOW)
    assert core.listening(0, NOW) == [Announce()]


@pytest.mark.parametrize(("code", "exits"), [(3, 3), (1, 1), (0, FAILED), (-9, FAILED)])
def test_a_first_one_that_cannot_start_ends_it_with_its_code_and_no_other_is_tried(code, exits):
    core = workers()
    core.begin(NOW)
    assert core.died(0, code, NOW) == []
    assert core.ended == exits
    assert core.due(NOW + 1e9) == []


def test_a_later_one_that_cannot_start_takes_the_others_with_it():
    core = workers()
    core.begin(NOW)
    core.listening(0, NOW)
    assert core.died(2, 3, NOW) == [Terminate(0), Terminate(1)]
    assert core.ended is None
    core.died(1, -15, NOW)
    core.died(0, 0, NOW)
    assert core.ended == 3


# -- again


def test_whoever_ends_is_started_again_after_a_while():
    core = serving()
    assert core.died(1, -9, NOW) == []
    assert core.next_at() == NOW + FIRST_SECONDS
    assert core.due(NOW + FIRST_SECONDS - 0.001) == []
    assert core.due(NOW + FIRST_SECONDS) == [Start(1, again=True)]
    assert core.due(NOW + FIRST_SECONDS) == []
    assert core.next_at() == math.inf
    assert [slot.restarts for slot in core.slots] == [0, 1, 0]


def test_an_end_without_an_error_is_an_end_too():
    core = serving()
    core.died(1, 0, NOW)
    assert core.due(NOW + 1) == [Start(1, again=True)]


def ends(core, worker, times, now, lives=0.0):
    """It ends so often; how long each wait was."""
    waits = []
    for _ in range(times):
        core.died(worker, 1, now)
        waits.append(core.slots[worker].start_at - now)
        now = core.slots[worker].start_at
        assert core.due(now) == [Start(worker, again=True)]
        core.listening(worker, now)
        now += lives
    return waits


def test_each_wait_is_twice_as_long_up_to_a_bound():
    waits = ends(serving(), 0, 12, NOW)
    assert waits[:4] == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == MOST_SECONDS == max(waits)


def test_whoever_was_steady_begins_at_the_shortest_wait_again():
    assert len(set(ends(serving(), 0, 5, NOW + STEADY_SECONDS, lives=STEADY_SECONDS))) == 1
    assert len(set(ends(serving(), 0, 5, NOW, lives=STEADY_SECONDS - 1))) == 5


def test_also_one_that_does_not_even_listen_is_tried_again_and_later_each_time():
    core = serving()
    now = NOW
    for times in range(1, 5):
        core.died(2, 3, now)  # no policy that loads
        assert core.slots[2].failures == times
        now = core.slots[2].start_at
        assert core.due(now) == [Start(2, again=True)]
    assert core.ended is None


def test_chance_takes_at_most_half_of_a_wait():
    for failures in range(1, 40):
        least, most = back_off(failures, 0.0), back_off(failures, 1.0)
        assert least == most / 2
        assert least < back_off(failures, 0.3) < most <= MOST_SECONDS
    assert back_off(10**9, 1.0) == MOST_SECONDS


def test_what_was_heard_of_a_process_that_has_ended_counts_for_nobody():
    core = serving()
    core.died(1, -9, NOW)
    assert core.listening(1, NOW) == []
    assert core.slots[1].state is State.WAITING


# -- the end


def test_all_that_live_are_told_to_stop_once():
    core = serving()
    core.died(1, -9, NOW)
    assert core.stop(NOW) == [Terminate(0), Terminate(2)]
    assert core.stop(NOW) == []
    assert core.due(NOW + DRAIN_SECONDS - 1) == []  # and nobody is started again
    core.died(0, 0, NOW + 1)
    assert core.ended is None
    core.died(2, 0, NOW + 1)
    assert core.ended == 0


def test_whoever_does_not_stop_is_killed_after_a_bounded_time_once():
    core = serving()
    core.stop(NOW)
    core.died(0, 0, NOW)
    assert core.next_at() == NOW + DRAIN_SECONDS
    assert core.due(NOW + DRAIN_SECONDS) == [Kill(1), Kill(2)]
    assert core.due(NOW + DRAIN_SECONDS) == []
    assert core.next_at() == math.inf


def test_to_stop_before_anybody_listens_is_no_failure():
    core = workers()
    core.begin(NOW)
    assert core.stop(NOW) == [Terminate(0)]
    assert core.listening(0, NOW) == []  # no followers any more
    core.died(0, 0, NOW)
    assert core.ended == 0


def test_to_stop_while_nobody_lives_is_the_end():
    core = serving(1)
    core.died(0, -9, NOW)
    assert core.stop(NOW) == []
    assert core.ended == 0


# -- whatever comes in whatever order

HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["listening", "died", "wait", "wait", "stop"]),
        st.integers(0, 3),
        st.sampled_from([0, 1, 3, -9]),
        st.floats(0, 40),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=300)
@given(HAPPENINGS, st.integers(1, 4), st.floats(0, 1))
def test_whatever_happens_a_worker_has_one_process_and_none_is_left(happenings, count, chance):
    core, now = Supervision(count, lambda: chance), NOW
    live, stopped, announced = set(), False, 0

    def do(actions):
        nonlocal announced
        for action in actions:
            match action:
                case Start(worker=worker):
                    assert worker not in live, "two processes on one chain"
                    assert not stopped
                    live.add(worker)
                case Terminate(worker=worker) | Kill(worker=worker):
                    assert worker in live
                case Announce():
                    announced += 1
        assert {slot.number for slot in core.slots if slot.lives} == live

    do(core.begin(now))
    for what, worker, code, seconds in happenings:
        if core.ended is not None:
            break
        now += seconds
        if what == "stop":
            do(core.stop(now))
            stopped = True
        elif what == "wait":
            do(core.due(now))
            assert core.next_at() > now, "it would spin"
        elif worker in live and what == "listening":
            do(core.listening(worker, now))
        elif worker in live:
            live.discard(worker)
            do(core.died(worker, code, now))
            stopped = stopped or not announced
    if core.ended is None:
        do(core.stop(now))
        stopped = True
        for worker in sorted(live):
            live.discard(worker)
            do(core.died(worker, 0, now))
    assert core.ended is not None
    assert not live
    assert announced <= 1
    assert core.due(now + 1e9) == []
