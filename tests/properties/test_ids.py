"""The ids of a request against a plain second reading of where they stand."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.resource import Resource
from gateway.mapping.ids import ids_named
from gateway.mapping.routes import IdSource, Route, RouteKind
from tests.oracles.slow_ids import named

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SOURCES = ["query:id", "query:other", "body:id", "body:a.id", "body:ids[]", "body:a.ids[]"]
GOOD = st.one_of(st.integers(0, 5), st.sampled_from(["1", "2", "a-b", "A_b"]))
ODD = st.one_of(
    st.integers(2**53 - 2, 2**53 + 2),
    st.integers(-3, -1),
    st.sampled_from(["", " 1", "1.0", "é", "x" * 128, "x" * 129, None, True, 1.0, {}, []]),
)
VALUES = st.one_of(GOOD, GOOD, GOOD, ODD)
LISTS = st.one_of(st.lists(GOOD, min_size=1, max_size=4), st.lists(VALUES, max_size=3), VALUES)
MEMBERS = {"id": VALUES, "ids": LISTS}
BODIES = st.one_of(
    st.none(),
    st.fixed_dictionaries({**MEMBERS, "a": st.fixed_dictionaries(MEMBERS)}),
    st.fixed_dictionaries({}, optional={**MEMBERS, "a": VALUES}),
)
QUERIES = st.one_of(
    st.just([("id", "1"), ("other", "2")]),
    st.lists(
        st.tuples(st.sampled_from(["id", "other", "Id"]), st.sampled_from(["1", "7", "", " 1"])),
        max_size=3,
    ),
)


def a_source(text: str) -> IdSource:
    kind, _, where = text.partition(":")
    if kind == "query":
        return IdSource(parameter=where)
    return IdSource(path=parse_field_path(where))


def a_route(sources: list[str]) -> Route:
    return Route(
        method="POST",
        template="POST /x",
        kind=RouteKind.RULED,
        resource=Resource(name="client"),
        action="merge",
        ids=tuple(map(a_source, sources)),
    )


@settings(max_examples=600 * FUZZ, deadline=None)
@given(
    st.sampled_from([None, "1", "9"]),
    st.lists(st.sampled_from(SOURCES), unique=True, max_size=4),
    QUERIES,
    BODIES,
)
def test_exactly_the_ids_that_stand_in_their_places_are_named(record, sources, query, body):
    try:
        found = ids_named(a_route(sources), record, tuple(query), body)
    except RequestError:
        found = None
    assert found == named(record, sources, query, body)
