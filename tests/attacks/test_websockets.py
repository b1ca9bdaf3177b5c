"""Tricks with WebSockets, as bytes, on both sides of the gateway.

What frames may look like is held by tests/contract/test_channel.py for both sides.
"""

import asyncio
import ssl
from contextlib import suppress

import pytest
import trustme

from gateway.backends.upstream_socket import UpstreamSockets
from gateway.channel import SocketLimits
from gateway.domain.errors import GatewayError, UpstreamError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard
from gateway.relay import relay
from tests.contract.channels import (
    CLEARANCE,
    PATIENCE,
    a_client_channel,
    a_crm_channel,
    a_port,
    a_target,
    connected,
)
from tests.oracles.raw_sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    HANDSHAKE,
    KEY,
    MASK,
    PING,
    TEXT,
    a_raw_server,
    accept_of,
    closing,
    masked,
    read_frame,
    read_head,
    request,
    shaking_hands,
    switching,
)

HOP = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: crm.example\r\n\r\n"


# ---------------------------------------------------------------- the client's handshake


def wire_guard(*headers, method="GET", version="1.1"):
    inbound = Inbound(
        method=method,
        target="/live",
        version=version,
        headers=headers,
        peer="192.0.2.1",
        secure=False,
    )
    try:
        guard(inbound, WireLimits())
    except GatewayError as error:
        return error.reason
    return None


def test_one_well_formed_handshake_passes_the_wire_guard():
    assert wire_guard(*HANDSHAKE) is None


@pytest.mark.parametrize(
    "headers",
    [
        tuple((n, "h2c" if n == "Upgrade" else v) for n, v in HANDSHAKE),
        tuple((n, "websocket, h2c" if n == "Upgrade" else v) for n, v in HANDSHAKE),
        (*HANDSHAKE, ("Upgrade", "h2c")),
        tuple((n, "close" if n == "Connection" else v) for n, v in HANDSHAKE),
        tuple((n, v) for n, v in HANDSHAKE if n != "Connection"),
        tuple((n, v) for n, v in HANDSHAKE if n != "Sec-WebSocket-Key"),
        (*HANDSHAKE, ("Sec-WebSocket-Key", KEY)),
        (*HANDSHAKE, ("Sec-WebSocket-Protocol", "a\tb")),
        (*HANDSHAKE, ("Content-Length", "5")),
        (*HANDSHAKE, ("Transfer-Encoding", "chunked")),
    ],
)
def test_any_other_upgrade_is_refused_at_the_wire(headers):
    assert wire_guard(*headers) is Reason.MALFORMED_REQUEST


def test_an_upgrade_with_another_method_or_version_is_refused_at_the_wire():
    assert wire_guard(*HANDSHAKE, method="POST") is Reason.MALFORMED_REQUEST
    assert wire_guard(*HANDSHAKE, version="1.0") is Reason.MALFORMED_REQUEST


async def silent(channel):
    await channel.receive()


@pytest.mark.parametrize(
    "sent",
    [
        request(("Host", "crm.example"), *HOP[:1], *HANDSHAKE[3:]),
        request(*HANDSHAKE, ("Upgrade", "h2c")),
        request(*HANDSHAKE[:3], HANDSHAKE[4]),
        request(*HANDSHAKE, line="POST /live HTTP/1.1"),
        request(*HANDSHAKE, line="GET /live HTTP/1.0"),
    ],
)
async def test_no_conversation_begins_without_a_handshake_whatever_the_pipeline_says(sent):
    """A pipeline that forgot to ask must not turn HTTP into frames."""
    async with a_port(silent) as port, connected(port.port) as (reader, writer):
        writer.write(sent + SMUGGLED)
        first, _ = await read_head(reader)
        assert first.split()[1] == "500"
        assert b"101" not in await reader.read()
        await port.over.wait()  # and the CRM's side was let go


