"""Signing in: entered first, counted first, and the same for a name that nobody has."""

import asyncio
from dataclasses import replace

import pytest

from gateway.accounts import Refused, SignedIn
from gateway.audit.entry import Phase
from gateway.audit.quota import MAX_ENTERED
from gateway.domain.act import Act
from gateway.domain.errors import AuditUnavailableError, RequestError, StateUnavailableError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId
from gateway.domain.time import to_milliseconds
from gateway.identity.attempts import BURST, FREE_TRIES
from gateway.identity.locks import Lock, render_lock
from gateway.identity.weakness import Weakness
from gateway.ports import Kind
from tests.oracles.accounts_world import CAFE, GOOD, HANA, HOME, KEN, MEI, OTHER, PHONE, World


@pytest.fixture
async def world():
    made = World()
    await made.given()
    made.happened.clear()
    made.trail.entries.clear()
    made.hasher.runs.clear()
    return made


# -- who gets in


async def test_the_right_password_lets_in_and_the_device_is_known_from_then_on(world):
    found = await world.sign_in(device=PHONE)
    assert found == SignedIn(staff=MEI, device=PHONE, epoch=found.epoch, must_change=False)
    assert found.epoch >= await world.epochs.floor(MEI, PHONE)
    assert (await world.accounts.find(MEI)).knows(PHONE)


async def test_a_device_without_a_name_gets_one(world):
    one, two = await world.sign_in(), await world.sign_in()
    assert one.device != two.device


@pytest.mark.parametrize("name", ["mei", "Mei", " mei ", "staff:mei", "STAFF:MEI"])
async def test_a_name_is_read_as_it_was_meant(world, name):
    assert isinstance(await world.sign_in(name), SignedIn)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("mei", Cause.WRONG_PASSWORD),
        ("ken", Cause.NO_ACCOUNT),  # on the roster, without one
        ("nobody", Cause.NO_ACCOUNT),
        ("", Cause.NO_ACCOUNT),
        ("../mei", Cause.NO_ACCOUNT),
        ("mei\0", Cause.NO_ACCOUNT),
        ("ｍｅｉ", Cause.NO_ACCOUNT),
        ("x" * 10_000, Cause.NO_ACCOUNT),
        ("\ud800", Cause.NO_ACCOUNT),
    ],
)
async def test_everybody_else_gets_one_answer_after_the_same_work(world, name, cause):
    found = await world.sign_in(name, OTHER)
    assert found == Refused(
        reason=Reason.UNAUTHENTICATED, cause=cause, wait=None, request_id=found.request_id
    )
    assert world.hasher.runs == [("verify", False)]
    assert world.happened == ["put attempts", "entered act"]


@pytest.mark.parametrize("password", ["", "x" * 100_000, "\ud800", GOOD + "\0", GOOD.upper()])
async def test_what_is_not_the_password_is_not_it(world, password):
    assert isinstance(await world.sign_in(password=password), Refused)
    assert world.hasher.runs == [("verify", False)]


async def test_who_is_not_on_the_roster_any_more_has_no_account(world):
    world.roster = replace(
        world.roster, members={k: m for k, m in world.roster.members.items() if k != MEI}
    )
    found = await world.sign_in()
    assert (found.reason, found.cause) == (Reason.UNAUTHENTICATED, Cause.NO_ACCOUNT)
    assert await world.accounts.find(MEI) is None
    with pytest.raises(RequestError) as caught:
        await world.given()
    assert caught.value.reason is Reason.NOT_ON_ROSTER


async def test_a_temporary_password_opens_nothing_but_its_change(world):
    await world.given(temporary=True)
    world.happened.clear()
    found = await world.sign_in()
    assert found == SignedIn(staff=MEI, device=None, epoch=None, must_change=True)
    assert "enrolled" not in world.happened
    entry = world.trail.entries[-1]
    assert (entry.act, entry.reason) == (Act.SIGN_IN_REFUSED, Reason.PASSWORD_TEMPORARY)
    assert await world.accounts.change_password("mei", GOOD, OTHER, peer=HOME) == ()
    assert (await world.sign_in(password=OTHER)).must_change is False


