"""Is a trail whole? Finds the first broken place of a worker's chain, over all its files.

What it sees: a changed byte, an inserted, missing or moved line, a torn last line, a file
missing from the middle, an oldest file deleted other than by retention (each head says how
far retention had gone), last lines cut off below a known *point*: the seal, which the
writer saves whenever it begins or closes a file, or one that somebody wrote down.

What it cannot see: last lines cut off above the newest known point, i.e. what was entered
since the current file began; and a trail written anew from the start, seal and all, by
somebody who may write to the directory, because the chain holds no secret. Against both,
keep the `n` and hash that `audit verify` prints somewhere else and hand them back to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.audit.chain import GENESIS, Link, parse_head, read_line


class Fault(StrEnum):
    """What is wrong with the first line that is wrong."""

    CHANGED = "changed"
    MISSING = "missing"
    OUT_OF_ORDER = "out_of_order"
    TORN = "torn"  # the end of a write that did not come to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first broken place.

    Attributes:
        file: its name; "" when something is missing before the first or after the last one.
        line: counted from 1, as editors do.
        detail: what is wrong there, one clause, nothing of the line's content.
    """

    file: str
    line: int
    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    Attributes:
        files, lines: how many are whole, up to the break.
        first: the first line's link; above 1 when retention has deleted older files.
        last: the last whole line's link.
        broken: None when the trail is whole.
    """

    files: int = 0
    lines: int = 0
    first: Link | None = None
    last: Link | None = None
    broken: Break | None = None


@dataclass(frozen=True, slots=True)
class TrailFile:
    """One file of a trail.

    Attributes:
        number: as its name says.
        lines: with their newlines; read once, lazily.
    """

    name: str
    number: int
    lines: Iterable[bytes]


def verify(
    lines: Iterable[bytes],
    *,
    name: str = "",
    after: Link | None = None,
    points: Mapping[int, str] | None = None,
) -> Report:
    """Judge the lines of one file.

    Args:
        lines: with their newlines.
        name: the file's name, for the break.
        after: what the first line has to follow; None takes the first line's word for it.
        points: hashes that lines are known to have, by `n`.
    """
    count, first, last = 0, None, after
    rest = iter(lines)
    for raw in rest:
        verdict = _judge(raw, is_first=count == 0, after=last, points=points or {}, rest=rest)
        if isinstance(verdict, Link):
            count, last = count + 1, verdict
            first = first or verdict
            continue
        fault, detail = verdict
        broken = Break(file=name, line=count + 1, fault=fault, detail=detail)
        return Report(lines=count, first=first, last=last if count else None, broken=broken)
    if not count:
        broken = Break(file=name, line=1, fault=Fault.MISSING, detail="the file has no line")
        return Report(broken=broken)
    return Report(files=1, lines=count, first=first, last=last)


def verify_trail(
    files: Iterable[TrailFile],
    *,
    worker: str,
    points: Mapping[int, str] | None = None,
) -> Report:
    """Judge all files of one worker's trail, in the order of their numbers.

    Args:
        files: every file there is, by number.
        worker: whose trail it has to be.
        points: hashes that lines are known to have, by `n`: the seal, and what somebody
            wrote down. A point older than the first file is not looked at.
    """
    report, known = Report(), dict(points or {})
    first_number, previous, oldest = 0, 0, 1
    for file in files:
        first_line, lines = _peek(file.lines)
        # The first file of all has nothing before it; the first one that is left after
        # retention is taken at its word about what was.
        after = report.last or (GENESIS if file.number == 1 else None)
        found = verify(lines, name=file.name, after=after, points=known)
        head, wrong = _head(first_line, worker=worker, number=file.number)
        if previous and file.number != previous + 1:
            wrong = Fault.MISSING, f"the files from {previous + 1} up to this one are missing"
        elif found.broken is not None and found.broken.line == 1:
            wrong = None  # the line itself says more exactly what is wrong
        if wrong is not None:
            broken = Break(file=file.name, line=1, fault=wrong[0], detail=wrong[1])
            return _with(report, Report(), broken)
        report = _with(report, found, found.broken)
        if report.broken is not None:
            return report
        first_number, previous = first_number or file.number, file.number
        oldest = head["oldest"]
    if first_number > oldest:
        detail = f"the files from {oldest} up to {first_number} were deleted, not by retention"
        return _with(report, Report(), Break(file="", line=1, fault=Fault.MISSING, detail=detail))
    return _with(report, Report(), _cut_short(report, known))


def _judge(
    raw: bytes,
    *,
    is_first: bool,
    after: Link | None,
    points: Mapping[int, str],
    rest: Iterator[bytes],
) -> Link | tuple[Fault, str]:
    """One line against the one before it: its link, or what is wrong."""
    if not raw.endswith(b"\n"):
        return Fault.TORN, "the line breaks off"
    line = read_line(raw)
    if line is None:
        return Fault.CHANGED, "this is not a line of an audit trail"
    if not line.sound:
        return Fault.CHANGED, "the line's hash does not fit its content"
    if is_first != (line.kind == "head"):
        detail = "a file must begin with a head line" if is_first else "a head line inside a file"
        return Fault.CHANGED, detail
    if after is None:
        after = Link(line.link.n - 1, line.prev)
    if line.link.n > after.n + 1:
        return _gap(after.n + 1, line.link.n, rest)
    if line.link.n <= after.n:
        return Fault.OUT_OF_ORDER, f"line {line.link.n} of the trail stands after line {after.n}"
    if line.prev != after.hash:
        return Fault.CHANGED, "the line does not follow the one before it: one of the two is new"
    if points.get(line.link.n, line.link.hash) != line.link.hash:
        return Fault.CHANGED, f"line {line.link.n} of the trail is not the one that was sealed"
    return line.link


def _gap(expected: int, found: int, rest: Iterator[bytes]) -> tuple[Fault, str]:
    """Later than it should be: is the expected line gone, or does it only stand below?"""
    for raw in rest:
        line = read_line(raw)
        if line is not None and line.link.n == expected:
            return Fault.OUT_OF_ORDER, f"line {found} of the trail stands before line {expected}"
    what = f"line {expected}" if found == expected + 1 else f"lines {expected} to {found - 1}"
    return Fault.MISSING, f"{what} of the trail should stand here"


def _peek(lines: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first line, and all lines."""
    rest = iter(lines)
    first = next(rest, b"")

    def again() -> Iterator[bytes]:
        if first:
            yield first
        yield from rest

    return first, again()


def _head(
    raw: bytes, *, worker: str, number: int
) -> tuple[Mapping[str, Any], tuple[Fault, str] | None]:
    """A file's head, and why it is not the head of the file it claims to be."""
    try:
        head = parse_head(raw)
    except ValueError as error:
        return {}, (Fault.CHANGED, str(error))
    if head["worker"] != worker or head["file"] != number:
        return head, (Fault.CHANGED, "the file's name is not the one its head was written under")
    return head, None


def _cut_short(report: Report, points: Mapping[int, str]) -> Break | None:
    """Does a chain that is whole in itself reach as far as it is known to have reached?"""
    last = report.last.n if report.last else 0
    least = max(points, default=0)
    if least <= last:
        return None
    detail = f"the trail ends at line {last} but is known to have had line {least}"
    return Break(file="", line=report.lines + 1, fault=Fault.MISSING, detail=detail)


def _with(so_far: Report, found: Report, broken: Break | None) -> Report:
    """Add a file's report."""
    return Report(
        files=so_far.files + found.files,
        lines=so_far.lines + found.lines,
        first=so_far.first or found.first,
        last=found.last or so_far.last,
        broken=broken,
    )
