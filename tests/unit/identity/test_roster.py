from datetime import date
from pathlib import Path

import pytest

from gateway.domain.finding import PolicyError, Severity
from gateway.identity.roster import parse_roster
from gateway.texts.yamltext import parse_yaml

STARTER = Path(__file__).parents[3] / "policies" / "staff.yaml"


def parse(text):
    return parse_roster(parse_yaml(text, "staff.yaml"))


def a_row(**changes):
    row = {
        "id": "mei",
        "name": "Mei",
        "salons": "{aoyama: [role:stylist]}",
        "joined": "2024-04-01",
    }
    row |= changes
    return "{" + ", ".join(f"{key}: {value}" for key, value in row.items()) + "}"


def one(**changes):
    (member,) = parse(f"staff:\n  - {a_row(**changes)}\n").members.values()
    return member


def findings(text):
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return [str(finding) for finding in caught.value.findings]


def finding(**changes):
    (message,) = findings(f"staff:\n  - {a_row(**changes)}\n")
    return message


def test_the_starter_roster_loads_without_a_finding_or_warning():
    roster = parse(STARTER.read_text("utf-8"))
    assert {member.staff: dict(member.salons) for member in roster.members.values()} == {
        "staff:hana": {"aoyama": ("role:owner",)},
        "staff:ken": {"aoyama": ("role:manager",)},
        "staff:mei": {"aoyama": ("role:stylist",)},
        "staff:yuki": {"yoyogi": ("role:stylist",)},
        "staff:rei": {"aoyama": ("role:reception",)},
        "staff:oksana": {"aoyama": ("role:trainee",)},
    }
    assert roster.warnings == ()


def test_everything_a_row_can_say_is_read():
    mei = one(
        salons="{yoyogi: [role:stylist, role:manager]}",
        on_notice_since="2026-11-01",
        leaves_on="2026-12-31",
        nda_signed="true",
        trained_until="2027-03-31",
        approved_devices="[phone-mei, 8F14E45F-CEEA]",
    )
    assert (mei.staff, mei.name, mei.crm_id) == ("staff:mei", "Mei", "mei")
    assert dict(mei.salons) == {"yoyogi": ("role:stylist", "role:manager")}
    assert mei.joined == date(2024, 4, 1)
    assert mei.on_notice_since == date(2026, 11, 1)
    assert mei.leaves_on == date(2026, 12, 31)
    assert mei.trained_until == date(2027, 3, 31)
    assert mei.nda_signed is True
    assert mei.approved_devices == {"phone-mei", "8F14E45F-CEEA"}
    assert str(mei.place) == "staff.yaml:2:5"


@pytest.mark.parametrize("typed", [None, '""', "", "~"])
def test_an_optional_key_left_out_or_empty_is_not_given(typed):
    keys = ("on_notice_since", "leaves_on", "nda_signed", "trained_until")
    if typed == "~":  # a tilde is text like any other here
        assert "got `~`" in finding(leaves_on="~")
        return
    mei = one(**({} if typed is None else dict.fromkeys((*keys, "approved_devices"), typed)))
    assert [getattr(mei, key) for key in keys] == [None] * 4
    assert mei.approved_devices == frozenset()


def test_false_is_said_and_not_left_out():
    assert one(nda_signed="false").nda_signed is False


@pytest.mark.parametrize("typed", ["yes", "True", "TRUE", "on", "1", "no", "null", "はい"])
def test_only_true_and_false_are_booleans(typed):
    assert f"write `true` or `false`, got `{typed}`" in finding(nda_signed=typed)


@pytest.mark.parametrize(
    "typed",
    [
        "2024-4-1",
        "20240401",
        "01.04.2024",
        "2024/04/01",
        "2024-02-30",
        "2023-02-29",
        "2024-W14-1",
        "2024-04-01T00:00:00",
        "2024-04-01Z",
        "\uff12\uff10\uff12\uff14-04-01",
        "1712000000",
        "0000-01-01",
        "today",
    ],
)
@pytest.mark.parametrize("key", ["joined", "leaves_on"])
def test_a_date_has_exactly_one_form(key, typed):
    assert f"a date is written like `2026-11-21`, got `{typed}`" in finding(**{key: typed})


@pytest.mark.parametrize(
    "name", ["結城 ゆき", "Оксана Коваль", "김민지", "O'Brien-Müller", "美\u3000咲"]
)
def test_names_are_read_in_any_script(name):
    assert one(name=f'"{name}"').name == name


@pytest.mark.parametrize("name", ['""', '"  "', r'"a\eb"', r'"a\nb"', r'"a\u202eb"', "x" * 201])
def test_a_name_that_cannot_be_printed_is_a_finding_that_does_not_print_it(name):
    assert finding(name=name) == (
        "staff.yaml:2:15: write the person's name: 1 to 200 printable characters"
    )


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("staff:mei", "write the id without its prefix: `mei`"),
        ("Mei", "an id is lower-case letters"),
        ('""', "an id is lower-case letters"),
        ("美咲", "an id is lower-case letters"),
        ("m.tanaka", "an id is lower-case letters"),
        ("[mei]", "an id is lower-case letters"),
    ],
)
def test_an_id_is_a_plain_name(typed, remedy):
    assert remedy in finding(id=typed)


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("stylist", "a role needs its prefix: write `role:stylist`"),
        ("role:anyone", "everyone on the roster has `role:anyone` already; leave it out"),
        ("anyone", "everyone on the roster has `role:anyone` already; leave it out"),
        ("role:Stylist", "`role:Stylist` is not a role"),
        ('"role:"', "`role:` is not a role"),
        ("role:role:x", "`role:role:x` is not a role"),
        ("staff:ann", "`staff:ann` is not a role"),
        ("[role:a]", "a role is a text"),
    ],
)
def test_a_role_has_its_prefix_and_is_not_everyone(typed, remedy):
    message = finding(salons="{aoyama: [role:a, " + typed + "]}")
    assert message.startswith("staff.yaml:2:52: ")
    assert remedy in message


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("{}", "write each salon and the roles there"),
        ('""', "write each salon and the roles there"),
        ("aoyama", "write each salon and the roles there"),
        ("[aoyama]", "write each salon and the roles there"),
        ("{aoyama: [role:a], Yoyogi: [role:b]}", "`Yoyogi` is not a salon name"),
        ("{aoyama: [role:a], yoyogi: [role:b, role:b]}", "`role:b` stands twice"),
        ("{Aoyama: [role:a]}", "`Aoyama` is not a salon name"),
        ("{aoyama: role:a}", "write a list"),
        ("{aoyama: {role:a: x}}", "write a list"),
        ("{aoyama: [role:a, role:a]}", "`role:a` stands twice"),
    ],
)
def test_a_person_has_salons_each_with_a_list_of_roles(typed, remedy):
    assert remedy in finding(salons=typed)


