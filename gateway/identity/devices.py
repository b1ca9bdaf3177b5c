"""The devices of one person: which are known, which may come in, when they came last.

    known      came when new devices were let in; nobody said anything
    waiting    came when new devices were to wait; nobody said anything
    approved   somebody said yes: it comes in, and `approved_device` is true for it
    refused    somebody said no, and only somebody can take that back

One document a person, under their staff id: one look tells all that a request is judged by.

THEOREMS (tests/properties/test_devices.py, against tests/oracles/slow_devices.py):
  being seen never approves a device, nor lifts a refusal, however often and in whatever order;
  a refused device does not come in, whatever the settings and the roster say;
  where new devices wait, what comes in is known, or approved here or on the roster;
  whoever is idle stays so until somebody says otherwise: no request of theirs changes it.

House rules: pure. A document is read back exactly as it was written, or not at all.
"""

import dataclasses
import unicodedata
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, Principal, StaffId, device_id, is_name
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.session import StandingPrincipal

# With MAX_PLACES and MAX_LABEL so few that a document stays below the store's 16 KiB
# (tests/unit/identity/test_devices.py builds the largest one).
MAX_DEVICES: Final = 16
MAX_PLACES: Final = 3
MAX_LABEL: Final = 40
_LAST = 253_370_764_800_000  # milliseconds: the year 9999 begins


class State(StrEnum):
    """How a device stands."""

    KNOWN = "known"
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"


SAID = frozenset({State.APPROVED, State.REFUSED})  # by somebody; kept until they say otherwise


