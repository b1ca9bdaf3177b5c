"""Redis forgets, in every way it can: no lock becomes "none", and a repair brings all back.

Machines are ledgers here: each has its own, and all share one real Redis. No test measures time;
each call that must end stands under a guard of a few seconds.
"""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
import redis

from gateway.backends import redis_documents
from gateway.backends.document_map import LocalDocuments
from gateway.backends.redis_documents import PREFIX, RedisDocuments
from gateway.backends.redis_memory import MemoryLostError
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import Kind
from tests.oracles.redis_process import RedisProcess

NOON = from_milliseconds(1_795_000_000_000)
GUARD_SECONDS = 5
LOCK, ACCOUNT = Kind.LOCK, Kind.ACCOUNT
MEI, KEN = "staff:mei", "staff:ken"


async def assert_refused(store, error=StateUnavailableError):
    for call in (
        lambda: store.get(LOCK, MEI, NOON),
        lambda: store.get(ACCOUNT, KEN, NOON),
        lambda: store.all(LOCK, NOON),
        lambda: store.all(ACCOUNT, NOON),
        lambda: store.put(LOCK, KEN, b"", replaces=None, now=NOON),
        lambda: store.remove(LOCK, MEI, replaces=1, now=NOON),
        store.version,
        store.check,
    ):
        async with asyncio.timeout(GUARD_SECONDS):
            with pytest.raises(error):
                await call()


