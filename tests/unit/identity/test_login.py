"""What the answers of a CRM's login hand out: to somebody, to nobody, or half."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import CanonicalPath, CanonicalTarget
from gateway.domain.login import Place, Source, StaffKey, Who
from gateway.domain.reason import Cause, Reason
from gateway.identity.login import (
    DEFAULT_LIFE,
    MAX_LIFE,
    device_named,
    issued,
    person_told,
    refresh_presented,
    staff_named,
    step_of,
    who_headers,
)
from tests.oracles.login_samples import (
    DJANGO,
    DRF_TOKEN,
    FORM,
    JSON,
    MEI,
    MEMBERS,
    NOW,
    OAUTH,
    ODOO,
    OTHER,
    PLAIN,
    SANCTUM,
    SANCTUM_TOKEN,
    SESSION,
    SIMPLE_JWT,
    YUKI,
    a_login,
    a_member,
    a_request,
    a_token,
    an_answer,
    set_cookie,
)

SECONDS = int(NOW.timestamp())


def step(text=PLAIN, more="", at=0):
    login = a_login(text.replace("staff: body:user.id", f"staff: body:user.id{more}"))
    return next(iter(login.steps.values()))[at]


def nobody(answer, text=PLAIN, more=""):
    return issued(step(text, more), answer, NOW) is None


def half(answer, text=PLAIN, more=""):
    with pytest.raises(UpstreamError) as caught:
        issued(step(text, more), answer, NOW)
    assert SESSION not in str(caught.value)
    return caught.value.reason is Reason.LOGIN_NOT_LEARNED


GOOD = {"user": {"id": 17}}


def test_one_cookie_and_one_person_are_a_sign_in():
    found = issued(step(), an_answer(GOOD, set_cookie()), NOW)
    assert (found.access.value, found.person, found.refresh) == (SESSION, "17", None)
    assert found.access.expires_at == NOW + DEFAULT_LIFE
    assert SESSION not in repr(found)


@pytest.mark.parametrize(
    ("told", "person"), [(17, "17"), ("17", "17"), ("mei@x", "mei@x"), (0, "0")]
)
def test_a_number_is_its_digits(told, person):
    assert issued(step(), an_answer({"user": {"id": told}}, set_cookie()), NOW).person == person


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 302, 304])
def test_another_status_signs_nobody_in(status):
    assert nobody(an_answer(GOOD, set_cookie(), status=status))


@pytest.mark.parametrize("told", [None, False])
def test_a_crm_that_names_nobody_signed_nobody_in(told):
    assert nobody(an_answer({"user": {"id": told}}, set_cookie()))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": 17},
        {"user": {"id": 17.0}},
        {"user": {"id": True}},
        {"user": {"id": -1}},
        {"user": {"id": ""}},
        {"user": {"id": "a\nb"}},
        {"user": {"id": [17]}},
        {"user": {"id": 2**64}},
        {"user": {"id": "x" * 201}},
        {"user": {"id": 17, "ID": 18}},
        b'{"user": {"id": 17, "id": 18}}',
        b'{"user": {"id": 17}, "user": {"id": 18}}',
        b"<html>",
        b"",
        b"\xff",
        b'{"user": {"id": NaN}}',
    ],
)
def test_a_session_for_a_person_that_nobody_can_read_is_half(body):
    assert half(an_answer(body, set_cookie()))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (set_cookie(), set_cookie(OTHER)),
        (set_cookie(), set_cookie()),
        (set_cookie(""),),
        (set_cookie(more="; Max-Age=0"),),
        (set_cookie("short"),),
        (set_cookie("with a blank 0123456789"),),
        (set_cookie(name="Sessionid"),),
        (set_cookie(name=" sessionid"),),
        (set_cookie(), ("Content-Encoding", "gzip")),
    ],
)
def test_a_person_without_one_plain_session_is_half(headers):
    assert half(an_answer(GOOD, *headers))


def test_a_life_is_the_least_of_all_that_is_told_and_bounded():
    def life(answer, more=""):
        return issued(step(more=more), answer, NOW).access.expires_at - NOW

    week = set_cookie(more="; Max-Age=604800")
    assert life(an_answer(GOOD, week)) == timedelta(days=7)
    assert life(an_answer(GOOD, week), ", hours: 8") == timedelta(hours=8)
    assert life(an_answer(GOOD, set_cookie(more="; Max-Age=99999999"))) == MAX_LIFE
    assert life(an_answer(GOOD, set_cookie(more="; Max-Age=99999999")), ", hours: 8760") == (
        timedelta(hours=8760)
    )
    told = an_answer(GOOD | {"ttl": 600}, week)
    assert life(told, ", expires: body:ttl") == timedelta(minutes=10)
    dated = an_answer(GOOD | {"ttl": "2026-11-21T19:30:00+09:00"}, week)
    assert life(dated, ", expires: body:ttl") == timedelta(minutes=30)


@pytest.mark.parametrize(
    "ttl",
    [0, -5, 1.5, True, None, "soon", "", "0", "2020-01-01T00:00:00Z", "2026-13-01T00:00:00Z"],
)
def test_a_declared_life_that_cannot_be_read_is_half(ttl):
    assert half(an_answer(GOOD | {"ttl": ttl}, set_cookie()), more=", expires: body:ttl")


# ---------------------------------------------------------------- CRMs


def test_odoo_says_200_to_a_wrong_password_and_gives_nobodys_session():
    cookie = set_cookie(name="session_id", more="; Expires=Sun, 22 Nov 2026 10:00:00 GMT; Path=/")
    good = an_answer({"jsonrpc": "2.0", "id": None, "result": {"uid": 17}}, cookie)
    assert issued(step(ODOO), good, NOW).person == "17"
    bad = an_answer({"jsonrpc": "2.0", "error": {"code": 200, "message": "x"}}, cookie)
    assert nobody(bad, ODOO)
    second_factor = an_answer({"jsonrpc": "2.0", "result": {"uid": None}}, cookie)
    assert nobody(second_factor, ODOO)
    assert nobody(an_answer({"result": {"uid": False}}, cookie), ODOO)


def test_a_form_login_succeeds_with_a_redirect_and_names_nobody():
    good = an_answer(b"", set_cookie(), ("Location", "/"), status=302)
    found = issued(step(DJANGO), good, NOW)
    assert (found.access.value, found.person) == (SESSION, None)
    assert nobody(an_answer(b"<form>", status=200), DJANGO)


def test_simple_jwt_names_the_person_in_the_token_and_gives_two():
    access = a_token(user_id=17, exp=SECONDS + 300)
    refresh = a_token(user_id=17, exp=SECONDS + 86_400, token_type="refresh")
    found = issued(step(SIMPLE_JWT), an_answer({"access": access, "refresh": refresh}), NOW)
    assert (found.person, found.access.value, found.refresh.value) == ("17", access, refresh)
    assert found.access.expires_at == NOW + timedelta(seconds=300)
    assert found.refresh.expires_at == NOW + MAX_LIFE
    over = a_token(user_id=17, exp=SECONDS)
    assert half(an_answer({"access": over, "refresh": refresh}), SIMPLE_JWT)
    for claims in ({"exp": SECONDS + 9}, {"user_id": None, "exp": SECONDS + 9}, {"user_id": 17}):
        body = {"access": a_token(**claims), "refresh": refresh}
        assert half(an_answer(body), SIMPLE_JWT)
    assert half(an_answer({"access": access}), SIMPLE_JWT)  # declared, and not there
    assert half(an_answer({"access": SESSION, "refresh": refresh}), SIMPLE_JWT)


def test_a_claim_may_have_a_name_with_dots():
    name = "http://schemas.example/ws/2005/05/identity/claims/nameidentifier"
    text = SIMPLE_JWT.replace("staff: token:user_id", f"staff: token:{name}")
    access = a_token(**{name: "17", "exp": SECONDS + 300})
    found = issued(step(text), an_answer({"access": access, "refresh": SESSION}), NOW)
    assert found.person == "17"


def test_sanctums_token_is_the_whole_body():
    plain = an_answer(b"1|AbCdEf0123456789AbCdEf")
    assert issued(step(SANCTUM_TOKEN), plain, NOW).access.value == "1|AbCdEf0123456789AbCdEf"
    for body in (
        b"",
        b"1|Ab Cd0123456789",
        b'"1|AbCdEf0123456789"',
        b"1|AbCdEf0123456789\n",
        b"\xff" * 20,
    ):
        assert half(an_answer(body), SANCTUM_TOKEN)


def test_a_refresh_names_nobody_and_needs_a_credential():
    refresh = a_login(SIMPLE_JWT).steps["POST /api/token/refresh/"][0]
    access = a_token(user_id=17, exp=SECONDS + 300)
    found = issued(refresh, an_answer({"access": access, "refresh": OTHER}), NOW)
    assert (found.person, found.access.value, found.refresh.value) == (None, access, OTHER)
    assert issued(refresh, an_answer({"detail": "no"}, status=401), NOW) is None
    with pytest.raises(UpstreamError):
        issued(refresh, an_answer({}), NOW)


def test_a_header_of_the_answer_may_be_the_credential():
    text = DRF_TOKEN.replace("issues: body:token", "issues: header:X-New-Token")
    answer = an_answer({}, ("X-New-Token", SESSION))
    assert issued(step(text), answer, NOW).access.value == SESSION
    assert half(an_answer({}), text)
    assert half(an_answer({}, ("X-New-Token", SESSION), ("x-new-token", SESSION)), text)
    text = DRF_TOKEN.replace("issues: body:token", "issues: header:Authorization Bearer")
    answer = an_answer({}, ("Authorization", f"bearer {SESSION}"))
    assert issued(step(text), answer, NOW).access.value == SESSION
    assert half(an_answer({}, ("Authorization", f"Token {SESSION}")), text)


# ---------------------------------------------------------------- whose it is


def test_the_crm_is_asked_with_the_fresh_credential_and_nothing_else():
    target = CanonicalTarget(path=CanonicalPath("/me"), segments=("me",), query=(), wire="/me")
    cookie = Source(place=Place.COOKIE, name="sid")
    asked = who_headers(Who(method="GET", target=target), cookie, SESSION)
    assert ("Cookie", f"sid={SESSION}") in asked
    bearer = Source(place=Place.HEADER, name="authorization", scheme="Bearer")
    asked = who_headers(Who(method="POST", target=target), bearer, SESSION)
    assert ("authorization", f"Bearer {SESSION}") in asked
    assert ("Content-Type", "application/json") in asked
    own = Source(place=Place.HEADER, name="x-auth-token")
    assert ("x-auth-token", SESSION) in who_headers(Who(method="GET", target=target), own, SESSION)


def test_who_it_is_the_crm_says_or_it_is_nobody_or_half():
    sanctum = step(SANCTUM)
    assert person_told(sanctum, an_answer({"id": 17})) == "17"
    for status in (401, 403, 302):
        assert person_told(sanctum, an_answer({"id": 17}, status=status)) is None
    assert person_told(sanctum, an_answer({"id": None})) is None
    for answer in (an_answer({"id": 17}, status=404), an_answer({}), an_answer(b"<html>")):
        with pytest.raises(UpstreamError):
            person_told(sanctum, answer)


def test_a_person_is_found_by_exactly_their_name_in_the_crm():
    assert staff_named("17", StaffKey.CRM_ID, MEMBERS) == MEI
    assert staff_named("yuki", StaffKey.ID, MEMBERS) == YUKI
    twins = MEMBERS | {"staff:rei": a_member("rei", "17")}
    for person, by, members in (
        ("017", StaffKey.CRM_ID, MEMBERS),
        ("17 ", StaffKey.CRM_ID, MEMBERS),
        ("mei", StaffKey.CRM_ID, MEMBERS),
        ("17", StaffKey.ID, MEMBERS),
        ("Mei", StaffKey.ID, MEMBERS),
        ("staff:mei", StaffKey.ID, MEMBERS),
        ("17", StaffKey.CRM_ID, twins),
    ):
        with pytest.raises(RequestError) as caught:
            staff_named(person, by, members)
        assert caught.value.reason is Reason.NOT_ON_ROSTER


# ---------------------------------------------------------------- what a request says


def test_one_address_is_the_step_that_the_request_names():
    steps = a_login(OAUTH).steps["POST /oauth/token"]
    asked = a_request(FORM, method="POST", target="/oauth/token")
    assert step_of(steps, asked, b"grant_type=password&username=mei") is steps[0]
    assert step_of(steps, asked, b"grant_type=refresh_token&refresh_token=x") is steps[1]
    for body in (b"", b"grant_type=client_credentials", b"grant_type=Password"):
        with pytest.raises(RequestError) as caught:
            step_of(steps, asked, body)
        assert caught.value.reason is Reason.BODY_INVALID


def test_a_device_is_named_by_the_app_or_not():
    sign_in = step(SANCTUM_TOKEN)
    assert device_named(sign_in, a_request()) is None
    assert device_named(sign_in, a_request(("x-device-id", "phone-7"))) == "crm.phone-7"
    assert device_named(replace(sign_in, device=None), a_request(("x-device-id", "x"))) is None
    for headers in ([("X-Device-Id", "")], [("X-Device-Id", "a b")], [("X-Device-Id", "a")] * 2):
        with pytest.raises(RequestError) as caught:
            device_named(sign_in, a_request(*headers))
        assert caught.value.reason is Reason.MALFORMED_REQUEST


def test_a_refresh_token_is_presented_where_the_adapter_says():
    member = a_login(SIMPLE_JWT).steps["POST /api/token/refresh/"][0].presents
    body = b'{"refresh": "' + SESSION.encode() + b'"}'
    assert refresh_presented(member, a_request(JSON), body) == SESSION
    assert refresh_presented(member, a_request(JSON), b"{}") is None
    with pytest.raises(RequestError) as caught:
        refresh_presented(member, a_request(JSON), b'{"refresh": "a b"}')
    assert caught.value.cause is Cause.TOKEN_MALFORMED
    cookie = Source(place=Place.COOKIE, name="rt")
    assert refresh_presented(cookie, a_request(("Cookie", f"rt={SESSION}")), b"") == SESSION
