"""What a change of the starter set changes, in sentences."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.tools import diff
from gateway.tools.diff import Change, compare
from gateway.tools.diff_words import in_markdown, in_text, sentence

SINCE = date(2026, 11, 22)
FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
TRAINEES = "# Trainees: the day's bookings, nothing about health."
PHONES = "p, role:stylist, client.contact.phone, read, own_client, allow"
# Nobody's hours or classes get in the way here.
STAFF = """
roles: [role:stylist, role:owner]
staff:
{people}
"""
ADAPTER = """
adapter: crm
resources:
  client:
    id: id
    fields: {name: name, phone: phone, mail: mail, stylist: stylist}
    classes: {contact: [phone, mail]}
    facts: {own_client: stylist is me}
  page: {sensitive: false}
routes:
  - {match: GET /clients, resource: client, action: list, records: "[]"}
  - {match: "PUT /clients/{id}", resource: client, action: update}
  - {match: GET /staff, resource: page, action: read, pass: true}
"""
HOURS = """
salons:
  aoyama:
    timezone: Asia/Tokyo
    weekly: {tue: ["10:00-20:00"], wed: ["10:00-20:00"], thu: ["10:00-20:00"]}
    closed_dates: ["2026-12-31"]
  yoyogi: {timezone: Asia/Tokyo, weekly: {mon: ["12:00-18:00"]}}
