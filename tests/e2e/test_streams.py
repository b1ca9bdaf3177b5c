"""Event streams and WebSockets through the whole gateway: cut, and ended by a logout.

The CRM is aiohttp's server in the test's own process, the client aiohttp's: neither is ours.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.e2e.gateway_process import SECONDS, started, write_folder

CARD = {"id": 7, "name": "Aoi", "phone": "+1-207-555-0107", "visits": 3, "vip": "VIP"}
ROUTES = """
  - { match: GET /api/feed, resource: client, action: list, format: events }
  - { match: GET /api/live, resource: client, action: list, websocket: true }
  - { match: GET /chat, resource: page, action: read, pass: true, websocket: true }
"""


class Crm:
    """Sends a card to whoever listens, and again whenever the test says so."""

    def __init__(self):
        self.more = asyncio.Event()
        self.heard = []
        self.ended = asyncio.Event()

    async def feed(self, request):
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        try:
            await answer.write(b"data: " + json.dumps(CARD).encode() + b"\n\n")
            await self.more.wait()
            await answer.write(b"data: " + json.dumps(CARD).encode() + b"\n\n")
        finally:
            self.ended.set()
        return answer

    async def socket(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json(CARD)
        async for message in socket:
            self.heard.append(message.data)
            await socket.send_str(f"heard {message.data}")
        self.ended.set()
        return socket


@asynccontextmanager
async def scene(folder: Path):
    crm = Crm()
    app = web.Application()
    app.router.add_get("/api/feed", crm.feed)
    app.router.add_get("/api/live", crm.socket)
    app.router.add_get("/chat", crm.socket)
    async with TestServer(app) as server:
        write_folder(folder, f"http://127.0.0.1:{server.port}")
        adapter = folder / "adapters" / "salon-demo.yaml"
        adapter.write_text(adapter.read_text(encoding="utf-8") + ROUTES, encoding="utf-8")
        with started(folder) as gateway:
            try:
                async with (
                    aiohttp.ClientSession(auto_decompress=False) as client,
                    asyncio.timeout(SECONDS),
                ):
                    yield gateway, crm, client
            finally:
                crm.more.set()


@pytest.fixture
async def salon(tmp_path):
    async with scene(tmp_path / "salon") as all_of_it:
        yield all_of_it


async def logged_out(gateway, who):
    done = await asyncio.to_thread(gateway.cli, "session", "revoke", who)
    assert done.returncode == 0, done.stderr


async def bearer(gateway, who):
    token = await asyncio.to_thread(gateway.token, who, app="backoffice")
    return {"Authorization": f"Bearer {token}"}


async def test_a_feed_is_cut_and_ends_at_the_logout_though_the_crm_says_nothing(salon):
    gateway, crm, client = salon
    async with client.get(f"{gateway.url}/api/feed", headers=await bearer(gateway, "mei")) as feed:
        assert feed.status == 200
        first = await feed.content.readuntil(b"\n\n")
        assert json.loads(first.removeprefix(b"data:")) == {"id": 7, "name": "Aoi", "visits": 3}
        await logged_out(gateway, "mei")
        with pytest.raises(aiohttp.ClientError):
            await feed.content.readuntil(b"\n\n")
    await crm.ended.wait()
    ends = [entry for entry in gateway.entries() if entry["phase"] == "end"]
    assert [(end["reason"], end["cause"]) for end in ends] == [("unauthenticated", "epoch_stale")]
    assert "phone" in ends[0]["hidden"]


async def test_a_websocket_is_cut_and_closed_with_the_reason_at_the_logout(salon):
    gateway, crm, client = salon
    url = f"{gateway.url}/api/live".replace("http", "ws", 1)
    async with client.ws_connect(url, headers=await bearer(gateway, "mei")) as socket:
        assert await socket.receive_json() == {"id": 7, "name": "Aoi", "visits": 3}
        await logged_out(gateway, "mei")
        closed = await socket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert closed.extra == "unauthenticated"
    await crm.ended.wait()


async def test_both_may_speak_where_nothing_is_guarded_but_only_while_one_is_logged_in(salon):
    gateway, crm, client = salon
    url = f"{gateway.url}/chat".replace("http", "ws", 1)
    async with client.ws_connect(url, headers=await bearer(gateway, "ken")) as socket:
        assert (await socket.receive_json())["phone"] == CARD["phone"]
        await socket.send_str("hello")
        assert (await socket.receive()).data == "heard hello"
        await logged_out(gateway, "ken")
        assert (await socket.receive()).extra == "unauthenticated"
    assert crm.heard == ["hello"]


@pytest.mark.parametrize("target", ["/api/live", "/chat"])
async def test_nobody_opens_one_without_a_token_and_no_crm_hears_of_it(salon, target):
    gateway, crm, client = salon
    url = f"{gateway.url}{target}".replace("http", "ws", 1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(url)
    assert refused.value.status == 401
    assert crm.heard == []
