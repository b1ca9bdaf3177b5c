"""Observed rules: the request passes, and what they would have done is entered and counted."""

import json
import logging

import pytest

from gateway import shadow
from gateway.audit.entry import Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.decision import Refusal
from gateway.domain.errors import UpstreamError
from gateway.domain.http import Answer
from gateway.domain.reason import Reason
from gateway.domain.subject import staff_id
from tests.oracles.memory_world import MemoryAnswer
from tests.unit.test_pipeline import source
from tests.unit.test_records import (
    ADAPTER,
    BOOKED,
    DORMANT,
    HOURS,
    MINE,
    NIGHT,
    NOON,
    OTHERS,
    RULES,
    STAFF,
    Guarded,
)

NO_DELETE = "p, role:stylist, client, delete, , deny"
NO_PHONES = "p, role:anyone, client.contact, read|write, , deny"
NO_DORMANT = "p, role:anyone, client, *, dormant, deny"
FROM = "2026-12-01"
LEAVER = """\
  - id: aki
    name: Aki
    salons: {aoyama: [role:manager]}
    joined: 2020-04-01
    leaves_on: 2026-01-31
"""


def rules_of(*rows):
    return "".join(f'  - {{rule: "{row}", enforce_from: {FROM}}}\n' for row in rows)


def policy(observe, *rows, rules=RULES, hours=HOURS):
    """The policy of test_records.py with further rows, and an observe.yaml."""
    adapter = ADAPTER.replace("    SALON\n", "").replace(
        "routes:\n",
        "routes:\n  - {match: GET /clients/export, resource: client, action: export}\n",
    )
    texts = {
        "rules": "".join(f"{row}\n" for row in rows) + rules,
        "staff": STAFF + LEAVER,
        "adapter": adapter,
        "hours": hours,
    }
    files = {
        part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in texts.items()
    }
    return build(
        Sources(
            **files,
            model=source("policies/model.conf"),
            apps=("backoffice",),
            observe=SourceFile(name="observe.yaml", data=observe.encode()),
        )
    )


DELETES = policy("rules:\n" + rules_of(NO_DELETE), NO_DELETE)
PHONES = policy("rules:\n" + rules_of(NO_PHONES), NO_PHONES)
DORMANCY = policy("rules:\n" + rules_of(NO_DORMANT))
CLOSING = policy(f"hours: {{enforce_from: {FROM}}}")
EVERYTHING = policy(f"everything: {{enforce_from: {FROM}}}", NO_DELETE)


def a_list(salon, *records, **around):
    salon.crm.answers["/clients"] = (200, {"data": list(records), **around})
    return salon


def would(salon):
    entry = salon.trail.entries[-1]
    return entry.reason, entry.would, entry.would_hide, entry.would_refuse


# -- at the door -----------------------------------------------------------------------------


async def test_an_observed_deny_lets_pass_and_says_what_it_would_have_done():
    salon = Guarded(MINE, bundle=DELETES)
    assert isinstance(await salon.ask("DELETE", "/clients/7", "mei"), Answer)
    intent, entry = salon.trail.entries
    assert (entry.reason, entry.would) == (Reason.WOULD_DENY, Reason.RULE_DENIES)
    assert [str(ref) for ref in entry.would_by] == ["rules.x:1"]
    assert (intent.phase, intent.would) == (Phase.INTENT, Reason.RULE_DENIES)
    assert salon.meter.named("would_deny") == [
        ("role:stylist", "client", "delete", Reason.RULE_DENIES)
    ]
    assert salon.meter.named("answered")[0][0].reason is Reason.WOULD_DENY


async def test_what_it_does_not_concern_is_as_ever():
    salon = Guarded(MINE, bundle=DELETES)
    await salon.ask("GET", "/clients/7", "mei")
    await salon.ask("DELETE", "/clients/7", "ken")
    assert {entry.would for entry in salon.trail.entries} == {None}
    assert salon.trail.entries[-1].reason is Reason.RULE_ALLOWS
    assert not [name for name, *_ in salon.meter.calls if name.startswith("would")]


async def test_what_other_rules_refuse_stays_refused():
    salon = Guarded(OTHERS, DORMANT, bundle=DELETES)
    for target, who in [("/clients/8", "mei"), ("/clients/9", "mei"), ("/clients/8", "yuki")]:
        assert isinstance(await salon.ask("DELETE", target, who), Refusal)
    assert {sent[0] for sent in salon.crm.sent} == {"GET"}  # the look-ups


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-11-30T23:59:59+09:00", None),  # observed to the last second
        ("2026-12-01T00:00+09:00", Reason.OUTSIDE_HOURS),  # the salon's midnight, not UTC's
        ("2026-12-01T09:00+09:00", Reason.OUTSIDE_HOURS),
    ],
)
async def test_it_ends_by_itself_at_midnight_of_the_salon(at, told):
    salon = Guarded(MINE, bundle=CLOSING, at=at)
    answer = await salon.ask("GET", "/clients/7", "mei")
    assert (answer.reason if isinstance(answer, Refusal) else None) is told
    if told is None:
        assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.OUTSIDE_HOURS)


