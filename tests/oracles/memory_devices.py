"""A registry of devices in memory: nobody is known unless a test says so."""

from datetime import UTC, datetime

from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import instant
from gateway.identity.devices import NOTHING, Known

BEGAN = instant(datetime(2020, 1, 1, tzinfo=UTC))


class MemoryDevices:
    def __init__(self):
        self.records = {}  # by person
        self.came = []
        self.away = False

    async def of(self, staff):
        if self.away:
            raise StateUnavailableError("the memory store was told to be away")
        return Known(record=self.records.get(staff, NOTHING), began=BEGAN)

    def seen(self, principal, _known, peer, _now, *, admitted):
        self.came.append((principal.staff, principal.device, peer, admitted))
