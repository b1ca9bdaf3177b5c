"""Real sentinels, a real cluster, a real ACL: who takes over, what was lost, who is let in.

Waiting here means asking again until the processes have agreed, for at most AGREED_SECONDS; no
test measures how long it took.
"""

import asyncio
import re
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from gateway.backends import redis_scripts
from gateway.backends.redis_address import key_prefix
from gateway.backends.redis_memory import MemoryLostError
from gateway.backends.state import StateHome, open_documents, open_epochs
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from gateway.ports import Kind
from tests.oracles.redis_process import ClusterNode, RedisProcess, SentinelProcess

MEI, KEN = StaffId("staff:mei"), StaffId("staff:ken")
PHONE = DeviceId("phone-1")
NOON = from_milliseconds(1_795_000_000_000)
AGREED_SECONDS = 30
ROOT = Path(__file__).parents[2]


def later(seconds):
    return NOON + timedelta(seconds=seconds)


def admin(server, **options):
    return closing(redis.Redis(port=server.port, **options))


def acl_line(*, sentinel=False):
    """The user as the docs give it: for a server, or for a sentinel."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ACL SETUSER salon-gateway .*$", text, re.MULTILINE)
    (line,) = (one for one in lines if ("+sentinel" in one) == sentinel)
    return line


def add_user(control, *, sentinel=False):
    control.execute_command(*acl_line(sentinel=sentinel).replace("PASSWORD", "sesame").split())


async def until(true):
    """Ask again and again; what is not there yet may refuse."""
    async with asyncio.timeout(AGREED_SECONDS):
        while True:
            try:
                if await true():
                    return
            except (StateUnavailableError, redis.RedisError):
                pass
            await asyncio.sleep(0.05)


def appending(path, *options):
    path.mkdir()
    return RedisProcess(path, "--appendonly", "yes", *options)


class Guarded:
    """A master, its replica, and three sentinels that agree about them."""

    def __init__(self, stack, path):
        self.master = stack.enter_context(appending(path / "master"))
        follow = "--replicaof", "127.0.0.1", str(self.master.port)
        self.replica = stack.enter_context(appending(path / "replica", *follow))
        self.sentinels = []
        for number in range(3):
            home = path / f"sentinel-{number}"
            home.mkdir()
            self.sentinels.append(stack.enter_context(SentinelProcess(home, self.master)))
        places = ",".join(one.place for one in self.sentinels)
        self.url = f"redis+sentinel://salon-gateway:sesame@{places}/salon/0"

    async def agreed(self):
        async def all_know_all():
            for sentinel in self.sentinels:
                with admin(sentinel) as control:
                    state = control.sentinel_master("salon")
                    if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                        return False
            with admin(self.replica) as control:
                return control.info("replication")["master_link_status"] == "up"

        await until(all_know_all)
        for process in (self.master, self.replica, *self.sentinels):
            with admin(process) as control:
                add_user(control, sentinel=process in self.sentinels)

    async def caught_up(self):
        with admin(self.master) as control:
            control.wait(1, 5000)


@pytest.fixture
async def guarded(tmp_path):
    with ExitStack() as stack:
        salon = Guarded(stack, tmp_path)
        await salon.agreed()
        yield salon


async def test_a_replica_that_has_everything_takes_over_and_no_logout_is_undone(guarded, tmp_path):
    store = open_epochs(StateHome(url=guarded.url, base=tmp_path))
    token = await store.enrol(MEI, PHONE, NOON)
    ken = await store.enrol(KEN, PHONE, NOON)
    floor = await store.revoke(MEI, None, later(1))
    await guarded.caught_up()
    guarded.master.kill()
    with pytest.raises(StateUnavailableError):
        await store.floor(MEI, PHONE)

    async def answers():
        assert await store.floor(MEI, PHONE) == floor > token
        return True

    await until(answers)
    assert await store.floor(KEN, PHONE) == ken
    assert await store.revoke(KEN, None, later(2)) > ken
    await store.close()


async def test_a_promoted_replica_that_missed_a_logout_is_refused_and_revives_nobody(
    guarded, tmp_path
):
    home = StateHome(url=guarded.url, base=tmp_path)
    store, documents = open_epochs(home), open_documents(home)
    token = await store.enrol(MEI, PHONE, NOON)
    await documents.put(Kind.LOCK, KEN, b"locked", replaces=None, now=NOON)
    await guarded.caught_up()
    guarded.replica.freeze()
    with admin(guarded.master) as control:
        control.client_kill_filter(_type="replica")
    floor = await store.revoke(MEI, None, later(1))
    guarded.master.kill()
    guarded.replica.thaw()
    lost = False

    async def promoted():
        nonlocal lost
        try:
            told = await store.floor(MEI, PHONE)
        except MemoryLostError:
            lost = True
        else:
            assert told >= floor > token  # the logout is never missing
        return lost

    await until(promoted)
    again = open_epochs(home)  # nor after a restart of the gateway
    for one in (store, again, documents):
        with pytest.raises(MemoryLostError):
            await one.check()
    assert await documents.repair() is not None
    for one in (store, again):
        assert await one.floor(MEI, PHONE) is None
    assert (await documents.get(Kind.LOCK, KEN, NOON)).value == b"locked"
    assert await store.enrol(MEI, PHONE, later(2)) > floor
    for one in (store, again, documents):
        await one.close()


class Cluster:
    """Three nodes, a third of the slots each."""

    def __init__(self, stack, path):
        self.nodes = []
        for number in range(3):
            home = path / f"node-{number}"
            home.mkdir()
            self.nodes.append(stack.enter_context(ClusterNode(home)))
        bounds = 0, 5461, 10923, 16384
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            with admin(node) as control:
                control.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                for other in self.nodes:
                    address = "127.0.0.1", other.port, other.bus
                    control.execute_command("CLUSTER MEET", *address)

    def url(self, *numbers):
        return f"redis+cluster://{','.join(self.nodes[number].place for number in numbers)}"

    async def agreed(self):
        async def all_know_all():
            for node in self.nodes:
                with admin(node) as control:
                    state = control.execute_command("CLUSTER INFO")
                    known = str(state["cluster_known_nodes"]), str(state["cluster_slots_ok"])
                    if (state["cluster_state"], *known) != ("ok", "3", "16384"):
                        return False
            return True

        await until(all_know_all)

    def owner(self, prefix):
        with admin(self.nodes[0]) as control:
            slot = control.execute_command("CLUSTER KEYSLOT", f"{prefix}epochs")
        return slot, min(slot * 3 // 16384, 2)


@pytest.fixture
async def cluster(tmp_path):
    with ExitStack() as stack:
        three = Cluster(stack, tmp_path)
        await three.agreed()
        yield three


async def test_a_cluster_keeps_all_of_a_salon_group_in_one_slot_wherever_it_moves(
    cluster, tmp_path
):
    slot, owner = cluster.owner(key_prefix("salon-gateway"))
    seeds = [number for number in range(3) if number != owner]
    home = StateHome(url=cluster.url(*seeds), base=tmp_path)
    store, documents = open_epochs(home), open_documents(home)
    token = await store.enrol(MEI, PHONE, NOON)
    await documents.put(Kind.LOCK, KEN, b"locked", replaces=None, now=NOON)
    await documents.put(Kind.ACCOUNT, KEN, b"{}", replaces=None, now=NOON, expires=later(60))
    floor = await store.revoke(MEI, PHONE, later(1))
    assert floor > token

    here, there = cluster.nodes[owner], cluster.nodes[seeds[0]]
    with admin(here) as giving, admin(there) as taking:
        names = [giving.cluster("MYID"), taking.cluster("MYID")]
        names = [name.decode() if isinstance(name, bytes) else name for name in names]
        taking.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        giving.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        keys = giving.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
        assert len(keys) > 4
        for key in (None, *keys):  # a script that cannot see both halves is refused
            if key is not None:
                giving.migrate("127.0.0.1", there.port, key, 0, 5000)
            with pytest.raises(StateUnavailableError):
                await store.floor(MEI, PHONE)
        for control in (taking, giving):
            control.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])
    assert await store.floor(MEI, PHONE) == floor
    assert (await documents.get(Kind.LOCK, KEN, NOON)).value == b"locked"
    assert await store.revoke(MEI, PHONE, later(2)) > floor
    await store.close()
    await documents.close()


async def test_a_cluster_whose_node_is_gone_is_refused_and_back_with_it(cluster, tmp_path):
    _, owner = cluster.owner(key_prefix("salon-gateway"))
    store = open_epochs(StateHome(url=cluster.url(0, 1, 2), base=tmp_path))
    await store.enrol(MEI, PHONE, NOON)
    floor = await store.revoke(MEI, PHONE, later(1))
    cluster.nodes[owner].kill()
    for _ in range(5):
        with pytest.raises(StateUnavailableError):
            await store.floor(MEI, PHONE)
    cluster.nodes[owner].start()

    async def answers():
        assert await store.floor(MEI, PHONE) == floor
        return True

    await until(answers)
    await store.close()


# The user of the gateway


@pytest.fixture
def guarded_by_acl(tmp_path):
    with appending(tmp_path / "redis") as server, admin(server) as control:
        add_user(control)
        control.execute_command("ACL", "SETUSER", "default", "off")
        yield server, control


async def test_the_gateway_works_with_exactly_the_rights_that_the_docs_give_it(
    guarded_by_acl, tmp_path
):
    server, control = guarded_by_acl
    url = server.url("salon-gateway:sesame@", database=3)
    home = StateHome(url=url, base=tmp_path)
    store, documents = open_epochs(home), open_documents(home)
    token = await store.enrol(MEI, PHONE, NOON)
    assert await store.revoke(MEI, PHONE, later(1)) > token
    assert len(await store.rows()) == 2
    await store.version()
    for kind in Kind:
        for key in (MEI, KEN):
            at = later(1 if key == MEI else 10**6)
            await documents.put(kind, key, b"1", replaces=None, now=NOON, expires=at)
        last = await documents.put(kind, KEN, b"2", replaces=1, now=later(10**6 - 1))
        assert await documents.remove(kind, KEN, replaces=last.revision, now=later(10**7))
        assert await documents.all(kind, later(10**7)) == {}
    await documents.check()
    control.flushall()
    with pytest.raises(MemoryLostError):
        await store.check()
    await documents.repair()
    assert await store.floor(MEI, PHONE) is None
    await store.close()
    await documents.close()
    strange = open_epochs(StateHome(url=url, base=tmp_path / "b", group="another-salon"))
    with pytest.raises(StateUnavailableError, match=r"(?i)no permissions"):
        await strange.check()
    await strange.close()


def test_the_rights_are_the_least(guarded_by_acl):
    called = {
        word.lower()
        for script in vars(redis_scripts).values()
        if isinstance(script, str)
        for word in re.findall(r"redis\.call\('([A-Z]+)'", script)
    }
    given = {word[1:] for word in acl_line().split() if word.startswith("+")}
    assert given == called | {"eval", "select", "role", "asking"}
    _, control = guarded_by_acl
    for command in ("get x", "keys *", "flushall", "config get *", "acl list", "eval_ro x 0"):
        dry = control.execute_command("ACL", "DRYRUN", "salon-gateway", *command.split())
        assert dry != b"OK"


async def test_several_salon_groups_share_a_redis_and_know_nothing_of_each_other(tmp_path):
    with appending(tmp_path / "redis") as server:
        url = server.url()
        one = open_epochs(StateHome(url=url, base=tmp_path / "a", group="aoyama"))
        two = open_epochs(StateHome(url=url, base=tmp_path / "b", group="shibuya"))
        await one.enrol(MEI, PHONE, NOON)
        assert await two.floor(MEI, PHONE) is None
        with admin(server) as control:
            names = {key.partition(b":")[0] for key in control.keys("*")}
            assert names == {b"{aoyama}", b"{shibuya}"}
            for key in control.keys("{shibuya}*"):
                control.delete(key)
        assert await one.floor(MEI, PHONE) is not None
        with pytest.raises(MemoryLostError):
            await two.floor(MEI, PHONE)
        await one.close()
        await two.close()
