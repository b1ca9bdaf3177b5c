"""assertions.yaml is read strictly; each line is proved, or broken by somebody by name."""

from pathlib import Path
from random import Random

import pytest

from gateway.build import SourceFile, Sources, build
from gateway.domain.finding import PolicyError
from gateway.domain.ruleref import RuleRef
from gateway.enforcer.proving import counterexample, rests_on

FILES = {
    "rules": "policies/salon_rules.csv",
    "model": "policies/model.conf",
    "hours": "policies/hours.yaml",
    "staff": "policies/staff.yaml",
    "adapter": "adapters/salon-demo.yaml",
}
TEXTS = {part: Path(path).read_text(encoding="utf-8") for part, path in FILES.items()}
SHIPPED = Path("policies/assertions.yaml").read_text(encoding="utf-8")


def sources(assertions=None, **changed):
    files = {
        part: SourceFile(name=Path(path).name, data=(TEXTS | changed)[part].encode())
        for part, path in FILES.items()
    }
    if assertions is not None:
        files["assertions"] = SourceFile(name="assertions.yaml", data=assertions.encode())
    networks = {"salon": ("192.0.2.0/24",)}
    return Sources(**files, apps=("phone", "backoffice"), networks=networks)


def said(*lines, **changed):
    """What is wrong with these lines; [] = they are proved."""
    text = "never:\n" + "".join(f"  - {line}\n" for line in lines)
    try:
        build(sources(text, **changed))
    except PolicyError as error:
        return [str(finding) for finding in error.findings]
    return []


def one(line, **changed):
    (finding,) = said(line, **changed)
    return finding.removeprefix("assertions.yaml:2:5: ")


def rows(*more):
    return TEXTS["rules"] + "".join(f"p, {row}\n" for row in more)


NEWLINE = "\n"


# --- reading ---------------------------------------------------------------------------


def test_the_shipped_lines_are_proved():
    bundle = build(sources(SHIPPED))
    assert len(bundle.assertions) == 5
    assert bundle.assertions[0].text == "role:stylist export client"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "never:\n", "never: []\n"])
def test_a_file_may_say_nothing(text):
    assert build(sources(text)).assertions == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("role:stylst export client", "unknown role `role:stylst`; did you mean `role:stylist`?"),
        ("staff:may export client", "`staff:may` is not on the roster; did you mean `staff:mei`?"),
        ("stylist export client", "`stylist` needs a prefix: `role:stylist` or `staff:stylist`"),
        ("role:stylist exprt client", "unknown action `exprt`; did you mean `export`?"),
        ("role:stylist export clint", "unknown resource `clint`; did you mean `client`?"),
        ("role:stylist export *", "unknown resource `*`"),
        ("role:stylist export client.contact", "is asked of the card (`client`)"),
        ("role:stylist export client when ownclient", "did you mean `own_client`?"),
        ("role:stylist read booking when dormant", "unknown condition `dormant`"),
        ("role:stylist export client if own_client", "is not understood; write `WHO ACTION"),
        ("role:stylist export client when", "is not understood; write `WHO ACTION"),
        ("role:stylist client", "is not understood; write `WHO ACTION TARGET`"),
        ("{role: stylist}", "`dict` is not understood"),
    ],
)
def test_a_slip_is_a_finding_with_what_to_write(line, says):
    assert says in one(line)


def test_findings_come_together_each_at_its_line():
    found = said("role:a export client", "role:stylist export client", "staff:b export client")
    assert [finding.split(":")[1] for finding in found] == ["2", "4"]


def test_findings_of_rules_and_of_assertions_come_together():
    found = said("role:a export client", rules=rows("role:b, client, read, , allow"))
    assert {finding.split(":")[0] for finding in found} == {"assertions.yaml", "salon_rules.csv"}


def test_the_same_line_twice_and_an_unknown_key_are_findings():
    found = said("role:stylist export client", "role:stylist export client")
    assert found == ["assertions.yaml:3:5: the same stands in line 2; delete one"]
    with pytest.raises(PolicyError, match="unknown key `nver`; did you mean `never`"):
        build(sources("nver: []\n"))
    with pytest.raises(PolicyError, match="write a list"):
        build(sources("never: role:stylist export client\n"))


def test_the_digest_tells_whether_there_are_assertions_and_which():
    digests = {build(sources(text)).digest for text in (None, "", "never: []\n", SHIPPED)}
    assert len(digests) == 4


# --- what breaks a line ----------------------------------------------------------------


def test_a_counter_example_names_who_where_with_what_and_by_which_rules():
    more = rows("staff:mei, client, export, app:phone & own_client, allow").replace(
        "export|merge|delete", "merge|delete"
    )
    assert one("role:stylist export client", rules=more) == (
        "broken: staff:mei in aoyama may `export` `client`, with `app:phone` and `own_client` "
        f"and `inside_window`, by salon_rules.csv:{more.count(NEWLINE)}"
    )


