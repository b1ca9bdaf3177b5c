"""hours.yaml: what loads, what does not, and what a day of it looks like."""

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from gateway.domain.finding import PolicyError, Severity
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.calendar import DayPlan, HoursSource, day_plan, parse_hours
from gateway.texts.yamltext import parse_yaml

STARTER = Path(__file__).parents[3] / "policies" / "hours.yaml"
SATURDAY = date(2026, 11, 21)
SUNDAY = date(2026, 11, 22)


def calendar_of(text):
    return parse_hours(parse_yaml(text, "hours.yaml"))


def a_file(**salon):
    """A file with one salon, one line per document: for values, not for places."""
    hours = {"timezone": "Asia/Tokyo", "weekly": {"sat": ["10:00-19:00"]}, **salon}
    return json.dumps({"salons": {"aoyama": hours}, "protected": ["client"]}, ensure_ascii=False)


def a_salon(**salon):
    return calendar_of(a_file(**salon)).salons["aoyama"]


def messages(text):
    with pytest.raises(PolicyError) as error:
        calendar_of(text)
    return [finding.message for finding in error.value.findings]


def message(**salon):
    [only] = messages(a_file(**salon))
    return only


def warnings_of(text):
    calendar = calendar_of(text)
    assert all(finding.severity is Severity.WARNING for finding in calendar.warnings)
    return [finding.message for finding in calendar.warnings]


def local(hours, day):
    """A day's plan as the salon's clock shows it."""
    return [
        (f"{a.astimezone(hours.zone):%d %H:%M}", f"{b.astimezone(hours.zone):%d %H:%M}")
        for a, b in day_plan(hours, day).intervals
    ]


def utc(text):
    return datetime.fromisoformat(f"{text}+00:00")


# --- the whole file -------------------------------------------------------------------


def test_the_starter_loads_without_a_warning():
    calendar = calendar_of(STARTER.read_text("utf-8"))
    assert set(calendar.salons) == {"aoyama", "yoyogi"}
    assert calendar.warnings == ()
    assert [name for name, _ in calendar.protected] == ["client", "message"]
    assert calendar.exempt_roles == ("role:manager", "role:owner")


@pytest.mark.parametrize("typed", ["[]", "{}", "[Asia/Tokyo]", "{tue: x}"])
@pytest.mark.parametrize(
    ("salon", "said"),
    [
        ("timezone: @, weekly: {}", "unknown time zone"),
        ("timezone: UTC, weekly: {}, regular_holidays: [@]", "unknown regular holiday"),
    ],
)
def test_a_list_where_a_text_belongs_is_a_finding(typed, salon, said):
    text = "salons: {a: {" + salon.replace("@", typed) + "}}\nprotected: []\n"
    with pytest.raises(PolicyError, match=said):
        calendar_of(text)


def test_a_protected_resource_knows_the_line_it_stands_in():
    calendar = calendar_of(
        "salons:\n  a: {timezone: UTC, weekly: {mon: ['10:00-11:00']}}\n"
        "protected:\n  - client\n  - message\n"
    )
    assert calendar.protected == (
        ("client", RuleRef("hours.yaml", 4)),
        ("message", RuleRef("hours.yaml", 5)),
    )


def test_every_finding_is_reported_at_once_and_in_its_place():
    text = """\
salons:
  aoyama:
    timezone: Asia/Tokio
    weekly:
      mon: ["10:00-14:00", "13:00-19:00"]
      tus: ["10:00-19:00"]
      wed: ["25:00-26:00"]
    regular_holidays: [tue, 2nd mno]
    closed_dates: ["2026-02-30"]
    grace: {before: -5}
    clsed_dates: []
  Yoyogi: {timezone: Asia/Tokyo, weekly: {}}
protected: [client, client]
exempt_roles: [manager]
"""
    with pytest.raises(PolicyError) as error:
        calendar_of(text)
    assert (
        "\n".join(map(str, error.value.findings))
        == """\
hours.yaml:3:5: unknown time zone `Asia/Tokio`; did you mean `Asia/Tokyo`?
hours.yaml:5:28: `13:00-19:00` overlaps `10:00-14:00` of the same day; join or part them
hours.yaml:6:7: unknown weekday `tus`; did you mean `tue`?
hours.yaml:7:13: `25:00-26:00` starts after `23:59`; list it under the day on which it starts
hours.yaml:8:29: unknown regular holiday `2nd mno`; did you mean `2nd mon`?
hours.yaml:9:20: `2026-02-30` is not a day of the calendar
hours.yaml:10:13: a grace is whole minutes from 0 to 1440, got `-5`
hours.yaml:11:5: unknown key `clsed_dates`; did you mean `closed_dates`?
hours.yaml:12:3: `Yoyogi` is not a salon's name; use lower-case letters, digits, `_` and `-`
hours.yaml:13:21: `client` stands twice (first in line 13); delete one
hours.yaml:14:16: `manager` is not a role; did you mean `role:manager`?"""
    )


