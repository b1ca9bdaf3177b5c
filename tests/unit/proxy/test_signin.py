"""The sign-in as requests and answers: pages for people, JSON for programs, one no for all."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from urllib.parse import quote, urlencode

import pytest

from gateway.domain.decision import Refusal
from gateway.domain.errors import RequestError
from gateway.domain.http import Answer, Inbound
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.doorway import Doorway
from gateway.identity.attempts import FREE_TRIES
from gateway.identity.claims import TokenPolicy, verify
from gateway.identity.device_cookie import device_key, read_device, write_device
from gateway.identity.issuing import Issuer
from gateway.identity.keys import secret_table
from gateway.identity.totp import grouped, read_secret, write_secret
from gateway.mapping.guard import WireLimits
from gateway.proxy.negotiate import Language
from gateway.proxy.signin import SignIn
from gateway.proxy.signin_forms import DEVICE_COOKIE, MAX_BODY_BYTES
from gateway.proxy.signin_pages import WORDS
from tests.oracles.accounts_world import GOOD, HANA, HOME, MEI, OTHER, PHONE, World
from tests.oracles.memory_world import CountingMeter
from tests.oracles.second_world import App, set_up

SECRET = b"0123456789abcdef0123456789abcdef"
ORIGIN, COOKIE = "https://crm.example", "__Host-salon"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
HOURS = 12


class SmallBody:
    def __init__(self, data):
        self.data = data

    async def read(self, max_bytes):
        if len(self.data) > max_bytes:
            raise RequestError(Reason.BODY_TOO_LARGE)
        return self.data


class Salon:
    def __init__(self):
        self.world = World()
        self.meter = CountingMeter()
        policy = TokenPolicy(issuer="g", audience="crm", keys=secret_table(SECRET))
        self.policy = policy
        self.sign_in = SignIn(
            accounts=self.world.accounts,
            epochs=self.world.epochs,
            doorway=Doorway(
                limits=WireLimits(),
                tokens=policy,
                max_request_body=1000,
                upstream_origin="http://127.0.0.1:9",
                cookie=COOKIE,
                origins=frozenset({ORIGIN}),
            ),
            issuer=Issuer.of(policy, lifetime_seconds=HOURS * 3600),
            clock=self.world.clock,
            meter=self.meter,
            cookie=COOKIE,
            device_key=device_key(SECRET),
            new_id=lambda: "id-1",
        )

    async def ask(self, method, target, data=b"", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {"Content-Length": str(len(data))} if method == "POST" else {}
        inbound = Inbound(
            method=method,
            target=target,
            version="1.1",
            headers=tuple(({"Host": "crm.example"} | length | named).items()),
            peer=HOME,
            secure=True,
        )
        return await self.sign_in.answer(inbound, SmallBody(data))

    async def form(self, page="sign-in", /, origin=ORIGIN, kind=FORM, headers=None, **members):
        sent = {"Content-Type": kind} | ({"Origin": origin} if origin else {}) | (headers or {})
        data = urlencode(members).encode()
        return await self.ask("POST", f"/_salon/{page}", data, **sent)

    async def json(self, page="sign-in", /, headers=None, **members):
        sent = {"Content-Type": JSON} | (headers or {})
        return await self.ask("POST", f"/_salon/{page}", json.dumps(members).encode(), **sent)

    def claims(self, token):
        return verify(token, self.policy, self.world.clock.now())


@pytest.fixture
async def salon():
    made = Salon()
    await made.world.given()
    made.world.hasher.runs.clear()
    return made


def header(answer, name):
    return [value for key, value in answer.headers if key.lower() == name.lower()]


def cookies(answer):
    """Name → (value, attributes)."""
    pairs = [value.partition("; ") for value in header(answer, "set-cookie")]
    return {head.partition("=")[0]: (head.partition("=")[2], rest) for head, _, rest in pairs}


def session(answer):
    """The headers of a browser that got this answer."""
    return {"Cookie": "; ".join(f"{k}={v}" for k, (v, _) in cookies(answer).items())}


# -- pages


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", ["sign-in", "password", "sign-out"])
async def test_a_page_speaks_the_readers_language_without_script_or_strangers(
    salon, name, language
):
    answer = await salon.ask("GET", f"/_salon/{name}", Accept_Language=str(language))
    text = answer.body.decode()
    assert answer.status == 200
    assert f'<html lang="{language}">' in text
    assert header(answer, "content-language") == [str(language)]
    assert not re.search(r"<script|\son\w+=|https?:|src=|url\(", text)
    assert 'name="viewport"' in text
    assert len(text.encode()) < 8000


async def test_the_policy_names_the_one_style_sheet_by_its_hash(salon):
    answer = await salon.ask("GET", "/_salon/sign-in")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = header(answer, "content-security-policy")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert header(answer, "cache-control") == ["no-store"]
    # With `no-referrer` browsers would send `Origin: null` with our own form.
    assert header(answer, "referrer-policy") == ["same-origin"]


async def test_password_managers_find_their_way(salon):
    sign_in = (await salon.ask("GET", "/_salon/sign-in")).body.decode()
    assert 'autocomplete="username"' in sign_in
    assert 'autocomplete="current-password"' in sign_in
    change = (await salon.ask("GET", "/_salon/password")).body.decode()
    assert change.count('autocomplete="new-password"') == 2


@pytest.mark.parametrize(
    "target", ["/", "/api/clients", "/_salonx", "/_salonx/sign-in", "/x/_salon/sign-in"]
)
async def test_everything_else_is_for_the_pipeline(salon, target):
    assert await salon.ask("GET", target) is None


@pytest.mark.parametrize(
    "target",
    [
        "/_Salon/sign-in",
        "/%5Fsalon/sign-in",
        "//_salon/sign-in",
        "/./_salon/sign-in",
        "/_salon/../sign-in",
        "/_salon//sign-in",
        "/_salon/sign%2Din",
        "http://crm.example/_salon/sign-in",
        "/_salon\\sign-in",
    ],
)
async def test_another_spelling_is_none_of_ours_and_the_pipeline_refuses_it(salon, target):
    assert await salon.ask("GET", target) is None


async def test_a_malformed_request_is_for_the_pipeline_to_refuse(salon):
    assert await salon.ask("GET", "/_salon/sign-in", Host="a b") is None
    assert await salon.ask("TRACE", "/_salon/sign-in") is None


@pytest.mark.parametrize(
    ("method", "target", "reason"),
    [
        ("GET", "/_salon", Reason.UNMAPPED),
        ("GET", "/_salon/", Reason.UNMAPPED),
        ("GET", "/_salon/sign-in/", Reason.UNMAPPED),
        ("GET", "/_salon/sign-in/x", Reason.UNMAPPED),
        ("GET", "/_salon/renew", Reason.UNMAPPED),
        ("PUT", "/_salon/sign-in", Reason.UNMAPPED),
        ("DELETE", "/_salon/sign-out", Reason.UNMAPPED),
        ("OPTIONS", "/_salon/sign-in", Reason.UNMAPPED),  # no CORS for anybody
        ("GET", "/_salon/sign-in?name=mei", Reason.UNKNOWN_PARAMETER),
        ("GET", "/_salon/sign-in?next=/a&next=/b", Reason.UNKNOWN_PARAMETER),
        ("POST", "/_salon/sign-in?next=/a", Reason.UNKNOWN_PARAMETER),
    ],
)
async def test_nothing_under_the_prefix_ever_reaches_the_crm(salon, method, target, reason):
    outcome = await salon.ask(method, target)
    assert isinstance(outcome, Refusal)
    assert outcome.reason is reason


# -- signing in with a form


async def test_a_browser_gets_a_cookie_that_no_script_and_no_other_host_can_touch(salon):
    answer = await salon.form(name="mei", password=GOOD)
    assert (answer.status, header(answer, "location")) == (303, ["/"])
    kept = cookies(answer)
    assert set(kept) == {COOKIE, DEVICE_COOKIE}
    token, attributes = kept[COOKIE]
    assert attributes == f"Path=/; Max-Age={HOURS * 3600}; Secure; HttpOnly; SameSite=Lax"
    assert kept[DEVICE_COOKIE][1] == "Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Lax"
    claims = salon.claims(token)
    assert claims.staff == MEI
    assert claims.device == read_device(kept[DEVICE_COOKIE][0], device_key(SECRET))
    assert claims.epoch >= await salon.world.epochs.floor(MEI, claims.device)


async def test_a_device_keeps_its_name(salon):
    first = await salon.form(name="mei", password=GOOD)
    again = await salon.form(name="mei", password=GOOD, headers=session(first))
    assert cookies(first)[DEVICE_COOKIE][0] == cookies(again)[DEVICE_COOKIE][0]


async def test_a_device_cookie_that_we_did_not_write_is_a_stranger(salon):
    forged = {"Cookie": f"{DEVICE_COOKIE}={PHONE}.{'A' * 43}"}
    answer = await salon.form(name="mei", password=GOOD, headers=forged)
    assert salon.claims(cookies(answer)[COOKIE][0]).device != PHONE


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/clients/7?tab=notes", "/clients/7?tab=notes"),
        ("/", "/"),
        ("", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/../a", "/"),
        ("javascript:alert(1)", "/"),
        ("/_salon/sign-out", "/"),
        ("/" + "a" * 3000, "/" + "a" * 3000),
    ],
)
async def test_the_way_back_leads_to_this_host_only(salon, wanted, goes):
    answer = await salon.form(name="mei", password=GOOD, next=wanted)
    assert header(answer, "location") == [goes]


async def test_the_way_back_is_kept_in_the_page(salon):
    page = await salon.ask("GET", f"/_salon/sign-in?next={quote('/clients/7?a=b', safe='')}")
    assert 'name="next" type="hidden" value="/clients/7?a=b"' in page.body.decode()
    page = await salon.ask("GET", f"/_salon/sign-in?next={quote('//evil.example', safe='')}")
    assert 'value="/"' in page.body.decode()


async def test_a_wrong_name_and_a_wrong_password_get_the_same_page(salon):
    answers = [await salon.form(name=name, password=OTHER) for name in ("mei", "ken", "nobody")]
    bodies = {
        answer.body.replace(name.encode(), b"")
        for answer, name in zip(answers, ("mei", "ken", "nobody"), strict=True)
    }
    assert len(bodies) == 1
    assert len({(answer.status, answer.headers) for answer in answers}) == 1
    assert answers[0].status == 401
    assert header(answers[0], "www-authenticate") == ['Bearer realm="salon"']
    assert WORDS[Language.EN].wrong in answers[0].body.decode()
    assert len(salon.world.hasher.runs) == 3
    assert [call[0] for call in salon.meter.named("unauthenticated")] == [
        Cause.WRONG_PASSWORD,
        Cause.NO_ACCOUNT,
        Cause.NO_ACCOUNT,
    ]


async def test_what_was_typed_comes_back_as_text_and_the_password_never(salon):
    answer = await salon.form(name='"><script>x', password="my-secret-typed")
    text = answer.body.decode()
    assert "<script" not in text
    assert "my-secret-typed" not in text
    assert "&#34;&gt;&lt;script&gt;x" in text


async def test_too_many_tries_say_how_long_to_wait(salon):
    for _ in range(FREE_TRIES):
        await salon.form(name="mei", password=OTHER)
    answer = await salon.form(name="mei", password=GOOD)
    assert (answer.status, header(answer, "retry-after")) == (429, ["15"])
    assert "15 s" in answer.body.decode()
    assert not cookies(answer)


@pytest.mark.parametrize(
    "origin", [None, "", "null", "https://evil.example", "http://crm.example", ORIGIN + "."]
)
async def test_a_form_of_another_site_signs_nobody_in(salon, origin):
    answer = await salon.form(name="mei", password=GOOD, origin=origin)
    assert answer.status == STATUS[Reason.ORIGIN_REFUSED]
    assert not cookies(answer)
    assert salon.world.hasher.runs == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_a_browser_that_says_so_itself_is_believed(salon, site):
    answer = await salon.form(name="mei", password=GOOD, headers={"Sec-Fetch-Site": site})
    assert answer.status == STATUS[Reason.ORIGIN_REFUSED]
    good = await salon.form(name="mei", password=GOOD, headers={"Sec-Fetch-Site": "same-origin"})
    assert good.status == 303


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"name=mei",
        b"name=mei&password=a&password=b",
        b"name=mei&password=a&more=b",
        b"name=mei&password=a&",
        b"name=mei&password=%zz",
        b"name=mei&password=%e3",
        b"name=mei&password=a&next",
        "name=mei&password=é".encode(),
        b"name=mei;password=a",
    ],
)
async def test_a_form_with_two_readings_is_refused_before_any_work(salon, data):
    answer = await salon.ask(
        "POST", "/_salon/sign-in", data, Content_Type=FORM, Origin=ORIGIN, Accept="text/html"
    )
    assert answer.status == 400
    assert salon.world.hasher.runs == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data", f"{FORM}; charset=shift_jis", f"{JSON}5"]
)
async def test_another_content_type_is_refused(salon, kind):
    outcome = await salon.form(name="mei", password=GOOD, kind=kind)
    assert outcome.reason is Reason.CONTENT_TYPE_REFUSED


async def test_a_large_body_is_refused(salon):
    answer = await salon.form(name="mei", password="x" * MAX_BODY_BYTES)
    assert answer.status == 413


async def test_two_device_cookies_are_refused(salon):
    mark = write_device(PHONE, device_key(SECRET))
    both = {"Cookie": f"{DEVICE_COOKIE}={mark}; {DEVICE_COOKIE}={mark}"}
    answer = await salon.form(name="mei", password=GOOD, headers=both)
    assert answer.status == 401
    assert salon.world.hasher.runs == []


async def test_a_state_that_is_away_says_so(salon):
    salon.world.documents.away = True
    answer = await salon.form(name="mei", password=GOOD)
    assert answer.status == 503
    outcome = await salon.json(name="mei", password=GOOD)
    assert outcome.reason is Reason.STATE_UNAVAILABLE


# -- programs


async def test_a_program_gets_a_bearer_token_and_no_cookie(salon):
    answer = await salon.json(name="mei", password=GOOD)
    assert answer.status == 200
    assert not cookies(answer)
    told = json.loads(answer.body)
    assert (told["token_type"], told["expires_in"]) == ("Bearer", HOURS * 3600)
    assert salon.claims(told["token"]).staff == MEI
    again = json.loads((await salon.json(name="mei", password=GOOD, device=told["device"])).body)
    assert salon.claims(again["token"]).device == salon.claims(told["token"]).device


async def test_a_program_is_refused_in_the_same_words_for_every_name(salon):
    found = [await salon.json(name=name, password=OTHER) for name in ("mei", "nobody")]
    assert [one.reason for one in found] == [Reason.UNAUTHENTICATED] * 2
    assert {one.detail for one in found} == {""}
    for _ in range(FREE_TRIES):
        await salon.json(name="mei", password=OTHER)
    early = await salon.json(name="mei", password=GOOD)
    assert (early.reason, early.retry_seconds) == (Reason.TOO_MANY_TRIES, 15.0)


async def test_json_from_a_page_of_another_site_is_refused(salon):
    outcome = await salon.json(
        name="mei", password=GOOD, headers={"Origin": "https://evil.example"}
    )
    assert outcome.reason is Reason.ORIGIN_REFUSED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"name":"mei"}',
        b'{"name":"mei","password":1}',
        b'{"name":"mei","password":"a","password":"b"}',
        b'{"name":"mei","password":"a","next":"/"}',
        b'{"name":"mei","password":["a"]}',
        b'{"name":"mei","password":"\\ud800"}',
    ],
)
async def test_json_with_two_readings_is_refused(salon, data):
    outcome = await salon.ask("POST", "/_salon/sign-in", data, Content_Type=JSON)
    assert outcome.reason is Reason.BODY_INVALID
    assert salon.world.hasher.runs == []


# -- changing the password


async def test_a_given_password_leads_to_its_change_and_then_in(salon):
    await salon.world.given(temporary=True)
    asked = await salon.form(name="mei", password=GOOD)
    assert asked.status == 403
    assert not cookies(asked)
    assert WORDS[Language.EN].given in asked.body.decode()
    assert 'action="/_salon/password"' in asked.body.decode()
    done = await salon.form("password", name="mei", password=GOOD, new=OTHER, again=OTHER)
    assert done.status == 303
    assert salon.claims(cookies(done)[COOKIE][0]).staff == MEI
    assert (await salon.form(name="mei", password=GOOD)).status == 401


async def test_a_program_with_a_given_password_is_told_to_change_it(salon):
    await salon.world.given(temporary=True)
    assert (await salon.json(name="mei", password=GOOD)).reason is Reason.PASSWORD_TEMPORARY
    done = await salon.json("password", name="mei", password=GOOD, new=OTHER)
    assert salon.claims(json.loads(done.body)["token"]).staff == MEI


async def test_everything_wrong_with_a_new_password_is_said_in_the_readers_language(salon):
    answer = await salon.form(
        "password",
        name="mei",
        password=GOOD,
        new="qwerty",
        again="qwerty",
        headers={"Accept-Language": "ko"},
    )
    assert answer.status == 422
    assert "12자 이상으로" in answer.body.decode()
    assert "자판의 순서" in answer.body.decode()
    outcome = await salon.json("password", name="mei", password=GOOD, new="qwerty")
    assert outcome.reason is Reason.PASSWORD_WEAK
    assert "at least 12 characters" in outcome.detail


async def test_two_different_new_passwords_change_nothing(salon):
    answer = await salon.form("password", name="mei", password=GOOD, new=OTHER, again=OTHER + "x")
    assert answer.status == 422
    assert WORDS[Language.EN].differ in answer.body.decode()
    assert (await salon.form(name="mei", password=GOOD)).status == 303


async def test_a_change_needs_the_password_until_now_and_waits_like_a_sign_in(salon):
    for _ in range(FREE_TRIES):
        answer = await salon.form("password", name="mei", password="no", new=OTHER, again=OTHER)
        assert answer.status == 401
        assert 'action="/_salon/password"' in answer.body.decode()
    answer = await salon.form("password", name="mei", password=GOOD, new=OTHER, again=OTHER)
    assert answer.status == 429


# -- signing out, and going on


async def test_signing_out_ends_the_session_and_keeps_the_device_known(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    answer = await salon.form("sign-out", headers=session(signed_in))
    assert (answer.status, header(answer, "location")) == (303, ["/_salon/sign-in"])
    assert cookies(answer) == {COOKIE: ("", "Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")}
    claims = salon.claims(cookies(signed_in)[COOKIE][0])
    assert claims.epoch < await salon.world.epochs.floor(MEI, claims.device)
    assert (await salon.form("sign-out", headers=session(signed_in))).status == 303  # again


async def test_a_page_of_another_site_signs_nobody_out(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    for headers in (session(signed_in), {}):
        answer = await salon.form("sign-out", origin="https://evil.example", headers=headers)
        assert answer.status == 403
        assert not cookies(answer)
    claims = salon.claims(cookies(signed_in)[COOKIE][0])
    assert claims.epoch >= await salon.world.epochs.floor(MEI, claims.device)


async def test_a_program_signs_out_with_its_token(salon):
    told = json.loads((await salon.json(name="mei", password=GOOD)).body)
    bearer = {"Authorization": f"Bearer {told['token']}"}
    answer = await salon.ask("POST", "/_salon/sign-out", **bearer)
    assert (answer.status, cookies(answer)) == (204, {})
    outcome = await salon.ask("POST", "/_salon/sign-out", **bearer)
    assert outcome.reason is Reason.UNAUTHENTICATED


async def test_two_credentials_are_refused(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    token = cookies(signed_in)[COOKIE][0]
    twice = {"Cookie": f"{COOKIE}={token}; {COOKIE}={token}"}
    assert (await salon.form("sign-out", headers=twice)).status == 401
    both = session(signed_in) | {"Authorization": f"Bearer {token}"}
    outcome = await salon.ask("POST", "/_salon/renew", **both)
    assert outcome.reason is Reason.UNAUTHENTICATED


async def renewed(salon, signed_in):
    return await salon.ask("POST", "/_salon/renew", **session(signed_in), Origin=ORIGIN)


async def test_a_session_past_half_of_its_life_gets_another_and_the_old_one_goes_on(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    young = await renewed(salon, signed_in)
    assert (young.status, cookies(young)) == (204, {})
    salon.world.clock.later(hours=6)
    answer = await renewed(salon, signed_in)
    old, new = (salon.claims(cookies(one)[COOKIE][0]) for one in (signed_in, answer))
    assert (new.staff, new.device, new.epoch) == (old.staff, old.device, old.epoch)
    assert (new.expires_at - old.expires_at).total_seconds() == 6 * 3600
    assert (await renewed(salon, signed_in)).status == 204


async def test_a_session_that_was_ended_is_not_renewed(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    salon.world.clock.later(hours=6)
    await salon.world.epochs.revoke(MEI, None, salon.world.clock.now())
    assert (await renewed(salon, signed_in)).reason is Reason.UNAUTHENTICATED


async def test_after_thirty_days_the_password_is_asked_again(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    for _ in range(4 * 30 - 1):
        salon.world.clock.later(hours=6)
        signed_in = await renewed(salon, signed_in)
        assert signed_in.status == 204
    salon.world.clock.later(hours=6)
    assert (await renewed(salon, signed_in)).reason is Reason.UNAUTHENTICATED


async def test_without_an_account_nothing_is_renewed(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    salon.world.clock.later(hours=6)
    await salon.world.accounts.remove(MEI, by=HANA, peer=HOME)
    assert (await renewed(salon, signed_in)).reason is Reason.UNAUTHENTICATED


async def opened(salon, signed_in, **headers):
    named = {"Host": "crm.example", "Sec-Fetch-Dest": "document"} | session(signed_in) | headers
    inbound = Inbound(
        method="GET",
        target="/",
        version="1.1",
        headers=tuple(named.items()),
        peer=HOME,
        secure=True,
    )
    return await salon.sign_in.renewed(inbound, Answer(status=200, headers=(("X", "y"),)))


async def test_the_next_page_brings_the_new_session_along(salon):
    signed_in = await salon.form(name="mei", password=GOOD)
    assert cookies(await opened(salon, signed_in)) == {}
    salon.world.clock.later(hours=6)
    answer = await opened(salon, signed_in)
    assert header(answer, "x") == ["y"]
    assert set(cookies(answer)) == {COOKIE}
    assert cookies(await opened(salon, signed_in, **{"Sec-Fetch-Dest": "image"})) == {}
    salon.world.documents.away = True
    assert cookies(await opened(salon, signed_in)) == {}


# -- a second factor


def hidden(answer, name):
    return re.search(rf'name="{name}" type="hidden" value="([^"]*)"', answer.body.decode())[1]


def browser_of(*answers):
    """The headers of a browser that got these answers; the latest value of each cookie."""
    kept = {}
    for answer in answers:
        kept |= {name: value for name, (value, _) in cookies(answer).items()}
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}


async def with_app(salon):
    """Mei has set one up, by another phone."""
    app, enrolled = await set_up(salon.world)
    return app, enrolled


async def test_with_a_second_factor_the_right_password_gets_a_page_and_no_session(salon):
    await with_app(salon)
    page = await salon.form(name="mei", password=GOOD, next="/clients")
    assert page.status == 200
    assert list(cookies(page)) == [DEVICE_COOKIE]
    assert hidden(page, "next") == "/clients"
    assert WORDS[Language.EN].code_lead in page.body.decode()


async def test_the_code_in_the_same_browser_gets_the_session(salon):
    app, _ = await with_app(salon)
    page = await salon.form(name="mei", password=GOOD, next="/clients")
    sent = {"ticket": hidden(page, "ticket"), "next": hidden(page, "next"), "code": app.fresh()}
    answer = await salon.form("code", headers=browser_of(page), **sent)
    assert answer.status == 303
    assert header(answer, "location") == ["/clients"]
    claims = salon.claims(cookies(answer)[COOKIE][0])
    assert claims.staff == MEI
    assert claims.device == read_device(cookies(page)[DEVICE_COOKIE][0], device_key(SECRET))


async def test_the_ticket_is_of_no_use_in_another_browser(salon):
    app, _ = await with_app(salon)
    page = await salon.form(name="mei", password=GOOD)
    other = await salon.form(name="mei", password=GOOD)
    sent = {"ticket": hidden(page, "ticket"), "code": app.fresh()}
    for headers in ({}, browser_of(other)):
        answer = await salon.form("code", headers=headers, **sent)
        assert answer.status == 401
        assert COOKIE not in cookies(answer)
        assert WORDS[Language.EN].too_late in answer.body.decode()


async def test_after_five_minutes_the_password_is_asked_again(salon):
    app, _ = await with_app(salon)
    page = await salon.form(name="mei", password=GOOD)
    salon.world.clock.later(minutes=5)
    sent = {"ticket": hidden(page, "ticket"), "code": app.code()}
    assert (await salon.form("code", headers=browser_of(page), **sent)).status == 401


async def test_a_wrong_code_gets_the_page_once_more(salon):
    app, _ = await with_app(salon)
    page = await salon.form(name="mei", password=GOOD)
    sent = {"ticket": hidden(page, "ticket"), "code": app.wrong()}
    answer = await salon.form("code", headers=browser_of(page), **sent)
    assert answer.status == 401
    assert WORDS[Language.EN].code_wrong in answer.body.decode()
    assert hidden(answer, "ticket") == sent["ticket"]
    assert app.wrong() not in answer.body.decode()


async def test_a_code_from_a_page_elsewhere_is_refused(salon):
    app, _ = await with_app(salon)
    page = await salon.form(name="mei", password=GOOD)
    sent = {"ticket": hidden(page, "ticket"), "code": app.fresh()}
    answer = await salon.form(
        "code", origin="https://evil.example", headers=browser_of(page), **sent
    )
    assert answer.status == 403
    assert COOKIE not in cookies(answer)


async def test_one_is_set_up_with_the_password_and_a_first_code(salon):
    assert (await salon.ask("GET", "/_salon/second-factor")).status == 200
    page = await salon.form("second-factor", name="mei", password=GOOD, code="", next="/")
    text = page.body.decode()
    uri = re.search(r'href="(otpauth://[^"]*)"', text)[1].replace("&amp;", "&")
    secret = read_secret(re.search(r"secret=([A-Z2-7]+)", uri)[1])
    assert uri.startswith("otpauth://totp/aoyama:mei?")
    assert "Tanaka" not in text
    assert grouped(write_secret(secret)) in text
    assert "<svg" in text
    assert "style=" not in text.partition("</style>")[2]  # the policy would not let it in
    app = App(salon.world.clock, secret)
    sent = {"ticket": hidden(page, "ticket"), "code": app.code(), "next": "/"}
    done = await salon.form("set-up", headers=browser_of(page), **sent)
    assert done.status == 200
    assert (
        len(re.findall(r"<code>[a-z2-7]{4}(?:-[a-z2-7]{4}){3}</code>", done.body.decode())) == 10
    )
    assert salon.claims(cookies(done)[COOKIE][0]).staff == MEI
    again = await salon.form("set-up", headers=browser_of(page), **sent)
    assert again.status == 401  # the account is another one now


async def test_whoever_must_have_one_is_led_there_by_the_sign_in(salon):
    salon.sign_in = replace(
        salon.sign_in, accounts=replace(salon.world.accounts, required=lambda _: True)
    )
    page = await salon.form(name="mei", password=GOOD)
    assert COOKIE not in cookies(page)
    assert WORDS[Language.EN].required in page.body.decode()
    assert "otpauth://" in page.body.decode()


async def test_programs_do_the_same_in_json(salon):
    begun = json.loads((await salon.json("second-factor", name="mei", password=GOOD)).body)
    assert begun["second_factor"] == "enrol"
    app = App(salon.world.clock, read_secret(begun["secret"]))
    kept = {name: begun[name] for name in ("ticket", "device")}
    done = json.loads((await salon.json("set-up", code=app.code(), **kept)).body)
    assert len(done["recovery"]) == 10
    assert salon.claims(done["token"]).staff == MEI
    half = await salon.json(name="mei", password=GOOD, device=done["device"])
    assert not cookies(half)
    told = json.loads(half.body)
    assert (told["second_factor"], told["expires_in"]) == ("code", 300)
    assert "token" not in told
    kept = {name: told[name] for name in ("ticket", "device")}
    answer = json.loads((await salon.json("code", code=app.fresh(), **kept)).body)
    assert salon.claims(answer["token"]).staff == MEI
    wrong = await salon.json("code", code=app.code(), **kept)
    assert isinstance(wrong, Refusal)
    assert wrong.reason is Reason.UNAUTHENTICATED


async def test_a_ticket_without_its_device_is_none(salon):
    app, _ = await with_app(salon)
    told = json.loads((await salon.json(name="mei", password=GOOD)).body)
    wrong = await salon.json("code", ticket=told["ticket"], code=app.fresh())
    assert isinstance(wrong, Refusal)


@pytest.mark.parametrize("language", Language)
async def test_every_page_of_it_is_there_in_every_language(salon, language):
    headers = {"Accept-Language": str(language)}
    words = WORDS[language]
    shown = await salon.ask("GET", "/_salon/second-factor", Accept_Language=str(language))
    page = await salon.form("second-factor", headers=headers, name="mei", password=GOOD, code="")
    assert words.second_why in shown.body.decode()
    assert words.set_up_why in page.body.decode()


async def test_the_new_password_form_takes_the_code_along(salon):
    app, _ = await with_app(salon)
    change = {"name": "mei", "password": GOOD, "new": OTHER, "again": OTHER}
    refused = await salon.form("password", **change, code="")
    assert refused.status == 401
    done = await salon.form("password", **change, code=app.fresh())
    assert done.status == 200
    assert COOKIE not in cookies(done)
    assert WORDS[Language.EN].code_lead in done.body.decode()
