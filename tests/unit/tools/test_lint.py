"""What a policy that loads is warned of, and what stands close to it and is not."""

from datetime import datetime
from itertools import product
from pathlib import Path

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.domain.finding import Severity
from gateway.domain.subject import ANYONE, Post, Principal, StaffId
from gateway.domain.time import instant
from gateway.tools.delicate import sounds_like
from gateway.tools.lint import lint
from gateway.tools.reach import MAX_STEPS

FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
TEXTS = {part: Path(path).read_text(encoding="utf-8") for part, path in FILES.items()}
MANAGERS = "g, role:manager, role:reception\np, role:manager, *, *, , allow\n"
REST = (
    "g, role:owner, role:manager\ng, role:trainee, role:stylist\n"
    "p, role:stylist, booking, list, , allow\np, role:reception, booking, list, , allow\n"
)


def a_bundle(apps=("phone", "backoffice"), **changed):
    files = {
        part: SourceFile(name=Path(path).name, data=(TEXTS | changed)[part].encode())
        for part, path in FILES.items()
    }
    return build(Sources(**files, apps=apps, networks={"salon": ("192.0.2.0/24",)}))


def warned(*rows, **changed):
    """What is said of these rows: everybody may do something by the rows behind them."""
    rules = "".join(f"p, {row}\n" for row in rows) + MANAGERS + REST
    return [str(finding) for finding in lint(a_bundle(rules=rules, **changed))]


def one(*rows, **changed):
    (finding,) = warned(*rows, **changed)
    return finding


def adapter(old, new):
    assert TEXTS["adapter"].count(old) == 1
    return TEXTS["adapter"].replace(old, new)


@pytest.mark.parametrize("crm", ["salon-demo", "json-server"])
def test_the_starter_set_is_clean(crm):
    text = Path(f"adapters/{crm}.yaml").read_text(encoding="utf-8")
    assert lint(a_bundle(adapter=text)) == ()


def test_every_finding_is_a_warning_with_a_place_and_without_a_full_stop():
    rules = TEXTS["rules"] + "p, role:stylist, client.contact, export, , deny\n"
    (finding,) = lint(a_bundle(rules=rules))
    assert finding.severity is Severity.WARNING
    assert (finding.place.file, finding.place.line) == ("salon_rules.csv", rules.count("\n"))
    assert finding.message[0].islower()
    assert not finding.message.endswith(".")


# -- shadowed


@pytest.mark.parametrize(
    ("deny", "allow"),
    [
        ("role:stylist, client, read, , deny", "role:stylist, client, read, , allow"),
        ("role:anyone, client, *, , deny", "role:stylist, client.contact, read, , allow"),
        ("role:reception, client, *, , deny", "role:manager, client, read|list, , allow"),
        ("role:stylist, client, *, , deny", "staff:mei, client.contact, read, , allow"),
        ("staff:mei, client, *, , deny", "staff:mei, client, read, trained, allow"),
        (
            "role:stylist, client, *, !trained, deny",
            "role:stylist, client, read, on_notice & !trained, allow",
        ),
        # The class has one more action in its list, but nothing asks a field for it.
        (
            "role:stylist, client.personal.birthday, read, , deny",
            "role:stylist, client.personal, read|export, , allow",
        ),
    ],
)
def test_an_allow_that_a_deny_always_beats_is_named_with_the_deny(deny, allow):
    finding = one(deny, allow)
    assert finding.startswith("salon_rules.csv:2:1: warning: this allow never helps")
    assert "the deny at salon_rules.csv:1 " in finding


@pytest.mark.parametrize(
    ("deny", "allow"),
    [
        ("role:stylist, client, read, , deny", "role:stylist, client, read|list, , allow"),
        ("role:stylist, client.name, read, , deny", "role:stylist, client, read, , allow"),
        ("role:manager, client, *, , deny", "role:reception, client, read, , allow"),
        ("staff:mei, client, *, , deny", "role:stylist, client, read, , allow"),
        ("role:stylist, client, *, , deny", "role:anyone, client, read, , allow"),
        ("role:stylist, client, *, on_notice, deny", "role:stylist, client, read, , allow"),
        (
            "role:stylist, client, *, on_notice, deny",
            "role:stylist, client, read, !on_notice, allow",
        ),
        ("role:stylist, message, *, , deny", "role:stylist, client, read, , allow"),
    ],
)
def test_an_allow_that_a_deny_leaves_something_is_not_named(deny, allow):
    assert warned(deny, allow) == []


