"""The cut against its slow reference, on random resources, hidden sets and documents."""

import json
import os
from itertools import count
from random import Random

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

EXAMPLES = 500 * int(os.environ.get("SALON_FUZZ", "1"))

NAMES = ("id", "email", "Email", "contact", "phone", "メモ", "")
WIRE = (("data", ITEMS), ("data",), (ITEMS,), (), (ITEMS, ITEMS), ("page", "data", ITEMS))

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
SPACES = ("", "", "", " ", "\n\t ")


class Writer:
    """Everything of one case, from one seed.

    Hypothesis drawing each step and member by itself takes fifty times as long.
    """

    def __init__(self, seed):
        self.dice = Random(seed)  # noqa: S311  # test data
        self.numbers = count()

    def steps(self):
        rest = self.dice.choices((*NAMES[:5], ITEMS), k=self.dice.choice((0, 0, 1, 1, 2)))
        return (self.dice.choice(NAMES), *rest)

    def resource(self):
        fields = {}
        for name in "abcde"[: self.dice.randrange(6)]:
            paths = [self.steps() for _ in range(self.dice.choice((1, 1, 2)))]
            fields[name] = Field(
                name=name,
                paths=tuple(FieldPath(path, self.dice.random() < 0.25) for path in paths),
                field_class=self.dice.choice((None, "contact", "health")),
            )
        ids = [None, ("id",), ("id",)]
        for declared in fields.values():
            start = declared.paths[0].steps
            ids += [start, (*start, "id"), (*start, ITEMS, "id"), (*start, "email", "phone")]
        steps = self.dice.choice(ids)
        return Resource(
            name="client",
            sensitive=self.dice.random() < 0.7,
            id=None if steps is None else FieldPath(steps),
            fields=fields,
        )

    def some(self, names):
        """A random part of the names, often none or all."""
        share = self.dice.choice((0.0, 0.3, 0.6, 0.6, 1.0))
        return frozenset(name for name in names if self.dice.random() < share)

    def space(self):
        return self.dice.choice(SPACES)

    def name(self, name):
        """A member name on the wire, perhaps with its first letter escaped."""
        text = json.dumps(name, ensure_ascii=False)
        escape = name and self.dice.random() < 0.3
        return f'"\\u{ord(name[0]):04x}{text[2:]}' if escape else text

    def value(self, depth):
        kind = self.dice.randrange(10 if depth else 6)
        if kind == 0:
            return self.dice.choice(CONSTANTS)
        if kind <= 5:
            return self.dice.choice(SPELLINGS).format(n=next(self.numbers))
        if kind == 6:
            inner = [self.space() + self.value(depth - 1) for _ in range(self.dice.randrange(4))]
            return "[" + ",".join(inner) + self.space() + "]"
        return self.object(depth - 1)

    def object(self, depth):
        members = [
            self.space()
            + self.name(self.dice.choice((*NAMES, *NAMES, "[]", "other")))
            + self.space()
            + ":"
            + self.space()
            + self.value(depth)
            for _ in range(self.dice.randrange(7))
        ]
        return "{" + ",".join(members) + self.space() + "}"

    def answer(self, where):
        """A document in which records mostly stand where the route says."""
        if self.dice.random() < 0.03:
            return self.value(2)
        if not where:
            return self.object(3)
        if where[0] == ITEMS:
            inner = [self.answer(where[1:]) for _ in range(self.dice.randrange(4))]
            inner *= self.dice.choice((1, 1, 2))  # records of one shape
            return "[" + ",".join(inner) + "]"
        names = [where[0], *self.dice.choices(("total", "next", where[0]), k=2)]
        self.dice.shuffle(names)
        members = [
            f'"{name}":' + (self.answer(where[1:]) if name == where[0] else self.value(1))
            for name in names
        ]
        return "{" + ",".join(members) + "}"


def a_case(seed):
    writer = Writer(seed)
    resource = writer.resource()
    hidden = writer.some((*resource.fields, UNMAPPED))
    where = writer.dice.choice(WIRE)
    body = writer.space() + writer.answer(where) + writer.space()
    return resource, hidden, FieldPath(where), writer.some(("total", "next")), body.encode()


cases = st.integers(0, 2**64).map(a_case)


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
@given(cases)
def test_the_cut_and_its_reference_agree(case):
    resource, hidden, records, beside, body = case
    compare(body, resource, hidden, records, beside)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases)
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
