"""Which files make a policy, and that they are read as of one moment."""

import os
import shutil
import threading
from itertools import cycle

import pytest

from gateway.backends import policy_folder
from gateway.backends.policy_folder import PolicyFolder, read_sources
from gateway.cli.init import write_starter
from gateway.domain.finding import PolicyError
from gateway.settings import parse_settings

CONFIG = """\
upstream: {url: "http://crm.example", adapter: adapters/salon-demo.yaml}
tokens: {secret_file: secrets/token-secret}
apps: [phone, backoffice]
"""
SETTINGS = parse_settings(CONFIG, "gateway.yaml", {}, str)


@pytest.fixture
def base(tmp_path):
    write_starter(tmp_path)
    return tmp_path


def fingerprint(base):
    return PolicyFolder(SETTINGS, base).read().fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "policies/salon_rules.csv",
        "policies/model.conf",
        "policies/hours.yaml",
        "policies/staff.yaml",
        "adapters/salon-demo.yaml",
        "policies/cases/first.yaml",
        "policies/cases/deeper/second.yml",
        "policies/promises.yaml",
    ],
)
def test_every_file_of_an_owner_counts_and_so_does_its_absence(base, name):
    file = base / name
    prints = [fingerprint(base)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        opened.write(b"# more\n")
    prints.append(fingerprint(base))
    file.unlink()
    prints.append(fingerprint(base))
    assert prints[0] != prints[1] != prints[2]


def test_what_is_no_file_of_an_owner_does_not_count(base):
    before = fingerprint(base)
    (base / "policies" / "salon_rules.csv.swp").write_text("x")
    (base / "policies" / "notes.txt").write_text("x")
    (base / "audit.yaml").write_text("x")
    (base / "policies" / ".git").mkdir()
    (base / "policies" / ".git" / "config.yaml").write_text("x")
    (base / "policies" / "salon_rules.csv").touch()
    assert fingerprint(base) == before


def test_a_file_that_cannot_be_read_is_a_finding_beside_the_others(base):
    (base / "policies" / "hours.yaml").unlink()
    (base / "adapters" / "salon-demo.yaml").unlink()
    with pytest.raises(PolicyError) as caught:
        read_sources(SETTINGS, base)
    assert len(caught.value.findings) == 2
    assert PolicyFolder(SETTINGS, base).read().sources is None


def release(base, name, text):
    """A whole policy in a folder of its own, each of its files marked."""
    shutil.copytree(base / "policies", base / name)
    for file in (base / name).glob("*.*"):
        file.write_text(f"{file.read_text()}# {text}\n")


def test_a_swap_between_two_files_is_read_again_so_nothing_is_mixed(base, monkeypatch):
    release(base, "a", "release a")
    release(base, "b", "release b")
    shutil.rmtree(base / "policies")
    (base / "policies").symlink_to("a")
    real, count = policy_folder.read_seen, []

    def swapping(path, hint=""):
        count.append(path)
        if len(count) == 3:  # the first two are of `a`
            (base / "next").symlink_to("b")
            (base / "next").rename(base / "policies")
        return real(path, hint)

    monkeypatch.setattr(policy_folder, "read_seen", swapping)
    sources = read_sources(SETTINGS, base)
    for part in (sources.rules, sources.model, sources.hours, sources.staff):
        assert part.data.endswith(b"# release b\n"), part.name
    assert len(count) > 5


def test_a_link_that_leads_elsewhere_for_one_file_only_makes_no_mixture(base, monkeypatch):
    release(base, "a", "release a")
    release(base, "b", "release b")
    shutil.rmtree(base / "policies")
    (base / "policies").symlink_to("a")
    real, count = policy_folder.read_seen, []

    def lead_to(name):
        (base / "next").symlink_to(name)
        (base / "next").rename(base / "policies")

    def astray(path, hint=""):
        count.append(path)
        if len(count) != 2:
            return real(path, hint)
        lead_to("b")
        try:
            return real(path, hint)
        finally:
            lead_to("a")

    monkeypatch.setattr(policy_folder, "read_seen", astray)
    sources = read_sources(SETTINGS, base)
    for part in (sources.rules, sources.model, sources.hours, sources.staff):
        assert part.data.endswith(b"# release a\n"), part.name


def test_under_steady_swaps_a_reading_is_of_one_release_or_a_finding(base):
    release(base, "a", "release a")
    release(base, "b", "release b")
    shutil.rmtree(base / "policies")
    (base / "policies").symlink_to("a")
    done = threading.Event()

    def swap():
        for name in cycle("ba"):
            if done.is_set():
                return
            (base / "next").symlink_to(name)
            (base / "next").rename(base / "policies")
            done.wait(0.001)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(60):
            reading = PolicyFolder(SETTINGS, base).read()
            if reading.sources is None:
                assert "kept changing" in reading.findings[0].message
                assert reading.fingerprint == ""
                continue
            sources = reading.sources
            parts = (sources.rules, sources.model, sources.hours, sources.staff)
            (end,) = {part.data[-4:] for part in parts}
            seen.add(end)
    finally:
        done.set()
        swapper.join()
    assert seen <= {b"e a\n", b"e b\n"}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(policy_folder, "PAUSE_SECONDS", 0.001)


def test_directories_are_those_of_the_files_of_their_links_and_the_ones_above(base):
    elsewhere = base / "mnt" / "..2026_11"
    (base / "policies").rename(base / "held")
    elsewhere.parent.mkdir()
    (base / "held").rename(elsewhere)
    (base / "mnt" / "..data").symlink_to("..2026_11")
    policies = base / "policies"
    policies.mkdir()
    for file in elsewhere.glob("*.*"):
        (policies / file.name).symlink_to(os.path.join("../mnt/..data", file.name))  # noqa: PTH118
    found = PolicyFolder(SETTINGS, base).directories()
    wanted = (base, policies, policies / "cases", base / "adapters", base / "mnt", elsewhere)
    assert {str(path) for path in wanted} <= found.keys()
    assert found[str(policies / "cases")] is None
    assert found[str(policies)] == (policies.stat().st_dev, policies.stat().st_ino)
