"""Tokens of other issuers: one issuer for another, a withdrawn key, a logout outlived."""

import base64
import json

import pytest
from jwt import PyJWS

from gateway.domain.reason import Cause
from gateway.domain.subject import staff_id
from tests.oracles.foreign_world import ROSTER, SigningKey, World


@pytest.fixture
async def world():
    salon = World()
    await salon.welcome()
    return salon


@pytest.mark.parametrize(("says", "signs"), [("a", "b"), ("b", "a")])
async def test_an_issuers_key_verifies_that_issuers_tokens_only_whatever_ids_two_give(
    world, says, signs
):
    """Both sets have a key `one`."""
    assert await world.is_in(world.token(says))
    assert await world.is_in(world.token(signs))
    forged = world.token(says, signed_by=world.keys[signs])
    assert await world.who(forged) is Cause.BAD_SIGNATURE


async def test_a_key_that_only_another_issuer_has_is_unknown(world):
    other = SigningKey("two")
    world.sets["b"].publish(world.keys["b"], other)
    assert await world.is_in(world.token("b", signed_by=other))
    assert await world.who(world.token("a", signed_by=other)) is Cause.UNKNOWN_KEY


async def test_our_own_issuers_name_is_never_looked_for_among_theirs(world):
    token = world.keys["a"].sign({"iss": "salon-gateway", "aud": "salon-crm", "sub": "mei"})
    assert await world.who(token) is None


@pytest.mark.parametrize(
    "name", ["https://a.example/", "HTTPS://A.EXAMPLE", "https://a.example ", " https://a.example"]
)
async def test_an_issuer_spelled_in_another_way_is_nobody_here(world, name):
    token = world.keys["a"].sign({"iss": name, "aud": "salon-crm", "sub": "mei"})
    assert await world.who(token) is None


@pytest.mark.parametrize("value", [None, 7, True, ["https://a.example"], {"https://a.example": 1}])
async def test_an_issuer_that_is_no_text_chooses_nobody(world, value):
    token = world.keys["a"].sign({"iss": value, "aud": "salon-crm", "sub": "mei"})
    assert await world.who(token) is None


async def test_two_issuers_in_one_token_are_none(world):
    head, payload, signature = world.token("a").split(".")
    text = base64.urlsafe_b64decode(payload + "==")
    twice = text.replace(b'{"iss"', b'{"iss": "https://b.example", "iss"')
    spoilt = base64.urlsafe_b64encode(twice).rstrip(b"=").decode()
    assert await world.who(f"{head}.{spoilt}.{signature}") is None


async def test_a_key_in_the_token_itself_is_never_used(world):
    mine = SigningKey("one")
    forged = mine.sign(
        json.loads(base64.urlsafe_b64decode(world.token("a").split(".")[1] + "==")),
        jwk=mine.public,
        jku="https://evil.example/keys",
    )
    assert await world.who(forged) is Cause.BAD_SIGNATURE


async def test_a_logout_token_of_the_issuer_is_no_access_token(world):
    payload = json.loads(base64.urlsafe_b64decode(world.token("a").split(".")[1] + "=="))
    assert await world.who(world.keys["a"].sign(payload, typ="logout+jwt")) is None


async def test_a_key_that_its_issuer_has_withdrawn_verifies_nothing_not_even_what_it_did_before(
    world,
):
    token = world.token("a", sid="s")
    assert await world.is_in(token)
    world.sets["a"].publish(SigningKey("two"))
    assert await world.is_in(token)  # nobody has looked yet
    await world.sets["a"].renewed()
    assert await world.who(token) is Cause.UNKNOWN_KEY


async def test_another_key_under_the_same_id_verifies_nothing_of_the_one_before(world):
    token = world.token("a", sid="s")
    assert await world.is_in(token)
    world.sets["a"].publish(SigningKey("one"))
    await world.sets["a"].renewed()
    assert await world.who(token) is Cause.BAD_SIGNATURE


async def test_no_flood_of_unknown_keys_asks_for_more_than_one_look_each(world):
    """The look itself is bounded where it is made: once a minute."""
    stranger = SigningKey("nobody")
    for number in range(20):
        token = world.token("a", signed_by=stranger, jti=str(number))
        assert await world.who(token) is Cause.UNKNOWN_KEY
    assert world.sets["a"].asked == 20
    assert world.documents.documents == {}


