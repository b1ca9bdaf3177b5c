r"""A document as Redis, and the ledger of locks, have it: a line about it, then its bytes.

    REVISION GONE WORD MARK KIND KEY\n
    value

GONE is when it expires or was removed, in milliseconds, or `-`; WORD is of chance, another one
for each write; MARK is `=`, or `x` for what was removed, which has no value. The key is the only
one that may hold a space. The entry tells whose it is, so that no answer is taken for another's.
"""

import re
from dataclasses import dataclass

from gateway.domain.errors import StateUnavailableError
from gateway.domain.time import from_milliseconds
from gateway.ports import MAX_DOCUMENT_BYTES, Kept, Kind

NEVER = "-"
STANDS, REMOVED = "=", "x"
MAX_MILLISECONDS = 253_402_300_799_999  # year 9999

_LINE = re.compile(
    rb"([1-9][0-9]{0,14}) (-|[0-9]{1,15}) ([0-9a-f]{32}) ([=x]) ([a-z_]{1,32}) ([ -~]{1,200})\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What stands under a key.

    Attributes:
        gone_at: in milliseconds; None = never.
        removed: nothing stands there; the entry keeps its number.
        text: the whole of it, as it is written.
    """

    revision: int
    gone_at: int | None
    removed: bool
    value: bytes
    text: bytes

    def living(self, moment: int) -> Kept | None:
        """The document at so many milliseconds since 1970, or None if it is gone."""
        if self.removed or (self.gone_at is not None and self.gone_at <= moment):
            return None
        return kept(self.value, self.revision, self.gone_at)


def kept(value: bytes, revision: int, gone_at: int | None) -> Kept:
    """A document as it is told."""
    expires = None if gone_at is None else from_milliseconds(gone_at)
    return Kept(value=value, revision=revision, expires=expires)


def parse_entry(text: object, kind: Kind, key: str) -> Entry:
    """Read what was written under this key.

    Raises:
        StateUnavailableError: it is anything else.
    """
    line = _LINE.match(text) if isinstance(text, bytes) else None
    if line is None or not isinstance(text, bytes):
        raise StateUnavailableError("the state store holds a document that is not ours")
    revision, gone, _, mark, of_kind, of_key = line.groups()
    if (of_kind, of_key) != (kind.encode(), key.encode()):
        raise StateUnavailableError("the state store holds a document under another's key")
    value = text[line.end() :]
    gone_at = None if gone == NEVER.encode() else int(gone)
    removed = mark == REMOVED.encode()
    if (
        len(value) > MAX_DOCUMENT_BYTES
        or (gone_at or 0) > MAX_MILLISECONDS
        or (removed and (value or gone_at is None))
    ):
        raise StateUnavailableError("the state store holds a document that is not ours")
    return Entry(revision=int(revision), gone_at=gone_at, removed=removed, value=value, text=text)


def entry_tail(
    kind: Kind, key: str, value: bytes | None, *, gone_at: int | None, word: str
) -> bytes:
    """All of an entry but its revision, which the server counts. No value = removed."""
    gone = NEVER if gone_at is None else str(gone_at)
    mark = REMOVED if value is None else STANDS
    return f"{gone} {word} {mark} {kind} {key}\n".encode() + (value or b"")


def with_revision(entry: Entry, revision: int) -> bytes:
    """The same entry under another number."""
    return b"%d %s" % (revision, entry.text.partition(b" ")[2])
