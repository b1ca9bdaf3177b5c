"""Argon2id: one form, the same work for everybody, never more than a few at once."""

import asyncio
from contextlib import ExitStack

import pytest
from argon2 import Parameters, Type
from argon2.low_level import ARGON2_VERSION

from gateway.backends.argon2 import PARAMETERS, PLACES, PLACES_EACH, Argon2Hasher
from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.identity.accounts import with_password

NOON = from_milliseconds(1_795_000_000_000)


def cheap(passes=1):
    return Parameters(
        type=Type.ID,
        version=ARGON2_VERSION,
        salt_len=16,
        hash_len=32,
        time_cost=passes,
        memory_cost=8,
        parallelism=1,
    )


@pytest.fixture
def hasher():
    made = Argon2Hasher(parameters=cheap())
    yield made
    made.close()


async def test_a_password_is_right_or_it_is_not(hasher):
    encoded = await hasher.hash("우산 고양이 구름".encode(), known=True)
    assert await hasher.verify(encoded, "우산 고양이 구름".encode(), known=True)
    assert not await hasher.verify(encoded, "우산 고양이 구룸".encode(), known=True)
    assert not await hasher.verify(encoded, None, known=True)


async def test_two_hashes_of_one_password_differ(hasher):
    assert len({await hasher.hash(b"same", known=True) for _ in range(3)}) == 3


async def test_a_hash_can_be_kept_in_an_account(hasher):
    assert with_password(None, await hasher.hash(b"x", known=True), NOON, must_change=False)


@pytest.mark.parametrize("password", [b"\0", b"something", None])
async def test_nobodys_hash_matches_nothing_and_costs_one_run(hasher, password):
    before = hasher.runs
    assert not await hasher.verify(None, password, known=False)
    assert hasher.runs == before + 1


async def test_nobodys_hash_asks_for_the_same_work_as_a_real_one(hasher):
    real = await hasher.hash(b"x", known=True)
    assert real.split("$")[:4] == hasher._nobodys.split("$")[:4]
    assert len(real) == len(hasher._nobodys)


async def test_a_hash_with_other_parameters_is_outdated(hasher):
    encoded = await hasher.hash(b"x", known=True)
    assert not hasher.is_outdated(encoded)
    later = Argon2Hasher(parameters=cheap(passes=2))
    assert later.is_outdated(encoded)
    assert await later.verify(encoded, b"x", known=True)
    later.close()


def test_ours_are_those_of_the_cheat_sheet():
    assert (PARAMETERS.memory_cost, PARAMETERS.time_cost, PARAMETERS.parallelism) == (19456, 2, 1)
    assert PARAMETERS.type is Type.ID


async def test_who_finds_no_place_is_refused_at_once_and_a_known_device_has_its_own(hasher):
    with ExitStack() as strangers:
        for _ in range(PLACES):
            strangers.enter_context(hasher.place(None))
        with pytest.raises(StateUnavailableError), hasher.place(None):
            pass
        with ExitStack() as phones:
            for _ in range(PLACES_EACH):
                phones.enter_context(hasher.place("mei's phone"))
            with pytest.raises(StateUnavailableError), hasher.place("mei's phone"):
                pass
            with hasher.place("mei's tablet"):
                encoded = await hasher.hash(b"x", known=True)
                assert await hasher.verify(encoded, b"x", known=True)
    with hasher.place(None), hasher.place("mei's phone"):
        pass
    assert not hasher._taken  # nothing is kept of anybody


async def test_the_loop_goes_on_meanwhile():
    hasher = Argon2Hasher()
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    beating = asyncio.ensure_future(beat())
    await hasher.hash(b"x", known=False)
    beating.cancel()
    hasher.close()
    assert beats > 1


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "junk",
        "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=999999999,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=262144,t=5,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=8,t=1,p=1$AA$AA",
        "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
    ],
)
async def test_a_hash_that_cannot_be_read_lets_nobody_in(hasher, encoded):
    with pytest.raises(StateUnavailableError):
        await hasher.verify(encoded, b"x", known=True)
