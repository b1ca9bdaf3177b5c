"""A mutant that the quick way calls noticed really is, and one that it calls unnoticed is not.

The quick way compiles one index anew and asks only the cases that the row can speak about. The
slow way writes the changed row into the file, builds the whole policy from the texts again,
and asks every case.
"""

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.build import SourceFile, Sources, build
from gateway.domain.finding import PolicyError
from gateway.enforcer.rules import Origin
from gateway.tools.cases import question_of, read_cases, run_all
from gateway.tools.explain import explain
from gateway.tools.mutants import Change, mutation_score

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ROOT = Path(__file__).parents[2]
STAFF = """
roles: [role:stylist, role:reception, role:manager]
staff:
  - {id: mei, name: Mei, crm_id: "17", salons: {aoyama: [role:stylist]}, joined: 2020-01-01}
  - {id: rei, name: Rei, salons: {aoyama: [role:stylist], yoyogi: [role:reception]},
     joined: 2020-01-01}
  - {id: ken, name: Ken, salons: {yoyogi: [role:manager]}, joined: 2020-01-01, nda_signed: true}
"""
ADAPTER = """
adapter: small
resources:
  client:
    id: id
    fields: {name: name, phone: phone, notes: notes, stylist: stylist, salon: salon}
    classes: {contact: [phone], health: [notes]}
    facts: {own_client: stylist is me}
    salon: salon
  booking:
    sensitive: false
    fields: {menu: menu}
routes:
  - {match: GET /clients, resource: client, action: list, records: "[]",
     query: {phone: {searches: [phone]}}}
  - {match: "GET /clients/{id}", resource: client, action: read}
  - {match: "PATCH /clients/{id}", resource: client, action: update}
  - {match: "PUT /clients/{id}", resource: client, action: update}
  - {match: GET /bookings, resource: booking, action: list, records: "[]"}
"""
HOURS = """
salons:
  aoyama: {timezone: Asia/Tokyo, weekly: {wed: ["10:00-19:00"]}}
  yoyogi: {timezone: Asia/Tokyo, weekly: {wed: ["12:00-21:00"]}}
protected:
  - client
  - client.contact
exempt_roles: [role:manager]
"""
MODEL = (ROOT / "policies" / "model.conf").read_bytes()

CONDITIONS = ("", "app:phone", "!app:phone", "nda_signed", "inside_window", "role:manager")
OF_CLIENTS = (*CONDITIONS, "own_client", "!own_client")


# So that most people come as far as the fields.
OPEN = (
    "p, role:anyone, client, list|read|update, , allow",
    "p, role:anyone, client.contact, read, app:backoffice, allow",
    "p, role:anyone, client, write, , allow",
)


@st.composite
def rows(draw):
    who = draw(
        st.sampled_from(
            ("role:stylist", "role:reception", "role:manager", "role:anyone", "staff:mei")
        )
    )
    resource = draw(
        st.sampled_from(
            ("client", "client", "client.contact", "client.health.notes", "booking", "*")
        )
    )
    action = draw(st.sampled_from(("*", "list|read", "read", "write", "update|write")))
    effect = draw(st.sampled_from(("allow", "allow", "deny")))
    of_clients = resource.startswith("client") or (resource, effect) == ("*", "allow")
    when = draw(st.sampled_from(OF_CLIENTS if of_clients else CONDITIONS))
    return f"p, {who}, {resource}, {action}, {when}, {effect}"


