"""An HTTP/1.1 answer, read slowly and plainly: the rules of the upstream reader a second time.

Written from RFC 9112 (2.2 lines, 4 status line, 5 fields, 6.3 length, 7.1 chunks) and from what
we refuse beyond it: no folding, no bare LF, one announcement of the length, no transfer coding
but `chunked`, no end that was not announced. Works on the whole input, one line after the other.
"""

from dataclasses import dataclass

TCHAR = set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = set("0123456789")
HEX = set("0123456789abcdefABCDEF")


class RefusedError(Exception):
    """No answer."""


class UnfinishedError(Exception):
    """Nothing wrong so far, but it has not ended."""


@dataclass
class Read:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    surplus: str


def read_answer(data: bytes, *, head_only: bool) -> Read:
    """The answer in `data`, after which the connection was closed by the CRM."""
    text = data.decode("latin-1")
    at = 0
    for _ in range(17):
        status, version, headers, at = _head(text, at)
        if status >= 200:
            break
        if status == 101 or _values(headers, "content-length", "transfer-encoding"):
            raise RefusedError
    else:
        raise RefusedError
    rest = text[at:]
    lengths = _values(headers, "content-length")
    codings = _values(headers, "transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise RefusedError
    if lengths and not (0 < len(lengths[0]) <= 18 and set(lengths[0]) <= DIGITS):
        raise RefusedError
    if codings and (codings[0].lower() != "chunked" or version == 0 or status in (204, 304)):
        raise RefusedError
    if head_only or status in (204, 304):
        body, surplus = "", rest
    elif codings:
        body, surplus = _chunks(rest)
    elif lengths:
        size = int(lengths[0])
        if len(rest) < size:
            raise UnfinishedError
        body, surplus = rest[:size], rest[size:]
    else:
        options = ",".join(_values(headers, "connection")).lower().split(",")
        if version == 1 and "close" not in [option.strip(" \t") for option in options]:
            raise RefusedError
        body, surplus = rest, ""
    return Read(status, headers, body.encode("latin-1"), surplus)


def _values(headers: list[tuple[str, str]], *names: str) -> list[str]:
    return [value for name, value in headers if name.lower() in names]


def _line(text: str, at: int) -> tuple[str, int]:
    """One line without its CRLF; nothing but visible characters, space and tab is in it."""
    line = ""
    while True:
        if at >= len(text):
            raise UnfinishedError
        here = text[at]
        if here == "\r":
            if at + 1 >= len(text):
                raise UnfinishedError
            if text[at + 1] != "\n":
                raise RefusedError
            return line, at + 2
        if here != "\t" and (ord(here) < 0x20 or ord(here) == 0x7F):
            raise RefusedError
        line += here
        at += 1


def _head(text: str, at: int) -> tuple[int, int, list[tuple[str, str]], int]:
    line, at = _line(text, at)
    if line[:9] not in ("HTTP/1.0 ", "HTTP/1.1 ") or (len(line) > 12 and line[12] != " "):
        raise RefusedError
    code = line[9:12]
    if len(code) != 3 or not set(code) <= DIGITS or not 100 <= int(code) <= 599:
        raise RefusedError
    headers, at = _fields(text, at)
    return int(code), int(line[7]), headers, at


def _fields(text: str, at: int) -> tuple[list[tuple[str, str]], int]:
    headers = []
    while True:
        line, at = _line(text, at)
        if not line:
            return headers, at
        name, colon, value = line.partition(":")
        if not name or not colon or not set(name) <= TCHAR:
            raise RefusedError
        headers.append((name, value.strip(" \t")))
        if len(headers) > 128:
            raise RefusedError


def _chunks(text: str) -> tuple[str, str]:
    body, at = "", 0
    while True:
        line, at = _line(text, at)
        digits, *extensions = line.split(";")
        for extension in extensions:
            name, equals, value = extension.partition("=")
            if not name or not set(name + value) <= TCHAR or (equals and not value):
                raise RefusedError
        if not 0 < len(digits) <= 15 or not set(digits) <= HEX:
            raise RefusedError
        size = int(digits, 16)
        if size == 0:
            _, at = _fields(text, at)
            return body, text[at:]
        if len(text) - at < size:
            raise UnfinishedError
        body += text[at : at + size]
        end, at = _line(text, at + size)
        if end:
            raise RefusedError
