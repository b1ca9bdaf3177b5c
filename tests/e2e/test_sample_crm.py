"""The promises, through real sockets: the gateway as a process, the sample CRM as another.

What the CRM really holds is always asked of the CRM itself, past the gateway.
"""

import json
import re
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from gateway.demo.world import crm
from tests.e2e.gateway_process import Salon, fetch, send, started, write_folder

HIDDEN_FROM_MEI = {"phone", "email", "address", "birthday"}
MORE_STAFF = """
  - id: sora
    name: Sora Abe
    salons: {yoyogi: [role:manager]}
    joined: 2020-01-01
  - id: gone
    name: Somebody Who Left
    salons: {aoyama: [role:manager]}
    joined: 2020-01-01
    leaves_on: 2021-01-01
"""


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    with crm(tmp_path_factory.mktemp("crm")) as process:
        yield f"http://127.0.0.1:{process.said['port']}"


@pytest.fixture(scope="module")
def salon(tmp_path_factory, behind):
    folder = tmp_path_factory.mktemp("salon")
    write_folder(folder, behind)
    with (folder / "policies" / "staff.yaml").open("a", encoding="utf-8") as staff:
        staff.write(MORE_STAFF)
    with started(folder) as running:
        yield running


def card(behind, number):
    return fetch(behind, f"/api/clients/{number}")


# -- reading ------------------------------------------------------------------------------


def compact(reply):
    """The same JSON without the blanks between its members, which is how a cut leaves it."""
    return json.dumps(reply.data, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_manager_gets_the_whole_card_in_its_own_order(salon, behind):
    shown = salon.ask("GET", "/api/clients/7", "ken")
    assert shown.status == 200
    assert shown.body == compact(card(behind, 7))


def test_a_stylist_gets_the_card_without_contact_and_birthday_at_any_depth(salon, behind):
    whole = card(behind, 7).data
    shown = salon.ask("GET", "/api/clients/7", "mei")
    del whole["contact"]["phone"]
    expected = {name: whole[name] for name in whole if name not in HIDDEN_FROM_MEI}
    assert (shown.status, shown.data) == (200, expected)
    assert "555-01" not in shown.text


def test_the_phone_app_shows_mail_and_address_to_nobody(salon):
    on_phone = salon.ask("GET", "/api/clients/7", "ken", app="phone").data
    at_desk = salon.ask("GET", "/api/clients/7", "ken").data
    assert at_desk.keys() - on_phone.keys() == {"email", "address"}


def test_an_app_that_the_token_does_not_name_is_unknown_and_denies(salon):
    shown = salon.ask("GET", "/api/clients/7", "ken", app=None).data
    assert "email" not in shown
    assert "phone" in shown


def test_a_list_is_cut_record_by_record_and_keeps_its_total(salon, behind):
    direct = fetch(behind, "/api/clients?page=2&per_page=50")
    shown = salon.ask("GET", "/api/clients?page=2&per_page=50", "mei")
    assert [record["id"] for record in shown.data] == [record["id"] for record in direct.data]
    assert not any(HIDDEN_FROM_MEI & record.keys() for record in shown.data)
    assert not any("phone" in record["contact"] for record in shown.data)
    assert shown.header("x-total-count") == direct.header("x-total-count")
    assert shown.header("server") is None


@pytest.mark.parametrize(
    "question",
    [
        "email=client7@mail.example",
        "email=",
        "phone=%2B1-207-555-0107",
        "sort=phone",
        "sort=-email",
        "sort=contact.phone",
        "sort=name,birthday",
    ],
)
def test_a_stylist_cannot_ask_about_what_is_hidden(salon, question):
    refused = salon.ask("GET", f"/api/clients?{question}", "mei")
    assert refused.verdict == (403, "hidden_field_asked")
    assert salon.ask("GET", f"/api/clients?{question}", "ken").status == 200


def test_a_search_box_shows_nobody_by_what_is_hidden(salon, behind):
    assert fetch(behind, "/api/clients?q=555-0107").data
    found = salon.ask("GET", "/api/clients?q=555-0107", "mei")
    assert (found.status, found.data, found.header("x-total-count")) == (200, [], None)
    assert salon.ask("GET", "/api/clients?q=555-0107", "ken").data


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        ("sort=-visits", (200, None)),
        ("page=3", (200, None)),
        ("per_page=51", (400, "parameter_invalid")),
        ("page=1&page=2", (400, "parameter_invalid")),
        ("expand=all", (403, "unknown_parameter")),
        ("Sort=name", (403, "unknown_parameter")),
        ("_method=DELETE", (400, "ambiguous_target")),
    ],
)
def test_the_questions_of_a_list(salon, question, verdict):
    assert salon.ask("GET", f"/api/clients?{question}", "mei").verdict == verdict


