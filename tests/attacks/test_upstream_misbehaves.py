"""The CRM plays foul, or somebody between it and us does.

A raw server sends bytes that two readers could read in two ways, that never end, or that are
somebody else's. Each must end as an error of the CRM, never as an answer that looks whole, and
the next request to a CRM that behaves must be answered with its own answer.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from gateway.backends import upstream_connection
from gateway.backends.upstream import LeanUpstream, UpstreamAnswer
from gateway.domain.decision import Passage
from gateway.domain.errors import UpstreamError
from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.domain.reason import Reason

CLEARANCE = Passage(reason=Reason.PASSED)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INVALID = Reason.UPSTREAM_INVALID
TIMEOUT = Reason.UPSTREAM_TIMEOUT

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def a_crm(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[list[str]]:
    """A raw server; yields a list that starts with its URL and grows with each connection."""
    seen: list[str] = []
    players: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        players.add(task)
        seen.append("connection")
        try:
            await script(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the other side left, or the test is over
        finally:
            writer.transport.abort()
            players.discard(task)

    server = await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    seen.append(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(players):
            task.cancel()
        await asyncio.gather(*players, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def an_upstream(url: str, **settings) -> AsyncIterator[LeanUpstream]:
    upstream = LeanUpstream(base_url=url, **settings)
    try:
        yield upstream
    finally:
        await upstream.close()


async def send(upstream: LeanUpstream, wire: str = "/foul", method: str = "GET", body=None):
    target = CanonicalTarget(path=CanonicalPath(wire), segments=(), query=(), wire=wire)
    return await upstream.send(CLEARANCE, method=method, target=target, headers=(), body=body)


async def hear(answer: UpstreamAnswer, how: str) -> bytes:
    if how == "read":
        return await answer.read(2**20)
    return b"".join([piece async for piece in answer.stream()])


async def foul_then_fair(
    script: Script, *, method: str = "GET", how: str = "read", **settings
) -> Reason | bytes:
    """What a foul exchange ends in; the one after it must be answered by its own answer."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /fair " not in head:
            await script(reader, writer)
            writer.write_eof()
            head = await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()

    async with a_crm(play) as (url, *_), an_upstream(url, **settings) as upstream:
        try:
            ended: Reason | bytes = await hear(await send(upstream, method=method), how)
        except UpstreamError as error:
            ended = error.reason
        assert await (await send(upstream, "/fair")).read(4) == b"mine"
        return ended


