"""docs/policy-guide.md is true: whoever follows it gets what it prints, line by line.

Each chapter (`## `) is followed in a folder of its own that `salon-gateway init` has filled; the
first begins with an empty one. What to write stands in a block, and the paragraph before it ends
with where:

    Add to `FILE`, below `TEXT`:        behind the one line that holds TEXT
    Add at the end of `FILE`:
    In `FILE`, change `TEXT` to:        instead of the one line that holds TEXT
    Write a new file `FILE`:

What to type stands in `console` blocks behind `$ `, with what it prints below. There, `...` stands
for anything in a line, and alone on a line for any lines. `$ echo $?` prints the exit code.
The clock stands still, at the moment that the page names. Where the page shows the number of a
refusal, the reader has just been refused by a gateway, and types the number that was shown.
"""

import asyncio
import io
import os
import re
import shlex
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession

from gateway.app import Gateway, load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.main import main
from gateway.domain.time import on_clock, read_moment
from tests.repo.checkout import text

PAGE = "docs/policy-guide.md"
TODAY = "2026-11-25T12:00"
PIECES = re.compile(r"^```(\w+)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
FILE = r"`([\w./-]+\.(?:csv|yaml))`"
ANY = "..."
NUMBER = "0d9e6a52-7c1b-4f1e-9a53-2f8d5f0c61aa"


@dataclass(frozen=True)
class Write:
    """One block of lines, and where they go."""

    how: str
    file: str
    anchor: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Type:
    """One command, and what it prints."""

    command: str
    prints: tuple[str, ...]


BEGIN = "salon-gateway init"


@dataclass
class Chapter:
    """What a reader does, in order."""

    title: str
    steps: list = field(default_factory=list)
    blocks: int = 0


HOW = {
    "below": re.compile(rf"Add to {FILE}, below `([^`]+)`:$"),
    "end": re.compile(rf"Add at the end of {FILE}():$"),
    "change": re.compile(rf"In {FILE}, change `([^`]+)` to:$"),
    "new": re.compile(rf"Write a new file {FILE}():$"),
}


def chapters(page):
    """The page as steps.

    Raises:
        ValueError: a block of which nobody could say what to do with it.
    """
    found = []
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        chapter = Chapter(title)
        pieces = PIECES.split(rest)  # prose, language, block, prose, ...
        for prose, language, block in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False):
            lines = tuple(block.splitlines())
            chapter.steps += typed(lines) if language == "console" else [written(prose, lines)]
            chapter.blocks += 1
        found.append(chapter)
    return found


def typed(lines):
    """The commands of a block."""
    steps = []
    for line in lines:
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif not steps:
            raise ValueError(f"a console block begins with `$ `, not with {line}")
        else:
            steps[-1][1].append(line)
    return [Type(command, tuple(prints)) for command, prints in steps]


def written(prose, lines):
    """The lines of a block, and where they go by the paragraph before."""
    paragraph = " ".join(prose.strip().rpartition("\n\n")[2].split())
    for how, form in HOW.items():
        if said := form.search(paragraph):
            return Write(how, said[1], said[2], lines)
    raise ValueError(f"where does this go? {paragraph!r}")


def write(step, folder):
    """Do what a `Write` says."""
    path = folder / step.file
    if step.how == "new":
        assert not path.exists(), f"{step.file} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(step.lines) + "\n", encoding="utf-8")
        return
    there = path.read_text(encoding="utf-8").splitlines()
    start = end = len(there)
    if step.how != "end":
        # Paragraphs have single blanks where columns of a file have several.
        at = [n for n, line in enumerate(there) if step.anchor in " ".join(line.split())]
        assert len(at) == 1, f"{len(at)} lines of {step.file} hold `{step.anchor}`"
        start, end = at[0] + (step.how == "below"), at[0] + 1
    there[start:end] = step.lines
    path.write_text("\n".join(there) + "\n", encoding="utf-8")


class Reader:
    """Somebody who follows the page at a terminal."""

    def __init__(self, folder):
        self.folder = folder
        self.code = 0

    def do(self, step):
        if isinstance(step, Write):
            write(step, self.folder)
        else:
            command = step.command
            if NUMBER in command:
                command = command.replace(NUMBER, self.be_refused())
            said = self.type(command)
            assert matches(step.prints, said), f"$ {step.command}\n" + "\n".join(said)

    def type(self, command):
        """Lines on the terminal."""
        if command == "echo $?":
            return [str(self.code)]
        name, *arguments = shlex.split(command)
        if name == "salon-gateway":
            return self._ours(arguments)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=os.environ | GIT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.code = done.returncode
        return done.stdout.splitlines()

    def be_refused(self):
        """Mei exports the clients; the number that she is shown."""
        (token,) = self.type("salon-gateway token mei --app phone")
        return asyncio.run(refused(self.folder, token, "/api/clients/export"))

    def _ours(self, arguments):
        screen = io.StringIO()
        with redirect_stdout(screen), redirect_stderr(screen):
            self.code = main(arguments)
        return [line.rstrip() for line in screen.getvalue().splitlines()]


