"""The guarded port and a pipeline that answers with a conversation, over real sockets."""

import asyncio
import ssl

import pytest
import trustme

from gateway.channel import SocketLimits
from gateway.domain.decision import Refusal
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.proxy.limits import PortLimits
from tests.contract.channels import a_port, connected
from tests.oracles.raw_sockets import (
    ANSWER,
    CLOSE,
    HANDSHAKE,
    TEXT,
    closing,
    masked,
    read_frame,
    read_head,
    request,
)

GET = request(("Host", "crm.example"), line="GET / HTTP/1.1")


async def echo(channel):
    while (message := await channel.receive()) is not None:
        await channel.send(message)


async def wait_for_ever(_channel):
    await asyncio.Event().wait()


async def shake_hands(reader, writer, *more):
    writer.write(request(*HANDSHAKE, *more))
    first, headers = await read_head(reader)
    assert first == "HTTP/1.1 101 Switching Protocols"
    return headers


async def test_a_handshake_is_answered_with_the_pipelines_headers_and_no_banner():
    given = {"headers": (("X-Request-Id", "id-1"),), "subprotocol": "chat"}
    async with a_port(echo, **given) as port, connected(port.port) as (reader, writer):
        headers = await shake_hands(reader, writer, ("Sec-WebSocket-Protocol", "v2, chat"))
        assert headers.pop("date").endswith(" GMT")
        assert headers == {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-accept": ANSWER,
            "sec-websocket-protocol": "chat",
            "x-request-id": "id-1",
        }
        writer.write(masked(TEXT, b"hello"))
        assert await read_frame(reader) == (TEXT, b"hello", True)


async def test_it_goes_over_tls_as_well():
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("crm.example").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with (
        a_port(echo, tls=theirs) as port,
        connected(port.port, ssl=ours, server_hostname="crm.example") as (reader, writer),
    ):
        await shake_hands(reader, writer)
        writer.write(masked(TEXT, b"hello") + masked(CLOSE, closing(1000)))
        assert (await read_frame(reader))[1] == b"hello"
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1000))
        assert await reader.read() == b""


async def test_a_request_before_it_on_the_same_connection_is_answered_first():
    async with a_port(echo) as port, connected(port.port) as (reader, writer):
        opened, port.answer = port.answer, Refusal(reason=Reason.UNMAPPED, request_id="id-1")
        writer.write(GET)
        first, headers = await read_head(reader)
        await reader.readexactly(int(headers["content-length"]))
        assert first.split()[1] == "404"
        port.answer = opened
        await shake_hands(reader, writer)


async def test_the_connection_ends_with_the_conversation():
    async def nothing(_channel):
        pass

    async with a_port(nothing) as port, connected(port.port) as (reader, writer):
        await shake_hands(reader, writer)
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1000))
        writer.write(masked(CLOSE, closing(1000)) + GET)
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            assert True  # as good an end


@pytest.mark.parametrize("error", [RequestError(Reason.OUTSIDE_HOURS), KeyError("a name")])
async def test_a_conversation_that_fails_is_closed_and_the_error_stays_inside(error, caplog):
    async def fail(_channel):
        raise error

    async with a_port(fail) as port, connected(port.port) as (reader, writer):
        await shake_hands(reader, writer)
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1011))
        writer.close()
    assert "a name" not in caplog.text
    assert ("pipeline_failed" in caplog.text) is isinstance(error, KeyError)


async def test_a_stop_closes_what_is_open_and_says_that_it_goes():
    async with a_port(wait_for_ever) as port, connected(port.port) as (reader, writer):
        await shake_hands(reader, writer)
        stopping = asyncio.ensure_future(port.server.stop(10))
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1001))
        writer.write(masked(CLOSE, closing(1001)))
        assert await reader.read() == b""
        await stopping


async def test_a_stop_waits_no_longer_than_its_grace_for_a_silent_client():
    patient = SocketLimits(close_seconds=3600)
    async with (
        a_port(wait_for_ever, socket_limits=patient) as port,
        connected(port.port) as (reader, writer),
    ):
        await shake_hands(reader, writer)
        stopping = asyncio.ensure_future(port.server.stop(0.05))
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1001))
        await stopping
        await port.over.wait()
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)


