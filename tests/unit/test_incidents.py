"""The order of a start, and of a sign-in under way when it begins."""

from datetime import timedelta

import pytest

from gateway.backends.incident_floor import FlooredEpochs
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.subject import StaffId
from gateway.domain.time import from_milliseconds
from gateway.incidents import Incidents
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.memory_epochs import MemoryEpochs

NOON = from_milliseconds(1_795_000_000_000)
AHEAD = NOON + timedelta(minutes=5)  # what a gateway with a fast clock takes for noon
MEI = StaffId("staff:mei")


class World:
    def __init__(self):
        self.happened = []
        self.epochs = MemoryEpochs()
        self.documents = MemoryDocuments()
        self.incidents = Incidents(
            epochs=self,
            documents=self.documents,
            audit=self,
            clock=self,
            heard=self.heard,
            policy=lambda: "digest",
            new_id=lambda: "id",
        )
        put = self.documents.put

        async def putting(*given, **more):
            self.happened.append("written")
            return await put(*given, **more)

        self.documents.put = putting

    def now(self):
        return NOON

    async def append(self, _):
        self.happened.append("entered")

    async def heard(self):
        self.happened.append("heard")

    async def rows(self):
        self.happened.append("read")
        return await self.epochs.rows()

    def start(self):
        return self.incidents.start("a lost laptop", "", by=None, peer="-")

    def floored(self, store=None):
        return FlooredEpochs(store or self.epochs, self.incidents.state, lambda *_: None)


class Interrupted:
    """A store that is slow: something happens before, or after, it has written."""

    def __init__(self, store, before=None, after=None):
        self.store, self.before, self.after = store, before, after

    async def enrol(self, *given):
        if self.before is not None:
            await self.before()
        epoch = await self.store.enrol(*given)
        if self.after is not None:
            await self.after()
        return epoch


async def test_it_is_entered_then_written_then_heard_of_and_only_then_are_the_epochs_read():
    world = World()
    await world.start()
    assert world.happened == ["entered", "written", "heard", "read", "written", "heard"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sign_in_during_which_it_begins_is_given_no_session(when):
    world = World()
    slow = Interrupted(world.epochs, **{when: world.start})
    with pytest.raises(StateUnavailableError):
        await world.floored(slow).enrol(MEI, None, AHEAD)
    assert (await world.incidents.state()).settled


async def test_while_it_is_not_settled_nobody_signs_in_owners_either():
    world = World()

    async def look():
        world.happened.append("heard")
        if world.happened.count("heard") == 1:
            with pytest.raises(StateUnavailableError):
                await world.floored().enrol(MEI, None, NOON)

    object.__setattr__(world.incidents, "heard", look)
    await world.start()
    await world.floored().enrol(MEI, None, NOON)


@pytest.mark.parametrize("now", [NOON - timedelta(hours=1), NOON, AHEAD])
async def test_whoever_signs_in_after_it_is_above_the_floor_whatever_the_clock_says(now):
    world = World()
    await world.epochs.enrol(MEI, None, AHEAD)
    await world.start()
    floor = (await world.incidents.state()).floor
    floored = world.floored()
    first = await floored.enrol(MEI, None, now)
    assert first >= floor
    assert await floored.enrol(MEI, None, now) == first  # on another device: neither logs out
    assert await floored.floor(MEI, None) <= first


async def test_who_is_not_admitted_is_not_made_known():
    world = World()
    await world.start()

    def refuse(staff, incident):
        raise RequestError("incident", incident.contact)

    floored = FlooredEpochs(world.epochs, world.incidents.state, refuse)
    with pytest.raises(RequestError):
        await floored.enrol(MEI, None, NOON)
    assert await world.epochs.floor(MEI, None) is None
    with pytest.raises(RequestError):
        await floored.require_admitted(MEI)


async def test_the_list_of_sessions_and_the_version_show_the_floor():
    world = World()
    await world.epochs.enrol(MEI, None, NOON)
    floored = world.floored()
    before = await floored.version()
    incident = await world.start()
    assert await floored.version() != before
    assert [row.floor for row in await floored.rows()] == [incident.floor]


async def test_somebody_unknown_stays_unknown_under_a_floor():
    world = World()
    await world.start()
    assert await world.floored().floor(MEI, None) is None
