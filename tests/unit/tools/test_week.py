"""A salon's usual week in words, and which sides of the window there ever are."""

import pytest

from gateway.enforcer.calendar import parse_hours
from gateway.enforcer.week import sides
from gateway.texts.yamltext import parse_yaml
from gateway.tools.week import week_in_words

EVERY_DAY = "mon: [H], tue: [H], wed: [H], thu: [H], fri: [H], sat: [H], sun: [H]"


def hours(weekly, more=""):
    text = f"salons: {{a: {{timezone: Asia/Tokyo, weekly: {{{weekly}}}{more}}}}}\nprotected: []\n"
    return parse_hours(parse_yaml(text, "hours.yaml")).salons["a"]


def all_week(interval):
    return EVERY_DAY.replace("H", f'"{interval}"')


@pytest.mark.parametrize(
    ("weekly", "more", "said"),
    [
        ('tue: ["10:00-19:00"]', "", "Tue 10:00-19:00"),
        (all_week("10:00-19:00"), "", "Mon-Sun 10:00-19:00"),
        (
            'mon: ["10:00-19:00"], wed: ["10:00-19:00"], thu: ["10:00-19:00"]',
            "",
            "Mon, Wed, Thu 10:00-19:00",
        ),
        ('mon: ["10:00-19:00"]', ", grace: {before: 60, after: 30}", "Mon 09:00-19:30"),
        (
            'mon: ["10:00-14:00", "15:00-20:00"]',
            ", grace: {before: 60, after: 60}",
            "Mon 09:00-21:00",
        ),
        ('mon: ["10:00-12:00", "15:00-20:00"]', "", "Mon 10:00-12:00, 15:00-20:00"),
        ('sat: ["20:00-02:00"]', "", "Sat 20:00-02:00"),
        ('fri: ["20:00-24:00"]', "", "Fri 20:00-24:00"),
        ('sun: ["20:00-24:00"], mon: ["00:00-02:00"]', "", "Sun 20:00-02:00"),
        (
            'fri: ["10:00-24:00"], sat: ["00:00-24:00"]',
            "",
            "Fri 10:00-Sun 00:00",
        ),
        ('mon: ["00:30-02:00"]', ", grace: {before: 60}", "Sun 23:30-02:00"),
        (all_week("10:00-19:00"), ", regular_holidays: [tue]", "Mon, Wed-Sun 10:00-19:00"),
        (
            'tue: ["10:00-19:00"]',
            ", regular_holidays: [2nd tue], special_openings: {2026-12-29: ['10:00-12:00']}",
            "Tue 10:00-19:00; except holidays, plus special openings",
        ),
        (
            'tue: ["10:00-19:00"]',
            ", closed_dates: [2026-12-29]",
            "Tue 10:00-19:00; except holidays",
        ),
        ("", ", special_openings: {2026-12-29: ['10:00-12:00']}",
         "on no usual day; plus special openings"),
        ("", "", "on no usual day"),
        (all_week("00:00-24:00"), "", "round the clock"),
        (all_week("06:00-05:00"), ", grace: {before: 30, after: 30}", "round the clock"),
    ],
)  # fmt: skip
def test_the_week_says_when_the_window_is_open(weekly, more, said):
    assert week_in_words(hours(weekly, more)) == said


def test_a_salon_without_hours_is_never_open():
    assert week_in_words(None) == "never"
    assert sides(None) == (False,)


@pytest.mark.parametrize(
    ("weekly", "more", "there"),
    [
        ('tue: ["10:00-19:00"]', "", (True, False)),
        ("", "", (False,)),
        ('tue: ["10:00-19:00"]', ", regular_holidays: [tue]", (False,)),
        ("", ", special_openings: {2026-12-29: ['10:00-12:00']}", (True, False)),
        (all_week("00:00-24:00"), "", (True,)),
        (all_week("00:00-24:00"), ", closed_dates: [2026-12-29]", (True, False)),
        (all_week("00:00-24:00"), ", special_openings: {2026-12-29: []}", (True, False)),
    ],
)
def test_only_sides_that_there_are_can_make_a_difference(weekly, more, there):
    assert sides(hours(weekly, more)) == there
