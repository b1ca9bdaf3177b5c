"""Codes of an authenticator app: TOTP (RFC 6238) over HOTP (RFC 4226).

SHA-1, six digits, a new code every 30 seconds: what every app understands. SHA-1's collisions
do not matter here: nobody gets to choose what is hashed (RFC 6238 1.2, RFC 4226 B.2).

A code of the step before and of the step after is good, too: clocks of phones go a little wrong
(RFC 6238 5.2). A step whose code was taken, and every step before it, is over for good.

House rules: pure. What is compared with something secret is compared in constant time.
"""

import base64
import hmac
import unicodedata
from urllib.parse import quote, urlencode

from gateway.domain.time import Instant, to_milliseconds

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1  # steps to either side
SECRET_BYTES = 20  # 160 bits, as RFC 4226 4 R6 recommends: the length of SHA-1's result
MAX_TYPED = 64  # characters of what somebody typed that are looked at
_JOINTS = str.maketrans("", "", " -\t")  # people type codes as they see them: in groups


def hotp(secret: bytes, counter: int) -> str:
    """The code of a counter: RFC 4226 5.3.

    Args:
        secret: the key.
        counter: 0 to 2^64 - 1.
    """
    mac = hmac.digest(secret, counter.to_bytes(8), "sha1")
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4]) & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def counter_at(now: Instant) -> int:
    """The step that an instant lies in: RFC 6238 4.2, with T0 = 0."""
    return to_milliseconds(now) // (STEP_SECONDS * 1000)


def taken(secret: bytes, typed: str, now: Instant, *, after: int) -> int | None:
    """The step whose code this is; None = it is none that may be taken now.

    Args:
        secret: the key.
        typed: as somebody typed it.
        now: by our clock.
        after: only steps after this one count. -1 = none was taken yet.
    """
    code = plain(typed).encode("utf-8", "surrogatepass")
    here = counter_at(now)
    found = None
    for counter in range(max(0, here - WINDOW), here + WINDOW + 1):
        # Each of them is compared, whichever fits. If two steps have one code, it is the later.
        if hmac.compare_digest(hotp(secret, counter).encode(), code) and counter > after:
            found = counter
    return found


def plain(typed: str) -> str:
    """What was typed, without blanks and hyphens; full-width digits are digits (NFKC)."""
    return unicodedata.normalize("NFKC", typed[:MAX_TYPED]).translate(_JOINTS).lower()


def write_secret(secret: bytes) -> str:
    """A key as apps read it: base32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def read_secret(text: str) -> bytes:
    """Read it back. Raises ValueError: it is not the base32 of a key of ours."""
    secret = base64.b32decode(text)
    if len(secret) != SECRET_BYTES or write_secret(secret) != text:
        raise ValueError("not a key of ours")
    return secret


def grouped(text: str) -> str:
    """In groups of four, to be copied by eye."""
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def otpauth_uri(secret: bytes, *, salon: str, who: str) -> str:
    """The address that apps take a key from, as a link or as a QR code.

    Args:
        secret: the key.
        salon: a salon's id. No name of anybody stands in it: it is shown on screens.
        who: a staff id without its prefix.
    """
    label = f"{quote(salon, safe='')}:{quote(who, safe='')}"
    told = {
        "secret": write_secret(secret),
        "issuer": salon,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_SECONDS,
    }
    return f"otpauth://totp/{label}?{urlencode(told, quote_via=quote)}"
