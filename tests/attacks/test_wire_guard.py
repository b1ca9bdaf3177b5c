"""Frames that two HTTP programs read differently. Never delete a line."""

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Headers, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard

LIMITS = WireLimits(hosts=frozenset({"salon.example"}))
HOST = ("Host", "salon.example")


def sent(
    *headers: tuple[str, str], method: str = "POST", version: str = "1.1", host: Headers = (HOST,)
) -> Reason | None:
    inbound = Inbound(
        method=method,
        target="/api/clients",
        version=version,
        headers=(*host, *headers),
        peer="192.0.2.7",
        secure=True,
    )
    try:
        guard(inbound, LIMITS)
    except RequestError as error:
        return error.reason
    return None


def test_the_honest_request_passes():
    assert sent(("Content-Length", "2"), ("Content-Type", "application/json")) is None
    assert sent(("Connection", "keep-alive, Upgrade, HTTP2-Settings"), ("TE", "trailers")) is None
    assert sent(("Connection", "close"), ("Connection", "TE"), method="GET") is None
    assert sent(("Connection", "close, X-Forwarded-For, X-Anything")) is None  # they end here
    assert sent(("Accept", "a"), ("Accept", "b"), ("If-Match", '"a"'), ("If-Match", '"b"')) is None


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "2", "", "1.1 ", "RTSP/1.1", "１.１"])
def test_no_other_version_is_spoken(version):
    assert sent(version=version) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "method",
    [
        "TRACE",
        "TRACK",
        "CONNECT",
        "PURGE",
        "LINK",
        "PROPFIND",
        "DEBUG",
        "get",
        "Post",
        "GET ",
        "",
        "ＧＥＴ",
    ],
)
def test_no_other_method_is_accepted(method):
    assert sent(method=method) is Reason.METHOD_REFUSED


@pytest.mark.parametrize(
    "host",
    [
        (),
        (HOST, HOST),
        (HOST, ("host", "evil.example")),
        *(
            (("Host", value),)
            for value in (
                "",
                " ",
                "salon.example ",
                " salon.example",
                "salon.example,evil.example",
                "salon.example/x",
                "salon.example?x",
                "salon.example#x",
                "user@salon.example",
                "salon.example:",
                "salon.example:0",
                "salon.example:080",
                "salon.example:65536",
                "salon.example:99999",
                "salon.example:80:80",
                "salon.example:8o",
                "salon.example:-1",
                "salon.example.",
                ".salon.example",
                "salon..example",
                "salon%2eexample",
                "http://salon.example",
                "[::1",
                "::1",
                "[::g]",
                "[::1]x",
                "[1.2.3.4]",
                "[fe80::1%25eth0]",
                "[v1.x]",
                "[]",
                "salon.example\x00",
                "s\u0430lon.example",
                "\u212a.example",
                "a" * 262,
                "salon.example:٨٠",
            )
        ),
    ],
)
def test_a_host_that_is_not_one_plain_name_is_malformed(host):
    assert sent(host=host) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "value", ["evil.example", "salon.example.evil.example", "192.0.2.1", "[::1]"]
)
def test_a_host_that_is_not_ours_is_refused(value):
    assert sent(host=(("Host", value),)) is Reason.HOST_REFUSED


@pytest.mark.parametrize(
    "headers",
    [
        *(
            (("Transfer-Encoding", value),)
            for value in (
                "",
                " chunked",
                "chunked ",
                "Chunked",
                "xchunked",
                "chunked,",
                ",chunked",
                "gzip",
                "gzip, chunked",
                "chunked, chunked",
                "chunked;q=1",
                "identity",
                "chun\u212aed",
                "\tchunked",
            )
        ),
        (("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")),
        (("Transfer-Encoding", "chunked"), ("transfer-encoding", "identity")),
        (("Transfer-Encoding", "chunked"), ("Content-Length", "5")),
        (("Content-Length", "5"), ("Content-Length", "5")),
        (("Content-Length", "5"), ("content-length", "6")),
        *(
            (("Content-Length", value),)
            for value in (
                "",
                "+5",
                "-5",
                " 5",
                "5 ",
                "05",
                "0x5",
                "5, 5",
                "5,6",
                "5.0",
                "1e1",
                "1_0",
                "٥",
                "５",
                "9" * 19,
                "9" * 5000,
            )
        ),
    ],
)
def test_a_body_has_one_way_to_end(headers):
    assert sent(*headers) is Reason.MALFORMED_REQUEST


