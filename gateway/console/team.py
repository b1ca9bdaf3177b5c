"""The second room: who works here, how they stand, from which devices they come. Pure."""

import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from gateway.bundle import Bundle
from gateway.console.authority import ACTS, ConsoleSettings, Viewer, rank
from gateway.domain.act import Act
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import Instant
from gateway.identity.devices import NOTHING, Record
from gateway.identity.devices import Device as Registered
from gateway.identity.devices import State as RegisteredState
from gateway.identity.locks import Lock
from gateway.identity.principal import Person
from gateway.ports import EpochRow


class Standing(StrEnum):
    """How somebody stands with the salon today."""

    WORKS = "works"
    ON_NOTICE = "on_notice"
    NOT_BEGUN = "not_begun"  # the first day is still to come
    LOCKED = "locked"
    LEFT = "left"  # by the roster or by an act


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that has a session.

    Attributes:
        changed: when it was made known or logged out last, on the clock of the person's salon.
        approved: on the roster, or by somebody.
        label, app: what somebody calls it, and the app it was seen in last; None = not known.
        seen: when it came last; None = not known.
    """

    device: DeviceId
    changed: datetime
    approved: bool
    label: str | None = None
    app: str | None = None
    seen: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One person as the room shows them.

    Attributes:
        bare: the id without `staff:`.
        posts: salon → the roles there that the roster gives.
        known: they have, or had, a session.
        changed: when they were made known or logged out everywhere last; None = never.
        leaves: when access ends, if that is set and still to come; on the salon's clock.
        may: what the viewer may do to them as they stand.
        above: they hold a role of rank that the viewer does not hold.
        you: the viewer.
    """

    staff: StaffId
    bare: str
    name: str
    posts: tuple[tuple[str, tuple[str, ...]], ...]
    standing: Standing
    changed: datetime | None
    devices: tuple[Device, ...]
    leaves: datetime | None
    now: datetime
    timezone: str
    may: frozenset[Act]
    above: bool
    you: bool

    @property
    def grave(self) -> tuple[Act, ...]:
        """What may be done to them that asks for the password, in the order it is shown."""
        return tuple(act for act in (Act.LOCK, Act.UNLOCK, Act.OFFBOARD) if act in self.may)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the state knows of people, read for one page.

    Attributes:
        rows: of the epoch store.
        devices: of the registry.
    """

    rows: Sequence[EpochRow]
    locks: Mapping[StaffId, Lock]
    devices: Mapping[StaffId, Record]
    now: Instant


def team(
    bundle: Bundle, viewer: Viewer, settings: ConsoleSettings, state: State
) -> tuple[Member, ...]:
    """Everybody the viewer sees, by name; who has left comes last."""
    rows: dict[StaffId, list[EpochRow]] = {}
    for row in state.rows:
        rows.setdefault(row.staff, []).append(row)
    seen = (
        _member(bundle, viewer, settings, person, rows.get(staff, ()), state)
        for staff, person in bundle.people.items()
        if viewer.sees(person)
    )
    return tuple(
        sorted(
            seen,
            key=lambda one: (one.standing is Standing.LEFT, _sort_key(one.name), one.staff),
        )
    )


def member(
    bundle: Bundle, viewer: Viewer, settings: ConsoleSettings, staff: StaffId, state: State
) -> Member | None:
    """One person; None = nobody whom the viewer sees."""
    person = bundle.people.get(staff)
    if person is None or not viewer.sees(person):
        return None
    rows = [row for row in state.rows if row.staff == staff]
    return _member(bundle, viewer, settings, person, rows, state)


def zone_of(bundle: Bundle, person: Person) -> ZoneInfo:
    """The clock that stands for a person: their first salon's; UTC without a calendar."""
    hours = bundle.hours(person.posts[0].salon)
    return ZoneInfo("UTC") if hours is None else hours.zone


def _member(
    bundle: Bundle,
    viewer: Viewer,
    settings: ConsoleSettings,
    person: Person,
    rows: Iterable[EpochRow],
    state: State,
) -> Member:
    listed, zone = person.member, zone_of(bundle, person)
    lock = state.locks.get(listed.staff)
    known = state.devices.get(listed.staff, NOTHING).devices
    standing = _standing(bundle, person, lock, state.now)
    whole = [row for row in rows if row.device is None]
    leaves = None if lock is None or lock.has_left(state.now) else lock.leaves_at
    return Member(
        staff=listed.staff,
        bare=listed.staff.removeprefix("staff:"),
        name=listed.name,
        posts=tuple((salon, _bare(roles)) for salon, roles in listed.salons.items()),
        standing=standing,
        changed=whole[0].changed_at.astimezone(zone) if whole else None,
        devices=tuple(
            _device(
                row.device, row.changed_at, known.get(row.device), listed.approved_devices, zone
            )
            for row in rows
            if row.device is not None
        ),
        leaves=None if leaves is None else leaves.astimezone(zone),
        now=state.now.astimezone(zone),
        timezone=zone.key,
        may=frozenset(
            act
            for act in ACTS
            if viewer.may(act, person, settings) and _makes_sense(act, standing, lock, state.now)
        ),
        above=not rank(person, settings) <= viewer.rank,
        you=listed.staff == viewer.staff,
    )


def _device(
    device: DeviceId,
    changed: Instant,
    kept: Registered | None,
    roster: Container[DeviceId],
    zone: ZoneInfo,
) -> Device:
    said = None if kept is None or kept.said is None else kept.state
    return Device(
        device=device,
        changed=changed.astimezone(zone),
        approved=device in roster if said is None else said is RegisteredState.APPROVED,
        label=None if kept is None else kept.label,
        app=None if kept is None else kept.app,
        seen=None if kept is None else kept.last_seen.astimezone(zone),
    )


def _standing(bundle: Bundle, person: Person, lock: Lock | None, now: Instant) -> Standing:
    listed = person.member
    today = bundle.today(person.posts[0].salon, now)
    if lock is not None and lock.has_left(now):
        return Standing.LEFT
    if listed.leaves_on is not None and today > listed.leaves_on:
        return Standing.LEFT
    if lock is not None and lock.is_locked(now):
        return Standing.LOCKED
    if today < listed.joined:
        return Standing.NOT_BEGUN
    notices = {listed.on_notice_since, None if lock is None else lock.notice_from} - {None}
    if any(notice <= today for notice in notices if notice is not None):
        return Standing.ON_NOTICE
    return Standing.WORKS


def _makes_sense(act: Act, standing: Standing, lock: Lock | None, now: Instant) -> bool:
    """What is done already is not offered; asked for all the same, it is done once."""
    gone = lock is not None and lock.has_left(now)
    locked = lock is not None and lock.is_locked(now)
    match act:
        case Act.LOG_OUT:
            return standing is not Standing.LEFT
        case Act.LOCK:
            return not gone and not locked
        case Act.UNLOCK:
            return locked
        case _:
            return not gone


def _bare(roles: Iterable[Role]) -> tuple[str, ...]:
    return tuple(role.removeprefix("role:") for role in roles)


def _sort_key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
