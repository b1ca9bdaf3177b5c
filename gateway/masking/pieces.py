r"""One JSON text, read from left to right in pieces that each take well under a millisecond.

True here:
- A text is read as the JSON grammar says or refused, however it is divided. A long array is
  divided at a comma that is only **guessed** to stand between two of its items. What lies
  before it is then read as an array of its own. If that is well-formed, the guess was right:
  the grammar is unambiguous and read from left to right, so `[` and whole values before a
  comma can be nothing else. If it is not, the exact end of each item is looked up. The end
  of an array is guessed in the same way: at the last bracket of the text.
- The exact end of a value is found by msgspec itself: it reads one value and says at which
  byte the rest begins. What lies before that byte is then read again, as one value and
  nothing more, so a wrong number could only lead to a refusal.
- Of members that stand twice, every one is told.

One value that is no array of many items is read in one go: 1 MB in about 1 ms.
"""

import codecs
import re
from collections.abc import Callable, Generator, Iterator
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

PIECE = 64 * 2**10  # bytes; read, cut and written in about half a millisecond
FEW = 64  # items whose ends are looked up in one go: some 2 µs each
MAX_MISSES = 4  # guesses that fail in one text before it is no longer guessed
STRIDE = 2**18  # bytes checked in one go, for their encoding or for one byte

read_members = msgspec.json.Decoder(dict[str, Raw]).decode
read_records = msgspec.json.Decoder(list[dict[str, Raw]]).decode
read_items = msgspec.json.Decoder(list[Raw]).decode
_read_raw = msgspec.json.Decoder(Raw).decode
_read_text = msgspec.json.Decoder(str).decode

_REST_BEGINS = re.compile(r"trailing characters \(byte ([0-9]+)\)$")
_SPACE = re.compile(rb"[ \t\n\r]*+")
_OPEN = {
    b"{": re.compile(rb"[ \t\n\r]*+\{[ \t\n\r]*+(\}?)"),
    b"[": re.compile(rb"[ \t\n\r]*+\[[ \t\n\r]*+(\]?)"),
}
_NEXT = {
    b"{": re.compile(rb"[ \t\n\r]*+(?:,|(\}))"),
    b"[": re.compile(rb"[ \t\n\r]*+(?:,|(\]))"),
}
_NAME = re.compile(rb'[ \t\n\r]*+("(?:[^"\\]++|\\.)*+")[ \t\n\r]*+:', re.DOTALL)
# Where two items of one kind may meet, by the first byte of the first.
_SEAMS: Final = {
    ord("{"): re.compile(rb"\}[ \t\n\r]*+,[ \t\n\r]*+\{"),
    ord("["): re.compile(rb"\][ \t\n\r]*+,[ \t\n\r]*+\["),
    ord('"'): re.compile(rb'"[ \t\n\r]*+,[ \t\n\r]*+"'),
}
_SEAM_OF_OTHERS = re.compile(rb"[0-9el][ \t\n\r]*+,[ \t\n\r]*+[-0-9tfn]")

T = TypeVar("T")


class NotJsonError(Exception):
    """The text is not JSON, or not of the shape that is read."""


def require_utf8(body: bytes) -> None:
    """Look at every byte: `Raw` checks the grammar of what it skips, but not its encoding.

    Raises:
        UnicodeError: the body is not UTF-8.
    """
    if not body.isascii():
        str(body, "utf-8")


def require_utf8_steps(body: bytes) -> Generator[None, None, None]:
    """The same of a long body, in steps."""
    if len(body) <= 2 * PIECE:
        require_utf8(body)
        return
    if body.isascii():
        return
    view = memoryview(body)
    at = 0
    while at < len(body):
        last = at + PIECE >= len(body)
        at += codecs.utf_8_decode(view[at : at + PIECE], "strict", last)[1]
        if not at % 2:  # a pause at about every second piece is enough
            yield


def count(text: bytes, byte: bytes) -> Generator[None, None, int]:
    """How often a byte stands in a long text."""
    found = 0
    for start in range(0, len(text), STRIDE):
        found += text.count(byte, start, start + STRIDE)
        yield
    return found


