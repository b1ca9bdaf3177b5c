"""Where somebody asks from, and which device makes room for the next one."""

import pytest

from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, to_milliseconds
from gateway.identity.devices import MAX_DEVICES, NOTHING, Span, State, said_of
from gateway.identity.sightings import (
    MAX_WAITING,
    TOLD_AGAIN_SECONDS,
    Sighting,
    newly_shared,
    place_of,
    sighted,
)

NOON = from_milliseconds(1_795_000_000_000)
NOW = to_milliseconds(NOON)
HANA = StaffId("staff:hana")


def seen(device, *, at=NOW, waits=False, admitted=None, app=None, place="00000001", lasts=0):
    return Sighting(
        device=DeviceId(device),
        app=app,
        spans=(Span(place=place, first=at, last=at + lasts),),
        admitted=admitted,
        waits=waits,
    )


def full(*, waits=False):
    return sighted(NOTHING, [seen(f"d{n}", at=NOW + n, waits=waits) for n in range(MAX_DEVICES)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "192.0.2.250"),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::9"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("not an address", "neither"),
    ],
)
def test_one_network_is_one_place(one, other):
    assert place_of(one, "phone") == place_of(other, "phone")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("192.0.2.7", None), ("192.0.3.7", None)),
        (("2001:db8:1::1", None), ("2001:db8:2::1", None)),
        (("192.0.2.7", "phone"), ("192.0.2.7", "desk")),
        (("192.0.2.7", None), (None, None)),
        ((None, None), ("nowhere", None)),
    ],
)
def test_another_network_or_app_is_another_place(one, other):
    assert place_of(*one) != place_of(*other)


def test_the_longest_unseen_makes_room():
    record = sighted(full(), [seen("new", at=NOW + 99)])
    assert set(record.devices) == {*(f"d{n}" for n in range(1, MAX_DEVICES)), "new"}


def test_what_somebody_said_something_of_makes_no_room():
    record = full()
    for n in range(MAX_DEVICES):
        record = said_of(record, DeviceId(f"d{n}"), State.REFUSED, NOON, HANA)
    for waits in (False, True):
        assert sighted(record, [seen("new", at=NOW + 99, waits=waits)]) == record


def test_whoever_brings_device_after_device_pushes_out_few_that_come_in():
    record = full()
    for n in range(100):
        record = sighted(record, [seen(f"evil{n}", at=NOW + 100 + n, waits=True)])
    known = [name for name, one in record.devices.items() if one.state is State.KNOWN]
    assert known == [f"d{n}" for n in range(MAX_WAITING, MAX_DEVICES)]
    assert {f"evil{n}" for n in range(96, 100)} < set(record.devices)


def test_an_app_that_is_no_name_is_not_kept():
    assert sighted(NOTHING, [seen("d", app="x" * 500)]).devices["d"].app is None
    assert sighted(NOTHING, [seen("d", app="phone")]).devices["d"].app == "phone"


def test_being_seen_in_two_places_is_told_once_an_hour():
    hour = TOLD_AGAIN_SECONDS * 1000

    def both(record, at):
        return sighted(
            record,
            [seen("d", at=at, lasts=300_000), seen("d", at=at, lasts=300_000, place="00000002")],
        )

    first = both(NOTHING, NOW)
    assert newly_shared(NOTHING, first) == ("d",)
    again = both(first, NOW + 400_000)
    assert newly_shared(first, again) == ()
    later = both(again, NOW + hour)
    assert newly_shared(again, later) == ("d",)


def test_what_was_seen_earlier_and_written_later_moves_the_first_and_no_more():
    record = sighted(NOTHING, [seen("d", app="phone", admitted=NOW)])
    early = seen("d", at=NOW - 5000, app="desk", admitted=NOW - 5000, place="00000002")
    device = sighted(record, [early]).devices["d"]
    assert (device.first, device.last, device.app) == (NOW - 5000, NOW, "phone")
    assert sighted(record, [early]).seen == NOW
