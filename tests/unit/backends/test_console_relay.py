"""The console through two processes: the supervisor's admin port, and a worker's Unix socket."""

import asyncio
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.backends.all_refusals import PAGE, AllRefusals, told
from gateway.backends.console_relay import MAX_BODY_BYTES, MOST_AT_ONCE, ConsoleRelay
from gateway.backends.unix_http import exchange
from gateway.console.places import find_place
from gateway.domain.reason import Reason
from gateway.domain.relayed import PEER_HEADER, read_peer, write_peer
from gateway.domain.time import from_milliseconds
from gateway.proxy.admin import AdminServer
from tests.oracles.console_world import HANA, KEN, MEI, Browser, Office

NOON = from_milliseconds(1_795_000_000_000)


async def ready():
    return True, []


async def metrics():
    return b"", "text/plain"


async def status():
    return {}


class Asked:
    """A worker's console that keeps what it was asked and answers as the test says."""

    def __init__(self):
        self.requests = []
        self.response = lambda: web.Response(text="room")

    async def handle(self, request):
        self.requests.append((request.method, request.raw_path, request.headers.copy()))
        self.body = await request.read()
        return self.response()


@pytest.fixture
def folder():
    # Not pytest's own folder: a Unix socket's path has little room.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@asynccontextmanager
async def at_socket(path, console, **how):
    worker = AdminServer(ready, metrics, status, console=console, **how)
    await worker.start_at(path)
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def in_front(*paths):
    """The supervisor's admin port; gives its port."""
    relay = ConsoleRelay(lambda: paths, lambda path: find_place(path) is not None)
    server = AdminServer(ready, metrics, status, console=relay.handle)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


@asynccontextmanager
async def asked_one(folder):
    asked = Asked()
    path = folder / "0.sock"
    async with at_socket(path, asked.handle), in_front(path) as port:
        yield asked, Browser(port)


# -- what goes on


async def test_method_address_headers_and_body_go_on_as_they_came(folder):
    async with asked_one(folder) as (asked, browser):
        await browser.send("POST", "/staff/mei/lock?a=%20b", [("Cookie", "x=1")], b"csrf=1")
        ((method, target, headers),) = asked.requests
        assert (method, target) == ("POST", "/staff/mei/lock?a=%20b")
        assert headers["Cookie"] == "x=1"
        assert headers["Host"] == browser.host
        assert asked.body == b"csrf=1"


async def test_status_headers_and_every_cookie_come_back(folder):
    async with asked_one(folder) as (asked, browser):

        def response():
            made = web.Response(status=303, headers={"Location": "/staff"})
            made.set_cookie("one", "1")
            made.set_cookie("two", "2")
            return made

        asked.response = response
        page = await browser.get("/")
        assert (page.status, page.to) == (303, "/staff")
        assert browser.cookies == {"one": "1", "two": "2"}


async def test_a_head_gets_the_length_and_no_body(folder):
    async with asked_one(folder) as (_, browser):
        page = await browser.send("HEAD", "/")
        assert (page.status, page.text) == (200, "")
        assert page.headers["Content-Length"] == "4"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/status", "/refusals", "/x"])
async def test_nothing_but_the_consoles_addresses_is_handed_on(folder, path):
    async with asked_one(folder) as (asked, browser):
        await browser.get(path)
        assert asked.requests == []


async def test_the_worker_is_told_who_asks_and_nobody_else_can_say_so(folder):
    async with asked_one(folder) as (asked, browser):
        lies = [(PEER_HEADER, "https 203.0.113.9"), (PEER_HEADER.lower(), "https 10.0.0.1")]
        await browser.send("GET", "/", lies)
        await browser.send("GET", "/", [*lies, ("Connection", PEER_HEADER)])
        for _, _, headers in asked.requests:
            assert headers.getall(PEER_HEADER) == ["http 127.0.0.1"]


async def test_what_concerns_one_connection_stays_there(folder):
    async with asked_one(folder) as (asked, browser):
        sent = [("Connection", "x-one, close"), ("X-One", "1"), ("X-Two", "2"), ("TE", "trailers")]
        await browser.send("GET", "/", sent)
        ((_, _, headers),) = asked.requests
        assert "X-One" not in headers
        assert "TE" not in headers
        assert headers["X-Two"] == "2"
        assert headers["Connection"] == "close"


# -- what does not


async def test_a_body_that_is_too_large_is_not_handed_on(folder):
    async with asked_one(folder) as (asked, browser):
        page = await browser.send("POST", "/sign-in", data=b"x" * (MAX_BODY_BYTES + 1))
        assert page.status == 413
        assert asked.requests == []
        assert (await browser.send("POST", "/sign-in", data=b"x" * MAX_BODY_BYTES)).status == 200


async def test_only_so_many_are_under_way_at_once(folder):
    go, there = asyncio.Event(), asyncio.Semaphore(0)

    async def slow(_):
        there.release()
        await go.wait()
        return web.Response(text="room")

    async with at_socket(folder / "1.sock", slow), in_front(folder / "1.sock") as port:
        held = [asyncio.create_task(Browser(port).get("/")) for _ in range(MOST_AT_ONCE)]
        for _ in held:
            await there.acquire()
        assert (await Browser(port).get("/")).status == 503
        go.set()
        assert {page.status for page in await asyncio.gather(*held)} == {200}


