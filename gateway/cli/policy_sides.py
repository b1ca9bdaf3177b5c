"""A policy as somebody names it: a folder, or a revision of the repository it lies in.

True here: a side is read as a gateway would read it, by the same reader; of a revision every
file is taken from there that lies there, and nothing is checked out. What is in no repository
(an adapter beside it, gateway.yaml in /etc) is taken from the disk, for both sides alike.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from gateway.app import base_of, load_settings
from gateway.backends.policy_folder import RULES, SUFFIXES, read_sources
from gateway.backends.revisions import Revision, RevisionError, resolve
from gateway.build import build
from gateway.bundle import Bundle
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.settings import Settings

WORKING = "working files"
HEAD = "HEAD"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a policy stands, ready to be read.

    Attributes:
        base: the folder that relative paths in `settings` start from.
    """

    settings: Settings
    base: Path

    def bundle(self) -> Bundle:
        return build(read_sources(self.settings, self.base))

    def elsewhere(self, policies: Path, adapter: Path | None = None) -> "_Place":
        """With the policies of another folder, perhaps with another adapter."""
        upstream = self.settings.upstream
        if adapter is not None:
            upstream = upstream.model_copy(update={"adapter": str(adapter)})
        changed = {"policies": str(policies), "upstream": upstream}
        return _Place(self.settings.model_copy(update=changed), self.base)


def load_side(typed: str | None, config: str) -> Bundle:
    """The policy that somebody names.

    Args:
        typed: a folder with gateway.yaml or with the policy files, a gateway.yaml, a revision
            (`HEAD~1`) or a folder of one (`main:shop/policies`); None = what `config` names.
        config: the gateway.yaml that counts where a side has none of its own.

    Raises:
        PolicyError: it does not load; places begin with `typed`.
        ValueError: there is no such side.
    """
    if typed is None:
        return _at(config).bundle()
    try:
        path = Path(typed)
        if path.exists():
            return _on_disk(path, config).bundle()
        return _of_revision(typed, config)
    except PolicyError as error:
        raise PolicyError(_marked(finding, typed) for finding in error.findings) from error


def _marked(finding: Finding, typed: str) -> Finding:
    """`HEAD~1:staff.yaml:4:7`: which side it is about, and it cannot be edited there."""
    place = finding.place
    file = f"{typed}:{Path(place.file).name}"
    return Finding(Place(file, place.line, place.column), finding.message, finding.severity)


def _at(config: str | Path) -> _Place:
    return _Place(load_settings(str(config)), base_of(str(config)))


def _on_disk(path: Path, config: str) -> _Place:
    if path.is_file():
        return _at(path)
    own = path / Path(config).name
    if own.is_file():
        return _at(own)
    if not (path / RULES).is_file():
        raise ValueError(f"`{path}` holds neither `{Path(config).name}` nor `{RULES}`")
    folder = path.resolve()
    beside = folder.parent / Path(config).name
    if beside.is_file():
        place = _at(beside)
        if (place.base / place.settings.policies).resolve() == folder:
            return place
    return _at(config).elsewhere(folder)


# -- revisions


def _of_revision(typed: str, config: str) -> Bundle:
    name, colon, inside = typed.partition(":")
    revision = resolve(_somewhere_inside(config), name)
    with TemporaryDirectory(prefix="salon-gateway-diff-") as folder:
        reader = _Reader(revision, Path(folder), Path(config).resolve())
        place = reader.at(_relative(inside, typed)) if colon else reader.as_now()
        return place.bundle()


def _somewhere_inside(config: str) -> Path:
    """The folder whose repository is meant: that of the policies, wherever gateway.yaml is."""
    try:
        place = _at(config)
    except PolicyError:
        return base_of(config)  # then it may still be right in the revision
    policies = place.base / place.settings.policies
    return policies if policies.is_dir() else place.base


def _relative(inside: str, typed: str) -> PurePosixPath:
    path = PurePosixPath(inside)
    if path.is_absolute() or ".." in path.parts:
        raise RevisionError(f"write the path in `{typed}` from the top of the repository")
    return path


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes from a revision what a bundle needs, and puts it where the usual reader reads.

    Attributes:
        folder: an empty one; files lie in it as in the repository.
        config: the gateway.yaml in use, resolved.
    """

    revision: Revision
    folder: Path
    config: Path

    def as_now(self) -> _Place:
        """The policy that stood where it stands today."""
        inside = self._inside(self.config)
        if inside is not None and self._take(inside):
            return self._own(inside)
        place = _at(self.config)
        policies = self._inside(place.base / place.settings.policies)
        if policies is None:
            raise RevisionError(f"the policies lie outside the repository `{self.revision.top}`")
        return self._with(place, policies)

    def at(self, path: PurePosixPath) -> _Place:
        """The policy in a folder of the repository."""
        name = self.config.name
        for own in (path, path / name):
            if own.name and self._take(own):
                return self._own(own)
        if RULES not in (self.revision.files(path, SUFFIXES) or {}):
            typed = self.revision.typed
            raise RevisionError(f"`{path}` of `{typed}` holds neither `{name}` nor `{RULES}`")
        beside = path.parent / name
        if path.name and self._take(beside):
            settings = load_settings(str(self.folder / beside))
            if PurePosixPath(os.path.normpath(path.parent / settings.policies)) == path:
                return self._own(beside)
        return self._with(_at(self.config), path)

    def _own(self, config: PurePosixPath) -> _Place:
        """With the revision's own gateway.yaml, which has been taken."""
        settings = load_settings(str(self.folder / config))
        base = self.revision.top / config.parent
        place = _Place(settings, base)
        policies = self._inside(base / settings.policies)
        if policies is None:
            raise RevisionError(f"the policies lie outside the repository `{self.revision.top}`")
        adapter = self._inside(base / settings.upstream.adapter)
        if adapter is not None:
            self._take(adapter)  # if it is not there, the reader says so
        return self._filled(place, policies, adapter)

    def _with(self, place: _Place, policies: PurePosixPath) -> _Place:
        """With the gateway.yaml in use, and the revision's adapter if it has one."""
        adapter = self._inside(place.base / place.settings.upstream.adapter)
        if adapter is not None and not self._take(adapter):
            adapter = None
        return self._filled(place, policies, adapter)

    def _filled(
        self, place: _Place, policies: PurePosixPath, adapter: PurePosixPath | None
    ) -> _Place:
        for name, data in (self.revision.files(policies, SUFFIXES) or {}).items():
            self._write(policies / name, data)
        return place.elsewhere(
            self.folder / policies, None if adapter is None else self.folder / adapter
        )

    def _inside(self, path: Path) -> PurePosixPath | None:
        """Where a path lies in the repository; None = outside."""
        top = self.revision.top.resolve()
        where = Path(os.path.normpath(path))
        for one in (where, where.resolve()):
            if one.is_relative_to(top):
                return PurePosixPath(one.relative_to(top).as_posix())
        return None

    def _take(self, path: PurePosixPath) -> bool:
        data = self.revision.file(path)
        if data is None:
            return False
        self._write(path, data)
        return True

    def _write(self, path: PurePosixPath, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
