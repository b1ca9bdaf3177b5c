"""Signing in at a provider, by raw bytes: somebody else's code, state, token, issuer or way on.

The whole gateway in one process, stores in memory; the providers answer in this process, and all
that they say goes through the readers. Never delete a line.
"""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from secrets import token_bytes
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.domain.act import Act
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import staff_id
from gateway.doorway import Doorway
from gateway.foreign import ForeignIssuer
from gateway.identity.claims import ClaimNames, TokenPolicy, verify
from gateway.identity.compact import refuse
from gateway.identity.device_cookie import device_key
from gateway.identity.issuing import Issuer
from gateway.identity.keys import parse_published, secret_table
from gateway.identity.locks import locked, render_lock
from gateway.identity.oidc import Client, read_metadata, ticket_key
from gateway.mapping.guard import WireLimits
from gateway.oidc import Providers, SignInProvider
from gateway.pipeline import Pipeline
from gateway.ports import Kind
from gateway.proxy.limits import PortLimits
from gateway.proxy.oidc import TICKET_COOKIE, OidcSignIn
from gateway.proxy.server import GuardedServer
from gateway.proxy.signin import SignIn
from gateway.proxy.signin_forms import DEVICE_COOKIE
from tests.attacks.red_team_world import PATIENCE, STARTER
from tests.oracles.accounts_world import KEN, MEI, World
from tests.oracles.foreign_world import ALL, SigningKey
from tests.oracles.honest_provider import CLIENT, CLIENT_SECRET, HonestProvider
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import CountingMeter, MemoryUpstream

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
ORIGIN, COOKIE = "https://crm.example", "__Host-salon"
A, B = "https://a.example", "https://b.example"
NAMES = ClaimNames(device=None, epoch=None, app=None)
QUICK = PortLimits(linger_seconds=0.05, body_seconds=0.5)


class InProcess:
    """Implements oidc.Asked over a provider in this process."""

    def __init__(self, provider):
        self.provider = provider

    async def metadata(self):
        told = json.dumps(self.provider.metadata()).encode()
        return read_metadata(told, self.provider.issuer)

    async def exchange(self, endpoint, form, authorization):
        assert endpoint == f"{self.provider.issuer}/token"
        status, told = self.provider.exchange(form, authorization)
        if status != 200:
            refuse(Cause.PROVIDER_REFUSED)
        return json.dumps(told).encode()


class TheirKeys:
    def __init__(self, provider):
        self.provider = provider

    def current(self):
        return parse_published(self.provider.keys, ALL)

    async def renewed(self):
        return self.current()


class Browser:
    def __init__(self, salon):
        self.salon = salon
        self.cookies = {}

    async def get(self, target, *lines):
        return await self.send("GET", target, *lines)

    async def send(self, method, target, *lines, body=b""):
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = [f"{method} {target} HTTP/1.1", "Host: crm.example", "Connection: close", *lines]
        head += [f"Cookie: {kept}"] if kept else []
        head += [f"Content-Length: {len(body)}"] if method == "POST" else []
        raw = await self.salon.raw("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        top, _, text = raw.partition(b"\r\n\r\n")
        first, *rest = top.decode("latin-1").split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in rest]
        for name, value in headers:
            if name.lower() == "set-cookie":
                key, worth = re.match(r"([^=]+)=([^;]*)", value).groups()
                self.cookies[key] = worth
        self.cookies = {name: value for name, value in self.cookies.items() if value}
        return int(first.split()[1]), {key.lower(): value for key, value in headers}, text

    async def start(self, issuer=A, **more):
        """Where the provider is asked."""
        asked = urlencode({"issuer": issuer} | more)
        status, headers, _ = await self.get(f"/_salon/oidc/start?{asked}")
        assert status == 303
        return headers["location"]

    async def back(self, location, *lines):
        address = urlsplit(location)
        assert f"{address.scheme}://{address.netloc}" == ORIGIN
        return await self.get(f"{address.path}?{address.query}", *lines)

    async def sign_in(self, issuer=A, sub="mei", sid=None, **more):
        provider = self.salon.providers[issuer]
        return await self.back(provider.authorize(await self.start(issuer, **more), sub, sid))

    @property
    def claims(self):
        return verify(self.cookies[COOKIE], self.salon.policy, self.salon.world.clock.now())

    async def is_in(self):
        if COOKIE not in self.cookies:
            return False
        claims = self.claims
        floor = await self.salon.world.epochs.floor(claims.staff, claims.device)
        return floor is not None and claims.epoch >= floor