def test_http_1_0_has_no_chunks():
    assert sent(("Transfer-Encoding", "chunked"), version="1.0") is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("header", [("Content-Length", "9"), ("Transfer-Encoding", "chunked")])
def test_a_read_cannot_ask_a_second_question_in_its_body(method, header):
    assert sent(header, method=method) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "name",
    [
        "",
        "X_Forwarded_For",
        "X-Forwarded_For",
        "Content-Length ",
        " Host",
        "A:B",
        "Ａ",
        "é",
        "a\0",
        "a\n",
        "(x)",
        '"',
    ],
)
def test_a_header_name_is_a_plain_token(name):
    assert sent((name, "1")) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nX: 1",
        "a\n",
        "a\r",
        "a\0",
        "\x01",
        "\x1b[2J",
        "\x7f",
        "\xe9",
        "\xc3",
        "\xc2\x85",
        "\xe2\x80\xa8",
        "美",
        "\ud800",
    ],
)
def test_a_header_value_is_printable_utf_8(value):
    assert sent(("X-Note", value)) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "headers",
    [
        (("Expect", "200-ok"),),
        (("Expect", ""),),
        (("Expect", "100-continue, x"),),
        (("Expect", "100-continue"), ("Expect", "100-continue")),
        (("Upgrade", "websocket"), ("Connection", "Upgrade")),
        (("Upgrade", "h2c"),),
        (("Upgrade", ""),),
        (("Content-Type", "application/json"), ("Content-Type", "text/plain")),
        (("Origin", "https://salon.example"), ("Origin", "https://evil.example")),
        (("Range", "bytes=0-1"), ("range", "bytes=2-3")),
        (("Cookie", "a=1"), ("Cookie", "b=2")),
        (("User-Agent", "a"), ("User-Agent", "b")),
        (("Referer", "https://salon.example/"), ("referer", "https://salon.example/")),
        (("If-Modified-Since", "x"), ("If-Modified-Since", "y")),
        (("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")),
        (("Content-Disposition", "inline"), ("Content-Disposition", "attachment")),
        (("Upgrade", "websocket"), ("Upgrade", "websocket")),
        (("Connection", "Content-Type"),),
        (("Connection", "close, Authorization"),),
        (("Connection", "keep-alive"), ("connection", "cookie")),
        (("Connection", ""),),
        (("Connection", "close,"),),
        (("Connection", "close;x"),),
        (("Connection", "clo\u017fe"),),
    ],
)
def test_what_has_two_readings_or_leaves_http_is_refused(headers):
    assert sent(*headers) is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "values", [("gzip",), ("br",), ("identity", "gzip"), ("gzip, identity",), ("",), ("x-gzip",)]
)
def test_a_coded_body_is_a_body_nobody_read(values):
    headers = [("Content-Encoding", value) for value in values]
    assert sent(*headers) is Reason.CONTENT_TYPE_REFUSED


def test_nothing_but_a_refusal_leaves_whatever_comes():
    strange = ("", "\0", "\ud800", "美", "9" * 5000, ":", "[", "a" * 5000)
    for name in (*strange, "host", "content-length", "transfer-encoding", "expect"):
        for value in strange:
            for host in ((HOST,), (("Host", value),)):
                assert sent((name, value), host=host) in {None, *Reason}
