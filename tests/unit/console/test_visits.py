"""Visits: found by a secret alone, over when their time is, never revived."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.console.visits import IDLE, LIFETIME, MAX_VISITS, PROOF, Visits
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import instant
from gateway.ports import Kind
from tests.contract.memory_documents import MemoryDocuments

NOON = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
HANA, LAPTOP = StaffId("staff:hana"), DeviceId("laptop")
MINUTE = timedelta(minutes=1)


def after(span):
    return instant(NOON + span)


class House:
    def __init__(self):
        self.documents = MemoryDocuments()
        self.visits = Visits(self.documents)

    async def open(self, now=NOON, staff=HANA):
        return await self.visits.open(staff, LAPTOP, 7, now)


async def test_a_visit_is_found_by_its_secret():
    house = House()
    secret = await house.open()
    visit = await house.visits.find(secret, NOON)
    assert (visit.staff, visit.device, visit.epoch) == (HANA, LAPTOP, 7)
    assert len(secret) == len(visit.csrf) == 43
    assert secret != visit.csrf


async def test_the_store_never_holds_the_secret():
    house = House()
    secret = await house.open()
    ((kind, key), kept) = next(iter(house.documents.documents.items()))
    assert (kind, key) == (Kind.SIGN_IN, hashlib.sha256(secret.encode()).hexdigest())
    assert secret.encode() not in kept.value


@pytest.mark.parametrize("secret", ["", "x", "A" * 43, "A" * 42 + "é", "A" * 4096, "../lock"])
async def test_a_made_up_secret_finds_nothing(secret):
    house = House()
    await house.open()
    assert await house.visits.find(secret, NOON) is None


async def test_half_an_hour_without_a_request_ends_it():
    house = House()
    secret = await house.open()
    assert await house.visits.find(secret, after(IDLE - MINUTE)) is not None
    assert await house.visits.find(secret, after(IDLE)) is None


async def test_requests_keep_it_but_not_beyond_eight_hours():
    house = House()
    secret = await house.open()
    at = timedelta(0)
    while at + 20 * MINUTE < LIFETIME:
        at += 20 * MINUTE
        visit = await house.visits.find(secret, after(at))
        assert visit is not None, at
        await house.visits.touch(secret, visit, after(at))
    assert await house.visits.find(secret, after(LIFETIME)) is None


async def test_the_limits_hold_by_themselves_also_where_the_store_forgets_nothing():
    house = House()
    secret = await house.open()
    ((place, kept),) = house.documents.documents.items()
    house.documents.documents[place] = replace(kept, expires=None)
    assert await house.visits.find(secret, after(IDLE)) is None


async def test_a_request_that_comes_late_revives_nothing():
    house = House()
    secret = await house.open()
    visit = await house.visits.find(secret, NOON)
    await house.visits.close(secret, NOON)
    await house.visits.touch(secret, visit, after(2 * MINUTE))
    await house.visits.prove(secret, after(2 * MINUTE))
    assert await house.visits.find(secret, after(2 * MINUTE)) is None


async def test_the_password_counts_for_five_minutes():
    house = House()
    secret = await house.open()
    visit = await house.visits.find(secret, NOON)
    assert visit.is_proved(NOON)
    assert not visit.is_proved(after(PROOF))
    await house.visits.prove(secret, after(6 * MINUTE))
    proved = await house.visits.find(secret, after(6 * MINUTE))
    assert proved.is_proved(after(7 * MINUTE))


async def test_a_clock_that_goes_back_proves_nothing():
    house = House()
    secret = await house.open()
    visit = await house.visits.find(secret, NOON)
    assert not visit.is_proved(after(-MINUTE))
    assert await house.visits.find(secret, after(-MINUTE)) is None


async def test_nobody_has_more_than_a_few_and_the_longest_unused_makes_room():
    house = House()
    mine = [await house.open(after(n * timedelta(seconds=1))) for n in range(MAX_VISITS)]
    other = await house.open(staff=StaffId("staff:ken"))
    mine.append(await house.open(after(MINUTE)))
    found = [await house.visits.find(one, after(MINUTE)) for one in mine]
    assert [visit is not None for visit in found] == [False, *[True] * MAX_VISITS]
    assert await house.visits.find(other, after(MINUTE)) is not None


async def test_two_requests_at_once_leave_it_as_it_is():
    house = House()
    secret = await house.open()
    visit = await house.visits.find(secret, NOON)
    later = after(2 * MINUTE)
    await asyncio.gather(*(house.visits.touch(secret, visit, later) for _ in range(4)))
    assert (await house.visits.find(secret, later)).created == visit.created


@pytest.mark.parametrize(
    "value",
    [b"", b"null", b"{}", b'{"staff":"staff:hana"}', b"[" * 9000, b"\xff"],
)
async def test_what_cannot_be_read_is_no_nobody(value):
    house = House()
    secret = await house.open()
    ((place, kept),) = house.documents.documents.items()
    house.documents.documents[place] = replace(kept, value=value)
    with pytest.raises(StateUnavailableError):
        await house.visits.find(secret, NOON)


async def test_a_member_that_is_not_known_is_not_read_over():
    house = House()
    secret = await house.open()
    ((place, kept),) = house.documents.documents.items()
    house.documents.documents[place] = replace(kept, value=kept.value[:-1] + b',"admin":true}')
    with pytest.raises(StateUnavailableError):
        await house.visits.find(secret, NOON)
