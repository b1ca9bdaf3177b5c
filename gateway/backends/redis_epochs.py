"""Device-session epochs in Redis, shared by any number of gateways.

They stand in the memory that `redis_watched.py` watches, each person with all devices under one
field. So a Redis that is flushed, put back from an older copy, or replaced by a replica that
missed a logout is noticed by every machine that has heard of it, and refused until it is repaired;
then nobody is known, and everybody starts above every earlier epoch.

House rules
- A read is one script, a write one script: atomic, whoever else is at it.
- A logout is in this machine's ledger before `revoke` returns, and in another's before it is
  told there.
- Every write leaves a number and a word of chance. So no version ever stands for two states, also
  when Redis lost its last writes, was flushed, or carried out a write twice.
- A value tells whose it is, and the reader checks it. What does not read, to the last
  member, as the scripts write it is StateUnavailableError, never a guess.

Redis must keep what it was told: `appendonly yes`, and a `maxmemory-policy` that evicts nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec

from gateway.backends.redis_address import RedisAddress, key_prefix
from gateway.backends.redis_memory import Repair
from gateway.backends.redis_pool import Reply
from gateway.backends.redis_scripts import ENROL, EPOCHS_VERSION, FLOOR, FLOORS, REVOKE, VERSION
from gateway.backends.redis_watched import WatchedRedis, number_in
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import EpochRow

READ_SECONDS = 0.2  # a request that waits longer is refused; it has heard so within 250 ms
WRITE_SECONDS = 2.0  # Redis, and the ledger's disk, may be busy
LIST_SECONDS = 5.0  # for the command line, not for requests

PREFIX = key_prefix("salon-gateway")

_YEAR_9999 = 253_402_300_799_999
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=_YEAR_9999)]


class DeviceState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device of a person, as the scripts write it."""

    floor: Milliseconds
    changed_at: Milliseconds


class PersonState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person, as the scripts write it."""

    staff: str
    counter: Milliseconds
    floor: Milliseconds
    changed_at: Milliseconds
    devices: Mapping[str, DeviceState]


_DECODER = msgspec.json.Decoder(PersonState)


class RedisEpochs:
    """Implements ports.EpochStore. Connects at the first call, not when made.

    Args:
        address: where Redis is.
        prefix: what every key begins with.
        ledger: this machine's ledger; its gateways share it. On a disk that lasts.
    """

    def __init__(self, address: RedisAddress, *, prefix: str = PREFIX, ledger: Path) -> None:
        self._redis = WatchedRedis(address, prefix=prefix, ledger=ledger)

    def __repr__(self) -> str:
        return f"RedisEpochs({self._redis.address})"

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""
        answer = await self._redis.ask(FLOOR, _field(staff), seconds=READ_SECONDS)
        if answer.value is None:
            return None
        person = parse_person(answer.value, staff)
        own = None if device is None else person.devices.get(device)
        return person.floor if own is None else max(person.floor, own.floor)

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token."""
        return await self._write(ENROL, staff, device, now, noted=False)

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Raise the floor of the person, or of one device, above every issued epoch."""
        return await self._write(REVOKE, staff, device, now, noted=True)

    async def version(self) -> str:
        """Another value whenever any floor may have changed since it was last asked."""
        answer = await self._redis.ask(EPOCHS_VERSION, seconds=READ_SECONDS)
        match answer.value:
            case None:  # none was ever written in this memory
                return answer.view.generation
            case bytes(stamp):
                return f"{answer.view.generation}.{stamp.decode('ascii', 'replace')}"
            case _:
                raise _strange("a version that is not ours")

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""
        reply = (await self._redis.ask(FLOORS, seconds=LIST_SECONDS)).value
        rows = [row for person in _people(reply) for row in _rows(person)]
        return sorted(rows, key=lambda row: (row.device is not None, row.staff, row.device or ""))

    async def check(self) -> None:
        """Raise StateUnavailableError unless the server answers now, and has lost nothing."""
        await self._redis.ask(VERSION, seconds=READ_SECONDS)

    async def repair(self) -> Repair | None:
        """As RedisDocuments.repair: the memory is one."""
        return await self._redis.repair()

    async def close(self) -> None:
        """Close every connection, and the ledger. Safe to call twice."""
        await self._redis.close()

    async def _write(
        self, script: str, staff: StaffId, device: DeviceId | None, now: Instant, *, noted: bool
    ) -> int:
        answer = await self._redis.ask(
            script,
            _field(staff),
            to_milliseconds(now),
            uuid4().hex,
            *(() if device is None else (device,)),
            seconds=WRITE_SECONDS,
            noted=noted,
        )
        return number_in(answer.value)


def _field(staff: StaffId) -> StaffId:
    if not staff:  # the field without a name says of which generation the hash is
        raise ValueError("a person without a name")
    return staff


def parse_person(data: Reply, staff: StaffId) -> PersonState:
    """Read what a script wrote about this person.

    Raises:
        StateUnavailableError: it is anything else.
    """
    if not isinstance(data, bytes):
        raise _strange("something that is no text")
    try:
        person = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _strange("a value that is not ours") from error
    if person.staff != staff:
        raise _strange("a value that is someone else's")
    if person.counter < max([person.floor, *(own.floor for own in person.devices.values())]):
        raise _strange("a floor above its counter")
    return person


def _people(reply: Reply) -> list[PersonState]:
    if not isinstance(reply, list) or len(reply) % 2:
        raise _strange("no list of people")
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [parse_person(text, _staff(field)) for field, text in pairs if field != b""]


def _rows(person: PersonState) -> list[EpochRow]:
    staff = StaffId(person.staff)
    return [
        EpochRow(
            staff=staff,
            device=None,
            floor=person.floor,
            changed_at=from_milliseconds(person.changed_at),
        ),
        *(
            EpochRow(
                staff=staff,
                device=DeviceId(device),
                floor=max(person.floor, own.floor),
                changed_at=from_milliseconds(own.changed_at),
            )
            for device, own in person.devices.items()
        ),
    ]


def _staff(field: Reply) -> StaffId:
    try:
        if isinstance(field, bytes):
            return StaffId(field.decode())
    except UnicodeDecodeError as error:
        raise _strange("a key that is not ours") from error
    raise _strange("a key that is not ours")


def _strange(what: str) -> StateUnavailableError:
    return StateUnavailableError(f"the state store holds {what}")
