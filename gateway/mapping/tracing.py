"""Trace context (https://www.w3.org/TR/trace-context/): passed on if it is one, else dropped.

A header that is not well-formed starts a new trace, says the specification, so dropping it
changes nothing for whoever traces; and nothing else can be slipped into the CRM's logs with it.
"""

import re

from gateway.domain.http import Headers

PARENT, STATE = "traceparent", "tracestate"
MAX_STATE = 512  # characters that everybody must keep (3.3.1.5); more are nobody's right
MAX_MEMBERS = 32  # 3.3.1.1

# 3.2.2: version 00, and no identifier of zeros. What later versions look like nobody knows.
_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# 3.3.1.3: keys and values; a value does not end with a blank.
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)


def traced(headers: Headers) -> Headers:
    """The headers, with a trace context that is well-formed or with none."""
    found: dict[str, list[str]] = {PARENT: [], STATE: []}
    for name, value in headers:
        lower = name.lower()
        if lower in found:
            found[lower].append(value)
    if not found[PARENT] and not found[STATE]:
        return headers
    lost = set()
    if len(found[PARENT]) != 1 or not _PARENT.fullmatch(found[PARENT][0]):
        lost = {PARENT, STATE}  # 3.3: a state without its parent means nothing
    elif not _is_state(",".join(found[STATE])):
        lost = {STATE}
    return tuple((name, value) for name, value in headers if name.lower() not in lost)


def _is_state(text: str) -> bool:
    if len(text) > MAX_STATE:
        return False
    members = [member.strip(" \t") for member in text.split(",")]
    filled = [member for member in members if member]
    keys = {member.partition("=")[0] for member in filled}
    if len(filled) > MAX_MEMBERS or len(keys) < len(filled):
        return False
    return all(map(_MEMBER.fullmatch, filled))
