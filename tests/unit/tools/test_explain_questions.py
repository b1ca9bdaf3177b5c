"""What `explain` says of a search that is rechecked and of an exact look-up."""

from pathlib import Path

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.domain.reason import Reason
from gateway.domain.subject import staff_id
from gateway.domain.time import on_clock, read_moment
from gateway.tools.asked_again import Policy
from gateway.tools.explain import Explanation, Question, explain
from gateway.tools.lint import lint
from gateway.tools.recorded import Recorded

MODEL = Path(__file__).parents[3] / "policies" / "model.conf"
ADAPTER = """\
adapter: test
actions: [list, read, search, find]
resources:
  client:
    id: id
    fields: {name: name, phone: phone}
    classes: {contact: [phone]}
routes:
  - match: GET /clients
    resource: client
    action: list
    records: "[]"
    query:
      q: {searches: [name, phone], recheck: true}
      phone: {searches: [phone]}
      tel: {exact: phone, action: find, allowance: 20}
  - {match: GET /live, resource: client, action: list, websocket: true}
"""
RULES = """\
p, role:stylist,   client, list|read, , allow
p, role:reception, client, list|read|find, , allow
p, role:manager,   *, *, , allow
"""
STAFF = """\
roles: [role:manager, role:reception, role:stylist]
staff:
  - {id: mei, name: Mei, salons: {aoyama: [role:stylist]}, joined: 2024-04-01}
  - {id: rei, name: Rei, salons: {aoyama: [role:reception]}, joined: 2024-04-01}
  - {id: ken, name: Ken, salons: {aoyama: [role:manager]}, joined: 2024-04-01}
"""
HOURS = """\
salons: {aoyama: {timezone: Asia/Tokyo, weekly: {wed: ["10:00-19:00"]}}}
protected: [client]
exempt_roles: [role:manager]
"""
TEXTS = {"rules": RULES, "staff": STAFF, "adapter": ADAPTER, "hours": HOURS}
BUNDLE = build(
    Sources(
        **{part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in TEXTS.items()},
        model=SourceFile(name="model.conf", data=MODEL.read_bytes()),
        apps=("backoffice",),
    )
)


def asked(who: str, target: str) -> Explanation:
    at = on_clock(read_moment("2026-11-25T12:00"), "Asia/Tokyo")
    return explain(BUNDLE, Question(staff=staff_id(who), method="GET", target=target, at=at))


def test_a_search_that_touches_what_is_hidden_says_which_records_stay():
    answer = asked("mei", "/clients?q=090")
    assert answer.allowed
    assert answer.kept == ("records in which each word searched for stands in a field that shows",)
    assert asked("mei", "/clients?q=").kept == ("every record: nothing is searched for",)
    assert asked("ken", "/clients?q=090").kept == ()


def test_an_exact_look_up_is_explained_with_its_own_action():
    answer = asked("rei", "/clients?tel=090-0000-0001")
    assert (answer.allowed, answer.action) == (True, "find")
    assert answer.kept == ("the one record whose phone is the number asked for",)
    refused = asked("mei", "/clients?tel=090-0000-0001")
    assert [stop.reason for stop in refused.stops] == [Reason.NO_RULE_ALLOWS]
    assert asked("rei", "/clients").action == "list"


def test_what_no_policy_tells_is_named_with_its_reason():
    (need,) = asked("rei", "/clients?tel=090-0000-0001").needs
    assert "at most 20" in need
    assert str(Reason.BUDGET_SPENT) in need
    (need,) = asked("rei", "/live").needs
    assert str(Reason.WEBSOCKET_ONLY) in need
    assert asked("rei", "/clients").needs == ()


@pytest.mark.parametrize("target", ["/clients?tel=0900000001&tel=0900000002", "/clients?tel=1"])
def test_a_look_up_that_is_none_is_a_stop(target):
    (stop,) = asked("rei", target).stops
    assert stop.reason is Reason.PARAMETER_INVALID


def test_a_rule_on_a_look_up_s_action_is_asked():
    assert not [found for found in lint(BUNDLE) if "never asked" in found.message]


@pytest.mark.parametrize(
    ("action", "asks"), [("find", "find"), ("list", "list"), ("gone", "list")]
)
def test_an_entry_of_a_look_up_is_asked_again_as_one(action, asks):
    entry = Recorded(
        request_id="r1",
        at=on_clock(read_moment("2026-11-25T12:00"), "Asia/Tokyo"),
        method="GET",
        peer="192.0.2.7",
        policy="x",
        reason=Reason.RULE_ALLOWS,
        route="GET /clients",
        action=action,
    )
    match = Policy(BUNDLE).match(entry)
    assert match is not None
    assert match.route.action == asks
