"""One request, stage by stage: what comes before what, and what every failure turns into."""

import json
from pathlib import Path

import pytest

from gateway.audit.entry import Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.access import WindowState
from gateway.domain.decision import Refusal
from gateway.domain.errors import UpstreamError
from gateway.domain.http import Answer, Inbound
from gateway.domain.reason import ALLOWING, STATUS, Cause, Reason
from gateway.domain.subject import DeviceId, staff_id
from gateway.domain.time import instant
from gateway.doorway import Doorway
from gateway.identity.claims import TokenPolicy, issue
from gateway.identity.keys import secret_table
from gateway.mapping.guard import WireLimits
from gateway.pipeline import Pipeline
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import Body, CountingMeter, MemoryTrail, MemoryUpstream, SetClock

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
OPEN = "2026-11-25T12:00+09:00"  # a Wednesday
JSON = ("Content-Type", "application/json")
SHUT = "2026-11-25T21:30+09:00"
CLIENT = {"id": 7, "name": "Aoi", "phone": "070-0000-0007", "email": "aoi@example.com"}


def source(path):
    return SourceFile(name=Path(path).name, data=Path(path).read_bytes())


RULES = Path("policies/salon_rules.csv").read_text(encoding="utf-8").splitlines()
STARTER = build(
    Sources(
        rules=source("policies/salon_rules.csv"),
        model=source("policies/model.conf"),
        hours=source("policies/hours.yaml"),
        staff=source("policies/staff.yaml"),
        adapter=source("adapters/salon-demo.yaml"),
        apps=("phone", "backoffice"),
    )
)


class Salon:
    """A gateway in memory with the starter policy, and somebody at the door."""

    def __init__(self, at=OPEN):
        self.happened = []
        self.clock = SetClock(at)
        self.epochs = MemoryEpochs()
        self.locks = MemoryLocks()
        self.devices = MemoryDevices()
        self.lockdown = MemoryLockdown()
        self.crm = MemoryUpstream(self.happened)
        self.trail = MemoryTrail(self.happened)
        self.meter = CountingMeter()
        self.asked_bundles = 0
        self.pipeline = Pipeline(
            bundles=self,
            doorway=Doorway(
                limits=WireLimits(),
                tokens=TokenPolicy(
                    issuer="salon-gateway", audience="salon-crm", keys=secret_table(SECRET)
                ),
                max_request_body=10_000,
                upstream_origin="http://crm.example",
            ),
            clock=self.clock,
            epochs=self.epochs,
            locks=self.locks,
            lockdown=self.lockdown,
            devices=self.devices,
            upstream=self.crm,
            audit=self.trail,
            meter=self.meter,
            new_request_id=lambda: "11111111-2222-4333-8444-555555555555",
        )

    def current(self):
        self.asked_bundles += 1
        return STARTER

    async def token(self, who="mei", *, app="backoffice", device="phone-mei"):
        now = self.clock.moment
        epoch = await self.epochs.enrol(staff_id(who), DeviceId(device), now)
        return issue(
            key=SECRET,
            algorithm="HS256",
            kid="default",
            issuer="salon-gateway",
            audience="salon-crm",
            staff=staff_id(who),
            epoch=epoch,
            now=now,
            lifetime_seconds=3600,
            device=DeviceId(device),
            app=app,
        )

    async def ask(
        self, method, target, who="mei", *, body=None, token=None, headers=(), typed=JSON, **claims
    ):
        if who is not None and token is None:
            token = await self.token(who, **claims)
        sent = [("Host", "crm.salon.example"), *headers]
        if token is not None:
            sent.append(("Authorization", f"Bearer {token}"))
        data = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            sent += [typed, ("Content-Length", str(len(data)))]
        return await self.pipeline.run(
            Inbound(
                method=method,
                target=target,
                version="1.1",
                headers=tuple(sent),
                peer="192.0.2.7",
                secure=True,
            ),
            Body(data),
        )

    def reasons(self):
        return [entry.reason for entry in self.trail.entries]


