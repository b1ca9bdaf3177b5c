"""A folder as `salon-gateway init` writes it, and the whole command line in this process."""

import json

import pytest

from gateway.cli.init import write_starter
from gateway.cli.main import main


class CommandLine:
    """Run verbs on one folder. `config` may be pointed elsewhere."""

    def __init__(self, folder, capsys):
        self.folder = folder
        self.config = folder / "gateway.yaml"
        self._capsys = capsys

    def __call__(self, *words, output="text"):
        """Returns the exit code, what it printed, and what it said on standard error."""
        self._capsys.readouterr()
        code = main(["--config", str(self.config), "--output", output, *words])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def data(self, *words):
        """Returns the exit code and the JSON it printed."""
        code, out, err = self(*words, output="json")
        assert err == ""
        return code, json.loads(out)

    def edit(self, name, old, new):
        """Change one place of a file of the folder."""
        file = self.folder / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has changed"
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def line(tmp_path, capsys):
    write_starter(tmp_path)
    return CommandLine(tmp_path, capsys)