class Span(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device was used from one place, without a long pause in between.

    Attributes:
        place: eight hex digits that stand for a network and an app.
        first, last: milliseconds since 1970.
    """

    place: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if len(self.place) != 8 or set(self.place) - set("0123456789abcdef"):
            raise ValueError("a place is eight hex digits")
        if not 0 <= self.first <= self.last <= _LAST:
            raise ValueError("a span begins before it ends")


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One device of a person. Instants are milliseconds since 1970.

    Attributes:
        first, last: when it was seen, let in or not.
        app: the token's `app` when it was seen last, if that is a name; None = it said none.
        label: what somebody calls it.
        by: who approved or refused it; None = somebody on the gateway's own machine.
        said: when they did; None = nobody did.
        spans: from where it was used lately, the newest last.
        shared: when it was seen last to be used from two places side by side.
    """

    first: int
    last: int
    state: State
    app: str | None = None
    label: str | None = None
    by: str | None = None
    said: int | None = None
    spans: tuple[Span, ...] = ()
    shared: int | None = None

    def __post_init__(self) -> None:
        for moment in (self.first, self.last, self.said, self.shared):
            if moment is not None and not 0 <= moment <= _LAST:
                raise ValueError("an instant lies between 1970 and 9999")
        if self.first > self.last:
            raise ValueError("a device is seen first before it is seen last")
        if self.app is not None and not is_name(self.app):
            raise ValueError("an app is a name")
        if self.label is not None and self.label != read_label(self.label):
            raise ValueError("a label is a few printable characters")
        if self.by is not None and not _is_staff(self.by):
            raise ValueError("a member of the staff is written `staff:...`")
        if (self.said is not None) != (self.state in SAID) or (self.by and self.said is None):
            raise ValueError("what is approved or refused was said, and nothing else was")
        if len(self.spans) > MAX_PLACES:
            raise ValueError("too many places")

    @property
    def last_seen(self) -> Instant:
        """When it was seen last."""
        return from_milliseconds(self.last)


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that is kept of a person's devices.

    Attributes:
        devices: by device id.
        seen: when a request of theirs was let in last, from whatever device; in milliseconds.
        reactivated: when somebody said that they are not idle.
    """

    devices: dict[str, Device]
    seen: int | None = None
    reactivated: int | None = None

    def __post_init__(self) -> None:
        if len(self.devices) > MAX_DEVICES:
            raise ValueError("too many devices")
        for name in self.devices:
            device_id(name)
        for moment in (self.seen, self.reactivated):
            if moment is not None and not 0 <= moment <= _LAST:
                raise ValueError("an instant lies between 1970 and 9999")


NOTHING: Final = Record(devices={})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """gateway.yaml's `devices`.

    Attributes:
        wait: new devices wait until somebody approves them.
        idle: whoever was not seen for longer is refused; None = never.
    """

    wait: bool = False
    idle: timedelta | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the registry says of one person.

    Attributes:
        began: since when there has been a registry.
    """

    record: Record
    began: Instant


# -- may they come in? --------------------------------------------------------------------


def approved(known: Known, principal: Principal) -> Principal:
    """The principal, their device approved if somebody approved it here; never less approved.

    A device that was refused here is not approved, whatever the roster says.
    """
    device = principal.device
    kept = None if device is None else known.record.devices.get(device)
    if kept is None or device is None or kept.state not in SAID:
        return principal
    before = principal.approved_devices
    after = before | {device} if kept.state is State.APPROVED else before - {device}
    if after == before:
        return principal
    return dataclasses.replace(principal, approved_devices=after)


def require_device(
    known: Known, principal: StandingPrincipal, rules: DeviceRules, now: Instant
) -> StandingPrincipal:
    """Let somebody pass who comes with a device that may come in, and who is not idle.

    Args:
        known: what the registry says of the person; a store that cannot answer gives none.
        principal: works here today, as the type says.
        rules: gateway.yaml's.
        now: the instant of the request.

    Returns:
        The principal as `approved` makes it.

    Raises:
        RequestError: DEVICE_REFUSED, IDLE or DEVICE_WAITS, in this order.
    """
    person = StandingPrincipal(approved(known, principal))
    device = person.device
    kept = None if device is None else known.record.devices.get(device)
    state = None if kept is None else kept.state
    if state is State.REFUSED:
        raise RequestError(Reason.DEVICE_REFUSED, "This device may not be used here.")
    if is_idle(known, person, rules, now):
        raise RequestError(
            Reason.IDLE, "Your access rests, since it was not used. Speak to your manager."
        )
    if rules.wait and state is not State.KNOWN and device not in person.approved_devices:
        # Who names no device could leave the name out to pass, so they wait as well.
        raise RequestError(
            Reason.DEVICE_WAITS,
            "This device waits for your manager's approval."
            if device is not None
            else "Your sign-in does not say which device this is.",
        )
    return person


def is_idle(known: Known, principal: Principal, rules: DeviceRules, now: Instant) -> bool:
    """Was the person not seen for longer than `rules.idle`?

    Whoever never was is measured from their first day, or from the day the registry began,
    whichever is later: an owner who turns this on shuts nobody out by it the same day.
    """
    if rules.idle is None:
        return False
    record = known.record
    seen = known.began if record.seen is None else from_milliseconds(record.seen)
    since = [seen]
    if record.reactivated is not None:
        since.append(from_milliseconds(record.reactivated))
    if principal.joined is not None:
        since.append(Instant(datetime.combine(principal.joined, time(), UTC)))
    return now - max(since) > rules.idle


# -- what an act makes of it --------------------------------------------------------------


def said_of(
    record: Record, device: DeviceId, state: State, now: Instant, by: StaffId | None
) -> Record:
    """Approve or refuse a device; the same said again leaves who said it first, and when.

    Raises:
        KeyError: the person has no such device.
    """
    before = record.devices[device]
    if before.state is state:
        return record
    after = replace(before, state=state, by=by, said=to_milliseconds(now))
    return replace(record, devices={**record.devices, device: after})


def labelled(record: Record, device: DeviceId, label: str | None) -> Record:
    """Give a device a name, or take it away. Raises KeyError, or ValueError for no such name."""
    if label is not None and read_label(label) != label:
        raise ValueError("a label is read by `read_label` first")
    after = replace(record.devices[device], label=label)
    return replace(record, devices={**record.devices, device: after})


def forgotten(record: Record, device: DeviceId) -> Record:
    """As if it had never come. Raises KeyError."""
    left = {name: one for name, one in record.devices.items() if name != device}
    if len(left) == len(record.devices):
        raise KeyError(device)
    return replace(record, devices=left)


def reactivated(record: Record, now: Instant) -> Record:
    """Not idle, counted from now on."""
    return replace(record, reactivated=to_milliseconds(now))


def read_label(text: str) -> str:
    """A name somebody typed for a device.

    Raises:
        ValueError: it is not 1 to MAX_LABEL printable characters; it is not repeated, since
            what is wrong with it may be what it does to a terminal.
    """
    plain = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(plain) <= MAX_LABEL or not plain.isprintable():
        raise ValueError(f"a device's name is 1 to {MAX_LABEL} printable characters")
    return plain


# -- as a document ------------------------------------------------------------------------


def render_record(record: Record) -> bytes:
    """The one form in which a record is kept."""
    return _ENCODER.encode(record)


def parse_record(data: bytes) -> Record:
    """Read a record back.

    Raises:
        StateUnavailableError: it is not exactly what `render_record` writes. Which devices were
            refused is not known then.
    """
    try:
        record = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("devices in the state cannot be read") from None
    if _ENCODER.encode(record) != data:
        raise StateUnavailableError("devices in the state are written in another form")
    return record


def _is_staff(text: str) -> bool:
    return text.startswith("staff:") and is_name(text.removeprefix("staff:"))


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Record)