@pytest.mark.parametrize(
    "conversation",
    [
        {"subprotocol": "admin"},
        {"subprotocol": "chat\r\nX-Role: owner"},
        {"headers": (("X-Note", "a\r\nX-Role: owner"),)},
        {"headers": (("X Note", "a"),)},
        {"headers": (("Sec-WebSocket-Extensions", "permessage-deflate"),)},
        {"headers": (("Transfer-Encoding", "chunked"),)},
        {"headers": (("Content-Length", "4"),)},
    ],
)
async def test_nothing_can_be_slipped_into_the_101(conversation):
    async with (
        a_port(silent, **conversation) as port,
        connected(port.port) as (reader, writer),
    ):
        writer.write(request(*HANDSHAKE, ("Sec-WebSocket-Protocol", "chat")))
        first, headers = await read_head(reader)
        assert first.split()[1] == "500"
        assert "x-role" not in headers
        await port.over.wait()


async def test_an_offered_extension_is_never_accepted():
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate")
    async with a_port(silent) as port, connected(port.port) as (reader, writer):
        writer.write(request(*HANDSHAKE, offer))
        first, headers = await read_head(reader)
        assert first.split()[1] == "101"
        assert set(headers) == {"upgrade", "connection", "sec-websocket-accept", "date"}


async def test_a_request_behind_the_handshake_is_no_request():
    async with a_port(silent) as port, connected(port.port) as (reader, writer):
        writer.write(request(*HANDSHAKE) + SMUGGLED)
        await read_head(reader)
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1002))
        writer.close()
        await port.over.wait()
        assert port.ended[0].reason is Reason.MALFORMED_REQUEST


async def test_a_request_after_the_close_is_no_request():
    async with a_port(silent) as port, connected(port.port) as (reader, writer):
        writer.write(request(*HANDSHAKE) + masked(CLOSE, closing(1000)) + SMUGGLED)
        await read_head(reader)
        assert (await read_frame(reader))[0] == CLOSE
        with suppress(ConnectionResetError):  # also an end
            assert await reader.read() == b""


async def test_frames_that_come_with_the_handshake_are_heard():
    heard = []

    async def listen(channel):
        heard.append(await channel.receive())

    async with a_port(listen) as port, connected(port.port) as (reader, writer):
        writer.write(request(*HANDSHAKE) + masked(TEXT, b"early"))
        await read_head(reader)
        await port.over.wait()
        assert heard == ["early"]


async def test_megabytes_sent_before_the_handshake_is_answered_are_held_in_the_socket():
    asked = asyncio.Event()
    go = asyncio.Event()

    async with a_port(silent) as port:
        answer = port.answer

        async def run(_inbound, _body):
            asked.set()
            await go.wait()
            return answer

        port.run = run
        async with connected(port.port) as (reader, writer):
            writer.write(request(*HANDSHAKE))
            await asked.wait()
            sent, flooding = [0], masked(BINARY, bytes(2**16))

            async def flood():
                while True:
                    writer.write(flooding)
                    await writer.drain()
                    sent[0] += len(flooding)

            task = asyncio.ensure_future(flood())
            before = -1
            while before != sent[0]:
                before = sent[0]
                for _ in range(2000):
                    await asyncio.sleep(0)
            assert sent[0] < 32 * 2**20
            go.set()
            await read_head(reader)
            await port.over.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert port.ended == [None]


# ---------------------------------------------------------------- the client's frames


async def test_a_flood_of_pings_that_nobody_reads_the_answers_of_is_stopped():
    """Each answer waits until the one before was taken: the flood waits for its sender."""
    async with a_client_channel() as ends:
        receiving = asyncio.ensure_future(ends.channel.receive())
        flood = masked(PING, bytes(125)) * 500
        sent = 0

        async def send():
            nonlocal sent
            while True:
                ends.writer.write(flood)
                await ends.writer.drain()
                sent += len(flood)

        task = asyncio.ensure_future(send())
        transport = ends.channel._pipe._protocol.transport
        before = -1
        while before != sent:
            before = sent
            for _ in range(3000):
                await asyncio.sleep(0)
            assert transport.get_write_buffer_size() < 2**20
        assert sent < 64 * 2**20
        for each in (task, receiving):
            each.cancel()
        await asyncio.gather(task, receiving, return_exceptions=True)


