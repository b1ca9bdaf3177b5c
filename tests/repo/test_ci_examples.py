"""ci/: what runs in an owner's repository is run here, line by line, in a repository of its own.

The workflow's steps are played in a fresh clone, as GitHub does it: each `run` by `bash -e`, with
the variables of the workflow and of the step. Only the installing is left out: what is here is
tested.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.main import main, parser
from gateway.cli.starter import CI
from gateway.texts.yamltext import parse_yaml
from tests.repo.checkout import files, text

WORKFLOW = parse_yaml(text("ci/github-workflow.yml"), "github-workflow.yml").data
HOOKS = parse_yaml(text("ci/pre-commit-config.yaml"), "pre-commit-config.yaml").data
STEPS = WORKFLOW["jobs"]["policy"]["steps"]
RUNS = [step for step in STEPS if "run" in step]
ENTRIES = [hook for repo in HOOKS["repos"] for hook in repo["hooks"]]
INSTALLING = 'python -m pip install "$INSTALL"'
CHECK, TEST, DIFF = "Does it load?", "Does it do what our cases say?", "What does this change?"
MESSAGES = "p, role:trainee, message, list, , allow\n"
CARDS = "p, role:trainee, client, list|read, , allow\n"
SLIP = "p, role:stylst, client, read, , allow\n"


@dataclass(frozen=True)
class Played:
    """What became of one step."""

    code: int
    said: str


@dataclass(frozen=True)
class Repository:
    """A repository on somebody's machine, and what is done in it."""

    folder: Path
    home: Path

    def run(self, command, **variables):
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=self.folder,
            env=self._environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Played(done.returncode, done.stdout)

    def _environment(self):
        """A machine on which salon-gateway is installed, and nothing of ours is set."""
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "GIT_AUTHOR_NAME": "Hana Sato",
            "GIT_AUTHOR_EMAIL": "hana@salon.example",
            "GIT_COMMITTER_NAME": "Hana Sato",
            "GIT_COMMITTER_EMAIL": "hana@salon.example",
        }

    def commit(self, message):
        done = self.run(f"git add --all && git commit --quiet --message {shlex.quote(message)}")
        assert done == Played(0, ""), done.said

    def append(self, file, lines):
        with (self.folder / file).open("a", encoding="utf-8") as opened:
            opened.write(lines)


@pytest.fixture
def repository(tmp_path):
    folder, home = tmp_path / "policy", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    started = Repository(folder, home)
    assert main(["init", "--ci", str(folder)]) == 0
    assert started.run("git init --quiet --initial-branch=main") == Played(0, "")
    started.commit("as it came")
    return started


def pull_request(repository, tmp_path):
    """Play the workflow for the latest commit: the name of each step → what became of it."""
    job = Repository(tmp_path / "job", repository.home)
    cloned = repository.run(f"git clone --quiet . {shlex.quote(str(job.folder))}")
    assert cloned == Played(0, "")
    values = {"${{ github.event.pull_request.base.sha }}": job.run("git rev-parse HEAD~1").said}
    summary = tmp_path / "summary.md"
    summary.touch()
    shared = WORKFLOW["env"] | {"GITHUB_STEP_SUMMARY": str(summary)}
    played = {}
    for step in RUNS:
        if step["run"].strip() != INSTALLING:
            own = {
                key: values.get(said, said).strip() for key, said in step.get("env", {}).items()
            }
            played[step["name"]] = job.run(step["run"], **(shared | own))
    return played, summary.read_text(encoding="utf-8")


def ours(script):
    """Every call of our own command in a script."""
    return [line.strip() for line in script.splitlines() if "salon-gateway " in line]


# -- the files


def test_init_writes_each_file_where_it_is_looked_for(tmp_path):
    assert main(["init", "--ci", str(tmp_path)]) == 0
    assert {f"ci/{name}" for name in CI} == set(files("ci"))
    for name, place in CI.items():
        assert (tmp_path / place).read_text(encoding="utf-8") == text(f"ci/{name}")


def test_init_without_ci_writes_none_of_them(tmp_path):
    assert main(["init", str(tmp_path)]) == 0
    assert not any((tmp_path / place).exists() for place in CI.values())


def test_only_what_somebody_changed_by_hand_goes_into_the_repository(repository):
    kept = repository.run("git ls-files").said.split()
    assert {"gateway.yaml", "policies/staff.yaml", ".github/workflows/policy.yml"} <= set(kept)
    assert not [name for name in kept if name.startswith(("secrets", "state", "audit"))]
    assert (repository.folder / "secrets/token-secret").is_file()


