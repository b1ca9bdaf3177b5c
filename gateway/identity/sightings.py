"""What being seen makes of a person's devices; and is a device used in two places at once?

A request tells: this device, in this app, from this network, now. Requests from one place with
no pause of PAUSE_SECONDS in between are one span. Two spans that lie side by side for
SIDE_BY_SIDE_SECONDS are two people with one sign-in, or one who works on two machines with it:
a phone that walks out of the Wi-Fi leaves one place before it comes to the next. It is shown,
and refuses nothing: a phone on the edge of a Wi-Fi may look like it.

THEOREMS (tests/properties/test_devices.py):
  what several workers saw, written in any order, tells the same state, first and last;
  a record stays within its bounds, and what somebody said of a device is never dropped.

House rules: pure; a network goes in, eight hex digits come out, for the trail has the addresses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Final

from msgspec.structs import replace

from gateway.domain.subject import DeviceId, is_name
from gateway.identity.devices import (
    MAX_DEVICES,
    MAX_PLACES,
    Device,
    Record,
    Span,
    State,
)

PAUSE_SECONDS: Final = 600
SIDE_BY_SIDE_SECONDS: Final = 180
TOLD_AGAIN_SECONDS: Final = 3600  # `Device.shared` moves, and is told, so often at most

MAX_WAITING: Final = 4  # devices of one person; the next one takes the oldest one's place
# A phone keeps its network while its address changes within it.
_PREFIX = {4: 24, 6: 48}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A device, as one process has seen it lately.

    Attributes:
        device: None = the token named none.
        app: the token's.
        spans: from where; in milliseconds.
        admitted: when it was let in last, in milliseconds; None = it was not.
        waits: new devices wait.
    """

    device: DeviceId | None
    app: str | None
    spans: tuple[Span, ...]
    admitted: int | None
    waits: bool


def place_of(peer: str | None, app: str | None) -> str:
    """Where somebody asks from, as eight hex digits; an address nobody knows is one place."""
    network = "-"
    if peer is not None:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            network = "?"
        else:
            network = str(ip_network((address, _PREFIX[address.version]), strict=False))
    return sha256(f"{network} {app or ''}".encode()).hexdigest()[:8]


def sighted(record: Record, sightings: Iterable[Sighting]) -> Record:
    """The record, after what was seen."""
    for one in sightings:
        record = _sighted(record, one)
    return record


def is_shared(spans: Iterable[Span]) -> bool:
    """Were two places used side by side?"""
    known = sorted(spans, key=lambda span: span.first)
    return any(
        min(one.last, other.last) - other.first >= SIDE_BY_SIDE_SECONDS * 1000
        for at, one in enumerate(known)
        for other in known[at + 1 :]
        if one.place != other.place
    )


def newly_shared(before: Record, after: Record) -> tuple[DeviceId, ...]:
    """The devices of which it is to be told that they are used in two places at once."""
    return tuple(
        DeviceId(name)
        for name, device in sorted(after.devices.items())
        if device.shared is not None
        and (name not in before.devices or before.devices[name].shared != device.shared)
    )


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans of one place that lie close together as one; of those, the newest MAX_PLACES."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.place, one.first)):
        last = found[-1] if found else None
        if (
            last is not None
            and last.place == span.place
            and span.first - last.last <= PAUSE_SECONDS * 1000
        ):
            found[-1] = replace(last, last=max(last.last, span.last))
        else:
            found.append(span)
    found.sort(key=lambda one: (one.last, one.first, one.place))
    return tuple(found[-MAX_PLACES:])


def _sighted(record: Record, seen: Sighting) -> Record:
    if seen.admitted is not None:
        record = replace(record, seen=max(record.seen or 0, seen.admitted))
    if seen.device is None or not seen.spans:
        return record
    first = min(span.first for span in seen.spans)
    last = max(span.last for span in seen.spans)
    app = seen.app if seen.app is not None and is_name(seen.app) else None
    before = record.devices.get(seen.device)
    if before is None:
        state = State.WAITING if seen.waits else State.KNOWN
        spans = joined(seen.spans)
        shared = last if is_shared(spans) else None
        new = Device(first=first, last=last, state=state, app=app, spans=spans, shared=shared)
        return _with_room(record, seen.device, new)
    spans = joined((*before.spans, *seen.spans))
    shared = before.shared
    if is_shared(spans) and last - (shared or 0) >= TOLD_AGAIN_SECONDS * 1000:
        shared = last
    after = replace(
        before,
        first=min(before.first, first),
        last=max(before.last, last),
        app=app if last >= before.last else before.app,
        spans=spans,
        shared=shared,
    )
    return replace(record, devices={**record.devices, seen.device: after})


def _with_room(record: Record, name: DeviceId, new: Device) -> Record:
    """With a device more; too many, and one goes of which nobody said anything.

    Of those that wait only MAX_WAITING stay, so that somebody who guessed a password does not
    push out, with device after device, those that come in. Where somebody said something of
    every other one, the new one goes.
    """
    devices = {**record.devices, name: new}
    waiting = [key for key, one in devices.items() if one.state is State.WAITING]
    known = [key for key, one in devices.items() if one.state is State.KNOWN]
    if len(waiting) > MAX_WAITING:
        del devices[_longest_unseen(devices, waiting)]
    elif len(devices) > MAX_DEVICES:
        del devices[_longest_unseen(devices, known or waiting)]
    return replace(record, devices=devices)


def _longest_unseen(devices: Mapping[str, Device], names: Iterable[str]) -> str:
    return min(names, key=lambda name: (devices[name].last, name))
