"""What a red team found in the rooms of the wire: questions with side doors, and streams.

Each test began as something that worked. The CRM is a raw server that says what the test tells it.
"""

import json
from dataclasses import replace

import pytest

from gateway.build import SourceFile, build
from gateway.domain.finding import PolicyError
from tests.attacks.red_team_world import SOURCES, card_answer, open_salon

PHONE = "0900000001"
LIST = '    records: "[]"\n    headers: [X-Total-Count]\n    query:\n'
ENVELOPE = '    records: "data[]"\n    beside: [next, has_more, status, total]\n    query:\n'
ACTIONS = (
    "actions: [list, read, search, create, update, write, delete, merge, export, send, find]\n"
)
FIND = "      tel: { exact: phone, action: find, allowance: 20 }\n"
ANYBODY = "client,                list|read|search,                     ,          allow"


def policy(*, adapter=(), rules=()):
    """The starter policy with other texts in two of its files."""
    return build(
        replace(
            SOURCES,
            adapter=_changed(SOURCES.adapter, adapter),
            rules=_changed(SOURCES.rules, rules),
        )
    )


def _changed(file, pairs):
    text = file.data.decode()
    for old, new in pairs:
        assert old in text, f"{file.name} has changed: write down another line of it"
        text = text.replace(old, new)
    return SourceFile(name=file.name, data=text.encode())


ENVELOPED = policy(adapter=[(LIST, ENVELOPE)])
OWN_ONLY = policy(rules=[(ANYBODY, ANYBODY.replace("search,           ", "search, own_client"))])
FINDING = policy(
    adapter=[("adapter: salon-demo\n", f"adapter: salon-demo\n{ACTIONS}\n"), (LIST, LIST + FIND)],
    rules=[(ANYBODY, ANYBODY.replace("|search, ", "|search|find, "))],
)


def found(more, total):
    """A page of a search in which only hidden phones match, and what stands beside it."""
    cards = [{"id": 7, "name": "Aoi", "phone": PHONE}] if total else []
    link = "/api/clients?page=2" if more else None
    body = {"data": cards, "next": link, "has_more": more, "status": "some", "total": total}
    return card_answer(body=json.dumps(body).encode())


@pytest.mark.parametrize("who", ["yuki", "mei"])
async def test_no_next_page_tells_how_many_hidden_phones_match(who):
    # With `per_page=1` or 0, `has_more` said whether a phone begins so: digit by digit.
    async with open_salon() as salon:
        salon.current = lambda: ENVELOPED
        answers = set()
        for more, total in ((True, 2), (False, 1), (False, 0)):
            salon.says = found(more, total)
            status, _, body = await salon.ask("GET", "/api/clients?q=09000&per_page=1", who)
            answers.add((status, body))
        assert answers == {(200, b'{"data":[]}')}


@pytest.mark.parametrize("kind", ["format: events", "websocket: true"])
@pytest.mark.parametrize("asks", ["q: { searches: [name, phone], recheck: true }", FIND.strip()])
def test_a_stream_answers_no_question_that_must_be_checked_on_each_record(kind, asks):
    # Its messages are cut one by one, and nobody held them to what was asked.
    live = '  - match: GET /api/live\n    resource: client\n    action: list\n    records: "[]"\n'
    live += f"    {kind}\n    query:\n      {asks}\n"
    first = "  - match: GET /api/clients\n"
    with pytest.raises(PolicyError, match="no stream"):
        policy(
            adapter=[
                ("adapter: salon-demo\n", f"adapter: salon-demo\n{ACTIONS}\n"),
                (first, live + first),
            ]
        )


@pytest.mark.parametrize("page", ["page=2", "per_page=1", "per_page=1&page=1", "per_page=0"])
async def test_two_people_with_one_number_are_not_looked_up_page_by_page(page):
    async with open_salon() as salon:
        salon.current = lambda: FINDING
        salon.says = card_answer(body=json.dumps([{"id": 7, "phone": PHONE}]).encode())
        assert (await salon.ask("GET", f"/api/clients?tel={PHONE}", "yuki"))[2] == b'[{"id":7}]'
        salon.got.clear()
        assert (await salon.ask("GET", f"/api/clients?tel={PHONE}&{page}", "yuki"))[0] == 403
        assert salon.got == []


@pytest.mark.parametrize("status", ["400 Bad Request", "409 Conflict", "500 Oops"])
async def test_an_error_shows_nothing_of_a_record_that_may_not_be_seen(status):
    # The same record with status 200 is answered as if it did not exist.
    async with open_salon() as salon:
        salon.current = lambda: OWN_ONLY
        card = {"id": 7, "name": "Aoi", "stylist_id": 99, "visits": 3}
        salon.says = card_answer(body=json.dumps(card).encode(), status=status)
        _, _, body = await salon.ask("GET", "/api/clients/7", "yuki")
        assert body == b"{}"


@pytest.mark.parametrize(
    "name", ["_method", "_httpMethod", "X-HTTP-Method", "X-Method-Override", "HTTP_METHOD"]
)
async def test_every_name_that_replaces_the_method_in_a_query_is_refused_in_a_body_too(name):
    async with open_salon() as salon:
        body = json.dumps({name: "DELETE", "name": "Aoi"}).encode()
        assert (await salon.ask("POST", "/api/clients", "hana", body=body))[0] == 400
        assert salon.got == []


@pytest.mark.parametrize("name", [".method", "[method", "_method[]", ".METHOD[]", "http.method"])
async def test_no_name_that_php_reads_as_a_method_passes_on_any_route(name):
    async with open_salon() as salon:
        for target in (f"/assets/a.js?{name}=DELETE", f"/api/clients?{name}=DELETE"):
            assert (await salon.ask("GET", target, "hana"))[0] == 400
        assert salon.got == []


UPGRADES = {
    "HTTP/2": [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ],
    "a WebSocket": [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ],
    "both": ["Connection: Upgrade", "Upgrade: h2c, websocket"],
    "TLS": ["Connection: Upgrade", "Upgrade: TLS/1.0"],
}


@pytest.mark.parametrize("lines", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("target", ["/health", "/assets/a.js", "/api/clients/7"])
async def test_nothing_is_upgraded_where_no_websocket_is_declared_not_even_for_strangers(
    target, lines
):
    behind = b"GET /api/clients/8 HTTP/1.1\r\nHost: crm.example\r\n\r\n"
    async with open_salon() as salon:
        if target == "/health":
            head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: crm.example", *lines, "", ""])
            raw = await salon.raw(head.encode() + behind)
        else:
            raw = await salon.raw(await salon.head("GET", target, "hana", *lines), b"\r\n", behind)
        assert raw.startswith(b"HTTP/1.1 400 ")
        assert raw.count(b"HTTP/1.1 ") == 1
        assert salon.got == []


async def test_a_settings_header_without_an_upgrade_stays_here():
    async with open_salon() as salon:
        line = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
        assert (await salon.ask("GET", "/assets/a.js", "hana", line))[0] == 200
        assert b"http2-settings" not in salon.got[0].lower()
