"""What every DocumentStore promises. One suite; SQLite, a real Redis, and the memory reference."""

import asyncio
import os
import sys
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends import redis_documents
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import MAX_DOCUMENT_BYTES, Kept, Kind
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.redis_process import RedisProcess

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
ROOT = Path(__file__).parents[2]
NOON = from_milliseconds(1_795_000_000_000)
FRESH = count()
LOCK, ACCOUNT = Kind.LOCK, Kind.ACCOUNT
MEI, KEN = "staff:mei", "staff:ken"


def later(seconds, moment=NOON):
    return moment + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisProcess(tmp_path_factory.mktemp("redis")) as started:
        yield started


class Home:
    """Where a store keeps things: opens more stores on it, and can lose it all."""

    def __init__(self, kind, path, server):
        self.kind = kind
        self.path = path / f"documents-{next(FRESH)}.sqlite3"
        self.prefix = f"test-{next(FRESH)}[*]:"
        self.server = server
        self.memory = MemoryDocuments()

    def open(self):
        match self.kind:
            case "sqlite":
                return SqliteDocuments(self.path)
            case "redis":
                address = parse_redis(self.server.url())
                return RedisDocuments(address, prefix=self.prefix, ledger=self.path)
            case _:
                return self.memory

    def lose(self):
        match self.kind:
            case "sqlite":
                self.path.unlink()
            case "redis":
                with closing(redis.Redis(port=self.server.port)) as admin:
                    for key in admin.scan_iter():
                        if key.startswith(self.prefix.encode()):
                            admin.delete(key)
            case _:
                self.memory.lose_memory()


KINDS = ["sqlite", "redis", "memory"]


@pytest.fixture(params=KINDS)
def home(request, tmp_path):
    server = request.getfixturevalue("server") if request.param == "redis" else None
    return Home(request.param, tmp_path, server)


@pytest.fixture
async def store(home):
    store = home.open()
    yield store
    await store.close()


@pytest.fixture
async def other(home):
    """The same documents through other connections."""
    other = home.open()
    yield other
    await other.close()


async def test_where_nothing_was_written_there_is_nothing(store):
    assert await store.get(LOCK, MEI, NOON) is None
    assert await store.all(LOCK, NOON) == {}


async def test_what_was_written_is_read_back_byte_for_byte(store, other):
    value = bytes(range(256))
    written = await store.put(LOCK, MEI, value, replaces=None, now=NOON)
    assert written == Kept(value=value, revision=1)
    assert await other.get(LOCK, MEI, NOON) == written
    assert await other.all(LOCK, NOON) == {MEI: written}


async def test_each_write_of_a_key_has_the_next_revision(store):
    for revision in range(1, 5):
        replaces = None if revision == 1 else revision - 1
        kept = await store.put(LOCK, MEI, b"{}", replaces=replaces, now=NOON)
        assert kept.revision == revision
    assert (await store.put(LOCK, KEN, b"{}", replaces=None, now=NOON)).revision == 1


@pytest.mark.parametrize("replaces", [1, 3, 0, -1, 2**80])
async def test_what_was_not_read_last_is_not_replaced(store, replaces):
    await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    second = await store.put(LOCK, MEI, b"2", replaces=1, now=NOON)
    assert await store.put(LOCK, MEI, b"x", replaces=replaces, now=NOON) is None
    assert await store.put(LOCK, MEI, b"x", replaces=None, now=NOON) is None
    assert not await store.remove(LOCK, MEI, replaces=replaces, now=NOON)
    assert await store.get(LOCK, MEI, NOON) == second


async def test_nothing_is_replaced_where_there_is_nothing(store):
    assert await store.put(LOCK, MEI, b"x", replaces=1, now=NOON) is None
    assert not await store.remove(LOCK, MEI, replaces=1, now=NOON)
    assert await store.get(LOCK, MEI, NOON) is None


async def test_what_was_removed_is_gone(store, other):
    await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    await store.put(LOCK, KEN, b"2", replaces=None, now=NOON)
    assert await store.remove(LOCK, MEI, replaces=1, now=NOON)
    assert await other.get(LOCK, MEI, NOON) is None
    assert set(await other.all(LOCK, NOON)) == {KEN}
    assert not await store.remove(LOCK, MEI, replaces=1, now=NOON)


