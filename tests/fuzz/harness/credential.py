"""A token is taken from a request only where it is the one credential, to every reader.

Every cookie parser that sees our cookie sees the same one, and what is sent with a cookie
comes from our own page or changes nothing.
"""

import re
from http.cookies import CookieError, SimpleCookie

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.identity.credential import credential
from tests.fuzz.harness.guard import head
from tests.fuzz.refusals import require_reason

NAME = "token"
_BLANK_INSIDE = re.compile(r"[^;\s]\s+[^;\s]")
OWN = frozenset({"https://crm.salon.example"})
MAX_BYTES = 512
SEEDS = (
    b"GET / 1.1\nAuthorization: Bearer aaa.bbb.ccc",
    b"GET / 1.1\nAuthorization: bearer aaa.bbb.ccc\nCookie: theme=dark",
    b"GET / 1.1\nCookie: theme=dark; token=aaa.bbb.ccc; x=y",
    b"POST / 1.1\nCookie: token=aaa.bbb.ccc\nOrigin: https://crm.salon.example",
    b"GET /live 1.1\nCookie: token=a.b.c\nOrigin: https://crm.salon.example\nUpgrade: websocket",
    b'GET / 1.1\nCookie: a="x; token=evil; y"; token=a.b.c\nCookie: token=d.e.f',
)
# fmt: off
WORDS = (
    b"Authorization: ", b"Cookie: ", b"Origin: ", b"token=", b"TOKEN=", b'"', b"; ", b"Bearer ",
    b"$Version=1", b"\\", b"__Host-token", b"https://crm.salon.example", b"null", b"Basic ",
    b"token =", b"=token", b"token", b"\xa0token", b"\x0btoken", b",token=",
)
# fmt: on


def check(data: bytes) -> None:
    inbound = head(data)
    try:
        token = credential(inbound, cookie=NAME, own_origins=OWN)
    except RequestError as error:
        require_reason(error, {Reason.UNAUTHENTICATED, Reason.ORIGIN_REFUSED})
        return
    headers = [value for name, value in inbound.headers if name.lower() == "authorization"]
    cookies = [value for name, value in inbound.headers if name.lower() == "cookie"]
    assert set(token) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~+/-="
    )
    if headers:
        assert len(headers) == 1
        assert headers[0].lower() == f"bearer {token}".lower()
        assert headers[0].endswith(token)
    else:
        assert sum(cookie.count(token) for cookie in cookies) >= 1
        _require_own(inbound)
    wanted = [] if headers else [token]
    assert _slowly(cookies) == wanted
    # Python ends a cookie at a blank too; none with one in it goes on to the CRM.
    if not any(_BLANK_INSIDE.search(cookie) for cookie in cookies):
        assert _by_python(cookies) in ([], wanted)


def _require_own(inbound: Inbound) -> None:
    if inbound.method in {"GET", "HEAD", "OPTIONS"} and not inbound.values("upgrade"):
        return
    assert inbound.values("origin") == ("https://crm.salon.example",)


def _slowly(cookies: list[str]) -> list[str]:
    """RFC 6265 5.4 as a server reads it that knows no quotes: split at `;`, trim, split at `=`."""
    found = []
    for cookie in cookies:
        for piece in cookie.split(";"):
            name, equals, value = piece.partition("=")
            if equals and name.strip(" \t") == NAME:
                found.append(value.strip(" \t"))
    return found


def _by_python(cookies: list[str]) -> list[str]:
    """As the standard library reads it, which knows quotes and stops at what it does not."""
    found = []
    for cookie in cookies:
        try:
            jar = SimpleCookie(cookie)
        except CookieError:
            continue
        found += [jar[NAME].value] if NAME in jar else []
    return found