def saying(*pieces: bytes, hold: bool = False) -> Script:
    """Send the pieces, each by itself; then end, or hold the line."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if hold:
            await reader.read()

    return script


def an_answer(*lines: bytes, body: bytes = b"ok", status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *lines, b"", body))


LENGTH = b"Content-Length: 2"
HEADS = {
    # two lengths, or one that nobody can read for certain (RFC 9112 6.3, 11.1, 11.2)
    "both": an_answer(LENGTH, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both, the other way": an_answer(b"Transfer-Encoding: chunked", LENGTH, body=b"0\r\n\r\n"),
    "same length twice": an_answer(LENGTH, LENGTH),
    "two lengths": an_answer(LENGTH, b"content-length: 3", body=b"ok!"),
    "list of lengths": an_answer(b"Content-Length: 2, 2"),
    "signed length": an_answer(b"Content-Length: +2"),
    "negative length": an_answer(b"Content-Length: -1"),
    "hexadecimal length": an_answer(b"Content-Length: 0x2"),
    "length with a space": an_answer(b"Content-Length: 1 2"),
    "length with an underscore": an_answer(b"Content-Length: 0_2"),
    "length in other digits": an_answer(b"Content-Length: \xb2"),
    "length beyond counting": an_answer(b"Content-Length: " + b"9" * 30),
    "empty length": an_answer(b"Content-Length:"),
    "length as a fraction": an_answer(b"Content-Length: 2.0"),
    "space before the colon": an_answer(b"Content-Length : 2"),
    "tab before the colon": an_answer(b"Content-Length\t: 2"),
    "coding, space before the colon": an_answer(b"Transfer-Encoding : chunked", LENGTH),
    "chunked twice": an_answer(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "identity": an_answer(b"Transfer-Encoding: identity", b"Connection: close"),
    "unknown coding": an_answer(b"Transfer-Encoding: gzip", b"Connection: close"),
    "chunked, then another": an_answer(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked with a parameter": an_answer(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "quoted chunked": an_answer(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "vertical tab in the coding": an_answer(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "empty coding": an_answer(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "chunked in HTTP/1.0": an_answer(
        b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK", body=b"0\r\n\r\n"
    ),
    "no length, and the line stays open": an_answer(b"Content-Type: text/plain"),
    "keeps alive without a length": an_answer(b"Connection: keep-alive"),
    "a 204 in chunks": an_answer(
        b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 None", body=b"2\r\nok\r\n0\r\n\r\n"
    ),
    "a 304 in chunks": an_answer(
        b"Transfer-Encoding: chunked", status=b"HTTP/1.1 304 Same", body=b"0\r\n\r\n"
    ),
    # lines (RFC 9112 2.2, 5.2; RFC 9110 5.5)
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare LF after the status": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "bare LF between": b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nok",
    "bare LF at the end": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
    "bare CR between": b"HTTP/1.1 200 OK\r\nX: y\rContent-Length: 2\r\n\r\nok",
    "CR CR LF": b"HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\n\r\nok",
    "folded": an_answer(b"X: a", b" b", LENGTH),
    "folded by a tab": an_answer(b"X: a", b"\tb", LENGTH),
    "folded length": an_answer(b"Content-Length:", b" 2"),
    "fold before all": an_answer(b" X: a", LENGTH),
    "NUL in a value": an_answer(b"X: a\0b", LENGTH),
    "NUL in a name": an_answer(b"X\0: a", LENGTH),
    "escape in a value": an_answer(b"X: \x1b[31m", LENGTH),
    "delete in a value": an_answer(b"X: \x7f", LENGTH),
    "NUL in the reason": an_answer(LENGTH, status=b"HTTP/1.1 200 O\0K"),
    "no colon": an_answer(b"Content-Length", LENGTH),
    "no name": an_answer(b": a", LENGTH),
    "bytes beyond ASCII in a name": an_answer(b"Content-Length\xa0: 2"),
    "a second status line": an_answer(b"HTTP/1.1 200 OK", LENGTH),
    # the status line (RFC 9112 4)
    "a line before": b"\r\n" + OK,
    "a byte before": b" " + OK,
    "leading rubbish": b"x" + OK,
    "lower case": an_answer(LENGTH, status=b"http/1.1 200 OK"),
    "HTTP/1.2": an_answer(LENGTH, status=b"HTTP/1.2 200 OK"),
    "HTTP/1.11": an_answer(LENGTH, status=b"HTTP/1.11 200 OK"),
    "HTTP/01.1": an_answer(LENGTH, status=b"HTTP/01.1 200 OK"),
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
    "HTTP/0.9": b"<html>all of it</html>",
    "another protocol": an_answer(LENGTH, status=b"RTSP/1.0 200 OK"),
    "no space": an_answer(LENGTH, status=b"HTTP/1.1200 OK"),
    "two spaces": an_answer(LENGTH, status=b"HTTP/1.1  200 OK"),
    "a tab": an_answer(LENGTH, status=b"HTTP/1.1\t200 OK"),
    "four digits": an_answer(LENGTH, status=b"HTTP/1.1 2000 OK"),
    "two digits": an_answer(LENGTH, status=b"HTTP/1.1 20 OK"),
    "six hundred": an_answer(LENGTH, status=b"HTTP/1.1 600 OK"),
    "zero": an_answer(LENGTH, status=b"HTTP/1.1 000 OK"),
    "other digits": an_answer(LENGTH, status=b"HTTP/1.1 2\xb20 OK"),
    "letters at once": an_answer(LENGTH, status=b"HTTP/1.1 200OK"),
    # interim answers (RFC 9110 15.2)
    "switching": an_answer(b"Upgrade: websocket", status=b"HTTP/1.1 101 Go", body=b""),
    "interim with a length": an_answer(LENGTH, status=b"HTTP/1.1 103 Hint") + OK,
    "interim in chunks": an_answer(
        b"Transfer-Encoding: chunked", status=b"HTTP/1.1 103 Hint", body=b"0\r\n\r\n"
    )
    + OK,
    "interim, then rubbish": b"HTTP/1.1 100 Go on\r\n\r\nok",
    "interim and no answer": b"HTTP/1.1 100 Go on\r\n\r\n",
    "interim without end": b"HTTP/1.1 100 Go on\r\n\r\n" * 17 + OK,
    # sizes
    "129 headers": an_answer(*[b"X: y"] * 129, b"Content-Length: 2"),
    "a long header": an_answer(b"X: " + b"y" * 17_000, LENGTH),
    "a long name": an_answer(b"x" * 17_000 + b": y", LENGTH),
    "a long reason": an_answer(LENGTH, status=b"HTTP/1.1 200 " + b"y" * 17_000),
    "a long head": an_answer(*[b"X: " + b"y" * 15_000] * 5, LENGTH),
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000,
    "spaces for ever": b"HTTP/1.1 200 OK\r\nX:" + b" " * 60_000 + b"\0\r\n\r\n",
    # bodies that end too early
    "half": an_answer(b"Content-Length: 3"),
    "nothing of it": an_answer(b"Content-Length: 3", body=b""),
}
BODIES = {
    "no size": b"\r\nok\r\n0\r\n\r\n",
    "a size that is none": b"x\r\nok\r\n0\r\n\r\n",
    "hexadecimal by prefix": b"0x2\r\nok\r\n0\r\n\r\n",
    "signed": b"+2\r\nok\r\n0\r\n\r\n",
    "negative": b"-2\r\nok\r\n0\r\n\r\n",
    "underscore": b"0_2\r\nok\r\n0\r\n\r\n",
    "space before": b" 2\r\nok\r\n0\r\n\r\n",
    "space after": b"2 \r\nok\r\n0\r\n\r\n",
    "space before an extension": b"2 ;a\r\nok\r\n0\r\n\r\n",
    "an extension without a name": b"2;\r\nok\r\n0\r\n\r\n",
    "an extension with a quote": b'2;a="\r\nok\r\n0\r\n\r\n',
    "tab after": b"2\t\r\nok\r\n0\r\n\r\n",
    "other digits": b"\xb2\r\nok\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "zeros for ever": b"0" * 70_000,
    "bare LF after the size": b"2\nok\r\n0\r\n\r\n",
    "bare CR after the size": b"2\rok\r\n0\r\n\r\n",
    "bare LF after the data": b"2\r\nok\n0\r\n\r\n",
    "nothing after the data": b"2\r\nok0\r\n\r\n",
    "longer than it says": b"2\r\nokay\r\n0\r\n\r\n",
    "shorter than it says": b"3\r\nok\r\n0\r\n\r\n",
    "bare LF in an extension": b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "bare CR in an extension": b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "NUL in an extension": b"2;a\0\r\nok\r\n0\r\n\r\n",
    "an endless extension": b"2;" + b"a" * 70_000,
    "extensions outweigh the data": (b"1;" + b"a" * 900 + b"\r\nx\r\n") * 40 + b"0\r\n\r\n",
    "no last chunk": b"2\r\nok\r\n",
    "half a last chunk": b"2\r\nok\r\n0",
    "no end after the last chunk": b"2\r\nok\r\n0\r\n",
    "half an end": b"2\r\nok\r\n0\r\n\r",
    "bare LF at the end": b"2\r\nok\r\n0\r\n\n",
    "bare LF at the very end": b"2\r\nok\r\n0\n\n",
    "a trailer that is none": b"2\r\nok\r\n0\r\nnone\r\n\r\n",
    "a folded trailer": b"2\r\nok\r\n0\r\nX: a\r\n b\r\n\r\n",
    "a trailer with a NUL": b"2\r\nok\r\n0\r\nX: \0\r\n\r\n",
    "a trailer that does not end": b"2\r\nok\r\n0\r\nX: a\r\n",
    "endless trailers": b"2\r\nok\r\n0\r\n" + b"X: y\r\n" * 20_000,
    "many trailers": b"2\r\nok\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "an answer instead of a chunk": b"2\r\nok\r\n" + OK,
}


@pytest.mark.parametrize("how", ["read", "stream"])
@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS.keys())
async def test_a_head_that_can_be_read_in_two_ways_is_no_answer(sent: bytes, how: str) -> None:
    assert await foul_then_fair(saying(sent), how=how) is INVALID


@pytest.mark.parametrize("how", ["read", "stream"])
@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES.keys())
async def test_chunks_that_can_be_read_in_two_ways_never_look_whole(sent: bytes, how: str) -> None:
    assert await foul_then_fair(saying(CHUNKED, sent), how=how) is INVALID


NEVER_RIGHT = [name for name in HEADS if not name.startswith(("half", "noth", "interim and"))]


@pytest.mark.parametrize("name", NEVER_RIGHT)
async def test_what_can_never_become_an_answer_is_refused_while_the_line_is_open(
    name: str,
) -> None:
    assert await foul_then_fair(saying(HEADS[name], hold=True)) is INVALID


OPEN = {
    "bare LF after a size": b"2\n",
    "bare LF after a size, and more": b"2\nok",
    "bare LF after the data": b"2\r\nok\n",
    "bare LF in a trailer": b"0\r\nX: y\n",
    "a size that is none": b"x\r\n",
}


@pytest.mark.parametrize("sent", OPEN.values(), ids=OPEN.keys())
async def test_half_an_end_of_a_line_is_not_waited_on(sent: bytes) -> None:
    assert await foul_then_fair(saying(CHUNKED, sent, hold=True)) is INVALID


SURPLUS = {
    "after a counted body": (OK, b"mine"),
    "after no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "after chunks": (CHUNKED + b"4\r\nmine\r\n0\r\n\r\n", b"mine"),
    "after trailers": (CHUNKED + b"4\r\nmine\r\n0\r\nX: a\r\n\r\n", b"mine"),
    "after a 204": (b"HTTP/1.1 204 None\r\n\r\n", b""),
    "after a 204 with a length": (b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", b""),
    "after a 304": (b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", b""),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("first", "body"), SURPLUS.values(), ids=SURPLUS.keys())
async def test_what_follows_the_end_is_nobodys(first: bytes, body: bytes, together) -> None:
    others = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers"
    script = saying(first + others) if together else saying(first, others)
    assert await foul_then_fair(script) == body


@pytest.mark.parametrize("extra", [b"\r\n", b"\0", b"H", b"0\r\n\r\n"])
@pytest.mark.parametrize("together", [True, False])
async def test_a_single_byte_after_the_end_costs_the_connection(extra: bytes, together) -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (OK + extra,) if together else (OK, extra):
            writer.write(piece)
            await writer.drain()
        await reader.read()

    async with a_crm(script) as seen, an_upstream(seen[0]) as upstream:
        for count in range(1, 4):
            with suppress(UpstreamError):  # seen together with the end, it is no end
                assert await (await send(upstream)).read(4) == b"mine"
            assert seen.count("connection") == count


LONGER = {
    "counted": (OK + b" and more", "GET"),
    "chunked": (CHUNKED + b"4\r\nmine\r\n0\r\n\r\nand more", "GET"),
    "204": (b"HTTP/1.1 204 None\r\n\r\n<p>some</p>", "GET"),
    "304": (b"HTTP/1.1 304 Same\r\nContent-Length: 4\r\n\r\nmine", "GET"),
    "HEAD": (OK, "HEAD"),
}


@pytest.mark.parametrize(("sent", "method"), LONGER.values(), ids=LONGER.keys())
async def test_an_answer_that_is_longer_than_it_says_is_none(sent: bytes, method: str) -> None:
    assert await foul_then_fair(saying(sent), method=method) is INVALID


async def test_a_head_answer_with_a_body_is_not_the_next_ones_answer() -> None:
    others = b"HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n" + OK
    assert await foul_then_fair(saying(others), method="HEAD") == b""


async def test_a_204_that_announces_a_body_that_comes_later_costs_the_connection() -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n")
        await reader.read()

    async with a_crm(script) as seen, an_upstream(seen[0]) as upstream:
        for count in range(1, 4):
            assert await (await send(upstream)).read(4) == b""
            assert seen.count("connection") == count


async def test_an_answer_before_the_request_is_never_taken_for_its_answer() -> None:
    """It is there before anything was written: on the socket, not yet read by anyone."""
    early = asyncio.Event()

    async def script(reader, writer) -> None:
        if not early.is_set():
            early.set()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()

    async with a_crm(script) as seen, an_upstream(seen[0]) as upstream:
        connection = await upstream._pool.connect()
        await early.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not connection.is_quiet()
        assert await (await send(upstream, "/fair")).read(4) == b"mine"


async def test_a_head_that_drips_has_one_patience_for_all_of_it() -> None:
    async def script(reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not reader.at_eof():
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    assert await foul_then_fair(script, answer_timeout_seconds=0.3) is TIMEOUT


async def test_interim_answers_that_drip_have_one_patience_too() -> None:
    async def script(reader, writer) -> None:
        for _ in range(9):
            writer.write(b"HTTP/1.1 102 Wait\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)

    assert await foul_then_fair(script, answer_timeout_seconds=0.3) is TIMEOUT


@pytest.mark.parametrize(
    "drip", [b"1\r\nx\r\n", b"2;" + b"a" * 100 + b"\r\nok\r\n", b"0000000000000001\r\nx\r\n"]
)
async def test_chunks_that_drip_are_cut_off(drip: bytes) -> None:
    async def script(reader, writer) -> None:
        writer.write(CHUNKED)
        while not reader.at_eof():
            writer.write(drip)
            await writer.drain()
            await asyncio.sleep(0.01)

    ended = await foul_then_fair(script, read_timeout_seconds=5, total_timeout_seconds=0.3)
    assert ended in {TIMEOUT, INVALID}


@pytest.mark.parametrize("part", [b"2", b"2\r\no", b"2\r\nok", b"2\r\nok\r\n0\r\n", b"0\r\nX: "])
@pytest.mark.parametrize("how", ["read", "stream"])
async def test_chunks_that_stop_half_way_time_out(part: bytes, how: str) -> None:
    script = saying(CHUNKED, part, hold=True)
    assert await foul_then_fair(script, how=how, read_timeout_seconds=0.1) is TIMEOUT


async def test_an_answer_byte_by_byte_is_still_the_same_answer() -> None:
    sent = b"HTTP/1.1 103 Hint\r\nLink: </a>\r\n\r\n" + CHUNKED
    sent += b"2;ext=1\r\nok\r\n000a\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\n"
    pieces = [sent[at : at + 1] for at in range(len(sent))]
    assert await foul_then_fair(saying(*pieces)) == b"ok0123456789"


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n", id="tiny chunks"),
        pytest.param(CHUNKED + b"fffffffffff\r\n" + b"x" * 2**21, id="one vast chunk"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 2**20, id="counted"
        ),
    ],
)
async def test_what_is_too_large_to_hold_is_never_held(attack: bytes) -> None:
    async def play(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(attack)
        await reader.read()

    async with a_crm(play) as (url, *_), an_upstream(url) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await (await send(upstream)).read(40_000)
        assert caught.value.reason is Reason.ANSWER_TOO_LARGE


# ---------------------------------------------------------------- memory, both ways


@pytest.fixture
def most_held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The most bytes of a body that any exchange held after one read of the loop."""
    most = [0]
    received = upstream_connection.Connection.data_received

    def watching(self: upstream_connection.Connection, data: bytes) -> None:
        exchange = self._exchange
        received(self, data)
        most[0] = max(most[0], exchange.held if exchange else 0)

    monkeypatch.setattr(upstream_connection.Connection, "data_received", watching)
    return most


