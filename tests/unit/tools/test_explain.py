"""`explain`: what the record, or that nobody can look at it, puts in the way of a request."""

from datetime import datetime

import pytest

from gateway.domain.reason import Reason
from gateway.domain.record import RecordState
from gateway.domain.subject import staff_id
from gateway.domain.time import instant
from gateway.tools.explain import Question, explain
from gateway.tools.explain_entry import question_of
from gateway.tools.recorded import Recorded
from tests.unit.test_records import (
    DORMANT,
    MINE,
    NOON,
    OTHERS,
    PLAIN,
    SILENT,
    WITH_SALONS,
    WITHOUT_LOOKUP,
    Guarded,
)

AT = instant(datetime.fromisoformat(NOON))


def asked(method, target, who="mei", *, bundle=PLAIN, **more):
    question = Question(
        staff=staff_id(who), method=method, target=target, at=AT, app="backoffice", **more
    )
    return explain(bundle, question)


def reasons(answer):
    return [stop.reason for stop in answer.stops]


@pytest.mark.parametrize(
    ("method", "target", "record", "expected"),
    [
        ("GET", "/clients/7", MINE, []),
        ("PATCH", "/clients/7", MINE, []),
        ("PATCH", "/clients/8", OTHERS, [Reason.NO_SUCH_RECORD]),
        ("DELETE", "/clients/9", DORMANT, [Reason.NO_SUCH_RECORD]),
        ("DELETE", "/clients/10", SILENT, [Reason.NO_SUCH_RECORD]),
        ("POST", "/clients", MINE, []),
        ("POST", "/clients", OTHERS, [Reason.NO_RULE_ALLOWS]),
        ("POST", "/clients", DORMANT, [Reason.RULE_DENIES]),
        ("POST", "/clients/delete", MINE, []),
        ("POST", "/clients/delete", OTHERS, [Reason.NO_SUCH_RECORD]),
        ("POST", "/clients/cleanup", MINE, [Reason.NO_LOOKUP]),
        ("POST", "/clients/7/merge", MINE, []),
        ("POST", "/clients/7/merge", OTHERS, [Reason.NO_SUCH_RECORD]),
    ],
)
def test_a_given_record_is_judged_as_the_request_would_have_it(method, target, record, expected):
    assert reasons(asked(method, target, record=record)) == expected


@pytest.mark.parametrize(
    ("method", "target"),
    [("PATCH", "/clients/7"), ("DELETE", "/clients/7"), ("POST", "/clients/delete")],
)
@pytest.mark.parametrize("record", [None, MINE])
def test_a_change_that_depends_on_a_record_nobody_can_look_up_is_stopped(method, target, record):
    answer = asked(method, target, bundle=WITHOUT_LOOKUP, record=record)
    assert reasons(answer) == [Reason.NO_LOOKUP]
    assert "no `lookup` for `client`" in answer.stops[0].detail


def test_what_reads_needs_no_lookup():
    assert asked("GET", "/clients/7", bundle=WITHOUT_LOOKUP).allowed
    assert asked("POST", "/clients", bundle=WITHOUT_LOOKUP, record=MINE).allowed


@pytest.mark.parametrize("who", ["mei", "ken", "yuki", "rei"])
@pytest.mark.parametrize("record", [MINE, OTHERS, DORMANT, SILENT])
@pytest.mark.parametrize(
    ("method", "sent"),
    [("GET", None), ("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)],
)
async def test_it_says_of_a_record_what_the_pipeline_does(who, record, method, sent):
    for bundle in (PLAIN, WITH_SALONS, WITHOUT_LOOKUP):
        salon = Guarded(record, bundle=bundle)
        await salon.ask(method, f"/clients/{record['id']}", who, body=sent)
        answer = asked(
            method,
            f"/clients/{record['id']}",
            who,
            bundle=bundle,
            record=record,
            sends=frozenset(sent or ()),
        )
        expected = salon.trail.entries[-1].reason
        assert (reasons(answer) or [Reason.RULE_ALLOWS])[0] is expected, bundle


def test_what_is_hidden_of_some_record_may_not_be_asked_about_whichever_is_given():
    answer = asked("GET", "/clients?phone=070", record=MINE)
    assert reasons(answer) == [Reason.HIDDEN_FIELD_ASKED]
    assert "phone" in answer.shown


def test_the_fields_of_records_inside_are_secret_too():
    assert reasons(asked("GET", "/bookings?phone=070")) == [Reason.HIDDEN_FIELD_ASKED]
    assert asked("GET", "/bookings?sort=starts_at").allowed


def test_what_was_noted_of_a_record_stands_for_the_record():
    own, others = RecordState(None, 0b01, 0b10), RecordState(None, 0b00, 0b11)
    assert asked("DELETE", "/clients/7", state=own).allowed
    assert reasons(asked("DELETE", "/clients/7", state=others)) == [Reason.NO_SUCH_RECORD]


# -- an entry as a question --------------------------------------------------------------------


def recorded(**changes):
    values = {
        "request_id": "r1", "at": AT, "method": "GET", "peer": "192.0.2.7", "policy": "p",
        "reason": Reason.RULE_ALLOWS, "status": 200, "staff": staff_id("mei"),
        "route": "GET /clients/{id}", "record": "7",
    }  # fmt: skip
    return Recorded(**values | changes)


def test_an_entry_becomes_the_question_it_was():
    entry = recorded(
        method="PATCH", sent=("name",), record_facts=("own_client", "?dormant"), app="phone",
        narrowed_to=("role:stylist",), route="PATCH /clients/{id}",
    )  # fmt: skip
    found = question_of(PLAIN, entry)
    question = found.question
    assert (question.target, question.peer, question.app) == ("/clients/7", "192.0.2.7", "phone")
    assert question.state == RecordState(None, 0b01, 0b00)
    assert (question.roles, question.sends) == ({"role:stylist"}, {"name"})
    assert (found.unknown, found.unnoted) == ((), ())


def test_what_the_trail_does_not_keep_is_named():
    found = question_of(PLAIN, recorded(route="GET /shops/{shop}/clients/{id}/**"))
    assert found.question.target == "/shops/-/clients/7/-"
    assert found.unknown == ("{shop}", "**")
    found = question_of(PLAIN, recorded(record_facts=("own_client",)))
    assert found.unnoted == ("dormant",)
    assert question_of(PLAIN, recorded(unplaced=True)).question.peer is None


def test_where_nobody_known_asked_there_is_no_question():
    assert question_of(PLAIN, recorded(staff=None)) is None
    assert question_of(PLAIN, recorded(route=None, path=None)) is None
