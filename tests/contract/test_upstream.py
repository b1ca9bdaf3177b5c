"""The hop to the CRM, against real servers on loopback: one that behaves and some that do not.

The misbehaving ones are raw asyncio servers that play a script of bytes; they keep what they
were sent, so a test can look at the very bytes.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trustme
from aiohttp import web

from gateway import ports
from gateway.backends.upstream import LeanUpstream, UpstreamAnswer
from gateway.domain.decision import Passage
from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import CanonicalPath, CanonicalTarget, Headers
from gateway.domain.reason import Reason

CLEARANCE = Passage(reason=Reason.PASSED)
MEBIBYTE = 2**20

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


# ---------------------------------------------------------------- builders


def a_target(wire: str = "/api/clients") -> CanonicalTarget:
    path = wire.partition("?")[0]
    return CanonicalTarget(path=CanonicalPath(path), segments=(), query=(), wire=wire)


@dataclass
class Crm:
    """A raw server: its address, what it received, how many connections it saw and lost."""

    url: str = ""
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def a_raw_crm(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Crm]:
    crm = Crm()
    players: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        players.add(task)
        crm.connections += 1
        try:
            await script(_Recorded(reader, crm), writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the other side left, or the test is over
        finally:
            crm.hung_up.set()
            writer.transport.abort()
            players.discard(task)

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    crm.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield crm
    finally:
        server.close()
        for task in tuple(players):
            task.cancel()
        await asyncio.gather(*players, return_exceptions=True)
        await server.wait_closed()


class _Recorded:
    """A reader that writes down what came."""

    def __init__(self, reader: asyncio.StreamReader, crm: Crm) -> None:
        self._reader = reader
        self._crm = crm

    async def readuntil(self, separator: bytes = b"\r\n\r\n") -> bytes:
        data = await self._reader.readuntil(separator)
        self._crm.received += data
        return data

    async def readexactly(self, count: int) -> bytes:
        data = await self._reader.readexactly(count)
        self._crm.received += data
        return data

    async def read(self, count: int = 65536) -> bytes:
        data = await self._reader.read(count)
        self._crm.received += data
        return data


def answering(*pieces: bytes, hang: bool = False, times: int = 1) -> Script:
    """Read a head, send the pieces, then hang up, or wait until the other side does."""

    async def script(reader, writer) -> None:
        for _ in range(times):
            await reader.readuntil()
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        if hang:
            while await reader.read():
                pass

    return script


@asynccontextmanager
async def an_upstream(url: str, **settings) -> AsyncIterator[LeanUpstream]:
    upstream = LeanUpstream(base_url=url, **settings)
    try:
        yield upstream
    finally:
        await upstream.close()


async def send(
    upstream: LeanUpstream,
    wire: str = "/api/clients",
    method: str = "GET",
    headers: Headers = (),
    body: bytes | AsyncIterator[bytes] | None = None,
    length: int | None = None,
) -> UpstreamAnswer:
    return await upstream.send(
        CLEARANCE,
        method=method,
        target=a_target(wire),
        headers=headers,
        body=body,
        length=length,
    )


async def reason_of(doing: Awaitable[object]) -> Reason:
    with pytest.raises(UpstreamError) as caught:
        await doing
    return caught.value.reason


async def outcome(script: Script, method: str = "GET", **settings) -> bytes | Reason:
    """Ask a raw CRM once and read everything."""
    async with a_raw_crm(script) as crm, an_upstream(crm.url, **settings) as upstream:
        try:
            answer = await send(upstream, method=method)
            return await answer.read(MEBIBYTE)
        except UpstreamError as error:
            return error.reason


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# ---------------------------------------------------------------- what is sent


def test_it_is_an_upstream_as_the_core_asks_for() -> None:
    upstream: ports.Upstream = LeanUpstream(base_url="http://127.0.0.1:1")
    assert upstream


async def test_the_request_holds_what_was_given_and_host_and_nothing_else() -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream, headers=(("X-One", "1"), ("x-two", "2"), ("X-One", "3")))
        assert await answer.read(2) == b"ok"
        host = crm.url.removeprefix("http://")
        assert crm.received.decode() == (
            f"GET /api/clients HTTP/1.1\r\nHost: {host}\r\n"
            "X-One: 1\r\nx-two: 2\r\nX-One: 3\r\n\r\n"
        )


@pytest.mark.parametrize(
    "wire",
    [
        "/",
        "/api/clients/7?page=2&sort=name",
        "/a/%2e%2e/b",
        "/a/../b/./c",
        "/a;v=1/%3B/%63",
        "/q?x=%41&y=a+b&z=%E3%81%82",
        "/q?redirect=http://other.example/?a=b",
        "/~tilde/!$&'()*,=:@",
        "//two/slashes",
        '/q?[]{}|^`"<>',
        "/a?",
        "/?/?",
    ],
)
async def test_the_target_goes_out_byte_for_byte(wire: str) -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream, wire)).read(2)
        assert crm.received.split(b" ")[1] == wire.encode()


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "*",
        "api/clients",
        "@evil.example/",
        ".evil.example/",
        "http://evil.example/",
        "/a b",
        "/a#fragment",
        "/a\tb",
        "/a\r\nX-Evil: 1",
        "/é",
        "/\x7f",
    ],
)
async def test_a_target_that_is_no_path_and_query_is_never_sent(wire: str) -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        assert await reason_of(send(upstream, wire)) is Reason.UPSTREAM_INVALID
        assert crm.connections == 0


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GE T", "", "GET\r\nX: 1"])
async def test_a_method_that_is_none_or_that_tunnels_is_never_sent(
    method: str,
) -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        assert await reason_of(send(upstream, method=method)) is Reason.UPSTREAM_INVALID
        assert crm.connections == 0


@pytest.mark.parametrize(
    "header",
    [
        ("Expect", "100-continue"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "websocket"),
        ("X-Split", "a\r\nX-Evil: 1"),
        ("X-Nul", "a\0b"),
        ("X Space", "a"),
        ("X-Del", "\x7f"),
        ("X-Nel", "a\x0bb"),
        ("X-Wide", "名"),
        ("X-Surrogate", "\udce9"),
        ("", "a"),
    ],
)
async def test_a_header_that_frames_or_cannot_be_written_is_never_sent(
    header: tuple[str, str],
) -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        assert await reason_of(send(upstream, headers=(header,))) is Reason.UPSTREAM_INVALID
        assert crm.connections == 0


@pytest.mark.parametrize("name", ["美咲".encode(), b"caf\xe9", b"\x80\xff"])
async def test_the_bytes_of_a_header_beyond_ascii_arrive_as_they_came(name: bytes) -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream, headers=(("X-Name", name.decode("latin-1")),))).read(2)
        assert b"X-Name: " + name + b"\r\n" in crm.received


async def test_a_given_host_replaces_the_crms_own_and_two_are_refused() -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        two = (("Host", "a.example"), ("host", "b.example"))
        assert await reason_of(send(upstream, headers=two)) is Reason.UPSTREAM_INVALID
        await (await send(upstream, headers=(("Host", "salon.example"),))).read(2)
        assert crm.received.count(b"Host:") == 1
        assert b"Host: salon.example\r\n" in crm.received


async def test_bytes_go_out_with_their_length() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        await reader.readexactly(5)
        writer.write(OK)

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream, method="POST", body=b"hello")).read(2)
        assert b"Content-Length: 5\r\n" in crm.received
        assert b"Content-Type" not in crm.received
        assert b"ransfer-" not in crm.received
        assert crm.received.endswith(b"\r\n\r\nhello")


async def test_a_body_of_several_megabytes_arrives_whole() -> None:
    body = bytes(range(256)) * 4096 * 3

    async def take(request: web.Request) -> web.Response:
        got = b"".join([piece async for piece in request.content.iter_any()])
        return web.Response(body=b"same" if got == body else b"other")

    async with a_good_crm(take) as url, an_upstream(url) as upstream:
        assert await (await send(upstream, method="PUT", body=body)).read(9) == b"same"


async def test_a_stream_goes_out_chunked_and_empty_pieces_do_not_end_it() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream, method="POST", body=pieces(b"one", b"", b"three"))
        assert await answer.read(2) == b"ok"
        assert b"Transfer-Encoding: chunked\r\n" in crm.received
        assert crm.received.endswith(b"\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n")


async def test_a_stream_of_known_length_goes_out_with_it_and_without_chunks() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        await reader.readexactly(8)
        writer.write(OK)

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        body = pieces(b"one", b"", b"three")
        answer = await send(upstream, method="POST", body=body, length=8)
        assert await answer.read(2) == b"ok"
        assert b"Content-Length: 8\r\n" in crm.received
        assert b"Transfer-Encoding" not in crm.received
        assert crm.received.endswith(b"\r\n\r\nonethree")


@pytest.mark.parametrize(("length", "sent"), [(9, b"onethree"), (7, b"one"), (2, b"")])
async def test_a_stream_of_another_length_than_announced_is_never_ended(length, sent) -> None:
    async def script(reader, writer) -> None:
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        with pytest.raises(RequestError) as caught:
            await send(upstream, method="POST", body=pieces(b"one", b"three"), length=length)
        assert caught.value.reason is Reason.BODY_INVALID
        await crm.hung_up.wait()
        assert crm.received.partition(b"\r\n\r\n")[2] == sent


async def test_no_body_means_none_and_a_length_of_zero_where_one_is_expected() -> None:
    async with a_raw_crm(answering(OK, times=2)) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        assert b"Content-Length" not in crm.received
        await (await send(upstream, method="POST")).read(2)
        assert b"Content-Length: 0\r\n" in crm.received


async def test_a_clients_broken_body_is_the_clients_fault_and_never_looks_finished() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise RequestError(Reason.BODY_TIMEOUT, "too slow")

    async def script(reader, writer) -> None:
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        with pytest.raises(RequestError) as caught:
            await send(upstream, method="POST", body=broken())
        assert caught.value.reason is Reason.BODY_TIMEOUT
        await crm.hung_up.wait()
        assert crm.received.endswith(b"\r\n4\r\nhalf\r\n")


async def test_a_client_who_breaks_off_is_a_request_error_too() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    async def script(reader, writer) -> None:
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        with pytest.raises(RequestError) as caught:
            await send(upstream, method="POST", body=broken())
        assert caught.value.reason is Reason.BODY_INVALID


async def test_waiting_for_the_client_does_not_use_up_the_crms_time() -> None:
    """The client takes three times the CRM's patience; the CRM itself answers at once."""
    patience = 0.2

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(patience)
            yield b"x"

    async def script(reader, writer) -> None:
        await reader.readuntil()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    async with (
        a_raw_crm(script) as crm,
        an_upstream(crm.url, answer_timeout_seconds=patience) as upstream,
    ):
        answer = await send(upstream, method="POST", body=slow())
        assert await answer.read(2) == b"ok"


