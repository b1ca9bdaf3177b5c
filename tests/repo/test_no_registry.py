"""No file names the host of a package registry or of a distribution's mirror.

Where packages come from is the machine's business: pip, npm and apt are configured there.
"""

import re

import pytest

from tests.repo.checkout import ROOT, files

# Written in pieces, so that this file does not name them either.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("security", "ubuntu", "com"),
        ("ports", "ubuntu", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("anaconda", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
NAMED = re.compile("|".join(rf"\b{re.escape(host)}\b" for host in HOSTS), re.IGNORECASE)
# A folder of the people who built this, which nobody else has.
ELSEWHERE = re.compile(r"(?<![\w.-])" + "sha" + r"red/")


@pytest.mark.parametrize("host", HOSTS)
def test_the_pattern_finds_what_it_looks_for(host):
    assert NAMED.search(f"resolved https://mirror.{host}/simple")


def test_no_file_names_a_registry_or_a_mirror():
    assert found(NAMED) == []


def test_no_file_points_to_a_folder_that_is_not_here():
    assert ELSEWHERE.search("see sha" + "red/notes.md")
    assert found(ELSEWHERE) == []


def found(pattern):
    return [
        f"{name}:{number}"
        for name in files()
        for number, line in enumerate(
            (ROOT / name).read_bytes().decode("utf-8", "replace").splitlines(), start=1
        )
        if pattern.search(line)
    ]
