import pytest

from gateway.domain.errors import RequestError
from gateway.domain.fieldpath import parse_field_path
from gateway.domain.login import Place, Source
from gateway.domain.reason import Reason
from gateway.identity.said import MAX_LOGIN_BODY, MISSING, member, sent_at
from tests.oracles.login_samples import FORM, JSON, a_request

FIELD = Source(place=Place.FORM, name="refresh_token")
MEMBER = Source(place=Place.BODY, path=parse_field_path("data.refresh"))


def sent(body, source, kind=None, target="/t", **more):
    kind = kind or (FORM if source is FIELD else JSON)
    return sent_at(a_request(*([kind] if kind else []), target=target, **more), body, source)


def reason(*args, **how):
    with pytest.raises(RequestError) as caught:
        sent(*args, **how)
    assert "hunter2" not in str(caught.value)
    return caught.value.reason


def test_a_field_of_a_form_is_read():
    assert sent(b"a=1&refresh_token=x%2B+y&b=", FIELD) == "x+ y"
    assert sent(b"", FIELD) is None
    assert sent(b"other=1", FIELD) is None


def test_a_member_of_a_body_is_read():
    assert sent(b'{"data": {"refresh": "x"}}', MEMBER) == "x"
    assert sent(b'{"data": {}}', MEMBER) is None
    assert sent(b"[]", MEMBER) is None
    assert sent(b'{"data": "x"}', MEMBER) is None


@pytest.mark.parametrize(
    "body",
    [
        b"refresh_token=a&refresh_token=a",
        b"refresh_token=a&Refresh_Token=b",
        b"refresh_token=a&refresh.token=b",
        b"refresh_token=a&refresh_token[]=b",
        b"refresh_token=a&refresh%5Ftoken=b",
        b"refresh_token=a;refresh_token=b",
        b"refresh_token=a b",
        b"refresh_token=%zz",
        b"refresh_token=%ff",
        b"refresh_token=\xc3\xa9",
        b"refresh_token=a\r\n",
        b"x=" + b"a" * MAX_LOGIN_BODY,
    ],
)
def test_a_form_that_readers_would_read_differently_is_refused(body):
    assert reason(body, FIELD) is Reason.BODY_INVALID


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"refresh": "a", "refresh": "b"}}',
        b'{"data": {"refresh": "a", "Refresh": "b"}}',
        b'{"data": {"refresh": "a"}, "DATA": {}}',
        b'{"data": {"refresh": 7}}',
        b'{"data": {"refresh": null}}',
        b'{"data": {"refresh": "a"}} x',
        b"\xef\xbb\xbf{}",
        b"",
    ],
)
def test_a_body_that_readers_would_read_differently_is_refused(body):
    assert reason(body, MEMBER) is Reason.BODY_INVALID


@pytest.mark.parametrize(
    "kind",
    [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-16"),
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Content-Type", "application/json, application/x-www-form-urlencoded"),
    ],
)
def test_a_body_is_read_as_what_it_says_it_is(kind):
    assert reason(b"refresh_token=a", FIELD, kind) is Reason.CONTENT_TYPE_REFUSED
    assert reason(b"{}", MEMBER, kind) is Reason.CONTENT_TYPE_REFUSED


def test_a_body_that_is_both_is_read_as_neither_by_mistake():
    both = b'{"data": {"refresh": "a"}, "x": "&refresh_token=b"}'
    assert reason(both, MEMBER, FORM) is Reason.CONTENT_TYPE_REFUSED
    assert reason(both, FIELD, JSON) is Reason.CONTENT_TYPE_REFUSED


def test_a_query_could_say_the_same_and_is_refused():
    assert reason(b"refresh_token=a", FIELD, target="/t?x=hunter2") is Reason.UNKNOWN_PARAMETER


def test_null_is_there_and_missing_is_not():
    assert member({"data": {"refresh": None}}, MEMBER) is None
    assert member({"data": {}}, MEMBER) is MISSING
