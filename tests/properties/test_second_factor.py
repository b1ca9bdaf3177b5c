"""What is taken as a code, against the RFCs written a second time."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.time import from_milliseconds
from gateway.identity.second_factor import SecondFactor, used
from gateway.identity.totp import hotp, write_secret
from tests.oracles.slow_totp import SlowVerifier, slow_code

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
keys = st.binary(min_size=20, max_size=20)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(key=keys, counter=st.integers(0, 2**64 - 1))
def test_a_code_is_the_slow_one(key, counter):
    assert hotp(key, counter) == slow_code(key, counter)


@settings(max_examples=150 * FUZZ, deadline=None)
@given(
    key=keys,
    moves=st.lists(st.tuples(st.integers(-90, 90), st.integers(-4, 4)), max_size=20),
)
def test_codes_are_taken_as_the_slow_verifier_takes_them_whatever_the_clock_does(key, moves):
    second = SecondFactor(secret=write_secret(key), since=0, last=0, recovery=())
    slow = SlowVerifier(key)
    slow.over.add(0)
    seconds = 3000
    for move, steps in moves:
        seconds = max(60, seconds + move)
        typed = slow_code(key, max(0, seconds // 30 + steps))
        after = used(second, typed, from_milliseconds(seconds * 1000))
        assert (after is not None) == slow.take(typed, seconds)
        second = after or second
