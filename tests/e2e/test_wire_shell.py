"""The guarded port over real sockets: bytes in, `Inbound` out, and back.

Tests read as a dialogue: what the client writes, what it reads until the connection ends.
"""

import asyncio
import gzip
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trustme

from gateway.domain.decision import Refusal
from gateway.domain.errors import RequestError
from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from gateway.domain.time import instant
from gateway.proxy.limits import PortLimits
from gateway.proxy.server import GuardedServer

PATIENCE = 10  # seconds until a test gives up; none of them needs more than a fraction
NOW = instant(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
GET = b"GET / HTTP/1.1\r\nHost: crm.example\r\n"
LAST = b"Connection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: crm.example\r\n"
UNAUTHENTICATED = Refusal(reason=Reason.UNAUTHENTICATED, request_id="id-1")


class Guard:
    """A pipeline made of one function, that remembers what it was asked."""

    def __init__(self, handle):
        self.handle = handle
        self.seen = []
        self.told = []

    async def run(self, inbound, body):
        self.seen.append(inbound)
        return await self.handle(inbound, body)


def answering(*args, **kwargs):
    async def handle(_inbound, _body):
        return Answer(*args, **kwargs)

    return handle


def refusing(refusal=UNAUTHENTICATED):
    async def handle(_inbound, _body):
        return refusal

    return handle


def reading(max_bytes=1_000_000):
    """Echo the body, or refuse for the reason the body could not be read."""

    async def handle(_inbound, body):
        try:
            return Answer(status=200, body=await body.read(max_bytes))
        except RequestError as error:
            return Refusal(reason=error.reason, request_id="id-2", detail=error.detail)

    return handle


@asynccontextmanager
async def serving(handle, *, tls=None, **limits):
    guard = Guard(handle)
    server = GuardedServer(
        guard,
        now=lambda: NOW,
        ssl_context=tls,
        limits=PortLimits(**limits),
        on_shell_refusal=guard.told.append,
    )
    guard.server = server
    guard.port = await server.start("127.0.0.1", 0)
    try:
        yield guard
    finally:
        await server.stop(0)


@asynccontextmanager
async def connected(port, tls=None):
    name = "crm.example" if tls else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=name
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()


async def talk(guard, *parts):
    """Write, and read until the server ends the connection."""
    async with connected(guard.port) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()


async def until(condition):
    """Let the loop turn until something is so."""
    while not condition():  # noqa: ASYNC110  # the state is aiohttp's: it sets no event of ours
        await asyncio.sleep(0)


def connections(guard):
    return guard.server._wire.connections


def parse(raw):
    """Head and body of one whole answer: (status line, [(name, value)], body)."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, [tuple(line.split(": ", 1)) for line in lines], body


def values(headers, name):
    return [value for key, value in headers if key.lower() == name.lower()]


def the_problem(raw):
    _, headers, body = parse(raw)
    assert values(headers, "Content-Type") == ["application/problem+json"]
    return json.loads(body)


# What comes in


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a%2Fb/../c?x=%zz&y=+#f",
        "//x//y",
        "/%E3%81%82?q=%e3%81%82",
        "/a;b=c/./d",
        "http://evil.example:81/x",
        "ftp://evil.example/x",
    ],
)
async def test_the_pipeline_sees_the_target_exactly_as_on_the_request_line(target):
    async with serving(answering(status=204)) as guard:
        await talk(guard, f"GET {target} HTTP/1.1\r\nHost: crm.example\r\n".encode() + LAST)
    (inbound,) = guard.seen
    assert inbound.target == target
    assert inbound.values("host") == ("crm.example",)


async def test_asterisk_and_authority_targets_come_through_raw():
    async with serving(refusing()) as guard:
        await talk(guard, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + LAST)
        await talk(guard, b"CONNECT crm.example:443 HTTP/1.1\r\nHost: a\r\n" + LAST)
    assert [(i.method, i.target) for i in guard.seen] == [
        ("OPTIONS", "*"),
        ("CONNECT", "crm.example:443"),
    ]


async def test_headers_come_in_order_and_case_and_as_often_as_sent():
    async with serving(answering(status=204)) as guard:
        await talk(guard, b"GET / HTTP/1.1\r\nhOsT: a\r\nX-B:  2 \r\nx-a: 1\r\nX-b: 3\r\n" + LAST)
    (inbound,) = guard.seen
    assert inbound.headers == (
        ("hOsT", "a"),
        ("X-B", "2"),
        ("x-a", "1"),
        ("X-b", "3"),
        ("Connection", "close"),
    )


@pytest.mark.parametrize("version", ["1.0", "1.1", "0.9", "2.0"])
async def test_the_version_is_told_as_it_came_and_answered_as_http_1(version):
    async with serving(answering(status=200, body=b"x")) as guard:
        raw = await talk(guard, f"GET / HTTP/{version}\r\nHost: a\r\n".encode() + LAST)
    assert guard.seen[0].version == version
    assert raw.startswith(b"HTTP/1.0 200" if version == "1.0" else b"HTTP/1.1 200")


async def test_a_header_of_twelve_kilobytes_comes_in():
    async with serving(answering(status=204)) as guard:
        await talk(guard, GET + b"Cookie: " + b"c" * 12_000 + b"\r\n" + LAST)
    assert len(guard.seen[0].values("cookie")[0]) == 12_000


async def test_the_peer_is_the_socket_s_whatever_headers_say():
    async with serving(answering(status=204)) as guard:
        await talk(guard, GET + b"X-Forwarded-For: 203.0.113.9\r\n" + LAST)
    assert guard.seen[0].peer == "127.0.0.1"
    assert guard.seen[0].secure is False


async def test_two_requests_share_a_connection():
    async with serving(answering(status=200, body=b"x")) as guard:
        raw = await talk(guard, GET + b"\r\n", GET + LAST)
    assert raw.count(b"HTTP/1.1 200 OK") == 2
    assert len(guard.seen) == 2


async def test_over_tls_the_request_is_secure():
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("crm.example").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with (
        serving(answering(status=200, body=b"hello"), tls=server_side) as guard,
        connected(guard.port, client_side) as (reader, writer),
    ):
        writer.write(GET + LAST)
        assert (await reader.read()).endswith(b"\r\n\r\nhello")
    assert guard.seen[0].secure is True


# What is refused before there is a request to judge


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : secret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: secret\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: sec\x00ret\r\n\r\n",
        b"GET /\xe3\x81\x82secret HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"secret" * 1400 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"secret" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: secret\r\n" * 101 + b"\r\n",
        b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret",
    ],
)
async def test_what_the_parser_refuses_is_a_bare_problem_that_quotes_nothing(raw, caplog):
    async with serving(answering(status=204)) as guard:
        answer = await talk(guard, raw)
    status, headers, _ = parse(answer)
    assert status == "HTTP/1.1 400 Bad Request"
    assert the_problem(answer)["reason"] == "malformed_request"
    assert values(headers, "Connection") == ["close"]
    assert values(headers, "Server") == []
    assert guard.seen == []
    assert guard.told == [Reason.MALFORMED_REQUEST]
    assert b"secret" not in answer
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"X-Name: \xe7\xbe\x8e\xe5\x92\xb2\r\n", "malformed_request"),
        (b"X-Name: caf\xe9\r\n", "malformed_request"),
        (b"Expect: 200-ok\r\n", "malformed_request"),
        (b"".join(b"X-%d: %s\r\n" % (n, b"y" * 16_000) for n in range(5)), "malformed_request"),
    ],
)
async def test_a_head_that_reads_in_more_than_one_way_is_refused(line, reason):
    async with serving(answering(status=204)) as guard:
        answer = await talk(guard, GET + line + b"\r\n", GET + b"\r\n")
    assert the_problem(answer)["reason"] == reason
    assert guard.seen == []
    assert guard.told == [Reason(reason)]


async def test_garbage_behind_a_good_request_gets_its_own_400():
    async with (
        serving(answering(status=204)) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(GET + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
    assert len(guard.seen) == 1


# Bodies


async def test_a_body_is_read_whole():
    async with serving(reading()) as guard:
        raw = await talk(guard, POST + b"Content-Length: 5\r\n" + LAST, b"he", b"llo")
    assert parse(raw)[2] == b"hello"


async def test_a_chunked_body_is_read_whole():
    async with serving(reading()) as guard:
        raw = await talk(
            guard,
            POST + b"Transfer-Encoding: chunked\r\n" + LAST,
            b"2;a=b\r\nhe\r\n3\r\nllo\r\n",
            b"0\r\n\r\n",
        )
    assert parse(raw)[2] == b"hello"


async def test_a_compressed_body_comes_as_it_was_sent():
    packed = gzip.compress(b"hello")
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(packed)
    async with serving(reading()) as guard:
        raw = await talk(guard, POST + head + LAST, packed)
    assert parse(raw)[2] == packed


async def test_a_request_without_a_body_has_an_empty_one():
    async with serving(reading()) as guard:
        raw = await talk(guard, POST + LAST)
    assert parse(raw)[0] == "HTTP/1.1 200 OK"
    assert parse(raw)[2] == b""


async def test_a_body_is_streamed_chunk_by_chunk():
    async def handle(_inbound, body):
        return Answer(status=200, body=b"|".join([chunk async for chunk in body.stream()]))

    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(POST + b"Content-Length: 6\r\nExpect: 100-continue\r\n" + LAST)
        await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"abcdef")
        assert (await reader.read()).replace(b"|", b"").endswith(b"abcdef")


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 11\r\n", b"12345678901"),
        (b"Transfer-Encoding: chunked\r\n", b"b\r\n12345678901\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\n1\r\n" * 11 + b"0\r\n\r\n"),
    ],
)
async def test_a_body_over_the_cap_is_refused_and_the_connection_ends(framing, body):
    async with serving(reading(10), linger_seconds=0.1) as guard:
        raw = await talk(guard, POST + framing + b"\r\n", body, GET + LAST)
    assert the_problem(raw)["reason"] == "body_too_large"
    assert len(guard.seen) == 1


async def test_a_stream_over_the_port_s_cap_is_refused():
    async def handle(_inbound, body):
        try:
            return Answer(status=200, body=b"".join([chunk async for chunk in body.stream()]))
        except RequestError as error:
            return Refusal(reason=error.reason, request_id="id-3")

    async with serving(handle, max_body_bytes=10, linger_seconds=0.1) as guard:
        raw = await talk(
            guard, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"b\r\n12345678901\r\n"
        )
    assert the_problem(raw)["reason"] == "body_too_large"


async def test_a_body_that_does_not_come_in_time_is_refused():
    async with serving(reading(), body_seconds=0.05, linger_seconds=0.05) as guard:
        raw = await talk(guard, POST + b"Content-Length: 5\r\n\r\n", b"he")
    assert parse(raw)[0].startswith("HTTP/1.1 408")
    assert the_problem(raw)["reason"] == "body_timeout"


async def test_dripping_bytes_do_not_extend_the_deadline_of_a_body():
    async with (
        serving(reading(), body_seconds=0.3, linger_seconds=PATIENCE) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(POST + b"Content-Length: 100000\r\n\r\n")
        answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait({answer}, timeout=0.02)
        assert answer.result().startswith(b"HTTP/1.1 408")


async def test_broken_chunks_are_refused_at_once_not_waited_for():
    head = POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    async with (
        serving(reading(), body_seconds=3600) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(head)
        await reader.readuntil(b"100 Continue\r\n\r\n")
        writer.write(b"5\r\nhello\r\nzz\r\n")
        raw = await reader.read()
    assert the_problem(raw)["reason"] == "malformed_request"
    assert raw.count(b"HTTP/1.1") == 1


async def test_broken_chunks_behind_a_slow_request_are_refused_at_once_too():
    leave = asyncio.Event()
    echo = reading()

    async def handle(inbound, body):
        if inbound.method == "GET":
            await leave.wait()
        return await echo(inbound, body)

    async with (
        serving(handle, body_seconds=3600) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(GET + b"\r\n" + POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe")
        await until(lambda: guard.seen)
        writer.write(b"llozz\r\n")
        await until(lambda: any(len(c._messages) > 1 for c in connections(guard)))
        leave.set()
        raw = await reader.read()
    assert raw.startswith(b"HTTP/1.1 200")
    assert b"malformed_request" in raw


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_crash(caplog):
    seen = asyncio.Queue()

    async def handle(_inbound, body):
        try:
            await body.read(100)
        except RequestError as error:
            await seen.put(error.reason)
        return UNAUTHENTICATED

    async with serving(handle) as guard:
        async with connected(guard.port) as (reader, writer):
            writer.write(POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            await reader.readuntil(b"100 Continue\r\n\r\n")
            writer.write(b"he")
        async with asyncio.timeout(PATIENCE):
            assert await seen.get() is Reason.MALFORMED_REQUEST
    assert caplog.records == []


async def test_100_continue_comes_only_once_the_body_is_wanted():
    order = []

    async def handle(_inbound, body):
        order.append("decided")
        return Answer(status=200, body=await body.read(100))

    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(POST + b"Content-Length: 5\r\nExpect: 100-Continue\r\n" + LAST)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert order == ["decided"]
        writer.write(b"hello")
        assert parse(await reader.read())[2] == b"hello"


async def test_a_refused_upload_is_never_invited():
    async with serving(refusing(), linger_seconds=0.05) as guard:
        raw = await talk(guard, POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    status, headers, _ = parse(raw)
    assert status == "HTTP/1.1 401 Unauthorized"
    assert values(headers, "Connection") == ["close"]


async def test_a_body_announced_as_too_large_is_never_invited():
    async with serving(reading(4), linger_seconds=0.05) as guard:
        raw = await talk(guard, POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413")


async def test_http_1_0_knows_no_100_continue():
    async with serving(reading()) as guard, connected(guard.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        await until(lambda: guard.seen)
        writer.write(b"hello")
        assert (await reader.read()).startswith(b"HTTP/1.0 200")


async def test_after_a_refusal_with_an_unread_body_the_connection_ends():
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(refusing(), linger_seconds=0.05) as guard:
        raw = await talk(guard, POST + b"Content-Length: %d\r\n\r\n" % (len(hidden) + 1), hidden)
    assert values(parse(raw)[1], "Connection") == ["close"]
    assert [inbound.method for inbound in guard.seen] == ["POST"]


async def test_after_a_body_that_was_read_the_connection_goes_on():
    async with serving(reading()) as guard:
        raw = await talk(guard, POST + b"Content-Length: 5\r\n\r\nhello", GET + LAST)
    assert raw.count(b"HTTP/1.1 200 OK") == 2


async def test_a_body_is_read_once():
    async def handle(_inbound, body):
        await body.read(10)
        with pytest.raises(RuntimeError):
            await body.read(10)
        return Answer(status=204)

    async with serving(handle) as guard:
        assert (await talk(guard, POST + LAST)).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize(
    "head",
    [
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding:\r\n",
    ],
)
async def test_what_follows_a_refused_upgrade_or_odd_coding_is_not_a_request(head):
    async with serving(refusing()) as guard:
        await talk(guard, POST + head + b"\r\n", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n" + LAST)
    assert "/smuggled" not in [inbound.target for inbound in guard.seen]


# What goes out


async def test_only_what_the_answer_names_goes_out_with_date_and_framing():
    headers = (
        ("Content-Type", "text/x"),
        ("Set-Cookie", "a=1"),
        ("x-Odd", "\u00c3\u00a9"),  # one character per byte
        ("Set-Cookie", "b=2"),
    )
    async with serving(answering(status=200, headers=headers, body=b"hello")) as guard:
        status, sent, body = parse(await talk(guard, GET + LAST))
    assert status == "HTTP/1.1 200 OK"
    assert body == b"hello"
    assert values(sent, "Date")
    assert [pair for pair in sent if pair[0] != "Date"] == [
        *((name, value.encode("latin-1").decode()) for name, value in headers),
        ("Content-Length", "5"),
        ("Connection", "close"),
    ]


async def test_a_banner_or_type_that_the_answer_names_stays():
    headers = (("Server", "crm"), ("Content-Type", "application/octet-stream"))
    async with serving(answering(status=200, headers=headers, body=b"x")) as guard:
        _, sent, _ = parse(await talk(guard, GET + LAST))
    assert values(sent, "server") == ["crm"]
    assert values(sent, "content-type") == ["application/octet-stream"]


@pytest.mark.parametrize("body", ["whole", "stream"])
async def test_no_type_and_no_banner_are_made_up(body):
    async def handle(_inbound, _body):
        return Answer(status=200, body=pieces(b"x") if body == "stream" else b"x")

    async with serving(handle) as guard:
        _, sent, _ = parse(await talk(guard, GET + LAST))
    assert {name for name, _ in sent} <= {
        "Date",
        "Content-Length",
        "Connection",
        "Transfer-Encoding",
    }


async def test_framing_is_ours_alone():
    headers = (
        ("Connection", "keep-alive, x-secret"),
        ("Keep-Alive", "timeout=5"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Trailer", "x"),
    )
    async with serving(answering(status=200, headers=headers, body=b"hello")) as guard:
        _, sent, body = parse(await talk(guard, GET + LAST))
    assert [name for name, _ in sent if name != "Date"] == ["Content-Length", "Connection"]
    assert values(sent, "Content-Length") == ["5"]
    assert body == b"hello"


@pytest.mark.parametrize(
    ("headers", "body", "length"),
    [
        ((("Content-Length", "123"),), b"", ["123"]),
        ((), b"hello", ["5"]),
        ((), b"", []),
    ],
)
async def test_head_sends_no_body_but_its_length(headers, body, length):
    async with serving(answering(status=200, headers=headers, body=body)) as guard:
        raw = await talk(guard, b"HEAD / HTTP/1.1\r\nHost: a\r\n" + LAST)
    _, sent, rest = parse(raw)
    assert values(sent, "Content-Length") == length
    assert rest == b""


async def test_head_never_pulls_at_a_stream_but_closes_it():
    source = Source(b"x", forever=True)

    async def handle(_inbound, _body):
        return Answer(status=200, body=source)

    async with serving(handle) as guard:
        raw = await talk(guard, b"HEAD / HTTP/1.1\r\nHost: a\r\n" + LAST)
    assert parse(raw)[2] == b""
    assert source.given == 0
    assert source.closed.is_set()


async def test_a_204_has_no_body_and_no_length():
    async with serving(answering(status=204, body=b"not sent")) as guard:
        raw = await talk(guard, GET + LAST)
    assert values(parse(raw)[1], "Content-Length") == []
    assert parse(raw)[2] == b""


async def test_a_refusal_is_a_page_for_a_browser_and_a_problem_for_a_program():
    async with serving(refusing()) as guard:
        page = await talk(guard, GET + b"Accept: text/html\r\nAccept-Language: ja\r\n" + LAST)
        program = await talk(guard, GET + LAST)
    assert '<html lang="ja">' in parse(page)[2].decode()
    assert the_problem(program)["reason"] == "unauthenticated"
    assert guard.told == []


async def test_a_refusal_without_a_body_keeps_the_connection():
    async with serving(refusing()) as guard:
        raw = await talk(guard, GET + b"\r\n", GET + LAST)
    assert raw.count(b"HTTP/1.1 401") == 2


# Streams


class Source:
    """A stream that counts what it gave and knows whether it was closed."""

    def __init__(self, chunk, *, forever=False, then=None):
        self.chunk = chunk
        self.forever = forever
        self.then = then
        self.given = 0
        self.closed = asyncio.Event()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.given and not self.forever:
            if self.then is None:
                raise StopAsyncIteration
            await self.then()
        self.given += 1
        return self.chunk

    async def aclose(self):
        self.closed.set()


async def pieces(*chunks):
    for chunk in chunks:
        yield chunk


def streaming(*chunks, status=200, headers=()):
    async def handle(_inbound, _body):
        return Answer(status=status, headers=headers, body=pieces(*chunks))

    return handle


async def test_a_stream_goes_out_chunked_and_ends_with_its_last_chunk():
    async with serving(streaming(b"hel", b"", b"lo")) as guard:
        _, headers, body = parse(await talk(guard, GET + LAST))
    assert values(headers, "Transfer-Encoding") == ["chunked"]
    assert body == b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


async def test_a_stream_of_known_length_keeps_its_length():
    async with serving(streaming(b"hel", b"lo", headers=(("Content-Length", "5"),))) as guard:
        _, headers, body = parse(await talk(guard, GET + LAST))
    assert values(headers, "Content-Length") == ["5"]
    assert values(headers, "Transfer-Encoding") == []
    assert body == b"hello"


async def test_to_http_1_0_a_stream_ends_with_the_connection():
    async with serving(streaming(b"hel", b"lo")) as guard:
        raw = await talk(guard, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("error", [ValueError, ConnectionResetError, TimeoutError])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("headers", [(), (("Content-Length", "10"),)])
async def test_a_stream_that_breaks_never_looks_whole(version, headers, error):
    async def breaking():
        yield b"hello"
        raise error("the CRM went away")

    async def handle(_inbound, _body):
        return Answer(status=200, headers=headers, body=breaking())

    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert b"0\r\n\r\n" not in bytes(reader._buffer)


@pytest.mark.parametrize("length", ["4", "6"])
async def test_a_stream_that_is_not_as_long_as_it_said_never_looks_whole(length):
    handle = streaming(b"hello", headers=(("Content-Length", length),))
    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(GET + b"\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_two_different_lengths_are_no_length():
    headers = (("Content-Length", "4"), ("Content-Length", "6"))
    async with serving(streaming(b"hello", headers=headers)) as guard:
        _, sent, body = parse(await talk(guard, GET + LAST))
    assert values(sent, "Content-Length") == []
    assert body.endswith(b"0\r\n\r\n")


async def test_a_slow_reader_holds_the_stream_back():
    source = Source(b"x" * 65_536, forever=True)

    async def handle(_inbound, _body):
        return Answer(status=200, body=source)

    async with serving(handle) as guard:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.settimeout(0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            await loop.sock_connect(client, ("127.0.0.1", guard.port))
            await loop.sock_sendall(client, GET + b"\r\n")
            async with asyncio.timeout(PATIENCE):
                await until(lambda: any(c.writing_paused for c in connections(guard)))
            held = source.given
            for _ in range(200):
                await asyncio.sleep(0)
            assert source.given - held <= 1
            assert source.given * 65_536 < 64 * 2**20
            assert not source.closed.is_set()


@pytest.mark.parametrize("kind", ["stream", "whole"])
async def test_a_reader_that_takes_nothing_is_cut(kind, caplog):
    source = Source(b"x" * 65_536, forever=True)

    async def handle(_inbound, _body):
        return Answer(status=200, body=source if kind == "stream" else b"x" * 2**25)

    async with serving(handle, write_seconds=0.1) as guard:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.settimeout(0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            await loop.sock_connect(client, ("127.0.0.1", guard.port))
            await loop.sock_sendall(client, GET + b"\r\n")
            async with asyncio.timeout(PATIENCE):
                await until(lambda: caplog.records and not connections(guard))
    assert source.closed.is_set() is (kind == "stream")


async def test_a_stream_whose_client_left_is_closed_even_when_it_is_silent(caplog):
    async def silence():
        await asyncio.Event().wait()

    source = Source(b"hello", then=silence)

    async def handle(_inbound, _body):
        return Answer(status=200, body=source)

    async with serving(handle) as guard:
        async with connected(guard.port) as (reader, writer):
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"hello")
        async with asyncio.timeout(PATIENCE):
            await source.closed.wait()
    assert caplog.records == []


# When something is wrong with us


async def test_a_pipeline_that_raises_is_a_500_without_details(caplog):
    async def handle(_inbound, _body):
        raise LookupError("phone +1-202-555-0107")

    async with serving(handle) as guard:
        raw = await talk(guard, GET + b"\r\n", GET + b"\r\n")
    assert parse(raw)[0] == "HTTP/1.1 500 Internal Server Error"
    assert the_problem(raw)["reason"] == "internal_error"
    assert b"555-0107" not in raw
    assert guard.told == [Reason.INTERNAL_ERROR]
    assert len(guard.seen) == 1
    (record,) = caplog.records
    line = json.loads(record.getMessage())
    assert (line["event"], line["error"]) == ("pipeline_failed", "LookupError")
    assert "555-0107" not in caplog.text


@pytest.mark.parametrize("raised", [ConnectionResetError, TimeoutError])
async def test_a_pipeline_that_raises_network_errors_is_a_500_too(raised):
    async def handle(_inbound, _body):
        raise raised

    async with serving(handle) as guard:
        raw = await talk(guard, GET + b"\r\n")
    assert the_problem(raw)["reason"] == "internal_error"


@pytest.mark.parametrize(
    "broken",
    [
        {"headers": (("X", "a\r\nSet-Cookie: b=1"),)},
        {"headers": (("X Y", "a"),)},
        {"headers": (("X", "a\udc80"),)},
        {"status": 101},
        {"status": 99},
        {"status": 700},
    ],
)
async def test_an_answer_that_is_no_http_message_is_not_sent(broken, caplog):
    source = Source(b"secret")

    async def handle(_inbound, _body):
        return Answer(**({"status": 200, "body": source} | broken))

    async with serving(handle) as guard:
        raw = await talk(guard, GET + b"\r\n")
    assert the_problem(raw)["reason"] == "internal_error"
    assert b"Set-Cookie" not in raw
    assert source.closed.is_set()
    assert guard.told == [Reason.INTERNAL_ERROR]


async def test_a_refusal_that_cannot_be_worded_is_a_500():
    async with serving(refusing(Refusal(reason=Reason.RULE_ALLOWS, request_id="x"))) as guard:
        raw = await talk(guard, GET + b"\r\n")
    assert the_problem(raw)["reason"] == "internal_error"


async def test_the_server_does_not_start_on_the_pure_python_parser():
    program = (
        "import asyncio\n"
        "from gateway.proxy.server import GuardedServer\n"
        "asyncio.run(GuardedServer(None, now=None).start('127.0.0.1', 0))\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        env=os.environ | {"AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "ParserMissingError" in done.stderr


# Connections


async def test_one_peer_cannot_take_every_connection(caplog):
    caplog.set_level(logging.WARNING, "gateway.proxy")
    async with (
        serving(answering(status=200, body=b"x"), max_connections_per_peer=1) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\nx")
        async with connected(guard.port) as (second, _):
            with pytest.raises(ConnectionResetError):
                await second.read()
        assert guard.server.turned_away == 1
        writer.write(GET + LAST)
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    assert [json.loads(r.getMessage())["event"] for r in caplog.records] == [
        "connection_turned_away"
    ]


@pytest.mark.parametrize("cap", ["max_connections", "max_connections_per_peer"])
async def test_a_connection_that_ended_makes_room(cap):
    async with serving(answering(status=204), **{cap: 1}) as guard:
        for _ in range(3):
            assert (await talk(guard, GET + LAST)).startswith(b"HTTP/1.1 204")
            await until(lambda: not guard.server._wire._peers)
    assert guard.server.turned_away == 0


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-Half"])
async def test_a_silent_or_half_sent_head_is_cut(sent):
    async with serving(answering(status=204), idle_seconds=0.1) as guard:
        assert await talk(guard, sent) == b""
    assert guard.seen == []


async def test_stopping_lets_the_open_request_finish_and_takes_no_other():
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handle(_inbound, _body):
        entered.set()
        await leave.wait()
        return Answer(status=200, body=b"done")

    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(GET + b"\r\n")
        await entered.wait()
        stopping = asyncio.ensure_future(guard.server.stop(PATIENCE))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", guard.port)
        leave.set()
        _, headers, body = parse(await reader.read())
        await stopping
    assert body == b"done"
    assert values(headers, "Connection") == ["close"]


async def test_stopping_ends_idle_connections_at_once():
    async with (
        serving(answering(status=200, body=b"x"), idle_seconds=3600) as guard,
        connected(guard.port) as (reader, writer),
    ):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\nx")
        await guard.server.stop(3600)
        assert await reader.read() == b""


async def test_after_the_grace_open_answers_are_cut_not_ended():
    async def silence():
        await asyncio.Event().wait()

    source = Source(b"hello", then=silence)

    async def handle(_inbound, _body):
        return Answer(status=200, body=source)

    async with serving(handle) as guard, connected(guard.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await reader.readuntil(b"hello")
        await guard.server.stop(0.05)
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert source.closed.is_set()


async def test_a_server_that_never_started_stops():
    await GuardedServer(Guard(refusing()), now=lambda: NOW).stop(1)