async def test_somebody_who_is_locked_is_told_so_with_the_right_password_only(world):
    lock = Lock(since=to_milliseconds(world.clock.now()), by=HANA, left=False)
    await world.documents.put(
        Kind.LOCK, MEI, render_lock(lock), replaces=None, now=world.clock.now()
    )
    assert (await world.sign_in(password=OTHER)).reason is Reason.UNAUTHENTICATED
    with pytest.raises(RequestError) as caught:
        await world.sign_in()
    assert caught.value.reason is Reason.LOCKED
    assert world.trail.entries[-1].reason is Reason.LOCKED
    assert "enrolled" not in world.happened


# -- what is entered


async def test_a_sign_in_is_entered_before_anything_comes_of_it(world):
    await world.sign_in(device=PHONE)
    order = [step for step in world.happened if step != "put attempts"]
    assert order == ["entered act", "enrolled", "put account"]
    (entry,) = world.trail.entries
    assert (entry.phase, entry.act, entry.staff, entry.device, entry.peer, entry.policy) == (
        Phase.ACT,
        Act.SIGN_IN,
        MEI,
        PHONE,
        HOME,
        "d1",
    )


async def test_a_refusal_is_entered_with_whose_name_it_was_but_never_what_was_typed(world):
    refused = await world.sign_in("mei", "my secret")
    await world.sign_in("my secret", GOOD)
    one, two = world.trail.entries
    assert (one.act, one.staff, one.whom, one.cause) == (
        Act.SIGN_IN_REFUSED,
        None,
        MEI,
        Cause.WRONG_PASSWORD,
    )
    assert (one.request_id, one.status) == (refused.request_id, 401)
    assert (two.whom, two.cause) == (None, Cause.NO_ACCOUNT)
    assert "my secret" not in repr(world.trail.entries)


async def test_what_cannot_be_entered_is_not_done(world):
    world.trail.full_after = 0
    for doing in (
        world.sign_in(),
        world.sign_in(password=OTHER),
        world.accounts.set_password(KEN, OTHER, by=HANA, peer=HOME, temporary=True),
        world.accounts.change_password("mei", GOOD, OTHER, peer=HOME),
        world.accounts.remove(MEI, by=HANA, peer=HOME),
        world.accounts.sign_out(MEI, PHONE, peer=HOME),
    ):
        with pytest.raises(AuditUnavailableError):
            await doing
    assert not {"enrolled", "revoked", "put account"} & set(world.happened)
    assert await world.accounts.find(KEN) is None


async def test_refusals_do_not_fill_the_disk_and_none_goes_unseen(world):
    for number in range(MAX_ENTERED + 7):
        await world.sign_in(f"name-{number}", OTHER, peer=f"10.{number}.0.1")
    assert len(world.trail.entries) == MAX_ENTERED
    await world.accounts.settle()
    assert world.trail.entries[-1].suppressed == 7


async def test_a_refusal_that_could_not_be_entered_is_not_forgotten(world):
    world.trail.full_after = 0
    with pytest.raises(AuditUnavailableError):
        await world.sign_in(password=OTHER)
    world.trail.full_after = None
    await world.sign_in(password=OTHER)
    assert world.trail.entries[-1].suppressed == 1


# -- guessing


async def test_guesses_from_one_network_wait_and_the_right_password_too(world):
    for _ in range(FREE_TRIES):
        assert (await world.sign_in(password=OTHER)).reason is Reason.UNAUTHENTICATED
    runs = len(world.hasher.runs)
    early = await world.sign_in()
    assert (early.reason, early.wait) == (Reason.TOO_MANY_TRIES, 15.0)
    assert len(world.hasher.runs) == runs
    world.clock.later(seconds=15)
    assert isinstance(await world.sign_in(), SignedIn)
    assert isinstance(await world.sign_in(password=OTHER), Refused)  # and it began anew
    assert isinstance(await world.sign_in(), SignedIn)


