"""A changed file is noticed, however it changed; real files, real notifications."""

import asyncio
import json
import logging
import os
import shutil
from contextlib import asynccontextmanager

import pytest

from gateway.backends import watch
from gateway.backends.bundle_files import LiveBundle
from gateway.backends.watch import PolicyWatch
from gateway.cli.init import write_starter
from gateway.events import Event
from gateway.settings import parse_settings
from tests.oracles.memory_world import CountingMeter, SetClock

CONFIG = """\
upstream: {{url: "http://crm.example", adapter: {adapter}}}
policies: {policies}
tokens: {{secret_file: secrets/token-secret}}
apps: [phone, backoffice]
"""
PATIENCE = 30


class Salon:
    """A folder that is watched, and what became of it."""

    def __init__(self, base, policies="policies", adapter="adapters/salon-demo.yaml"):
        self.base = base
        self.policies = base / policies
        self.rules = self.policies / "salon_rules.csv"
        self.meter = CountingMeter()
        self.settings = base / "gateway.yaml"
        self.settings.write_text(CONFIG.format(policies=policies, adapter=adapter))
        self.bundles = LiveBundle(
            parse_settings(self.settings.read_text(), "gateway.yaml", {}, str),
            base,
            clock=SetClock("2026-11-25T12:00+09:00"),
            meter=self.meter,
        )

    @property
    def digest(self):
        return self.bundles.current().digest

    @property
    def loads(self):
        return len(self.meter.named("policy_loaded")) + len(self.meter.named("policy_load_failed"))

    @asynccontextmanager
    async def watched(self, **options):
        watching = PolicyWatch(self.bundles, self.settings, **options)
        watching.start()
        try:
            yield
        finally:
            await watching.stop()
            self.bundles.close()
            assert watching._task.done()

    async def until(self, claim):
        """Wait until it is so; only a guard against waiting for ever looks at the clock."""
        async with asyncio.timeout(PATIENCE):
            while not claim():  # noqa: ASYNC110  # some claims are about files
                await asyncio.sleep(0.01)

    async def until_changed(self, before):
        await self.until(lambda: self.digest != before and self.bundles.stale is None)
        return self.digest


@pytest.fixture
def salon(tmp_path):
    write_starter(tmp_path)
    return Salon(tmp_path)


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, "gateway")
    return lambda: [json.loads(record.getMessage())["event"] for record in caplog.records]


@pytest.fixture(autouse=True)
def _only_hints(monkeypatch):
    """No look without a hint, so that each test shows that there was one."""
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 100 * PATIENCE)


def replace(file, text):
    """As editors do: write beside, then rename over."""
    beside = file.with_name(file.name + "~")
    beside.write_text(text)
    beside.rename(file)


async def test_by_polling_too_and_twice_in_a_second(salon, monkeypatch):
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.05)  # its own clock has whole seconds
    text = salon.rules.read_text()
    async with salon.watched(force_polling=True):
        digest = salon.digest
        for number in range(4):
            replace(salon.rules, f"{text}# {number}\n")
            digest = await salon.until_changed(digest)


async def test_a_file_written_in_place_or_renamed_over_is_noticed_again_and_again(salon):
    text = salon.rules.read_text()
    async with salon.watched():
        digest = salon.digest
        for number in range(2):
            salon.rules.write_text(f"{text}# {number}\n")
            digest = await salon.until_changed(digest)
            replace(salon.rules, f"{text}# renamed {number}\n")
            digest = await salon.until_changed(digest)


@pytest.mark.parametrize(
    "name", ["policies/staff.yaml", "policies/hours.yaml", "adapters/salon-demo.yaml"]
)
async def test_every_source_is_watched(salon, name):
    async with salon.watched():
        file = salon.base / name
        replace(file, file.read_text() + "# more\n")
        await salon.until_changed(salon.digest)


async def test_a_half_written_file_is_followed_by_the_whole_one(salon):
    text = salon.rules.read_text()
    async with salon.watched():
        digest = salon.digest
        salon.rules.write_text(text + "p, role:stylist, ")
        await salon.until(lambda: salon.bundles.stale)
        assert salon.digest == digest
        with salon.rules.open("a") as file:
            file.write("client, read, , allow\n")
        await salon.until_changed(digest)


async def test_many_writes_are_few_reloads_and_a_touch_is_none(salon):
    text = salon.rules.read_text()
    async with salon.watched():
        for number in range(200):
            replace(salon.rules, f"{text}# {number}\n")
        await salon.until_changed(salon.digest)
        await salon.until(lambda: b"# 199\n" in salon.bundles.folder.read().sources.rules.data)
        loads = salon.loads
        assert loads < 20
        for _ in range(3):
            salon.rules.touch()
            os.utime(salon.policies / "staff.yaml")
            await salon.bundles.reload(if_changed=True)
        assert salon.loads <= loads + 1  # the last of the writes, if it was not in yet


