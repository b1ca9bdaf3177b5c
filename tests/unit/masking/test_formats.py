"""One way to cut a whole answer."""

import pytest

from gateway.domain.fieldpath import parse_field_path
from gateway.domain.http import Format
from gateway.domain.resource import Field, Resource
from gateway.masking.formats import cut_as_steps
from gateway.masking.plan import build_plan

NOTE = Resource(
    name="note",
    id=parse_field_path("id"),
    fields={"text": Field(name="text", paths=(parse_field_path("text"),))},
)
COLUMNS = {"ID": parse_field_path("id"), "Text": parse_field_path("text")}


def cut_as(wanted, body):
    plan = build_plan(NOTE, frozenset({"text", "unmapped"}), records=parse_field_path("[]"))
    steps = cut_as_steps(wanted, body, plan, columns=COLUMNS)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value.body


def test_each_format_is_cut_as_what_it_is():
    assert cut_as(Format.JSON, b'[{"id":1,"text":2}]') == b'[{"id":1}]'
    assert cut_as(Format.NDJSON, b'{"id":1,"text":2}') == b'{"id":1}\n'
    assert cut_as(Format.CSV, b"ID,Text\n1,2") == b"ID\r\n1\r\n"


def test_a_stream_of_events_is_never_cut_as_a_whole():
    with pytest.raises(ValueError, match="as it flows"):
        cut_as(Format.EVENTS, b"data: 1\n\n")
