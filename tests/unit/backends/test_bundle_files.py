"""The last good policy stays in force, whatever lies on the disk."""

import asyncio
import json
import logging
import sys
import threading
from datetime import timedelta

import pytest

from gateway.backends import bundle_files
from gateway.backends.bundle_files import LiveBundle
from gateway.cli.init import write_starter
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.ports import LoadFault
from gateway.settings import parse_settings
from tests.oracles.memory_world import CountingMeter, SetClock

CONFIG = """\
upstream: {url: "http://crm.example", adapter: adapters/salon-demo.yaml}
tokens: {secret_file: secrets/token-secret}
apps: [phone, backoffice]
"""
WRONG_ROW = "p, role:stylist, client, read, , alow\n"
PATIENCE = 30


@pytest.fixture
def folder(tmp_path):
    write_starter(tmp_path)
    return tmp_path


def live(folder, meter=None, *, clock=None, checks=()):
    settings = parse_settings(CONFIG, "gateway.yaml", {}, str)
    clock = clock or SetClock("2026-11-25T12:00+09:00")
    return LiveBundle(settings, folder, clock=clock, meter=meter or CountingMeter(), checks=checks)


def rules(folder):
    return folder / "policies" / "salon_rules.csv"


def change(folder, text="# a note\n"):
    rules(folder).write_text(rules(folder).read_text() + text)


def said(caplog, event):
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    return [line for line in lines if line["event"] == event]


async def test_a_good_change_comes_into_force(folder):
    clock = SetClock("2026-11-25T12:00+09:00")
    bundles = live(folder, clock=clock)
    before, started = bundles.current().digest, bundles.loaded_at
    change(folder)
    clock.set("2026-11-25T12:07+09:00")
    assert await bundles.reload()
    assert bundles.current().digest != before
    assert bundles.loaded_at - started == timedelta(minutes=7)
    assert bundles.stale is None


async def test_a_wrong_line_changes_nothing_and_says_so_until_it_is_mended(folder, caplog):
    meter = CountingMeter()
    bundles = live(folder, meter)
    good, text = bundles.current(), rules(folder).read_text()
    change(folder, WRONG_ROW)
    assert not await bundles.reload()
    assert bundles.current() is good
    assert bundles.stale.why is LoadFault.FINDINGS
    assert "got `alow`" in bundles.stale.told()[0]
    assert meter.named("policy_load_failed") == [(LoadFault.FINDINGS, bundles.stale.since)]
    (line,) = said(caplog, "policy_load_failed")
    assert line["reason"] == "findings"
    assert "got `alow`" in line["findings"][0]
    rules(folder).write_text(text)
    assert await bundles.reload()
    assert bundles.stale is None


async def test_it_is_stale_since_the_first_failure_and_for_the_reason_of_the_last(folder):
    clock = SetClock("2026-11-25T12:00+09:00")
    bundles = live(folder, clock=clock)
    change(folder, WRONG_ROW)
    await bundles.reload()
    since = bundles.stale.since
    clock.set("2026-11-25T13:00+09:00")
    rules(folder).unlink()
    await bundles.reload()
    assert (bundles.stale.why, bundles.stale.since) == (LoadFault.UNREADABLE, since)


async def test_a_missing_file_changes_nothing(folder):
    bundles = live(folder)
    good = bundles.current()
    rules(folder).unlink()
    assert not await bundles.reload()
    assert bundles.current() is good
    assert bundles.stale.why is LoadFault.UNREADABLE
    assert "`salon-gateway init`" in bundles.stale.told()[0]


async def test_a_bug_in_a_reader_changes_nothing_either(folder, monkeypatch, caplog):
    bundles = live(folder)
    good = bundles.current()

    def broken(_sources):
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(bundle_files, "build", broken)
    assert not await bundles.reload()
    assert bundles.current() is good
    assert bundles.stale.why is LoadFault.INTERNAL
    assert "please report it" in bundles.stale.told()[0]
    (line,) = said(caplog, "internal_error")
    assert line["error"] == "TypeError"


