"""What depends on the record: lists, single records, changes, several salons, embedded ones."""

import json
from pathlib import Path

import pytest

from gateway.audit.entry import Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.decision import Refusal
from gateway.domain.errors import UpstreamError
from gateway.domain.http import Answer
from gateway.domain.reason import Cause, Reason
from tests.oracles.memory_world import MemoryAnswer
from tests.unit.test_pipeline import Salon, source

RULES = """\
g, role:manager, role:reception
p, role:anyone,    client, *,                     dormant,              deny
p, role:stylist,   client, list|read|search,      ,                     allow
p, role:stylist,   client.contact, read|write,    own_client,           allow
p, role:stylist,   client, update|write|delete,   own_client,           allow
p, role:stylist,   client, merge,                 own_client,           allow
p, role:stylist,   client, create,                own_client,           allow
p, role:trainee,   client, list|read,             own_client,           allow
p, role:trainee,   client.contact, read,          own_client,           allow
p, role:trainee,   booking, list|read,            ,                     allow
p, role:stylist,   plan, list|read,               ,                     allow
p, role:stylist,   plan.unmapped, read,           ,                     allow
p, role:stylist,   booking, list|read|update|write, ,                   allow
p, role:stylist,   booking.unmapped, read,        ,                     allow
p, role:reception, client, list|read|update|write, !dormant,            allow
p, role:manager,   *, *,                          ,                     allow
"""
STAFF = """\
roles: [role:manager, role:reception, role:stylist, role:trainee]
staff:
  - {id: mei, crm_id: "17", name: Mei, salons: {aoyama: [role:stylist]}, joined: 2024-04-01}
  - {id: ken, name: Ken, salons: {aoyama: [role:manager]}, joined: 2024-04-01}
  - {id: yuki, name: Yuki, salons: {aoyama: [role:trainee]}, joined: 2024-04-01}
  - id: rei
    name: Rei
    salons: {aoyama: [role:manager], shibuya: [role:stylist]}
    joined: 2024-04-01
"""
ADAPTER = """\
adapter: test
resources:
  client:
    id: id
    fields: {name: name, phone: phone, stylist: stylist_id, last_visit: last_visit, salon: salon}
    classes: {contact: [phone]}
    facts: {own_client: stylist is me, dormant: last_visit older than 5y}
    lookup: GET /clients/{id}
    SALON
  booking:
    id: id
    fields: {starts_at: starts_at}
    embeds: {client: client}
  plan:
    id: id
    fields: {weekday: weekday}
    embeds: {booking: booking}
routes:
  - match: GET /clients
    resource: client
    action: list
    records: "data[]"
    beside: [total, count, next]
    totals: [count]
    headers: [X-Total-Count]
    query: {phone: {searches: [phone]}, name: {searches: [name]}, sort: field}
  - {match: "GET /clients/{id}", resource: client, action: read}
  - {match: POST /clients, resource: client, action: create}
  - {match: "PATCH /clients/{id}", resource: client, action: update}
  - {match: "PUT /clients/{id}", resource: client, action: update}
  - {match: "DELETE /clients/{id}", resource: client, action: delete}
  - {match: POST /clients/delete, resource: client, action: delete, ids: ["body:ids[]"]}
  - {match: POST /clients/cleanup, resource: client, action: delete}
  - match: POST /clients/{id}/merge
    resource: client
    action: merge
    ids: ["body:duplicate_id"]
  - match: GET /bookings
    resource: booking
    action: list
    records: "[]"
    query: {sort: field, phone: {searches: [client.phone]}}
  - {match: "GET /bookings/{id}", resource: booking, action: read}
  - {match: "PATCH /bookings/{id}", resource: booking, action: update}
  - {match: GET /plans, resource: plan, action: list, records: "[]", query: {sort: field}}
"""
HOURS = """\
salons:
  aoyama: {timezone: Asia/Tokyo, weekly: {wed: ["10:00-19:00"]}}
  shibuya: {timezone: Asia/Tokyo, weekly: {wed: ["14:00-22:00"]}}
protected: [client]
exempt_roles: [role:manager]
"""
MINE = {"id": 7, "name": "Aoi", "phone": "070-0000-0007", "stylist_id": 17, "salon": "aoyama",
        "last_visit": "2026-10-01"}  # fmt: skip
OTHERS = MINE | {"id": 8, "name": "Emi", "phone": "070-0000-0008", "stylist_id": 18}
DORMANT = MINE | {"id": 9, "name": "Ume", "last_visit": "2020-10-01"}
SILENT = {"id": 10, "name": "Sora", "phone": "070-0000-0010"}  # no stylist, no visit, no salon
NOON, NIGHT = "2026-11-25T12:00+09:00", "2026-11-25T21:00+09:00"  # a Wednesday


