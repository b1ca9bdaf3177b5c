"""`salon-gateway state`: what is in the store, what it lost, and what a repair did."""

import asyncio
from contextlib import closing

import pytest
import redis

from gateway.app import base_of, document_store, load_settings
from gateway.backends.clock import SystemClock
from gateway.backends.redis_documents import PREFIX
from gateway.ports import Kind
from tests.oracles.redis_process import RedisProcess


@pytest.fixture
def server(tmp_path_factory):
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
def on_redis(line, server, monkeypatch):
    monkeypatch.setenv("SALON_GATEWAY_STATE__URL", server.url())
    return line


def lock(line, *keys):
    async def write():
        config = str(line.config)
        store = document_store(load_settings(config), base_of(config))
        now = SystemClock().now()
        for key in keys:
            assert await store.put(Kind.LOCK, key, b"{}", replaces=None, now=now)
        await store.close()

    asyncio.run(write())


def control(server):
    return closing(redis.Redis(port=server.port))


def test_check_counts_what_is_there(line):
    lock(line, "staff:mei", "staff:ken")
    code, out, err = line("state", "check")
    assert (code, err) == (0, "")
    assert out.startswith("the state store answers")
    assert ["lock", "2"] in [row.split() for row in out.splitlines()]
    code, counts = line.data("state", "check")
    assert (code, counts["documents"]["lock"], counts["documents"]["account"]) == (0, 2, 0)


def test_with_a_file_there_is_nothing_to_repair(line):
    assert line("state", "repair") == (0, "nothing was lost, and nothing was done\n", "")
    assert line.data("state", "repair") == (0, {"repaired": False})


def test_a_flushed_redis_is_named_and_repaired(on_redis, server):
    lock(on_redis, "staff:mei")
    assert on_redis("state", "check")[0] == 0
    with control(server) as admin:
        admin.flushall()
    code, out, err = on_redis("state", "check")
    assert (code, out) == (1, "")
    assert "Redis has lost its memory; run `salon-gateway state repair`" in err
    code, out, err = on_redis("state", "repair")
    assert (code, err) == (0, "")
    assert "locks written back from this machine's ledger: 1\n" in out
    assert on_redis("state", "repair")[1] == "nothing was lost, and nothing was done\n"
    assert on_redis.data("state", "check")[1]["documents"]["lock"] == 1


def test_a_repair_names_what_somebody_has_to_look_at(on_redis, server):
    lock(on_redis, "staff:mei", "staff:ken")
    with control(server) as admin:
        text = admin.hget(f"{PREFIX}documents:lock", "staff:mei")
        admin.hset(f"{PREFIX}documents:lock", "staff:mei", text + b" ")
        admin.hset(f"{PREFIX}documents:lock", "staff:aya", b"garbage")
        admin.hset(f"{PREFIX}documents", "sequence", "0")
    _, repaired = on_redis.data("state", "repair")
    assert repaired == {
        "repaired": True,
        "written_back": ["staff:mei"],
        "disputed": ["staff:mei"],
        "unreadable": ["staff:aya"],
    }


def test_a_state_that_is_away_is_said_so_without_a_secret(line, monkeypatch):
    monkeypatch.setenv("SALON_GATEWAY_STATE__URL", "redis://someone:sesame@127.0.0.1:1/0")
    for verb in ("check", "repair"):
        code, out, err = line("state", verb)
        assert (code, out) == (1, "")
        assert "no answer" in err
        assert "sesame" not in err
