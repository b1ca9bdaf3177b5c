"""A role is deleted: from the list of roles, from a person, or with the `g` rows about it.

Denies are inherited with a role, so losing one may open something. What holds, of random
policies, people and requests, judged one by one before and after:

* while a row, a condition, a link or hours.yaml still names the role, nothing loads at all;
* a role that no deny reaches through, and that no condition names, opens nothing when it goes;
* whatever opens, `diff` lists as gained, and says which rows the role had kept closed.
"""

import os
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from gateway.build import SourceFile, Sources, build
from gateway.domain.decision import Permit
from gateway.domain.finding import PolicyError
from gateway.domain.record import RecordState
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import instant
from gateway.identity.claims import Claims
from gateway.tools.diff import Change, compare

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
MODEL = Path("policies/model.conf").read_text(encoding="utf-8")
ADAPTER = """
adapter: crm
resources:
  client:
    id: id
    fields: {name: name, phone: phone, notes: notes}
    classes: {contact: [phone]}
routes:
  - {match: GET /clients, resource: client, action: list, records: "[]"}
  - {match: POST /clients, resource: client, action: create}
  - {match: GET /export, resource: client, action: export, records: "[]"}
"""
ROLES = ("role:red", "role:blue", "role:green")
PEOPLE = ("mei", "ken")
NOON = instant(datetime(2026, 3, 4, 3, 0, tzinfo=UTC))  # Wednesday noon in Tokyo
NIGHT = instant(datetime(2026, 3, 4, 15, 0, tzinfo=UTC))
OPEN = ("p, role:anyone, client, *, , allow", "p, staff:mei, *, *, , allow")
CONDITIONS = (*ROLES, "approved_device", "inside_window")


@st.composite
def rules(draw):
    who = draw(st.sampled_from((*ROLES, *ROLES, "role:anyone", "staff:mei")))
    target = draw(st.sampled_from(("client", "client", "client.contact", "client.notes", "*")))
    action = draw(st.sampled_from(("*", "list|read", "read", "create|write", "export")))
    names = draw(st.lists(st.sampled_from(CONDITIONS), max_size=1))
    when = " & ".join(draw(st.sampled_from(("", "!"))) + name for name in names)
    effect = draw(st.sampled_from(("allow", "allow", "deny")))
    return f"p, {who}, {target}, {action}, {when}, {effect}"


policies = st.fixed_dictionaries(
    {
        # Broad allows first, or there would be nothing for a deny to close.
        "rows": st.lists(rules(), min_size=1, max_size=6).map(lambda rows: [*OPEN, *rows])
        | st.lists(rules(), min_size=1, max_size=6),
        "links": st.sets(
            st.sampled_from(
                [("role:red", "role:blue"), ("role:red", "role:green"),
                 ("role:blue", "role:green"), ("staff:ken", "role:green")]
            ),
            max_size=3,
        ),
        "people": st.fixed_dictionaries(
            dict.fromkeys(
                PEOPLE, st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True)
            )
        ),
        "exempt": st.lists(st.sampled_from(ROLES), max_size=1),
    }
)  # fmt: skip


def a_bundle(policy, roles=ROLES):
    def file(name, text):
        return SourceFile(name=name, data=text.encode())

    rows = [*policy["rows"], *(f"g, {who}, {role}" for who, role in sorted(policy["links"]))]
    staff = "".join(
        f"  - {{id: {name}, name: Somebody, salons: {{aoyama: [{', '.join(held)}]}}, "
        f"joined: 2026-01-01, approved_devices: [pad]}}\n"
        for name, held in policy["people"].items()
    )
    hours = (
        'salons: {aoyama: {timezone: Asia/Tokyo, weekly: {wed: ["10:00-19:00"]}}}\n'
        f"protected: [client.contact]\nexempt_roles: [{', '.join(policy['exempt'])}]\n"
    )
    return build(
        Sources(
            rules=file("salon_rules.csv", "\n".join(rows) + "\n"),
            model=file("model.conf", MODEL),
            hours=file("hours.yaml", hours),
            staff=file("staff.yaml", f"roles: [{', '.join(roles)}]\nstaff:\n{staff}"),
            adapter=file("crm.yaml", ADAPTER),
        )
    )


def built(policy):
    try:
        return a_bundle(policy)
    except PolicyError:  # chance may write what no owner may, such as a rule twice
        reject()