async def test_a_name_that_nobody_has_waits_like_any_other(world):
    for _ in range(FREE_TRIES):
        await world.sign_in("nobody", OTHER)
    found = await world.sign_in("nobody", OTHER)
    assert (found.reason, found.wait) == (Reason.TOO_MANY_TRIES, 15.0)


async def test_many_guesses_at_once_are_not_one(world):
    found = await asyncio.gather(*(world.sign_in(password=OTHER) for _ in range(12)))
    looked_at = [one for one in found if one.reason is Reason.UNAUTHENTICATED]
    assert len(looked_at) == FREE_TRIES
    assert len(world.hasher.runs) == FREE_TRIES


async def test_a_thousand_networks_share_one_rate_and_a_known_device_does_not_care(world):
    await world.sign_in(device=PHONE)
    runs = len(world.hasher.runs)
    for number in range(200):
        await world.sign_in(password=OTHER, peer=f"10.0.{number}.1")
    assert len(world.hasher.runs) - runs <= BURST
    assert (await world.sign_in(peer="203.0.113.1")).reason is Reason.TOO_MANY_TRIES
    assert isinstance(await world.sign_in(peer=CAFE, device=PHONE), SignedIn)


async def test_a_known_device_that_guesses_makes_nobody_else_wait(world):
    await world.sign_in(device=PHONE)
    for _ in range(FREE_TRIES):
        await world.sign_in(password=OTHER, device=PHONE)
    assert (await world.sign_in(device=PHONE)).reason is Reason.TOO_MANY_TRIES
    assert isinstance(await world.sign_in(), SignedIn)


async def test_a_device_of_somebody_else_is_a_stranger(world):
    await world.given(KEN)
    await world.sign_in("ken", device=DeviceId("kens"))
    for _ in range(FREE_TRIES):
        await world.sign_in(password=OTHER, device=DeviceId("kens"))
    assert (await world.sign_in(device=DeviceId("kens"))).reason is Reason.TOO_MANY_TRIES
    assert ("verify", True) not in world.hasher.runs


async def test_strangers_that_take_every_place_leave_a_known_device_its_own(world):
    await world.sign_in(device=PHONE)
    world.hasher.strangers = 0
    with pytest.raises(StateUnavailableError):
        await world.sign_in()
    assert isinstance(await world.sign_in(device=PHONE), SignedIn)


async def test_a_state_that_cannot_be_read_lets_nobody_in(world):
    await world.documents.put(Kind.ACCOUNT, MEI, b"{}", replaces=1, now=world.clock.now())
    with pytest.raises(StateUnavailableError):
        await world.sign_in()
    world.documents.away = True
    with pytest.raises(StateUnavailableError):
        await world.sign_in("nobody")


# -- choosing and changing


async def test_a_weak_password_is_not_set_and_everything_wrong_is_told(world):
    weak = await world.accounts.set_password(KEN, "kenmori", by=HANA, peer=HOME, temporary=True)
    assert set(weak) == {Weakness.TOO_SHORT, Weakness.NAMES_PERSON}
    assert world.acts() == []
    assert await world.accounts.find(KEN) is None


async def test_the_old_password_is_no_new_one(world):
    weak = await world.accounts.change_password("mei", GOOD, GOOD, peer=HOME)
    assert weak == (Weakness.UNCHANGED,)


async def test_a_change_asks_for_the_old_password_and_counts_it_as_a_try(world):
    for _ in range(FREE_TRIES):
        found = await world.accounts.change_password("mei", "wrong", OTHER, peer=HOME)
        assert found.reason is Reason.UNAUTHENTICATED
    found = await world.accounts.change_password("mei", GOOD, OTHER, peer=HOME)
    assert found.reason is Reason.TOO_MANY_TRIES


