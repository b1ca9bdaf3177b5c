"""The audit trail, as verbs read it: only files, without a lock, also while it is written.

A line that is not as it was written is never shown as if it were, and never passed over in
silence. Text that came from outside (a path) is printed without control characters: a log must
not be able to write on the owner's terminal.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.app import base_of, load_settings
from gateway.audit.chain import parse
from gateway.backends.audit_directory import lines_backwards, list_trail
from gateway.cli.exits import Exit


def add_dir(words: argparse.ArgumentParser) -> None:
    """Add `--dir`, as `directory_of` reads it."""
    words.add_argument(
        "--dir", metavar="DIR", help="the trail's directory (default: from gateway.yaml)"
    )


class Unreadable:
    """Counts the lines that could not be shown, so that none is passed over in silence."""

    def __init__(self) -> None:
        self.count = 0

    def entries(self, lines: Iterable[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Every line that is an entry, raw and parsed."""
        for raw in lines:
            try:
                members = parse(raw)
            except ValueError:
                self.count += 1
                continue
            if members["kind"] == "entry":
                yield raw, members

    def report(self) -> int:
        """Say so, and the exit code."""
        if self.count:
            print(
                f"{self.count} line(s) are not as they were written; run `salon-gateway audit "
                "verify` to see where",
                file=sys.stderr,
            )
        return Exit.BROKEN if self.count else Exit.GOOD


def directory_of(args: argparse.Namespace) -> Path | None:
    """`--dir`, or what gateway.yaml says; None and a sentence if there is no such thing."""
    if args.dir is None:
        directory = base_of(args.config) / load_settings(args.config).audit.directory
    else:
        directory = Path(args.dir)
    if directory.is_dir():
        return directory
    print(f"there is no directory `{directory}`", file=sys.stderr)
    return None


def backwards(directory: Path, worker: str) -> Iterator[bytes]:
    """The whole lines of one worker, the last one first."""
    for file in reversed(list_trail(directory, worker)):
        try:
            yield from lines_backwards(file.path)
        except FileNotFoundError:  # deleted by retention: so is everything older
            return


def forwards(path: Path) -> Iterator[bytes]:
    """The whole lines of a file; none if retention was faster."""
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
    except FileNotFoundError:
        return


def printable(text: str) -> str:
    """Control characters and the like spelled out, so that they do nothing."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
