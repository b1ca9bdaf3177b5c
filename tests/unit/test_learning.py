"""Sessions learned from the CRM's login: how they begin, go on and end."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.errors import RequestError, StateUnavailableError, UpstreamError
from gateway.domain.reason import Cause, Reason
from gateway.identity.learned import MAX_SESSIONS, REMEMBERED, decode
from gateway.ports import Kind
from tests.oracles.login_samples import (
    COOKIE,
    DJANGO,
    FORM,
    JSON,
    MEI,
    OAUTH,
    ODOO,
    ORIGIN,
    OTHER,
    SANCTUM,
    SANCTUM_TOKEN,
    SESSION,
    SIMPLE_JWT,
    YUKI,
    Salon,
    a_request,
    a_token,
    an_answer,
    set_cookie,
)

GOOD = {"user": {"id": 17}}


async def cause(promise):
    with pytest.raises(RequestError) as caught:
        await promise
    assert caught.value.reason is Reason.UNAUTHENTICATED
    return caught.value.cause


async def test_after_the_crms_login_its_cookie_is_this_person():
    salon = Salon()
    assert await cause(salon.who_is(COOKIE)) is Cause.SESSION_UNKNOWN
    claims = await salon.sign_in(an_answer(GOOD, set_cookie()))
    found = await salon.who_is(COOKIE)
    assert found.claims == claims
    assert (claims.staff, claims.device) == (MEI, f"crm.{1:032x}")
    assert found.passing.cookies == {"sessionid"}
    assert await salon.is_in(COOKIE)


async def test_the_state_holds_no_credential():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    ((kind, key), kept), *others = salon.documents.documents.items()
    assert (kind, others) == (Kind.LEARNED, [])
    assert SESSION not in key
    assert SESSION.encode() not in kept.value


async def test_a_login_that_fails_teaches_nothing():
    salon = Salon()
    assert await salon.sign_in(an_answer({}, set_cookie(), status=401)) is None
    assert salon.documents.documents == {}


async def test_who_is_not_on_the_roster_is_not_learned():
    salon = Salon()
    with pytest.raises(RequestError) as caught:
        await salon.sign_in(an_answer({"user": {"id": 99}}, set_cookie()))
    assert caught.value.reason is Reason.NOT_ON_ROSTER
    assert salon.documents.documents == {}


async def test_a_session_ends_with_its_life_and_stays_known():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie(more="; Max-Age=60")))
    salon.later(seconds=59)
    assert await salon.is_in(COOKIE)
    salon.later(seconds=1)
    assert await cause(salon.who_is(COOKIE)) is Cause.EXPIRED
    salon.now += REMEMBERED
    assert await cause(salon.who_is(COOKIE)) is Cause.SESSION_UNKNOWN


async def test_where_the_answer_names_nobody_the_crm_is_asked():
    salon = Salon(DJANGO)
    answer = an_answer(b"", set_cookie(), status=302)
    assert (await salon.sign_in(answer)).staff == MEI
    ((who, headers),) = salon.asked
    assert who.target.wire == "/api/me/"
    assert ("Cookie", f"sessionid={SESSION}") in headers


async def test_a_session_of_nobody_is_not_learned():
    salon = Salon(SANCTUM)
    salon.who = an_answer({"message": "Unauthenticated."}, status=401)
    answer = an_answer(b"", set_cookie(name="laravel_session"), status=302)
    assert await salon.sign_in(answer) is None
    assert salon.documents.documents == {}


async def test_an_app_names_its_device_and_a_device_is_logged_out_alone():
    salon = Salon(SANCTUM_TOKEN)
    for device, token in (("phone", SESSION), ("desk", OTHER)):
        await salon.sign_in(an_answer(token.encode()), ("X-Device-Id", device))
    await salon.epochs.revoke(MEI, "crm.phone", salon.now)
    assert not await salon.is_in(("Authorization", f"Bearer {SESSION}"))
    assert await salon.is_in(("Authorization", f"Bearer {OTHER}"))


# ---------------------------------------------------------------- refresh

TOKENS = "POST /api/token/refresh/"


def tokens(salon, seconds=300, refresh="refresh-0123456789"):
    at = int(salon.now.timestamp()) + seconds
    access = a_token(user_id=17, exp=at, jti=refresh)
    return access, an_answer({"access": access, "refresh": refresh})


def asking(refresh):
    return json.dumps({"refresh": refresh}).encode()


async def test_a_refreshed_credential_is_the_same_person_device_and_epoch():
    salon = Salon(SIMPLE_JWT)
    first, answer = tokens(salon)
    claims = await salon.sign_in(answer)
    salon.later(minutes=10)
    assert await cause(salon.who_is(("Authorization", f"Bearer {first}"))) is Cause.EXPIRED
    second, answer = tokens(salon, refresh="refresh-fedcba98765")
    body = asking("refresh-0123456789")
    again = await salon.sign_in(answer, JSON, body=body, target=TOKENS)
    assert (again.staff, again.device, again.epoch) == (claims.staff, claims.device, claims.epoch)
    assert await salon.is_in(("Authorization", f"Bearer {second}"))
    await salon.admit(JSON, body=asking("refresh-fedcba98765"), target=TOKENS)


async def test_a_refresh_token_is_no_credential_and_a_credential_no_refresh_token():
    salon = Salon(SIMPLE_JWT)
    access, answer = tokens(salon)
    await salon.sign_in(answer)
    shown = ("Authorization", "Bearer refresh-0123456789")
    assert await cause(salon.who_is(shown)) is Cause.SESSION_UNKNOWN
    asked = salon.admit(JSON, body=asking(access), target=TOKENS)
    assert await cause(asked) is Cause.SESSION_UNKNOWN


async def test_an_unknown_refresh_token_does_not_reach_the_crm():
    salon = Salon(SIMPLE_JWT)
    for body, why in (
        (asking("refresh-0123456789"), Cause.SESSION_UNKNOWN),
        (b"{}", Cause.NO_CREDENTIAL),
    ):
        assert await cause(salon.admit(JSON, body=body, target=TOKENS)) is why


async def test_one_address_with_two_grants_signs_in_and_refreshes():
    salon = Salon(OAUTH)
    body = {"access_token": SESSION, "refresh_token": "refresh-0123456789", "expires_in": 300}
    await salon.sign_in(an_answer(body), FORM, body=b"grant_type=password&username=mei")
    assert await salon.is_in(("Authorization", f"Bearer {SESSION}"))
    fresh = an_answer({"access_token": OTHER, "expires_in": 300})
    grant = b"grant_type=refresh_token&refresh_token=refresh-0123456789"
    await salon.sign_in(fresh, FORM, body=grant)
    assert await salon.is_in(("Authorization", f"Bearer {OTHER}"))


# ---------------------------------------------------------------- the end


async def test_a_sign_out_ends_the_session_here_before_the_crm_is_asked():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    admission = await salon.admit(COOKIE, target="POST /api/logout")
    assert not await salon.is_in(COOKIE)
    assert admission.passing.cookies == {"sessionid"}  # the CRM is told, too
    assert admission.back == {"sessionid"}  # and may remove its cookie


async def test_a_sign_out_ends_what_was_refreshed_and_nobody_elses():
    salon = Salon(SIMPLE_JWT)
    _, answer = tokens(salon)
    await salon.sign_in(answer)
    _, other = tokens(salon, refresh="refresh-of-the-desk-7")
    await salon.sign_in(other)
    await salon.admit(JSON, body=asking("refresh-0123456789"), target="POST /api/token/blacklist/")
    asked = salon.admit(JSON, body=asking("refresh-0123456789"), target=TOKENS)
    assert await cause(asked) is Cause.EPOCH_STALE
    await salon.admit(JSON, body=asking("refresh-of-the-desk-7"), target=TOKENS)


async def test_a_sign_out_by_a_stranger_ends_nothing():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    before = salon.epochs.changed
    await salon.admit(target="POST /api/logout")
    await salon.admit(("Cookie", f"sessionid={OTHER}"), target="POST /api/logout")
    assert salon.epochs.changed == before
    assert await salon.is_in(COOKIE)


async def test_one_person_has_only_so_many_sessions_and_the_oldest_goes():
    salon = Salon()
    for n in range(MAX_SESSIONS + 1):
        await salon.sign_in(an_answer(GOOD, set_cookie(f"{SESSION}{n}")))
        salon.later(seconds=1)
    assert len(salon.documents.documents) == MAX_SESSIONS
    gone = salon.who_is(("Cookie", f"sessionid={SESSION}0"))
    assert await cause(gone) is Cause.SESSION_UNKNOWN
    assert await salon.is_in(("Cookie", f"sessionid={SESSION}1"))


# ---------------------------------------------------------------- renewed cookies

LARAVEL = ("Cookie", f"laravel_session={SESSION}")


async def in_laravel():
    salon = Salon(SANCTUM)
    await salon.sign_in(an_answer(b"", set_cookie(name="laravel_session"), status=204))
    return salon, await salon.who_is(LARAVEL)


async def test_a_cookie_that_an_answer_sets_anew_is_the_same_session():
    salon, found = await in_laravel()
    again = (set_cookie(OTHER, "laravel_session", "; Max-Age=7200"),)
    await salon.learning.renew(salon.login, found, again, salon.now)
    other = await salon.who_is(("Cookie", f"laravel_session={OTHER}"))
    assert other.learned.session == found.learned.session
    assert other.claims.epoch == found.claims.epoch
    assert other.claims.expires_at == salon.now + timedelta(hours=2)
    await salon.epochs.revoke(MEI, found.claims.device, salon.now)
    assert not await salon.is_in(("Cookie", f"laravel_session={OTHER}"))


async def test_the_same_cookie_is_written_again_only_when_it_lasts_longer():
    salon, found = await in_laravel()
    writes = salon.documents.changed
    same = (set_cookie(name="laravel_session"),)
    await salon.learning.renew(salon.login, found, same, salon.now)
    assert salon.documents.changed == writes
    salon.later(hours=1)
    await salon.learning.renew(salon.login, found, same, salon.now)
    assert (await salon.who_is(LARAVEL)).claims.expires_at == found.claims.expires_at + (
        timedelta(hours=1)
    )


async def test_an_answer_that_sets_or_removes_no_cookie_renews_nothing():
    salon, found = await in_laravel()
    writes = salon.documents.changed
    for headers in ((), (set_cookie(OTHER),), (set_cookie("", "laravel_session"),)):
        await salon.learning.renew(salon.login, found, headers, salon.now)
    assert salon.documents.changed == writes
    twice = (set_cookie(OTHER, "laravel_session"),) * 2
    with pytest.raises(UpstreamError) as caught:
        await salon.learning.renew(salon.login, found, twice, salon.now)
    assert caught.value.reason is Reason.LOGIN_NOT_LEARNED


async def test_a_login_that_does_not_renew_takes_no_cookie_from_other_answers():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    found = await salon.who_is(COOKIE)
    await salon.learning.renew(salon.login, found, (set_cookie(OTHER),), salon.now)
    unknown = salon.who_is(("Cookie", f"sessionid={OTHER}"))
    assert await cause(unknown) is Cause.SESSION_UNKNOWN


# ---------------------------------------------------------------- what goes on to the CRM


async def test_at_a_sign_in_the_crm_gets_no_session_unless_it_needs_one_of_nobody():
    plain = await Salon().admit(COOKIE)
    assert (plain.passing.cookies, plain.passing.readable) == (frozenset(), True)
    salon, _ = await in_laravel()
    anonymous = ("Cookie", f"laravel_session={OTHER}")
    assert (await salon.admit(anonymous)).passing.cookies == {"laravel_session"}
    assert (await salon.admit(LARAVEL)).passing.cookies == frozenset()


async def test_a_page_before_the_login_gets_a_session_of_nobody_only():
    salon, _ = await in_laravel()

    async def passing(*headers):
        return await salon.learning.stranger(salon.login, a_request(*headers), salon.now)

    assert (await passing()).cookies == {"laravel_session"}
    assert (await passing(("Cookie", f"laravel_session={OTHER}"))).cookies == {"laravel_session"}
    assert await passing(LARAVEL) is salon.login.unpresented
    other = Salon()
    found = await other.learning.stranger(other.login, a_request(COOKIE), other.now)
    assert found is other.login.unpresented


async def test_a_foreign_page_cannot_sign_anybody_in_or_out():
    salon = Salon()
    for target in salon.login.steps:
        with pytest.raises(RequestError) as caught:
            await salon.admit(("Origin", "https://evil.example"), target=target)
        assert caught.value.reason is Reason.ORIGIN_REFUSED
        await salon.admit(("Origin", ORIGIN), target=target)


# ---------------------------------------------------------------- the state near and away


async def test_what_is_at_hand_saves_a_question_and_what_is_not_costs_one():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    copy = {}

    async def at_hand(key):
        return copy.get(key)

    learning = replace(salon.learning, at_hand=at_hand)
    found = await learning.identify(salon.login, a_request(COOKIE), salon.now)
    copy[found.key] = found.learned
    salon.documents.away = True
    assert await learning.identify(salon.login, a_request(COOKIE), salon.now) == found
    salon.later(hours=12)
    late = learning.identify(salon.login, a_request(COOKIE), salon.now)
    assert await cause(late) is Cause.EXPIRED
    with pytest.raises(StateUnavailableError):
        await learning.identify(
            salon.login, a_request(("Cookie", f"sessionid={OTHER}")), salon.now
        )


async def test_a_state_that_cannot_say_is_never_nobody():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    salon.documents.away = True
    for promise in (
        salon.who_is(COOKIE),
        salon.sign_in(an_answer(GOOD, set_cookie(OTHER))),
        salon.admit(COOKIE, target="POST /api/logout"),
    ):
        with pytest.raises(StateUnavailableError):
            await promise


async def test_a_document_that_cannot_be_read_is_never_nobody():
    salon = Salon()
    await salon.sign_in(an_answer(GOOD, set_cookie()))
    ((_, key),) = salon.documents.documents
    await salon.documents.put(Kind.LEARNED, key, b"{}", replaces=1, now=salon.now)
    with pytest.raises(StateUnavailableError):
        await salon.who_is(COOKIE)


async def test_two_people_have_two_sessions():
    salon = Salon(ODOO)
    for uid, value in ((17, SESSION), (18, OTHER)):
        answer = an_answer({"result": {"uid": uid}}, set_cookie(value, "session_id"))
        await salon.sign_in(answer)
    found = [
        (await salon.who_is(("Cookie", f"session_id={value}"))).claims.staff
        for value in (SESSION, OTHER)
    ]
    assert found == [MEI, YUKI]
    assert len({decode(one.value).session for one in salon.documents.documents.values()}) == 2
