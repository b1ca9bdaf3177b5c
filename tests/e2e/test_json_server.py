"""The same promises in front of a REST server that is not ours: json-server 0.17.

It answers every question, `/db` gives away everything at once, and nothing in it knows of a
gateway. What it really holds is asked of it directly, past the gateway.
"""

import json
from contextlib import closing
from urllib.parse import quote

import pytest

from gateway.demo.people import bookings, clients, messages
from tests.e2e.gateway_process import connect, fetch, salon, send
from tests.e2e.json_server_process import is_available, json_server

pytestmark = pytest.mark.skipif(not is_available(), reason="node and npm are not installed")

VIP = 60  # a card with a member that the adapter does not name


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    db = {
        "clients": [
            card | ({"vip": {"phone": card["phone"]}} if card["id"] == VIP else {})
            for card in clients()
        ],
        "messages": list(messages()),
        "bookings": list(bookings()),
    }
    with json_server(db, tmp_path_factory.mktemp("json-server")) as url:
        yield url


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, behind):
    adapter = {"adapter": "adapters/json-server.yaml"}
    with salon(tmp_path_factory.mktemp("salon"), behind, upstream=adapter) as running:
        yield running


def card(behind, number):
    return fetch(behind, f"/clients/{number}").data


def everything(behind):
    return fetch(behind, "/db").body


# -- reading ------------------------------------------------------------------------------


def test_the_card_as_a_manager_and_as_a_stylist(gateway, behind):
    whole = card(behind, 7)
    assert gateway.ask("GET", "/clients/7", "ken").data == whole
    shown = gateway.ask("GET", "/clients/7", "mei")
    for name in ("phone", "email", "address", "birthday"):
        del whole[name]
    del whole["contact"]["phone"]
    assert (shown.status, shown.data) == (200, whole)
    assert "555-01" not in shown.text


def test_a_page_of_the_list_without_the_crms_own_addresses(gateway, behind):
    direct = fetch(behind, "/clients?_page=2&_limit=20")
    assert behind in direct.header("link")
    shown = gateway.ask("GET", "/clients?_page=2&_limit=20", "mei")
    assert [record["id"] for record in shown.data] == [record["id"] for record in direct.data]
    assert "phone" not in shown.text
    assert shown.header("x-total-count") == "300"
    assert behind not in str(shown.headers)
    links = shown.header("link").split(", ")
    assert '</clients?_page=3&_limit=20>; rel="next"' in links
    assert all(link.startswith("</clients?_page=") for link in links)
    for name in ("etag", "x-powered-by", "access-control-allow-credentials"):
        assert shown.header(name) is None


def test_a_member_that_the_adapter_does_not_name_is_dropped_for_whom_it_is_hidden(gateway):
    assert "vip" in gateway.ask("GET", f"/clients/{VIP}", "ken").data
    for who in ("mei", "rei"):
        assert "vip" not in gateway.ask("GET", f"/clients/{VIP}", who).data


@pytest.mark.parametrize(
    "question",
    [
        "phone_like=555-0107",
        "phone_like=.",
        "phone=%2B1-207-555-0107",
        "contact.phone=%2B1-207-555-0107",
        "email_like=client7",
        "_sort=phone&_order=asc",
        "_sort=name,contact.phone",
        "_sort=-email",
        "_sort=vip.phone",
    ],
)
def test_a_search_through_hidden_fields_is_refused_and_never_reaches_the_crm(gateway, question):
    before = gateway.metric("salon_gateway_upstream_duration_seconds_count")
    refused = gateway.ask("GET", f"/clients?{question}", "mei")
    assert refused.verdict == (403, "hidden_field_asked")
    assert "555-01" not in refused.text
    assert gateway.metric("salon_gateway_upstream_duration_seconds_count") == before
    assert gateway.ask("GET", f"/clients?{question}", "ken").status == 200
    assert gateway.metric("salon_gateway_upstream_duration_seconds_count") == before + 1


def test_a_search_box_finds_by_what_may_be_seen_and_nobody_by_the_rest(gateway, behind):
    assert len(fetch(behind, "/clients?q=mail.example").data) > 1
    found = gateway.ask("GET", "/clients?q=mail.example", "mei")
    assert (found.status, found.data, found.header("x-total-count")) == (200, [], None)
    assert gateway.ask("GET", "/clients?q=mail.example", "ken").data
    name = gateway.ask("GET", "/clients/7", "mei").data["name"]
    by_name = gateway.ask("GET", f"/clients?q={quote(name)}", "mei")
    assert 7 in [record["id"] for record in by_name.data]
    assert "phone" not in by_name.text


