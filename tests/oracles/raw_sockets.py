"""A WebSocket's bytes by hand, from the text of RFC 6455 alone; and servers that say any.

Nothing of ours and no library: what is written here may be wrong on purpose.
"""

import asyncio
import base64
import hashlib
import struct
from contextlib import asynccontextmanager, suppress

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3, with its answer
ANSWER = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x37\xfa\x21\x3d"  # RFC 6455 5.7

HANDSHAKE = (
    ("Host", "crm.example"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def frame(opcode, payload=b"", *, fin=True, mask=None, rsv=0, length=None):
    """RFC 6455 5.2. `length` announces another length than the payload has."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 2**16:
        head = bytes([first, masked | 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, masked | 127]) + struct.pack("!Q", size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def masked(opcode, payload=b"", **how):
    """As a client has to send it."""
    return frame(opcode, payload, mask=MASK, **how)


def closing(code, reason=b""):
    """The payload of a close frame (RFC 6455 5.5.1)."""
    return struct.pack("!H", code) + reason


def request(*headers, line="GET /live HTTP/1.1"):
    return "\r\n".join([line, *(f"{n}: {v}" for n, v in headers), "", ""]).encode("latin-1")


def accept_of(key):
    """RFC 6455 4.2.2 5.4."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()  # noqa: S324  # the RFC's choice
    return base64.b64encode(digest).decode()


async def read_frame(reader):
    """The next frame: opcode, payload, fin. EOFError (IncompleteReadError) at the end."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 128 else bytes(4)
    payload = await reader.readexactly(size)
    return first & 15, bytes(b ^ mask[at % 4] for at, b in enumerate(payload)), bool(first & 128)


async def read_head(reader):
    """Status line and headers by lower-case name."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    return first, {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}


def switching(key, *more):
    """A CRM's 101 for this key."""
    headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_of(key)),
        *more,
    )
    return request(*headers, line="HTTP/1.1 101 Switching Protocols")


class RawServer:
    """One that plays a script on each connection. `url`, and what `heads` it was sent."""

    def __init__(self, script):
        self.script = script
        self.heads = []
        self.left = asyncio.Event()

    async def play(self, reader, writer):
        try:
            await self.script(self, reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            self.left.set()
            writer.transport.abort()


@asynccontextmanager
async def a_raw_server(script, tls=None):
    server = RawServer(script)
    tasks = set()

    async def played(reader, writer):
        tasks.add(asyncio.current_task())
        with suppress(asyncio.CancelledError):
            await server.play(reader, writer)

    listener = await asyncio.start_server(played, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listener.wait_closed()


def shaking_hands(then, *more, chooses=None):
    """A CRM that opens the WebSocket as it should, then does something."""

    async def script(server, reader, writer):
        first, headers = await read_head(reader)
        server.heads.append((first, headers))
        chosen = () if chooses is None else (("Sec-WebSocket-Protocol", chooses),)
        writer.write(switching(headers["sec-websocket-key"], *chosen, *more))
        await then(reader, writer)

    return script