def policy(*, salon=False, lookup=True):
    adapter = ADAPTER.replace("SALON", "salon: salon" if salon else "")
    if not lookup:
        adapter = adapter.replace("    lookup: GET /clients/{id}\n", "")
    texts = {"rules": RULES, "staff": STAFF, "adapter": adapter, "hours": HOURS}
    files = {
        part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in texts.items()
    }
    return build(Sources(**files, model=source("policies/model.conf"), apps=("backoffice",)))


PLAIN, WITH_SALONS, WITHOUT_LOOKUP = policy(), policy(salon=True), policy(lookup=False)


class Crm:
    """A CRM with records, that answers look-ups by their address."""

    def __init__(self, happened, *records):
        self.happened = happened
        self.records = {str(record["id"]): record for record in records}
        self.sent = []
        self.answers = {}
        self.headers = (("Content-Type", "application/json"), ("X-Total-Count", "120"))

    async def send(self, clearance, *, method, target, headers, body, **_length):
        assert clearance.by
        self.happened.append(f"{method} {target.wire}")
        self.sent.append((method, target.wire, dict(headers), body))
        status, value = self.answers.get(target.wire.partition("?")[0]) or self.found(target)
        if isinstance(value, Exception):
            raise value
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return MemoryAnswer(status, self.headers, data, self.happened)

    def found(self, target):
        record = self.records.get(target.segments[1]) if len(target.segments) > 1 else None
        return (200, record) if record else (404, {"error": "no such thing"})


class Guarded(Salon):
    """The pipeline with a policy of this file."""

    def __init__(self, *records, bundle=PLAIN, at=NOON):
        super().__init__(at)
        self.bundle = bundle
        self.crm = Crm(self.happened, *records)
        object.__setattr__(self.pipeline, "upstream", self.crm)

    def current(self):
        return self.bundle

    async def get(self, target, who="mei", method="GET"):
        answer = await self.ask(method, target, who)
        return json.loads(answer.body) if isinstance(answer, Answer) else answer.reason


# -- reading ---------------------------------------------------------------------------------


async def test_the_mask_depends_on_the_record():
    salon = Guarded(MINE, OTHERS)
    salon.crm.answers["/clients"] = (200, {"data": [MINE, OTHERS]})
    shown = await salon.get("/clients", "ken")
    assert [client["phone"] for client in shown["data"]] == ["070-0000-0007", "070-0000-0008"]
    mine, others = await salon.get("/clients/7"), await salon.get("/clients/8")
    assert (mine["phone"], "phone" in others, others["name"]) == ("070-0000-0007", False, "Emi")


async def test_records_that_fail_leave_the_list_and_are_counted():
    salon = Guarded()
    salon.crm.answers["/clients"] = (200, {"data": [MINE, OTHERS, DORMANT, SILENT]})
    answer = await salon.ask("GET", "/clients", "mei")
    shown = json.loads(answer.body)["data"]
    # What nobody knows to be no longer dormant is taken for dormant.
    assert [client["name"] for client in shown] == ["Aoi", "Emi"]
    assert ["phone" in client for client in shown] == [True, False]
    (entry,) = salon.trail.entries
    assert entry.refused == 2
    assert salon.meter.named("records_refused") == [("client", 2)]


async def test_totals_that_would_betray_them_leave_and_that_of_the_page_is_adjusted():
    salon = Guarded()
    salon.crm.answers["/clients"] = (
        200, {"data": [MINE, DORMANT], "total": 120, "count": 2, "next": "/clients?page=2"},
    )  # fmt: skip
    answer = await salon.ask("GET", "/clients", "mei")
    body = json.loads(answer.body)
    assert (body.get("total"), body["count"], body["next"]) == (None, 1, "/clients?page=2")
    assert "x-total-count" not in {name.lower() for name, _ in answer.headers}


@pytest.mark.parametrize("number", [8, 404])
async def test_a_record_that_fails_is_answered_as_if_it_did_not_exist(number):
    salon = Guarded(MINE, OTHERS)
    refused = await salon.ask("GET", f"/clients/{number}", "yuki")
    assert isinstance(refused, Refusal)
    missing = await Guarded(MINE).ask("GET", "/clients/404", "yuki")
    assert (refused.reason, refused.detail, refused.opens_at) == (
        missing.reason, missing.detail, missing.opens_at,
    )  # fmt: skip
    assert refused.reason is Reason.NO_SUCH_RECORD
    (entry,) = salon.trail.entries
    assert entry.cause is (Cause.RECORD_REFUSED if number == 8 else Cause.RECORD_MISSING)
    assert entry.status == 404