async def test_a_changed_password_ends_every_session(world):
    before = await world.sign_in(device=PHONE)
    assert await world.accounts.change_password("mei", GOOD, OTHER, peer=HOME) == ()
    assert before.epoch < await world.epochs.floor(MEI, PHONE)
    assert isinstance(await world.sign_in(), Refused)
    after = await world.sign_in(password=OTHER, device=PHONE)
    assert after.epoch >= await world.epochs.floor(MEI, PHONE)
    assert world.happened.index("put account") < world.happened.index("revoked")


async def test_a_password_that_changes_while_somebody_signs_in_with_the_old_one(world):
    world.documents.meanwhile = lambda: world.given(MEI, OTHER)
    found = await world.sign_in(device=PHONE)
    assert (found.reason, found.cause) == (Reason.UNAUTHENTICATED, Cause.WRONG_PASSWORD)
    assert isinstance(await world.sign_in(password=OTHER), SignedIn)


async def test_an_account_that_goes_away_while_somebody_signs_in(world):
    world.documents.meanwhile = lambda: world.accounts.remove(MEI, by=HANA, peer=HOME)
    assert isinstance(await world.sign_in(device=PHONE), Refused)
    assert await world.accounts.find(MEI) is None


async def test_two_phones_that_sign_in_at_once_both_get_in(world):
    async def tablet():
        assert isinstance(await world.sign_in(device=DeviceId("tablet")), SignedIn)

    world.documents.meanwhile = tablet
    assert isinstance(await world.sign_in(device=PHONE), SignedIn)
    account = await world.accounts.find(MEI)
    assert account.knows(PHONE)
    assert account.knows(DeviceId("tablet"))


async def test_two_changes_at_once_the_second_is_refused(world):
    world.documents.meanwhile = lambda: world.given(MEI, OTHER)
    found = await world.accounts.change_password("mei", GOOD, "nine purple ladders", peer=HOME)
    assert found.reason is Reason.UNAUTHENTICATED
    assert isinstance(await world.sign_in(password=OTHER), SignedIn)


async def test_parameters_that_rose_are_taken_up_at_the_next_sign_in(world):
    world.hasher.version = 2
    await world.sign_in()
    assert (await world.accounts.find(MEI)).password.startswith("$quick$2$")
    world.hasher.runs.clear()
    await world.sign_in()
    assert ("hash", True) not in world.hasher.runs


async def test_an_account_that_is_removed_is_gone_with_its_sessions(world):
    before = await world.sign_in(device=PHONE)
    assert await world.accounts.remove(MEI, by=HANA, peer=HOME)
    assert before.epoch < await world.epochs.floor(MEI, PHONE)
    assert isinstance(await world.sign_in(), Refused)
    assert not await world.accounts.remove(MEI, by=HANA, peer=HOME)


async def test_signing_out_ends_this_device_and_no_other(world):
    one = await world.sign_in(device=PHONE)
    other = await world.sign_in(device=DeviceId("tablet"))
    await world.accounts.sign_out(MEI, PHONE, peer=HOME)
    assert one.epoch < await world.epochs.floor(MEI, PHONE)
    assert other.epoch >= await world.epochs.floor(MEI, DeviceId("tablet"))
    assert world.acts()[-1] is Act.SIGN_OUT


async def test_a_session_is_renewed_only_where_somebody_signed_in(world):
    await world.sign_in(device=PHONE)
    assert await world.accounts.may_renew(MEI, PHONE)
    assert not await world.accounts.may_renew(MEI, DeviceId("tablet"))
    assert not await world.accounts.may_renew(KEN, PHONE)
    await world.given(temporary=True)
    assert not await world.accounts.may_renew(MEI, PHONE)


async def test_every_account_is_listed(world):
    await world.given(KEN, OTHER, temporary=True)
    found = await world.accounts.all()
    assert {key: account.must_change for key, account in found.items()} == {MEI: False, KEN: True}
