"""What of the CRM's answer may be seen: its head, where it leads, its coding, its format."""

import asyncio
import gzip
import json

import pytest

from gateway.audit.entry import Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.decision import Refusal
from gateway.domain.http import Answer, Conversation
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from tests.unit.test_pipeline import JSON, Salon, source
from tests.unit.test_records import HOURS, NOON, STAFF
from tests.unit.test_relay import MemoryChannel

RULES = """\
g, role:manager, role:reception
p, role:stylist,   client, list|read|search|export,  ,           allow
p, role:stylist,   client.contact, read,             own_client, allow
p, role:trainee,   client, list|read,                own_client, allow
p, role:trainee,   note, list|read,                  ,           allow
p, role:stylist,   note, list|read,                  ,           allow
p, role:reception, client, list|read|create|find,    ,           allow
p, role:manager,   *, *,                             ,           allow
"""
ADAPTER = """\
adapter: test
actions: [list, read, search, create, export, find]
resources:
  client:
    id: id
    fields: {name: name, phone: [phone, mobile], stylist: stylist_id}
    classes: {contact: [phone]}
    facts: {own_client: stylist is me}
  note:
    sensitive: false
    fields: {text: text}
routes:
  - match: GET /clients
    resource: client
    action: list
    records: "data[]"
    beside: [total, next]
    headers: [X-Total-Count]
    query:
      page: {max: 1000}
      q: {searches: [name, phone], recheck: true}
      name: {searches: [name]}
      phone: {exact: phone, action: find, allowance: 2}
  - match: POST /clients/search
    resource: client
    action: search
    records: "[]"
    asks: {name: {searches: [name]}, phone: {searches: [phone]}, text: {searches: [name, phone], recheck: true}}
  - {match: "GET /clients/{id}", resource: client, action: read}
  - {match: POST /clients, resource: client, action: create}
  - {match: GET /export.ndjson, resource: client, action: export, records: "[]", format: ndjson}
  - match: GET /export.csv
    resource: client
    action: export
    records: "[]"
    format: csv
    columns: {No: id, Name: name, Phone: phone, Stylist: stylist_id}
  - {match: GET /feed, resource: client, action: list, format: events}
  - {match: GET /live, resource: client, action: list, websocket: true}
  - {match: GET /chat, resource: note, action: list, websocket: true}
  - {match: GET /notes, resource: note, action: list, records: "[]"}
"""  # noqa: E501  # a flow mapping stands on one line
FILES = {"rules": RULES, "staff": STAFF, "adapter": ADAPTER, "hours": HOURS}
POLICY = build(
    Sources(
        **{part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in FILES.items()},
        model=source("policies/model.conf"),
        apps=("backoffice",),
    )
)
MINE = {"id": 7, "name": "Aoi Mori", "phone": "070-0000-0007", "stylist_id": 17}
OTHERS = {"id": 8, "name": "Emi Ueda", "phone": "070-0000-0008", "stylist_id": 18}
PLAIN_OTHERS = {"id": 8, "name": "Emi Ueda", "stylist_id": 18}


class Gate(Salon):
    def __init__(self, at=NOON):
        super().__init__(at)
        self.bundle = POLICY

    def current(self):
        return self.bundle

    def says(self, value, *headers, status=200):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.crm.says(status, body, headers or (JSON,))

    async def get(self, target, who="mei", method="GET", **asked):
        answer = await self.ask(method, target, who, **asked)
        assert isinstance(answer, Answer), answer
        return answer

    async def records(self, target, who="mei"):
        return json.loads((await self.get(target, who)).body)

    async def refused(self, target, who="mei", method="GET", **asked):
        refusal = await self.ask(method, target, who, **asked)
        assert isinstance(refusal, Refusal), refusal
        return refusal.reason


def named(answer, name):
    return [value for key, value in answer.headers if key.lower() == name.lower()]


def listed(*records, **beside):
    return {"data": list(records), "total": 120, **beside}


@pytest.fixture
def gate():
    return Gate()


# -- codings ---------------------------------------------------------------------------------


async def test_a_coded_answer_is_decoded_and_cut(gate):
    gate.says(gzip.compress(json.dumps(OTHERS).encode()), JSON, ("Content-Encoding", "gzip"))
    answer = await gate.get("/clients/8")
    assert json.loads(answer.body) == PLAIN_OTHERS
    assert named(answer, "Content-Encoding") == []


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip", "x", "gzip"])
async def test_a_coding_that_cannot_be_undone_is_refused(gate, coding):
    gate.says(OTHERS, JSON, ("Content-Encoding", coding))
    assert await gate.refused("/clients/8") is Reason.ANSWER_NOT_CUT


