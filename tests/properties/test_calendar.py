"""The calendar against the slow reference, and its theorems, on random hours and hard days."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.domain.access import WindowState
from gateway.domain.time import Instant, instant
from gateway.enforcer.calendar import day_plan, parse_hours
from gateway.enforcer.window import HORIZON, local_date, window_at
from gateway.texts.yamltext import parse_yaml
from tests.oracles import slow_calendar

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# Days on which something happens to the clock, and quiet ones.
HARD_DAYS = {
    "Asia/Tokyo": ["2026-11-21", "2028-02-29", "2026-12-31"],
    "Asia/Seoul": ["2026-11-30", "2027-01-01"],
    "Europe/Kyiv": ["2026-03-29", "2026-10-25", "2026-03-28", "2026-10-24"],
    "America/New_York": ["2026-03-08", "2026-11-01", "2026-03-07", "2026-10-31"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],  # half an hour of summer time
    "Pacific/Apia": ["2011-12-29", "2011-12-30", "2011-12-31", "2021-04-04"],  # a day skipped
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],  # back during Ramadan
}
WEEKDAYS = list(slow_calendar.NAMES)
PHRASES = [
    f"{which}{name}"
    for which in ("", "1st ", "2nd ", "3rd ", "4th ", "5th ", "last ")
    for name in WEEKDAYS
]
# Round times and those at which clocks are changed, over and over.
MINUTES = st.one_of(
    st.sampled_from([0, 1, 60, 90, 120, 150, 180, 210, 240, 600, 1140, 1200, 1380, 1439]),
    st.integers(0, 1439),
)


def clock(minutes):
    return f"{minutes // 60:02}:{minutes % 60:02}"


@st.composite
def day_lists(draw):
    """Hours of one day that do not overlap; the last may run past midnight."""
    edges = sorted(draw(st.lists(MINUTES, unique=True, max_size=4)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    hours = [f"{clock(start)}-{clock(end)}" for start, end in pairs]
    if len(edges) % 2:
        end = draw(st.one_of(st.just(1440), st.integers(0, edges[-1])))
        hours.append(f"{clock(edges[-1])}-{clock(end)}")
    return draw(st.permutations(hours))


@st.composite
def salons(draw):
    """A salon's hours as the file has them, and a day worth looking at."""
    zone = draw(st.sampled_from(list(HARD_DAYS)))
    focus = date.fromisoformat(draw(st.sampled_from(HARD_DAYS[zone])))
    near = st.integers(-4, 4).map(lambda ahead: str(focus + ahead * DAY))
    dates = st.lists(near, unique=True, max_size=3)
    grace = st.one_of(st.sampled_from([0, 30, 60, 1440]), st.integers(0, 1440)).map(str)
    salon = {
        "timezone": zone,
        "weekly": draw(st.dictionaries(st.sampled_from(WEEKDAYS), day_lists())),
        "regular_holidays": draw(st.lists(st.sampled_from(PHRASES), unique=True, max_size=2)),
        "public_holidays": draw(dates),
        "closed_dates": draw(dates),
        "special_openings": draw(st.dictionaries(near, day_lists(), max_size=3)),
        "grace": {"before": draw(grace), "after": draw(grace)},
    }
    return salon, focus


def read(salon):
    text = json.dumps({"salons": {"aoyama": salon}, "protected": ["client"]})
    return parse_hours(parse_yaml(text, "hours.yaml")).salons["aoyama"]


@st.composite
def scenes(draw):
    """Hours, the reference's states of every minute of twelve days, and an instant in them."""
    salon, focus = draw(salons())
    first = datetime(focus.year, focus.month, focus.day, tzinfo=UTC) - 4 * DAY
    states = slow_calendar.timeline(salon, first, 12 * 1440)
    edges = [n for n in range(1, len(states)) if states[n] != states[n - 1]]
    early = [n for n in edges if n <= 8 * 1440]
    moments = [
        st.integers(0, 8 * 86400),  # any second
        st.builds(  # round a midnight of the salon's calendar
            lambda ahead, off: int((midnight(salon, focus + ahead * DAY) - first) / SECOND) + off,
            st.integers(-2, 2),
            st.sampled_from([-1, 0, 1]),
        ),
    ]
    if early:
        near_edge = st.tuples(st.sampled_from(early), st.sampled_from([-1, 0, 1, 30]))
        moments += [near_edge.map(lambda pair: pair[0] * 60 + pair[1])] * 2
    seconds = draw(st.one_of(moments))
    assume(0 <= seconds < 9 * 86400)
    return salon, read(salon), first, states, seconds


def midnight(salon, day):
    return slow_calendar.utc_of(salon["timezone"], datetime(day.year, day.month, day.day))


@settings(max_examples=150 * FUZZ, deadline=None)
@given(scenes())
def test_the_state_and_its_next_change_agree_with_the_reference(scene):
    _, hours, first, states, seconds = scene
    window = window_at(hours, instant(first + seconds * SECOND))

    now = seconds // 60
    assert window.state == states[now]
    change = next((n for n in range(now, len(states)) if states[n] != states[now]), None)
    if change is not None:
        assert window.changes_at == first + change * MINUTE
    else:
        end = first + len(states) * MINUTE
        assert window.changes_at is None or window.changes_at >= end


