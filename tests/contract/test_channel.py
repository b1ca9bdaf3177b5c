"""What both sides of a conversation promise, over real sockets and with the bytes in hand."""

import asyncio
from contextlib import suppress

import pytest

from gateway.channel import SocketLimits
from gateway.domain.errors import GatewayError
from tests.contract.channels import PATIENCE, a_client_channel, a_crm_channel
from tests.oracles.raw_sockets import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    closing,
    frame,
)

SIDES = {"client": a_client_channel, "crm": a_crm_channel}
MORE = {"fin": False}


@pytest.fixture(params=SIDES)
def open_channel(request):
    return SIDES[request.param]


async def heard(ends):
    async with asyncio.timeout(PATIENCE):
        return await ends.channel.receive()


async def refused(ends):
    """Why the channel broke off, and the close code it said to the other end."""
    receiving = asyncio.ensure_future(heard(ends))
    opcode, payload, _ = await ends.hear()
    assert opcode == CLOSE
    ends.writer.close()  # who is told so leaves
    with pytest.raises(GatewayError) as caught:
        await receiving
    return caught.value.reason, int.from_bytes(payload[:2])


async def test_messages_come_whole_and_in_order(open_channel):
    async with open_channel() as ends:
        ends.say((TEXT, "こんにちは".encode()), (BINARY, b"\x00\xff"), (TEXT, b""))
        assert [await heard(ends) for _ in range(3)] == ["こんにちは", b"\x00\xff", ""]


async def test_messages_go_whole_and_in_order(open_channel):
    async with open_channel() as ends:
        for message in ("안녕", b"\x00\xff", ""):
            await ends.channel.send(message)
        said = [await ends.hear() for _ in range(3)]
        assert said == [
            (TEXT, "안녕".encode(), True),
            (BINARY, b"\x00\xff", True),
            (TEXT, b"", True),
        ]


async def test_fragments_become_one_message_even_in_the_middle_of_a_letter(open_channel):
    letters = "あい".encode()
    async with open_channel() as ends:
        ends.say(
            (TEXT, letters[:2], MORE),
            (PING, b"between"),
            (CONTINUATION, b"", MORE),
            (CONTINUATION, letters[2:]),
        )
        assert await heard(ends) == "あい"
        assert await ends.hear() == (PONG, b"between", True)


async def test_a_frame_that_comes_byte_by_byte_is_the_same_frame(open_channel):
    async with open_channel() as ends:
        for byte in frame(TEXT, b"slowly", mask=ends.mask):
            ends.writer.write(bytes([byte]))
            await ends.writer.drain()
            await asyncio.sleep(0)
        assert await heard(ends) == "slowly"


async def test_a_large_message_comes_and_goes_whole(open_channel):
    large = "é" * 300_000
    async with open_channel() as ends:
        ends.writer.write(frame(TEXT, large.encode(), mask=ends.mask))
        assert await heard(ends) == large
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ends.channel.send(large))
            pieces, last = b"", False
            while not last:
                _, piece, last = await ends.hear()
                pieces += piece
        assert pieces.decode() == large


async def test_the_largest_message_passes_and_one_byte_more_does_not(open_channel):
    async with open_channel(SocketLimits(max_message_bytes=1000)) as ends:
        ends.say((BINARY, bytes(1000)))
        assert await heard(ends) == bytes(1000)
        ends.say((BINARY, bytes(500), MORE), (CONTINUATION, bytes(501)))
        assert await refused(ends) == (ends.too_large, 1009)


async def test_the_size_of_text_is_counted_in_bytes(open_channel):
    async with open_channel(SocketLimits(max_message_bytes=1000)) as ends:
        ends.say((TEXT, ("あ" * 334).encode()))
        assert await refused(ends) == (ends.too_large, 1009)


async def test_a_huge_frame_is_refused_before_it_has_come(open_channel):
    async with open_channel(SocketLimits(max_message_bytes=1000)) as ends:
        ends.say((BINARY, bytes(1001), {"length": 2**40}))
        assert await refused(ends) == (ends.too_large, 1009)


async def test_a_flood_of_empty_fragments_is_refused(open_channel):
    async with open_channel(SocketLimits(max_fragments=100)) as ends:
        ends.say((TEXT, b"", MORE), *[(CONTINUATION, b"", MORE)] * 100)
        assert await refused(ends) == (ends.too_large, 1008)


