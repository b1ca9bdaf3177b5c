"""What the console says: everything in five languages, and nothing that nobody says."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.console.words import SPEECHES, TEXTS, Texts
from gateway.domain.reason import STATUS
from gateway.identity.weakness import TEXTS as WEAKNESSES
from gateway.proxy.negotiate import Language

TEMPLATES = Path("gateway/console/templates")
SOURCES = Path("gateway/console")


def test_it_speaks_the_languages_that_people_ask_for():
    assert set(SPEECHES) == set(map(str, Language)) == set(WEAKNESSES)


def test_every_text_stands_in_every_language():
    for name, texts in TEXTS.texts.items():
        assert set(texts) == set(SPEECHES), name


def test_every_refusal_has_a_heading():
    assert set(TEXTS.reasons) == set(STATUS)


def written():
    """Everything that pages and code could name a text with."""
    files = [*TEMPLATES.glob("*.j2"), *SOURCES.glob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_no_text_is_there_for_nothing():
    # Built from a part of a name: `say("state_" ~ salon.state)`.
    built = ("state_", "standing_", "done_", "refused_", "lock_", "unlock_", "offboard_")
    built += ("device_", "approve_", "refuse_")
    text = written()
    for name in TEXTS.texts:
        direct = re.search(rf"[\"']{name}[\"']", text)
        lead = name.endswith("_lead") and re.search(rf"\"{name.removesuffix('_lead')}\"", text)
        assert direct or lead or name.startswith(built), name


@pytest.mark.parametrize(
    "spoilt",
    [
        {"texts": {"back": {"en": "Back"}}},
        {"texts": {"back": {code: "{n}" if code == "ja" else "x" for code in SPEECHES}}},
        {"texts": {"back": dict.fromkeys(SPEECHES, "")}},
        {"reasons": {}},
        {"reasons": {**TEXTS.reasons, "locked": "no_such_text"}},
    ],
)
def test_what_is_not_complete_does_not_load(spoilt):
    whole = TEXTS.model_dump()
    with pytest.raises(ValidationError):
        Texts.model_validate(whole | spoilt | {"texts": whole["texts"] | spoilt.get("texts", {})})


NOW = datetime.fromisoformat("2026-11-24T12:00+09:00")


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Wed 25 Nov, 09:00"),
        ("ja", "11月25日（水）09:00"),
        ("ko", "11월 25일(수) 09:00"),
        ("uk", "ср 25 лист., 09:00"),
        ("ru", "ср 25 нояб., 09:00"),
    ],
)
def test_a_moment_is_said_as_people_say_it(language, said):
    tomorrow = datetime.fromisoformat("2026-11-25T09:00+09:00")
    assert SPEECHES[language].moment(tomorrow, NOW) == said


def test_a_moment_of_today_needs_no_date():
    assert SPEECHES["en"].moment(NOW + timedelta(hours=7), NOW) == "today, 19:00"


@pytest.mark.parametrize(
    ("age", "said"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (90000, "1 d ago")],
)
def test_an_age_is_said_in_its_largest_whole_unit(age, said):
    assert SPEECHES["en"].age(timedelta(seconds=age)) == said
