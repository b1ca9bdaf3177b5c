"""Finding the server that has our keys: among sentinels, in a cluster, once and never twice."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.backends import redis_link
from gateway.backends.redis_link import RedisLink
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from tests.oracles.redis_speaker import Speaker, array, bulk

MASTER = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
REPLICA = b"*5\r\n$5\r\nslave\r\n$1\r\nm\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"
GUARD_SECONDS = 5.0


def a_redis(name, role=MASTER):
    def answer(words):
        return role if words[0] == "ROLE" else bulk(name)

    return Speaker(answer)


def naming(server):
    """A sentinel that names it."""
    return Speaker(lambda _: array("127.0.0.1", str(server().port)))


def silent():
    return Speaker(lambda _: None)


@pytest.fixture
async def up():
    async with AsyncExitStack() as stack:

        async def started(*speakers):
            return [await stack.enter_async_context(one) for one in speakers]

        started.stack = stack
        yield started


def link_to(up, scheme, servers, rest=""):
    link = RedisLink(parse_redis(f"{scheme}://{','.join(one.place for one in servers)}{rest}"))
    up.stack.push_async_callback(link.close)
    return link


def sentinel_link(up, sentinels):
    return link_to(up, "redis+sentinel", sentinels, "/salon/0")


async def ask(link, seconds=GUARD_SECONDS):
    return await link.ask("GET", "{salon-gateway}:x", seconds=seconds)


async def test_the_master_is_whom_more_than_half_of_the_sentinels_name(up):
    one, two = await up(a_redis("one"), a_redis("two"))
    sentinels = await up(naming(lambda: one), silent(), naming(lambda: one))
    assert await ask(sentinel_link(up, sentinels)) == b"one"
    assert sentinels[0].heard == [["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "salon"]]
    assert two.heard == []


@pytest.mark.parametrize("others", [0, 1, 2])
async def test_one_voice_of_several_is_not_enough(up, others):
    """A sentinel that is cut off from the others goes on naming the old master."""
    old, new = await up(a_redis("old"), a_redis("new"))
    rest = [naming(lambda: new), Speaker(lambda _: b"*-1\r\n")][:others]
    gone = [Speaker(lambda _: b"-ERR no\r\n") for _ in range(2 - others)]
    sentinels = await up(naming(lambda: old), *rest, *gone)
    with pytest.raises(StateUnavailableError, match="not more than half"):
        await ask(sentinel_link(up, sentinels))
    assert old.heard == new.heard == []


async def test_two_of_four_are_not_more_than_half(up):
    one, two = await up(a_redis("one"), a_redis("two"))
    sentinels = await up(*(naming(lambda s=s: s) for s in (one, one, two, two)))
    with pytest.raises(StateUnavailableError):
        await ask(sentinel_link(up, sentinels))


async def test_a_named_server_that_is_no_master_is_asked_nothing(up):
    (replica,) = await up(a_redis("stale", REPLICA))
    sentinels = await up(naming(lambda: replica))
    with pytest.raises(StateUnavailableError):
        await ask(sentinel_link(up, sentinels))
    assert {words[0] for words in replica.heard} == {"ROLE"}


@pytest.mark.parametrize(
    "reply",
    [b"*-1\r\n", b":1\r\n", array("127.0.0.1"), array("127.0.0.1", "99999"), array("", "1")],
)
async def test_a_sentinel_that_names_nothing_sound_has_no_voice(up, reply):
    (one,) = await up(a_redis("one"))
    sentinels = await up(Speaker(lambda _: reply))
    with pytest.raises(StateUnavailableError):
        await ask(sentinel_link(up, sentinels))
    assert one.heard == []


async def test_silent_sentinels_are_refused_in_bounded_time_and_nothing_is_left_open(up):
    sentinels = await up(silent(), silent(), silent())
    link = sentinel_link(up, sentinels)
    async with asyncio.timeout(GUARD_SECONDS):
        for _ in range(3):
            with pytest.raises(StateUnavailableError, match="within"):
                await ask(link, seconds=0.05)


async def test_a_master_that_has_become_a_replica_is_left_for_the_new_one(up):
    state = {"role": MASTER, "reply": bulk("old")}
    old = Speaker(lambda words: state["role"] if words[0] == "ROLE" else state["reply"])
    old, new = await up(old, a_redis("new"))
    current = {"is": old}
    sentinels = await up(*(naming(lambda: current["is"]) for _ in range(3)))
    link = sentinel_link(up, sentinels)
    assert await ask(link) == b"old"
    state |= {
        "role": REPLICA,
        "reply": b"-READONLY You can't write against a read only replica.\r\n",
    }
    current["is"] = new
    assert await ask(link) == b"new"


async def test_a_master_nobody_complains_of_is_still_confirmed_now_and_then(up, monkeypatch):
    monkeypatch.setattr(redis_link, "CONFIRM_SECONDS", 0.0)
    old, new = await up(a_redis("old"), a_redis("new"))
    current = {"is": old}
    sentinels = await up(*(naming(lambda: current["is"]) for _ in range(3)))
    link = sentinel_link(up, sentinels)
    assert await ask(link) == b"old"
    current["is"] = new  # and the old one answers as before
    assert await ask(link) == b"new"


async def test_a_timeout_makes_the_master_be_found_anew(up):
    slow = Speaker(lambda words: MASTER if words[0] == "ROLE" else None)
    slow, new = await up(slow, a_redis("new"))
    current = {"is": slow}
    sentinels = await up(*(naming(lambda: current["is"]) for _ in range(3)))
    link = sentinel_link(up, sentinels)
    with pytest.raises(StateUnavailableError, match="within"):
        await ask(link, seconds=0.1)
    current["is"] = new
    assert await ask(link) == b"new"


def moving(where):
    """A node of a cluster that sends everybody elsewhere."""
    return Speaker(lambda _: f"-MOVED 42 127.0.0.1:{where().port}\r\n".encode())


async def test_a_node_that_sends_us_on_is_followed_and_not_asked_again(up):
    (owner,) = await up(a_redis("owner"))
    (seed,) = await up(moving(lambda: owner))
    link = link_to(up, "redis+cluster", [seed])
    for _ in range(3):
        assert await ask(link) == b"owner"
    assert len(seed.heard) == 1


async def test_nodes_that_send_us_round_in_a_circle_are_refused_after_one_turn(up):
    nodes = []
    nodes += await up(moving(lambda: nodes[1]), moving(lambda: nodes[0]))
    with pytest.raises(StateUnavailableError):
        await ask(link_to(up, "redis+cluster", nodes[:1]))
    assert len(nodes[0].heard) + len(nodes[1].heard) == 2


async def test_a_node_without_a_name_is_the_host_that_was_asked(up):
    (owner,) = await up(a_redis("owner"))
    (seed,) = await up(Speaker(lambda _: f"-MOVED 42 :{owner.port}\r\n".encode()))
    assert await ask(link_to(up, "redis+cluster", [seed])) == b"owner"


@pytest.mark.parametrize("to", ["127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "127.0.0.1", ""])
async def test_a_redirection_that_leads_nowhere_is_refused(up, to):
    (seed,) = await up(Speaker(lambda _: f"-MOVED 42 {to}\r\n".encode()))
    with pytest.raises(StateUnavailableError):
        await ask(link_to(up, "redis+cluster", [seed]))


async def test_a_slot_that_is_being_given_away_is_asked_for_once_at_its_next_owner(up):
    ok = {"ASKING": b"+OK\r\n"}
    (taker,) = await up(Speaker(lambda words: ok.get(words[0], bulk("taken"))))
    giver = Speaker(lambda _: f"-ASK 42 127.0.0.1:{taker.port}\r\n".encode())
    (giver,) = await up(giver)
    link = link_to(up, "redis+cluster", [giver])
    for _ in range(2):
        assert await ask(link) == b"taken"
    assert len(giver.heard) == 2  # it is still the owner
    assert [words[0] for words in taker.heard] == ["ASKING", "GET"] * 2


async def test_a_node_that_is_gone_is_followed_by_the_next_that_is_listed(up):
    (owner,) = await up(a_redis("owner"))
    async with silent() as gone:
        pass
    link = link_to(up, "redis+cluster", [gone, owner])
    assert await ask(link) == b"owner"


async def test_a_cluster_that_was_not_called_one_is_refused(up):
    (owner,) = await up(a_redis("owner"))
    (seed,) = await up(moving(lambda: owner))
    with pytest.raises(StateUnavailableError, match=r"begins with `redis\+cluster://`"):
        await ask(link_to(up, "redis", [seed]))
    assert owner.heard == []


async def test_an_error_of_the_server_is_an_answer_and_no_reason_to_pause(up):
    (server,) = await up(Speaker(lambda _: b"-ERR no\r\n"))
    link = link_to(up, "redis", [server])
    for _ in range(5):
        with pytest.raises(StateUnavailableError):
            await ask(link)
    assert server.connections == len(server.heard) == 5
