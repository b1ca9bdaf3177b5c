"""A WebSocket's bytes become the same messages in any pieces, within bounds, or one refusal.

The first byte says in which pieces, the second which end is ours.
"""

import asyncio
import atexit

from wsproto.connection import ConnectionType

from gateway.channel import CLIENT, CRM, FramedChannel, SocketLimits
from gateway.domain.errors import GatewayError
from tests.fuzz.draws import Draws, in_chunks
from tests.fuzz.refusals import require_reason

LIMITS = SocketLimits(
    max_message_bytes=500, max_fragments=6, quiet_seconds=60.0, close_seconds=60.0
)
MAX_BYTES = 1024
_ZERO = b"\0\0\0\0"  # a mask that changes nothing


def _frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    length = bytes([length[0] | (0x80 if masked else 0)]) + length[1:]
    return bytes([first]) + length + (_ZERO if masked else b"") + payload


SEEDS = (
    b"\x00\x00" + _frame(0x81, b"hello") + _frame(0x82, b"\0\xff") + _frame(0x88, b"\x03\xe8bye"),
    b"\x01\x00"
    + _frame(0x01, "美".encode()[:1])
    + _frame(0x89, b"p")
    + _frame(0x80, "美".encode()[1:]),
    b"\x02\x01" + _frame(0x81, b"hi", masked=False) + _frame(0x8A, b"", masked=False),
    b"\x03\x00" + _frame(0x82, b"a" * 300) + _frame(0x82, b"b" * 600),
    b"\x04\x00" + _frame(0x01, b"a") * 1 + _frame(0x00, b"") * 9,
    b"\x05\x01" + _frame(0x88, b"", masked=False) + b"later",
    b"\x06\x00" + _frame(0xC1, b"compressed?"),
)
# fmt: off
WORDS = (
    *(_frame(first, b"") for first in (0x81, 0x80, 0x00, 0x01, 0x82, 0x88, 0x89, 0x8A)),
    *(_frame(first, b"a", masked=False) for first in (0x81, 0x80, 0x00, 0x01, 0x88, 0x89)),
    b"\xfe\x00\x80", b"\xff\x7f\xff\xff\xff\xff\xff\xff\xff", b"\x03\xe8", b"\xed\xa0\x80",
)
# fmt: on
_RUNNER = asyncio.Runner()  # making one takes longer than all the rest
atexit.register(_RUNNER.close)
Outcome = tuple[list[str | bytes], str, int | None]


class _Pipe:
    """Bytes that are all there already."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(filter(None, pieces))
        self.written = b""
        self.ends = 0

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        self.written += data

    def end(self, *, clean: bool) -> None:  # noqa: ARG002  # both ways are an end
        self.ends += 1


def check(data: bytes) -> None:
    draws = Draws(data)
    pieces, peer = draws.below(256), draws.of((CLIENT, CRM))
    sent = draws.rest()
    found = _RUNNER.run(_heard([sent], peer))
    for how in (0, pieces):
        assert _RUNNER.run(_heard(in_chunks(sent, how), peer)) == found


async def _heard(pieces: list[bytes], peer: object) -> Outcome:
    pipe = _Pipe(pieces)
    channel = FramedChannel(pipe, peer=peer, subprotocol=None, limits=LIMITS)
    messages: list[str | bytes] = []
    ending = "closed"
    try:
        while (message := await channel.receive()) is not None:
            size = len(message.encode() if isinstance(message, str) else message)
            assert size <= LIMITS.max_message_bytes
            messages.append(message)
    except GatewayError as error:
        require_reason(error, {peer.broken, peer.too_large})
        ending = str(error.reason)
    await channel.close(1000, "")
    assert pipe.ends == 1
    masked = peer.ours is ConnectionType.CLIENT
    assert all(bool(second & 0x80) == masked for second in pipe.written[1:2])
    return messages, ending, channel.farewell
