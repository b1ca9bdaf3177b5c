"""Device-session epochs in memory: the rules a second time, slowly, from their text.

For tests that need a store and do not care which. Runs under the same contract suite as
the real ones. `lose_memory()` is a flush; `away = True` is a store that cannot answer;
`forgets=False` keeps every device for ever.
"""

from datetime import UTC, datetime, timedelta

from gateway.domain.errors import StateUnavailableError
from gateway.ports import EpochRow


def milliseconds(now):
    delta = now - datetime(1970, 1, 1, tzinfo=UTC)
    return delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000


class MemoryEpochs:
    def __init__(self, *, forgets=True):
        self.forgets = forgets
        self.away = False
        self.changed = 0
        self.lose_memory()

    def lose_memory(self):
        self.changed += 1
        self.counters = {}
        self.person_floors = {}
        self.device_floors = {}
        self.changes = {}

    def _must_be_here(self):
        if self.away:
            raise StateUnavailableError("the memory store was told to be away")

    async def floor(self, staff, device):
        self._must_be_here()
        if staff not in self.counters:
            return None
        floor = self.person_floors[staff]
        if device is not None and (staff, device) in self.device_floors:
            floor = max(floor, self.device_floors[staff, device])
        return floor

    async def version(self):
        self._must_be_here()
        return self.changed

    def _forget(self, staff, now):
        """Devices that say nothing which the person does not say, unchanged for 400 days."""
        if not self.forgets:
            return
        for owner, device in list(self.device_floors):
            days = (milliseconds(now) - milliseconds(self.changes[owner, device])) / 86_400_000
            says_more = self.device_floors[owner, device] > self.person_floors[owner]
            if owner == staff and days > 400 and not says_more:
                del self.device_floors[owner, device]
                del self.changes[owner, device]

    async def enrol(self, staff, device, now):
        self._must_be_here()
        self.changed += 1
        self._forget(staff, now)
        if staff not in self.counters:
            self.counters[staff] = milliseconds(now)
            self.person_floors[staff] = milliseconds(now)
            self.changes[staff, None] = now
        if device is not None and (staff, device) not in self.device_floors:
            self.device_floors[staff, device] = self.person_floors[staff]
            self.changes[staff, device] = now
        return self.counters[staff]

    async def revoke(self, staff, device, now):
        self._must_be_here()
        self.changed += 1
        self._forget(staff, now)
        known = staff in self.counters
        issued = self.counters[staff] if known else milliseconds(now)
        # Above every epoch ever issued, and above every epoch that an earlier life of this
        # store could have issued: those are not above the milliseconds of now.
        counter = max(issued, milliseconds(now)) + 1
        self.counters[staff] = counter
        if device is None or not known:
            self.person_floors[staff] = counter
            self.changes[staff, None] = now
        if device is not None:
            self.device_floors[staff, device] = counter
            self.changes[staff, device] = now
        return counter

    async def rows(self):
        self._must_be_here()
        rows = []
        for staff, device in [*((s, None) for s in self.counters), *self.device_floors]:
            moment = self.changes[staff, device]
            whole = timedelta(microseconds=moment.microsecond % 1000)
            rows.append(
                EpochRow(
                    staff=staff,
                    device=device,
                    floor=await self.floor(staff, device),
                    changed_at=moment - whole,
                )
            )
        return sorted(rows, key=lambda row: (row.device is not None, row.staff, row.device or ""))

    async def check(self):
        self._must_be_here()

    async def close(self):
        self.away = True