def test_a_link_in_a_persons_own_name_breaks_what_is_said_of_their_role():
    more = TEXTS["rules"].replace("g, role:owner", "g, staff:mei, role:manager\ng, role:owner")
    assert "broken: staff:mei in aoyama" in one("role:stylist read client.contact", rules=more)


def test_a_role_nobody_holds_is_proved_as_somebody_new_would_hold_it():
    staff = TEXTS["staff"].replace("role:trainee]", "role:trainee, role:apprentice]", 1)
    more = rows("role:apprentice, client, delete, , allow")
    found = one("role:apprentice delete client", rules=more, staff=staff)
    assert found.startswith("broken: somebody with role:apprentice alone may `delete` `client`")


def test_somebody_with_another_role_besides_breaks_nothing():
    staff = TEXTS["staff"].replace("[role:stylist]", "[role:stylist, role:manager]", 1)
    assert said("role:stylist read client.contact", staff=staff) == []


def test_role_anyone_is_everyone_on_the_roster_and_somebody_without_a_role():
    assert "staff:hana in aoyama" in one("role:anyone delete client")
    more = rows("role:anyone, booking, list, , allow")
    assert "broken: somebody without a role" in one("role:anyone list booking", rules=more)


def test_a_condition_that_is_not_known_counts_as_met():
    """Like a deny: a token that names no app may come from the phone."""
    assert said("role:anyone read client.contact.email when app:phone") == []
    found = one("role:anyone export client when app:phone")
    assert "with `app:phone`" in found
    # No app is both; only a token that does not say can break this.
    neither = one("role:anyone export client when !app:phone & !app:backoffice")
    assert "with `app not known`" in neither


def test_a_field_needs_a_route_that_shows_it_and_an_allow_of_its_own():
    more = TEXTS["rules"].replace(
        "p, role:stylist,   client,                list|read|search,",
        "p, role:stylist,   client.contact,        read,",
    )
    assert said("role:stylist read client.contact.phone", rules=more) == []
    assert said("role:stylist read client.contact", rules=rows(
        "role:stylist, client.contact.phone, read, own_client, allow")) != []  # fmt: skip


def test_the_hours_are_part_of_the_proof():
    assert said("role:reception read client when outside_window") == []
    without = TEXTS["hours"].replace("protected: [client, message]", "protected: [message]")
    assert "with `outside_window`" in one(
        "role:reception read client when outside_window", hours=without
    )


def test_what_cannot_be_proved_is_an_error_and_not_a_maybe():
    """Sixteen facts in three hundred denies: more combinations than anybody could read."""
    facts = "".join(f"      f{n}: visits at least {n}\n" for n in range(1, 14))
    adapter = TEXTS["adapter"].replace("    facts: # what", f"    facts:\n{facts}      # what", 1)
    chance = Random(1)  # noqa: S311  # no secret
    denies = [
        f"role:anyone, client, read, {' & '.join(f'f{n}' for n in names)}, deny"
        for names in (chance.sample(range(1, 14), 6) for _ in range(300))
    ]
    found = one("role:manager read client", rules=rows(*denies), adapter=adapter)
    assert found.startswith("cannot be proved: the rules on it combine too many conditions")


# --- what a proof rests on -------------------------------------------------------------


def refs(*lines, **changed):
    bundle = build(sources("never:\n" + "".join(f"  - {x}\n" for x in lines), **changed))
    return [rests_on(bundle.everyone(), assertion) for assertion in bundle.assertions]


def line_of(text, part="rules"):
    return next(n for n, x in enumerate(TEXTS[part].split("\n"), 1) if x.startswith(text))


def test_a_proof_rests_on_the_denies_without_which_it_fails_hours_included():
    email, hours = refs(
        "role:anyone read client.contact.email when app:phone",
        "role:reception read client when outside_window",
    )
    assert email == {
        RuleRef("salon_rules.csv", line_of("p, role:anyone,    client.contact.email"))
    }
    assert hours == {RuleRef("hours.yaml", line_of("protected:", "hours"))}


def test_a_proof_that_needs_no_deny_rests_on_none():
    """Stylists have no allow to export: the deny only makes sure."""
    assert refs("role:stylist export client") == [frozenset()]


def test_of_two_denies_that_say_the_same_it_rests_on_neither_alone():
    more = rows("role:anyone, client.contact.email, read, app:phone, deny")
    line = "role:anyone read client.contact.email when app:phone"
    assert refs(line, rules=more) == [frozenset()]
    bundle = build(sources(f"never: ['{line}']", rules=more))
    both = frozenset(
        rule.ref for rule in bundle.rules
        if rule.resource == "client.contact.email" and rule.effect == "deny"
    )  # fmt: skip
    assert len(both) == 2
    assert counterexample(bundle.everyone(), bundle.assertions[0], both) is not None