async def test_a_head_request_does_not_tell_either():
    salon = Guarded(MINE, OTHERS)
    refused = await salon.ask("HEAD", "/clients/8", "yuki")
    assert refused.reason is Reason.NO_SUCH_RECORD
    fine = await salon.ask("HEAD", "/clients/7", "mei")
    assert (fine.status, fine.body) == (200, b"")


@pytest.mark.parametrize(
    ("who", "target", "told"),
    [
        ("mei", "/clients?phone=070", Reason.HIDDEN_FIELD_ASKED),  # hidden of other stylists'
        ("mei", "/clients?sort=phone", Reason.HIDDEN_FIELD_ASKED),
        ("yuki", "/clients?name=Aoi", None),
        ("ken", "/clients?phone=070", None),
    ],
)
async def test_what_is_hidden_in_some_record_may_not_be_asked_about(who, target, told):
    salon = Guarded()
    salon.crm.answers["/clients"] = (200, {"data": []})
    answer = await salon.ask("GET", target, who)
    assert (answer.reason if isinstance(answer, Refusal) else None) is told
    assert bool(salon.crm.sent) is (told is None)


# -- changing --------------------------------------------------------------------------------


async def test_a_change_is_decided_on_the_record_before_it_is_forwarded():
    salon = Guarded(MINE)
    answer = await salon.ask("PATCH", "/clients/7", "mei", body={"phone": "070-0000-0077"})
    assert isinstance(answer, Answer)
    assert [(m, w) for m, w, _, _ in salon.crm.sent] == [
        ("GET", "/clients/7"),
        ("PATCH", "/clients/7"),
    ]
    intent, done = salon.trail.entries
    assert (intent.phase, intent.record_facts) == (Phase.INTENT, ("own_client", "!dormant"))
    assert done.reason is Reason.RULE_ALLOWS
    assert "content-length" not in {name.lower() for name in salon.crm.sent[0][2]}


@pytest.mark.parametrize(("method", "number"), [("PATCH", 8), ("DELETE", 8), ("PATCH", 404)])
async def test_a_change_of_a_record_that_fails_never_reaches_the_crm(method, number):
    salon = Guarded(MINE, OTHERS)
    body = {"name": "x"} if method == "PATCH" else None
    refused = await salon.ask(method, f"/clients/{number}", "mei", body=body)
    assert refused.reason is Reason.NO_SUCH_RECORD
    assert [sent[0] for sent in salon.crm.sent] == ["GET"]


async def test_without_a_lookup_a_change_that_depends_on_the_record_is_refused():
    salon = Guarded(MINE, bundle=WITHOUT_LOOKUP)
    refused = await salon.ask("PATCH", "/clients/7", "mei", body={"name": "x"})
    assert refused.reason is Reason.NO_LOOKUP
    assert salon.crm.sent == []


async def test_a_change_that_does_not_depend_on_the_record_needs_no_lookup():
    salon = Guarded(MINE, bundle=WITHOUT_LOOKUP)
    rules = RULES.replace(
        "p, role:anyone,    client, *,                     dormant,              deny\n", ""
    )
    files = {
        "rules": rules,
        "staff": STAFF,
        "adapter": ADAPTER.replace("SALON", ""),
        "hours": HOURS,
    }
    sources = {part: SourceFile(name=part, data=text.encode()) for part, text in files.items()}
    salon.bundle = build(Sources(**sources, model=source("policies/model.conf")))
    assert isinstance(await salon.ask("PATCH", "/clients/7", "ken", body={"name": "x"}), Answer)
    assert [sent[0] for sent in salon.crm.sent] == ["PATCH"]


async def test_a_list_of_ids_is_decided_one_by_one_all_or_nothing():
    salon = Guarded(MINE, OTHERS, MINE | {"id": 11})
    salon.crm.answers["/clients/delete"] = (200, {})
    refused = await salon.ask("POST", "/clients/delete", "mei", body={"ids": [7, 8]})
    assert refused.reason is Reason.NO_SUCH_RECORD
    assert [sent[1] for sent in salon.crm.sent] == ["/clients/7", "/clients/8"]
    assert isinstance(
        await salon.ask("POST", "/clients/delete", "mei", body={"ids": [7, "11"]}), Answer
    )
    assert salon.trail.entries[-1].ids == ("7", "11")