async def test_who_shakes_hands_while_it_stops_gets_no_conversation_but_the_crm_is_let_go():
    judging, go = asyncio.Event(), asyncio.Event()
    async with a_port(echo) as port:
        opened = port.answer

        async def run(_inbound, _body):
            judging.set()
            await go.wait()
            return opened

        port.run = run
        async with connected(port.port) as (reader, writer):
            writer.write(request(*HANDSHAKE))
            await judging.wait()
            stopping = asyncio.ensure_future(port.server.stop(10))
            await asyncio.sleep(0)
            go.set()
            assert await reader.read() == b""
            await stopping
            assert port.ended[0].reason is Reason.MALFORMED_REQUEST


async def test_a_client_that_left_before_the_answer_lets_the_crm_go():
    judging, go = asyncio.Event(), asyncio.Event()
    async with a_port(echo) as port:
        opened = port.answer

        async def run(_inbound, _body):
            judging.set()
            await go.wait()
            return opened

        port.run = run
        async with connected(port.port) as (_, writer):
            writer.write(request(*HANDSHAKE))
            await judging.wait()
            writer.transport.abort()
        while port.server._wire._per_peer:  # noqa: ASYNC110  # aiohttp's state: it sets no event of ours
            await asyncio.sleep(0)
        go.set()
        await port.over.wait()
        assert port.ended[0].reason is Reason.MALFORMED_REQUEST


async def test_a_connection_counts_as_long_as_it_talks_and_no_longer():
    limits = PortLimits(max_connections_per_peer=1)
    async with a_port(echo, limits=limits) as port:
        async with connected(port.port) as (reader, writer):
            await shake_hands(reader, writer)
            async with connected(port.port) as (second, _):
                with pytest.raises(ConnectionError):
                    await second.readexactly(1)
            writer.write(masked(CLOSE, closing(1000)))
            assert (await read_frame(reader))[0] == CLOSE
            assert await reader.read() == b""
        await port.over.wait()
        while port.server._wire.connections:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
        async with connected(port.port) as (reader, writer):
            await shake_hands(reader, writer)


async def test_an_idle_conversation_outlives_the_time_for_an_idle_connection():
    async with (
        a_port(echo, limits=PortLimits(idle_seconds=0.05)) as port,
        connected(port.port) as (reader, writer),
    ):
        await shake_hands(reader, writer)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)
        writer.write(masked(TEXT, b"still here"))
        assert (await read_frame(reader))[1] == b"still here"


async def test_a_refusal_of_a_handshake_is_a_plain_answer_and_the_end_of_the_connection():
    async with a_port(echo) as port, connected(port.port) as (reader, writer):
        port.answer = Refusal(reason=Reason.OUTSIDE_HOURS, request_id="id-1")
        writer.write(request(*HANDSHAKE) + GET)
        first, headers = await read_head(reader)
        assert first.split()[1] == "403"
        assert len(await reader.read()) == int(headers["content-length"])


async def test_who_asks_for_a_websocket_without_opening_one_is_told_how():
    async with a_port(echo) as port, connected(port.port) as (reader, writer):
        port.answer = Refusal(reason=Reason.WEBSOCKET_ONLY, request_id="id-1")
        for _ in range(2):  # and may ask again on the same connection
            writer.write(GET)
            first, headers = await read_head(reader)
            await reader.readexactly(int(headers["content-length"]))
            assert first.split()[1] == "426"
            assert headers["upgrade"] == "websocket"
            assert headers["connection"] == "Upgrade"
            assert headers["sec-websocket-version"] == "13"
        old = [(n, "8" if n.endswith("Version") else v) for n, v in HANDSHAKE]
        writer.write(request(*old))
        _, headers = await read_head(reader)
        assert headers["connection"] == "Upgrade, close"
        assert len(await reader.read()) == int(headers["content-length"])
