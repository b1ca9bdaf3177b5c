"""Refusal → a page for people: what, until when, why, whom to ask, which number to quote.

House rules: no script, nothing from outside, one style sheet inside the page that the
Content-Security-Policy names by its hash. Every value is escaped by the template engine.
"""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.domain.decision import Refusal
from gateway.domain.reason import Reason
from gateway.domain.time import Instant
from gateway.proxy.breakglass_pages import WORDS as BREAK_GLASS_WORDS
from gateway.proxy.negotiate import Language
from gateway.proxy.problem import zone_of
from gateway.proxy.signin_pages import WORDS
from gateway.proxy.wording import WORDING, Locale

CONTENT_TYPE = "text/html; charset=utf-8"

_TEMPLATES = Environment(
    loader=PackageLoader("gateway.proxy"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGE = _TEMPLATES.get_template("refusal.html.j2")
_STYLE = _TEMPLATES.get_template("refusal.css").render()

# The CRM may show our page in a frame of its own; nobody else may.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def screen(
    refusal: Refusal,
    language: Language,
    now: Instant,
    *,
    sign_in: str | None = None,
    break_glass: str | None = None,
) -> bytes:
    """The page of a refusal in the reader's language, UTF-8.

    Args:
        refusal: what is said.
        language: the reader's.
        now: for the moment of opening.
        sign_in: the address where people sign in; None = they do so elsewhere.
        break_glass: the address where this card can be asked for; None = it cannot.
    """
    locale = WORDING.languages[language]
    page = _PAGE.render(
        language=str(language),
        words=WORDING.family(refusal.reason, language),
        opening=_opening(refusal, locale, now),
        quote=locale.quote,
        contact=refusal.detail if refusal.reason is Reason.INCIDENT else "",
        request_id=refusal.request_id,
        reason=str(refusal.reason),
        sign_in=sign_in if refusal.reason is Reason.UNAUTHENTICATED else None,
        sign_in_word=WORDS[language].sign_in,
        break_glass=break_glass,
        break_glass_word=BREAK_GLASS_WORDS[language].button,
    )
    return page.encode()


def _opening(refusal: Refusal, locale: Locale, now: Instant) -> dict[str, str] | None:
    """When it opens again, as the template's parts of a sentence; None if hours are not why."""
    if refusal.reason is not Reason.OUTSIDE_HOURS:
        return None
    if refusal.opens_at is None:
        return {"before": locale.opens_unknown, "moment": "", "iso": "", "after": "", "zone": ""}
    zone = zone_of(refusal)
    local = refusal.opens_at.astimezone(zone)
    before, _, after = locale.opens.partition("{moment}")
    return {
        "before": before,
        "moment": locale.say_moment(local, now.astimezone(zone)),
        "iso": local.isoformat(),
        "after": after,
        "zone": locale.zone.format(zone=zone.key),
    }
