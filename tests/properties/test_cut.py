"""The cut against its slow reference, on random resources, hidden sets and documents."""

import json
import os
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.masking.cut import cut, cut_error
from gateway.masking.plan import build_plan
from tests.oracles.slow_cut import EVERY, RefusedError, parse, slow_cut, slow_cut_error

EXAMPLES = 120 * int(os.environ.get("SALON_FUZZ", "1"))

NAMES = ("id", "email", "Email", "contact", "phone", "メモ", "")
WIRE = (("data", ITEMS), ("data",), (ITEMS,), (), (ITEMS, ITEMS), ("page", "data", ITEMS))

steps = st.builds(
    lambda first, rest: (first, *rest),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from((*NAMES[:5], ITEMS)), max_size=2),
)
paths = st.builds(FieldPath, steps, st.booleans() | st.just(value=False))


@st.composite
def resources(draw):
    declared = draw(
        st.dictionaries(st.sampled_from("abcde"), st.lists(paths, min_size=1, max_size=2))
    )
    return Resource(
        name="client",
        sensitive=draw(st.booleans()),
        id=draw(st.none() | st.just(FieldPath(("id",))) | st.builds(FieldPath, steps)),
        fields={
            name: Field(
                name=name,
                paths=tuple(where),
                field_class=draw(st.sampled_from((None, "contact", "health"))),
            )
            for name, where in declared.items()
        },
    )


# Every scalar is unlike every other, so that one that slipped through can be recognised.
SPELLINGS = (
    '"<{n:04}>"',
    '"see [1] {{ <{n:04}> \\u00e9\\ud83d\\ude00 ]"',
    '"\\"<{n:04}>\\\\"',
    '"佐藤<{n:04}>"',
    "-0.{n:04}0",
    "9{n:022}",
    "1.0{n:04}0e400",
    "1E+{n}",
)
CONSTANTS = ("null", "true", "false", "-0")
SPACE = st.sampled_from(("", "", "", " ", "\n\t "))


def spelled(name, escape):
    """A member name on the wire, perhaps with its first letter escaped."""
    text = json.dumps(name, ensure_ascii=False)
    return f'"\\u{ord(name[0]):04x}{text[2:]}' if escape and name else text


@st.composite
def values(draw, numbers, depth):
    kind = draw(st.integers(0, 9 if depth else 5))
    if kind == 0:
        return draw(st.sampled_from(CONSTANTS))
    if kind <= 5:
        return draw(st.sampled_from(SPELLINGS)).format(n=next(numbers))
    if kind == 6:
        inner = [draw(values(numbers, depth - 1)) for _ in range(draw(st.integers(0, 3)))]
        return "[" + ",".join(draw(SPACE) + item for item in inner) + draw(SPACE) + "]"
    return draw(objects(numbers, depth - 1))


@st.composite
def objects(draw, numbers, depth):
    names = draw(st.lists(st.sampled_from((*NAMES, "[]", "other")), max_size=6))
    members = [
        draw(SPACE)
        + spelled(name, draw(st.booleans()))
        + draw(SPACE)
        + ":"
        + draw(SPACE)
        + draw(values(numbers, depth))
        for name in names
    ]
    return "{" + ",".join(members) + draw(SPACE) + "}"


@st.composite
def answers(draw, where, numbers):
    """A document in which records mostly stand where the route says."""
    if draw(st.integers(0, 30)) == 0:
        return draw(values(numbers, 2))
    if not where:
        return draw(objects(numbers, 3))
    if where[0] == ITEMS:
        inner = [draw(answers(where[1:], numbers)) for _ in range(draw(st.integers(0, 3)))]
        return "[" + ",".join(inner) + "]"
    beside = draw(st.lists(st.sampled_from(("total", "next", where[0])), max_size=2))
    members = [f'"{name}":{draw(values(numbers, 1))}' for name in beside]
    members.insert(
        draw(st.integers(0, len(members))), f'"{where[0]}":{draw(answers(where[1:], numbers))}'
    )
    return "{" + ",".join(members) + "}"


@st.composite
def cases(draw):
    resource = draw(resources())
    hidden = draw(st.frozensets(st.sampled_from((*resource.fields, UNMAPPED))))
    where = draw(st.sampled_from(WIRE))
    body = draw(SPACE) + draw(answers(where, count())) + draw(SPACE)
    beside = draw(st.frozensets(st.sampled_from(("total", "next"))))
    return resource, hidden, FieldPath(where), beside, body.encode()


def same(made, wanted):
    """Equal values in equal spelling and equal order."""
    if isinstance(wanted, dict):
        return (
            isinstance(made, dict)
            and list(made) == list(wanted)
            and all(same(made[name], wanted[name]) for name in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(made, list) and len(made) == len(wanted) and all(map(same, made, wanted))
    return type(made) is type(wanted) and made == wanted


def agree(made, wanted, slow):
    assert same(parse(made.body), wanted)
    assert made.dropped == dict(slow.dropped)
    assert made.records == slow.records
    assert made.hidden_fields == tuple(sorted(slow.hid))
    assert made.shown_fields == tuple(sorted(slow.shown))


def compare(body, resource, hidden, records, beside):
    plan = build_plan(resource, hidden, records=records, beside=beside)
    try:
        wanted, slow = slow_cut(body, resource, hidden, records, beside)
    except RefusedError:
        with pytest.raises(UpstreamError, match=Reason.ANSWER_NOT_CUT):
            cut(body, plan)
    else:
        agree(cut(body, plan), wanted, slow)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_the_cut_and_its_reference_agree(case):
    resource, hidden, records, beside, body = case
    compare(body, resource, hidden, records, beside)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_error_bodies_and_their_reference_agree(case):
    resource, hidden, records, _, body = case
    wanted, slow = slow_cut_error(body, resource, hidden)
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
@given(cases())
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
@given(cases(), st.data())
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