class Salon:
    def __init__(self, issuers):
        self.world = World()
        now = self.world.clock.now
        self.providers = {one: HonestProvider(one, now, key=SigningKey("one")) for one in issuers}
        self.policy = TokenPolicy(
            issuer="salon-gateway", audience="salon-crm", keys=secret_table(SECRET)
        )
        self.meter = CountingMeter()
        self.port = 0

    def current(self):
        return STARTER

    async def raw(self, data):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(data)
                return await reader.read()
            finally:
                writer.transport.abort()

    def causes(self):
        return [one.cause for one in self.world.trail.entries if one.act is Act.SIGN_IN_REFUSED]

    async def logout(self, token):
        body = urlencode({"logout_token": token}).encode()
        kind = "Content-Type: application/x-www-form-urlencoded"
        return await Browser(self).send("POST", "/_salon/oidc/logout", kind, body=body)


@asynccontextmanager
async def open_salon(*issuers):
    salon = Salon(issuers or (A,))
    world = salon.world
    doorway = Doorway(
        limits=WireLimits(),
        tokens=salon.policy,
        max_request_body=100_000,
        upstream_origin="http://crm.example",
        cookie=COOKIE,
        origins=frozenset({ORIGIN}),
    )
    pipeline = Pipeline(
        bundles=salon,
        doorway=doorway,
        clock=world.clock,
        epochs=world.epochs,
        upstream=MemoryUpstream([]),
        audit=world.trail,
        meter=salon.meter,
        new_request_id=world.accounts.new_id,
        locks=MemoryLocks(),
        lockdown=MemoryLockdown(),
        devices=MemoryDevices(),
    )
    providers = Providers(
        [
            SignInProvider(
                issuer=ForeignIssuer(
                    issuer=name, audience="salon-crm", keys=TheirKeys(one), names=NAMES
                ),
                client=Client(id=CLIENT, secret=CLIENT_SECRET),
                asked=InProcess(one),
            )
            for name, one in salon.providers.items()
        ],
        documents=world.documents,
        secret=SECRET,
        tickets=ticket_key(SECRET),
        draw=token_bytes,
    )
    shared = {
        "accounts": world.accounts,
        "doorway": doorway,
        "issuer": Issuer.of(salon.policy, lifetime_seconds=3600),
        "clock": world.clock,
        "meter": salon.meter,
        "cookie": COOKIE,
        "device_key": device_key(SECRET),
    }
    own = SignIn(
        epochs=world.epochs,
        new_id=world.accounts.new_id,
        elsewhere=OidcSignIn(providers=providers, **shared),
        **shared,
    )
    server = GuardedServer(pipeline, now=world.clock.now, own=own, limits=QUICK)
    salon.port = await server.start("127.0.0.1", 0)
    try:
        yield salon
    finally:
        await server.stop(0.1)


async def test_the_honest_way_ends_in_our_own_session_that_is_entered_before_its_cookie_is_set():
    async with open_salon() as salon:
        phone = Browser(salon)
        status, headers, _ = await phone.sign_in(next="/api/clients/7")
        assert (status, headers["location"]) == (303, "/api/clients/7")
        assert set(phone.cookies) == {COOKIE, DEVICE_COOKIE}
        assert (phone.claims.staff, phone.claims.roles) == (MEI, None)
        assert await phone.is_in()
        (entry,) = salon.world.trail.entries
        assert (entry.act, entry.staff, entry.device) == (Act.SIGN_IN, MEI, phone.claims.device)


async def test_the_page_has_a_button_for_each_provider_that_keeps_the_way_on():
    async with open_salon(A, B) as salon:
        _, _, text = await Browser(salon).get("/_salon/sign-in?next=/api/clients/7")
        links = re.findall(r'class="elsewhere" href="([^"]+)">([^<]+)<', text.decode())
        assert [host for _, host in links] == ["a.example", "b.example"]
        address = links[1][0].replace("&amp;", "&")
        status, headers, _ = await Browser(salon).get(address)
        assert (status, headers["location"].split("/authorize")[0]) == (303, B)


async def test_the_same_device_signs_in_again_as_the_same():
    async with open_salon() as salon:
        phone = Browser(salon)
        await phone.sign_in()
        first = phone.claims.device
        salon.world.clock.later(seconds=5)
        await phone.sign_in()
        assert phone.claims.device == first


