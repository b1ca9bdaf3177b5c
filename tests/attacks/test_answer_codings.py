"""Coded answers that lie: bombs, stacks of codings, streams cut short, streams with more behind.

The CRM plays the attacker, or somebody who can make it answer so.
"""

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib

import brotli
import pytest
import zstandard

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from gateway.masking.coding import MAX_ZSTD_BLOCKS, decoded

MAX = 8 * 2**20
TEXT = json.dumps([{"id": n, "email": f"e{n}@salon.example"} for n in range(300)]).encode()
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
CODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=3),
    "zstd": zstandard.compress,
}


def undone(body, *codings):
    return decoded(body, tuple(("Content-Encoding", c) for c in codings), max_bytes=MAX)


def reason(body, *codings):
    with pytest.raises(UpstreamError) as caught:
        undone(body, *codings)
    assert b"salon.example" not in str(caught.value).encode()
    assert caught.value.__cause__ is None
    return caught.value.reason


def not_cut(body, *codings):
    return reason(body, *codings) is Reason.ANSWER_NOT_CUT


def a_zstd_frame(*blocks, head=b"\x00\x38"):
    """Blocks as (last, kind, size, content); by default behind a head with a window of 128 KiB."""
    made = ZSTD_MAGIC + head
    for last, kind, size, content in blocks:
        made += (last | kind << 1 | size << 3).to_bytes(3, "little") + content
    return made


# -- what the header says --------------------------------------------------------------------


@pytest.mark.parametrize(
    "codings",
    [
        ("gzip, gzip",),
        ("gzip", "gzip"),
        ("identity, gzip",),
        ("gzip, identity",),
        ("gzip,",),
        (",gzip",),
        ("",),
        ("gzip", "identity"),
        ("identity", "identity"),
        ("compress",),
        ("x-compress",),
        ("dcb",),
        ("dcz",),
        ("aes128gcm",),
        ("exi",),
        ("gzip;q=1",),
        ("\x0bgzip",),
        ("g zip",),
        ("GZ\u0131P",),
        ("*",),
    ],
)
def test_anything_but_one_known_coding_is_refused(codings):
    assert not_cut(gzip.compress(TEXT), *codings)
    assert not_cut(gzip.compress(gzip.compress(TEXT)), *codings)
    assert not_cut(b"", *codings)


@pytest.mark.parametrize("claimed", CODERS)
@pytest.mark.parametrize("real", [*CODERS, "identity"])
def test_a_body_of_another_coding_than_it_says_is_refused(claimed, real):
    body = TEXT if real == "identity" else CODERS[real](TEXT)
    if claimed == real:
        assert undone(body, claimed) == TEXT
    else:
        assert not_cut(body, claimed)


@pytest.mark.parametrize("outer", CODERS)
@pytest.mark.parametrize("inner", CODERS)
def test_a_coding_inside_a_coding_is_undone_once_and_is_then_no_json(outer, inner):
    assert undone(CODERS[outer](CODERS[inner](TEXT)), outer) == CODERS[inner](TEXT)


# -- not one whole stream --------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODERS)
def test_a_stream_that_is_cut_short_anywhere_is_refused(coding):
    whole = CODERS[coding](TEXT)
    for length in range(1, len(whole)):
        assert not_cut(whole[:length], coding)


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("more", [b"\0", b"x", b"\n", TEXT, b"\0" * 70_000, SKIPPABLE], ids=len)
def test_anything_behind_a_stream_is_refused(coding, more):
    assert not_cut(CODERS[coding](TEXT) + more, coding)


@pytest.mark.parametrize("coding", CODERS)
def test_a_second_stream_behind_the_first_is_refused(coding):
    assert not_cut(CODERS[coding](TEXT) * 2, coding)
    assert not_cut(CODERS[coding](TEXT) + CODERS[coding](b""), coding)
    assert not_cut(CODERS[coding](b"") + CODERS[coding](TEXT), coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_broken_checksum_is_refused(coding):
    whole = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
        if coding == "zstd"
        else CODERS[coding](TEXT)
    )
    whole[-5 if coding == "gzip" else -1] ^= 1
    assert not_cut(bytes(whole), coding)


def test_a_wrong_length_in_a_gzip_trailer_is_refused():
    assert not_cut(gzip.compress(TEXT)[:-4] + struct.pack("<I", len(TEXT) + 1), "gzip")


def test_a_gzip_head_with_reserved_flags_is_refused_and_one_with_a_name_is_read():
    whole = gzip.compress(TEXT)
    assert not_cut(whole[:3] + b"\xe0" + whole[4:], "gzip")
    assert undone(whole[:3] + b"\x08" + whole[4:10] + b"name\0" + whole[10:], "gzip") == TEXT


def test_deflate_without_its_wrapper_or_with_a_dictionary_is_refused():
    raw = zlib.compressobj(wbits=-15)
    assert not_cut(raw.compress(TEXT) + raw.flush(), "deflate")
    primed = zlib.compressobj(zdict=b"salon.example")
    assert not_cut(primed.compress(TEXT) + primed.flush(), "deflate")


