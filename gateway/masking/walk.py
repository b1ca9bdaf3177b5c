"""One pass over one body: takes out what the plan says and keeps count.

True here:
- Values are cut where they stand, kept ones are never decoded: `Raw` is their bytes.
- Records of a list mostly share one shape (the same members in the same order), so names
  are looked up once per shape and not once per member.
- A **quick** pass takes leaves on trust: it does not look whether a member with nothing
  declared below it holds an object. It is right iff none does, which `leaves_hold` finds
  out from the result: a text with no more braces than the pass itself wrote holds no more
  objects. If it cannot tell, a **careful** pass looks at every leaf.

Raises msgspec's errors, `NoRecordsError` for an envelope without its records, and
`TooManyShapesError`.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from gateway.domain.fieldpath import ITEMS
from gateway.masking.plan import UNMAPPED_DROP, Drop, Node, Plan

# Of the objects at one place of one answer. Real ones have a few; a program each for a million
# objects that share no shape stops the worker for seconds and takes 400 MB.
MAX_SHAPES = 4096
BATCH = 64  # records cut in one go: a pause of well under a millisecond

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_ARRAY = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode

_GONE = object()  # what stands here leaves
_BRACE, _BRACKET, _NULL = b"{[n"
_CONTAINERS = b"{["
# Every way in which an array can open inside another: after `[`, `,` or white space. The
# look-behind stands after the bracket because `re` then leaps from bracket to bracket.
_ARRAY_IN_ARRAY = re.compile(rb"\[(?<=[\[,\s]\[)")


class NoRecordsError(Exception):
    """The envelope lacks the member that holds the records."""


class TooManyShapesError(Exception):
    """Hardly two of the objects at one place have the same members."""


@dataclass(slots=True)
class _Program:
    """What to do with objects of one shape, and to how many it was done.

    Attributes:
        delete: members that leave whatever they hold.
        drops: how their loss is counted.
        leaves: members with nothing declared below them.
        look: members whose value decides.
        lost: how often a leaf held what no leaf holds, and left, by member.
    """

    delete: tuple[str, ...]
    drops: tuple[Drop, ...]
    leaves: tuple[tuple[str, Node], ...]
    look: tuple[tuple[str, Node], ...]
    uses: int = 0
    lost: Counter[str] = field(default_factory=Counter)


class Walk:
    """The counts of one pass. The only thing in this package that changes."""

    def __init__(self, plan: Plan, *, careful: bool) -> None:
        self.plan = plan
        self.careful = careful
        self.records = 0
        self.dropped: Counter[str] = Counter()
        self.hidden: set[str] = set()
        self.shown: set[str] = set()
        self.objects = 0  # written beside those that programs count
        self.arrays = 0
        self._programs: dict[Node, dict[tuple[str, ...], _Program]] = {}

    def answer(self, body: bytes) -> bytes:
        """Walk down the envelope and cut the records."""
        return _encode(self._envelope(Raw(body), self.plan.records))

    def error(self, body: bytes) -> bytes:
        """Cut an error body, which must be an object."""
        members = _OBJECT.decode(body)
        self._objects(self.plan.error, [members])
        return _encode(members)

    def _envelope(self, raw: Raw, steps: tuple[str, ...]) -> Any:
        if not steps:
            return self._list([_OBJECT.decode(raw)])[0]
        if steps == (ITEMS,):
            self.arrays += 1
            return self._list(_OBJECTS.decode(raw))
        if steps[0] == ITEMS:
            self.arrays += 1
            return [self._envelope(item, steps[1:]) for item in _ARRAY.decode(raw)]
        members: dict[str, Any] = _OBJECT.decode(raw)
        if steps[0] not in members:
            raise NoRecordsError
        self.objects += 1
        for name in tuple(members):
            if name == steps[0]:
                members[name] = self._envelope(members[name], steps[1:])
            elif self.plan.hides and not self._may_stay_beside(name, members[name]):
                del members[name]
                self._drop(UNMAPPED_DROP)
        return members

    def _may_stay_beside(self, name: str, raw: Raw) -> bool:
        return name in self.plan.beside and _first(raw) not in _CONTAINERS

    def _list(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Cut records in place, batch by batch: a later caller may pause in between."""
        self.records += len(records)
        for start in range(0, len(records), BATCH):
            self._objects(self.plan.record, records[start : start + BATCH])
        return records

    def _objects(self, node: Node, batch: list[dict[str, Any]]) -> None:
        """Cut objects that stand at one place of the plan, in place."""
        programs = self._programs.setdefault(node, {})
        for members in batch:
            shape = tuple(members)
            program = programs.get(shape)
            if program is None:
                if len(programs) >= MAX_SHAPES:
                    raise TooManyShapesError
                program = programs[shape] = self._program(node, shape)
            program.uses += 1
            for name in program.delete:
                del members[name]
            if self.careful:
                for name, child in program.leaves:
                    raw = members[name]
                    if _first(raw) in _CONTAINERS and self._value(child, raw) is _GONE:
                        del members[name]
                        program.lost[name] += 1
            for name, child in program.look:
                value = self._value(child, members[name])
                if value is _GONE:
                    del members[name]
                else:
                    members[name] = value

    def _program(self, node: Node, shape: tuple[str, ...]) -> _Program:
        delete: list[str] = []
        drops: list[Drop] = []
        leaves: list[tuple[str, Node]] = []
        look: list[tuple[str, Node]] = []
        for name in shape:
            child = node.members.get(name)
            drop = node.rest if child is None else child.gone
            if drop is not None:
                delete.append(name)
                drops.append(drop)
            elif child is None:
                pass  # undeclared, and may stay
            elif child.plain:
                leaves.append((name, child))
            else:
                look.append((name, child))
        return _Program(tuple(delete), tuple(drops), tuple(leaves), tuple(look))

    def _value(self, node: Node, raw: Raw) -> Any:
        """Cut one value: `_GONE`, the value as it was, or its container with less inside."""
        if node.gone is not None:
            return self._drop(node.gone)
        first = _first(raw)
        if first == _BRACE and node.members:
            members = _OBJECT.decode(raw)
            self._objects(node, [members])
            if node.whole:
                self.shown.update(node.names)
            return _GONE if node.barren else members
        if first == _BRACKET and node.items is not None:
            return self._array(node, node.items, raw)
        if _is_leaf_value(first, raw) if node.leaf else first == _NULL and not node.hides:
            self.shown.update(node.names)
            return raw
        if node.misfit is not None:
            return self._drop(node.misfit)
        self.shown.update(node.names)
        return raw

    def _array(self, node: Node, items: Node, raw: Raw) -> Any:
        kept = [self._value(items, item) for item in _ARRAY.decode(raw)]
        if node.barren:
            return _GONE
        if node.whole:
            self.shown.update(node.names)
        self.arrays += 1
        return [value for value in kept if value is not _GONE]

    def _drop(self, drop: Drop, times: int = 1) -> object:
        self.hidden.update(drop.fields)
        for label in drop.classes:
            self.dropped[label] += times
        return _GONE

    def leaves_hold(self, made: bytes) -> bool:
        """Is it sure, from the result, that every leaf holds what a leaf may hold?"""
        objects = self.objects + sum(
            program.uses
            for node, programs in self._programs.items()
            if not node.barren  # a barren object was read but not written
            for program in programs.values()
        )
        if made.count(b"{") != objects:
            return False
        return made.count(b"[") == self.arrays or _ARRAY_IN_ARRAY.search(made) is None

    def add_up(self) -> None:
        """Add to the counts what the programs did. Once, at the end."""
        for programs in self._programs.values():
            for program in programs.values():
                for name, child in program.leaves:
                    if program.lost[name] < program.uses:
                        self.shown.update(child.names)
                for drop in program.drops:
                    self._drop(drop, program.uses)


def _first(raw: Raw) -> int:
    """The byte that tells a value's kind; msgspec has cut the white space before it."""
    return memoryview(raw)[0]


def _is_leaf_value(first: int, raw: Raw) -> bool:
    """A scalar, or an array of scalars."""
    if first == _BRACKET:
        return all(_first(item) not in _CONTAINERS for item in _ARRAY.decode(raw))
    return first != _BRACE