# -- where an answer leads -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leads", "shown"),
    [
        ("/clients/8", "/clients/8"),
        ("http://crm.example/clients?page=2", "/clients?page=2"),
        ("8", "/clients/8"),
    ],
)
async def test_a_redirect_leads_to_a_mapped_path_and_loses_its_body(gate, leads, shown):
    gate.says(OTHERS, JSON, ("Location", leads), status=302)
    answer = await gate.get("/clients/7")
    assert (answer.status, named(answer, "Location"), answer.body) == (302, [shown], b"")


@pytest.mark.parametrize(
    "leads",
    [
        "http://elsewhere.example/clients/8",
        "//elsewhere.example/clients",
        "/clients/../admin",
        "/admin",
        "/clients?phone=070-0000-0008",
        "/clients?name=Emi",
        "/clients?unknown=1",
        "javascript:alert(1)",
        "",
    ],
)
async def test_a_redirect_that_leads_anywhere_else_is_refused(gate, leads):
    gate.says(OTHERS, JSON, ("Location", leads), status=302)
    assert await gate.refused("/clients/7") is Reason.UPSTREAM_REDIRECT


async def test_two_locations_are_no_redirect(gate):
    gate.says(OTHERS, ("Location", "/clients/7"), ("Location", "/clients/8"), status=302)
    assert await gate.refused("/clients/7") is Reason.UPSTREAM_REDIRECT


async def test_a_redirect_does_not_tell_that_a_record_is_there(gate):
    gate.says(OTHERS, JSON, ("Location", "/clients/8"), status=302)
    assert await gate.refused("/clients/7", "yuki") is Reason.UPSTREAM_REDIRECT


async def test_links_to_mapped_paths_stay_and_others_leave(gate):
    links = (
        '<http://crm.example/clients?page=2>; rel="next"; title="070-0000-0008", '
        '<https://elsewhere.example/x>; rel="help", </clients?phone=1>; rel="search"'
    )
    gate.says(listed(OTHERS), JSON, ("Link", links))
    answer = await gate.get("/clients")
    assert named(answer, "Link") == ['</clients?page=2>; rel="next"']


async def test_links_leave_where_records_may_be_kept_back(gate):
    gate.says(listed(OTHERS), JSON, ("Link", '</clients?page=99>; rel="last"'))
    assert named(await gate.get("/clients", "yuki"), "Link") == []


async def test_a_new_record_is_told_by_its_path(gate):
    gate.says(MINE, JSON, ("Location", "http://crm.example/clients/9"), status=201)
    answer = await gate.get("/clients", "ken", method="POST", body={"name": "Aoi Mori"})
    assert named(answer, "Location") == ["/clients/9"]


@pytest.mark.parametrize("status", [206, 304])
async def test_an_answer_to_a_condition_or_range_that_nobody_sent_is_refused(gate, status):
    gate.says(MINE, status=status)
    assert await gate.refused("/clients/7") is Reason.ANSWER_NOT_CUT


# -- questions that are checked again --------------------------------------------------------


async def test_a_search_shows_whom_the_visible_explains_and_nobody_else(gate):
    gate.says(listed(MINE, OTHERS), JSON, ("X-Total-Count", "2"))
    answer = await gate.get("/clients?q=070")
    # Mine is found by a phone number that I may see; hers is not.
    assert json.loads(answer.body) == {"data": [MINE]}
    assert named(answer, "X-Total-Count") == []
    (entry,) = gate.trail.entries
    assert (entry.unmatched, entry.refused) == (1, 0)
    assert gate.meter.named("records_unmatched") == [("client", 1)]


async def test_the_same_search_is_answered_in_full_to_whoever_may_see_it_all(gate):
    gate.says(listed(MINE, OTHERS))
    assert await gate.records("/clients?q=070", "ken") == listed(MINE, OTHERS)
    assert gate.meter.named("records_unmatched") == []


async def test_a_search_in_a_body_is_judged_like_one_in_the_query(gate):
    gate.says([MINE, OTHERS])
    found = await gate.get("/clients/search", method="POST", body={"text": "emi"})
    assert json.loads(found.body) == [PLAIN_OTHERS]
    asked = await gate.refused("/clients/search", method="POST", body={"phone": "070"})
    assert asked is Reason.HIDDEN_FIELD_ASKED
    unknown = await gate.refused("/clients/search", method="POST", body={"sort": "phone"})
    assert unknown is Reason.UNKNOWN_PARAMETER


async def test_an_exact_number_shows_the_one_who_has_it_to_whoever_may_find(gate):
    gate.says(listed(MINE, OTHERS))
    found = await gate.records("/clients?phone=070-0000-0008", "ken")
    assert found == {"data": [OTHERS]}
    (entry,) = gate.trail.entries
    assert (entry.action, entry.unmatched) == ("find", 1)
    assert await gate.refused("/clients?phone=070-0000-0008", "mei") is Reason.NO_RULE_ALLOWS


