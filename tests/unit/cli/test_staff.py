"""`salon-gateway staff list`: who works here, as what, and who does not any more."""

MORE = """
  - id: past
    name: Past Person
    salons: {aoyama: [role:stylist]}
    joined: 2020-01-01
    leaves_on: 2021-01-31
  - id: next
    name: 다음 사람
    salons: {aoyama: [role:stylist]}
    joined: 2999-01-01
  - id: leaving
    name: Leaving Person
    salons: {aoyama: [role:stylist, role:reception]}
    joined: 2020-01-01
    on_notice_since: 2021-01-01
"""


def listed(line):
    with (line.folder / "policies" / "staff.yaml").open("a", encoding="utf-8") as file:
        file.write(MORE)
    code, data = line.data("staff", "list")
    assert code == 0
    return {person["staff"]: person for person in data}


def test_everybody_is_listed_with_their_standing(line):
    standing = {staff: person["standing"] for staff, person in listed(line).items()}
    assert standing == {
        **dict.fromkeys(
            ["staff:hana", "staff:ken", "staff:mei", "staff:yuki", "staff:rei", "staff:oksana"],
            "works here",
        ),
        "staff:past": "left on 2021-01-31",
        "staff:next": "joins on 2999-01-01",
        "staff:leaving": "on notice since 2021-01-01",
    }


def test_given_and_inherited_roles_are_told_apart(line):
    hana = listed(line)["staff:hana"]
    assert hana["salons"] == {"aoyama": ["role:owner"]}
    assert hana["held"] == {
        "aoyama": ["role:anyone", "role:manager", "role:owner", "role:reception"]
    }


def test_the_table_has_a_heading_and_one_line_a_person_in_any_script(line):
    listed(line)
    code, out, _ = line("staff", "list")
    assert code == 0
    heading, *rows = out.splitlines()
    assert heading.split() == ["who", "name", "salon", "roles", "standing"]
    assert len(rows) == 9
    assert any("다음 사람" in row and "joins on 2999-01-01" in row for row in rows)
    assert any("role:owner (role:manager, role:reception)" in row for row in rows)
