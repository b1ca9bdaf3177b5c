"""Refusal → Answer: which form, which headers. The only place where refusals get headers.

Every refusal of one reason carries the same header names with the same values, whatever
lay behind it; `Retry-After` outside hours is the one that follows the clock.
"""

import math
from urllib.parse import quote

from gateway.domain.decision import Refusal
from gateway.domain.http import Answer, Headers, Inbound
from gateway.domain.reason import STATUS, Reason
from gateway.domain.time import Instant
from gateway.mapping.guard import METHODS
from gateway.mapping.pattern import RESERVED
from gateway.mapping.target import linked_target
from gateway.proxy import negotiate
from gateway.proxy import problem as problem_json
from gateway.proxy import screen as page

# RFC 9110 15.5.6: a 405 names what would be allowed. What the wire lets pass is the same for
# every target; whether a route exists for it is a later question with a later answer.
ALLOWED_METHODS = ", ".join(sorted(METHODS))
RETRY_SECONDS = 1  # state and audit come back within seconds or not by themselves

SIGN_IN = f"/{RESERVED}/sign-in"
BREAK_GLASS = f"/{RESERVED}/break-glass"
MAX_WAY_BACK = 1024  # characters of a target, three times that at most where it is a value

_COMMON: Headers = (
    ("Cache-Control", "no-store"),
    ("Vary", "Accept, Accept-Language, Authorization, Cookie"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


def render(refusal: Refusal, inbound: Inbound, *, now: Instant, sign_in: bool = False) -> Answer:
    """What the client gets for a refusal: a page if it reads pages, else problem+json.

    Args:
        refusal: what is said.
        inbound: to whom.
        now: for `Retry-After` and the page.
        sign_in: people sign in here; the page of a 401 leads them there.
    """
    if inbound.method not in {"GET", "HEAD"} or not negotiate.prefers_html(
        inbound.values("accept")
    ):
        return render_problem(refusal, now=now)
    language = negotiate.language(inbound.values("accept-language"))
    headers = (
        ("Content-Type", page.CONTENT_TYPE),
        ("Content-Language", str(language)),
        ("Content-Security-Policy", page.CONTENT_SECURITY_POLICY),
    )
    return Answer(
        status=STATUS[refusal.reason],
        headers=(*headers, *_COMMON, *_special(refusal, now)),
        body=page.screen(
            refusal,
            language,
            now,
            sign_in=_way_in(inbound) if sign_in else None,
            break_glass=_way_to_ask(refusal) if inbound.method == "GET" else None,
        ),
    )


def render_problem(refusal: Refusal, *, now: Instant) -> Answer:
    """The problem+json form, whatever the client prefers."""
    headers = (
        ("Content-Type", problem_json.CONTENT_TYPE),
        ("Content-Language", "en"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    )
    return Answer(
        status=STATUS[refusal.reason],
        headers=(*headers, *_COMMON, *_special(refusal, now)),
        body=problem_json.problem(refusal, _way_to_ask(refusal)),
    )


def break_glass_address(record: str) -> str:
    """Where a card can be asked for, by the card's address."""
    return f"{BREAK_GLASS}?record={quote(record, safe='')}"


def _way_in(inbound: Inbound) -> str:
    """The sign-in, and back from there to what was asked for."""
    target = linked_target(inbound.target)
    # An address of our own is no way back, and may hold what a provider has sent.
    if target is None or target.segments[:1] == (RESERVED,) or len(target.wire) > MAX_WAY_BACK:
        return SIGN_IN
    return f"{SIGN_IN}?next={quote(target.wire, safe='')}"


def _way_to_ask(refusal: Refusal) -> str | None:
    """Where this card can be asked for; None = it cannot."""
    if refusal.card is None or len(refusal.card) > MAX_WAY_BACK:
        return None
    return break_glass_address(refusal.card)


def _special(refusal: Refusal, now: Instant) -> Headers:
    """What HTTP asks of some statuses."""
    match STATUS[refusal.reason]:
        case 401:  # RFC 9110 15.5.2; without `error=`, which would tell causes apart
            return (("WWW-Authenticate", 'Bearer realm="salon"'),)
        case 405:
            return (("Allow", ALLOWED_METHODS),)
        case 426:  # RFC 9110 15.5.22, RFC 6455 4.4; what is spoken here, whoever asks
            return (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
        case 429 if refusal.retry_seconds is not None:  # RFC 6585 4
            return (("Retry-After", str(max(1, math.ceil(refusal.retry_seconds)))),)
        case 503:
            return (("Retry-After", str(RETRY_SECONDS)),)
        case _ if refusal.reason is Reason.OUTSIDE_HOURS and refusal.opens_at is not None:
            seconds = math.ceil((refusal.opens_at - now).total_seconds())
            return (("Retry-After", str(max(1, seconds))),)
        case _:
            return ()