def records(*clients):
    return json.dumps(list(clients)).encode()


async def test_a_stylist_gets_the_card_without_contact_fields():
    salon = Salon()
    salon.crm.says(200, json.dumps(CLIENT).encode())
    answer = await salon.ask("GET", "/api/clients/7")
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"id": 7, "name": "Aoi"}
    (entry,) = salon.trail.entries
    assert (entry.reason, entry.record, entry.route) == (
        Reason.RULE_ALLOWS,
        "7",
        "GET /api/clients/{id}",
    )
    assert entry.hidden == ("email", "phone")
    assert entry.shown == ("name",)
    assert [str(rule) for rule in entry.rules]
    assert salon.meter.named("dropped") == [("client", "contact", 2)]


async def test_a_manager_gets_the_whole_card():
    salon = Salon()
    salon.crm.says(200, json.dumps(CLIENT).encode())
    answer = await salon.ask("GET", "/api/clients/7", "ken")
    assert json.loads(answer.body) == CLIENT


async def test_one_entry_stands_before_the_answer_and_after_the_crm():
    salon = Salon()
    await salon.ask("GET", "/api/clients/7")
    assert salon.happened == ["forwarded", "entered answer"]


async def test_a_write_is_entered_before_it_is_forwarded():
    salon = Salon()
    answer = await salon.ask("PATCH", "/api/clients/7", "rei", body={"phone": "070-0000-0000"})
    assert isinstance(answer, Answer)
    assert salon.happened == ["entered intent", "forwarded", "entered answer"]
    intent, outcome = salon.trail.entries
    assert (intent.phase, outcome.phase) == (Phase.INTENT, Phase.ANSWER)
    assert intent.request_id == outcome.request_id


async def test_one_clock_reading_one_bundle():
    salon = Salon()
    token = await salon.token()
    await salon.ask("GET", "/api/clients/7", token=token)
    assert (salon.clock.reads, salon.asked_bundles) == (1, 1)


async def test_a_stylist_may_not_export_and_hears_which_rule_says_so():
    salon = Salon()
    refusal = await salon.ask("GET", "/api/clients/export")
    assert refusal.reason is Reason.RULE_DENIES
    (rule,) = refusal.by
    assert "export|merge|delete" in RULES[rule.line - 1]
    assert salon.crm.sent == []
    assert salon.reasons() == [Reason.RULE_DENIES]


async def test_outside_the_hours_the_list_is_closed_and_says_when_it_opens():
    salon = Salon(at=SHUT)
    refusal = await salon.ask("GET", "/api/clients")
    assert refusal.reason is Reason.OUTSIDE_HOURS
    assert refusal.timezone == "Asia/Tokyo"
    assert refusal.opens_at.isoformat() == "2026-11-26T00:00:00+00:00"  # 09:00, grace included
    assert [str(rule).split(":")[0] for rule in refusal.by] == ["hours.yaml"]
    assert salon.meter.named("after_hours_attempt") == [("role:stylist", "client")]


async def test_a_manager_outside_the_hours_is_let_through_and_counted():
    salon = Salon(at=SHUT)
    salon.crm.says(200, records(CLIENT))
    answer = await salon.ask("GET", "/api/clients", "ken")
    assert isinstance(answer, Answer)
    assert salon.meter.named("exempt_access") == [("role:manager", "client")]
    assert salon.trail.entries[0].exempt
    assert salon.trail.entries[0].window is WindowState.CLOSED


async def test_after_a_forced_logout_the_next_request_is_401():
    salon = Salon()
    token = await salon.token()
    await salon.epochs.revoke(staff_id("mei"), None, salon.clock.moment)
    refusal = await salon.ask("GET", "/api/clients/7", token=token)
    assert (refusal.reason, refusal.cause) == (Reason.UNAUTHENTICATED, Cause.EPOCH_STALE)
    assert salon.crm.sent == []