async def test_a_token_of_before_a_forced_logout_is_out_seen_or_not_and_so_is_its_session(world):
    seen, unseen = world.token(sid="seen"), world.token(sid="unseen")
    assert await world.is_in(seen)
    world.clock.later(seconds=3)
    await world.log_out()
    world.clock.later(seconds=3)
    for service in (world.service, world.worker()):
        for sid, token in (("seen", seen), ("unseen", unseen)):
            assert not await world.is_in(token, service)
            assert not await world.is_in(world.token(sid=sid), service)


@pytest.mark.parametrize("asked", ["enrol", "floor"])
async def test_a_logout_while_a_session_is_seen_first_is_not_outrun(world, asked):
    """The epoch is asked for before the floor: between them, a logout counts."""
    token = world.token(sid="s")
    world.clock.later(seconds=5)

    class Meanwhile:
        def __getattr__(self, name):
            whole = getattr(world.epochs, name)

            async def then_logged_out(*told):
                found = await whole(*told)
                if name == asked:
                    await world.log_out()
                return found

            return then_logged_out

    service = world.worker()
    service._epochs = Meanwhile()
    assert not await world.is_in(token, service)
    assert not await world.is_in(world.token(sid="s"), world.worker())


async def test_a_state_that_lost_everything_revives_nobody(world):
    token = world.token(sid="s")
    assert await world.is_in(token)
    await world.log_out()
    world.epochs.lose_memory()
    world.documents.documents.clear()
    world.clock.later(seconds=5)
    for _ in range(3):
        assert not await world.is_in(token, world.worker())
        await world.service.welcome(ROSTER, world.clock.now())


async def test_who_is_not_on_the_roster_leaves_nothing_behind_in_the_state(world):
    before = dict(world.epochs.counters)
    claims = await world.who(world.token(staff="stranger", sid="s"))
    assert (claims.staff, claims.epoch) == (staff_id("stranger"), 0)
    assert world.documents.documents == {}
    assert world.epochs.counters == before


async def test_a_session_of_one_person_is_never_anothers(world):
    mei = await world.who(world.token(sid="s", staff="mei"))
    assert mei.staff == "staff:mei"
    assert await world.who(world.token(sid="s", staff="ken")) is Cause.SESSION_UNKNOWN
    assert (
        await world.who(world.token(sid="s", staff="ken"), world.worker()) is Cause.SESSION_UNKNOWN
    )


async def test_sessions_of_two_issuers_and_of_two_names_are_apart(world):
    devices = set()
    for name in ("a", "b"):
        devices.add((await world.who(world.token(name, sid="s"))).device)
        await world.who(world.token(name, jti="s"))
    assert len(devices) == 2
    assert len(world.documents.documents) == 4


async def test_the_state_holds_no_name_of_a_session(world):
    await world.who(world.token(sid="a-very-special-session"))
    (((_, key), kept),) = world.documents.documents.items()
    assert "special" not in key
    assert b"special" not in kept.value


async def test_a_second_signature_makes_no_second_session(world):
    """Ed25519 signs the same way each time; two heads over one payload stand for it here."""
    payload = json.loads(base64.urlsafe_b64decode(world.token("a").split(".")[1] + "=="))
    for typ in ("JWT", "at+jwt"):
        assert await world.is_in(world.keys["a"].sign(payload, typ=typ))
    assert len(world.documents.documents) == 1
    await world.log_out()
    assert not await world.is_in(world.keys["a"].sign(payload, typ="application/jwt"))


@pytest.mark.parametrize("sid", ["\\ud800", "s\\u0000", "\\u00e9"])
async def test_a_session_with_an_odd_name_is_refused_or_a_session_never_an_error(world, sid):
    text = '{"iss":"https://a.example","aud":"salon-crm","sub":"mei","sid":"%s","iat":%d,"exp":%d}'
    at = int(world.clock.now().timestamp())

    raw = (text % (sid, at, at + 60)).encode()
    token = PyJWS().encode(
        raw, world.keys["a"].private, "EdDSA", headers={"kid": "one", "typ": "JWT"}
    )
    found = await world.who(token)
    assert found is None or found.staff == "staff:mei"
