"""`salon-gateway who-can`: a whole answer, for people and for programs, and lines proved."""

import pytest


def test_the_answer_is_a_table_and_names_who_never_may(line):
    code, out, err = line("who-can", "read", "client.contact.phone")
    assert (code, err) == (0, "")
    first, heads, hana, *_, never = out.splitlines()
    assert first == "read client.contact.phone:"
    assert heads.split() == ["who", "when", "only", "if", "rules"]
    assert hana.split("  ")[1] == "staff:hana in aoyama (Hana Sato)"
    assert "always" in hana
    assert never == (
        "  never: staff:mei, staff:yuki, staff:oksana, role:anyone, role:stylist, role:trainee"
    )


def test_a_class_says_which_of_its_fields(line):
    _, out, _ = line("who-can", "read", "client.contact", "--salon", "aoyama")
    assert out.splitlines()[1].split()[:2] == ["who", "what"]
    assert "client.contact.email, client.contact.address" in out


def test_what_is_told_stands_in_the_first_line(line):
    words = ("--app", "phone", "--device", "unapproved", "--fact", "!own_client")
    code, out, _ = line("who-can", "read", "client.contact.email", *words)
    assert code == 0
    assert out.splitlines()[0] == (
        "read client.contact.email & app:phone & !approved_device & !own_client:"
    )
    assert out.splitlines()[1].startswith("  never: staff:hana, staff:ken, ")
    _, out, _ = line("who-can", "read", "client", "--device", "unknown")
    assert out.splitlines()[0] == "read client & approved_device not known:"


def test_programs_get_every_part_of_a_line(line):
    code, data = line.data("who-can", "export", "client", "--at", "2026-11-24T21:30")
    assert code == 0
    assert data["never"][0] == "staff:mei"
    assert data["not_listed"] == []
    assert data["lines"][0] == {
        "who": "staff:hana",
        "name": "Hana Sato",
        "salons": ["aoyama"],
        "targets": ["client"],
        "hours": "then",
        "dates": "",
        "only_if": [],
        "inside_another_record": False,
        "rules": data["lines"][0]["rules"],
    }
    assert data["lines"][0]["rules"][0].startswith("salon_rules.csv:")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say what: `who-can ACTION TARGET`"),
        (("read",), "say what: `who-can ACTION TARGET`"),
        (("raed", "client"), "unknown action `raed`; did you mean `read`?"),
        (("read", "client.contat"), "did you mean `client.contact`?"),
        (("export", "client.contact"), "`export` is asked of the card (`client`)"),
        (("read", "client", "--app", "phon"), "unknown app `phon`; did you mean `phone`?"),
        (("read", "client", "--salon", "aoyma"), "did you mean `aoyama`?"),
        (("read", "client", "--fact", "own_clint"), "did you mean `own_client`?"),
        (("read", "client", "--fact", "role:stylist"), "unknown condition `role:stylist`"),
        (("read", "booking", "--fact", "dormant"), "unknown condition `dormant`"),
        (("read", "client", "--at", "tomorrow"), "`tomorrow` is not a moment"),
        (("--assert", "never: role:stylst export client"), "did you mean `role:stylist`?"),
        (("--assert", "role:stylist export"), "is not understood; write `WHO ACTION TARGET`"),
        (("read", "client", "--assert", "role:stylist export client"), "`--assert` stands alone"),
    ],
)
def test_what_makes_no_sense_is_said_with_the_nearest_name(line, words, says):
    code, out, err = line("who-can", *words)
    assert (code, out) == (2, "")
    assert says in err


def test_lines_are_proved_from_the_command_line(line):
    email = "role:anyone read client.contact.email when app:phone"
    export = "never: role:stylist export client"
    code, out, _ = line("who-can", "--assert", export, "--assert", email)
    assert code == 0
    first, second = out.splitlines()
    assert first == "holds: role:stylist export client"
    assert second.startswith(f"holds: {email}")
    assert "(it rests on salon_rules.csv:" in second


def test_a_broken_line_comes_with_its_counter_example(line):
    words = ("who-can", "--assert", "never: role:anyone export client when outside_window")
    code, out, _ = line(*words)
    assert code == 1
    assert out.startswith(
        "broken: role:anyone export client when outside_window: staff:hana in aoyama may "
        "`export` `client`, with `outside_window`, by salon_rules.csv:"
    )
    code, data = line.data(*words)
    assert code == 1
    assert data[0]["holds"] is False
    assert data[0]["broken_by"].startswith("staff:hana in aoyama may")
