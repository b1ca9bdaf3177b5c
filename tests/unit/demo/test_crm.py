"""The sample CRM by itself: it shows everything to everybody, and it keeps what it is told."""

import csv
import io

import pytest

from gateway.demo import people
from gateway.demo.crm import application, open_database

SAMPLES = {card["id"]: card for card in people.clients()}


@pytest.fixture
async def crm(aiohttp_client, tmp_path):
    database = open_database(tmp_path / "crm.sqlite3")
    yield await aiohttp_client(application(database))
    database.close()


async def get(crm, target):
    answer = await crm.get(target)
    assert answer.status == 200, target
    return await answer.json()


async def ids(crm, target):
    return [record["id"] for record in await get(crm, target)]


# -- clients ------------------------------------------------------------------------------


async def test_a_card_is_the_sample(crm):
    assert await get(crm, "/api/clients/7") == SAMPLES[7]


async def test_a_list_comes_in_pages_of_twenty_with_the_total(crm):
    answer = await crm.get("/api/clients")
    assert [record["id"] for record in await answer.json()] == list(range(1, 21))
    assert answer.headers["X-Total-Count"] == str(people.CLIENTS)


async def test_pages_are_as_large_as_asked_and_never_over_two_hundred(crm):
    assert await ids(crm, "/api/clients?page=3&per_page=7") == list(range(15, 22))
    assert len(await ids(crm, "/api/clients?per_page=1000")) == 200
    assert await ids(crm, "/api/clients?page=0&per_page=0") == [1]
    assert await ids(crm, "/api/clients?page=99") == []


async def test_a_page_that_is_no_number_is_a_bad_request(crm):
    assert (await crm.get("/api/clients?page=two")).status == 400
    assert (await crm.get("/api/clients?per_page=")).status == 400


async def test_the_search_looks_at_names_readings_and_phones_in_any_case(crm):
    by_phone = await crm.get("/api/clients?q=207-555-0107")
    assert [record["id"] for record in await by_phone.json()] == [7]
    assert by_phone.headers["X-Total-Count"] == "1"
    family = SAMPLES[7]["name"].split()[1]
    found = await get(crm, f"/api/clients?q={family.upper()}&per_page=200")
    assert 7 in [record["id"] for record in found]
    assert all(family in record["name"] for record in found)


async def test_mail_and_phone_are_found_exactly(crm):
    assert await ids(crm, "/api/clients?email=client7@mail.example") == [7]
    assert await ids(crm, "/api/clients?phone=%2B1-207-555-0107") == [7]
    assert await ids(crm, "/api/clients?email=client7") == []


async def test_the_list_is_sorted_by_any_member_both_ways(crm):
    up = await get(crm, "/api/clients?sort=email&per_page=200")
    assert [r["email"] for r in up] == sorted(r["email"] for r in up)
    first = await ids(crm, "/api/clients?sort=-birthday&per_page=1")
    assert SAMPLES[first[0]]["birthday"] == max(card["birthday"] for card in SAMPLES.values())
    assert len(await ids(crm, "/api/clients?sort=nothing")) == 20


async def test_a_new_card_gets_the_next_number_whatever_it_says(crm):
    answer = await crm.post("/api/clients", json={"id": 7, "name": "new"})
    assert answer.status == 201
    assert await answer.json() == {"id": people.CLIENTS + 1, "name": "new"}
    assert await get(crm, "/api/clients/7") == SAMPLES[7]


async def test_a_put_loses_what_is_not_sent_and_a_patch_does_not(crm):
    await crm.patch("/api/clients/7", json={"visits": 1, "id": 9})
    assert await get(crm, "/api/clients/7") == SAMPLES[7] | {"visits": 1}
    await crm.put("/api/clients/7", json={"name": "only"})
    assert await get(crm, "/api/clients/7") == {"id": 7, "name": "only"}
    assert await get(crm, "/api/clients/9") == SAMPLES[9]


async def test_a_deleted_card_is_gone_for_good(crm):
    answer = await crm.delete("/api/clients/7")
    assert (answer.status, await answer.read()) == (204, b"")
    assert (await crm.get("/api/clients/7")).status == 404
    assert (await crm.delete("/api/clients/7")).status == 404


async def test_a_merge_adds_the_visits_and_removes_the_duplicate(crm):
    answer = await crm.post("/api/clients/7/merge", json={"duplicate_id": 8})
    visits = SAMPLES[7]["visits"] + SAMPLES[8]["visits"]
    assert await answer.json() == SAMPLES[7] | {"visits": visits}
    assert (await crm.get("/api/clients/8")).status == 404


async def test_a_merge_with_itself_or_with_nobody_changes_nothing(crm):
    for body, status in (({"duplicate_id": 7}, 409), ({"duplicate_id": 9999}, 404), ({}, 404)):
        assert (await crm.post("/api/clients/7/merge", json=body)).status == status
    assert await get(crm, "/api/clients/7") == SAMPLES[7]


