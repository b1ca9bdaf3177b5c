"""`salon-gateway schema`: which there are, one of them, or files for an editor."""

import json

import pytest

from gateway.cli.main import main
from gateway.tools.schema import NAMES, schema, schema_text


def test_without_a_name_it_says_which_there_are(capsys):
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.split() == list(NAMES)
    assert main(["--output", "json", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_with_a_name_it_prints_that_schema(name, capsys):
    assert main(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out) == schema(name)


def test_an_unknown_name_is_a_usage_error_with_a_proposal(capsys):
    assert main(["schema", "huors"]) == 2
    assert "unknown schema `huors`; did you mean `hours`?" in capsys.readouterr().err


def test_it_writes_one_or_all_and_replaces_what_an_older_version_wrote(tmp_path):
    folder = tmp_path / "editor" / "schemas"
    assert main(["schema", "staff", "--write", str(folder)]) == 0
    assert [path.name for path in folder.iterdir()] == ["staff.schema.json"]
    (folder / "staff.schema.json").write_text("{}", encoding="utf-8")
    assert main(["schema", "--write", str(folder)]) == 0
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == {
        f"{name}.schema.json": schema_text(name) for name in NAMES
    }


def test_where_it_cannot_write_it_says_why(tmp_path, capsys):
    (tmp_path / "schemas").write_text("a file", encoding="utf-8")
    assert main(["schema", "--write", str(tmp_path / "schemas")]) == 2
    assert f"salon-gateway schema: {tmp_path / 'schemas'}: " in capsys.readouterr().err