async def test_thousands_of_tiny_frames_let_others_have_their_turn():
    """64 KiB of two-byte frames are not read in one go."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with a_crm_channel(SocketLimits(max_fragments=10**6)) as ends:
        ends.say((TEXT, b"", {"fin": False}), *[(CONTINUATION, b"", {"fin": False})] * 30_000)
        ends.say((CONTINUATION, b"end"))
        counting = asyncio.ensure_future(count())
        assert await ends.channel.receive() == "end"
        counting.cancel()
        assert turns >= 30_000 // 128


async def test_bytes_that_drip_in_do_not_pile_up_as_objects():
    async with a_client_channel() as ends:
        receiving = asyncio.ensure_future(ends.channel.receive())
        ends.writer.write(masked(BINARY, b"", length=2000))
        for _ in range(1000):
            ends.writer.write(b"x")
            await ends.writer.drain()
            await asyncio.sleep(0)
        assert isinstance(ends.channel._message, bytearray)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


# ---------------------------------------------------------------- the CRM's handshake


def answering(*pieces, hang=False):
    """A CRM that reads the handshake and answers with these bytes or functions of the key."""

    async def script(server, reader, writer):
        first, headers = await read_head(reader)
        server.heads.append((first, headers))
        for piece in pieces:
            key = headers["sec-websocket-key"]
            writer.write(piece(key) if callable(piece) else piece)
        await writer.drain()
        if hang:
            await reader.read()

    return script


async def converse(crm, *, subprotocols=("chat",), headers=(), wire="/live", **settings):
    settings.setdefault("base_url", crm.url)
    sockets = UpstreamSockets(**settings)
    try:
        async with asyncio.timeout(PATIENCE):
            channel = await sockets.converse(
                CLEARANCE, target=a_target(wire), headers=headers, subprotocols=subprotocols
            )
            return channel.subprotocol
    finally:
        await sockets.close()


def a_101(*headers, line="HTTP/1.1 101 Switching Protocols", key=None):
    """A head made of exactly these, with the right proof where `{proof}` stands."""

    def made(asked):
        proof = accept_of(key or asked)
        return request(*((n, v.replace("{proof}", proof)) for n, v in headers), line=line)

    return made


PROOF = ("Sec-WebSocket-Accept", "{proof}")
NO_101 = {
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a refusal": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "an answer with all the headers": a_101(*HOP, PROOF, line="HTTP/1.1 200 OK"),
    "an interim answer first": b"HTTP/1.1 100 Continue\r\n\r\n",
    "another version": a_101(*HOP, PROOF, line="HTTP/1.0 101 Switching Protocols"),
    "a version with more digits": a_101(*HOP, PROOF, line="HTTP/1.10 101 Switching"),
    "no version": a_101(*HOP, PROOF, line="101 Switching Protocols"),
    "a longer status": a_101(*HOP, PROOF, line="HTTP/1.1 1010 Switching"),
    "a frame before the head": lambda key: b"\x81\x01x" + switching(key),
    "a line before the head": lambda key: b"\r\n" + switching(key),
    "no upgrade": a_101(HOP[1], PROOF),
    "another upgrade": a_101(("Upgrade", "h2c"), HOP[1], PROOF),
    "two upgrades": a_101(*HOP, ("Upgrade", "h2c"), PROOF),
    "two in one line": a_101(("Upgrade", "websocket, h2c"), HOP[1], PROOF),
    "no connection": a_101(HOP[0], PROOF),
    "a connection that closes": a_101(HOP[0], ("Connection", "close"), PROOF),
    "no proof": a_101(*HOP),
    "an empty proof": a_101(*HOP, ("Sec-WebSocket-Accept", "")),
    "the key as its proof": lambda key: request(*HOP, ("Sec-WebSocket-Accept", key)),
    "another's proof": a_101(*HOP, PROOF, key=KEY),
    "a proof in another case": lambda key: request(
        *HOP, ("Sec-WebSocket-Accept", accept_of(key).swapcase())
    ),
    "two proofs": a_101(*HOP, PROOF, PROOF),
    "an extension": a_101(*HOP, PROOF, ("Sec-WebSocket-Extensions", "permessage-deflate")),
    "an empty extension": a_101(*HOP, PROOF, ("Sec-WebSocket-Extensions", "")),
    "a subprotocol nobody offered": a_101(*HOP, PROOF, ("Sec-WebSocket-Protocol", "admin")),
    "one in another case": a_101(*HOP, PROOF, ("Sec-WebSocket-Protocol", "CHAT")),
    "two subprotocols": a_101(*HOP, PROOF, ("Sec-WebSocket-Protocol", "chat, chat")),
    "two lines of them": a_101(*HOP, PROOF, *[("Sec-WebSocket-Protocol", "chat")] * 2),
    "an empty subprotocol": a_101(*HOP, PROOF, ("Sec-WebSocket-Protocol", "")),
    "a body": a_101(*HOP, PROOF, ("Content-Length", "4")),
    "a chunked body": a_101(*HOP, PROOF, ("Transfer-Encoding", "chunked")),
    "a folded header": a_101(*HOP, PROOF, ("X-A", "a\r\n b")),
    "a bare line feed": a_101(*HOP, PROOF, ("X-A", "a\nSec-WebSocket-Protocol: chat")),
    "a bare carriage return": a_101(*HOP, PROOF, ("X-A", "a\rb")),
    "a zero byte": a_101(*HOP, PROOF, ("X-A", "a\0b")),
    "a header without a colon": lambda key: switching(key)[:-2] + b"nothing\r\n\r\n",
    "a blank before the colon": a_101(*HOP, PROOF, ("X-A ", "a")),
    "line feeds only": lambda key: switching(key).replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "a head without an end": lambda key: switching(key)[:-2] + b"X: " + b"x" * 20_000,
    "half a head": lambda key: switching(key)[:-2],
    "nothing": b"",
    "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


def made(piece, key):
    return piece(key) if callable(piece) else piece


def whole(piece):
    """Bytes with their request line replaced, if it is a head made by `request`."""
    return lambda key: made(piece, key).replace(b"GET /live HTTP/1.1", b"HTTP/1.1 101 X", 1)


@pytest.mark.parametrize("name", NO_101)
async def test_what_is_no_101_for_this_handshake_opens_nothing(name):
    async with a_raw_server(answering(whole(NO_101[name]))) as crm:
        with pytest.raises(UpstreamError) as caught:
            await converse(crm)
        assert caught.value.reason is Reason.UPSTREAM_INVALID
        async with asyncio.timeout(PATIENCE):
            await crm.left.wait()


async def test_a_101_in_every_detail_opens_it():
    good = a_101(
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive,UPGRADE"),
        PROOF,
        ("Sec-WebSocket-Protocol", "chat"),
        ("Set-Cookie", "a=b"),
        line="HTTP/1.1 101",
    )
    async with a_raw_server(answering(good)) as crm:
        assert await converse(crm) == "chat"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(status):
    head = f"HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    async with a_raw_server(answering(head)) as crm:
        with pytest.raises(UpstreamError) as caught:
            await converse(crm)
        assert caught.value.reason is Reason.UPSTREAM_REDIRECT
        assert len(crm.heads) == 1


async def test_a_crm_that_does_not_answer_is_given_up():
    async with a_raw_server(answering(b"HTTP/1.1 101", hang=True)) as crm:
        with pytest.raises(UpstreamError) as caught:
            await converse(crm, answer_timeout_seconds=0.05)
        assert caught.value.reason is Reason.UPSTREAM_TIMEOUT


async def test_a_crm_that_is_away_is_unreachable():
    async with a_raw_server(answering(b"")) as crm:
        pass
    with pytest.raises(UpstreamError) as caught:
        await converse(crm)
    assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE


async def test_the_crm_is_asked_for_exactly_what_was_decided_on():
    """Nothing of the client's handshake, and the target byte for byte."""

    async def then(reader, _writer):
        await reader.read()

    wire = "/live/7?since=%E2%82%AC&x=a%2Fb"
    given = (("X-Request-Id", "id-1"), ("Cookie", "crm=ü".encode().decode("latin-1")))
    async with a_raw_server(shaking_hands(then, chooses="b")) as crm:
        assert await converse(crm, wire=wire, headers=given, subprotocols=("a", "b")) == "b"
        ((line, headers),) = crm.heads
    assert line == f"GET {wire} HTTP/1.1"
    assert headers.pop("sec-websocket-key") != KEY
    assert headers == {
        "host": crm.url.removeprefix("http://"),
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "a, b",
        "x-request-id": "id-1",
        "cookie": "crm=ü".encode().decode("latin-1"),
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"headers": (("X-A", "a\r\nX-Role: owner"),)},
        {"headers": (("X-A", "a\nX-Role: owner"),)},
        {"headers": (("X A", "a"),)},
        {"headers": (("X-A", "\u20ac"),)},
        {"headers": (("Connection", "close"),)},
        {"headers": (("Upgrade", "h2c"),)},
        {"headers": (("Sec-WebSocket-Key", KEY),)},
        {"headers": (("sec-websocket-extensions", "permessage-deflate"),)},
        {"headers": (("Content-Length", "5"),)},
        {"headers": (("Expect", "100-continue"),)},
        {"headers": (("Host", "a.example"), ("host", "b.example"))},
        {"subprotocols": ("chat\r\nX-Role: owner",)},
        {"subprotocols": ("a, b",)},
        {"subprotocols": ("",)},
        {"wire": "/live HTTP/1.1\r\nX-Role: owner"},
        {"wire": "/a b"},
        {"wire": "/a#b"},
        {"wire": "http://evil.example/"},
        {"wire": ""},
        {"wire": "/\x7f"},
    ],
)
async def test_what_could_be_read_as_another_request_is_never_sent(asked):
    async with a_raw_server(answering(b"")) as crm:
        with pytest.raises(UpstreamError) as caught:
            await converse(crm, **asked)
        assert caught.value.reason is Reason.UPSTREAM_INVALID
        assert crm.heads == []


