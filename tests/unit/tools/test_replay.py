"""`replay`: what is sure, what is a may, and what hangs on what nobody noted."""

from datetime import datetime

import pytest

from gateway.audit.chain import GENESIS, parse, render
from gateway.audit.entry import Entry, Phase
from gateway.build import SourceFile, Sources, build
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from gateway.domain.time import instant
from gateway.tools.recorded import JUDGED, LET_THROUGH, Left, Recorded, left_out, parse_recorded
from gateway.tools.replay import THERE, Kind, replay
from tests.unit.test_pipeline import source
from tests.unit.test_records import ADAPTER, HOURS, NIGHT, NOON, RULES, STAFF

AT = instant(datetime.fromisoformat(NOON))
OWN_READS = RULES.replace(
    "p, role:stylist,   client, list|read|search,      ,                     allow",
    "p, role:stylist,   client, list|read|search,      own_client,           allow",
)


def policy(rules=RULES, *, adapter=ADAPTER, staff=STAFF, hours=HOURS, salons=False, **more):
    adapter = adapter.replace("    SALON\n", "    salon: salon\n" if salons else "")
    texts = {"rules": rules, "staff": staff, "adapter": adapter, "hours": hours}
    files = {
        part: SourceFile(name=f"{part}.x", data=text.encode()) for part, text in texts.items()
    }
    sources = Sources(
        **files, model=source("policies/model.conf"), apps=("backoffice", "phone"), **more
    )
    return build(sources)


THEN = policy()


def an_entry(**changes):
    values = {
        "request_id": "r1", "at": AT, "method": "GET", "peer": "192.0.2.7",
        "policy": THEN.digest, "reason": Reason.RULE_ALLOWS, "status": 200,
        "staff": staff_id("mei"), "route": "GET /clients/{id}", "resource": "client",
        "action": "read", "record": "7", "app": "backoffice",
        "shown": ("name", "phone"), "hidden": (),
        "record_facts": ("own_client", "!dormant"),
    }  # fmt: skip
    return Recorded(**values | changes)


def a_list(**changes):
    return an_entry(
        **{"route": "GET /clients", "action": "list", "record": None, "record_facts": ()} | changes
    )


def refused(reason, **changes):
    return an_entry(**{"reason": reason, "status": 403, "shown": (), "record_facts": ()} | changes)


# -- reading entries back ----------------------------------------------------------------------


def test_a_line_of_the_trail_comes_back_as_what_was_entered():
    entry = Entry(
        request_id="r1", at=AT, phase=Phase.ANSWER, method="GET", peer="192.0.2.7", policy="p",
        status=404, reason=Reason.NO_SUCH_RECORD, cause=Cause.RECORD_REFUSED,
        staff=staff_id("mei"), record_salon="?", record_facts=("own_client", "?dormant"),
        narrowed_to=("role:-",), shown=("name",), sent=("phone",), whole=True, unplaced=True,
    )  # fmt: skip
    found = parse_recorded(parse(render(entry, GENESIS)[0]))
    for name in ("at", "cause", "narrowed_to", "shown", "sent", "whole", "unplaced", "status"):
        assert getattr(found, name) == getattr(entry, name), name
    assert found.note == ("?", ("own_client", "?dormant"))


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.ANSWER}))
def test_only_answers_come_back(phase):
    assert parse_recorded({"kind": "entry", "phase": phase, "request_id": "r1"}) is None
    assert parse_recorded({"kind": "head"}) is None


@pytest.mark.parametrize("wrong", [{"at": "soon"}, {"reason": "because"}, {"shown": "name"}])
def test_an_entry_of_another_form_is_said_not_guessed(wrong):
    entry = Entry(
        request_id="r1", at=AT, phase=Phase.ANSWER, method="GET", peer="-", policy="p", status=200,
        reason=Reason.RULE_ALLOWS,
    )  # fmt: skip
    with pytest.raises(ValueError, match="of another form"):
        parse_recorded(parse(render(entry, GENESIS)[0]) | wrong)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_asked_again_or_says_why_not(reason):
    left = left_out(refused(reason, sent=("name",)))
    assert (left is None) is (reason in LET_THROUGH | JUDGED)
    if left is not None:
        with pytest.raises(ValueError, match=str(left)):
            replay(THEN, refused(reason))


def test_what_an_old_or_a_cut_entry_does_not_tell_is_left_out():
    assert left_out(refused(Reason.FIELD_NOT_WRITABLE)) is Left.BODY
    assert left_out(refused(Reason.UNMAPPED, route=None, path="/x" * 128)) is Left.WIRE
    assert left_out(refused(Reason.UNMAPPED, route=None, path="/x")) is None
    assert left_out(an_entry(staff=None)) is Left.IDENTITY


