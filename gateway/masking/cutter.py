"""Cuts objects and everything in them: takes out what their node says and keeps count.

True here:
- Values are cut where they stand, kept ones are never decoded: `Raw` is their bytes.
- Objects at one place mostly share one shape (the same members in the same order), so names
  are looked up once per shape, and each member of a batch is cut for all its objects at once.
- A **quick** cut takes leaves on trust: it does not look whether a member with nothing
  declared below it holds an object. Whoever asks for it finds out afterwards whether none
  did (`leaves.hold_no_more`). A **careful** cut looks at every leaf.
- What is too large for one go, a long array or an object with many members, is put off, and
  so is what comes after `EFFORT` in one go. Nothing is written before `settle` has cut that
  too, with a pause after each part.

Raises msgspec's errors and `TooManyShapesError`.
"""

from collections.abc import Generator
from types import GeneratorType
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gateway.masking.counts import Counts, grow
from gateway.masking.judge import Judges
from gateway.masking.leaves import first_byte, only_scalars
from gateway.masking.pieces import PIECE, Text, read_items, read_members, read_records
from gateway.masking.plan import Drop, Node, Place, Program
from gateway.masking.programs import new_program
from gateway.masking.steps import all_at_once

# Of the objects of one answer, counted for each place and each way of cutting it. Real ones
# have a few dozen; a program each for a million objects that share no shape stops the worker
# for seconds and takes 400 MB.
MAX_SHAPES = 16_384
SMALL = 512  # bytes of an array that is cut in one go
MANY = 1024  # members of an object that is not cut in one go
FEW = 256  # members or items that are
# Values looked at, and members of shapes that were new, in one go: about a microsecond each.
EFFORT = 1024

_encode = msgspec.json.Encoder().encode

GONE = object()  # what stands here leaves
_BRACE, _BRACKET, _NULL = b"{[n"
_CONTAINERS = b"{["

T = TypeVar("T")
Steps = Generator[None, None, T]
Members = dict[str, Any]


class TooManyShapesError(Exception):
    """Hardly two of the objects at one place have the same members."""


