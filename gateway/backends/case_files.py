"""The owner's case files on disk.

True here: whatever lies in the folder as YAML is read, or a finding says why not; no case is
left out in silence.
"""

from collections.abc import Iterable
from pathlib import Path

from gateway.backends.bundle_files import read_owned
from gateway.bundle import SourceFile
from gateway.domain.finding import Finding, Place, PolicyError

CASES = "cases"  # in the folder of the policies
SUFFIXES = frozenset({".yaml", ".yml"})
MAX_FILES = 1000


def read_case_files(policies: Path) -> tuple[SourceFile, ...]:
    """Every case file of a policy folder, by name; none if there is no `cases` in it.

    Raises:
        PolicyError: a finding for each that cannot be read.
    """
    folder = policies / CASES
    try:
        inside = sorted(folder.iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        message = f"cannot be read: {(error.strerror or 'unreadable').lower()}"
        raise PolicyError([Finding(Place(str(folder)), message)]) from error
    # What begins with a dot is an editor's, or the mechanics of a mounted folder.
    paths = [p for p in inside if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    return read_named((path, f"{CASES}/{path.name}") for path in paths)


def read_named(paths: Iterable[tuple[Path, str]]) -> tuple[SourceFile, ...]:
    """These files, each under a name that findings show.

    Raises:
        PolicyError: a finding for each that cannot be read.
    """
    files: list[SourceFile] = []
    findings: list[Finding] = []
    for path, name in paths:
        if len(files) >= MAX_FILES:
            findings.append(Finding(Place(name), f"more than {MAX_FILES} case files"))
            break
        try:
            files.append(SourceFile(name=name, data=read_owned(path)))
        except PolicyError as error:
            findings += error.findings
    if findings:
        raise PolicyError(findings)
    return tuple(files)
