"""Requests inside requests: where two programs disagree on where one ends, a second one hides.

Each is written byte for byte to the running gateway, with a good token and an honest request of
a manager hidden behind it. All of them must end in one refusal and a closed connection, and the
CRM must have seen nothing. Never delete a line.
"""

import asyncio
import re

import pytest

from gateway.proxy.limits import PortLimits
from tests.attacks.red_team_world import card_answer, open_salon

CARD = "/api/clients/7"
NEW = "/api/clients"
BODY = b'{"name": "Aoi"}'
QUICK = PortLimits(linger_seconds=0.05, body_seconds=0.5)
JSON = "Content-Type: application/json"


def answers(raw):
    """The status of each answer on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", raw)]


async def refused(salon, *parts):
    """Write it with a hidden request behind it: the statuses that came until the close."""
    hidden = await salon.head("GET", CARD, "ken") + b"\r\n"
    raw = await salon.raw(*parts, hidden, hidden)
    assert salon.got == []
    return answers(raw)


async def a_post(salon, *lines):
    return await salon.head("POST", NEW, "ken", JSON, *lines) + b"\r\n"


async def test_the_honest_requests_go_through():
    async with open_salon(limits=QUICK) as salon:
        salon.says = card_answer(status="201 Created")
        head = await a_post(salon, f"Content-Length: {len(BODY)}", "Connection: close")
        assert answers(await salon.raw(head + BODY)) == [201]
        head = await a_post(salon, "Transfer-Encoding: chunked", "Connection: close")
        chunks = b"F;a=b\r\n" + BODY + b"\r\n0\r\n\r\n"
        assert answers(await salon.raw(head + chunks)) == [201]
        assert [got.endswith(BODY) for got in salon.got] == [True, True]


FRAMES = [
    # CL.TE and TE.CL
    ("Content-Length: 6", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Content-Length: 6"),
    ("Content-Length: 0", "Transfer-Encoding: chunked"),
    ("Content-Length: 6", "Transfer-Encoding: identity"),
    # TE.TE
    ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: identity, chunked",),
    ("Transfer-Encoding: gzip, chunked",),
    ("Transfer-Encoding: chunked, chunked",),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding: chunkedx",),
    ("Transfer-Encoding: chunked;q=1",),
    ("Transfer-Encoding: chunked,",),
    ("Transfer-Encoding: ,chunked",),
    ("Transfer-Encoding: Chunked",),
    ("Transfer-Encoding: CHUNKED",),
    ('Transfer-Encoding: "chunked"',),
    ("Transfer-Encoding:\x0bchunked",),
    ("Transfer-Encoding:\x0cchunked",),
    ("Transfer-Encoding: chunked\x0b",),
    ("Transfer-Encoding: \x00chunked",),
    ("Transfer-Encoding: chunked\x00",),
    ("Transfer-Encoding : chunked",),
    ("Transfer-Encoding\t: chunked",),
    (" Transfer-Encoding: chunked",),
    ("Transfer-Encoding:\r\n chunked",),
    ("X: y\r\n\tTransfer-Encoding: chunked",),
    ("X: y\nTransfer-Encoding: chunked",),
    ("X: y\rTransfer-Encoding: chunked",),
    ("Transfer_Encoding: chunked",),
    ("Transfer-Encoding: chun\r\n ked",),
    ("Transfer-Encoding: \u00a0chunked",),
    ("Transfer-Encoding:",),
    ("Transfer-Encoding: identity",),
    ("Transfer-Encoding: cow",),
    # The length itself
    ("Content-Length: +6",),
    ("Content-Length: -6",),
    ("Content-Length: 06",),
    ("Content-Length: 6, 6",),
    ("Content-Length: 6,7",),
    ("Content-Length: 6 7",),
    ("Content-Length: 0x6",),
    ("Content-Length: 6e0",),
    ("Content-Length: 6.0",),
    ("Content-Length: 6_0",),
    ("Content-Length:",),
    ("Content-Length: 6;",),
    ("Content-Length: six",),
    ("Content-Length: 18446744073709551622",),
    ("Content-Length: 99999999999999999999999999",),
    ("Content-Length: 6", "Content-Length: 6"),
    ("Content-Length: 6", "Content-Length: 0"),
    ("Content-Length: 6", "content-length: 7"),
    ("Content-Length : 6",),
    ("Content-Length\x00: 6",),
    ("Content-Length: 6\x00",),
    ("Content_Length: 6",),
    ("X: y\r\n Content-Length: 6",),
    # Of HTTP/2, where somebody turned it into this
    (":method: GET",),
    (":path: /api/clients/export",),
    (":authority: crm.example",),
    ("Host: other.example",),
    ("host: crm.example",),
    ("Connection: Content-Length", "Content-Length: 6"),
    ("Connection: Transfer-Encoding", "Transfer-Encoding: chunked"),
    ("HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
    ("Expect: 100-continue, x", "Content-Length: 6"),
    ("Expect: 200-ok", "Content-Length: 6"),
]


@pytest.mark.parametrize("lines", FRAMES, ids=lambda lines: "+".join(lines).encode().hex()[:60])
async def test_a_frame_with_two_readings_is_refused_and_the_connection_ends(lines):
    async with open_salon(limits=QUICK) as salon:
        assert await refused(salon, await a_post(salon, *lines), b"0\r\n\r\n") == [400]


@pytest.mark.parametrize(
    "line",
    [
        "GET {} HTTP/1.1 HTTP/1.1",
        "GET {} x HTTP/1.1",
        "GET {}\tHTTP/1.1",
        "GET\t{} HTTP/1.1",
        "GET  {} HTTP/1.1",
        "GET {}  HTTP/1.1",
        "GET {} HTTP/1.1 ",
        " GET {} HTTP/1.1",
        "GET {} http/1.1",
        "GET {} HTTP/1.10",
        "GET {} HTTP/01.1",
        "GET {} HTTP/1.1.1",
        "GET {} HTTP/1.2",
        "GET {} HTTP/2.0",
        "GET {} HTTP/3",
        "GET {} HTTP/0.9",
        "GET {} HTTP/1",
        "GET {} HTTP /1.1",
        "GET {} RTSP/1.0",
        "GET {} RTSP/1.1",
        "GET {} ICE/1.1",
        "GET {} HTTPS/1.1",
        "GET {}",
        "GET {} ",
        "GET {}\x0bHTTP/1.1",
        "GET {}\x00 HTTP/1.1",
        "G\x00ET {} HTTP/1.1",
        "PRI * HTTP/2.0",
        "{} HTTP/1.1",
        "GET http://crm.example{} HTTP/1.1",
        "GET http://crm.example:80{} HTTP/1.1",
        "GET //crm.example{} HTTP/1.1",
        "GET crm.example{} HTTP/1.1",
    ],
)
async def test_another_request_line_is_refused_and_the_connection_ends(line):
    async with open_salon(limits=QUICK) as salon:
        honest = await salon.head("GET", CARD, "ken") + b"\r\n"
        head = line.format(CARD).encode() + honest[honest.index(b"\r\n") :]
        assert await refused(salon, head) == [400]
        # And behind an honest request in the same bytes: that one alone is answered.
        salon.got.clear()
        raw = await salon.raw(honest + head + honest)
        assert answers(raw) in ([200, 400], [400])  # the parser may refuse all that came at once
        assert len(salon.got) <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\t\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
        b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x01b\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\n\r\n",
        b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        b"5\r\nhello\r\n0;a\nb\r\n\r\n",
        b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
    ],
    ids=lambda chunks: chunks.hex()[:40],
)
async def test_chunks_that_two_would_count_differently_are_refused(chunks):
    async with open_salon(limits=QUICK) as salon:
        head = await a_post(salon, "Transfer-Encoding: chunked")
        assert await refused(salon, head, chunks) in ([400], [408])


@pytest.mark.parametrize(
    "trailer",
    [
        b"X-Role: role:owner\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: other.example\r\n",
        b"Authorization: Bearer x\r\n",
        b"Connection: keep-alive\r\n",
        b"Content-Type: text/plain\r\n",
    ],
)
async def test_what_a_trailer_says_reaches_nobody(trailer):
    async with open_salon(limits=QUICK) as salon:
        salon.says = card_answer(status="201 Created")
        head = await a_post(salon, "Transfer-Encoding: chunked")
        last = await salon.head("GET", CARD, "mei", "Connection: close") + b"\r\n"
        raw = await salon.raw(head, b"f\r\n" + BODY + b"\r\n0\r\n" + trailer + b"\r\n", last)
        # aiohttp's parser takes it for the first header of the next request: there is none.
        if answers(raw) == [400]:
            assert salon.got == []
            return
        assert answers(raw) == [201]
        assert b"Connection: close" in raw
        (got,) = salon.got
        assert got.endswith(BODY)
        assert trailer.strip() not in got


@pytest.mark.parametrize(
    "filler",
    [
        b"1;" + b"a" * 70_000 + b"\r\nx\r\n",
        b"1;a=b\r\nx\r\n" * 8_000,
        b"0" * 70_000,
        b"0\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 15_000) for n in range(50)),
        b"0\r\n" + b"X: y\r\n" * 20_000,
    ],
    ids=["extension", "many", "zeros", "large trailer", "long trailer"],
)
async def test_a_body_that_is_mostly_framing_is_refused_before_it_ends(filler):
    async with open_salon(limits=QUICK) as salon:
        head = await a_post(salon, "Transfer-Encoding: chunked", "Expect: 100-continue")
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", salon.port)
            writer.write(head)
            await reader.readuntil(b"100 Continue\r\n\r\n")
            writer.write(filler * (1 if filler.startswith(b"0") else 40))
            try:
                raw = await reader.read()  # to its end, although the body has none
            except ConnectionResetError:
                raw = b""  # the refusal may drown in what was not read any more
            writer.transport.abort()
        assert answers(raw) in ([400], [])
        assert salon.got == []


# -- after a refusal -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "who", "status"),
    [
        ("POST", "/api/clients", "oksana", 403),  # no rule allows it
        ("POST", "/api/nowhere", "ken", 404),
        ("POST", "/staff", "ken", 404),
        ("PURGE", CARD, "ken", 405),
        ("POST", "/api/clients/", "ken", 404),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks", "expect"])
async def test_the_body_of_a_denied_request_is_never_a_request(
    method, target, who, status, framing
):
    async with open_salon(limits=QUICK) as salon:
        hidden = await salon.head("GET", CARD, "ken") + b"\r\n"
        lines = {
            "length": (f"Content-Length: {len(hidden)}",),
            "chunks": ("Transfer-Encoding: chunked",),
            "expect": (f"Content-Length: {len(hidden)}", "Expect: 100-continue"),
        }[framing]
        head = await salon.head(method, target, who, JSON, *lines) + b"\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden) if framing == "chunks" else hidden
        raw = await salon.raw(head, body, hidden)
        assert answers(raw) == [status]
        assert b"100 Continue" not in raw
        assert b"Connection: close" in raw
        assert salon.got == []


async def test_a_denied_request_without_a_body_leaves_the_next_one_its_turn():
    async with open_salon(limits=QUICK) as salon:
        denied = await salon.head("DELETE", CARD, "mei") + b"\r\n"
        last = await salon.head("GET", CARD, "mei", "Connection: close") + b"\r\n"
        assert answers(await salon.raw(denied + last)) == [403, 200]
        assert [got.split(b" ")[0] for got in salon.got] == [b"GET"]


async def test_a_hundred_pipelined_requests_are_answered_in_order_and_few_wait():
    async with open_salon(limits=QUICK) as salon:
        one = await salon.head("GET", "/api/clients/export.csv", "mei") + b"\r\n"
        last = await salon.head("GET", CARD, "mei", "Connection: close") + b"\r\n"
        assert answers(await salon.raw(one * 100 + last)) == [404] * 100 + [200]


async def test_who_pipelines_behind_a_busy_request_is_not_read_any_further():
    async with open_salon(limits=QUICK) as salon:
        asked, leave = asyncio.Event(), asyncio.Event()

        async def wait():
            asked.set()
            await leave.wait()

        salon.before_answer = wait
        first = await salon.head("GET", CARD, "mei") + b"\r\n"
        more = b"GET /health HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"y" * 15_000)
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", salon.port)
            writer.write(first)
            await asked.wait()
            (connection,) = salon.server._wire.connections
            writer.write(more * 2_000)  # 30 MB, which must stay where it is
            while not connection._buffer_paused:  # noqa: ASYNC110  # aiohttp's: no event of ours
                await asyncio.sleep(0)
            for _ in range(200):
                await asyncio.sleep(0)
            assert len(connection._messages) <= 32
            assert not connection.transport.is_reading()
            writer.transport.abort()
            leave.set()
            del reader


@pytest.mark.parametrize("size", [1_000, 15_000])
async def test_a_head_without_end_is_refused_long_before_it_fills_anything(size):
    async with open_salon(limits=QUICK) as salon:
        head = await salon.head("GET", CARD, "ken")
        lines = b"".join(b"X-%d: %s\r\n" % (n, b"y" * size) for n in range(100))
        sent = head + lines[:99_000]
        assert answers(await salon.raw(sent)) == [400]
        assert salon.got == []


# -- HTTP/1.0 ------------------------------------------------------------------------------


async def test_http_1_0_may_keep_its_connection_and_has_no_chunks():
    async with open_salon(limits=QUICK) as salon:
        old = (await salon.head("GET", CARD, "mei", "Connection: keep-alive")).replace(
            b"HTTP/1.1", b"HTTP/1.0", 1
        )
        raw = await salon.raw(old + b"\r\n" + old.replace(b"keep-alive", b"close") + b"\r\n")
        assert raw.count(b"HTTP/1.0 200") == 2
        salon.got.clear()
        chunked = (await a_post(salon, "Transfer-Encoding: chunked")).replace(b"1.1", b"1.0", 1)
        hidden = await salon.head("GET", CARD, "ken") + b"\r\n"
        raw = await salon.raw(chunked, b"0\r\n\r\n", hidden)
        assert raw.count(b"HTTP/1.0 400") + raw.count(b"HTTP/1.1 400") == 1
        assert b" 200 " not in raw
        assert salon.got == []
