"""Policy files that are cut off, saved oddly or dressed up so that a rule gets lost."""

import os
from dataclasses import replace
from itertools import product

import pytest

from gateway.build import SourceFile, build
from gateway.domain.decision import Permit
from gateway.domain.finding import PolicyError
from gateway.domain.record import RecordState
from gateway.domain.subject import DeviceId, Principal
from gateway.enforcer.calendar import parse_hours
from gateway.enforcer.desugar import hours_rules
from gateway.enforcer.index import compile_index
from gateway.enforcer.rules import Words, parse_rules
from gateway.enforcer.when import ConditionNames
from gateway.identity.principal import people
from gateway.identity.roster import parse_roster
from gateway.texts.encoding import decode
from gateway.texts.yamltext import parse_yaml
from tests.attacks.red_team_world import OPEN, SOURCES, STARTER, SetClock

# YAML is read slowly: by default every third byte and every line's end are cut.
STEP = 1 if int(os.environ.get("SALON_FUZZ", "1")) > 1 else 3
WORDS = Words(
    vocabulary=STARTER.adapter.vocabulary,
    staff=frozenset(STARTER.roster.members),
    roles=STARTER.roster.roles,
    conditions=ConditionNames(apps=SOURCES.apps, networks=(), roles=STARTER.roster.roles),
)
NOON, NIGHT = SetClock(OPEN).moment, SetClock("2026-11-25T23:30+09:00").moment
ALLOW = b"p, role:stylist, client, list|read, , allow\n"
DENY = b"p, role:anyone, client, read, , deny\n"


def grants(bundle):
    """Everything anybody may do, see or send, by day and by night, on each app and on none."""
    found = set()
    for staff, person in bundle.people.items():
        for app, at in product((None, *SOURCES.apps), (NOON, NIGHT)):
            principal = a_principal(person, app)
            for resource, action in product(
                bundle.adapter.vocabulary.resources.values(), bundle.adapter.vocabulary.actions
            ):
                permit = bundle.ruling(principal, resource, action, at, "192.0.2.7").decision
                if not isinstance(permit, Permit):
                    continue
                known = (1 << len(resource.facts)) - 1
                for true, false in ((known, 0), (0, known), (0, 0)):
                    verdict = permit.judge(RecordState(None, true, false))
                    what = (staff, app, at, resource.name, action, true, false)
                    if verdict.passes:
                        found.add((*what, "do", ""))
                        shown = set(resource.maskable) - verdict.hidden
                        sent = set(resource.maskable) - verdict.unwritable
                        found |= {(*what, "see", name) for name in shown}
                        found |= {(*what, "send", name) for name in sent}
    return found


def a_principal(person, app):
    member = person.member
    return Principal(
        staff=member.staff,
        posts=person.posts,
        device=DeviceId("phone-mei"),
        epoch=1,
        app=app,
        joined=member.joined,
        leaves_on=member.leaves_on,
        nda_signed=member.nda_signed,
        trained_until=member.trained_until,
        approved_devices=member.approved_devices,
    )


WHOLE = grants(STARTER)


def with_rules(rules):
    """The starter bundle with other rows of salon_rules.csv."""
    holders = people(STARTER.roster, rules.graph)
    rows = (*rules.rules, *hours_rules(STARTER.calendar))
    everyone = [post.held | {staff} for staff, person in holders.items() for post in person.posts]
    index = compile_index(rows, STARTER.adapter.vocabulary, everyone)
    return replace(STARTER, graph=rules.graph, people=holders, rules=rows, index=index)


def prefixes(data, step=1):
    ends = {at + 1 for at, byte in enumerate(data) if byte == ord("\n")}
    return sorted(ends | {at - 1 for at in ends} | set(range(0, len(data), step)))


def loads(rules):
    """How many rules these rows are, or None if they are refused."""
    try:
        file = SourceFile(name="salon_rules.csv", data=rules)
        return len(build(replace(SOURCES, rules=file)).rules) - len(STARTER.calendar.protected)
    except PolicyError:
        return None


# -- files that end too early --------------------------------------------------------------


def test_salon_rules_cut_off_anywhere_allow_nothing_that_the_whole_file_does_not():
    data = SOURCES.rules.data
    seen = set()
    for end in prefixes(data):
        try:
            rules = parse_rules(decode(data[:end], "x"), "x", WORDS)
        except PolicyError:
            continue
        made = tuple(rule.row for rule in rules.rules), tuple(sorted(rules.graph.parents))
        if made not in seen:
            seen.add(made)
            assert grants(with_rules(rules)) <= WHOLE, data[:end][-80:]
    assert len(seen) > 10  # most of the rows can be the last one


def test_a_deny_below_an_allow_is_told_because_a_cut_file_would_lose_it():
    def warned(text):
        return [str(found) for found in parse_rules(text, "x", WORDS).warnings]

    allow, deny, link = ALLOW.decode(), DENY.decode(), "g, role:owner, role:manager\n"
    assert warned(link + deny + allow + allow.replace("stylist", "manager")) == []
    assert len(warned(allow + deny + deny.replace("read", "list"))) == 1
    assert "x:2:1: " in warned(allow + link)[0]
    assert "move such rows up" in warned(allow + link)[0]


