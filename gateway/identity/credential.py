"""A request → the one token in it.

`Authorization: Bearer` or one configured cookie, never both: with two credentials somebody
downstream might take the other. A browser sends a cookie along with a form of any site, so
with the cookie whatever can change something must come from our own origin.
"""

import re

from gateway.domain.errors import RequestError
from gateway.domain.http import SAFE_METHODS, Inbound
from gateway.domain.reason import Cause, Reason
from gateway.identity.compact import refuse

# RFC 9110 11.1: the scheme is case-insensitive; RFC 6750 2.1: one space, then b64token.
_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9._~+/-]+=*)", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_BLANK = " \t"


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
    origins = inbound.values("origin")
    if len(origins) != 1 or origins[0] not in own_origins:
        raise RequestError(
            Reason.ORIGIN_REFUSED, "this request does not come from a page of this address"
        )
