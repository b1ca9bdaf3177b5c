"""`salon-gateway demo` as a newcomer meets it, and every sentence that the README says of it."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo import tour
from tests.e2e.gateway_process import SECONDS, is_listening

DEMO = [sys.executable, "-m", "gateway", "demo"]


def steps_of(output: str) -> dict[int, str]:
    """The tour's steps by number, each with its title and what it showed."""
    parts = re.split(r"^(\d+)\. ", output, flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def record_in(step: str) -> dict[str, object]:
    """The client card that a step shows."""
    found = re.search(r"^    \{$.*?^    \}$", step, flags=re.MULTILINE | re.DOTALL)
    assert found
    return dict(json.loads(found[0]))


@pytest.fixture(scope="module")
def once():
    return subprocess.run(
        [*DEMO, "--once"], capture_output=True, text=True, check=False, timeout=4 * SECONDS
    )


class Demo:
    """A demo that keeps serving."""

    def __init__(self) -> None:
        self.child = subprocess.Popen(
            [*DEMO, "--port", "0", "--admin-port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = ""
        for line in self.child.stdout:
            self.output += line
            if "Ctrl-C ends it" in line:
                break
        found = re.search(r"guarded: (\S+) +admin: (\S+) +files: (\S+)", self.output)
        assert found, self.output + self.child.stderr.read()
        self.guarded, self.admin, folder = found.groups()
        self.folder = Path(folder)

    @property
    def ports(self) -> list[int]:
        crm = re.search(
            r"127\.0\.0\.1:(\d+)\", adapter", (self.folder / "gateway.yaml").read_text()
        )
        return [*(int(url.rpartition(":")[2]) for url in (self.guarded, self.admin)), int(crm[1])]

    @property
    def children(self) -> list[int]:
        pid = self.child.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def line(self, words: str) -> str:
        """The printed command line with these words in it."""
        return next(line for line in self.output.splitlines() if words in line).strip()

    def end(self) -> int:
        if self.child.poll() is None:
            self.child.terminate()
        self.child.communicate(timeout=SECONDS)
        return self.child.returncode


@pytest.fixture(scope="module")
def demo():
    running = Demo()
    yield running
    running.end()


# -- the README's five items --------------------------------------------------------------


def test_the_tour_ends_well(once):
    assert once.returncode == 0, once.stdout + once.stderr
    assert once.stderr == ""
    assert "Every step came out as said." in once.stdout
    assert "NOT AS SAID" not in once.stdout
    assert once.stdout.count("  as said\n") == len(steps_of(once.stdout)) == len(tour.STEPS)


def test_readme_1_the_same_card_as_a_manager_and_as_a_stylist(once):
    steps = steps_of(once.stdout)
    whole, cut = record_in(steps[1]), record_in(steps[2])
    assert whole["id"] == cut["id"]
    assert whole.keys() - cut.keys() == {"phone", "email", "address", "birthday"}
    assert str(whole["phone"]) not in steps[2]


def test_readme_2_the_export_is_refused_with_the_rules_file_and_line(once):
    step = steps_of(once.stdout)[4]
    assert "reason: rule_denies" in step
    found = re.search(r"^    salon_rules\.csv:(\d+): (.*)$", step, flags=re.MULTILINE)
    rules = Path("policies/salon_rules.csv").read_text(encoding="utf-8").splitlines()
    assert " ".join(rules[int(found[1]) - 1].split()) == found[2]
    assert "export" in found[2]
    assert found[2].endswith("deny")


def test_readme_3_a_lock_screen_that_says_when_the_salon_opens_again(once):
    steps = steps_of(once.stdout)
    assert "reason: outside_hours" in steps[5]
    opens = re.search(r"opens_at: \d{4}-\d\d-\d\dT(\d\d:\d\d):00\+09:00", steps[5])
    assert opens
    assert opens[1] in steps[6]
    assert "営業時間外" in steps[6]


def test_readme_4_after_a_forced_logout_the_next_request_is_401(once):
    step = steps_of(once.stdout)[7]
    assert "mei is logged out everywhere" in step
    assert "HTTP 401" in step


def test_readme_5_the_counters(once):
    step = steps_of(once.stdout)[8]
    assert len(tour.COUNTERS) >= 4
    for name in tour.COUNTERS:
        assert re.search(rf"^    {name}\{{.*\}} [1-9]", step, flags=re.MULTILINE)


def test_every_step_prints_a_line_to_repeat_it(once):
    for step in steps_of(once.stdout).values():
        line = step.splitlines()[1].strip()
        assert line.startswith(("curl -s ", "salon-gateway --config "))


def test_the_readme_names_the_tour_as_it_is():
    readme = Path("README.md").read_text(encoding="utf-8")
    items = re.findall(
        r"^([1-5])\. ", readme.split("The tour shows")[1].split("##")[0], re.MULTILINE
    )
    assert items == ["1", "2", "3", "4", "5"]


# -- it keeps serving ---------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_printed_curl_line_repeats_its_step(demo):
    whole, cut = (
        subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, check=True, timeout=SECONDS
        )
        for line in (
            demo.line("ken.token)"),
            demo.line("mei.token)"),  # she has a new token since the tour logged her out
        )
    )
    for shown in (whole, cut):
        assert shown.stdout.startswith("HTTP/1.1 200 ")
    assert '"phone"' in whole.stdout
    assert '"phone"' not in cut.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_printed_curl_line_with_quotes_in_it_works_too(demo):
    line = demo.line("Accept-Language: ja")
    shown = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert shown.stdout.startswith("HTTP/1.1 403 ")
    assert "営業時間外" in shown.stdout


def test_the_demo_ends_its_children_and_removes_its_folder(demo):
    """The last one here: it ends the demo."""
    ports, children = demo.ports, demo.children
    assert len(children) == 2
    assert all(map(is_listening, ports))
    assert demo.folder.is_dir()
    assert demo.end() == 0
    assert not any(map(is_listening, ports))
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not demo.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_before_its_tour_is_over_is_not_good_and_leaves_nothing(
    tmp_path, number
):
    child = subprocess.Popen(
        [*DEMO, "--once"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    pid = child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    seen: list[str] = []
    while len(seen) < 2:  # the second is the gateway, being born
        assert child.poll() is None
        seen = children.read_text().split()
    child.send_signal(number)
    child.communicate(timeout=SECONDS)
    assert child.returncode == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen)
    assert list(tmp_path.iterdir()) == []


# -- the tour is a test -------------------------------------------------------------------


def told(*missed: str) -> tour.Told:
    return tour.Told(title="A step", command="curl", lines=("HTTP 200",), missed=missed)


def play(*steps: tour.Told) -> tuple[bool, str]:
    scene = tour.Scene(guarded="http://127.0.0.1:9", admin="http://127.0.0.1:9", folder=Path())
    shown = io.StringIO()
    good = tour.play(scene, shown, tuple(lambda _, step=step: step for step in steps))
    return good, shown.getvalue()


def test_a_step_that_comes_out_wrong_is_named_and_the_tour_has_failed():
    good, shown = play(told(), told("the list is closed"), told())
    assert not good
    assert "NOT AS SAID: the list is closed" in shown
    assert shown.count("  as said\n") == 2


def test_a_tour_of_good_steps_is_good():
    assert play(told(), told())[0]


def test_only_expectations_that_did_not_hold_are_missed():
    assert tour.check({"a": True, "b": False, "c": True, "d": False}) == ("b", "d")
