"""The calendar against a library that is not ours: opening-hours-py, for OpenStreetMap's hours.

What both can say is said to both, and they are asked at hard and at random instants. How it is
said stands in `tests/oracles/osm_hours.py`. Left out, because the library has no word for it:

- grace: here it is 0, and a window is open or closed;
- the time after a gap of the clock if hours have edges in the gap and right after it;
- years before 2012: in 2011 Apia skipped a whole day, a gap that the question cannot bridge.

Where one would say the same and mean another thing, a test of its own shows the difference.
All of it is compared with the slow reference in `test_calendar.py`, too.
"""

import json
import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opening_hours import OpeningHours

from gateway.domain.time import instant
from gateway.enforcer.calendar import parse_hours
from gateway.enforcer.window import HORIZON, window_at
from gateway.texts.yamltext import parse_yaml
from tests.oracles import osm_hours

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AROUND = 3  # days on either side of the focus that are asked about

# Days on which something happens to the clock or the calendar, and quiet ones.
HARD_DAYS = {
    "Asia/Tokyo": ["2026-11-21", "2028-02-29", "2026-12-31"],
    "Asia/Kolkata": ["2026-11-30"],
    "Europe/Kyiv": ["2026-03-29", "2026-10-25"],
    "Europe/Dublin": ["2026-03-29", "2026-10-25"],  # its winter is the exception
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],  # half an hour of summer time
    "America/Santiago": ["2026-04-04", "2026-09-06"],  # changed at midnight
    "Asia/Beirut": ["2026-03-29", "2026-10-24"],  # at midnight
    "America/Havana": ["2026-03-08", "2026-11-01"],  # at midnight, and back to midnight
    "Pacific/Apia": ["2021-04-04", "2020-09-27"],
}
QUIET_ZONES = ["Asia/Tokyo", "Asia/Kolkata"]
PHRASES = [
    f"{which}{name}"
    for which in ("", "1st ", "2nd ", "3rd ", "4th ", "5th ", "last ")
    for name in osm_hours.WEEKDAYS
]
# Round times and those at which clocks are changed, over and over.
MINUTES = st.one_of(
    st.sampled_from([0, 1, 30, 60, 90, 120, 150, 180, 210, 600, 1140, 1380, 1410, 1439]),
    st.integers(0, 1439),
)


NIGHT = {
    "timezone": "Asia/Tokyo",
    "weekly": {"sat": ["20:00-02:00"]},
    "regular_holidays": [],
    "public_holidays": [],
    "closed_dates": [],
    "special_openings": {},
}


def clock(minutes):
    return f"{minutes // 60:02}:{minutes % 60:02}"


@st.composite
def day_lists(draw):
    """Hours of one day that do not overlap; the last may run past midnight."""
    edges = sorted(draw(st.lists(MINUTES, unique=True, max_size=5)))
    hours = [f"{clock(a)}-{clock(b)}" for a, b in zip(edges[::2], edges[1::2], strict=False)]
    if len(edges) % 2:
        end = draw(st.one_of(st.just(1440), st.integers(0, edges[-1])))
        hours.append(f"{clock(edges[-1])}-{clock(end)}")
    return draw(st.permutations(hours))


@st.composite
def salons(draw, zones=tuple(HARD_DAYS)):
    """A salon's hours as the file has them, and a day worth looking at."""
    zone = draw(st.sampled_from(zones))
    focus = date.fromisoformat(draw(st.sampled_from(HARD_DAYS[zone])))
    near = st.integers(-AROUND - 1, AROUND + 1).map(lambda ahead: str(focus + ahead * DAY))
    weekdays = st.sampled_from(list(osm_hours.WEEKDAYS))
    dates = st.lists(near, unique=True, max_size=2)
    salon = {
        "timezone": zone,
        "weekly": draw(st.dictionaries(weekdays, day_lists(), min_size=3)),
        "regular_holidays": draw(st.lists(st.sampled_from(PHRASES), unique=True, max_size=2)),
        "public_holidays": draw(dates),
        "closed_dates": draw(dates),
        "special_openings": draw(st.dictionaries(near, day_lists(), max_size=2)),
    }
    return salon, focus


def read(salon):
    text = json.dumps({"salons": {"aoyama": salon}, "protected": ["client"]})
    return parse_hours(parse_yaml(text, "hours.yaml")).salons["aoyama"]


def critical_instants(salon, focus):
    """A second before, at and after all at which something may happen around the focus."""
    zone = ZoneInfo(salon["timezone"])
    first = datetime(focus.year, focus.month, focus.day, tzinfo=UTC) - AROUND * DAY
    days = [focus + ahead * DAY for ahead in range(-AROUND, AROUND + 1)]
    walls = [
        datetime(day.year, day.month, day.day) + edge * MINUTE
        for day in days
        for edge in osm_hours.edges(salon) | {0}
    ]
    points = {wall.replace(tzinfo=zone, fold=f).astimezone(UTC) for wall in walls for f in (0, 1)}
    for change in osm_hours.clock_changes_between(salon, first, first + 2 * AROUND * DAY):
        points |= {change + off * MINUTE for off in (-60, -30, 0, 30, 60)}
    return {point + off * SECOND for point in points for off in (-1, 0, 1)}


def compare(salon, moments):
    """Hold our state at every moment to the library's; how many could be compared."""
    hours, is_open = read(salon), osm_hours.told(salon)
    compared = 0
    for at in moments:
        asked = osm_hours.moment_to_ask(salon, at)
        if asked is not None:
            compared += 1
            assert window_at(hours, instant(at)).state == ("closed", "open")[is_open(asked)], at
    return compared


