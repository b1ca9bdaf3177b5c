import pytest

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.resource import Resource
from gateway.mapping.lookup import Lookup, build_lookup, lookup_target
from gateway.mapping.pattern import parse_pattern
from gateway.mapping.routes import Route, RouteKind, RouteTable, build_table, find


def a_lookup(template: str, *others: str) -> tuple[Lookup, RouteTable]:
    pairs = [
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
        for pattern in map(parse_pattern, (template, *others))
    ]
    table = build_table(pairs)
    return build_lookup(pairs[0], table), table


CLIENTS, TABLE = a_lookup(
    "GET /api/clients/{id}", "GET /api/clients/Export", "POST /api/clients/merge/now"
)


@pytest.mark.parametrize("record", ["7", "0b9f-4_E", "-", "x" * 128, "007"])
def test_the_target_is_found_again_as_that_record_of_that_route(record):
    target = lookup_target(CLIENTS, record)
    match = find(TABLE, "GET", target)
    assert match is not None
    assert (match.route, match.record) == (CLIENTS.route, record)
    assert target.wire == f"/api/clients/{record}"
    assert target.query == ()


def test_what_stands_after_the_id_and_is_not_plain_ascii_is_asked_for_as_declared():
    lookup, table = a_lookup("GET /顧客/a b/{id}/karte:1")
    target = lookup_target(lookup, "7")
    assert target.segments == ("顧客", "a b", "7", "karte:1")
    assert target.wire == "/%E9%A1%A7%E5%AE%A2/a%20b/7/karte%3A1"
    match = find(table, "GET", target)
    assert match is not None
    assert match.record == "7"


OTHER_PATHS = ["", ".", "..", "7/../8", "7/8", "7%2F8", "7?x=1", "7#", "7;v=1", "{id}", "*"]
OTHER_NAMES = ["7.json", "7:merge", "7,8", "７", "é", "7\n", " 7", "7 ", "7\x00", "x" * 129]


@pytest.mark.parametrize("record", [*OTHER_PATHS, *OTHER_NAMES])
def test_what_is_not_one_plain_segment_is_no_record(record):
    with pytest.raises(RequestError) as caught:
        lookup_target(CLIENTS, record)
    assert caught.value.reason is Reason.BODY_INVALID
    assert len(record) < 3 or record not in str(caught.value)


@pytest.mark.parametrize("record", ["Export", "export", "EXPORT", "merge", "Merge"])
def test_an_id_that_would_lead_to_another_route_is_no_record(record):
    with pytest.raises(RequestError) as caught:
        lookup_target(CLIENTS, record)
    assert caught.value.reason is Reason.BODY_INVALID
