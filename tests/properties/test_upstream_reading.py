"""How an answer is read, against a slow reading of the same rules and against a foreign reader."""

import os
from random import Random

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.upstream_reading import AnswerReader
from gateway.domain.errors import UpstreamError
from tests.oracles.slow_answer import RefusedError, UnfinishedError, read_answer

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))

VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"http/1.1")
STATUSES = (b" 200 OK", b" 200", b" 404 Not \xe4", b" 204 None", b" 304 Same", b" 101 Go", b" 700")
INTERIM = (b"HTTP/1.1 100 Go on\r\n\r\n", b"HTTP/1.1 103 Hint\r\nLink: </a>\r\n\r\n")
HEADERS = (
    b"Content-Type: application/json",
    b"X: \t a b \t",
    b"X:",
    b"Connection: close",
    b"Connection: keep-alive, Close",
    b"Content-Length: 4",
    b"content-length:4",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Content-Length: 04",
    b"Content-Length : 4",
    b"Transfer-Encoding: gzip",
    b" folded",
    b"X-Byte: \xff\x80",
    b"X_Y: 1",
)
CHUNKS = (
    b"4\r\nbody\r\n",
    b"2;a=b\r\nok\r\n",
    b"01 ;x\r\nz\r\n",
    b"3\r\nbody\r\n",
    b"1\r\n\n\r\n",
)
ENDS = (b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"000;e\r\n\r\n", b"0\r\n", b"", b"0\r\n\r\nmore")
NOISE = (
    b'"',
    b"=",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b"0",
    b"x",
    b"\x7f",
    b"\xa0",
    b"",
)


def an_answer(random: Random) -> bytes:
    """Mostly lawful; then, half of the time, a few bytes are put elsewhere."""
    head = random.choice(VERSIONS[: random.choice((1, 1, 1, 6))])
    head += random.choice(STATUSES[: random.choice((1, 5, 7))])
    harmless = HEADERS[:4] + HEADERS[-2:]
    lines = [
        head,
        *random.sample(random.choice((harmless, harmless, HEADERS)), random.randint(0, 4)),
    ]
    framing = random.choice((b"Content-Length: 4", b"Transfer-Encoding: chunked", b""))
    if framing:
        lines.insert(random.randint(1, len(lines)), framing)
    data = b"".join(random.choices(INTERIM, k=random.choice((0, 0, 0, 1, 2))))
    data += b"\r\n".join([*lines, b"", b""])
    if framing.startswith(b"T"):
        data += b"".join(
            random.choices(CHUNKS[: random.choice((3, 6))], k=random.randint(0, 4))
        ) + random.choice(ENDS)
    else:
        data += random.choice((b"body", b"body", b"bod", b"body and more", b""))
    for _ in range(random.choice((0, 0, 1, 2))):
        at = random.randrange(len(data) + 1)
        data = data[:at] + random.choice(NOISE) + data[at + random.randint(0, 1) :]
    return data


Seen = tuple[int, list[tuple[str, str]], bytes]


def ours(pieces: list[bytes], *, head_only: bool) -> Seen | None:
    """Status, headers and body; None = no answer."""
    reader = AnswerReader(head_only=head_only)
    try:
        for piece in pieces:
            reader.feed(piece)
            if reader.ended:
                break
        else:
            reader.end(clean=True)
    except UpstreamError:
        return None
    if reader.failure is not None or reader.head is None:
        return None
    return reader.head.status, list(reader.head.headers), reader.take()


def theirs(data: bytes, *, head_only: bool) -> tuple[Seen | None, bool]:
    """The same, and whether what follows shows that it was longer than it said."""
    try:
        read = read_answer(data, head_only=head_only)
    except (RefusedError, UnfinishedError):
        return None, False
    another = "HTTP/1."
    rubbish = not (read.surplus.startswith(another) or another.startswith(read.surplus))
    return (read.status, read.headers, read.body), rubbish


def in_pieces(data: bytes, random: Random) -> list[bytes]:
    cuts = sorted(random.choices(range(len(data) + 1), k=random.choice((0, 1, 3, 20))))
    starts = [0, *cuts]
    return [data[a:b] for a, b in zip(starts, [*cuts, len(data)], strict=True) if b > a]


@settings(max_examples=200 * FUZZ, deadline=None)
@given(st.integers(0, 2**64))
def test_every_answer_is_read_as_the_slow_reading_does_however_it_is_cut(seed: int) -> None:
    random = Random(seed)  # noqa: S311  # samples, not secrets
    for _ in range(20):
        data = an_answer(random)
        head_only = random.random() < 0.1
        expected, rubbish = theirs(data, head_only=head_only)
        assert ours([data], head_only=head_only) == (None if rubbish else expected), data
        read = ours(in_pieces(data, random), head_only=head_only)
        # What follows may come too late to be seen with the end.
        assert read == expected or (rubbish and read is None), data


@settings(max_examples=50 * FUZZ, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_read_as_the_slow_reading_does(data: bytes) -> None:
    for begun in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        whole = begun + data
        expected, rubbish = theirs(whole, head_only=False)
        assert ours([whole], head_only=False) == (None if rubbish else expected)
        each = [whole[at : at + 1] for at in range(len(whole))]
        assert ours(each, head_only=False) == expected


class Foreign:
    """What llhttp, Node's reader, makes of an answer; its callbacks as httptools names them."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.status = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.integers(0, 2**64))
def test_what_we_take_another_reader_takes_for_the_same(seed: int) -> None:
    """Not the other way round: we refuse more. It cannot know what a HEAD asked, so none here."""
    random = Random(seed)  # noqa: S311  # samples, not secrets
    for _ in range(20):
        data = an_answer(random)
        read = ours([data], head_only=False)
        if read is None or read_answer(data, head_only=False).surplus:
            continue  # it would read the surplus as a second answer
        foreign = Foreign()
        foreign.parser.feed_data(data)
        trailers = len(foreign.headers) - len(read[1])
        assert (foreign.status, foreign.body) == (read[0], read[2]), data
        assert foreign.headers[: len(foreign.headers) - trailers] == read[1], data


def test_the_samples_hold_answers_of_every_kind() -> None:
    """A comparison that only ever sees refusals proves nothing."""
    random = Random(7)  # noqa: S311  # samples, not secrets
    seen = [theirs(an_answer(random), head_only=False) for _ in range(2000)]
    taken = [read for read, _ in seen if read]
    assert 300 < len(taken) < 1700
    assert {rubbish for _, rubbish in seen} == {True, False}
    assert {200, 404, 204, 304} <= {status for status, _, _ in taken}