async def refused(folder, token, path):
    """Ask a running gateway, and be refused."""
    settings = load_settings(str(folder / "gateway.yaml"))
    anywhere = {
        part: getattr(settings, part).model_copy(update={"port": 0})
        for part in ("listen", "admin_listen")
    }
    gateway = await Gateway.start(settings.model_copy(update=anywhere), folder)
    try:
        url = f"http://127.0.0.1:{gateway.port}{path}"
        headers = {"Authorization": f"Bearer {token}"}
        async with ClientSession() as client, client.get(url, headers=headers) as answer:
            assert answer.status == 403
            problem = await answer.json(content_type="application/problem+json")
            return problem["instance"].removeprefix("urn:uuid:")
    finally:
        await gateway.stop()


GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": said
        for who in ("AUTHOR", "COMMITTER")
        for what, said in (("NAME", "Hana Sato"), ("EMAIL", "hana@salon.example"))
    },
}


def matches(expected, said):
    """Is this what the page promises?"""
    pattern = "".join(
        r"(?:.*\n)*?"
        if line.strip() == ANY
        else ".*?".join(map(re.escape, line.split(ANY))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None


def follow(chapter, folder):
    """Do everything that a chapter says; return how many blocks that were."""
    reader = Reader(folder)
    if getattr(chapter.steps[0], "command", None) != BEGIN:
        reader.type(BEGIN)
    for step in chapter.steps:
        reader.do(step)
    return chapter.blocks


def first(page):
    """The first chapter of a page."""
    return chapters(page)[0]


CHAPTERS = chapters(text(PAGE))


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """An empty folder at the reader's desk, and the clock that the page speaks of."""
    folder = tmp_path / "salon"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SALON_GATEWAY_CONFIG", raising=False)
    noon = on_clock(read_moment(TODAY), "Asia/Tokyo")
    monkeypatch.setattr(SystemClock, "now", lambda _: noon)
    return folder


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_whoever_follows_the_guide_gets_what_it_prints(chapter, desk):
    assert follow(chapter, desk) > 0


def test_no_block_of_the_guide_is_left_out():
    page = text(PAGE)
    fences = re.findall(r"^\s*(?:```|~~~)", page, re.MULTILINE)
    assert sum(chapter.blocks for chapter in CHAPTERS) == len(fences) / 2
    assert not re.findall(r"\n\n(?:    |\t)", re.sub(PIECES, "", page)), (
        "indented code is a block too"
    )
    assert len(CHAPTERS) > 12


def test_the_guide_names_the_day_on_which_it_is_told():
    assert "noon on Wednesday, 25 November 2026" in " ".join(text(PAGE).split())
    assert read_moment(TODAY).strftime("%A %d %B %Y %H") == "Wednesday 25 November 2026 12"


HOLIDAY = """## A holiday
In `policies/hours.yaml`, change `"2027-01-03"]` to:

```yaml
    closed_dates: ["2026-12-28"]
```

```console
$ salon-gateway hours aoyama --at 2026-12-28T12:00
aoyama is closed at Mon 2026-12-28 12:00 (Asia/Tokyo)
...
  shut until then: client...
$ echo $?
0
```
"""


def test_a_chapter_without_a_slip_passes(desk):
    assert follow(first(HOLIDAY), desk) == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("aoyama is closed", "aoyama is open"),
        ("...\n  shut", "  shut"),
        ("client...", "client"),
        ("\n0\n", "\n3\n"),
        ('["2026-12-28"]', '["2026-12-27"]'),
        ("closed_dates:", "closed_days:"),
        ("hours aoyama", "hours yoyogi"),
        ("hours aoyama", "hour aoyama"),
        ("policies/hours.yaml", "policies/staff.yaml"),
        ("policies/hours.yaml", "policies/opening.yaml"),
        ('`"2027-01-03"]`', "`2026`"),
    ],
)
def test_a_slip_in_the_guide_is_noticed(desk, right, wrong):
    assert right in HOLIDAY
    with pytest.raises((AssertionError, OSError, SystemExit)):
        follow(first(HOLIDAY.replace(right, wrong)), desk)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("```console\n$", "```console\n"), ("to:\n", "to this:\n"), ("In `", "Somewhere in ")],
)
def test_a_block_that_nobody_could_follow_is_refused(right, wrong):
    assert right in HOLIDAY
    with pytest.raises(ValueError, match=r"where does this go|begins with"):
        chapters(HOLIDAY.replace(right, wrong))
