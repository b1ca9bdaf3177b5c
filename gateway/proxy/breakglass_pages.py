"""The pages of break-glass: why do you need it, it is open until then, not now.

House rules: those of the sign-in's pages (`signin_pages.py`): no script, one style sheet inside
the page that its Content-Security-Policy names, every value escaped by the template engine.
"""

import base64
import hashlib
from importlib.resources import files
from string import Formatter
from typing import Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import model_validator

from gateway.domain.http import Answer, Headers
from gateway.identity.grant import MAX_REASON, Blocked
from gateway.proxy.negotiate import Language
from gateway.texts.yamltext import Strict, parse_yaml, validate

_FILLED = {"explain": {"minutes"}, "open_until": {"time"}}


class Words(Strict):
    """What the pages, and the button on the lock screen, say in one language."""

    button: str
    title: str
    card: str
    explain: str
    told: str
    reason: str
    salon: str
    send: str
    bad_reason: str
    open_title: str
    open_until: str
    go: str
    blocked_title: str
    blocked_open: str
    blocked_unreviewed: str
    blocked_nobody: str

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        for name, text in self:
            found = {part for _, part, _, _ in Formatter().parse(text) if part is not None}
            if not text or found != _FILLED.get(name, set()):
                raise ValueError(f"`{name}` is empty, or its placeholders are not the right ones")
        return self

    def blocked(self, why: Blocked) -> str:
        """Why it cannot be asked for."""
        match why:
            case Blocked.OPEN:
                return self.blocked_open
            case Blocked.UNREVIEWED:
                return self.blocked_unreviewed
            case Blocked.NOBODY:
                return self.blocked_nobody


class _Texts(Strict):
    """All of breakglass_texts.yaml."""

    en: Words
    ja: Words
    ko: Words
    uk: Words
    ru: Words


def _load() -> dict[Language, Words]:
    file = "breakglass_texts.yaml"
    text = files("gateway.proxy").joinpath(file).read_text(encoding="utf-8")
    texts = validate(parse_yaml(text, file), _Texts)
    return {language: getattr(texts, language) for language in Language}


WORDS = _load()

_TEMPLATES = Environment(
    loader=PackageLoader("gateway.proxy"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGE = _TEMPLATES.get_template("breakglass.html.j2")
_STYLE = _TEMPLATES.get_template("breakglass.css").render()
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Headers = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cache-Control", "no-store"),
    ("Vary", "Accept-Language, Authorization, Cookie"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
)


def asking(
    language: Language,
    *,
    record: str,
    card: str,
    salons: tuple[str, ...],
    minutes: int,
    reason: str = "",
    chosen: str = "",
    wrong: bool = False,
) -> Answer:
    """The form.

    Args:
        language: the reader's.
        record: the card's address.
        card: its resource and id.
        salons: whose window may be lifted; one at least.
        minutes: for how long.
        reason: what they typed, to be typed once only.
        chosen: the salon they chose.
        wrong: the reason was none.
    """
    words = WORDS[language]
    return _page(
        language,
        422 if wrong else 200,
        title=words.title,
        wrong=words.bad_reason if wrong else "",
        record=record,
        card=card,
        salons=salons,
        minutes=minutes,
        reason=reason[:MAX_REASON],
        chosen=chosen,
    )


def opened(language: Language, *, record: str, time: str) -> Answer:
    """It is open, until a time on the salon's clock; with the way there."""
    words = WORDS[language]
    until = words.open_until.format(time=time)
    return _page(language, 200, title=words.open_title, until=until, record=record)


def not_now(language: Language, why: Blocked, status: int) -> Answer:
    """It cannot be asked for as things stand."""
    words = WORDS[language]
    return _page(language, status, title=words.blocked_title, wrong=words.blocked(why))


def _page(language: Language, status: int, **values: object) -> Answer:
    nothing = {"wrong": "", "until": "", "salons": ()}
    text = _PAGE.render(
        language=str(language), words=WORDS[language], **{**nothing, **values}
    ).encode("utf-8", "replace")
    headers = (*_HEADERS, ("Content-Language", str(language)))
    return Answer(status=status, headers=headers, body=text)