async def test_a_logout_while_the_crm_answers_keeps_the_answer_inside():
    salon = Salon()
    token = await salon.token()
    send = salon.crm.send

    async def logged_out_meanwhile(*args, **kwargs):
        await salon.epochs.revoke(staff_id("mei"), None, salon.clock.moment)
        return await send(*args, **kwargs)

    salon.crm.send = logged_out_meanwhile
    refusal = await salon.ask("GET", "/api/clients/7", token=token)
    assert refusal.reason is Reason.UNAUTHENTICATED
    assert salon.crm.given[0].closed


@pytest.mark.parametrize("token", [None, "rubbish", "a.b.c", "x" * 9000])
async def test_who_cannot_be_known_gets_401_whether_or_not_the_path_is_mapped(token):
    salon = Salon()
    for target in ("/api/clients/7", "/nowhere"):
        refusal = await salon.ask("GET", target, None, token=token)
        assert refusal.reason is Reason.UNAUTHENTICATED
    assert len(salon.meter.named("unauthenticated")) == 2


async def test_strangers_fill_at_most_sixty_lines_a_minute_and_the_next_one_says_so():
    salon = Salon()
    for _ in range(75):
        await salon.ask("GET", "/api/clients/7", None)
    assert len(salon.trail.entries) == 60
    assert len(salon.meter.named("answered")) == 75
    salon.clock.set("2026-11-25T12:02+09:00")
    await salon.ask("GET", "/api/clients/7", None)
    assert salon.trail.entries[-1].suppressed == 15


async def test_whoever_is_not_on_the_roster_is_a_stranger_to_the_trail_whatever_their_name():
    salon = Salon()
    for number in range(75):
        refusal = await salon.ask("GET", "/api/clients/7", f"nobody-{number}")
        assert refusal.reason is Reason.NOT_ON_ROSTER
    assert len(salon.trail.entries) == 60
    assert set(salon.pipeline.quotas) == {None}


async def test_what_no_line_stands_for_is_entered_as_a_tally_at_the_end():
    salon = Salon()
    for _ in range(63):
        await salon.ask("GET", "/api/clients/7", None)
    await salon.pipeline.settle()
    tally = salon.trail.entries[-1]
    assert (tally.phase, tally.suppressed) == (Phase.TALLY, 3)
    await salon.pipeline.settle()
    assert salon.trail.entries[-1] is tally


async def test_somebody_known_at_an_unmapped_path_gets_404_and_the_path_is_entered():
    salon = Salon()
    refusal = await salon.ask("GET", "/api/secrets?x=1")
    assert refusal.reason is Reason.UNMAPPED
    (entry,) = salon.trail.entries
    assert (entry.path, entry.staff) == ("/api/secrets", "staff:mei")


async def test_a_public_route_needs_nobody_and_is_counted_not_entered():
    salon = Salon()
    salon.crm.says(200, b"ok", [("Content-Type", "text/plain")])
    answer = await salon.ask("GET", "/health", None)
    assert [chunk async for chunk in answer.body] == [b"ok"]
    assert salon.trail.entries == []
    assert salon.meter.named("answered")[0][0].reason is Reason.PUBLIC


async def test_a_pass_route_needs_a_person_in_standing():
    salon = Salon()
    assert (await salon.ask("GET", "/staff", None)).reason is Reason.UNAUTHENTICATED
    assert isinstance(await salon.ask("GET", "/staff", "oksana"), Answer)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/api/clients?phone=090", Reason.HIDDEN_FIELD_ASKED),
        ("/api/clients?sort=email", Reason.HIDDEN_FIELD_ASKED),
        ("/api/clients?fields=email", Reason.UNKNOWN_PARAMETER),
        ("/api/clients?page=1&page=2", Reason.PARAMETER_INVALID),
        ("/api/clients/%2e%2e/x", Reason.AMBIGUOUS_TARGET),
    ],
)
async def test_a_question_about_a_hidden_field_never_reaches_the_crm(target, reason):
    salon = Salon()
    refusal = await salon.ask("GET", target)
    assert refusal.reason is reason
    assert salon.crm.sent == []