@pytest.mark.parametrize("name", CI)
def test_each_file_says_where_it_belongs_or_why_it_is_there(name):
    first = text(f"ci/{name}").partition("\n\n")[0]
    assert first.startswith("# ")
    assert CI[name] in first or name == "gitignore"


# -- the workflow


def test_the_workflow_asks_for_nothing_but_reading():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert STEPS[0]["with"]["persist-credentials"] == "false"
    # What comes from outside reaches a script as a variable, never as a piece of it.
    assert not [step for step in RUNS if "${{" in step["run"]]


def test_the_workflow_uses_nothing_but_the_two_actions_it_needs():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used == ["actions/checkout@v4", "actions/setup-python@v5"]
    assert STEPS[0]["with"]["fetch-depth"] == "0"  # the base of the pull request is needed


def test_where_salon_gateway_comes_from_is_left_to_the_owner():
    installs = [step for step in RUNS if "pip" in step["run"]]
    assert [step["run"].strip() for step in installs] == [INSTALLING]
    form = r"salon-gateway @ git\+https://git\.example/salon-gateway@v\d+\.\d+\.\d+"
    assert re.fullmatch(form, WORKFLOW["env"]["INSTALL"])


@pytest.mark.parametrize(
    "line",
    [line for step in RUNS for line in ours(step["run"])]
    + [line for hook in ENTRIES for line in ours(hook["entry"])],
)
def test_every_call_is_one_that_we_understand(line):
    assert parser().parse_args(shlex.split(line)[1:]).run


def test_every_verb_that_an_owner_should_not_miss_is_run():
    for scripts in ([s["run"] for s in RUNS], [hook["entry"] for hook in ENTRIES]):
        calls = [shlex.split(line)[1:] for script in scripts for line in ours(script)]
        assert [parser().parse_args(call).verb for call in calls] == ["check", "test", "diff"]


def test_a_good_change_passes_and_is_told_on_the_page_of_the_job(repository, tmp_path):
    repository.append("policies/salon_rules.csv", MESSAGES)
    repository.commit("trainees see which messages there are")
    played, summary = pull_request(repository, tmp_path)
    assert [step.code for step in played.values()] == [0] * len(played)
    assert summary.startswith("#")
    assert "oksana" in summary
    assert "::warning file=policies/salon_rules.csv,line=" in played[DIFF].said


def test_a_case_that_is_not_true_any_more_fails_with_its_line(repository, tmp_path):
    repository.append("policies/salon_rules.csv", CARDS)
    repository.commit("trainees open cards")
    played, summary = pull_request(repository, tmp_path)
    assert {name: step.code for name, step in played.items() if step.code} == {TEST: 4}
    assert "::error file=policies/cases/starter.yaml,line=" in played[TEST].said
    assert "oksana" in summary


# -- the hooks


def hooks(repository):
    """Run every hook as pre-commit would, in this folder, without any file names."""
    assert all(hook["pass_filenames"] == "false" for hook in ENTRIES)
    assert {hook["language"] for hook in ENTRIES} == {"system"}
    git = {"GIT_INDEX_FILE": str(repository.folder / ".git" / "index")}  # as git tells a hook
    return {hook["id"]: repository.run(hook["entry"], **git) for hook in ENTRIES}


def test_the_hooks_let_a_good_change_pass_and_tell_what_it_does(repository):
    repository.append("policies/salon_rules.csv", MESSAGES)
    played = hooks(repository)
    assert [hook.code for hook in played.values()] == [0, 0, 0]
    assert "oksana" in played["salon-gateway-diff"].said
    assert ENTRIES[-1]["verbose"] == "true"  # or pre-commit keeps to itself what passes


def test_the_hooks_stop_a_slip(repository):
    repository.append("policies/salon_rules.csv", SLIP)
    assert [hook.code for hook in hooks(repository).values()] == [3, 3, 3]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("policies/salon_rules.csv", True),
        ("policies/cases/ours.yaml", True),
        ("adapters/salon-demo.yaml", True),
        ("gateway.yaml", True),
        ("README.md", False),
        ("old/policies/staff.yaml", False),
    ],
)
def test_the_hooks_run_for_changes_of_the_policy(name, runs):
    # pre-commit searches for the pattern; ours begins where the path does.
    assert {bool(re.search(hook["files"], name)) for hook in ENTRIES} == {runs}