async def test_a_crm_that_is_silent_after_the_streamed_body_times_out() -> None:
    async def script(reader, writer) -> None:
        while await reader.read():
            pass

    async with (
        a_raw_crm(script) as crm,
        an_upstream(crm.url, answer_timeout_seconds=0.2) as upstream,
    ):
        sending = send(upstream, method="POST", body=pieces(b"all"))
        assert await reason_of(sending) is Reason.UPSTREAM_TIMEOUT


async def test_an_answer_before_the_end_of_the_body_is_an_answer() -> None:
    """413 at once, while the client is still sending."""
    halt = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await halt.wait()

    answer_early = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"
    async with (
        a_raw_crm(answering(answer_early, hang=True)) as crm,
        an_upstream(crm.url) as upstream,
    ):
        answer = await send(upstream, method="POST", body=endless())
        assert (answer.status, await answer.read(3)) == (413, b"big")
        await crm.hung_up.wait()  # a half-sent request leaves no connection to use again


# ---------------------------------------------------------------- a CRM that behaves


@asynccontextmanager
async def a_good_crm(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_head_and_body_come_back_as_they_were_sent() -> None:
    async def handler(request: web.Request) -> web.Response:
        headers = [("X-A", "1"), ("x-b", "2"), ("X-A", "3"), ("Content-Encoding", "gzip")]
        return web.Response(status=201, headers=headers, body=b"\x1f\x8b not really")

    async with a_good_crm(handler) as url, an_upstream(url) as upstream:
        answer = await send(upstream)
        assert answer.status == 201
        ours = [pair for pair in answer.headers if pair[0].lower().startswith("x-")]
        assert ours == [("X-A", "1"), ("x-b", "2"), ("X-A", "3")]
        assert await answer.read(100) == b"\x1f\x8b not really"


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    seen: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("Cookie")))
        return web.Response(status=302, headers={"Location": "/next", "Set-Cookie": "s=1"})

    async with a_good_crm(handler) as url, an_upstream(url) as upstream:
        for _ in range(2):
            answer = await send(upstream)
            assert answer.status == 302
            await answer.read(0)
        assert seen == [("/api/clients", None)] * 2


