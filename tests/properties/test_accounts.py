"""Whatever an attacker without the victim's device does, the victim's known device gets in."""

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.accounts import Refused, SignedIn
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId
from tests.oracles.accounts_world import GOOD, HOME, KEN, OTHER, PHONE, World

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
TRIES = st.tuples(
    st.just("try"),
    st.sampled_from(["mei", "ken", "MEI", "nobody", "staff:mei"]),
    st.sampled_from(["10.0.0.1", "10.0.1.1", HOME, "2001:db8::1", ""]),
    # Devices that they own, or make up; never the victim's, which only we can sign.
    st.sampled_from([None, "kens", "made-up", "phone-2"]),
    st.integers(1, 30),
)
CHANGES = st.tuples(
    st.just("change"), st.sampled_from(["mei", "ken"]), st.just(HOME), st.none(), st.integers(1, 8)
)
PAUSES = st.tuples(st.just("pause"), st.sampled_from([1, 14, 15, 60, 900, 86_400]))
FLOODS = st.tuples(st.just("flood"), st.integers(1, 40))


async def attacked(world, steps):
    for what, *how in steps:
        match what:
            case "try":
                name, peer, device, times = how
                for _ in range(times):
                    device_id = None if device is None else DeviceId(device)
                    await world.sign_in(name, OTHER, peer=peer, device=device_id)
            case "change":
                name, peer, _, times = how
                for _ in range(times):
                    await world.accounts.change_password(name, OTHER, GOOD, peer=peer)
            case "pause":
                world.clock.later(seconds=how[0])
            case "flood":
                await asyncio.gather(
                    *(
                        world.sign_in("mei", OTHER, peer=f"10.{number}.0.1")
                        for number in range(how[0])
                    ),
                    return_exceptions=True,
                )
        found = await world.sign_in(device=PHONE)
        assert isinstance(found, SignedIn), what


@settings(max_examples=60 * FUZZ, deadline=None)
@given(st.lists(TRIES | CHANGES | PAUSES | FLOODS, min_size=1, max_size=8))
def test_nobody_without_the_device_keeps_the_device_out(steps):
    async def play():
        world = World()
        await world.given()
        await world.given(KEN, "nine purple ladders")
        await world.sign_in(device=PHONE)
        await world.accounts.sign_in(
            "ken", "nine purple ladders", peer=HOME, device=DeviceId("kens")
        )
        await attacked(world, steps)

    asyncio.run(play())


@settings(max_examples=30 * FUZZ, deadline=None)
@given(st.integers(1, 40))
def test_not_even_while_the_flood_is_under_way(size):
    async def play():
        world = World()
        await world.given()
        await world.sign_in(device=PHONE)
        flood = [world.sign_in("mei", OTHER, peer=f"10.{n}.0.1") for n in range(size)]
        *others, victim = await asyncio.gather(
            *flood, world.sign_in(device=PHONE), return_exceptions=True
        )
        assert isinstance(victim, SignedIn)
        assert all(isinstance(one, Refused | StateUnavailableError) for one in others)

    asyncio.run(play())


@settings(max_examples=20 * FUZZ, deadline=None)
@given(st.integers(1, 60), st.integers(1, 8))
def test_not_even_a_colleague_who_floods_from_known_devices_of_their_own(size, devices):
    async def play():
        world = World()
        await world.given()
        await world.given(KEN, "nine purple ladders")
        await world.sign_in(device=PHONE)
        for number in range(devices):
            await world.accounts.sign_in(
                "ken", "nine purple ladders", peer=HOME, device=DeviceId(f"kens-{number}")
            )
        flood = [
            world.sign_in(who, OTHER, device=DeviceId(f"kens-{number % devices}"))
            for number in range(size)
            for who in ("ken", "mei")
        ]
        *_, victim = await asyncio.gather(
            *flood, world.sign_in(device=PHONE), return_exceptions=True
        )
        assert isinstance(victim, SignedIn)

    asyncio.run(play())


@settings(max_examples=60 * FUZZ, deadline=None)
@given(
    st.text(max_size=20).filter(lambda name: name.strip().lower() not in {"mei", "staff:mei"}),
    st.integers(1, 12),
    st.sampled_from([0, 15, 3600]),
)
def test_a_name_of_nobody_is_answered_like_one_of_somebody(name, times, pause):
    async def seen(typed):
        world = World()
        await world.given()
        world.happened.clear()
        world.hasher.runs.clear()
        answers = []
        for _ in range(times):
            found = await world.sign_in(typed, OTHER, peer="10.0.0.1")
            answers.append((found.reason, found.wait))
            world.clock.later(seconds=pause)
        return answers, world.hasher.runs, world.happened

    assert asyncio.run(seen(name)) == asyncio.run(seen("mei"))
