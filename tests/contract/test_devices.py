"""The registry of devices over the real store: several at once, from several processes' side.

Each has connections of its own, as the workers and the command line have. Whoever is first, what
somebody said of a device is never lost to somebody who only saw it.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from gateway.arriving import arrive
from gateway.backends.device_map import DevicesAtHand
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.devices import DeviceRegistry
from gateway.domain.act import Act
from gateway.domain.errors import AuditUnavailableError, RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, StaffId
from gateway.domain.time import from_milliseconds, instant, to_milliseconds
from gateway.identity.devices import DeviceRules, State
from gateway.identity.session import StandingPrincipal
from gateway.ports import Kind
from gateway.sessions import Sessions

NOON = from_milliseconds(1_795_000_000_000)
MEI, HANA = StaffId("staff:mei"), StaffId("staff:hana")
PHONE, TABLET = DeviceId("phone-1"), DeviceId("tablet")
ALLOW, WAIT = DeviceRules(), DeviceRules(wait=True)
BY = {"by": HANA, "peer": "192.0.2.1"}


class Trail:
    def __init__(self):
        self.entries, self.away = [], False

    async def append(self, entry):
        if self.away:
            raise AuditUnavailableError("told to be away")
        self.entries.append(entry)


class Gateway:
    """One process: its own connections, its own clocks."""

    def __init__(self, folder, trail, *, waits):
        self.seconds = 0.0
        self.rules = DeviceRules(wait=waits)
        self.documents = SqliteDocuments(folder / "documents.sqlite3")
        self.epochs = SqliteEpochs(folder / "epochs.sqlite3")
        self.at_hand = DevicesAtHand(
            self.documents, waits=waits, monotonic=lambda: self.seconds, now=self.now
        )
        common = {
            "documents": self.documents,
            "epochs": self.epochs,
            "audit": trail,
            "clock": self,
            "policy": lambda: "-",
            "new_id": lambda: "id",
        }
        self.registry = DeviceRegistry(**common)
        self.sessions = Sessions(**common)

    def now(self):
        return instant(NOON + timedelta(seconds=self.seconds))

    async def come(self, device=PHONE, rules=None, staff=MEI):
        post = Post(
            salon="aoyama", held=frozenset({ANYONE}), acting=frozenset({ANYONE}), first_role=ANYONE
        )
        principal = Principal(staff=staff, posts=(post,), device=device, epoch=1, app=None)
        person = StandingPrincipal(principal)
        await self.at_hand.poll()
        try:
            return await arrive(self.at_hand, person, rules or self.rules, "192.0.2.7", self.now())
        finally:
            await self.at_hand.write()

    async def close(self):
        await self.documents.close()
        await self.epochs.close()


@pytest.fixture
def trail():
    return Trail()


@pytest.fixture
async def gateways(tmp_path, trail):
    async with AsyncExitStack() as stack:
        found = [Gateway(tmp_path, trail, waits=True) for _ in range(2)]
        for one in found:
            stack.push_async_callback(one.close)
        yield found


async def refused(coming):
    with pytest.raises(RequestError) as caught:
        await coming
    return caught.value.reason


async def test_a_device_waits_is_approved_elsewhere_and_comes_in(gateways, trail):
    one, other = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    await other.registry.approve(MEI, PHONE, **BY)
    person = await one.come()
    assert person.approved_devices == {PHONE}
    entry = trail.entries[-1]
    assert (entry.act, entry.whom, entry.device, entry.staff) == (
        Act.APPROVE_DEVICE,
        MEI,
        PHONE,
        HANA,
    )


async def test_a_refused_device_is_out_everywhere_and_its_sessions_have_ended(gateways):
    one, other = gateways
    await one.come(rules=ALLOW)
    epoch = await one.epochs.enrol(MEI, PHONE, one.now())
    elsewhere = await one.epochs.enrol(MEI, TABLET, one.now())
    await other.registry.refuse(MEI, PHONE, **BY)
    assert await refused(one.come(rules=ALLOW)) is Reason.DEVICE_REFUSED
    assert await one.epochs.floor(MEI, PHONE) > epoch
    assert await one.epochs.floor(MEI, TABLET) <= elsewhere


async def test_a_forgotten_device_comes_as_a_new_one(gateways):
    one, other = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    await one.registry.approve(MEI, PHONE, **BY)
    await one.come()
    epoch = await one.epochs.enrol(MEI, PHONE, one.now())
    await other.registry.forget(MEI, PHONE, **BY)
    assert await one.epochs.floor(MEI, PHONE) > epoch
    assert await refused(one.come()) is Reason.DEVICE_WAITS


async def test_a_name_is_given_and_taken_away(gateways):
    one, other = gateways
    await one.come(rules=ALLOW)
    await other.registry.rename(MEI, PHONE, "Mei's phone", **BY)
    assert (await one.registry.of(MEI)).devices[PHONE].label == "Mei's phone"
    await other.registry.rename(MEI, PHONE, None, **BY)
    assert (await one.registry.of(MEI)).devices[PHONE].label is None


async def test_what_the_trail_does_not_take_is_not_done(gateways, trail):
    one, _ = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    trail.away = True
    before = await one.registry.of(MEI)
    for act in (
        one.registry.approve(MEI, PHONE, **BY),
        one.registry.refuse(MEI, PHONE, **BY),
        one.registry.rename(MEI, PHONE, "x", **BY),
        one.registry.forget(MEI, PHONE, **BY),
        one.registry.reactivate(MEI, **BY),
    ):
        with pytest.raises(AuditUnavailableError):
            await act
    assert await one.registry.of(MEI) == before


async def test_an_act_on_a_device_that_is_not_theirs_leaves_nothing(gateways, trail):
    one, _ = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    assert await refused(one.registry.approve(HANA, PHONE, **BY)) is Reason.UNMAPPED
    assert await refused(one.registry.refuse(MEI, TABLET, **BY)) is Reason.UNMAPPED
    assert trail.entries == []


async def test_nothing_that_is_seen_at_the_same_time_undoes_what_is_said(gateways):
    one, other = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    for minute in range(1, 9):
        for each in gateways:
            each.seconds = minute * 600.0
        await other.registry.approve(MEI, PHONE, **BY)
        await asyncio.gather(
            one.come(rules=ALLOW),
            other.registry.approve(MEI, PHONE, **BY),
            other.come(TABLET, rules=ALLOW),
            one.registry.rename(MEI, PHONE, f"phone {minute}", **BY),
            one.registry.reactivate(MEI, **BY),
        )
        record = await one.registry.of(MEI)
        assert record.devices[PHONE].state is State.APPROVED
        assert record.devices[PHONE].label == f"phone {minute}"
        assert record.devices[PHONE].last == to_milliseconds(one.now())
        assert record.reactivated == to_milliseconds(one.now())
        await other.registry.refuse(MEI, PHONE, **BY)
        assert await refused(one.come(rules=ALLOW)) is Reason.DEVICE_REFUSED


async def test_an_act_said_twice_at_once_is_done_once(gateways):
    one, other = gateways
    assert await refused(one.come()) is Reason.DEVICE_WAITS
    await asyncio.gather(
        *(each.registry.approve(MEI, PHONE, **BY) for each in gateways for _ in range(3))
    )
    assert (await other.registry.of(MEI)).devices[PHONE].by == HANA


async def test_all_names_everybody_and_nothing_else(gateways):
    one, other = gateways
    await one.come(rules=ALLOW)
    await other.come(rules=ALLOW, staff=HANA)
    assert set(await one.registry.all()) == {MEI, HANA}


async def test_nothing_of_somebody_who_is_seen_out_stays(gateways):
    one, other = gateways
    await one.come(rules=ALLOW)
    await other.sessions.offboard(MEI, at=None, notice_from=None, by=HANA, peer="-")
    assert await one.registry.all() == {}
    assert await one.documents.get(Kind.DEVICE, MEI, one.now()) is None