def test_without_a_good_policy_there_is_no_gateway(folder):
    rules(folder).write_text("# no rules\n")
    with pytest.raises(PolicyError, match="no rule"):
        live(folder)


# -- the checks ---------------------------------------------------------------------------


def finds(*messages, severity=Severity.ERROR):
    return lambda _bundle, _reading: [
        Finding(Place("cases/x.yaml"), text, severity) for text in messages
    ]


def raises(_bundle, _reading):
    raise PolicyError([Finding(Place("cases/y.yaml"), "is not a list of cases")])


@pytest.mark.parametrize("bad", [finds("mei may export"), raises])
def test_a_policy_that_fails_its_cases_does_not_start(folder, bad):
    with pytest.raises(PolicyError, match=r"cases/[xy]\.yaml"):
        live(folder, checks=[finds(), bad])


async def test_a_policy_that_fails_its_cases_does_not_come_into_force(folder):
    failing, meter, asked = [], CountingMeter(), []

    def case(bundle, _reading):
        asked.append(bundle.digest)
        return failing

    bundles = live(folder, meter, checks=[case, case])
    good = bundles.current()
    change(folder)
    failing.append(Finding(Place("cases/x.yaml"), "mei may export"))
    assert not await bundles.reload()
    assert bundles.current() is good
    assert bundles.stale.why is LoadFault.CASES
    assert bundles.stale.told() == ["cases/x.yaml:1:1: mei may export"] * 2
    assert len(meter.named("policy_loaded")) == 1
    assert asked[2] != good.digest, "the new bundle is checked, not the old one"
    failing.clear()
    assert await bundles.reload()
    assert bundles.current().digest == asked[2]


async def test_a_warning_of_a_check_keeps_nothing_out_and_is_shown(folder):
    bundles = live(folder, checks=[finds("no case covers this", severity=Severity.WARNING)])
    assert str(bundles.warnings[-1]) == "cases/x.yaml:1:1: warning: no case covers this"
    assert len(bundles.warnings) == len(bundles.current().warnings) + 1


async def test_a_check_that_breaks_is_a_bug_and_changes_nothing(folder):
    findings = [()]
    # The second time it is empty.
    bundles = live(folder, checks=[lambda _bundle, _reading: findings.pop()])
    good = bundles.current()
    assert not await bundles.reload()
    assert (bundles.current(), bundles.stale.why) == (good, LoadFault.INTERNAL)


# -- the bytes decide ---------------------------------------------------------------------


async def test_the_same_bytes_are_not_tried_again_unless_asked_for(folder):
    meter = CountingMeter()
    bundles = live(folder, meter)
    good = bundles.current()
    rules(folder).touch()
    assert await bundles.reload(if_changed=True)
    assert bundles.current() is good
    change(folder, WRONG_ROW)
    for _ in range(3):
        assert not await bundles.reload(if_changed=True)
    assert len(meter.named("policy_load_failed")) == 1
    assert not await bundles.reload()  # somebody asked
    assert len(meter.named("policy_load_failed")) == 2


async def test_taking_a_bad_change_back_makes_the_old_policy_the_one_in_force(folder):
    bundles = live(folder)
    good, text = bundles.current().digest, rules(folder).read_text()
    change(folder, WRONG_ROW)
    assert not await bundles.reload(if_changed=True)
    rules(folder).write_text(text)
    assert await bundles.reload(if_changed=True)
    assert bundles.current().digest == good


async def test_a_changed_case_is_a_change_although_the_policy_is_the_same(folder):
    asked = []
    bundles = live(folder, checks=[lambda bundle, _: asked.append(bundle.digest) or ()])
    cases = folder / "policies" / "cases"
    cases.mkdir(exist_ok=True)
    (cases / "more.yaml").write_text("[]\n")
    assert await bundles.reload(if_changed=True)
    assert len(asked) == 2
    assert asked[0] == asked[1]


# -- beside the loop, one at a time -------------------------------------------------------


