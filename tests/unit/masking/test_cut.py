"""Bytes in, bytes out: what stays, what leaves, what is counted, what is refused."""

import json

import pytest

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import Field, Resource
from gateway.masking.cut import cut, cut_error
from gateway.masking.mediatype import json_media_type
from gateway.masking.plan import build_plan
from gateway.masking.walk import BATCH

CLIENT = (
    ("name", None, "name"),
    ("phone", "contact", "phone contact.phone"),
    ("email", "contact", "email"),
    ("notes", "health", "notes"),
    ("tags", None, "tags"),
    ("visits", None, "visits"),
)
STYLIST_HIDES = ("phone", "email", "notes", "unmapped")


def a_resource(*fields, sensitive=True):
    return Resource(
        name="client",
        sensitive=sensitive,
        id=parse_field_path("id"),
        fields={
            name: Field(
                name=name,
                field_class=field_class,
                paths=tuple(map(parse_field_path, paths.split())),
            )
            for name, field_class, paths in fields
        },
    )


def a_plan(*hidden, records="", beside=(), fields=CLIENT, sensitive=True):
    return build_plan(
        a_resource(*fields, sensitive=sensitive),
        frozenset(hidden),
        records=parse_field_path(records),
        beside=frozenset(beside),
    )


def cut_text(text, plan):
    return cut(text.encode(), plan)


def refused(body, plan):
    with pytest.raises(UpstreamError) as caught:
        cut(body, plan)
    return caught.value.reason is Reason.ANSWER_NOT_CUT


# -- records -----------------------------------------------------------------------------


def test_hidden_fields_leave_wherever_they_stand_and_are_counted_by_class():
    made = cut_text(
        '{"id":7,"phone":"1","email":"e","contact":{"phone":"1","preferred":"line"},'
        '"notes":"n","consents":{"x":true},"name":"美咲"}',
        a_plan(*STYLIST_HIDES),
    )
    assert made.body == '{"id":7,"name":"美咲"}'.encode()
    assert made.dropped == {"contact": 3, "unmapped": 2, "health": 1}
    assert made.hidden_fields == ("email", "notes", "phone")
    assert made.shown_fields == ("name",)
    assert made.records == 1


def test_what_stays_keeps_its_bytes_and_its_order():
    made = cut_text(
        '[ {"visits" : -0.10 ,\n "email":1, "name":"\\u7f8e\\/", "id":12345678901234567890123} ]',
        a_plan(*STYLIST_HIDES, records="[]"),
    )
    assert made.body == rb'[{"visits":-0.10,"name":"\u7f8e\/","id":12345678901234567890123}]'


def test_only_what_was_there_is_reported_as_hidden_or_shown():
    made = cut_text('{"id":7,"email":null}', a_plan(*STYLIST_HIDES))
    assert (made.hidden_fields, made.shown_fields) == (("email",), ())


def test_a_list_longer_than_a_batch_is_cut_to_its_end():
    many = 3 * BATCH + 1
    body = json.dumps([{"id": n, "email": "e", "name": f"n{n}"} for n in range(many)])
    made = cut_text(body, a_plan(*STYLIST_HIDES, records="[]"))
    assert json.loads(made.body) == [{"id": n, "name": f"n{n}"} for n in range(many)]
    assert made.records == many
    assert made.dropped == {"contact": many}


def test_records_of_different_shapes_in_one_list_are_each_cut():
    made = cut_text(
        '[{"id":1,"email":1},{"email":2,"id":2},{"id":3},{},{"name":"x","x":1}]',
        a_plan(*STYLIST_HIDES, records="[]"),
    )
    assert made.body == b'[{"id":1},{"id":2},{"id":3},{},{"name":"x"}]'
    assert made.dropped == {"contact": 2, "unmapped": 1}


def test_owners_see_everything_also_undeclared_members():
    text = '{"id":7,"email":{"work":"e"},"new":[[1]],"contact":{"phone":"1","x":null}}'
    made = cut_text(text, a_plan())
    assert made.body == text.encode()
    assert made.dropped == {}
    assert made.shown_fields == ("email", "phone")


def test_a_resource_that_is_not_sensitive_loses_hidden_fields_only():
    made = cut_text('{"id":7,"email":1,"new":{"a":1}}', a_plan("email", sensitive=False))
    assert made.body == b'{"id":7,"new":{"a":1}}'


# -- leaves and branches -------------------------------------------------------------------


def test_an_array_of_scalars_is_a_leaf_value():
    made = cut_text('{"tags":["a",1,null]}', a_plan(*STYLIST_HIDES))
    assert made.body == b'{"tags":["a",1,null]}'


@pytest.mark.parametrize(
    "value",
    ['{"a":1}', "{}", '[{"a":1}]', "[[1]]", "[1,[2]]", "[1, [2]]", "[1,\n[2]]", "[[]]"],
)
@pytest.mark.parametrize("beside", ["", '"visits":"{[","tags":[" [",",["],'])
def test_an_object_or_nested_array_at_a_leaf_is_unmapped(value, beside):
    """Also where other leaves hold text with brackets in it."""
    made = cut_text(f'[{{{beside}"name":{value},"id":1}}]', a_plan(*STYLIST_HIDES, records="[]"))
    assert made.body == f'[{{{beside}"id":1}}]'.encode()
    assert made.dropped == {"unmapped": 1}
    assert "name" not in made.shown_fields