def test_zstd_frames_that_may_be_skipped_are_refused_on_either_side():
    frame = zstandard.compress(TEXT)
    for body in (SKIPPABLE, SKIPPABLE + frame, frame + SKIPPABLE):
        assert not_cut(body, "zstd")


def test_zstd_with_a_dictionary_is_refused():
    words = zstandard.ZstdCompressionDict(
        b"salon.example" * 20, dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
    assert not_cut(a_zstd_frame((1, 0, 1, b"x"), head=b"\x01\x38\x07"), "zstd")
    trained = zstandard.train_dictionary(
        2_048, [f'{{"id":{n},"e":"{n}@salon.example"}}'.encode() for n in range(2_000)]
    )
    for known in (words, trained):
        assert not_cut(zstandard.ZstdCompressor(dict_data=known).compress(TEXT), "zstd")


def test_a_zstd_frame_is_read_block_by_block_and_only_as_the_format_has_them():
    assert undone(a_zstd_frame((0, 0, 2, b"ab"), (1, 1, 3, b"c")), "zstd") == b"abccc"
    for blocks in (
        ((0, 0, 2, b"ab"),),  # no last block
        ((1, 3, 1, b"a"),),  # the reserved kind
        ((1, 0, 2**21 - 1, b"a"),),  # longer than the body
        ((1, 1, 2**20, b"a"),),  # longer than a block may be
        ((1, 1, 5, b""),),
        ((1, 2, 1, b"a"),),
        ((1, 0, 1, b"a"), (1, 0, 1, b"b")),
    ):
        assert not_cut(a_zstd_frame(*blocks), "zstd")
    assert not_cut(a_zstd_frame((1, 0, 1, b"a"), head=b"\x08\x38"), "zstd")  # a reserved bit
    assert not_cut(a_zstd_frame((1, 0, 1, b"a"), head=b"\x20\x05"), "zstd")  # says five bytes


def test_empty_blocks_without_end_are_refused():
    assert not_cut(a_zstd_frame() + bytes(3) * (MAX_ZSTD_BLOCKS + 1), "zstd")


@pytest.mark.parametrize("log", [24, 27, 31])
def test_a_zstd_window_beyond_what_the_web_allows_is_refused(log):
    assert not_cut(a_zstd_frame((1, 0, 1, b"a"), head=bytes([0, (log - 10) << 3])), "zstd")


def test_a_zstd_frame_that_announces_a_huge_size_is_refused():
    huge = struct.pack("<Q", 2**62)
    assert not_cut(a_zstd_frame((1, 0, 1, b"a"), head=b"\xe0" + huge), "zstd")
    assert not_cut(a_zstd_frame((1, 0, 1, b"a"), head=b"\xc0\x38" + huge), "zstd")


# -- bombs -----------------------------------------------------------------------------------


def a_bomb(coding, size=100 * 2**20):
    if coding == "zstd-blocks":  # four bytes for each 128 KiB
        return a_zstd_frame(*[(0, 1, 2**17, b"\0")] * (size // 2**17), (1, 0, 0, b""))
    if coding == "br-window":
        return brotli.compress(b"\0" * size, quality=1, lgwin=24)
    return CODERS[coding](b"\0" * size)


def a_patient_bomb():
    """Never a hundred times what has been read, and more than the limit in the end."""
    return gzip.compress(b"".join(os.urandom(2_000) + b"\0" * 100_000 for _ in range(90)))


WIDE = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(3, window_log=23)
)
MEASURE = """
import resource, sys
from gateway.domain.errors import UpstreamError
from gateway.masking.coding import decoded
with open(sys.argv[1], "rb") as file:
    body = file.read()
decoded(b"", (("Content-Encoding", sys.argv[2]),), max_bytes=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    print(len(decoded(body, (("Content-Encoding", sys.argv[2]),), max_bytes=8 * 2**20)))
except UpstreamError as error:
    print(error.reason)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("coding", "bomb", "said"),
    [
        ("gzip", lambda: a_bomb("gzip"), "answer_too_large"),
        ("deflate", lambda: a_bomb("deflate"), "answer_too_large"),
        ("br", lambda: a_bomb("br-window"), "answer_too_large"),
        ("zstd", lambda: a_bomb("zstd"), "answer_too_large"),
        ("zstd", lambda: a_bomb("zstd-blocks"), "answer_too_large"),
        ("gzip", a_patient_bomb, "answer_too_large"),
        # And what may cost most: as much as ever may come out, through the widest window.
        ("br", lambda: brotli.compress(os.urandom(MAX), quality=1, lgwin=24), str(MAX)),
        ("zstd", lambda: WIDE.compress(os.urandom(MAX)), str(MAX)),
        ("gzip", lambda: gzip.compress(os.urandom(MAX), 1), str(MAX)),
    ],
)
def test_no_coded_body_takes_more_than_64_mib(tmp_path, coding, bomb, said):
    (tmp_path / "body").write_bytes(bomb())
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "body"), coding],
        capture_output=True,
        text=True,
        check=True,
    )
    heard, grown = ran.stdout.split()
    assert heard == said
    assert int(grown) < 64 * 2**10  # KiB
