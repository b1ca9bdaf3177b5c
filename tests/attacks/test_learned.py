"""Tricks with sessions learned from a CRM's login: to be somebody without being them, to stay."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.login import Place, Source
from gateway.domain.reason import Cause, Reason
from gateway.identity.learned import Use, credential_key, encode
from gateway.ports import Kind
from tests.oracles.login_samples import (
    COOKIE,
    DRF_TOKEN,
    FORM,
    JSON,
    MEI,
    OAUTH,
    ORIGIN,
    OTHER,
    SANCTUM,
    SECRET,
    SESSION,
    SIMPLE_JWT,
    YUKI,
    Salon,
    a_token,
    an_answer,
    set_cookie,
)

GOOD = {"user": {"id": 17}}
REFRESH = "refresh-0123456789"
IN_LARAVEL = an_answer(b"", set_cookie(name="laravel_session"), status=204)


async def refused(promise):
    with pytest.raises(RequestError) as caught:
        await promise
    return caught.value.cause or caught.value.reason


async def not_learned(promise):
    with pytest.raises(UpstreamError) as caught:
        await promise
    return caught.value.reason is Reason.LOGIN_NOT_LEARNED


async def signed_in(login=None, answer=None):
    salon = Salon() if login is None else Salon(login)
    await salon.sign_in(answer or an_answer(GOOD, set_cookie()))
    return salon


# ---------------------------------------------------------------- an unknown credential is nobody


@pytest.mark.parametrize(
    "value",
    [
        SESSION.upper(),
        SESSION[:-1],
        SESSION + "0",
        f'"{SESSION}"',
        SESSION.replace("s", "%73"),
        SESSION.replace("-", "%2D"),
        SESSION + "=",
        SESSION + "%00",
        SESSION + "|",
    ],
)
async def test_another_spelling_of_a_session_is_nobody(value):
    salon = await signed_in()
    found = await refused(salon.who_is(("Cookie", f"sessionid={value}")))
    assert found is Cause.SESSION_UNKNOWN


@pytest.mark.parametrize(
    "header",
    [
        f"Sessionid={SESSION}",
        f"SESSIONID={SESSION}",
        f"sessionid2={SESSION}",
        f"__Host-sessionid={SESSION}",
        f"x=sessionid={SESSION}",
        f'"sessionid={SESSION}',
        f"$Path=/; xsessionid={SESSION}",
    ],
)
async def test_another_cookie_is_nobody(header):
    salon = await signed_in()
    assert await refused(salon.who_is(("Cookie", header))) is Cause.NO_CREDENTIAL


@pytest.mark.parametrize(
    "header",
    [
        f"sessionid ={SESSION}",
        f"sessionid= {SESSION}",
        f"sessionid\t={SESSION}",
        f'a="; sessionid={SESSION}; b="',
        f"sessionid={SESSION} ; sessionid =x",
        f"sessionid={SESSION},x",
        f"sessionid={SESSION}\\x",
        f"sessionid={SESSION} x",
    ],
)
async def test_a_cookie_that_begins_elsewhere_to_others_is_refused(header):
    salon = await signed_in()
    found = await refused(salon.who_is(("Cookie", header)))
    assert found in {Cause.TOKEN_MALFORMED, Cause.TWO_CREDENTIALS}


@pytest.mark.parametrize(
    "headers",
    [
        [COOKIE, COOKIE],
        [("Cookie", f"sessionid={SESSION}; sessionid={OTHER}")],
        [("Cookie", f"sessionid={OTHER}"), COOKIE],
        [COOKIE, ("Authorization", f"Bearer {SESSION}")],
        [COOKIE, ("AUTHORIZATION", "")],
        [COOKIE, ("Cookie", "salon_token=a.b.c")],
    ],
)
async def test_two_credentials_are_none_even_if_they_agree(headers):
    salon = await signed_in()
    assert await refused(salon.who_is(*headers)) is Cause.TWO_CREDENTIALS


async def test_a_credential_in_another_place_than_declared_is_nobody():
    salon = await signed_in()
    shown = ("Authorization", f"Bearer {SESSION}")
    assert await refused(salon.who_is(shown)) is Cause.NO_CREDENTIAL
    salon = await signed_in(DRF_TOKEN, an_answer({"token": SESSION}))
    shown = ("Cookie", f"sessionid={SESSION}; Authorization={SESSION}")
    assert await refused(salon.who_is(shown)) is Cause.NO_CREDENTIAL
    assert await refused(salon.who_is(("Authorization", f"Bearer {SESSION}"))) is (
        Cause.TOKEN_MALFORMED
    )


async def test_the_key_of_a_document_is_no_credential():
    salon = await signed_in()
    ((_, key),) = salon.documents.documents
    shown = ("Cookie", f"sessionid={key}")
    assert await refused(salon.who_is(shown)) is Cause.SESSION_UNKNOWN


def test_no_two_parts_run_into_each_other_under_the_hash():
    """`sid` + `x=1` is not `sidx` + `=1`, and a scheme's word is none of the value."""
    seen = {
        credential_key(SECRET, Use.ACCESS, Source(place=place, name=whole[:cut]), whole[cut:])
        for whole in ("sessionidcookie", "cookiesessionid")
        for cut in range(1, len(whole))
        for place in (Place.COOKIE, Place.HEADER)
    }
    assert len(seen) == 2 * 2 * 14


