"""Answers made to smuggle a hidden value past the cut, or to break it.

The reader of these answers is the stylist's phone; `email`, `phone` and undeclared members
are hidden from it. Each body carries the secret in some disguise.
"""

import json

import pytest

from gateway.domain.errors import GatewayError, UpstreamError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import Field, Resource
from gateway.masking.cut import cut, cut_error
from gateway.masking.plan import build_plan

SECRET = "a-secret"
DECLARED = {
    "name": "name",
    "email": "email",
    "phone": "phone contact.phone",
    "channel": "contact.channel",
    "tags": "tags",
    "visits": "visits",
}
CLIENT = Resource(
    name="client",
    id=parse_field_path("id"),
    fields={
        name: Field(name=name, paths=tuple(map(parse_field_path, paths.split())))
        for name, paths in DECLARED.items()
    },
)


def a_plan(records="", *hidden):
    return build_plan(
        CLIENT,
        frozenset(hidden or ("email", "phone", "unmapped")),
        records=parse_field_path(records),
    )


def cut_bytes(body, records=""):
    return cut(body, a_plan(records)).body


def is_refused(body, records=""):
    with pytest.raises(GatewayError) as caught:
        cut(body, a_plan(records))
    assert isinstance(caught.value, UpstreamError)
    assert caught.value.reason is Reason.ANSWER_NOT_CUT
    assert SECRET not in str(caught.value)
    return True


@pytest.mark.parametrize(
    "members",
    [
        '"email":"a-secret"',
        '"email":"x","email":"a-secret"',
        '"email":"a-secret","email":"x"',
        '"e\\u006dail":"a-secret"',
        '"\\u0065\\u006D\\u0061\\u0069\\u006c":"a-secret"',
        '"email":"x","e\\u006dail":"a-secret"',
        '"Email":"a-secret"',
        '"EMAIL":"a-secret"',
        '"email ":"a-secret"',
        '" email":"a-secret"',
        '"email\\u0000":"a-secret"',
        '"e\u200bmail":"a-secret"',
        '"ｅmail":"a-secret"',
        '"email_":"a-secret"',
        '"a-secret":1',
        '"":"a-secret"',
        '"contact.phone":"a-secret"',
        '"email":{"a":"a-secret"}',
        '"email":["a-secret"]',
        '"email":[["a-secret"]]',
        '"name":{"email":"a-secret"}',
        '"name":[{"email":"a-secret"}]',
        '"name":[["a-secret"]]',
        '"name":["x",\t["a-secret"]]',
        '"name":["x",\r\n[{"a":"a-secret"}]]',
        '"tags":["x",{"email":"a-secret"}]',
        '"visits":{"$numberLong":"a-secret"}',
        '"id":{"email":"a-secret"}',
        '"contact":{"phone":"a-secret"}',
        '"contact":{"phone":"x","ph\\u006fne":"a-secret"}',
        '"contact":{"contact":{"phone":"a-secret"}}',
        '"contact":{"phone":"x"},"contact":{"phone":"a-secret"}',
        '"contact":[{"phone":"a-secret"}]',
        '"contact":[[{"phone":"a-secret"}]]',
        '"contact":"a-secret"',
        '"contact":{"channel":{"phone":"a-secret"}}',
        '"contact":{"channel":[["a-secret"]]}',
        '"__proto__":{"email":"a-secret"}',
        '"[]":"a-secret"',
    ],
)
def test_no_disguise_of_a_member_brings_the_secret_out(members):
    record = f'{{"id":1,{members},"visits":3}}'
    for records, text in (
        ("", record),
        ("[]", f"[{record}]"),
        # With text in other leaves that a count of brackets could trip over.
        ("[]", f'[{record},{{"name":"}}] {{ [","tags":["[",",["," ["]}}]'),
        ("data[]", f'{{"data":[{record}]}}'),
    ):
        made = cut_bytes(text.encode(), records)
        assert SECRET.encode() not in made
        json.loads(made)
    assert SECRET.encode() not in cut_error(record.encode(), a_plan()).body


@pytest.mark.parametrize(
    "text",
    [
        '{"data":[],"data2":"a-secret"}',
        '{"data":[],"included":[{"email":"a-secret"}]}',
        '{"data":[{"email":"a-secret"}],"data":[]}',
        '{"data":[],"d\\u0061ta":[{"email":"a-secret"}]}',
        '{"a-secret":1,"data":[]}',
    ],
)
def test_nothing_leaves_beside_the_records(text):
    assert SECRET.encode() not in cut_bytes(text.encode(), "data[]")


