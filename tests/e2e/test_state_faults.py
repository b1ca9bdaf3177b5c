"""The state store goes away in every way it can: refused in bounded time, and back by itself.

No test here measures time. Each call stands under a guard of a few seconds, which only
says that the bound exists; the bound itself is a constant next to the code.
"""

import asyncio
import json
import os
import sqlite3
import ssl
import stat
import sys
import tempfile
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis
import trustme

from gateway.backends import redis_epochs
from gateway.backends.redis_address import SYSTEM_ALONE, TlsFiles
from gateway.backends.redis_epochs import PREFIX
from gateway.backends.redis_link import RedisLink
from gateway.backends.redis_memory import MemoryLostError
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import StateHome, parse_redis
from gateway.backends.state import open_epochs as open_home
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from tests.oracles.redis_process import RedisProcess

MEI, KEN = StaffId("staff:mei"), StaffId("staff:ken")
PHONE = DeviceId("phone-1")
NOON = from_milliseconds(1_795_000_000_000)
GUARD_SECONDS = 5
EPOCHS = f"{PREFIX}epochs"
ROOT = Path(__file__).parents[2]


def open_epochs(url, base, files=SYSTEM_ALONE):
    return open_home(StateHome(url=url, base=base, files=files))


def later(seconds):
    return NOON + timedelta(seconds=seconds)


async def assert_refused(store, *verbs):
    """Each of these calls raises the one error that the pipeline turns into a 503."""
    calls = {
        "floor": lambda: store.floor(MEI, PHONE),
        "check": store.check,
        "enrol": lambda: store.enrol(MEI, PHONE, NOON),
        "revoke": lambda: store.revoke(MEI, PHONE, NOON),
        "rows": store.rows,
        "version": store.version,
    }
    for verb in verbs or ("floor", "check", "enrol", "revoke"):
        async with asyncio.timeout(GUARD_SECONDS):
            with pytest.raises(StateUnavailableError) as caught:
                await calls[verb]()
            assert caught.value.reason == "state_unavailable"


@pytest.fixture
def server(tmp_path):
    with RedisProcess(tmp_path, "--appendonly", "yes") as started:
        yield started


@pytest.fixture
async def store(server, tmp_path):
    store = open_epochs(server.url(), tmp_path)
    yield store
    await store.close()


def admin(server):
    return closing(redis.Redis(port=server.port))


async def test_a_killed_redis_is_refused_and_back_after_its_start(server, store):
    await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, PHONE, later(1))
    server.kill()
    await assert_refused(store, "floor", "check", "enrol", "revoke", "rows", "version")
    server.start()
    assert await store.floor(MEI, PHONE) == floor


async def test_a_restart_nobody_noticed_costs_no_request(server, store):
    epoch = await store.enrol(MEI, PHONE, NOON)
    await asyncio.gather(*(store.floor(MEI, PHONE) for _ in range(20)))  # 20 kept connections
    server.kill()
    server.start()
    for _ in range(3):
        assert await store.floor(MEI, PHONE) == epoch


async def test_a_frozen_redis_is_refused_and_back_when_it_thaws(server, store):
    epoch = await store.enrol(MEI, PHONE, NOON)
    server.freeze()
    try:
        await assert_refused(store, "floor", "check", "revoke", "version")
        async with asyncio.timeout(GUARD_SECONDS):  # many at once wait no longer than one
            answers = await asyncio.gather(
                *(store.floor(MEI, PHONE) for _ in range(200)), return_exceptions=True
            )
        assert all(isinstance(answer, StateUnavailableError) for answer in answers)
    finally:
        server.thaw()
    assert await store.floor(KEN, None) is None
    assert await store.floor(MEI, PHONE) >= epoch


class Relay:
    """Stands between us and Redis; holds back the answers while `flows` is not set."""

    def __init__(self, server):
        self.server = server
        self.flows = asyncio.Event()
        self.flows.set()
        self.carriers = set()

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}/"

    async def __aexit__(self, *_):
        self.flows.set()
        self.listener.close()
        await self.listener.wait_closed()
        await asyncio.wait(self.carriers)

    async def accept(self, reader, writer):
        self.carriers.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self.server.port)
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer, held=True))

    async def carry(self, reader, writer, *, held=False):
        while data := await reader.read(4096):
            if held:
                await self.flows.wait()
            writer.write(data)
        writer.close()