async def test_a_merge_names_two_records_and_both_must_pass():
    salon = Guarded(MINE, OTHERS, MINE | {"id": 11})
    refused = await salon.ask("POST", "/clients/7/merge", "mei", body={"duplicate_id": 8})
    assert refused.reason is Reason.NO_SUCH_RECORD
    salon.crm.answers["/clients/7/merge"] = (200, MINE)
    fine = await salon.ask("POST", "/clients/7/merge", "mei", body={"duplicate_id": 11})
    assert isinstance(fine, Answer)


async def test_what_names_no_record_and_makes_none_is_refused():
    salon = Guarded(MINE)
    refused = await salon.ask("POST", "/clients/cleanup", "mei", body={"stylist_id": 17})
    assert refused.reason is Reason.NO_LOOKUP
    assert salon.crm.sent == []


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"name": "x", "stylist_id": "17", "last_visit": "2026-11-01"}, None),
        ({"name": "x", "stylist_id": "18", "last_visit": "2026-11-01"}, Reason.NO_RULE_ALLOWS),
        ({"name": "x", "last_visit": "2026-11-01"}, Reason.NO_RULE_ALLOWS),
        ({"name": "x", "stylist_id": "17"}, Reason.RULE_DENIES),  # may be dormant, for all we know
    ],
)
async def test_a_new_record_is_judged_by_what_is_sent(sent, told):
    salon = Guarded()
    salon.crm.answers["/clients"] = (201, MINE)
    answer = await salon.ask("POST", "/clients", "mei", body=sent)
    assert (answer.reason if isinstance(answer, Refusal) else None) is told


@pytest.mark.parametrize(
    "shown",
    [
        MINE | {"id": 77},  # another record
        {name: value for name, value in MINE.items() if name != "id"},
        [MINE],
        b"not json",
        b"<html>",
    ],
)
async def test_a_lookup_that_does_not_show_the_record_stops_the_change(shown):
    salon = Guarded()
    salon.crm.answers["/clients/7"] = (200, shown)
    refused = await salon.ask("PATCH", "/clients/7", "mei", body={"name": "x"})
    assert refused.reason is Reason.LOOKUP_FAILED
    assert [sent[0] for sent in salon.crm.sent] == ["GET"]


async def test_a_lookup_that_fails_is_a_plain_refusal_since_nothing_was_sent():
    salon = Guarded()
    salon.crm.answers["/clients/7"] = (0, UpstreamError(Reason.UPSTREAM_TIMEOUT, "slow"))
    refused = await salon.ask("DELETE", "/clients/7", "mei")
    assert refused.reason is Reason.UPSTREAM_TIMEOUT
    assert [entry.phase for entry in salon.trail.entries] == [Phase.ANSWER]


async def test_a_lookup_goes_with_the_gateways_own_credentials_where_there_are_some():
    salon = Guarded(MINE)
    own = (("Authorization", "Bearer of-the-gateway"),)
    object.__setattr__(salon.pipeline.doorway, "lookup_headers", own)
    await salon.ask("PATCH", "/clients/7", "mei", body={"name": "x"})
    look, change = (headers for _, _, headers, _ in salon.crm.sent)
    assert look["Authorization"] == "Bearer of-the-gateway"
    assert "Authorization" not in change


async def test_a_full_replacement_is_judged_by_what_is_hidden_of_this_record():
    salon = Guarded(MINE, OTHERS)
    refused = await salon.ask("PUT", "/clients/7", "mei", body={"name": "x"})
    # `unmapped` is hidden from stylists, so what they saw was not the whole record.
    assert refused.reason is Reason.OVERWRITES_HIDDEN


async def test_of_a_record_that_a_change_made_somebody_elses_only_the_id_comes_back():
    salon = Guarded(MINE)
    salon.crm.answers["/clients/7"] = None

    async def send(clearance, *, method, target, headers, body, **_length):
        value = MINE if method == "GET" else MINE | {"last_visit": "2019-01-01"}
        return MemoryAnswer(200, salon.crm.headers, json.dumps(value).encode(), salon.happened)

    salon.crm.send = send
    told = await salon.ask("PATCH", "/clients/7", "mei", body={"last_visit": "2019-01-01"})
    assert (told.status, json.loads(told.body)) == (200, {"id": 7})


