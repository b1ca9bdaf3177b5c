"""One answer as its bytes come in: the head, then pieces of the body, then its end. No I/O.

House rules:
- An answer has ended where its head said that it would, or it has not: there is no third way.
- What comes after that end is shown to nobody, and the connection is not used again. If it
  comes with the end and is not the beginning of another answer, then this one was longer than
  it said: it is none.
- The body is held as it came, in pieces; whoever takes takes everything that is there.
"""

from typing import TYPE_CHECKING

from gateway.backends.upstream_chunks import Chunks
from gateway.backends.upstream_head import (
    MAX_HEAD_BYTES,
    AnswerHead,
    Framing,
    parse_head,
)
from gateway.backends.upstream_wire import broken_off, invalid

if TYPE_CHECKING:
    from gateway.domain.errors import GatewayError

MAX_INTERIM = 16  # answers of 1xx before the answer; a real one sends one or two
_START = b"HTTP/1."
_END = b"\r\n\r\n"


class AnswerReader:
    """Takes the bytes of one answer.

    Args:
        head_only: it answers a HEAD.

    Attributes:
        begun: at least one byte has come.
        head: None until it has come whole.
        held: bytes of the body that nobody has taken.
        ended: the whole answer is here.
        surplus: bytes came after its end.
        broken: the connection ended too early.
        failure: why there will be no more.
    """

    __slots__ = (
        "_chunks",
        "_head_only",
        "_interim",
        "_left",
        "_partial",
        "_pieces",
        "begun",
        "broken",
        "ended",
        "failure",
        "head",
        "held",
        "surplus",
    )

    def __init__(self, *, head_only: bool) -> None:
        self.begun = False
        self.head: AnswerHead | None = None
        self.held = 0
        self.ended = False
        self.surplus = False
        self.broken = False
        self.failure: GatewayError | None = None
        self._head_only = head_only
        self._interim = 0
        self._partial: bytearray | None = None  # of a head
        self._left = 0  # of a counted body
        self._chunks: Chunks | None = None
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what came. Not to be called once the answer has ended.

        Raises:
            UpstreamError: UPSTREAM_INVALID.
        """
        self.begun = True
        head = self.head
        if head is None:
            data = self._read_head(data)
            head = self.head
            if head is None:
                return
        match head.framing:
            case Framing.COUNTED:
                self._count(data)
            case Framing.CHUNKED:
                self._unchunk(data)
            case Framing.UNTIL_CLOSE:
                self._hold(data)
            case Framing.NONE:
                self._finish(data)

    def end(self, *, clean: bool) -> None:
        """The connection has ended.

        Args:
            clean: the other side said so itself. Without TLS that is all that can be known;
                with TLS an end that is not signed may be anybody's (RFC 9112 9.8).
        """
        if clean and self.head is not None and self.head.framing is Framing.UNTIL_CLOSE:
            self.ended = True
        else:
            self.broken = True
            self.failure = broken_off()

    def take(self) -> bytes:
        """Everything of the body that is here and was not taken; b"" if nothing is."""
        pieces = self._pieces
        if not pieces:
            return b""
        self.held = 0
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_head(self, data: bytes) -> bytes:
        """What follows the head; b"" while it has not ended."""
        searched = 0
        buffer: bytes | bytearray = data
        if self._partial is not None:
            searched = max(0, len(self._partial) - 3)
            self._partial += data
            buffer = self._partial
        while True:
            end = buffer.find(_END, searched, MAX_HEAD_BYTES)
            if end < 0:
                _require_head_so_far(buffer, searched)
                self._partial = bytearray(buffer)
                return b""
            head = parse_head(buffer[: end + 2], head_only=self._head_only)
            rest = bytes(buffer[end + 4 :])
            if head.status >= 200:
                self._begin_body(head)
                return rest
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise invalid("the CRM sends interim answers and no answer")
            self._partial = None
            buffer, searched = rest, 0

    def _begin_body(self, head: AnswerHead) -> None:
        self.head = head
        self._partial = None
        if head.framing is Framing.COUNTED:
            self._left = head.length or 0
        elif head.framing is Framing.CHUNKED:
            self._chunks = Chunks()

    def _count(self, data: bytes) -> None:
        left = self._left
        if len(data) < left:
            self._left -= len(data)
            self._hold(data)
        else:
            self._hold(data[:left])
            self._finish(data[left:])

    def _unchunk(self, data: bytes) -> None:
        assert self._chunks is not None  # noqa: S101  # made with the head
        pieces = self._chunks.feed(data)
        self._pieces += pieces
        self.held += sum(map(len, pieces))
        if self._chunks.ended:
            self._finish(self._chunks.surplus)

    def _finish(self, surplus: bytes) -> None:
        self.ended = True
        if surplus:
            self.surplus = True
            if not _begins(surplus):
                raise invalid("the CRM's answer is longer than it said")

    def _hold(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)
            self.held += len(data)


def _require_head_so_far(buffer: bytes | bytearray, searched: int) -> None:
    """What has no end yet must still be able to become a head."""
    if len(buffer) >= MAX_HEAD_BYTES:
        raise invalid("the CRM sent a head without an end")
    if not _begins(buffer):
        raise invalid("the CRM did not answer in HTTP/1.1")
    if buffer.count(b"\n", searched) > buffer.count(b"\r\n", max(0, searched - 1)):
        raise invalid("the CRM ended a line with half an end")


def _begins(data: bytes | bytearray) -> bool:
    """It can be the beginning of an answer."""
    return _START.startswith(bytes(data[: len(_START)]))
