"""The cut against its slow reference, on random resources, hidden sets and documents."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import FieldPath
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED
from gateway.masking.cut import cut, cut_error
from gateway.masking.plan import build_plan
from tests.oracles.slow_cut import (
    EVERY,
    RefusedError,
    parse,
    seeing_all_but,
    slow_cut,
    slow_cut_error,
)
from tests.properties.documents import WIRE, Writer, agree

EXAMPLES = 500 * int(os.environ.get("SALON_FUZZ", "1"))


def a_case(seed):
    writer = Writer(seed)
    resource = writer.resource()
    hidden = writer.some((*resource.fields, UNMAPPED))
    where = writer.dice.choice(WIRE)
    body = writer.space() + writer.answer(where) + writer.space()
    return resource, hidden, FieldPath(where), writer.some(("total", "next")), body.encode()


cases = st.integers(0, 2**64).map(a_case)


def compare(body, resource, hidden, records, beside):
    plan = build_plan(resource, hidden, records=records, beside=beside)
    try:
        wanted, slow = slow_cut(body, resource, seeing_all_but(hidden), records, beside)
    except RefusedError:
        with pytest.raises(UpstreamError, match=Reason.ANSWER_NOT_CUT):
            cut(body, plan)
    else:
        agree(cut(body, plan), wanted, slow)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_the_cut_and_its_reference_agree(case):
    resource, hidden, records, beside, body = case
    compare(body, resource, hidden, records, beside)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_error_bodies_and_their_reference_agree(case):
    resource, hidden, records, _, body = case
    wanted, slow = slow_cut_error(body, resource, seeing_all_but(hidden))
    made = cut_error(body, build_plan(resource, hidden, records=records))
    if wanted is None:
        assert made.body == b""
        assert (made.dropped, made.shown_fields, made.hidden_fields) == ({}, (), ())
    else:
        slow.records = 0
        agree(made, wanted, slow)


def reachable(value, steps):
    """Every scalar at or under a path."""
    if steps and steps[0] == EVERY:
        inner = [(item, steps[1:]) for item in value] if isinstance(value, list) else []
    elif steps:
        inner = (
            [(value[steps[0]], steps[1:])] if isinstance(value, dict) and steps[0] in value else []
        )
    elif isinstance(value, dict):
        inner = [(item, ()) for item in value.values()]
    elif isinstance(value, list):
        inner = [(item, ()) for item in value]
    else:
        return {value} if isinstance(value, str) and value != "-0" else set()
    return {scalar for item, rest in inner for scalar in reachable(item, rest)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
def test_no_value_of_a_hidden_field_remains(case):
    """Without any reference: follow the hidden paths in, look for the values in what is out."""
    resource, hidden, records, beside, body = case
    try:
        made = cut(body, build_plan(resource, hidden, records=records, beside=beside)).body
    except UpstreamError:
        return
    document = parse(body)
    ids = reachable(document, (*records.steps, *resource.id.steps)) if resource.id else set()
    for name in hidden - {UNMAPPED}:
        for path in resource.fields[name].paths:
            secrets = reachable(document, (*records.steps, *path.steps)) - ids
            assert not secrets & reachable(parse(made), ())


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases, st.data())
def test_a_damaged_body_is_refused_or_cut_but_nothing_else_happens(case, data):
    resource, hidden, records, beside, body = case
    at = data.draw(st.integers(0, len(body)))
    length = data.draw(st.integers(0, 3))
    junk = data.draw(
        st.sampled_from(
            (
                b"",
                b"\xff",
                b"\xed\xa0\x80",
                b"\\ud800",
                b"\\u12",
                b"\0",
                b",",
                b'"',
                b"}",
                b"{",
                b"[",
            )
        )
        | st.binary(max_size=2)
    )
    broken = body[:at] + junk + body[at + length :]
    compare(broken, resource, hidden, records, beside)
    cut_error(broken, build_plan(resource, hidden, records=records))