class Cutter:
    """Cuts what belongs to one answer.

    Attributes:
        careful: trust no leaf.
        counts: of what is being cut. Exchanged where it is not yet sure that it counts.
        effort: since the last pause; whoever pauses sets it to 0.
    """

    __slots__ = (
        "_judges",
        "_later",
        "_many",
        "_programs",
        "_shapes",
        "careful",
        "counts",
        "effort",
    )

    def __init__(self, judges: Judges, *, careful: bool) -> None:
        self.careful = careful
        self.counts = Counts()
        self.effort = 0
        self._judges = judges
        self._shapes = 0  # met so far
        self._programs: dict[tuple[Node, tuple[str, ...]], Program] = {}
        # Values too large for one go: the object and the name they stand at, the program if
        # it took them for leaves, and how they are cut.
        self._later: list[tuple[Members, str, Program | None, Steps[Any]]] = []
        self._many: list[tuple[Node, Members]] = []

    @property
    def behind(self) -> bool:
        """Something was put off."""
        return bool(self._later or self._many)

    def drop(self, drop: Drop) -> object:
        """Something leaves, and is counted."""
        self.counts.drop(drop)
        return GONE

    def objects(self, node: Node, batch: list[Members], *, large: bool = False) -> None:
        """Cut objects that stand at one place of the plan, in place."""
        if self.effort > EFFORT:
            self._many += [(node, members) for members in batch]
            return
        if large:
            self._many += [(node, members) for members in batch if len(members) > MANY]
            batch = [members for members in batch if len(members) <= MANY]
        counts = self.counts
        if node.wary:
            counts.wary = True
        if not node.barren:  # a barren object is read but not written
            counts.objects += len(batch)
        if len(batch) == 1:
            self._apply(self._program(node, tuple(batch[0])), batch)
            return
        shapes = list(map(tuple, batch))
        if shapes and shapes.count(shapes[0]) == len(shapes):
            self._apply(self._program(node, shapes[0]), batch)
            return
        alike: dict[tuple[str, ...], list[Members]] = {}
        for shape, members in zip(shapes, batch, strict=True):
            alike.setdefault(shape, []).append(members)
        for shape, some in alike.items():
            if self.effort > EFFORT:
                if not node.barren:
                    counts.objects -= len(some)
                self._many += [(node, members) for members in some]
            else:
                self._apply(self._program(node, shape), some)

    def _program(self, node: Node, shape: tuple[str, ...]) -> Program:
        program = node.programs.get(shape) or self._programs.get((node, shape))
        if program is None:
            if self._shapes >= MAX_SHAPES:
                raise TooManyShapesError
            self._shapes += 1
            self.effort += 2 + len(shape)
            program = self._programs[node, shape] = new_program(node, shape)
        return program

    def _apply(self, program: Program, batch: list[Members]) -> None:
        uses = self.counts.uses
        uses[program] = uses.get(program, 0) + len(batch)
        for name in program.delete:
            for members in batch:
                del members[name]
        if self.careful:
            for name, child in program.leaves:
                column = _encode([members[name] for members in batch])
                if b"{" in column or column.find(b"[", 1) > 0:
                    self._values(child, name, batch, program)
        for name, child in program.inner:
            if not self._column(child, name, batch):
                self._values(child, name, batch)
        for name, child in program.look:
            self._values(child, name, batch)

    def _values(
        self, node: Node, name: str, batch: list[Members], program: Program | None = None
    ) -> None:
        """Cut what stands at one name of each, one after the other."""
        for members in batch:
            value = self._value(node, members[name])
            if value.__class__ is GeneratorType:
                self._later.append((members, name, program, value))
            else:
                self._put(members, name, program, value)

    def _put(self, members: Members, name: str, program: Program | None, value: object) -> None:
        if value is not GONE:
            members[name] = value
            return
        del members[name]
        if program is not None:
            grow(self.counts.lost, (program, name))

    def _column(self, node: Node, name: str, batch: list[Members]) -> bool:
        """Cut what stands at one name of each all at once, if all are small objects."""
        if len(batch) == 1:
            return False
        inside = self._objects_in(node, _encode([members[name] for members in batch]))
        if inside is None:
            return False
        for members, value in zip(batch, inside, strict=True):
            if node.barren:
                del members[name]
            else:
                members[name] = value
        return True

    def _objects_in(self, node: Node, text: bytes | Raw) -> list[Members] | None:
        """Cut all items of an array; None = nothing is done: they are not all small objects."""
        if len(text) > PIECE:
            return None
        try:
            inside = read_records(text)
        except msgspec.ValidationError:
            return None
        self.objects(node, inside)
        if node.whole and inside:
            self.counts.shown.update(node.names)
        return inside

    def one(self, node: Node, members: Members) -> None:
        """Cut one object, in place."""
        if len(members) > MANY:
            self._many.append((node, members))
        else:
            self.objects(node, [members])

    # -- what is not done in one go ----------------------------------------------------------

    def settle(self) -> Steps[None]:
        """Cut what was too large for one go. What it holds may again be too large."""
        while self.behind:
            self.effort = 0
            if self._many:
                yield from self._cut_many(*self._many.pop())
            else:
                members, name, program, steps = self._later.pop()
                self._put(members, name, program, (yield from steps))

    def _cut_many(self, node: Node, members: Members) -> Steps[None]:
        """Cut an object with many members, carefully and without a program."""
        if not node.barren:
            self.counts.objects += 1
        for at, name in enumerate(tuple(members)):
            if not at % FEW:
                yield
                self.effort = 0
            child = node.members.get(name)
            if child is not None:
                self._values(child, name, [members])
            elif node.rest is not None:
                del members[name]
                self.drop(node.rest)

    def _long_array(self, node: Node, items: Node, raw: Raw) -> Steps[Any]:
        """Cut the items of an array, and write them."""
        # What others wait for is not begun in here: they may be many, each inside the next.
        waiting = self._later, self._many
        self._later, self._many = [], []
        parts: list[bytes] = []
        for values, _ in Text(bytes(memoryview(raw))).pieces(read_items):
            for start in range(0, len(values), FEW):
                self.effort = 0
                kept = self._items(items, values[start : start + FEW])
                for at, value in enumerate(kept):
                    if value.__class__ is GeneratorType:
                        kept[at] = yield from value
                yield from self.settle()
                kept = [value for value in kept if value is not GONE]
                if kept:
                    parts.append(_encode(kept)[1:-1])
                yield
        self._later, self._many = waiting
        return self._opened(node, Raw(b"[%b]" % b",".join(parts)))

    def _items(self, node: Node, values: list[Raw]) -> list[Any]:
        if node.branch:
            inside = self._objects_in(node, _encode(values))
            if inside is not None:
                return [] if node.barren else list(inside)
        return [self._value(node, item) for item in values]

    def _long_leaf(self, node: Node, raw: Raw) -> Steps[Any]:
        if (yield from only_scalars(raw)):
            self.counts.shown.update(node.names)
            return raw
        return self._misfit(node, raw)

    # -- values ------------------------------------------------------------------------------

    def _value(self, node: Node, raw: Raw) -> Any:
        """Cut one value: `GONE`, the value as it was, or its container with less inside.

        A generator that returns this, if it is too large for one go.
        """
        if node.gone is not None:
            return self.drop(node.gone)
        self.effort += 1
        first = first_byte(raw)
        if first not in _CONTAINERS:
            if node.leaf or (first == _NULL and not node.hides):
                self.counts.shown.update(node.names)
                return raw
        elif first == _BRACE and node.members:
            members = read_members(raw)
            self.one(node, members)
            return self._opened(node, members)
        elif first == _BRACKET and node.items is not None:
            if len(raw) > SMALL or self.effort > EFFORT:
                return self._long_array(node, node.items, raw)
            values = self._items(node.items, read_items(raw))
            return self._opened(node, [value for value in values if value is not GONE])
        elif first == _BRACKET and node.leaf:
            steps = self._long_leaf(node, raw)
            return steps if len(raw) > SMALL else all_at_once(steps)
        elif first == _BRACE and node.embed is not None:
            return self._embedded(node.embed, raw)
        return self._misfit(node, raw)

    def _opened(self, node: Node, made: Any) -> Any:
        """What becomes of a container whose inside was cut."""
        if node.barren:
            return GONE
        if node.whole:
            self.counts.shown.update(node.names)
        if made.__class__ is not dict:
            self.counts.arrays += 1
        return made

    def _misfit(self, node: Node, raw: Raw) -> Any:
        if node.misfit is not None:
            return self.drop(node.misfit)
        self.counts.shown.update(node.names)
        return raw

    def _embedded(self, place: Place, raw: Raw) -> Any:
        """Cut a record inside a record, as what it is."""
        judge = self._judges.get(place.resource)
        members = read_members(raw)
        node = None if judge is None else judge.node(members, place.prefix)
        if node is None:
            return self.drop(place.drop)
        self.one(node, members)
        return members
