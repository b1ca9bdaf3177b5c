"""Who asks with a token of another issuer."""

from dataclasses import replace

import pytest

from gateway import foreign
from gateway.backends.incident_floor import FlooredEpochs
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.login import NOTHING_MORE
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from gateway.foreign import ForeignIssuer
from gateway.identity.claims import ClaimNames, Claims
from gateway.identity.foreign import REMEMBERED, decode
from gateway.identity.incident import begun, ended, settled
from gateway.ports import Kind
from tests.oracles.foreign_world import (
    AUDIENCE,
    NAMES,
    ROSTER,
    HandKeys,
    SigningKey,
    World,
    seconds,
)

MEI, KEN = staff_id("mei"), staff_id("ken")


@pytest.fixture
async def world():
    salon = World()
    await salon.welcome()
    return salon


async def test_a_token_of_another_issuer_is_a_person_with_an_epoch_of_ours(world):
    found = await world.service.identify(world.token(sid="s"), ROSTER, world.clock.now())
    assert found.passing is NOTHING_MORE
    assert found.claims.staff == MEI
    assert found.claims.epoch == await world.epochs.floor(MEI, None)
    assert found.claims.device.startswith("idp.")


async def test_what_is_of_no_such_issuer_is_left_to_our_own_keys(world):
    mine = world.keys["a"].sign({"iss": "salon-gateway", "sub": "mei"})
    for token in (mine, "no-token", "a.b.c", world.keys["a"].sign({"sub": "mei"}), "x" * 9000):
        assert await world.service.identify(token, ROSTER, world.clock.now()) is None


async def test_what_is_not_named_is_not_read(world):
    claims = await world.who(
        world.token(jti="t", device="ipad", app="phone", roles=["x"], epoch=9)
    )
    assert (claims.device, claims.app, claims.roles) == (None, None, None)
    assert claims.epoch == await world.epochs.floor(MEI, None)


async def test_the_device_that_an_issuer_names_is_the_device(world):
    names = replace(NAMES, device="device_id")
    issuer = ForeignIssuer(
        issuer="https://a.example", audience=AUDIENCE, keys=world.sets["a"], names=names
    )
    service = foreign.Foreign(
        [issuer], documents=world.documents, epochs=world.epochs, secret=b"k" * 32
    )
    claims = await world.who(world.token(sid="s", device_id="ipad-2"), service)
    assert claims.device == "ipad-2"


async def test_an_issuer_that_was_told_our_epochs_is_taken_at_its_word(world):
    issuer = ForeignIssuer(
        issuer="https://a.example",
        audience=AUDIENCE,
        keys=world.sets["a"],
        names=ClaimNames(device=None, app=None),
    )
    service = foreign.Foreign(
        [issuer], documents=world.documents, epochs=world.epochs, secret=b"k" * 32
    )
    assert (await world.who(world.token(epoch=7, iat=None), service)).epoch == 7
    assert await world.who(world.token(), service) is Cause.CLAIM_INVALID
    assert world.documents.documents == {}


async def test_all_tokens_of_one_sign_in_are_one_session(world):
    first = await world.who(world.token(sid="s"))
    await world.log_out("mei", "another-device")  # raises the counter, not this session's floor
    world.clock.later(minutes=5)
    assert await world.who(world.token(sid="s")) == replace(
        first, expires_at=(await world.who(world.token(sid="s"))).expires_at
    )
    assert len(world.documents.documents) == 1


async def test_a_forced_logout_ends_the_session_with_every_token_it_is_given_later(world):
    assert await world.is_in(world.token(sid="s"))
    await world.log_out()
    for _ in range(3):
        world.clock.later(minutes=5)
        assert not await world.is_in(world.token(sid="s"))
        assert not await world.is_in(world.token(sid="s"), world.worker())
    assert await world.is_in(world.token(sid="another"))


async def test_one_session_can_be_logged_out_by_itself(world):
    one, other = world.token(sid="one"), world.token(sid="other")
    claims = await world.who(one)
    assert await world.is_in(other)
    await world.log_out("mei", claims.device)
    assert not await world.is_in(one)
    assert await world.is_in(other)


async def test_a_session_of_before_a_logout_that_was_never_seen_is_out_for_good(world):
    old = world.token(sid="s")
    world.clock.later(seconds=2)
    await world.log_out()
    world.clock.later(seconds=2)
    assert await world.who(old) is Cause.EPOCH_STALE
    assert await world.who(world.token(sid="s")) is Cause.EPOCH_STALE


