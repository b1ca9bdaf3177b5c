"""Accounts over stores in memory, and a hasher that is quick and counts.

`world.happened` tells what came before what.
"""

import asyncio
import hashlib
from contextlib import contextmanager
from datetime import timedelta

from gateway.accounts import Accounts
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds, instant
from gateway.identity.roster import parse_roster
from gateway.ports import Kind
from gateway.texts.yamltext import parse_yaml
from tests.contract.memory_documents import MemoryDocuments
from tests.oracles.memory_epochs import MemoryEpochs
from tests.oracles.memory_world import MemoryTrail

NOON = from_milliseconds(1_795_000_000_000)
MEI, KEN, HANA = StaffId("staff:mei"), StaffId("staff:ken"), StaffId("staff:hana")
PHONE = DeviceId("phone-1")
GOOD, OTHER = "seven quiet umbrellas", "eleven loud teapots"
HOME, CAFE = "192.0.2.7", "198.51.100.9"

ROSTER = """
staff:
  - {id: mei, name: Mei Tanaka, salons: {aoyama: [role:stylist]}, joined: 2024-04-01}
  - {id: ken, name: Ken Mori, salons: {aoyama: [role:stylist]}, joined: 2024-04-01}
  - {id: hana, name: Hana Sato, salons: {aoyama: [role:owner]}, joined: 2024-04-01}
"""


class MovingClock:
    def __init__(self):
        self.at = NOON

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()

    def later(self, **span):
        self.at = instant(self.at + timedelta(**span))


class QuickHasher:
    """Implements accounts.PasswordHasher. `runs` counts; `version` is its parameters."""

    def __init__(self):
        self.version = 1
        self.runs = []
        self.strangers = 16
        self.taken = []

    @contextmanager
    def place(self, known):
        if self.taken.count(known) >= (self.strangers if known is None else 2):
            raise StateUnavailableError("no place")
        self.taken.append(known)
        try:
            yield
        finally:
            self.taken.remove(known)

    async def verify(self, encoded, password, *, known):
        self.runs.append(("verify", known))
        await asyncio.sleep(0)
        if encoded is None or password is None:
            return False
        return encoded.rpartition("$")[2] == hashlib.sha256(password).hexdigest()

    async def hash(self, password, *, known):
        self.runs.append(("hash", known))
        await asyncio.sleep(0)
        return f"$quick${self.version}${hashlib.sha256(password).hexdigest()}"

    def is_outdated(self, encoded):
        return encoded.split("$")[2] != str(self.version)


class Epochs(MemoryEpochs):
    def __init__(self, happened):
        super().__init__()
        self.happened = happened

    async def revoke(self, staff, device, now):
        self.happened.append("revoked")
        return await super().revoke(staff, device, now)

    async def enrol(self, staff, device, now):
        self.happened.append("enrolled")
        return await super().enrol(staff, device, now)


class Documents(MemoryDocuments):
    """`meanwhile` is done once, just before the next write of an account."""

    def __init__(self, happened):
        super().__init__()
        self.happened = happened
        self.meanwhile = None

    async def put(self, kind, key, value, **how):
        if kind is Kind.ACCOUNT and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        done = await super().put(kind, key, value, **how)
        if done is not None:
            self.happened.append(f"put {kind}")
        return done


class World:
    def __init__(self):
        self.happened = []
        self.clock = MovingClock()
        self.documents = Documents(self.happened)
        self.epochs = Epochs(self.happened)
        self.hasher = QuickHasher()
        self.trail = MemoryTrail(self.happened)
        self.roster = parse_roster(parse_yaml(ROSTER, "staff.yaml"))
        self.made = 0
        self.accounts = Accounts(
            documents=self.documents,
            epochs=self.epochs,
            hasher=self.hasher,
            audit=self.trail,
            clock=self.clock,
            roster=lambda: self.roster,
            policy=lambda: "d1",
            new_id=lambda: self._new("id"),
            new_device=lambda: DeviceId(self._new("device")),
        )

    def _new(self, what):
        self.made += 1
        return f"{what}-{self.made}"

    async def given(self, staff=MEI, password=GOOD, *, temporary=False):
        """Somebody has an account."""
        weak = await self.accounts.set_password(
            staff, password, by=HANA, peer=HOME, temporary=temporary
        )
        assert weak == ()

    async def sign_in(self, name="mei", password=GOOD, *, peer=HOME, device=None):
        return await self.accounts.sign_in(name, password, peer=peer, device=device)

    def acts(self):
        return [entry.act for entry in self.trail.entries]
