"""From the root of an answer down to its records, and what may stand around them.

True here:
- Whether the answer lost a record makes no difference to what stays beside: it would tell.
- Beside records that were chosen by conditions stands nothing but their own number.
- What stands around a single record that leaves goes with it, uncounted.
- Of members that stand twice the last one stays, also where it holds the records: what was
  read before counts for nothing.
- The answer is read in pieces (`pieces.py`) and yields between them. A record, and a member
  beside the records, is read in one go.

Raises what `walk` and `pieces` raise, `NoRecordsError` and `RecordRefusedError`.
"""

import re
from collections.abc import Generator
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from gateway.domain.fieldpath import ITEMS
from gateway.domain.record import RecordNote
from gateway.masking.counts import Counts
from gateway.masking.cutter import GONE
from gateway.masking.leaves import first_byte
from gateway.masking.pieces import (
    PIECE,
    NotJsonError,
    Text,
    read_items,
    read_members,
    read_records,
)
from gateway.masking.plan import UNMAPPED_DROP, Node
from gateway.masking.walk import BATCH, Walk

_encode = msgspec.json.Encoder().encode
_read_text = msgspec.json.Decoder(str).decode

_QUOTE = ord('"')
_CONTAINERS = b"{["
_NUMBERS = b"-0123456789"
_WHOLE = re.compile(rb"-?[0-9]+")

_NOTHING = Raw(b"null")  # holds a place

# What stays of a value, as bytes to be joined; None = it is a record that goes, or around one.
Parts = list[bytes | memoryview]


class NoRecordsError(Exception):
    """The envelope lacks the member that holds the records."""


class RecordRefusedError(Exception):
    """The one record that was asked for may not be seen. `note`: what was known of it."""

    def __init__(self, note: RecordNote | None) -> None:
        super().__init__()
        self.note = note


_OTHER_SHAPE = (msgspec.MsgspecError, NotJsonError, NoRecordsError)


def answer_steps(walk: Walk, body: bytes) -> Generator[None, None, bytes]:
    """Walk down the envelope and cut the records."""
    text = Text(body)
    parts = yield from _inside(walk, text, walk.plan.records)
    text.end()
    if parts is None:
        raise RecordRefusedError(walk.note)
    if len(parts) > len("[x]"):
        yield
    return b"".join(parts)


def error_steps(walk: Walk, body: bytes) -> Generator[None, None, bytes]:
    """Cut an error body, which must be an object."""
    return (yield from walk.alone_steps(_error_node(walk), read_members(body)))


def short_answer(walk: Walk, body: bytes) -> bytes:
    """`answer_steps` of a body so short that all of it is read at once."""
    made = _short(walk, body, walk.plan.records)
    if made is None:
        raise RecordRefusedError(walk.note)
    return made


def short_error(walk: Walk, body: bytes) -> bytes:
    """`error_steps` of such a body."""
    return walk.alone(_error_node(walk), read_members(body))


def _error_node(walk: Walk) -> Node:
    return walk.plan.error if walk.guards else walk.plan.open_error


# -- all of it at once: as below, but msgspec finds the members and items -------------------------


def _short(walk: Walk, text: bytes | Raw, steps: tuple[str, ...]) -> bytes | None:
    """What stays of a text in which nothing was counted yet; None = as in `Parts`."""
    if not steps:
        members = read_members(text)
        _take_note(walk, members)
        made = walk.few([members], lambda: [read_members(text)])
        return made[1:-1] or None
    if steps == (ITEMS,):
        return walk.few(read_records(text), partial(read_records, text))
    if steps[0] == ITEMS:
        return _short_items(walk, text, steps[1:])
    members = read_members(text)
    if steps[0] not in members:
        raise NoRecordsError
    inside = _short(walk, members[steps[0]], steps[1:])
    if inside is None:
        return None
    guards, kept = walk.guards, walk.counts.records
    around: dict[str, Any] = {}
    for name, raw in members.items():
        if name == steps[0]:
            around[name] = Raw(inside)
        else:
            value = _beside(walk, name, raw, kept) if guards else raw
            if value is not GONE:
                around[name] = value
    return _encode(around)


def _short_items(walk: Walk, text: bytes | Raw, steps: tuple[str, ...]) -> bytes:
    cutter, counted = walk.cutter, walk.counts
    parts: list[bytes] = []
    for item in read_items(text):
        cutter.counts = Counts()
        inside = _short(walk, item, steps)
        if inside is not None:  # what stands around a record that leaves is not counted
            parts.append(inside)
        counted.add(cutter.counts)
    cutter.counts = counted
    return b"[%b]" % b",".join(parts)