async def test_somebody_of_two_salons_is_held_to_what_counts_in_one_of_them_already():
    hours = HOURS.replace("shibuya: {timezone: Asia/Tokyo", "shibuya: {timezone: Europe/Kyiv")
    bundle = policy(f"hours: {{enforce_from: {FROM}}}", hours=hours)
    midnight_in_tokyo = "2026-12-01T00:00+09:00"
    refused = await Guarded(MINE, bundle=bundle, at=midnight_in_tokyo).ask(
        "GET", "/clients/7", "rei"
    )
    assert refused.reason is Reason.OUTSIDE_HOURS
    salon = Guarded(MINE, bundle=bundle, at="2026-11-30T23:59+09:00")
    assert isinstance(await salon.ask("GET", "/clients/7", "rei"), Answer)


# -- what would be hidden --------------------------------------------------------------------


async def test_a_field_that_would_be_hidden_is_shown_and_counted_and_others_stay_hidden():
    salon = a_list(Guarded(bundle=PHONES), MINE, OTHERS)
    mine, others = (await salon.get("/clients"))["data"]
    assert (mine["phone"], "phone" in others) == ("070-0000-0007", False)
    assert would(salon) == (Reason.RULE_ALLOWS, None, ("phone",), 0)
    assert salon.trail.entries[-1].hidden == ("phone",)  # of the other one, today
    # One phone leaves today, and one more would.
    assert salon.meter.named("dropped") == [("client", "contact", 1)]
    assert salon.meter.named("would_hide") == [("client", "contact", 1)]


async def test_what_stands_around_the_records_is_counted_only_if_it_leaves_anew():
    salon = a_list(Guarded(bundle=PHONES), MINE, total=7, links={"next": "/"})
    await salon.get("/clients")
    assert salon.meter.named("would_hide") == [("client", "contact", 1)]


async def test_records_inside_records_count_too():
    salon = Guarded(bundle=PHONES)
    salon.crm.answers["/bookings"] = (200, BOOKED)
    shown = await salon.get("/bookings")
    assert shown[0]["client"]["phone"] == "070-0000-0007"
    assert would(salon) == (Reason.RULE_ALLOWS, None, ("client.phone",), 0)
    assert salon.meter.named("would_hide") == [("booking", "contact", 1)]  # not the dormant one's


async def test_a_question_that_would_be_refused_passes_and_is_entered():
    salon = a_list(Guarded(bundle=PHONES), MINE)
    assert isinstance(await salon.ask("GET", "/clients?phone=070", "ken"), Answer)
    assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.HIDDEN_FIELD_ASKED)
    assert isinstance(await salon.ask("GET", "/clients?phone=070", "mei"), Refusal)


@pytest.mark.parametrize(
    ("method", "body", "told"),
    [
        ("PATCH", {"phone": "1"}, Reason.FIELD_NOT_WRITABLE),
        ("PUT", {"name": "x"}, Reason.OVERWRITES_HIDDEN),
        ("PATCH", {"name": "x"}, None),
    ],
)
async def test_a_write_that_would_be_refused_passes_and_is_entered(method, body, told):
    salon = Guarded(MINE, bundle=PHONES)
    assert isinstance(await salon.ask(method, "/clients/7", "ken", body=body), Answer)
    assert salon.trail.entries[-1].would is told


# -- what would be kept back -----------------------------------------------------------------


async def test_records_that_would_leave_a_list_are_shown_and_counted():
    salon = a_list(Guarded(bundle=DORMANCY), MINE, DORMANT, OTHERS)
    assert len((await salon.get("/clients"))["data"]) == 3
    assert would(salon) == (Reason.RULE_ALLOWS, None, (), 1)
    assert salon.meter.named("would_refuse_records") == [("client", 1)]
    assert salon.meter.named("records_refused") == []


async def test_one_record_that_would_not_be_there_is_shown():
    salon = Guarded(DORMANT, bundle=DORMANCY)
    assert (await salon.get("/clients/9"))["name"] == "Ume"
    assert would(salon) == (Reason.WOULD_DENY, Reason.NO_SUCH_RECORD, (), 1)