async def test_a_form_posted_by_a_foreign_page_does_not_use_the_session():
    salon = await signed_in()
    for origin in ([], [("Origin", "null")], [("Origin", "https://evil.example")]):
        found = await refused(salon.who_is(COOKIE, *origin, method="POST"))
        assert found is Reason.ORIGIN_REFUSED
    assert (await salon.who_is(COOKIE, ("Origin", ORIGIN), method="POST")).claims.staff == MEI


# ---------------------------------------------------------------- to be somebody else


@pytest.mark.parametrize(
    "body",
    [
        b'{"user": {"id": 18, "id": 17}}',
        b'{"user": {"id": 18}, "user": {"id": 17}}',
        b'{"user": {"id": 17, "Id": 18}}',
        b'{"user": {"id": 17}, "USER": {"id": 18}}',
        b'{"user": {"id": 17, "\\u0069d": 18}}',
        b'{"user": [{"id": 17}]}',
        b'{"user": {"id": 17.0}}',
        b'{"user": {"id": 1.7e1}}',
        b'{"user": {"id": true}}',
        b'{"user": {"id": "17\\n"}}',
        b'\xef\xbb\xbf{"user": {"id": 17}}',
    ],
)
async def test_an_answer_with_two_meanings_signs_nobody_in(body):
    salon = Salon()
    assert await not_learned(salon.sign_in(an_answer(body, set_cookie())))
    assert salon.documents.documents == {}


@pytest.mark.parametrize("named", ["017", "17 ", " 17", "+17", "1７", "staff:mei", "mei", "0x11"])
async def test_only_the_very_name_on_the_roster_is_a_person(named):
    salon = Salon()
    answer = an_answer({"user": {"id": named}}, set_cookie())
    assert await refused(salon.sign_in(answer)) is Reason.NOT_ON_ROSTER


async def test_a_session_that_was_somebodys_is_nobody_elses():
    salon = await signed_in()
    answer = an_answer({"user": {"id": 18}}, set_cookie())
    assert await not_learned(salon.sign_in(answer))
    assert (await salon.who_is(COOKIE)).claims.staff == MEI


async def test_a_cookie_planted_before_the_login_does_not_become_a_session():
    salon = Salon(SANCTUM)
    planted = ("Cookie", f"laravel_session={SESSION}")
    answer = an_answer(b"", set_cookie(name="laravel_session"), status=204)
    assert await not_learned(salon.sign_in(answer, planted))
    assert salon.documents.documents == {}