def test_a_list_of_more_than_a_megabyte_is_cut_like_any_other(salon, behind):
    notes = "前髪を短め。" * 25_000  # 450 KB each
    for number in (241, 245, 250):
        changed = fetch(behind, f"/api/clients/{number}", "PATCH", {"notes": notes})
        assert changed.status == 200
    target = "/api/clients?page=5&per_page=50"
    direct = fetch(behind, target)
    assert len(direct.body) > 10**6
    assert salon.ask("GET", target, "ken").body == compact(direct)
    shown = salon.ask("GET", target, "mei").data
    assert sum(record["notes"] == notes for record in shown) == 3
    assert not any("phone" in record for record in shown)


def test_a_record_that_is_not_there_is_the_crms_404(salon):
    assert salon.ask("GET", "/api/clients/99999", "ken").status == 404
    cut = salon.ask("GET", "/api/clients/99999", "mei")
    assert (cut.status, cut.body) == (404, b"")


def test_head_has_the_status_and_no_body(salon):
    for who in ("ken", "mei"):
        shown = salon.ask("HEAD", "/api/clients/7", who)
        assert (shown.status, shown.body) == (200, b"")
    assert salon.ask("HEAD", "/api/clients/7").status == 401


# -- writing ------------------------------------------------------------------------------


def test_reception_creates_a_card_and_it_is_in_the_crm(salon, behind):
    sent = {"name": "Example Person", "phone": "+1-299-555-0199", "salon": "aoyama"}
    created = salon.ask("POST", "/api/clients", "rei", body=sent)
    assert created.status == 201
    assert card(behind, created.data["id"]).data == {"id": created.data["id"], **sent}


@pytest.mark.parametrize(
    ("who", "method", "target", "body", "verdict"),
    [
        ("mei", "POST", "", {"name": "x"}, (403, "no_rule_allows")),
        ("mei", "PATCH", "/11", {"visits": 0}, (403, "no_rule_allows")),
        ("mei", "PUT", "/11", {"visits": 0}, (403, "no_rule_allows")),
        ("mei", "DELETE", "/11", None, (403, "rule_denies")),
        ("mei", "POST", "/11/merge", {"duplicate_id": 12}, (403, "rule_denies")),
        ("rei", "DELETE", "/11", None, (403, "no_rule_allows")),
        ("rei", "POST", "/11/merge", {"duplicate_id": 12}, (403, "no_rule_allows")),
        ("rei", "PATCH", "/11", {"notes": "x"}, (403, "field_not_writable")),
        ("rei", "PATCH", "/11", {"vip": True}, (403, "field_not_writable")),
        ("rei", "PUT", "/11", {"name": "x"}, (403, "overwrites_hidden")),
        ("rei", "PATCH", "/11", {"phone": "●●●-●●●●"}, (400, "body_invalid")),
        ("rei", "PATCH", "/11", b'{"name": "x", "name": "y"}', (400, "body_invalid")),
        ("rei", "PATCH", "/11", b'[{"name": "x"}]', (400, "body_invalid")),
        ("rei", "DELETE", "/11", {"name": "x"}, (403, "no_rule_allows")),
        ("ken", "DELETE", "/11", {"name": "x"}, (400, "body_invalid")),
        ("oksana", "PATCH", "/11", {"visits": 0}, (403, "no_rule_allows")),
        ("yuki", "PATCH", "/11", {"visits": 0}, (403, "no_rule_allows")),
        (None, "DELETE", "/11", None, (401, "unauthenticated")),
    ],
)
def test_a_refused_write_changes_nothing(salon, behind, who, method, target, body, verdict):
    before = card(behind, 11).body, card(behind, 12).body
    total = fetch(behind, "/api/clients").header("x-total-count")
    assert salon.ask(method, f"/api/clients{target}", who, body=body).verdict == verdict
    assert (card(behind, 11).body, card(behind, 12).body) == before
    assert fetch(behind, "/api/clients").header("x-total-count") == total


