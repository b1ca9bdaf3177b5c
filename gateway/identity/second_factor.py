"""A second factor of an own account: the key of an authenticator app, and codes for without it.

- `last` is the step whose code was taken last (`totp.py`): no code is taken twice.
- A recovery code is 80 random bits; each works once. Kept is HMAC-SHA-256 of it under the key
  beside it: nothing slower is needed against guesses at 80 bits, and whoever reads the account
  reads the key as well.

House rules: pure; randomness is an argument. Every recovery code that is left is compared,
whichever fits.
"""

import base64
import hmac
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from gateway.domain.time import Instant, to_milliseconds
from gateway.identity.totp import plain, read_secret, taken, write_secret

RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits, 16 letters
_GROUP = 4
_CONTEXT = b"salon-gateway recovery code v1:"
_LAST_MOMENT = 253_370_764_800_000  # milliseconds: the year 9999 begins
_MARK_DIGITS = 32  # 128 bits of the MAC


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an account keeps of it.

    Attributes:
        secret: the key, in base32.
        since: milliseconds since 1970.
        last: the step whose code was taken last.
        recovery: of each recovery code that is left, its keyed hash.
    """

    secret: str
    since: int
    last: int
    recovery: tuple[str, ...]

    def __post_init__(self) -> None:
        read_secret(self.secret)
        if not 0 <= self.since <= _LAST_MOMENT or not 0 <= self.last <= _LAST_MOMENT:
            raise ValueError("an instant lies between 1970 and 9999")
        if len(self.recovery) > RECOVERY_CODES or not all(map(_is_mark, self.recovery)):
            raise ValueError("recovery codes are kept as so many keyed hashes")


def begun(secret: bytes, typed: str, codes: Sequence[str], now: Instant) -> SecondFactor | None:
    """A new one, proved by a first code; None = the code is wrong.

    Args:
        secret: the key that was shown.
        typed: a code that the app made of it.
        codes: the recovery codes.
        now: by our clock.
    """
    counter = taken(secret, typed, now, after=-1)
    if counter is None:
        return None
    return SecondFactor(
        secret=write_secret(secret),
        since=to_milliseconds(now),
        last=counter,
        recovery=tuple(_mark(secret, plain(code)) for code in codes),
    )


def used(before: SecondFactor, typed: str, now: Instant) -> SecondFactor | None:
    """What is left after this code was taken; None = it is wrong, or was taken before."""
    secret = read_secret(before.secret)
    counter = taken(secret, typed, now, after=before.last)
    mark = _mark(secret, plain(typed))
    left = tuple(one for one in before.recovery if not hmac.compare_digest(one, mark))
    if counter is not None:
        return msgspec.structs.replace(before, last=counter)
    return msgspec.structs.replace(before, recovery=left) if left != before.recovery else None


def recovery_code(drawn: bytes) -> str:
    """A recovery code of RECOVERY_BYTES random bytes: `abcd-efgh-ijkl-mnop`."""
    if len(drawn) != RECOVERY_BYTES:
        raise ValueError(f"a recovery code is made of {RECOVERY_BYTES} bytes")
    text = base64.b32encode(drawn).decode().lower()
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def _mark(secret: bytes, code: str) -> str:
    # Longer than what HOTP hashes, and with another hash: the two never meet.
    text = code.encode("utf-8", "surrogatepass")
    return hmac.digest(secret, _CONTEXT + text, sha256).hex()[:_MARK_DIGITS]


def _is_mark(text: str) -> bool:
    return len(text) == _MARK_DIGITS and set(text) <= set("0123456789abcdef")
