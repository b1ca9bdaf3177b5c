"""Two channels in memory, and what stands between them."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.domain.errors import RequestError, StateUnavailableError, UpstreamError
from gateway.domain.reason import Reason
from gateway.relay import relay

PATIENCE = 10
CLOSED = RequestError(Reason.OUTSIDE_HOURS)


class MemoryChannel:
    """A `Channel` without sockets. The test says what comes and sees what went.

    Attributes:
        got: messages that were sent to this side.
        closed: code and reason of the first close.
        taking: cleared = this side takes nothing.
    """

    subprotocol = None

    def __init__(self):
        self.farewell = None
        self.got = asyncio.Queue()
        self.closed = None
        self.taking = asyncio.Event()
        self.taking.set()
        self.coming = asyncio.Queue(maxsize=1)
        self.received = 0

    async def say(self, *messages):
        for message in messages:
            await self.coming.put(message)

    async def leave(self, code):
        self.farewell = code
        await self.coming.put(None)

    async def receive(self):
        message = await self.coming.get()
        self.received += 1
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message):
        await self.taking.wait()
        assert self.closed is None
        self.got.put_nowait(message)

    async def close(self, code, reason):
        self.closed = self.closed or (code, reason)


class Judge:
    """`still` and `changed`, as the test says."""

    def __init__(self):
        self.error = None
        self.asked = 0
        self.news = asyncio.Event()

    async def still(self):
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def changed(self):
        await self.news.wait()
        self.news.clear()


class Talk:
    def __init__(self):
        self.client = MemoryChannel()
        self.crm = MemoryChannel()
        self.judge = Judge()
        self.task = None

    async def over(self):
        """What it raised, or None."""
        async with asyncio.timeout(PATIENCE):
            try:
                await asyncio.shield(self.task)
            except Exception as error:  # noqa: BLE001  # that is what is asked
                return error
        return None

    @property
    def closed(self):
        return self.client.closed, self.crm.closed


@asynccontextmanager
async def talking(*, downward=lambda m: m, upward=lambda m: m, still=None):
    talk = Talk()
    talk.task = asyncio.ensure_future(
        relay(
            talk.client,
            talk.crm,
            downward=downward,
            upward=upward,
            still=still or talk.judge.still,
            changed=talk.judge.changed,
        )
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield talk
    finally:
        talk.task.cancel()
        await asyncio.gather(talk.task, return_exceptions=True)


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


def raising(error):
    def judged(_message):
        raise error

    return judged


async def test_messages_go_both_ways_as_they_were_made():
    async with talking(downward=str.lower, upward=str.upper) as talk:
        await talk.client.say("Up", "Again")
        await talk.crm.say("Down")
        assert await talk.crm.got.get() == "UP"
        assert await talk.crm.got.get() == "AGAIN"
        assert await talk.client.got.get() == "down"
        assert talk.judge.asked == 3


async def test_what_may_not_be_seen_at_all_is_left_out():
    async with talking(downward=lambda m: None if m == "secret" else m) as talk:
        await talk.crm.say("secret", "open")
        assert await talk.client.got.get() == "open"


@pytest.mark.parametrize(
    ("code", "passed", "echoed"),
    [
        (1000, 1000, 1000),
        (1001, 1001, 1001),
        (1005, 1000, 1000),
        (1002, 1011, 1002),
        (1009, 1009, 1009),
        (3999, 3999, 3999),
        (4000, 4000, 4000),
        (2999, 1011, 2999),
    ],
)
async def test_how_one_side_closed_is_told_to_the_other_without_its_words(code, passed, echoed):
    async with talking() as talk:
        await talk.crm.leave(code)
        assert await talk.over() is None
        assert talk.closed == ((passed, ""), (echoed, ""))
    async with talking() as talk:
        await talk.client.leave(code)
        assert await talk.over() is None
        assert talk.closed == ((echoed, ""), (passed, ""))


async def test_an_answer_that_cannot_be_cut_ends_it_and_the_client_reads_why():
    error = UpstreamError(Reason.ANSWER_NOT_CUT)
    async with talking(downward=raising(error)) as talk:
        await talk.crm.say("{")
        assert await talk.over() is error
        assert talk.closed == ((1011, "answer_not_cut"), (1001, ""))
        assert talk.client.got.empty()


async def test_a_message_that_may_not_be_sent_ends_it_and_the_client_reads_why():
    error = RequestError(Reason.FIELD_NOT_WRITABLE)
    async with talking(upward=raising(error)) as talk:
        await talk.client.say("{}")
        assert await talk.over() is error
        assert talk.closed == ((1008, "field_not_writable"), (1001, ""))
        assert talk.crm.got.empty()


@pytest.mark.parametrize(
    "error", [CLOSED, StateUnavailableError(), UpstreamError(Reason.ANSWER_NOT_CUT)]
)
@pytest.mark.parametrize("who", ["client", "crm"])
async def test_who_may_not_go_on_is_told_so_before_the_next_message(who, error):
    async with talking() as talk:
        talk.judge.error = error
        await getattr(talk, who).say("late")
        assert await talk.over() is error
        assert talk.closed == ((1008, str(error.reason)), (1001, ""))
        assert talk.client.got.empty()
        assert talk.crm.got.empty()


async def test_a_change_ends_it_at_once_although_nobody_says_anything():
    async with talking() as talk:
        talk.judge.news.set()
        await turns()
        assert talk.judge.asked == 1
        assert talk.closed == (None, None)
        talk.judge.error = CLOSED
        talk.judge.news.set()
        assert await talk.over() is CLOSED
        assert talk.closed == ((1008, "outside_hours"), (1001, ""))


async def test_a_change_ends_it_also_while_one_side_takes_nothing():
    async with talking() as talk:
        talk.client.taking.clear()
        await talk.crm.say("stuck")
        await turns()
        talk.judge.error = CLOSED
        talk.judge.news.set()
        assert await talk.over() is CLOSED
        talk.client.taking.set()
        await turns()
        assert talk.client.got.empty()


async def test_nothing_goes_on_in_one_direction_once_the_other_was_refused():
    """Both ask at the same time; the first no counts, even for whom got a yes before it knew."""
    answers = [None, CLOSED]  # the last to come to a barrier goes on first
    both = asyncio.Barrier(2)

    async def still():
        answer = answers.pop(0)
        await both.wait()
        if answer is not None:
            raise answer

    async with talking(still=still) as talk:
        await talk.crm.say("down")
        await talk.client.say("up")
        assert await talk.over() is CLOSED
        assert talk.client.got.empty()
        assert talk.crm.got.empty()


@pytest.mark.parametrize("who", ["client", "crm"])
async def test_a_side_that_breaks_off_ends_the_other(who):
    error = UpstreamError(Reason.UPSTREAM_INVALID)
    async with talking() as talk:
        await getattr(talk, who).say(error)
        assert await talk.over() is error
        assert talk.closed == ((1011, "upstream_invalid"), (1001, ""))


async def test_a_bug_of_ours_ends_it_and_is_raised():
    error = KeyError("a name")
    async with talking(downward=raising(error)) as talk:
        await talk.crm.say("x")
        assert await talk.over() is error
        assert talk.closed == ((1011, "internal_error"), (1001, ""))


async def test_a_gateway_that_stops_says_so_to_both():
    async with talking() as talk:
        await turns()
        talk.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talk.task
        assert talk.closed == ((1001, ""), (1001, ""))


async def test_who_takes_nothing_slows_down_who_sends():
    async with talking() as talk:
        talk.client.taking.clear()
        saying = asyncio.ensure_future(talk.crm.say(*"abcdef"))
        await turns(100)
        assert talk.crm.received == 1
        talk.client.taking.set()
        await saying
        assert [await talk.client.got.get() for _ in range(6)] == list("abcdef")
