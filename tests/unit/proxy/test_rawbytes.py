"""What is read beside the parser: request lines as they came, and what framing costs."""

import pytest
from aiohttp.http import HttpVersion, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.proxy.rawbytes import Framing, RawBytes

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


def a_message(path="/a", method="GET", version=HttpVersion11, length=None, *, chunked=False):
    headers = CIMultiDict() if length is None else CIMultiDict({"Content-Length": str(length)})
    return RawRequestMessage(
        method=method,
        path=path,
        version=version,
        headers=CIMultiDictProxy(headers),
        raw_headers=(),
        should_close=False,
        compression=None,
        upgrade=False,
        chunked=chunked,
        url=URL("/", encoded=True),
    )


def test_a_plain_line_is_one_wherever_the_socket_was_read():
    for cut in range(len(GET)):
        raw = RawBytes()
        assert raw.read(GET[:cut], []) == []
        assert raw.begun == cut
        assert raw.read(GET[cut:], [a_message()]) == [True]
        assert raw.read(b"\r\n" + GET, [a_message()]) == [True]
        assert raw.begun == 0


@pytest.mark.parametrize(
    "line",
    [
        b"GET /a RTSP/1.1",
        b"GET /a ICE/1.1",
        b"GET  /a HTTP/1.1",
        b"GET /a  HTTP/1.1",
        b"GET /a HTTP/1.1 ",
        b"GET /b HTTP/1.1",
        b"get /a HTTP/1.1",
        b"GET /a HTTP/1.1\n",
        b" GET /a HTTP/1.1",
    ],
)
def test_another_line_is_none_whatever_stands_before_and_behind_it(line):
    data = line + b"\r\nHost: a\r\nX: " + GET
    assert RawBytes().read(data, [a_message()]) == [False]
    assert RawBytes().read(GET + data + GET, [a_message()] * 3) == [True, False, True]
    raw = RawBytes()
    assert raw.read(GET, [a_message()]) == [True]
    assert raw.read(data, [a_message()]) == [False]


def test_behind_a_body_of_known_length_a_request_begins_exactly_there():
    post = b"POST /a HTTP/1.1\r\nContent-Length: 40\r\n\r\n"
    stream = post + GET[:20] * 2 + GET + post + b"x" * 40 + GET.replace(b"HTTP", b"RTSP")
    message = a_message(method="POST", length=40)
    made = [message, a_message(), message, a_message()]
    ends = [len(post), len(post) + 40 + len(GET), 2 * len(post) + 40 + len(GET), len(stream)]
    for size in (1, 2, 3, 7, 50, 400):
        raw, found = RawBytes(), []
        for at in range(0, len(stream), size):
            upto = min(at + size, len(stream))
            now = [m for m, end in zip(made, ends, strict=True) if at < end <= upto]
            found += raw.read(stream[at:upto], now)
        assert found == [True, True, True, False]
        assert raw.begun == 0


def test_what_the_parser_held_back_is_looked_at_when_it_goes_on():
    raw = RawBytes()
    assert raw.read(GET + GET, [a_message()]) == [True]
    assert raw.begun == len(GET)
    assert raw.read(b"", [a_message()]) == [True]
    assert raw.begun == 0


def test_behind_chunks_nothing_counts_and_nothing_is_kept():
    raw = RawBytes()
    assert raw.read(GET + GET, [a_message(chunked=True), a_message()]) == [True, False]
    assert raw.read(GET, [a_message()]) == [False]
    assert raw.begun == 0


def test_a_body_is_not_kept():
    raw = RawBytes()
    post = b"POST /a HTTP/1.1\r\n\r\n"
    assert raw.read(post, [a_message(method="POST", length=300_000)]) == [True]
    raw.read(b"x" * 300_000, [])
    assert raw.begun == 0
    assert raw.read(GET, [a_message()]) == [True]


def test_another_version_is_looked_for_as_it_was_told():
    zero = GET.replace(b"1.1", b"0.9")
    assert RawBytes().read(zero, [a_message(version=HttpVersion(0, 9))]) == [True]


def test_framing_may_exceed_a_body_by_so_much():
    framing = Framing(100)
    framing.raw = 1000
    assert not framing.exceeds(1100, 0)
    assert not framing.exceeds(600, 0)
    assert framing.exceeds(599, 0)
    assert not framing.exceeds(599, 2)
