"""The keys of another issuer over time: rotation, caps, a last good set."""

import asyncio
import json
from datetime import timedelta

import pytest

from gateway.backends import issuer_keys
from gateway.backends.issuer_keys import (
    LEAST_SECONDS,
    REFETCH_SECONDS,
    IssuerKeys,
)
from gateway.backends.jwks_fetch import Fault, FetchError, Published
from tests.oracles.foreign_world import ALL, HandClock, SigningKey, key_set

ISSUER = "https://a.example"
URL = "https://a.example/keys"
DAY = 86_400.0
OFTEN = 4


class Provider:
    """Where the keys are, as a test says."""

    algorithms = ALL

    def __init__(self, *keys):
        self.asked = 0
        self.holding = None
        self.often = asyncio.Event()
        self.publish(*keys)

    def publish(self, *keys):
        self.found = Published.read(key_set(*keys).encode(), ALL)

    def fail(self, fault=Fault.UNREACHABLE):
        self.found = FetchError(fault)

    async def fetch(self):
        self.asked += 1
        if self.asked == OFTEN:
            self.often.set()
        if self.holding is not None:
            await self.holding.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class World:
    def __init__(self, folder):
        self.folder = folder
        self.clock = HandClock()
        self.one, self.two = SigningKey("one"), SigningKey("two")
        self.provider = Provider(self.one)
        self.told = []

    def keys(self, url=URL, issuer=ISSUER):
        return IssuerKeys(
            issuer,
            url,
            self.provider,
            folder=self.folder,
            keep_seconds=DAY,
            clock=self.clock,
            tell=lambda issuer, found_at, *, ok: self.told.append((issuer, found_at, ok)),
        )

    async def started(self, **where):
        keys = self.keys(**where)
        await keys.start()
        await keys.stop()  # no look but those that a test asks for
        return keys


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "state")


def kids(table):
    return None if table is None else [key.kid for key in table.keys]


async def test_at_the_start_the_issuer_is_asked(world):
    keys = await world.started()
    assert kids(keys.current()) == ["one"]
    assert world.told == [(ISSUER, world.clock.now(), True)]


async def test_before_the_start_no_key_counts(world):
    assert world.keys().current() is None


async def test_a_new_key_comes_and_a_withdrawn_one_goes_at_the_next_look(world):
    keys = await world.started()
    world.provider.publish(world.two)
    world.clock.later(seconds=LEAST_SECONDS)
    assert kids(await keys.renewed()) == ["two"]


async def test_the_same_text_is_the_same_table(world):
    keys = await world.started()
    before = keys.current()
    world.clock.later(seconds=LEAST_SECONDS)
    assert await keys.renewed() is before
    assert world.provider.asked == 2


async def test_the_issuer_is_asked_once_a_minute_at_most(world):
    keys = await world.started()
    world.provider.publish(world.two)
    for _ in range(100):
        assert kids(await keys.renewed()) == ["one"]
    world.clock.later(seconds=LEAST_SECONDS - 0.001)
    await keys.renewed()
    assert world.provider.asked == 1
    world.clock.later(seconds=0.001)
    await keys.renewed()
    assert world.provider.asked == 2