async def test_no_proxy_and_no_netrc_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mei password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        assert b"uthorization" not in crm.received


async def test_connections_are_used_again() -> None:
    async with a_raw_crm(answering(OK, times=3)) as crm, an_upstream(crm.url) as upstream:
        for _ in range(3):
            assert await (await send(upstream)).read(2) == b"ok"
        assert crm.connections == 1


async def test_a_whole_body_streams() -> None:
    body = b"salon" * 200_000

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with a_good_crm(handler) as url, an_upstream(url) as upstream:
        answer = await send(upstream)
        assert b"".join([piece async for piece in answer.stream()]) == body


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_have_none_whatever_they_announce(
    method: str, head: bytes
) -> None:
    async with a_raw_crm(answering(head, times=2)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream, method=method)
        assert await answer.read(10) == b""
        answer = await send(upstream, method=method)
        assert [piece async for piece in answer.stream()] == []
        assert crm.connections == 1


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
            b"ok",
        ),
    ],
)
async def test_every_lawful_framing_is_read(sent: bytes, body: bytes) -> None:
    assert await outcome(answering(sent)) == body


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 4\r\n\r\nfour", b"Connection: close\r\n\r\nfour"]
)
async def test_a_body_of_just_the_limit_is_read_and_one_byte_more_is_not(framing: bytes) -> None:
    script = answering(b"HTTP/1.1 200 OK\r\n" + framing)
    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        assert await (await send(upstream)).read(4) == b"four"
        answer = await send(upstream)
        assert await reason_of(answer.read(3)) is Reason.ANSWER_TOO_LARGE