@pytest.mark.parametrize("typed", ["{aoyama: []}", "{aoyama: }"])
def test_a_person_without_a_role_is_worth_a_warning(typed):
    roster = parse(f"staff:\n  - {a_row(salons=typed)}\n")
    assert dict(roster.members["staff:mei"].salons) == {"aoyama": ()}
    (warning,) = roster.warnings
    assert warning.severity is Severity.WARNING
    assert "`staff:mei` has no role in `aoyama`" in warning.message


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"leaves_on": "2024-03-31"}, "leaves on `2024-03-31`, before joining on `2024-04-01`"),
        (
            {"on_notice_since": "2026-12-02", "leaves_on": "2026-12-01"},
            "on notice since `2026-12-02`, after leaving on `2026-12-01`",
        ),
        (
            {"on_notice_since": "2024-03-31"},
            "on notice since `2024-03-31`, before joining on `2024-04-01`",
        ),
        ({"approved_devices": "[a, b, a]"}, "`a` stands twice"),
        ({"approved_devices": "[a b]"}, "a device id is 1 to 64 letters"),
        ({"approved_devices": "a"}, "write a list"),
        ({"nickname": "x"}, "unknown key `nickname`"),
        ({"leaves": "2026-12-01"}, "unknown key `leaves`; did you mean `leaves_on`?"),
    ],
)
def test_what_cannot_be_true_together_is_a_finding(changes, remedy):
    assert remedy in finding(**changes)


def test_notice_and_leaving_on_the_first_day_are_possible():
    one(on_notice_since="2024-04-01", leaves_on="2024-04-01")


def test_people_with_one_id_are_a_finding_at_each_but_the_first():
    text = f"staff:\n  - {a_row()}\n  - {a_row(id='ken')}\n  - {a_row()}\n  - {a_row()}\n"
    assert findings(text) == [
        "staff.yaml:4:6: the id `mei` stands twice (first in line 2)",
        "staff.yaml:5:6: the id `mei` stands twice (first in line 2)",
    ]


def test_all_findings_of_all_people_come_at_once():
    text = f"""staff:
  - {a_row(joined="soon")}
  - {a_row(salons="{aoyama: [stylist]}")}
  - rei
"""
    assert [message.split(": ")[0] for message in findings(text)] == [
        "staff.yaml:2:60",
        "staff.yaml:3:6",
        "staff.yaml:3:44",
        "staff.yaml:4:5",
    ]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "the key `staff` is missing"),
        ("staff:", "nobody is on the roster"),
        ("staff: []", "nobody is on the roster"),
        ("staff: {mei: {}}", "write a list"),
        ("- mei", "write `staff:` and a list"),
        ("staff: mei", "write a list"),
    ],
)
def test_a_file_without_people_is_a_finding(text, remedy):
    (message,) = findings(text)
    assert remedy in message


def test_declared_roles_stay_known_when_nobody_has_them():
    roster = parse(f"roles: [role:stylist, role:trainee]\nstaff:\n  - {a_row()}\n")
    assert roster.roles == {"role:stylist", "role:trainee"}


@pytest.mark.parametrize("heading", ["", "roles:\n"])
def test_without_declared_roles_those_of_the_people_are_known(heading):
    assert parse(f"{heading}staff:\n  - {a_row()}\n").roles == {"role:stylist"}


def test_a_role_outside_the_declared_ones_is_a_slip_of_the_pen():
    (message,) = findings(f"roles: [role:stylst]\nstaff:\n  - {a_row()}\n")
    assert message.startswith("staff.yaml:3:44: unknown role `role:stylist`; did you mean")


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [("role:stylist", "write a list"), ("[role:stylist, role:stylist]", "stands twice")],
)
def test_the_declared_roles_are_a_list_without_repeats(typed, remedy):
    (message,) = findings(f"roles: {typed}\nstaff:\n  - {a_row()}\n")
    assert remedy in message


def test_a_person_may_work_in_several_salons_with_other_roles_in_each():
    mei = one(salons="{yoyogi: [role:manager], aoyama: [role:stylist]}")
    assert list(mei.salons.items()) == [
        ("yoyogi", ("role:manager",)),
        ("aoyama", ("role:stylist",)),
    ]


def test_the_crm_may_know_a_person_by_another_id():
    assert one(crm_id='"17"').crm_id == "17"
    assert one(crm_id='""').crm_id == "mei"


def test_two_people_with_one_crm_id_are_worth_a_warning():
    rows = f"  - {a_row(crm_id='17')}\n  - {a_row(id='ken', crm_id='17')}\n"
    (warning,) = parse(f"staff:\n{rows}").warnings
    assert "`17` is staff:mei's too" in warning.message
