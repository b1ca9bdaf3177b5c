"""Where a worker's chain goes on when its trail is opened: behind the last line that counts.

House rules: evidence is never overwritten. A torn last line is cut off and kept; whatever
else does not fit (a changed line, lines missing below the seal) stays as it is, the chain
goes on in a new file behind the gap, where `audit verify` finds it, and a `Repair` names it.
A damaged trail does not keep the gateway from starting: it would stop the salon for what
somebody did to a log.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.chain import GENESIS, Link, parse_head, read_line
from gateway.audit.verify import verify
from gateway.backends.audit_directory import (
    Seal,
    TrailPath,
    lines_backwards,
    lines_of,
    list_trail,
    read_seal,
    seal_path,
    whole_size,
    write_all,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Something that was not as it should be when the trail was opened.

    Attributes:
        file: its name.
        what: one clause, nothing of the content.
        kept_in: the file with the bytes that were cut off or set aside, if any were.
    """

    file: str
    what: str
    kept_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a trail.

    Attributes:
        link: what the next line has to follow.
        file: the file to go on in; None = begin one.
        size: of that file, in bytes.
        number: the greatest file number ever used, as far as is known.
        oldest: the least file number retention has kept.
    """

    link: Link = GENESIS
    file: TrailPath | None = None
    size: int = 0
    number: int = 0
    oldest: int = 1
    repairs: tuple[Repair, ...] = ()


def find_end(directory: Path, worker: str) -> End:
    """Find the end, after mending what a crash can leave there.

    The caller holds the worker's lock.

    Raises:
        OSError: something cannot be read or mended.
    """
    seal, set_aside = _seal(seal_path(directory, worker))
    files = list_trail(directory, worker)
    end = _end_of_file(files[-1], seal) if files else End()
    return _not_before(seal, end, set_aside)


def _seal(path: Path) -> tuple[Seal | None, tuple[Repair, ...]]:
    """The seal; one that was changed is set aside."""
    try:
        return read_seal(path), ()
    except ValueError:
        kept = path.with_name(path.name + ".damaged")
        path.replace(kept)
        what = "the seal was changed: set aside"
        return None, (Repair(file=path.name, what=what, kept_in=kept.name),)


def _end_of_file(file: TrailPath, seal: Seal | None) -> End:
    """The end of the last file, and whether it is fit to be written on."""
    repairs = _cut_torn_line(file)
    points = {} if seal is None else {seal.link.n: seal.link.hash}
    report = verify(lines_of(file.path), name=file.path.name, points=points)
    if report.broken is not None:
        wrong = f"line {report.broken.line}: {report.broken.detail}"
    elif report.last is not None and (head := _head(file)):
        return End(
            link=report.last,
            file=file,
            size=file.path.stat().st_size,
            number=file.number,
            oldest=head["oldest"],
            repairs=repairs,
        )
    else:
        wrong = "line 1: not a head that this version reads"
    damage = Repair(file=file.path.name, what=f"{wrong}; going on in a new file")
    # Behind the damage: the last thing that still looks like a line of ours.
    found = filter(None, map(read_line, lines_backwards(file.path)))
    last = next((line.link for line in found), GENESIS)
    return End(link=last, number=file.number, repairs=(*repairs, damage))


def _head(file: TrailPath) -> Mapping[str, int] | None:
    try:
        return parse_head(next(lines_of(file.path)))
    except ValueError:
        return None


def _cut_torn_line(file: TrailPath) -> tuple[Repair, ...]:
    """Cut off what a write left that did not come to its end, and keep it."""
    with file.path.open("r+b") as opened:
        whole = whole_size(file.path)
        opened.seek(whole)
        torn = opened.read()
        if not torn:
            return ()
        kept_in = file.torn
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(kept_in, flags, 0o600)
        try:
            write_all(descriptor, torn)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        opened.truncate(whole)
        os.fsync(opened.fileno())
    what = f"the last line broke off after {len(torn)} bytes: cut off"
    return (Repair(file=file.path.name, what=what, kept_in=kept_in.name),)


def _not_before(seal: Seal | None, end: End, set_aside: tuple[Repair, ...]) -> End:
    """The end, or the seal where that is further: lines below it are gone."""
    repairs = (*set_aside, *end.repairs)
    if seal is None or seal.link.n < end.link.n or seal.link == end.link:
        number = max(end.number, seal.file if seal else 0)
        oldest = max(end.oldest, seal.oldest if seal else 1)
        file = end.file if number == end.number else None
        return End(
            link=end.link, file=file, size=end.size, number=number, oldest=oldest, repairs=repairs
        )
    what = (
        f"the files end at line {end.link.n}, the seal knows line {seal.link.n}: "
        "going on behind it in a new file"
    )
    return End(
        link=seal.link,
        number=max(end.number, seal.file),
        oldest=max(end.oldest, seal.oldest),
        repairs=(*repairs, Repair(file=f"trail-{seal.worker}.head", what=what)),
    )
