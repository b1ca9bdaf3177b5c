"""A WebSocket as whole messages, over any two-way stream of bytes. Knows wsproto.

Both sides of the gateway speak through this one class: as a server to the client, as a client
to the CRM. No frame is ever passed on; what goes out is framed anew.

House rules:
- Nothing is read but while somebody waits in `receive` (or for the end, in `close`), and no
  more is kept than one message and one piece of bytes: the other end is slowed down instead.
- What breaks RFC 6455 ends the connection with the code that says so (7.4.1). wsproto checks
  masks, reserved bits, opcodes, lengths, control frames, UTF-8 and close codes; sizes, counts
  and times are bounded here.
- A frame of two bytes costs as much to read as one of a thousand, some 10 µs. So after every
  `_TURN` of them others have their turn.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from gateway.domain.errors import GatewayError, RequestError, UpstreamError
from gateway.domain.reason import Reason

_TURN = 128  # frames, or pieces of one
_PIECE = 64 * 2**10  # of a message in one frame; a longer one is masked and sent in several


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """Every bound of one WebSocket.

    Attributes:
        max_message_bytes: of one message, its fragments together.
        max_fragments: of one message; empty ones cost as much as full ones.
        quiet_seconds: without a byte from the other end until it is asked whether it is there,
            and then until it is given up.
        close_seconds: for the other end to answer a close.
    """

    max_message_bytes: int = 2**20
    max_fragments: int = 1024
    quiet_seconds: float = 30.0
    close_seconds: float = 2.0


class Pipe(Protocol):
    """The connection below, after its handshake."""

    async def read(self) -> bytes:
        """What has come, at most 64 KiB at a time; b"" = it has ended. Raises OSError."""
        ...

    async def write(self, data: bytes) -> None:
        """Send; waits while the other end takes nothing. Raises OSError."""
        ...

    def end(self, *, clean: bool) -> None:
        """Let go of it: after a closing handshake, or in the middle of anything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, and what to say when it does wrong."""

    ours: ConnectionType
    error: type[GatewayError]
    broken: Reason
    too_large: Reason
    slow: Reason


CLIENT = Peer(
    ours=ConnectionType.SERVER,
    error=RequestError,
    broken=Reason.MALFORMED_REQUEST,
    too_large=Reason.BODY_TOO_LARGE,
    slow=Reason.BODY_TIMEOUT,
)
CRM = Peer(
    ours=ConnectionType.CLIENT,
    error=UpstreamError,
    broken=Reason.UPSTREAM_INVALID,
    too_large=Reason.ANSWER_TOO_LARGE,
    slow=Reason.UPSTREAM_TIMEOUT,
)


class FramedChannel:
    """`domain.http.Channel` over a pipe.

    Args:
        pipe: nothing was read from it but the handshake.
        peer: who is at the other end.
        subprotocol: what the handshake agreed on.
        limits: sizes and times.
    """

    def __init__(
        self, pipe: Pipe, *, peer: Peer, subprotocol: str | None, limits: SocketLimits
    ) -> None:
        self.subprotocol = subprotocol
        self.farewell: int | None = None
        self._pipe = pipe
        self._peer = peer
        self._limits = limits
        self._frames = Connection(peer.ours)
        self._looked_at = 0  # frames so far
        self._message = bytearray()  # of the message that is coming
        self._fragments = 0
        self._writing = asyncio.Lock()  # whole frames only
        self._ended = False  # no more is sent
        self._failed = False  # what comes cannot be read

    async def receive(self) -> str | bytes | None:
        """See `domain.http.Channel`."""
        while self.farewell is None:
            if self._ended:
                raise self._peer.error(self._peer.broken, "the connection has ended")
            for event in self._frames.events():  # one by one: what follows waits where it is
                await self._take_turns()
                if isinstance(event, Ping):
                    await self._put(event.response())
                elif isinstance(event, CloseConnection):
                    await self._require_closed(event)
                    return None
                elif isinstance(event, TextMessage | BytesMessage) and await self._is_whole(event):
                    return self._taken(event)
            self._frames.receive_data(await self._read())
        return None

    async def send(self, message: str | bytes) -> None:
        """See `domain.http.Channel`."""
        for part in _parts(message):
            await self._put(part)

    async def close(self, code: int, reason: str) -> None:
        """See `domain.http.Channel`. Takes at most `close_seconds`."""
        if self._ended:
            return
        self._ended = True
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self._write(CloseConnection(code=code, reason=reason or None))
                await self._see_out()
        except (OSError, LocalProtocolError):  # TimeoutError is one: nobody is left to be told
            pass
        finally:
            self._pipe.end(clean=self._frames.state is ConnectionState.CLOSED)

    async def _see_out(self) -> None:
        """Read on until the other end has closed as well, and throw away what it says.

        Unread bytes would turn the end of the connection into a reset, which may overtake the
        close frame and take its code along.
        """
        while True:
            for event in self._frames.events():
                await self._take_turns()
                self._failed |= isinstance(event, CloseConnection)
            if self._frames.state is not ConnectionState.LOCAL_CLOSING:
                return
            data = await self._pipe.read()
            if not data:
                return
            if not self._failed:  # else wsproto reads no further and would only collect it
                self._frames.receive_data(data)

    async def _require_closed(self, event: CloseConnection) -> None:
        """Note that the other end has closed; wsproto says the same where it broke the rules."""
        if self._frames.state is ConnectionState.OPEN:
            raise await self._failure(event.code, self._peer.broken, "no frames of RFC 6455")
        self.farewell = int(event.code)

    async def _is_whole(self, event: TextMessage | BytesMessage) -> bool:
        """Take a piece of a message; is it the last?"""
        self._message += event.data.encode() if isinstance(event.data, str) else event.data
        most = self._limits.max_message_bytes
        if len(self._message) > most:
            detail = f"a message is larger than {most} bytes"
            raise await self._failure(CloseReason.MESSAGE_TOO_BIG, self._peer.too_large, detail)
        self._fragments += event.frame_finished
        if self._fragments > self._limits.max_fragments:
            detail = "a message comes in too many pieces"
            raise await self._failure(CloseReason.POLICY_VIOLATION, self._peer.too_large, detail)
        return event.message_finished

    def _taken(self, event: TextMessage | BytesMessage) -> str | bytes:
        message = bytes(self._message)
        self._message.clear()
        self._fragments = 0
        return message.decode() if isinstance(event, TextMessage) else message

    async def _take_turns(self) -> None:
        self._looked_at += 1
        if not self._looked_at % _TURN:
            await asyncio.sleep(0)

    async def _read(self) -> bytes:
        """Wait for bytes; when none come, ask once whether anybody is there."""
        try:
            try:
                async with asyncio.timeout(self._limits.quiet_seconds):
                    data = await self._pipe.read()
            except TimeoutError:
                await self._put(Ping())
                async with asyncio.timeout(self._limits.quiet_seconds):
                    data = await self._pipe.read()
        except TimeoutError as error:
            raise self._lost(self._peer.slow, "nobody answers any more") from error
        except OSError as error:
            raise self._lost(self._peer.broken, "the connection broke off") from error
        if not data:
            raise self._lost(self._peer.broken, "the connection broke off")
        return data

    async def _put(self, event: Event) -> None:
        if self._ended:
            raise self._peer.error(self._peer.broken, "the connection has ended")
        try:
            await self._write(event)
        except TimeoutError as error:
            raise self._lost(self._peer.slow, "nothing is taken any more") from error
        except OSError as error:
            raise self._lost(self._peer.broken, "the connection broke off") from error
        except LocalProtocolError as error:  # it has closed; our own close is still to be said
            raise self._peer.error(self._peer.broken, "the connection has ended") from error

    async def _write(self, event: Event) -> None:
        async with self._writing:
            await self._pipe.write(self._frames.send(event))

    async def _failure(self, code: int, reason: Reason, detail: str) -> GatewayError:
        """RFC 6455 7.1.7: say what was wrong, and end it."""
        self._failed = True
        await self.close(code, "")
        return self._peer.error(reason, detail)

    def _lost(self, reason: Reason, detail: str) -> GatewayError:
        """Nobody is there: let go of the connection."""
        self._ended = True
        self._pipe.end(clean=False)
        return self._peer.error(reason, detail)


def _parts(message: str | bytes) -> Iterator[Event]:
    """A message as frames, the last of which says so."""
    for start in range(0, max(len(message), 1), _PIECE):
        piece = message[start : start + _PIECE]
        last = start + _PIECE >= len(message)
        if isinstance(piece, str):
            yield TextMessage(data=piece, message_finished=last)
        else:
            yield BytesMessage(data=piece, message_finished=last)