class Gate:
    """A check that holds a load up until it is let on."""

    def __init__(self):
        self.held = self.loads = 0
        self.begun, self.on = threading.Event(), threading.Event()
        self.threads = set()

    def __call__(self, _bundle, _reading):
        self.loads += 1
        self.threads.add(threading.get_ident())
        if self.held:
            self.begun.set()
            assert self.on.wait(PATIENCE)
        return ()


async def held_up(gate, bundles):
    """A reload that is under way."""
    gate.held = True
    first = asyncio.ensure_future(bundles.reload())
    async with asyncio.timeout(PATIENCE):
        while not gate.begun.is_set():  # noqa: ASYNC110  # the loop turns; a thread sets it
            await asyncio.sleep(0)
    gate.held = False
    return first


async def test_the_loop_turns_while_a_policy_is_built_and_the_old_one_is_in_force(folder):
    gate = Gate()
    bundles = live(folder, checks=[gate])
    old = bundles.current()
    first = await held_up(gate, bundles)
    assert bundles.current() is old
    gate.on.set()
    assert await first
    assert bundles.current() is not old
    assert threading.get_ident() in gate.threads  # the first load, before anybody is served
    assert len(gate.threads) == 2


async def test_many_who_ask_during_a_build_get_one_more_for_all(folder):
    gate = Gate()
    bundles = live(folder, checks=[gate])
    first = await held_up(gate, bundles)
    change(folder)  # after the first has read
    more = [asyncio.ensure_future(bundles.reload(if_changed=n % 2 == 0)) for n in range(20)]
    await asyncio.sleep(0)
    gate.on.set()
    assert all(await asyncio.gather(first, *more))
    assert gate.loads == 3  # at the start, the held one, one more
    assert bundles.current().digest == live(folder).current().digest


@pytest.mark.parametrize("first_to_ask", ["hand", "watcher"])
async def test_who_asks_by_hand_is_not_put_off_by_a_watcher(folder, first_to_ask):
    gate = Gate()
    bundles = live(folder, checks=[gate])
    first = await held_up(gate, bundles)
    order = (False, True) if first_to_ask == "hand" else (True, False)
    both = [asyncio.ensure_future(bundles.reload(if_changed=changed)) for changed in order]
    await asyncio.sleep(0)
    gate.on.set()
    await asyncio.gather(first, *both)
    assert gate.loads == 3


async def test_while_a_policy_is_built_other_threads_have_their_turn_more_often(folder):
    intervals, before = [], sys.getswitchinterval()
    bundles = live(folder, checks=[lambda *_: intervals.append(sys.getswitchinterval()) or ()])
    await bundles.reload()
    assert intervals == pytest.approx([before, bundle_files.HOP_SECONDS])
    assert sys.getswitchinterval() == pytest.approx(before)


async def test_a_caller_that_goes_away_leaves_the_next_one_a_whole_policy(folder):
    gate = Gate()
    bundles = live(folder, checks=[gate])
    first = await held_up(gate, bundles)
    first.cancel()
    change(folder)
    next_one = asyncio.ensure_future(bundles.reload())
    await asyncio.sleep(0)
    gate.on.set()
    assert await next_one
    assert bundles.current().digest == live(folder).current().digest


async def test_a_disk_that_does_not_answer_is_a_failure_and_not_a_standstill(folder, monkeypatch):
    gate = Gate()
    bundles = live(folder, checks=[gate])
    good = bundles.current()
    monkeypatch.setattr(bundle_files, "LOAD_SECONDS", 0.05)
    gate.held = True
    try:
        assert not await bundles.reload()
    finally:
        gate.on.set()
    assert (bundles.current(), bundles.stale.why) == (good, LoadFault.UNREADABLE)
    assert "within 0.05 s" in bundles.stale.told()[0]
    monkeypatch.setattr(bundle_files, "LOAD_SECONDS", PATIENCE)
    assert await bundles.reload(if_changed=True), "the same bytes were never tried to the end"


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO, "gateway")