@pytest.mark.parametrize(
    "text",
    ["", "[]", "salons: aoyama", "salons: [aoyama]", "salons: {a: }", "salons: {a: {weekly: []}}"],
)
def test_a_file_of_another_shape_is_findings_and_nothing_else(text):
    assert messages(text)


def test_protected_must_be_said_even_if_it_is_nothing():
    assert messages("salons: {a: {timezone: UTC, weekly: {mon: ['10:00-11:00']}}}") == [
        "the key `protected` is missing"
    ]


def test_a_mistyped_key_is_an_error_not_a_missing_holiday():
    assert message(closed_date=["2026-08-13"]) == (
        "unknown key `closed_date`; did you mean `closed_dates`?"
    )


def test_everyone_cannot_be_exempt():
    text = "salons: {a: {timezone: UTC, weekly: {mon: ['10:00-11:00']}}}\nprotected: [client]\n"
    [only] = messages(text + "exempt_roles: [role:anyone]")
    assert only == "`role:anyone` cannot be exempt: the window would hold nobody"


# --- one text -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "tail"),
    [
        ("10:00", "write hours like `10:00-19:00`"),
        ("10-19", "write hours like `10:00-19:00`"),
        ("", "write hours like `10:00-19:00`"),
        ("１０：００〜１９：００", "did you mean `10:00-19:00`?"),
        ("10:00–19:00", "did you mean `10:00-19:00`?"),
        ("١٠:٠٠-١٩:٠٠", "write hours like `10:00-19:00`"),
        ("10:00〜99:00", "write hours like `10:00-19:00`"),
    ],
)
def test_what_is_not_an_opening_time_is_refused_with_what_was_meant(typed, tail):
    assert message(weekly={"sat": [typed]}) == f"`{typed}` is not an opening time; {tail}"


def test_a_control_character_is_shown_and_does_not_break_the_finding_into_lines():
    assert message(weekly={"sat": ["10:00-19:00\n"]}) == (
        "`10:00-19:00\\n` is not an opening time; did you mean `10:00-19:00`?"
    )


def test_a_long_text_is_shortened_in_its_finding():
    assert message(closed_dates=["9" * 100_000]).startswith(f"`{'9' * 57}...` is not a date")


def test_a_time_after_midnight_in_the_25_hour_style_is_refused_with_the_right_spelling():
    assert "write `20:00-02:00`" in message(weekly={"sat": ["20:00-26:00"]})


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("10:60-19:00", "a minute above 59"),
        ("10:00-19:75", "a minute above 59"),
        ("24:00-02:00", "starts after `23:59`"),
        ("10:00-34:01", "longer than 24 hours"),
    ],
)
def test_impossible_times_are_refused(typed, part):
    assert part in message(weekly={"sat": [typed]})


def test_hours_that_are_no_list_are_refused():
    assert message(weekly={"sat": "10:00-19:00"}) == (
        "write a list in `[ ]`, `[]` for none; got `10:00-19:00`"
    )


@pytest.mark.parametrize(
    ("typed", "tail"),
    [
        ("2026/8/13", "did you mean `2026-08-13`?"),
        ("2026年8月13日", "did you mean `2026-08-13`?"),
        ("２０２６-０８-１３", "did you mean `2026-08-13`?"),
        ("20260813", "write dates like `2026-08-13`"),
        ("2026-W33-4", "write dates like `2026-08-13`"),
        ("13.08.2026", "write dates like `2026-08-13`"),
    ],
)
@pytest.mark.parametrize("key", ["closed_dates", "public_holidays", "special_openings"])
def test_a_date_in_another_form_is_refused(key, typed, tail):
    value = {typed: ["10:00-11:00"]} if key == "special_openings" else [typed]
    assert message(**{key: value}) == f"`{typed}` is not a date; {tail}"


