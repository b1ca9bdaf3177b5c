"""Texts that make a pattern step back over and over: one request, one worker gone for minutes.

No clock here: each of these texts is so long that with one quadratic pattern the test run
would not come to its end.
"""

import pytest

from gateway.domain.errors import GatewayError
from gateway.domain.http import Inbound
from gateway.identity.credential import credential
from gateway.mapping.links import location
from gateway.masking.mediatype import json_media_type
from gateway.proxy.negotiate import Language, language, prefers_html
from tests.attacks.red_team_world import open_salon

LONG = 500_000

TEXTS = [
    '"' + '\\"' * LONG,  # a quoted text that never ends, with a beginning at every quote
    '"' * (LONG + 1),
    "a;" + " " * LONG + "x",
    'a;q="' + "\\;q=" * LONG,
    ";a" + " " * LONG + "=",
    "a;" * LONG,
    "," * LONG,
    " ," * LONG,
    ("text/html;q=" + "0" * 50 + ",") * (LONG // 50),
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_wish_for_a_form_or_language_holds_up_the_worker(text):
    assert prefers_html([text]) in {True, False}
    assert language([text]) in set(Language)


def test_a_quoted_text_that_never_ends_takes_the_rest_with_it():
    assert prefers_html(["text/html"])
    assert prefers_html(['application/json;x="a,b", text/html']) is False
    assert prefers_html(['x;y="\\", application/json']) is False
    assert prefers_html(['text/html, x;y="', "application/json"])
    assert prefers_html(['text/html, x;y="\\'])


@pytest.mark.parametrize(
    "rest",
    [
        "; x" + " " * LONG + "y",
        ";" + " " * LONG + "x",
        " " * LONG + "x",
        " " * LONG + ";" + " " * LONG + "x",
        ("; " + " " * 50) * (LONG // 50) + "x",
        "; a=" + "b" * LONG + "/",
        '; a="' + "b" * LONG,
        '; a="b"' * (LONG // 8) + '"',
    ],
    ids=range(8),
)
def test_no_content_type_holds_up_the_worker_and_none_of_these_is_json(rest):
    assert json_media_type((("Content-Type", f"application/json{rest}"),)) is None


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ("application/json", True),
        ("application/json;", True),
        ("application/json ; ; charset=utf-8", True),
        ('application/json; charset="utf-8" ; a=b', True),
        ("application/json; charset=utf-8; charset=utf-8", False),
        ("application/json; charset", False),
        ("application/json; a=b c", False),
        ("application/json x", False),
        ("application/json, text/html", False),
        ("application/json; a=b, text/html", False),
    ],
)
def test_what_is_json_is_json(text, is_json):
    assert (json_media_type((("Content-Type", text),)) is not None) is is_json


@pytest.mark.parametrize("cookie", [";" * LONG, "a=" * LONG, 'token="' + '";' * LONG, " " * LONG])
def test_no_cookie_holds_up_the_worker(cookie):
    inbound = Inbound(
        method="GET",
        target="/",
        version="1.1",
        headers=(("Cookie", cookie),),
        peer="192.0.2.7",
        secure=True,
    )
    with pytest.raises(GatewayError):
        credential(inbound, cookie="token", own_origins=frozenset())


@pytest.mark.parametrize("value", ["http://" + "a" * LONG, "/" + "\\" * LONG, "a" * LONG + "://"])
def test_no_location_holds_up_the_worker(value):
    assert location(value, origins=("http://crm.example",)) is None


async def test_a_stranger_with_a_head_full_of_quotes_gets_a_plain_401():
    accept = "Accept: " + '"\\' * 5000
    async with open_salon() as salon:
        asked = f"GET /api/clients HTTP/1.1\r\nHost: a\r\n{accept}\r\nConnection: close\r\n\r\n"
        assert (await salon.raw(asked.encode())).startswith(b"HTTP/1.1 401 ")
