"""A whole request through the pipeline, without a wire, a disk or a CRM."""

import asyncio
from collections.abc import Callable

from gateway.backends.meter import PrometheusMeter
from gateway.bundle import Bundle
from gateway.domain.http import Answer, Inbound
from gateway.domain.subject import DeviceId, StaffId
from gateway.doorway import Doorway
from gateway.identity.claims import TokenPolicy, issue
from gateway.identity.keys import secret_table
from gateway.mapping.guard import WireLimits
from gateway.pipeline import Pipeline
from tests.bench.answers import client_list, one_client
from tests.bench.deciding import PEER
from tests.bench.measure import Contender, side_by_side, spell
from tests.bench.policies import RECORD_STYLIST, STYLIST
from tests.bench.tables import Section
from tests.oracles.memory_devices import MemoryDevices
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_lockdown import MemoryLockdown
from tests.oracles.memory_locks import MemoryLocks
from tests.oracles.memory_world import Body, MemoryTrail, MemoryUpstream, SetClock

SECRET = b"kQ9v2mZr7xT4wB8nL1sD6fG3hJ5pYcVe"


class World:
    """A gateway in memory; what happened is forgotten after each round."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.happened: list[str] = []
        self.clock = SetClock("2026-11-18T12:07:00+09:00")
        self.epochs = MemoryEpochs()
        self.crm = MemoryUpstream(self.happened)
        self.trail = MemoryTrail(self.happened)
        self.pipeline = Pipeline(
            bundles=self,
            doorway=Doorway(
                limits=WireLimits(),
                tokens=TokenPolicy(
                    issuer="salon-gateway", audience="salon-crm", keys=secret_table(SECRET)
                ),
                max_request_body=10_000,
                upstream_origin="http://crm.example",
            ),
            clock=self.clock,
            epochs=self.epochs,
            locks=MemoryLocks(),
            lockdown=MemoryLockdown(),
            devices=MemoryDevices(),
            upstream=self.crm,
            audit=self.trail,
            meter=PrometheusMeter(),
            new_request_id=lambda: "11111111-2222-4333-8444-555555555555",
        )

    def current(self) -> Bundle:
        return self.bundle

    def forget(self) -> None:
        for kept in (self.happened, self.trail.entries, self.crm.sent, self.crm.given):
            kept.clear()

    def asking(self, who: str, target: str, answer: bytes, times: int) -> Callable[[], None]:
        """The same request so many times; it has to be answered with 200."""
        request = Inbound(
            method="GET",
            target=target,
            version="1.1",
            headers=(
                ("Host", "crm.salon.example"),
                ("Accept", "application/json"),
                ("User-Agent", "salon-app/3.1 (phone)"),
                ("Authorization", f"Bearer {self._token(StaffId(who))}"),
            ),
            peer=PEER,
            secure=True,
        )

        async def ask() -> None:
            for _ in range(times):
                got = await self.pipeline.run(request, Body())
                assert isinstance(got, Answer), got
                assert got.status == 200

        def run() -> None:
            self.crm.says(200, answer)
            asyncio.run(ask())

        return run

    def _token(self, staff: StaffId) -> str:
        now, device = self.clock.moment, DeviceId("phone-1")
        return issue(
            key=SECRET,
            algorithm="HS256",
            kid="default",
            issuer="salon-gateway",
            audience="salon-crm",
            staff=staff,
            epoch=asyncio.run(self.epochs.enrol(staff, device, now)),
            now=now,
            lifetime_seconds=3600,
            device=device,
            app="phone",
        )


def requesting(bundle: Bundle, *, quick: bool) -> Section:
    """Time it."""
    world = World(bundle)
    record, listed = one_client(), client_list()
    rounds, many, few = (1, 2, 1) if quick else (11, 200, 40)
    asked = {
        "1 KB, not guarded: a `pass` route": (STYLIST, "/staff", record, many),
        "1 KB client, four fields hidden": (STYLIST, "/api/clients/1", record, many),
        "1 KB client, with a record test": (RECORD_STYLIST, "/api/clients/1", record, many),
        "100 KB list, four fields hidden": (STYLIST, "/api/clients", listed, few),
        "100 KB list, with record tests": (RECORD_STYLIST, "/api/clients", listed, few),
    }
    contenders = {
        name: Contender(run=world.asking(*question), operations=question[-1], before=world.forget)
        for name, question in asked.items()
    }
    timings = side_by_side(contenders, rounds=rounds)
    bare = next(iter(timings.values()))
    return Section(
        title="One request through the pipeline",
        about=(
            f"{len(bundle.rules):,} rules; token verified, epoch asked twice, decided, forwarded, "
            "cut, entered, counted. In memory: the wire, the disk under the audit trail and the "
            "CRM take nothing here, so these figures are what the gateway's own work adds to any "
            f"proxy. {many} requests a round ({few} of the list), median of {rounds} rounds.\n\n"
            "No target is set for this part alone: those for whole requests compare processes "
            "with each other (see the top of this page)."
        ),
        columns=("request", "CPU time", "best round", "of the first line"),
        rows=[
            (name, spell(timing.seconds), spell(timing.least), f"{timing.times(bare):.2f}×")
            for name, timing in timings.items()
        ],
    )