async def test_a_body_is_taken_once() -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream)
        await answer.read(2)
        with pytest.raises(RuntimeError, match="once"):
            await answer.read(2)


# ---------------------------------------------------------------- a CRM that does not


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"hello\r\n\r\n",
        b"<html>no head</html>",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\n\r\nok",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 20 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Bell: a\x07b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Cr: a\rb\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX Space: a\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\nok",
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 5_000 + b"\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokNO",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n",
    ],
)
async def test_nonsense_is_an_invalid_answer(sent: bytes) -> None:
    assert await outcome(answering(sent)) is Reason.UPSTREAM_INVALID


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokNO",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nwhat?\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nok\r\n" * 9 + b"zz\r\n",
    ],
)
async def test_a_chunk_that_breaks_later_is_invalid_even_if_the_crm_stays_on_the_line(
    sent: bytes,
) -> None:
    head, body = sent.split(b"\r\n\r\n", 1)
    script = answering(head + b"\r\n\r\n", body, hang=True)
    assert await outcome(script) is Reason.UPSTREAM_INVALID


async def test_a_stream_that_breaks_off_says_so() -> None:
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with a_raw_crm(answering(sent)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream)
        stream = answer.stream()
        assert await anext(stream) == b"half"
        assert await reason_of(anext(stream)) is Reason.UPSTREAM_INVALID


async def test_an_endless_run_of_interim_answers_is_no_answer() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    assert await outcome(script) is Reason.UPSTREAM_INVALID


