"""Somebody comes with a new device: their managers are to be told. `telling.py` tells it.

True here:
* what is to be told is queued durably before the device is written down as known (whoever
  writes that asks here first): so it is told at least once, and of a device that is known, never
  again;
* whoever comes with device after device makes MAX_A_DAY notices a day in each process, no more;
  the others stand in the log and on the list of devices;
* the person is told as well, if they manage the salon themselves: a stolen password of an owner
  is then seen by the owner.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant
from gateway.events import Event, emit
from gateway.identity.device_notice import device_notice
from gateway.identity.grant import render
from gateway.managers import Managers, Ways, ways_to
from gateway.ports import DocumentStore, Kind

MAX_A_DAY: Final = 8
MAX_PEOPLE: Final = 4096  # who came with a new one lately; beyond it the longest ago goes
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomers:
    """Queues what is to be told of new devices.

    Attributes:
        ways: how managers are told.
    """

    documents: DocumentStore
    managers: Managers
    ways: Ways
    _lately: OrderedDict[StaffId, list[Instant]] = field(default_factory=OrderedDict)

    async def came(self, staff: StaffId, device: DeviceId, app: str | None, now: Instant) -> None:
        """Queue that somebody came with a device that nobody knew.

        A device on their list in staff.yaml is no news, and somebody who is not on the roster
        (any more) is nobody's staff.

        Raises:
            StateUnavailableError: it may not be queued; say it again.
        """
        person = self.managers.people().get(staff)
        if person is None or device in person.member.approved_devices:
            return
        if self._too_many(staff, now):
            emit(Event.DEVICE_NOT_TOLD, staff=staff, why="too_many")
            return
        told = await self.managers.of((post.salon for post in person.posts), now)
        ways = ways_to(self.ways, told)
        if not ways:
            emit(Event.DEVICE_NOT_TOLD, staff=staff, why="nobody")
        for way in ways:
            notice = device_notice(staff, device, app, to=way, told=told, now=now)
            # One that is queued already stays as it is.
            await self.documents.put(
                Kind.DEVICE_NOTICE, notice.key, render(notice), replaces=None, now=now
            )
        self._count(staff, now)

    def _too_many(self, staff: StaffId, now: Instant) -> bool:
        lately = [at for at in self._lately.get(staff, ()) if now - at < _DAY]
        if lately:
            self._lately[staff] = lately
        else:
            self._lately.pop(staff, None)
        return len(lately) >= MAX_A_DAY

    def _count(self, staff: StaffId, now: Instant) -> None:
        self._lately.setdefault(staff, []).append(now)
        self._lately.move_to_end(staff)
        if len(self._lately) > MAX_PEOPLE:
            self._lately.popitem(last=False)
