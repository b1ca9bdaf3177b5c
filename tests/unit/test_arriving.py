"""Who is let in is noted as seen; whoever is not, is not, or trying twice would let them in."""

from datetime import timedelta

import pytest

from gateway.arriving import arrive
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.subject import ANYONE, DeviceId, Post, Principal, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.devices import Device, DeviceRules, Known, Record, State
from gateway.identity.session import StandingPrincipal

NOON = from_milliseconds(1_795_000_000_000)
PHONE = DeviceId("phone")
POST = Post(
    salon="aoyama", held=frozenset({ANYONE}), acting=frozenset({ANYONE}), first_role=ANYONE
)
MEI = StandingPrincipal(
    Principal(staff=StaffId("staff:mei"), posts=(POST,), device=PHONE, epoch=1, app=None)
)


class Registry:
    def __init__(self, record=None):
        self.record, self.noted = record, []

    async def of(self, staff):
        assert staff == MEI.staff
        if self.record is None:
            raise StateUnavailableError("told to be away")
        return Known(record=self.record, began=NOON)

    def seen(self, principal, known, peer, now, *, admitted):
        assert (known.record, now) == (self.record, NOON)
        self.noted.append((principal.device, peer, admitted))


def having(state, seen=None):
    said = 1 if state in {State.APPROVED, State.REFUSED} else None
    return Registry(
        Record(devices={PHONE: Device(first=1, last=1, state=state, said=said)}, seen=seen)
    )


async def come(registry, **rules):
    return await arrive(registry, MEI, DeviceRules(**rules), "192.0.2.7", NOON)


async def test_whoever_is_let_in_is_seen_and_approved():
    registry = having(State.APPROVED)
    assert (await come(registry)).approved_devices == {PHONE}
    assert registry.noted == [(PHONE, "192.0.2.7", True)]


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.REFUSED, Reason.DEVICE_REFUSED), (State.WAITING, Reason.DEVICE_WAITS)],
)
async def test_a_device_that_may_not_come_in_is_seen_and_the_person_is_not(state, reason):
    registry = having(state)
    with pytest.raises(RequestError) as caught:
        await come(registry, wait=True)
    assert caught.value.reason is reason
    assert registry.noted == [(PHONE, "192.0.2.7", False)]


async def test_whoever_is_idle_is_not_seen_by_trying():
    registry = having(State.APPROVED, seen=1)
    with pytest.raises(RequestError) as caught:
        await come(registry, idle=timedelta(days=30))
    assert caught.value.reason is Reason.IDLE
    assert registry.noted == []


async def test_a_registry_that_cannot_tell_lets_nobody_in():
    with pytest.raises(StateUnavailableError):
        await come(Registry())
