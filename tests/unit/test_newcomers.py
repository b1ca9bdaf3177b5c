"""Somebody comes with a new device: who is told, how often, and in which form it is queued."""

import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import instant
from gateway.identity.device_notice import device_notice, parse_device_notice
from gateway.identity.grant import render
from gateway.identity.locks import locked, render_lock
from gateway.managers import Managers
from gateway.newcomers import MAX_A_DAY, Newcomers
from gateway.ports import Kind
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.accounts_world import NOON
from tests.oracles.console_world import BUNDLE, DAI, HANA, KEN, MEI

PHONE = DeviceId("phone-1")
EVERY_WAY = {"webhook": None}


class Away(MemoryDocuments):
    async def put(self, *_, **__):
        raise StateUnavailableError("told to be away")


class World:
    def __init__(self, ways=EVERY_WAY, people=None, documents=None):
        self.documents = documents or MemoryDocuments()
        self.people = people or BUNDLE.people
        managers = Managers(
            documents=self.documents,
            people=lambda: self.people,
            roles=frozenset({Role("role:manager"), Role("role:owner")}),
            everywhere=frozenset({Role("role:owner")}),
        )
        self.newcomers = Newcomers(documents=self.documents, managers=managers, ways=ways)

    async def come(self, staff=MEI, device=PHONE, app="phone", now=NOON):
        await self.newcomers.came(staff, device, app, now)

    async def queued(self):
        kept = await self.documents.all(Kind.DEVICE_NOTICE, NOON)
        return {key: parse_device_notice(one.value) for key, one in kept.items()}


def not_told(caplog):
    lines = [json.loads(record.message) for record in caplog.records]
    return [line["why"] for line in lines if line["event"] == "device_not_told"]


async def test_the_managers_of_their_salon_and_the_owners_are_told_and_nobody_else():
    world = World()
    await world.come()
    ((key, notice),) = (await world.queued()).items()
    assert key == notice.key
    assert (notice.to, notice.staff, notice.device, notice.app) == (
        "webhook",
        MEI,
        PHONE,
        "phone",
    )
    assert {HANA, KEN} <= set(notice.told)
    assert not {MEI, DAI} & set(notice.told)


async def test_a_manager_who_comes_with_a_new_device_is_told_too():
    world = World()
    await world.come(HANA)
    (notice,) = (await world.queued()).values()
    assert HANA in notice.told


async def test_a_manager_who_is_locked_is_not_told():
    world = World()
    lock = render_lock(locked(None, NOON, None))
    await world.documents.put(Kind.LOCK, KEN, lock, replaces=None, now=NOON)
    await world.come()
    (notice,) = (await world.queued()).values()
    assert KEN not in notice.told


async def test_there_is_one_notice_of_a_device_for_each_way():
    world = World(ways={"webhook": None, "smtp": frozenset({KEN})})
    for _ in range(3):
        await world.come()
    assert sorted(one.to for one in (await world.queued()).values()) == ["smtp", "webhook"]


async def test_the_same_name_of_somebody_elses_device_is_another_device():
    world = World()
    await world.come(MEI)
    await world.come(KEN)
    assert len(await world.queued()) == 2


async def test_a_way_that_reaches_none_of_them_is_not_gone(caplog):
    world = World(ways={"smtp": frozenset({DAI})})
    with caplog.at_level(logging.WARNING):
        await world.come()
    assert await world.queued() == {}
    assert not_told(caplog) == ["nobody"]


async def test_a_device_on_their_list_and_a_stranger_are_no_news(caplog):
    member = replace(BUNDLE.people[MEI].member, approved_devices=frozenset({PHONE}))
    people = {**BUNDLE.people, MEI: replace(BUNDLE.people[MEI], member=member)}
    world = World(people=people)
    await world.come()
    await world.come(StaffId("staff:nobody"))
    assert await world.queued() == {}
    await world.come(device=DeviceId("phone-2"))
    assert len(await world.queued()) == 1


async def test_device_after_device_makes_so_many_notices_a_day_and_a_line_in_the_log(caplog):
    world = World()
    with caplog.at_level(logging.WARNING):
        for number in range(MAX_A_DAY + 3):
            await world.come(device=DeviceId(f"d-{number}"))
    assert len(await world.queued()) == MAX_A_DAY
    assert not_told(caplog) == ["too_many"] * 3
    await world.come(KEN)  # nobody else pays for it
    await world.come(device=DeviceId("later"), now=instant(NOON + timedelta(days=1)))
    assert len(await world.queued()) == MAX_A_DAY + 2


async def test_what_could_not_be_queued_is_said_and_does_not_count():
    world = World(documents=Away())
    for number in range(MAX_A_DAY + 1):
        with pytest.raises(StateUnavailableError):
            await world.come(device=DeviceId(f"d-{number}"))


def a_notice(app="phone"):
    return device_notice(MEI, PHONE, app, to="webhook", told=(KEN,), now=NOON)


def test_an_app_that_is_no_name_is_not_told():
    assert a_notice("phone\r\nBcc: somebody").app is None


def test_a_notice_is_read_back_exactly_as_it_was_written_or_not_at_all():
    written = render(a_notice())
    assert parse_device_notice(written) == a_notice()
    wrong = (
        written + b" ",
        written.replace(b'"asked":1', b'"asked":-1'),
        written.replace(b'"asked":1', b'"asked":99999991'),
        written.replace(b"staff:mei", b"mei"),
        written.replace(b"phone-1", b"phone 1"),
        written.replace(b'["staff:ken"]', b"[]"),
        b"{}",
    )
    for data in wrong:
        assert data != written
        with pytest.raises(StateUnavailableError):
            parse_device_notice(data)
