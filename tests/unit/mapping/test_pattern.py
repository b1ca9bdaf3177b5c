import pytest

from gateway.mapping.pattern import Reading, Slot, parse_pattern


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


def test_a_slash_at_the_end_is_told_apart_and_never_that_of_the_root():
    pattern = parse_pattern("GET /clients/{id}/")
    assert pattern.slash
    assert pattern.steps == ("clients", Slot("id"))
    assert parse_pattern("GET /pages/**/").slash
    assert not parse_pattern("GET /").slash
    assert parse_pattern("GET /a/").shape != parse_pattern("GET /a").shape


def test_the_crm_s_reading_says_what_is_one_address():
    one, other = parse_pattern("GET /Api/{id}"), parse_pattern("GET /api/{id}/")
    assert one.shape_to(Reading(any_case=True, any_end=True)) == other.shape_to(
        Reading(any_case=True, any_end=True)
    )
    assert one.shape_to(Reading(any_case=True)) != other.shape_to(Reading(any_case=True))
    assert one.shape_to(Reading(any_end=True)) != other.shape_to(Reading(any_end=True))


def test_any_case_is_that_of_a_to_z():
    reading = Reading(any_case=True)
    assert reading.literal("ClIents") == "clients"
    assert reading.literal("ÉTÉ") == "ÉtÉ"


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
        ("GET /a//", "empty segment"),
        ("GET //a", "empty segment"),
        ("GET //", "empty segment"),
        ("GET /a?/", "holds a `?`"),
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
        ("GET /_salon", "the gateway's own"),
        ("POST /_salon/sign-in", "the gateway's own"),
        ("GET /_SALON/{id}", "the gateway's own"),
        ("GET /_salon/**", "the gateway's own"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)


def test_only_the_first_segment_is_the_gateways_own():
    assert parse_pattern("GET /a/_salon").steps == ("a", "_salon")
    assert parse_pattern("GET /_salons").steps == ("_salons",)
