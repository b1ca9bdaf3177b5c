"""`diff` against brute force: what is listed really differs, exactly there, and nothing else does.

Two random policies over one adapter or two, rosters whose dates move, two calendars, networks
and facts that mean something else afterwards; then random requests and records, judged row by
row by the slow reference under both policies.
"""

import os
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.build import SourceFile, Sources, build
from gateway.domain.record import Asker, predicate
from gateway.domain.resource import UNMAPPED
from gateway.domain.subject import DeviceId
from gateway.domain.time import Instant
from gateway.enforcer.bearers import DATES
from gateway.enforcer.window import window_at
from gateway.identity.claims import Claims
from gateway.identity.principal import resolve
from gateway.tools.diff import NEW, OLD, Change, _asked, _Comparison, compare
from gateway.tools.sidebyside import Ground
from gateway.tools.timeline import Pair, Timeline, midnight
from tests.oracles import slow_decide

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SINCE = date(2026, 3, 2)

MODEL = Path("policies/model.conf").read_text(encoding="utf-8")
MEI = """  - {{id: mei, name: Mei, salons: {salons}, joined: 2026-01-01,
     trained_until: {trained}, {more} approved_devices: {devices}}}
"""
STAFF = """
roles: [role:stylist, role:manager]
staff:
{mei}  - {{id: ken, name: Ken, salons: {{aoyama: [role:manager]}}, joined: 2026-01-01}}
{jun}"""
HOURS = """
salons:
  aoyama: {{timezone: {zone}, grace: {{before: 30}},
    weekly: {{mon: ["10:00-{close}"], tue: ["10:00-19:00"], wed: ["20:00-02:00"]}},
    special_openings: {special}}}
  kyiv: {{timezone: Europe/Kyiv, weekly: {{tue: ["09:00-18:00"], wed: ["09:00-18:00"]}}}}
protected: {protected}
exempt_roles: [role:manager]
"""
ADAPTER = """
adapter: crm
resources:
  client:
    id: id
    fields: {{name: name, phone: phone, stylist: stylist, shop: shop, status: status,
      seen: seen{more}}}
    classes: {{contact: [phone]}}
    facts: {{own_client: stylist is me, vip: {vip}, dormant: seen older than {dormant}}}
    salon: shop
  booking:
    id: id
    fields: {{starts: starts, stylist: stylist}}
    facts: {{own_client: stylist is me}}
routes:
  - {{match: GET /clients, resource: client, action: list, records: "[]"}}
  - {{match: POST /clients, resource: client, action: create}}
  - {{match: GET /bookings, resource: booking, action: {action}, records: "[]"}}
"""
WHO = ("role:stylist", "role:manager", "role:anyone", "staff:mei")
TARGETS = ("client", "client.contact", "client.contact.phone", "booking", "*")
REQUEST = (
    "approved_device", "trained", "on_notice", "inside_window", "outside_window",
    "app:phone", "network:salon", "role:manager",
)  # fmt: skip
OF_RECORDS = {"client": ("own_client", "vip", "dormant"), "booking": ("own_client",)}


@st.composite
def rules(draw):
    target = draw(st.sampled_from(TARGETS))
    effect = draw(st.sampled_from(("allow", "allow", "deny")))
    own = OF_RECORDS.get(target.partition(".")[0], ("own_client",))
    names = draw(st.lists(st.sampled_from((*REQUEST, *own, *own)), max_size=2, unique=True))
    when = " & ".join(draw(st.sampled_from(("", "!"))) + name for name in names)
    action = draw(st.sampled_from(("*", "*", "list|read", "read", "create|write")))
    return f"p, {draw(st.sampled_from(WHO))}, {target}, {action}, {when}, {effect}"


@st.composite
def pairs(draw, strategy):
    """Something in both policies, mostly the same."""
    one = draw(strategy)
    return one, draw(st.one_of(st.just(one), strategy))


