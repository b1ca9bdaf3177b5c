"""Is this body JSON in UTF-8, by its own headers? In doubt it is not."""

import re

from gateway.domain.http import Headers

# RFC 9110 8.3.1, without the comments and folds that no JSON API needs.
_MEDIA_TYPE = re.compile(r"(application/(?:[a-z0-9!#$&^_.-]+\+)?json)((?:[ \t]*;.*)?)", re.ASCII)
_PARAMETER = re.compile(
    r'[ \t]*;[ \t]*(?:([a-z0-9!#$%&\'*+.^_`|~-]+)=([a-z0-9!#$%&\'*+.^_`|~-]+|"[^"\\]*"))?'
)
# The whole of them first, without a step back: looking for single ones in what is none takes
# a second for 16 KB of blanks.
_PARAMETERS = re.compile(
    r"(?:[ \t]*+;[ \t]*+"
    r'(?:[a-z0-9!#$%&\'*+.^_`|~-]++=(?:[a-z0-9!#$%&\'*+.^_`|~-]++|"[^"\\]*+"))?+)*+[ \t]*+'
)


def json_media_type(headers: Headers) -> str | None:
    """`application/json` or `application/<name>+json`, in lower case; None for all else.

    Also None for a charset other than UTF-8 and for a content coding: what was compressed
    was not looked at.
    """
    types = [value for name, value in headers if name.lower() == "content-type"]
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    if len(types) != 1 or any(value.strip().lower() != "identity" for value in codings):
        return None
    found = _MEDIA_TYPE.fullmatch(types[0].strip(" \t").lower())
    if found is None:
        return None
    media_type, rest = found.groups()
    if not _PARAMETERS.fullmatch(rest):
        return None
    charsets = [value for name, value in _PARAMETER.findall(rest) if name == "charset"]
    if len(charsets) > 1:
        return None
    return media_type if all(c.strip('"') == "utf-8" for c in charsets) else None