def test_a_leaf_that_holds_an_object_in_one_record_still_shows_in_the_next():
    made = cut_text('[{"name":{"x":1}},{"name":"b"}]', a_plan(*STYLIST_HIDES, records="[]"))
    assert made.body == b'[{},{"name":"b"}]'
    assert made.shown_fields == ("name",)


def test_an_object_at_a_hidden_leaf_leaves_as_that_field():
    made = cut_text('{"email":{"work":"e"}}', a_plan("email"))
    assert made.body == b"{}"
    assert made.dropped == {"contact": 1}


def test_a_whole_subtree_stays_except_what_is_hidden_in_it():
    fields = (("prefs", None, "prefs.**"), ("phone", "contact", "prefs.call.phone"))
    text = '{"prefs":{"a":{"b":[{"c":1}]},"call":{"phone":"1","hours":[9,[10]]}}}'
    made = cut_text(text, a_plan("phone", "unmapped", fields=fields))
    assert made.body == b'{"prefs":{"a":{"b":[{"c":1}]},"call":{"hours":[9,[10]]}}}'
    assert made.shown_fields == ("prefs",)


def test_a_branch_of_an_unannounced_shape_never_stays_over_a_hidden_field():
    for value in ('[{"phone":"1"}]', '"1"', "null", '[["1"]]'):
        for plan in (a_plan("phone"), a_plan("phone", sensitive=False)):
            made = cut_text(f'{{"contact":{value},"id":1}}', plan)
            assert made.body == b'{"id":1}'
            assert made.dropped == {"unmapped": 1}


def test_null_in_place_of_a_branch_stays_if_all_of_it_may_be_seen():
    made = cut_text('{"contact":null}', a_plan("email", "unmapped"))
    assert made.body == b'{"contact":null}'
    assert cut_text('{"contact":"1"}', a_plan("email", "unmapped")).body == b"{}"


def test_items_of_arrays_are_cut_one_by_one():
    fields = (
        ("when", None, "history[].when"),
        ("memo", "health", "history[].memo"),
        ("grid", None, "grid[][]"),
    )
    made = cut_text(
        '{"history":[{"when":"a","memo":"s"},{"memo":"s"},"s",null,[{"when":"b"}]],'
        '"grid":[[1,{"s":1}],2]}',
        a_plan("memo", "unmapped", fields=fields),
    )
    assert made.body == b'{"history":[{"when":"a"},{}],"grid":[[1]]}'
    assert made.dropped == {"health": 2, "unmapped": 5}


def test_a_branch_with_nothing_left_leaves_whole_and_reports_what_was_in_it():
    fields = (("phone", "contact", "contact.phone"), ("memo", "health", "log[].memo"))
    made = cut_text(
        '{"id":1,"contact":{"phone":"1"},"log":[{"memo":"s"},{"memo":"t"}]}',
        a_plan("phone", "memo", "unmapped", fields=fields),
    )
    assert made.body == b'{"id":1}'
    assert made.dropped == {"contact": 1, "health": 2}


def test_a_barren_branch_does_not_vouch_for_an_object_at_a_leaf():
    """One object read but not written, one written but not read: the sum is right, the
    record is not.
    """
    fields = (("phone", "contact", "contact.phone"), ("name", None, "name"))
    made = cut_text(
        '{"contact":{"phone":"1"},"name":{"secret":1}}',
        a_plan("phone", "unmapped", fields=fields),
    )
    assert made.body == b"{}"


def test_the_id_stays_under_a_hidden_branch():
    resource = Resource(
        name="message",
        id=parse_field_path("client.id"),
        fields={"client": Field(name="client", paths=(parse_field_path("client.**"),))},
    )
    plan = build_plan(resource, frozenset({"client"}), records=parse_field_path(""))
    assert cut(b'{"client":{"id":7,"name":"x"}}', plan).body == b'{"client":{"id":7}}'
    for value in (b'"x"', b"null", b'[{"id":7}]', b'["x"]'):
        assert cut(b'{"client":' + value + b"}", plan).body == b"{}"


# -- envelopes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "text", "wanted"),
    [
        ("[]", '[{"id":1,"email":1}]', '[{"id":1}]'),
        ("data[]", '{"data":[{"id":1,"email":1}]}', '{"data":[{"id":1}]}'),
        ("data", '{"data":{"id":1,"email":1}}', '{"data":{"id":1}}'),
        ("page.rows[]", '{"page":{"rows":[{"email":1}]}}', '{"page":{"rows":[{}]}}'),
        ("[][]", '[[{"email":1}],[]]', "[[{}],[]]"),
        ("data[].client", '{"data":[{"client":{"email":1}}]}', '{"data":[{"client":{}}]}'),
        ("[]", "[]", "[]"),
    ],
)
def test_records_are_found_where_the_adapter_says(records, text, wanted):
    assert cut_text(text, a_plan(*STYLIST_HIDES, records=records)).body == wanted.encode()


