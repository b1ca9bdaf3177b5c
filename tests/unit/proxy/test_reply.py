"""A whole answer is written at once: byte for byte what aiohttp's own response would write."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.domain.http import HOP_BY_HOP, Answer
from gateway.mapping.hygiene import wire_text
from gateway.proxy.limits import PortLimits
from gateway.proxy.reply import require_sendable, send
from gateway.proxy.wire import WireRequest, WireServer


async def as_aiohttp_would(request, answer, *, close):
    """The same answer through aiohttp's own `Response`."""
    request.named = frozenset(name.lower() for name, _ in answer.headers)
    framing = HOP_BY_HOP | {"content-length"}
    headers = CIMultiDict(
        [(n, wire_text(v)) for n, v in answer.headers if n.lower() not in framing]
    )
    lengths = {v.strip() for n, v in answer.headers if n.lower() == "content-length"}
    if request.method == "HEAD" and not answer.body and len(lengths) == 1:
        (length,) = lengths
        if re.fullmatch("[0-9]{1,15}", length):
            headers["Content-Length"] = str(int(length))
    upgrade = [(n, wire_text(v)) for n, v in answer.headers if n.lower() == "upgrade"]
    if answer.status == 426 and upgrade:
        headers.extend(upgrade)
        headers["Connection"] = "Upgrade, close" if close else "Upgrade"
    response = web.Response(status=answer.status, headers=headers, body=answer.body)
    if close:
        response.force_close()
    return response


@asynccontextmanager
async def a_server(answer, *, close, ours):
    def malformed(_request, reason):
        return web.Response(status=400, text=str(reason))

    async def handle(request):
        assert isinstance(request, WireRequest)
        if ours:
            return await send(request, answer, close=close)
        return await as_aiohttp_would(request, answer, close=close)

    wire = WireServer(handle, PortLimits(), malformed)
    listener = await asyncio.get_running_loop().create_server(wire, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await wire.shutdown(0.1)
        await listener.wait_closed()


async def said(answer, method, version, *, close, ours):
    """Everything that comes back for two requests in a row, the second asking for the end."""
    one = f"{method} / HTTP/{version}\r\nHost: a.example\r\n"
    again = "Connection: keep-alive\r\n" if version == "1.0" else ""
    async with a_server(answer, close=close, ours=ours) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{one}{again}\r\n{one}Connection: close\r\n\r\n".encode())
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def parted(raw):
    """Message by message: head, with its fields sorted, and body; all dates made one.

    Ours adds `close` to the answer that offers an upgrade also where the client asked for the
    end; aiohttp forgets it there.
    """
    raw = re.sub(rb"Date: [^\r]*", b"Date: now", raw)
    raw = raw.replace(b"Connection: Upgrade, close", b"Connection: Upgrade")
    messages = []
    for message in raw.split(b"HTTP/1.")[1:]:  # no body holds it
        head, _, body = message.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        messages.append((line, sorted(fields), body))
    return messages


NAMES = st.sampled_from(
    ["X-One", "ETag", "Content-Type", "content-length", "Date", "Server", "Upgrade", "Connection"]
)
VALUES = st.sampled_from(["1", "7", "a b", "text/plain", "websocket", "\xc3\xa9", ""])
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5, unique_by=lambda pair: pair[0].lower())


@settings(deadline=None, max_examples=120)
@given(
    status=st.sampled_from([200, 204, 206, 299, 301, 304, 404, 426, 503]),
    headers=HEADERS,
    body=st.sampled_from([b"", b"x", b"{}" * 40_000]),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    version=st.sampled_from(["1.0", "1.1"]),
    close=st.booleans(),
)
def test_the_bytes_are_those_that_aiohttp_would_write(
    status, headers, body, method, version, close
):
    answer = Answer(status=status, headers=tuple(headers), body=body)
    require_sendable(answer)

    async def both():
        ours = await said(answer, method, version, close=close, ours=True)
        theirs = await said(answer, method, version, close=close, ours=False)
        return ours, theirs

    ours, theirs = asyncio.run(both())
    assert parted(ours) == parted(theirs)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=100),
        Answer(status=600),
        Answer(status=200, headers=(("X Y", "1"),)),
        Answer(status=200, headers=(("", "1"),)),
        Answer(status=200, headers=(("X", "1\r\nY: 2"),)),
        Answer(status=200, headers=(("X", "1\n"),)),
        Answer(status=200, headers=(("X", "\x00"),)),
        Answer(status=200, headers=(("X", "\x7f"),)),
        Answer(status=200, headers=(("X", "\xe9"),)),
        Answer(status=200, headers=(("X", "\u3042"),)),
        Answer(status=200, headers=(("X", "\ud800"),)),
    ],
)
def test_what_would_break_a_message_is_not_sent(answer):
    with pytest.raises(ValueError):
        require_sendable(answer)


@pytest.mark.parametrize("value", ["a\tb", "", "\xc3\xa9"])
def test_what_is_plain_is_sent(value):
    require_sendable(Answer(status=200, headers=(("X", value),)))