async def test_a_folder_that_is_taken_away_and_comes_back(salon):
    async with salon.watched():
        digest = salon.digest
        for _ in range(2):
            salon.policies.rename(salon.base / "away")
            await salon.until(lambda: salon.bundles.stale)
            assert salon.digest == digest
            (salon.base / "away").rename(salon.policies)
            await salon.until(lambda: not salon.bundles.stale)
        shutil.copytree(salon.policies, salon.base / "copy")
        shutil.rmtree(salon.policies)
        await salon.until(lambda: salon.bundles.stale)
        (salon.base / "copy").rename(salon.policies)
        await salon.until(lambda: not salon.bundles.stale)
        replace(salon.rules, salon.rules.read_text() + "# and is watched again\n")
        await salon.until_changed(digest)


async def test_a_case_counts_also_in_a_folder_that_is_new(salon):
    shutil.rmtree(salon.policies / "cases", ignore_errors=True)
    await salon.bundles.reload()
    async with salon.watched():
        for name in ("cases/first.yaml", "cases/first.yaml", "cases/deeper/second.yaml"):
            loads = salon.loads
            file = salon.policies / name
            file.parent.mkdir(exist_ok=True)
            with file.open("a") as opened:
                opened.write("# a case\n")
            await salon.until(lambda loads=loads: salon.loads > loads)


async def test_a_config_map_swaps_its_link(tmp_path):
    write_starter(tmp_path)
    mount = tmp_path / "mount"
    mount.mkdir()

    def publish(name, note):
        """As the kubelet does: a folder, a link to it under another name, a rename."""
        folder = mount / name
        shutil.copytree(tmp_path / "policies", folder)
        with (folder / "salon_rules.csv").open("a") as rules:
            rules.write(f"# {note}\n")
        (mount / "..data_tmp").symlink_to(name)
        (mount / "..data_tmp").rename(mount / "..data")

    publish("..2026_11_21", "first")
    for file in (tmp_path / "policies").iterdir():
        (mount / file.name).symlink_to(f"..data/{file.name}")
    salon = Salon(tmp_path, policies="mount")
    async with salon.watched():
        digest = salon.digest
        for number in range(3):
            publish(f"..2026_11_22_{number}", number)
            digest = await salon.until_changed(digest)
        shutil.rmtree(mount / "..2026_11_21")


async def test_a_linked_folder_is_swapped_as_a_whole(tmp_path):
    write_starter(tmp_path)
    (tmp_path / "policies").rename(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    (tmp_path / "policies").symlink_to("one")
    salon = Salon(tmp_path)
    async with salon.watched():
        rules = tmp_path / "two" / "salon_rules.csv"
        rules.write_text(rules.read_text() + "# two\n")
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "policies")
        digest = await salon.until_changed(salon.digest)
        rules.write_text(rules.read_text() + "# the new folder is watched\n")
        await salon.until_changed(digest)


async def test_noise_in_the_same_folder_neither_reloads_nor_deafens(tmp_path):
    write_starter(tmp_path)
    for file in (tmp_path / "policies").iterdir():
        file.rename(tmp_path / file.name)
    salon = Salon(tmp_path, policies=".")
    done = asyncio.Event()

    async def noise():
        while not done.is_set():
            (tmp_path / "gateway.log").write_text("x")
            (tmp_path / "state.sqlite3").write_text("x")
            await asyncio.sleep(0.01)

    async with salon.watched(), asyncio.TaskGroup() as tasks:
        tasks.create_task(noise())
        loads, digest = salon.loads, salon.digest
        replace(salon.rules, salon.rules.read_text() + "# heard\n")
        await salon.until_changed(digest)
        done.set()
        assert salon.loads == loads + 1


async def test_a_change_of_the_settings_is_said_once_and_changes_nothing(salon, log):
    async with salon.watched():
        loads = salon.loads
        replace(salon.settings, salon.settings.read_text() + "# changed\n")
        await salon.until(lambda: Event.SETTINGS_CHANGED in log())
        replace(salon.rules, salon.rules.read_text() + "# and a rule\n")
        await salon.until_changed(salon.digest)
        assert salon.loads == loads + 1
        assert log().count(Event.SETTINGS_CHANGED) == 1


async def test_without_notifications_the_files_are_looked_at_all_the_same(salon, log, monkeypatch):
    real, asked = watch.awatch, []

    def limited(*paths, force_polling, **options):
        asked.append(force_polling)
        if not force_polling:
            raise OSError(28, "OS file watch limit reached")
        return real(*paths, force_polling=force_polling, **options)

    monkeypatch.setattr(watch, "awatch", limited)
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.05)
    async with salon.watched():
        await salon.until(lambda: True in asked)
        replace(salon.rules, salon.rules.read_text() + "# seen\n")
        await salon.until_changed(salon.digest)
    assert asked[0] is None
    assert log().count(Event.POLICY_WATCH_FAILED) == 1


async def test_where_nothing_at_all_tells_the_bytes_are_compared_now_and_then(salon, monkeypatch):
    def broken(*_paths, **_options):
        raise RuntimeError("no watcher of any kind")

    monkeypatch.setattr(watch, "awatch", broken)
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.05)
    async with salon.watched():
        replace(salon.rules, salon.rules.read_text() + "# seen\n")
        await salon.until_changed(salon.digest)


async def test_it_stops_while_nothing_happens_and_before_it_began(salon):
    watching = PolicyWatch(salon.bundles, salon.settings)
    await watching.stop()
    async with salon.watched():
        pass