async def test_a_worker_that_ends_midway_is_502_and_nobody_else_is_asked(folder):
    """It may have done what it was asked: nobody must do it twice."""
    calls = []

    async def dies(reader, writer):
        calls.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    dying = await asyncio.start_unix_server(dies, folder / "0.sock")
    asked = Asked()
    async with (
        dying,
        at_socket(folder / "1.sock", asked.handle),
        in_front(folder / "1.sock", folder / "0.sock") as port,
    ):
        page = await Browser(port).send("POST", "/sign-out", data=b"x")
    assert page.status == 502
    assert "half" not in page.text
    assert len(calls) == 1
    assert asked.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2**17 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_an_answer_of_ours_is_none(folder, answer):
    async def odd(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(odd, folder / "0.sock")
    async with server, in_front(folder / "0.sock") as port:
        assert (await Browser(port).get("/")).status == 502


async def test_one_that_has_just_ended_is_passed_over(folder):
    asked = Asked()
    async with (
        at_socket(folder / "1.sock", asked.handle),
        in_front(folder / "0.sock", folder / "1.sock") as port,
    ):
        pages = [await Browser(port).get("/") for _ in range(4)]
    assert {page.status for page in pages} == {200}


async def test_when_nobody_listens_the_answer_is_503(folder):
    async with in_front(folder / "0.sock") as port:
        assert (await Browser(port).get("/")).status == 503
    async with in_front() as port:
        assert (await Browser(port).get("/")).status == 503


# -- the real console behind it


@asynccontextmanager
async def offices(folder, count=2, office=None):
    """Some workers over one state, and the supervisor before them."""
    office = office or Office()
    for staff in (HANA, KEN, MEI):
        await office.give(staff)
    async with AsyncExitStack() as stack:
        paths = [folder / f"{number}.sock" for number in range(count)]
        for path in paths:
            await stack.enter_async_context(at_socket(path, office.console.handle))
        yield office, await stack.enter_async_context(in_front(*paths))


async def test_an_owner_signs_in_and_presses_through_whichever_worker(folder):
    async with offices(folder) as (office, port):
        browser = Browser(port)
        assert (await browser.sign_in()).to == "/"
        for _ in range(4):
            page = await browser.get("/staff")
            assert page.status == 200
        done = await browser.press(page, "/staff/mei/log-out")
        assert done.status == 303
        assert office.trail.entries[-1].whom == MEI
        assert office.trail.entries[0].peer == "-"
        assert {entry.peer for entry in office.trail.entries if entry.staff == HANA} == {
            "127.0.0.1"
        }


async def test_a_page_of_elsewhere_is_refused_behind_it_too(folder):
    async with offices(folder) as (_, port):
        browser = Browser(port, origin="https://evil.example")
        assert (await browser.sign_in()).status == 403
        assert (await Browser(port, host="evil.example").get("/")).status == 421


async def test_on_the_socket_itself_nobody_is_of_this_machine_who_does_not_say_so(folder):
    async with offices(folder) as _:
        for told_peer, expected in (
            ((), 421),
            (((PEER_HEADER, "http 127.0.0.1"),), 200),
            (((PEER_HEADER, "http 127.0.0.1"),) * 2, 421),
            (((PEER_HEADER, "http 203.0.113.9"),), 421),
            (((PEER_HEADER, "127.0.0.1"),), 421),
        ):
            answer = await exchange(
                folder / "0.sock",
                "GET",
                "/sign-in",
                (("Host", "localhost"), *told_peer),
                seconds=5.0,
            )
            assert answer.status == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http",
        "http ",
        "ftp 192.0.2.1",
        "http 192.0.2.1 ",
        "http 192.0.2.1\n",
        "http 1.2.3",
        "http fe80::1%eth0",
        "HTTP 192.0.2.1",
    ],
)
def test_no_other_text_says_who_asks(text):
    assert read_peer(text) is None


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"])
def test_who_asks_comes_through(peer):
    assert read_peer(write_peer(peer, secure=True)) == (peer, True)
    assert read_peer(write_peer(peer, secure=False)) == (peer, False)


# -- the refusals of the last hour


class Counts:
    def __init__(self, **counts):
        self.counts = Counter({Reason(name): count for name, count in counts.items()})

    def last_hour(self, _now):
        return self.counts

    async def inner(self):
        return told(self.counts)


async def test_the_refusals_of_all_workers_are_one_sum(folder):
    first, second, third = Counts(locked=2), Counts(locked=1, unmapped=5), Counts()
    async with AsyncExitStack() as stack:
        for number, counts in enumerate((first, second, third)):
            path = folder / f"{number}.sock"
            await stack.enter_async_context(at_socket(path, None, inner={PAGE: counts.inner}))
        total = await AllRefusals(first, folder / "0.sock").in_last_hour(NOON)
    assert total == {Reason.LOCKED: 3, Reason.UNMAPPED: 5}


async def test_a_worker_that_does_not_answer_is_left_out(folder):
    (folder / "1.sock").touch()
    own = Counts(locked=2)
    assert await AllRefusals(own, folder / "0.sock").in_last_hour(NOON) == {Reason.LOCKED: 2}


async def test_the_counts_are_told_to_other_processes_only(folder):
    counts = Counts(locked=2)
    server = AdminServer(ready, metrics, status, inner={PAGE: counts.inner})
    port = await server.start("127.0.0.1", 0)
    try:
        assert (await Browser(port).get(PAGE)).status == 404
    finally:
        await server.stop()
    path = folder / "0.sock"
    async with at_socket(path, None, inner={PAGE: counts.inner}):
        relay = ConsoleRelay(lambda: [path], lambda _: True)
        careless = AdminServer(ready, metrics, status, console=relay.handle)
        port = await careless.start("127.0.0.1", 0)
        try:
            assert (await Browser(port).get(PAGE)).status == 404
        finally:
            await careless.stop()
