"""Whoever is locked, or has left, is refused: at the door, behind it and while it flows."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from gateway.build import SourceFile, build
from gateway.domain.decision import Refusal
from gateway.domain.errors import GatewayError
from gateway.domain.http import Answer
from gateway.domain.reason import Cause, Reason
from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.locks import Lock
from tests.unit.test_pipeline import Salon
from tests.unit.test_pipeline_streams import FILM, POLICY, SOURCES, Streaming, flow

CARD = "/api/clients/7"


def at(salon, **later):
    return Instant(salon.clock.moment + timedelta(**later))


def locked(salon):
    return Lock(since=to_milliseconds(salon.clock.moment), by="staff:hana", left=False)


def gone(salon, *, notice_from=None, **later):
    effective = to_milliseconds(at(salon, **later)) if later else None
    since = to_milliseconds(salon.clock.moment)
    return Lock(since=since, by=None, left=True, effective=effective, notice_from=notice_from)


def lock(salon, who, one):
    salon.locks.locks[f"staff:{who}"] = one


@pytest.fixture
def salon():
    return Salon()


@pytest.mark.parametrize("target", [CARD, "/api/clients", "/assets/logo.png"])
async def test_who_is_locked_is_refused_on_every_route_and_the_crm_is_not_asked(salon, target):
    lock(salon, "mei", locked(salon))
    refusal = await salon.ask("GET", target)
    assert (refusal.reason, salon.crm.sent) == (Reason.LOCKED, [])
    (entry,) = salon.trail.entries
    assert (entry.reason, entry.status, entry.staff) == (Reason.LOCKED, 403, "staff:mei")
    ((labels, _),) = salon.meter.named("answered")
    assert labels.reason is Reason.LOCKED


async def test_a_manager_who_is_locked_is_refused_like_anybody(salon):
    lock(salon, "ken", locked(salon))
    assert (await salon.ask("GET", CARD, "ken")).reason is Reason.LOCKED


async def test_a_lock_is_of_one_person(salon):
    lock(salon, "ken", locked(salon))
    assert isinstance(await salon.ask("GET", CARD), Answer)


async def test_who_was_seen_out_has_left_whatever_the_roster_says(salon):
    lock(salon, "mei", gone(salon))
    refusal = await salon.ask("GET", CARD)
    assert (refusal.reason, refusal.cause) == (Reason.HAS_LEFT, Cause.OFFBOARDED)


async def test_a_leaving_set_for_later_does_nothing_before_and_all_from_then_on(salon):
    lock(salon, "mei", gone(salon, minutes=10))
    token = await salon.token()
    assert isinstance(await salon.ask("GET", CARD, token=token), Answer)
    salon.clock.moment = at(salon, minutes=10)
    assert (await salon.ask("GET", CARD, token=token)).reason is Reason.HAS_LEFT


async def test_who_is_locked_while_the_crm_answers_gets_nothing_of_it(salon):
    send = salon.crm.send

    async def send_and_lock(*args, **asked):
        answer = await send(*args, **asked)
        lock(salon, "mei", locked(salon))
        return answer

    salon.crm.send = send_and_lock
    refusal = await salon.ask("GET", CARD)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.LOCKED


async def test_who_leaves_while_the_crm_answers_gets_nothing_of_it(salon):
    send = salon.crm.send
    lock(salon, "mei", gone(salon, seconds=5))

    async def slow(*args, **asked):
        answer = await send(*args, **asked)
        salon.clock.moment = at(salon, seconds=6)
        return answer

    salon.crm.send = slow
    assert (await salon.ask("GET", CARD)).reason is Reason.HAS_LEFT


async def test_a_change_that_was_sent_before_the_lock_is_told_as_sent(salon):
    send = salon.crm.send

    async def send_and_lock(*args, **asked):
        answer = await send(*args, **asked)
        if asked["method"] == "PATCH":
            lock(salon, "ken", locked(salon))
        return answer

    salon.crm.send = send_and_lock
    refusal = await salon.ask("PATCH", CARD, "ken", body={"name": "Aoi"})
    assert refusal.reason is Reason.APPLIED_NOT_SHOWN


async def test_locks_that_cannot_be_told_refuse_everybody(salon):
    salon.locks.away = True
    assert (await salon.ask("GET", CARD)).reason is Reason.STATE_UNAVAILABLE
    assert salon.crm.sent == []


async def test_a_stream_ends_at_the_next_beat_after_a_lock():
    salon = Streaming()
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    lock(salon, "ken", locked(salon))
    await salon.pipeline.flows.beat()
    with pytest.raises(GatewayError) as caught:
        await anext(chunks)
    assert caught.value.reason is Reason.LOCKED


async def test_a_stream_ends_at_the_instant_of_leaving():
    salon = Streaming()
    lock(salon, "ken", gone(salon, minutes=1))
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    salon.clock.moment = at(salon, minutes=1)
    with pytest.raises(GatewayError) as caught:
        await anext(chunks)
    assert caught.value.reason is Reason.HAS_LEFT


async def test_a_stream_flows_on_while_nobody_is_locked():
    salon = Streaming()
    lock(salon, "mei", locked(salon))
    came, error = await flow(salon, await salon.ask("GET", FILM, "ken"), [POLICY] * 4)
    assert (came, error) == (salon.pieces, None)


NOTICED = build(
    replace(
        SOURCES,
        rules=SourceFile(
            name="salon_rules.csv",
            data=SOURCES.rules.data + b"\np, role:anyone, client, *, on_notice, deny\n",
        ),
    )
)


async def test_who_is_on_notice_by_an_offboarding_is_so_to_the_rules_at_once():
    salon = Salon()
    salon.current = lambda: NOTICED
    assert isinstance(await salon.ask("GET", CARD), Answer)
    today = NOTICED.today("aoyama", salon.clock.moment)
    lock(salon, "mei", gone(salon, days=30, notice_from=today))
    assert (await salon.ask("GET", CARD)).reason is Reason.RULE_DENIES
    lock(salon, "mei", gone(salon, days=30, notice_from=date(2099, 1, 1)))
    assert isinstance(await salon.ask("GET", CARD), Answer)