@pytest.mark.parametrize(
    ("who", "method", "body", "reason"),
    [
        ("mei", "PATCH", {"phone": "1"}, Reason.NO_RULE_ALLOWS),
        ("rei", "PATCH", {"notes": "x"}, Reason.FIELD_NOT_WRITABLE),
        ("rei", "PATCH", {"surprise": "x"}, Reason.FIELD_NOT_WRITABLE),
        ("rei", "PUT", {"name": "x"}, Reason.OVERWRITES_HIDDEN),
        ("rei", "PATCH", ["name"], Reason.BODY_INVALID),
    ],
)
async def test_a_write_that_may_not_be_is_refused_before_it_is_entered_or_sent(
    who, method, body, reason
):
    salon = Salon()
    refusal = await salon.ask(method, "/api/clients/7", who, body=body)
    assert refusal.reason is reason
    assert salon.crm.sent == []
    assert [entry.phase for entry in salon.trail.entries] == [Phase.ANSWER]


async def test_the_crm_gets_exactly_the_bytes_that_were_judged():
    salon = Salon()
    await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    (_, method, wire, headers, body) = salon.crm.sent[0]
    assert (method, wire, body) == ("PATCH", "/api/clients/7", b'{"name": "Aoi"}')
    assert "authorization" not in {name.lower() for name, _ in headers}


@pytest.mark.parametrize(
    "says",
    [
        (200, b"<html>070-0000-0007</html>", [("Content-Type", "text/html")]),
        (200, b"not json", [("Content-Type", "application/json")]),
        (200, b'{"id": 7', [("Content-Type", "application/json")]),
        (206, b'{"id": 7}', [("Content-Type", "application/json")]),
        (200, b"{}", [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]),
    ],
)
async def test_an_answer_that_cannot_be_cut_is_refused(says):
    salon = Salon()
    salon.crm.says(*says)
    refusal = await salon.ask("GET", "/api/clients/7")
    assert refusal.reason is Reason.ANSWER_NOT_CUT
    assert salon.crm.given[0].closed


async def test_an_error_page_of_the_crm_keeps_its_status_and_loses_its_text():
    salon = Salon()
    salon.crm.says(500, b"<h1>Aoi 070-0000-0007</h1>", [("Content-Type", "text/html")])
    answer = await salon.ask("GET", "/api/clients/7")
    assert (answer.status, answer.body) == (500, b"")


async def test_a_redirect_on_a_sensitive_route_is_refused():
    salon = Salon()
    salon.crm.says(302, b"", [("Location", "http://elsewhere.example/")])
    assert (await salon.ask("GET", "/api/clients/7")).reason is Reason.UPSTREAM_REDIRECT


async def test_a_write_that_was_applied_but_cannot_be_shown_says_so():
    salon = Salon()
    salon.crm.says(200, b"thank you", [("Content-Type", "text/plain")])
    refusal = await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    assert refusal.reason is Reason.APPLIED_NOT_SHOWN
    assert salon.reasons() == [None, Reason.APPLIED_NOT_SHOWN]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_UNREACHABLE),
        (Reason.UPSTREAM_TIMEOUT, Reason.APPLIED_NOT_SHOWN),
        (Reason.UPSTREAM_INVALID, Reason.APPLIED_NOT_SHOWN),
    ],
)
async def test_a_write_that_may_have_arrived_never_invites_a_retry(reason, told):
    salon = Salon()
    salon.crm.error = UpstreamError(reason)
    refusal = await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    assert refusal.reason is told


