"""Devices: whatever happened in whichever order, the slow history agrees."""

import os
from datetime import UTC, date, datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.arriving import arrive
from gateway.backends.device_map import SEEN_SECONDS, DevicesAtHand
from gateway.devices import DeviceRegistry
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, StaffId
from gateway.domain.time import from_milliseconds, instant, to_milliseconds
from gateway.identity.devices import (
    MAX_DEVICES,
    MAX_PLACES,
    NOTHING,
    DeviceRules,
    Span,
    State,
    approved,
    parse_record,
    render_record,
    said_of,
)
from gateway.identity.session import StandingPrincipal
from gateway.identity.sightings import (
    MAX_WAITING,
    PAUSE_SECONDS,
    SIDE_BY_SIDE_SECONDS,
    Sighting,
    is_shared,
    joined,
    sighted,
)
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles import slow_devices
from tests.oracles.memory_epochs import MemoryEpochs

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
MEI, HANA = StaffId("staff:mei"), StaffId("staff:hana")
DEVICES = [DeviceId("phone"), DeviceId("tablet"), DeviceId("desk")]
JOINED = date(2026, 11, 1)
ANSWERS = {
    Reason.DEVICE_REFUSED: "refused",
    Reason.IDLE: "idle",
    Reason.DEVICE_WAITS: "waits",
}

# Seconds, minutes and days go by; some exactly as long as the days that make idle.
WAITS = st.sampled_from([1, 60, 299, 300, 3600, 86_400, 5 * 86_400, 5 * 86_400 + 1])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come"] * 4 + ["approve", "refuse", "forget", "reactivate"]),
        st.sampled_from(DEVICES),
        WAITS,
    ),
    max_size=14,
)


class Office:
    """A gateway with its registry, whose clocks the test moves."""

    def __init__(self, *, waits, days):
        self.moment, self.entries = NOON, []
        self.rules = DeviceRules(wait=waits, idle=None if days is None else timedelta(days=days))
        self.documents = MemoryDocuments()
        self.at_hand = DevicesAtHand(
            self.documents, waits=waits, monotonic=self.monotonic, now=self.now
        )
        self.registry = DeviceRegistry(
            documents=self.documents,
            epochs=MemoryEpochs(),
            audit=self,
            clock=self,
            policy=lambda: "-",
            new_id=lambda: str(len(self.entries)),
        )

    def now(self):
        return self.moment

    def monotonic(self):
        return (self.moment - NOON).total_seconds()

    async def append(self, entry):
        self.entries.append(entry)

    async def come(self, principal):
        await self.at_hand.poll()
        try:
            person = await arrive(
                self.at_hand, StandingPrincipal(principal), self.rules, "192.0.2.7", self.moment
            )
        except RequestError as error:
            answer = ANSWERS[error.reason]
        else:
            answer = "in"
            assert person.device == principal.device
        await self.at_hand.write()
        return answer

    async def say(self, do, device):
        by = {"by": HANA, "peer": "-"}
        try:
            match do:
                case "approve":
                    await self.registry.approve(MEI, device, **by)
                case "refuse":
                    await self.registry.refuse(MEI, device, **by)
                case "forget":
                    await self.registry.forget(MEI, device, **by)
                case _:
                    await self.registry.reactivate(MEI, **by)
        except RequestError as error:
            return error.reason
        return None


def a_principal(device, roster):
    post = Post(
        salon="aoyama", held=frozenset({ANYONE}), acting=frozenset({ANYONE}), first_role=ANYONE
    )
    return Principal(
        staff=MEI,
        posts=(post,),
        device=device,
        epoch=1,
        app=None,
        joined=JOINED,
        approved_devices=frozenset(roster),
    )


