"""How the command line speaks: findings, tables, instants."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from typing import TextIO
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from gateway.domain.finding import Finding, Severity, did_you_mean
from gateway.domain.subject import Role
from gateway.domain.time import Instant, on_clock, read_moment

_RED, _YELLOW, _PLAIN = "\033[31m", "\033[33m", "\033[0m"


def print_findings(findings: Iterable[Finding], output: str, to: TextIO) -> None:
    """Print findings as `file:line:column: what is wrong`, or as JSON."""
    listed = list(findings)
    if output == "json":
        print(json.dumps([_as_data(f) for f in listed], ensure_ascii=False, indent=2), file=to)
        return
    for finding in listed:
        print(paint(str(finding), finding.severity, to), file=to)


def paint(line: str, severity: Severity, to: TextIO) -> str:
    """A line in the colour of its severity, where a terminal shows it."""
    if not to.isatty() or "NO_COLOR" in os.environ:
        return line
    colour = _RED if severity is Severity.ERROR else _YELLOW
    return f"{colour}{line}{_PLAIN}"


def _as_data(finding: Finding) -> dict[str, str | int]:
    place = finding.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "severity": finding.severity.value,
        "message": finding.message,
    }


def print_table(rows: Sequence[Sequence[str]], to: TextIO | None = None) -> None:
    """Print rows in columns as wide as their widest cell."""
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        cells = (
            cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip(), file=to)


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: 結 takes two (Unicode annex 11)."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def parse_moment(text: str, timezone: str) -> Instant:
    """Read `2026-11-24T20:31`, with a zone or in the salon's own.

    Raises:
        ValueError: anything else; the message says what to write.
    """
    return on_clock(read_moment(text), timezone)


def known_app(typed: str | None, apps: Collection[str]) -> str | None:
    """The app of `--app`.

    Raises:
        ValueError: gateway.yaml does not declare it.
    """
    if typed is not None and typed not in apps:
        raise ValueError(f"unknown app `{typed}`; {did_you_mean(typed, apps)}")
    return typed


def known_roles(typed: Iterable[str] | None, roles: Collection[Role]) -> frozenset[Role] | None:
    """The roles of `--role`, with or without their prefix; None if none was given.

    Raises:
        ValueError: a role that nobody declared.
    """
    wanted = frozenset(Role(f"role:{name.removeprefix('role:')}") for name in typed or ())
    for role in sorted(wanted.difference(roles)):
        raise ValueError(f"unknown role `{role}`; {did_you_mean(role, roles)}")
    return wanted or None


def local(moment: Instant, timezone: str) -> str:
    """`Tue 2026-11-24 20:31` on the salon's clock."""
    return moment.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M")