async def test_a_crm_that_never_answers_times_out() -> None:
    got = await outcome(answering(b"", hang=True), answer_timeout_seconds=0.1)
    assert got is Reason.UPSTREAM_TIMEOUT


async def test_a_crm_that_hangs_after_the_head_times_out() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    got = await outcome(answering(head, hang=True), read_timeout_seconds=0.1)
    assert got is Reason.UPSTREAM_TIMEOUT


async def test_a_stream_that_hangs_times_out_too() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with (
        a_raw_crm(answering(head, hang=True)) as crm,
        an_upstream(crm.url, read_timeout_seconds=0.1) as upstream,
    ):
        stream = (await send(upstream)).stream()
        assert await anext(stream) == b"half"
        assert await reason_of(anext(stream)) is Reason.UPSTREAM_TIMEOUT
        await crm.hung_up.wait()


def a_dripping_crm() -> Script:
    """One byte at a time, each well within any patience between two pieces."""

    async def script(reader, writer) -> None:
        await reader.readuntil()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    return script


async def test_a_crm_that_drips_is_cut_off_by_the_total_time() -> None:
    got = await outcome(a_dripping_crm(), read_timeout_seconds=5, total_timeout_seconds=0.2)
    assert got is Reason.UPSTREAM_TIMEOUT


async def test_a_slow_stream_may_take_longer_than_the_total_time_of_a_read() -> None:
    async with (
        a_raw_crm(a_dripping_crm()) as crm,
        an_upstream(crm.url, total_timeout_seconds=0.05) as upstream,
    ):
        stream = (await send(upstream)).stream()
        assert b"".join([await anext(stream) for _ in range(10)]).startswith(b"..........")
        await stream.aclose()


async def test_an_announced_length_beyond_the_limit_is_refused_before_a_byte_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    async with a_raw_crm(answering(head, hang=True)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream)
        assert await reason_of(answer.read(MEBIBYTE)) is Reason.ANSWER_TOO_LARGE
        await crm.hung_up.wait()


async def test_an_endless_body_is_refused_at_the_limit() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    assert await outcome(script) is Reason.ANSWER_TOO_LARGE


# ---------------------------------------------------------------- connections


def a_crm_that_dies_at_the_second_request(*, after: bytes = b"") -> Script:
    """Each connection answers once, reads a second request, and dies."""

    async def script(reader, writer) -> None:
        asked = await reader.readuntil()
        writer.write(OK.removesuffix(b"ok") if asked.startswith(b"HEAD") else OK)
        await reader.readuntil()
        writer.write(after)
        await writer.drain()

    return script


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST", None),
        ("PUT", b"x"),
        ("PATCH", b"x"),
        ("DELETE", None),
        ("PROPFIND", None),
        ("GET", b"x"),
    ],
)
async def test_a_write_is_never_sent_twice_even_on_a_connection_that_dies(
    method: str, body: bytes | None
) -> None:
    script = a_crm_that_dies_at_the_second_request()
    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        second = send(upstream, "/second", method, body=body)
        assert await reason_of(second) is Reason.UPSTREAM_INVALID
        assert crm.connections == 1
        assert crm.received.count(b"/second") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_read_is_asked_once_more_on_a_fresh_connection_if_a_used_one_dies(
    method: str,
) -> None:
    script = a_crm_that_dies_at_the_second_request()
    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        assert (await send(upstream, "/second", method)).status == 200
        assert crm.connections == 2
        assert crm.received.count(b"/second") == 2


async def test_a_read_is_not_repeated_once_a_byte_of_an_answer_came() -> None:
    script = a_crm_that_dies_at_the_second_request(after=b"H")
    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        assert await reason_of(send(upstream, "/second")) is Reason.UPSTREAM_INVALID
        assert crm.connections == 1


async def test_a_read_on_a_fresh_connection_is_not_repeated() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        assert await reason_of(send(upstream)) is Reason.UPSTREAM_INVALID
        assert (crm.connections, crm.received.count(b"GET ")) == (1, 1)