def test_a_patch_changes_what_it_names_and_answers_without_what_is_hidden(salon, behind):
    before = card(behind, 21).data
    shown = salon.ask("PATCH", "/api/clients/21", "rei", body={"phone": "+1-221-555-0121"})
    assert shown.status == 200
    assert "notes" not in shown.data
    assert shown.data["phone"] == "+1-221-555-0121"
    assert card(behind, 21).data == before | {"phone": "+1-221-555-0121"}


def test_a_manager_replaces_merges_and_deletes(salon, behind):
    whole = card(behind, 31).data | {"notes": "asked for a quiet seat"}
    assert salon.ask("PUT", "/api/clients/31", "ken", body=whole).data == whole
    assert card(behind, 31).data == whole
    visits = whole["visits"] + card(behind, 32).data["visits"]
    merged = salon.ask("POST", "/api/clients/31/merge", "ken", body={"duplicate_id": 32})
    assert (merged.status, card(behind, 32).status) == (200, 404)
    assert card(behind, 31).data["visits"] == visits
    deleted = salon.ask("DELETE", "/api/clients/33", "ken")
    assert (deleted.status, deleted.body, card(behind, 33).status) == (204, b"", 404)


def test_the_crm_gets_exactly_the_bytes_that_were_judged(salon, behind):
    # 1e2 and 100 are one number to a parser and two texts to whoever keeps them.
    sent = b'{"visits":   1e2, "name": "\\u7f8e\\u54b2"}'
    assert salon.ask("PATCH", "/api/clients/22", "rei", body=sent).status == 200
    assert card(behind, 22).data["name"] == "美咲"
    assert b'"visits": 100.0' in card(behind, 22).body


# -- messages and bookings ----------------------------------------------------------------


def test_a_stylist_reads_messages_without_the_clients_phone_and_mail(salon, behind):
    target = "/api/messages?client_id=1"
    direct = fetch(behind, target).data
    shown = salon.ask("GET", target, "mei").data
    assert shown["total"] == direct["total"] > 0
    assert [message["text"] for message in shown["data"]] == [m["text"] for m in direct["data"]]
    assert all("phone" in message["client"] for message in direct["data"])
    assert all(message["client"].keys() == {"id", "name"} for message in shown["data"])


def test_reception_reads_and_sends_messages(salon, behind):
    shown = salon.ask("GET", "/api/messages/1", "rei")
    assert shown.body == compact(fetch(behind, "/api/messages/1"))
    sent = {"client_id": 1, "text": "see you tomorrow"}
    made = salon.ask("POST", "/api/messages", "rei", body=sent)
    assert made.status == 201
    assert fetch(behind, f"/api/messages/{made.data['id']}").data["text"] == "see you tomorrow"
    assert salon.ask("POST", "/api/messages", "mei", body=sent).verdict == (403, "no_rule_allows")


def test_a_trainee_reads_the_booking_book_without_memos_and_no_cards(salon, behind):
    target = "/api/bookings?date=2026-11-22"
    direct = fetch(behind, target).data
    shown = salon.ask("GET", target, "oksana").data
    assert shown["count"] == direct["count"] > 0
    for booking in direct["results"]:
        del booking["memo"]
    assert shown == direct
    for target in ("/api/clients", "/api/clients/7", "/api/messages"):
        assert salon.ask("GET", target, "oksana").verdict == (403, "no_rule_allows")


# -- the export ---------------------------------------------------------------------------


def test_the_export_is_refused_to_everybody_without_a_rule(salon):
    for who, verdict in {
        "mei": (403, "rule_denies"),
        "rei": (403, "no_rule_allows"),
        "oksana": (403, "no_rule_allows"),
    }.items():
        assert salon.ask("GET", "/api/clients/export", who).verdict == verdict


@pytest.mark.parametrize("app", ["backoffice", "phone"])
def test_a_csv_of_clients_cannot_be_cut_so_not_even_a_manager_gets_it(salon, app):
    refused = salon.ask("GET", "/api/clients/export", "ken", app=app)
    assert refused.verdict == (502, "answer_not_cut")
    assert b"mail.example" not in refused.body


# -- ways past the rules ------------------------------------------------------------------


