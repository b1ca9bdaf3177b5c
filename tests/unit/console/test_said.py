"""What was done, told in an address: only as this visit said it, and for two minutes."""

from datetime import datetime, timedelta

import pytest

from gateway.console.said import Said, read_said, write_said
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import instant

NOON = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
MEI = StaffId("staff:mei")
DONE = [
    Said(text="done_lock", whom=MEI),
    Said(text="done_log_out_device", whom=MEI, device=DeviceId("Phone.1_x-y")),
]


@pytest.mark.parametrize("said", DONE)
def test_it_is_read_as_it_was_said(said):
    assert read_said(write_said(said, "key", NOON), "key", NOON) == said


@pytest.mark.parametrize("said", DONE)
def test_no_sign_of_it_can_be_changed(said):
    text = write_said(said, "key", NOON)
    for at in range(len(text)):
        for other in "a0~Z":
            if other != text[at]:
                assert read_said(text[:at] + other + text[at + 1 :], "key", NOON) is None


def test_another_visit_did_not_say_it():
    assert read_said(write_said(DONE[0], "key", NOON), "other", NOON) is None


@pytest.mark.parametrize(("seconds", "told"), [(0, True), (119, True), (120, False), (-1, False)])
def test_it_is_told_for_two_minutes(seconds, told):
    later = instant(NOON + timedelta(seconds=seconds))
    assert (read_said(write_said(DONE[0], "key", NOON), "key", later) is not None) == told


@pytest.mark.parametrize("text", ["", "~", "~~~~", "done_lock~mei~~0~" + "0" * 64, "x" * 10_000])
def test_what_is_not_ours_says_nothing(text):
    assert read_said(text, "key", NOON) is None
