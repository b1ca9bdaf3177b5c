"""An own account: how somebody without an identity provider proves who they are.

One small document a person. What is decided on it is decided here; who reads and writes it,
and hashes, is `gateway/accounts.py`.

- `password` is a PHC string: the hash with its salt and its parameters, nothing else.
- `generation` grows with every change of the password or of the second factor: whatever was made
  of an older one (half a sign-in, a session of the console) is over.
- `devices` are those that signed in here before, MAX_DEVICES at most, the latest used. They
  have one right only: strangers' wrong guesses do not make them wait (`attempts.py`).

House rules: pure. A document is read back exactly as it was written, or not at all.
"""

import re

import msgspec

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, device_id
from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.second_factor import SecondFactor

MAX_DEVICES = 32  # per person; 4 KB of a document's 16
MAX_SESSION_DAYS = 30  # so long a session can be renewed; then the password is asked again

_LAST = 253_370_764_800_000  # milliseconds: the year 9999 begins
_PHC = re.compile(r"\$[a-z0-9-]{1,32}(?:\$[A-Za-z0-9+/.,=_-]{1,128}){1,4}", re.ASCII)


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device that signed in: milliseconds since 1970.

    Attributes:
        since: when the password was last asked for on it.
    """

    since: int

    def __post_init__(self) -> None:
        _require_moment(self.since)


class Account(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How one person signs in.

    Attributes:
        password: its hash, as a PHC string.
        must_change: somebody else knows it; nothing but changing it is open.
        changed_at: milliseconds since 1970.
        generation: from 1, one more with each password or second factor.
        second: the second factor; None = they have none.
    """

    password: str
    must_change: bool
    changed_at: int
    generation: int
    devices: dict[str, Device]
    second: SecondFactor | None = None

    def __post_init__(self) -> None:
        _require_moment(self.changed_at)
        if not _PHC.fullmatch(self.password):
            raise ValueError("the hash of a password is a PHC string")
        if self.generation < 1 or len(self.devices) > MAX_DEVICES:
            raise ValueError("an account has a generation from 1, and so many devices")
        for name in self.devices:
            device_id(name)

    def knows(self, device: DeviceId | None) -> bool:
        """Did this device sign in to this account before?"""
        return device is not None and device in self.devices


def with_password(
    before: Account | None, password: str, now: Instant, *, must_change: bool
) -> Account:
    """The account with another password. Its devices stay known: they have to sign in anew.

    Its second factor stays: whoever hands out passwords does not thereby get past it.
    """
    return Account(
        password=password,
        must_change=must_change,
        changed_at=to_milliseconds(now),
        generation=1 if before is None else before.generation + 1,
        devices={} if before is None else before.devices,
        second=None if before is None else before.second,
    )


def with_second(before: Account, second: SecondFactor | None) -> Account:
    """The account with another second factor, or without one."""
    return msgspec.structs.replace(before, second=second, generation=before.generation + 1)


def signed_in(
    before: Account, device: DeviceId, now: Instant, *, rehashed: str | None = None
) -> Account:
    """The account after a sign-in on this device.

    Args:
        before: as it was when the password was checked.
        device: known from now on; the one longest unused makes room for it.
        now: when.
        rehashed: the same password with today's parameters; None = it has them.
    """
    others = {name: kept for name, kept in before.devices.items() if name != device}
    room = sorted(others, key=lambda name: (others[name].since, name))
    for name in room[: max(0, len(others) - MAX_DEVICES + 1)]:
        del others[name]
    devices = {**others, device: Device(since=to_milliseconds(now))}
    return msgspec.structs.replace(
        before, devices=devices, password=before.password if rehashed is None else rehashed
    )


def may_renew(account: Account, device: DeviceId | None, now: Instant) -> bool:
    """May a session go on without the password being asked for?"""
    if account.must_change or device is None or device not in account.devices:
        return False
    age = to_milliseconds(now) - account.devices[device].since
    return age < MAX_SESSION_DAYS * 86_400_000


def render_account(account: Account) -> bytes:
    """The one form in which an account is kept."""
    return _ENCODER.encode(account)


def parse_account(data: bytes) -> Account:
    """Read an account back.

    Raises:
        StateUnavailableError: it is not exactly what `render_account` writes. How the person
            signs in is not known then; they do not.
    """
    try:
        account = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("an account in the state cannot be read") from None
    if _ENCODER.encode(account) != data:
        raise StateUnavailableError("an account in the state is written in another form")
    return account


def _require_moment(count: int) -> None:
    if not 0 <= count <= _LAST:
        raise ValueError("an instant lies between 1970 and 9999")


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(Account)