async def test_fragments_are_counted_for_each_message(open_channel):
    async with open_channel(SocketLimits(max_fragments=2)) as ends:
        for _ in range(3):
            ends.say((TEXT, b"a", MORE), (CONTINUATION, b"b"))
            assert await heard(ends) == "ab"


BROKEN = {
    "a reserved bit": ([(TEXT, b"x", {"rsv": 4})], 1002),
    "another reserved bit": ([(PING, b"", {"rsv": 1})], 1002),
    "an unknown opcode": ([(3, b"x")], 1002),
    "an unknown control opcode": ([(11, b"")], 1002),
    "a fragmented ping": ([(PING, b"x", MORE)], 1002),
    "a large ping": ([(PING, bytes(126))], 1002),
    "a continuation of nothing": ([(CONTINUATION, b"x")], 1002),
    "a message in a message": ([(TEXT, b"a", MORE), (TEXT, b"b")], 1002),
    "text that is not UTF-8": ([(TEXT, b"\xc3\x28")], 1007),
    "text that ends in a letter": ([(TEXT, b"\xe3\x81")], 1007),
    "a lone surrogate": ([(TEXT, b"\xed\xa0\x80")], 1007),
    "an overlong letter": ([(TEXT, b"\xc0\xaf")], 1007),
    "a close of one byte": ([(CLOSE, b"\x03")], 1002),
    "a close without a meaning": ([(CLOSE, closing(999))], 1002),
    "a close that is never sent": ([(CLOSE, closing(1006))], 1002),
    "a close with bad text": ([(CLOSE, closing(1000, b"\xff"))], 1007),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_frame_ends_the_conversation_with_its_code(open_channel, name):
    frames, code = BROKEN[name]
    async with open_channel() as ends:
        ends.say(*frames)
        assert await refused(ends) == (ends.broken, code)


async def test_the_wrong_masking_ends_the_conversation(open_channel):
    async with open_channel() as ends:
        ends.writer.write(frame(TEXT, b"x", mask=None if ends.mask else b"abcd"))
        assert await refused(ends) == (ends.broken, 1002)


async def test_a_length_written_longer_than_needed_ends_the_conversation(open_channel):
    async with open_channel() as ends:
        mask_bit = 0x80 if ends.mask else 0
        ends.writer.write(bytes([0x81, mask_bit | 126, 0, 1]) + (ends.mask or b"") + b"x")
        assert await refused(ends) == (ends.broken, 1002)


async def test_a_ping_is_answered_while_somebody_receives(open_channel):
    async with open_channel() as ends, asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(heard(ends))
        ends.say((PING, b"there?"))
        assert await ends.hear() == (PONG, b"there?", True)
        ends.say((PONG, b"unasked"), (TEXT, b"yes"))
        assert await receiving == "yes"


async def test_the_other_end_closes_and_says_its_code(open_channel):
    async with open_channel() as ends:
        ends.say((TEXT, b"last"), (CLOSE, closing(4001, b"enough")))
        assert await heard(ends) == "last"
        assert ends.channel.farewell is None
        assert await heard(ends) is None
        assert await heard(ends) is None
        assert ends.channel.farewell == 4001
        await ends.channel.close(4001, "")
        assert await ends.hear() == (CLOSE, closing(4001), True)
        assert await ends.hear_the_end() == b""


async def test_a_close_without_a_code_is_told_as_1005(open_channel):
    async with open_channel() as ends:
        ends.say((CLOSE, b""))
        assert await heard(ends) is None
        assert ends.channel.farewell == 1005


async def test_closing_says_why_and_waits_for_the_answer(open_channel):
    async with open_channel() as ends, asyncio.TaskGroup() as tasks:
        done = tasks.create_task(ends.channel.close(1008, "outside_hours"))
        assert await ends.hear() == (CLOSE, closing(1008, b"outside_hours"), True)
        ends.say((TEXT, b"too late"), (CLOSE, closing(1008)))
        await done
        assert await ends.hear_the_end() == b""
        await ends.channel.close(1000, "")  # again


async def test_an_end_that_does_not_answer_a_close_is_cut_off(open_channel):
    async with open_channel(SocketLimits(close_seconds=0.01)) as ends:
        await ends.channel.close(1000, "")
        assert await ends.hear() == (CLOSE, closing(1000), True)
        assert await ends.hear_the_end() == b""


async def test_nothing_is_sent_or_heard_after_closing(open_channel):
    async with open_channel(SocketLimits(close_seconds=0.01)) as ends:
        await ends.channel.close(1000, "")
        for speak in (ends.channel.receive(), ends.channel.send("x")):
            with pytest.raises(GatewayError) as caught:
                await speak
            assert caught.value.reason is ends.broken


async def test_nothing_is_sent_after_the_other_end_has_closed(open_channel):
    async with open_channel() as ends:
        ends.say((CLOSE, closing(1000)))
        assert await heard(ends) is None
        with pytest.raises(GatewayError):
            await ends.channel.send("x")
        await ends.channel.close(1000, "")
        assert await ends.hear() == (CLOSE, closing(1000), True)


@pytest.mark.parametrize("how", ["eof", "abort"])
async def test_an_end_that_vanishes_is_noticed(open_channel, how):
    async with open_channel() as ends:
        ends.say((TEXT, b"half a mess", MORE))
        await ends.writer.drain()
        if how == "eof":
            ends.writer.write_eof()
        else:
            ends.writer.transport.abort()
        with pytest.raises(GatewayError) as caught:
            await heard(ends)
        assert caught.value.reason is ends.broken


async def test_an_end_that_is_silent_is_asked_and_then_given_up(open_channel):
    async with open_channel(SocketLimits(quiet_seconds=0.01)) as ends:
        with pytest.raises(GatewayError):
            await heard(ends)
        assert (await ends.hear())[0] == PING


async def test_an_end_that_is_silent_but_there_is_kept(open_channel):
    async with open_channel(SocketLimits(quiet_seconds=0.2)) as ends, asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(heard(ends))
        assert (await ends.hear())[0] == PING
        ends.say((PONG, b""), (TEXT, b"here"))
        assert await receiving == "here"


async def test_who_does_not_receive_slows_the_sender_down(open_channel):
    """Nobody calls `receive`: what piles up is the sockets' buffers, not ours."""
    message = frame(BINARY, bytes(64 * 2**10), mask=None)
    async with open_channel() as ends:
        if ends.mask:
            message = frame(BINARY, bytes(64 * 2**10), mask=bytes(4))
        sent = 0

        async def flood():
            nonlocal sent
            while True:
                ends.writer.write(message)
                await ends.writer.drain()
                sent += len(message)

        flooding = asyncio.ensure_future(flood())
        before = -1
        while before != sent:  # until it stands still for many turns of the loop
            before = sent
            for _ in range(2000):
                await asyncio.sleep(0)
        flooding.cancel()
        assert sent < 64 * 2**20
        assert await heard(ends) == bytes(64 * 2**10)


async def test_what_was_agreed_on_is_told(open_channel):
    async with open_channel(subprotocol="chat.v2") as ends:
        assert ends.channel.subprotocol == "chat.v2"
    async with open_channel() as ends:
        assert ends.channel.subprotocol is None


async def test_a_close_that_has_come_already_is_not_waited_for(open_channel):
    never = SocketLimits(close_seconds=10 * PATIENCE)
    async with open_channel(never) as ends, asyncio.timeout(PATIENCE):
        ends.say((TEXT, b"last"), (CLOSE, closing(1000)))
        assert await heard(ends) == "last"
        await ends.channel.close(1001, "")
        assert await ends.hear() == (CLOSE, closing(1001), True)


async def test_an_end_that_takes_nothing_cannot_hold_up_a_close(open_channel):
    """What is still to be written is thrown away, instead of waiting until it is taken."""
    async with open_channel(SocketLimits(close_seconds=0.01)) as ends:
        sending = asyncio.ensure_future(ends.channel.send(bytes(32 * 2**20)))
        for _ in range(2000):  # the sockets' buffers are full by then
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await ends.channel.close(1008, "outside_hours")
        opcode = None
        with suppress(EOFError, ConnectionError):
            while opcode != CLOSE:
                opcode, _, _ = await ends.hear()
        assert opcode in {None, BINARY, CONTINUATION}


async def test_a_flood_after_what_is_no_frame_is_not_kept(open_channel):
    async with open_channel() as ends:
        receiving = asyncio.ensure_future(heard(ends))
        ends.say((3, b"no such frame"))
        assert (await ends.hear())[0] == CLOSE
        for _ in range(64):
            ends.say((BINARY, bytes(2**14)))
            await ends.writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)
        assert len(ends.channel._frames._proto._frame_decoder.buffer) < 2**18
        ends.writer.close()
        await asyncio.gather(receiving, return_exceptions=True)
