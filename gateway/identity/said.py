"""What a request or an answer of the CRM's login says at a declared place, or a refusal.

House rules
- A body is read as what its Content-Type says it is, once and plainly: what is a form to the
  CRM and JSON to us would be two requests.
- A name counts only if no other looks like it: many readers ignore case (`Refresh` is
  `refresh` to Go and .NET), PHP reads `a.b` and `a[]` as `a_b` and `a`.
- Messages hold no value.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.domain.errors import RequestError
from gateway.domain.http import Headers, Inbound
from gateway.domain.login import Place, Source
from gateway.domain.reason import Reason
from gateway.texts.jsontext import parse_strict_json

MAX_LOGIN_BODY = 64 * 2**10  # bytes; a name, a password, a captcha's proof
MAX_LOGIN_ANSWER = 2**20  # bytes; a page, or a person with all their settings
MAX_DEPTH = 32

_CHARSET = r"(?:[ \t]*;[ \t]*charset=\"?utf-8\"?)?"
_JSON = re.compile(rf"application/json{_CHARSET}", re.ASCII | re.IGNORECASE)
_FORM = re.compile(rf"application/x-www-form-urlencoded{_CHARSET}", re.ASCII | re.IGNORECASE)
# What a form is made of (WHATWG URL 5.2), and what apps leave unencoded in one. No `;`: it
# parts fields to some readers. No blank, no quote, no control character.
_FIELDS = re.compile(r"(?:[A-Za-z0-9*\-._+=&~!'()$,/:@?\[\]|]|%[0-9A-Fa-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer of the CRM, whole."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)


class Missing:
    """There is no such member; a `null` is one."""


MISSING = Missing()


def sent_at(inbound: Inbound, body: bytes, source: Source) -> str | None:
    """The text that a request's body holds; None = it holds none of that name.

    Raises:
        RequestError: UNKNOWN_PARAMETER: a query, from which some CRMs read fields too;
            CONTENT_TYPE_REFUSED, BODY_INVALID: not one plain body of this kind.
    """
    if "?" in inbound.target:
        raise RequestError(Reason.UNKNOWN_PARAMETER, "The login takes no parameters here.")
    types = inbound.values("content-type")
    wanted = _FORM if source.place is Place.FORM else _JSON
    if len(types) != 1 or not wanted.fullmatch(types[0]):
        raise RequestError(
            Reason.CONTENT_TYPE_REFUSED, f"Send one body, as {_called(source.place)}."
        )
    try:
        if source.place is Place.FORM:
            return _field(body, source.name)
        found = member(parse_strict_json(body, MAX_DEPTH, MAX_LOGIN_BODY), source)
    except ValueError as error:
        raise RequestError(Reason.BODY_INVALID, f"The body cannot be read: {error}.") from None
    if isinstance(found, Missing):
        return None
    if not isinstance(found, str):
        raise RequestError(Reason.BODY_INVALID, "The body holds no text where one belongs.")
    return found


def member(value: Any, source: Source) -> Any:
    """What stands at a path in JSON; MISSING = nothing does.

    Raises:
        ValueError: another member on the way has a name that some take for this one.
    """
    for step in source.path.steps:
        if not isinstance(value, dict):
            return MISSING
        _require_alone(step, value)
        if step not in value:
            return MISSING
        value = value[step]
    return value


def _require_alone(name: str, names: Any) -> None:
    """No other name that a careless reader takes for this one."""
    like = alike(name)
    if any(alike(other) == like for other in names if other != name):
        raise ValueError("two names that look alike")


def alike(name: str) -> str:
    """What is left of a name where names are read loosely."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, plain))


def _field(body: bytes, name: str) -> str | None:
    if len(body) > MAX_LOGIN_BODY or not body.isascii():
        raise ValueError("not a plain form")
    text = body.decode("ascii")
    if not _FIELDS.fullmatch(text):
        raise ValueError("not a plain form")
    pairs = [part.partition("=") for part in text.split("&")]
    found = [(_decoded(key), value) for key, _, value in pairs]
    _require_alone(name, [key for key, _ in found])
    values = [_decoded(value) for key, value in found if key == name]
    if len(values) > 1:
        raise ValueError("a field stands twice")
    return values[0] if values else None


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")  # UnicodeError: a ValueError


def _called(place: Place) -> str:
    return "a form in UTF-8" if place is Place.FORM else "`application/json` in UTF-8"