async def test_the_way_back_in_a_browser_that_has_begun_nothing_signs_nobody_in():
    """Login CSRF: the attacker's own code and state, in somebody else's browser."""
    async with open_salon() as salon:
        attacker, victim = Browser(salon), Browser(salon)
        link = salon.providers[A].authorize(await attacker.start(), "ken")
        assert (await victim.back(link))[0] == 401
        await victim.start()
        assert (await victim.back(link))[0] == 401
        assert COOKIE not in victim.cookies
        assert salon.providers[A].asked == []
        assert salon.causes() == [Cause.NO_CREDENTIAL] * 2


async def test_a_code_of_somebody_elses_sign_in_is_of_no_use_in_mine():
    """Code injection: the code is right, the state is mine, the verifier is not the code's."""
    async with open_salon() as salon:
        victim, attacker = Browser(salon), Browser(salon)
        stolen = parse_qs(urlsplit(salon.providers[A].authorize(await victim.start())).query)
        mine = parse_qs(
            urlsplit(salon.providers[A].authorize(await attacker.start(), "ken")).query
        )
        told = {"code": stolen["code"][0], "state": mine["state"][0], "iss": A}
        assert (await attacker.back(f"{ORIGIN}/_salon/oidc/callback?{urlencode(told)}"))[0] == 401
        assert COOKIE not in attacker.cookies


async def test_a_token_with_another_nonce_is_none():
    async with open_salon() as salon:
        for nonce in ("x", "", None, 7, "\ud800"):
            salon.providers[A].spoil = {"nonce": nonce}
            browser = Browser(salon)
            assert (await browser.sign_in())[0] == 401
            assert COOKIE not in browser.cookies


class Forgetful(HonestProvider):
    """Takes a code twice."""

    def exchange(self, form, authorization):
        kept = dict(self.codes)
        try:
            return super().exchange(form, authorization)
        finally:
            self.codes = kept


async def test_a_way_back_counts_once_whatever_the_provider_says_of_its_code():
    async with open_salon() as salon:
        salon.providers[A].__class__ = Forgetful
        phone = Browser(salon)
        link = salon.providers[A].authorize(await phone.start())
        ticket = dict(phone.cookies)
        assert (await phone.back(link))[0] == 303
        again = Browser(salon)
        again.cookies = ticket
        assert (await again.back(link))[0] == 401
        assert salon.causes() == [Cause.EXPIRED]


async def test_a_ticket_is_good_for_ten_minutes_and_only_as_we_wrote_it():
    async with open_salon() as salon:
        phone = Browser(salon)
        link = salon.providers[A].authorize(await phone.start())
        whole = phone.cookies[TICKET_COOKIE]
        for spoilt in (whole[:-2] + "AA", whole.replace(".", ""), whole + ".", "x" + whole, "."):
            phone.cookies[TICKET_COOKIE] = spoilt
            assert (await phone.back(link))[0] == 401
        phone.cookies[TICKET_COOKIE] = whole
        salon.world.clock.later(minutes=10)
        assert (await phone.back(link))[0] == 401


async def test_two_tickets_are_none():
    async with open_salon() as salon:
        phone = Browser(salon)
        link = salon.providers[A].authorize(await phone.start())
        phone.cookies["other"] = f"a; {TICKET_COOKIE}={phone.cookies[TICKET_COOKIE]}"
        assert (await phone.back(link))[0] == 401


@pytest.mark.parametrize(
    "change",
    [
        {"iss": B},
        {"iss": A + "/"},
        {"iss": ""},
        {"iss": None},
        {"state": "x"},
        {"state": ""},
        {"state": None},
        {"code": ""},
        {"code": None},
        {"code": "x" * 2049},
        {"code": "caf\u00e9"},
        {"error": "access_denied"},
        {"error": "<script>alert(1)</script>", "error_description": "<b>hello</b>"},
    ],
)
async def test_a_way_back_that_says_something_else_signs_nobody_in_and_is_not_repeated(change):
    async with open_salon() as salon:
        phone = Browser(salon)
        told = dict(parse_qs(urlsplit(salon.providers[A].authorize(await phone.start())).query))
        told = {name: value for name, value in (told | change).items() if value is not None}
        address = f"{ORIGIN}/_salon/oidc/callback?{urlencode(told, doseq=True)}"
        status, _, text = await phone.back(address, "Accept: text/html")
        assert status == 401
        assert b"access_denied" not in text
        assert b"hello" not in text
        assert b"alert" not in text
        assert salon.providers[A].asked == []


async def test_two_of_a_parameter_are_none():
    async with open_salon() as salon:
        for name in ("code", "state", "iss"):
            phone = Browser(salon)
            link = salon.providers[A].authorize(await phone.start())
            assert (await phone.back(f"{link}&{name}=x"))[0] == 401