async def test_exact_numbers_are_asked_for_so_many_times_an_hour(gate):
    gate.says(listed(MINE))
    for _ in range(2):
        await gate.get("/clients?phone=070-0000-0007", "ken")
    refusal = await gate.ask("GET", "/clients?phone=070-0000-0008", "ken")
    assert (refusal.reason, refusal.retry_seconds) == (Reason.BUDGET_SPENT, 3600)
    assert len(gate.crm.sent) == 2
    assert gate.trail.entries[-1].reason is Reason.BUDGET_SPENT


# -- formats ---------------------------------------------------------------------------------


async def test_lines_are_cut_line_by_line(gate):
    body = b"".join(json.dumps(one).encode() + b"\n" for one in (MINE, OTHERS))
    gate.says(body, ("Content-Type", "application/x-ndjson"))
    answer = await gate.get("/export.ndjson")
    assert [json.loads(line) for line in answer.body.splitlines()] == [MINE, PLAIN_OTHERS]
    assert named(answer, "Content-Type") == ["application/x-ndjson"]


async def test_a_table_is_cut_row_by_row(gate):
    body = (
        b"No,Name,Phone,Stylist,Salary\r\n"
        b'7,"Mori, Aoi",070-0000-0007,17,1\r\n8,Emi,070-0000-0008,18,2\r\n'
    )
    gate.says(body, ("Content-Type", "text/csv"))
    answer = await gate.get("/export.csv")
    assert answer.body == (
        b'No,Name,Phone,Stylist\r\n7,"Mori, Aoi",070-0000-0007,17\r\n8,Emi,,18\r\n'
    )
    (entry,) = gate.trail.entries
    assert "phone" in entry.hidden


@pytest.mark.parametrize("target", ["/export.csv", "/export.ndjson", "/feed"])
async def test_another_format_than_declared_is_refused(gate, target):
    gate.says(listed(MINE))
    assert await gate.refused(target) is Reason.ANSWER_NOT_CUT


EVENTS = ("Content-Type", "text/event-stream")


def event(record):
    return b"data: " + json.dumps(record).encode() + b"\n\n"


async def test_events_are_cut_one_by_one_and_leave_an_end_entry(gate):
    gate.says(event(MINE) + event(OTHERS), EVENTS)
    answer = await gate.get("/feed")
    text = b"".join([piece async for piece in answer.body])
    shown = [json.loads(line[5:]) for line in text.splitlines() if line.startswith(b"data:")]
    assert shown == [MINE, PLAIN_OTHERS]
    first, last = gate.trail.entries
    assert (first.phase, last.phase, last.reason) == (Phase.ANSWER, Phase.END, Reason.RULE_ALLOWS)
    assert (last.hidden, "name" in last.shown) == (("phone",), True)


async def test_events_of_records_that_may_not_be_seen_do_not_come(gate):
    gate.says(event(MINE) + event(OTHERS), EVENTS)
    answer = await gate.get("/feed", "yuki")
    assert b"".join([piece async for piece in answer.body]) == b""
    assert gate.trail.entries[-1].refused == 2


async def test_events_are_cut_by_the_policy_in_force_when_they_pass(gate):
    class Slow:
        status, headers = 200, (EVENTS,)

        def arrived(self):
            return None

        async def stream(self):
            yield event(MINE)
            gate.bundle = stricter()
            yield event(MINE)

        async def close(self):
            pass

    async def send(*_args, **_kwargs):
        return Slow()

    gate.crm.send = send
    answer = await gate.get("/feed")
    first, second = [piece async for piece in answer.body]
    assert b"070-0000-0007" in first
    assert b"070-0000-0007" not in second
    assert b"Aoi" in second


def stricter():
    rules = RULES.replace("p, role:stylist,   client.contact", "# p, role:stylist, client.contact")
    files = FILES | {"rules": rules}
    return build(
        Sources(
            **{p: SourceFile(name=f"{p}.x", data=text.encode()) for p, text in files.items()},
            model=source("policies/model.conf"),
            apps=("backoffice",),
        )
    )


# -- WebSockets ------------------------------------------------------------------------------

HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


class Talk:
    """A conversation under way: both sides are in the hands of the test."""

    def __init__(self, gate, conversation, crm):
        self.gate, self.crm, self.client = gate, crm, MemoryChannel()
        self.running = asyncio.ensure_future(conversation.converse(self.client))


async def talk(gate, target="/live", who="mei"):
    crm = MemoryChannel()

    async def converse(clearance, **asked):
        assert clearance.by
        gate.asked = asked
        return crm

    gate.crm.converse = converse
    conversation = await gate.ask("GET", target, who, headers=HANDSHAKE)
    assert isinstance(conversation, Conversation), conversation
    return Talk(gate, conversation, crm)


