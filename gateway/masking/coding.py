"""Undoes the content coding of an answer that must be cut: a CRM compressed it unasked.

House rules:
- One `Content-Encoding` header with one word in it, or none. A list, also one with `identity`
  in it, an unknown word, or a second header is refused: nobody knows what was done twice.
- **One whole stream and nothing after it**: gzip has one member (RFC 1952 allows several),
  zstd one frame and no skippable ones (RFC 8878 3.1). What a second reader might skip or take
  for more is refused. Checksums are checked, where the format has them.
- `deflate` is what RFC 9110 8.4.1.2 says: zlib's wrapper (RFC 1950) around it. Raw deflate, which
  some servers send under that name, is refused: it has no checksum, and the two can be confused.
- No dictionaries: what was compressed with one cannot be read without it.
- An empty body is empty, whatever its coding: servers say so of a HEAD or an empty page.

BOUNDS, whatever comes: output comes in pieces of at most about a quarter MiB; the first one
beyond the limit ends it. Besides the pieces there is a window: 32 KiB for zlib, at most 16 MiB
for brotli (RFC 7932 9.1; the "large window" extension is off), 8 MiB for zstd (RFC 9659 3).
So a body of 8 MiB needs less than 64 MiB, both forms of it included.
"""

import zlib
from collections.abc import Callable, Generator, Iterator

import brotli  # type: ignore[import-untyped]  # it ships no stubs
import zstandard

from gateway.domain.errors import UpstreamError
from gateway.domain.http import Headers
from gateway.domain.reason import Reason
from gateway.masking.steps import all_at_once

# Real lists of records shrink to a tenth, very repetitive ones to a fortieth. A bomb gains a
# thousandfold with deflate and a hundred-thousandfold with the others.
MAX_RATIO = 100
FREE_BYTES = 64 * 2**10  # so much may come out of however little: short texts of one letter
MAX_ZSTD_WINDOW = 8 * 2**20  # bytes; RFC 9659 3: no more for this coding
# A zstd block holds up to 128 KiB; servers that flush often make them of some hundred bytes.
# Empty ones are legal, and each of them is a step of ours in Python.
MAX_ZSTD_BLOCKS = 65_536

_SLICE = 16 * 2**10  # bytes of input at once: a few milliseconds of the dearest deflate
_PIECE = 256 * 2**10  # bytes of output at once
_RLE, _COMPRESSED = 1, 2  # kinds of blocks; the first is one byte, to be repeated
_NOT_ANNOUNCED = zstandard.CONTENTSIZE_UNKNOWN
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878 3.1.1; skippable frames begin otherwise


class _BrokenError(Exception):
    """Not exactly one whole stream."""


def decoded(body: bytes, headers: Headers, *, max_bytes: int) -> bytes:
    """The body without its content coding; `decoded_steps` in one go.

    Raises:
        UpstreamError: as `decoded_steps`.
    """
    return all_at_once(decoded_steps(body, headers, max_bytes=max_bytes))


def decoded_steps(
    body: bytes, headers: Headers, *, max_bytes: int
) -> Generator[None, None, bytes]:
    """Undo the content coding; a caller may pause wherever this yields.

    Args:
        body: the whole body as it came, of a size that the caller has bounded.
        headers: of the answer.
        max_bytes: the longest body that may come out.

    Returns:
        The body as the CRM meant it.

    Raises:
        UpstreamError: ANSWER_NOT_CUT: a coding that is not undone here, or not one whole
            stream of it. ANSWER_TOO_LARGE: more than `max_bytes`, or more than `MAX_RATIO`
            times the body and more than `FREE_BYTES`.
    """
    opener = _opener(headers)
    if opener is None or not body:
        if len(body) > max_bytes:
            raise _too_large()
        return body
    limit = min(max_bytes, max(FREE_BYTES, MAX_RATIO * len(body)))
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in opener(body):
            size += len(piece)
            if size > limit:
                raise _too_large()
            pieces.append(piece)
            yield
    except (zlib.error, brotli.error, zstandard.ZstdError, _BrokenError):
        raise UpstreamError(
            Reason.ANSWER_NOT_CUT, "The CRM's answer is not one whole stream of its coding."
        ) from None
    return b"".join(pieces)


