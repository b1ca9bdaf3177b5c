"""Asking for a card outside the window, and the review of it: the service."""

import asyncio
from dataclasses import replace

import pytest

from gateway.domain.errors import AuditUnavailableError, RequestError, StateUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId
from gateway.grants import BlockedError, GrantSettings
from gateway.identity.grant import Blocked, Verdict, parse_notice
from gateway.identity.locks import locked, render_lock
from gateway.ports import Kind
from tests.oracles.console_world import DAI, HANA, KEN, MEI, Office

HOME = "192.0.2.7"


def mei(office, **changes):
    return replace(office.bundle.full_token(MEI), device=DeviceId("phone-1"), epoch=3, **changes)


async def asked(office, record="7", reason="an allergy, at the hospital", person=None):
    return await office.grants.ask(
        person or mei(office),
        salon="aoyama",
        resource="client",
        record=record,
        reason=reason,
        peer=HOME,
    )


def lines(office):
    return [(e.act, e.staff, e.whom, e.request_id, e.reason) for e in office.trail.entries]


async def test_it_is_entered_then_queued_then_given_under_one_number():
    office = Office()
    grant = await asked(office)
    assert (grant.staff, grant.device, grant.epoch) == (MEI, "phone-1", 3)
    assert grant.until - grant.asked == 20 * 60_000
    assert lines(office) == [("break_glass_ask", MEI, None, grant.id, None)]
    entry = office.trail.entries[0]
    assert (entry.salon, entry.resource, entry.record) == ("aoyama", "client", "7")
    assert "hospital" not in repr(entry)
    kept = await office.documents.get(Kind.NOTICE, f"{grant.id}.webhook", office.clock.now())
    assert parse_notice(kept.value).told == grant.told
    assert b"hospital" not in kept.value
    assert await office.grants.waiting() == (grant,)
    assert office.meter.named("break_glass") == [("asked", "client")]


async def test_the_managers_of_that_salon_and_the_owners_are_told_and_nobody_else():
    office = Office()
    grant = await asked(office)
    assert KEN in grant.told
    assert HANA in grant.told
    assert DAI not in grant.told  # manages the other salon
    assert MEI not in grant.told


async def test_a_manager_who_is_locked_is_not_told_and_does_not_review():
    office = Office()
    lock = render_lock(locked(None, office.clock.now(), None))
    await office.documents.put(Kind.LOCK, KEN, lock, replaces=None, now=office.clock.now())
    grant = await asked(office)
    assert KEN not in grant.told
    with pytest.raises(RequestError) as caught:
        await office.grants.review(grant.id, Verdict.JUSTIFIED, by=KEN, peer=HOME)
    assert caught.value.reason is Reason.NO_RULE_ALLOWS


async def test_one_at_a_time_and_the_next_only_after_a_review():
    office = Office()
    first = await asked(office)
    with pytest.raises(BlockedError) as caught:
        await asked(office, record="8")
    assert caught.value.why is Blocked.OPEN
    office.later(minutes=20)
    with pytest.raises(BlockedError) as caught:
        await asked(office, record="8")
    assert caught.value.why is Blocked.UNREVIEWED
    await office.grants.review(first.id, Verdict.JUSTIFIED, by=KEN, peer=HOME)
    second = await asked(office, record="8")
    assert second.id != first.id
    assert [one.id for one in await office.grants.past()] == [first.id]
    assert [reason for *_, reason in lines(office)] == [
        None, "break_glass_refused", "break_glass_refused", None, None,
    ]  # fmt: skip


async def test_a_review_stands_in_the_trail_under_the_grants_number_and_ends_it():
    office = Office()
    grant = await asked(office)
    after = await office.grants.review(grant.id, Verdict.NOT_JUSTIFIED, by=KEN, peer=HOME)
    assert not after.is_open(office.clock.now())
    assert lines(office)[-1] == ("break_glass_review", KEN, MEI, grant.id, None)
    assert await office.grants.waiting() == ()
    assert (await office.grants.past())[0].reason == "an allergy, at the hospital"


@pytest.mark.parametrize("by", [MEI, DAI])
async def test_neither_the_person_nor_a_manager_of_another_salon_reviews(by):
    office = Office()
    grant = await asked(office)
    with pytest.raises(RequestError) as caught:
        await office.grants.review(grant.id, Verdict.JUSTIFIED, by=by, peer=HOME)
    assert caught.value.reason is Reason.NO_RULE_ALLOWS
    assert len(office.trail.entries) == 1


async def test_a_manager_who_asked_is_reviewed_by_somebody_else():
    office = Office()
    ken = replace(office.bundle.full_token(KEN), device=None, epoch=1)
    grant = await asked(office, person=ken)
    assert KEN not in grant.told
    with pytest.raises(RequestError):
        await office.grants.review(grant.id, Verdict.JUSTIFIED, by=KEN, peer=HOME)
    await office.grants.review(grant.id, Verdict.JUSTIFIED, by=HANA, peer=HOME)


async def test_what_nobody_can_be_told_of_is_not_given():
    office = Office()
    nobody = replace(
        office.grants, settings=GrantSettings(minutes=20, ways={"smtp": frozenset({DAI})})
    )
    office.grants = nobody
    with pytest.raises(BlockedError) as caught:
        await asked(office)
    assert caught.value.why is Blocked.NOBODY
    assert await office.grants.waiting() == ()
    assert await office.documents.all(Kind.NOTICE, office.clock.now()) == {}


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 301, "a\u202eb", "\x00"])
async def test_a_reason_that_is_none_asks_for_nothing(reason):
    office = Office()
    with pytest.raises(RequestError) as caught:
        await asked(office, reason=reason)
    assert caught.value.reason is Reason.BODY_INVALID
    assert office.trail.entries == []


async def test_what_cannot_be_entered_is_not_given():
    office = Office()
    office.trail.full_after = 0
    with pytest.raises(AuditUnavailableError):
        await asked(office)
    assert office.documents.documents == {}


async def test_without_the_state_nothing_is_given():
    office = Office()
    office.documents.away = True
    with pytest.raises(StateUnavailableError):
        await asked(office)


async def test_of_two_askings_at_once_one_is_given_and_of_the_other_nobody_is_told():
    office = Office()
    found = await asyncio.gather(asked(office, "7"), asked(office, "8"), return_exceptions=True)
    given = [one for one in found if not isinstance(one, BaseException)]
    assert len(given) == 1
    assert await office.grants.waiting() == tuple(given)
    notices = await office.documents.all(Kind.NOTICE, office.clock.now())
    assert [key.partition(".")[0] for key in notices] == [given[0].id]


async def test_an_unreadable_grant_is_not_taken_for_none():
    office = Office()
    await asked(office)
    kept = await office.documents.get(Kind.GRANT, MEI, office.clock.now())
    damaged = kept.value.replace(b'"record":"7"', b'"record":"*"')
    await office.documents.put(
        Kind.GRANT, MEI, damaged, replaces=kept.revision, now=office.clock.now()
    )
    with pytest.raises(StateUnavailableError):
        await asked(office)
