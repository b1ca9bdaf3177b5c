r"""The request target in one conservative form: decode it once, decide on that, send the raw.

Refuse, never repair. Two programs that read one address differently are how a request is
decided as `/clients/7` and answered as `/clients/export`; so every spelling on which
decoders are known to differ is refused, however legal.

INVARIANTS
- A CanonicalTarget is made here and nowhere else; `wire` is the target as it came, or the
  plainest spelling of what the gateway itself asks for (`own_target`).
- A decoded segment is never empty, `.` or `..`, holds no `/`, `\`, `%`, `;`, `?`, `#`, `&` or
  control character, and stays as it is under further percent-decoding and under NFKC.
- Letters, digits, `-`, `.` and `_` have one spelling: themselves.
- One trailing `/` is told apart (`slash`); whether a route takes it, `routes.py` says. The
  root is no segments and no trailing slash.
- `wire_of` undoes the decoding: canonical(wire_of(segments, query, slash)) gives all back.

The query is looser than the path, because people type into it: a value may hold any
printable text. A parameter's name may not: it is compared. A name without `=` is a parameter
with an empty value, as every reader has it; a pair without a name is nothing to one reader
and a parameter without a name to another, so it is refused, and `?` with nothing behind it.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from gateway.domain.errors import RequestError
from gateway.domain.http import CanonicalPath, CanonicalTarget, names_a_method
from gateway.domain.reason import Reason
from gateway.mapping.guard import Guarded

MAX_LINK = 4096  # characters of a link that is looked at: no request could be longer

# What may stand raw. RFC 3986 3.3 `pchar` without `;` (path parameters, which some servers
# cut off), without `+` in paths (a plus or a space, depending on who reads it) and without
# `&`: a CRM that rewrites `/a&b=c` to `index.php?path=a&b=c` would be asked something else.
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$'()*,=:@-]|%[0-9A-Fa-f]{2})+")
# RFC 3986 3.4 `query` likewise: no `;` (a second `&` to some), no `#`, no quotes. Brackets
# are not in that grammar, but browsers leave them as they are (WHATWG URL 1.3) and nobody
# reads `[` and `%5B` in two ways.
_NAME = re.compile(r"(?:[A-Za-z0-9._~!$'()*,:@\[\]-]|%[0-9A-Fa-f]{2})+")
_VALUE = re.compile(r"(?:[A-Za-z0-9._~!$'()*,:@/?=+\[\]-]|%[0-9A-Fa-f]{2})*")

# Which ASCII characters may stand percent-encoded. Never a letter, a digit, `-`, `.` or `_`:
# no ordinary client encodes them, so `%2e` and `%41` are disguises. `~` only in values,
# where HTML forms do encode it.
_PATH_ENCODED = frozenset(b" !$'()*+,:=@[]")
_NAME_ENCODED = frozenset(b"!$'(),*:@[]")
_VALUE_ENCODED = frozenset(range(0x20, 0x7F)) - frozenset(
    b"-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
# Invisible to a reader or a line break to a program: C1 and Unicode line and paragraph ends.
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# NTFS: `private::$DATA` and `PRIVAT~1` are other names of `private`.
_OTHER_NAMES = re.compile(r":\$|~[0-9]")
# Letters and marks that nothing shows (Unicode: Default_Ignorable_Code_Point). What Unicode
# calls controls, formats and unassigned is refused with its whole category.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_MIDDLE_DOT = "\u30fb"  # stands between two words in Japanese; no code page folds it to ASCII


def canonical(guarded: Guarded) -> CanonicalTarget:
    """Accept a request target in its one form.

    Origin-form only (RFC 9112 3.2.1): an absolute form would name a second host.

    Raises:
        RequestError: AMBIGUOUS_TARGET.
    """
    return _accept(guarded.target)


def linked_target(path_and_query: str) -> CanonicalTarget | None:
    """Where a link of the CRM leads, read as a request for it would be; None = nowhere.

    Args:
        path_and_query: of our own origin; a fragment is cut off, which no request carries.
    """
    wire = path_and_query.partition("#")[0]
    try:
        return _accept(wire) if len(wire) <= MAX_LINK else None
    except RequestError:
        return None


def own_target(segments: tuple[str, ...], *, slash: bool = False) -> CanonicalTarget:
    """A target that the gateway asks for by itself, in the same one form.

    Raises:
        RequestError: AMBIGUOUS_TARGET: no request could name these segments either.
    """
    return _accept(wire_of(segments, (), slash=slash))


@lru_cache(maxsize=4096)  # the same lists and pages again and again; a target has 4 KB at most
def _accept(wire: str) -> CanonicalTarget:
    path, mark, query = wire.partition("?")
    slash = path.endswith("/") and path != "/"
    return CanonicalTarget(
        path=CanonicalPath(path),
        segments=_segments(path, slash=slash),
        query=_pairs(query) if mark else (),
        wire=wire,
        slash=slash,
    )


def wire_of(
    segments: tuple[str, ...], query: tuple[tuple[str, str], ...], *, slash: bool = False
) -> str:
    """The plainest spelling of what was decoded; `canonical` reads it back unchanged."""
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    path += "/" if slash and segments else ""
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    return f"{path}?{pairs}" if query else path


def is_segment(text: str) -> bool:
    """Could `canonical` ever deliver this as a decoded path segment?"""
    try:
        return _segment(quote(text, safe="", errors="replace")) == text
    except RequestError:
        return False


def is_parameter_name(text: str) -> bool:
    """Could `canonical` ever deliver this as a decoded parameter name?"""
    try:
        return _name(quote(text, safe="", errors="replace")) == text
    except RequestError:
        return False


def _segments(path: str, *, slash: bool) -> tuple[str, ...]:
    if path == "/":
        return ()
    if not path.startswith("/"):
        raise _ambiguous("the address must start with `/`")
    # An empty part is `//`; servers disagree on whether it counts.
    parts = path[1:-1] if slash else path[1:]
    return tuple(_segment(part) for part in parts.split("/"))


def _segment(raw: str) -> str:
    if not _SEGMENT.fullmatch(raw):
        raise _ambiguous("a part of the path is empty or holds a character that must not be raw")
    text = _decode(raw, _PATH_ENCODED)
    # Windows drops trailing dots and spaces, and to some a plus is a space: `.%2B` is `.`
    # to them. `.` and `..` themselves are the oldest trick of all.
    if text.endswith((".", " ", "+")) or text.startswith((" ", "+")):
        raise _ambiguous("a part of the path has a space or plus at an end, or ends with a dot")
    if _OTHER_NAMES.search(text):
        raise _ambiguous("a part of the path is another name for a file, to some systems")
    _require_steady(text)
    return text


def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        pairs.append((_name(name), _value(value)))
    return tuple(pairs)


def _name(raw: str) -> str:
    if not _NAME.fullmatch(raw):
        raise _ambiguous("a parameter name is empty or holds a character that must not be raw")
    text = _decode(raw, _NAME_ENCODED)
    _require_steady(text)
    if names_a_method(text):
        raise _ambiguous("a parameter would put another method in the place of this one")
    return text


def _value(raw: str) -> str:
    if not _VALUE.fullmatch(raw):
        raise _ambiguous("a parameter value holds a character that must not be raw")
    # A plus is a space here (WHATWG URL 5.1), and `%2B` is the plus: so spaces first.
    text = _decode(raw.replace("+", " "), _VALUE_ENCODED)
    if _BREAKS.search(text):
        raise _ambiguous("a parameter value holds control characters")
    return text


def _decode(raw: str, encoded: frozenset[int]) -> str:
    """Percent-decode once. `raw` holds only whole `%XX`."""
    if "%" not in raw:
        return raw
    for escape in raw.split("%")[1:]:
        byte = int(escape[:2], 16)
        if byte < 0x80 and byte not in encoded:
            raise _ambiguous("a character is percent-encoded that must not be")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _ambiguous("the address is not valid UTF-8") from error


def _require_steady(text: str) -> None:
    """Nothing that a later reader could fold into something else: `．．` into `..`."""
    if text.isascii():
        return
    if unicodedata.normalize("NFKC", text) != text:
        raise _ambiguous("the address holds characters with a second spelling")
    # Letters, marks and numbers. Beyond ASCII, symbols and punctuation have look-alikes in it,
    # and old code pages turn them into those: `∕` into `/`, the yen sign into a backslash.
    if any(
        unicodedata.category(char)[0] not in "LMN" and char != _MIDDLE_DOT
        for char in text
        if not char.isascii()
    ):
        raise _ambiguous("the address holds invisible characters or symbols")
    if _IGNORED.search(text):
        raise _ambiguous("the address holds invisible characters")


def _ambiguous(detail: str) -> RequestError:
    return RequestError(Reason.AMBIGUOUS_TARGET, detail)
