import pytest

from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.domain.resource import Resource
from gateway.mapping.pattern import EXACT, Reading, parse_pattern
from gateway.mapping.routes import Route, RouteKind, RouteTable, build_table, find


def a_table(*templates: str, reading: Reading = EXACT) -> RouteTable:
    patterns = [parse_pattern(text) for text in templates]
    return build_table(
        (
            (
                pattern,
                Route(
                    method=pattern.method,
                    template=pattern.text,
                    kind=RouteKind.RULED,
                    resource=Resource(name="client"),
                    action="read",
                    record_at=pattern.record_at,
                ),
            )
            for pattern in patterns
        ),
        reading,
    )


def found(
    table: RouteTable, method: str, *segments: str, slash: bool = False
) -> tuple[str, str | None] | None:
    target = CanonicalTarget(
        path=CanonicalPath("/"), segments=segments, query=(), wire="/", slash=slash
    )
    match = find(table, method, target)
    return match and (match.route.template, match.record)


CLIENTS = a_table(
    "GET /clients",
    "POST /clients",
    "GET /clients/export",
    "GET /clients/{id}",
    "DELETE /clients/{id}",
    "GET /clients/{client}/messages/{id}",
    "GET /assets/**",
    "GET /assets/private/{id}",
)


def test_a_literal_comes_before_a_slot_wherever_it_stands_in_the_file():
    assert found(CLIENTS, "GET", "clients", "export") == ("GET /clients/export", None)
    turned = a_table("GET /clients/{id}", "GET /clients/export")
    assert found(turned, "GET", "clients", "export") == ("GET /clients/export", None)


def test_the_record_is_the_segment_called_id():
    assert found(CLIENTS, "GET", "clients", "7") == ("GET /clients/{id}", "7")
    nested = "GET /clients/{client}/messages/{id}"
    assert found(CLIENTS, "GET", "clients", "7", "messages", "9") == (nested, "9")


def test_an_export_is_never_a_record_for_any_method():
    for method in ("DELETE", "PUT", "PATCH", "POST", "OPTIONS"):
        assert found(CLIENTS, method, "clients", "export") is None
    assert found(CLIENTS, "GET", "clients", "export", "messages", "9") is None


def test_a_literal_in_another_case_is_not_a_record():
    assert found(CLIENTS, "GET", "clients", "EXPORT") is None
    assert found(CLIENTS, "DELETE", "clients", "Export") is None
    assert found(CLIENTS, "GET", "Clients", "7") is None


def test_a_format_suffix_or_a_custom_verb_is_not_part_of_a_record_id():
    for segment in ("export.csv", "7.json", "7:merge", "7,8", "a b", "é", "~1", "x" * 129):
        assert found(CLIENTS, "GET", "clients", segment) is None, segment
    assert found(CLIENTS, "GET", "clients", "0b9f-4_E") == ("GET /clients/{id}", "0b9f-4_E")


def test_head_asks_for_the_get_route():
    assert found(CLIENTS, "HEAD", "clients", "7") == ("GET /clients/{id}", "7")


def test_a_method_that_is_not_declared_is_unmapped():
    assert found(CLIENTS, "PUT", "clients", "7") is None
    assert found(CLIENTS, "DELETE", "clients") is None


def test_two_stars_take_one_segment_or_more():
    assert found(CLIENTS, "GET", "assets") is None
    assert found(CLIENTS, "GET", "assets", "a.css") == ("GET /assets/**", None)
    assert found(CLIENTS, "GET", "assets", "js", "a b.js") == ("GET /assets/**", None)
    assert found(CLIENTS, "POST", "assets", "a.css") is None


def test_two_stars_do_not_take_what_a_literal_began():
    assert found(CLIENTS, "GET", "assets", "private") is None
    assert found(CLIENTS, "GET", "assets", "PRIVATE", "a.css") is None
    assert found(CLIENTS, "GET", "assets", "private", "7") == ("GET /assets/private/{id}", "7")


def test_the_root_is_only_found_if_it_is_declared():
    assert found(CLIENTS, "GET") is None
    assert found(a_table("GET /"), "GET") == ("GET /", None)


def test_a_trailing_slash_is_as_written():
    django = a_table("GET /clients/", "GET /clients/{id}/", "GET /health", "GET /pages/**/")
    assert found(django, "GET", "clients", slash=True) == ("GET /clients/", None)
    assert found(django, "GET", "clients", "7", slash=True) == ("GET /clients/{id}/", "7")
    assert found(django, "GET", "pages", "a", "b", slash=True) == ("GET /pages/**/", None)
    assert found(django, "GET", "clients") is None
    assert found(django, "GET", "clients", "7") is None
    assert found(django, "GET", "health", slash=True) is None
    assert found(django, "GET", "pages", "a") is None


def test_where_both_are_written_each_is_its_own():
    both = a_table("GET /clients", "GET /clients/", "GET /clients/export", "GET /clients/{id}/")
    assert found(both, "GET", "clients") == ("GET /clients", None)
    assert found(both, "GET", "clients", slash=True) == ("GET /clients/", None)
    # The literal keeps its segment, so an export is never the record `export`.
    assert found(both, "GET", "clients", "export", slash=True) is None


def test_to_a_crm_that_takes_either_end_both_are_the_route():
    either = a_table("GET /clients", "GET /clients/{id}/", reading=Reading(any_end=True))
    for slash in (True, False):
        assert found(either, "GET", "clients", slash=slash) == ("GET /clients", None)
        assert found(either, "HEAD", "clients", "7", slash=slash) == ("GET /clients/{id}/", "7")


def test_to_a_crm_that_takes_any_case_literals_have_any():
    table = a_table(
        "GET /Api/clients/export", "GET /api/clients/{id}", reading=Reading(any_case=True)
    )
    assert found(table, "GET", "API", "Clients", "EXPORT") == ("GET /Api/clients/export", None)
    assert found(table, "GET", "api", "CLIENTS", "aB7") == ("GET /api/clients/{id}", "aB7")


@pytest.mark.parametrize("reading", [EXACT, Reading(any_case=True)])
def test_what_only_looks_like_a_literal_is_none_and_goes_nowhere(reading):
    table = a_table(
        "GET /files/private/{id}", "GET /files/**", "GET /été/a", "GET /**", reading=reading
    )
    for segment in ("prıvate", "prİvate", "prívate", "priváte"):
        assert found(table, "GET", "files", segment, "7") is None
    assert found(table, "GET", "ÉTÉ", "a") is None
    assert found(table, "GET", "ete", "a") is None
    assert found(table, "GET", "files", "privates", "7") == ("GET /files/**", None)