async def test_who_read_what_was_removed_cannot_replace_what_came_after_it(store, other):
    old = await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    await other.remove(LOCK, MEI, replaces=1, now=NOON)
    new = await other.put(LOCK, MEI, b"2", replaces=None, now=NOON)
    assert new.revision > old.revision
    assert await store.put(LOCK, MEI, b"x", replaces=old.revision, now=NOON) is None
    assert not await store.remove(LOCK, MEI, replaces=old.revision, now=NOON)
    assert await store.get(LOCK, MEI, NOON) == new


async def test_what_expires_is_gone_at_that_instant_and_not_before(store):
    until = later(60)
    kept = await store.put(ACCOUNT, MEI, b"1", replaces=None, now=NOON, expires=until)
    assert kept == Kept(value=b"1", revision=1, expires=until)
    just_before = until - timedelta(milliseconds=1)
    assert await store.get(ACCOUNT, MEI, just_before) == kept
    assert await store.all(ACCOUNT, just_before) == {MEI: kept}
    for now in (until, later(3600)):
        assert await store.get(ACCOUNT, MEI, now) is None
        assert await store.all(ACCOUNT, now) == {}


async def test_what_expired_is_replaced_as_what_is_not_there(store):
    old = await store.put(ACCOUNT, MEI, b"1", replaces=None, now=NOON, expires=later(60))
    now = later(60)
    assert await store.put(ACCOUNT, MEI, b"x", replaces=old.revision, now=now) is None
    assert not await store.remove(ACCOUNT, MEI, replaces=old.revision, now=now)
    new = await store.put(ACCOUNT, MEI, b"2", replaces=None, now=now)
    assert new.revision > old.revision
    assert await store.get(ACCOUNT, MEI, later(10**6)) == new


async def test_a_write_may_take_the_expiry_away_or_bring_another(store):
    await store.put(ACCOUNT, MEI, b"1", replaces=None, now=NOON, expires=later(60))
    await store.put(ACCOUNT, MEI, b"2", replaces=1, now=NOON, expires=later(600))
    assert (await store.get(ACCOUNT, MEI, later(60))).value == b"2"
    await store.put(ACCOUNT, MEI, b"3", replaces=2, now=NOON)
    assert (await store.get(ACCOUNT, MEI, later(10**6))).value == b"3"


async def test_what_is_written_with_an_end_that_is_over_is_never_told(store):
    assert await store.put(ACCOUNT, MEI, b"1", replaces=None, now=NOON, expires=later(-1))
    assert await store.get(ACCOUNT, MEI, NOON) is None


async def test_what_is_long_gone_takes_no_room_and_what_stands_stays(home, store):
    if home.kind == "memory":
        return
    for number in range(30):
        await store.put(ACCOUNT, f"k{number}", b"1", replaces=None, now=NOON, expires=later(60))
    await store.put(ACCOUNT, "stays", b"1", replaces=None, now=NOON)
    await store.put(ACCOUNT, "goes", b"1", replaces=None, now=NOON)
    await store.remove(ACCOUNT, "goes", replaces=1, now=NOON)
    now = later(10_000)
    await store.put(ACCOUNT, "later", b"1", replaces=None, now=now, expires=later(1, now))
    assert set(await store.all(ACCOUNT, NOON)) == {"stays", "later"}


async def test_the_same_key_of_two_kinds_is_two_documents(store):
    for number, kind in enumerate(Kind):
        await store.put(kind, MEI, b"%d" % number, replaces=None, now=NOON)
    for number, kind in enumerate(Kind):
        assert (await store.get(kind, MEI, NOON)).value == b"%d" % number
        assert list(await store.all(kind, NOON)) == [MEI]


KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200)
NASTY = ["lock", "lock:x", "account", ":", " ", "*", "'; --", "%00", "\\n", "a\\", "~" * 200, "-"]