async def test_a_mixed_up_answer_of_another_provider_never_carries_a_code_to_it():
    """RFC 9700 4.4: the browser was sent to A; what comes back is B's, or does not say."""
    async with open_salon(A, B) as salon:
        for names_itself in (True, False):
            salon.providers[A].names_itself = salon.providers[B].names_itself = names_itself
            phone = Browser(salon)
            asked = await phone.start(A)
            link = salon.providers[B].authorize(asked.replace(A, B))
            assert (await phone.back(link))[0] == 401
            assert salon.providers[A].asked == salon.providers[B].asked == []


@pytest.mark.parametrize(
    "spoil",
    [
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},
        {"aud": []},
        {"aud": "salon-crm"},
        {"azp": "another-client"},
        {"azp": None, "aud": ["another-client"]},
        {"iss": B},
        {"sub": None},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sid": ""},
        {"exp": 1},
        {"iat": 1},
        {"auth_time": 1_794_999_999},
        {"auth_time": "now"},
        {"events": {}},
        {"iat": None, "auth_time": None},
    ],
)
async def test_a_token_that_is_not_for_this_one_asking_lets_nobody_in(spoil):
    async with open_salon() as salon:
        salon.providers[A].spoil = spoil
        phone = Browser(salon)
        assert (await phone.sign_in())[0] == 401
        assert COOKIE not in phone.cookies
        assert salon.world.documents.documents == {}


async def test_a_token_of_another_issuers_key_is_none():
    async with open_salon() as salon:
        honest, salon.providers[A].key = salon.providers[A].key, SigningKey("one")
        keys = honest  # what is published stays the honest one

        class Published(HonestProvider):
            @property
            def keys(self):
                return json.dumps({"keys": [keys.public]})

        salon.providers[A].__class__ = Published
        assert (await Browser(salon).sign_in())[0] == 401
        assert salon.causes() == [Cause.BAD_SIGNATURE]


async def test_an_authorised_party_and_a_list_of_us_alone_are_us():
    async with open_salon() as salon:
        salon.providers[A].spoil = {"azp": CLIENT, "aud": [CLIENT]}
        assert (await Browser(salon).sign_in())[0] == 303


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/_salon/sign-out",
        "javascript:alert(1)",
        "/%2f/evil.example",
        "/..//evil.example",
        "",
    ],
)
async def test_the_way_on_is_a_page_of_this_host_or_the_first_one(wanted):
    async with open_salon() as salon:
        status, headers, _ = await Browser(salon).sign_in(next=wanted)
        assert (status, headers["location"]) == (303, "/")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_begins_no_sign_in(site):
    async with open_salon() as salon:
        address = f"/_salon/oidc/start?{urlencode({'issuer': A})}"
        status, headers, _ = await Browser(salon).get(address, f"Sec-Fetch-Site: {site}")
        assert status == 403
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", f"/_salon/oidc/start?issuer={B}"),
        ("GET", f"/_salon/oidc/start?issuer={A}/"),
        ("GET", f"/_salon/oidc/start?issuer={A}&issuer={A}"),
        ("GET", f"/_salon/oidc/start?issuer={A}&scope=all"),
        ("GET", "/_salon/oidc/start"),
        ("POST", f"/_salon/oidc/start?issuer={A}"),
        ("HEAD", f"/_salon/oidc/start?issuer={A}"),
        ("GET", "/_salon/oidc/logout"),
        ("GET", "/_salon/oidc"),
        ("GET", "/_salon/oidc/callback/x"),
    ],
)
async def test_nothing_else_is_there(method, address):
    async with open_salon() as salon:
        status, headers, _ = await Browser(salon).send(method, address)
        assert 400 <= status < 500
        assert "set-cookie" not in headers


async def test_who_is_locked_or_not_on_the_roster_is_not_let_in():
    async with open_salon() as salon:
        now = salon.world.clock.now()
        value = render_lock(locked(None, now, None))
        await salon.world.documents.put(Kind.LOCK, KEN, value, replaces=None, now=now)
        for sub, cookies in (("ken", {}), ("nobody-here", {}), ("Not An Id!", {})):
            browser = Browser(salon)
            assert (await browser.sign_in(sub=sub))[0] in {401, 403}
            assert COOKIE not in browser.cookies, cookies
        assert [one.reason for one in salon.world.trail.entries] == [
            Reason.LOCKED,
            Reason.NOT_ON_ROSTER,
            Reason.UNAUTHENTICATED,
        ]
        assert await salon.world.epochs.floor(staff_id("ken"), None) is None


