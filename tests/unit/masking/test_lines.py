"""NDJSON, cut line by line."""

import pytest

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.http import Format
from gateway.domain.reason import Reason
from gateway.domain.resource import Field, Resource
from gateway.masking.formats import cut_as_steps
from gateway.masking.plan import build_plan

CLIENT = Resource(
    name="client",
    id=parse_field_path("id"),
    fields={
        name: Field(name=name, paths=(parse_field_path(name),), field_class=field_class)
        for name, field_class in (("name", None), ("email", "contact"), ("tags", None))
    },
)
PLAN = build_plan(CLIENT, frozenset({"email", "unmapped"}), records=parse_field_path("[]"))


def cut_lines(body):
    steps = cut_as_steps(Format.NDJSON, body, PLAN)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def refused(body):
    with pytest.raises(UpstreamError) as caught:
        cut_lines(body)
    return caught.value.reason is Reason.ANSWER_NOT_CUT


def test_every_line_is_cut_and_what_stays_keeps_its_bytes():
    made = cut_lines(b'{"id":1, "email":"e","name":"\\u7f8e"}\r\n{"tags":[1, -0.10]}\n{"x":1}')
    assert made.body == b'{"id":1,"name":"\\u7f8e"}\n{"tags":[1, -0.10]}\n{}\n'
    assert (made.records, made.dropped) == (3, {"contact": 1, "unmapped": 1})


def test_a_last_line_end_is_optional_and_no_records_are_no_lines():
    assert cut_lines(b'{"id":1}').body == cut_lines(b'{"id":1}\n').body == b'{"id":1}\n'
    assert cut_lines(b"").body == b""


def test_many_lines_are_cut_in_steps():
    steps = cut_as_steps(Format.NDJSON, b'{"id":1}\n' * 5_000, PLAN)
    assert sum(1 for _ in steps) >= 4


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1}{"id":2}',
        b'{"id":1},{"id":2}',
        b'{"id":1} {"id":2}\n',
        b'{"id":\n1}\n',
        b'[{"id":1}]\n',
        b'[{"id":1}\n{"id":2}]\n',
        b'{"id":1}\n\n{"id":2}\n',
        b"\n",
        b" \n",
        b'{"id":\r1}\n',
        b'{"id":1}\r{"id":2}\n',
        b'{"id":1}\r\r\n',
        b"1\n",
        b"null\n",
        b'"x"\n',
        b'{"id":1}\n{"id":',
        b'\xef\xbb\xbf{"id":1}\n',
        b'\x1e{"id":1}\n',
        b'{"id":NaN}\n',
        b'{"name":"\xff"}\n',
        b'{"id":1}\n' + b'{"a":' * 100_000,
    ],
)
def test_what_is_not_one_object_a_line_is_refused(body):
    assert refused(body)


def test_letters_that_some_readers_take_for_line_ends_are_letters():
    body = '{"name":"a\u2028\u2029\x85b"}\n'.encode()
    assert cut_lines(body).body == body
