"""The state at an instant, and when it changes."""

import json
from datetime import date, datetime, timedelta

import pytest

from gateway.domain.access import Window, WindowState
from gateway.domain.time import instant
from gateway.enforcer.calendar import parse_hours
from gateway.enforcer.window import HORIZON, local_date, window_at
from gateway.texts.yamltext import parse_yaml

OPEN, GRACE, CLOSED = WindowState.OPEN, WindowState.GRACE, WindowState.CLOSED
EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def a_salon(weekly=None, grace=0, **salon):
    """2026-11-21 is a Saturday; Tokyo is UTC+9 the whole year."""
    hours = {
        "timezone": "Asia/Tokyo",
        "weekly": weekly if weekly is not None else {"sat": ["10:00-19:00"]},
        "grace": {"before": str(grace), "after": str(grace)},
        **salon,
    }
    text = json.dumps({"salons": {"aoyama": hours}, "protected": ["client"]})
    return parse_hours(parse_yaml(text, "hours.yaml")).salons["aoyama"]


def at(text):
    return instant(datetime.fromisoformat(text))


def state(hours, text):
    return window_at(hours, at(text)).state


# --- states ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T08:59:59.999999+09:00", CLOSED),
        ("2026-11-21T09:00+09:00", GRACE),
        ("2026-11-21T09:59:59.999999+09:00", GRACE),
        ("2026-11-21T10:00+09:00", OPEN),
        ("2026-11-21T18:59:59.999999+09:00", OPEN),
        ("2026-11-21T19:00+09:00", GRACE),
        ("2026-11-21T19:59:59.999999+09:00", GRACE),
        ("2026-11-21T20:00+09:00", CLOSED),
    ],
)
def test_windows_are_half_open_with_the_grace_around_them(text, expected):
    assert state(a_salon(grace=60), text) is expected


def test_a_salon_without_a_calendar_is_unknown_and_not_inside():
    window = window_at(None, at("2026-11-21T12:00+09:00"))
    assert window == Window(state=WindowState.UNKNOWN)
    assert not window.state.inside


def test_a_saturday_night_window_covers_sunday_0130_even_if_sunday_is_closed():
    night = {"sat": ["20:00-02:00"], "sun": ["10:00-19:00"]}
    for closed in ({"closed_dates": ["2026-11-22"]}, {"regular_holidays": ["sun"]}):
        hours = a_salon(night, **closed)
        assert state(hours, "2026-11-22T01:30+09:00") is OPEN
        assert state(hours, "2026-11-22T02:00+09:00") is CLOSED
        assert state(hours, "2026-11-22T12:00+09:00") is CLOSED


def test_a_closed_saturday_has_no_saturday_night_on_sunday():
    hours = a_salon({"sat": ["20:00-02:00"]}, closed_dates=["2026-11-21"])
    assert state(hours, "2026-11-22T01:30+09:00") is CLOSED


def test_a_closed_day_has_no_grace():
    hours = a_salon(grace=60, closed_dates=["2026-11-21"])
    for text in ("2026-11-21T09:30+09:00", "2026-11-21T12:00+09:00", "2026-11-21T19:30+09:00"):
        assert state(hours, text) is CLOSED


def test_open_wins_over_the_grace_of_another_interval():
    hours = a_salon({"sat": ["10:00-14:00", "14:30-20:00"]}, grace=60)
    assert state(hours, "2026-11-21T14:15+09:00") is GRACE
    assert state(hours, "2026-11-21T14:45+09:00") is OPEN  # within 60 min after 14:00 too
    assert state(hours, "2026-11-21T13:45+09:00") is OPEN  # within 60 min before 14:30 too


def test_an_end_at_24_00_is_open_until_midnight_and_not_after():
    hours = a_salon({"sat": ["15:00-24:00"]})
    assert state(hours, "2026-11-21T23:59:59+09:00") is OPEN
    assert state(hours, "2026-11-22T00:00+09:00") is CLOSED


def test_a_special_opening_on_a_closed_date_is_open():
    hours = a_salon(closed_dates=["2026-11-22"], special_openings={"2026-11-22": ["10:00-22:00"]})
    assert state(hours, "2026-11-22T21:00+09:00") is OPEN


