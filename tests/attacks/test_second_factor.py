"""The second factor under attack, by somebody who has the password."""

import asyncio

import pytest

from gateway.accounts import Enrolled, Refused, SignedIn
from gateway.domain.reason import Reason
from gateway.identity.attempts import FREE_TRIES
from gateway.identity.half import Half
from tests.oracles.accounts_world import CAFE, GOOD, HOME, OTHER, PHONE, World
from tests.oracles.second_world import App, set_up


@pytest.fixture
async def world():
    made = World()
    await made.given()
    return made


async def half_of(world, *, peer=CAFE, device=None):
    half = await world.sign_in(peer=peer, device=device)
    assert isinstance(half, Half)
    return half


async def test_a_code_that_was_seen_over_a_shoulder_is_used_up(world):
    app, _ = await set_up(world)
    code = app.fresh()
    assert isinstance(
        await world.accounts.give_code(await half_of(world), code, peer=HOME), SignedIn
    )
    again = await world.accounts.give_code(await half_of(world), code, peer=CAFE)
    assert isinstance(again, Refused)


async def test_an_older_code_is_over_once_a_newer_one_was_taken(world):
    app, _ = await set_up(world)
    older = app.fresh()
    newer = app.code(1)
    assert isinstance(
        await world.accounts.give_code(await half_of(world), newer, peer=HOME), SignedIn
    )
    assert isinstance(
        await world.accounts.give_code(await half_of(world), older, peer=CAFE), Refused
    )


@pytest.mark.parametrize("kind", ["app", "recovery"])
async def test_of_many_who_use_one_code_at_once_exactly_one_is_in(world, kind):
    app, enrolled = await set_up(world)
    code = app.fresh() if kind == "app" else enrolled.recovery[0]
    halves = [await half_of(world) for _ in range(FREE_TRIES)]
    found = await asyncio.gather(
        *(world.accounts.give_code(half, code, peer=CAFE) for half in halves)
    )
    assert sum(isinstance(one, SignedIn) for one in found) == 1


async def test_guesses_at_codes_are_bounded_whatever_the_password_step_forgives(world):
    app, _ = await set_up(world)
    looked_at = 0
    for round_ in range(60):  # an hour, from a new network each time, with the right password
        world.clock.later(minutes=1)
        half = await half_of(world, peer=f"203.0.{round_}.1")
        for _ in range(10):
            found = await world.accounts.give_code(half, app.wrong(), peer=f"203.0.{round_}.1")
            assert isinstance(found, Refused)
            looked_at += found.reason is Reason.UNAUTHENTICATED
    # Five free ones, then waits of 15 s doubled up to 15 min: by rule K2 of `attempts.py`.
    assert looked_at <= FREE_TRIES + 6 + 4


async def test_many_guesses_at_once_are_not_one(world):
    app, _ = await set_up(world)
    half = await half_of(world)
    found = await asyncio.gather(
        *(world.accounts.give_code(half, app.wrong(), peer=CAFE) for _ in range(50))
    )
    looked_at = [one for one in found if one.reason is Reason.UNAUTHENTICATED]
    assert len(looked_at) <= FREE_TRIES


async def test_whoever_guesses_elsewhere_does_not_keep_a_known_phone_waiting(world):
    app, enrolled = await set_up(world, device=PHONE)
    assert enrolled.signed_in.device == PHONE
    half = await half_of(world)
    for _ in range(FREE_TRIES + 6):  # the next one waits 15 minutes by now
        world.clock.later(minutes=15)
        await world.accounts.give_code(half, app.wrong(), peer=CAFE)
    mine = await half_of(world, peer=HOME, device=PHONE)
    assert isinstance(await world.accounts.give_code(mine, app.fresh(), peer=HOME), SignedIn)


async def test_codes_are_guessed_by_changing_the_password_no_faster(world):
    app, _ = await set_up(world)
    reasons = []
    for _ in range(20):
        found = await world.accounts.change_password(
            "mei", GOOD, OTHER, peer=CAFE, code=app.wrong()
        )
        reasons.append(found.reason)
    assert reasons.count(Reason.UNAUTHENTICATED) <= FREE_TRIES


async def test_of_two_who_set_one_up_at_once_one_wins(world):
    begin = world.accounts.begin_second_factor
    first = await begin("mei", GOOD, "", peer=HOME, device=None)
    other = await begin("mei", GOOD, "", peer=CAFE, device=None)
    found = await asyncio.gather(
        *(
            world.accounts.enrol(half, App(world.clock, half.secret).code(), peer=HOME)
            for half in (first, other)
        )
    )
    assert sum(isinstance(one, Enrolled) for one in found) == 1


async def test_a_sign_in_that_began_without_one_does_not_end_after_it_is_set_up(world):
    """The password was right before; the epoch it was given is behind, or it is refused."""

    async def meanwhile():
        await set_up(world)

    world.documents.meanwhile = meanwhile
    found = await world.sign_in(device=PHONE)
    assert isinstance(found, Refused)


async def test_the_first_code_of_another_key_sets_nothing_up(world):
    half = await world.accounts.begin_second_factor("mei", GOOD, "", peer=HOME, device=None)
    other = await world.accounts.begin_second_factor("mei", GOOD, "", peer=HOME, device=None)
    code = App(world.clock, other.secret).code()
    assert isinstance(await world.accounts.enrol(half, code, peer=HOME), Refused)