def test_hours_cut_off_anywhere_are_refused_or_protect_the_same():
    data = SOURCES.hours.data
    good = 0
    for end in prefixes(data, STEP):
        try:
            calendar = parse_hours(parse_yaml(decode(data[:end], "x"), "x"))
        except PolicyError:
            continue
        good += 1
        names = [name for name, _ in calendar.protected]
        assert names == ["client", "message"]
        assert calendar.salons.keys() == STARTER.calendar.salons.keys()
        assert set(calendar.exempt_roles) <= set(STARTER.calendar.exempt_roles)
    assert good > 1


def test_a_staff_list_cut_off_anywhere_only_loses_people_and_papers():
    data = SOURCES.staff.data
    counts = set()
    for end in prefixes(data, STEP):
        try:
            roster = parse_roster(parse_yaml(decode(data[:end], "x"), "x"))
        except PolicyError:
            continue
        counts.add(len(roster.members))
        for staff, member in roster.members.items():
            whole = STARTER.roster.members[staff]
            assert (member.salons, member.joined) == (whole.salons, whole.joined)
            assert member.approved_devices <= whole.approved_devices
            assert member.trained_until in {None, whole.trained_until}
            assert member.nda_signed in {None, whole.nda_signed}
    assert counts == {1, 2, 3, 4, 5, 6}


def test_an_adapter_cut_off_at_any_line_opens_no_route_and_unhides_no_field():
    data = SOURCES.adapter.data
    whole = {route.template: route for route in STARTER.adapter.routes.routes}
    good = 0
    for end in [at for at, byte in enumerate(data, start=1) if byte == ord("\n")]:
        try:
            file = SourceFile(name="salon-demo.yaml", data=data[:end])
            made = build(replace(SOURCES, adapter=file)).adapter
        except PolicyError:
            continue
        good += 1
        for route in made.routes.routes:
            full = whole[route.template]
            assert (route.kind, route.resource, route.action) == (
                full.kind,
                full.resource,
                full.action,
            )
            assert route.query.items() <= full.query.items()
    assert good > 5


# -- lines that some programs see and others do not ----------------------------------------


@pytest.mark.parametrize(
    "mark", ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_a_deny_behind_an_odd_line_break_is_refused_not_taken_for_a_comment(mark):
    assert loads(DENY + b"# nobody reads cards" + mark.encode() + DENY + ALLOW) is None
    assert loads(ALLOW + b"# a note" + mark.encode() + b"p, role:trainee, *, *, , allow\n") is None


def test_files_of_old_macs_and_of_windows_are_read_line_by_line():
    assert loads((DENY + ALLOW).replace(b"\n", b"\r")) == 2
    assert loads((DENY + ALLOW).replace(b"\n", b"\r\n")) == 2


@pytest.mark.parametrize(
    "row",
    [
        'p, ro"le:x,y", client, read, , deny',  # csv sees six columns, editors five
        'p,\t"role:stylist,x", client, read, , deny',
        'p, role:sty"list, client, "read", , deny',
        'p, role:stylist, client, "li"st|read", , deny',
        'p, "role:stylist, client, read, , deny',
        '"p, role:anyone, client, read, , deny"',
        "p, role:anyone, client, read, , deny\\",
        "p, role:anyone, client, read, , deny # why",
        "p, role:anyone, client, read, , Deny",
        "P, role:anyone, client, read, , deny",
        "p2, role:anyone, client, read, , deny",
        "p; role:anyone; client; read; ; deny",
        "p， role:anyone， client， read， ， deny",
        "\u200bp, role:anyone, client, read, , deny",
        "\ufeffp, role:anyone, client, read, , deny",
        "\u200b# p, role:anyone, client, read, , deny",
        "p, r\u043ele:anyone, client, read, , deny",  # a Cyrillic о
        "p, role:anyone, \u0441lient, read, , deny",  # a Cyrillic с
        "p, role:anyone\u200b, client, read, , deny",
        "p, role:anyone, client, re\u00adad, , deny",
        "p, role:anyone, client, read, , deny\u00a0",
        "p, role:anyone, client, read, deny",
        "p, role:anyone, client, read, , deny, x",
        "p, role:anyone, client, read, , deny" + "," * 10_000 + "x",
        "p, role:anyone, client, read, app:phone | on_notice, deny",
        "p, role:anyone, client, read, app:phone &, deny",
        "p, role:anyone, client, read, , " + "x" * 200_000,
        "g, role:manager, role:manager",
        "e, some(where (p.eft == allow))",
    ],
)
def test_a_row_that_is_not_read_as_written_keeps_the_whole_file_out(row):
    assert loads(ALLOW + row.encode() + b"\n") is None


def test_empty_columns_from_excel_cost_nothing_and_lose_nothing():
    assert loads(DENY.rstrip() + b"," * 10_000 + b"\n" + ALLOW) == 2
