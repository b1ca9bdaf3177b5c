"""The head of an answer: its bytes become a status, headers and a framing, or there is no answer.

House rules:
- One grammar, stricter than RFC 9112 wherever two readers could see two answers: lines end in
  CRLF, names are tokens right before their colon, nothing is folded, no control bytes.
- How the body ends is announced once and in one way. Both, several or unreadable announcements
  are how answers are smuggled (RFC 9112 6.1, 6.3, 11.1, 11.2).
- Every pattern is linear in its input: possessive, so that nothing is tried twice.
"""

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from gateway.backends.upstream_wire import invalid
from gateway.domain.http import Headers

MAX_HEADERS = 128  # Apache's bound is 100, aiohttp's 128
MAX_FIELD_BYTES = 16 * 2**10  # one line; a long Content-Security-Policy has 8 KB
MAX_HEAD_BYTES = 64 * 2**10  # as a whole; nginx gives up at 8 KB, Node at 16, curl at 300

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?")
_FIELDS = re.compile(
    r"^([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)\r\n", re.MULTILINE
)
_LENGTH = re.compile(r"[0-9]{1,18}")
_NAMES = ("connection", "content-length", "transfer-encoding")
_NAME_SIZES = frozenset(map(len, _NAMES))  # most headers need no second look
_BODYLESS = frozenset({204, 304})  # RFC 9110 6.4.1, with HEAD


class Framing(Enum):
    """How the body of an answer ends."""

    NONE = auto()  # there is none, whatever is announced
    COUNTED = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


class AnswerHead(NamedTuple):  # made for every request: a tuple is made in a third of the time
    """What an answer's head says.

    Attributes:
        headers: one character per byte (latin-1), in wire order.
        length: how many bytes the body has; None unless it is COUNTED.
        keeps: the connection may be used again, once the answer has ended.
    """

    status: int
    headers: Headers
    framing: Framing
    length: int | None
    keeps: bool


def parse_head(data: bytes | bytearray, *, head_only: bool) -> AnswerHead:
    """Read a head.

    Args:
        data: from `HTTP/` to the end of the last line before the empty one.
        head_only: it answers a HEAD.

    Raises:
        UpstreamError: UPSTREAM_INVALID: it is not in the form we accept.
    """
    text = data.decode("latin-1")
    start = text.find("\r\n") + 2
    version, status = _status_line(text[: start - 2])
    headers = parse_fields(text, start)
    lengths: list[str] = []
    codings: list[str] = []
    closes = version == 0
    for name, value in headers:
        if len(name) in _NAME_SIZES:
            match name.lower():
                case "content-length":
                    lengths.append(value)
                case "transfer-encoding":
                    codings.append(value)
                case "connection":
                    closes = closes or _says_close(value)
                case _:
                    pass
    if status < 200:
        _require_interim(status, announced=bool(lengths or codings))
    length = _length(lengths, codings, chunkable=version == 1 and status not in _BODYLESS)
    if head_only or status in _BODYLESS:
        # RFC 9110 8.6: a 204 has no length. One that has may mean the bytes that follow.
        doubtful = status == 204 and bool(length)
        return AnswerHead(status, headers, Framing.NONE, None, not closes and not doubtful)
    if codings:
        return AnswerHead(status, headers, Framing.CHUNKED, None, not closes)
    if length is not None:
        return AnswerHead(status, headers, Framing.COUNTED, length, not closes)
    if status >= 200 and not closes:
        raise invalid("the CRM did not say how its answer ends")
    return AnswerHead(status, headers, Framing.UNTIL_CLOSE, None, keeps=False)


def parse_fields(text: str, start: int = 0) -> Headers:
    """Header lines, each with its CRLF, from `start` to the end of the text."""
    fields = _FIELDS.findall(text, start)
    if len(fields) != text.count("\n", start):  # each match is one whole line
        raise invalid("the CRM sent a malformed header")
    if len(fields) > MAX_HEADERS:
        raise invalid("the CRM sent too many headers")
    if len(text) > MAX_FIELD_BYTES and any(
        len(name) + len(value) > MAX_FIELD_BYTES for name, value in fields
    ):
        raise invalid("the CRM sent a header that is too long")
    if " \r\n" in text or "\t\r\n" in text:
        return tuple((name, value.rstrip(" \t")) for name, value in fields)
    return tuple(fields)


@lru_cache(maxsize=64)
def _status_line(line: str) -> tuple[int, int]:
    """The minor version and the status."""
    found = _STATUS_LINE.fullmatch(line) if len(line) <= MAX_FIELD_BYTES else None
    if found is None:
        raise invalid("the CRM did not answer in HTTP/1.1")
    return int(found[1]), int(found[2])


def _require_interim(status: int, *, announced: bool) -> None:
    # RFC 9110 15.2: skipped, whatever they say; but 101 nobody asked for. RFC 9110 8.6 and
    # RFC 9112 6.1: they have no body. One that announces a body may have it.
    if status == 101 or announced:
        raise invalid("the CRM sent an interim answer that is none")


def _length(lengths: list[str], codings: list[str], *, chunkable: bool) -> int | None:
    if len(lengths) + len(codings) > 1:
        raise invalid("the CRM announced the body's length in two ways")
    if codings and not (chunkable and codings[0].lower() == "chunked"):
        raise invalid("the CRM sent a transfer coding that we do not know or that has no place")
    if not lengths:
        return None
    if not _LENGTH.fullmatch(lengths[0]):
        raise invalid("the CRM announced a length that is no number")
    return int(lengths[0])


def _says_close(value: str) -> bool:
    return any(option.strip(" \t").lower() == "close" for option in value.split(","))