async def test_a_refresh_by_one_hands_out_nothing_of_anothers():
    salon = Salon(SIMPLE_JWT)
    at = int(salon.now.timestamp()) + 300
    meis = a_token(user_id=17, exp=at)
    await salon.sign_in(an_answer({"access": meis, "refresh": REFRESH}))
    yukis = {"access": a_token(user_id=18, exp=at), "refresh": "refresh-of-yuki-0123"}
    assert (await salon.sign_in(an_answer(yukis))).staff == YUKI
    body = json.dumps({"refresh": "refresh-of-yuki-0123"}).encode()
    again = an_answer({"access": meis, "refresh": "refresh-of-yuki-4567"})
    promise = salon.sign_in(again, JSON, body=body, target="POST /api/token/refresh/")
    assert await not_learned(promise)
    assert (await salon.who_is(("Authorization", f"Bearer {meis}"))).claims.staff == MEI


async def test_a_device_that_the_client_names_is_none_that_a_token_vouches_for():
    login = DRF_TOKEN.replace("hours: 168", "device: header:X-Device-Id")
    salon = Salon(login)
    shown = ("X-Device-Id", "front-desk")
    claims = await salon.sign_in(an_answer({"token": SESSION}), shown)
    assert claims.device == "crm.front-desk"


async def test_one_address_is_not_two_steps_at_once():
    salon = Salon(OAUTH)
    two = b"grant_type=password&grant_type=refresh_token&refresh_token=" + REFRESH.encode()
    like = b"grant_type=password&Grant_Type=refresh_token&refresh_token=" + REFRESH.encode()
    semicolon = b"grant_type=password;grant_type=refresh_token"
    for body in (two, like, semicolon, b"grant%5ftype=password&grant_type=refresh_token"):
        assert await refused(salon.admit(FORM, body=body)) is Reason.BODY_INVALID
    template = next(iter(salon.login.steps))
    salon.login.steps[template + "?grant_type=refresh_token"] = salon.login.steps[template]
    asked = salon.admit(
        FORM, body=b"grant_type=password", target=template + "?grant_type=refresh_token"
    )
    assert await refused(asked) is Reason.UNKNOWN_PARAMETER


# ---------------------------------------------------------------- to stay


async def test_a_forced_logout_ends_the_session():
    salon = await signed_in()
    await salon.epochs.revoke(MEI, None, salon.now)
    assert not await salon.is_in(COOKIE)


async def test_a_session_is_not_replayed_after_its_sign_out():
    salon = await signed_in()
    await salon.admit(COOKIE, target="POST /api/logout")
    assert not await salon.is_in(COOKIE)
    assert await not_learned(salon.sign_in(an_answer(GOOD, set_cookie())))
    assert not await salon.is_in(COOKIE)


async def test_no_refresh_revives_who_was_logged_out():
    salon = Salon(SIMPLE_JWT)
    at = int(salon.now.timestamp()) + 300
    first = {"access": a_token(user_id=17, exp=at), "refresh": REFRESH}
    await salon.sign_in(an_answer(first))
    body = json.dumps({"refresh": REFRESH}).encode()
    target = "POST /api/token/refresh/"
    under_way = await salon.admit(JSON, body=body, target=target)
    await salon.epochs.revoke(MEI, None, salon.now)
    assert await refused(salon.admit(JSON, body=body, target=target)) is Cause.EPOCH_STALE
    # One that was already with the CRM hands out what is as old as the session.
    late = a_token(user_id=17, exp=at + 9)
    answer = an_answer({"access": late, "refresh": REFRESH})
    learning, login = salon.learning, salon.login
    await learning.learn(login, under_way, answer, {}, salon.ask, salon.now)
    assert not await salon.is_in(("Authorization", f"Bearer {late}"))