def views(bundle):
    """Everything that everybody may do, see and send: each as one word of a set."""
    client = bundle.adapter.vocabulary.resources["client"]
    found = set()
    for name, device, at in product(PEOPLE, (None, "pad", "phone"), (NOON, NIGHT)):
        claims = Claims(
            staff=StaffId(f"staff:{name}"),
            device=None if device is None else DeviceId(device),
            epoch=0,
            app=None,
            roles=None,
            expires_at=NIGHT,
        )
        principal = bundle.principal(claims)
        for action in ("list", "create", "export"):
            decision = bundle.ruling(principal, client, action, at, None).decision
            if not isinstance(decision, Permit):
                continue
            case = (name, device, at, action)
            verdict = decision.judge(RecordState())
            if not verdict.passes:
                continue
            found.add((*case, "may"))
            found |= {(*case, "sees", each) for each in client.fields.keys() - verdict.hidden}
            if action == "create":  # by the one route that takes a body
                sent = client.fields.keys() - verdict.unwritable
                found |= {(*case, "sends", each) for each in sent}
    return found


def without(policy, role, *, links):
    """Staff.yaml without the role, and with `links` the `g` rows without it too."""
    people = {name: [r for r in held if r != role] for name, held in policy["people"].items()}
    kept = {link for link in policy["links"] if not links or role not in link}
    return {**policy, "people": people, "links": kept}


def names(policy, role):
    """Does anything but staff.yaml still name the role?"""
    written = [*policy["rows"], *(f"{one},{other}" for one, other in policy["links"])]
    return any(role in text for text in written) or role in policy["exempt"]


@settings(max_examples=40 * FUZZ, deadline=None)
@given(policies, st.sampled_from(ROLES), st.booleans())
def test_a_role_that_something_still_names_cannot_be_deleted(policy, role, links):
    built(policy)
    after = without(policy, role, links=links)
    rest = [other for other in ROLES if other != role]
    if names(after, role):
        with pytest.raises(PolicyError) as caught:
            a_bundle(after, rest)
        assert f"`{role}`" in str(caught.value)
    else:
        a_bundle(after, rest)


@settings(max_examples=40 * FUZZ, deadline=None)
@given(policies, st.sampled_from(ROLES))
def test_a_role_that_closes_nothing_opens_nothing_when_it_goes(policy, role):
    old = built(policy)
    carried = old.graph.closure([role])
    assume(
        not any(", deny" in row and f"p, {r}," in row for row in policy["rows"] for r in carried)
    )
    assume(
        not any(
            f", {mark}{r}," in row for row in policy["rows"] for r in carried for mark in ("", "!")
        )
    )
    after = without(policy, role, links=True)
    new = a_bundle(after)
    assert views(new) <= views(old)


@settings(max_examples=80 * FUZZ, deadline=None)
@given(policies, st.sampled_from(ROLES), st.sets(st.sampled_from(PEOPLE), min_size=1))
def test_what_a_deleted_role_opens_is_told_by_diff(policy, role, whose):
    old = built(policy)
    after = without(policy, role, links=True)
    after["people"] = {
        name: after["people"][name] if name in whose else held
        for name, held in policy["people"].items()
    }
    new = a_bundle(after)
    opened = views(new) - views(old)
    difference = compare(old, new, date(2026, 3, 2))
    gained = {
        staff.removeprefix("staff:")
        for line in difference.lines
        if line.change is Change.GAINED
        for staff in line.people
    }
    assert {case[0] for case in opened} <= gained  # about one case in ten opens something
    for name in {case[0] for case in opened}:
        assert any(f"`staff:{name}` no longer has `role:" in n.text for n in difference.notes)


def test_a_deny_that_goes_with_a_role_and_its_link_is_named_with_its_line():
    policy = {
        "rows": ["p, role:green, client, *, , allow", "p, role:blue, client, export, , deny"],
        "links": {("role:red", "role:blue")},
        "people": {"mei": ["role:green", "role:red"], "ken": ["role:green"]},
        "exempt": [],
    }
    after = without(policy, "role:red", links=True)
    difference = compare(a_bundle(policy), a_bundle(after), date(2026, 3, 2))
    (said,) = [note.text for note in difference.notes if "keeps closed" in note.text]
    assert said == (
        "`staff:mei` no longer has `role:blue` in `aoyama`, nor what it keeps closed: "
        "salon_rules.csv:2"
    )