def test_an_allow_for_the_closed_hours_is_named_with_the_entry_that_closes_them():
    hours = TEXTS["hours"].replace("exempt_roles: [role:manager, role:owner]", "exempt_roles: []")
    finding = one("role:stylist, client, list, outside_window, allow", hours=hours)
    assert "refuses all of it" in finding
    assert "the deny at hours.yaml:" in finding


def test_an_allow_for_the_closed_hours_of_exempt_roles_is_not_named():
    assert warned("role:stylist, client, list, outside_window, allow") == []


# -- redundant


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("role:stylist, client, *, , allow", "role:stylist, client, read, , allow", "allows"),
        ("role:anyone, client, read, , allow", "role:stylist, client, read, , allow", "allows"),
        ("role:trainee, *, *, , allow", "role:trainee, client.health, read, , allow", "allows"),
        (
            "role:stylist, client, read, trained, allow",
            "role:trainee, client, read, inside_window & trained, allow",
            "allows",
        ),
        ("role:anyone, client, list, , allow", "staff:mei, client, list, , allow", "allows"),
        ("role:stylist, client, *, , deny", "role:stylist, client.contact, *, , deny", "denies"),
        ("role:reception, client, read, , deny", "staff:ken, client, read, , deny", "denies"),
        # The same, spelt another way: the later row is the one too many.
        (
            "role:stylist, client, read, trained & nda_signed, allow",
            "role:stylist, client, read, nda_signed & trained, allow",
            "allows",
        ),
    ],
)
def test_a_row_that_another_row_contains_is_named_with_it(wide, narrow, does):
    assert one(wide, narrow) == (
        f"salon_rules.csv:2:1: warning: the row at salon_rules.csv:1 {does} all of this "
        "already; delete this one"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # An allow on the card leaves out its classes.
        ("role:stylist, client, *, , allow", "role:stylist, client.contact, read, , allow"),
        ("role:stylist, client, read, trained, allow", "role:stylist, client, read, , deny"),
        ("role:stylist, client, list, , allow", "role:stylist, client, read, , allow"),
        ("role:manager, client, read, , deny", "role:reception, message, read, , deny"),
        (
            "role:stylist, client, read, trained, allow",
            "role:stylist, client, read, !trained, allow",
        ),
        # A token may leave the role out; what is allowed to mei in person stays.
        ("role:stylist, client, read, , allow", "staff:mei, client, read, , allow"),
    ],
)
def test_a_row_that_adds_something_is_not_named(first, second):
    assert [text for text in warned(first, second) if "already" in text] == []


def test_the_same_row_twice_is_left_to_the_warning_at_load():
    row = "role:stylist, client, read, , allow"
    assert warned(row, row) == []


def test_a_class_beside_its_card_under_protected_is_named():
    hours = TEXTS["hours"].replace("[client, message]", "[client, client.contact]")
    finding = one(hours=hours)
    assert finding.startswith("hours.yaml:")
    assert "the entry at hours.yaml:" in finding


# -- contradictory


@pytest.mark.parametrize(
    "when",
    [
        "trained & !trained",
        "inside_window & outside_window",
        "!inside_window & !outside_window",
        "app:phone & app:backoffice",
        "!app:phone & on_notice & !app:backoffice",
    ],
)
def test_an_allow_that_no_facts_let_fire_is_named(when):
    finding = one(f"role:stylist, client, read, {when}, allow")
    assert finding.startswith("salon_rules.csv:1:1: warning: this allow never fires: `")


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("trained & !trained", "this deny fires only while `trained` is not known"),
        (
            "approved_device & !approved_device",
            "this deny fires only while `approved_device` is not known",
        ),
        ("app:phone & app:backoffice", "this deny fires only while the app is not known"),
        ("role:owner & !role:owner", "this deny fires only while `role:owner` is not known"),
        ("inside_window & outside_window", "this deny never fires"),
        ("on_notice & !on_notice", "this deny never fires"),
        ("network:salon & !network:salon", "this deny never fires"),
        # One part that is never unknown is enough.
        ("app:phone & !app:phone & on_notice & !on_notice", "this deny never fires"),
    ],
)
def test_a_deny_that_is_never_true_says_what_is_left_of_it(when, says):
    assert says in one(f"role:stylist, client, read, {when}, deny")


@pytest.mark.parametrize(
    "when",
    [
        "inside_window & !outside_window",
        "app:phone & !app:backoffice",
        "!app:phone",
        "trained & !on_notice",
        "role:stylist & role:manager",
    ],
)
def test_a_condition_that_can_hold_is_not_named(when):
    assert warned(f"role:stylist, client, read, {when}, allow") == []


