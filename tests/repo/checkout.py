"""What is in the checkout: every file that git has, or would take."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def files(*under):
    """Paths from the root of the checkout, in order; ignored ones and deleted ones left out."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *under],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted({name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()})


def text(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def pages():
    """Every Markdown file."""
    return [name for name in files() if name.endswith(".md")]


def rows(page):
    """The tables of a page: (first cell without backticks, the other cells) of each row."""
    found = []
    for line in text(page).splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            first, *others = (
                cell.strip().replace("\\|", "|")
                for cell in line.strip("|").replace("\\|", "\0").split("|")
            )
            found.append((first.strip("`"), [cell.replace("\0", "|") for cell in others]))
    return found
