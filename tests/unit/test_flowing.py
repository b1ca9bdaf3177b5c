"""What flows is looked at again: at each beat of the shell, also while it is silent."""

import asyncio

import pytest

from gateway.audit.entry import Phase
from gateway.domain.errors import GatewayError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, staff_id
from gateway.flowing import GRACE_SECONDS
from tests.unit.test_pipeline import Salon
from tests.unit.test_pipeline_streams import FILM, POLICY, rules

NOON = "2026-11-25T12:00+09:00"


class Quiet(Salon):
    """The CRM sends one piece and then says nothing more until it is told to."""

    def __init__(self, at=NOON):
        super().__init__(at)
        self.bundle = POLICY
        self.more = asyncio.Event()
        self.closed = 0
        self.floors = 0
        self.crm.send = self._send
        ask = self.epochs.floor

        async def floor(*session):
            self.floors += 1
            return await ask(*session)

        self.epochs.floor = floor

    def current(self):
        return self.bundle

    async def _send(self, _clearance, **_asked):
        salon = self

        class Answer:
            status, headers = 200, (("Content-Type", "video/mp4"),)

            def arrived(self):
                return None

            async def stream(self):
                yield b"one"
                await salon.more.wait()
                yield b"two"

            async def close(self):
                salon.closed += 1

        return Answer()

    async def begun(self, who="ken", target=FILM):
        """An answer under way, its first piece taken, waiting for the second."""
        answer = await self.ask("GET", target, who)
        pieces = aiter(answer.body)
        assert await anext(pieces) == b"one"
        waiting = asyncio.ensure_future(anext(pieces, None))
        await asyncio.sleep(0)
        return waiting

    async def beat(self):
        await self.pipeline.flows.beat()

    async def ended(self, waiting):
        with pytest.raises(GatewayError) as caught:
            await waiting
        return caught.value


@pytest.fixture
def salon():
    return Quiet()


async def test_a_logout_ends_a_silent_answer_at_the_next_beat(salon):
    waiting = await salon.begun()
    await salon.beat()
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)
    assert not waiting.done()
    await salon.beat()
    error = await salon.ended(waiting)
    assert (error.reason, error.cause) == (Reason.UNAUTHENTICATED, Cause.EPOCH_STALE)
    assert salon.closed == 1


async def test_the_logout_of_one_device_ends_what_flows_to_that_one_only(salon):
    mine = await salon.begun()
    await salon.epochs.revoke(staff_id("ken"), DeviceId("another-phone"), salon.clock.moment)
    await salon.beat()
    assert not mine.done()
    await salon.epochs.revoke(staff_id("ken"), DeviceId("phone-mei"), salon.clock.moment)
    await salon.beat()
    assert (await salon.ended(mine)).cause is Cause.EPOCH_STALE


async def test_a_new_policy_ends_a_silent_answer(salon):
    waiting = await salon.begun()
    salon.bundle = rules("p, role:manager, asset, read, , deny")
    await salon.beat()
    assert (await salon.ended(waiting)).reason is Reason.RULE_DENIES


async def test_the_end_of_the_window_ends_it_without_another_piece():
    salon = Quiet(at="2026-11-25T19:30+09:00")  # open to 19:00, with an hour of grace
    salon.bundle = rules("p, role:anyone, asset, *, outside_window, deny")
    waiting = await salon.begun()
    salon.clock.set("2026-11-25T19:59:59+09:00")
    await salon.beat()
    assert not waiting.done()
    salon.clock.set("2026-11-25T20:00:00+09:00")
    await salon.beat()
    assert (await salon.ended(waiting)).reason is Reason.RULE_DENIES


async def test_the_end_of_the_token_ends_it(salon):
    waiting = await salon.begun()
    salon.clock.set("2026-11-25T13:00:00+09:00")
    await salon.beat()
    assert (await salon.ended(waiting)).cause is Cause.EXPIRED


async def test_nothing_goes_out_after_the_verdict_though_the_piece_is_there_already(salon):
    answer = await salon.ask("GET", FILM, "ken")
    pieces = aiter(answer.body)
    await anext(pieces)
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)
    await salon.beat()
    salon.more.set()
    with pytest.raises(GatewayError):
        await anext(pieces)


async def test_a_state_store_that_is_away_for_a_moment_ends_nothing(salon):
    waiting = await salon.begun()
    salon.epochs.away = True
    await salon.beat()
    salon.epochs.away = False
    await salon.beat()
    salon.epochs.away = True
    now = salon.clock.moment.timestamp()
    salon.clock.monotonic = lambda: now
    await salon.beat()
    now += GRACE_SECONDS - 0.1
    await salon.beat()
    assert not waiting.done()
    now += 0.2
    await salon.beat()
    assert (await salon.ended(waiting)).reason is Reason.STATE_UNAVAILABLE


async def test_the_state_store_is_asked_once_a_beat_for_each_session(salon):
    several = [await salon.begun() for _ in range(5)] + [await salon.begun("mei", "/staff")]
    before = salon.floors
    await salon.beat()
    assert salon.floors == before + 2
    for waiting in several:
        waiting.cancel()


async def test_what_was_cut_off_leaves_an_end_entry_with_the_reason(salon):
    waiting = await salon.begun()
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)
    await salon.beat()
    await salon.ended(waiting)
    first, last = salon.trail.entries
    assert (first.phase, last.phase) == (Phase.ANSWER, Phase.END)
    assert (last.request_id, last.reason, last.cause) == (
        first.request_id, Reason.UNAUTHENTICATED, Cause.EPOCH_STALE,
    )  # fmt: skip


async def test_what_came_to_its_own_end_leaves_none_and_is_forgotten(salon):
    answer = await salon.ask("GET", FILM, "ken")
    salon.more.set()
    assert [piece async for piece in answer.body] == [b"one", b"two"]
    assert len(salon.trail.entries) == 1
    assert salon.closed == 1
    assert not salon.pipeline.flows._open


async def test_an_answer_that_nobody_began_to_read_is_let_go(salon):
    answer = await salon.ask("GET", FILM, "ken")
    await answer.body.aclose()
    assert (salon.closed, len(salon.pipeline.flows._open)) == (1, 0)


async def test_an_end_that_cannot_be_entered_is_told_to_the_log(salon, caplog):
    waiting = await salon.begun()
    salon.trail.full_after = 1
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)
    await salon.beat()
    await salon.ended(waiting)
    assert any("end_not_entered" in record.getMessage() for record in caplog.records)


async def test_a_public_answer_flows_on_whoever_is_logged_out(salon):
    waiting = await salon.begun(None, "/health")
    before = salon.floors
    await salon.beat()
    assert salon.floors == before
    salon.more.set()
    assert await waiting == b"two"