def is_coded(headers: Headers) -> bool:
    """Is there a coding to undo, or one that nobody here knows?"""
    return any(
        name.lower() == "content-encoding" and value.strip(" \t").lower() != "identity"
        for name, value in headers
    )


def _opener(headers: Headers) -> Callable[[bytes], Iterator[bytes]] | None:
    """What undoes the coding that the headers name; None = there is nothing to undo."""
    codings = [value for name, value in headers if name.lower() == "content-encoding"]
    if not codings:
        return None
    coding = codings[0].strip(" \t").lower()
    if len(codings) > 1 or coding not in _OPENERS:
        raise UpstreamError(
            Reason.ANSWER_NOT_CUT, "The CRM's answer has a coding that is not undone here."
        )
    return _OPENERS[coding]


def _zlib(body: bytes, wbits: int) -> Iterator[bytes]:
    machine = zlib.decompressobj(wbits)
    for start in range(0, len(body), _SLICE):
        if machine.eof:
            raise _BrokenError
        waiting, full = body[start : start + _SLICE], True
        # A full piece may have more behind it that has left the input already.
        while (waiting or full) and not machine.eof:
            piece = machine.decompress(waiting, _PIECE)
            waiting, full = machine.unconsumed_tail, len(piece) == _PIECE
            yield piece
    if not machine.eof or machine.unused_data:
        raise _BrokenError


def _gzip(body: bytes) -> Iterator[bytes]:
    return _zlib(body, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes) -> Iterator[bytes]:
    return _zlib(body, zlib.MAX_WBITS)


def _brotli(body: bytes) -> Iterator[bytes]:
    machine = brotli.Decompressor()
    for start in range(0, len(body), _SLICE):
        # What stands behind the end, the library itself refuses.
        piece = machine.process(body[start : start + _SLICE], output_buffer_limit=_PIECE)
        yield piece
        # It may accept more while output is still waiting inside.
        while (piece or not machine.can_accept_more_data()) and not machine.is_finished():
            piece = machine.process(b"", output_buffer_limit=_PIECE)
            yield piece
    if not machine.is_finished():
        raise _BrokenError


def _zstd(body: bytes) -> Iterator[bytes]:
    """Block by block (RFC 8878 3.1.1.2): the library has no other bound on its output."""
    if not body.startswith(_ZSTD_MAGIC):
        raise _BrokenError
    # Without a dictionary, so the library refuses a frame that names one.
    machine = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).decompressobj()
    at, size = zstandard.frame_header_size(body), 0
    yield machine.decompress(body[:at])
    for _ in range(MAX_ZSTD_BLOCKS):
        head = int.from_bytes(body[at : at + 3], "little")
        last, kind, length = head & 1, head >> 1 & 3, head >> 3
        end = at + 3 + (1 if kind == _RLE else length)
        # A compressed block says something (3.1.1.3); the library skips an empty one at the end.
        if end > len(body) or (kind == _COMPRESSED and not length):
            raise _BrokenError
        piece = machine.decompress(body[at:end])
        size += len(piece)
        yield piece
        at = end
        if last:
            break
    if not machine.eof:  # only a checksum may follow
        yield machine.decompress(body[at : at + 4])
        at += 4
    # The library does not compare the announced size where the last block is an empty one.
    announced = zstandard.get_frame_parameters(body).content_size
    if not machine.eof or at != len(body) or announced not in {size, _NOT_ANNOUNCED}:
        raise _BrokenError


def _too_large() -> UpstreamError:
    return UpstreamError(Reason.ANSWER_TOO_LARGE, "The CRM's answer is larger than it may be.")


_OPENERS: dict[str, Callable[[bytes], Iterator[bytes]] | None] = {
    "identity": None,
    "gzip": _gzip,
    "x-gzip": _gzip,  # RFC 9110 8.4.1.3
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