@pytest.fixture
def server(tmp_path):
    with RedisProcess(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as started:
        yield started


@pytest.fixture
async def machine(server, tmp_path):
    """Gateways: each call is one more, on the machine of that name."""
    opened = []

    def a_gateway(name):
        ledger = tmp_path / name / "ledger.sqlite3"
        opened.append(RedisDocuments(parse_redis(server.url()), ledger=ledger))
        return opened[-1]

    yield a_gateway
    for one in opened:
        await one.close()


@pytest.fixture
async def tokyo(machine):
    return machine("tokyo")


@pytest.fixture
async def kyiv(machine):
    return machine("kyiv")


def admin(server):
    return closing(redis.Redis(port=server.port))


async def lock(store, key=MEI, value=b"locked", replaces=None):
    kept = await store.put(LOCK, key, value, replaces=replaces, now=NOON)
    assert kept is not None
    return kept


async def test_a_flushed_redis_is_refused_until_it_is_repaired_and_no_lock_is_gone(
    server, tokyo, kyiv
):
    kept = await lock(tokyo)
    await tokyo.put(ACCOUNT, MEI, b"account", replaces=None, now=NOON)
    assert await kyiv.get(LOCK, MEI, NOON) == kept
    before = await kyiv.version()
    with admin(server) as control:
        control.flushall()
    await assert_refused(tokyo, MemoryLostError)
    await assert_refused(kyiv, MemoryLostError)
    repair = await tokyo.repair()
    assert list(repair.entries) == [MEI]
    for store in (tokyo, kyiv):
        assert await store.get(LOCK, MEI, NOON) == kept
        assert await store.get(ACCOUNT, MEI, NOON) is None
        assert await store.version() != before
    assert await kyiv.repair() is None
    await lock(kyiv, KEN)
    assert set(await tokyo.all(LOCK, NOON)) == {MEI, KEN}


async def test_a_restart_of_the_gateway_does_not_forgive_a_flush(server, machine, tokyo):
    await lock(tokyo)
    await tokyo.close()
    with admin(server) as control:
        control.flushall()
    await assert_refused(machine("tokyo"), MemoryLostError)


async def test_a_memory_that_a_new_machine_began_is_refused_by_those_who_know_another(
    server, tokyo, kyiv
):
    kept = await lock(tokyo)
    with admin(server) as control:
        control.flushall()
    await lock(kyiv, KEN)  # it knows of nothing else
    await assert_refused(tokyo, MemoryLostError)
    await tokyo.repair()
    for store in (tokyo, kyiv):
        assert await store.get(LOCK, MEI, NOON) == kept
        assert set(await store.all(LOCK, NOON)) == {MEI, KEN}


async def test_a_lock_that_only_one_machine_knew_is_missed_there_and_repaired_there(
    server, tokyo, kyiv
):
    await lock(tokyo)
    await kyiv.check()
    only = await lock(tokyo, KEN)  # and kyiv has not asked since
    with admin(server) as control:
        control.flushall()
    await kyiv.repair()
    assert set(await kyiv.all(LOCK, NOON)) == {MEI}
    await assert_refused(tokyo, MemoryLostError)
    await tokyo.repair()
    for store in (tokyo, kyiv):
        assert await store.get(LOCK, KEN, NOON) == only


async def test_two_machines_that_repair_at_once_lose_nothing(server, tokyo, kyiv):
    await lock(tokyo)
    await kyiv.check()
    await lock(tokyo, KEN)
    with admin(server) as control:
        control.flushall()
    await asyncio.gather(tokyo.repair(), kyiv.repair())
    await tokyo.repair()
    for store in (tokyo, kyiv):
        assert set(await store.all(LOCK, NOON)) == {MEI, KEN}


async def test_every_key_of_ours_that_is_gone_is_missed(server, tokyo, kyiv):
    for kind in Kind:
        await tokyo.put(kind, MEI, b"1", replaces=None, now=NOON)
        await tokyo.put(
            kind, KEN, b"1", replaces=None, now=NOON, expires=NOON + timedelta(hours=1)
        )
    await kyiv.check()
    with admin(server) as control:
        names = [key for key in control.keys("*") if b"going" not in key]
        assert len(names) == 1 + len(Kind)
        for name in names:
            dump = control.dump(name)
            control.delete(name)
            await assert_refused(tokyo, MemoryLostError)
            await assert_refused(kyiv, MemoryLostError)
            control.restore(name, 0, dump)
            assert (await tokyo.get(LOCK, MEI, NOON)).value == b"1"  # back by itself
    await kyiv.check()


async def test_a_lock_that_was_deleted_by_hand_is_missed_with_the_next_lock(server, tokyo):
    await lock(tokyo)
    with admin(server) as control:
        control.hdel(f"{PREFIX}documents:lock", MEI)
        with pytest.raises(MemoryLostError):
            await tokyo.put(LOCK, KEN, b"", replaces=None, now=NOON)
    await assert_refused(tokyo, MemoryLostError)
    assert list((await tokyo.repair()).entries) == [MEI]
    assert set(await tokyo.all(LOCK, NOON)) == {MEI, KEN}


@pytest.fixture
def saving(tmp_path):
    (tmp_path / "rdb").mkdir()
    with RedisProcess(tmp_path / "rdb") as started:
        yield started


@pytest.mark.parametrize("goes_on", [0, 1, 5])
@pytest.mark.parametrize("lost", [LOCK, ACCOUNT])
async def test_a_server_that_comes_back_with_an_older_copy_is_refused(
    saving, tmp_path, lost, goes_on
):
    stores = [
        RedisDocuments(parse_redis(saving.url()), ledger=tmp_path / f"{number}.sqlite3")
        for number in range(2)
    ]
    knows, knew = stores
    await lock(knows)
    await knew.check()
    with admin(saving) as control:
        control.save()
    await knows.put(lost, KEN, b"lost", replaces=None, now=NOON)
    saving.kill()
    saving.start()  # with what was saved
    for number in range(goes_on):  # and somebody believes it
        await knew.put(ACCOUNT, f"k{number}", b"", replaces=None, now=NOON)
    await assert_refused(knows, MemoryLostError)
    await knows.repair()
    for store in stores:
        assert (await store.get(LOCK, MEI, NOON)).value == b"locked"
        assert (await store.get(lost, KEN, NOON) is not None) == (lost is LOCK)
        await store.close()


async def test_an_older_copy_is_noticed_after_a_restart_of_the_gateway_if_a_lock_is_lost(
    saving, tmp_path
):
    address, ledger = parse_redis(saving.url()), tmp_path / "ledger.sqlite3"
    store = RedisDocuments(address, ledger=ledger)
    await lock(store)
    with admin(saving) as control:
        control.save()
    await lock(store, KEN)
    await store.close()
    other = RedisDocuments(address, ledger=tmp_path / "other.sqlite3")
    await other.check()
    saving.kill()
    saving.start()
    await other.close()
    for number in range(3):
        other = RedisDocuments(address, ledger=tmp_path / f"fresh-{number}.sqlite3")
        await other.put(ACCOUNT, f"k{number}", b"", replaces=None, now=NOON)
        await other.close()
    store = RedisDocuments(address, ledger=ledger)
    await assert_refused(store, MemoryLostError)
    await store.close()


async def test_a_server_that_kept_everything_goes_on_after_its_restart(server, tokyo, kyiv):
    kept = await lock(tokyo)
    assert await kyiv.get(LOCK, MEI, NOON) == kept
    server.kill()
    await assert_refused(tokyo)
    await assert_refused(kyiv)
    server.start()
    for store in (tokyo, kyiv):
        assert await store.get(LOCK, MEI, NOON) == kept
        assert await store.repair() is None


async def test_a_frozen_server_is_refused_and_back_when_it_thaws(server, tokyo):
    kept = await lock(tokyo)
    server.freeze()
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            answers = await asyncio.gather(
                *(tokyo.get(LOCK, MEI, NOON) for _ in range(200)), return_exceptions=True
            )
        assert all(isinstance(answer, StateUnavailableError) for answer in answers)
    finally:
        server.thaw()
    assert await tokyo.get(LOCK, MEI, NOON) == kept
    assert await tokyo.get(LOCK, "staff:nobody", NOON) is None


WORD = b"0" * 32
NOT_OURS = [
    b"",
    b"{}",
    b"1",
    b"\xff" * 40,
    b"1 - %s = lock staff:mei" % WORD,  # no end of its line
    b"0 - %s = lock staff:mei\n{}" % WORD,
    b"-1 - %s = lock staff:mei\n{}" % WORD,
    b"1 x %s = lock staff:mei\n{}" % WORD,
    b"1 - 00 = lock staff:mei\n{}",
    b"1 - %s ? lock staff:mei\n{}" % WORD,
    b"1 - %s = account staff:mei\n{}" % WORD,  # of another kind
    b"1 - %s = lock staff:ken\n{}" % WORD,  # someone else's
]
NO_DOCUMENT = [
    b"1 - %s x lock staff:mei\n" % WORD,  # removed, nobody knows when
    b"1 5 %s x lock staff:mei\n{}" % WORD,  # removed, and there
    b"1 - %s = lock staff:mei\n%s" % (WORD, b"x" * 20_000),
    b"1 999999999999999 %s = lock staff:mei\n{}" % WORD,
]


@pytest.mark.parametrize("text", NOT_OURS + NO_DOCUMENT)
async def test_garbage_under_a_lock_is_refused_and_never_none(server, machine, tokyo, text):
    await lock(tokyo)
    other = await lock(tokyo, KEN)
    fresh = machine("fresh")
    with admin(server) as control:
        control.hset(f"{PREFIX}documents:lock", MEI, text)
    for store in (tokyo, fresh):
        with pytest.raises(StateUnavailableError):
            await store.get(LOCK, MEI, NOON)
        with pytest.raises(StateUnavailableError):
            await store.all(LOCK, NOON)
        assert await store.get(LOCK, KEN, NOON) == other


@pytest.mark.parametrize("text", NOT_OURS)
async def test_what_is_not_ours_is_not_written_over(server, tokyo, text):
    await lock(tokyo)
    with admin(server) as control:
        control.hset(f"{PREFIX}documents:lock", MEI, text)
        for replaces in (None, 1):
            with pytest.raises(StateUnavailableError):
                await tokyo.put(LOCK, MEI, b"", replaces=replaces, now=NOON)
        assert control.hget(f"{PREFIX}documents:lock", MEI) == text


async def test_garbage_under_a_lock_is_repaired_from_a_ledger_that_knows_it(
    server, machine, tokyo
):
    kept = await lock(tokyo)
    with admin(server) as control:
        control.hset(f"{PREFIX}documents:lock", MEI, b"garbage")
    fresh = machine("fresh")
    await fresh.check()
    await lock(fresh, KEN)  # so that tokyo looks
    await assert_refused(tokyo)
    with pytest.raises(MemoryLostError):
        await tokyo.check()
    await tokyo.repair()
    for store in (tokyo, fresh):
        assert await store.get(LOCK, MEI, NOON) == kept


@pytest.mark.parametrize("field", ["generation", "sequence", "word", "noted"])
@pytest.mark.parametrize("value", [b"", b"-1", b"nan", b"1e3", b"\xff", None])
async def test_a_memory_that_does_not_read_is_refused_and_repaired(server, tokyo, field, value):
    kept = await lock(tokyo)
    with admin(server) as control:
        name = f"{PREFIX}documents"
        if value is None:
            control.hdel(name, field)
        else:
            control.hset(name, field, value)
    if field != "word":  # of what was seen, the word is read where it cannot change
        await assert_refused(tokyo)
    await tokyo.repair()
    assert await tokyo.get(LOCK, MEI, NOON) == kept


async def test_a_key_of_ours_that_is_something_else_is_refused_and_repaired(server, tokyo):
    kept = await lock(tokyo)
    with admin(server) as control:
        for name in (f"{PREFIX}documents", f"{PREFIX}documents:lock"):
            control.delete(name)
            control.set(name, "mine")
            await assert_refused(tokyo, MemoryLostError)
            await tokyo.repair()
            assert await tokyo.get(LOCK, MEI, NOON) == kept


async def test_a_full_redis_refuses_writes_loudly_and_still_answers_reads(server, tokyo):
    kept = await lock(tokyo)
    with admin(server) as control:
        control.config_set("maxmemory", "1")
        with pytest.raises(StateUnavailableError):
            await lock(tokyo, KEN)
        assert await tokyo.get(LOCK, MEI, NOON) == kept
        assert await tokyo.get(LOCK, KEN, NOON) is None
        control.config_set("maxmemory", "0")
    await lock(tokyo, KEN)


async def test_a_write_that_redis_carried_out_twice_is_one_write(tokyo, monkeypatch):
    monkeypatch.setattr(redis_documents, "uuid4", lambda: UUID(int=7))
    for kind in (LOCK, ACCOUNT):
        first = await tokyo.put(kind, MEI, b"1", replaces=None, now=NOON)
        assert await tokyo.put(kind, MEI, b"1", replaces=None, now=NOON) == first
    monkeypatch.setattr(redis_documents, "uuid4", lambda: UUID(int=8))
    for kind in (LOCK, ACCOUNT):
        assert await tokyo.remove(kind, MEI, replaces=1, now=NOON)
        assert await tokyo.remove(kind, MEI, replaces=1, now=NOON)
        assert await tokyo.get(kind, MEI, NOON) is None


async def test_a_lock_is_in_the_ledger_before_it_is_told(tmp_path, tokyo, kyiv):
    def noted(name):
        with closing(sqlite3.connect(tmp_path / name / "ledger.sqlite3")) as ledger:
            return dict(ledger.execute("SELECT key, text FROM lock").fetchall())

    await lock(tokyo)
    assert noted("tokyo")[MEI].endswith(b"\nlocked")
    await kyiv.get(LOCK, MEI, NOON)
    assert noted("kyiv") == noted("tokyo")
    await tokyo.remove(LOCK, MEI, replaces=1, now=NOON)
    assert await kyiv.get(LOCK, MEI, NOON) is None
    assert noted("kyiv") == noted("tokyo")
    assert b" x lock " in noted("kyiv")[MEI]


async def test_a_ledger_that_cannot_be_read_is_refused(server, machine, tmp_path, tokyo):
    await lock(tokyo)
    await tokyo.close()
    for file in (tmp_path / "tokyo").iterdir():
        file.write_bytes(b"not a database" * 99)
    await assert_refused(machine("tokyo"))


async def test_a_machine_with_an_older_ledger_takes_what_was_said_since(
    machine, tmp_path, tokyo, kyiv
):
    await lock(tokyo)
    await kyiv.check()
    await kyiv.close()
    shutil.copytree(tmp_path / "kyiv", tmp_path / "older")
    await tokyo.remove(LOCK, MEI, replaces=1, now=NOON)
    for number in count():
        if number == 1100:  # more than the words that Redis keeps
            break
        await tokyo.put(ACCOUNT, f"k{number}", b"", replaces=None, now=NOON)
    older = machine("older")
    assert await older.get(LOCK, MEI, NOON) is None


async def test_what_is_kept_at_hand_is_not_confirmed_by_a_redis_that_forgot(server, tokyo):
    await lock(tokyo)
    clock = [0.0]
    locks = LocalDocuments(tokyo, LOCK, bytes, monotonic=lambda: clock[0], now=lambda: NOON)
    await locks.poll()
    assert await locks.get(MEI) == b"locked"
    with admin(server) as control:
        control.flushall()
    await locks.poll()
    clock[0] += 1
    await locks.poll()
    for key in (MEI, KEN):
        with pytest.raises(MemoryLostError):
            await locks.get(key)
    await tokyo.repair()
    await locks.poll()
    assert await locks.get(MEI) == b"locked"


async def test_a_store_that_is_closed_while_it_looks_is_unavailable(server, tokyo):
    server.freeze()
    try:
        asking = asyncio.ensure_future(tokyo.get(LOCK, MEI, NOON))
        await asyncio.sleep(0.01)
        await tokyo.close()
        with pytest.raises(StateUnavailableError):
            await asking
    finally:
        server.thaw()
