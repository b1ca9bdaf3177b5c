"""`salon-gateway diff`, with folders and with a real git repository."""

import shutil
import subprocess

import pytest

from gateway.tools import diff as tool

PLACE = "# Trainees: the day's bookings"  # a line of the starter's rules
PHONES = "p, role:stylist, client.contact.phone, read, own_client, allow"


def git(folder, *words):
    named = ("-c", "user.name=Hana", "-c", "user.email=hana@salon.example")
    subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True)


@pytest.fixture
def shop(line):
    """The starter set, committed once."""
    git(line.folder, "init", "--quiet", "--initial-branch=main")
    git(line.folder, "add", ".")
    git(line.folder, "commit", "--quiet", "--message", "one")
    (line.folder / "policies" / "assertions.yaml").write_text("never: []\n", encoding="utf-8")
    git(line.folder, "commit", "--quiet", "--all", "--message", "two")
    return line


def phones(line):
    line.edit("policies/salon_rules.csv", PLACE, f"{PHONES}\n{PLACE}")


def test_nothing_changed_since_the_last_commit(shop):
    assert shop("diff") == (0, "nothing changes in who can do what\n", "")
    assert shop("diff", "HEAD", "HEAD")[0] == 0


def test_what_was_changed_since_the_last_commit_is_told_and_exits_1(shop):
    phones(shop)
    code, out, err = shop("diff")
    assert (code, err) == (1, "")
    opens, *sentences = out.splitlines()
    assert opens == "opens:"
    assert any(
        "(mei, yuki) can read client.contact.phone when own_client" in one for one in sentences
    )
    assert shop("diff", "HEAD", str(shop.folder), "--exit-zero")[0] == 0


def test_sides_may_be_revisions_paths_in_them_and_folders(shop, tmp_path_factory):
    phones(shop)
    git(shop.folder, "commit", "--quiet", "--all", "--message", "three")
    copy = tmp_path_factory.mktemp("copy") / "policies"
    shutil.copytree(shop.folder / "policies", copy)
    folder = str(shop.folder)
    told = shop("diff", "HEAD~1", "HEAD")
    assert told[0] == 1
    for old, new in (
        ("main~1", "main"),
        ("HEAD~1:policies", "HEAD:policies"),
        ("HEAD~1:gateway.yaml", folder),
        ("HEAD~1", f"{folder}/policies"),
        ("HEAD~1", f"{folder}/gateway.yaml"),
        ("HEAD~1", str(copy)),
    ):
        assert shop("diff", old, new) == told, (old, new)
    assert shop("diff", "HEAD", str(copy))[0] == 0


def test_adapter_apps_and_networks_are_those_of_the_revision(shop):
    shop.edit("gateway.yaml", "apps: [phone, backoffice]", "apps: [phone, backoffice, till]")
    shop.edit("adapters/salon-demo.yaml", "phone: [phone, contact.phone]", "phone: [phone]")
    code, data = shop.data("diff")
    assert code == 1
    texts = {note["text"]: note["matters"] for note in data["notes"]}
    assert texts["new app: `till`"] is False
    assert texts["`client.contact.phone` is read from `phone` now"] is True


def test_policies_in_a_repository_of_their_own_use_the_gateway_yaml_beside_it(line):
    policies = line.folder / "policies"
    git(policies, "init", "--quiet")
    git(policies, "add", ".")
    git(policies, "commit", "--quiet", "--message", "one")
    line.edit("policies/assertions.yaml", "  - role:stylist read client.contact\n", "")
    phones(line)
    code, out, _ = line("diff")
    assert code == 1
    assert "(mei, yuki) can read client.contact.phone when own_client" in out
    assert "no assertion any more: `role:stylist read client.contact`" in out


