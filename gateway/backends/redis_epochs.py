"""Device-session epochs in Redis, shared by any number of gateways.

House rules
- One key per person, devices included: an eviction or a deletion makes the whole person
  unknown (refused); it can never forget one device's logout alone.
- A read is one GET, a write one script: atomic, whoever else is at it.
- Every write also sets one key of all people: a count of the writes and a word of chance. So no
  version ever stands for two states, also when Redis lost its last writes, was flushed, or carried
  out a write twice.
- A value tells whose it is, and the reader checks it. What does not read, to the last
  member, as the scripts write it is StateUnavailableError, never a guess.

Redis must keep what it was told: `appendonly yes`, and a `maxmemory-policy` that evicts
nothing. A server put back from an older copy has forgotten the logouts since; one that is
empty has not, because everybody is unknown to it and starts above every earlier epoch.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import uuid4

import msgspec

from gateway.backends.redis_link import RedisAddress, RedisLink
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.ports import EpochRow

READ_SECONDS = 0.25  # a request that waits longer is refused
WRITE_SECONDS = 1.0  # `appendfsync always` on a busy disk takes longer than a read may
LIST_SECONDS = 5.0  # for the command line, not for requests

PREFIX = "salon-gateway:"

# Both scripts: KEYS[1] the person's key, KEYS[2] the version's; ARGV staff, milliseconds now, a
# word of chance, and a device or nothing. Redis writes numbers with 14 digits, enough for
# milliseconds until year 5138; one above that comes back in a form that the reader refuses.
_OPENING = """
local staff, now, chance, device = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local known = redis.call('GET', KEYS[1])
local person
if known then
  person = cjson.decode(known)
  if person.staff ~= staff then
    return redis.error_reply('ERR the value is not of this person')
  end
end
local function begin(at)
  person = {staff = staff, counter = at, floor = at, changed_at = now, devices = {}}
end
"""
# The version first: should it not work, then nothing was written that nobody hears of.
_CLOSING = """
local person_text = cjson.encode(person)
local writes = tonumber(string.match(redis.call('GET', KEYS[2]) or '', '^%d+') or 0)
redis.call('SET', KEYS[2], string.format('%.0f:%s', writes + 1, chance))
redis.call('SET', KEYS[1], person_text)
return string.format('%.0f', person.counter)
"""
# A device that is enrolled starts at the person's floor: that logs nobody out.
ENROL = f"""{_OPENING}
if not known then begin(now) end
if device and not person.devices[device] then
  person.devices[device] = {{floor = person.floor, changed_at = now}}
end
{_CLOSING}"""
# Above the counter AND above now: nothing issued before is current, not even by a store
# that was flushed or put back from an older copy since. Someone unknown becomes known with
# a floor above everything: other devices of theirs were refused and stay so.
REVOKE = f"""{_OPENING}
if not known then begin(now + 1) end
if known then person.counter = math.max(person.counter, now) + 1 end
if device then
  person.devices[device] = {{floor = person.counter, changed_at = now}}
else
  person.floor, person.changed_at = person.counter, now
end
{_CLOSING}"""

_VERSION = re.compile(rb"[0-9]{1,20}:[0-9a-f]{32}")
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
    """Implements ports.EpochStore. Connects at the first call, not when made."""

    def __init__(self, address: RedisAddress, *, prefix: str = PREFIX) -> None:
        self._link = RedisLink(address)
        self._address = address
        self._prefix = f"{prefix}epochs:"
        self._version = f"{prefix}epochs-version"

    def __repr__(self) -> str:
        return f"RedisEpochs({self._address})"

    async def floor(self, staff: StaffId, device: DeviceId | None) -> int | None:
        """The least epoch that is current, or None for someone unknown."""
        person = await self._person(staff, READ_SECONDS)
        if person is None:
            return None
        own = None if device is None else person.devices.get(device)
        return person.floor if own is None else max(person.floor, own.floor)

    async def enrol(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Make the person (and device) known, if new; return the epoch for a new token."""
        return await self._write(ENROL, staff, device, now)

    async def revoke(self, staff: StaffId, device: DeviceId | None, now: Instant) -> int:
        """Raise the floor of the person, or of one device, above every issued epoch."""
        return await self._write(REVOKE, staff, device, now)

    async def version(self) -> str:
        """Another value whenever any floor may have changed since it was last asked."""
        reply = await self._link.ask("GET", self._version, seconds=READ_SECONDS)
        match reply:
            case None:  # flushed, or never written: who can say how often since? Equal to nothing
                return uuid4().hex
            case bytes() if _VERSION.fullmatch(reply):
                return reply.decode()
            case _:
                raise _strange("a version that is not ours")

    async def rows(self) -> Sequence[EpochRow]:
        """Everything known, people first, ordered by name."""
        rows: list[EpochRow] = []
        for staff in await self._people():
            person = await self._person(staff, LIST_SECONDS)
            if person is not None:
                rows += _rows(person)
        return sorted(rows, key=lambda row: (row.device is not None, row.staff, row.device or ""))

    async def check(self) -> None:
        """Raise StateUnavailableError unless the server answers a read now."""
        # Not PING: a server that is still loading, or a user without rights, answers that.
        await self._link.ask("EXISTS", f"{self._prefix}-", seconds=READ_SECONDS)

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        await self._link.close()

    async def _person(self, staff: StaffId, seconds: float) -> PersonState | None:
        reply = await self._link.ask("GET", f"{self._prefix}{staff}", seconds=seconds)
        match reply:
            case None:
                return None
            case bytes():
                return parse_person(reply, staff)
            case _:
                raise _strange("something that is no text")

    async def _people(self) -> set[StaffId]:
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + "*"
        people: set[StaffId] = set()
        cursor = 0
        while True:
            reply = await self._link.ask(
                "SCAN", cursor, "MATCH", pattern, "COUNT", 1000, seconds=LIST_SECONDS
            )
            match reply:
                case [bytes(following), list(keys)]:
                    cursor = _number(following)
                    people |= {_staff(key, self._prefix) for key in keys}
                case _:
                    raise _strange("no list of keys")
            if cursor == 0:
                return people

    async def _write(
        self, script: str, staff: StaffId, device: DeviceId | None, now: Instant
    ) -> int:
        reply = await self._link.ask(
            "EVAL",
            script,
            2,
            f"{self._prefix}{staff}",
            self._version,
            staff,
            to_milliseconds(now),
            uuid4().hex,
            *(() if device is None else (device,)),
            seconds=WRITE_SECONDS,
        )
        return _number(reply)


def parse_person(data: bytes, staff: StaffId) -> PersonState:
    """Read what a script wrote about this person.

    Raises:
        StateUnavailableError: it is anything else.
    """
    try:
        person = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _strange("a value that is not ours") from error
    if person.staff != staff:
        raise _strange("a value that is someone else's")
    if person.counter < max([person.floor, *(own.floor for own in person.devices.values())]):
        raise _strange("a floor above its counter")
    return person


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


def _staff(key: object, prefix: str) -> StaffId:
    try:
        if isinstance(key, bytes):
            return StaffId(key.decode().removeprefix(prefix))
    except UnicodeDecodeError:
        pass  # refused below, like a key that is no text at all
    raise _strange("a key that is not ours")


def _number(value: object) -> int:
    if not isinstance(value, bytes) or not re.fullmatch(rb"[0-9]{1,20}", value):
        raise _strange("a value that is not a count")
    return int(value)


def _strange(what: str) -> StateUnavailableError:
    return StateUnavailableError(f"the state store holds {what}")
