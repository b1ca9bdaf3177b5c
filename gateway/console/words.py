"""texts.yaml as values: what the console says, in five languages; complete or not at all.

A text without one of the languages, with other placeholders in one of them, or a reason without
a heading keeps the program from starting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from string import Formatter
from typing import Self

from pydantic import Field, model_validator

from gateway.domain.reason import STATUS, Reason
from gateway.texts.yamltext import Strict, parse_yaml, validate


class Locale(Strict):
    """How a language names itself and writes a moment.

    Attributes:
        weekdays: short, Monday first.
        months: short, January first.
    """

    name: str = Field(min_length=1)
    weekdays: tuple[str, ...] = Field(min_length=7, max_length=7)
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    moment: str

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        wanted = {"weekday", "day", "month", "time"}
        if _fields(self.moment) != wanted:
            raise ValueError(f"`moment` must hold exactly the placeholders {sorted(wanted)}")
        return self


class Texts(Strict):
    """All of texts.yaml.

    Attributes:
        reasons: under which heading a refusal is counted: the name of a text.
        texts: name → language → text.
    """

    languages: dict[str, Locale]
    reasons: dict[Reason, str]
    texts: dict[str, dict[str, str]]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        everyone = set(self.languages)
        for name, texts in self.texts.items():
            if set(texts) != everyone:
                raise ValueError(f"`{name}` lacks a language, or has one too many")
            if len({frozenset(_fields(text)) for text in texts.values()}) != 1:
                raise ValueError(f"`{name}` has other placeholders in one language")
            if not all(texts.values()):
                raise ValueError(f"`{name}` is empty in one language")
        if missing := sorted(set(STATUS) - set(self.reasons)):
            raise ValueError(f"these reasons have no heading: {missing}")
        if unknown := sorted(set(self.reasons.values()) - set(self.texts)):
            raise ValueError(f"these headings have no texts: {unknown}")
        return self


@dataclass(frozen=True, slots=True)
class Speech:
    """The texts in one language."""

    language: str
    locale: Locale
    texts: Mapping[str, Mapping[str, str]]

    def say(self, name: str, /, **values: object) -> str:
        """A text with its placeholders filled in. Raises KeyError for one that is not there."""
        return self.texts[name][self.language].format(**values)

    def moment(self, moment: datetime, now: datetime) -> str:
        """A moment on the clock it carries: `19:00` today, `Tue 24 Nov, 19:00` on another day."""
        time = f"{moment:%H:%M}"
        if moment.date() == now.date():
            return self.say("today_at", time=time)
        return self.locale.moment.format(
            weekday=self.locale.weekdays[moment.weekday()],
            day=moment.day,
            month=self.locale.months[moment.month - 1],
            time=time,
        )

    def age(self, age: timedelta) -> str:
        """`3 min ago`, in the largest whole unit."""
        minutes = max(0, age // timedelta(minutes=1))
        for name, size in (("days_ago", 24 * 60), ("hours_ago", 60), ("minutes_ago", 1)):
            if minutes >= size:
                return self.say(name, n=minutes // size)
        return self.say("just_now")


def _fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


def _load() -> Texts:
    text = files("gateway.console").joinpath("texts.yaml").read_text(encoding="utf-8")
    return validate(parse_yaml(text, "texts.yaml"), Texts)


TEXTS = _load()
SPEECHES = {
    language: Speech(language, locale, TEXTS.texts) for language, locale in TEXTS.languages.items()
}