async def test_when_the_state_is_away_every_identified_request_is_503():
    salon = Salon()
    token = await salon.token()
    salon.epochs.away = True
    for target in ("/api/clients/7", "/staff", "/nowhere"):
        refusal = await salon.ask("GET", target, token=token)
        assert refusal.reason is Reason.STATE_UNAVAILABLE
    assert salon.crm.sent == []


async def test_without_room_for_an_entry_there_is_no_answer():
    salon = Salon()
    salon.trail.full_after = 0
    refusal = await salon.ask("GET", "/api/clients/7")
    assert refusal.reason is Reason.AUDIT_UNAVAILABLE
    assert salon.crm.given[0].closed


async def test_without_room_for_an_intent_nothing_is_forwarded():
    salon = Salon()
    salon.trail.full_after = 0
    refusal = await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    assert refusal.reason is Reason.AUDIT_UNAVAILABLE
    assert salon.crm.sent == []


async def test_a_disk_that_fills_between_intent_and_outcome_does_not_hide_the_write():
    salon = Salon()
    salon.trail.full_after = 1
    refusal = await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    assert refusal.reason is Reason.APPLIED_NOT_SHOWN


async def test_a_refusal_that_cannot_be_entered_is_still_a_refusal():
    salon = Salon()
    salon.trail.full_after = 0
    refusal = await salon.ask("GET", "/api/clients/export")
    assert refusal.reason is Reason.AUDIT_UNAVAILABLE


@pytest.mark.parametrize("stage", ["floor", "send", "decided"])
async def test_no_exception_allows(stage):
    salon = Salon()
    token = await salon.token()

    def broken(*args, **kwargs):
        raise RuntimeError("070-0000-0007")

    owner = {"floor": salon.epochs, "send": salon.crm, "decided": salon.meter}[stage]
    setattr(owner, stage, broken)
    refusal = await salon.ask("GET", "/api/clients/7", token=token)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.INTERNAL_ERROR
    assert "070" not in refusal.detail
    assert salon.reasons() == [Reason.INTERNAL_ERROR]


async def test_every_reason_that_is_not_an_answer_has_a_status():
    assert set(STATUS) == set(Reason) - ALLOWING


async def test_a_token_from_before_the_enrolment_of_a_flushed_store_stays_dead():
    salon = Salon()
    token = await salon.token()
    salon.epochs.lose_memory()
    assert (await salon.ask("GET", "/staff", token=token)).cause is Cause.SESSION_UNKNOWN
    later = instant(salon.clock.moment.replace(second=5))
    await salon.epochs.enrol(staff_id("mei"), None, later)
    assert (await salon.ask("GET", "/staff", token=token)).cause is Cause.EPOCH_STALE


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/staff/", "/staff/"),
        ("http://crm.example/staff/", "/staff/"),
        ("http://elsewhere.example/", None),
        ("//elsewhere.example/", None),
    ],
)
async def test_a_redirect_of_a_pass_route_stays_on_our_own_origin(location, shown):
    salon = Salon()
    salon.crm.says(302, b"", [("Location", location)])
    answer = await salon.ask("GET", "/staff")
    if shown is None:
        assert answer.reason is Reason.UPSTREAM_REDIRECT
        assert salon.crm.given[0].closed
    else:
        assert ("Location", shown) in answer.headers


async def test_an_answer_without_a_body_gives_its_connection_back():
    salon = Salon()
    salon.crm.says(200, b"", [("Content-Type", "text/html")])
    answer = await salon.ask("HEAD", "/staff")
    assert answer.body == b""
    assert salon.crm.given[0].closed


