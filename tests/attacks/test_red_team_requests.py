"""Requests dressed up as others, through real sockets: nothing goes on that no rule allows."""

import asyncio
import json

import pytest

from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, staff_id
from gateway.mapping.parameters import field_named
from tests.attacks.red_team_world import SECRETS, STARTER, card_answer, open_salon

CARD = "/api/clients/7"
CLOSE = "Connection: close"


def answers(raw):
    """The status of each answer on a connection."""
    return [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]]


# -- the line and the head -----------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PURGE",
        "LINK",
        "PROPFIND",
        "SEARCH",
        "COPY",
        "MOVE",
        "get",
        "Get",
        "PRI",
        "MERGE",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
    ],
)
async def test_no_method_but_get_and_head_reads_a_card_for_a_stylist(method):
    async with open_salon() as salon:
        raw = await salon.raw(await salon.head(method, CARD, "mei", CLOSE) + b"\r\n")
        (status,) = answers(raw)
        assert status in {400, 403, 404, 405}
        assert salon.got == []


@pytest.mark.parametrize(
    "target",
    [
        "/api/clients/export",
        "/api/clients/Export",
        "/api/clients/EXPORT",
        "/api/clients/export/",
        "/api/clients/export.csv",
        "/api/clients/%65xport",
        "/api/clients/export%3f",
        "/api/clients/export;x",
        "/api/clients/./export",
        "/api/clients/7/../export",
        "/api/clients/..%2fclients/export",
        "/api/clients//export",
        "//crm.example/api/clients/export",
        "http://crm.example/api/clients/export",
        "/API/clients/export",
        "/api/clients/export#x",
        "/api/clients/export?format=json",
        "/api/clients/%EF%BD%85xport",
        "/api/clients/\uff17",
        "/api/clients/%EF%BC%97",
        "/api/clients/7%00",
        "/api/clients/7%20",
        "/api/clients/7:merge",
        "/api/clients/7?_method=DELETE",
        "/api/clients/7?",
        "/assets/../api/clients/7",
        "/assets/%2e%2e/api/clients/7",
        "/assets/..%2fapi/clients/7",
        "/assets/..;/api/clients/7",
        "/assets/x%252e%252e/api",
        "/assets/%ef%bc%8e%ef%bc%8e/api/clients",
        "/health/../api/clients/7",
        "/health/",
        "*",
    ],
)
async def test_no_spelling_of_an_address_leads_past_the_rules(target):
    async with open_salon() as salon:
        raw = await salon.raw(await salon.head("GET", target, "mei", CLOSE) + b"\r\n")
        (status,) = answers(raw)
        assert status in {400, 403, 404}
        assert salon.got == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Connection: authorization",),
        ("Connection: host, close",),
        ("Connection: content-type",),
        ("Content-Length: 5",),
        ("Content-Length: 0, 0",),
        ("Content-Length: +0",),
        ("Content-Length: 0", "Content-Length: 0"),
        ("Content-Length : 5",),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: chunked", "Content-Length: 0"),
        ("Expect: nonsense",),
        ("Upgrade: h2c",),
        ("Upgrade: websocket",),
        ("Host: other.example",),
        ("Authorization: Bearer x",),
        ("authorization: Basic eA==",),
        ("X_Role: role:manager",),
        ("X-A: b\r\n Transfer-Encoding: chunked",),
        ("X-A: \0",),
    ],
    ids=lambda lines: lines[0].encode("unicode_escape").decode(),
)
async def test_a_head_that_two_would_read_in_two_ways_is_refused(lines):
    async with open_salon() as salon:
        last = () if lines[0].startswith("Connection") else (CLOSE,)
        raw = await salon.raw(await salon.head("GET", CARD, "mei", *lines, *last) + b"\r\n")
        assert set(answers(raw)) <= {400, 401}
        assert salon.got == []


@pytest.mark.parametrize(
    "line",
    [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "X-Original-URL: /api/clients/export",
        "X-Rewrite-URL: /api/clients/export",
        "X-Forwarded-For: 198.51.100.9",
        "Forwarded: for=198.51.100.9",
        "X-Real-IP: 198.51.100.9",
        "X-User: hana",
        "Remote-User: hana",
        "Range: bytes=0-3",
        "If-Range: x",
        "If-None-Match: *",
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
        "Accept: text/csv",
        "Accept-Encoding: gzip",
        "TE: trailers",
        "Prefer: return=representation",
        "Cookie: session=1",
    ],
)
async def test_what_would_make_the_crm_answer_another_question_does_not_reach_it(line):
    async with open_salon() as salon:
        status, _, body = await salon.ask("GET", CARD, "mei", line)
        assert status == 200
        assert not any(secret in body for secret in SECRETS)
        (got,) = salon.got
        name, _, value = line.lower().partition(": ")
        told = [
            text
            for text in got.decode().lower().split("\r\n")
            if text.startswith(f"{name}:") and value in text
        ]
        assert told == []