def test_beside_the_records_only_named_scalars_stay():
    plan = a_plan(*STYLIST_HIDES, records="data[]", beside=("total", "meta"))
    made = cut_text(
        '{"total":9,"data":[{"id":1}],"meta":{"q":"090"},"next":"/?phone=1","links":[]}', plan
    )
    assert made.body == b'{"total":9,"data":[{"id":1}]}'
    assert made.dropped == {"unmapped": 3}


def test_side_loaded_records_leave_even_if_undeclared_members_are_visible():
    plan = a_plan("email", records="data[]")
    assert cut_text('{"data":[],"included":[{"email":1}]}', plan).body == b'{"data":[]}'


def test_the_envelope_stays_as_it_is_for_those_from_whom_nothing_is_hidden():
    text = '{"data":[{"id":1}],"links":{"next":"/2"}}'
    assert cut_text(text, a_plan(records="data[]")).body == text.encode()


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ("", "[]"),
        ("", "null"),
        ("", '"text"'),
        ("[]", '{"id":1}'),
        ("[]", "[1]"),
        ("[]", '[{"id":1},null]'),
        ("[]", "[[]]"),
        ("data[]", "[]"),
        ("data[]", "{}"),
        ("data[]", '{"data":null}'),
        ("data[]", '{"data":{"id":1}}'),
        ("data[]", '{"error":"no such client"}'),
        ("data", '{"data":[{"id":1}]}'),
        ("page.rows[]", '{"page":[]}'),
    ],
)
def test_another_shape_than_the_adapters_is_refused(records, text):
    assert refused(text.encode(), a_plan(*STYLIST_HIDES, records=records))
    assert refused(text.encode(), a_plan(records=records))


def test_a_refusal_carries_nothing_of_the_body():
    with pytest.raises(UpstreamError) as caught:
        cut(b'{"email":"kept-secret\xff"}', a_plan())
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


# -- errors --------------------------------------------------------------------------------


def test_of_an_error_body_only_declared_visible_members_stay():
    made = cut_error(
        b'{"detail":"client 090 exists","email":["taken: a@b.example"],"name":["too long"]}',
        a_plan(*STYLIST_HIDES, records="data[]"),
    )
    assert made.body == b'{"name":["too long"]}'
    assert made.dropped == {"unmapped": 1, "contact": 1}
    assert made.records == 0


def test_undeclared_members_of_an_error_leave_even_where_unmapped_is_visible():
    assert cut_error(b'{"detail":"a@b.example exists"}', a_plan("email")).body == b"{}"
    text = b'{"detail":"a@b.example exists"}'
    assert cut_error(text, a_plan("email", sensitive=False)).body == b"{}"
    assert cut_error(text, a_plan()).body == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<h1>DoesNotExist at /clients/7</h1>",
        b'["client 090 exists"]',
        b'"a@b.example exists"',
        b"null",
        b'{"name":"x"',
        b'{"name":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_an_error_body_that_is_no_json_object_becomes_empty(body):
    for plan in (a_plan(*STYLIST_HIDES), a_plan()):
        assert cut_error(body, plan).body == b""


# -- content types -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "application/json")],
        [("content-type", "Application/JSON; charset=UTF-8")],
        [("Content-Type", 'application/json;charset="utf-8"')],
        [("Content-Type", "application/json; odata.metadata=minimal")],
        [("Content-Type", "application/json;")],
        [("Content-Type", "application/hal+json")],
        [("Content-Type", "application/vnd.api+json ; a=b ; charset=utf-8 ")],
        [("Content-Type", "application/json"), ("Content-Encoding", "identity")],
    ],
)
def test_these_say_that_they_are_json(headers):
    assert json_media_type(tuple(headers)) is not None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Content-Type", "")],
        [("Content-Type", "text/html")],
        [("Content-Type", "text/json")],
        [("Content-Type", "application/jsonp")],
        [("Content-Type", "application/x-ndjson")],
        [("Content-Type", "application/json-seq")],
        [("Content-Type", "application/+json")],
        [("Content-Type", "application/json, text/html")],
        [("Content-Type", "application/json; charset=utf-16")],
        [("Content-Type", "application/json; charset=shift_jis; charset=utf-8")],
        [("Content-Type", "application/json; charset=utf-8; charset=utf-8")],
        [("Content-Type", "application/json; charset")],
        [("Content-Type", 'application/json; charset="utf-8')],
        [("Content-Type", "application/json"), ("content-type", "application/json")],
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
        [("Content-Type", "application/json"), ("Content-Encoding", "identity, gzip")],
        [("Content-Type", "application/json"), ("Content-Encoding", "")],
    ],
)
def test_these_do_not(headers):
    assert json_media_type(tuple(headers)) is None
