"""Devices at the door: who waits, who was refused, who is idle, and what approval opens."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.build import SourceFile, build
from gateway.domain.errors import GatewayError
from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.devices import SAID, Device, DeviceRules, Record, State
from tests.unit.test_pipeline import Salon
from tests.unit.test_pipeline_streams import FILM, SOURCES, Streaming

CARD = "/api/clients/7"
PHONE = "phone-mei"  # approved on the roster
TABLET = "tablet-9"


def registered(salon, state, *, who="mei", seen=timedelta(0), device=PHONE):
    came = to_milliseconds(Instant(salon.clock.moment - seen))
    said = came if state in SAID else None
    one = Device(first=came, last=came, state=state, said=said)
    salon.devices.records[f"staff:{who}"] = Record(devices={device: one}, seen=came)


def rules(salon, **changes):
    object.__setattr__(salon.pipeline, "device_rules", DeviceRules(**changes))


@pytest.fixture
def salon():
    return Salon()


async def test_everybody_who_comes_is_noted_with_device_and_address(salon):
    assert isinstance(await salon.ask("GET", CARD), Answer)
    assert salon.devices.came == [("staff:mei", PHONE, "192.0.2.7", True)]


async def test_a_new_device_waits_and_is_on_the_list_of_who_says_yes(salon):
    rules(salon, wait=True)
    refusal = await salon.ask("GET", CARD, token=await salon.token(device=TABLET))
    assert (refusal.reason, salon.crm.sent) == (Reason.DEVICE_WAITS, [])
    assert salon.devices.came == [("staff:mei", TABLET, "192.0.2.7", False)]
    (entry,) = salon.trail.entries
    assert (entry.reason, entry.device, entry.status) == (Reason.DEVICE_WAITS, TABLET, 403)


async def test_an_approved_device_does_not_wait(salon):
    rules(salon, wait=True)
    registered(salon, State.APPROVED, device=TABLET)
    token = await salon.token(device=TABLET)
    assert isinstance(await salon.ask("GET", CARD, token=token), Answer)


async def test_a_refused_device_stays_out_also_where_none_waits(salon):
    registered(salon, State.REFUSED)
    for target in (CARD, "/assets/logo.png"):
        assert (await salon.ask("GET", target)).reason is Reason.DEVICE_REFUSED


async def test_who_was_not_seen_for_long_is_idle_and_not_seen_by_trying(salon):
    rules(salon, idle=timedelta(days=30))
    registered(salon, State.KNOWN, seen=timedelta(days=31))
    assert (await salon.ask("GET", CARD)).reason is Reason.IDLE
    assert salon.devices.came == []


async def test_a_registry_that_cannot_tell_refuses(salon):
    salon.devices.away = True
    assert (await salon.ask("GET", CARD)).reason is Reason.STATE_UNAVAILABLE


ONLY_APPROVED = build(
    replace(
        SOURCES,
        rules=SourceFile(
            name="salon_rules.csv",
            data=SOURCES.rules.data + b"\np, role:stylist, client, *, !approved_device, deny\n",
        ),
    )
)


async def test_a_device_approved_in_the_registry_is_approved_to_the_rules(salon):
    salon.current = lambda: ONLY_APPROVED
    token = await salon.token(device=TABLET)
    assert (await salon.ask("GET", CARD, token=token)).reason is Reason.DEVICE_NOT_APPROVED
    registered(salon, State.APPROVED, device=TABLET)
    assert isinstance(await salon.ask("GET", CARD, token=token), Answer)


async def test_what_flows_is_judged_again_with_the_device():
    salon = Streaming()
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    registered(salon, State.REFUSED, who="ken")
    salon.clock.moment = Instant(salon.clock.moment + timedelta(minutes=16))
    with pytest.raises(GatewayError) as caught:
        await anext(chunks)
    assert caught.value.reason is Reason.DEVICE_REFUSED
