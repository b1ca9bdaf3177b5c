"""Which fields a body sends, and who may send them."""

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import Embed, Field, Resource
from gateway.masking.writes import fields_sent, read_body, require_json_body, require_writable


def a_resource(*, sensitive=True, record_id="id", **fields):
    """`phone="contact: phone contact.phone"`: class and paths, or paths only."""
    made = {}
    for name, text in fields.items():
        field_class, _, paths = text.rpartition(": ")
        made[name] = Field(
            name=name,
            paths=tuple(map(parse_field_path, paths.split())),
            field_class=field_class or None,
        )
    return Resource(
        name="client", sensitive=sensitive, id=parse_field_path(record_id), fields=made
    )


CLIENT = a_resource(
    name="name",
    phone="contact: phone contact.phone",
    channel="contact.channel",
    tags="tags",
    prefs="personal: prefs.**",
    notes="health: notes",
    lines="lines[].product",
    memo="health: lines[].memo",
)


def sent(text, resource=CLIENT):
    return fields_sent(read_body(text.encode()), resource, record="7")


def reason_of(call, *arguments, **named):
    with pytest.raises(RequestError) as caught:
        call(*arguments, **named)
    return caught.value.reason


# -- which fields --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{}", set()),
        ('{"id":7}', set()),
        ('{"id":7,"name":"x"}', {"name"}),
        ('{"phone":"1"}', {"phone"}),
        ('{"contact":{"phone":"1"}}', {"phone"}),
        ('{"contact":{"phone":"1","x":1}}', {"phone", "unmapped"}),
        ('{"tags":["a","b"]}', {"tags"}),
        ('{"Name":"x"}', {"unmapped"}),
        ('{"contact.phone":"1"}', {"unmapped"}),
        ('{"n\\u0061me":"x"}', {"name"}),
        ('{"prefs":{"a":{"b":[{}]}}}', {"prefs"}),
        ('{"prefs":null}', {"prefs"}),
    ],
)
def test_members_are_named_by_the_fields_whose_paths_they_stand_at(text, fields):
    assert sent(text) == fields


@pytest.mark.parametrize("value", ["null", '"x"', "1", "{}", "[]", '[{"phone":"1"}]'])
def test_what_replaces_a_branch_touches_every_field_below_it(value):
    assert sent(f'{{"contact":{value}}}') == {"phone", "channel", "unmapped"}


@pytest.mark.parametrize("value", ["[]", '[{"product":"x"}]'])
def test_an_array_replaces_the_fields_of_all_its_items(value):
    assert sent(f'{{"lines":{value}}}') == {"lines", "memo"}


def test_undeclared_members_of_items_are_unmapped():
    assert sent('{"lines":[{"product":"x"},{"price":1}]}') == {"lines", "memo", "unmapped"}
    assert sent('{"lines":{"product":"x"}}') == {"lines", "memo", "unmapped"}


@pytest.mark.parametrize("value", ['{"first":"x"}', "{}", '[{"a":1}]', "[[1]]"])
def test_an_object_at_a_leaf_is_that_field_and_unmapped(value):
    assert sent(f'{{"name":{value}}}') == {"name", "unmapped"}


@pytest.mark.parametrize("other", ["8", '{"name":"x"}', '["7"]', "true", "7.0", "null", '"07"'])
def test_an_id_that_is_not_the_addresss_is_refused(other):
    assert reason_of(sent, f'{{"id":{other}}}') is Reason.BODY_INVALID


@pytest.mark.parametrize("same", ["7", '"7"'])
def test_the_id_of_the_address_may_be_repeated(same):
    assert sent(f'{{"id":{same}}}') == set()


def test_an_id_where_the_address_names_none_is_unmapped():
    assert fields_sent(read_body(b'{"id":8,"name":"x"}'), CLIENT) == {"name", "unmapped"}


def test_writing_inside_a_whole_subtree_writes_the_subtree_too():
    resource = a_resource(prefs="prefs.**", phone="contact: prefs.phone")
    assert sent('{"prefs":{"phone":"1","x":1}}', resource) == {"prefs", "phone"}
    assert sent('{"prefs":null}', resource) == {"prefs", "phone"}


def test_what_a_whole_subtree_covers_is_not_unmapped_at_any_depth():
    resource = a_resource(prefs="prefs.**", phone="contact: prefs.call.phone")
    assert sent('{"prefs":{"call":{"hours":9}}}', resource) == {"prefs"}


def test_the_id_of_the_address_is_ignored_also_where_a_field_shares_its_path():
    assert sent('{"id":7}', a_resource(number="id")) == set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'[{"name":"x"}]',
        b'"name"',
        b"null",
        b'{"name":"a","name":"b"}',
        b'{"contact":{"phone":1,"ph\\u006fne":2}}',
        b'{"visits":NaN}',
        b'{"name":"x"} {"notes":"y"}',
        b'\xef\xbb\xbf{"name":"x"}',
        '{"name":"x"}'.encode("utf-16"),
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' * 100_000,
        b"name=x&notes=y",
    ],
)
def test_anything_but_one_strict_object_is_refused(body):
    assert reason_of(read_body, body) is Reason.BODY_INVALID