async def test_a_change_is_judged_by_the_look_up_that_was_made_anyway():
    mine = DORMANT | {"id": 9}
    salon = Guarded(mine, bundle=DORMANCY)
    assert isinstance(await salon.ask("DELETE", "/clients/9", "mei"), Answer)
    assert [sent[0] for sent in salon.crm.sent] == ["GET", "DELETE"]
    assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.NO_SUCH_RECORD)


async def test_no_record_is_looked_up_for_what_is_only_observed():
    salon = Guarded(DORMANT, bundle=DORMANCY)
    assert isinstance(await salon.ask("DELETE", "/clients/9", "ken"), Answer)
    assert [sent[0] for sent in salon.crm.sent] == ["DELETE"]
    assert would(salon)[:2] == (Reason.RULE_ALLOWS, None)
    assert salon.meter.named("would_unknown") == [("client",)]


async def test_what_a_head_request_would_be_told_is_not_known():
    salon = Guarded(DORMANT, bundle=DORMANCY)
    assert (await salon.ask("HEAD", "/clients/9", "mei")).status == 200
    assert salon.meter.named("would_unknown") == [("client",)]


# -- everything ------------------------------------------------------------------------------


async def test_while_everything_is_observed_no_rule_refuses_or_hides():
    salon = Guarded(OTHERS, bundle=EVERYTHING, at=NIGHT)
    answer = await salon.ask("GET", "/clients/8", "mei")
    assert json.loads(await body_of(answer)) == OTHERS
    (entry,) = salon.trail.entries
    assert (entry.reason, entry.would) == (Reason.WOULD_DENY, Reason.OUTSIDE_HOURS)
    assert [str(ref) for ref in entry.rules] == ["observe.yaml:1"]


async def body_of(answer):
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([piece async for piece in answer.body])


async def test_then_an_answer_passes_byte_for_byte_and_what_would_leave_is_counted():
    card = b'{"id":8,"phone":"070-0000-0008","stylist_id":18,"vip":-0,"last_visit":"2026-10-01"}'
    said = b'{"data": [ ' + card + b' ], "more": {}}'
    salon = Guarded(bundle=EVERYTHING)
    salon.crm.answers["/clients"] = (200, said)
    answer = await salon.ask("GET", "/clients", "mei")
    assert await body_of(answer) == said
    assert would(salon) == (Reason.RULE_ALLOWS, None, ("phone",), 0)
    assert sorted(salon.meter.named("would_hide")) == [
        ("client", "contact", 1),
        ("client", "unmapped", 2),  # `vip`, and `more` beside the list
    ]
    assert salon.crm.sent[0][2]["Accept-Encoding"] == "identity"


async def test_then_a_body_that_cannot_be_cut_passes_as_it_is():
    salon = Guarded(bundle=EVERYTHING)
    salon.crm.headers = (("Content-Type", "text/csv"),)
    salon.crm.answers["/clients/export"] = (200, b"id,phone\r\n7,070-0000-0007\r\n")
    # A manager may export, but nobody could cut a CSV.
    answer = await salon.ask("GET", "/clients/export", "ken", headers=[("Accept", "text/csv")])
    assert await body_of(answer) == b"id,phone\r\n7,070-0000-0007\r\n"
    assert ("Content-Type", "text/csv") in answer.headers
    assert salon.crm.sent[0][2]["Accept"] == "text/csv"
    assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.ANSWER_NOT_CUT)


async def test_then_broken_json_passes_as_it_is():
    salon = Guarded(bundle=EVERYTHING)
    salon.crm.answers["/clients"] = (200, b'{"data": [')
    assert await body_of(await salon.ask("GET", "/clients", "mei")) == b'{"data": ['
    assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.ANSWER_NOT_CUT)


async def test_then_the_text_of_an_error_counts_as_what_would_leave_it():
    salon = Guarded(bundle=EVERYTHING)
    answer = await salon.ask("GET", "/clients/404", "mei")
    assert json.loads(await body_of(answer)) == {"error": "no such thing"}
    assert answer.status == 404
    assert salon.meter.named("would_hide") == [("client", "unmapped", 1)]


@pytest.mark.parametrize(
    ("method", "target", "who", "body", "told"),
    [
        ("GET", "/secrets", "mei", None, Reason.UNMAPPED),
        ("GET", "/clients/%2e%2e/x", "mei", None, Reason.AMBIGUOUS_TARGET),
        ("GET", "/clients?fields=phone", "mei", None, Reason.UNKNOWN_PARAMETER),
        ("PATCH", "/clients/7", "mei", ["name"], Reason.BODY_INVALID),
        ("GET", "/clients/7", None, None, Reason.UNAUTHENTICATED),
        ("GET", "/clients/7", "aki", None, Reason.HAS_LEFT),
        ("GET", "/clients/7", "nobody", None, Reason.NOT_ON_ROSTER),
    ],
)
async def test_what_is_no_rule_is_enforced_all_the_same(method, target, who, body, told):
    salon = Guarded(MINE, bundle=EVERYTHING)
    refused = await salon.ask(method, target, who, body=body)
    assert refused.reason is told
    assert salon.crm.sent == []