async def test_a_sign_in_of_before_a_logout_counts_even_in_a_token_of_after_it(world):
    signed_in = seconds(world.clock.now())
    await world.log_out()
    world.clock.later(seconds=5)
    assert await world.who(world.token(jti="1", auth_time=signed_in)) is Cause.EPOCH_STALE
    assert await world.is_in(world.token(jti="2", auth_time=seconds(world.clock.now())))


async def test_a_token_without_iat_goes_by_its_auth_time_and_without_both_it_is_none(world):
    now = seconds(world.clock.now())
    assert await world.is_in(world.token(iat=None, auth_time=now))
    assert await world.who(world.token(iat=None)) is Cause.CLAIM_INVALID


async def test_who_is_not_known_yet_comes_in_with_a_token_made_after_the_first():
    world = World()
    assert await world.who(world.token(jti="1", at=world.clock.at)) != Cause.EPOCH_STALE
    world = World()
    early = world.token(jti="1")
    world.clock.later(seconds=2)
    assert await world.who(early) is Cause.EPOCH_STALE
    world.clock.later(seconds=1)
    assert await world.is_in(world.token(jti="2"))


async def test_welcome_changes_nothing_for_those_who_are_known(world):
    before = dict(world.epochs.counters)
    world.clock.later(hours=1)
    await world.service.welcome(ROSTER, world.clock.now())
    assert world.epochs.counters == before


async def test_the_end_of_a_session_in_the_state_follows_its_tokens(world):
    await world.who(world.token(sid="s", life=600))
    (((_, key), kept),) = world.documents.documents.items()
    ends = decode(kept.value).expires_at
    await world.who(world.token(sid="s", life=86_400 * 3))
    longer = world.documents.documents[Kind.SESSION_SEEN, key]
    assert decode(longer.value).expires_at - ends == (86_400 * 3 - 600) * 1000
    assert decode(longer.value).epoch == decode(kept.value).epoch
    assert longer.expires - world.clock.now() > REMEMBERED


async def test_what_is_no_session_is_forgotten_with_its_token(world):
    await world.who(world.token(jti="t", life=600))
    (kept,) = world.documents.documents.values()
    assert seconds(kept.expires) == seconds(world.clock.now()) + 600


async def test_two_first_sights_at_once_are_one(world):
    class Meddling:
        """Another worker writes just before this one."""

        def __getattr__(self, name):
            return getattr(world.documents, name)

        async def put(self, *args, **kwargs):
            if not world.documents.documents:
                await world.who(token, world.worker())
            return await world.documents.put(*args, **kwargs)

    token = world.token(sid="s")
    service = world.worker()
    service._documents = Meddling()
    assert (await world.who(token, service)).epoch == await world.epochs.floor(MEI, None)
    (kept,) = world.documents.documents.values()
    assert kept.revision == 1


async def test_a_state_that_cannot_say_lets_nobody_in(world):
    token = world.token(sid="s")
    world.documents.away = True
    with pytest.raises(StateUnavailableError):
        await world.who(token)
    world.documents.away, world.epochs.away = False, True
    with pytest.raises(StateUnavailableError):
        await world.who(token)
    assert world.documents.documents == {}


async def test_a_document_that_cannot_be_read_is_not_unseen(world):
    token = world.token(sid="s")
    await world.who(token)
    ((place, kept),) = world.documents.documents.items()
    for value in (b"", b"{}", kept.value[:-1], kept.value.replace(b"staff:mei", b"mei"), b"[1]"):
        world.documents.documents[place] = replace(kept, value=value)
        with pytest.raises(StateUnavailableError):
            await world.who(token, world.worker())


async def test_an_unknown_key_makes_the_gateway_look_again_once(world):
    new = SigningKey("two")
    world.sets["a"].publish(world.keys["a"], new)
    assert await world.is_in(world.token(signed_by=new))
    assert await world.is_in(world.token(signed_by=new, jti="2"))
    assert world.sets["a"].asked == 1
    assert world.sets["b"].asked == 0


async def test_without_any_keys_the_tokens_of_this_issuer_alone_are_refused(world):
    world.sets["a"] = HandKeys()
    service = world.worker()
    assert await world.who(world.token("a"), service) is Cause.UNKNOWN_KEY
    assert await world.is_in(world.token("b"), service)


