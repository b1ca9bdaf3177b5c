"""Everybody who may, when, and by which rules; and nobody is forgotten."""

from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random

from gateway.build import SourceFile, Sources, build
from gateway.cli.say import parse_moment
from gateway.domain.time import instant
from gateway.tools.whocan import WhoCan, who_can

FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
TEXTS = {part: Path(path).read_text(encoding="utf-8") for part, path in FILES.items()}
NOW = instant(datetime.fromisoformat("2026-11-24T12:00+09:00"))
MEI = "staff:mei"
WEEK = (
    "Mon, Wed, Thu, Sat 09:00-20:00; Fri 09:00-21:00; Sun 09:00-19:00; "
    "except holidays, plus special openings"
)


def a_bundle(*rows, **changed):
    texts = TEXTS | changed
    if rows:
        texts = texts | {"rules": "".join(f"{row}\n" for row in rows)}
    files = {
        part: SourceFile(name=Path(path).name, data=texts[part].encode())
        for part, path in FILES.items()
    }
    networks = {"salon": ("192.0.2.0/24",)}
    return build(Sources(**files, apps=("phone", "backoffice"), networks=networks))


def asked(bundle, action, target, *, at=None, **more):
    moment = None if at is None else partial(parse_moment, at)
    return who_can(bundle, WhoCan(action=action, target=target, now=NOW, at=moment, **more))


def lines_of(listing, who):
    return [line for line in listing.lines if line.who == who]


def of_mei(*rows, action="read", target="client", at=None, told=(), **changed):
    listing = asked(a_bundle(*rows, **changed), action, target, at=at, told=told)
    return [(line.hours, line.dates, " & ".join(line.given)) for line in lines_of(listing, MEI)]


def staff(old, new):
    assert old in TEXTS["staff"]
    return TEXTS["staff"].replace(old, new, 1)


ALLOW = "p, role:stylist, client, read, {}, allow"


def test_everybody_is_listed_or_named_as_never():
    bundle = a_bundle()
    listing = asked(bundle, "read", "client.contact.phone")
    everybody = {*bundle.people, *bundle.roles, "role:anyone"}
    assert {line.who for line in listing.lines} | set(listing.never) == everybody
    assert not {line.who for line in listing.lines} & set(listing.never)
    assert {line.who for line in listing.lines if line.who.startswith("staff:")} == {
        "staff:hana",
        "staff:ken",
        "staff:rei",
    }


def test_hours_are_said_as_the_salons_week_with_its_grace():
    assert of_mei() == [(WEEK, "", "")]
    (role,) = lines_of(asked(a_bundle(), "read", "client"), "role:stylist")
    assert role.hours == "within opening hours"
    assert role.salons == ()


def test_who_is_exempt_may_always():
    (line,) = lines_of(asked(a_bundle(), "read", "client"), "staff:ken")
    assert (line.hours, line.said, line.name) == ("always", "staff:ken in aoyama", "Ken Mori")


def test_a_rule_may_speak_of_closing_time_only():
    assert of_mei("p, role:stylist, booking, list, outside_window, allow",
                  action="list", target="booking") == [
        (f"only outside opening hours ({WEEK})", "", "")
    ]  # fmt: skip


def test_what_the_record_must_be_is_said_in_the_words_of_the_rules():
    assert of_mei(ALLOW.format("own_client & !dormant")) == [(WEEK, "", "own_client & !dormant")]


def test_two_rows_that_make_one_are_one_line():
    both = [ALLOW.format("own_client & app:phone"), ALLOW.format("own_client & !app:phone")]
    assert of_mei(*both) == [(WEEK, "", "app known & own_client")]
    inside = [ALLOW.format("inside_window"), ALLOW.format("outside_window")]
    hours = TEXTS["hours"].replace("protected: [client, message]", "protected: [message]")
    assert of_mei(*inside, hours=hours) == [("always", "", "")]


def test_a_deny_turns_into_what_must_surely_not_be():
    deny = "p, role:anyone, client, read, dormant & app:phone, deny"
    assert sorted(of_mei(deny, ALLOW.format(""))) == [
        (WEEK, "", "!dormant"),
        (WEEK, "", "app:backoffice"),
    ]


def test_anybody_may_come_from_an_approved_device_since_somebody_may_approve_one():
    rule = ALLOW.format("approved_device")
    assert of_mei(rule) == [(WEEK, "", "approved_device")]
    unlisted = staff("    approved_devices: [phone-mei]\n", "")
    assert of_mei(rule, staff=unlisted) == [(WEEK, "", "approved_device")]


def test_the_roster_tells_from_when_and_until_when():
    trained = ALLOW.format("trained")
    assert of_mei(trained) == [(WEEK, "until 2027-03-31", "")]
    notice = staff('on_notice_since: ""', "on_notice_since: 2026-12-05\n    leaves_on: 2026-12-31")
    assert of_mei(trained, staff=notice) == [(WEEK, "until 2026-12-31", "")]
    assert of_mei(ALLOW.format("on_notice"), staff=notice) == [
        (WEEK, "from 2026-12-05 until 2026-12-31", "")
    ]
    assert of_mei(ALLOW.format("!on_notice"), staff=notice) == [(WEEK, "until 2026-12-04", "")]


def test_who_has_left_is_not_listed_and_who_joins_is_with_the_date():
    gone = staff('on_notice_since: ""', "leaves_on: 2026-11-23")
    assert of_mei(staff=gone) == []
    last_day = staff('on_notice_since: ""', "leaves_on: 2026-11-24")
    assert of_mei(staff=last_day) == [(WEEK, "until 2026-11-24", "")]
    soon = staff("2024-04-01", "2026-12-01")
    assert of_mei(staff=soon) == [(WEEK, "from 2026-12-01", "")]


