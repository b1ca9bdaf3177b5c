"""What the documents in SQLite do beside the contract that every store keeps."""

import sqlite3
import stat
from contextlib import closing

import pytest

from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import Kind

NOON = from_milliseconds(1_795_000_000_000)
MEI = "staff:mei"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "epochs-documents.sqlite3"


@pytest.fixture
async def store(path):
    store = SqliteDocuments(path)
    await store.put(Kind.LOCK, MEI, b"locked", replaces=None, now=NOON)
    yield store
    await store.close()


def raw(path):
    return closing(sqlite3.connect(path, isolation_level=None))


async def assert_refused(store):
    for call in (
        lambda: store.get(Kind.LOCK, MEI, NOON),
        lambda: store.all(Kind.LOCK, NOON),
        lambda: store.put(Kind.LOCK, MEI, b"", replaces=1, now=NOON),
        lambda: store.remove(Kind.LOCK, MEI, replaces=1, now=NOON),
    ):
        with pytest.raises(StateUnavailableError):
            await call()


async def test_only_its_owner_can_read_the_file(path, store):
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_file_that_was_deleted_is_not_made_anew_and_counts_when_it_is_back(path, store):
    away = path.with_suffix(".away")
    path.rename(away)
    await assert_refused(store)
    assert not path.exists()
    away.rename(path)
    assert (await store.get(Kind.LOCK, MEI, NOON)).value == b"locked"


async def test_another_file_is_not_taken_for_it(path, store, tmp_path):
    other = SqliteDocuments(tmp_path / "other.sqlite3")
    await other.put(Kind.LOCK, "staff:ken", b"", replaces=None, now=NOON)
    await other.close()
    path.rename(path.with_suffix(".away"))
    (tmp_path / "other.sqlite3").rename(path)
    await assert_refused(store)
    with pytest.raises(StateUnavailableError, match="another one than before"):
        await store.check()
    path.with_suffix(".away").rename(path)
    assert (await store.get(Kind.LOCK, MEI, NOON)).value == b"locked"


async def test_a_file_that_was_emptied_is_not_taken_for_it(path, store):
    path.unlink()
    path.touch(mode=0o600)
    await assert_refused(store)


async def test_a_copy_of_it_is_taken_for_it(path, store):
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    await store.put(Kind.LOCK, MEI, b"later", replaces=1, now=NOON)
    before = await store.version()
    copy.rename(path)
    assert (await store.get(Kind.LOCK, MEI, NOON)).value == b"locked"
    assert await store.version() != before


async def test_the_file_of_the_epochs_is_refused(tmp_path):
    path = tmp_path / "epochs.sqlite3"
    epochs = SqliteEpochs(path)
    await epochs.check()
    await epochs.close()
    store = SqliteDocuments(path)
    with pytest.raises(StateUnavailableError, match="some other program's database"):
        await store.check()
    await store.close()


@pytest.mark.parametrize(
    "change",
    [
        "value = 'text'",
        "value = 7",
        "value = zeroblob(20000)",
        "revision = 0",
        "revision = -1",
        "revision = 'x'",
        "revision = 1.5",
        "revision = NULL",
        "gone_at = 'soon'",
        "gone_at = -1",
        "gone_at = 999999999999999999",
        "value = NULL",
    ],
)
async def test_a_row_that_is_no_document_is_refused_not_guessed(path, store, change):
    with raw(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER NOT NULL CHECK', 'CHECK')"
        )
    with raw(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute(f"UPDATE document SET {change}")  # noqa: S608  # of the list above
    await assert_refused(store)


@pytest.mark.parametrize("key", ["", "\n", "é", "x" * 201])
async def test_a_key_that_is_none_is_refused_where_everything_is_told(path, store, key):
    with raw(path) as other:
        other.execute("UPDATE document SET key = ?", (key,))
    with pytest.raises(StateUnavailableError):
        await store.all(Kind.LOCK, NOON)
