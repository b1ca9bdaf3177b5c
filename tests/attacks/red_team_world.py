"""The whole gateway in one process, on loopback: sockets in front, a lying CRM behind.

Only the state store, the trail, the meter and the clock are in memory; the wire, the
pipeline, the policy of the starter set and the hop to the CRM are the real ones.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from gateway.backends.upstream import LeanUpstream
from gateway.build import SourceFile, Sources, build
from gateway.domain.subject import DeviceId, staff_id
from gateway.doorway import Doorway
from gateway.identity.claims import TokenPolicy, issue
from gateway.identity.keys import secret_table
from gateway.mapping.guard import WireLimits
from gateway.pipeline import Pipeline
from gateway.proxy.server import GuardedServer
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import CountingMeter, MemoryTrail, SetClock

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"
OPEN = "2026-11-25T12:00+09:00"  # a Wednesday
PATIENCE = 20  # a guard against a test that hangs, not a measure

# What no stylist may ever read, each of it easy to find in bytes.
SECRETS = (b"SECRET-PHONE", b"SECRET-MAIL", b"SECRET-STREET", b"SECRET-BIRTH", b"SECRET-EXTRA")
CARD = {
    "id": 7,
    "name": "Aoi",
    "phone": "SECRET-PHONE",
    "email": "SECRET-MAIL",
    "address": "SECRET-STREET",
    "birthday": "SECRET-BIRTH",
    "contact": {"phone": "SECRET-PHONE", "preferred": "line"},
    "vip_code": "SECRET-EXTRA",
}


def source(path):
    return SourceFile(name=Path(path).name, data=Path(path).read_bytes())


SOURCES = Sources(
    rules=source("policies/salon_rules.csv"),
    model=source("policies/model.conf"),
    hours=source("policies/hours.yaml"),
    staff=source("policies/staff.yaml"),
    adapter=source("adapters/salon-demo.yaml"),
    apps=("phone", "backoffice"),
)
STARTER = build(SOURCES)


def card_answer(*head, body=None, status="200 OK", kind="application/json", length=None):
    """An answer of the CRM, byte for byte; `head` are further header lines."""
    body = json.dumps(CARD).encode() if body is None else body
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else [])]
    lines += (
        [] if length is False else [f"Content-Length: {len(body) if length is None else length}"]
    )
    return "\r\n".join([*lines, *head, "", ""]).encode("latin-1") + body


class Salon:
    """A running gateway, its lying CRM, and what was entered."""

    def __init__(self):
        self.clock = SetClock(OPEN)
        self.epochs = MemoryEpochs()
        self.trail = MemoryTrail([])
        self.meter = CountingMeter()
        self.says = card_answer()
        self.hangs = False
        self.before_answer = None  # awaited between the CRM's reading and its answering
        self.got = []
        self.port = 0

    def current(self):
        return STARTER

    async def token(self, who, *, app="backoffice", device=None):
        now = self.clock.moment
        epoch = await self.epochs.enrol(staff_id(who), device and DeviceId(device), now)
        return issue(
            key=SECRET, algorithm="HS256", kid="default", issuer="salon-gateway",
            audience="salon-crm", staff=staff_id(who), epoch=epoch, now=now,
            lifetime_seconds=3600, device=device and DeviceId(device), app=app,
        )  # fmt: skip

    async def head(self, method, target, who, *lines, **claims):
        """A request head with a good token, without its empty line."""
        token = await self.token(who, **claims)
        first = f"{method} {target} HTTP/1.1\r\nHost: crm.example\r\n"
        more = "".join(f"{line}\r\n" for line in lines)
        return f"{first}Authorization: Bearer {token}\r\n{more}".encode()

    async def raw(self, *parts):
        """Write bytes, read until the gateway ends the connection."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                for part in parts:
                    writer.write(part)
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.transport.abort()

    async def ask(self, method, target, who, *lines, body=b"", **claims):
        """One request on a connection of its own: (status, head, body)."""
        lines = [*lines, "Connection: close"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        head = await self.head(method, target, who, *lines, **claims)
        return parse(await self.raw(head + b"\r\n" + body))

    async def answer(self, reader, writer):
        """What the CRM does with one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ]
                body = await reader.readexactly(sum(lengths))
                if b"transfer-encoding: chunked" in head.lower():
                    body = await unchunked(reader)
                self.got.append(head + body)
                if self.before_answer is not None:
                    await self.before_answer()
                writer.write(self.says)
                await writer.drain()
                if not self.hangs:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def phases(self):
        return [str(entry.phase) for entry in self.trail.entries]


async def unchunked(reader):
    """The whole of a chunked body."""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


def parse(raw):
    """Status, head and body of the one answer in `raw`; status 0 if there is none."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]) if head else 0), head, body


@asynccontextmanager
async def open_salon(*, limits=None, **doorway):
    salon = Salon()
    crm = await asyncio.start_server(salon.answer, "127.0.0.1", 0, limit=2**20)
    port = crm.sockets[0].getsockname()[1]
    upstream = LeanUpstream(
        base_url=f"http://127.0.0.1:{port}",
        answer_timeout_seconds=5,
        read_timeout_seconds=0.5,
        total_timeout_seconds=2,
    )
    numbers = count()
    pipeline = Pipeline(
        bundles=salon,
        doorway=Doorway(
            limits=WireLimits(),
            tokens=TokenPolicy(
                issuer="salon-gateway", audience="salon-crm", keys=secret_table(SECRET)
            ),
            max_request_body=100_000,
            upstream_origin=f"http://127.0.0.1:{port}",
            **doorway,
        ),
        clock=salon.clock,
        epochs=salon.epochs,
        locks=MemoryLocks(),
        lockdown=MemoryLockdown(),
        devices=MemoryDevices(),
        upstream=upstream,
        audit=salon.trail,
        meter=salon.meter,
        new_request_id=lambda: f"11111111-2222-4333-8444-{next(numbers):012}",
    )
    server = GuardedServer(pipeline, now=salon.clock.now, limits=limits)
    salon.server = server
    salon.port = await server.start("127.0.0.1", 0)
    try:
        yield salon
    finally:
        await server.stop(0.1)
        await upstream.close()
        crm.close()
        await crm.wait_closed()
