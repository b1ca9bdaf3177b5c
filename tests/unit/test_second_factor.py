"""Signing in with a second factor: who is asked, what is taken, what ends."""

from dataclasses import replace

import pytest

from gateway.accounts import Enrolled, Refused, SignedIn
from gateway.domain.act import Act
from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.identity.accounts import parse_account
from gateway.identity.half import Half, Step
from gateway.ports import Kind
from gateway.sessions import Sessions
from tests.oracles.accounts_world import CAFE, GOOD, HANA, HOME, MEI, OTHER, PHONE, World
from tests.oracles.second_world import account_of, set_up


@pytest.fixture
async def world():
    made = World()
    await made.given()
    return made


async def test_whoever_has_none_and_needs_none_is_in_at_once(world):
    assert isinstance(await world.sign_in(), SignedIn)


async def test_setting_one_up_lets_them_in_and_shows_ten_codes_once(world):
    _, enrolled = await set_up(world)
    assert isinstance(enrolled, Enrolled)
    assert enrolled.signed_in.staff == MEI
    assert len(set(enrolled.recovery)) == 10
    assert (await account_of(world)).second is not None


async def test_it_does_not_count_before_a_code_has_confirmed_it(world):
    half = await world.accounts.begin_second_factor("mei", GOOD, "", peer=HOME, device=None)
    assert isinstance(half, Half)
    refused = await world.accounts.enrol(half, "000000", peer=HOME)
    assert isinstance(refused, Refused)
    assert isinstance(await world.sign_in(), SignedIn)


async def test_setting_one_up_ends_every_session_begun_without(world):
    before = await world.sign_in(device=PHONE)
    await set_up(world)
    assert await world.epochs.floor(MEI, PHONE) > before.epoch


async def test_the_password_alone_is_half_way(world):
    app, _ = await set_up(world)
    half = await world.sign_in(device=PHONE)
    assert isinstance(half, Half)
    assert (half.step, half.secret) == (Step.CODE, b"")
    found = await world.accounts.give_code(half, app.fresh(), peer=HOME)
    assert isinstance(found, SignedIn)
    assert found.device == PHONE
    assert PHONE in (await account_of(world)).devices


async def test_half_way_nobody_has_a_session_or_a_known_device(world):
    await set_up(world)
    happened = len(world.happened)
    await world.sign_in(device=PHONE)
    assert "enrolled" not in world.happened[happened:]
    assert PHONE not in (await account_of(world)).devices


async def test_a_wrong_code_is_a_try_and_is_entered(world):
    app, _ = await set_up(world)
    half = await world.sign_in()
    found = await world.accounts.give_code(half, app.wrong(), peer=CAFE)
    assert isinstance(found, Refused)
    assert (found.reason, found.cause) == (Reason.UNAUTHENTICATED, Cause.WRONG_CODE)
    entry = world.trail.entries[-1]
    assert (entry.act, entry.cause, entry.whom) == (Act.SIGN_IN_REFUSED, Cause.WRONG_CODE, MEI)
    assert entry.peer == CAFE


async def test_a_recovery_code_lets_in_once_and_stands_in_the_trail(world):
    _, enrolled = await set_up(world)
    half = await world.sign_in()
    found = await world.accounts.give_code(half, enrolled.recovery[0], peer=HOME)
    assert isinstance(found, SignedIn)
    assert Act.USE_RECOVERY_CODE in world.acts()
    again = await world.accounts.give_code(await world.sign_in(), enrolled.recovery[0], peer=HOME)
    assert isinstance(again, Refused)
    assert len((await account_of(world)).second.recovery) == 9


async def test_whoever_must_have_one_sets_it_up_before_they_are_in(world):
    world.accounts = replace(world.accounts, required=lambda staff: staff == MEI)
    half = await world.sign_in(device=PHONE)
    assert isinstance(half, Half)
    assert half.step is Step.ENROL
    assert len(half.secret) == 20
    refused = await world.accounts.give_code(half, "000000", peer=HOME)
    assert isinstance(refused, Refused)


async def test_a_temporary_password_is_changed_before_anything_else(world):
    world.accounts = replace(world.accounts, required=lambda _: True)
    await world.given(temporary=True)
    assert (await world.sign_in()).must_change
    begun = await world.accounts.begin_second_factor("mei", GOOD, "", peer=HOME, device=None)
    assert begun.must_change


