"""A request head that the wire guard lets pass is read alike by two other HTTP parsers.

By h11 and by httptools (llhttp): the same method, target and headers, and a body that ends in
the same place, so that the next request on the connection is the same one to everybody.
"""

from typing import Any

import h11
import httptools

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.target import canonical
from tests.fuzz.refusals import require_reason

LIMITS = WireLimits(hosts=frozenset({"salon.example", "127.0.0.1:8080", "[::1]"}))
REFUSALS = {
    Reason.MALFORMED_REQUEST,
    Reason.METHOD_REFUSED,
    Reason.HOST_REFUSED,
    Reason.WEBSOCKET_ONLY,
    Reason.CONTENT_TYPE_REFUSED,
    Reason.AMBIGUOUS_TARGET,
}
NEXT = b"GET /next HTTP/1.1\r\nHost: salon.example\r\n\r\n"
MAX_BYTES = 1024
SEEDS = (
    b"GET /api/clients 1.1\nHost: salon.example\nAccept: */*",
    b"POST /api/clients 1.1\nHost: salon.example:443\nContent-Length: 5",
    b"PUT /a 1.1\nhost: 127.0.0.1:8080\nTransfer-Encoding: chunked\nExpect: 100-continue",
    b"HEAD /a?b=c 1.0\nHost: [::1]\nConnection: keep-alive",
    b"DELETE /a 1.1\nHost: SALON.EXAMPLE\nContent-Length: 0\nCookie: a=b; c=d\nCookie: e",
    (
        b"GET /live 1.1\nHost: salon.example\nConnection: Upgrade\nUpgrade: websocket\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13"
    ),
    b"OPTIONS / 1.1\nHost: salon.example\nX-Name: caf\xc3\xa9\nContent-Encoding: identity",
)
# fmt: off
WORDS = (
    b"Transfer-Encoding: ", b"chunked", b"Content-Length: ", b"Host: ", b"Connection: ",
    b"Upgrade: ", b"close", b"keep-alive", b"identity", b"gzip", b", ", b"\n ", b"\n\t", b"1.0",
    b"1.1", b"0.9", b"2.0", b"\x0b", b"\x0c", b"\xa0", b"\xc2\x85", b"+5", b"0x5",
    b"Expect: 100-continue", b"Proxy-Connection", b"TE: trailers", b"Trailer: ",
)
# fmt: on


def head(data: bytes) -> Inbound:
    """A head as the shell hands it over: values without the blanks round them."""
    first, *lines = data.decode("latin-1").split("\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    fields = (line.partition(":") for line in lines)
    return Inbound(
        method=method,
        target=target,
        version=version,
        headers=tuple((name, value.strip(" \t")) for name, _, value in fields),
        peer="192.0.2.7",
        secure=True,
    )


def check(data: bytes) -> None:
    inbound = head(data)
    try:
        canonical(guard(inbound, LIMITS))
    except RequestError as error:
        require_reason(error, REFUSALS)
        return
    frame = f"{inbound.method} {inbound.target} HTTP/{inbound.version}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in inbound.headers
    )
    sent = frame.encode("latin-1") + b"\r\n"
    fields = [(name.lower(), value) for name, value in inbound.headers]
    wanted = (inbound.method, inbound.target, inbound.version, fields)
    body, content = _body(inbound)
    assert _by_h11(sent, body) == (*wanted, content)
    assert _by_llhttp(sent, body) == (*wanted, content)


def _body(inbound: Inbound) -> tuple[bytes | None, bytes]:
    """A body of the announced framing, and its content; None where it is too long to try."""
    if inbound.values("upgrade"):
        return None, b""
    if inbound.values("transfer-encoding"):
        return b"5\r\nhello\r\n0\r\n\r\n", b"hello"
    length = int("".join(inbound.values("content-length")) or 0)
    content = b"GET / HTTP/1.1\r\n\r\n"[:length].ljust(min(length, 2000), b"x")
    return (content, content) if length <= 2000 else (None, b"")


def _by_h11(sent: bytes, body: bytes | None) -> tuple[Any, ...]:
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(sent + (b"" if body is None else body + NEXT))
    request = reader.next_event()
    assert isinstance(request, h11.Request)
    content = b""
    while body is not None and not isinstance(event := reader.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        content += bytes(event.data)
    assert body is None or reader.trailing_data[0] == NEXT
    return (
        request.method.decode(),
        request.target.decode("latin-1"),
        request.http_version.decode(),
        [(name.decode(), value.decode("latin-1")) for name, value in request.headers],
        content,
    )


class _Messages:
    """What llhttp calls."""

    def __init__(self) -> None:
        self.urls: list[bytes] = []
        self.headers: list[tuple[str, str]] = []
        self.content = b""
        self.ended = 0

    def on_url(self, url: bytes) -> None:
        self.urls.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.ended:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self.content += body

    def on_message_complete(self) -> None:
        self.ended += 1


def _by_llhttp(sent: bytes, body: bytes | None) -> tuple[Any, ...]:
    seen = _Messages()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(sent)
    except httptools.HttpParserUpgrade:
        assert body is None
    method, version = parser.get_method().decode(), parser.get_http_version()
    if body is not None:
        parser.feed_data(body)
        assert seen.ended == 1
        if parser.should_keep_alive():
            parser.feed_data(NEXT)
            assert (seen.ended, seen.urls[1:]) == (2, [b"/next"])
    return method, seen.urls[0].decode("latin-1"), version, seen.headers, seen.content
