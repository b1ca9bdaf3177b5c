"""The room of devices: which wait for approval, which are in use; and its two buttons.

House rules
- What waits stands first, then what was used in two places at once, then the latest.
- Nobody approves or refuses a device of their own, nor of somebody above: a session that was
  stolen must not let in the thief's next device (`authority.py`).
- A press can be taken back by the other one, so no password is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from gateway.bundle import Bundle
from gateway.console.authority import ConsoleSettings, Viewer
from gateway.console.house import House, Signed
from gateway.console.replies import gone_to, shown
from gateway.console.said import Said, read_said, write_said
from gateway.console.team import zone_of
from gateway.domain.act import Act
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, StaffId, device_id
from gateway.domain.time import Instant, from_milliseconds
from gateway.identity.devices import Device, Record, State
from gateway.identity.principal import Person

SHARED_FOR = timedelta(days=1)  # so long it is shown that a device was used in two places


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One device as the room shows it; moments on the clock of the person's salon.

    Attributes:
        bare: the person's id without `staff:`.
        name: the person's.
        state: one that waits but is `listed` comes in, so it counts as known.
        listed: on the roster's `approved_devices`.
        by: who approved or refused it, by name; None = nobody did, or nobody of the roster.
        shared: it was used in two places at once lately.
        may: what the viewer may do to it.
    """

    bare: str
    name: str
    device: DeviceId
    label: str | None
    app: str | None
    state: State
    listed: bool
    first: datetime
    last: datetime
    now: datetime
    by: str | None
    shared: bool
    may: frozenset[Act]


def listed(
    bundle: Bundle,
    viewer: Viewer,
    settings: ConsoleSettings,
    records: Mapping[StaffId, Record],
    now: Instant,
) -> tuple[Listed, ...]:
    """Every device of the people whom the viewer sees. Pure."""
    found = []
    for staff, record in records.items():
        person = bundle.people.get(staff)
        if person is None or not viewer.sees(person):
            continue
        for name, device in record.devices.items():
            found.append(_listed(bundle, viewer, settings, person, DeviceId(name), device, now))
    return tuple(
        sorted(
            found,
            key=lambda one: (
                one.state is not State.WAITING,
                not one.shared,
                one.now - one.last,
                one.bare,
                one.device,
            ),
        )
    )


async def devices(house: House, signed: Signed, said: str) -> web.Response:
    """The page. `said` is what the address carries of an act just done.

    Raises:
        StateUnavailableError: which devices there are is not known.
    """
    asked = signed.asked
    found = listed(
        signed.bundle, signed.viewer, house.settings, await house.devices.all(), asked.now
    )
    told = read_said(said, signed.visit.csrf, asked.now)
    person = None if told is None else signed.bundle.people.get(told.whom)
    return shown(
        asked,
        "devices",
        found=found,
        waiting=sum(one.state is State.WAITING for one in found),
        csrf=signed.visit.csrf,
        said=None if person is None else told,
        whom=None if person is None else person.member.name,
    )


async def press(
    house: House, signed: Signed, wanted: Act, whom: StaffId, named: str
) -> web.Response:
    """Approve or refuse a device of somebody; whether they may was asked.

    Raises:
        RequestError: BODY_INVALID for no device's name, UNMAPPED if the person has no such one.
        StateUnavailableError, AuditUnavailableError: see `DeviceRegistry`.
    """
    try:
        device = device_id(named)
    except ValueError:
        raise RequestError(Reason.BODY_INVALID, "That is not a device.") from None
    peer = signed.asked.caller.peer
    if wanted is Act.APPROVE_DEVICE:
        await house.devices.approve(whom, device, by=signed.staff, peer=peer)
    else:
        await house.devices.refuse(whom, device, by=signed.staff, peer=peer)
    said = Said(text=f"done_{wanted}", whom=whom, device=device)
    words = write_said(said, signed.visit.csrf, signed.asked.now)
    return gone_to(signed.asked, f"/devices?said={words}")


def _listed(
    bundle: Bundle,
    viewer: Viewer,
    settings: ConsoleSettings,
    person: Person,
    name: DeviceId,
    device: Device,
    now: Instant,
) -> Listed:
    zone = zone_of(bundle, person)
    by = None if device.by is None else bundle.people.get(StaffId(device.by))
    offered = {Act.APPROVE_DEVICE, Act.REFUSE_DEVICE} - {
        State.APPROVED: {Act.APPROVE_DEVICE},
        State.REFUSED: {Act.REFUSE_DEVICE},
    }.get(device.state, set())
    shared = None if device.shared is None else from_milliseconds(device.shared)
    on_list = name in person.member.approved_devices
    return Listed(
        bare=person.member.staff.removeprefix("staff:"),
        name=person.member.name,
        device=name,
        label=device.label,
        app=device.app,
        state=State.KNOWN if on_list and device.state is State.WAITING else device.state,
        listed=on_list,
        first=from_milliseconds(device.first).astimezone(zone),
        last=device.last_seen.astimezone(zone),
        now=now.astimezone(zone),
        by=None if by is None else by.member.name,
        shared=shared is not None and now - shared < SHARED_FOR,
        may=frozenset(act for act in offered if viewer.may(act, person, settings)),
    )
