"""`salon-gateway hours`: what hours.yaml says of an instant, in sentences and as data."""

import pytest


def test_an_open_salon_and_when_it_changes(line):
    code, out, _ = line("hours", "aoyama", "--at", "2026-11-25T12:00")
    assert code == 0
    assert out.splitlines()[:2] == [
        "aoyama is open at Wed 2026-11-25 12:00 (Asia/Tokyo)",
        "  next change: in its grace time from Wed 2026-11-25 19:00",
    ]
    assert "shut until then" not in out


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2026-11-25T08:59", "closed"),
        ("2026-11-25T09:00", "grace"),
        ("2026-11-25T10:00", "open"),
        ("2026-11-25T19:59", "grace"),
        ("2026-11-25T20:00", "closed"),
        ("2026-11-24T12:00", "closed"),  # a Tuesday, the weekly holiday
        ("2026-11-23T12:00", "closed"),  # a public holiday
        ("2026-12-29T21:59", "open"),  # a Tuesday with special hours
        ("2026-11-25T03:00Z", "open"),
        ("2026-11-25T12:00+09:00", "open"),
        ("2026-11-25", "closed"),
    ],
)
def test_the_state_at_an_instant(line, at, state):
    code, data = line.data("hours", "aoyama", "--at", at)
    assert code == 0
    assert data["aoyama"]["state"] == state


def test_a_closed_salon_says_when_it_opens_and_what_is_shut_for_whom(line):
    _, out, _ = line("hours", "aoyama", "--at", "2026-11-25T21:00")
    assert "opens again, grace included: Thu 2026-11-26 09:00" in out
    assert "shut until then: client, message; not for role:manager, role:owner" in out


def test_the_day_is_explained_with_the_line_that_says_so(line):
    _, out, _ = line("hours", "aoyama", "--at", "2026-12-31T12:00")
    assert "that day: closed (`closed_dates`, hours.yaml:" in out


def test_every_salon_unless_one_is_named(line):
    _, data = line.data("hours", "--at", "2026-11-25T12:00")
    assert list(data) == ["aoyama", "yoyogi"]
    for answer in data.values():
        assert answer.keys() == {"at", "timezone", "state", "changes_at", "opens_at"}


def test_now_without_a_moment(line):
    assert line("hours")[0] == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("aoyma",), "unknown salon `aoyma`; did you mean `aoyama`?"),
        (("aoyama", "--at", "tomorrow"), "`tomorrow` is not a moment; write 2026-11-24T20:31"),
        (("aoyama", "--at", "2026-11-25 9:00"), "is not a moment"),
        (("aoyama", "--at", "2026-02-30T10:00"), "2026-02-30T10:00"),
    ],
)
def test_what_cannot_be_answered_is_a_usage_error_with_a_remedy(line, typed, said):
    code, out, err = line("hours", *typed)
    assert (code, out) == (2, "")
    assert said in err