BOUND = upstream_connection.HIGH_WATER + upstream_connection.READ_BYTES
PIECE = b"salon" * 13_000
COUNT = 400  # 26 MB; the bound does not depend on it


@pytest.mark.parametrize("framing", ["counted", "chunked", "until close"])
async def test_a_large_download_is_held_in_small_pieces(framing: str, most_held) -> None:
    heads = {
        "counted": b"Content-Length: %d" % (COUNT * len(PIECE)),
        "chunked": b"Transfer-Encoding: chunked",
        "until close": b"Connection: close",
    }

    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + heads[framing] + b"\r\n\r\n")
        for _ in range(COUNT):
            chunked = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
            writer.write(chunked if framing == "chunked" else PIECE)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if framing == "chunked" else b"")
        writer.write_eof()
        await reader.read()

    async with a_crm(script) as (url, *_), an_upstream(url) as upstream:
        size = 0
        async for piece in (await send(upstream)).stream():
            size += len(piece)
            assert len(piece) <= BOUND
            await asyncio.sleep(0)
        assert size == COUNT * len(PIECE)
    assert most_held[0] <= BOUND


async def test_a_large_upload_is_asked_for_only_as_fast_as_it_is_taken() -> None:
    """The CRM takes one megabyte and rests: hardly more is taken from the client."""
    given, taken = 0, 0
    rested, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(COUNT):
            given += len(PIECE)
            yield PIECE

    async def script(reader, writer) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2**20)
        for _ in range(1000):  # rounds of the loop in which the client would be asked for more
            await asyncio.sleep(0)
        rested.set()
        await go_on.wait()
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(OK)

    async def unlimited(reader, writer) -> None:
        reader._limit = 2**30
        await script(reader, writer)

    async with a_crm(unlimited) as (url, *_), an_upstream(url) as upstream:
        sending = asyncio.ensure_future(send(upstream, method="POST", body=body()))
        await rested.wait()
        connection = next(iter(upstream._pool._open))
        buffered = connection._transport.get_write_buffer_size()
        assert buffered <= upstream_connection.HIGH_WATER + 2 * len(PIECE)
        go_on.set()
        assert await (await sending).read(4) == b"mine"
        assert given == COUNT * len(PIECE)