@pytest.mark.parametrize("aud", [[AUDIENCE, "account"], ["account", AUDIENCE], [AUDIENCE]])
async def test_the_audience_may_be_one_of_several(world, aud):
    assert await world.is_in(world.token(aud=aud))


@pytest.mark.parametrize(
    ("aud", "cause"),
    [
        ("other", Cause.WRONG_AUDIENCE),
        ([], Cause.WRONG_AUDIENCE),
        (["other"], Cause.WRONG_AUDIENCE),
        ([AUDIENCE, 7], Cause.CLAIM_INVALID),
        ([[AUDIENCE]], Cause.CLAIM_INVALID),
        ([AUDIENCE] * 17, Cause.CLAIM_INVALID),
        (AUDIENCE.upper(), Cause.WRONG_AUDIENCE),
        ({AUDIENCE: 1}, Cause.CLAIM_INVALID),
        (7, Cause.CLAIM_INVALID),
    ],
)
async def test_another_audience_is_refused(world, aud, cause):
    assert await world.who(world.token(aud=aud)) is cause


@pytest.mark.parametrize(
    "claims",
    [
        {"sid": ""},
        {"sid": 7},
        {"sid": ["s"]},
        {"jti": ""},
        {"sid": "x" * 1025},
        {"iat": "1795000000"},
        {"iat": True},
        {"auth_time": 1.5},
        {"auth_time": "yesterday"},
        {"sub": "Mei Tanaka"},
        {"sub": 7},
        {"exp": "9999999999"},
    ],
)
async def test_a_claim_of_another_kind_is_refused(world, claims):
    assert await world.who(world.token(**claims)) is Cause.CLAIM_INVALID
    assert world.documents.documents == {}


async def test_a_flood_of_texts_does_not_grow_the_memory(world, monkeypatch):
    monkeypatch.setattr(foreign, "MAX_AT_HAND", 4)
    for number in range(50):
        await world.service.identify(f"{number}.b.c", ROSTER, world.clock.now())
        await world.who(world.token(jti=str(number)))
    for kept in (world.service._chosen, world.service._seen):
        assert len(kept._young) + len(kept._old) <= 8
        assert all(len(key) == 64 for key in (*kept._young, *kept._old))


async def test_a_session_at_hand_asks_the_state_for_nothing(world):
    token = world.token(sid="s")
    assert isinstance(await world.who(token), Claims)
    world.documents.away = True
    assert isinstance(await world.who(token), Claims)


async def test_an_expired_token_is_refused_though_its_session_is_known(world):
    token = world.token(sid="s", life=60)
    await world.who(token)
    world.clock.later(seconds=60)
    with pytest.raises(RequestError):
        await world.service.identify(token, ROSTER, world.clock.now())


class Lockdown:
    """An incident, as the state would tell it."""

    def __init__(self, world):
        self.now = None
        floored = FlooredEpochs(world.epochs, self.incident, self.admits)
        world.service._epochs = floored
        self.epochs = world.epochs = floored

    async def incident(self):
        return self.now

    def admits(self, staff, _):
        if staff != KEN:
            raise RequestError(Reason.INCIDENT)

    def starts(self, at):
        self.now = settled(begun(None, at, None, reason="lost", contact=""), 1, 0)

    def ends(self, at):
        self.now = ended(self.now, at, None)


async def test_after_a_lockdown_nobody_is_in_until_they_sign_in_anew(world):
    token, lockdown = world.token(sid="s"), Lockdown(world)
    assert await world.is_in(token)
    world.clock.later(minutes=1)
    lockdown.starts(world.clock.now())
    world.clock.later(minutes=1)
    await world.service.welcome(ROSTER, world.clock.now())  # raises for nobody
    world.clock.later(seconds=1)
    assert await world.is_in(world.token(sid="k", staff="ken"))
    with pytest.raises(RequestError) as caught:
        await world.service.identify(world.token(sid="s2"), ROSTER, world.clock.now())
    assert caught.value.reason is Reason.INCIDENT
    lockdown.ends(world.clock.now())
    await world.service.welcome(ROSTER, world.clock.now())
    world.clock.later(seconds=1)
    assert not await world.is_in(token)
    assert not await world.is_in(world.token(sid="s"))
    assert await world.is_in(world.token(sid="s3"))