async def test_a_read_is_repeated_once_and_no_more() -> None:
    players = 0

    async def script(reader, writer) -> None:
        nonlocal players
        players += 1
        await reader.readuntil()
        if players == 1:
            writer.write(OK)
            await reader.readuntil()

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        assert await reason_of(send(upstream, "/second")) is Reason.UPSTREAM_INVALID
        assert crm.connections == 2


async def test_a_read_that_takes_too_long_is_not_repeated() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil()
        writer.write(OK)
        while await reader.read():
            pass

    async with (
        a_raw_crm(script) as crm,
        an_upstream(crm.url, answer_timeout_seconds=0.2) as upstream,
    ):
        await (await send(upstream)).read(2)
        assert await reason_of(send(upstream, "/second")) is Reason.UPSTREAM_TIMEOUT
        assert (crm.connections, crm.received.count(b"/second")) == (1, 1)


OTHERS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers"


@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize(
    ("first", "late"),
    [
        (OK + OTHERS, b""),
        (OK, OTHERS),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n" + OTHERS, b""),
    ],
)
async def test_a_surplus_answer_is_never_taken_for_the_answer_to_the_next_request(
    first: bytes, late: bytes, noticed
) -> None:
    idle, sent = asyncio.Event(), asyncio.Event()
    players = 0

    async def script(reader, writer) -> None:
        nonlocal players
        players += 1
        await reader.readuntil()
        if players > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
            return
        writer.write(first)
        await idle.wait()
        writer.write(late)
        await writer.drain()
        sent.set()
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await (await send(upstream)).read(2)
        idle.set()
        await sent.wait()
        for _ in range(20 if noticed else 0):
            await asyncio.sleep(0)  # the loop reads what has arrived
        assert await (await send(upstream, "/second")).read(9) == b"mine"
        assert crm.received.count(b"/second") == 1


async def test_a_crm_that_talks_before_it_is_asked_is_not_asked_for_ever() -> None:
    async def script(reader, writer) -> None:
        writer.write(OTHERS)
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        for _ in range(3):
            with suppress(UpstreamError):
                # If the bytes came after ours, HTTP/1.1 cannot tell them from an answer.
                await (await send(upstream)).close()
        assert crm.connections < 30


async def test_a_connection_that_the_crm_closed_while_idle_is_not_used() -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        for count in range(1, 20):
            assert await (await send(upstream)).read(2) == b"ok"
            assert crm.connections == count


async def test_who_stops_reading_a_stream_drops_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome"
    async with a_raw_crm(answering(head, hang=True)) as crm, an_upstream(crm.url) as upstream:
        stream = (await send(upstream)).stream()
        assert await anext(stream) == b"some"
        await stream.aclose()
        await crm.hung_up.wait()


async def test_an_answer_that_is_closed_unread_drops_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsome"
    async with a_raw_crm(answering(head, hang=True)) as crm, an_upstream(crm.url) as upstream:
        answer = await send(upstream)
        await answer.close()
        await answer.close()
        await crm.hung_up.wait()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
async def test_a_cancelled_request_drops_the_connection(sent: bytes) -> None:
    asked = asyncio.Event()

    async def script(reader, writer) -> None:
        await reader.readuntil()
        writer.write(sent)
        asked.set()
        while await reader.read():
            pass

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:

        async def ask() -> bytes:
            return await (await send(upstream)).read(9)

        asking = asyncio.ensure_future(ask())
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await crm.hung_up.wait()


