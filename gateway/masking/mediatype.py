"""In which format is this body, by its own headers? In doubt in none.

True here: one Content-Type, in UTF-8. A request's body is JSON and not coded; an answer may
have one of the formats an adapter declares, and its coding is undone elsewhere.
"""

import re
from functools import lru_cache

from gateway.domain.http import Format, Headers

# RFC 9110 8.3.1, without the comments and folds that no API needs.
_MEDIA_TYPE = re.compile(
    r"((?:application|text)/(?:[a-z0-9!#$&^_.-]+\+)?[a-z0-9-]+)((?:[ \t]*;.*)?)", re.ASCII
)
_JSON = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json", re.ASCII)
_PARAMETER = re.compile(
    r'[ \t]*;[ \t]*(?:([a-z0-9!#$%&\'*+.^_`|~-]+)=([a-z0-9!#$%&\'*+.^_`|~-]+|"[^"\\]*"))?'
)
# The whole of them first, without a step back: looking for single ones in what is none takes
# a second for 16 KB of blanks.
_PARAMETERS = re.compile(
    r"(?:[ \t]*+;[ \t]*+"
    r'(?:[a-z0-9!#$%&\'*+.^_`|~-]++=(?:[a-z0-9!#$%&\'*+.^_`|~-]++|"[^"\\]*+"))?+)*+[ \t]*+'
)
# What they are called; JSON has many names, these do not.
_NAMES: dict[Format, frozenset[str]] = {
    Format.NDJSON: frozenset(
        {
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
        }
    ),
    Format.EVENTS: frozenset({"text/event-stream"}),
    Format.CSV: frozenset({"text/csv"}),
}
# What the gateway calls what it made.
Parameters = tuple[tuple[str, str], ...]

CONTENT_TYPES: dict[Format, str] = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.EVENTS: "text/event-stream",
    Format.CSV: "text/csv; charset=utf-8; header=present",
}


def json_media_type(headers: Headers) -> str | None:
    """`application/json` or `application/<name>+json`, in lower case; None for all else.

    For requests: also None for a content coding, since what was compressed was not looked at.
    """
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    if any(value.strip().lower() != "identity" for value in codings):
        return None
    media_type, _ = _media_type(headers)
    return media_type if _JSON.fullmatch(media_type) else None


def content_fits(headers: Headers, wanted: Format) -> bool:
    """Does an answer say, once and in plain words, that it is of this format, in UTF-8?

    Its content coding is not looked at: whoever reads the body undoes it first, or refuses.
    """
    media_type, parameters = _media_type(headers)
    if wanted is Format.JSON:
        return _JSON.fullmatch(media_type) is not None
    # RFC 4180 3: without a header line, nobody says what the columns are.
    headless = any(name == "header" and value != "present" for name, value in parameters)
    return media_type in _NAMES[wanted] and not headless


def _media_type(headers: Headers) -> tuple[str, Parameters]:
    """Type and parameters, in lower case; "" for more than one, or another charset."""
    types = [value for name, value in headers if name.lower() == "content-type"]
    return _parsed(types[0]) if len(types) == 1 else ("", ())


@lru_cache(maxsize=128)  # a CRM has a handful
def _parsed(typed: str) -> tuple[str, Parameters]:
    found = _MEDIA_TYPE.fullmatch(typed.strip(" \t").lower())
    if found is None or not _PARAMETERS.fullmatch(found[2]):
        return "", ()
    parameters = tuple((name, value.strip('"')) for name, value in _PARAMETER.findall(found[2]))
    charsets = [value for name, value in parameters if name == "charset"]
    if charsets not in ([], ["utf-8"]):
        return "", ()
    return found[1], parameters
