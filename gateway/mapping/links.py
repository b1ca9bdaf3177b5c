"""Where an answer leads: `Location` and `Link` as paths at the gateway, or nowhere.

True here:
- What comes out is a path with its query (and fragment) on the CRM's own origin, so it is the
  same place behind the gateway. Any other origin comes to nothing.
- References are resolved as RFC 3986 5.2 says, but only where nothing has to be repaired: no
  dot segments, no backslash, nothing invisible, no `//` that browsers take for an origin.
- Of a link its `rel` stays and nothing else: titles and the like are written by the CRM from
  records that the reader may not see.
"""

import re
from collections.abc import Callable, Iterable

MAX_LINKS = 32  # of one answer; a list has four or five
MAX_LINK_HEADER = 16_384  # characters

_TARGET = re.compile(r"/(?!/)[!-\[\]-~]*")  # visible ASCII without a backslash, one slash first
_ABSOLUTE = re.compile(r"([A-Za-z]+)://([^/?#@]*)((?![^/?#])[!-\[\]-~]*)")
# RFC 3986 4.2: the first segment of a relative path holds no colon, or it would be a scheme.
_RELATIVE = re.compile(r"(?:[?#]|[!-.0-9;-\[\]-~])[!-\[\]-~]*")
_SCHEME = re.compile(r"[^/?#]*:")
_DOTS = re.compile(r"(?:^|/)(?:\.|%2[eE]){1,2}(?:[/?#]|$)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

# RFC 8288 3: one link with its parameters, and what parts it from the next. No `"` is part of an
# address (RFC 3986 2): where one stands, readers differ on what is quoted from there on.
_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_LINK = re.compile(
    r"[ \t,]*<([!#-;=?-~]*)>"
    r"[ \t]*"
    rf"((?:;[ \t]*(?:{_WORD}[ \t]*(?:=[ \t]*(?:\"(?:[^\"\\]|\\.)*\"|{_WORD})[ \t]*)?)?)*)"
    r"(?=,|$)"
)
_PARAMETER = re.compile(rf";[ \t]*({_WORD})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD}))")
# RFC 8288 3.3: registered relation types only; an extension type is an address.
_RELATION = re.compile(r"[a-z][a-z0-9.-]{0,31}(?: [a-z][a-z0-9.-]{0,31}){0,3}")


def location(value: str, *, origins: Iterable[str], base: str | None = None) -> str | None:
    """Where a reference of the CRM leads, as a path the client may use.

    Args:
        value: a Location header, or the target of a link.
        origins: the CRM's: scheme, host and port, no path. With `preserve_host` it knows itself
            by our public origin: then that one too.
        base: the path that was asked for, to resolve a relative reference against; None = a
            relative reference leads nowhere.

    Returns:
        The path (with query and fragment) on the CRM's own origin; None for any other, or for
        a spelling that is read in two ways.
    """
    path = value
    if not value.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is None:
            return None if base is None else _resolved(value, base)
        if _origin(absolute[1], absolute[2]) not in map(_origin_of, origins):
            return None
        path = absolute[3] if absolute[3].startswith("/") else f"/{absolute[3]}"
    # `//host` leaves the origin, and so does `/\host` to a browser.
    return path if _TARGET.fullmatch(path) else None


def own_link(
    value: str,
    *,
    origins: Iterable[str],
    reachable: Callable[[str], bool],
    base: str | None = None,
) -> str | None:
    """A Link header with those links of the CRM that lead to the gateway; None = none does.

    Args:
        value: the CRM's header.
        origins: as for `location`.
        reachable: told a path (with query and fragment): may the reader be shown that it exists?
        base: as for `location`.
    """
    if len(value) > MAX_LINK_HEADER:
        return None
    known = tuple(origins)
    kept: list[str] = []
    at = 0
    for _ in range(MAX_LINKS):
        link = _LINK.match(value, at)
        if link is None:
            break  # the end, or what cannot be told apart any more
        at = link.end()
        relation = _relation(link[2])
        path = location(link[1], origins=known, base=base) if relation else None
        if path is not None and reachable(path):
            kept.append(f'<{path}>; rel="{relation}"')
    return ", ".join(kept) or None


def _relation(parameters: str) -> str | None:
    """The one `rel`, if it is one; a link about another resource (`anchor`) is not ours."""
    found = [
        (match[1].lower(), match[2] if match[3] is None else match[3])
        for match in _PARAMETER.finditer(parameters)
    ]
    relations = [value.lower() for name, value in found if name == "rel"]
    if len(relations) != 1 or any(name == "anchor" for name, _ in found):
        return None
    return relations[0] if _RELATION.fullmatch(relations[0]) else None


def _resolved(reference: str, base: str) -> str | None:
    """RFC 3986 5.2.2 for a reference without scheme and authority; never repaired."""
    if not _RELATIVE.fullmatch(reference) or _SCHEME.match(reference):
        return None
    path = base.partition("?")[0]
    if not reference or reference.startswith("#"):
        return None  # the same document: nowhere else
    whole = path if reference.startswith("?") else path[: path.rindex("/") + 1]
    whole += reference.removeprefix("./")
    if _DOTS.search(whole.partition("?")[0].partition("#")[0]):
        return None
    return whole if _TARGET.fullmatch(whole) else None


def _origin_of(url: str) -> tuple[str, str] | None:
    absolute = _ABSOLUTE.fullmatch(url)
    return _origin(absolute[1], absolute[2]) if absolute else None


def _origin(scheme: str, authority: str) -> tuple[str, str]:
    scheme = scheme.lower()
    return scheme, authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
