"""An answer's content coding is undone into exactly what was coded, within bounds, or refused.

The first byte says which coding, and whether the rest is bytes as they came or a text that is
coded here first. What the libraries' own one-shot readers say of the same bytes must agree.
"""

import gzip
import zlib

import brotli
import zstandard

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from gateway.masking.coding import FREE_BYTES, MAX_RATIO, decoded
from tests.fuzz.draws import Draws
from tests.fuzz.refusals import require_reason

MOST = 100_000
TEXT = b'[{"id":1,"name":"\xe7\xbe\x8e\xe5\x92\xb2"},{"id":2,"name":"b"}]'
CODINGS = ("gzip", "deflate", "br", "zstd", "x-gzip", "identity")
MAX_BYTES = 2048


def _coded(coding: str, text: bytes, level: int = 6) -> bytes:
    match coding:
        case "gzip" | "x-gzip":
            return gzip.compress(text, 1 + level % 9, mtime=0)
        case "deflate":
            return zlib.compress(text, level % 10)
        case "br":
            return brotli.compress(text, quality=level % 8, lgwin=10 + level % 15)
        case "zstd":
            size = {"write_content_size": level % 2 == 0, "write_checksum": level % 3 == 0}
            return zstandard.ZstdCompressor(level=1 + level % 9, **size).compress(text)
    return text


SEEDS = (
    *(bytes([at]) + _coded(coding, TEXT, 3) for at, coding in enumerate(CODINGS)),
    *(bytes([at]) + _coded(coding, b"a" * 60_000) for at, coding in enumerate(CODINGS[:4])),
    *(bytes([at]) + _coded(coding, b"") for at, coding in enumerate(CODINGS[:4])),
    *(bytes([8 + at, 6, 2]) + TEXT for at in range(5)),
    bytes([0]) + _coded("gzip", TEXT) * 2,
    bytes([3]) + b"\x50\x2a\x4d\x18\x04\x00\x00\x00aaaa" + _coded("zstd", TEXT),
)
# fmt: off
WORDS = (
    b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\x78\x9c", b"\x03\x00",
    *(_coded(coding, b"a") for coding in CODINGS[:4]),
)
# fmt: on


def check(data: bytes) -> None:
    draws = Draws(data)
    kind = draws.below(16)
    coding = CODINGS[kind % 8 % len(CODINGS)]
    if kind < 8:
        _as_they_came(coding, draws.rest())
    else:
        _coded_here(coding, draws)


def _decoded(coding: str, body: bytes) -> bytes | Reason:
    try:
        made = decoded(body, (("Content-Encoding", coding),), max_bytes=MOST)
    except UpstreamError as error:
        require_reason(error, {Reason.ANSWER_NOT_CUT, Reason.ANSWER_TOO_LARGE})
        return error.reason
    assert len(made) <= MOST
    assert coding == "identity" or len(made) <= max(FREE_BYTES, MAX_RATIO * len(body))
    return made


def _as_they_came(coding: str, body: bytes) -> None:
    made = _decoded(coding, body)
    if isinstance(made, bytes) and body:
        assert _by_library(coding, body) == made
        assert coding == "identity" or isinstance(_decoded(coding, body + b"\0"), Reason)
        assert coding == "identity" or isinstance(_decoded(coding, body[:-1] or b"\0"), Reason)


def _coded_here(coding: str, draws: Draws) -> None:
    level, times = draws.below(256), draws.below(64)
    text = draws.rest() * times
    body = _coded(coding, text, level)
    made = _decoded(coding, body)
    if len(text) > MOST or (coding != "identity" and len(text) > max(FREE_BYTES, 100 * len(body))):
        assert made is Reason.ANSWER_TOO_LARGE
    else:
        assert made == text


def _by_library(coding: str, body: bytes) -> bytes:
    match coding:
        case "gzip" | "x-gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "br":
            return bytes(brotli.decompress(body))
        case "zstd":
            reader = zstandard.ZstdDecompressor().stream_reader(body)
            return bytes(reader.read(10 * MOST))
    return body