async def test_a_slow_redis_is_refused_and_its_late_answers_reach_nobody(server, tmp_path):
    relay = Relay(server)
    async with relay as url:
        store = open_epochs(url, tmp_path)
        mei = await store.enrol(MEI, PHONE, NOON)
        ken = await store.enrol(KEN, PHONE, later(5))
        relay.flows.clear()
        await assert_refused(store, "floor", "check")
        relay.flows.set()
        for _ in range(3):
            assert await store.floor(KEN, PHONE) == ken
            assert await store.floor(MEI, PHONE) == mei
        await store.close()


async def test_a_cancelled_read_never_gives_its_answer_to_the_next_reader(server, store):
    mei = await store.enrol(MEI, PHONE, NOON)
    ken = await store.enrol(KEN, PHONE, later(5))
    for turns in range(1, 8):  # cancelled at each step of the exchange
        server.freeze()
        asked = asyncio.ensure_future(store.floor(MEI, PHONE))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        server.thaw()
        assert await store.floor(KEN, PHONE) == ken
        assert await store.floor(MEI, PHONE) == mei
        await asyncio.wait([asked])


async def test_a_flushed_redis_is_refused_until_its_repair_and_revives_no_revoked_token(
    server, store
):
    revoked = await store.enrol(MEI, PHONE, NOON)
    current = await store.revoke(MEI, None, later(1))
    with admin(server) as control:
        control.flushall()
    await assert_refused(store, "floor", "check", "enrol", "revoke", "rows", "version")
    assert await store.repair() is not None
    assert await store.floor(MEI, PHONE) is None
    assert await store.enrol(MEI, PHONE, later(2)) > current
    assert await store.floor(MEI, PHONE) > current > revoked


async def test_an_evicted_person_is_unknown_with_all_their_devices(server, store):
    await store.enrol(MEI, PHONE, NOON)
    await store.enrol(KEN, PHONE, NOON)
    await store.revoke(MEI, PHONE, later(1))
    with admin(server) as control:
        control.hdel(EPOCHS, MEI)  # by hand; there is nothing smaller
        assert await store.floor(MEI, PHONE) is None
        assert await store.floor(KEN, PHONE) is not None
        control.delete(EPOCHS)  # evicted
    await assert_refused(store)


def tamper(control, change):
    before = control.hget(EPOCHS, MEI)
    person = json.loads(before)
    change(person)
    control.hset(EPOCHS, MEI, json.dumps(person))
    return before


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("floor", "abc"),
        ("floor", "1795000000000"),
        ("floor", -1),
        ("floor", True),
        ("floor", None),
        ("floor", 1.5),
        ("floor", 10**18),
        ("counter", 0),  # below the floor
        ("staff", "staff:ken"),
        ("devices", []),
        ("devices", {"phone-1": 12}),
        ("devices", {"phone-1": {"floor": 10**14, "changed_at": 1}}),  # above the counter
        ("surprise", 1),
    ],
)
async def test_a_tampered_value_in_redis_is_refused_not_guessed(server, store, member, value):
    epoch = await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        before = tamper(control, lambda person: person.update({member: value}))
        await assert_refused(store, "floor", "rows")
        control.hset(EPOCHS, MEI, before)
    assert await store.floor(MEI, PHONE) == epoch


@pytest.mark.parametrize("member", ["staff", "counter", "floor", "changed_at", "devices"])
async def test_a_value_in_redis_that_lost_a_member_is_refused(server, store, member):
    await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        tamper(control, lambda person: person.pop(member))
    await assert_refused(store, "floor", "rows")


@pytest.mark.parametrize("value", [b"", b"1", b"null", b"{}", b"\xff", b'{"staff": "staff:mei"'])
async def test_a_value_in_redis_that_is_no_person_is_refused(server, store, value):
    await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        control.hset(EPOCHS, MEI, value)
    await assert_refused(store, "floor", "rows", "enrol", "revoke")