def test_who_was_seen_out_is_not_asked_about_again_since_no_policy_said_so():
    assert left_out(refused(Reason.HAS_LEFT)) is None
    assert left_out(refused(Reason.HAS_LEFT, cause=Cause.OFFBOARDED)) is Left.IDENTITY


# -- the clock and the facts of then -------------------------------------------------------------


def test_the_hours_are_the_candidates_at_the_instant_of_then():
    late = HOURS.replace('"10:00-19:00"', '"10:00-23:00"')
    assert late != HOURS
    at = instant(datetime.fromisoformat(NIGHT))
    shut = refused(Reason.OUTSIDE_HOURS, at=at)
    assert replay(THEN, shut) is None
    change = replay(policy(hours=late), refused(Reason.OUTSIDE_HOURS, at=at, route="GET /clients"))
    assert (change.kind, change.reason) == (Kind.LET_THROUGH, Reason.RULE_ALLOWS)
    # of one record it depends on the record, which nobody looked at
    change = replay(policy(hours=late), shut)
    assert (change.kind, change.unrecorded) == (Kind.MAY_LET_THROUGH, ("dormant",))


@pytest.mark.parametrize(
    ("condition", "then", "kind"),
    [
        ("app:phone", {"app": "backoffice"}, None),
        ("app:phone", {"app": "phone"}, Kind.REFUSED),
        ("app:phone", {"app": None}, Kind.REFUSED),  # unknown fires a deny
        ("network:shop", {"peer": "192.0.2.7"}, Kind.REFUSED),
        ("network:shop", {"peer": "198.51.100.7"}, None),
        ("network:shop", {"peer": "198.51.100.7", "unplaced": True}, Kind.REFUSED),
        ("!approved_device", {"device": None}, Kind.REFUSED),
        ("role:manager", {}, None),
    ],
)
def test_what_belonged_to_the_request_is_as_it_was(condition, then, kind):
    rules = RULES + f"p, role:stylist, client, read, {condition}, deny\n"
    change = replay(policy(rules, networks={"shop": ("192.0.2.0/24",)}), an_entry(**then))
    assert (change and change.kind) is kind


def test_a_narrowed_token_stays_narrow():
    seen = an_entry(staff=staff_id("ken"), narrowed_to=("role:reception",), hidden=("phone",),
                    shown=("name",))  # fmt: skip
    assert replay(THEN, seen) is None
    nobody = an_entry(staff=staff_id("ken"), narrowed_to=("role:-",))
    assert replay(THEN, nobody).kind is Kind.REFUSED


def test_the_roster_is_the_candidates():
    gone = STAFF.replace("joined: 2024-04-01}\n  - {id: ken", "joined: 2024-04-01, "
                         "leaves_on: 2026-10-31}\n  - {id: ken")  # fmt: skip
    assert gone != STAFF
    change = replay(policy(staff=gone), an_entry())
    assert (change.kind, change.reason) == (Kind.REFUSED, Reason.HAS_LEFT)
    nobody = STAFF.replace("id: mei", "id: mai")
    assert replay(policy(staff=nobody), an_entry()).reason is Reason.NOT_ON_ROSTER
    left = refused(Reason.HAS_LEFT, route=None, path="/clients/7", record=None)
    assert replay(THEN, left).kind is Kind.MAY_LET_THROUGH


def test_a_route_is_found_by_what_it_matches():
    renamed = ADAPTER.replace('"GET /clients/{id}", resource', '"GET /customers/{id}", resource')
    renamed = renamed.replace("lookup: GET /clients/{id}", "lookup: GET /customers/{id}")
    change = replay(policy(adapter=renamed), an_entry())
    assert (change.kind, change.reason) == (Kind.REFUSED, Reason.UNMAPPED)
    odd = refused(Reason.UNMAPPED, route=None, path="/customers/7", record=None)
    assert replay(THEN, odd) is None
    assert replay(policy(adapter=renamed), odd).kind is Kind.MAY_LET_THROUGH
    assert replay(THEN, refused(Reason.UNMAPPED, route=None, path="/a/../b")) is None


def test_a_pass_route_hides_nothing_any_more():
    adapter = ADAPTER.replace("action: read}", "action: read, pass: true}", 1)
    adapter = adapter.replace("    lookup: GET /clients/{id}\n", "    sensitive: false\n")
    candidate = policy(adapter=adapter)
    change = replay(candidate, an_entry(hidden=("phone",), shown=("name",)))
    assert (change.kind, change.reason, change.shows) == (Kind.MASK, Reason.PASSED, ("phone",))
    assert replay(candidate, an_entry()) is None
    assert replay(candidate, refused(Reason.RULE_DENIES)).reason is Reason.PASSED