async def test_all_who_wait_wait_for_the_same_look(world):
    keys = await world.started()
    world.clock.later(seconds=LEAST_SECONDS)
    world.provider.publish(world.two)
    world.provider.holding = asyncio.Event()
    asking = [asyncio.ensure_future(keys.renewed()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking[0].cancel()  # one gives up: the others do not
    world.provider.holding.set()
    assert [kids(table) for table in await asyncio.gather(*asking[1:])] == [["two"]] * 19
    assert world.provider.asked == 2


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_look_that_fails_never_replaces_a_good_set(world, fault):
    keys = await world.started()
    before = keys.current()
    world.provider.fail(fault)
    world.clock.later(seconds=LEAST_SECONDS)
    assert await keys.renewed() is before
    assert world.told[-1] == (ISSUER, world.clock.now() - timedelta(seconds=LEAST_SECONDS), False)


async def test_a_reader_that_breaks_replaces_nothing_either(world):
    keys = await world.started()
    world.provider.found = RecursionError("a bug of ours")
    world.clock.later(seconds=LEAST_SECONDS)
    assert kids(await keys.renewed()) == ["one"]


async def test_a_set_that_is_empty_withdraws_every_key(world):
    keys = await world.started()
    world.provider.publish()
    world.clock.later(seconds=LEAST_SECONDS)
    assert await keys.renewed() is None
    assert world.told[-1] == (ISSUER, None, True)


async def test_the_last_good_set_ends_after_its_time(world):
    keys = await world.started()
    world.provider.fail()
    world.clock.later(seconds=DAY - 1)
    assert kids(await keys.renewed()) == ["one"]
    world.clock.later(seconds=1)
    assert keys.current() is None
    world.provider.publish(world.one)
    world.clock.later(seconds=LEAST_SECONDS)
    assert kids(await keys.renewed()) == ["one"]


@pytest.mark.parametrize(("wall", "running"), [(DAY, 0), (-DAY, DAY)])
async def test_the_clock_that_says_more_says_how_old_a_set_is(world, wall, running):
    keys = await world.started()
    world.clock.at += timedelta(seconds=wall)
    world.clock.seconds += running
    assert keys.current() is None


async def test_a_start_without_the_issuer_goes_by_the_last_good_set(world):
    await world.started()
    world.provider.fail()
    world.clock.later(hours=3)
    again = await world.started()
    assert kids(again.current()) == ["one"]
    world.clock.later(hours=21)
    assert again.current() is None  # its age counts from the look, not from the start


async def test_a_start_without_the_issuer_and_without_a_set_refuses_and_says_so(world):
    world.provider.fail()
    keys = await world.started()
    assert keys.current() is None
    assert world.told == [(ISSUER, None, False)]


async def test_the_set_on_disk_is_of_its_address_alone(world):
    await world.started()
    world.provider.fail()
    assert (await world.started(url=f"{URL}/other")).current() is None
    assert (await world.started(issuer="https://b.example")).current() is None


async def test_a_set_on_disk_from_the_future_does_not_count(world):
    await world.started()
    world.provider.fail()
    world.clock.at -= timedelta(seconds=1)
    assert (await world.started()).current() is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:0],
        lambda data: data[:-10],
        lambda data: data.replace(b'"text":"', b'"text":"AAAA'),
        lambda data: json.dumps(json.loads(data) | {"found_at": True}).encode(),
        lambda data: json.dumps(json.loads(data) | {"found_at": 10**30}).encode(),
        lambda data: json.dumps(json.loads(data) | {"found_at": 10**18}).encode(),
        lambda data: data[:-1] + b" " * 2**20 + data[-1:],
    ],
)
async def test_a_spoilt_file_is_no_set_and_stops_nothing(world, spoil):
    await world.started()
    (file,) = world.folder.iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    world.provider.fail()
    assert (await world.started()).current() is None


async def test_a_disk_that_takes_nothing_stops_nothing(world):
    world.folder.write_text("not a folder")
    assert kids((await world.started()).current()) == ["one"]


async def test_nothing_half_written_is_left_behind(world, monkeypatch):
    monkeypatch.setattr(issuer_keys.os, "fsync", broken)
    assert kids((await world.started()).current()) == ["one"]
    assert list(world.folder.iterdir()) == []


def broken(descriptor):
    raise OSError("no space left")


async def test_pauses_are_never_longer_than_said_nor_too_short_to_look(world):
    keys = await world.started()
    pauses = {keys.pause() for _ in range(200)}
    assert len(pauses) > 100
    assert min(pauses) >= REFETCH_SECONDS * 0.8
    assert max(pauses) <= REFETCH_SECONDS
    world.provider.fail()
    world.clock.later(seconds=LEAST_SECONDS)
    await keys.renewed()
    sooner = {keys.pause() for _ in range(200)}
    assert min(sooner) >= LEAST_SECONDS
    assert max(sooner) <= LEAST_SECONDS * 1.2


async def test_it_goes_on_looking_until_it_is_stopped(world, monkeypatch):
    monkeypatch.setattr(issuer_keys, "LEAST_SECONDS", 0)
    monkeypatch.setattr(issuer_keys, "REFETCH_SECONDS", 0)
    keys = world.keys()
    await keys.start()
    async with asyncio.timeout(60):
        await world.provider.often.wait()
    await keys.stop()
    asked = world.provider.asked
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.provider.asked == asked