@settings(max_examples=60 * FUZZ, deadline=None)
@given(scenes())
def test_opens_at_is_the_first_instant_inside(scene):
    _, hours, first, states, seconds = scene
    at = instant(first + seconds * SECOND)
    window = window_at(hours, at)
    if window.state.inside:
        assert window.opens_at is None
        return
    inside = next((n for n in range(seconds // 60, len(states)) if states[n] != "closed"), None)
    if inside is not None:
        assert window.opens_at == first + inside * MINUTE
    if window.opens_at is not None:
        assert window.opens_at > at
        assert window_at(hours, window.opens_at).state.inside
        assert not window_at(hours, Instant(window.opens_at - SECOND)).state.inside


@settings(max_examples=60 * FUZZ, deadline=None)
@given(scenes(), st.lists(st.integers(0, 999), min_size=5, max_size=5))
def test_a_state_holds_until_changes_at_and_not_a_second_longer(scene, thousandths):
    _, hours, first, _, seconds = scene
    at = instant(first + seconds * SECOND)
    window = window_at(hours, at)
    end = window.changes_at or at + HORIZON
    for share in thousandths:
        between = Instant(at + (end - at) * share / 1000)
        later = window_at(hours, between)
        assert later.state is window.state
        assert later.changes_at == window.changes_at or window.changes_at is None
    if window.changes_at is not None:
        assert window.changes_at > at
        assert window_at(hours, window.changes_at).state is not window.state


@settings(max_examples=100 * FUZZ, deadline=None)
@given(salons(), st.integers(-5, 5))
def test_a_day_plan_agrees_with_the_reference(drawn, ahead):
    salon, focus = drawn
    day = focus + ahead * DAY
    plan = day_plan(read(salon), day)
    assert plan.source == slow_calendar.listed_hours(salon, day)[1]
    assert sorted(plan.intervals) == sorted(slow_calendar.intervals(salon, day))
    assert (plan.by is None) == (plan.source == "none")


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.sampled_from(PHRASES), st.dates(date(2000, 1, 8), date(2199, 12, 1)))
def test_a_regular_holiday_is_the_references(phrase, day):
    salon = {
        "timezone": "UTC",
        "weekly": {name: ["09:00-10:00"] for name in WEEKDAYS},
        "regular_holidays": [phrase],
    }
    closed = slow_calendar.is_regular_holiday([phrase], day)
    assert (day_plan(read(salon), day).intervals == ()) == closed


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.sampled_from(list(HARD_DAYS)), st.data())
def test_adjoining_intervals_never_both_claim_an_instant(zone, data):
    """[a, b) and [b, c): before b only the first, from b on only the second, c neither."""
    focus = date.fromisoformat(data.draw(st.sampled_from(HARD_DAYS[zone])))
    edges = data.draw(st.lists(MINUTES, unique=True, min_size=3, max_size=3).map(sorted))
    a, b, c = map(clock, edges)
    both = [f"{a}-{b}", f"{b}-{c}"]
    salon = {"timezone": zone, "weekly": {}, "special_openings": {str(focus): both}}
    plan = day_plan(read(salon), focus)
    for _, close in plan.intervals:
        for at in (close - SECOND, close, close + SECOND):
            claims = [span for span in plan.intervals if span[0] <= at < span[1]]
            assert len(claims) <= 1


@settings(max_examples=100 * FUZZ, deadline=None)
@given(salons(), st.integers(-3, 3), st.sampled_from([-1, 0, 1, 43200]))
def test_local_date_is_what_the_salons_clock_shows(drawn, ahead, off):
    salon, focus = drawn
    at = instant(midnight(salon, focus + ahead * DAY) + off * SECOND)
    assert local_date(read(salon), at) == slow_calendar.salon_clock(salon["timezone"], at).date()


@settings(max_examples=100 * FUZZ, deadline=None)
@given(salons(), st.integers(-4 * 86400, 4 * 86400), st.sampled_from(WEEKDAYS))
def test_hours_added_to_a_day_without_any_close_nothing(drawn, seconds, name):
    """Monotone: a salon that adds a day to its week is open whenever it was."""
    salon, focus = drawn
    more = {**salon, "weekly": {name: ["09:00-12:00"], **salon["weekly"]}}
    at = instant(datetime(focus.year, focus.month, focus.day, tzinfo=UTC) + seconds * SECOND)
    if window_at(read(salon), at).state is WindowState.OPEN:
        assert window_at(read(more), at).state is WindowState.OPEN


def test_the_zones_under_test_really_change_their_clocks():
    """If tzdata moved a rule, the hard days above would quietly become easy ones."""
    for zone, days in HARD_DAYS.items():
        if zone in {"Asia/Tokyo", "Asia/Seoul"}:
            continue
        offsets = set()
        for text in days:
            noon = datetime.fromisoformat(f"{text}T12:00+00:00")
            offsets |= {(noon + n * DAY).astimezone(ZoneInfo(zone)).utcoffset() for n in (-1, 1)}
        assert len(offsets) >= 2, zone