def test_a_grace_crosses_midnight_into_a_closed_day():
    hours = a_salon({"sat": ["15:00-23:30"]}, grace=60, regular_holidays=["sun"])
    assert state(hours, "2026-11-22T00:29:59+09:00") is GRACE
    assert state(hours, "2026-11-22T00:30+09:00") is CLOSED


def test_a_grace_before_an_early_opening_starts_on_the_day_before():
    hours = a_salon({"sat": ["00:15-03:00"]}, grace=60)
    assert state(hours, "2026-11-20T23:14:59+09:00") is CLOSED
    assert state(hours, "2026-11-20T23:15+09:00") is GRACE


def test_a_day_of_grace_reaches_a_whole_day():
    hours = a_salon({"sat": ["23:59-23:59"]}, grace=1440)
    assert state(hours, "2026-11-20T23:58+09:00") is CLOSED
    assert state(hours, "2026-11-20T23:59+09:00") is GRACE
    assert state(hours, "2026-11-23T23:58:59+09:00") is GRACE
    assert state(hours, "2026-11-23T23:59+09:00") is CLOSED


# --- summer time ----------------------------------------------------------------------


def test_a_kyiv_night_through_the_change_to_winter_closes_at_the_first_0330():
    hours = a_salon({"sat": ["20:00-03:30"]}, timezone="Europe/Kyiv")
    assert state(hours, "2026-10-25T03:29:59+03:00") is OPEN
    assert state(hours, "2026-10-25T03:30+03:00") is CLOSED
    assert state(hours, "2026-10-25T03:15+02:00") is CLOSED  # the second 03:15


def test_a_kyiv_night_through_the_change_to_summer_ends_an_hour_of_real_time_earlier():
    hours = a_salon({"sat": ["20:00-05:00"]}, timezone="Europe/Kyiv")
    window = window_at(hours, at("2026-03-28T20:00+02:00"))
    assert window.changes_at == at("2026-03-28T20:00+02:00") + timedelta(hours=8)


def test_a_grace_is_real_minutes_across_the_change_of_the_clock():
    # Opens at 05:00 summer time (02:00 UTC); 180 real minutes before is 01:00 winter time.
    hours = a_salon({"sun": ["05:00-12:00"]}, grace=180, timezone="Europe/Kyiv")
    assert state(hours, "2026-03-29T00:59:59+02:00") is CLOSED
    assert state(hours, "2026-03-29T01:00+02:00") is GRACE
    # Closes at 02:30 summer time; 60 real minutes later is 03:30 summer time, the first one.
    hours = a_salon({"sat": ["20:00-02:30"]}, grace=60, timezone="Europe/Kyiv")
    assert state(hours, "2026-10-25T03:29:59+03:00") is GRACE
    assert state(hours, "2026-10-25T03:30+03:00") is CLOSED


def test_an_interval_that_the_clocks_change_eats_leaves_no_grace_behind():
    hours = a_salon({"sun": ["03:30-04:15"]}, grace=60, timezone="Europe/Kyiv")
    for text in ("2026-03-29T02:45+02:00", "2026-03-29T04:10+03:00", "2026-03-29T04:45+03:00"):
        assert state(hours, text) is CLOSED


def test_apia_skips_a_friday_and_saturday_still_opens_on_time():
    hours = a_salon({"sat": ["10:00-19:00"]}, timezone="Pacific/Apia")
    window = window_at(hours, at("2011-12-29T23:59:59-10:00"))
    assert window.opens_at == at("2011-12-31T10:00+14:00")
    assert local_date(hours, window.opens_at) == date(2011, 12, 31)


# --- changes --------------------------------------------------------------------------


def test_each_state_names_the_next():
    hours = a_salon(grace=60)
    steps = [
        ("2026-11-21T08:00+09:00", CLOSED, "2026-11-21T09:00+09:00"),
        ("2026-11-21T09:00+09:00", GRACE, "2026-11-21T10:00+09:00"),
        ("2026-11-21T10:00+09:00", OPEN, "2026-11-21T19:00+09:00"),
        ("2026-11-21T19:00+09:00", GRACE, "2026-11-21T20:00+09:00"),
        ("2026-11-21T20:00+09:00", CLOSED, "2026-11-28T09:00+09:00"),
    ]
    for text, expected, change in steps:
        window = window_at(hours, at(text))
        assert (window.state, window.changes_at) == (expected, at(change))
        assert window.opens_at == (at(change) if expected is CLOSED else None)
        assert window.timezone == "Asia/Tokyo"


