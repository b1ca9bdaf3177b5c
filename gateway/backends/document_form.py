"""What a document may be, and when one is gone: the same for every store.

INVARIANT: a kind and a key reach one place in a store, and no other kind's: a kind is one of the
closed list, a key is 1 to 200 printable ASCII characters, and a store never makes one name of
the two that could be cut in another place.

House rules
- A revision never stands for two documents: what was removed, or has expired, leaves its number
  behind for FORGET_SECONDS, and the next one goes on from there. So who read a document before
  cannot replace the one that came after it.
- Instants are milliseconds, rounded down: what expires is gone up to a millisecond early, never
  late.
"""

import re

from gateway.domain.time import Instant, to_milliseconds
from gateway.ports import MAX_DOCUMENT_BYTES

FORGET_SECONDS = 3600  # nobody holds on to a revision that long between reading and writing
PRUNE = 100  # gone ones forgotten with each write, which adds one at most

_KEY = re.compile(r"[ -~]{1,200}", re.ASCII)


def require_key(key: str) -> str:
    """The key, if it may be one.

    Raises:
        ValueError: it is not 1 to 200 printable ASCII characters. The message does not repeat it.
    """
    if _KEY.fullmatch(key) is None:
        raise ValueError("a document's key is 1 to 200 printable ASCII characters")
    return key


def require_value(value: bytes) -> bytes:
    """The value, if it is small enough. Raises ValueError."""
    if len(value) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"a document has at most {MAX_DOCUMENT_BYTES} bytes")
    return value


def forget_before(now: Instant) -> int:
    """In milliseconds: what was gone by then need not leave its number behind any longer."""
    return to_milliseconds(now) - FORGET_SECONDS * 1000
