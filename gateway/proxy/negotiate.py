"""What a client would rather read: HTML or JSON, and in which of our languages.

Pure functions of header values (RFC 9110 12.4.2 and 12.5). A preference is a courtesy, not a
right: a member that cannot be read is skipped, and nothing here can change a verdict.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum


class Language(StrEnum):
    """The languages the lock screen speaks."""

    EN = "en"
    JA = "ja"
    KO = "ko"
    UK = "uk"
    RU = "ru"


MAX_MEMBERS = 32  # browsers send under ten; the rest of a longer list is not read

_JSON = ("application/json", "application/problem+json")
_HTML = ("text/html", "application/xhtml+xml")
# A list member may hold a quoted string, and that may hold commas and semicolons. One that is
# never closed reaches to the end: otherwise each of its quotes would be tried as a start, and
# 16 KB of `"\"\"\"` from a stranger would take seconds.
_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++', re.DOTALL)
_PARAMETER = re.compile(r';\s*([a-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*)', re.IGNORECASE)
_QVALUE = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


def prefers_html(accept: Iterable[str]) -> bool:
    """Would this client rather read a page than JSON? Equal wishes, as in `*/*`, mean JSON."""
    wishes = list(_weighted(accept))
    html = max(_media_weight(wishes, media) for media in _HTML)
    json = max(_media_weight(wishes, media) for media in _JSON)
    return html > json


def language(accept_language: Iterable[str]) -> Language:
    """The reader's language: `ja-JP` is Japanese; one we do not speak, or none, is English."""
    best, best_weight = Language.EN, 0.0
    for tag, weight in _weighted(accept_language):
        known = _LANGUAGES.get(tag.partition("-")[0])
        if known is not None and weight > best_weight:  # a tie: the first one named
            best, best_weight = known, weight
    return best


_LANGUAGES = {str(member): member for member in Language}


def _weighted(values: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Members of a list header in lower case, each with its q; unreadable ones are skipped."""
    for member in _MEMBER.findall(",".join(values))[:MAX_MEMBERS]:
        name = member.partition(";")[0].strip().lower()
        weights = [value for key, value in _PARAMETER.findall(member) if key.lower() == "q"]
        text = weights[0] if weights else "1"
        if name and _QVALUE.fullmatch(text):
            yield name, float(text)


def _media_weight(wishes: list[tuple[str, float]], media: str) -> float:
    """The q of one media type: the most specific range that matches it speaks."""
    for wanted in (media, media.partition("/")[0] + "/*", "*/*"):
        found = [weight for name, weight in wishes if name == wanted]
        if found:
            return max(found)
    return 0.0