async def test_the_export_gives_away_every_client_with_every_member(crm):
    answer = await crm.get("/api/clients/export")
    assert answer.content_type == "text/csv"
    rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["phone"] for row in rows] == [card["phone"] for card in SAMPLES.values()]
    assert set(rows[0]) == set(SAMPLES[1])


async def test_an_export_of_nobody_is_empty(crm):
    for number in SAMPLES:
        await crm.delete(f"/api/clients/{number}")
    answer = await crm.get("/api/clients/export")
    assert (answer.status, (await answer.text()).strip()) == (200, "")


async def test_an_export_after_a_card_of_other_members_is_still_an_export(crm):
    await crm.post("/api/clients", json={"name": "short", "vip": True})
    answer = await crm.get("/api/clients/export")
    assert answer.status == 200
    assert len((await answer.text()).splitlines()) == people.CLIENTS + 2


# -- messages -----------------------------------------------------------------------------


async def test_messages_come_in_an_envelope_with_their_client_embedded(crm):
    page = await get(crm, "/api/messages")
    assert page["total"] == people.MESSAGES
    assert len(page["data"]) == 20
    for message in page["data"]:
        card = SAMPLES[message["client_id"]]
        embedded = {name: card[name] for name in ("id", "name", "phone", "email")}
        assert message["client"] == embedded


async def test_messages_of_one_client(crm):
    client = (await get(crm, "/api/messages/1"))["client_id"]
    page = await get(crm, f"/api/messages?client_id={client}")
    assert page["total"] == len(page["data"])
    assert {message["client_id"] for message in page["data"]} == {client}
    assert (await get(crm, "/api/messages?client_id=no"))["total"] == 0


async def test_a_message_of_a_client_who_is_gone_embeds_nobody(crm):
    message = await get(crm, "/api/messages/1")
    await crm.delete(f"/api/clients/{message['client_id']}")
    del message["client"]
    assert await get(crm, "/api/messages/1") == message


async def test_a_sent_message_is_kept(crm):
    answer = await crm.post("/api/messages", json={"client_id": 7, "text": "until tomorrow"})
    assert answer.status == 201
    number = (await answer.json())["id"]
    assert (await get(crm, f"/api/messages/{number}"))["text"] == "until tomorrow"


# -- bookings -----------------------------------------------------------------------------


async def test_bookings_of_a_day_and_of_a_stylist(crm):
    everything = await get(crm, "/api/bookings")
    assert everything["count"] == people.BOOKINGS == len(everything["results"])
    some = await get(crm, "/api/bookings?date=2026-11-22&stylist_id=mei")
    expected = [
        booking
        for booking in people.bookings()
        if booking["starts_at"].startswith("2026-11-22") and booking["stylist_id"] == "mei"
    ]
    assert some == {"results": expected, "count": len(expected)}
    assert expected


async def test_a_booking_is_made_and_moved(crm):
    made = await (await crm.post("/api/bookings", json={"client_id": 7})).json()
    moved = await crm.patch(f"/api/bookings/{made['id']}", json={"minutes": 90})
    assert await moved.json() == made | {"minutes": 90}
    assert await get(crm, f"/api/bookings/{made['id']}") == made | {"minutes": 90}


# -- the rest -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/api/clients/0",
        "/api/clients/9999",
        "/api/clients/x",
        "/api/clients/-1",
        "/api/clients/７",
        "/api/clients/99999999999999999999999",
        "/api/messages/9999",
        "/api/bookings/9999",
        "/api/nothing",
        "/",
    ],
)
async def test_what_is_not_there_is_404(crm, target):
    assert (await crm.get(target)).status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"7", b"\xff"])
async def test_a_body_that_is_no_json_object_is_a_bad_request(crm, body):
    sent = {"data": body, "headers": {"Content-Type": "application/json"}}
    assert (await crm.post("/api/clients", **sent)).status == 400
    assert (await crm.patch("/api/clients/7", **sent)).status == 400
    assert await get(crm, "/api/clients/7") == SAMPLES[7]


async def test_the_staff_page_loads_its_style_and_script(crm):
    page = await (await crm.get("/staff")).text()
    for asset, kind in (
        ("/assets/staff.css", "text/css"),
        ("/assets/staff.js", "text/javascript"),
    ):
        assert asset in page
        answer = await crm.get(asset)
        assert (answer.status, answer.content_type) == (200, kind)
    assert await (await crm.get("/health")).text() == "ok"


async def test_changes_outlive_a_restart_and_deleted_samples_do_not_come_back(
    aiohttp_client, tmp_path
):
    for change in (True, False):
        database = open_database(tmp_path / "crm.sqlite3")
        crm = await aiohttp_client(application(database))
        if change:
            await crm.patch("/api/clients/7", json={"visits": 999})
            await crm.delete("/api/clients/8")
        else:
            assert (await get(crm, "/api/clients/7"))["visits"] == 999
            assert (await crm.get("/api/clients/8")).status == 404
        database.close()