# -- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        (("own_client", "!dormant"), None),
        (("!own_client", "!dormant"), Kind.REFUSED),
        (("?own_client", "!dormant"), Kind.REFUSED),  # unknown never fires an allow
        ((), Kind.MAY_REFUSE),
    ],
)
def test_the_record_is_as_it_was_noted(facts, kind):
    hidden = ("phone",) if facts and facts[0] != "own_client" else ()
    change = replay(
        policy(OWN_READS), an_entry(record_facts=facts, hidden=hidden, shown=("name",))
    )
    assert (change and change.kind) is kind
    if kind is Kind.MAY_REFUSE:
        assert "own_client" in change.unrecorded
        assert change.reason is Reason.NO_SUCH_RECORD


def test_a_fact_that_the_candidate_adds_was_not_noted():
    adapter = ADAPTER.replace(
        "facts: {own_client: stylist is me,",
        "facts: {vip: name is Aoi, own_client: stylist is me,",
    )
    rules = RULES + "p, role:stylist, client.contact, read, vip, deny\n"
    assert adapter != ADAPTER
    change = replay(policy(rules, adapter=adapter), an_entry())
    assert (change.kind, change.may_hide, change.hides) == (Kind.MASK, ("phone",), ())
    change = replay(policy(rules, adapter=adapter), an_entry(), [THEN])
    assert change.may_hide == ("phone",)


def test_a_fact_that_means_something_else_now_is_not_taken_for_what_was_noted():
    adapter = ADAPTER.replace("older than 5y", "older than 1y")
    change = replay(policy(adapter=adapter), an_entry(), [THEN])
    assert (change.kind, change.unrecorded) == (Kind.MAY_REFUSE, ("dormant",))
    # Without the policy of then nobody can tell that it changed.
    assert replay(policy(adapter=adapter), an_entry()) is None


def test_a_record_that_the_crm_did_not_have_stays_away():
    gone = refused(Reason.NO_SUCH_RECORD, cause=Cause.RECORD_MISSING, status=404)
    assert replay(policy(OWN_READS), gone) is None
    assert replay(policy(OWN_READS), an_entry(status=404, shown=(), record_facts=())) is None
    rules = RULES + "p, role:stylist, client, read, , deny\n"
    assert replay(policy(rules), gone).kind is Kind.OTHER_REASON


def test_of_several_records_one_of_which_was_missing_nobody_knows():
    rules = "".join(row for row in RULES.splitlines(keepends=True) if "dormant" not in row)
    several = {"method": "POST", "action": "delete", "staff": staff_id("ken"), "record": None}
    gone = refused(
        Reason.NO_SUCH_RECORD,
        cause=Cause.RECORD_MISSING,
        status=404,
        route="POST /clients/delete",
        **several,
    )
    change = replay(policy(rules), gone, [THEN])
    assert (change.kind, change.unrecorded) == (Kind.MAY_LET_THROUGH, (THERE,))
    assert replay(THEN, gone) is None


def test_a_change_needs_a_lookup_where_it_depends_on_the_record():
    change = replay(
        policy(adapter=ADAPTER.replace("    lookup: GET /clients/{id}\n", "")),
        an_entry(method="DELETE", route="DELETE /clients/{id}", action="delete", status=204,
                 shown=()),
    )  # fmt: skip
    assert (change.kind, change.reason) == (Kind.REFUSED, Reason.NO_LOOKUP)


def test_the_fields_that_were_sent_are_judged_again():
    rules = RULES + "p, role:stylist, client.contact, write, , deny\n"
    sent = an_entry(method="PATCH", route="PATCH /clients/{id}", action="update", sent=("phone",))
    change = replay(policy(rules), sent)
    assert (change.kind, change.reason) == (Kind.REFUSED, Reason.FIELD_NOT_WRITABLE)
    name = an_entry(method="PATCH", route="PATCH /clients/{id}", action="update", sent=("name",))
    assert replay(policy(rules), name, [THEN]) is None
    old = refused(
        Reason.FIELD_NOT_WRITABLE,
        method="PATCH",
        route="PATCH /clients/{id}",
        action="update",
        sent=("phone",),
        record_facts=("own_client", "!dormant"),
    )
    assert replay(THEN, old).kind is Kind.LET_THROUGH
    assert replay(policy(rules), old) is None


# -- lists ---------------------------------------------------------------------------------------


def test_of_a_list_only_some_records_may_change():
    change = replay(policy(OWN_READS), a_list(), [THEN])
    assert (change.kind, change.fewer, change.more) == (Kind.MASK, True, False)
    change = replay(THEN, a_list(policy=policy(OWN_READS).digest, refused=2), [policy(OWN_READS)])
    assert (change.fewer, change.more) == (False, True)


def test_what_is_hidden_of_every_record_is_sure():
    rules = RULES + "p, role:anyone, client.contact, read, , deny\n"
    change = replay(policy(rules), a_list(hidden=("phone",)), [THEN])
    assert (change.hides, change.may_hide) == (("phone",), ())
    back = replay(
        THEN, a_list(policy="x", shown=("name",), hidden=("phone",), staff=staff_id("ken"))
    )
    assert (back.shows, back.may_show) == (("phone",), ())