async def test_changing_the_password_takes_a_code(world):
    app, _ = await set_up(world)
    change = world.accounts.change_password
    assert isinstance(await change("mei", GOOD, OTHER, peer=HOME), Refused)
    assert isinstance(await change("mei", GOOD, OTHER, peer=HOME, code=app.wrong()), Refused)
    assert await change("mei", GOOD, OTHER, peer=HOME, code=app.fresh()) == ()
    assert isinstance(await world.sign_in(password=OTHER), Half)


async def test_a_weak_password_does_not_use_the_code_up(world):
    app, _ = await set_up(world)
    code = app.fresh()
    change = world.accounts.change_password
    assert await change("mei", GOOD, "short", peer=HOME, code=code)
    assert await change("mei", GOOD, OTHER, peer=HOME, code=code) == ()


async def test_another_one_in_its_place_takes_a_code_of_it(world):
    app, _ = await set_up(world)
    begin = world.accounts.begin_second_factor
    assert isinstance(await begin("mei", GOOD, "", peer=HOME, device=None), Refused)
    half = await begin("mei", GOOD, app.fresh(), peer=HOME, device=None)
    assert isinstance(half, Half)
    assert half.secret != app.secret


async def test_a_given_password_does_not_get_past_it(world):
    await set_up(world)
    await world.given(password=OTHER)
    assert isinstance(await world.sign_in(password=OTHER), Half)


async def test_removing_it_ends_every_session_and_is_entered(world):
    app, enrolled = await set_up(world)
    half = await world.sign_in()
    device = enrolled.signed_in.device
    assert await world.accounts.remove_second_factor(MEI, by=HANA, peer="-")
    assert await world.epochs.floor(MEI, device) > enrolled.signed_in.epoch
    assert world.acts()[-1] is Act.REMOVE_SECOND_FACTOR
    assert isinstance(await world.accounts.give_code(half, app.fresh(), peer=HOME), Refused)
    assert isinstance(await world.sign_in(), SignedIn)
    assert not await world.accounts.remove_second_factor(MEI, by=HANA, peer="-")


@pytest.mark.parametrize("change", ["password", "account", "roster"])
async def test_half_a_sign_in_is_over_when_the_account_changes(world, change):
    app, _ = await set_up(world)
    half = await world.sign_in()
    if change == "password":
        await world.given(password=OTHER)
    elif change == "account":
        await world.accounts.remove(MEI, by=HANA, peer="-")
    else:
        world.roster = replace(world.roster, members={})
    found = await world.accounts.give_code(half, app.fresh(), peer=HOME)
    assert isinstance(found, Refused)


async def test_a_lock_that_came_meanwhile_keeps_out(world):
    app, _ = await set_up(world)
    half = await world.sign_in()
    await lock_out(world)
    with pytest.raises(RequestError) as raised:
        await world.accounts.give_code(half, app.fresh(), peer=HOME)
    assert raised.value.reason is Reason.LOCKED


async def lock_out(world):
    sessions = Sessions(
        epochs=world.epochs,
        documents=world.documents,
        audit=world.trail,
        clock=world.clock,
        policy=lambda: "d1",
        new_id=lambda: "id",
    )
    await sessions.lock(MEI, by=HANA, peer="-")


async def test_another_write_meanwhile_does_not_lose_the_code_or_the_device(world):
    app, _ = await set_up(world)
    half = await world.sign_in(device=PHONE)

    async def meanwhile():
        kept = await world.documents.get(Kind.ACCOUNT, MEI, world.clock.now())
        await world.documents.put(
            Kind.ACCOUNT, MEI, kept.value, replaces=kept.revision, now=world.clock.now()
        )

    code = app.fresh()
    world.documents.meanwhile = meanwhile
    assert isinstance(await world.accounts.give_code(half, code, peer=HOME), SignedIn)
    kept = await world.documents.get(Kind.ACCOUNT, MEI, world.clock.now())
    assert parse_account(kept.value).knows(PHONE)


async def test_an_outdated_hash_is_renewed_for_them_too(world):
    await set_up(world)
    world.hasher.version = 2
    await world.sign_in()
    assert (await account_of(world)).password.startswith("$quick$2$")


async def test_asking_somebody_who_is_in_for_their_password_takes_no_code(world):
    _, enrolled = await set_up(world)
    ask, device = world.accounts.is_password, enrolled.signed_in.device
    assert await ask(MEI, GOOD, peer=HOME, device=device)
    assert not await ask(MEI, OTHER, peer=HOME, device=device)