texts = {
    "salons": ("{aoyama: [role:stylist]}", "{aoyama: [role:stylist], kyiv: [role:manager]}"),
    "trained": ("2026-03-10", "2026-03-12"),
    "more": ("", "on_notice_since: 2026-03-11,", "leaves_on: 2026-03-13,", "crm_id: mm,"),
    "devices": ("[phone-mei]", "[pad-mei]", "[]"),
    "jun": ("", "  - {id: jun, name: Jun, salons: {kyiv: [role:stylist]}, joined: 2026-03-09}\n"),
    "zone": ("Asia/Tokyo", "Asia/Tokyo", "Asia/Tokyo", "Asia/Bangkok"),
    "close": ("18:00", "19:00"),
    "special": ('{"2026-03-12": ["08:00-12:00"]}', "{}"),
    "protected": ("[client.contact]", "[]"),
    "vip": ("status is vip", "status is gold"),
    "dormant": ("5y", "3y"),
    "more_fields": ("", ", mail: mail"),
    "action": ("list", "read"),
    "network": ("192.0.2.0/24", "192.0.2.0/25"),
}


@st.composite
def policies(draw):
    chosen = {key: draw(pairs(st.sampled_from(values))) for key, values in texts.items()}
    rows = draw(pairs(st.lists(rules(), min_size=1, max_size=5)))
    rows = rows[0], draw(st.permutations(rows[1]))
    return tuple(
        a_bundle("\n".join(rows[at]) + "\n", **{k: v[at] for k, v in chosen.items()})
        for at in (OLD, NEW)
    )


def a_bundle(rows, **chosen):
    def file(name, text):
        return SourceFile(name=name, data=text.encode())

    mei = MEI.format(**{k: chosen[k] for k in ("salons", "trained", "more", "devices")})
    adapter = {k: chosen[k] for k in ("vip", "dormant", "action")}
    return build(
        Sources(
            rules=file("salon_rules.csv", rows),
            model=file("model.conf", MODEL),
            hours=file(
                "hours.yaml",
                HOURS.format(**{k: chosen[k] for k in ("zone", "close", "special", "protected")}),
            ),
            staff=file("staff.yaml", STAFF.format(mei=mei, jun=chosen["jun"])),
            adapter=file("crm.yaml", ADAPTER.format(**adapter, more=chosen["more_fields"])),
            apps=("phone", "desk"),
            networks={"salon": (chosen["network"],)},
        )
    )


requests = st.fixed_dictionaries(
    {
        "at": st.integers(0, 13 * 24 * 2).map(
            lambda n: Instant(midnight(None, date(2026, 3, 3)) + n * timedelta(minutes=30))
        ),
        "app": st.sampled_from((None, "phone", "desk")),
        "device": st.sampled_from((None, "phone-mei", "pad-mei", "other")),
        "peer": st.sampled_from((None, "192.0.2.7", "192.0.2.200", "198.51.100.7")),
        "record": st.fixed_dictionaries(
            {
                "stylist": st.sampled_from((None, "mei", "mm", "jun")),
                "status": st.sampled_from((None, "vip", "gold", "none")),
                "seen": st.sampled_from((None, "2026-01-01", "2022-06-01", "2012-01-01")),
                "shop": st.sampled_from((None, "aoyama", "kyiv", "lviv")),
            }
        ),
    }
)


# -- the slow way


def principal_of(bundle, staff, request):
    if staff not in bundle.people:
        return None
    device = request["device"]
    claims = Claims(
        staff=staff,
        device=None if device is None else DeviceId(device),
        epoch=0,
        app=request["app"],
        roles=None,
        expires_at=request["at"],
    )
    person = resolve(claims, bundle.people)
    today = bundle.today(person.home.salon, request["at"])
    inside = (person.joined or date.min) <= today <= (person.leaves_on or date.max)
    return person if inside else None


def record_facts(bundle, person, resource, request):
    today = bundle.today(person.home.salon, request["at"])
    asker = Asker(crm_id=person.crm_id, today=today)
    return {
        fact.name: predicate(fact.comparison, asker)(request["record"][fact.field])
        for fact in resource.facts
    }