# -- in steps -------------------------------------------------------------------------------------


def _inside(walk: Walk, text: Text, steps: tuple[str, ...]) -> Generator[None, None, Parts | None]:
    if not steps:
        return (yield from _record(walk, text))
    if steps == (ITEMS,):
        return (yield from _records(walk, text))
    if steps[0] == ITEMS:
        return (yield from _items(walk, text, steps[1:]))
    return (yield from _object(walk, text, steps))


def _record(walk: Walk, text: Text) -> Generator[None, None, Parts | None]:
    """One record by itself."""
    raw = text.value()
    if len(raw) > PIECE:
        yield
    members = read_members(raw)
    _take_note(walk, members)
    made = yield from walk.records([members], lambda: [read_members(raw)], size=len(raw))
    return [memoryview(made)[1:-1]] if len(made) > len("[]") else None


def _take_note(walk: Walk, record: dict[str, Raw]) -> None:
    """Of the one record of an answer, before anything leaves it."""
    judge = walk.judge
    if judge is not None and judge.note is not None and ITEMS not in walk.plan.records:
        walk.note = judge.note(record)


def _records(walk: Walk, text: Text) -> Generator[None, None, Parts | None]:
    """A list of records."""
    parts: Parts = [b"["]
    for number, (records, piece) in enumerate(text.pieces(read_records)):
        if number:
            yield
        made = yield from walk.records(records, partial(read_records, piece), size=len(piece))
        if len(made) > len("[]"):
            parts += [memoryview(made)[1:-1], b","]
    return _closed(parts, b"]")


def _items(walk: Walk, text: Text, steps: tuple[str, ...]) -> Generator[None, None, Parts | None]:
    """A list of what holds the records, or one of them."""
    parts: Parts = [b"["]
    for _ in text.items():
        inside = yield from _inside(walk, text, steps)
        if inside is not None:
            parts += [*inside, b","]
        yield
    return _closed(parts, b"]")


def _object(walk: Walk, text: Text, steps: tuple[str, ...]) -> Generator[None, None, Parts | None]:
    """What has the records, or one of them, at a member."""
    outer, walk.cutter.counts = walk.counts, Counts()
    members: dict[str, Raw] = {}
    inside: Parts | None = None
    broken: Exception | None = NoRecordsError()
    for at, name in enumerate(text.members()):
        if name != steps[0]:
            members[name] = text.value()
        else:
            members[name], start = _NOTHING, text.mark()
            walk.cutter.counts, broken = Counts(), None
            try:
                inside = yield from _inside(walk, text, steps[1:])
            except _OTHER_SHAPE as error:
                broken = error  # unless it stands here once more
                text.back(start)
                text.value()
        if not at % BATCH:
            yield
    if broken is not None:
        raise broken
    parts = None
    if inside is not None:
        parts = yield from _around(walk, members, steps[0], inside)
    outer.add(walk.counts)
    walk.cutter.counts = outer
    return parts


def _around(
    walk: Walk, members: dict[str, Raw], at: str, inside: Parts
) -> Generator[None, None, Parts]:
    parts: Parts = [b"{"]
    kept = walk.counts.records
    for number, (name, raw) in enumerate(members.items()):
        if name == at:
            parts += [_encode(name), b":", *inside, b","]
            continue
        value = _beside(walk, name, raw, kept) if walk.guards else raw
        if value is not GONE:
            parts += [_encode(name), b":", _encode(value), b","]
        if not number % BATCH:
            yield
    return _closed(parts, b"}")


def _closed(parts: Parts, bracket: bytes) -> Parts:
    if len(parts) > 1:
        parts.pop()  # the last comma
    parts.append(bracket)
    return parts


def _beside(walk: Walk, name: str, raw: Raw, kept: int) -> Any:
    """What stays of a member beside the records, of which so many are kept."""
    plan = walk.plan
    if name not in plan.beside or first_byte(raw) in _CONTAINERS:
        return walk.cutter.drop(UNMAPPED_DROP)
    if not walk.may_refuse:
        return raw
    if name in plan.page_totals and _WHOLE.fullmatch(raw):
        return kept
    # Whether there is a next page tells how many the CRM found, also in what is hidden.
    if walk.conditions is not None:
        return walk.cutter.drop(UNMAPPED_DROP)
    return walk.cutter.drop(UNMAPPED_DROP) if name in plan.page_totals or _counts(raw) else raw


def _counts(raw: Raw) -> bool:
    """A number, or a text of digits only, in whatever script."""
    first = first_byte(raw)
    return first in _NUMBERS or (first == _QUOTE and _read_text(raw).strip().isnumeric())
