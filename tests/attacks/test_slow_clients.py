"""Clients that take their time, so that a place, a buffer or a thread is theirs for ever.

Bounds are made small and the gateway's own close is waited for; nothing here is measured.
"""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest

from gateway.build import build
from gateway.proxy.limits import PortLimits
from tests.attacks.red_team_world import SOURCES, card_answer, open_salon

CARD = "/api/clients/7"
JSON = "Content-Type: application/json"
PATIENCE = 20
UPLOAD = "  - { match: POST /assets/**, resource: asset, action: create, pass: true }\n"
# The starter policy, and a route whose body is streamed through.
UPLOADS = build(
    replace(SOURCES, adapter=replace(SOURCES.adapter, data=SOURCES.adapter.data + UPLOAD.encode()))
)


@asynccontextmanager
async def an_upload(salon, *lines):
    """A connection on which an upload has begun and its body is asked for."""
    salon.current = lambda: UPLOADS
    head = await salon.head("POST", "/assets/a.bin", "ken", *lines, "Expect: 100-continue")
    reader, writer = await asyncio.open_connection("127.0.0.1", salon.port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(head + b"\r\n")
            await reader.readuntil(b"100 Continue\r\n\r\n")
            yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def connected(salon):
    reader, writer = await asyncio.open_connection("127.0.0.1", salon.port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


async def until_closed(reader):
    """What still comes; a reset is an end too."""
    came = b""
    with suppress(ConnectionResetError):
        while piece := await reader.read(65_536):
            came += piece
    return came


async def drip(reader, writer, piece):
    """Write small pieces for as long as the gateway lets it: what it said in the end."""
    ended = asyncio.ensure_future(until_closed(reader))
    while not ended.done():
        writer.write(piece)
        await asyncio.wait({ended}, timeout=0.01)
    return ended.result()


# -- heads ---------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n"])
async def test_a_head_that_does_not_come_frees_its_place(begun):
    limits = PortLimits(idle_seconds=0.1, max_connections_per_peer=1)
    async with open_salon(limits=limits) as salon:
        assert await salon.raw(begun) == b""
        status, _, _ = await salon.ask("GET", CARD, "mei")
        assert status == 200


async def test_a_head_that_drips_in_has_no_longer():
    async with open_salon(limits=PortLimits(idle_seconds=0.2)) as salon:
        async with connected(salon) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            assert await drip(reader, writer, b"y") == b""
        assert salon.got == []


async def test_a_second_head_that_drips_in_has_no_longer_than_the_first():
    async with open_salon(limits=PortLimits(idle_seconds=0.2)) as salon:
        async with connected(salon) as (reader, writer):
            writer.write(await salon.head("GET", CARD, "mei") + b"\r\nGET / HTTP/1.1\r\nX: ")
            assert (await drip(reader, writer, b"y")).count(b"HTTP/1.1 ") == 1
        assert len(salon.got) == 1


async def test_two_thousand_idle_connections_keep_nobody_out():
    async with open_salon() as salon, AsyncExitStack() as held:
        for _ in range(2_000):
            idle = held.enter_context(socket.socket())
            idle.setblocking(False)  # noqa: FBT003  # its only parameter
            await asyncio.get_running_loop().sock_connect(idle, ("127.0.0.1", salon.port))
            idle.send(b"GET /half HTTP/1.1\r\nHost: a\r\n")
        status, _, _ = await salon.ask("GET", CARD, "mei")
        assert status == 200


async def test_beyond_the_cap_a_connection_ends_at_once_and_its_place_is_free_again():
    async with (
        open_salon(limits=PortLimits(max_connections=50)) as salon,
        AsyncExitStack() as held,
    ):
        for _ in range(50):
            _, writer = await held.enter_async_context(connected(salon))
            writer.write(b"GET /half")
        assert await salon.raw(await salon.head("GET", CARD, "mei") + b"\r\n") == b""
        assert salon.server.turned_away == 1
        await held.aclose()
        async with asyncio.timeout(PATIENCE):
            while salon.server._wire._peers:  # noqa: ASYNC110  # the server's own bookkeeping
                await asyncio.sleep(0)
        status, _, _ = await salon.ask("GET", CARD, "mei")
        assert status == 200


# -- bodies --------------------------------------------------------------------------------


async def test_a_judged_body_that_drips_in_has_a_deadline_and_reaches_nobody():
    async with open_salon(limits=PortLimits(body_seconds=0.2, linger_seconds=0.05)) as salon:
        head = await salon.head("POST", "/api/clients", "ken", JSON, "Content-Length: 90000")
        async with connected(salon) as (reader, writer):
            writer.write(head + b"\r\n")
            raw = await drip(reader, writer, b" ")
        assert raw.startswith(b"HTTP/1.1 408") or not raw  # a reset may overtake it
        assert salon.got == []


@pytest.mark.parametrize(
    ("framing", "piece"),
    [("Content-Length: 60000000", b"x"), ("Transfer-Encoding: chunked", b"1\r\nx\r\n")],
)
async def test_an_upload_of_a_few_bytes_a_second_is_cut_off(framing, piece):
    limits = PortLimits(body_seconds=0.3, min_bytes_per_second=1_000_000, linger_seconds=0.05)
    async with open_salon(limits=limits) as salon, an_upload(salon, framing) as (reader, writer):
        raw = await drip(reader, writer, piece)
        assert b" 200 " not in raw


async def test_an_upload_that_stops_is_cut_off_although_it_was_fast_before():
    limits = PortLimits(body_seconds=0.2, min_bytes_per_second=1, linger_seconds=0.05)
    async with (
        open_salon(limits=limits) as salon,
        an_upload(salon, "Content-Length: 60000000") as (reader, writer),
    ):
        writer.write(b"x" * 1_000_000)  # would earn eleven days
        assert b" 200 " not in await until_closed(reader)


async def test_an_upload_may_take_longer_than_the_deadline_of_a_body_if_it_comes_steadily():
    limits = PortLimits(body_seconds=0.3, min_bytes_per_second=1000)
    async with open_salon(limits=limits) as salon:
        salon.says = card_answer(status="201 Created")
        async with an_upload(salon, "Content-Length: 40000", "Connection: close") as (
            reader,
            writer,
        ):
            ended = asyncio.ensure_future(until_closed(reader))
            for _ in range(40):  # 0.8 seconds and more
                writer.write(b"x" * 1000)
                await asyncio.wait({ended}, timeout=0.02)
            raw = await ended
        assert raw.startswith(b"HTTP/1.1 201")
        assert salon.got[0].endswith(b"x" * 40_000)


async def test_an_upload_larger_than_its_cap_is_refused():
    limits = PortLimits(max_body_bytes=1000, linger_seconds=0.05)
    async with open_salon(limits=limits) as salon:
        salon.current = lambda: UPLOADS
        head = await salon.head("POST", "/assets/a.bin", "ken", "Content-Length: 1001")
        raw = await salon.raw(head + b"\r\n" + b"x" * 1001)
        assert raw.startswith(b"HTTP/1.1 413")


# -- answers -------------------------------------------------------------------------------


@asynccontextmanager
async def a_lazy_reader(salon, target, who="ken"):
    """A client that asks for a lot and takes as good as nothing of it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)  # noqa: FBT003  # its only parameter
        await loop.sock_connect(client, ("127.0.0.1", salon.port))
        await loop.sock_sendall(client, await salon.head("GET", target, who) + b"\r\n")
        async with asyncio.timeout(PATIENCE):
            while not salon.got:  # noqa: ASYNC110  # the CRM's list
                await asyncio.sleep(0)
            yield client


async def all_gone(salon):
    while salon.server._wire._peers:  # noqa: ASYNC110  # the server's own bookkeeping
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("takes", [0, 1])
async def test_who_takes_an_answer_byte_by_byte_is_cut_off_and_the_place_is_free(takes):
    limits = PortLimits(write_seconds=0.1, idle_seconds=0.5)
    async with open_salon(limits=limits) as salon:
        salon.says = card_answer(body=b"x" * 12_000_000, kind="text/css")
        async with a_lazy_reader(salon, "/assets/a.css") as client:
            loop = asyncio.get_running_loop()
            gone = asyncio.ensure_future(all_gone(salon))
            while not gone.done():
                if takes:
                    await loop.sock_recv(client, takes)
                await asyncio.wait({gone}, timeout=0.01)


async def test_who_leaves_the_last_of_an_answer_in_our_buffer_does_not_keep_the_place():
    """Less than what is waited for: aiohttp closes such a connection, and waits for ever."""
    limits = PortLimits(write_seconds=0.1, idle_seconds=0.1)
    async with open_salon(limits=limits) as salon:
        # What the kernel takes is little, so the rest of 50 KB stays with us.
        salon.server._listener.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        salon.says = card_answer(body=b"x" * 50_000, kind="text/css")
        async with a_lazy_reader(salon, "/assets/a.css"):
            await all_gone(salon)
