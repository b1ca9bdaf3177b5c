import pytest

from gateway.mapping.pattern import Slot, parse_pattern


def test_a_pattern_is_a_method_and_decoded_segments():
    pattern = parse_pattern("POST /api/clients/{id}/merge")
    assert pattern.method == "POST"
    assert pattern.steps == ("api", "clients", Slot("id"), "merge")
    assert pattern.record_at == 2
    assert not pattern.rest


def test_two_stars_at_the_end_take_the_rest():
    pattern = parse_pattern("GET /assets/**")
    assert pattern.steps == ("assets",)
    assert pattern.rest
    assert pattern.record_at is None


def test_the_root_is_a_path():
    assert parse_pattern("GET /").steps == ()


def test_what_a_slot_is_called_does_not_change_what_it_matches():
    assert parse_pattern("GET /a/{id}").shape == parse_pattern("GET /a/{x}").shape
    assert parse_pattern("GET /a/{id}").shape != parse_pattern("PUT /a/{id}").shape
    assert parse_pattern("GET /a").shape != parse_pattern("GET /a/**").shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GET", "must be a method"),
        ("get /a", "must be a method"),
        ("TRACE /a", "must be a method"),
        ("GET a", "must be a method"),
        ("GET  /a", "must be a method"),
        ("GET https://crm.example/a", "must be a method"),
        ("HEAD /a", "answers `HEAD` too"),
        ("GET /a/", "empty segment"),
        ("GET //a", "empty segment"),
        ("GET /a/**/b", "not last"),
        ("GET /a/*", "plain text"),
        ("GET /a/x**", "plain text"),
        ("GET /a/{id}.json", "plain text"),
        ("GET /a/{}", "must name its segment"),
        ("GET /a/{Id}", "must name its segment"),
        ("GET /a/{[a-z]+}", "must name its segment"),
        ("GET /{id}/{id}", "two segments named `{id}`"),
        ("GET /a?b=1", "holds a `?`"),
        ("GET /a/..", "can never arrive"),
        ("GET /a/b%20c", "can never arrive"),
        ("GET /a/b;c", "can never arrive"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)
