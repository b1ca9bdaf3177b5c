"""The sign-in, by raw bytes: forms of other sites, two of everything, floods, and guessing who.

The whole gateway in one process with the real hasher, made cheap; stores in memory. Never
delete a line.
"""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import asdict
from urllib.parse import urlencode

import pytest
from argon2 import Parameters

from gateway.accounts import Accounts
from gateway.backends.argon2 import PARAMETERS, PLACES, Argon2Hasher
from gateway.domain.subject import DeviceId
from gateway.doorway import Doorway
from gateway.identity.attempts import FREE_TRIES
from gateway.identity.claims import TokenPolicy
from gateway.identity.device_cookie import device_key, write_device
from gateway.identity.issuing import Issuer
from gateway.identity.keys import secret_table
from gateway.mapping.guard import WireLimits
from gateway.pipeline import Pipeline
from gateway.proxy.limits import PortLimits
from gateway.proxy.server import GuardedServer
from gateway.proxy.signin import SignIn
from gateway.proxy.signin_forms import DEVICE_COOKIE
from tests.attacks.red_team_world import PATIENCE, STARTER
from tests.oracles.accounts_world import GOOD, HANA, HOME, KEN, MEI, OTHER, World
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import CountingMeter, MemoryUpstream

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
ORIGIN, COOKIE = "https://crm.example", "__Host-salon"
FORM = "Content-Type: application/x-www-form-urlencoded"
MINE = f"Origin: {ORIGIN}"
QUICK = PortLimits(linger_seconds=0.05, body_seconds=0.5)


class Salon:
    def __init__(self):
        self.world = World()
        cheap = {**asdict(PARAMETERS), "time_cost": 1, "memory_cost": 8}
        self.hasher = Argon2Hasher(parameters=Parameters(**cheap))
        self.upstream = MemoryUpstream([])
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
            except ConnectionResetError:
                return b""
            finally:
                writer.transport.abort()

    async def post(self, page, body, *lines):
        """Status, header lines in lower case without what hangs on the clock, body."""
        head = [f"POST /_salon/{page} HTTP/1.1", "Host: crm.example", *lines]
        head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return parse(await self.raw("\r\n".join(head).encode("latin-1") + body))

    async def sign_in(self, name, password, *lines):
        body = urlencode({"name": name, "password": password}).encode()
        return await self.post("sign-in", body, FORM, MINE, *lines)

    async def device(self):
        """A device cookie of mei's own phone, known."""
        status, head, _ = await self.sign_in("mei", GOOD)
        assert status == 303
        (mark,) = re.findall(rf"{DEVICE_COOKIE.lower()}=([^;]+)", "\n".join(head), re.IGNORECASE)
        return f"Cookie: {DEVICE_COOKIE}={mark}"


