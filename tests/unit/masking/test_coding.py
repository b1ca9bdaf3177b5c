"""Content codings of answers: undone whole, or refused."""

import gzip
import json
import zlib

import brotli
import pytest
import zstandard

from gateway.domain.errors import UpstreamError
from gateway.domain.reason import Reason
from gateway.masking.coding import FREE_BYTES, decoded, decoded_steps

MAX = 8 * 2**20
LIST = json.dumps([{"id": n, "name": f"n{n * n}"} for n in range(40_000)]).encode()
CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda body: brotli.compress(body, quality=5),
    "zstd": zstandard.compress,
}


def undone(body, *codings, max_bytes=MAX):
    headers = tuple(("Content-Encoding", coding) for coding in codings)
    return decoded(body, headers, max_bytes=max_bytes)


def reason(body, *codings, max_bytes=MAX):
    with pytest.raises(UpstreamError) as caught:
        undone(body, *codings, max_bytes=max_bytes)
    return caught.value.reason


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("body", [b"{}", b"", LIST, b"a" * 60_000], ids=len)
def test_each_coding_is_undone(coding, body):
    assert undone(CODERS[coding](body), coding) == body


@pytest.mark.parametrize("coding", ["GZIP", " gzip\t", "X-GZip"])
def test_the_name_of_a_coding_has_no_case_and_may_have_blanks_around_it(coding):
    assert undone(gzip.compress(b"{}"), coding) == b"{}"


def test_without_a_coding_the_body_is_what_it_is():
    assert undone(b"{}") == b"{}"
    assert undone(b"{}", "identity") == b"{}"
    assert reason(b"12345", max_bytes=4) is Reason.ANSWER_TOO_LARGE


@pytest.mark.parametrize("coding", CODERS)
def test_an_empty_body_is_empty_whatever_its_coding(coding):
    assert undone(b"", coding) == b""


@pytest.mark.parametrize("coding", CODERS)
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(coding):
    coded = CODERS[coding](LIST)
    assert undone(coded, coding, max_bytes=len(LIST)) == LIST
    assert reason(coded, coding, max_bytes=len(LIST) - 1) is Reason.ANSWER_TOO_LARGE


@pytest.mark.parametrize("coding", CODERS)
def test_however_little_may_become_the_free_bytes_and_then_only_so_many_times_itself(coding):
    assert undone(CODERS[coding](b"a" * FREE_BYTES), coding) == b"a" * FREE_BYTES
    assert reason(CODERS[coding](b"a" * 2**20), coding) is Reason.ANSWER_TOO_LARGE


@pytest.mark.parametrize("coding", CODERS)
def test_the_work_can_be_paused_before_half_a_mebibyte_has_come_out(coding):
    steps = decoded_steps(CODERS[coding](LIST), (("content-encoding", coding),), max_bytes=MAX)
    assert sum(1 for _ in steps) >= len(LIST) // 2**19


@pytest.mark.parametrize("level", [1, 19])
def test_zstd_frames_of_a_server_that_flushes_often_are_read(level):
    coder = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    coded = b"".join(
        coder.compress(LIST[at : at + 500]) + coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for at in range(0, len(LIST), 500)
    )
    assert undone(coded + coder.flush(), "zstd") == LIST