def test_pass_routes_are_for_staff_and_come_byte_for_byte(salon, behind):
    for target in ("/staff", "/assets/staff.js", "/assets/staff.css"):
        shown = salon.ask("GET", target, "oksana")
        assert (shown.status, shown.body) == (200, fetch(behind, target).body)
        assert shown.header("content-type") == fetch(behind, target).header("content-type")
        assert salon.ask("GET", target).verdict == (401, "unauthenticated")


def test_a_public_route_asks_for_no_token(salon):
    assert salon.ask("GET", "/health").body == b"ok"


@pytest.mark.parametrize("target", ["/", "/api", "/api/clients/7/notes", "/api/Clients/7", "/db"])
def test_what_no_route_names_is_404_for_staff_and_401_for_strangers(salon, target):
    assert salon.ask("GET", target, "ken").verdict == (404, "unmapped")
    assert salon.ask("GET", target).verdict == (401, "unauthenticated")


# -- hours --------------------------------------------------------------------------------


def test_after_hours_the_protected_is_shut_and_the_rest_is_not(salon):
    for target in ("/api/clients", "/api/clients/7", "/api/messages/1"):
        shut = salon.ask("GET", target, "yuki")
        assert shut.verdict == (403, "outside_hours")
        assert shut.data["opens_at"].endswith("+09:00")
        assert 4 * 3600 < int(shut.header("retry-after")) <= 5 * 3600
    assert salon.ask("GET", "/api/bookings", "yuki").status == 200


def test_an_exempt_role_passes_after_hours_and_is_counted(salon):
    name = "salon_gateway_exempt_access_total"
    before = salon.metric(name)
    assert salon.ask("GET", "/api/clients/7", "sora").status == 200
    assert salon.metric(name) == before + 1
    assert salon.ask("GET", "/api/clients/7", "ken").status == 200  # open: no exemption used
    assert salon.metric(name) == before + 1


def test_a_browser_gets_a_lock_screen_in_its_language(salon):
    languages = {"ja": "ja", "ko-KR,ko;q=0.9": "ko", "uk": "uk", "ru": "ru", "fr": "en"}
    for asked, given in languages.items():
        page = salon.ask(
            "GET",
            "/api/clients",
            "yuki",
            headers={"Accept": "text/html", "Accept-Language": asked},
        )
        assert (page.status, page.header("content-language")) == (403, given)
        assert f'lang="{given}"' in page.text


# -- who ----------------------------------------------------------------------------------


def test_people_take_turns_on_one_connection_and_each_gets_their_own_view(salon):
    with closing(salon.connect()) as connection:
        for _ in range(3):
            whole = send(connection, "GET", "/api/clients/7", salon.bearer("ken"))
            cut = send(connection, "GET", "/api/clients/7", salon.bearer("mei"))
            nobody = send(connection, "GET", "/api/clients/7")
            shut = send(connection, "GET", "/api/clients/7", salon.bearer("yuki"))
            assert "phone" in whole.data
            assert "phone" not in cut.data
            assert nobody.verdict == (401, "unauthenticated")
            assert shut.verdict == (403, "outside_hours")


def test_one_device_is_logged_out_and_the_other_stays(salon):
    phone, tablet = (salon.token("rei", device=name) for name in ("phone-rei", "tablet-front"))
    with closing(salon.connect()) as connection:
        for token in (phone, tablet):
            shown = send(connection, "GET", "/api/clients/7", {"Authorization": f"Bearer {token}"})
            assert shown.status == 200
        assert salon.cli("session", "revoke", "rei", "--device", "phone-rei").returncode == 0
        statuses = [
            send(connection, "GET", "/api/clients/7", {"Authorization": f"Bearer {token}"}).status
            for token in (phone, tablet)
        ]
    assert statuses == [401, 200]


def test_who_has_left_has_no_rights_whatever_the_token_says(salon):
    assert salon.ask("GET", "/api/clients/7", "gone").verdict == (403, "has_left")
    assert salon.ask("GET", "/staff", "gone").verdict == (403, "has_left")


# -- what is seen -------------------------------------------------------------------------