async def test_a_write_never_touches_the_value_of_someone_else(server, store):
    await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        tamper(control, lambda person: person.update(staff="staff:ken"))
        before = control.hget(EPOCHS, MEI)
        await assert_refused(store, "enrol", "revoke")
        assert control.hget(EPOCHS, MEI) == before


async def test_a_key_of_another_kind_is_refused(server, store):
    await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        control.delete(EPOCHS)
        control.set(EPOCHS, "staff:mei")
    await assert_refused(store, "floor", "enrol", "revoke", "rows")


async def test_a_write_that_redis_carried_out_twice_leaves_no_version_seen_before(
    store, monkeypatch
):
    monkeypatch.setattr(redis_epochs, "uuid4", lambda: UUID(int=7))  # the same words again
    seen = []
    for _ in range(4):
        await store.revoke(MEI, PHONE, NOON)
        seen.append(await store.version())
    assert len(set(seen)) == 4


async def test_redis_put_back_from_an_older_copy_is_refused_and_no_logout_is_undone(
    server, store, tmp_path
):
    token = await store.enrol(MEI, PHONE, NOON)
    other = open_epochs(server.url(), tmp_path / "elsewhere")  # a machine that hears of nothing
    assert await other.floor(MEI, PHONE) == token
    with admin(server) as control:
        copy = {key: control.dump(key) for key in control.keys("*")}
        lost = await store.revoke(MEI, None, later(1))
        for key, dump in copy.items():
            control.restore(key, 0, dump, replace=True)
    for goes_on in (0, 2):
        for number in range(goes_on):  # and somebody believes it
            await other.enrol(KEN, DeviceId(f"d{number}"), later(2))
        await assert_refused(store, "floor", "check", "enrol", "revoke", "rows", "version")
    again = open_epochs(server.url(), tmp_path)  # after a restart of this machine's gateway
    await assert_refused(again)
    version = await other.version()
    assert await again.repair() is not None
    for one in (store, again, other):
        assert await one.floor(MEI, PHONE) is None
        assert await one.version() != version
    assert await other.enrol(MEI, PHONE, later(3)) > lost > token
    await again.close()
    await other.close()


async def test_a_logout_is_in_the_ledger_of_every_machine_that_was_told_of_it(
    server, store, tmp_path
):
    token = await store.enrol(MEI, PHONE, NOON)
    other = open_epochs(server.url(), tmp_path / "elsewhere")
    with admin(server) as control:
        await other.check()
        copy = {key: control.dump(key) for key in control.keys("*")}
        assert await store.revoke(MEI, PHONE, later(1)) > token
        assert await other.floor(MEI, PHONE) > token  # told
        await other.close()
        for key, dump in copy.items():
            control.restore(key, 0, dump, replace=True)
    other = open_epochs(server.url(), tmp_path / "elsewhere")
    with pytest.raises(MemoryLostError):
        await other.floor(MEI, PHONE)
    await other.close()


async def test_a_process_that_heard_less_is_warned_by_its_neighbour_on_the_machine(tmp_path):
    (tmp_path / "rdb").mkdir()
    with RedisProcess(tmp_path / "rdb") as saving:
        store, other = (open_epochs(saving.url(), tmp_path) for _ in range(2))
        token = await store.enrol(MEI, PHONE, NOON)
        assert await other.floor(MEI, PHONE) == token
        with admin(saving) as control:
            control.save()
        await store.revoke(MEI, None, later(1))  # of which the other has not heard
        saving.kill()
        saving.start()  # with what was saved
        with pytest.raises(MemoryLostError):
            await other.floor(MEI, PHONE)
        await store.close()
        await other.close()