# -- several salons --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("salon", "at", "seen"),
    [
        ("aoyama", NOON, {"phone": "070-0000-0008"}),  # a manager there
        ("shibuya", "2026-11-25T15:00+09:00", {}),  # a stylist there: not her own client
        ("shibuya", NOON, None),  # closed there until 14:00
        ("aoyama", NIGHT, {"phone": "070-0000-0008"}),  # managers are exempt
        ("ginza", NOON, None),  # nobody's
        (None, NOON, None),  # must pass in both, and shibuya is closed
        (None, "2026-11-25T15:00+09:00", {}),
    ],
)
async def test_a_record_is_judged_by_its_own_salon(salon, at, seen):
    record = (
        OTHERS | {"salon": salon} if salon else {k: v for k, v in OTHERS.items() if k != "salon"}
    )
    answer = await Guarded(record, bundle=WITH_SALONS, at=at).get("/clients/8", "rei")
    if seen is None:
        assert answer is Reason.NO_SUCH_RECORD
    else:
        assert {name: value for name, value in answer.items() if name == "phone"} == seen


async def test_the_door_is_shut_only_when_every_salon_refuses():
    salon = Guarded(bundle=WITH_SALONS, at=NIGHT)
    refused = await salon.ask("GET", "/clients/7", "mei")
    assert refused.reason is Reason.OUTSIDE_HOURS
    salon.crm.answers["/clients"] = (200, {"data": []})
    assert isinstance(await salon.ask("GET", "/clients", "rei"), Answer)


async def test_an_adapter_that_cannot_tell_the_salon_lets_pass_what_every_salon_lets():
    # At noon shibuya is closed, and any record may be one of shibuya's.
    refused = await Guarded(OTHERS, at=NOON).ask("GET", "/clients/8", "rei")
    assert refused.reason is Reason.OUTSIDE_HOURS
    shown = await Guarded(OTHERS, at="2026-11-25T15:00+09:00").get("/clients/8", "rei")
    assert (shown["name"], "phone" in shown) == ("Emi", False)


async def test_the_lock_screen_tells_the_hours_of_the_salon_that_refused():
    refused = await Guarded(at=NOON).ask("GET", "/clients/8", "rei")
    assert refused.opens_at.isoformat() == "2026-11-25T05:00:00+00:00"  # 14:00 in shibuya


# -- records inside records ------------------------------------------------------------------

BOOKED = [
    {"id": 1, "starts_at": "2026-11-25T13:00", "client": MINE},
    {"id": 2, "starts_at": "2026-11-25T14:00", "client": OTHERS},
    {"id": 3, "starts_at": "2026-11-25T15:00", "client": DORMANT},
]


async def test_an_embedded_record_is_decided_as_what_it_is():
    salon = Guarded()
    salon.crm.answers["/bookings"] = (200, BOOKED)
    mine, others, dormant = await salon.get("/bookings")
    assert mine["client"]["phone"] == "070-0000-0007"
    assert (others["client"]["name"], "phone" in others["client"]) == ("Emi", False)
    assert "client" not in dormant
    (entry,) = salon.trail.entries
    assert "client.phone" in entry.shown
    assert "client.phone" in entry.hidden


@pytest.mark.parametrize("asked", ["phone=070", "sort=client.phone", "sort=client.secret"])
async def test_what_is_hidden_inside_may_not_be_asked_about_outside(asked):
    salon = Guarded()
    salon.crm.answers["/bookings"] = (200, BOOKED)
    refused = await salon.ask("GET", f"/bookings?{asked}", "mei")
    assert refused.reason is Reason.HIDDEN_FIELD_ASKED
    assert salon.crm.sent == []


@pytest.mark.parametrize("asked", ["booking.client.phone", "bookingClientPhone"])
async def test_what_is_hidden_deep_inside_may_not_be_asked_about_under_any_name(asked):
    """Every field of a plan and of its booking may be seen; of the booking's client, not."""
    salon = Guarded()
    salon.crm.answers["/plans"] = (200, [])
    refused = await salon.ask("GET", f"/plans?sort={asked}", "mei")
    assert refused.reason is Reason.HIDDEN_FIELD_ASKED
    assert salon.crm.sent == []
    assert await salon.get("/plans?sort=weekday") == []


async def test_an_embedded_record_is_not_written_through_the_outer_one():
    salon = Guarded()
    salon.crm.answers["/bookings/1"] = (200, BOOKED[0])
    refused = await salon.ask("PATCH", "/bookings/1", "ken", body={"client": {"phone": "x"}})
    assert refused.reason is Reason.FIELD_NOT_WRITABLE


def test_the_starter_adapters_declare_what_this_file_uses():
    text = Path("adapters/salon-demo.yaml").read_text(encoding="utf-8")
    for word in ("facts:", "own_client:", "lookup:", "ids:", "totals:"):
        assert word in text
