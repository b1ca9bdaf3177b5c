"""The sign-in's own pages: forms and a button, in the reader's language.

House rules: no script, nothing from outside, one style sheet inside the page that the
Content-Security-Policy names by its hash. Every value is escaped by the template engine; a
password that was typed is never written back. `Referrer-Policy` is `same-origin`, not
`no-referrer`: with that one browsers send `Origin: null` with our own forms (Fetch, "append a
request `Origin` header"), and those are refused.
"""

import base64
import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from string import Formatter
from typing import Self

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import model_validator

from gateway.domain.http import Answer, Headers
from gateway.identity.totp import grouped
from gateway.identity.weakness import TEXTS, Weakness
from gateway.proxy.negotiate import Language
from gateway.texts.yamltext import Strict, parse_yaml, validate

MINUTE = 60
MAX_NAME = 64  # characters of a name that are written back


class Page(StrEnum):
    """Which page: the last part of its address."""

    SIGN_IN = "sign-in"
    PASSWORD = "password"  # noqa: S105  # a name, not a secret
    SIGN_OUT = "sign-out"
    CODE = "code"
    SECOND_FACTOR = "second-factor"
    SET_UP = "set-up"
    RECOVERY = "recovery"  # has no address: it answers a SET_UP, once


class Words(Strict):
    """What the pages say in one language."""

    sign_in: str
    name: str
    password: str
    forgotten: str
    change_link: str
    wrong: str
    wait_seconds: str
    wait_minutes: str
    change: str
    given: str
    hint: str
    old: str
    new: str
    again: str
    save: str
    differ: str
    sign_out: str
    sign_out_why: str
    code_title: str
    code_lead: str
    code: str
    code_wrong: str
    too_late: str
    code_if: str
    second: str
    second_why: str
    second_link: str
    go_on: str
    set_up: str
    set_up_why: str
    required: str
    open_app: str
    key: str
    picture: str
    elsewhere: str
    recovery: str
    recovery_why: str

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        for name, text in self:
            found = {part for _, part, _, _ in Formatter().parse(text) if part is not None}
            if not text or found != ({"count"} if name.startswith("wait_") else set()):
                raise ValueError(f"`{name}` is empty, or its placeholders are not the right ones")
        return self

    def wait(self, seconds: float) -> str:
        """How long to wait."""
        if seconds < 2 * MINUTE:
            return self.wait_seconds.format(count=max(1, math.ceil(seconds)))
        return self.wait_minutes.format(count=math.ceil(seconds / MINUTE))

    def title(self, page: Page) -> str:
        """The big sentence."""
        match page:
            case Page.SIGN_IN:
                return self.sign_in
            case Page.PASSWORD:
                return self.change
            case Page.SIGN_OUT:
                return self.sign_out
            case Page.CODE:
                return self.code_title
            case Page.SECOND_FACTOR:
                return self.second
            case Page.SET_UP:
                return self.set_up
            case Page.RECOVERY:
                return self.recovery


class _Texts(Strict):
    """All of signin_texts.yaml."""

    en: Words
    ja: Words
    ko: Words
    uk: Words
    ru: Words


def _load() -> dict[Language, Words]:
    file = "signin_texts.yaml"
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
_PAGE = _TEMPLATES.get_template("signin.html.j2")
_STYLE = _TEMPLATES.get_template("signin.css").render()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Headers = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cache-Control", "no-store"),
    ("Vary", "Accept-Language, Cookie"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What a page says of a second factor.

    Attributes:
        ticket: goes along with the form.
        secret: the key, in base32; "" = it is not shown.
        uri: the key as apps take it.
        recovery: codes to be written down.
    """

    ticket: str = ""
    secret: str = field(default="", repr=False)
    uri: str = field(default="", repr=False)
    recovery: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """The key, to be copied by eye."""
        return grouped(self.secret)

    @property
    def picture(self) -> Markup:
        """The address of the key as a QR code; nothing of it stands in the picture as text."""
        drawn = segno.make(self.uri, error="m", micro=False)
        svg = drawn.svg_inline(scale=5, border=4, light="#fff", dark="#000", omitsize=True)
        return Markup(svg)  # noqa: S704  # drawn by us: squares, nothing that anybody typed


NOTHING = Second()


def page(
    which: Page,
    language: Language,
    *,
    status: int = 200,
    name: str = "",
    next_page: str = "/",
    wrong: tuple[str, ...] = (),
    second: Second = NOTHING,
    headers: Headers = (),
    elsewhere: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """One page.

    Args:
        which: which one.
        language: the reader's.
        status: of the answer.
        name: what they typed as their name, to be typed once only.
        next_page: where they go from here, as a target that was looked at.
        wrong: what is wrong, in their language.
        second: what it says of a second factor.
        headers: further ones.
        elsewhere: of other places to sign in at: a name, and an address of ours.
    """
    words = WORDS[language]
    text = _PAGE.render(
        page=str(which),
        language=str(language),
        title=words.title(which),
        words=words,
        name=name[:MAX_NAME],
        next=next_page,
        wrong=wrong,
        second=second,
        elsewhere=elsewhere,
    )
    return Answer(
        status=status,
        headers=(*_HEADERS, ("Content-Language", str(language)), *headers),
        body=text.encode("utf-8", "replace"),
    )


def weak_lines(weak: tuple[Weakness, ...], language: Language) -> tuple[str, ...]:
    """Everything wrong with a new password, in sentences."""
    return tuple(TEXTS[language][one] for one in weak)
