"""Waits between tries: as the slow history has them, bounded, and never somebody else's."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.attempts import (
    BURST,
    EVERY,
    FORGET,
    KNOWN_MOST,
    MAX_NETWORKS,
    NOBODY_YET,
    SKEW,
    STRANGER_MOST,
    Strangers,
    Tries,
    parse_strangers,
    parse_tries,
    render,
    stranger_tried,
    stranger_was_right,
    tried,
    wait_of_known,
    wait_of_stranger,
)
from gateway.ports import MAX_DOCUMENT_BYTES
from tests.oracles.slow_attempts import SlowKnown, SlowStrangers

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = 1_795_000_000_000
STEPS = st.sampled_from(
    [0, 1, 999, 14_999, 15_000, 30_000, 59_999, 60_000, 900_000, 3_600_000, 86_399_999, 86_400_000]
)
NETWORKS = st.sampled_from([f"192.0.2.{number}/24" for number in range(4)])
MOMENTS = st.integers(min_value=0, max_value=2 * NOON)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans(), st.booleans()), max_size=40))
def test_a_known_device_waits_as_long_as_its_history_says(steps):
    slow, kept, now = SlowKnown(), None, NOON
    for step, right, patient in steps:
        now += step
        wait = wait_of_known(kept, now)
        assert wait == slow.wait(now)
        if wait and not patient:
            continue
        now += wait
        assert wait_of_known(kept, now) == 0
        kept = parse_tries(render(tried(kept, now)))
        slow.wrong(now)
        if right:
            kept = None
            slow.right()


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.lists(st.tuples(STEPS, NETWORKS, st.booleans(), st.booleans()), max_size=60))
def test_strangers_wait_as_long_as_their_history_says(steps):
    slow, kept, now = SlowStrangers(), NOBODY_YET, NOON
    for step, network, right, patient in steps:
        now += step
        wait = wait_of_stranger(kept, network, now)
        assert wait == slow.wait(network, now)
        if wait and not patient:
            continue
        now += wait
        assert wait_of_stranger(kept, network, now) == 0
        kept = parse_strangers(render(stranger_tried(kept, network, now)))
        slow.wrong(network, now)
        if right:
            kept = stranger_was_right(kept, network)
            slow.right(network, now)


@settings(max_examples=20 * FUZZ, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=90), min_size=65, max_size=150))
def test_a_bucket_never_outgrows_its_document_and_forgets_the_longest_unused(order):
    slow, kept, now = SlowStrangers(), NOBODY_YET, NOON
    for number in order:
        network = f"2001:db8:{number:x}::/48"
        now += max(EVERY, wait_of_stranger(kept, network, now + EVERY) + EVERY)
        assert wait_of_stranger(kept, network, now) == slow.wait(network, now) == 0
        kept = stranger_tried(kept, network, now)
        slow.wrong(network, now)
        assert len(kept.networks) <= MAX_NETWORKS
        assert set(kept.networks) == set(slow.rows)
        assert len(render(kept)) < MAX_DOCUMENT_BYTES


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.integers(min_value=1, max_value=2**62), MOMENTS, MOMENTS, MOMENTS)
def test_no_wait_is_longer_than_its_bound_whatever_the_clock_did(failures, last, paid, now):
    tries = Tries(failures=failures, last=last)
    assert 0 <= wait_of_known(tries, now) <= KNOWN_MOST + SKEW
    strangers = Strangers(paid_until=paid, networks={"-": tries})
    assert 0 <= wait_of_stranger(strangers, "-", now) <= STRANGER_MOST + SKEW
    assert 0 <= wait_of_stranger(strangers, "other", now) <= EVERY + SKEW
    # And whoever has waited that long is let try, if the clock goes on from there.
    assert wait_of_known(tries, now + wait_of_known(tries, now)) == 0
    wait = wait_of_stranger(strangers, "-", now)
    assert wait_of_stranger(strangers, "-", now + wait) == 0


@settings(max_examples=200 * FUZZ, deadline=None)
@given(st.lists(st.tuples(STEPS, st.integers(0, 10**6)), max_size=200), st.integers(1, 24))
def test_no_number_of_networks_gives_more_tries_than_the_rate(steps, hours):
    kept, now, begun, passed = NOBODY_YET, NOON, NOON, 0
    for step, network in steps:
        now += min(step, 60_000)
        if wait_of_stranger(kept, str(network), now) == 0:
            kept = stranger_tried(kept, str(network), now)
            passed += 1
        assert passed <= BURST + (now - begun) / EVERY


def test_what_was_long_ago_is_forgotten():
    tries = Tries(failures=10**9, last=NOON)
    assert wait_of_known(tries, NOON + FORGET) == 0
    assert tried(tries, NOON + FORGET) == Tries(failures=1, last=NOON + FORGET)