async def test_a_host_of_ours_replaces_the_crms_own():
    async with a_raw_server(answering(switching)) as crm:
        await converse(crm, headers=(("Host", "crm.example"),))
        assert crm.heads[0][1]["host"] == "crm.example"


async def test_frames_behind_the_crms_head_are_heard_and_requests_are_not():
    async def then(reader, writer):
        writer.write(b"\x81\x05early")
        await reader.read()

    async with a_raw_server(shaking_hands(then)) as crm:
        sockets = UpstreamSockets(base_url=crm.url)
        channel = await sockets.converse(CLEARANCE, target=a_target(), headers=(), subprotocols=())
        assert await channel.receive() == "early"
        await sockets.close()
        with pytest.raises(UpstreamError):
            await sockets.converse(CLEARANCE, target=a_target(), headers=(), subprotocols=())


async def test_over_tls_only_to_a_crm_that_is_trusted(tmp_path):
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with a_raw_server(answering(switching), tls=tls) as crm:
        assert await converse(crm, ca_file=str(ca_file)) is None
        with pytest.raises(UpstreamError) as caught:
            await converse(crm)
        assert caught.value.reason is Reason.UPSTREAM_UNREACHABLE
    with pytest.raises(ValueError, match="cannot be read"):
        UpstreamSockets(base_url="https://crm.example", ca_file=str(tmp_path / "missing"))


