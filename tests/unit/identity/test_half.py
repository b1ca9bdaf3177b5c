"""Half a sign-in as a ticket: ours, in this browser, for this, and not for long."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.half import LASTS, MAX_TICKET, Half, Step, half_key, read_half, write_half

NOW = from_milliseconds(1_795_000_000_000)
KEY = half_key(b"s" * 32)
PHONE = DeviceId("phone-1")
CODE = Half(staff=StaffId("staff:mei"), device=PHONE, generation=3, step=Step.CODE)
ENROL = replace(CODE, step=Step.ENROL, secret=b"k" * 20)


def read(text, *, key=KEY, at=NOW, step=Step.CODE, device=PHONE):
    return read_half(text, key, at, step=step, device=device)


@pytest.mark.parametrize("half", [CODE, ENROL])
def test_a_ticket_comes_back_as_it_was(half):
    assert read(write_half(half, KEY, NOW), step=half.step) == half


@pytest.mark.parametrize("half", [CODE, ENROL])
def test_it_is_good_up_to_its_end_and_not_at_it(half):
    ticket, end = write_half(half, KEY, NOW), instant(NOW + LASTS[half.step])
    assert read(ticket, at=instant(end - timedelta(milliseconds=1)), step=half.step) == half
    assert read(ticket, at=end, step=half.step) is None


def test_a_code_may_be_given_for_five_minutes():
    assert LASTS[Step.CODE] == timedelta(minutes=5)


def test_it_is_for_one_device_one_step_and_one_key():
    ticket = write_half(CODE, KEY, NOW)
    assert read(ticket, device=None) is None
    assert read(ticket, device=DeviceId("phone-2")) is None
    assert read(ticket, step=Step.ENROL) is None
    assert read(ticket, key=half_key(b"t" * 32)) is None


def test_no_other_text_is_a_ticket():
    ticket = write_half(CODE, KEY, NOW)
    for at in range(len(ticket)):
        other = ticket[:at] + ("A" if ticket[at] != "A" else "B") + ticket[at + 1 :]
        assert read(other) is None
    for other in ("", ".", ticket[:-1], ticket + "A", ticket + ".", "é", "x" * 10**6):
        assert read(other) is None


def test_the_longest_ticket_is_read():
    longest = replace(
        ENROL,
        staff=StaffId("staff:" + "m" * 63),
        device=DeviceId("d" * 64),
        generation=2**63,
    )
    ticket = write_half(longest, KEY, NOW)
    assert len(ticket) < MAX_TICKET
    assert read(ticket, step=Step.ENROL, device=longest.device) == longest


def test_the_key_to_be_set_up_is_not_shown_by_accident():
    assert "kkkk" not in repr(ENROL)