async def test_a_consumer_that_does_not_read_holds_the_crm_back() -> None:
    written = 0
    stuck = asyncio.Event()

    async def script(reader, writer) -> None:
        nonlocal written
        await reader.readuntil()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        piece = b"x" * 65536
        while True:
            writer.write(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                stuck.set()
                await writer.drain()
            written += len(piece)

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        stream = (await send(upstream)).stream()
        await anext(stream)
        await stuck.wait()
        assert written < 64 * MEBIBYTE  # the sockets' buffers, not the whole gigabyte
        await stream.aclose()


async def test_who_finds_no_free_connection_waits_within_the_answers_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    async with (
        a_raw_crm(answering(head, hang=True)) as crm,
        an_upstream(crm.url, max_connections=1, answer_timeout_seconds=0.2) as upstream,
    ):
        first = await send(upstream)
        assert await reason_of(send(upstream)) is Reason.UPSTREAM_TIMEOUT
        await first.close()
        assert crm.connections == 1
        second = await send(upstream)
        await second.close()
        assert crm.connections == 2


# ---------------------------------------------------------------- reaching it


async def test_a_closed_port_and_an_unknown_name_are_unreachable() -> None:
    async with a_raw_crm(answering(OK)) as crm:
        url = crm.url
    for gone in (url, "http://crm.invalid:80"):  # RFC 6761: `invalid` never resolves
        async with an_upstream(gone) as upstream:
            assert await reason_of(send(upstream)) is Reason.UPSTREAM_UNREACHABLE
            assert await reason_of(upstream.check()) is Reason.UPSTREAM_UNREACHABLE


async def test_check_opens_a_connection_and_asks_nothing() -> None:
    async def script(reader, writer) -> None:
        await reader.read()

    async with a_raw_crm(script) as crm, an_upstream(crm.url) as upstream:
        await upstream.check()
        await crm.hung_up.wait()
        assert crm.received == b""


async def test_after_close_nothing_is_sent() -> None:
    async with a_raw_crm(answering(OK)) as crm, an_upstream(crm.url) as upstream:
        await upstream.close()
        assert await reason_of(send(upstream)) is Reason.UPSTREAM_UNREACHABLE
        await upstream.close()
        assert crm.connections == 0


def a_tls_server(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_trusts_the_given_authority_and_no_other(tmp_path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    file = tmp_path / "ca.pem"
    ours.cert_pem.write_to_path(str(file))

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"ok")

    async with a_good_crm(handler, a_tls_server(ours, "127.0.0.1")) as url:
        async with an_upstream(url, ca_file=str(file)) as upstream:
            await upstream.check()
            assert await (await send(upstream)).read(2) == b"ok"
        async with an_upstream(url) as upstream:  # the system's authorities
            assert await reason_of(send(upstream)) is Reason.UPSTREAM_UNREACHABLE
            assert await reason_of(upstream.check()) is Reason.UPSTREAM_UNREACHABLE
    for wrong in (a_tls_server(other, "127.0.0.1"), a_tls_server(ours, "crm.example")):
        async with a_good_crm(handler, wrong) as url, an_upstream(url, ca_file=str(file)) as up:
            assert await reason_of(send(up)) is Reason.UPSTREAM_UNREACHABLE


async def test_tls_asked_of_a_plain_server_is_unreachable() -> None:
    async def script(reader, writer) -> None:
        await reader.read()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with (
        a_raw_crm(script) as crm,
        an_upstream(crm.url.replace("http:", "https:")) as upstream,
    ):
        assert await reason_of(send(upstream)) is Reason.UPSTREAM_UNREACHABLE


async def test_a_tls_handshake_that_hangs_times_out() -> None:
    async def script(reader, writer) -> None:
        while await reader.read():
            pass

    async with (
        a_raw_crm(script) as crm,
        an_upstream(
            crm.url.replace("http:", "https:"),
            connect_timeout_seconds=0.2,
            answer_timeout_seconds=3600,
        ) as upstream,
    ):
        assert await reason_of(send(upstream)) is Reason.UPSTREAM_TIMEOUT
        assert await reason_of(upstream.check()) is Reason.UPSTREAM_TIMEOUT


@pytest.mark.parametrize(
    "url",
    [
        "ftp://crm.example",
        "crm.example",
        "/",
        "http://crm.example/path",
        "http://crm.example/?q=1",
        "http://crm.example/#f",
        "http://mei:secret@crm.example",
    ],
)
def test_a_url_that_is_more_or_less_than_an_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="upstream's URL"):
        LeanUpstream(base_url=url)


def test_a_ca_file_that_is_none_is_refused_at_once(tmp_path) -> None:
    for text in (None, "not a certificate"):
        file = tmp_path / "ca.pem"
        if text is not None:
            file.write_text(text)
        with pytest.raises(ValueError, match="CA file"):
            LeanUpstream(base_url="https://crm.example", ca_file=str(file))