def test_a_side_that_does_not_load_is_named(shop):
    broken = PHONES.replace("allow", "Allow")
    shop.edit("policies/salon_rules.csv", PLACE, f"{broken}\n{PLACE}")
    git(shop.folder, "commit", "--quiet", "--all", "--message", "broken")
    shop.edit("policies/salon_rules.csv", f"{broken}\n", "")
    code, out, err = shop("diff", "HEAD")
    assert (code, out) == (3, "")
    first, second = err.splitlines()
    assert first == "salon-gateway diff: `HEAD` does not load"
    assert second.startswith("HEAD:salon_rules.csv:")
    assert "effect must be `allow` or `deny`, got `Allow`" in second
    code, _, err = shop("diff", "HEAD~1", "HEAD")
    assert (code, err.splitlines()[0]) == (3, "salon-gateway diff: `HEAD` does not load")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "`nosuch` is no folder and no revision of the repository"),
        (["HEAD:adapters"], "`adapters` of `HEAD` holds neither `gateway.yaml` nor"),
        (["HEAD:../x"], "write the path in `HEAD:../x` from the top of the repository"),
        (["HEAD", "--from", "tomorrow"], "`tomorrow`"),
        (["HEAD", "--markdown", "/nonexistent/x.md"], "cannot write `/nonexistent/x.md`"),
    ],
)
def test_what_makes_no_sense_exits_2(shop, words, said):
    code, out, err = shop("diff", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_folder_without_a_policy_exits_2(shop):
    code, _, err = shop("diff", str(shop.folder / "adapters"))
    assert code == 2
    assert "holds neither `gateway.yaml` nor `salon_rules.csv`" in err


def test_without_a_repository_it_says_so(line):
    code, _, err = line("diff")
    assert code == 2
    assert "is in no git repository" in err


def test_markdown_goes_to_a_file_beside_the_rest_or_alone_to_standard_output(shop, tmp_path):
    phones(shop)
    file = tmp_path / "diff.md"
    _, text, _ = shop("diff", "--markdown", str(file))
    assert text.startswith("opens:\n")
    code, out, _ = shop("diff", "--markdown", "-")
    assert code == 1
    assert out == file.read_text(encoding="utf-8")
    assert out.startswith("### Policy: `HEAD` → `working files`\n")
    assert "can read `client.contact.phone` when `own_client`" in out
    code, _, err = shop("diff", "--markdown", "-", output="json")
    assert (code, "an output of its own" in err) == (2, True)


def test_the_json_has_everybody_and_everything(shop):
    phones(shop)
    code, data = shop.data("diff", "--from", "2026-11-22")
    assert code == 1
    assert (data["old"], data["new"], data["from"]) == ("HEAD", "working files", "2026-11-22")
    assert data["changes"] is True
    assert data["not_compared"] == []
    mine = next(one for one in data["lines"] if "staff:mei" in one["people"])
    assert mine["change"] == "gained"
    assert mine["read"] == ["client.contact.phone"]
    assert (mine["actions"], mine["write"], mine["only_if"]) == ([], [], ["own_client"])
    assert mine["hours"][0]["weekly"] == "within the opening hours"
    assert mine["opening_hours"]
    assert all(rule.startswith("salon_rules.csv:") for rule in mine["rules"])


def test_ci_gets_each_sentence_beside_the_rule(shop):
    phones(shop)
    _, out, _ = shop("diff", output="github")
    first = out.splitlines()[0]
    assert first.startswith("::warning file=")
    assert "policies/salon_rules.csv,line=" in first
    assert "can read client.contact.phone" in first
    code, out, _ = shop("diff", "HEAD", "HEAD", output="junit")
    assert code == 0
    assert 'tests="1" failures="0"' in out


def test_who_cannot_be_compared_is_told_even_with_exit_zero(shop, monkeypatch):
    def too_many(*_):
        raise tool.TooManyError

    monkeypatch.setattr(tool._Comparison, "changed", too_many)
    code, out, _ = shop("diff", "--exit-zero")
    assert code == 1
    assert "combine too many conditions" in out
