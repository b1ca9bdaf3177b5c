"""A bundle of evidence: one tar file in which everything is named with its hash.

    audit/trail-0-000017-2026-11-21.jsonl   whole files of the trail, up to their last whole line
    policy/...                              what people wrote, byte for byte
    ...
    MANIFEST.json                           the last one: size and SHA-256 of each of the others

The same parts give the same bytes: sorted, without owners, times or rights of their own. The file
is for its owner alone (0600), never written over another, and gone again if it cannot be finished.

INVARIANT: no secret of the gateway is in it. What is not written by people is put together from
what is known to be safe (`evidence_parts.py`); and whatever goes in, passes a search for every
secret there is: the first that is found ends it.

It shows that nothing was changed since the manifest was written, and that the trail's chains hold.
Whoever can write the file can write another manifest: keep the hash of the whole file elsewhere.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from gateway.audit.chain import MAX_LINE_BYTES, Link
from gateway.audit.verify import verify
from gateway.texts.jsontext import parse_strict_json

FORMAT: Final = 1
MANIFEST: Final = "MANIFEST.json"
AUDIT: Final = "audit/"
MAX_MANIFEST: Final = 16 * 2**20  # bytes; a hundred thousand files
MAX_DEPTH: Final = 16
LEAST_SECRET: Final = 6  # bytes; shorter ones stand in any file by chance
_CHUNK: Final = 2**18
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of the bundle.

    Attributes:
        name: its path inside, with `/`.
        data: the bytes, or where they are.
        size: how many of the file's bytes; of bytes all.
    """

    name: str
    data: bytes | Path
    size: int | None = None


class NotPackedError(Exception):
    """The bundle was not made; the message says why, without a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a bundle was found to be.

    Attributes:
        about: what the manifest says of the whole; {} where it cannot be read.
        files: how many are as the manifest says.
        wrong: one clause each; () = whole.
    """

    about: Mapping[str, Any]
    files: int
    wrong: tuple[str, ...]


def pack(
    target: Path, parts: Sequence[Part], about: Mapping[str, Any], secrets: Sequence[bytes]
) -> str:
    """Write the bundle; the SHA-256 of the whole file, in hex.

    Args:
        target: the file, which is not there yet.
        parts: its files, in whatever order.
        about: what the manifest says besides.
        secrets: what may stand nowhere in it; those shorter than LEAST_SECRET are not looked for.

    Raises:
        NotPackedError: it cannot be written, a part went away meanwhile, or a secret is in one.
    """
    ordered = sorted(parts, key=lambda part: part.name)
    if len({part.name for part in ordered} | {MANIFEST}) != len(ordered) + 1:
        raise NotPackedError("two parts have one name")
    needles = [secret for secret in secrets if len(secret) >= LEAST_SECRET]
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    except OSError as error:
        raise NotPackedError(f"`{target}` cannot be made: {_why(error)}") from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            _write(file, ordered, about, needles)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise NotPackedError(f"it cannot be written: {_why(error)}") from error
        raise


def _write(
    file: IO[bytes], parts: Sequence[Part], about: Mapping[str, Any], secrets: Sequence[bytes]
) -> None:
    files: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for part in parts:
            with _opened(part) as source:
                size = len(part.data) if isinstance(part.data, bytes) else part.size or 0
                read = _Searched(part.name, source, secrets)
                tar.addfile(_member(part.name, size), read)
            files[part.name] = {"bytes": size, "sha256": read.digest.hexdigest()}
        whole = {**about, "format": FORMAT, "files": files}
        text = json.dumps(whole, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"
        read = _Searched(MANIFEST, io.BytesIO(text), secrets)
        tar.addfile(_member(MANIFEST, len(text)), read)


def _opened(part: Part) -> IO[bytes]:
    return io.BytesIO(part.data) if isinstance(part.data, bytes) else part.data.open("rb")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, _MODE
    return member


class _Searched(io.RawIOBase):
    """What is read from it was searched for secrets, and counts into `digest`."""

    def __init__(self, name: str, source: IO[bytes], secrets: Sequence[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._name = name
        self._source = source
        self._secrets = secrets
        self._overlap = max(map(len, secrets), default=1) - 1
        self._before = b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        seen = self._before + data
        if any(secret in seen for secret in self._secrets):
            raise NotPackedError(
                f"a secret of the gateway's stands in `{self._name}`; nothing was written"
            )
        # Not `seen[-0:]`, which would be all of it.
        self._before = seen[max(0, len(seen) - self._overlap) :]
        self.digest.update(data)
        return data


# -- looking at one ---------------------------------------------------------------------------


def verify_evidence(path: Path) -> Verdict:
    """Is the bundle as its manifest says, and do the chains of the trail in it hold?

    Nothing of it is written anywhere.

    Raises:
        OSError: the file cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    wrong: list[str] = []
    manifest = b""
    trail = _Chains()
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.name in found or manifest:
                    wrong.append(f"`{member.name}` stands where no file belongs")
                    break
                if member.type != tarfile.REGTYPE or member.issparse() or _leads_out(member.name):
                    wrong.append(f"`{member.name}` is no plain file")
                    continue
                content = tar.extractfile(member)
                assert content is not None  # noqa: S101  # of a regular file there is one
                if member.name == MANIFEST:
                    manifest = content.read(MAX_MANIFEST + 1)
                else:
                    found[member.name] = _measured(content)
                    if member.name.startswith(AUDIT):
                        content.seek(0)
                        wrong += trail.follow(member.name, content)
    except (tarfile.TarError, EOFError, ValueError, OverflowError):
        wrong.append("this is not a whole tar file")
    about, said = _said(manifest)
    if said is None:
        return Verdict(about={}, files=0, wrong=(*wrong, f"`{MANIFEST}` cannot be read"))
    wrong += [f"`{name}` is missing" for name in sorted(said.keys() - found.keys())]
    wrong += [f"`{name}` is not in the manifest" for name in sorted(found.keys() - said.keys())]
    both = sorted(said.keys() & found.keys())
    wrong += [f"`{name}` was changed" for name in both if said[name] != found[name]]
    whole = sum(said[name] == found[name] for name in both)
    return Verdict(about=about, files=whole, wrong=tuple(wrong))


class _Chains:
    """The last line of each worker's chain so far: names sort as the files were written."""

    def __init__(self) -> None:
        self._last: dict[str, Link | None] = {}

    def follow(self, name: str, content: IO[bytes]) -> Iterator[str]:
        """What is wrong with the next file of some worker's."""
        if not name.endswith(".jsonl"):
            return
        worker = name.removeprefix(f"{AUDIT}trail-").partition("-")[0]
        report = verify(_lines(content), name=name, after=self._last.get(worker))
        self._last[worker] = report.last
        if report.broken is not None:
            yield f"`{name}` line {report.broken.line}: {report.broken.detail}"


def _lines(content: IO[bytes]) -> Iterator[bytes]:
    while line := content.readline(MAX_LINE_BYTES + 1):
        yield line


def _measured(content: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while data := content.read(_CHUNK):
        digest.update(data)
        size += len(data)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _said(manifest: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """What the manifest says of the whole, and of each file; None = nothing that can be read."""
    try:
        whole = parse_strict_json(manifest, max_depth=MAX_DEPTH, max_bytes=MAX_MANIFEST)
    except ValueError:
        return {}, None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        return {}, None
    files = whole.pop("files", None)
    return whole, files if isinstance(files, dict) else None


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/") or not name.isprintable()


def _why(error: OSError) -> str:
    return (error.strerror or "unknown").lower()
