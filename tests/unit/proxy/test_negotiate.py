"""HTML or JSON, and in which language."""

import pytest

from gateway.proxy.negotiate import Language, language, prefers_html

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        CHROME,
        "text/html",
        "TEXT/HTML",
        "text/*",
        "text/html;q=0.5, application/json;q=0.4",
        "text/html;charset=utf-8;q=0.9, application/json;q=0.8",
        'text/html;note="a, b;q=0", application/json;q=0.9',
        "application/xhtml+xml, */*;q=0.1",
    ],
)
def test_a_client_that_wants_pages_more_than_json_gets_a_page(accept):
    assert prefers_html([accept])


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, text/html",
        "application/problem+json, text/html;q=0.9",
        "text/html;q=0",
        "text/html;q=0.000, */*",
        "text/html;q=0.3, */*;q=0.5",
        "text/html;q=2",
        "text/html;q=nan",
        "text/html;q=0.1234",
        "text/plain",
        "application/json;q=0, */*",
        ",,,;;;q=1,",
    ],
)
def test_everyone_else_gets_json(accept):
    assert not prefers_html([accept])


def test_no_accept_header_means_json():
    assert not prefers_html([])


def test_two_accept_headers_are_one_list():
    assert prefers_html(["application/json;q=0.1", "text/html"])


def test_a_specific_range_speaks_before_a_wider_one():
    assert not prefers_html(["text/*;q=1, text/html;q=0.1, application/xhtml+xml;q=0, */*;q=0.5"])


def test_a_list_of_a_thousand_is_read_to_its_bound_only():
    assert not prefers_html(["a/b," * 1000 + "text/html"])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("ja", Language.JA),
        ("ja-JP", Language.JA),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", Language.KO),
        ("uk-UA,uk;q=0.9,ru;q=0.8,en;q=0.7", Language.UK),
        ("ru;q=0.8, uk;q=0.9", Language.UK),
        ("zh-Hant, ko;q=0.5", Language.KO),
        ("fr", Language.EN),
        ("", Language.EN),
        ("*", Language.EN),
        ("de, *;q=0.5", Language.EN),
        ("RU-ru", Language.RU),
        ("ja;q=0", Language.EN),
        ("ja;q=0, ko;q=0.1", Language.KO),
        ("ko, ja", Language.KO),
        ("jav", Language.EN),
        ("ja_JP", Language.EN),
    ],
)
def test_the_language_the_reader_wants_most_among_those_we_speak(wanted, expected):
    assert language([wanted]) is expected


def test_no_accept_language_means_english():
    assert language([]) is Language.EN