async def test_a_logout_lost_under_thousands_of_later_writes_is_noticed(server, store, tmp_path):
    await store.enrol(MEI, PHONE, NOON)
    other = open_epochs(server.url(), tmp_path / "elsewhere")
    await other.check()
    with admin(server) as control:
        copy = {key: control.dump(key) for key in control.keys("*")}
        await store.revoke(MEI, PHONE, later(1))
        for key, dump in copy.items():
            control.restore(key, 0, dump, replace=True)
    for _ in range(11):  # more than the words of ordinary writes that Redis keeps
        await asyncio.gather(*(other.enrol(KEN, PHONE, later(2)) for _ in range(100)))
    await other.revoke(MEI, None, later(3))  # even one of the same person
    with pytest.raises(MemoryLostError):
        await store.floor(MEI, PHONE)
    await other.close()


async def test_a_full_redis_refuses_the_logout_loudly_and_still_answers_reads(server, store):
    epoch = await store.enrol(MEI, PHONE, NOON)
    with admin(server) as control:
        control.config_set("maxmemory", "1")
        await assert_refused(store, "revoke", "enrol")
        assert await store.floor(MEI, PHONE) == epoch
        control.config_set("maxmemory", "0")
    assert await store.revoke(MEI, PHONE, later(1)) > epoch


async def test_an_answer_that_nobody_asked_for_is_never_taken():
    mei, nobody = b"$3\r\nmei\r\n", b"$-1\r\n"
    met = []

    async def serve(reader, writer):
        met.append(writer)
        try:
            while await reader.read(4096):
                # One answer too many on the first connection: mei's, for whoever asks next.
                writer.write(nobody + mei if len(met) == 1 else nobody)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = RedisLink(parse_redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert await link.ask("GET", "ken", seconds=GUARD_SECONDS) is None
    assert await link.ask("GET", "mei", seconds=GUARD_SECONDS) is None  # on a second connection
    assert len(met) == 2
    await link.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n$x\r\n", b"\xff" * 99]
)
async def test_a_server_that_does_not_speak_redis_is_refused(noise, tmp_path):
    async def serve(reader, writer):
        await reader.read(4096)
        writer.write(noise)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    store = open_epochs(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/", tmp_path)
    await assert_refused(store)
    await store.close()
    server.close()
    await server.wait_closed()


async def test_a_wrong_password_is_refused_and_no_password_is_ever_shown(tmp_path):
    with RedisProcess(tmp_path, "--requirepass", "open-sesame") as server:
        wrong = open_epochs(server.url("someone:wrong-sesame@"), tmp_path)
        for call in (wrong.check(), wrong.floor(MEI, None), wrong.enrol(MEI, None, NOON)):
            with pytest.raises(StateUnavailableError) as caught:
                await call
            error = caught.value
            while error is not None:
                assert "sesame" not in f"{error!r} {error}"
                error = error.__cause__ or error.__context__
        right = open_epochs(server.url(":open%2Dsesame@", database=3), tmp_path)
        epoch = await right.enrol(MEI, None, NOON)
        assert await right.floor(MEI, None) == epoch
        assert "sesame" not in repr(right) + repr(wrong) + repr(vars(right))
        await right.close()
        await wrong.close()


async def test_tls_is_checked_against_the_systems_authorities(tmp_path, monkeypatch):
    authority = trustme.CA()
    paths = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "chain", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(paths["chain"])
    certificate.private_key_pem.write_to_path(paths["key"])
    files = ["--tls-cert-file", paths["chain"], "--tls-key-file", paths["key"]]
    files += ["--tls-ca-cert-file", paths["ca"], "--tls-auth-clients", "no"]
    with RedisProcess(tmp_path, *files, tls=True) as server:
        stranger = open_epochs(server.url(), tmp_path)
        await assert_refused(stranger)
        await stranger.close()
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, paths["ca"])
        store = open_epochs(server.url(), tmp_path)
        epoch = await store.enrol(MEI, PHONE, NOON)
        assert await store.floor(MEI, PHONE) == epoch
        other_name = open_epochs(server.url().replace("127.0.0.1", "localhost"), tmp_path)
        await assert_refused(other_name, "floor")
        await other_name.close()
        await store.close()


