"""The route tree against templates thinned out one segment at a time."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.domain.resource import Resource
from gateway.mapping.pattern import Pattern, Reading, parse_pattern
from gateway.mapping.routes import Route, RouteKind, build_table, find
from tests.oracles.slow_routes import pick

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
METHODS = ["GET", "POST", "DELETE"]
STEPS = st.sampled_from(["clients", "export", "Export", "a", "été", "{id}", "{x}"])
TEMPLATES = st.builds(
    lambda method, steps, rest, end: f"{method} /{'/'.join([*steps, *rest])}{end}",
    st.sampled_from(METHODS),
    st.lists(STEPS, max_size=3).filter(lambda s: max(s.count("{id}"), s.count("{x}")) < 2),
    st.sampled_from([[], [], ["**"]]),
    st.sampled_from(["", "", "/"]),
).filter(lambda text: not text.endswith("//"))
SEGMENTS = st.lists(
    st.sampled_from(
        [
            *("clients", "CLIENTS", "clıents", "export", "Export", "eXport", "expórt", "a", "été"),
            *("ÉTÉ", "Été", "ete", "7.json", "7:merge", "x" * 129),
        ]
    ),
    max_size=4,
).map(tuple)


def a_route(pattern: Pattern) -> Route:
    return Route(
        method=pattern.method,
        template=pattern.text,
        kind=RouteKind.RULED,
        resource=Resource(name="client"),
        action="read",
        record_at=pattern.record_at,
    )


def a_target(segments: tuple[str, ...], *, slash: bool) -> CanonicalTarget:
    return CanonicalTarget(
        path=CanonicalPath("/"), segments=segments, query=(), wire="/", slash=slash
    )


@settings(max_examples=300 * FUZZ, deadline=None)
@given(
    st.lists(TEMPLATES, max_size=8),
    st.sampled_from([*METHODS, "HEAD", "PUT"]),
    SEGMENTS,
    st.booleans(),
    st.builds(Reading, any_case=st.booleans(), any_end=st.booleans()),
)
def test_the_tree_finds_what_the_plain_reading_finds(templates, method, segments, slash, reading):
    slash = slash and segments != ()
    parsed = map(parse_pattern, templates)
    patterns = list({pattern.shape_to(reading): pattern for pattern in parsed}.values())
    table = build_table([(pattern, a_route(pattern)) for pattern in patterns], reading)
    found = find(table, method, a_target(segments, slash=slash))
    expected = pick(
        [pattern.text for pattern in patterns],
        method,
        segments,
        slash=slash,
        any_case=reading.any_case,
        any_end=reading.any_end,
    )
    assert (found and found.route.template) == expected
    if found is not None and "{id}" in found.route.template:
        parts = found.route.template.split(" ", 1)[1][1:].split("/")
        assert found.record == segments[parts.index("{id}")]