def verdicts(bundle, person, resource, request):
    """Action and method of a route → hidden and unwritable fields, where the record passes."""
    if person is None:
        return {}
    rows = [(rule.origin.value, rule.row) for rule in bundle.rules]
    facts = {
        post.salon: bundle.facts(person, post, request["at"], request["peer"])
        for post in person.posts
    }
    record = request["record"]["shop"], record_facts(bundle, person, resource, request)
    found = {}
    for route in bundle.adapter.routes.routes:
        if route.resource.name == resource.name:
            verdict = slow_decide.judge_record(rows, person, resource, route.action, facts, record)
            if verdict[0] == "passes":
                found[route.action, route.method] = verdict[1:]
    return found


def may(bundle, one, passing):
    """Can they do this, by some request that passes?"""
    resource = bundle.adapter.vocabulary.resources[one.resource]
    if one.field is None:
        return any(action == one.action for action, _ in passing)
    name = one.field if one.field in resource.fields else UNMAPPED
    if one.action == "read":
        return any(name not in hidden for hidden, _ in passing.values())
    return any(
        name not in unwritable
        for (_, method), (_, unwritable) in passing.items()
        if method == "POST"
    )


# -- where a request lies


def point_of(ground, comparison, side, staff, request):
    """The settings of one request: exactly one of each dial that it tells about."""
    space = comparison._space
    on_roster = [
        bundle.full_token(staff) if staff in bundle.people else None
        for bundle in (ground.old, ground.new)
    ]
    cuts = ground._cuts(*on_roster)
    stretch = max(n for n, at in enumerate(cuts) if at <= request["at"])
    known = [told(b, p, request) for b, p in zip((ground.old, ground.new), on_roster, strict=True)]
    cube = space.everywhere
    for at, joint in enumerate(side.joints):
        if joint.name == DATES:
            cube &= space.where(at, 1 << stretch)
            continue
        fitting = [
            number
            for number, both in enumerate(joint.settings)
            if all(
                known[which][joint.resource, joint.salon].get(name, value) is value
                for which, facts in ((OLD, both.old), (NEW, both.new))
                if known[which] is not None and (joint.resource, joint.salon) in known[which]
                for name, value in facts
            )
        ]
        assert fitting, joint
        cube &= space.where(at, sum(1 << n for n in fitting))
    return cube


def told(bundle, person, request):
    """(resource, salon) → everything that this policy's rules are told."""
    if person is None:
        return None
    claims = Claims(
        staff=person.staff,
        device=None if request["device"] is None else DeviceId(request["device"]),
        epoch=0,
        app=request["app"],
        roles=None,
        expires_at=request["at"],
    )
    person = resolve(claims, bundle.people)
    by_salon = {
        post.salon: bundle.facts(person, post, request["at"], request["peer"])
        for post in person.posts
    }
    found = {(None, salon): facts for salon, facts in by_salon.items()}
    found[None, None] = by_salon[person.home.salon]
    for resource in bundle.adapter.vocabulary.resources.values():
        found[resource.name, None] = record_facts(bundle, person, resource, request)
    return found


def kind_of(comparison, one, request):
    """The name under which a record's salon is compared."""
    kinds = comparison._kinds(one)
    salon = request["record"]["shop"]
    if kinds == ("?",) or (salon is None and "?" in kinds):
        return "?"
    if salon in kinds:
        return salon
    return "*" if "*" in kinds else kinds[0] if salon is None else None