async def test_a_redis_that_asks_for_certificates_knows_ours_by_the_files_of_the_settings(
    tmp_path,
):
    authority = trustme.CA()
    names = ("authorities", "certificate", "key", "their-chain", "their-key")
    paths = {name: tmp_path / f"{name}.pem" for name in names}
    authority.cert_pem.write_to_path(str(paths["authorities"]))
    for host, chain, key in (
        ("127.0.0.1", "their-chain", "their-key"),
        ("gate.example", *names[1:3]),
    ):
        certificate = authority.issue_cert(host)
        certificate.cert_chain_pems[0].write_to_path(str(paths[chain]))
        certificate.private_key_pem.write_to_path(str(paths[key]))
    options = ["--tls-cert-file", paths["their-chain"], "--tls-key-file", paths["their-key"]]
    options += ["--tls-ca-cert-file", paths["authorities"], "--tls-auth-clients", "yes"]
    ours = {name: paths[name] for name in names[:3]}
    with RedisProcess(tmp_path, *options, tls=True) as server:
        nobody = open_epochs(server.url(), tmp_path, TlsFiles(authorities=ours["authorities"]))
        await assert_refused(nobody, "floor", "check")
        await nobody.close()
        store = open_epochs(server.url(), tmp_path, TlsFiles(**ours))
        epoch = await store.enrol(MEI, PHONE, NOON)
        assert await store.floor(MEI, PHONE) == epoch
        await store.close()


# SQLite


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "epochs.sqlite3"


@pytest.fixture
async def lite(path):
    store = open_epochs(f"sqlite:{path}", path.parent)
    yield store
    await store.close()