# -- two people on one line ----------------------------------------------------------------


async def test_two_people_pipelined_on_one_connection_each_get_their_own_view():
    async with open_salon() as salon:
        ken = await salon.head("GET", CARD, "ken")
        mei = await salon.head("GET", CARD, "mei")
        nobody = f"GET {CARD} HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n\r\n".encode()
        raw = await salon.raw(ken + b"\r\n" + mei + b"\r\n" + nobody)
        assert answers(raw) == [200, 200, 401]
        first, second, third = raw.split(b"HTTP/1.1 ")[1:]
        assert b"SECRET-PHONE" in first
        assert not any(secret in second + third for secret in SECRETS)
        staff = [entry.staff for entry in salon.trail.entries]
        assert staff == ["staff:ken", "staff:mei", None]


async def test_a_request_hidden_in_a_refused_body_is_not_a_request():
    async with open_salon() as salon:
        hidden = await salon.head("GET", CARD, "ken") + b"\r\n"
        for outer in (
            await salon.head("POST", CARD, "mei", f"Content-Length: {len(hidden)}"),
            await salon.head("GET", CARD, "mei", f"Content-Length: {len(hidden)}"),
            await salon.head("DELETE", CARD, "ken", f"Content-Length: {len(hidden)}"),
            await salon.head("GET", CARD, "mei", "Upgrade: h2c", "Connection: upgrade"),
        ):
            raw = await salon.raw(outer + b"\r\n" + hidden)
            assert len(answers(raw)) == 1
        assert salon.got == []


# -- writes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"notes":"x"}',
        '{"n\\u006ftes":"x"}',
        '{"Notes":"x"}',
        '{"notes ":"x"}',
        '{"contact.phone":"x"}',
        '{"contact":null}',
        '{"contact":[]}',
        '{"contact":{}}',
        '{"contact":{"phone":"1","x":1}}',
        '{"vip_code":1}',
        '{"id":{"notes":"x"}}',
        '{"name":{"notes":"x"}}',
        '{"name":[{"notes":"x"}]}',
        '{"name":"a","name":"b"}',
        '{"__proto__":{"notes":"x"}}',
        '{"$set":{"notes":"x"}}',
        '{"consents":true}',
        '\ufeff{"name":"a"}',
        '{"name":"a"}{"notes":"b"}',
        '{"name":"a"}\n{"name":"b"}',
        '[{"name":"x"}]',
        '{"name":"a",}',
        '{"name":"a"} //',
        '{"name":NaN}',
        '{"name":"\\ud800"}',
        '{"_method":"DELETE","name":"a"}',
        '{"_METHOD":"DELETE"}',
        '{"X-HTTP-Method-Override":"DELETE"}',
        "name=x&notes=y",
        " ",
        "null",
    ],
)
async def test_no_body_of_reception_touches_what_reception_may_not_write(body):
    async with open_salon() as salon:
        status, _, _ = await salon.ask("PATCH", CARD, "rei", body=body.encode())
        assert status in {400, 403}
        assert salon.got == []
        assert salon.phases() == ["answer"]


async def test_not_even_a_manager_names_another_method_in_a_body():
    async with open_salon() as salon:
        body = b'{"_method":"DELETE","name":"x"}'
        status, _, _ = await salon.ask("PATCH", CARD, "ken", body=body)
        assert (status, salon.got) == (400, [])


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "application/json-patch+json",
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; a",
    ],
)
async def test_only_json_is_written(kind):
    async with open_salon() as salon:
        body = b'{"name":"&notes=x"}'
        lines = [f"Content-Length: {len(body)}", CLOSE]
        lines += [] if kind is None else [f"Content-Type: {kind}"]
        raw = await salon.raw(await salon.head("PATCH", CARD, "rei", *lines) + b"\r\n" + body)
        assert answers(raw) == [415]
        assert salon.got == []


