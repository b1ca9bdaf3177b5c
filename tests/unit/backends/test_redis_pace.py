"""Connecting again: bounded in number, spread by chance, one at a time while nobody answers."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.redis_pace import FIRST_PAUSE, LONGEST_PAUSE, MAX_CONNECTS, Pace

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))


class Time:
    """Moves only when somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now += seconds


def a_pace(time, chance=0.5):
    return Pace(monotonic=time.monotonic, chance=lambda: chance, sleep=time.sleep)


async def fail(pace):
    with pytest.raises(OSError):
        async with pace.attempt():
            raise OSError


async def succeed(pace):
    async with pace.attempt():
        pass


async def test_the_first_attempt_waits_for_nothing():
    time = Time()
    await succeed(a_pace(time))
    assert time.slept == []


async def test_after_each_failure_the_pause_is_longer_up_to_a_bound_and_an_answer_ends_it():
    time = Time()
    pace = a_pace(time, chance=0.9999999)
    for _ in range(7):
        await fail(pace)
    assert [round(one, 4) for one in time.slept] == [0.01, 0.02, 0.04, 0.08, 0.1, 0.1]
    await succeed(pace)
    await succeed(pace)
    assert len(time.slept) == 7


@pytest.mark.parametrize(("chance", "pause"), [(0.0, FIRST_PAUSE / 2), (0.5, FIRST_PAUSE * 0.75)])
async def test_the_pause_is_spread_by_chance(chance, pause):
    time = Time()
    pace = a_pace(time, chance)
    await fail(pace)
    await succeed(pace)
    assert time.slept == [pytest.approx(pause)]


async def test_while_nobody_answers_one_tries_and_the_others_wait_for_it():
    time = Time()
    pace = a_pace(time)
    await fail(pace)
    at_it, most = 0, 0
    door = asyncio.Event()

    async def attempt():
        nonlocal at_it, most
        async with pace.attempt():
            at_it += 1
            most = max(most, at_it)
            await door.wait()
            at_it -= 1

    tasks = [asyncio.ensure_future(attempt()) for _ in range(20)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert (at_it, most) == (1, 1)
    door.set()
    await asyncio.gather(*tasks)
    assert len(time.slept) == 1  # it was answered: the others went on at once


async def test_who_gives_up_waiting_harms_nobody():
    time = Time()
    pace = a_pace(time)
    await fail(pace)
    waiting = [asyncio.ensure_future(succeed(pace)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert waiting[2].exception() is None
    await succeed(pace)


@settings(max_examples=50 * FUZZ, deadline=None)
@given(st.lists(st.booleans(), max_size=300), st.floats(0, 0.999))
def test_no_second_sees_more_attempts_than_the_bound(answered, chance):
    time, begun = Time(), []

    async def run():
        pace = a_pace(time, chance)
        for good in answered:
            begun_before = time.now
            await (succeed if good else fail)(pace)
            begun.append(max(begun_before, time.now))

    asyncio.run(run())
    for earlier, later in zip(begun, begun[MAX_CONNECTS:], strict=False):
        assert later - earlier >= 1.0 - 1e-9
    assert all(0 < one <= max(1.0, LONGEST_PAUSE) for one in time.slept)
