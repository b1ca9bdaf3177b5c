"""Lockdown against a second, slow one: who passes, with which session, whatever is done when.

Several gateways, each with a clock of its own that may be seconds off, over one state.
"""

import asyncio
import os
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.incident_floor import FlooredEpochs
from gateway.domain.errors import RequestError
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.incident import OWNERS, require_admitted
from gateway.incidents import Incidents
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.slow_incident import SlowHouse

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
PEOPLE = {"hana": {Role("role:owner")}, "ken": {Role("role:manager")}, "mei": set()}
GATEWAYS = 3

who = st.sampled_from(sorted(PEOPLE))
gateway = st.integers(0, GATEWAYS - 1)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("sign in"), gateway, who, st.sampled_from([None, "phone-1", "phone-2"])),
        st.tuples(st.just("log out"), gateway, who),
        st.tuples(st.just("start"), gateway, st.sampled_from(["", "call Hana"])),
        st.tuples(st.just("end"), gateway),
        st.tuples(st.just("wait"), st.integers(0, 3_000)),
        st.tuples(st.just("lose the epochs")),
    ),
    max_size=30,
)
skews = st.lists(st.integers(-10_000, 10_000), min_size=GATEWAYS, max_size=GATEWAYS)


class Trail:
    async def append(self, entry):
        pass


class House:
    """Several gateways on one state."""

    def __init__(self, skews):
        self.skews = skews
        self.passed = 0
        self.epochs = MemoryEpochs()
        self.documents = MemoryDocuments()
        self.gateways = [self.gateway(number) for number in range(GATEWAYS)]
        self.floored = FlooredEpochs(
            self.epochs,
            self.gateways[0].state,
            lambda staff, incident: require_admitted(PEOPLE[staff[6:]], incident, OWNERS),
        )

    def now(self, number):
        return NOON + timedelta(milliseconds=self.passed + self.skews[number])

    def gateway(self, number):
        house = self

        class Clock:
            def now(self):
                return house.now(number)

        async def heard():
            pass  # every gateway here asks the store itself

        return Incidents(
            epochs=self.epochs,
            documents=self.documents,
            audit=Trail(),
            clock=Clock(),
            heard=heard,
            policy=lambda: "-",
            new_id=lambda: "id",
        )

    async def sign_in(self, number, bare, device):
        staff = StaffId(f"staff:{bare}")
        device = None if device is None else DeviceId(device)
        try:
            return (bare, device, await self.floored.enrol(staff, device, self.now(number)))
        except RequestError:
            return None

    async def passes(self, session):
        bare, device, epoch = session
        floor = await self.floored.floor(StaffId(f"staff:{bare}"), device)
        try:
            require_admitted(PEOPLE[bare], await self.gateways[0].state(), OWNERS)
        except RequestError:
            return False
        return floor is not None and epoch >= floor


@settings(max_examples=150 * FUZZ, deadline=None)
@given(acts, skews)
def test_who_passes_is_what_the_rule_says_whatever_is_done_and_whosever_clock_is_off(acts, skews):
    asyncio.run(compare(acts, skews))


async def compare(acts, skews):
    house, slow = House(skews), SlowHouse()
    sessions = {}  # the slow house's number -> ours
    for name, *more in acts:
        match name:
            case "wait":
                house.passed += more[0]
            case "lose the epochs":
                house.epochs.lose_memory()
                for bare in PEOPLE:
                    slow.log_out(bare)
                # What is lost is above no clock: what comes after begins above it, as ever.
                house.passed += 30_000
            case "start":
                await house.gateways[more[0]].start("x", more[1], by=None, peer="-")
                slow.start(None, "x", more[1])
            case "end":
                await house.gateways[more[0]].end(by=None, peer="-")
                slow.end()
            case "log out":
                staff = StaffId(f"staff:{more[1]}")
                await house.floored.revoke(staff, None, house.now(more[0]))
                slow.log_out(more[1])
            case "sign in":
                ours = await house.sign_in(*more)
                theirs = slow.sign_in(more[1], owner=more[1] == "hana")
                assert (ours is None) == (theirs is None)
                if theirs is not None:
                    sessions[theirs] = ours
        for number, session in sessions.items():
            assert await house.passes(session) == slow.passes(number), (name, session)
        found = await house.gateways[0].state()
        if slow.told is None:
            assert found is None
        else:
            assert (found.number, found.by, found.reason, found.contact) == slow.told
            assert found.is_active == slow.active


@pytest.mark.parametrize("stopped", ["before the floor", "after it"])
async def test_a_start_that_is_stopped_in_between_keeps_the_house_closed(stopped):
    house = House([0, 0, 0])
    mei, hana = await house.sign_in(0, "mei", None), await house.sign_in(0, "hana", None)
    first = house.gateways[0]

    async def stops():
        raise KeyboardInterrupt

    if stopped == "before the floor":
        object.__setattr__(first, "heard", stops)
        with pytest.raises(KeyboardInterrupt):
            await first.start("x", "", by=None, peer="-")
    else:
        await first.start("x", "", by=None, peer="-")
    assert not await house.passes(mei)
    assert not await house.passes(hana)
    await house.gateways[1].end(by=None, peer="-")  # which settles it first
    assert not await house.passes(mei)
    assert await house.passes(await house.sign_in(2, "mei", None))