@settings(max_examples=60 * FUZZ, deadline=None)
@given(salons(), st.lists(st.integers(-AROUND * 86400, AROUND * 86400), min_size=20, max_size=20))
def test_the_library_is_open_when_we_are(drawn, seconds):
    """Every edge, every midnight, every change of the clock: some 200 instants an example."""
    salon, focus = drawn
    noon = datetime(focus.year, focus.month, focus.day, 12, tzinfo=UTC)
    moments = critical_instants(salon, focus) | {noon + n * SECOND for n in seconds}
    compared = compare(salon, moments)
    # What has to be left out is at most an hour or two of a week.
    assert compared >= len(moments) * 3 // 4


@settings(max_examples=60 * FUZZ, deadline=None)
@given(
    salons(),
    st.lists(st.datetimes(datetime(2012, 1, 1), datetime(2037, 1, 1)), min_size=30, max_size=30),
)
def test_the_library_is_open_when_we_are_in_any_year(drawn, moments):
    salon, _ = drawn
    compare(salon, [moment.replace(tzinfo=UTC) for moment in moments])


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.sampled_from(PHRASES), st.dates(date(2012, 1, 1), date(2199, 1, 1)))
def test_a_regular_holiday_is_the_librarys_too(phrase, first):
    salon = {
        **NIGHT,
        "weekly": {name: ["09:00-10:00"] for name in osm_hours.WEEKDAYS},
        "regular_holidays": [phrase],
    }
    begin = datetime(first.year, first.month, first.day, 0, 30, tzinfo=UTC)  # 09:30 in Tokyo
    assert compare(salon, [begin + n * DAY for n in range(40)]) == 40


@settings(max_examples=100 * FUZZ, deadline=None)
@given(salons(QUIET_ZONES), st.lists(st.integers(-5000, 5000), min_size=10, max_size=10))
def test_the_librarys_next_change_is_ours(drawn, minutes):
    """Nights uncut, where dates and holidays let them be; clocks that nobody changes."""
    salon, focus = drawn
    if not osm_hours.says_its_nights(salon):
        salon = {**salon, **dict.fromkeys(osm_hours.EXCEPTIONS, ()), "special_openings": {}}
    hours = read(salon)
    noon = datetime(focus.year, focus.month, focus.day, 12, tzinfo=UTC)
    for at in (noon + n * MINUTE for n in minutes):
        window = window_at(hours, instant(at))
        change = osm_hours.next_change(salon, at)
        if change is not None and change > at + HORIZON:
            change = None
        assert window.changes_at == change, at


def test_a_closed_sunday_cuts_saturdays_night_in_the_library_and_not_here():
    """Why the hours are said in two halves."""
    at = datetime(2026, 11, 22, 1, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
    salon = {**NIGHT, "closed_dates": ["2026-11-22"]}
    whole = OpeningHours("Sa 20:00-02:00; 2026 Nov 22 off", timezone=at.tzinfo)
    assert not whole.is_open(at)
    assert window_at(read(salon), instant(at)).state == "open"
    assert osm_hours.told(salon)(at)


def test_a_closed_saturday_keeps_its_night_in_the_library_and_not_here():
    at = datetime(2026, 11, 22, 1, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
    salon = {**NIGHT, "closed_dates": ["2026-11-21"]}
    whole = OpeningHours("Sa 20:00-02:00; 2026 Nov 21 off", timezone=at.tzinfo)
    assert whole.is_open(at)
    assert window_at(read(salon), instant(at)).state == "closed"
    assert not osm_hours.told(salon)(at)


@pytest.mark.parametrize(
    ("hours", "at", "ours", "theirs"),
    [
        # The clock shows 01:30 for the second time; 01:15 to 01:45 is over since an hour.
        ("01:15-01:45", "2026-11-01T06:30Z", "closed", "open"),
        # It shows 01:10 for the second time; what opened at 01:15 does not close again.
        ("01:15-05:00", "2026-11-01T06:10Z", "open", "closed"),
        # It shows 03:10; 02:15 does not exist, and is 07:15 UTC.
        ("02:15-05:00", "2026-03-08T07:10Z", "closed", "open"),
        # Both edges are 07:15 UTC: no time is left. The library opens for a quarter.
        ("02:15-03:15", "2026-03-08T07:10Z", "closed", "open"),
    ],
)
def test_on_the_night_of_a_clock_change_the_library_goes_by_what_the_clock_shows(
    hours, at, ours, theirs
):
    """Why `moment_to_ask` does not always ask for the instant itself."""
    salon = {**NIGHT, "timezone": "America/New_York", "weekly": {"sun": [hours]}}
    moment = datetime.fromisoformat(at)
    assert window_at(read(salon), instant(moment)).state == ours
    asked = moment.astimezone(osm_hours.UTC)
    assert osm_hours.told(salon)(asked) == (theirs == "open")
    assert osm_hours.moment_to_ask(salon, moment) != asked


def test_the_zones_under_test_really_change_their_clocks():
    """If tzdata moved a rule, the hard days above would quietly become easy ones."""
    for zone, days in HARD_DAYS.items():
        for text in days if zone not in QUIET_ZONES else ():
            noon = datetime.fromisoformat(f"{text}T12:00+00:00")
            salon = {"timezone": zone}
            assert osm_hours.clock_changes_between(salon, noon - DAY, noon + DAY), (zone, text)
