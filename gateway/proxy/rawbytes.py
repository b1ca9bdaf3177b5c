"""What the parser does not tell: the request line as it came, and what the rest of it weighs.

aiohttp's parser (3.14.5, llhttp inside) drops the name of the protocol, so `GET / RTSP/1.1` is
HTTP/1.1 to it; it takes several blanks for one; it bounds each line of a head but not the head,
and not what stands between the pieces of a chunked body (extensions, trailers).

True here:
- Bytes are looked at beside the parser, never changed, and kept only from where a request
  begins that is not whole yet.
- Where one begins is always known: behind the head and the length of the one before. Behind
  chunks nothing is: the connection ends with them (`wire.WireRequest.is_last`).
"""

from collections.abc import Iterable

from aiohttp.http import RawRequestMessage

_END = b"\r\n\r\n"


class RawBytes:
    """The bytes of one connection, as far as they may still matter."""

    __slots__ = ("_kept", "_skip")

    def __init__(self) -> None:
        self._kept = bytearray()  # from the beginning of a request on
        self._skip: int | None = 0  # bytes of a body before the next one; None = there is none

    @property
    def begun(self) -> int:
        """Bytes of requests that have begun and are not made yet."""
        return len(self._kept)

    def read(self, data: bytes, messages: Iterable[RawRequestMessage]) -> list[bool]:
        """Did each of these begin with one plain HTTP request line?

        Args:
            data: what came just now.
            messages: what the parser made of it and of what is kept, in order.
        """
        if self._skip is None:
            return [False for _ in messages]
        behind = data[self._skip :] if self._skip else data
        self._skip -= len(data) - len(behind)
        found: list[bool] = []
        raw, at = b"", 0
        for message in messages:
            if self._skip is None:
                found.append(False)
                continue
            raw = raw or bytes(self._kept) + behind
            at = _start(raw, at)
            found.append(raw.startswith(_line_of(message), at))
            end = raw.find(_END, at) + len(_END)
            if message.chunked or end < len(_END):
                self._skip = None
            else:
                end += int(message.headers.get("Content-Length", "0"))
                self._skip = max(0, end - len(raw))
                at = min(end, len(raw))
        if self._skip is None:
            self._kept.clear()
        elif found:
            self._kept = bytearray(raw[at:])
        else:
            self._kept += behind
        return found


class Framing:
    """What a chunked body costs besides itself, from the first read behind its head.

    Attributes:
        raw: bytes that came.
        began: how much of the body itself was there before.
    """

    __slots__ = ("began", "raw")

    def __init__(self, received: int) -> None:
        self.raw = 0
        self.began = received

    def exceeds(self, received: int, slack: int) -> bool:
        """Is there more framing than body, by more than `slack` bytes?"""
        body = received - self.began
        return self.raw - body > body + slack


def _start(raw: bytes, at: int) -> int:
    """RFC 9112 2.2: empty lines before a request line are skipped."""
    while raw[at : at + 1] in {b"\r", b"\n"}:
        at += 1
    return at


def _line_of(message: RawRequestMessage) -> bytes:
    major, minor = message.version
    line = f"{message.method} {message.path} HTTP/{major}.{minor}\r\n"
    return line.encode("utf-8", "surrogateescape")
