"""Whose turn it is at the CRM, and how many connections there are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from gateway.backends import upstream_pool
from gateway.backends.upstream_connection import Connection
from gateway.backends.upstream_pool import Pool
from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ASK = b"GET / HTTP/1.1\r\nHost: crm.example\r\n\r\n"


class Crm:
    """Answers every request; counts the connections that are open, and the most there were."""

    def __init__(self) -> None:
        self.url = URL()
        self.open = 0
        self.most = 0
        self.ever = 0
        self.one_left = asyncio.Event()


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    crm = Crm()
    writers = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        crm.open += 1
        crm.ever += 1
        crm.most = max(crm.most, crm.open)
        with contextlib.suppress(OSError, EOFError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        crm.open -= 1
        crm.one_left.set()
        writer.transport.abort()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    crm.url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield crm
    server.close()
    for writer in writers:
        writer.transport.abort()
    await server.wait_closed()


def a_pool(crm: Crm, limit: int = 2) -> Pool:
    return Pool(crm.url, tls=None, connect_seconds=2, max_connections=limit, max_streams=1)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def ask(connection: Connection) -> None:
    exchange = connection.ask(ASK, head_only=False, due=soon(), whole=True)
    await connection.headed(exchange)


async def test_who_waits_is_served_in_the_order_of_asking_and_on_few_connections(crm) -> None:
    pool = a_pool(crm, 2)
    served = []

    async def one(number: int) -> None:
        connection = pool.take() or await pool.get(soon())
        await ask(connection)
        served.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(one(number))
    pool.close()
    in_order = sorted(served)
    assert all(abs(number - at) <= 1 for at, number in enumerate(served))  # two at a time
    assert (in_order, crm.most) == (list(range(40)), 2)


async def test_nobody_overtakes_who_waits(crm) -> None:
    pool = a_pool(crm, 1)
    first = await pool.get(soon())
    waiting = asyncio.ensure_future(pool.get(soon()))
    await asyncio.sleep(0)
    await ask(first)  # idle now, and its slot given away
    assert pool.take() is None
    assert await waiting is first
    pool.close()


async def test_who_gives_up_waiting_takes_no_turn_along(crm) -> None:
    pool = a_pool(crm, 1)
    first = await pool.get(soon())
    gone = [asyncio.ensure_future(pool.get(soon())) for _ in range(3)]
    patient = asyncio.ensure_future(pool.get(soon()))
    await asyncio.sleep(0)
    gone[0].cancel()
    await ask(first)
    gone[1].cancel()  # in the very moment in which its turn comes
    gone[2].cancel()
    assert await patient is first
    await ask(first)
    assert pool.take() is first
    pool.close()


async def test_a_connection_that_cannot_be_made_holds_no_turn(crm) -> None:
    nowhere = URL("http://crm.invalid:80")  # RFC 6761: never resolves
    pool = Pool(nowhere, tls=None, connect_seconds=2, max_connections=1, max_streams=0)
    for _ in range(3):
        with pytest.raises(UpstreamError) as caught:
            await pool.get(soon())
        assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE


async def until_told(pool: Pool) -> None:
    """The loop tells the end of a connection a few turns later."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pool._open


async def test_an_idle_connection_is_closed_after_a_while(crm, monkeypatch) -> None:
    monkeypatch.setattr(upstream_pool, "IDLE_SECONDS", 0.05)
    pool = a_pool(crm)
    await ask(await pool.get(soon()))
    await crm.one_left.wait()
    await until_told(pool)
    assert not pool._idle
    pool.close()


async def test_the_connection_that_was_used_last_is_used_next(crm) -> None:
    pool = a_pool(crm, 3)
    connections = [await pool.get(soon()) for _ in range(3)]
    for connection in connections:
        await ask(connection)
    assert [pool.take() for _ in range(4)] == [*reversed(connections), None]
    assert crm.ever == 3
    pool.close()


async def test_close_drops_all_and_refuses_who_waits(crm) -> None:
    pool = a_pool(crm, 1)
    busy = await pool.get(soon())
    exchange = busy.ask(b"GET / HTTP/1.1\r\n", head_only=False, due=soon(), whole=True)
    waiting = asyncio.ensure_future(pool.get(soon()))
    await asyncio.sleep(0)
    pool.close()
    for refused in (busy.headed(exchange), waiting, pool.get(soon()), pool.connect()):
        with pytest.raises(UpstreamError):
            await refused
    await crm.one_left.wait()
    assert crm.open == 0


async def test_an_answer_that_streams_gives_its_slot_to_the_next_and_so_many_may(crm) -> None:
    pool = a_pool(crm, 1)
    first = await pool.get(soon())
    pool.streams(first)
    second = await pool.get(soon())
    pool.streams(second)  # one more than may: it keeps its slot
    with pytest.raises(UpstreamError) as caught:
        await pool.get(soon(0))
    assert caught.value.reason is Reason.UPSTREAM_TIMEOUT
    await ask(first)  # it ends, and leaves no slot that it did not hold
    with pytest.raises(UpstreamError):
        await pool.get(soon(0))
    await ask(second)
    assert pool.take() is not None
    assert pool.take() is None
    pool.close()