@pytest.mark.parametrize("typed", ["0206-08-13", "2206-08-13"])
def test_a_year_of_another_age_is_a_slip_of_the_finger(typed):
    assert message(closed_dates=[typed]) == f"`{typed}` is not between the years 2000 and 2199"


@pytest.mark.parametrize(
    ("typed", "tail"),
    [
        ("Kyiv", "did you mean `Europe/Kyiv`?"),
        ("asia/tokyo", "did you mean `Asia/Tokyo`?"),
        ("+09:00", "write an IANA name like `Asia/Tokyo`"),
        ("localtime", None),
        ("../../etc/passwd", "write an IANA name like `Asia/Tokyo`"),
        ("", "write an IANA name like `Asia/Tokyo`"),
    ],
)
def test_an_unknown_zone_is_refused(typed, tail):
    text = message(timezone=typed)
    assert text.startswith(f"unknown time zone `{typed}`; ")
    assert tail is None or text.endswith(tail)


@pytest.mark.parametrize("typed", ["tues", "6th mon", "last", "2nd", "every tue", "TUE", "火"])
def test_an_unknown_holiday_phrase_is_refused(typed):
    assert message(regular_holidays=[typed]).startswith(f"unknown regular holiday `{typed}`; ")


@pytest.mark.parametrize("typed", ["-1", "1441", "99999999", "1.5", "60m", "", "６０"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_grace_below_zero_above_a_day_or_not_in_minutes_is_refused(side, typed):
    assert message(grace={side: typed}) == (
        f"a grace is whole minutes from 0 to 1440, got `{typed}`"
    )


def test_a_grace_of_a_whole_day_is_allowed():
    assert a_salon(grace={"after": "1440"}).grace_after.days == 1


@pytest.mark.parametrize("typed", ["manager", "staff:hana", "role:", "Role:manager", "role:Ken"])
def test_an_exempt_role_needs_its_prefix(typed):
    text = "salons: {a: {timezone: UTC, weekly: {mon: ['10:00-11:00']}}}\nprotected: [client]\n"
    [only] = messages(f"{text}exempt_roles: ['{typed}']")
    assert only.startswith(f"`{typed}` is not a role; ")


# --- what says two things at once -----------------------------------------------------


@pytest.mark.parametrize("key", ["closed_dates", "public_holidays"])
def test_a_date_that_stands_twice_is_an_error(key):
    assert message(**{key: ["2026-08-13", "2026-08-14", "2026-08-13"]}) == (
        "`2026-08-13` stands twice (first in line 1); delete one"
    )


def test_intervals_of_a_day_that_overlap_are_an_error_in_any_order():
    assert "overlaps" in message(weekly={"sat": ["15:00-20:00", "10:00-15:01"]})
    assert "overlaps" in message(weekly={"sat": ["22:00-03:00", "23:00-23:30"]})
    assert "overlaps" in message(special_openings={"2026-12-29": ["10:00-12:00", "10:00-12:00"]})


def test_a_long_interval_overlaps_every_later_one_it_covers():
    assert (
        len(messages(a_file(weekly={"sat": ["09:00-20:00", "10:00-11:00", "12:00-13:00"]}))) == 2
    )


def test_adjoining_intervals_of_a_day_are_fine():
    assert a_salon(weekly={"sat": ["15:00-20:00", "10:00-15:00"]})


def test_a_night_that_runs_into_the_next_weekdays_hours_is_a_warning():
    week = {"sat": ["20:00-02:00"], "sun": ["01:59-05:00"]}
    assert warnings_of(a_file(weekly=week)) == [
        "`20:00-02:00` runs into the next day's hours (line 1); they join"
    ]
    week["sun"] = ["02:00-05:00"]
    assert warnings_of(a_file(weekly=week)) == []


def test_a_sunday_night_that_runs_into_mondays_hours_is_a_warning():
    assert warnings_of(a_file(weekly={"sun": ["20:00-02:00"], "mon": ["01:00-05:00"]}))


def test_a_special_night_that_runs_into_the_next_days_hours_is_a_warning():
    special = {"2026-11-20": ["20:00-11:00"]}
    assert len(warnings_of(a_file(special_openings=special))) == 1
    assert warnings_of(a_file(special_openings=special, closed_dates=["2026-11-21"])) == []


def test_a_date_both_closed_and_specially_opened_is_a_warning():
    text = a_file(closed_dates=["2026-12-29"], special_openings={"2026-12-29": ["10:00-22:00"]})
    assert warnings_of(text) == ["`2026-12-29` is in `closed_dates` too; the special opening wins"]


def test_hours_on_a_regular_holiday_are_a_warning():
    assert warnings_of(a_file(regular_holidays=["sat"])) == [
        "`sat` is a regular holiday; these hours are never used"
    ]
    assert warnings_of(a_file(regular_holidays=["2nd sat"])) == []


def test_a_round_the_clock_interval_by_equal_times_is_a_warning():
    assert warnings_of(a_file(weekly={"sat": ["10:00-10:00"]})) == [
        "`10:00-10:00` is open for 24 hours; is it meant?"
    ]
    assert warnings_of(a_file(weekly={"sat": ["00:00-24:00"]})) == []


def test_a_salon_that_never_opens_and_a_file_that_protects_nothing_are_warnings():
    assert warnings_of("salons: {a: {timezone: UTC, weekly: {}}}\nprotected: []") == [
        "the salon never opens; give it hours",
        "nothing is protected; the opening hours close nothing",
    ]
    assert warnings_of("salons: {}\nprotected: [client]") == [
        "no salon has hours; everything protected is closed to all"
    ]


# --- one day --------------------------------------------------------------------------

EVERYTHING = """\
salons:
  aoyama:
    timezone: Asia/Tokyo
    weekly:
      sat: ["10:00-19:00"]
    regular_holidays:
      - 3rd sat
    public_holidays:
      - "2026-11-21"
    closed_dates:
      - "2026-11-21"
    special_openings:
      "2026-11-21": ["12:00-13:00"]
protected: [client]
"""


def test_the_strongest_rule_speaks_and_its_line_is_named():
    """Take away the strongest rule, one after the other."""
    lines = EVERYTHING.splitlines()
    expected = [
        (HoursSource.SPECIAL_OPENINGS, 13),
        (HoursSource.CLOSED_DATES, 11),
        (HoursSource.PUBLIC_HOLIDAYS, 9),
        (HoursSource.REGULAR_HOLIDAYS, 7),
        (HoursSource.WEEKLY, 5),
    ]
    for source, line in expected:
        hours = calendar_of("\n".join(lines)).salons["aoyama"]
        plan = day_plan(hours, SATURDAY)
        assert (plan.source, plan.by) == (source, RuleRef("hours.yaml", line))
        lines[line - 1] = lines[line - 2] = ""
        if line == 5:
            lines[3] = "    weekly: {}"
    hours = calendar_of("\n".join(lines)).salons["aoyama"]
    assert day_plan(hours, SATURDAY) == DayPlan(intervals=(), source=HoursSource.NONE, by=None)


def test_a_special_opening_on_a_closed_date_opens():
    day = str(SUNDAY)
    hours = a_salon(closed_dates=[day], special_openings={day: ["10:00-22:00"]})
    assert local(hours, SUNDAY) == [("22 10:00", "22 22:00")]


def test_special_hours_replace_the_days_and_an_empty_list_closes_it():
    hours = a_salon(special_openings={str(SATURDAY): ["20:00-21:00"]})
    assert local(hours, SATURDAY) == [("21 20:00", "21 21:00")]
    closed = day_plan(a_salon(special_openings={str(SATURDAY): []}), SATURDAY)
    assert (closed.intervals, closed.source) == ((), "special_openings")


@pytest.mark.parametrize(
    ("phrase", "days"),
    [
        ("sat", [7, 14, 21, 28]),
        ("1st sat", [7]),
        ("2nd sat", [14]),
        ("3rd sat", [21]),
        ("4th sat", [28]),
        ("5th sat", []),
        ("last sat", [28]),
        ("last sun", []),
    ],
)
def test_a_regular_holiday_closes_the_right_saturdays_of_november(phrase, days):
    hours = a_salon(regular_holidays=[phrase])
    saturdays = [7, 14, 21, 28]
    closed = [d for d in saturdays if not day_plan(hours, date(2026, 11, d)).intervals]
    assert closed == days


def test_the_fifth_and_the_last_sunday_can_be_one_day():
    for phrase in ("5th sun", "last sun"):
        hours = a_salon(weekly={"sun": ["10:00-11:00"]}, regular_holidays=[phrase])
        assert day_plan(hours, date(2026, 11, 29)).source == "regular_holidays"
        assert day_plan(hours, date(2026, 11, 22)).source == "weekly"


def test_the_last_of_a_month_is_within_its_last_seven_days():
    # November 2026 has 30 days: Tuesday the 24th is its last, Monday the 23rd is not.
    hours = a_salon(weekly={}, regular_holidays=["last mon", "last tue"])
    days = [d for d in range(1, 31) if day_plan(hours, date(2026, 11, d)).by is not None]
    assert days == [24, 30]


def test_24_00_and_00_00_are_the_same_end():
    for end in ("24:00", "00:00"):
        hours = a_salon(weekly={"sat": [f"15:00-{end}"]})
        assert local(hours, SATURDAY) == [("21 15:00", "22 00:00")]


def test_one_digit_hours_and_blanks_round_the_dash_are_read():
    assert local(a_salon(weekly={"sat": ["9:00 - 18:30"]}), SATURDAY) == [("21 09:00", "21 18:30")]


def test_a_holiday_on_the_next_day_does_not_cut_the_night():
    hours = a_salon(weekly={"sat": ["20:00-02:00"]}, closed_dates=[str(SUNDAY)])
    assert local(hours, SATURDAY) == [("21 20:00", "22 02:00")]
    assert day_plan(hours, SUNDAY).source == "closed_dates"


# --- summer time ----------------------------------------------------------------------


def kyiv(hours):
    return a_salon(timezone="Europe/Kyiv", weekly={"sat": [hours], "sun": [hours]})


def test_a_kyiv_saturday_night_is_an_hour_shorter_in_march_and_longer_in_october():
    hours = kyiv("20:00-05:00")
    assert day_plan(hours, date(2026, 3, 28)).intervals == (
        (utc("2026-03-28T18:00"), utc("2026-03-29T02:00")),  # 8 hours
    )
    assert day_plan(hours, date(2026, 10, 24)).intervals == (
        (utc("2026-10-24T17:00"), utc("2026-10-25T03:00")),  # 10 hours
    )


def test_a_time_that_does_not_exist_is_read_with_the_offset_before_the_gap():
    # 03:30 on 2026-03-29 in Kyiv: the clock goes from 02:59 to 04:00.
    assert day_plan(kyiv("20:00-03:30"), date(2026, 3, 28)).intervals == (
        (utc("2026-03-28T18:00"), utc("2026-03-29T01:30")),
    )


def test_a_time_that_occurs_twice_is_its_first_occurrence():
    # 03:30 on 2026-10-25 in Kyiv is 00:30 UTC and again 01:30 UTC.
    assert day_plan(kyiv("20:00-03:30"), date(2026, 10, 24)).intervals == (
        (utc("2026-10-24T17:00"), utc("2026-10-25T00:30")),
    )
    assert day_plan(kyiv("03:30-05:00"), date(2026, 10, 25)).intervals == (
        (utc("2026-10-25T00:30"), utc("2026-10-25T03:00")),
    )


def test_an_interval_that_the_clocks_change_eats_is_no_interval():
    # 03:30 is read as 04:30 summer time, after the end.
    plan = day_plan(kyiv("03:30-04:15"), date(2026, 3, 29))
    assert (plan.intervals, plan.source) == ((), "weekly")
    assert day_plan(kyiv("03:00-04:00"), date(2026, 3, 29)).intervals == ()


def test_lord_howe_moves_its_clock_by_half_an_hour():
    hours = a_salon(timezone="Australia/Lord_Howe", weekly={"sun": ["01:00-03:00"]})
    [(opening, closing)] = day_plan(hours, date(2026, 10, 4)).intervals
    assert (closing - opening).total_seconds() == 90 * 60
