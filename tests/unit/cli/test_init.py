"""`salon-gateway init`: what it writes is good, and what is there it leaves alone."""

from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.settings import Settings, parse_settings


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_it_writes_is_the_checkouts_policy_byte_for_byte(tmp_path):
    assert main(["init", str(tmp_path)]) == 0
    for name in ("policies/salon_rules.csv", "policies/hours.yaml", "adapters/salon-demo.yaml"):
        assert (tmp_path / name).read_bytes() == Path(name).read_bytes()


def test_the_first_line_of_every_yaml_file_leads_to_a_schema_that_was_written(tmp_path):
    main(["init", str(tmp_path)])
    files = ["gateway.yaml", "policies/hours.yaml", "policies/staff.yaml"]
    files += [f"adapters/{path.name}" for path in (tmp_path / "adapters").iterdir()]
    for name in files:
        first = (tmp_path / name).read_text(encoding="utf-8").splitlines()[0]
        target = (tmp_path / name).parent / first.partition("$schema=")[2]
        assert target.is_file(), name
        assert target.parent.resolve() == (tmp_path / "schemas").resolve()


def test_the_secret_is_fresh_each_time_long_and_for_its_owner_alone(tmp_path):
    secrets = set()
    for name in ("a", "b"):
        main(["init", str(tmp_path / name)])
        file = tmp_path / name / "secrets" / "token-secret"
        assert file.stat().st_mode & 0o777 == 0o600
        secrets.add(file.read_text(encoding="ascii").strip())
    assert len(secrets) == 2
    assert min(map(len, secrets)) >= 64


def test_a_second_init_writes_nothing_and_says_so(tmp_path, capsys):
    main(["init", str(tmp_path)])
    before = tree(tmp_path)
    capsys.readouterr()
    assert main(["init", str(tmp_path)]) == 0
    assert tree(tmp_path) == before
    out = capsys.readouterr().out
    assert "wrote" not in out
    assert out.count("(it was there)") == len(before)


def test_what_the_owner_changed_stays_and_what_is_missing_comes_back(tmp_path):
    main(["init", str(tmp_path)])
    (tmp_path / "gateway.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "policies" / "staff.yaml").unlink()
    main(["init", str(tmp_path)])
    assert (tmp_path / "gateway.yaml").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "policies" / "staff.yaml").is_file()


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "gateway.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert main(["init", str(tmp_path)]) == 0
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_where_it_cannot_write_it_says_which_file_and_why(tmp_path, capsys):
    (tmp_path / "policies").write_text("a file where a folder belongs", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert str(tmp_path / "policies") in err
    assert "salon-gateway init: " in err


def test_without_a_folder_it_writes_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["check"]) == 0


@pytest.mark.parametrize("section", sorted(Settings.model_fields))
def test_the_written_gateway_yaml_shows_every_section(tmp_path, section):
    main(["init", str(tmp_path)])
    text = (tmp_path / "gateway.yaml").read_text(encoding="utf-8")
    assert f"\n{section}:" in text or f"\n# {section}:" in text


ENVIRONMENT = {"CRM_API_KEY": "k", "BREAK_GLASS_SECRET": "s" * 32}


def test_the_commented_out_lines_of_gateway_yaml_are_good_ones_too(tmp_path):
    main(["init", str(tmp_path)])
    lines = []
    for row in (tmp_path / "gateway.yaml").read_text(encoding="utf-8").splitlines()[4:]:
        stripped = row.lstrip()
        indent = row[: len(row) - len(stripped)]
        lines.append(indent + stripped.removeprefix("# ") if stripped.startswith("# ") else row)
    settings = parse_settings("\n".join(lines), "gateway.yaml", ENVIRONMENT, lambda _: "")
    assert settings.tokens.cookie
    assert settings.networks
