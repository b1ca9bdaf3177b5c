"""A body in chunks (RFC 9112 7.1), read strictly. No I/O.

House rules:
- Every line ends in CRLF and is bounded; a size is hexadecimal digits and nothing else, not
  even the "bad whitespace" that RFC 9112 7.1.1 would have us put up with: other readers do not.
- Extensions and trailers are read, bounded and dropped: nobody after us may act on them.
- What is not data may not outweigh it: the allowance is that of Go's net/http since
  CVE-2023-39326, where extensions made a reader read far more than it was told of.
"""

import re
from enum import Enum, auto

from gateway.backends.upstream_head import parse_fields
from gateway.backends.upstream_wire import invalid

MAX_LINE_BYTES = 1024  # a size with its extensions, which hardly anyone sends
MAX_TRAILER_BYTES = 16 * 2**10
MAX_FREE_BYTES = 16  # for a line; more is weighed against twice the data
MAX_EXCESS_BYTES = 16 * 2**10

_HEX = b"0123456789abcdefABCDEF"
_MAX_DIGITS = 15  # less than 2**60
_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_EXTENDED = re.compile(  # `2;name` or `2;name=value;other`; quoted values are nobody's custom
    rb"([0-9A-Fa-f]{1,15})(?:;" + _TCHAR + rb"++(?:=" + _TCHAR + rb"++)?+)++"
)
_SMALL = {b"%x" % size: size for size in range(1, 256)}  # not worth a closer look


class _At(Enum):
    LINE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()


class Chunks:
    """Takes bytes as they come, gives the data in them.

    Attributes:
        ended: the last chunk and the trailers are read.
        surplus: what came after them.
    """

    __slots__ = ("_at", "_excess", "_left", "_rest", "ended", "surplus")

    def __init__(self) -> None:
        self.ended = False
        self.surplus = b""
        self._at = _At.LINE
        self._left = 0  # of the data of this chunk
        self._excess = 0
        self._rest = b""  # of a line that has not ended

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of data in these bytes.

        Raises:
            UpstreamError: UPSTREAM_INVALID.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        pieces: list[bytes] = []
        here, size = 0, len(data)
        while here < size and not self.ended:
            if self._at is _At.DATA:
                piece = data[here : here + self._left]
                pieces.append(piece)
                here += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._at = _At.DATA_END
                continue
            if self._at is _At.LINE:
                here = self._whole_chunks(data, here, pieces)
            after = self._between(data, here)
            if after is None:
                self._rest = data[here:]
                break
            here = after
        if self.ended:
            self.surplus = data[here:]
        return pieces

    def _between(self, data: bytes, here: int) -> int | None:
        """Read what stands between data; where it ends, or None if it has not ended."""
        if self._at is _At.LINE:
            return self._line(data, here)
        return (
            self._data_end(data, here) if self._at is _At.DATA_END else self._trailers(data, here)
        )

    def _line(self, data: bytes, here: int) -> int | None:
        end = data.find(b"\r\n", here, here + MAX_LINE_BYTES)
        if end < 0:
            _require_may_go_on(data, here, MAX_LINE_BYTES)
            return None
        self._left = self._weigh(data[here:end])
        self._at = _At.DATA if self._left else _At.TRAILERS
        return end + 2

    def _whole_chunks(self, data: bytes, here: int, pieces: list[bytes]) -> int:
        """Read the chunks that are here from size to end; where the first other one begins.

        `feed` would read them as well. A flood of small ones must not hold up everybody else.
        """
        while (end := data.find(b"\r\n", here, here + MAX_LINE_BYTES)) > 0:
            line = data[here:end]
            count = _SMALL.get(line) or _size(line)
            stop = end + 2 + count
            if not count or data[stop : stop + 2] != b"\r\n":
                break
            if len(line) + 2 > MAX_FREE_BYTES or self._excess:
                self._weigh(line)
            pieces.append(data[end + 2 : stop])
            here = stop + 2
        return here

    def _weigh(self, line: bytes) -> int:
        """The size in a line, if it has not too much beside it."""
        count = _size(line)
        self._excess = max(0, self._excess + len(line) + 2 - MAX_FREE_BYTES - 2 * count)
        if self._excess > MAX_EXCESS_BYTES:
            raise invalid("the CRM sent more about its chunks than in them")
        return count

    def _data_end(self, data: bytes, here: int) -> int | None:
        if not b"\r\n".startswith(data[here : here + 2]):
            raise invalid("the CRM sent a chunk that is longer than it said")
        if len(data) - here < 2:
            return None
        self._at = _At.LINE
        return here + 2

    def _trailers(self, data: bytes, here: int) -> int | None:
        if data.startswith(b"\r\n", here):
            self.ended = True
            return here + 2
        end = data.find(b"\r\n\r\n", here, here + MAX_TRAILER_BYTES)
        if end < 0:
            _require_may_go_on(data, here, MAX_TRAILER_BYTES)
            return None
        parse_fields(data[here : end + 2].decode("latin-1"))
        self.ended = True
        return end + 4


def _require_may_go_on(data: bytes, here: int, bound: int) -> None:
    """What has no end yet must still be able to have one."""
    if len(data) - here >= bound:
        raise invalid("the CRM sent a line without an end")
    if data.count(b"\n", here) != data.count(b"\r\n", here):
        raise invalid("the CRM ended a line with half an end")


def _size(line: bytes) -> int:
    if not (0 < len(line) <= _MAX_DIGITS) or line.translate(None, _HEX):
        extended = _EXTENDED.fullmatch(line)
        if extended is None:
            raise invalid("the CRM sent a chunk without a readable size")
        line = extended[1]
    return int(line, 16)
