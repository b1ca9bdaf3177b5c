"""An answer of the CRM is read the same in any pieces, never longer than announced, or refused.

What is taken whole, h11 and httptools (llhttp) read alike: status, headers and body. The first
byte says in which pieces, the second whether it answers a HEAD and whether the end is clean.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import h11
import httptools

from gateway.backends.upstream_head import Framing
from gateway.backends.upstream_reading import AnswerReader
from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from tests.fuzz.draws import Draws, in_chunks
from tests.fuzz.refusals import require_reason

MAX_BYTES = 768
SEEDS = (
    b"\x00\x02HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    b"\x01\x02HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"\x02\x02HTTP/1.1 200 \r\ntransfer-encoding: Chunked\r\n\r\n2;b=c\r\n01\r\n0\r\nX: y\r\n\r\n",
    b"\x03\x03HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"\x04\x02HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
    b"\x05\x00HTTP/1.1 304 Not\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
    b"\x06\x01HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
    b"\x07\x02HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
    b"\x08\x02HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
)
# fmt: off
WORDS = (
    b"Content-Length: ", b"Transfer-Encoding: ", b"chunked", b"Connection: ", b"close",
    b"0\r\n\r\n", b"HTTP/1.1 ", b"HTTP/1.0 ", b" 200 OK\r\n", b"101", b"204", b"304",
    b"\r\n\r\n", b"\n\n", b"\r\r", b"\r\n ", b"\r\n\t", b" :", b";a=", b"0x5", b"+5", b"5 ",
    b"\x0b", b"\x85", b"gzip, chunked",
)
# fmt: on
_FRAMING_TRAILER = re.compile(
    rb"\n0+(?:;[^\n]*)?\r\n(?:[^\n]+\n)*?(?:transfer-encoding|content-length):", re.IGNORECASE
)
Seen = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body
REFUSALS = {Reason.UPSTREAM_INVALID}


@dataclass(frozen=True)
class Read:
    """What became of an answer. Of one that is not whole only that."""

    whole: bool
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: bytes = b""
    keeps: bool = False


def check(data: bytes) -> None:
    draws = Draws(data)
    pieces, how = draws.below(256), draws.below(4)
    head_only, clean = how & 1 == 1, how & 2 == 2
    sent = draws.rest()
    found = _read(in_chunks(sent, 0), head_only=head_only, clean=clean)
    for parts in ([sent], in_chunks(sent, pieces)):
        other = _read(parts, head_only=head_only, clean=clean)
        # What comes after the end is only seen if it comes at once; then it must look like an
        # answer, or this one was not as long as it said.
        assert other == replace(found, after=other.after) or (
            not other.whole and not b"HTTP/1.".startswith(found.after[:7])
        )
    if found.whole:
        # h11 refuses trailers that speak of framing; ours drops all trailers unheard.
        strict = _FRAMING_TRAILER.search(sent) is not None
        for read in (_by_llhttp,) if strict else (_by_h11, _by_llhttp):
            status, headers, body = read(sent, head_only)
            assert (status, _plain(headers), body) == (
                found.status,
                _plain(found.headers),
                found.body,
            )


def _read(pieces: list[bytes], *, head_only: bool, clean: bool) -> Read:
    reader = AnswerReader(head_only=head_only)
    body = b""
    taken = 0
    try:
        for piece in filter(None, pieces):
            if reader.ended:
                break
            reader.feed(piece)
            taken += len(piece)
            body += reader.take()
            head = reader.head
            if head is not None and head.framing is Framing.COUNTED:
                assert len(body) <= (head.length or 0)
            if head is not None and head.framing is Framing.NONE:
                assert not body
    except UpstreamError as error:
        require_reason(error, REFUSALS)
        return Read(whole=False)
    if not reader.ended:
        reader.end(clean=clean)
    head = reader.head
    if not reader.ended or head is None:
        assert reader.failure is not None
        return Read(whole=False)
    return Read(
        whole=True,
        status=head.status,
        headers=head.headers,
        body=body,
        after=b"".join(pieces)[taken:],
        keeps=head.keeps,
    )


def _plain(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """As they compare: h11 says the transfer coding in lower case, llhttp keeps blanks behind."""
    lower = [(name.lower(), value.rstrip(" \t")) for name, value in headers]
    return [(n, value.lower() if n == "transfer-encoding" else value) for n, value in lower]


def _by_h11(sent: bytes, head_only: bool) -> Seen:  # noqa: FBT001  # like its twin
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    method = "HEAD" if head_only else "GET"
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "crm.example")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(sent)
    event = reader.next_event()
    while isinstance(event, h11.InformationalResponse):
        event = reader.next_event()
    assert isinstance(event, h11.Response)
    status, headers = event.status_code, list(event.headers.raw_items())
    body = b""
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            reader.receive_data(b"")
            continue
        assert isinstance(event, h11.Data)
        body += bytes(event.data)
    fields = [(name.decode().lower(), value.decode("latin-1")) for name, value in headers]
    return status, fields, body


class _Messages:
    """What llhttp calls; a 1xx is a message to it like any other."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.over = False

    def on_message_begin(self) -> None:
        if not self.over:
            self.headers, self.body = [], b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.over and not self.body:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if not self.over:
            self.status = self.parser.get_status_code()
            self.fields = list(self.headers)

    def on_body(self, body: bytes) -> None:
        if not self.over:
            self.body += body

    def on_message_complete(self) -> None:
        self.over = self.over or self.status >= 200


def _by_llhttp(sent: bytes, head_only: bool) -> Seen:  # noqa: FBT001  # like its twin
    seen = _Messages()
    try:
        seen.parser.feed_data(sent)
    except httptools.HttpParserError:
        if not seen.over and not head_only:  # it cannot be told that this answers a HEAD
            raise
    return seen.status, seen.fields, b"" if head_only else seen.body
