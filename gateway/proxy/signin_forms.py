"""What people and programs send to the sign-in, strictly read: one form, one meaning, or none.

A browser's form comes from a page of our own, which its `Origin` says; a program sends JSON,
which no page of another site can do without asking us first (CORS), and we never agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.domain.errors import RequestError
from gateway.domain.http import BodySource, Inbound
from gateway.domain.login import Place, Source
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId
from gateway.identity.credential import found_at, require_no_foreign_origin
from gateway.identity.device_cookie import read_device
from gateway.texts.jsontext import parse_strict_json

MAX_BODY_BYTES = 4096
DEVICE_COOKIE = "__Host-salon-device"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
_DEVICE = Source(place=Place.COOKIE, name=DEVICE_COOKIE)
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent. What a page does not ask for is "".

    Attributes:
        form: it came from a page of ours; a page answers it. False = JSON does.
        device: who has shown that we named this device; None = nobody has.
        again: the new password once more; a program need not.
        code: of a second factor, or a recovery code.
        ticket: of the first half of a sign-in.
    """

    form: bool
    device: DeviceId | None
    name: str = ""
    password: str = ""
    next: str = "/"
    new: str = ""
    again: str = ""
    code: str = ""
    ticket: str = ""


SIGN_IN = frozenset({"name", "password"})
CHANGE = SIGN_IN | {"new"}
SECOND = frozenset({"ticket", "code"})
CODE = frozenset({"code"})  # where only those who have a second factor send one


def is_form(inbound: Inbound) -> bool:
    """Does a browser send this? Decided before anything of it is judged: it is how to answer."""
    return _media_type(inbound) == FORM


async def read_sent(
    inbound: Inbound,
    body: BodySource,
    *,
    needed: frozenset[str],
    also: frozenset[str] = frozenset(),
    own_origins: frozenset[str],
    key: bytes,
) -> Sent:
    """Read what was sent.

    Args:
        inbound: its head.
        body: at most MAX_BODY_BYTES.
        needed: names of members that must be there. A form has one of its own besides.
        also: names of members that may be there.
        own_origins: whose pages are ours.
        key: of device cookies.

    Raises:
        RequestError: ORIGIN_REFUSED, CONTENT_TYPE_REFUSED, BODY_TOO_LARGE, BODY_TIMEOUT,
            BODY_INVALID, or UNAUTHENTICATED where two devices are named.
    """
    form, members = await read_members(inbound, body, own_origins=own_origins)
    if form:
        shown = found_at(inbound, _DEVICE) or ""
        beside = {"again"} if "new" in needed else {"next"}
    else:
        shown, beside = members.pop("device", ""), set()
    if not needed <= members.keys() <= needed | also | beside:
        raise RequestError(Reason.BODY_INVALID, f"send {', '.join(sorted(needed))}, no more")
    return Sent(form=form, device=read_device(shown, key), **members)


async def read_members(
    inbound: Inbound,
    body: BodySource,
    *,
    own_origins: frozenset[str],
    max_bytes: int = MAX_BODY_BYTES,
) -> tuple[bool, dict[str, str]]:
    """Whether a page of ours sent it (or else a program, as JSON), and what: texts by name.

    Args: as above.

    Raises:
        RequestError: ORIGIN_REFUSED, CONTENT_TYPE_REFUSED, BODY_TOO_LARGE, BODY_TIMEOUT or
            BODY_INVALID.
    """
    kind = _media_type(inbound)
    if kind == FORM:
        require_own_form(inbound, own_origins)
        return True, _form(await body.read(max_bytes))
    if kind == JSON:
        require_no_foreign_origin(inbound, own_origins)
        return False, _object(await body.read(max_bytes))
    raise RequestError(Reason.CONTENT_TYPE_REFUSED, f"send `{FORM}` or `{JSON}`")


def require_own_form(inbound: Inbound, own_origins: frozenset[str]) -> None:
    """A form of a page of ours, in a browser that says so.

    Raises:
        RequestError: ORIGIN_REFUSED.
    """
    origins = inbound.values("origin")
    # Fetch metadata, from browsers that send it: a second witness (W3C, 2.3).
    sites = set(inbound.values("sec-fetch-site"))
    if len(origins) != 1 or origins[0] not in own_origins or not sites <= {"same-origin"}:
        raise RequestError(Reason.ORIGIN_REFUSED, "this form is not of a page of this address")


async def read_servers_form(
    inbound: Inbound, body: BodySource, *, max_bytes: int
) -> dict[str, str]:
    """A form that a server sends; it counts by what is signed in it, not by where it is from.

    Raises:
        RequestError: CONTENT_TYPE_REFUSED, BODY_TOO_LARGE, BODY_TIMEOUT or BODY_INVALID.
    """
    if not is_form(inbound):
        raise RequestError(Reason.CONTENT_TYPE_REFUSED, f"send `{FORM}`")
    return _form(await body.read(max_bytes))


def shown_device(inbound: Inbound, key: bytes) -> DeviceId | None:
    """Which device a browser has shown that we named; None = none.

    Raises:
        RequestError: UNAUTHENTICATED where two devices are named.
    """
    return read_device(found_at(inbound, _DEVICE) or "", key)


async def require_empty(body: BodySource) -> None:
    """Nothing is sent along. Raises RequestError BODY_INVALID or BODY_TOO_LARGE."""
    if await body.read(MAX_BODY_BYTES):
        raise RequestError(Reason.BODY_INVALID, "send no body with this")


def _media_type(inbound: Inbound) -> str:
    """The content type without its parameters; another charset than UTF-8 is another type."""
    text = "".join(inbound.values("content-type"))
    kind, _, parameters = text.partition(";")
    plain = parameters.strip(" \t").lower() in {"", "charset=utf-8", 'charset="utf-8"'}
    return kind.strip(" \t").lower() if plain else text


def _form(data: bytes) -> dict[str, str]:
    """URL 5.1, without its leniencies: each name once, UTF-8, no broken `%`."""
    members: dict[str, str] = {}
    for pair in data.split(b"&") if data else ():
        name, equals, value = (_decoded(part) for part in pair.partition(b"="))
        if not equals or not name or name in members:
            raise _invalid()
        members[name] = value
    return members


def _decoded(part: bytes) -> str:
    try:
        text = part.decode("ascii").replace("+", " ")
        escapes = text.split("%")[1:]
        if any(len(rest) < 2 or not _HEX.issuperset(rest[:2]) for rest in escapes):
            raise _invalid()
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        raise _invalid() from None


def _object(data: bytes) -> dict[str, str]:
    try:
        found = parse_strict_json(data, max_depth=1, max_bytes=len(data))
    except ValueError:
        raise _invalid() from None
    if not isinstance(found, Mapping) or not all(isinstance(v, str) for v in found.values()):
        raise _invalid()
    return dict(found)


def _invalid() -> RequestError:
    return RequestError(Reason.BODY_INVALID, "this body cannot be read")
