"""An observed rule, held against two policies: without the row, and with it enforced.

The whole pipeline runs three times on one request. What goes out must be what goes out
without the row, to the byte; what is said about it must be what happens with it.
"""

import asyncio
import json
import os
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.build import SourceFile, Sources, build
from gateway.domain.decision import Refusal
from gateway.domain.reason import Reason
from tests.unit.test_pipeline import source
from tests.unit.test_records import ADAPTER, HOURS, STAFF, Guarded

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ALLOWS = """\
p, role:stylist,   client, list|read|search, , allow
p, role:stylist,   client.contact, read|write, own_client, allow
p, role:stylist,   client, update|write|delete|create, own_client, allow
p, role:trainee,   client, list|read, own_client, allow
p, role:trainee,   booking, list|read, , allow
p, role:stylist,   booking, list|read, , allow
p, role:reception, client, list|read|update|write, !dormant, allow
p, role:manager,   *, *, , allow
"""
DENIES = (
    "p, role:anyone, client, *, dormant, deny",
    "p, role:anyone, client.contact, read, , deny",
    "p, role:anyone, client.contact, write, , deny",
    "p, role:stylist, client.contact, read, !own_client, deny",
    "p, role:manager, client.stylist, read, dormant, deny",
    "p, role:stylist, client, delete, , deny",
    "p, role:trainee, booking, list, , deny",
    "p, role:anyone, client, list|update, own_client, deny",
    "p, role:manager, client.unmapped, read, , deny",
    "p, role:anyone, *, read, app:backoffice, deny",
)
OPEN, SHUT = "2026-11-25T15:00+09:00", "2026-11-25T23:00+09:00"
ASKED = (
    ("GET", "/clients", None),
    ("GET", "/clients?phone=070", None),
    ("GET", "/clients/7", None),
    ("GET", "/bookings", None),
    ("PATCH", "/clients/7", {"name": "x"}),
    ("PATCH", "/clients/7", {"phone": "x"}),
    ("PUT", "/clients/7", {"name": "x"}),
    ("DELETE", "/clients/7", None),
    ("POST", "/clients", {"name": "x", "stylist_id": "17", "last_visit": "2026-11-01"}),
)
MEMBERS = {"name": "name", "phone": "phone", "stylist_id": "stylist", "last_visit": "last_visit"}
LATER = "{enforce_from: 2026-12-01}"


@cache
def policy(denies, observed=(), *, without=(), hours=True, further=""):
    """A policy; `observed` are those of its denies that are only observed."""
    kept = (f"# {row}" if row in without else row for row in denies)  # every row keeps its line
    texts = {
        "rules": "\n".join((*kept, ALLOWS)),
        "staff": STAFF,
        "adapter": ADAPTER.replace("    SALON\n", ""),
        "hours": HOURS if hours else HOURS.replace("[client]", "[]"),
    }
    lines = "".join(f'  - {{rule: "{row}", enforce_from: 2026-12-01}}\n' for row in observed)
    texts["observe"] = f"rules:\n{lines}{further}"
    files = {part: SourceFile(name=part, data=text.encode()) for part, text in texts.items()}
    return build(Sources(**files, model=source("policies/model.conf"), apps=("backoffice",)))


def ask(bundle, who, at, asked, records):
    """What goes out: a refusal, or status, headers and bytes. And the world it went through."""

    async def run():
        salon = Guarded(*records, bundle=bundle, at=at)
        listed = {"data": records, "total": 9, "extra": 1}
        salon.crm.answers["/clients"] = (200, listed if asked[0] == "GET" else records[0])
        booked = [{"id": n, "client": record} for n, record in enumerate(records)]
        salon.crm.answers["/bookings"] = (200, booked)
        method, target, body = asked
        answer = await salon.ask(method, target, who, body=body)
        if isinstance(answer, Refusal):
            return (answer.reason, answer.detail, answer.by), salon
        body = answer.body
        if not isinstance(body, bytes):
            body = b"".join([piece async for piece in body])
        return (answer.status, answer.headers, body), salon

    return asyncio.run(run())


def cards(body, *, embedded):
    """Every client in an answer, by its number or that of its booking."""
    value = json.loads(body)
    if embedded:
        return {booking["id"]: booking["client"] for booking in value if "client" in booking}
    return {card["id"]: card for card in value.get("data", [value])}


