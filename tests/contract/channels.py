"""Both sides' channels with the other end in the test's hand, over real sockets."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.backends.upstream_socket import UpstreamSockets
from gateway.channel import SocketLimits
from gateway.domain.decision import Passage
from gateway.domain.errors import GatewayError
from gateway.domain.http import CanonicalPath, CanonicalTarget, Conversation
from gateway.domain.reason import Reason
from gateway.domain.time import instant
from gateway.proxy.limits import PortLimits
from gateway.proxy.server import GuardedServer
from tests.oracles.raw_sockets import (
    HANDSHAKE,
    MASK,
    a_raw_server,
    frame,
    read_frame,
    read_head,
    request,
    shaking_hands,
)

PATIENCE = 10  # seconds until a test gives up; none of them needs more than a fraction
CLEARANCE = Passage(reason=Reason.PASSED)
NOW = instant(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


def a_target(wire="/live"):
    path = wire.partition("?")[0]
    return CanonicalTarget(path=CanonicalPath(path), segments=(), query=(), wire=wire)


@dataclass
class Ends:
    """A channel of ours, and the other end of it as bytes.

    Attributes:
        mask: how the other end has to mask; None = it must not.
        broken: the reasons for which this side breaks off, and for what is too large.
    """

    channel: object
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    mask: bytes | None
    broken: Reason
    too_large: Reason

    def say(self, *frames):
        """Write frames, each `(opcode, payload, how)`."""
        for opcode, payload, *how in frames:
            self.writer.write(frame(opcode, payload, mask=self.mask, **dict(*how)))

    async def hear(self):
        async with asyncio.timeout(PATIENCE):
            return await read_frame(self.reader)

    async def hear_the_end(self):
        """Whatever is still to come, until the connection ends in whichever way."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@dataclass
class Port:
    """A guarded port whose pipeline opens a conversation for everybody.

    Attributes:
        ended: what the conversations so far raised, or None.
    """

    answer: Conversation | None = None
    port: int = 0
    told: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, _inbound, _body):
        return self.answer


@asynccontextmanager
async def a_port(converse, *, tls=None, limits=None, socket_limits=None, **conversation):
    """`converse` talks to whoever shakes hands; a Port."""
    port = Port()

    async def told(channel):
        try:
            await converse(channel)
            port.ended.append(None)
        except GatewayError as error:
            port.ended.append(error)
            raise
        finally:
            port.over.set()

    port.answer = Conversation(converse=told, **conversation)
    port.server = GuardedServer(
        port,
        now=lambda: NOW,
        ssl_context=tls,
        limits=limits or PortLimits(),
        socket_limits=socket_limits,
        on_shell_refusal=port.told.append,
    )
    port.port = await port.server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await port.server.stop(0)


@asynccontextmanager
async def connected(port, **how):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **how)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def a_client_channel(limits=None, subprotocol=None):
    """The client's side: our server's channel, a client by hand."""
    held = asyncio.get_running_loop().create_future()
    release = asyncio.Event()

    async def hold(channel):
        held.set_result(channel)
        await release.wait()

    async with (
        a_port(hold, socket_limits=limits, subprotocol=subprotocol) as port,
        connected(port.port) as (reader, writer),
    ):
        offered = () if subprotocol is None else (("Sec-WebSocket-Protocol", subprotocol),)
        writer.write(request(*HANDSHAKE, *offered))
        first, _ = await read_head(reader)
        assert first == "HTTP/1.1 101 Switching Protocols"
        try:
            yield Ends(
                channel=await held,
                reader=reader,
                writer=writer,
                mask=MASK,
                broken=Reason.MALFORMED_REQUEST,
                too_large=Reason.BODY_TOO_LARGE,
            )
        finally:
            release.set()


@asynccontextmanager
async def a_crm_channel(limits=None, subprotocol=None):
    """The CRM's side: our client's channel, a server by hand."""
    held = asyncio.get_running_loop().create_future()
    release = asyncio.Event()

    async def hold(reader, writer):
        held.set_result((reader, writer))
        await release.wait()

    async with a_raw_server(shaking_hands(hold, chooses=subprotocol)) as crm:
        sockets = UpstreamSockets(base_url=crm.url)
        sockets._limits = limits or SocketLimits()
        try:
            channel = await sockets.converse(
                CLEARANCE,
                target=a_target(),
                headers=(),
                subprotocols=() if subprotocol is None else (subprotocol,),
            )
            reader, writer = await held
            yield Ends(
                channel=channel,
                reader=reader,
                writer=writer,
                mask=None,
                broken=Reason.UPSTREAM_INVALID,
                too_large=Reason.ANSWER_TOO_LARGE,
            )
        finally:
            release.set()
            await sockets.close()
