"""texts.yaml is complete, and dates read as people of each language write them."""

from datetime import datetime
from importlib.resources import files

import pytest

from gateway.domain.finding import PolicyError
from gateway.domain.reason import STATUS
from gateway.proxy.negotiate import Language
from gateway.proxy.wording import WORDING, Wording
from gateway.texts.yamltext import parse_yaml, validate

SCRIPT = {
    Language.EN: ("a", "z"),
    Language.JA: ("\u3040", "\u9fff"),
    Language.KO: ("\uac00", "\ud7a3"),
    Language.UK: ("\u0400", "\u04ff"),
    Language.RU: ("\u0400", "\u04ff"),
}


def the_text():
    return files("gateway.proxy").joinpath("texts.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reason", STATUS)
def test_every_reason_has_its_words_in_every_language(reason, language):
    family = WORDING.family(reason, language)
    low, high = SCRIPT[language]
    for text in (family.title, family.why, family.ask):
        letters = [char for char in text if char.isalpha()]
        native = [char for char in letters if low <= char.lower() <= high]
        assert len(native) > len(letters) * 0.8, text
        assert "{" not in text
        assert text[-1] in ".。"


def test_no_two_languages_say_the_same():
    for family in WORDING.families.values():
        assert len({words.title for words in family.values()}) == len(Language)


def test_ukrainian_and_russian_are_not_mixed_up():
    for name, family in WORDING.families.items():
        uk, ru = ("".join(family[lang].model_dump().values()) for lang in ("uk", "ru"))
        assert not set(uk) & set("ыэъёЫЭЪЁ"), name
        assert not set(ru) & set("іїєґІЇЄҐ"), name


MONDAY = datetime(2026, 11, 23, 9, 0)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (Language.EN, "It opens again at 10:00 on Tuesday 24 November."),
        (Language.JA, "11月24日（火）10:00から再びご利用いただけます。"),
        (Language.KO, "11월 24일 화요일 10:00부터 다시 이용하실 수 있습니다."),
        (Language.UK, "Доступ знову буде у вівторок, 24 листопада, з 10:00."),
        (Language.RU, "Доступ снова откроется во вторник, 24 ноября, в 10:00."),
    ],
)
def test_a_date_reads_as_people_write_it(language, sentence):
    locale = WORDING.languages[language]
    moment = locale.say_moment(datetime(2026, 11, 24, 10, 0), MONDAY)
    assert locale.opens.format(moment=moment) == sentence


@pytest.mark.parametrize(
    ("language", "moment"),
    [
        (Language.EN, "at 10:05 today"),
        (Language.JA, "本日10:05"),
        (Language.KO, "오늘 10:05"),
        (Language.UK, "сьогодні з 10:05"),
        (Language.RU, "сегодня в 10:05"),
    ],
)
def test_the_same_day_is_called_today(language, moment):
    opens = MONDAY.replace(hour=10, minute=5)
    assert WORDING.languages[language].say_moment(opens, MONDAY) == moment


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  unmapped: not_here\n", "", "have no family"),
        ("  unmapped: not_here\n", "  unmapped: elsewhere\n", "have no texts"),
        ('    moment: "at {time} on {date}"', '    moment: "at {time}"', "placeholders"),
        ("Thursday, ", "", "at least 7 items"),
        ("  unmapped: not_here\n", "  unmaped: not_here\n", "unmaped"),
    ],
)
def test_an_incomplete_file_does_not_load(old, new, message):
    assert old in the_text()
    broken = the_text().replace(old, new, 1)
    with pytest.raises(PolicyError, match=message):
        validate(parse_yaml(broken, "texts.yaml"), Wording)


def test_a_family_without_one_language_does_not_load():
    head, _, tail = the_text().partition("\n  closed:\n")
    without_english = tail[tail.index("    ja:") :]
    with pytest.raises(PolicyError, match="lack a language"):
        validate(parse_yaml(f"{head}\n  closed:\n{without_english}", "texts.yaml"), Wording)