def test_at_a_moment_the_window_and_the_dates_are_those_of_then():
    assert of_mei(at="2026-11-25T12:00") == [("then", "", "")]
    assert of_mei(at="2026-11-25T20:01") == []  # Wednesday, after the grace
    assert of_mei(at="2024-03-31T12:00") == []  # the day before she joined
    assert of_mei(ALLOW.format("!trained"), at="2027-04-01T12:00") == [("then", "", "")]
    listing = asked(a_bundle(), "read", "client", at="2026-11-25T20:01")
    assert {line.who for line in listing.lines if line.name} == {
        "staff:hana",
        "staff:ken",
        "staff:yuki",  # yoyogi is open until 21:00
    }


def test_what_is_told_holds_and_is_not_said_again():
    rows = [ALLOW.format("own_client & app:phone"), ALLOW.format("approved_device")]
    assert of_mei(*rows, told=(("own_client", True), ("approved_device", False))) == [
        (WEEK, "", "app:phone")
    ]
    assert of_mei(*rows, told=(("own_client", None), ("approved_device", None))) == []
    assert of_mei(*rows, told=(("own_client", None),)) == [(WEEK, "", "approved_device")]


def test_fields_of_a_class_for_which_all_is_the_same_share_a_line():
    listing = asked(a_bundle(), "read", "client.contact")
    rei = lines_of(listing, "staff:rei")
    assert [line.targets for line in rei] == [
        ("client.contact.phone",),
        ("client.contact.email", "client.contact.address"),
    ]
    assert [line.given for line in rei] == [(), ("app:backoffice",)]


def test_a_field_is_sent_by_who_may_write_it_on_a_route_with_a_body():
    rows = [
        "p, role:stylist, client, {}, , allow",
        "p, role:stylist, client.contact, write, , allow",
    ]
    assert of_mei(rows[0].format("read"), rows[1], action="write", target="client.contact") == []
    sent = of_mei(rows[0].format("update"), rows[1], action="write", target="client.contact.phone")
    assert sent == [(WEEK, "", "")]


def test_every_line_names_rules_that_allow_it():
    bundle = a_bundle()
    allows = {rule.ref for rule in bundle.rules if rule.effect == "allow"}
    for target in ("client", "client.contact", "client.health", "message.content", "client.name"):
        for line in asked(bundle, "read", target).lines:
            assert line.by
            assert set(line.by) <= allows


TWO = "salons: {aoyama: [role:stylist], yoyogi: [role:manager]}"
TWO_SALONS = staff("salons: {aoyama: [role:stylist]}", TWO)


def with_salon():
    return TEXTS["adapter"].replace("    lookup: GET /api/clients/{id}", "    lookup: GET /api/clients/{id}\n    salon: salon", 1)  # fmt: skip # noqa: E501  # one place


def test_of_two_salons_each_speaks_for_its_own_records():
    bundle = a_bundle(staff=TWO_SALONS, adapter=with_salon())
    lines = lines_of(asked(bundle, "export", "client"), MEI)
    assert [(line.salons, line.hours) for line in lines] == [(("yoyogi",), "always")]
    lines = lines_of(asked(bundle, "read", "client", salon="aoyama"), MEI)
    assert [(line.salons, line.hours) for line in lines] == [(("aoyama",), WEEK)]


def test_records_that_tell_no_salon_need_all_of_a_persons_salons():
    bundle = a_bundle(staff=TWO_SALONS)
    assert lines_of(asked(bundle, "export", "client"), MEI) == []
    (line,) = lines_of(asked(bundle, "read", "client"), MEI)
    assert (line.salons, line.hours) == (("aoyama", "yoyogi"), f"{WEEK} (in aoyama)")


def test_a_record_inside_another_is_a_way_to_it():
    adapter = TEXTS["adapter"].replace(
        "    facts: { own_client: stylist is me }\n    lookup: GET /api/bookings/{id}",
        "    facts: { own_client: stylist is me }\n    embeds: {guest: client}\n"
        "    lookup: GET /api/bookings/{id}",
    )
    assert adapter != TEXTS["adapter"]
    rules = [
        "p, role:stylist, booking, list, own_client, allow",
        "p, role:stylist, client, read, !dormant, allow",
        "p, role:stylist, client, read, , allow",
        "p, role:anyone, client, list|export|update|create|merge|delete, , deny",
    ]
    adapter = adapter.replace('  - { match: "GET /api/clients/{id}", resource: client, action: read }', '  - { match: "GET /api/clients/{id}", resource: client, action: search }').replace("    lookup: GET /api/clients/{id}", "    # no lookup")  # fmt: skip # noqa: E501  # one place
    lines = lines_of(asked(a_bundle(*rules, adapter=adapter), "read", "client.name"), MEI)
    assert [(line.hours, line.given, line.inside) for line in lines] == [(WEEK, (), True)]
    alone = lines_of(asked(a_bundle(*rules[1:], adapter=adapter), "read", "client.name"), MEI)
    assert alone == []


def test_what_cannot_be_listed_is_named_and_nothing_is_claimed():
    facts = "".join(f"      f{n}: visits at least {n}\n" for n in range(1, 14))
    adapter = TEXTS["adapter"].replace("    facts: # what", f"    facts:\n{facts}      # what", 1)
    chance = Random(1)  # noqa: S311  # no secret
    denies = [
        f"p, role:stylist, client, read, {' & '.join(f'f{n}' for n in names)}, deny"
        for names in (chance.sample(range(1, 14), 6) for _ in range(300))
    ]
    listing = asked(a_bundle(*denies, ALLOW.format(""), adapter=adapter), "read", "client")
    assert MEI in listing.unlisted
    assert MEI not in listing.never
    assert lines_of(listing, MEI) == []