@contextmanager
def raw(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_only_its_owner_can_read_the_state_file(path, lite):
    await lite.enrol(MEI, PHONE, NOON)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_state_file_open_to_others_is_closed_to_them(path, lite):
    await lite.enrol(MEI, PHONE, NOON)
    path.chmod(0o666)
    other = SqliteEpochs(path)
    await other.check()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await other.close()


async def test_a_writer_elsewhere_holds_up_no_read_and_no_logout_for_long(path, lite):
    epoch = await lite.enrol(MEI, PHONE, NOON)
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await lite.floor(MEI, PHONE) == epoch
        await assert_refused(lite, "revoke", "enrol")
        other.execute("ROLLBACK")
    assert await lite.revoke(MEI, PHONE, later(1)) > epoch


async def test_a_file_locked_exclusively_is_refused_and_back_when_it_is_let_go(path, lite):
    first = open_epochs(f"sqlite:{path}", path.parent)
    epoch = await first.enrol(MEI, PHONE, NOON)
    await first.close()
    with raw(path) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE person SET changed_at = changed_at")
        await assert_refused(lite)
        other.execute("ROLLBACK")
    assert await lite.floor(MEI, PHONE) == epoch


async def test_a_deleted_file_is_not_answered_from_and_everybody_is_unknown(path, lite):
    revoked = await lite.enrol(MEI, PHONE, NOON)
    current = await lite.revoke(MEI, PHONE, later(1))
    path.unlink()
    assert await lite.floor(MEI, PHONE) is None
    assert await lite.enrol(MEI, PHONE, later(2)) > current > revoked


async def test_a_deleted_directory_is_made_again_and_everybody_is_unknown(path, lite):
    await lite.enrol(MEI, PHONE, NOON)
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    assert await lite.floor(MEI, PHONE) is None


async def test_a_replaced_file_is_the_one_that_counts(path, lite, tmp_path):
    await lite.enrol(MEI, PHONE, NOON)
    spare = tmp_path / "spare.sqlite3"
    other = SqliteEpochs(spare)
    epoch = await other.enrol(KEN, PHONE, later(9))
    await other.close()
    spare.rename(path)
    assert await lite.floor(KEN, PHONE) == epoch
    assert await lite.floor(MEI, PHONE) is None
    assert await lite.revoke(KEN, PHONE, later(10)) > epoch
    again = SqliteEpochs(path)  # and the new file was not harmed by closing the old one
    assert await again.floor(KEN, PHONE) > epoch
    await again.close()


@pytest.mark.parametrize(
    "content", [b"not a database" * 99, b"SQLite format 3\0" + b"\xff" * 4080]
)
async def test_a_corrupt_file_is_refused_and_back_when_it_is_put_right(path, lite, content):
    epoch = await lite.enrol(MEI, PHONE, NOON)
    good = path.with_suffix(".good")
    path.rename(good)
    path.write_bytes(content)
    await assert_refused(lite, "floor", "check", "enrol", "revoke", "rows", "version")
    assert path.read_bytes() == content  # left as found
    with raw(good) as source, raw(path.with_suffix(".copy")) as copy:
        source.execute("PRAGMA journal_mode = DELETE")
        source.backup(copy)
    path.with_suffix(".copy").rename(path)
    assert await lite.floor(MEI, PHONE) == epoch


async def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(path, lite):
    await lite.check()
    await lite.close()
    with raw(path) as other:
        other.execute("PRAGMA user_version = 99")
    store = SqliteEpochs(path)
    with pytest.raises(StateUnavailableError, match="version 99; this gateway reads 1"):
        await store.check()
    await store.close()
    with raw(path) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (99,)


async def test_another_programs_database_is_refused_and_left_as_it_is(path, lite):
    path.parent.mkdir()
    with raw(path) as other:
        other.execute("CREATE TABLE clients (name)")
    with pytest.raises(StateUnavailableError, match="some other program's database"):
        await lite.check()
    with raw(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("clients",)]


@pytest.mark.parametrize("value", ["abc", -1, 1.5, b"x", None])
async def test_a_tampered_value_is_refused_not_guessed(path, lite, value):
    await lite.enrol(MEI, PHONE, NOON)
    with raw(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute("PRAGMA writable_schema = ON")
        other.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL CHECK', 'CHECK')")
    with raw(path) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute("UPDATE device SET floor = ?", (value,))
        other.execute("UPDATE person SET floor = ?", (value,))
    await assert_refused(lite, "floor", "rows")


@contextmanager
def as_nobody():
    """Root may write anything; the effective user decides what files allow."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_read_only_file_is_refused_and_back_when_it_is_writable():
    with tempfile.TemporaryDirectory() as directory, as_nobody_owner(directory) as path:
        store = SqliteEpochs(path)
        epoch = await store.enrol(MEI, PHONE, NOON)
        await store.close()
        store = SqliteEpochs(path)
        path.chmod(0o400)
        await assert_refused(store)
        path.chmod(0o600)
        assert await store.floor(MEI, PHONE) == epoch
        assert await store.revoke(MEI, PHONE, later(1)) > epoch
        await store.close()


async def test_a_directory_we_may_not_write_is_refused_and_back_when_we_may():
    with tempfile.TemporaryDirectory() as directory, as_nobody_owner(directory) as path:
        path.parent.chmod(0o500)
        store = SqliteEpochs(path)
        await assert_refused(store)
        path.parent.chmod(0o700)
        assert await store.floor(MEI, PHONE) is None
        await store.close()


@contextmanager
def as_nobody_owner(directory):
    home = Path(directory) / "state"
    home.mkdir()
    if os.geteuid() == 0:
        Path(directory).chmod(0o755)
        os.chown(home, 65534, 65534)
    with as_nobody():
        yield home / "epochs.sqlite3"


REVOKE_OFTEN = """
import asyncio, sys
from pathlib import Path
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds

async def main():
    store, done = SqliteEpochs(Path(sys.argv[1])), 0
    while done < 15:
        try:
            print(await store.revoke("staff:mei", "phone-1", from_milliseconds(1)))
        except StateUnavailableError:  # too long behind the others: try again
            continue
        done += 1
    await store.close()

asyncio.run(main())
"""


async def test_several_processes_lose_no_logout(path, lite):
    await lite.enrol(MEI, PHONE, NOON)
    others = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", REVOKE_OFTEN, path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    printed = [await other.communicate() for other in others]
    floors = [int(line) for output, _ in printed for line in output.split()]
    assert len(floors) == len(set(floors)) == 45
    assert await lite.floor(MEI, PHONE) == max(floors)