async def test_an_expired_refresh_token_is_none():
    salon = Salon(SIMPLE_JWT.replace("      staff:", "      refresh_hours: 1\n      staff:"))
    at = int(salon.now.timestamp()) + 300
    await salon.sign_in(an_answer({"access": a_token(user_id=17, exp=at), "refresh": REFRESH}))
    salon.later(hours=1)
    body = json.dumps({"refresh": REFRESH}).encode()
    asked = salon.admit(JSON, body=body, target="POST /api/token/refresh/")
    assert await refused(asked) is Cause.EXPIRED


async def test_a_lost_phones_session_does_not_reach_the_login_again():
    """To some CRMs whoever shows a session is signed in already, whatever the password."""
    salon = await signed_in(SANCTUM, IN_LARAVEL)
    lost = ("Cookie", f"laravel_session={SESSION}")
    await salon.epochs.revoke(MEI, None, salon.now)
    assert (await salon.admit(lost)).passing.cookies == frozenset()
    salon.later(hours=13)  # over for us; for the CRM perhaps not
    assert (await salon.admit(lost)).passing.cookies == frozenset()


async def test_a_token_that_is_for_ever_is_not_learned_again_after_a_logout():
    """The CRM gives out one token a person, so the next login would let the lost phone in."""
    salon = await signed_in(DRF_TOKEN, an_answer({"token": SESSION}))
    assert await salon.sign_in(an_answer({"token": SESSION}))  # a second device: the same session
    salon.later(minutes=1)
    await salon.epochs.revoke(MEI, None, salon.now)
    assert await not_learned(salon.sign_in(an_answer({"token": SESSION})))
    assert await salon.sign_in(an_answer({"token": OTHER}))
    assert await salon.is_in(("Authorization", f"Token {OTHER}"))
    assert not await salon.is_in(("Authorization", f"Token {SESSION}"))


async def test_an_answer_renews_no_session_beyond_what_an_answer_may():
    salon = await signed_in(SANCTUM, IN_LARAVEL)
    found = await salon.who_is(("Cookie", f"laravel_session={SESSION}"))
    long = (set_cookie(OTHER, "laravel_session", "; Max-Age=999999999999"),)
    await salon.learning.renew(salon.login, found, long, salon.now)
    other = await salon.who_is(("Cookie", f"laravel_session={OTHER}"))
    assert other.claims.expires_at == salon.now + timedelta(hours=12)  # as the first
    await salon.epochs.revoke(MEI, None, salon.now)
    assert not await salon.is_in(("Cookie", f"laravel_session={OTHER}"))


async def test_an_old_token_of_a_device_does_not_sign_out_who_is_on_it_now():
    login = SIMPLE_JWT.replace("      staff:", "      device: header:X-Device-Id\n      staff:")
    salon = Salon(login)
    phone = ("X-Device-Id", "phone")
    at = int(salon.now.timestamp()) + 300
    await salon.sign_in(
        an_answer({"access": a_token(user_id=17, exp=at), "refresh": REFRESH}), phone
    )
    await salon.epochs.revoke(MEI, None, salon.now)
    salon.later(minutes=1)
    now = a_token(user_id=17, exp=at + 60)
    await salon.sign_in(an_answer({"access": now, "refresh": "refresh-of-today-01"}), phone)
    body = json.dumps({"refresh": REFRESH}).encode()
    await salon.admit(JSON, body=body, target="POST /api/token/blacklist/")
    assert await salon.is_in(("Authorization", f"Bearer {now}"))


async def test_a_document_of_another_use_identifies_nobody():
    salon = await signed_in()
    ((_, key),) = salon.documents.documents
    found = await salon.who_is(COOKIE)
    other = encode(replace(found.learned, use=Use.REFRESH))
    await salon.documents.put(Kind.LEARNED, key, other, replaces=1, now=salon.now)
    assert await refused(salon.who_is(COOKIE)) is Cause.SESSION_UNKNOWN


async def test_a_store_that_lost_its_memory_of_people_lets_nobody_in():
    salon = await signed_in()
    salon.epochs.lose_memory()
    assert not await salon.is_in(COOKIE)
