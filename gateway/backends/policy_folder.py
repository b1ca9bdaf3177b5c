"""Which files make a policy, and what stands in them at one moment.

A policy is several files that change together: an upload, a `git checkout`, a ConfigMap swap.
INVARIANT: what `PolicyFolder.read` returns stood on the disk at one and the same time: it looks
at the files before and after, and reads again if anything moved in between.

House rule: everything here blocks. A running gateway calls it on a thread of its own.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.build import SourceFile, Sources
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.settings import Settings
from gateway.texts.encoding import MAX_FILE_BYTES

RULES, MODEL, HOURS, STAFF = "salon_rules.csv", "model.conf", "hours.yaml", "staff.yaml"
ASSERTIONS, OBSERVE = "assertions.yaml", "observe.yaml"  # need not be there
CASES = "cases"
CASE_SUFFIXES = frozenset({".yaml", ".yml"})
SUFFIXES = frozenset({".csv", ".conf", ".yaml", ".yml"})  # of the files that owners write
MAX_READINGS = 5
PAUSE_SECONDS = 0.05  # between two readings; a checkout of a few files takes less
HINT = "`salon-gateway init` writes a starter set; gateway.yaml names the folder"

Contents = Mapping[Path, bytes | PolicyError]


Seen = tuple[int, ...]  # what changes about a file when its content does


def read_owned(path: Path, hint: str = "") -> bytes:
    """The bytes of a file that an owner or ops wrote.

    Returns:
        One byte more than allowed at the most: `decode` then refuses it.

    Raises:
        PolicyError: it cannot be read, and `hint` says what to do.
    """
    return read_seen(path, hint)[0]


def read_seen(path: Path, hint: str = "") -> tuple[bytes, Seen]:
    """The same, with what the very file that was read is.

    Raises:
        PolicyError: as `read_owned`.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1), _seen(os.fstat(file.fileno()))
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        message = f"cannot be read: {why}" + (f"; {hint}" if hint else "")
        raise PolicyError([Finding(Place(str(path)), message)]) from error


