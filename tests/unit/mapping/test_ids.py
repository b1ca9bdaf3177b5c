import pytest

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import Resource
from gateway.mapping.ids import MAX_IDS, ids_named
from gateway.mapping.routes import IdSource, Route, RouteKind


def a_route(*sources: str) -> Route:
    return Route(
        method="POST",
        template="POST /clients/{id}/merge",
        kind=RouteKind.RULED,
        resource=Resource(name="client"),
        action="merge",
        ids=tuple(
            IdSource(parameter=text[6:])
            if text.startswith("query:")
            else IdSource(path=parse_field_path(text[5:]))
            for text in sources
        ),
    )


def refused(route: Route, *, query=(), body=None) -> Reason:
    with pytest.raises(RequestError) as caught:
        ids_named(route, "7", tuple(query), body)
    assert "secret" not in str(caught.value)
    return caught.value.reason


def test_ids_come_from_the_path_then_the_query_then_the_body_each_once():
    route = a_route("body:with.ids[]", "query:id", "body:other")
    body = {"with": {"ids": [8, "7", "9", 8]}, "other": "q"}
    assert ids_named(route, "7", (("id", "q"), ("page", "3")), body) == ("7", "q", "8", "9")


def test_a_route_that_names_no_further_ids_has_the_one_in_its_path_or_none():
    assert ids_named(a_route(), "7", (("id", "9"),), {"id": 8}) == ("7",)
    assert ids_named(a_route(), None, (), None) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [(8, "8"), (0, "0"), ("007", "007"), (2**53 - 1, "9007199254740991"), ("A-b_9", "A-b_9")],
)
def test_a_whole_number_is_its_decimal_text(value, text):
    assert ids_named(a_route("body:id"), None, (), {"id": value}) == (text,)


NO_TEXTS = ["", " 7", "7.0", "7/8", "é", "secret!", "x" * 129]
NO_VALUES = [True, False, None, 7.0, 7.5, 2**53, -(2**53), {}, {"id": 7}, [], [7]]


@pytest.mark.parametrize("value", [*NO_TEXTS, *NO_VALUES])
def test_what_is_not_one_id_is_refused_alone_and_in_a_list(value):
    assert refused(a_route("body:id"), body={"id": value}) is Reason.BODY_INVALID
    assert refused(a_route("body:ids[]"), body={"ids": [7, value]}) is Reason.BODY_INVALID


def test_a_number_that_python_itself_would_not_write_out_is_refused():
    assert refused(a_route("body:id"), body={"id": 10**5000}) is Reason.BODY_INVALID


@pytest.mark.parametrize(
    "body", [None, {}, {"ids": None}, {"ids": []}, {"ids": 7}, {"ids": {"0": 7}}, {"IDS": [7]}]
)
def test_a_list_of_ids_that_is_missing_or_empty_is_refused(body):
    assert refused(a_route("body:ids[]"), body=body) is Reason.BODY_INVALID


@pytest.mark.parametrize("body", [None, {}, {"a": None}, {"a": {}}, {"a": [{"id": 7}]}, {"a": 7}])
def test_a_member_that_is_missing_is_refused(body):
    assert refused(a_route("body:a.id"), body=body) is Reason.BODY_INVALID


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("ID", "7")],
        [("id", "7"), ("id", "7")],
        [("id", "")],
        [("id", "7,8")],
        [("id", "secret!")],
    ],
)
def test_a_parameter_names_one_record_once(query):
    assert refused(a_route("query:id"), query=query) is Reason.PARAMETER_INVALID


def test_no_request_names_more_records_than_can_be_looked_up():
    route = a_route("body:a[]", "body:b[]")
    half = list(range(MAX_IDS // 2))
    full = {"a": list(range(MAX_IDS)), "b": half}
    assert len(ids_named(route, None, (), full)) == MAX_IDS
    assert refused(route, body=full | {"b": ["more"]}) is Reason.BODY_INVALID
    assert refused(route, body={"a": [1] * (MAX_IDS + 1), "b": half}) is Reason.BODY_INVALID