async def test_messages_of_the_crm_are_cut_like_answers(gate):
    talking = await talk(gate)
    await talking.crm.say(json.dumps(OTHERS), json.dumps(MINE))
    assert json.loads(await talking.client.got.get()) == PLAIN_OTHERS
    assert json.loads(await talking.client.got.get()) == MINE
    await talking.crm.leave(1000)
    await talking.running
    first, last = gate.trail.entries
    assert (first.status, first.reason, last.phase) == (101, Reason.RULE_ALLOWS, Phase.END)
    assert last.hidden == ("phone",)
    names = {name.lower() for name, _ in gate.asked["headers"]}
    assert not {n for n in names if n.startswith("sec-websocket") or n == "authorization"}


async def test_a_logout_closes_a_silent_conversation_with_its_reason(gate):
    talking = await talk(gate)
    await gate.epochs.revoke(staff_id("mei"), None, gate.clock.moment)
    await gate.pipeline.flows.beat()
    with pytest.raises(Exception, match="unauthenticated"):
        await talking.running
    assert talking.client.closed == (1008, "unauthenticated")
    assert talking.crm.closed is not None
    assert gate.trail.entries[-1].cause is Cause.EPOCH_STALE
    assert not gate.pipeline.flows._open


async def test_nothing_is_sent_up_where_messages_are_cut(gate):
    talking = await talk(gate)
    await talking.client.say('{"phone": "070"}')
    with pytest.raises(Exception, match="body_invalid"):
        await talking.running
    assert talking.client.closed == (1008, "body_invalid")
    assert talking.crm.got.empty()


async def test_where_nothing_is_hidden_both_may_speak(gate):
    talking = await talk(gate, "/chat")
    await talking.client.say("hello")
    assert await talking.crm.got.get() == "hello"
    await talking.crm.say(b"\x00\x01")
    assert await talking.client.got.get() == b"\x00\x01"
    await talking.client.leave(1000)
    await talking.running


async def test_bytes_where_messages_are_cut_end_the_conversation(gate):
    talking = await talk(gate)
    await talking.crm.say(json.dumps(OTHERS).encode())
    with pytest.raises(Exception, match="answer_not_cut"):
        await talking.running
    assert talking.client.got.empty()


async def test_a_websocket_opens_nowhere_else_and_nothing_else_opens_one(gate):
    assert await gate.refused("/clients", headers=HANDSHAKE) is Reason.MALFORMED_REQUEST
    assert await gate.refused("/live") is Reason.WEBSOCKET_ONLY
    assert gate.crm.sent == []


def observing(*rows):
    """The policy of this file with rows that are only observed."""
    observe = "rules:\n" + "".join(
        f'  - {{rule: "{row}", enforce_from: 2027-12-01}}\n' for row in rows
    )
    files = FILES | {"rules": "".join(f"{row}\n" for row in rows) + RULES}
    return build(
        Sources(
            **{p: SourceFile(name=f"{p}.x", data=text.encode()) for p, text in files.items()},
            model=source("policies/model.conf"),
            apps=("backoffice",),
            observe=SourceFile(name="observe.yaml", data=observe.encode()),
        )
    )


async def test_an_observed_deny_lets_a_conversation_open_and_says_so(gate):
    gate.bundle = observing("p, role:stylist, note, list, , deny")
    talking = await talk(gate, "/chat")
    (entry,) = gate.trail.entries
    assert (entry.status, entry.reason, entry.would) == (
        101, Reason.WOULD_DENY, Reason.RULE_DENIES,
    )  # fmt: skip
    assert gate.meter.named("would_deny") == [("role:stylist", "note", "list", Reason.RULE_DENIES)]
    await talking.client.leave(1000)
    await talking.running


@pytest.mark.parametrize(
    ("target", "row", "unknown"),
    [
        ("/live", "p, role:anyone, client.contact, read, , deny", ["client"]),
        ("/chat", "p, role:stylist, client, create, , deny", []),
    ],
)
async def test_what_observed_rules_would_hide_of_messages_is_counted_as_unknown(
    gate, target, row, unknown
):
    gate.bundle = observing(row)
    talking = await talk(gate, target)
    assert [name for (name,) in gate.meter.named("would_unknown")] == unknown
    await talking.client.leave(1000)
    await talking.running


async def test_without_room_for_an_entry_no_websocket_opens(gate):
    crm = MemoryChannel()

    async def converse(*_args, **_kwargs):
        return crm

    gate.crm.converse = converse
    gate.trail.full_after = 0
    refusal = await gate.ask("GET", "/live", "mei", headers=HANDSHAKE)
    assert refusal.reason is Reason.AUDIT_UNAVAILABLE
    assert crm.closed is not None