@pytest.mark.parametrize(
    "question",
    [
        "_embed=messages",
        "_expand=client",
        "phone_ne=1",
        "phone_gte=%2B1-2",
        "_start=0&_end=1000",
        "id=7",
        "id_like=7",
        "_limit=20&callback=x",
        "vip.phone_like=555",
    ],
)
def test_the_crms_other_inventions_are_refused_to_everybody(gateway, question):
    for who in ("mei", "ken"):
        refused = gateway.ask("GET", f"/clients?{question}", who)
        assert refused.verdict == (403, "unknown_parameter")


@pytest.mark.parametrize(
    "target",
    ["/db", "/", "/__rules", "/clients.json", "/clients/7/messages", "/Clients", "/clients/"],
)
def test_what_the_adapter_does_not_list_is_not_there(gateway, behind, target):
    assert gateway.ask("GET", target, "hana").verdict == (404, "unmapped")
    assert gateway.ask("GET", target).verdict == (401, "unauthenticated")
    assert "555-01" in everything(behind).decode()


@pytest.mark.parametrize(
    "target", ["//clients/7", "/clients/../db", "/clients/%2e%2e/db", "/clients/7%00"]
)
def test_an_address_of_two_readings_is_refused_before_it_is_read(gateway, target):
    answer = gateway.raw(
        f"GET {target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
        f"Authorization: Bearer {gateway.kept_token('ken', 'backoffice')}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"reason": "ambiguous_target"' in answer
    assert b"555-01" not in answer


def test_a_record_that_is_not_there_is_the_crms_404(gateway):
    for who in ("ken", "mei"):
        assert gateway.ask("GET", "/clients/9999", who).verdict == (404, None)
    assert gateway.ask("DELETE", "/clients/9999", "ken").status == 404


def test_head_is_answered_without_a_body(gateway):
    with closing(gateway.connect()) as connection:
        shown = send(connection, "HEAD", "/clients/7", gateway.bearer("mei"))
        assert (shown.status, shown.body) == (200, b"")
        again = send(connection, "GET", "/clients/7", gateway.bearer("mei"))
        assert again.data["id"] == 7


def test_messages_and_bookings_by_role(gateway, behind):
    whole = fetch(behind, "/messages/1").data
    assert gateway.ask("GET", "/messages/1", "mei").data == whole  # nothing of it is contact
    memo = fetch(behind, "/bookings/1").data["memo"]
    assert gateway.ask("GET", "/bookings/1", "mei").data["memo"] == memo
    assert "memo" not in gateway.ask("GET", "/bookings/1", "oksana").data
    assert gateway.ask("GET", "/messages/1", "oksana").verdict == (403, "no_rule_allows")


# -- writing ------------------------------------------------------------------------------


def test_each_role_changes_what_it_may_and_the_crm_holds_it(gateway, behind):
    made = gateway.ask(
        "POST", "/clients", "rei", body={"name": "陽菜", "phone": "+1-299-555-0190"}
    )
    assert made.status == 201
    number = made.data["id"]
    assert card(behind, number) == {"id": number, "name": "陽菜", "phone": "+1-299-555-0190"}
    assert gateway.ask("PATCH", f"/clients/{number}", "rei", body={"visits": 1}).status == 200
    assert card(behind, number)["visits"] == 1
    replaced = gateway.ask("PUT", f"/clients/{number}", "ken", body={"name": "結衣"})
    assert replaced.status == 200
    assert card(behind, number) == {"id": number, "name": "結衣"}
    assert gateway.ask("DELETE", f"/clients/{number}", "ken").status == 200
    assert fetch(behind, f"/clients/{number}").status == 404


@pytest.mark.parametrize(
    ("who", "method", "target", "body", "verdict"),
    [
        ("mei", "POST", "/clients", {"name": "x"}, (403, "no_rule_allows")),
        ("mei", "PATCH", "/clients/7", {"visits": 0}, (403, "no_rule_allows")),
        ("mei", "PUT", "/clients/7", {"visits": 0}, (403, "no_rule_allows")),
        ("mei", "DELETE", "/clients/7", None, (403, "rule_denies")),
        ("mei", "DELETE", "/bookings/1", None, (403, "no_rule_allows")),
        ("rei", "DELETE", "/clients/7", None, (403, "no_rule_allows")),
        ("rei", "PUT", "/clients/7", {"name": "x"}, (403, "overwrites_hidden")),
        ("rei", "PATCH", "/clients/7", {"notes": ""}, (403, "field_not_writable")),
        ("rei", "PATCH", "/clients/7", {"contact": None, "vip": 1}, (403, "field_not_writable")),
        ("oksana", "POST", "/bookings", {"menu": "cut"}, (403, "no_rule_allows")),
        ("yuki", "DELETE", "/clients/7", None, (403, "rule_denies")),
        ("ken", "POST", "/db", {"clients": []}, (404, "unmapped")),
        ("ken", "PUT", "/clients", {"a": 1}, (404, "unmapped")),
        ("ken", "POST", "/clients/7", {"a": 1}, (404, "unmapped")),
        (None, "DELETE", "/clients/7", None, (401, "unauthenticated")),
    ],
)
def test_a_refused_write_leaves_the_crm_as_it_was(
    gateway, behind, who, method, target, body, verdict
):
    before = everything(behind)
    assert gateway.ask(method, target, who, body=body).verdict == verdict
    assert everything(behind) == before


def test_a_form_is_refused_although_the_crm_would_read_it(gateway, behind):
    before = everything(behind)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = gateway.ask("PATCH", "/clients/7", "rei", body=b"phone=1", headers=form)
    assert refused.verdict == (415, "content_type_refused")
    assert everything(behind) == before


# -- tricks -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_does_not_turn_a_permitted_request_into_another(gateway, behind, name):
    override = {name: "DELETE"}
    for method, who in (("GET", "mei"), ("HEAD", "rei")):
        assert gateway.ask(method, "/clients/8", who, headers=override).status == 200
    assert fetch(behind, "/clients/8").status == 200
    # json-server takes the header of a POST at its word; a POST that we forward stays one.
    sent = {"name": "stays"}
    assert gateway.ask("POST", "/clients/8", "rei", body=sent, headers=override).status == 404
    made = gateway.ask("POST", "/clients", "rei", body=sent, headers=override)
    assert made.status == 201
    assert card(behind, made.data["id"])["name"] == "stays"


def test_the_crm_would_have_taken_that_header(behind):
    made = fetch(behind, "/clients", "POST", {"name": "goes"}).data["id"]
    with closing(connect(behind)) as connection:
        header = {"X-HTTP-Method-Override": "DELETE"}
        assert send(connection, "POST", f"/clients/{made}", header, b"").status == 200
    assert fetch(behind, f"/clients/{made}").status == 404


@pytest.mark.parametrize(
    "host",
    [
        b"a.example, b.example",
        b"user@gateway.example",
        b"gateway.example:99999",
        b"gateway.example/db",
        b"",
    ],
)
def test_a_host_of_two_readings_is_refused(gateway, host):
    answer = gateway.raw(
        b"GET /clients/7 HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n"
        b"Authorization: Bearer " + gateway.kept_token("ken", "backoffice").encode() + b"\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"555-01" not in answer


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://127.0.0.1/db HTTP/1.1\r\nHost: gateway\r\n",
        b"GET /clients/7 HTTP/1.1\r\nHost: gateway\r\nHost: other\r\n",
        b"TRACE /clients/7 HTTP/1.1\r\nHost: gateway\r\n",
        b"GET /clients/7 HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n",
        b"GET /clients/7 HTTP/2.0\r\nHost: gateway\r\n",
    ],
)
def test_an_odd_request_gets_a_refusal_and_no_data(gateway, head):
    token = gateway.kept_token("ken", "backoffice").encode()
    answer = gateway.raw(
        head + b"Authorization: Bearer " + token + b"\r\nConnection: close\r\n\r\n"
    )
    assert answer.split(b" ")[1] in {b"400", b"405"}
    assert b"555-01" not in answer


