"""One person on every worker of a real gateway, three times over; put out; how soon is it felt?

On each worker they have a kept-alive connection that asks without pause, an event stream that
flows, and a WebSocket on which messages come. Somebody else's process (this one) puts them out.
Measured, for each of the twelve, is how long after the act was done it was felt: the refusal of
a next request, the stream broken off, the WebSocket closed. The CRM is aiohttp's server in this
process, the client aiohttp's: neither is ours.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.app import base_of, document_store, load_settings, state_store
from gateway.backends.audit_file import FileAuditTrail
from gateway.backends.clock import SystemClock
from gateway.backends.epoch_map import STALE_SECONDS
from gateway.domain.subject import StaffId
from gateway.incidents import Incidents
from gateway.sessions import Sessions
from tests.e2e.gateway_process import SECONDS, Salon, started, write_folder

COUNT = 4  # workers
MEI = StaffId("staff:mei")
CARD = {"id": 7, "name": "Aoi", "phone": "+1-207-555-0107", "visits": 3}
TARGET = "/api/clients/7"
ROUTES = """
  - { match: GET /api/feed, resource: client, action: list, format: events }
  - { match: GET /api/live, resource: client, action: list, websocket: true }
"""
EACH = 5  # answers, events, messages before somebody acts: it flows
ASK_SECONDS = 0.005  # between an answer and the next question
SEND_SECONDS = 0.025  # between two cards; two cores are shared by all of this
TRIES = 300  # connections until every worker is met

Ended = tuple[Any, ...]  # how it was put out


@dataclass(kw_only=True)
class Line:
    """One connection to one worker.

    Attributes:
        kind: `kept-alive connection`, `stream` or `WebSocket`.
        flows: how much came so far.
        flowing: set from the EACHth on.
        at: when it was out, on the monotonic clock.
        ended: how.
    """

    kind: str
    worker: int
    run: Callable[["Line"], Awaitable[Ended]]
    flows: int = 0
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    at: float | None = None
    ended: Ended | None = None

    def came(self) -> None:
        self.flows += 1
        if self.flows == EACH:
            self.flowing.set()

    async def until_out(self) -> None:
        self.ended = await self.run(self)
        self.at = monotonic()


@dataclass(frozen=True, kw_only=True)
class Felt:
    """How one line was put out, and how long after the act was done: seconds, less than 0 = before
    whoever acted was told that it is."""

    kind: str
    worker: int
    ended: Ended
    seconds: float


# -- the CRM ------------------------------------------------------------------------------


async def card(_: web.Request) -> web.Response:
    return web.json_response(CARD)


async def feed(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    while True:  # until whoever listens has gone
        await answer.write(b"data: " + json.dumps(CARD).encode() + b"\n\n")
        await asyncio.sleep(SEND_SECONDS)


async def live(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    while not socket.closed:
        await socket.send_json(CARD)
        await asyncio.sleep(SEND_SECONDS)
    return socket


# -- whose worker is at the other end -----------------------------------------------------


def worker_behind(gateway_port: int, own_port: int, workers: frozenset[int]) -> int | None:
    """The pid that holds the other end of a connection; None = nobody has taken it yet."""
    ends = f":{gateway_port:04X}", f":{own_port:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[1].endswith(ends[0]) and words[2].endswith(ends[1]):
            wanted = f"socket:[{words[9]}]"
            return next((pid for pid in workers if wanted in _held_by(pid)), None)
    return None


def _held_by(pid: int) -> set[str]:
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return held


# -- the three kinds of lines -------------------------------------------------------------


@dataclass(kw_only=True)
class Scene:
    """A gateway of COUNT workers, somebody who asks, and somebody who acts."""

    gateway: Salon
    sessions: Sessions
    incidents: Incidents
    heard: list[float] = field(default_factory=list)  # when an incident's first write was done

    @property
    def workers(self) -> frozenset[int]:
        return frozenset(told["pid"] for told in self.gateway.status()["workers"])

    async def put_out(self, act: Callable[[], Awaitable[object]]) -> list[Felt]:
        """Mei has three lines to each worker; `act`; how and when each line was out."""
        workers = await asyncio.to_thread(lambda: self.workers)
        token = await asyncio.to_thread(self.gateway.token, "mei", app="backoffice")
        async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
            lines: list[Line] = []
            for open_one in (self._kept_alive, self._stream, self._websocket):
                lines += await self._one_each(open_one, token, workers, stack)
            self.heard.clear()
            async with asyncio.TaskGroup() as group:
                for line in lines:
                    group.create_task(line.until_out())
                for line in lines:
                    await line.flowing.wait()
                await act()
                done = self.heard[0] if self.heard else monotonic()
        return [
            Felt(kind=line.kind, worker=line.worker, ended=line.ended or (), seconds=at - done)
            for line in lines
            if (at := line.at) is not None
        ]

    async def _one_each(
        self,
        open_one: Callable[[str, AsyncExitStack], Awaitable[tuple[int, Line]]],
        token: str,
        workers: frozenset[int],
        stack: AsyncExitStack,
    ) -> list[Line]:
        """A line to every worker: connect until each is met; what is not needed is closed."""
        found: dict[int, Line] = {}
        for _ in range(TRIES):
            async with AsyncExitStack() as its:
                own_port, line = await open_one(token, its)
                pid = worker_behind(self.gateway.port, own_port, workers)
                assert pid is not None, "no worker holds the other end of an open connection"
                if pid not in found:
                    line.worker = pid
                    found[pid] = line
                    stack.push_async_callback(its.pop_all().aclose)
            if found.keys() == workers:
                return list(found.values())
        raise AssertionError(f"only these workers were reached: {sorted(found)}")

    async def _kept_alive(self, token: str, stack: AsyncExitStack) -> tuple[int, Line]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        stack.callback(writer.close)
        request = f"GET {TARGET} HTTP/1.1\r\nHost: salon\r\nAuthorization: Bearer {token}\r\n\r\n"

        async def ask() -> tuple[int, Any]:
            writer.write(request.encode("ascii"))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            return int(head.split()[1]), json.loads(await reader.readexactly(length))

        async def run(line: Line) -> Ended:
            while True:
                status, said = await ask()
                if status not in {200, 503}:  # 503: a state store too busy to tell; not a logout
                    # And nobody gets in again on the same connection.
                    assert (await ask())[0] != 200, (status, said)
                    return status, said["reason"]
                line.came()
                await asyncio.sleep(ASK_SECONDS)

        status, _ = await ask()
        assert status == 200
        own_port = writer.get_extra_info("sockname")[1]
        return own_port, Line(kind="kept-alive connection", worker=0, run=run)

    async def _stream(self, token: str, stack: AsyncExitStack) -> tuple[int, Line]:
        client = await stack.enter_async_context(_client(token))
        answer = await stack.enter_async_context(client.get(f"{self.gateway.url}/api/feed"))
        assert answer.status == 200
        await answer.content.readuntil(b"\n\n")
        assert answer.connection is not None
        assert answer.connection.transport is not None
        own_port = answer.connection.transport.get_extra_info("sockname")[1]

        async def run(line: Line) -> Ended:
            try:
                while await answer.content.readuntil(b"\n\n"):
                    line.came()
            except aiohttp.ClientPayloadError:
                return ("broken off",)
            return ("came to an end",)

        return own_port, Line(kind="stream", worker=0, run=run)

    async def _websocket(self, token: str, stack: AsyncExitStack) -> tuple[int, Line]:
        client = await stack.enter_async_context(_client(token))
        url = f"{self.gateway.url}/api/live".replace("http", "ws", 1)
        socket = await stack.enter_async_context(client.ws_connect(url))
        await socket.receive_json()

        async def run(line: Line) -> Ended:
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                line.came()
            return message.type.name, message.data, message.extra

        return socket.get_extra_info("sockname")[1], Line(kind="WebSocket", worker=0, run=run)


def _client(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=None),
    )


@asynccontextmanager
async def scene(folder: Path, **config: Any) -> AsyncIterator[Scene]:
    """`serve --workers 4` before a CRM that sends without end. `config`: as `write_folder`'s."""
    app = web.Application()
    for path, handler in ((TARGET, card), ("/api/feed", feed), ("/api/live", live)):
        app.router.add_get(path, handler)
    async with TestServer(app) as server:
        write_folder(folder, f"http://127.0.0.1:{server.port}", workers=COUNT, **config)
        adapter = folder / "adapters" / "salon-demo.yaml"
        adapter.write_text(adapter.read_text(encoding="utf-8") + ROUTES, encoding="utf-8")
        with started(folder) as gateway:
            async with AsyncExitStack() as stack:
                yield await _acting(gateway, stack)


async def _acting(gateway: Salon, stack: AsyncExitStack) -> Scene:
    """As the command line acts: with the state and a chain of its own."""
    path = str(gateway.folder / "gateway.yaml")
    settings, base, clock = load_settings(path), base_of(path), SystemClock()
    epochs, documents = state_store(settings, base), document_store(settings, base)
    stack.push_async_callback(epochs.close)
    stack.push_async_callback(documents.close)
    trail = await FileAuditTrail.open(
        base / settings.audit.directory,
        worker="cli",
        clock=clock,
        max_file_bytes=settings.audit.max_file_bytes,
        retention_days=None,
    )
    stack.push_async_callback(trail.close)
    shared: dict[str, Any] = {
        "epochs": epochs,
        "documents": documents,
        "audit": trail,
        "clock": clock,
        "policy": lambda: "-",
        "new_id": lambda: str(uuid4()),
    }
    heard: list[float] = []

    async def hear() -> None:
        heard.append(monotonic())  # what was written before is durable
        await asyncio.sleep(STALE_SECONDS)

    incidents = Incidents(heard=hear, **shared)
    return Scene(gateway=gateway, sessions=Sessions(**shared), incidents=incidents, heard=heard)