# -- masks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mask",
    [
        "***",
        "********",
        "•••",
        "●●●●",
        "xxx-xxxx",
        "XXX",
        "***@***.***",
        " *** ",
        "＊＊＊",
        "+** ****",
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        '{{"phone":"{}"}}',
        '{{"contact":{{"phone":"{}"}}}}',
        '{{"contact":"{}"}}',
        '{{"notes":["fine","{}"]}}',
        '{{"notes":{{"a":"{}"}}}}',
        '{{"prefs":{{"a":[{{"b":"{}"}}]}}}}',
        '{{"lines":[{{"memo":"{}"}}]}}',
    ],
)
def test_a_mask_is_not_written_over_a_field_of_a_class(mask, body):
    assert reason_of(sent, body.format(mask)) is Reason.BODY_INVALID


def test_a_mask_beside_declared_members_of_a_whole_subtree_is_found():
    resource = a_resource(prefs="personal: prefs.**", channel="prefs.call.channel")
    for text in ('{"prefs":{"x":"***"}}', '{"prefs":{"call":{"x":["***"],"channel":"line"}}}'):
        assert reason_of(sent, text, resource) is Reason.BODY_INVALID


@pytest.mark.parametrize(
    "text", ["", "**", "xx", "x", "--- ", "+81-90-0000-0000", "max", "*** allergy ***", "***1234"]
)
def test_a_value_that_only_looks_a_little_like_a_mask_is_a_value(text):
    assert sent(f'{{"notes":"{text}"}}') == {"notes"}


def test_fields_without_a_class_may_hold_asterisks():
    assert sent('{"name":"***","tags":["***"]}') == {"name", "tags"}


# -- may they? -----------------------------------------------------------------------------


def write(*names, hidden=(), unwritable=(), method="PATCH", resource=CLIENT):
    require_writable(
        frozenset(names),
        hidden=frozenset(hidden),
        unwritable=frozenset(unwritable),
        method=method,
        resource=resource,
    )


def test_what_may_not_be_written_is_refused_by_name():
    with pytest.raises(RequestError) as caught:
        write("phone", "name", "notes", unwritable=("notes", "phone", "unmapped"))
    assert caught.value.reason is Reason.FIELD_NOT_WRITABLE
    assert caught.value.detail == "You may not write: `notes`, `phone`."


def test_undeclared_members_need_unmapped():
    write("name", unwritable=["unmapped"], method="POST")
    reason = reason_of(write, "unmapped", unwritable=["unmapped"], method="POST")
    assert reason is Reason.FIELD_NOT_WRITABLE


def test_a_put_by_someone_with_hidden_fields_would_destroy_them():
    for method in ("POST", "PATCH"):
        write("name", hidden=["notes"], method=method)
    assert reason_of(write, "name", hidden=["notes"], method="PUT") is Reason.OVERWRITES_HIDDEN


def test_a_put_is_fine_for_those_who_see_everything():
    write("name", method="PUT")


def test_hidden_undeclared_members_forbid_a_put_on_sensitive_resources_only():
    page = a_resource(sensitive=False, name="name")
    write("name", hidden=["unmapped"], method="PUT", resource=page)
    assert reason_of(write, "name", hidden=["unmapped"], method="PUT") is Reason.OVERWRITES_HIDDEN


# -- records inside records ------------------------------------------------------------------

BOOKING = Resource(
    name="booking",
    id=parse_field_path("id"),
    fields={"when": Field(name="when", paths=(parse_field_path("when"),))},
    embeds={
        "client": Embed(path=parse_field_path("client"), resource="client"),
        "guests": Embed(path=parse_field_path("party.guests[]"), resource="client"),
    },
)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"client":{"name":"x","phone":"***"}}', {"client"}),
        ('{"client":null}', {"client"}),
        ('{"client":7,"when":"x"}', {"client", "when"}),
        ('{"party":{"guests":[{"name":"x"}]}}', {"guests"}),
        ('{"party":{"guests":[]}}', {"guests"}),
        ('{"party":{"guests":7}}', {"guests", "unmapped"}),
        ('{"party":null}', {"guests", "unmapped"}),
        ('{"party":{"size":2}}', {"unmapped"}),
        ('{"client_id":7}', {"unmapped"}),
    ],
)
def test_a_record_inside_is_sent_by_its_embeds_name_whatever_stands_there(text, fields):
    assert sent(text, BOOKING) == fields


def test_nobody_may_send_a_record_inside_another():
    with pytest.raises(RequestError) as caught:
        write("client", "guests", "when", resource=BOOKING)
    assert caught.value.reason is Reason.FIELD_NOT_WRITABLE
    assert "send it to its own address: `client`, `guests`" in caught.value.detail
    write("when", resource=BOOKING)


# -- content types -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["application/json", "application/json; charset=utf-8", "application/merge-patch+json"],
)
def test_json_and_merge_patches_may_be_sent(value):
    require_json_body((("Content-Type", value),))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Type", "multipart/form-data; boundary=x")],
        [("Content-Type", "application/json-patch+json")],
        [("Content-Type", "Application/JSON-Patch+JSON; charset=utf-8")],
        [("Content-Type", "application/json; charset=utf-7")],
        [("Content-Type", "application/json"), ("Content-Type", "text/plain")],
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
    ],
)
def test_other_bodies_are_refused(headers):
    assert reason_of(require_json_body, tuple(headers)) is Reason.CONTENT_TYPE_REFUSED