async def test_a_sign_in_at_the_provider_of_before_a_forced_logout_is_none():
    async with open_salon() as salon:
        await Browser(salon).sign_in()
        phone = Browser(salon)
        link = salon.providers[A].authorize(await phone.start())
        salon.world.clock.later(seconds=3)
        await salon.world.epochs.revoke(MEI, None, salon.world.clock.now())
        salon.world.clock.later(seconds=3)
        assert (await phone.back(link))[0] == 401
        assert salon.causes() == [Cause.EPOCH_STALE]


# -- logged out over there


async def test_who_is_logged_out_there_is_out_here_by_session_and_by_person():
    async with open_salon() as salon:
        phone, tablet = Browser(salon), Browser(salon)
        await phone.sign_in(sid="s1")
        await tablet.sign_in(sid="s2")
        assert (await phone.is_in(), await tablet.is_in()) == (True, True)
        salon.world.clock.later(seconds=1)
        status, headers, body = await salon.logout(
            salon.providers[A].logout_token(sub="mei", sid="s1")
        )
        assert (status, headers["cache-control"], body) == (200, "no-store", b"")
        assert (await phone.is_in(), await tablet.is_in()) == (False, True)
        assert (await salon.logout(salon.providers[A].logout_token(sub="mei")))[0] == 200
        assert not await tablet.is_in()
        ends = [one for one in salon.world.trail.entries if one.act is Act.SIGN_OUT]
        assert [(one.staff, one.device is None) for one in ends] == [(MEI, False), (MEI, True)]


async def test_a_session_that_was_logged_out_there_is_not_begun_here_later():
    async with open_salon() as salon:
        phone = Browser(salon)
        link = salon.providers[A].authorize(await phone.start(), "mei", "s1")
        assert (await salon.logout(salon.providers[A].logout_token(sid="s1")))[0] == 200
        assert (await phone.back(link))[0] == 401
        assert COOKIE not in phone.cookies


async def test_a_logout_that_is_told_twice_counts_once():
    async with open_salon() as salon:
        phone = Browser(salon)
        await phone.sign_in()
        salon.world.clock.later(seconds=1)
        token = salon.providers[A].logout_token(sub="mei")
        assert (await salon.logout(token))[0] == 200
        salon.world.clock.later(seconds=1)
        await phone.sign_in()
        assert (await salon.logout(token))[0] == 400
        assert await phone.is_in()


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "x"},
        {"events": None},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": 1}},
        {"events": "http://schemas.openid.net/event/backchannel-logout"},
        {"jti": None},
        {"jti": ""},
        {"sub": None},
        {"sub": 7},
        {"iat": None},
        {"iat": 1_795_000_000 - 300},
        {"iat": 1_795_000_001},
        {"iat": True},
        {"exp": None},
        {"exp": 1_795_000_000},
        {"aud": "another-client"},
        {"aud": "salon-crm"},
        {"iss": B},
        {"iss": "https://c.example"},
        {"typ": "at+jwt"},
        {"typ": "secevent+jwt"},
    ],
)
async def test_what_is_no_logout_token_ends_nothing(claims):
    async with open_salon(A, B) as salon:
        phone = Browser(salon)
        await phone.sign_in()
        status, headers, _ = await salon.logout(
            salon.providers[A].logout_token(**{"sub": "mei"} | claims)
        )
        assert (status, headers["cache-control"]) == (400, "no-store")
        assert await phone.is_in()


async def test_an_id_token_logs_nobody_out_and_a_logout_token_without_a_type_of_its_own_does():
    async with open_salon() as salon:
        phone = Browser(salon)
        await phone.sign_in()
        salon.world.clock.later(seconds=1)
        assert (await salon.logout(salon.providers[A].id_token("mei", "s", "n")))[0] == 400
        assert await phone.is_in()
        token = salon.providers[A].logout_token(sub="mei", typ="JWT")
        assert (await salon.logout(token))[0] == 200
        assert not await phone.is_in()


@pytest.mark.parametrize("body", [b"", b"logout_token=", b"logout_token=a&logout_token=b", b"x=%"])
async def test_a_logout_without_a_token_is_none(body):
    async with open_salon() as salon:
        kind = "Content-Type: application/x-www-form-urlencoded"
        done = await Browser(salon).send("POST", "/_salon/oidc/logout", kind, body=body)
        assert done[0] == 400
