"""One pass over one body: takes out what the plan says and keeps count.

True here:
- Values are cut where they stand, kept ones are never decoded: `Raw` is their bytes.
- Records of a list mostly share one shape (the same members in the same order), so names
  are looked up once per shape and not once per member.
- A record that may not be seen is judged before anything in it is cut or counted: nothing
  of it is in the result, and nothing of it in the counts but that it left.
- A **quick** pass takes leaves on trust: it does not look whether a member with nothing
  declared below it holds an object. It is right iff none does, which `leaves_hold` finds
  out from the result: a text with no more braces than the pass itself wrote holds no more
  objects. If it cannot tell, a **careful** pass looks at every leaf.

Raises msgspec's errors, `NoRecordsError` for an envelope without its records,
`RecordRefusedError` and `TooManyShapesError`.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from gateway.domain.fieldpath import ITEMS
from gateway.domain.record import RecordNote
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge, something_leaves
from gateway.masking.plan import UNMAPPED_DROP, Drop, Node, Place, Plan

# Of the objects of one answer, counted for each place and each way of cutting it. Real ones
# have a few dozen; a program each for a million objects that share no shape stops the worker
# for seconds and takes 400 MB.
MAX_SHAPES = 16_384
BATCH = 64  # records cut in one go: a pause of well under a millisecond

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_ARRAY = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode

_GONE = object()  # what stands here leaves
_BRACE, _BRACKET, _NULL, _QUOTE = b'{[n"'
_CONTAINERS = b"{["
_NUMBERS = b"-0123456789"
_WHOLE = re.compile(rb"-?[0-9]+")
# Every way in which an array can open inside another: after `[`, `,` or white space. The
# look-behind stands after the bracket because `re` then leaps from bracket to bracket.
_ARRAY_IN_ARRAY = re.compile(rb"\[(?<=[\[,\s]\[)")


class NoRecordsError(Exception):
    """The envelope lacks the member that holds the records."""


class RecordRefusedError(Exception):
    """The one record that was asked for may not be seen. `note`: what was known of it."""

    def __init__(self, note: RecordNote | None) -> None:
        super().__init__()
        self.note = note


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

    def __init__(
        self,
        plan: Plan,
        *,
        careful: bool,
        judge: RecordJudge | None = None,
        judges: Judges = NO_JUDGES,
        guards: bool | None = None,
    ) -> None:
        self.plan = plan
        self.careful = careful
        self.judge = judge
        self.judges = judges
        # Something may leave this answer: then only what is known stays around the records.
        self.guards = (
            plan.hides or plan.depends or something_leaves(plan.embeds, judges)
            if guards is None
            else guards
        )
        self.records = 0
        self.refused = 0
        self.note: RecordNote | None = None  # of the one record, if the answer is one
        self.dropped: Counter[str] = Counter()
        self.hidden: set[str] = set()
        self.shown: set[str] = set()
        self.objects = 0  # that this pass writes, other than by a program
        self.arrays = 0  # that this pass writes
        self.shapes = 0  # that it met
        self._programs: dict[Node, dict[tuple[str, ...], _Program]] = {}

    def answer(self, body: bytes) -> bytes:
        """Walk down the envelope and cut the records."""
        made = self._envelope(Raw(body), self.plan.records)
        if made is _GONE:
            raise RecordRefusedError(self.note)
        return _encode(made)

    def error(self, body: bytes) -> bytes:
        """Cut an error body, which must be an object."""
        members = _OBJECT.decode(body)
        self._objects(self.plan.error if self.guards else self.plan.open_error, [members])
        return _encode(members)

    def _envelope(self, raw: Raw, steps: tuple[str, ...]) -> Any:
        """What stays of an answer: `_GONE` if its one record goes."""
        if not steps:
            record = _OBJECT.decode(raw)
            self._take_note(record)
            kept = self._list([record])
            return kept[0] if kept else _GONE
        if steps == (ITEMS,):
            self.arrays += 1
            return self._list(_OBJECTS.decode(raw))
        if steps[0] == ITEMS:
            self.arrays += 1
            inner = [self._envelope(item, steps[1:]) for item in _ARRAY.decode(raw)]
            return [value for value in inner if value is not _GONE]
        members: dict[str, Any] = _OBJECT.decode(raw)
        if steps[0] not in members:
            raise NoRecordsError
        before = self.records
        inside = self._envelope(members[steps[0]], steps[1:])
        if inside is _GONE:
            return _GONE  # what stood around it goes too, uncounted
        self.objects += 1
        for name in tuple(members) if self.guards else ():
            if name != steps[0]:
                value = self._beside(name, members[name], self.records - before)
                if value is _GONE:
                    del members[name]
                else:
                    members[name] = value
        members[steps[0]] = inside
        return members

    def _take_note(self, record: dict[str, Raw]) -> None:
        """Of the one record of an answer, before anything leaves it."""
        judge = self.judge
        if judge is None or not judge.depends or judge.note is None:
            return
        if ITEMS not in self.plan.records:
            self.note = judge.note(record)

    def _beside(self, name: str, raw: Raw, kept: int) -> Any:
        """What stays of a member beside the records, of which so many are kept.

        Whether this answer lost a record makes no difference: it would tell.
        """
        plan = self.plan
        if name not in plan.beside or _first(raw) in _CONTAINERS:
            return self._drop(UNMAPPED_DROP)
        if not plan.may_refuse:
            return raw
        if name in plan.page_totals and _WHOLE.fullmatch(raw):
            return kept
        return self._drop(UNMAPPED_DROP) if name in plan.page_totals or _counts(raw) else raw

    def _list(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Cut records in place, batch by batch: a later caller may pause in between.

        Returns those that stay.
        """
        kept = records
        if self.judge is None or not self.judge.depends:
            for start in range(0, len(records), BATCH):
                self._objects(self.plan.record, records[start : start + BATCH])
        else:
            kept = []
            for start in range(0, len(records), BATCH):
                kept += self._judged(self.judge, records[start : start + BATCH])
        self.records += len(kept)
        self.refused += len(records) - len(kept)
        return kept

    def _judged(self, judge: RecordJudge, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Cut each record as its judge says; those that stay, in their order."""
        alike: dict[Node, list[dict[str, Any]]] = {}
        kept = []
        for members in batch:
            node = judge.node(members)
            if node is None:
                continue
            kept.append(members)
            if node in alike:
                alike[node].append(members)
            else:
                alike[node] = [members]
        for node, records in alike.items():
            self._objects(node, records)
        return kept

    def _objects(self, node: Node, batch: list[dict[str, Any]]) -> None:
        """Cut objects that stand at one place of the plan, in place."""
        programs = self._programs.setdefault(node, {})
        for members in batch:
            shape = tuple(members)
            program = programs.get(shape)
            if program is None:
                if self.shapes >= MAX_SHAPES:
                    raise TooManyShapesError
                self.shapes += 1
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
        if node.embed is not None and first == _BRACE:
            return self._embedded(node.embed, raw)
        if node.misfit is not None:
            return self._drop(node.misfit)
        self.shown.update(node.names)
        return raw

    def _embedded(self, place: Place, raw: Raw) -> Any:
        """Cut a record inside a record, as what it is."""
        judge = self.judges.get(place.resource)
        members = _OBJECT.decode(raw)
        node = None if judge is None else judge.node(members, place.prefix)
        if node is None:
            return self._drop(place.drop)
        self._objects(node, [members])
        return members

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
        """Is it sure, from the result, that every leaf holds what a leaf may hold?

        What left with its record was never counted, so the sums are of what was written.
        """
        if not any(node.wary for node in self._programs):
            return True
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


def _counts(raw: Raw) -> bool:
    """A number, or a text of digits only, in whatever script."""
    first = _first(raw)
    return first in _NUMBERS or (first == _QUOTE and _TEXT.decode(raw).strip().isnumeric())


def _is_leaf_value(first: int, raw: Raw) -> bool:
    """A scalar, or an array of scalars."""
    if first == _BRACKET:
        return all(_first(item) not in _CONTAINERS for item in _ARRAY.decode(raw))
    return first != _BRACE