@settings(max_examples=150 * FUZZ, deadline=None)
@given(
    steps=STEPS,
    waits=st.booleans(),
    days=st.sampled_from([None, 5]),
    roster=st.sets(st.sampled_from(DEVICES), max_size=1),
)
async def test_everybody_is_told_what_the_history_says(steps, waits, days, roster):
    office, history = Office(waits=waits, days=days), []
    await office.at_hand.poll()
    world = {
        "waits": waits,
        "days": days,
        "began": NOON,
        "joined": datetime(2026, 11, 1, tzinfo=UTC),
        "roster": roster,
    }
    for do, device, wait in steps:
        office.moment = instant(office.moment + timedelta(seconds=wait))
        event = {"do": do, "device": device, "at": office.moment, "waits": waits}
        if do == "come":
            told = event["answer"] = await office.come(a_principal(device, roster))
            # Being seen is written now and then: who is idle may be so some minutes early.
            early = instant(office.moment + timedelta(seconds=SEEN_SECONDS))
            assert told in {
                slow_devices.answer(history, device, moment, **world)
                for moment in (office.moment, early)
            }
        else:
            there = slow_devices.standing(history, device) != "new"
            wanted = None if there or do == "reactivate" else Reason.UNMAPPED
            assert await office.say(do, device) is wanted
        history.append(event)
        await office.at_hand.poll()
        known = await office.at_hand.of(MEI)
        for one in DEVICES:
            found = approved(known, a_principal(one, roster)).approved_devices
            assert (one in found) == slow_devices.is_approved(history, one, roster)


VISITS = st.lists(
    st.tuples(st.sampled_from(["00000001", "00000002"]), st.integers(0, 1500)),
    min_size=1,
    max_size=12,
)


def spans_of(visits):
    at = to_milliseconds(NOON)
    return [
        Span(place=place, first=at + 1000 * second, last=at + 1000 * second)
        for place, second in visits
    ]


@settings(max_examples=200 * FUZZ, deadline=None)
@given(visits=VISITS)
def test_side_by_side_is_what_two_places_share(visits):
    # More than so many are not kept.
    assume(len(slow_devices.stays(visits, PAUSE_SECONDS)) <= MAX_PLACES)
    assert is_shared(joined(spans_of(visits))) == slow_devices.side_by_side(
        visits, PAUSE_SECONDS, SIDE_BY_SIDE_SECONDS
    )


SIGHTINGS = st.lists(
    st.builds(
        lambda device, visits, admitted, waits: Sighting(
            device=DeviceId(f"d{device}"),
            app="phone",
            spans=joined(spans_of(visits)),
            admitted=admitted,
            waits=waits,
        ),
        st.integers(0, 2 * MAX_DEVICES),
        VISITS,
        st.none() | st.integers(1, 10**12),
        st.just(value=False) | st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=60 * FUZZ, deadline=None)
@given(
    sightings=SIGHTINGS,
    said=st.dictionaries(
        st.integers(0, 10), st.sampled_from([State.APPROVED, State.REFUSED]), max_size=5
    ),
)
def test_a_record_stays_within_its_bounds_and_what_was_said_is_never_dropped(sightings, said):
    record = NOTHING
    for at, one in enumerate(sightings):
        record = sighted(record, [one])
        if at in said and one.device in record.devices:
            record = said_of(record, one.device, said[at], NOON, HANA)
        if at in said:
            said[at] = (one.device, said[at]) if one.device in record.devices else None
        assert parse_record(render_record(record)) == record
        waiting = [d for d in record.devices.values() if d.state is State.WAITING]
        assert len(waiting) <= MAX_WAITING
    last_said = dict(one for _, one in sorted(said.items()) if isinstance(one, tuple))
    for device, state in last_said.items():
        assert record.devices[device].state is state


@settings(max_examples=60 * FUZZ, deadline=None)
@given(sightings=SIGHTINGS, seed=st.randoms(use_true_random=False))
def test_what_was_seen_in_any_order_tells_the_same_first_and_last(sightings, seed):
    few = [one for one in sightings if one.device in {"d0", "d1", "d2"} and not one.waits]
    other = list(few)
    seed.shuffle(other)
    one, two = sighted(NOTHING, few), sighted(NOTHING, other)
    assert one.seen == two.seen
    assert {name: (d.first, d.last, d.state) for name, d in one.devices.items()} == {
        name: (d.first, d.last, d.state) for name, d in two.devices.items()
    }