def test_an_unrelated_row_changes_no_list():
    rules = RULES + "p, role:trainee, client, delete, , deny\n"
    assert replay(policy(rules), a_list(hidden=("phone",)), [THEN]) is None
    # Without the policy of then it can only be said what may be.
    assert replay(policy(rules), a_list(hidden=("phone",), refused=1)).may_hide == ("phone",)


def test_an_empty_list_has_nothing_to_lose():
    assert replay(policy(OWN_READS), a_list(shown=()), [THEN]) is None


def test_an_answer_that_went_out_whole_showed_every_field():
    adapter = ADAPTER.replace(
        "  client:\n    id: id", "  client:\n    sensitive: false\n    id: id"
    )
    rules = RULES.replace("p, role:anyone,    client, *,                     dormant,", "p, role:trainee,   client, *,                     dormant,")  # fmt: skip # noqa: E501
    entry = a_list(staff=staff_id("ken"), whole=True, shown=(), policy="x")
    assert replay(policy(rules, adapter=adapter), entry) is None
    hides = rules + "p, role:manager, client.contact, read, , deny\n"
    assert replay(policy(hides, adapter=adapter), entry).hides == ("phone",)
    head = a_list(staff=staff_id("ken"), whole=True, shown=(), policy="x", method="HEAD")
    assert replay(policy(hides, adapter=adapter), head) is None


def test_records_inside_records_are_asked_about_as_what_they_are():
    booking = an_entry(route="GET /bookings/{id}", resource="booking", record_facts=(),
                       shown=("client.name", "client.phone", "starts_at"))  # fmt: skip
    rules = RULES + "p, role:stylist, client.contact, read, , deny\n"
    assert replay(policy(rules), booking, [THEN]).hides == ("client.phone",)
    rules = RULES + "p, role:stylist, client, read, , deny\n"
    assert replay(policy(rules), booking, [THEN]).hides == ("client.name", "client.phone")
    gone = an_entry(route="GET /bookings/{id}", resource="booking", record_facts=(), policy="x",
                    shown=("starts_at",), hidden=("client",))  # fmt: skip
    assert replay(THEN, gone).may_show == ("client",)
    assert replay(policy(rules), gone) is None


def test_with_salons_the_record_belongs_where_it_was_noted_to_belong():
    candidate = policy(salons=True)
    home = an_entry(record_salon="aoyama")
    assert replay(candidate, home) is None
    assert replay(candidate, an_entry(record_salon="shibuya")).kind is Kind.REFUSED
    change = replay(candidate, an_entry())
    assert (change.kind, change.unrecorded) == (Kind.MAY_REFUSE, ("its salon",))


def test_what_was_only_observed_counts_as_what_was_enforced_then():
    entry = an_entry(reason=Reason.WOULD_DENY, would=Reason.RULE_DENIES)
    assert replay(THEN, entry) is None
    change = replay(policy(RULES + "p, role:stylist, client, read, , deny\n"), entry)
    assert (change.kind, change.reason) == (Kind.REFUSED, Reason.RULE_DENIES)
    assert change.recorded.would is Reason.RULE_DENIES


def test_a_record_that_was_missing_is_missing_also_where_another_stop_would_come_first():
    rules = RULES + "p, role:stylist, client, update|write, , allow\n"
    gone = refused(
        Reason.NO_SUCH_RECORD,
        cause=Cause.RECORD_MISSING,
        status=404,
        method="PATCH",
        route="PATCH /clients/{id}",
        action="update",
        sent=("phone",),
    )
    assert replay(policy(rules), gone) is None


def test_an_error_of_the_crm_holds_no_record_to_judge():
    failed = an_entry(status=500, shown=(), record_facts=())
    assert replay(policy(OWN_READS), failed) is None


def test_the_answer_to_a_change_has_the_record_as_it_is_after_it():
    changed = an_entry(method="PATCH", route="PATCH /clients/{id}", action="update", policy="x")
    # Whose it is now nobody noted; of somebody else's, everything would be hidden.
    assert replay(THEN, changed).may_hide == ("name", "phone")
    assert replay(THEN, an_entry(policy="x")) is None


def test_whose_record_it_was_is_not_known_of_somebody_whom_the_crm_calls_otherwise_now():
    staff = STAFF.replace('crm_id: "17"', 'crm_id: "71"')
    own = an_entry(method="DELETE", route="DELETE /clients/{id}", action="delete", shown=())
    change = replay(policy(staff=staff), own, [THEN])
    assert (change.kind, change.unrecorded) == (Kind.MAY_REFUSE, ("own_client",))