@pytest.mark.parametrize(
    ("method", "target", "body", "reason"),
    [
        ("PATCH", "/api/clients/7", {"id": 8, "name": "Aoi"}, Reason.BODY_INVALID),
        ("PATCH", "/api/clients/7", {"id": ["7"], "name": "Aoi"}, Reason.BODY_INVALID),
        ("PATCH", "/api/clients/7", {"id": True, "name": "Aoi"}, Reason.BODY_INVALID),
        ("POST", "/api/clients", {"id": 8, "name": "Aoi"}, Reason.FIELD_NOT_WRITABLE),
    ],
)
async def test_a_body_may_not_name_another_record_than_was_judged(method, target, body, reason):
    salon = Salon()
    assert (await salon.ask(method, target, "rei", body=body)).reason is reason
    assert salon.crm.sent == []


@pytest.mark.parametrize("number", [7, "7"])
async def test_a_body_may_repeat_the_id_of_the_address(number):
    salon = Salon()
    answer = await salon.ask("PATCH", "/api/clients/7", "rei", body={"id": number, "name": "Aoi"})
    assert isinstance(answer, Answer)


async def test_the_crm_is_told_the_type_that_was_judged_and_no_more():
    salon = Salon()
    odd = ("Content-Type", 'application/json; a="multipart/form-data; boundary=x"')
    await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"}, typed=odd)
    (_, _, _, headers, _) = salon.crm.sent[0]
    assert [v for n, v in headers if n.lower() == "content-type"] == ["application/json"]


async def test_a_logged_out_phone_that_keeps_asking_fills_at_most_sixty_lines_a_minute():
    salon = Salon()
    token = await salon.token()
    await salon.epochs.revoke(staff_id("mei"), None, salon.clock.moment)
    for _ in range(70):
        await salon.ask("GET", "/api/clients/7", token=token)
    await salon.ask("GET", "/api/clients/7", None)  # a stranger has an allowance of their own
    assert [entry.staff for entry in salon.trail.entries] == ["staff:mei"] * 60 + [None]
    await salon.pipeline.settle()
    tally = salon.trail.entries[-1]
    assert (tally.phase, tally.staff, tally.suppressed) == (Phase.TALLY, "staff:mei", 10)


async def test_a_write_with_a_header_that_cannot_go_on_leaves_no_intent():
    salon = Salon()
    refusal = await salon.ask(
        "PATCH", "/api/clients/7", "rei", body={"name": "Aoi"}, headers=[("If-Match", '"1"')]
    )
    assert refusal.reason is Reason.PARAMETER_INVALID
    assert [entry.phase for entry in salon.trail.entries] == [Phase.ANSWER]


@pytest.mark.parametrize("stage", ["send", "append", "forwarded"])
async def test_a_bug_of_ours_after_a_write_was_sent_never_invites_a_retry(stage):
    salon = Salon()
    append = salon.trail.append

    async def broken_outcome(entry):
        if entry.phase is Phase.ANSWER and entry.reason is Reason.RULE_ALLOWS:
            raise RuntimeError("a bug")
        await append(entry)

    def broken(*args, **kwargs):
        raise RuntimeError("a bug")

    match stage:
        case "send":
            salon.crm.send = broken
        case "append":
            salon.trail.append = broken_outcome
        case "forwarded":
            salon.meter.forwarded = broken
    refusal = await salon.ask("PATCH", "/api/clients/7", "rei", body={"name": "Aoi"})
    assert refusal.reason is Reason.APPLIED_NOT_SHOWN
    assert salon.reasons() == [None, Reason.APPLIED_NOT_SHOWN]


async def test_somebody_with_a_good_token_who_is_not_on_the_roster_is_entered_by_name():
    salon = Salon()
    refusal = await salon.ask("GET", "/api/clients/7", "stranger")
    assert refusal.reason is Reason.NOT_ON_ROSTER
    (entry,) = salon.trail.entries
    assert (entry.staff, entry.salon) == ("staff:stranger", None)


async def test_an_empty_put_over_hidden_fields_is_refused_like_any_other():
    salon = Salon()
    assert (await salon.ask("PUT", "/api/clients/7", "rei")).reason is Reason.OVERWRITES_HIDDEN
    assert salon.crm.sent == []