@settings(max_examples=25 * FUZZ, deadline=None)
@given(policies(), st.lists(requests, min_size=6, max_size=6))
def test_what_is_listed_really_differs_exactly_there_and_nothing_else_does(both, moments):
    old, new = both
    names = {**old.calendar.salons, **new.calendar.salons}
    timeline = Timeline({n: Pair(old=old.hours(n), new=new.hours(n)) for n in names}, SINCE)
    ground = Ground(old, new, timeline)
    ways = old.everyone().ways, new.everyone().ways
    told_of = {
        (line.change, staff) for line in compare(old, new, SINCE).lines for staff in line.people
    }
    for staff in sorted({*old.people, *new.people}):
        side = ground.person(staff)
        comparison = _Comparison(ground, side, staff, ways)
        space = comparison._space
        differing = set()
        points = [point_of(ground, comparison, side, staff, request) for request in moments]
        passing = {
            (at, name, number): verdicts(
                bundle, principal_of(bundle, staff, request), resource, request
            )
            for at, bundle in enumerate(both)
            for name, resource in bundle.adapter.vocabulary.resources.items()
            for number, request in enumerate(moments)
        }
        for one in _asked(old, new, ways):
            changes = {
                kind: {c.change: c.exact for c in comparison.changed(one, kind)}
                for kind in comparison._kinds(one)
            }
            differing |= {change for found in changes.values() for change in found}
            for number, (request, point) in enumerate(zip(moments, points, strict=True)):
                assert space.meet((point,), comparison._possible)
                before, after = (
                    may(bundle, one, passing[at, one.resource, number])
                    for at, bundle in enumerate(both)
                )
                found = changes.get(kind_of(comparison, one, request), {})
                for change, differs in (
                    (Change.GAINED, after and not before),
                    (Change.LOST, before and not after),
                ):
                    within = space.within(space.absorb([point]), found.get(change, ()))
                    apart = not space.meet((point,), found.get(change, ()))
                    assert within if differs else apart, (one.target, one.action, change)
        # Every cube became a sentence, and no sentence came from nowhere.
        assert differing == {change for change, who in told_of if who == staff}


@settings(max_examples=8 * FUZZ, deadline=None)
@given(policies())
def test_a_difference_turned_round_is_the_other_way_round(both):
    def said(lines, change):
        return {
            (staff, line.resource, action, what)
            for line in lines
            if line.change is change
            for staff in line.people
            for action, listed in (("", line.actions), ("r", line.read), ("w", line.write))
            for what in listed
        }

    # A class that a field is in now or was in before has no two names: fields stay as they are.
    old, new = both
    there, back = compare(old, new, SINCE), compare(new, old, SINCE)
    assert said(there.lines, Change.GAINED) == said(back.lines, Change.LOST)
    assert said(there.lines, Change.LOST) == said(back.lines, Change.GAINED)
    assert there.changes == back.changes


@settings(max_examples=5 * FUZZ, deadline=None)
@given(policies())
def test_nothing_changes_from_a_policy_to_itself(both):
    for bundle in both:
        assert not compare(bundle, bundle, SINCE).changes


@cache
def hourly(old, new, start):
    """Every half hour of the horizon, as requests see it."""
    found = []
    for n in range(400 * 48):
        at = Instant(start + n * timedelta(minutes=30))
        found.append((at, tuple(window_at(hours, at).state.inside for hours in (old, new))))
    return found


@settings(max_examples=2 * FUZZ, deadline=None)
@given(policies())
def test_the_sides_of_windows_that_occur_together_are_those_of_some_half_hour(both):
    old, new = both
    names = {**old.calendar.salons, **new.calendar.salons}
    timeline = Timeline({n: Pair(old=old.hours(n), new=new.hours(n)) for n in names}, SINCE)
    ground = Ground(old, new, timeline)
    start = timeline.start("aoyama")
    cuts = (start, Instant(start + timedelta(days=9)))
    slow = [set(), set()]
    every = {n: hourly(old.hours(n), new.hours(n), start) for n in ("aoyama", "kyiv")}
    for (at, aoyama), (_, kyiv) in zip(every["aoyama"], every["kyiv"], strict=True):
        slow[at >= cuts[1]].add((aoyama, kyiv))
    found = ground._occurring(("aoyama", "kyiv"), cuts)
    # The second stretch is looked at for 400 days of its own.
    assert found[0] == slow[0]
    assert found[1] >= slow[1]