protected: [client]
exempt_roles: [role:owner]
"""
RULES = "p, role:stylist, client, list|read, , allow\n"
PEOPLE = ("mei", "yuki", "ken")


def starter(**edits):
    """The starter set with some places changed: `rules=[(old, new)]`."""
    return bundle(**{part: changed(part, edits.get(part, ())) for part in FILES})


def changed(part, edits):
    text = Path(FILES[part]).read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def a_person(name, salons="{aoyama: [role:stylist]}", more=""):
    return f"  - {{id: {name}, name: X, salons: {salons}, joined: 2020-01-01{more}}}"


def small(*, rules=RULES, people=None, hours=HOURS, adapter=ADAPTER, **others):
    people = map(a_person, PEOPLE) if people is None else people
    staff = STAFF.format(people="\n".join(people))
    model = Path(FILES["model"]).read_text(encoding="utf-8")
    texts = {"rules": rules, "hours": hours, "staff": staff, "adapter": adapter, "model": model}
    return bundle(**texts, **others)


def bundle(networks=None, apps=("phone", "backoffice"), **texts):
    files = {
        part: SourceFile(name=Path(FILES[part]).name, data=text.encode())
        for part, text in texts.items()
    }
    return build(Sources(**files, apps=apps, networks=networks or {}))


def said(old, new, since=SINCE):
    difference = compare(old, new, since)
    return [sentence(line, difference) for line in difference.lines]


def noted(old, new):
    return {note.text: note.matters for note in compare(old, new, SINCE).notes}


def test_three_more_people_can_read_phones():
    new = small(rules=f"{RULES}{PHONES}\n")
    assert said(small(), new) == [
        (
            "everyone (3 people) can read client.contact.phone when own_client, "
            "Tue-Thu 10:00-20:00; except holidays, by salon_rules.csv:1, salon_rules.csv:2"
        )
    ]
    assert said(new, small()) == [
        (
            "3 people (ken, mei, yuki) can no longer read client.contact.phone when own_client, "
            "Tue-Thu 10:00-20:00; except holidays (allowed before by salon_rules.csv:1, "
            "salon_rules.csv:2)"
        )
    ]


def test_one_hour_more_is_said_as_that_hour():
    longer = HOURS.replace("10:00-20:00", "10:00-21:00")
    assert said(small(), small(hours=longer)) == [
        (
            "everyone (3 people) can list client; read the fields of client in no class, "
            "Tue-Thu 20:00-21:00, except on 2026-12-31, by salon_rules.csv:1"
        )
    ]
    (line,) = said(small(hours=longer), small())
    assert line.startswith("3 people (ken, mei, yuki) can no longer list client; ")
    assert line.endswith(
        "Tue-Thu 20:00-21:00, except on 2026-12-31 "
        "(allowed before by salon_rules.csv:1; denied now by hours.yaml:8)"
    )


def test_single_dates_are_said_one_by_one_and_no_usual_day():
    special = HOURS.replace(
        'closed_dates: ["2026-12-31"]',
        'special_openings: {"2026-12-29": ["10:00-22:00"], "2026-12-31": []}',
    )
    assert [text.partition("class, ")[2] for text in said(small(), small(hours=special))] == [
        "on 2026-12-29 20:00-22:00, by salon_rules.csv:1"
    ]
    closed = HOURS.replace('["2026-12-31"]', '["2026-12-31", "2026-12-30"]')
    (line,) = said(small(), small(hours=closed))
    assert "on 2026-12-30 10:00-20:00 (allowed" in line


def test_hours_of_a_date_when_somebody_does_not_work_here_any_more_are_no_change():
    gone = [a_person("mei", more=", leaves_on: 2026-12-28")]
    special = HOURS.replace(
        "closed_dates:", 'special_openings: {"2026-12-29": ["10:00-22:00"]}\n    closed_dates:'
    )
    assert said(small(people=gone), small(people=gone, hours=special)) == []
    here = [a_person("mei", more=", leaves_on: 2026-12-29")]
    (line,) = said(small(people=here), small(people=here, hours=special))
    assert "on 2026-12-29 20:00-22:00" in line


def test_a_calendar_that_changes_nothing_but_its_spelling_is_no_change():
    turned = HOURS.replace(
        'tue: ["10:00-20:00"], wed: ["10:00-20:00"]', 'wed: ["10:00-20:00"], tue: ["10:00-20:00"]'
    )
    difference = compare(small(), small(hours=f"# moved\n{turned}"), SINCE)
    assert not difference.changes
    assert difference.notes == ()


def test_a_timezone_that_changes_is_compared_by_instants():
    new = small(
        hours=HOURS.replace(
            "aoyama:\n    timezone: Asia/Tokyo", "aoyama:\n    timezone: Asia/Bangkok"
        )
    )
    difference = compare(small(), new, SINCE)
    assert {line.change for line in difference.lines} == {Change.GAINED, Change.LOST}
    (gained,) = [s for s in said(small(), new) if "can list" in s]
    assert "within Tue-Thu 10:00-20:00; except holidays (Asia/Bangkok)" in gained
    assert "outside Tue-Thu 10:00-20:00; except holidays (Asia/Tokyo, as it was)" in gained


def test_somebody_who_joins_gains_everything_from_their_first_day():
    people = [*map(a_person, PEOPLE), a_person("jun").replace("2020-01-01", "2027-01-04")]
    new = small(people=people)
    assert said(small(), new) == [
        (
            "1 more person (jun) can list client; read the fields of client in no class, "
            "Tue-Thu 10:00-20:00; except holidays, from 2027-01-04, by salon_rules.csv:1"
        )
    ]
    assert noted(small(), new) == {"`staff:jun` joins the roster: aoyama: role:stylist": True}
    (line,) = said(new, small())
    assert line.startswith("1 person (jun) can no longer list client; ")


def test_a_leaving_date_is_lost_time():
    old = small(people=[a_person("mei")])
    new = small(people=[a_person("mei", more=", leaves_on: 2026-12-31")])
    (line,) = said(old, new)
    assert "can no longer list client" in line
    assert ", from 2027-01-01 (" in line
    assert noted(old, new) == {"`staff:mei`: `leaves_on` none -> 2026-12-31": True}


def test_what_is_over_by_the_first_day_is_left_out():
    old = small(people=[a_person("mei", more=", leaves_on: 2026-11-20")])
    new = small(people=[a_person("mei", more=", leaves_on: 2026-11-10")])
    assert said(old, new) == []
    assert said(old, new, date(2026, 11, 15)) != []


def test_a_role_that_changes_reaches_only_who_holds_it():
    old = small(people=[a_person("mei"), a_person("hana", "{aoyama: [role:owner]}")])
    new = small(
        people=[
            a_person("mei", "{aoyama: [role:owner]}"),
            a_person("hana", "{aoyama: [role:owner]}"),
        ]
    )
    (line,) = said(old, new)
    assert line.startswith("1 person (mei) can no longer list client; ")
    assert "`staff:mei`: aoyama: role:stylist -> aoyama: role:owner" in noted(old, new)


def test_a_deny_in_the_way_is_named():
    new = small(rules=f"p, role:anyone, client, *, app:phone, deny\n{RULES}")
    (line,) = said(small(), new)
    assert "when app:phone or app not known" in line
    assert "denied now by salon_rules.csv:1" in line


def test_a_route_that_opens_or_needs_no_rules_any_more_is_told():
    adapter = ADAPTER.replace("pass: true", "public: true").replace(
        '  - {match: "PUT',
        '  - {match: "GET /clients/{id}", resource: client, action: read}\n  - {match: "PUT',
    )
    new = small(adapter=adapter)
    assert noted(small(), new) == {
        "new route: `GET /clients/{id}`: for whoever may `read` `client`": True,
        "route `GET /staff`: for everyone on the roster, without rules -> "
        "for anybody, even without a token": True,
    }
    (line,) = said(small(), new)
    assert line.startswith("everyone (3 people) can read client, ")


def test_a_field_under_another_name_is_the_same_field():
    renamed = ADAPTER.replace("name: name", "title: name")
    assert said(small(), small(adapter=renamed)) == []
    gone = ADAPTER.replace("name: name, ", "")
    (line,) = said(small(), small(adapter=gone))
    assert "can no longer read client.name" in line


def test_a_field_that_changes_its_class_changes_who_sees_it():
    moved = ADAPTER.replace("[phone, mail]", "[phone]")
    (line,) = said(small(), small(adapter=moved))
    assert "can read client.mail" in line
    assert noted(small(), small(adapter=moved)) == {
        "`client.contact.mail` is `client.mail` now": False
    }


def test_a_field_that_is_read_from_another_member_matters_though_no_rule_changed():
    moved = ADAPTER.replace("phone: phone", "phone: tel")
    difference = compare(small(), small(adapter=moved), SINCE)
    assert difference.changes
    assert difference.lines == ()


def test_a_network_with_more_addresses_is_gained_and_never_lost():
    rules = "p, role:stylist, client, list, network:salon, allow\n"
    old = small(rules=rules, networks={"salon": ("192.0.2.0/25",)})
    new = small(rules=rules, networks={"salon": ("192.0.2.0/24",)})
    (line,) = said(old, new)
    assert "when (network:salon & !network:salon (before))" in line
    (back,) = said(new, old)
    assert "can no longer list client when (!network:salon & network:salon (before))" in back


def test_a_fact_that_means_something_else_is_compared_as_it_was_and_is():
    def dated(span):
        facts = f"{{own_client: stylist is me, dormant: seen older than {span}}}"
        adapter = ADAPTER.replace("{own_client: stylist is me}", facts)
        adapter = adapter.replace("mail: mail", "mail: mail, seen: seen")
        return small(rules="p, role:stylist, client, list, dormant, allow\n", adapter=adapter)

    (line,) = said(dated("5y"), dated("3y"))
    assert "when (dormant & !dormant (before))" in line
    assert "can no longer" not in line


def test_the_crms_name_for_somebody_decides_whose_clients_they_are():
    rules = "p, role:stylist, client, list, own_client, allow\n"
    old = small(rules=rules, people=[a_person("mei")])
    new = small(rules=rules, people=[a_person("mei", more=", crm_id: m-7")])
    gained, lost = said(old, new)
    assert "when (own_client & !own_client (before))" in gained
    assert "when (!own_client & own_client (before))" in lost


def test_somebody_in_two_salons_is_told_salon_by_salon():
    adapter = ADAPTER.replace("stylist: stylist}", "stylist: stylist, shop: shop}").replace(
        "facts: {", "salon: shop\n    facts: {"
    )
    one = [a_person("mei")]
    two = [a_person("mei", "{aoyama: [role:stylist], yoyogi: [role:stylist]}")]
    gained, lost = said(small(people=one, adapter=adapter), small(people=two, adapter=adapter))
    assert "in records of yoyogi" in gained
    # A record that tells no salon has to pass in both now.
    assert "can no longer list" in lost
    assert "in records of no known salon" in lost


def test_roles_links_apps_assertions_and_the_model_are_noted():
    model = changed(
        "model",
        [("holds(p.when, r.ctx, p.eft)\n", 'holds(p.when, r.ctx, p.eft) && r.act != "export"\n')],
    )
    new = starter(rules=[("g, role:owner,     role:manager", "")])
    new = replace(new, model_text=model)
    assert "no link any more: `role:owner has role:manager`" in noted(starter(), new)
    narrower = bundle(
        **{part: changed(part, ()) for part in FILES if part != "model"}, model=model
    )
    assert "model.conf asks for something else beside the rules" in noted(starter(), narrower)
    assert any("can no longer export client" in text for text in said(starter(), narrower))


def test_people_whose_rules_are_too_many_are_named_and_not_called_unchanged(monkeypatch):
    def too_many(*_):
        raise diff.TooManyError

    monkeypatch.setattr(diff._Comparison, "changed", too_many)
    difference = compare(small(), small(), SINCE)
    assert difference.changes
    assert difference.unsaid == ("staff:ken", "staff:mei", "staff:yuki")
    assert list(in_text(difference)) == [
        "not compared:",
        "  ken, mei, yuki: their rules combine too many conditions",
    ]


def test_nothing_is_said_as_nothing():
    difference = compare(small(), small(), SINCE)
    assert list(in_text(difference)) == ["nothing changes in who can do what"]
    assert list(in_markdown(difference, "a", "b"))[2:] == ["Nothing changes in who can do what."]


def test_markdown_cannot_be_ended_by_a_name():
    difference = compare(small(), small(), SINCE)
    heading = next(in_markdown(difference, "`x` ![a](b)\n# c", "b"))
    assert heading == "### Policy: `'x' ![a](b)'# c` → `b`"


def many():
    people = "\n".join(
        f"  - {{id: p{n}, name: X, salons: {{aoyama: [role:{role}]}}, joined: 2020-01-01,\n"
        f"     nda_signed: true, trained_until: 2027-01-{1 + n % 28:02}}}"
        for n, role in zip(
            range(100), ("stylist", "reception", "trainee", "manager") * 25, strict=True
        )
    )
    return changed("staff", ()).partition("staff:\n")[0] + f"staff:\n{people}\n"


def test_people_with_equal_rights_are_compared_once(monkeypatch):
    texts = {part: changed(part, ()) for part in FILES}
    old = bundle(**{**texts, "staff": many()})
    more = changed("rules", [(TRAINEES, PHONES)])
    new = bundle(**{**texts, "staff": many(), "rules": more})
    asked = []
    plain = diff._Comparison.__init__
    monkeypatch.setattr(
        diff._Comparison, "__init__", lambda self, *given: asked.append(1) or plain(self, *given)
    )
    (line,) = said(old, new)
    assert line.startswith(
        "25 more people (p0, p12, p16, p20, p24, p28, p32, and 18 more) can read "
    )
    assert len(asked) == 4


GOLDEN = Path("tests/golden/diff")


def a_pull_request():
    """Longer hours, phones for stylists, a new colleague, a promotion, an open address."""
    people = [a_person("mei"), a_person("ken"), a_person("yuki", "{yoyogi: [role:stylist]}")]
    later = [
        a_person("mei"),
        a_person("ken", "{aoyama: [role:owner]}"),
        a_person("yuki", "{yoyogi: [role:stylist]}"),
        a_person("jun").replace("2020-01-01", "2027-01-04"),
    ]
    rules = "p, role:stylist, client, list|read|update, , allow\np, role:owner, *, *, , allow\n"
    new = small(
        rules=f"p, role:anyone, client, update, app:phone, deny\n{rules}{PHONES}\n",
        people=later,
        hours=HOURS.replace('wed: ["10:00-20:00"]', 'wed: ["10:00-21:00"]'),
        adapter=ADAPTER.replace(
            "routes:", "routes:\n  - {match: GET /v, resource: page, action: read, public: true}"
        ),
    )
    return compare(small(rules=rules, people=people), new, SINCE)


@pytest.mark.parametrize("form", ["text", "md"])
def test_a_pull_request_reads_like_this(form):
    difference = a_pull_request()
    lines = in_text(difference) if form == "text" else in_markdown(difference, "main", "fix")
    found = "\n".join(lines) + "\n"
    assert found == (GOLDEN / f"pull_request.{form}").read_text(encoding="utf-8")