def test_opens_at_is_the_start_of_the_grace_before_the_opening():
    window = window_at(a_salon(grace=60), at("2026-11-21T20:31+09:00"))
    assert window.opens_at == at("2026-11-28T09:00+09:00")


def test_adjoining_intervals_are_one_stretch_of_open():
    hours = a_salon({"sat": ["10:00-15:00", "15:00-24:00"], "sun": ["00:00-03:00"]})
    assert window_at(hours, at("2026-11-21T10:00+09:00")).changes_at == at(
        "2026-11-22T03:00+09:00"
    )


def test_graces_that_meet_are_one_stretch_of_grace():
    hours = a_salon({"sat": ["10:00-12:00", "14:00-16:00"]}, grace=60)
    window = window_at(hours, at("2026-11-21T12:30+09:00"))
    assert (window.state, window.changes_at) == (GRACE, at("2026-11-21T14:00+09:00"))


def test_a_week_of_round_the_clock_hours_is_open_until_the_closed_date():
    hours = a_salon({day: ["00:00-24:00"] for day in EVERY_DAY}, closed_dates=["2027-02-01"])
    window = window_at(hours, at("2026-11-21T12:00+09:00"))
    assert (window.state, window.changes_at) == (OPEN, at("2027-02-01T00:00+09:00"))


def test_grace_round_the_clock_still_sees_the_next_opening():
    hours = a_salon({day: ["12:00-12:30"] for day in EVERY_DAY}, grace=1440)
    window = window_at(hours, at("2026-11-21T12:30+09:00"))
    assert (window.state, window.changes_at) == (GRACE, at("2026-11-22T12:00+09:00"))


def test_what_never_changes_within_the_horizon_has_no_change():
    always = a_salon({day: ["00:00-24:00"] for day in EVERY_DAY})
    assert window_at(always, at("2026-11-21T12:00+09:00")) == Window(
        state=OPEN, timezone="Asia/Tokyo"
    )
    never = a_salon({})
    assert window_at(never, at("2026-11-21T12:00+09:00")) == Window(
        state=CLOSED, timezone="Asia/Tokyo"
    )


def test_an_opening_is_found_a_year_ahead_and_not_beyond_the_horizon():
    hours = a_salon({}, special_openings={"2027-12-26": ["12:00-13:00"]})
    opening = at("2027-12-26T12:00+09:00")
    assert window_at(hours, instant(opening - timedelta(days=400))).opens_at == opening
    assert window_at(hours, instant(opening - HORIZON)).opens_at == opening
    assert window_at(hours, instant(opening - HORIZON - timedelta(seconds=1))).opens_at is None


def test_a_close_is_found_up_to_the_horizon_and_not_beyond():
    hours = a_salon({day: ["00:00-24:00"] for day in EVERY_DAY}, closed_dates=["2028-01-01"])
    closing = at("2028-01-01T00:00+09:00")
    assert window_at(hours, instant(closing - HORIZON)).changes_at == closing
    assert window_at(hours, instant(closing - HORIZON - timedelta(seconds=1))).changes_at is None


def test_the_last_opening_of_all_ends_in_grace_and_then_for_good():
    hours = a_salon({}, grace=30, special_openings={"2026-11-21": ["12:00-13:00"]})
    window = window_at(hours, at("2026-11-21T13:10+09:00"))
    assert (window.state, window.changes_at) == (GRACE, at("2026-11-21T13:30+09:00"))
    assert window_at(hours, at("2026-11-21T13:30+09:00")).changes_at is None


# --- dates ----------------------------------------------------------------------------


def test_local_date_is_the_salons_not_utcs():
    assert local_date(a_salon(), at("2026-11-21T15:00+00:00")) == date(2026, 11, 22)
    assert local_date(a_salon(), at("2026-11-21T14:59:59+00:00")) == date(2026, 11, 21)


def test_local_date_without_a_salon_is_utcs():
    assert local_date(None, at("2026-11-22T00:30+09:00")) == date(2026, 11, 21)