def lost(shown, then):
    """The fields that stand in a card now and would not stand in it then."""
    return {
        MEMBERS[member]
        for number in shown.keys() & then.keys()
        for member in (shown[number].keys() - then[number].keys()) & MEMBERS.keys()
    }


records = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from([7, 8, 9, 10]), "name": st.just("Aoi")},
        optional={
            "phone": st.just("070-0000-0007"),
            "stylist_id": st.sampled_from([17, 18, None]),
            "last_visit": st.sampled_from(["2026-10-01", "2019-10-01", "never"]),
            "surprise": st.just(1),
        },
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda record: record["id"],
)
denies = st.lists(st.sampled_from(DENIES), unique=True, max_size=4).map(lambda d: tuple(sorted(d)))
moments = st.sampled_from((OPEN, SHUT))
people = st.sampled_from(("mei", "ken", "yuki", "rei"))


def compare(observing, before, whole, who, at, asked, cards_of):
    """`before`: what must go out, or a policy that says so."""
    told, salon = ask(observing, who, at, asked, cards_of)
    then, _ = ask(whole, who, at, asked, cards_of)
    if before is not None:
        now, plainly = ask(before, who, at, asked, cards_of)
        assert told == now
        assert salon.crm.sent == plainly.crm.sent  # and nothing more was asked of the CRM
    if isinstance(told[0], Reason):
        return
    entry = salon.trail.entries[-1]
    if salon.meter.named("would_unknown"):
        assert asked[0] in {"PATCH", "PUT", "DELETE"}
        assert entry.would is None
        return
    refused = then[0] if isinstance(then[0], Reason) else None
    if told[0] >= 400:  # the CRM has no such record, and either way the person hears that
        assert (refused, entry.would) in {(None, None), (Reason.NO_SUCH_RECORD, None)} or (
            refused is entry.would
        )
        return
    assert entry.would is refused
    assert entry.reason is (Reason.RULE_ALLOWS if refused is None else Reason.WOULD_DENY)
    if refused is None:
        embedded = asked[1] == "/bookings"
        shown, kept = (cards(body, embedded=embedded) for body in (told[2], then[2]))
        gone = shown.keys() - kept.keys()
        assert entry.would_refuse == (0 if embedded else len(gone))
        names = lost(shown, kept)
        if embedded:
            names = {f"client.{name}" for name in names} | ({"client"} if gone else set())
        assert set(entry.would_hide) == names
    elif refused is Reason.NO_SUCH_RECORD and asked[0] == "GET":
        assert entry.would_refuse == 1


@settings(max_examples=120 * FUZZ, deadline=None)
@given(denies, st.data(), people, moments, st.sampled_from(ASKED), records)
def test_observed_rows_change_no_byte_and_what_they_would_do_is_what_they_do(
    rows, data, who, at, asked, cards_of
):
    chosen = data.draw(st.sets(st.sampled_from(rows)) if rows else st.just(set()))
    chosen = tuple(row for row in rows if row in chosen)
    hours = data.draw(st.booleans())
    compare(
        policy(rows, chosen, further=f"hours: {LATER}" if hours else ""),
        policy(rows, without=chosen, hours=not hours),
        policy(rows),
        who,
        at,
        asked,
        cards_of,
    )


@settings(max_examples=60 * FUZZ, deadline=None)
@given(denies, people, moments, st.sampled_from(ASKED), records)
def test_while_everything_is_observed_what_rules_would_do_is_what_they_do(
    rows, who, at, asked, cards_of
):
    everything = policy(rows, further=f"everything: {LATER}")
    compare(everything, None, policy(rows), who, at, asked, cards_of)


@settings(max_examples=30 * FUZZ, deadline=None)
@given(denies, people, st.sampled_from(ASKED), records)
def test_from_its_day_on_it_is_enforced_as_if_there_had_been_nothing(rows, who, asked, cards_of):
    at = "2026-12-02T15:00+09:00"
    told, salon = ask(policy(rows, rows, further=f"hours: {LATER}"), who, at, asked, cards_of)
    plain, _ = ask(policy(rows), who, at, asked, cards_of)
    assert told == plain
    assert {entry.would for entry in salon.trail.entries} == {None}
