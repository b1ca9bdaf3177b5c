"""Keys of another issuer over real TLS, from a token to the look at its set: rotation whole."""

import pytest

from gateway.backends.issuer_keys import LEAST_SECONDS, REFETCH_SECONDS, IssuerKeys, unheard
from gateway.backends.jwks_fetch import JwksAddress
from gateway.domain.reason import Cause
from tests.oracles.foreign_world import ALL, SigningKey, World, key_set
from tests.oracles.key_server import KeyServer


@pytest.fixture
async def rotating(tmp_path):
    """Issuer A publishes by https; nothing looks by itself but at an unknown key."""
    world = World()
    async with KeyServer().listening() as server:
        server.body = key_set(world.keys["a"]).encode()
        keys = IssuerKeys(
            "https://a.example",
            server.url,
            JwksAddress(server.url, tls=server.trusting(), algorithms=ALL),
            folder=tmp_path,
            keep_seconds=86_400,
            clock=world.clock,
            tell=unheard,
        )
        await keys.start()
        await keys.stop()
        world.sets["a"] = keys
        world.service = world.worker()
        await world.welcome()
        yield world, server, keys


async def test_a_new_key_is_known_with_its_first_token(rotating):
    world, server, _ = rotating
    new = SigningKey("two")
    server.body = key_set(world.keys["a"], new).encode()
    assert await world.who(world.token(signed_by=new)) is Cause.UNKNOWN_KEY  # asked just now
    world.clock.later(seconds=LEAST_SECONDS)
    assert await world.is_in(world.token(signed_by=new))
    assert await world.is_in(world.token(jti="old key"))


async def test_a_withdrawn_keys_tokens_stop_with_the_next_look(rotating):
    world, server, keys = rotating
    token = world.token(sid="s", life=86_400)
    assert await world.is_in(token)
    server.body = key_set(SigningKey("two")).encode()
    assert keys.pause() <= REFETCH_SECONDS
    world.clock.later(seconds=REFETCH_SECONDS)
    await keys.renewed()
    assert await world.who(token) is Cause.UNKNOWN_KEY


async def test_while_the_issuer_answers_nonsense_its_good_keys_stay_and_then_end(rotating):
    world, server, _ = rotating
    token = world.token(sid="s", life=3 * 86_400)
    for body, status in ((b"<html>", 200), (b"", 503), (b'{"keys": [1]}', 200)):
        server.body, server.status = body, status
        world.clock.later(hours=7)
        assert await world.who(world.token(signed_by=SigningKey("?"))) is Cause.UNKNOWN_KEY
        assert await world.is_in(token)
    assert len(server.asked) == 4
    world.clock.later(hours=3)
    assert await world.who(token) is Cause.UNKNOWN_KEY


async def test_a_thousand_unknown_keys_are_one_look(rotating):
    world, server, _ = rotating
    world.clock.later(seconds=LEAST_SECONDS)
    stranger = world.token(signed_by=SigningKey("?"))
    for _ in range(1000):
        assert await world.who(stranger) is Cause.UNKNOWN_KEY
    assert len(server.asked) == 2
