"""How an adapter's `login` names a place: `cookie:sessionid`, `body:user.id`, `token:exp`."""

import re
from collections.abc import Callable, Collection

from gateway.domain.fieldpath import ITEMS, parse_field_path
from gateway.domain.http import HOP_BY_HOP
from gateway.domain.login import Place, Source
from gateway.mapping.headernames import END_TO_END
from gateway.texts.yamltext import Key

Complain = Callable[..., None]

CARRIES = (Place.COOKIE, Place.HEADER)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2; of cookies RFC 6265 4.1.1
# They say something else, to us or to the CRM; a credential in them would be taken for that.
_TAKEN = (HOP_BY_HOP | END_TO_END) - {"authorization"} | {
    *("accept", "accept-encoding", "expect", "forwarded", "origin", "referer", "user-agent"),
    *("proxy-authorization", "set-cookie", "via", "x-forwarded-for", "x-forwarded-host"),
    *("x-forwarded-proto", "x-request-id"),
}
# A person's password with each request is nothing that a login issued.
_NO_SESSION = frozenset({"basic", "digest", "negotiate", "ntlm"})


def read_place(
    text: str, places: tuple[Place, ...], complain: Complain, *path: Key
) -> Source | None:
    """Read one place, or complain and return None.

    Args:
        text: as written.
        places: which kinds may stand here.
        complain: takes a finding's message and the keys it is about.
        path: of those keys.
    """
    where, _, name = text.partition(":")
    known = {place.value: place for place in places}
    place = known.get(where)
    if place is None:
        complain(f"`{text}` must start with {_one_of(known)}", *path)
        return None
    match place:
        case Place.COOKIE | Place.FORM:
            if not _TOKEN.fullmatch(name):
                complain(f"`{text}` must name one {place}, like `{place}:name`", *path)
                return None
            return Source(place=place, name=name)
        case Place.HEADER:
            name, blank, scheme = name.partition(" ")
            if not _TOKEN.fullmatch(name) or (blank and not _TOKEN.fullmatch(scheme)):
                complain(
                    f"`{text}` must name one header, like `header:X-Auth-Token` or "
                    "`header:Authorization Bearer`",
                    *path,
                )
                return None
            return Source(place=place, name=name.lower(), scheme=scheme)
        case Place.BODY | Place.TOKEN:
            return _read_member(text, place, name, complain, *path)


def _read_member(
    text: str, place: Place, name: str, complain: Complain, *path: Key
) -> Source | None:
    if text == "body" and path[-1] == "issues":  # the whole body is the token, as text
        return Source(place=place)
    try:
        found = parse_field_path(name)
    except ValueError as error:
        complain(str(error), *path)
        return None
    if not found.steps or found.whole or ITEMS in found.steps:
        complain(f"`{text}` must lead to one member, like `{place}:user.id`", *path)
        return None
    return Source(place=place, path=found)


def require_carrier(source: Source, complain: Complain, *path: Key) -> None:
    """A cookie is what it is; of headers, many have another meaning."""
    if source.place is not Place.HEADER:
        return
    if source.name in _TAKEN or "_" in source.name:
        complain(f"the header `{source.name}` cannot carry this; it says something else", *path)
    if source.scheme.lower() in _NO_SESSION:
        complain(
            f"`{source.scheme}` sends the password itself with each request; there is no session "
            "to learn",
            *path,
        )
    if path[-1] == "credential" and source.name == "authorization" and not source.scheme:
        complain("write the word before the token, too, like `header:Authorization Bearer`", *path)


def _one_of(words: Collection[str]) -> str:
    quoted = [f"`{word}:`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
