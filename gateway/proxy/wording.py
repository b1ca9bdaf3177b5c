"""texts.yaml as values: read once, complete or not at all.

A reason without a family, or a family without one of the languages, keeps the program from
starting: better than a lock screen that says nothing to the person in front of it.
"""

from datetime import datetime
from importlib.resources import files
from string import Formatter
from typing import Self

from pydantic import Field, model_validator

from gateway.domain.reason import STATUS, Reason
from gateway.proxy.negotiate import Language
from gateway.texts.yamltext import Strict, parse_yaml, validate


class Family(Strict):
    """What one family of reasons says in one language.

    Attributes:
        title: what happened, the big sentence.
        why: why it happened.
        ask: what to do now and whom to ask.
    """

    title: str = Field(min_length=1)
    why: str = Field(min_length=1)
    ask: str = Field(min_length=1)


class Locale(Strict):
    """How a language writes a moment, and the sentences that hold one."""

    weekdays: tuple[str, ...] = Field(min_length=7, max_length=7)
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    date: str
    moment: str
    today: str
    opens: str
    opens_unknown: str
    zone: str
    quote: str

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        for name, wanted in _PLACEHOLDERS.items():
            found = {field for _, field, _, _ in Formatter().parse(getattr(self, name)) if field}
            if found != wanted:
                raise ValueError(f"`{name}` must hold exactly the placeholders {sorted(wanted)}")
        return self

    def say_moment(self, moment: datetime, today: datetime) -> str:
        """`at 10:00 on Tuesday 24 November`: both in the salon's zone."""
        time = f"{moment:%H:%M}"
        if moment.date() == today.date():
            return self.today.format(time=time)
        date = self.date.format(
            weekday=self.weekdays[moment.weekday()],
            day=moment.day,
            month=self.months[moment.month - 1],
        )
        return self.moment.format(date=date, time=time)


_PLACEHOLDERS = {
    "date": {"weekday", "day", "month"},
    "moment": {"date", "time"},
    "today": {"time"},
    "opens": {"moment"},
    "opens_unknown": set[str](),
    "zone": {"zone"},
    "quote": set[str](),
}


class Wording(Strict):
    """All of texts.yaml."""

    languages: dict[Language, Locale]
    reasons: dict[Reason, str]
    families: dict[str, dict[Language, Family]]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        everyone = set(Language)
        if set(self.languages) != everyone:
            raise ValueError("every language needs its way to write a moment")
        if missing := sorted(set(STATUS) - set(self.reasons)):
            raise ValueError(f"these reasons have no family: {missing}")
        if unknown := sorted(set(self.reasons.values()) - set(self.families)):
            raise ValueError(f"these families have no texts: {unknown}")
        if lacking := sorted(k for k, texts in self.families.items() if set(texts) != everyone):
            raise ValueError(f"these families lack a language: {lacking}")
        return self

    def family(self, reason: Reason, language: Language) -> Family:
        """What to say about a reason."""
        return self.families[self.reasons[reason]][language]


def _load() -> Wording:
    text = files("gateway.proxy").joinpath("texts.yaml").read_text(encoding="utf-8")
    return validate(parse_yaml(text, "texts.yaml"), Wording)


WORDING = _load()
