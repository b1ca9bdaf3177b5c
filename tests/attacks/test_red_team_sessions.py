"""Attacks on sessions: to stay in after "out at once", to get another's, to have them kept.

Each test is a hole that was open once. Never delete a line.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.app import login_fits
from gateway.build import SourceFile, build
from gateway.domain.errors import GatewayError
from gateway.domain.login import NOTHING_MORE
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from gateway.domain.time import Instant, instant, to_milliseconds
from gateway.flowing import GRACE_SECONDS, PATIENCE_SECONDS
from gateway.identity.learned import MAX_OF_SESSION
from gateway.identity.locks import Lock
from gateway.mapping.hygiene import answer_headers, request_headers
from gateway.settings import Settings
from tests.attacks.test_sign_in import COOKIE as OURS
from tests.attacks.test_sign_in import open_salon, parse
from tests.oracles.login_samples import (
    DRF_TOKEN,
    MEI,
    NOW,
    ODOO,
    SANCTUM,
    SESSION,
    SIMPLE_JWT,
    a_login,
    a_request,
    a_token,
    an_answer,
    set_cookie,
)
from tests.oracles.login_samples import Salon as Crm
from tests.oracles.memory_world import Body
from tests.unit.test_flowing import Quiet
from tests.unit.test_pipeline import JSON, Salon
from tests.unit.test_pipeline_locks import NOTICED, lock, locked
from tests.unit.test_pipeline_streams import FILM, SOURCES, Streaming

CARD = "/api/clients/7"


# ---------------------------------------------------------------- what is sent slowly


class SlowBody(Body):
    """Of a client that holds the last byte back until something has happened."""

    def __init__(self, data, meanwhile):
        super().__init__(data)
        self.meanwhile = meanwhile

    async def read(self, max_bytes):
        await self.meanwhile()
        return await super().read(max_bytes)

    async def stream(self):
        yield self.data[:-1]
        await self.meanwhile()
        yield self.data[-1:]


async def sent_slowly(salon, method, target, data, meanwhile, who="ken"):
    inbound = a_request(
        ("Host", "crm.salon.example"),
        ("Authorization", f"Bearer {await salon.token(who)}"),
        JSON,
        ("Content-Length", str(len(data))),
        method=method,
        target=target,
    )
    return await salon.pipeline.run(inbound, SlowBody(data, meanwhile))


async def locks_ken(salon):
    lock(salon, "ken", locked(salon))


async def logs_ken_out(salon):
    await salon.epochs.revoke(staff_id("ken"), None, salon.clock.moment)


@pytest.mark.parametrize(
    ("act", "reason"), [(locks_ken, Reason.LOCKED), (logs_ken_out, Reason.UNAUTHENTICATED)]
)
async def test_a_change_whose_last_byte_was_held_back_until_after_the_lock_is_not_made(
    act, reason
):
    salon = Salon()
    refusal = await sent_slowly(salon, "PATCH", CARD, b'{"name": "Aoi"}', lambda: act(salon))
    assert refusal.reason is reason
    assert salon.crm.sent == []
    assert "entered intent" not in salon.happened


PHOTOS = b"  - {match: POST /photos, resource: asset, action: create, pass: true}\n"
UPLOADS = build(
    replace(
        SOURCES,
        adapter=SourceFile(
            name="salon-demo.yaml",
            data=SOURCES.adapter.data.replace(
                b"routes:\n",
                b"routes:\n" + PHOTOS,
                1,
            ),
        ),
    )
)


@pytest.mark.parametrize(
    ("act", "reason"), [(locks_ken, Reason.LOCKED), (logs_ken_out, Reason.UNAUTHENTICATED)]
)
async def test_an_upload_past_the_rules_is_not_ended_by_who_is_out_by_then(act, reason):
    salon = Salon()
    salon.current = lambda: UPLOADS
    taken, ended = [], []

    async def send(_clearance, *, body, **_asked):
        async for piece in body:
            taken.append(piece)  # noqa: PERF401  # also what came before it broke off
        ended.append(True)

    salon.crm.send = send
    refusal = await sent_slowly(salon, "POST", "/photos", b"picture", lambda: act(salon))
    assert refusal.reason is reason
    assert (taken, ended) == ([b"pictur"], [])


# ---------------------------------------------------------------- what flows


STRICTER = build(
    replace(
        SOURCES,
        rules=SourceFile(
            name="salon_rules.csv",
            data=SOURCES.rules.data + b"\np, role:anyone, asset, *, on_notice, deny\n",
        ),
    )
)


async def test_who_is_put_on_notice_while_a_stream_flows_is_judged_as_such():
    """The rules may close a film to who leaves; one that was begun an hour ago is no exception."""
    salon = Streaming()
    salon.bundle = STRICTER
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    today = NOTICED.today("aoyama", salon.clock.moment)
    leaves = Instant(salon.clock.moment + timedelta(days=30))
    notice = Lock(
        since=to_milliseconds(salon.clock.moment),
        by=None,
        left=True,
        effective=to_milliseconds(leaves),
        notice_from=today,
    )
    lock(salon, "ken", notice)
    await salon.pipeline.flows.beat()
    with pytest.raises(GatewayError) as caught:
        await anext(chunks)
    assert caught.value.reason is Reason.RULE_DENIES


async def test_a_notice_that_no_rule_asks_for_ends_nothing_and_is_judged_once():
    salon = Streaming()
    answer = await salon.ask("GET", FILM, "ken")
    chunks = aiter(answer.body)
    await anext(chunks)
    leaves = to_milliseconds(Instant(salon.clock.moment + timedelta(days=30)))
    today = NOTICED.today("aoyama", salon.clock.moment)
    since = to_milliseconds(salon.clock.moment)
    lock(
        salon,
        "ken",
        Lock(since=since, by=None, left=True, effective=leaves, notice_from=today),
    )
    before = len(salon.meter.named("decided"))
    for _ in range(3):
        await salon.pipeline.flows.beat()
    assert len(salon.meter.named("decided")) == before + 1
    assert await anext(chunks)


async def test_a_state_store_that_hangs_is_not_waited_for_once_for_each_of_many_sessions():
    """Each question takes its time and fails: asked in turn, a beat would take minutes, and what
    flows would flow on as long."""
    salon = Quiet()
    waiting = [await salon.begun(who) for who in ("ken", "hana")]
    asked = []

    async def hangs(_key):
        asked.append(1)
        salon.clock.moment = instant(salon.clock.moment + timedelta(seconds=PATIENCE_SECONDS))
        salon.locks.away = True
        return await type(salon.locks).get(salon.locks, _key)

    salon.locks.get = hangs
    began = salon.clock.monotonic()
    await salon.beat()
    assert len(asked) == 1
    while salon.clock.monotonic() - began < GRACE_SECONDS + PATIENCE_SECONDS:
        await salon.beat()
    for one in waiting:
        assert (await salon.ended(one)).reason is Reason.STATE_UNAVAILABLE


# ---------------------------------------------------------------- sessions learned from the CRM


LARAVEL_ANSWER = an_answer(b"", set_cookie(name="laravel_session"), status=204)


async def test_an_old_value_of_a_cookie_that_changes_with_every_answer_is_no_way_back_in():
    """Only the last few values are known here. To the CRM all of them are one session: shown at
    the login with any password, it would make a new cookie of it, and we would learn that."""
    salon = Crm(SANCTUM)
    await salon.sign_in(LARAVEL_ANSWER)
    shown = SESSION
    for number in range(MAX_OF_SESSION + 1):
        salon.later(minutes=1)
        found = await salon.who_is(("Cookie", f"laravel_session={shown}"))
        shown = f"{SESSION}-{number:04}"
        fresh = (set_cookie(shown, "laravel_session"),)
        await salon.learning.renew(salon.login, found, fresh, salon.now)
    first = ("Cookie", f"laravel_session={SESSION}")
    with pytest.raises(GatewayError) as caught:
        await salon.who_is(first)
    assert caught.value.cause is Cause.SESSION_UNKNOWN
    await salon.epochs.revoke(MEI, None, salon.now)
    salon.before = an_answer({"id": 17})  # the CRM knows whose it is
    assert (await salon.admit(first)).passing.cookies == frozenset()
    salon.before = an_answer(status=401)
    assert (await salon.admit(first)).passing.cookies == {"laravel_session"}
    ((_, asked), _) = salon.asked_before
    assert ("Cookie", f"laravel_session={SESSION}") in asked


ODOO_PAGE = ODOO.replace(
    "      unless: [error]\n",
    "      unless: [error]\n      continues: true\n      who: POST /web/session/whoami\n",
)


@pytest.mark.parametrize(
    ("told", "goes_on"),
    [
        ({"error": {"code": 100}}, True),
        ({"result": {"uid": None}}, True),
        ({"result": {"uid": 17}}, False),
        ({"error": {"code": 100}, "result": {"uid": 17}}, False),
        ({"error": [], "result": {"uid": 17}}, False),
    ],
)
async def test_a_failure_says_that_a_session_is_nobodys_unless_it_names_somebody(told, goes_on):
    salon = Crm(ODOO_PAGE)
    salon.before = an_answer(told)
    admission = await salon.admit(("Cookie", f"session_id={SESSION}"))
    assert admission.passing.cookies == ({"session_id"} if goes_on else set())


async def test_a_session_goes_on_with_a_sign_in_only_if_the_crm_says_plainly_that_it_is_nobodys():
    salon = Crm(SANCTUM)
    salon.before = an_answer(b"<html>", status=500)
    with pytest.raises(GatewayError) as caught:
        await salon.admit(("Cookie", f"laravel_session={SESSION}"))
    assert caught.value.reason is Reason.LOGIN_NOT_LEARNED


def sent_on(inbound, passing):
    """The names of the headers that the CRM gets, where nothing is cut."""
    headers = request_headers(
        inbound,
        inject=(),
        pass_cookies=frozenset(),
        forward_token=False,
        request_id="1",
        peer="192.0.2.7",
        secure=True,
        host="crm.salon.example",
        cut=False,
        passing=passing,
    )
    return {name.lower() for name, _ in headers}


TICKET = DRF_TOKEN.replace("header:Authorization Token", "header:X-Salon-Ticket")


async def test_a_credential_in_a_header_of_any_name_goes_to_no_public_page_and_no_login():
    """What it is called is for the CRM to say; whether it passed hung on its name."""
    salon = Crm(TICKET)
    await salon.sign_in(an_answer({"token": SESSION}))
    lost = ("X-Salon-Ticket", SESSION)
    inbound = a_request(lost)
    assert "x-salon-ticket" in sent_on(inbound, (await salon.who_is(lost)).passing)
    await salon.epochs.revoke(MEI, None, salon.now)
    stranger = await salon.learning.stranger(salon.login, inbound, salon.now)
    assert "x-salon-ticket" not in sent_on(inbound, stranger)
    assert "x-salon-ticket" not in sent_on(inbound, (await salon.admit(lost)).passing)
    assert "x-salon-ticket" in sent_on(inbound, NOTHING_MORE)  # it is not its name that keeps it


async def test_a_refresh_carries_what_it_refreshes_and_no_credential_besides():
    login = (
        SIMPLE_JWT.replace("header:Authorization Bearer", "header:X-Salon-Ticket")
        .replace("presents: body:refresh\n", "presents: header:X-Salon-Again\n")
        .replace("issues_refresh: body:refresh", "issues_refresh: header:X-Salon-Again")
    )
    assert a_login(login).unpresented.withheld == {"x-salon-ticket", "x-salon-again"}
    salon = Crm(login)
    again = ("X-Salon-Again", "refresh-0123456789")
    at = int(NOW.timestamp()) + 300
    answer = an_answer({"access": a_token(user_id=17, exp=at)}, again)
    await salon.sign_in(answer)
    other = ("X-Salon-Ticket", "somebody-elses-ticket")
    admission = await salon.admit(again, other, target="POST /api/token/refresh/")
    names = sent_on(a_request(again, other), admission.passing)
    assert names & {"x-salon-ticket", "x-salon-again"} == {"x-salon-again"}


def test_a_page_that_hands_out_a_cookie_is_kept_by_no_shared_cache():
    """The page before the login begins a session: it is not one session for everybody."""
    crm = (("Cache-Control", "public, max-age=600"), set_cookie(name="laravel_session"))
    for names, rules in (({"laravel_session"}, "max-age=600, private"), (set(), crm[0][1])):
        headers = answer_headers(
            crm,
            cut=False,
            allowed=frozenset(),
            pass_cookies=frozenset(names),
            personal=False,
        )
        assert [v for n, v in headers if n.lower() == "cache-control"] == [rules]


# ---------------------------------------------------------------- the sign-in


async def test_a_new_session_never_goes_out_with_a_page_that_a_cache_may_keep_for_others():
    """RFC 9111 7.3: `Set-Cookie` keeps no cache from storing. A public page is everybody's."""
    async with open_salon() as salon:
        _, head, _ = await salon.sign_in("mei", "seven quiet umbrellas")
        (line,) = (one for one in head if one.startswith(f"Set-Cookie: {OURS}="))
        session = line.partition(": ")[2].partition(";")[0]
        salon.world.clock.later(minutes=45)
        salon.upstream.says(
            200,
            b"ok",
            [
                ("Content-Type", "text/plain"),
                ("Cache-Control", "public, max-age=600"),
                ("CDN-Cache-Control", "max-age=600"),
            ],
        )
        lines = ["GET /health HTTP/1.1", "Host: crm.example", f"Cookie: {session}"]
        lines += ["Sec-Fetch-Dest: document", "Connection: close", "", ""]
        status, head, _ = parse(await salon.raw("\r\n".join(lines).encode()))
        said = {name.lower(): value for name, _, value in (one.partition(": ") for one in head)}
        assert (status, said["set-cookie"].startswith(f"{OURS}=")) == (200, True)
        assert "private" in said["cache-control"]
        assert "public" not in said["cache-control"]
        assert "cdn-cache-control" not in said


def test_no_cookie_of_the_login_goes_to_the_crm_with_everything_not_even_a_refresh_token():
    """At the sign-in it could stand in for the password, and what is handed out anew would pass
    with any answer, unlearned."""
    login = a_login(
        SIMPLE_JWT.replace("presents: body:refresh\n", "presents: cookie:again\n").replace(
            "issues_refresh: body:refresh", "issues_refresh: cookie:again"
        )
    )
    bundle = replace(UPLOADS, adapter=replace(UPLOADS.adapter, login=login))
    crm = {"url": "http://127.0.0.1:9", "adapter": "a.yaml", "pass_cookies": ["again", "theme"]}
    tokens = {"secret_file": "secret", "origins": ["https://crm.salon.example"]}
    settings = Settings.model_validate({"upstream": crm, "tokens": tokens})
    (finding,) = login_fits(settings, bundle)
    assert "`again`" in finding.message
