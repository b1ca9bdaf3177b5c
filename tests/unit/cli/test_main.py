"""The command line as a whole: help, exit codes, and what goes wrong turned into words."""

import argparse
import json
import re
import shlex

import pytest

from gateway import __version__
from gateway.cli import main as main_module
from gateway.cli.exits import Exit
from gateway.cli.main import VERBS, main, parser
from gateway.domain.errors import StateUnavailableError
from gateway.domain.finding import Finding, Place, PolicyError


def parsers_below(words):
    """Name → parser, of the next level."""
    for action in words._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def leaves():
    """Every complete verb as (`session revoke`, its parser, the parser above it)."""
    for verb, words in parsers_below(parser()).items():
        inner = parsers_below(words)
        for action, deeper in inner.items():
            yield f"{verb} {action}", deeper, words
        if not inner:
            yield verb, words, words


LEAVES = list(leaves())


@pytest.mark.parametrize(("verb", "words", "above"), LEAVES, ids=[leaf[0] for leaf in LEAVES])
def test_every_verb_describes_itself_and_has_an_example(verb, words, above):
    assert words.description
    assert words.description[0].isupper()
    examples = f"{words.format_help()}\n{above.format_help()}"
    assert "examples:" in examples
    assert re.search(rf"^  .*salon-gateway (--\w+ \w+ )?{verb}\b", examples, re.MULTILINE)


def test_every_verb_that_is_written_is_on_the_command_line():
    assert len(parsers_below(parser())) == len(VERBS)


def test_the_examples_of_every_verb_are_good_command_lines():
    """Each line of help that begins with our name parses."""
    seen = set()
    for _, words, above in LEAVES:
        for text in (words.format_help(), above.format_help(), parser().format_help()):
            for example in re.findall(r"^  salon-gateway (.+)$", text, re.MULTILINE):
                if "..." in example:
                    continue  # something stands for something else
                typed = shlex.split(re.split(r" {2,}| \(| \|", example)[0])
                seen.add(" ".join(typed))
                parser().parse_args(typed)
    assert len(seen) >= len(LEAVES)


def test_help_is_good_and_names_every_verb(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n    {verb} " in out for verb in parsers_below(parser()))


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"salon-gateway {__version__}\n"


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["explian"],
        ["session"],
        ["session", "revoke"],
        ["explain", "GET", "/"],
        ["token"],
        ["--output", "yaml", "check"],
        ["serve", "--port", "many"],
        ["session", "revoke", "Mei Tanaka"],
        ["session", "revoke", "mei", "--device", "a b"],
        ["audit", "tail", "--reason", "because"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(typed, capsys):
    with pytest.raises(SystemExit) as ended:
        main(typed)
    assert ended.value.code == Exit.USAGE
    assert "usage: salon-gateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    "typed",
    [
        ("check",),
        ("explain", "--who", "mei", "GET", "/"),
        ("hours",),
        ("staff", "list"),
        ("token", "mei"),
        ("session", "list"),
        ("audit", "verify"),
        ("serve",),
    ],
)
def test_without_a_gateway_yaml_every_verb_says_how_to_get_one(line, typed):
    line.config = line.folder / "nowhere.yaml"
    code, out, err = line(*typed)
    assert (code, out) == (Exit.POLICY, "")
    assert "nowhere.yaml:1:1: cannot be read: no such file or directory" in err
    assert "`salon-gateway init` writes one, `--config` names another" in err


def test_findings_are_sentences_for_people_and_data_for_programs(line):
    line.edit("policies/staff.yaml", "{aoyama: [role:manager]}", "{aoyama: [role:manger]}")
    code, out, err = line("check")
    assert (code, out) == (Exit.POLICY, "")
    (sentence,) = err.splitlines()
    code, out, err = line("check", output="json")
    assert (code, out) == (Exit.POLICY, "")
    (finding,) = json.loads(err)
    place = f"{finding['file']}:{finding['line']}:{finding['column']}"
    assert sentence == f"{place}: {finding['message']}"
    assert finding["severity"] == "error"
    assert "did you mean `role:manager`?" in finding["message"]


class Verb:
    """A verb that ends as it is told."""

    def __init__(self, error=None, code=Exit.GOOD):
        self.error, self.code = error, code

    def register(self, verbs):
        verbs.add_parser("try").set_defaults(run=self.run)

    def run(self, _args):
        if self.error is not None:
            raise self.error
        return self.code


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        (Verb(), 0, ""),
        (Verb(code=Exit.BROKEN), 1, ""),
        (Verb(PolicyError([Finding(Place("a.yaml", 3, 5), "is bad")])), 3, "a.yaml:3:5: is bad\n"),
        (
            Verb(StateUnavailableError("the state file is locked")),
            1,
            "salon-gateway: state_unavailable: the state file is locked\n",
        ),
        (Verb(KeyboardInterrupt()), 130, ""),
    ],
)
def test_how_a_verb_ends_is_how_the_command_ends(monkeypatch, capsys, ending, code, said):
    monkeypatch.setattr(main_module, "VERBS", (ending,))
    assert main(["try"]) == code
    assert capsys.readouterr() == ("", said)


def test_the_environment_names_the_configuration_and_the_flag_beats_it(line, monkeypatch):
    monkeypatch.setenv("SALON_GATEWAY_CONFIG", "/nowhere/from-the-environment.yaml")
    assert parser().parse_args(["check"]).config == "/nowhere/from-the-environment.yaml"
    assert line("check")[0] == Exit.GOOD