def parse(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    kept = [line for line in lines if not line.lower().startswith("date:")]
    return int(first.split()[1]) if first else 0, kept, body


@asynccontextmanager
async def open_salon():
    salon = Salon()
    world = salon.world
    policy = TokenPolicy(issuer="salon-gateway", audience="salon-crm", keys=secret_table(SECRET))
    doorway = Doorway(
        limits=WireLimits(),
        tokens=policy,
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
        upstream=salon.upstream,
        audit=world.trail,
        meter=salon.meter,
        new_request_id=world.accounts.new_id,
        locks=MemoryLocks(),
        lockdown=MemoryLockdown(),
        devices=MemoryDevices(),
    )
    accounts = Accounts(
        documents=world.documents,
        epochs=world.epochs,
        hasher=salon.hasher,
        audit=world.trail,
        clock=world.clock,
        roster=lambda: STARTER.roster,
        policy=lambda: STARTER.digest,
        new_id=world.accounts.new_id,
        new_device=world.accounts.new_device,
    )
    own = SignIn(
        accounts=accounts,
        epochs=world.epochs,
        doorway=doorway,
        issuer=Issuer.of(policy, lifetime_seconds=3600),
        clock=world.clock,
        meter=salon.meter,
        cookie=COOKIE,
        device_key=device_key(SECRET),
        new_id=world.accounts.new_id,
    )
    for staff, password in ((MEI, GOOD), (KEN, "nine purple ladders")):
        weak = await accounts.set_password(staff, password, by=HANA, peer=HOME, temporary=False)
        assert weak == ()
    server = GuardedServer(pipeline, now=world.clock.now, own=own, limits=QUICK)
    salon.port = await server.start("127.0.0.1", 0)
    salon.hasher.runs = 0
    try:
        yield salon
    finally:
        await server.stop(0.1)
        salon.hasher.close()


async def test_the_honest_form_goes_through():
    async with open_salon() as salon:
        status, head, _ = await salon.sign_in("mei", GOOD)
        assert status == 303
        assert any(line.startswith(f"Set-Cookie: {COOKIE}=") for line in head)


GOOD_FORM = urlencode({"name": "mei", "password": GOOD}).encode()


@pytest.mark.parametrize(
    "lines",
    [
        [FORM],
        [FORM, "Origin: https://evil.example"],
        [FORM, "Origin: null"],
        [FORM, "Origin: https://crm.example.evil.example"],
        [FORM, "Origin: https://crm.example/"],
        [FORM, "Origin: HTTPS://CRM.EXAMPLE"],
        [FORM, "Origin: http://crm.example"],
        [FORM, MINE, MINE],
        [FORM, f"{MINE}, https://evil.example"],
        [FORM, MINE, "Sec-Fetch-Site: cross-site"],
        [FORM, MINE, "Sec-Fetch-Site: same-site"],
        [FORM, "Referer: https://crm.example/_salon/sign-in"],
        ["Content-Type: text/plain", MINE],
        ["Content-Type: multipart/form-data; boundary=x", MINE],
        [FORM, FORM, MINE],
        [MINE],
        [FORM, MINE, "Content-Encoding: gzip"],
        [FORM, MINE, f"Cookie: {DEVICE_COOKIE}=a", f"Cookie: {DEVICE_COOKIE}=b"],
        [FORM, MINE, f"Cookie: {DEVICE_COOKIE}=a; {DEVICE_COOKIE}=b"],
        [FORM, MINE, f'Cookie: x="; {DEVICE_COOKIE}=a'],
    ],
)
async def test_a_form_that_may_be_of_another_page_signs_nobody_in(lines):
    async with open_salon() as salon:
        status, head, _ = await salon.post("sign-in", GOOD_FORM, *lines)
        assert 400 <= status < 500
        assert not any(line.lower().startswith("set-cookie") for line in head)
        assert salon.hasher.runs == 0


async def test_a_body_that_is_too_large_or_too_slow_is_refused_before_any_work():
    async with open_salon() as salon:
        status, _, _ = await salon.post("sign-in", b"name=" + b"a" * 5000, FORM, MINE)
        assert status == 413
        chunks = b"1000\r\n" + b"a" * 4096 + b"\r\n1000\r\n" + b"a" * 4096 + b"\r\n0\r\n\r\n"
        head = f"POST /_salon/sign-in HTTP/1.1\r\nHost: crm.example\r\n{FORM}\r\n{MINE}\r\n"
        raw = await salon.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
        assert parse(raw)[0] == 413
        raw = await salon.raw(f"{head}Content-Length: 100\r\n\r\nname=".encode())
        assert parse(raw)[0] == 408
        assert salon.hasher.runs == 0


async def test_nobody_learns_which_names_there_are():
    async with open_salon() as salon:
        seen = {}
        # With an account, on the roster without one, nobody, and what can be no name at all.
        names = ("mei", "yuki", "nobody", "../../etc", "x" * 60)
        for name in names:
            before = salon.hasher.runs
            answers = [await salon.sign_in(name, OTHER) for _ in range(FREE_TRIES + 2)]
            shown = [(s, tuple(h), b.replace(name.encode(), b"")) for s, h, b in answers]
            lengths = re.compile(r"^content-length:.*$", re.IGNORECASE)
            shown = [(s, tuple(x for x in h if not lengths.match(x)), b) for s, h, b in shown]
            seen[name] = (shown, salon.hasher.runs - before)
        assert all(found == seen["mei"] for found in seen.values())
        assert seen["mei"][1] == FREE_TRIES
        assert [answer[0] for answer in seen["mei"][0]] == [401] * FREE_TRIES + [429] * 2


async def test_a_flood_from_everywhere_keeps_the_known_phone_in():
    async with open_salon() as salon:
        phone = await salon.device()
        flood = [
            asyncio.ensure_future(salon.sign_in("mei", f"guess-{number}"))
            for number in range(4 * PLACES)
        ]
        status, _, _ = await salon.sign_in("mei", GOOD, phone)
        assert status == 303
        statuses = {status for status, _, _ in await asyncio.gather(*flood)}
        assert statuses <= {401, 429, 503}
        assert salon.hasher.runs <= FREE_TRIES + 4
        assert (await salon.sign_in("mei", GOOD))[0] == 429  # a stranger, from the same network
        assert (await salon.sign_in("mei", GOOD, phone))[0] == 303


async def test_the_id_of_a_device_without_our_mark_is_nothing():
    async with open_salon() as salon:
        phone = await salon.device()
        name = phone.partition("=")[2].rpartition(".")[0]
        for mark in ("", "A" * 43, "%41" * 14):
            await salon.sign_in("mei", OTHER, f"Cookie: {DEVICE_COOKIE}={name}.{mark}")
        other = write_device(DeviceId(name), device_key(b"another secret of 32 bytes and more"))
        for _ in range(FREE_TRIES):
            await salon.sign_in("mei", OTHER, f"Cookie: {DEVICE_COOKIE}={other}")
        assert (await salon.sign_in("mei", GOOD, f"Cookie: {DEVICE_COOKIE}={other}"))[0] == 429
        assert (await salon.sign_in("mei", GOOD, phone))[0] == 303


async def test_nothing_under_the_prefix_reaches_the_crm():
    async with open_salon() as salon:
        token = (await salon.post(
            "sign-in",
            json.dumps({"name": "mei", "password": GOOD}).encode(),
            "Content-Type: application/json",
        ))[2]  # fmt: skip
        bearer = f"Authorization: Bearer {json.loads(token)['token']}"
        for target in (
            "/_salon", "/_salon/", "/_salon/x", "/_SALON/sign-in", "/%5fsalon/sign-in",
            "/_salon/%2e%2e/api/clients", "/_salon/../api/clients", "//_salon/sign-in",
            "/_salon;x/sign-in", "/_salon/sign-in?next=/a&x=1", "/_salon\\sign-in",
            "http://crm.example/_salon/sign-in", "*",
        ):  # fmt: skip
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                length = "Content-Length: 0\r\n" if method != "GET" else ""
                raw = await salon.raw(
                    f"{method} {target} HTTP/1.1\r\nHost: crm.example\r\n{bearer}\r\n{length}"
                    "Connection: close\r\n\r\n".encode()
                )
                assert parse(raw)[0] in {400, 401, 403, 404, 405}, (method, target)
        assert salon.upstream.sent == []


async def test_a_request_hidden_behind_a_sign_in_is_read_by_nobody():
    async with open_salon() as salon:
        hidden = b"GET /api/clients/7 HTTP/1.1\r\nHost: crm.example\r\n\r\n"
        head = f"POST /_salon/sign-in HTTP/1.1\r\nHost: crm.example\r\n{FORM}\r\n{MINE}\r\n"
        for framing in (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
        ):
            raw = await salon.raw(f"{head}{framing}\r\na=b".encode() + hidden)
            assert re.findall(rb"HTTP/1\.1 (\d{3})", raw) == [b"400"]


async def test_no_password_and_no_token_ever_stands_in_the_trail():
    async with open_salon() as salon:
        phone = await salon.device()
        await salon.sign_in("mei", "a-wrong-secret", phone)
        await salon.sign_in("typed-the-secret-here", "x")
        said = repr(salon.world.trail.entries) + repr(salon.meter.calls)
        for secret in (GOOD, "a-wrong-secret", "typed-the-secret-here", phone.rpartition(".")[2]):
            assert secret not in said
