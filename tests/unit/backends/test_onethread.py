"""One thread for blocking work: in order, bounded, and never a dead end."""

import asyncio
import threading

import pytest

from gateway.backends import onethread
from gateway.backends.onethread import BusyError, LateError, OneThread

LONG = 30  # seconds; a guard, never waited for


def stand_still(seconds):
    """Keep the event loop from turning, as a long computation would."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while clock() < until:
        pass


async def test_work_is_done_in_order_and_its_results_come_back():
    thread = OneThread("test")
    done = []
    results = await asyncio.gather(
        *(thread.run(lambda n=n: done.append(n) or n * 2, LONG) for n in range(50))
    )
    assert done == list(range(50))
    assert results == [n * 2 for n in range(50)]
    thread.stop()


async def test_an_error_comes_back_and_the_thread_goes_on():
    thread = OneThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0, LONG)
    assert await thread.run(lambda: "still here", LONG) == "still here"
    thread.stop()


async def test_a_caller_that_gave_up_is_skipped_and_the_next_one_served():
    thread, hang, done = OneThread("test"), threading.Event(), []
    with pytest.raises(BusyError, match="no answer within"):
        await thread.run(hang.wait, 0.001)
    with pytest.raises(BusyError):
        await thread.run(lambda: done.append("too late"), 0.001)
    hang.set()
    assert await thread.run(lambda: "served", LONG) == "served"
    assert done == []
    thread.stop()


async def test_an_answer_that_came_while_nobody_listened_is_told_apart_from_none():
    thread, done = OneThread("test"), threading.Event()

    def work():
        done.set()
        return "old by now"

    asking = asyncio.ensure_future(thread.run(work, 0.001))
    await asyncio.sleep(0)  # it is on its way, and its deadline has begun
    assert done.wait(LONG)  # the loop stands still meanwhile
    stand_still(0.002)  # until the deadline has passed too
    with pytest.raises(LateError):
        await asking
    assert await thread.run(lambda: "fresh", LONG) == "fresh"
    thread.stop()


async def test_a_hanging_thread_refuses_at_once_when_enough_is_waiting(monkeypatch):
    monkeypatch.setattr(onethread, "MAX_WAITING", 3)
    thread, hang = OneThread("test"), threading.Event()
    for _ in range(4):  # one on the thread, three in the queue
        with pytest.raises(BusyError, match="no answer"):
            await thread.run(hang.wait, 0.001)
    with pytest.raises(BusyError, match="too much is waiting"):
        await thread.run(lambda: None, LONG)
    hang.set()
    thread.stop()


async def test_a_cancelled_caller_leaves_nothing_behind():
    thread, hang = OneThread("test"), threading.Event()
    first = asyncio.ensure_future(thread.run(hang.wait, LONG))
    second = asyncio.ensure_future(thread.run(lambda: None, LONG))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    hang.set()
    assert await first is True
    assert await thread.run(lambda: "on", LONG) == "on"
    thread.stop()