class Text:
    """Reads one text. Whoever asks for the next thing has read the one before.

    Attributes:
        at: the first byte that is not read yet.
    """

    __slots__ = ("_body", "_depth", "_misses", "_view", "at")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._view = memoryview(body)
        self._depth = 0
        self._misses = 0
        self.at = 0

    def mark(self) -> tuple[int, int]:
        """A place to go back to."""
        return self.at, self._depth

    def back(self, mark: tuple[int, int]) -> None:
        """Go back to it."""
        self.at, self._depth = mark

    def end(self) -> None:
        """Only space may be left."""
        found = _SPACE.match(self._body, self.at)
        if found is None or found.end() != len(self._body):
            raise NotJsonError

    def value(self) -> Raw:
        """The next value, whatever it is. If it is the whole text, it is not read yet."""
        if not self._depth:
            self.at = len(self._body)
            return Raw(self._body)
        end = self._value_ends(self._view[self.at :])
        if end is None:
            raise NotJsonError  # what stands around it is never closed
        raw = _read_raw(self._view[self.at : self.at + end])
        self.at += end
        return raw

    def members(self) -> Iterator[str]:
        """Open an object: each name, with its value as the next thing to be read."""
        more = self._open(b"{")
        while more:
            found = self._match(_NAME)
            yield _read_text(found[1])
            more = self._more(b"{")

    def items(self) -> Iterator[None]:
        """Open an array: once for each item, which is the next thing to be read."""
        more = self._open(b"[")
        while more:
            yield
            more = self._more(b"[")

    def pieces(self, read: Callable[[bytes], list[T]]) -> Iterator[tuple[list[T], bytes]]:
        """Read an array to its end: some items at a time, and their text as an array.

        Args:
            read: reads an array whole; what it raises is raised.
        """
        more = self._open(b"[")
        while more:
            if len(self._body) - self.at <= 2 * PIECE:
                yield self._last(read)
                return
            found = self._guessed(read)
            if found is None:
                found, more = self._looked_up(read)
            yield found

    def _last(self, read: Callable[[bytes], list[T]]) -> tuple[list[T], bytes]:
        text = b"[" + self._body[self.at :]
        found = self._closed_last(text, read) if self._depth > 1 else (read(text), text)
        if found is None:
            end = self._value_ends(text)
            if end is None:
                raise NotJsonError
            found = read(text[:end]), text[:end]
        self.at += len(found[1]) - 1
        self._depth -= 1
        return found

    def _closed_last(
        self, text: bytes, read: Callable[[bytes], list[T]]
    ) -> tuple[list[T], bytes] | None:
        """The array that a text begins with, if no other bracket closes after it: a guess too."""
        if self._misses >= MAX_MISSES:
            return None
        text = text[: text.rfind(b"]") + 1]
        try:
            return read(text), text
        except msgspec.MsgspecError:
            self._misses += 1
            return None

    def _guessed(self, read: Callable[[bytes], list[T]]) -> tuple[list[T], bytes] | None:
        """About a piece, if the next seam is one."""
        if self._misses >= MAX_MISSES:
            return None
        seam = _SEAMS.get(self._body[self.at], _SEAM_OF_OTHERS)
        found = seam.search(self._body, self.at + PIECE // 2, self.at + 2 * PIECE)
        if found is not None:
            text = b"[" + self._body[self.at : found.start() + 1] + b"]"
            try:
                items = read(text)
            except msgspec.MsgspecError:
                pass  # no seam of this array, or broken: then the long way finds that
            else:
                self.at = found.end() - 1
                return items, text
        self._misses += 1
        return None

    def _looked_up(self, read: Callable[[bytes], list[T]]) -> tuple[tuple[list[T], bytes], bool]:
        """The next items, and whether there are more."""
        start = end = self.at
        more = True
        for _ in range(FEW):
            length = self._value_ends(self._view[self.at :])
            if length is None:
                raise NotJsonError
            self.at += length
            end = self.at
            more = self._more(b"[")
            if not more or end - start >= PIECE:
                break
        text = b"[" + self._body[start:end] + b"]"
        return (read(text), text), more

    def _value_ends(self, view: bytes | memoryview) -> int | None:
        """Where what follows the first value begins; None = nothing follows."""
        try:
            _read_raw(view)
        except msgspec.DecodeError as error:
            found = _REST_BEGINS.search(str(error))
            if found is None:
                raise
            return int(found[1]) - 1
        return None

    def _open(self, kind: bytes) -> bool:
        """Go into an object or array: is anything in it?"""
        found = self._match(_OPEN[kind])
        self._depth += 1
        return self._went_on(found)

    def _more(self, kind: bytes) -> bool:
        found = self._match(_NEXT[kind])
        more = self._went_on(found)
        if more:  # guesses start at an item
            self._match(_SPACE)
        return more

    def _went_on(self, found: re.Match[bytes]) -> bool:
        if not found[1]:
            return True
        self._depth -= 1
        return False

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        found = pattern.match(self._body, self.at)
        if found is None:
            raise NotJsonError
        self.at = found.end()
        return found
