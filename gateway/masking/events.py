r"""Server-sent events, cut one by one while they flow (WHATWG HTML, 9.2).

True here:
- What goes out is written anew from what was understood: lines end in LF, an event ends in one
  empty line, a field has one blank after its colon. Only whole events go out; what stands after
  the last empty line when the CRM stops is no event, and is lost.
- `data`, its lines joined by LF, is one JSON document and leaves cut, or empty and leaves so.
  An event whose record may not be seen leaves whole, its `id` too.
- `event` and `id` are not cut, so they must be plain words; `retry` is digits, and like in a
  browser without effect if it is not. Of fields that stand twice the last one counts.
- Comments and fields that no browser knows are dropped. Where nothing else stands between two
  events, a comment keeps the connection awake and goes out as `:`, without its text.
- One that has refused refuses everything that follows: what comes next cannot be told.
"""

import re
from collections.abc import Callable

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason

MAX_EVENT_BYTES = 2**20  # of one event as it came; a client card is one thousandth of it

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_WORD = re.compile(rb"[A-Za-z0-9._:/-]{0,64}")  # `client.updated`, `message:new`
_ID = re.compile(rb"[A-Za-z0-9_-]{0,64}")
_DIGITS = re.compile(rb"[0-9]{1,9}")

CutOne = Callable[[bytes], bytes | None]


class EventCut:
    """Cuts one stream of events, chunk by chunk as it comes."""

    def __init__(self, cut_one: CutOne) -> None:
        """Begin a stream.

        Args:
            cut_one: a document → what may be seen of it; None = its record may not be seen.
                What it raises ends the stream.
        """
        self._cut_one = cut_one
        self._line = bytearray()  # of the line that has not ended yet
        self._begun = False  # a first line has been read, so no byte-order mark may follow
        self._after_cr = False  # an LF now would belong to the line end before it
        self._broken = False
        self._forget()

    def _forget(self) -> None:
        """Begin a new event."""
        self._size = 0
        self._data: list[bytes] = []
        self._fields: dict[bytes, bytes] = {}
        self._comment = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk of the CRM's stream; return the events that it completes, rewritten.

        Raises:
            UpstreamError: ANSWER_NOT_CUT: not a stream of events with JSON in them, or an
                event larger than `MAX_EVENT_BYTES`.
        """
        if self._broken:
            raise _not_cut()
        self._broken = True  # until this chunk has been taken without an error
        made = self._events(chunk)
        self._broken = False
        return made

    def finish(self) -> None:
        """The CRM has ended its stream: an event that is not whole is no event."""
        self._line.clear()
        self._forget()
        self._broken = True

    def _events(self, chunk: bytes) -> list[bytes]:
        made: list[bytes] = []
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        start = 0
        for end in _LINE_END.finditer(chunk):
            self._take(chunk[start : end.start()])
            start = end.end()
            self._size += 1
            line = bytes(self._line)
            self._line.clear()
            if not self._begun:
                self._begun, line = True, line.removeprefix(_BOM)
            if line:
                self._read(line)
            else:
                made += self._dispatch()
        self._take(chunk[start:])
        self._after_cr = chunk.endswith(b"\r") or (self._after_cr and not chunk)
        return made

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_EVENT_BYTES:
            raise _not_cut()
        self._line += part

    def _read(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"":
                self._comment = True
            case b"data":
                self._data.append(value)
            case b"event" | b"id":
                if not (_WORD if name == b"event" else _ID).fullmatch(value):
                    raise _not_cut()
                self._fields[name] = value
            case b"retry":
                if _DIGITS.fullmatch(value):
                    self._fields[name] = value
            case _:
                pass  # a browser would not know it either

    def _dispatch(self) -> list[bytes]:
        """The event that an empty line ends, if it is one and may be seen."""
        data, fields = self._data, self._fields
        awake = self._comment
        self._forget()
        lines = [name + b": " + value for name, value in fields.items()]
        if data:
            document = b"\n".join(data)
            shown = self._cut_one(document) if document else document
            if shown is None:
                return []
            # A value that stays keeps its bytes, and with them its line ends.
            lines += [b"data: " + part for part in _LINE_END.split(shown)]
        if lines:
            return [b"\n".join((*lines, b"", b""))]
        return [b":\n\n"] if awake else []


def _not_cut() -> UpstreamError:
    return UpstreamError(
        Reason.ANSWER_NOT_CUT, "The CRM's answer is not a stream of events that can be cut."
    )