def test_not_the_only_app_there_is_can_never_hold():
    row = "role:stylist, client, read, !app:phone, allow"
    assert "`!app:phone` is never true" in one(row, apps=("phone",))


def test_what_is_taken_for_always_known_is_known_for_a_bare_token():
    bundle = a_bundle()
    now = instant(datetime.fromisoformat("2026-11-25T12:00+09:00"))
    bare = Principal(
        staff=StaffId("staff:oksana"),
        posts=(
            Post(
                salon="nowhere",
                held=frozenset({ANYONE}),
                acting=frozenset({ANYONE}),
                first_role=ANYONE,
            ),
        ),
        device=None,
        epoch=0,
        app=None,
    )
    facts = bundle.facts(bare, bare.home, now, "192.0.2.7")
    for name in ("inside_window", "outside_window", "on_notice", "network:salon"):
        assert facts[name] is not None
    assert facts["inside_window"] is not facts["outside_window"]


# -- never asked


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("role:stylist, booking, export, , deny", "no route asks for `export` of `booking`"),
        ("role:stylist, *, search, , deny", "no route asks for `search`, so"),
        ("role:stylist, client.contact, list, , allow", "with `read` and `write` only"),
        ("role:stylist, client.name, export, , deny", "with `read` and `write` only"),
        ("role:stylist, page, read, , deny", "no route asks rules about `page`"),
        ("role:stylist, page, *, , deny", "`pass` and `public` routes ask none"),
    ],
)
def test_a_row_that_no_request_comes_to_is_named(row, says):
    finding = one(row)
    assert finding.startswith("salon_rules.csv:1:1: warning: ")
    assert says in finding


@pytest.mark.parametrize(
    "row",
    [
        "role:stylist, booking, export|list, trained, deny",  # one living action is enough
        "role:stylist, client, write, , allow",  # no route, but the fields in no class
        "role:stylist, client.unmapped, read, , allow",
        "role:stylist, client.contact, *, , allow",
        "role:stylist, client, merge, , deny",
    ],
)
def test_a_row_that_a_request_can_come_to_is_not_named(row):
    assert warned(row) == []


def test_a_rule_on_undeclared_members_of_a_card_that_lets_them_pass_is_named():
    open_page = adapter(
        "GET /staff, resource: page, action: read, pass: true",
        "GET /staff, resource: page, action: read",
    )
    finding = one("role:stylist, page.unmapped, read, , deny", adapter=open_page)
    assert "undeclared members of `page` always pass" in finding


def test_a_role_that_nobody_holds_is_named_once():
    staff = TEXTS["staff"].replace("role:trainee]}", "role:stylist]}")
    rows = ("role:trainee, client, list, , allow", "role:trainee, client, read, , allow")
    finding = one(*rows, staff=staff)
    assert finding.startswith("salon_rules.csv:1:1: warning: nobody on the roster holds")


def test_a_role_that_is_held_through_another_role_is_not_named():
    staff = TEXTS["staff"].replace("[role:reception]}", "[role:manager]}")
    assert warned("role:reception, client, list, , allow", staff=staff) == []


# -- people


@pytest.mark.parametrize(
    "rows",
    [
        ("role:stylist, booking, list, , allow",),  # nothing at all for trainees
        ("role:trainee, client.health, read, , allow",),  # a field, but no card
        ("role:trainee, page, read, , allow",),
        ("role:trainee, client, list, trained & !trained, allow",),
        ("role:anyone, client, list, on_notice, allow", "staff:oksana, client, *, , deny"),
        # The card is protected, and trainees are not exempt.
        (
            "role:trainee, client, list, outside_window & !role:manager & !role:owner, allow",
            "role:stylist, booking, list, , allow",
        ),
    ],
)
def test_somebody_whom_no_rule_ever_lets_through_is_named_where_they_stand(rows):
    others = (
        "p, role:stylist, client, list, , allow\n" + MANAGERS + "g, role:owner, role:manager\n"
    )
    others += "p, role:reception, client, list, , allow\n"
    rules = "".join(f"p, {row}\n" for row in rows) + others
    found = [str(f) for f in lint(a_bundle(rules=rules)) if f.place.file == "staff.yaml"]
    line = TEXTS["staff"].partition("id: oksana")[0].count("\n") + 1
    (finding,) = found
    assert finding.startswith(f"staff.yaml:{line}:")
    assert "no rule ever lets `staff:oksana` through" in finding