@pytest.mark.parametrize("key", NASTY)
async def test_any_printable_key_names_itself_and_nothing_else(store, key):
    for kind in Kind:
        kept = await store.put(kind, key, kind.encode(), replaces=None, now=NOON)
        assert kept.revision == 1
        assert await store.get(kind, key, NOON) == kept
        assert await store.all(kind, NOON) == {key: kept}
    for one in Kind:
        assert await store.get(one, f"{one}:{key}"[:200], NOON) is None or key.endswith("~")


WRONG_KEYS = ["", "x" * 201, "a\n", "\n", "a\0", "\x7f", "é", "かぎ", "\ud800", "a\tb", "١"]


@pytest.mark.parametrize("key", WRONG_KEYS)
async def test_a_key_that_is_none_is_a_value_error_and_touches_nothing(store, key):
    for call in (
        store.get(LOCK, key, NOON),
        store.put(LOCK, key, b"", replaces=None, now=NOON),
        store.remove(LOCK, key, replaces=1, now=NOON),
    ):
        with pytest.raises(ValueError):
            await call
    assert await store.all(LOCK, NOON) == {}


@pytest.mark.parametrize("kind", ["", "locks", "lock:x", "documents"])
async def test_a_kind_that_is_none_is_a_value_error(home, store, kind):
    if home.kind == "memory":
        return
    with pytest.raises(ValueError):
        await store.get(kind, MEI, NOON)
    with pytest.raises(ValueError):
        await store.all(kind, NOON)


async def test_a_document_has_a_limit_and_may_be_as_large_as_that(store):
    value = b"x" * MAX_DOCUMENT_BYTES
    with pytest.raises(ValueError):
        await store.put(LOCK, MEI, value + b"x", replaces=None, now=NOON)
    assert await store.get(LOCK, MEI, NOON) is None
    await store.put(LOCK, MEI, value, replaces=None, now=NOON)
    assert (await store.get(LOCK, MEI, NOON)).value == value
    await store.put(LOCK, MEI, b"", replaces=1, now=NOON)
    assert (await store.get(LOCK, MEI, NOON)).value == b""


async def test_of_many_who_replace_one_document_exactly_one_wins(store, other):
    await store.put(LOCK, MEI, b"", replaces=None, now=NOON)
    for turn in range(1, 5):
        written = await asyncio.gather(
            *(
                one.put(LOCK, MEI, b"%d" % number, replaces=turn, now=NOON)
                for number, one in enumerate([store, other] * 5)
            )
        )
        (winner,) = [kept for kept in written if kept is not None]
        assert winner.revision == turn + 1
        assert await other.get(LOCK, MEI, NOON) == winner


async def test_of_many_who_write_the_first_or_remove_it_exactly_one_wins(store, other):
    for _ in range(3):
        written = await asyncio.gather(
            *(one.put(LOCK, MEI, b"", replaces=None, now=NOON) for one in [store, other] * 5)
        )
        (winner,) = [kept for kept in written if kept is not None]
        removed = await asyncio.gather(
            *(
                one.remove(LOCK, MEI, replaces=winner.revision, now=NOON)
                for one in [store, other] * 5
            )
        )
        assert removed.count(True) == 1


async def test_the_version_stays_while_nobody_writes(store):
    await store.put(LOCK, MEI, b"", replaces=None, now=NOON)
    before = await store.version()
    await store.get(LOCK, MEI, NOON)
    await store.all(LOCK, NOON)
    await store.check()
    assert await store.version() == before


async def test_every_write_brings_a_version_never_seen_before(store, other):
    seen = [await store.version()]
    for _ in range(3):
        for one in (store, other):
            kept = await one.put(LOCK, MEI, b"", replaces=None, now=NOON)
            seen.append(await store.version())
            kept = await one.put(LOCK, MEI, b"", replaces=kept.revision, now=NOON)
            seen.append(await store.version())
            await one.remove(LOCK, MEI, replaces=kept.revision, now=NOON)
            seen.append(await store.version())
    assert len(set(seen)) == len(seen)


async def test_what_was_written_stands_after_the_store_was_opened_again(home, store):
    kept = await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    if home.kind != "memory":
        await store.close()
    again = home.open()
    assert await again.get(LOCK, MEI, NOON) == kept
    await again.close()


