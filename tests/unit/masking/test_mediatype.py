"""Which Content-Type fits which format."""

import pytest

from gateway.domain.http import Format
from gateway.masking.mediatype import CONTENT_TYPES, content_fits, json_media_type

TYPES = {
    Format.JSON: ["application/json", "Application/Problem+JSON", "application/vnd.api+json"],
    Format.NDJSON: [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ],
    Format.EVENTS: ["text/event-stream"],
    Format.CSV: ["text/csv", 'text/csv; charset="UTF-8"; header=present'],
}


def fits(content_type, wanted, *more):
    return content_fits((("Content-Type", content_type), *more), wanted)


@pytest.mark.parametrize("wanted", Format)
def test_a_format_has_its_own_types_and_no_other_formats(wanted):
    for owner, types in TYPES.items():
        for content_type in types:
            assert fits(content_type, wanted) is (owner is wanted)
            assert fits(f"{content_type}; charset=utf-8", wanted) is (
                owner is wanted and "charset" not in content_type
            )


@pytest.mark.parametrize("wanted", Format)
def test_what_the_gateway_calls_its_own_answers_fits(wanted):
    assert fits(CONTENT_TYPES[wanted], wanted)


@pytest.mark.parametrize("wanted", Format)
@pytest.mark.parametrize(
    "more",
    [
        "; charset=iso-8859-1",
        "; charset=utf-16",
        "; charset=utf-8; charset=utf-8",
        ", text/html",
        "; a=b=c",
        "\x0b",
        "x",
    ],
)
def test_another_charset_or_a_type_that_is_none_fits_nothing(wanted, more):
    assert not fits(TYPES[wanted][0] + more, wanted)


@pytest.mark.parametrize("wanted", Format)
def test_no_type_or_two_fit_nothing(wanted):
    kind = TYPES[wanted][0]
    assert not content_fits((), wanted)
    assert not fits(kind, wanted, ("content-type", kind))


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "text/plain", "application/javascript", "multipart/form-data", "text/json",
     "application/json-seq", "application/xml", "application/octet-stream", "", "json"],
)  # fmt: skip
def test_other_types_fit_no_format(content_type):
    assert not any(fits(content_type, wanted) for wanted in Format)


def test_a_table_that_says_it_has_no_header_line_is_not_one_whose_columns_are_known():
    assert not fits("text/csv; header=absent", Format.CSV)
    assert not fits("text/csv; header=present; header=absent", Format.CSV)


def test_a_coding_is_none_of_an_answers_business_here_but_refuses_a_request():
    coded = ("Content-Encoding", "gzip")
    assert fits("application/json", Format.JSON, coded)
    assert json_media_type((("Content-Type", "application/json"), coded)) is None
    assert json_media_type((("Content-Type", "application/json"),)) == "application/json"
