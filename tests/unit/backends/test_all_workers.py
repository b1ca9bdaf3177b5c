"""The admin port's answers for several workers, asked of real Unix sockets."""

import asyncio
import contextlib
import json
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.backends.all_workers import AllWorkers, Desk
from gateway.backends.meter import PrometheusMeter
from gateway.domain.time import from_milliseconds
from gateway.proxy.admin import AdminServer, Parts
from gateway.supervision import Slot, State
from tests.oracles.slow_merge import samples

NOON = from_milliseconds(1_795_000_000_000)
REQUESTS = "salon_gateway_streams_cut_total"


class Worker:
    """A worker's admin port, with what it says in the test's hands."""

    def __init__(self, policy="abc"):
        self.meter = PrometheusMeter()
        self.policy, self.reload_status = policy, 200
        self.fails = False
        self.hold: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def probe(self):
        if self.fails:
            raise RuntimeError("away")

    async def render(self):
        text = self.meter.render()
        if self.hold is not None:
            self.asked.set()
            await self.hold.wait()
        return text, self.meter.content_type

    async def status(self):
        return {"policy": self.policy}

    async def reload(self):
        return self.reload_status, {"policy": self.policy}

    @asynccontextmanager
    async def at(self, path):
        admin = AdminServer(
            Parts({"state": self.probe}).ready, self.render, self.status, reload=self.reload
        )
        await admin.start_at(path)
        try:
            yield
        finally:
            await admin.stop()


class Salon:
    """Workers with their slots, all listening, and who answers for them."""

    def __init__(self, folder, stack, count):
        self.folder, self.stack = folder, stack
        self.slots = [Slot(number) for number in range(count)]
        self.workers = [Worker() for _ in range(count)]
        self.all = AllWorkers(self.slots, PrometheusMeter(), lambda: 100.0)

    async def listens(self, number):
        path = self.folder / f"{number}.sock"
        await self.stack.enter_async_context(self.workers[number].at(path))
        self.slots[number].state = State.LISTENING
        self.all.came(Desk(number, 4000 + number, path))

    def ends(self, number, start_at=103.0):
        self.slots[number].state = State.WAITING
        self.slots[number].start_at = start_at
        self.all.went(number)

    async def counted(self, name=REQUESTS, **labels):
        body, _ = await self.all.metrics()
        return samples(body.decode()).get((name, frozenset(labels.items())))


@pytest.fixture
async def salon():
    # Not pytest's own folder: a Unix socket's path has little room.
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            salon = Salon(Path(folder), stack, 3)
            for number in range(3):
                await salon.listens(number)
            yield salon


async def test_ready_when_every_worker_is(salon):
    ready, parts = await salon.all.ready()
    assert ready
    assert [(part["worker"], part["part"]) for part in parts] == [
        (worker, part) for worker in range(3) for part in ("worker", "state")
    ]
    salon.workers[1].fails = True
    ready, parts = await salon.all.ready()
    assert not ready
    assert [part["worker"] for part in parts if not part["ok"]] == [1]


async def test_one_that_is_started_again_is_told_but_keeps_nobody_from_the_others(salon):
    salon.ends(2)
    ready, parts = await salon.all.ready()
    assert ready
    away = {"part": "worker", "worker": 2, "ok": False}
    assert parts[-1] == away | {"detail": "has ended; starts again in 3.0 s"}
    salon.slots[2].state = State.STARTING
    assert (await salon.all.ready())[1][-1] == away | {"detail": "is starting"}


async def test_not_ready_when_nobody_listens(salon):
    for number in range(3):
        salon.ends(number)
    assert (await salon.all.ready())[0] is False