def test_somebody_who_may_do_something_under_some_facts_is_not_named():
    rules = MANAGERS + "p, role:anyone, client, list, on_notice & !trained, allow\n"
    assert lint(a_bundle(rules=rules)) == ()


# -- fields


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("phone", "a phone number"),
        ("homePhone", "a phone number"),
        ("tel2", "a phone number"),
        ("denwa_bango", "a phone number"),
        ("携帯電話", "a phone number"),
        ("전화번호", "a phone number"),
        ("телефон_клієнта", "a phone number"),
        ("E-Mail", "a mail address"),
        ("ﾒｰﾙｱﾄﾞﾚｽ", "a mail address"),
        ("이메일", "a mail address"),
        ("home-address", "an address"),
        ("jusho", "an address"),
        ("住所", "an address"),
        ("주소", "an address"),
        ("адреса", "an address"),
        ("Адрес", "an address"),
        ("date_of_birth", "a birthday"),
        ("dob", "a birthday"),
        ("誕生日", "a birthday"),
        ("생일", "a birthday"),
        ("день_народження", "a birthday"),
        ("ДатаРождения", None),  # no word of ours; a guess may miss
        ("дата рождения", "a birthday"),
        ("staffNotes", "notes or health"),
        ("allergy", "notes or health"),
        ("カルテ番号", "notes or health"),
        ("메모", "notes or health"),
        ("нотатки", "notes or health"),
        ("заметки", "notes or health"),
        ("notification", None),
        ("hotel", None),
        ("mailbox_id", None),
        ("menu", None),
        ("telling", None),
        ("salon", None),
        ("", None),
    ],
)
def test_a_name_is_heard_word_by_word(member, kind):
    assert sounds_like(member) == kind


@pytest.mark.parametrize(
    "line", ["phone2: phone2", "second: [tel, x.second]", "where: home.住所.city"]
)
def test_a_field_in_no_class_that_sounds_delicate_is_named_where_it_stands(line):
    text = adapter("      kana: kana\n", f"      kana: kana\n      {line}\n")
    number = text.partition(line)[0].count("\n") + 1
    finding = one(adapter=text)
    assert finding.startswith(f"salon-demo.yaml:{number}:7: warning: `client.")
    assert "is in no class" in finding


def test_a_field_in_a_class_is_not_named():
    text = adapter("      kana: kana\n", "      kana: kana\n      phone2: phone2\n")
    assert warned(adapter=text.replace("[birthday]", "[birthday, phone2]")) == []


def test_a_delicate_field_of_a_card_that_is_not_sensitive_is_named_even_in_a_class():
    mails = "sensitive: false, fields: {mail: m}, classes: {c: [mail]}"
    finding = one(adapter=adapter("page: { sensitive: false }", f"page: {{{mails}}}"))
    assert "`page.mail` sounds like a mail address but its resource has" in finding


# -- how much

NAMES = ("approved_device", "on_notice", "nda_signed", "trained", "network:salon", "app:phone")
NAMES += ("inside_window", "role:owner", "role:manager", "role:reception", "role:trainee")


def unlike_rows():
    """2048 rows of which none contains another one."""
    for signs in product(("", "!"), repeat=len(NAMES)):
        when = " & ".join(map("".join, zip(signs, NAMES, strict=True)))
        yield f"role:stylist, client, read, {when}, allow"


def test_it_says_so_when_it_did_not_compare_all_rows():
    (finding,) = warned(*unlike_rows())
    assert finding.startswith(
        "salon_rules.csv:1:1: warning: too many rules to compare all of them"
    )
    assert f"stopped after {MAX_STEPS} comparisons" in finding


def test_many_rows_about_different_people_are_all_compared():
    staff = "roles: [role:stylist]\nstaff:\n" + "".join(
        f"  - {{id: p{n}, name: P, salons: {{aoyama: [role:stylist]}}, joined: 2024-04-01}}\n"
        for n in range(400)
    )
    rows = [
        f"staff:p{n}, {what}, read, {when}, allow"
        for n, what, when in product(
            range(400), ("client", "client.health", "booking"), ("trained", "!app:phone")
        )
    ]
    last = "staff:p399, client.name, read, trained & on_notice, allow"
    rules = "".join(f"p, {row}\n" for row in (*rows, last))
    hours = TEXTS["hours"].replace("[role:manager, role:owner]", "[]")
    (finding,) = lint(a_bundle(rules=rules, staff=staff, hours=hours))
    assert finding.place.line == len(rows) + 1
    assert "allows all of this already" in finding.message