@pytest.mark.parametrize(
    "chunks",
    [
        b'd\r\n{"name": "x"}\r\n0\r\nContent-Length: 5\r\nX-HTTP-Method: DELETE\r\n\r\n',
        b'0xd\r\n{"name": "x"}\r\n0\r\n\r\n',
        b'+d\r\n{"name": "x"}\r\n0\r\n\r\n',
        b'd\n{"name": "x"}\n0\n\n',
        b'5\r\n{"name": "x"}\r\n0\r\n\r\n',
        b"-1\r\n\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n\r\n",
    ],
)
async def test_chunks_that_are_none_or_carry_trailers_are_not_forwarded_as_more_than_they_are(
    chunks,
):
    async with open_salon() as salon:
        lines = ("Content-Type: application/json", "Transfer-Encoding: chunked", CLOSE)
        raw = await salon.raw(await salon.head("PATCH", CARD, "rei", *lines) + b"\r\n" + chunks)
        assert set(answers(raw)) <= {400}
        assert salon.got == []


# -- asking --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stylist", "consent", "preferred", "contact", "consents"])
def test_a_name_of_ours_is_to_the_crm_perhaps_a_member_nobody_declared(name):
    # The CRM gets the text, and may carry `stylist: {phone: ...}` beside `stylist_id`.
    client = STARTER.adapter.vocabulary.resources["client"]
    means = field_named(client).members.get(name)
    assert means is None or "unmapped" in means


def test_a_field_named_like_a_container_stands_for_what_is_inside_as_well():
    message = STARTER.adapter.vocabulary.resources["message"]
    means = field_named(message).members["client"]
    assert means >= {"client", "client_phone", "client_email", "client_name", "unmapped"}
    assert field_named(message).members["client_id"] == {"client"}


@pytest.mark.parametrize(
    "question",
    [
        "sort=stylist",
        "sort=contact",
        "sort=-phone",
        "sort=id,phone",
        "sort=vip_code",
        "sort=+phone",
        "sort=%20phone",
        "sort=name%2Cphone",
        "order=phone",
        "email=",
        "phone=",
        "Sort=name",
        "sort%5B%5D=phone",
        "fields=phone",
        "sort=name&sort=phone",
        "page=1;sort=phone",
        "page=1%26sort=phone",
        "page=%EF%BC%91",
        "per_page=51",
    ],
)
async def test_no_question_of_a_stylist_sorts_or_searches_by_what_is_hidden(question):
    async with open_salon() as salon:
        status, _, _ = await salon.ask("GET", f"/api/clients?{question}", "mei")
        assert status in {400, 403}
        assert salon.got == []


async def test_a_trainee_learns_nothing_about_cards_not_even_whether_there_is_one():
    seen = set()
    async with open_salon() as salon:
        for target in (CARD, "/api/clients/99999", "/api/clients", "/api/messages/1"):
            status, top, body = await salon.ask("GET", target, "oksana")
            told = json.loads(body)
            seen.add((status, told["reason"], told["detail"], len(top)))
        assert salon.got == []
    assert {status for status, *_ in seen} == {403}
    assert len(seen) == 1


# -- logged out ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [CARD, "/api/bookings/1", "/staff", "/assets/staff.js"])
@pytest.mark.parametrize("device", [None, "phone-mei"])
async def test_who_is_logged_out_while_the_crm_thinks_gets_nothing_of_it(target, device):
    async with open_salon() as salon:

        async def log_out():
            await salon.epochs.revoke(
                staff_id("mei"), device and DeviceId(device), salon.clock.moment
            )

        salon.before_answer = log_out
        status, _, body = await salon.ask("GET", target, "mei", device="phone-mei")
        assert status == 401
        assert b"Aoi" not in body
        assert len(salon.got) == 1
        (entry,) = salon.trail.entries
        assert (entry.reason, entry.cause) == (Reason.UNAUTHENTICATED, Cause.EPOCH_STALE)


async def test_an_open_connection_is_of_no_use_after_a_logout():
    async with open_salon() as salon:
        asked = await salon.head("GET", CARD, "mei") + b"\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", salon.port)
        try:
            writer.write(asked)
            assert b" 200 " in await reader.readline()
            await salon.epochs.revoke(staff_id("mei"), None, salon.clock.moment)
            salon.says = card_answer(body=b'{"id":8}')
            writer.write(asked.replace(b"Host", CLOSE.encode() + b"\r\nHost", 1))
            rest = await reader.read()
            assert b"HTTP/1.1 401 " in rest
            assert len(salon.got) == 1
        finally:
            writer.transport.abort()