async def test_a_store_that_lost_its_memory_says_nothing_about_what_it_knew(home, store):
    await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    home.lose()
    for _ in range(2):
        for call in (
            store.get(LOCK, MEI, NOON),
            store.get(ACCOUNT, KEN, NOON),
            store.all(LOCK, NOON),
            store.put(LOCK, KEN, b"", replaces=None, now=NOON),
            store.remove(LOCK, MEI, replaces=1, now=NOON),
            store.version(),
            store.check(),
        ):
            with pytest.raises(StateUnavailableError):
                await call


async def test_a_closed_store_is_unavailable_not_empty(store):
    await store.put(LOCK, MEI, b"1", replaces=None, now=NOON)
    await store.close()
    await store.close()
    for call in (store.get(LOCK, MEI, NOON), store.all(LOCK, NOON), store.version()):
        with pytest.raises(StateUnavailableError):
            await call


COUNT_UP = """
import asyncio, sys
from pathlib import Path
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import Kind

path, url, prefix = sys.argv[1:]
NOW = from_milliseconds(1_795_000_000_000)

async def main():
    if url:
        store = RedisDocuments(parse_redis(url), prefix=prefix, ledger=Path(path))
    else:
        store = SqliteDocuments(Path(path))
    done = 0
    while done < 10:
        try:
            old = await store.get(Kind.LOCK, "counter", NOW)
            value = str(int(old.value) + 1 if old else 1).encode()
            replaces = old.revision if old else None
            if await store.put(Kind.LOCK, "counter", value, replaces=replaces, now=NOW):
                done += 1
        except StateUnavailableError:  # too long behind the others: did it happen?
            print("unsure")
    await store.close()

asyncio.run(main())
"""


async def test_several_processes_lose_no_write(home, store):
    if home.kind == "memory":
        return
    url = home.server.url() if home.server else ""
    others = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COUNT_UP, home.path, url, home.prefix),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = b"".join([(await other.communicate())[0] for other in others])
    assert [other.returncode for other in others] == [0, 0, 0]
    kept = await store.get(LOCK, "counter", NOON)
    assert int(kept.value) == kept.revision
    assert 30 <= kept.revision <= 30 + said.count(b"unsure")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "get", "all", "pass"]),
        st.booleans(),  # through other connections?
        st.sampled_from([LOCK, ACCOUNT]),
        st.sampled_from([MEI, KEN]) | KEYS,
        st.sampled_from(["none", "last", "stale"]),
        st.none() | st.integers(-2, 40),  # seconds until it expires
        st.binary(max_size=20),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@settings(max_examples=30 * FUZZ, deadline=None)
@given(steps=STEPS)
def test_every_store_gives_the_answers_of_the_reference(server, tmp_path_factory, kind, steps):
    async def play():
        home = Home(kind, tmp_path_factory.getbasetemp(), server)
        stores, reference, now = (home.open(), home.open()), MemoryDocuments(), NOON
        try:
            for verb, elsewhere, about, key, which, lasts, value in steps:
                standing = await reference.get(about, key, now)
                last = None if standing is None else standing.revision
                replaces = {"none": None, "last": last, "stale": (last or 2) - 1}[which]
                expires = None if lasts is None else later(lasts, now)
                answers = []
                for store in (stores[elsewhere], reference):
                    match verb:
                        case "put":
                            answer = await store.put(
                                about, key, value, replaces=replaces, now=now, expires=expires
                            )
                        case "remove":
                            answer = await store.remove(
                                about, key, replaces=replaces or 1, now=now
                            )
                        case "get":
                            answer = await store.get(about, key, now)
                        case "all":
                            answer = await store.all(about, now)
                        case _:
                            answer = None
                    answers.append(answer)
                assert answers[0] == answers[1]
                if verb == "pass":
                    now = later(lasts or 1, now)
            for about in Kind:
                assert await stores[0].all(about, now) == await reference.all(about, now)
        finally:
            for store in stores:
                await store.close()

    asyncio.run(play())


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What is told is looked at here, not how fast: a disk may stall while it is written."""
    monkeypatch.setattr(redis_documents, "READ_SECONDS", 5.0)
