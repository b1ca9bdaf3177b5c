"""The ledger of one machine: it never goes back, whoever writes it, and forgets no lock."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.backends.lock_ledger import LockLedger
from gateway.backends.redis_entry import entry_tail, parse_entry
from gateway.backends.redis_memory import Remembered, View
from gateway.domain.errors import StateUnavailableError
from gateway.ports import Kind

VIEW = View(generation="1" * 32, sequence=7, word="a" * 32, noted="7:" + "a" * 32)
NEXT = replace(VIEW, sequence=8, word="b" * 32)


def a_lock(key, revision=1, value=b"{}"):
    tail = entry_tail(Kind.LOCK, key, value, gone_at=None, word="a" * 32)
    return parse_entry(b"%d %s" % (revision, tail), Kind.LOCK, key)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
async def ledger(path):
    ledger = LockLedger(path)
    yield ledger
    await ledger.close()


async def test_what_is_noted_is_remembered_by_every_process(path, ledger):
    assert await ledger.read() is None
    assert await ledger.note(None, VIEW, [("mei", a_lock("mei"))])
    other = LockLedger(path)
    assert await other.read() == Remembered(view=VIEW, locks={"mei": a_lock("mei")})
    await other.close()


async def test_a_lock_that_is_not_mentioned_stays(ledger):
    await ledger.note(None, VIEW, [("mei", a_lock("mei"))])
    await ledger.note(VIEW, NEXT, [("ken", a_lock("ken"))])
    await ledger.note(NEXT, VIEW, [("ken", a_lock("ken", 2))])
    assert (await ledger.read()).locks == {"mei": a_lock("mei"), "ken": a_lock("ken", 2)}


async def test_who_was_slower_writes_nothing(ledger):
    await ledger.note(None, VIEW, [])
    await ledger.note(VIEW, NEXT, [("mei", a_lock("mei", 2))])
    for before in (None, VIEW):
        assert not await ledger.note(before, VIEW, [("mei", a_lock("mei", 1))])
    assert await ledger.read() == Remembered(view=NEXT, locks={"mei": a_lock("mei", 2)})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE lock SET text = 'text'",
        "UPDATE lock SET text = x'00'",
        "UPDATE lock SET key = 'ken'",
        "UPDATE seen SET word = x'00'",
        "DELETE FROM seen",
    ],
)
async def test_what_does_not_read_is_refused_not_guessed(path, ledger, change):
    await ledger.note(None, VIEW, [("mei", a_lock("mei"))])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(change)
    with pytest.raises(StateUnavailableError):
        await ledger.read()