@pytest.mark.parametrize(
    "url", ["ftp://crm.example", "https://crm.example/path", "crm.example", "http://a@crm.example"]
)
def test_only_an_origin_is_an_upstream(url):
    with pytest.raises(ValueError, match="a host and a port"):
        UpstreamSockets(base_url=url)


# ---------------------------------------------------------------- both sides at once


async def passes():
    """`still`: everybody may go on."""


async def never():
    """`changed`: nothing ever changes."""
    await asyncio.Event().wait()


class Between:
    """Relays from the port to a CRM, as the pipeline would."""

    def __init__(self, crm, **how):
        self.sockets = UpstreamSockets(base_url=crm.url)
        self.how = {
            "downward": lambda message: message,
            "upward": lambda message: message,
            "still": passes,
            "changed": never,
        } | how

    async def __call__(self, client):
        crm = await self.sockets.converse(
            CLEARANCE, target=a_target(), headers=(), subprotocols=()
        )
        await relay(client, crm, **self.how)


async def echo(reader, writer):
    """A CRM that says back what it is told, and answers a close."""
    opcode = None
    while opcode != CLOSE:
        opcode, payload, _ = await read_frame(reader)
        writer.write(bytes([0x80 | opcode, len(payload)]) + payload)
    writer.close()
    await reader.read()