@st.composite
def requests(draw):
    """One case without what it expects."""
    method, target = draw(
        st.sampled_from(
            (
                ("GET", "/clients"), ("GET", "/clients?phone=1"), ("GET", "/clients/7"),
                ("PATCH", "/clients/7"), ("PUT", "/clients/7"), ("GET", "/bookings"),
                ("GET", "/elsewhere"),
            )
        )
    )  # fmt: skip
    keys = {
        "who": draw(st.sampled_from(("mei", "rei", "ken"))),
        "what": f"{method} {target}",
        "at": draw(st.sampled_from(("2026-11-25T12:00", "2026-11-25T20:00", "2026-11-26T12:00"))),
    }
    if draw(st.booleans()):
        keys["app"] = draw(st.sampled_from(("phone", "backoffice")))
    if draw(st.booleans()):
        salon = draw(st.sampled_from(('"aoyama"', '"yoyogi"', "null")))
        stylist = draw(st.sampled_from(('"17"', '"rei"', "null")))
        keys["record"] = f"""'{{"salon": {salon}, "stylist": {stylist}}}'"""
    if method in {"PATCH", "PUT"} and draw(st.booleans()):
        keys["sends"] = draw(st.sampled_from(("[name]", "[name]", "[phone, notes]", "[unmapped]")))
    return keys


def a_bundle(lines, hours=HOURS):
    return build(
        Sources(
            rules=SourceFile(name="salon_rules.csv", data="\n".join(lines).encode()),
            model=SourceFile(name="model.conf", data=MODEL),
            hours=SourceFile(name="hours.yaml", data=hours.encode()),
            staff=SourceFile(name="staff.yaml", data=STAFF.encode()),
            adapter=SourceFile(name="small.yaml", data=ADAPTER.encode()),
            apps=("phone", "backoffice"),
        )
    )


def written(requests):
    lines = ["cases:"]
    for number, keys in enumerate(requests):
        lines.append(f"  - says: case {number}")
        lines += [f"    {key}: {value}" for key, value in keys.items()]
    return read_cases([SourceFile(name="cases/a.yaml", data="\n".join(lines).encode())])


def as_it_is(bundle, asked, strict):
    """Cases that expect just what the policy does: with its fields, or the decision alone."""
    blank = written([keys | {"decision": "allow"} for keys in asked])
    expected = []
    for keys, case, exact in zip(asked, blank.cases, strict, strict=True):
        answer = explain(bundle, question_of(bundle, case))
        wants = {"decision": "allow" if answer.allowed else "deny"}
        if exact and not answer.allowed:
            wants["reason"] = str(answer.stops[0].reason)
            if answer.stops[0].by:
                wants["rule"] = str(answer.stops[0].by[0])
        elif exact and answer.resource is not None:
            wants["hidden"] = f"[{', '.join(field.name for field in answer.hidden)}]"
        expected.append(keys | wants)
    return written(expected)


def slowly(lines, mutant, cases):
    """Is it noticed, with every file written and read again? None: it would not load."""
    lines, hours = list(lines), HOURS
    if mutant.rule.origin is Origin.HOURS:
        hours = hours.replace(f"  - {mutant.rule.resource}\n", "  # gone\n", 1)
    elif mutant.change is Change.DELETED:
        lines[mutant.rule.ref.line - 1] = "# gone"
    else:
        row, _, effect = lines[mutant.rule.ref.line - 1].rpartition(", ")
        lines[mutant.rule.ref.line - 1] = f"{row}, {'deny' if effect == 'allow' else 'allow'}"
    try:
        bundle = a_bundle(lines, hours)
    except PolicyError:
        return None
    return any(not result.passed for result in run_all(bundle, cases))


@given(
    st.builds(
        lambda first, more: [*first, *more],
        st.sampled_from((OPEN, OPEN[:2], OPEN[:1])),
        st.lists(rows(), min_size=1, max_size=6),
    ),
    st.lists(st.tuples(requests(), st.booleans()), min_size=1, max_size=6),
)
@settings(max_examples=40 * FUZZ, deadline=None)
def test_the_quick_way_agrees_with_the_whole_policy_built_again(lines, asked):
    bundle = a_bundle(lines)
    cases = as_it_is(bundle, [keys for keys, _ in asked], [exact for _, exact in asked])
    results = run_all(bundle, cases)
    assert [result for result in results if not result.passed] == []
    for mutant in mutation_score(bundle, results).mutants:
        noticed = slowly(lines, mutant, cases)
        # What would not load is no mutant.
        assert noticed is (mutant.noticed_by is not None), mutant