@pytest.mark.parametrize("large", [True, False])
async def test_an_early_answer_stops_the_upload_and_costs_the_connection(large) -> None:
    asked = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield PIECE
            await asyncio.sleep(0)

    async def script(reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/fair" in head:
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await asyncio.Event().wait()  # takes nothing more

    body = b"x" * 2**26 if large else stream()
    async with a_crm(script) as seen, an_upstream(seen[0]) as upstream:
        answer = await send(upstream, method="POST", body=body)
        assert (answer.status, await answer.read(3)) == (413, b"big")
        stopped_at = asked
        assert await (await send(upstream, "/fair")).read(4) == b"mine"
        assert (asked, seen.count("connection")) == (stopped_at, 2)


# ---------------------------------------------------------------- TLS


@pytest.fixture
def authority(tmp_path) -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, str(file)


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"


@pytest.mark.parametrize("how", ["read", "stream"])
async def test_an_end_that_is_signed_is_an_end(authority, how: str) -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UNTIL_CLOSE)
        writer.close()  # sends close_notify
        await writer.wait_closed()

    context, file = authority
    async with a_crm(script, context) as (url, *_), an_upstream(url, ca_file=file) as upstream:
        assert await hear(await send(upstream), how) == b"all of it"


@pytest.mark.parametrize("how", ["read", "stream"])
@pytest.mark.parametrize("reset", [True, False])
async def test_an_end_that_anybody_could_have_made_is_none(authority, how: str, reset) -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UNTIL_CLOSE)
        await writer.drain()
        below = writer.transport._ssl_protocol._transport  # TCP, without a word from TLS
        if reset:
            below.abort()
        else:
            below.write_eof()
            await asyncio.Event().wait()

    context, file = authority
    async with a_crm(script, context) as (url, *_), an_upstream(url, ca_file=file) as upstream:
        with pytest.raises(UpstreamError) as caught:
            await hear(await send(upstream), how)
        assert caught.value.reason is INVALID


async def test_surplus_within_tls_is_nobodys_and_the_connection_is_used_otherwise(
    authority,
) -> None:
    surplus = [b"", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers", b"", b""]
    said = asyncio.Event()

    async def script(reader, writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await writer.drain()
            writer.write(surplus.pop(0))
            await writer.drain()
            said.set()

    context, file = authority
    async with a_crm(script, context) as seen, an_upstream(seen[0], ca_file=file) as upstream:
        for _ in range(5):
            said.clear()
            assert await (await send(upstream)).read(9) == b"mine"
            await said.wait()
        assert seen.count("connection") == 2


async def test_a_large_answer_within_tls_is_held_in_small_pieces(authority, most_held) -> None:
    async def script(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(PIECE)))
        for _ in range(100):
            writer.write(PIECE)
            await writer.drain()
        await reader.read()

    context, file = authority
    async with a_crm(script, context) as (url, *_), an_upstream(url, ca_file=file) as upstream:
        size = 0
        async for piece in (await send(upstream)).stream():
            size += len(piece)
            await asyncio.sleep(0)
        assert size == 100 * len(PIECE)
    assert most_held[0] <= BOUND + 512 * 2**10  # the TLS layer reads ahead by a mark of its own