async def test_a_logout_counts_all_the_same():
    salon = Guarded(MINE, bundle=EVERYTHING)
    token = await salon.token()
    await salon.epochs.revoke(staff_id("mei"), None, salon.clock.moment)
    refused = await salon.ask("GET", "/clients/7", token=token)
    assert refused.reason is Reason.UNAUTHENTICATED


async def test_from_its_day_on_everything_counts():
    salon = Guarded(OTHERS, bundle=EVERYTHING, at="2026-12-02T12:00+09:00")  # a Wednesday
    assert "phone" not in await salon.get("/clients/8")
    assert would(salon) == (Reason.RULE_ALLOWS, None, (), 0)


# -- nothing of it touches the answer --------------------------------------------------------


@pytest.mark.parametrize(
    "broken", ["seat", "inside", "require_answerable", "cut_as_steps", "FactReader"]
)
@pytest.mark.parametrize("bundle", [PHONES, EVERYTHING], ids=["a rule", "everything"])
async def test_whatever_fails_is_logged_and_counted_and_the_answer_goes_out(
    broken, bundle, monkeypatch, caplog
):
    def fails(*args, **kwargs):
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(shadow, broken, fails)
    salon = Guarded(MINE, bundle=bundle)
    with caplog.at_level(logging.WARNING, "gateway"):
        answer = await salon.ask("GET", "/clients/7", "mei")
    assert json.loads(await body_of(answer))["phone"] == "070-0000-0007"
    assert would(salon) == (Reason.RULE_ALLOWS, None, (), 0)
    assert salon.meter.named("would_unknown") == [("client",)]
    (line,) = [json.loads(record.message) for record in caplog.records]
    assert (line["event"], line["error"]) == ("observing_failed", "ZeroDivisionError")


class Flowing(MemoryAnswer):
    """An answer that comes in pieces, and may fail or dawdle on the way."""

    def __init__(self, *pieces, clock=None):
        super().__init__(200, (("Content-Type", "application/json"),), b"", [])
        self.pieces = pieces
        self.clock = clock
        self.taken = 0

    async def stream(self):
        for piece in self.pieces:
            self.taken += 1
            if isinstance(piece, Exception):
                raise piece
            if self.clock is not None:
                self.clock.set(f"2026-11-25T12:00:{6 * self.taken:02}+09:00")
            yield piece


def flowing(salon, *pieces, clock=None):
    answer = Flowing(*pieces, clock=clock)

    async def send(*args, **kwargs):
        return answer

    salon.crm.send = send
    return answer


async def test_a_body_too_large_to_measure_streams_on(monkeypatch):
    monkeypatch.setattr(shadow, "MAX_CUT_BODY", 10)
    salon = Guarded(bundle=EVERYTHING)
    source_of = flowing(salon, b'{"id": 7, ', b'"name":', b'"Aoi"}', b"\n")
    answer = await salon.ask("GET", "/clients/7", "mei")
    assert source_of.taken == 2  # no more than needed to know
    assert await body_of(answer) == b'{"id": 7, "name":"Aoi"}\n'
    assert would(salon)[:2] == (Reason.WOULD_DENY, Reason.ANSWER_TOO_LARGE)
    assert source_of.closed


async def test_a_slow_body_is_not_waited_for():
    salon = Guarded(bundle=EVERYTHING)
    source_of = flowing(salon, b'{"id":', b" 7", b"}", clock=salon.clock)
    answer = await salon.ask("GET", "/clients/7", "mei")
    assert source_of.taken == 1
    assert await body_of(answer) == b'{"id": 7}'
    assert salon.meter.named("would_unknown") == [("client",)]


async def test_a_body_that_breaks_off_breaks_off_where_it_did():
    salon = Guarded(bundle=EVERYTHING)
    flowing(salon, b'{"id":', UpstreamError(Reason.UPSTREAM_INVALID, "broke off"))
    answer = await salon.ask("GET", "/clients/7", "mei")
    pieces = aiter(answer.body)
    assert await anext(pieces) == b'{"id":'
    with pytest.raises(UpstreamError):
        await anext(pieces)


async def test_of_somebody_who_sees_the_same_either_way_nothing_is_said():
    salon = Guarded(bundle=EVERYTHING, at=NOON)
    salon.crm.answers["/bookings"] = (200, [])
    answer = await salon.ask("GET", "/bookings", "ken")
    assert await body_of(answer) == b"[]"
    assert would(salon) == (Reason.RULE_ALLOWS, None, (), 0)