# -- hours and sessions -------------------------------------------------------------------


def test_after_hours_reads_and_writes_are_shut_for_all_but_unprotected_resources(gateway, behind):
    shut = gateway.ask("GET", "/clients/7", "yuki")
    assert shut.verdict == (403, "outside_hours")
    assert shut.data["opens_at"]
    assert gateway.ask("GET", "/bookings/1", "yuki").status == 200


def test_a_forced_logout_ends_an_open_connections_session_with_its_next_request(gateway):
    token = gateway.token("hana", device="phone-hana")
    headers = {"Authorization": f"Bearer {token}"}
    with closing(gateway.connect()) as connection:
        assert send(connection, "GET", "/clients/7", headers).status == 200
        sock = connection.sock
        revoked = gateway.cli("--output", "json", "session", "revoke", "hana")
        assert json.loads(revoked.stdout)["staff"] == "staff:hana"
        assert send(connection, "GET", "/clients/7", headers).verdict == (401, "unauthenticated")
        assert connection.sock is sock  # it was the same connection all along
        fresh = {"Authorization": f"Bearer {gateway.token('hana', device='phone-hana')}"}
        assert send(connection, "GET", "/clients/7", fresh).status == 200
    causes = [entry.get("cause") for entry in gateway.entries()]
    assert "epoch_stale" in causes