def test_every_judged_request_leaves_one_entry_and_a_write_two_with_one_id(salon):
    count = len(salon.entries())
    salon.ask("GET", "/api/clients/7", "mei")
    salon.ask("GET", "/api/clients/export", "mei")
    salon.ask("PATCH", "/api/clients/41", "rei", body={"visits": 3})
    read, refused, intent, outcome = salon.entries()[count:]
    assert (read["reason"], read["record"], read["hidden"]) == (
        "rule_allows",
        "7",
        ["address", "birthday", "email", "phone"],
    )
    assert (refused["reason"], refused["status"]) == ("rule_denies", 403)
    assert [intent["phase"], outcome["phase"]] == ["intent", "answer"]
    assert intent["request_id"] == outcome["request_id"]
    assert (outcome["staff"], outcome["action"], outcome["status"]) == (
        "staff:rei",
        "update",
        200,
    )


def test_nothing_of_a_clients_data_and_no_token_stands_in_the_trail_or_the_log(salon):
    salon.ask("GET", "/api/clients?phone=%2B1-207-555-0107", "mei")
    salon.ask("PATCH", "/api/clients/41", "rei", body={"phone": "+1-241-555-0141"})
    written = "".join(
        path.read_text(encoding="utf-8")
        for path in (salon.folder / "audit").iterdir()
        if path.suffix == ".jsonl"
    ) + (salon.folder / "gateway.log").read_text(encoding="utf-8")
    assert "555-01" not in written
    assert salon.kept_token("mei", "backoffice").rpartition(".")[2] not in written


# -- TLS and the cookie -------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure(tmp_path_factory, behind):
    """The gateway with a certificate, and with a cookie for its own page."""
    folder = tmp_path_factory.mktemp("secure")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "crm.salon.example")
    write_folder(
        folder,
        behind,
        listen={
            "port": 0,
            "certificate": "chain.pem",
            "key": "key.pem",
            "names": ["crm.salon.example"],
        },
        tokens={
            "secret_file": "secrets/token-secret",
            "cookie": "salon_token",
            "origins": ["https://crm.salon.example"],
        },
    )
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    (folder / "chain.pem").write_bytes(chain)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with started(folder, context) as running:
        yield running


def by_cookie(salon: Salon, who: str, **more: str) -> dict[str, str]:
    token = salon.kept_token(who, "backoffice")
    return {"Host": "crm.salon.example", "Cookie": f"theme=dark; salon_token={token}"} | more


def test_the_listener_speaks_tls_and_nothing_else(secure):
    shown = secure.ask("GET", "/api/clients/7", headers=by_cookie(secure, "mei"))
    assert (shown.status, "phone" in shown.data) == (200, False)
    token = secure.kept_token("mei", "backoffice")
    plain = secure.raw(
        b"GET /api/clients/7 HTTP/1.1\r\nHost: crm.salon.example\r\n"
        + f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    assert b"200" not in plain[:20]


def test_only_our_own_host_name_is_served(secure):
    refused = secure.ask("GET", "/api/clients/7", "mei", headers={"Host": "evil.example"})
    assert refused.verdict == (421, "host_refused")


def test_a_cookie_may_read_but_writes_only_from_our_own_page(secure, behind):
    before = card(behind, 51).body
    body = {"visits": 7}
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        refused = secure.ask(
            "PATCH", "/api/clients/51", body=body, headers=by_cookie(secure, "ken", **origin)
        )
        assert refused.verdict == (403, "origin_refused")
        assert card(behind, 51).body == before
    own = by_cookie(secure, "ken", Origin="https://crm.salon.example")
    assert secure.ask("PATCH", "/api/clients/51", body=body, headers=own).status == 200
    assert card(behind, 51).data["visits"] == 7


def test_a_cookie_and_a_bearer_together_are_refused(secure):
    both = by_cookie(secure, "mei") | secure.bearer("ken")
    assert secure.ask("GET", "/api/clients/7", headers=both).verdict == (401, "unauthenticated")


def test_the_starter_adapter_names_every_route_that_the_tests_ask_for():
    """A new route of the sample CRM must be guarded, and looked at here, on purpose."""
    text = Path("adapters/salon-demo.yaml").read_text(encoding="utf-8")
    matches = sorted(re.findall(r'match: "?((?:GET|POST|PUT|PATCH|DELETE) [^",\n ]+)', text))
    source = Path("gateway/demo/crm.py").read_text(encoding="utf-8")
    served = [
        f"{method.upper()} {path}"
        for method, path in re.findall(r'@routes\.(\w+)\("([^"]+)"\)', source)
    ]
    folded = {re.sub(r"^GET /assets/.*", "GET /assets/**", route) for route in served}
    assert set(matches) == folded, json.dumps(sorted(set(matches) ^ folded))
