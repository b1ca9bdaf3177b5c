"""Files as a git repository has them in one of its revisions.

True here:
- Only commands that read are run, with arguments that are never a shell's and never options:
  what somebody typed becomes an object's name in `resolve`, and only that name goes on.
- Files are what was committed, byte for byte: no filter, no line ending, no `export-ignore`
  comes between, so none can be left out in silence.
"""

import os
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gateway.texts.encoding import MAX_FILE_BYTES

SECONDS = 60  # for one command; a local repository answers in a few milliseconds
# A hook is told of the repository that it runs in; we ask about the one that a folder lies in.
_OF_HOOKS = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
_FILE, _TREE = ("100644", "100755"), "040000"


class RevisionError(ValueError):
    """Git cannot say what was asked. The message is for whoever typed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One commit of a repository.

    Attributes:
        top: the repository's working folder.
        commit: its full name.
        typed: as somebody called it.
    """

    top: Path
    commit: str
    typed: str

    def file(self, path: PurePosixPath) -> bytes | None:
        """A file's bytes, at most one more than an owner's file may have; None = no file.

        Raises:
            RevisionError: it is a link, or cannot be read.
        """
        found = self._listed(str(path))
        mode, name = found.get(path.name, ("", ""))
        return self._bytes(mode, name, path) if mode and mode != _TREE else None

    def files(self, folder: PurePosixPath, suffixes: Collection[str]) -> dict[str, bytes] | None:
        """Every file right in a folder, by name; None = there is no such folder.

        Args:
            folder: from the top of the repository.
            suffixes: of the files that are wanted.

        Raises:
            RevisionError: one is a link, or cannot be read.
        """
        # "x/" lists what is in x; the top itself has no name.
        where = [] if folder == PurePosixPath() else [f"{folder}/"]
        found = self._listed(*where)
        if not found:
            return None
        return {
            name: self._bytes(mode, blob, folder / name)
            for name, (mode, blob) in found.items()
            if mode != _TREE and PurePosixPath(name).suffix in suffixes
        }

    def _listed(self, *paths: str) -> dict[str, tuple[str, str]]:
        """Name → mode and object, of what these paths list."""
        said = _git(self.top, "ls-tree", "-z", "--full-tree", self.commit, "--", *paths)
        found = {}
        for entry in filter(None, said.split(b"\0")):
            head, _, path = entry.partition(b"\t")
            mode, _, name = head.decode("ascii").split(" ")
            found[PurePosixPath(os.fsdecode(path)).name] = (mode, name)
        return found

    def _bytes(self, mode: str, name: str, path: PurePosixPath) -> bytes:
        if mode not in _FILE:
            raise RevisionError(f"`{path}` is a link in `{self.typed}`; only files are read there")
        return _git(self.top, "cat-file", "blob", name)[: MAX_FILE_BYTES + 1]


def resolve(folder: Path, typed: str) -> Revision:
    """The commit that somebody means.

    Args:
        folder: somewhere in the repository.
        typed: `HEAD~1`, `main`, a tag, a commit.

    Raises:
        RevisionError: there is no git, no repository or no such revision.
    """
    top = top_of(folder)
    wanted = f"{typed}^{{commit}}"
    try:
        said = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    except RevisionError:
        raise RevisionError(
            f"`{typed}` is no folder and no revision of the repository in `{top}` "
            "(a shallow clone has only the latest: fetch it first)"
        ) from None
    return Revision(top=top, commit=said.decode("ascii").strip(), typed=typed)


def top_of(folder: Path) -> Path:
    """The working folder of the repository that a folder lies in.

    Raises:
        RevisionError: there is no git, or no repository.
    """
    try:
        said = _git(folder, "rev-parse", "--show-toplevel")
    except _RefusedError as error:
        hint = f": {error}" if "safe.directory" in str(error) else ""
        raise RevisionError(f"`{folder}` is in no git repository{hint}") from None
    return Path(os.fsdecode(said.rstrip(b"\n")))


class _RefusedError(RevisionError):
    """Git answered with an error."""


def _git(folder: Path, *arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise RevisionError("git is not installed; name two folders instead")
    environment = {key: value for key, value in os.environ.items() if key not in _OF_HOOKS}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  # no shell, a fixed verb, and names after `--`
            [git, "--no-pager", "--literal-pathspecs", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RevisionError(f"git did not answer: {type(error).__name__}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _RefusedError(lines[0] if lines else "git refused")
    return done.stdout