async def test_a_client_that_is_cut_off_takes_the_crms_side_along():
    async with (
        a_raw_server(shaking_hands(echo)) as crm,
        a_port(Between(crm)) as port,
        connected(port.port) as (reader, writer),
    ):
        writer.write(request(*HANDSHAKE) + masked(TEXT, b"hello"))
        await read_head(reader)
        assert (await read_frame(reader))[1] == b"hello"
        writer.transport.abort()
        await port.over.wait()
        await crm.left.wait()
        assert port.ended[0].reason is Reason.MALFORMED_REQUEST


async def test_a_crm_that_is_cut_off_takes_the_clients_side_along():
    async def leave(reader, writer):
        await read_frame(reader)
        writer.transport.abort()

    async with (
        a_raw_server(shaking_hands(leave)) as crm,
        a_port(Between(crm)) as port,
        connected(port.port) as (reader, writer),
    ):
        writer.write(request(*HANDSHAKE) + masked(TEXT, b"hello"))
        await read_head(reader)
        assert (await read_frame(reader))[:2] == (CLOSE, closing(1011, b"upstream_invalid"))
        writer.close()
        await port.over.wait()


async def test_frames_are_made_anew_and_never_passed_on():
    """What came in three odd pieces goes on as one frame, under another mask."""
    seen = []

    async def keep(reader, writer):
        seen.append(await reader.read(1024))
        writer.write(b"\x01\x01a\x89\x00\x80\x01b")
        await reader.read()

    async with (
        a_raw_server(shaking_hands(keep)) as crm,
        a_port(Between(crm)) as port,
        connected(port.port) as (reader, writer),
    ):
        pieces = [(TEXT, b"ab", {"fin": False}), (CONTINUATION, b"", {"fin": False})]
        writer.write(request(*HANDSHAKE))
        writer.write(b"".join(masked(o, p, **how) for o, p, how in pieces))
        writer.write(masked(CONTINUATION, b"c"))
        await read_head(reader)
        assert await read_frame(reader) == (TEXT, b"ab", True)
        (sent,) = seen
        assert sent[:2] == b"\x81\x83"
        assert sent[2:6] != MASK
        assert bytes(b ^ sent[2 + at % 4] for at, b in enumerate(sent[6:])) == b"abc"


async def test_the_words_of_the_crms_good_bye_stay_inside():
    async def leave(reader, writer):
        writer.write(b"\x88\x0c\x0f\xa1Mei 090-11")
        await reader.read()

    async with (
        a_raw_server(shaking_hands(leave)) as crm,
        a_port(Between(crm)) as port,
        connected(port.port) as (reader, writer),
    ):
        writer.write(request(*HANDSHAKE))
        await read_head(reader)
        assert (await read_frame(reader))[:2] == (CLOSE, closing(4001))
        writer.write(masked(CLOSE, closing(4001)))
        assert await reader.read() == b""
        assert port.ended == [None]
