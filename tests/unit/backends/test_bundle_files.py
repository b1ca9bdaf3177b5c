"""The last good policy stays in force, whatever lies on the disk."""

import pytest

from gateway.backends import bundle_files
from gateway.backends.bundle_files import LiveBundle
from gateway.cli.init import write_starter
from gateway.domain.finding import PolicyError
from gateway.settings import parse_settings
from tests.oracles.memory_world import CountingMeter, SetClock

CONFIG = """\
upstream: {url: "http://crm.example", adapter: adapters/salon-demo.yaml}
tokens: {secret_file: secrets/token-secret}
apps: [phone, backoffice]
"""


@pytest.fixture
def folder(tmp_path):
    write_starter(tmp_path)
    return tmp_path


def live(folder, meter=None):
    settings = parse_settings(CONFIG, "gateway.yaml", {}, str)
    clock = SetClock("2026-11-25T12:00+09:00")
    return LiveBundle(settings, folder, clock=clock, meter=meter or CountingMeter())


def rules(folder):
    return folder / "policies" / "salon_rules.csv"


def test_a_good_change_comes_into_force(folder):
    bundles = live(folder)
    before = bundles.current().digest
    rules(folder).write_text(rules(folder).read_text() + "# a note\n")
    assert bundles.reload()
    assert bundles.current().digest != before
    assert bundles.failure is None


def test_a_wrong_line_changes_nothing_and_says_so_until_it_is_mended(folder):
    meter = CountingMeter()
    bundles = live(folder, meter)
    good, text = bundles.current(), rules(folder).read_text()
    rules(folder).write_text(text + "p, role:stylist, client, read, , alow\n")
    assert not bundles.reload()
    assert bundles.current() is good
    assert "got `alow`" in str(bundles.failure)
    assert len(meter.named("policy_load_failed")) == 1
    rules(folder).write_text(text)
    assert bundles.reload()
    assert bundles.failure is None


def test_a_missing_file_changes_nothing(folder):
    bundles = live(folder)
    good = bundles.current()
    rules(folder).unlink()
    assert not bundles.reload()
    assert bundles.current() is good
    assert "`salon-gateway init`" in str(bundles.failure)


def test_a_bug_in_a_reader_changes_nothing_either(folder, monkeypatch):
    bundles = live(folder)
    good = bundles.current()

    def broken(_sources):
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(bundle_files, "build", broken)
    assert not bundles.reload()
    assert bundles.current() is good
    assert "please report it" in str(bundles.failure)


def test_without_a_good_policy_there_is_no_gateway(folder):
    rules(folder).write_text("# no rules\n")
    with pytest.raises(PolicyError, match="no rule"):
        live(folder)
