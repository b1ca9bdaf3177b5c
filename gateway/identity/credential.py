"""A request → the one credential in it: a token, or what the CRM's own login issued.

Of tokens: `Authorization: Bearer` or one configured cookie. Of a CRM's credentials: the one
form its adapter names. Never two: somebody downstream might take the other. A browser sends a
cookie along with a form of any site, so with a cookie whatever can change something must come
from our own origin.
"""

import re

from gateway.domain.errors import RequestError
from gateway.domain.http import SAFE_METHODS, Inbound
from gateway.domain.login import Place, Source
from gateway.domain.reason import Cause, Reason
from gateway.identity.compact import MAX_TOKEN_CHARS, refuse

# RFC 9110 11.1: the scheme is case-insensitive; RFC 6750 2.1: one space, then b64token.
_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9._~+/-]+=*)", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_BLANK = " \t"
# RFC 6265 4.1.1: cookie-octet. Wider than b64token, since CRMs put `|`, `:` or `%` in theirs;
# in a header it still has no blank, comma, semicolon or quote that would end it for somebody.
_OCTETS = re.compile(r"[!#-+\--:<-\[\]-~]+")


def credential(inbound: Inbound, *, cookie: str | None, own_origins: frozenset[str]) -> str:
    """Find the token. Whether it is any good, `claims.verify` says.

    Args:
        inbound: the request as it came; only its method and headers are read.
        cookie: the name of the cookie that may carry it; None = no cookie may.
        own_origins: as browsers write them in `Origin`: `https://crm.salon.example`.

    Raises:
        RequestError: UNAUTHENTICATED with NO_CREDENTIAL, TWO_CREDENTIALS or
            TOKEN_MALFORMED; ORIGIN_REFUSED.
    """
    headers = inbound.values("authorization")
    cookies = () if cookie is None else _cookie_values(inbound.values("cookie"), cookie)
    if len(headers) + len(cookies) > 1:
        refuse(Cause.TWO_CREDENTIALS)
    if headers:
        return _matched(_BEARER.fullmatch(headers[0]))
    if not cookies:
        refuse(Cause.NO_CREDENTIAL)
    token = _matched(_TOKEN.fullmatch(cookies[0]), group=0)
    _require_own_origin(inbound, own_origins)
    return token


def presented(
    inbound: Inbound, form: Source, *, cookie: str | None, own_origins: frozenset[str]
) -> str:
    """Find the credential of the CRM's login. Whose it is, only the state knows.

    Args:
        inbound: the request as it came; only its method and headers are read.
        form: the declared one.
        cookie: the name of the cookie that may carry a token of ours, which is another
            credential; None = none may.
        own_origins: as for `credential`.

    Raises:
        RequestError: as `credential`.
    """
    others = [Source(place=Place.HEADER, name="authorization")]
    others += [] if cookie is None else [Source(place=Place.COOKIE, name=cookie)]
    beside = [o for o in others if (o.place, o.name) != (form.place, form.name)]
    value = found_at(inbound, form)
    if any(_raw(inbound, other) for other in beside):
        refuse(Cause.NO_CREDENTIAL if value is None else Cause.TWO_CREDENTIALS)
    if value is None:
        refuse(Cause.NO_CREDENTIAL)
    if form.place is Place.COOKIE:
        _require_own_origin(inbound, own_origins)
    return value


def found_at(inbound: Inbound, form: Source) -> str | None:
    """What stands in this cookie or header; None = nothing does.

    The value is what the CRM issued, character by character: another spelling that the CRM
    might read alike (quotes, `%41`) is another value, and so unknown.

    Raises:
        RequestError: UNAUTHENTICATED with TWO_CREDENTIALS or TOKEN_MALFORMED.
    """
    values = _raw(inbound, form)
    if len(values) > 1:
        refuse(Cause.TWO_CREDENTIALS)
    if not values:
        return None
    value = values[0]
    if form.place is Place.HEADER and form.scheme:
        scheme, blank, value = value.partition(" ")
        if not blank or scheme.lower() != form.scheme.lower():
            refuse(Cause.TOKEN_MALFORMED)
    if not is_credential(value, quotes=form.place is Place.COOKIE):
        refuse(Cause.TOKEN_MALFORMED)
    return value


def is_credential(text: str, *, quotes: bool) -> bool:
    """Could this be a credential? In `quotes` it may stand where it is a cookie's value."""
    bare = text[1:-1] if quotes and len(text) > 2 and text[0] == text[-1] == '"' else text
    return len(text) <= MAX_TOKEN_CHARS and _OCTETS.fullmatch(bare) is not None


def _raw(inbound: Inbound, form: Source) -> tuple[str, ...]:
    values = inbound.values("cookie" if form.place is Place.COOKIE else form.name)
    return _cookie_values(values, form.name) if form.place is Place.COOKIE else values


def require_no_foreign_origin(inbound: Inbound, own_origins: frozenset[str]) -> None:
    """At the login there is no session yet that a foreign page could use, but it could start one.

    Browsers name the origin of every form that is sent; apps name none.

    Raises:
        RequestError: ORIGIN_REFUSED.
    """
    if inbound.values("origin"):
        _require_origin(inbound, own_origins)


def _matched(found: re.Match[str] | None, group: int = 1) -> str:
    if found is None:
        refuse(Cause.TOKEN_MALFORMED)
    return found[group]


def _cookie_values(headers: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Every value our cookie has, over all `Cookie` headers.

    Other people's cookies are not ours to judge, unless they blur where ours begins.
    """
    pieces = [piece.strip(_BLANK) for header in headers for piece in header.split(";")]
    pairs = [piece.partition("=") for piece in pieces]
    values = tuple(value for key, _, value in pairs if key.strip() == name)
    if not values:
        return ()
    # Some readers let `"` hide a `;`: `a="x; token=y"` is one cookie to them and two to us.
    if any(piece.count('"') % 2 for piece in pieces):
        refuse(Cause.TOKEN_MALFORMED)
    # RFC 6265 4.1.1: no blanks round the `=`. Readers differ on what the name is then.
    if any(key != name or not equals for key, equals, _ in pairs if key.strip() == name):
        refuse(Cause.TOKEN_MALFORMED)
    return values


def _require_own_origin(inbound: Inbound, own_origins: frozenset[str]) -> None:
    """RFC 6454 7.3. `null` and a missing header are somebody else's page.

    A WebSocket opens with GET and no CORS check, yet everything can be sent through it.
    """
    if inbound.method in SAFE_METHODS and not inbound.values("upgrade"):
        return
    _require_origin(inbound, own_origins)


def _require_origin(inbound: Inbound, own_origins: frozenset[str]) -> None:
    origins = inbound.values("origin")
    if len(origins) != 1 or origins[0] not in own_origins:
        raise RequestError(
            Reason.ORIGIN_REFUSED, "this request does not come from a page of this address"
        )
