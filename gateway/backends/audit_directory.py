"""The directory of a trail: which files there are, and how they are read.

    trail-0-000017-2026-11-21.jsonl        file 17 of worker 0, begun on that UTC day
    trail-0-000017-2026-11-21.jsonl.torn   what was cut off its end when it was repaired
    trail-0.head                           the seal: number and hash of a line known to be there
    trail-0.lock                           held by the process that writes

Readers take no lock and open nothing for writing, so they cannot hold the writer up.
They may meet the end of a line that is just being written: `whole_lines` leaves it alone.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

from gateway.audit.chain import MAX_LINE_BYTES, Link
from gateway.audit.verify import Fault, Report, TrailFile, verify_trail
from gateway.texts.jsontext import parse_strict_json

_NAME = re.compile(
    r"trail-(?P<worker>[a-z0-9_]{1,32})-(?P<number>[0-9]{6,12})-(?P<day>\d{4}-\d\d-\d\d)\.jsonl",
    re.ASCII,
)
_WORKER = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_BLOCK_BYTES = 64 * 2**10
_ATTEMPTS = 10  # x 0.1 s: how long a half-written line or a file deleted meanwhile is retried
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, order=True)
class TrailPath:
    """One file of a trail, as its name describes it; they sort as they were written."""

    worker: str
    number: int
    day: date
    path: Path

    @classmethod
    def of(cls, directory: Path, worker: str, number: int, day: date) -> "TrailPath":
        """The name under which a file is begun."""
        name = f"trail-{worker}-{number:06d}-{day.isoformat()}.jsonl"
        return cls(worker, number, day, directory / name)

    @property
    def torn(self) -> Path:
        """Where the bytes are kept that were cut off its end."""
        return self.path.with_name(f"{self.path.name}.torn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A line known to be in the trail, kept beside it.

    Attributes:
        file: the number of the file the line stands in.
        oldest: the least file number retention has kept so far.
    """

    worker: str
    link: Link
    file: int
    oldest: int


def is_worker(name: str) -> bool:
    """May a worker be called so? Its name stands in file names."""
    return _WORKER.fullmatch(name) is not None


def list_trail(directory: Path, worker: str | None = None) -> list[TrailPath]:
    """The files of one worker's trail, or of all, in the order of writing.

    Raises:
        OSError: the directory cannot be listed.
    """
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match is None or worker not in {None, match["worker"]}:
            continue
        with contextlib.suppress(ValueError):  # no such day: not a file of ours
            day = date.fromisoformat(match["day"])
            found.append(TrailPath(match["worker"], int(match["number"]), day, path))
    return sorted(found)


def list_workers(directory: Path) -> list[str]:
    """Everyone who has a trail here, or had one: a seal outlives its files."""
    seals = {path.stem.removeprefix("trail-") for path in directory.glob("trail-*.head")}
    return sorted({file.worker for file in list_trail(directory)} | set(filter(is_worker, seals)))


def seal_path(directory: Path, worker: str) -> Path:
    """Where a worker's seal is."""
    return directory / f"trail-{worker}.head"


def read_seal(path: Path) -> Seal | None:
    """The seal, or None if there is none.

    Raises:
        ValueError: it was changed: a seal is replaced whole, so it is never half-written.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LINE_BYTES)
    except FileNotFoundError:
        return None
    members = parse_strict_json(data, max_depth=1, max_bytes=MAX_LINE_BYTES)
    match members:
        case {
            "worker": str(worker),
            "n": int(n),
            "hash": str(digest),
            "file": int(number),
            "oldest": int(oldest),
        }:
            return Seal(worker=worker, link=Link(n, digest), file=number, oldest=oldest)
        case _:
            raise ValueError("the seal has not the members of a seal")


def lines_of(path: Path) -> Iterator[bytes]:
    """Every line from the first, newline included; the last may break off.

    A "line" without an end is cut at the bound of a line: whoever judges it refuses it.
    """
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            yield line


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Every whole line, the last one first, read from the end in blocks."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest: bytes | None = None  # the beginning of what was read, cut off by a block's edge
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            file.seek(position)
            block = file.read(size)
            if rest is None:
                # Behind the last newline stands a line that is not whole yet.
                end = block.rfind(b"\n") + 1
                if end == 0:
                    continue
                block, rest = block[:end], b""
            first, *others = BytesIO(block + rest)  # lines as a file has them, by `\n` alone
            yield from reversed(others)
            rest = first
            if len(rest) > MAX_LINE_BYTES:  # garbage: hand it out before it fills the memory
                yield rest
                rest = b""
        if rest:
            yield rest


class Follower:
    """The whole lines that come after a moment, file after file, of every worker."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[TrailPath, int] = {}
        for file in list_trail(directory):
            with contextlib.suppress(FileNotFoundError):
                self._offsets[file] = whole_size(file.path)

    def new_lines(self) -> Iterator[bytes]:
        """What was written since the last call; nothing is waited for."""
        for file in list_trail(self._directory):
            offset = self._offsets.get(file, 0)
            with contextlib.suppress(FileNotFoundError), file.path.open("rb") as opened:
                opened.seek(offset)
                for line in opened:
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    yield line
            self._offsets[file] = offset


def verify_directory(directory: Path, worker: str, points: dict[int, str]) -> Report:
    """Judge one worker's trail as it stands, also while it is being written.

    Args:
        directory: where it is.
        worker: whose.
        points: hashes that lines are known to have, by `n`; the seal is added to them.

    Raises:
        OSError: it cannot be read.
        ValueError: the seal was changed.
    """
    for _ in range(_ATTEMPTS):
        # The seal first: a seal read after the lines could be newer than they are.
        seal = read_seal(seal_path(directory, worker))
        known = dict(points)
        if seal is not None and known.setdefault(seal.link.n, seal.link.hash) != seal.link.hash:
            raise ValueError("the seal does not fit the hash that is expected")
        files = list_trail(directory, worker)
        try:
            report = verify_trail(
                (TrailFile(file.path.name, file.number, lines_of(file.path)) for file in files),
                worker=worker,
                points=known,
            )
        except FileNotFoundError:  # retention was faster
            continue
        if not _may_be_writing(report, files) or not _becomes_whole(files[-1]):
            return report
    raise FileNotFoundError(f"the files of worker {worker} go away while they are read")


def _may_be_writing(report: Report, files: list[TrailPath]) -> bool:
    """Is the only fault that the last line of the last file breaks off?"""
    broken = report.broken
    torn = broken is not None and broken.fault is Fault.TORN
    return torn and broken is not None and broken.file == files[-1].path.name


def _becomes_whole(file: TrailPath) -> bool:
    """Was its last line only being written just now?"""
    for _ in range(_ATTEMPTS):
        if whole_size(file.path) == file.path.stat().st_size:
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def whole_size(path: Path) -> int:
    """Where the last whole line ends."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            file.seek(position)
            if (newline := file.read(size).rfind(b"\n")) >= 0:
                return position + newline + 1
    return 0


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: a disk that is nearly full takes a part first. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