def read_sources(settings: Settings, base: Path) -> Sources:
    """Read everything a bundle is built from.

    Args:
        settings: names the policy folder, the adapter, apps and networks.
        base: the folder that relative paths start from: that of gateway.yaml.

    Raises:
        PolicyError: a finding for each file that cannot be read.
    """
    reading = PolicyFolder(settings, base).read()
    if reading.sources is None:
        raise PolicyError(reading.findings)
    return reading.sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The files at one moment.

    Attributes:
        fingerprint: of every byte, also of the files that only checks read; "" is like no other.
        sources: what a bundle is built from; None if a file could not be read.
        cases: the owner's case files, by name; none without a folder of them.
        findings: why there are no sources.
    """

    fingerprint: str
    sources: Sources | None
    cases: tuple[SourceFile, ...] = ()
    findings: tuple[Finding, ...] = ()


class PolicyFolder:
    """The files that gateway.yaml names, and the owner's cases beside them."""

    def __init__(self, settings: Settings, base: Path) -> None:
        self._settings = settings
        self._folder = base / settings.policies
        self._cases = self._folder / CASES
        self._named = {
            "rules": self._folder / RULES,
            "model": self._folder / MODEL,
            "hours": self._folder / HOURS,
            "staff": self._folder / STAFF,
            "adapter": base / settings.upstream.adapter,
        }

    def read(self) -> Reading:
        """Every file as it stood at one moment. Never raises on account of the files."""
        for _ in range(MAX_READINGS):
            before = self._look()
            contents = {path: _content(path, seen) for path, seen in before.items()}
            # A link that led elsewhere for a moment leads back by the second look.
            whole = {path: found for path, found in contents.items() if found is not None}
            if len(whole) == len(contents) and self._look() == before:
                return self._reading(whole)
            time.sleep(PAUSE_SECONDS)
        message = "the files kept changing while they were read; put them in place by renaming"
        return Reading(
            fingerprint="",
            sources=None,
            findings=(Finding(Place(self._settings.policies), message),),
        )

    def directories(self) -> dict[str, tuple[int, int] | None]:
        """Where a change of the policy can show → which directory that is now, None = none.

        A file changes in its directory; a link changes where the link stands; a directory that
        is taken away or comes back changes in the one above.
        """
        files = (*self._named.values(), self._cases / "any", *self._beside())
        places = {file.parent for file in files}
        places |= {Path(os.path.realpath(file)).parent for file in files}
        above = {place.parent for place in places}
        return {str(place): identity_of(place) for place in places | above}

    def _reading(self, contents: Contents) -> Reading:
        failed = [found for found in contents.values() if isinstance(found, PolicyError)]
        fingerprint = _fingerprint(contents)
        files = {}
        for part, path in self._named.items():
            found = contents[path]
            if not isinstance(found, PolicyError):
                files[part] = SourceFile(name=path.name, data=found)
        if failed:
            findings = tuple(finding for error in failed for finding in error.findings)
            return Reading(fingerprint=fingerprint, sources=None, findings=findings)
        sources = Sources(
            **files,
            apps=self._settings.apps,
            networks=self._settings.networks,
            assertions=self._optional(ASSERTIONS, contents),
            observe=self._optional(OBSERVE, contents),
        )
        return Reading(
            fingerprint=fingerprint, sources=sources, cases=tuple(self._case_files(contents))
        )

    def _optional(self, name: str, contents: Contents) -> SourceFile | None:
        found = contents.get(self._folder / name)
        return SourceFile(name=name, data=found) if isinstance(found, bytes) else None

    def _case_files(self, contents: Contents) -> Iterable[SourceFile]:
        for path, found in contents.items():
            inside = path.is_relative_to(self._cases) and path.suffix.lower() in CASE_SUFFIXES
            # What begins with a dot is an editor's, or the mechanics of a mounted folder.
            if inside and isinstance(found, bytes) and not path.name.startswith("."):
                name = f"{CASES}/{path.relative_to(self._cases).as_posix()}"
                yield SourceFile(name=name, data=found)

    def _look(self) -> dict[Path, Seen | None]:
        """Each file with what changes about it when its content does; links are followed."""
        return {path: _stat(path) for path in (*self._named.values(), *self._beside())}

    def _beside(self) -> list[Path]:
        """Cases and what else stands beside the rules: no source, but checks may read it."""
        found = [path for path in _listed(self._folder) if path.suffix in SUFFIXES]
        for root, inner, names in os.walk(self._cases):
            # What a ConfigMap really holds lies in `..DATE` and shows outside as links.
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            paths = (Path(root, name) for name in sorted(names))
            found += [path for path in paths if path.suffix in SUFFIXES]
        named = set(self._named.values())
        return [path for path in found if path not in named]


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.is_dir())
    except OSError:
        return ()  # then the named files cannot be read either, and that is the finding


def _content(path: Path, seen: Seen | None) -> bytes | PolicyError | None:
    """What stands in a file, or why it cannot be read; None = it is another than was seen."""
    try:
        data, read = read_seen(path, HINT)
    except PolicyError as error:
        return error
    return data if read == seen else None


def _fingerprint(contents: Contents) -> str:
    """Lengths keep the parts apart; a file that cannot be read counts as what is wrong with it."""
    total = sha256()
    for path, found in contents.items():
        data = str(found).encode() if isinstance(found, PolicyError) else found
        for part in (str(path).encode(), type(found).__name__.encode(), data):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _stat(path: Path) -> Seen | None:
    try:
        return _seen(path.stat())
    except OSError:
        return None


def _seen(found: os.stat_result) -> Seen:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def identity_of(folder: Path) -> tuple[int, int] | None:
    """Which directory this is; None = there is none. Another one may get its name."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if folder.is_dir() else None
