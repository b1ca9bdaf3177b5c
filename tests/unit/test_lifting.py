"""Where a grant meets a request: which routes, which records, and nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.domain.decision import Denial, Permit
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId
from gateway.domain.time import instant
from gateway.identity.grant import Verdict, asked_for, reviewed
from gateway.lifting import BreakGlass, is_one_card, lifted, salons_to_lift
from gateway.mapping.query import asked_as
from gateway.mapping.routes import find
from gateway.mapping.target import linked_target
from tests.oracles.console_world import BUNDLE, KEN, MEI

SHUT = instant(datetime.fromisoformat("2026-11-25T21:30+09:00"))
OPEN = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
BREAK_GLASS = BreakGlass(grants=None, resources=frozenset({"client"}))
PHONE = DeviceId("phone-1")


def mei(**changes):
    return replace(BUNDLE.full_token(MEI), **{"device": PHONE, "epoch": 3} | changes)


def matched(address, method="GET"):
    target = linked_target(address)
    return asked_as(find(BUNDLE.adapter.routes, method, target), target.query)


def ruled(address, person=None, at=SHUT, method="GET"):
    match = matched(address, method)
    person = person or mei()
    return match, BUNDLE.ruling(person, match.route.resource, match.route.action, at, None)


def a_grant(person=None, record="7", resource="client", salon="aoyama", now=SHUT):
    return asked_for(
        person or mei(),
        id="g-1",
        salon=salon,
        resource=resource,
        record=record,
        reason="an allergy",
        told=(KEN,),
        now=now,
        minutes=20,
    )


def under(grant, address="/api/clients/7", person=None, at=SHUT, method="GET"):
    match, ruling = ruled(address, person, at, "GET" if method == "HEAD" else method)
    person = person or mei()
    return lifted(BUNDLE, person, match, method, ruling.decision, grant, at, None)


def test_a_grant_lifts_the_window_for_its_card():
    _, before = ruled("/api/clients/7")
    assert isinstance(before.decision, Denial)
    assert before.decision.reason is Reason.OUTSIDE_HOURS
    after = under(a_grant())
    assert isinstance(after.decision, Permit)
    _, inside = ruled("/api/clients/7", at=OPEN)
    assert after.decision.hidden == inside.decision.hidden
    assert not after.decision.exempt
    assert after.noted == before.noted  # the trail says what the clock said


@pytest.mark.parametrize(
    "address",
    [
        "/api/clients/8",
        "/api/clients",
        "/api/clients/export",
        "/api/messages/7",
        "/api/bookings/7",
    ],
)
def test_no_other_card_no_list_no_export(address):
    assert under(a_grant(), address) is None


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_nothing_but_reading(method):
    assert under(a_grant(), method=method) is None


@pytest.mark.parametrize(
    "other", [{"device": DeviceId("phone-2")}, {"device": None}, {"epoch": 4}, {"staff": KEN}]
)
def test_for_nobody_else_and_in_no_other_session(other):
    assert under(a_grant(), person=mei(**other)) is None


def test_not_from_its_end_on_and_not_once_reviewed():
    grant = a_grant()
    minutes = [(timedelta(minutes=20), False), (timedelta(minutes=20, milliseconds=-1), True)]
    for span, works in minutes:
        assert (under(grant, at=instant(SHUT + span)) is not None) == works
    ended = reviewed(grant, KEN, Verdict.JUSTIFIED, SHUT)
    assert under(ended) is None


def test_where_the_window_is_open_it_changes_nothing():
    assert under(a_grant(now=OPEN), at=OPEN) is None


def test_a_salon_where_they_do_not_work_is_not_lifted():
    assert under(a_grant(salon="yoyogi")) is None


def test_which_can_be_asked_for():
    def asked(address, break_glass=BREAK_GLASS, method="GET"):
        match, ruling = ruled(address)
        decision = ruling.decision
        return salons_to_lift(break_glass, BUNDLE, mei(), match, method, decision, SHUT, None)

    assert asked("/api/clients/7") == ("aoyama",)
    assert asked("/api/clients/7", None) == ()
    assert asked("/api/clients/7", method="HEAD") == ()
    assert asked("/api/clients") == ()
    assert asked("/api/clients/export") == ()
    assert asked("/api/messages/7") == ()  # not one of the resources


def test_of_the_routes_only_those_that_show_one_card():
    routes = BUNDLE.adapter.routes.routes
    assert {r.template for r in routes if is_one_card(r)} == {
        "GET /api/clients/{id}", "GET /api/messages/{id}", "GET /api/bookings/{id}",
    }  # fmt: skip