async def test_one_that_listens_and_does_not_answer_is_not_ready(salon):
    (salon.folder / "0.sock").unlink()
    ready, parts = await salon.all.ready()
    assert not ready
    assert parts[0]["detail"] == "does not answer"
    assert await salon.counted("salon_gateway_worker_up", worker="0") == 0
    assert await salon.counted("salon_gateway_worker_up", worker="1") == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff",
        b"x" * 200_000,
    ],
)
async def test_one_that_answers_what_it_must_not_is_silent(salon, said):
    writers = []

    async def answer(_reader, writer):
        writers.append(writer)
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            writer.write_eof()

    path = salon.folder / "odd.sock"
    server = await asyncio.start_unix_server(answer, path)
    salon.all.came(Desk(0, 1, path))
    ready, parts = await salon.all.ready()
    assert not ready
    assert parts[0]["detail"] == "does not answer"
    assert await salon.counted("salon_gateway_worker_up", worker="0") == 0
    assert (await salon.all.status())["workers"][0]["detail"] == "does not answer"
    status, told = await salon.all.reload()
    assert (status, told["workers"][0]["ok"]) == (409, False)
    server.close()
    await server.wait_closed()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_counts_are_added_up_and_those_of_the_dead_stay(salon):
    for times, worker in enumerate(salon.workers, start=1):
        for _ in range(times):
            worker.meter.stream_cut()
    assert await salon.counted() == 6
    salon.workers[2].meter.stream_cut()  # after the last scrape: lost
    salon.ends(2)
    assert await salon.counted() == 6
    salon.workers[2] = Worker()
    await salon.listens(2)
    assert await salon.counted() == 6
    salon.workers[2].meter.stream_cut()
    assert await salon.counted() == 7
    salon.ends(2)
    assert await salon.counted() == 7


async def test_one_that_ends_while_others_are_asked_is_counted_once(salon):
    for worker in salon.workers:
        worker.meter.stream_cut()
    assert await salon.counted() == 3
    salon.workers[0].hold = asyncio.Event()
    scraping = asyncio.ensure_future(salon.counted())
    await salon.workers[0].asked.wait()
    await salon.all._desks[2].ask("/metrics")  # by now it has been asked by the other, too
    salon.ends(2)
    salon.workers[0].hold.set()
    assert await scraping == 3


async def test_one_that_does_not_answer_counts_with_what_it_said_last(salon):
    for missing, worker in enumerate(salon.workers[::-1]):
        worker.meter.stream_cut()
        worker.meter.calendars_missing(missing % 2)
    assert await salon.counted() == 3
    assert await salon.counted("salon_gateway_calendars_missing") == 1
    (salon.folder / "1.sock").unlink()
    assert await salon.counted() == 3
    assert await salon.counted("salon_gateway_calendars_missing") == 0  # it is not known any more


async def test_restarts_are_counted_from_zero(salon):
    assert await salon.counted("salon_gateway_worker_restarts_total", worker="1") == 0
    salon.all.restarted(1)
    assert await salon.counted("salon_gateway_worker_restarts_total", worker="1") == 1


async def test_a_reload_that_one_refuses_is_a_409_and_says_who_has_what(salon):
    assert (await salon.all.reload())[0] == 200
    salon.workers[1].reload_status = 409
    salon.workers[1].policy = "old"
    status, told = await salon.all.reload()
    assert (status, told["policy"]) == (409, None)
    assert [(one["ok"], one["policy"]) for one in told["workers"]] == [
        (True, "abc"),
        (False, "old"),
        (True, "abc"),
    ]
    assert (await salon.all.status())["policy"] is None


async def test_one_that_is_started_again_refuses_no_reload(salon):
    salon.ends(1)
    status, told = await salon.all.reload()
    assert status == 200
    assert told["workers"][1]["ok"] is None


async def test_status_has_every_worker_in_json(salon):
    salon.ends(1)
    told = json.loads(json.dumps(await salon.all.status()))
    assert told["policy"] == "abc"
    assert [(one["worker"], one["pid"], one["state"]) for one in told["workers"]] == [
        (0, 4000, "listening"),
        (1, None, "waiting"),
        (2, 4002, "listening"),
    ]