@pytest.mark.parametrize(
    "number",
    ["-0", "0.10", "1e400", "-1E-999", "1.0e+0", "12345678901234567890123", "9" * 5_000, "-0.0"],
)
def test_numbers_keep_their_spelling(number):
    text = f'{{"id":{number},"visits":[{number}]}}'.encode()
    assert cut_bytes(text) == text


@pytest.mark.parametrize(
    "string",
    [
        r'"\u00e9"',
        r'"\ud83d\ude00"',
        r'"\/\b\f\n\r\t\"\\"',
        r'"\u0000"',
        '"\u2028\u2029\x7f"',
        '"e\u0301"',
        '"{\\"email\\":\\"x\\"}"',
        '"</script><b>[{"',
    ],
)
def test_strings_keep_their_spelling_also_json_inside_them(string):
    text = f'{{"name":{string},"tags":[{string}]}}'.encode()
    assert cut_bytes(text) == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\xef\xbb\xbf" + b'{"email":"a-secret"}',
        '{"email":"a-secret"}'.encode("utf-16"),
        '{"email":"a-secret"}'.encode("utf-16-le"),
        '{"email":"a-secret"}'.encode("utf-32"),
        b'{"name":"\xff"}',
        b'{"new":"\xff"}',
        b'{"new":{"\xff":1}}',
        b'{"name":"\xc0\xaf"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":"\xf4\x90\x80\x80"}',
        b'{"name":"\\ud800"}',
        b'{"new":["\\udc00\\ud800"]}',
        b'{"\\ud800":1}',
        b'{"name":"\\x41"}',
        b'{"name":"\\u00zz"}',
        b'{"name":"\n"}',
        b'{"name":NaN}',
        b'{"name":-Infinity}',
        b'{"name":01}',
        b'{"name":1.}',
        b'{"name":+1}',
        b'{"name":0x1}',
        b'{"name":1_0}',
        '{"name":１}'.encode(),
        b"{'name':1}",
        b"{name:1}",
        b'{"name":1,}',
        b'{"name":1}/**/',
        b'{"name":1}{"email":"a-secret"}',
        b'{"name":1}\n{"email":"a-secret"}',
        b'{"name":1}garbage',
        b'{"name":1}\0',
        b'\x1e{"name":1}\n',
        b")]}',\n" + b'{"name":1}',
        b'callback({"name":1})',
        b'{"name":1',
        b'{"name":"x',
        b'\xa0{"name":1}',
        b"null",
        b"true",
        b"7",
        b'"a-secret"',
        b"[]",
        b"<html>a-secret</html>",
        b"name,email\nx,a-secret\n",
    ],
)
def test_what_is_not_one_json_object_in_utf8_is_refused(body):
    assert is_refused(body)


@pytest.mark.parametrize("opening", [b"[", b'{"name":', b'{"new":', b"[{"])
@pytest.mark.parametrize("depth", [5_000, 1_000_000])
def test_a_tower_of_brackets_is_refused_and_does_no_harm(opening, depth):
    assert is_refused(b'{"name":' + opening * depth)
    closed = b"[" * depth + b"]" * depth
    assert is_refused(b'{"new":' + closed + b"}")
    assert is_refused(b'{"contact":{"channel":' + closed + b"}}")


def test_null_and_other_scalars_in_a_list_of_records_are_refused():
    for item in ("null", "1", '"a-secret"', '["a-secret"]'):
        assert is_refused(f'[{{"id":1}},{item}]'.encode(), "[]")


def test_an_object_where_the_list_should_be_is_refused():
    for text in ('{"email":"a-secret"}', '{"data":{"email":"a-secret"}}', '{"rows":[]}'):
        assert is_refused(text.encode(), "data[]")
        assert is_refused(text.encode(), "[]")


def test_as_many_shapes_as_records_are_cut_like_one():
    records = [{f"m{n}": 1, "email": SECRET, "id": n} for n in range(2_000)]
    made = cut_bytes(json.dumps(records).encode(), "[]")
    assert json.loads(made) == [{"id": n} for n in range(2_000)]


def test_hidden_members_do_not_come_out_where_undeclared_ones_are_visible():
    plan = a_plan("", "email", "phone")
    for members in ('"contact":[{"phone":"a-secret"}]', '"email":[{"x":"a-secret"}]'):
        assert SECRET.encode() not in cut(f"{{{members}}}".encode(), plan).body
