"""From a record's members to what rules ask of it: its facts in three values, and its salon.

True here:
- A fact with several paths is known only if all values that are present say the same. One
  that says nothing, or a member on the way that is no object, makes it unknown. So does a
  record in which none is present.
- Nothing raises, whatever a record holds: what cannot be compared is unknown.
- A record as the CRM wrote it (`state`) and one already parsed (`read_state`) are read alike.
- Only what is asked for is read. Records of one list hold the same few values again and
  again, so what a value says is worked out once: under a microsecond a record.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import and_
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from gateway.domain.fieldpath import ITEMS
from gateway.domain.record import MAX_FACTS, Asker, RecordState, predicate
from gateway.domain.resource import Resource

ALL_FACTS = (1 << MAX_FACTS) - 1
MAX_REMEMBERED = 4096  # values of one field; a list has a few hundred records
MAX_REMEMBERED_CHARS = 64  # ids, dates and names of salons are shorter

# Scalars only: what a list or an object holds says nothing, and is not even read.
_scalar = msgspec.json.Decoder(str | int | float | bool | None).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_NO_SCALAR: Final = ()  # stands for lists and objects: no comparison speaks of a tuple

# Facts are packed: bit n = fact n is true, bit MAX_FACTS + n = it is false. Where several
# values must agree, a fact is what all of them say: `and`.
Code = int
Paths = tuple[tuple[str, ...], ...]
T = TypeVar("T")


class Said(dict[str | int, T]):
    """What a function made of texts and whole numbers. Bounded; the rest is made anew.

    Other kinds of values are never keys: `True` and `1.0` would find what `1` said.
    """

    __slots__ = ("make", "truths")

    def __init__(self, make: Callable[[object], T]) -> None:
        super().__init__()
        self.make = make
        # By themselves: as keys they would find what 0 and 1 said.
        self.truths = tuple(map(make, (False, True)))

    def __missing__(self, value: str | int) -> T:
        made = self.make(value)
        size = len(value) if isinstance(value, str) else value.bit_length()
        if size <= MAX_REMEMBERED_CHARS and len(self) < MAX_REMEMBERED:
            self[value] = made
        return made

    def by(self, value: object) -> T:
        """What a value of any kind says."""
        kind = value.__class__
        if kind is str or kind is int:
            return self[value]  # type: ignore[index]  # its class has been looked at
        return self.truths[value is True] if kind is bool else self.make(value)


class FactReader:
    """Reads one resource's records for one person on one day.

    Attributes:
        resource: what it reads.
    """

    def __init__(
        self, resource: Resource, asker: Asker, *, asks: int = ALL_FACTS, salon: bool = True
    ) -> None:
        """Prepare to read.

        Args:
            resource: whose facts and salon are asked for.
            asker: who asks, and on which date.
            asks: the facts that matter, one bit each; the others are not read and stay
                unknown.
            salon: does the salon matter?

        Raises:
            ValueError: a fact or the salon rests on no field, or on one with `[]` or `.**`.
        """
        self.resource = resource
        facts = _facts_by_field(resource, asker, asks)
        self._facts = [(_paths(resource, name), Said(made)) for name, made in facts]
        self._salon_paths: Paths = ()
        self._salons: Said[str | None] = Said(lambda _: None)
        if salon and resource.salon is not None:
            self._salon_paths = _paths(resource, resource.salon.field)
            self._salons = Said(resource.salon.salon)
        # Most fields stand in one member of the record itself: those are read without detours.
        self._salon_at = _flat(self._salon_paths)
        self._flat = [
            (flat, said) for paths, said in self._facts if (flat := _flat(paths)) is not None
        ]
        deep = [(paths, said) for paths, said in self._facts if _flat(paths) is None]
        self._inner = [
            (paths[0][:-1], paths[0][-1], said) for paths, said in deep if len(paths) == 1
        ]
        self._many = [(paths, said) for paths, said in deep if len(paths) > 1]
        self._states: dict[tuple[str | None, Code], RecordState] = {}

    def state(self, members: Mapping[str, Raw]) -> RecordState:
        """What a record says, by its members as `msgspec` splits them."""
        salon, code = None, 0
        for name, said in self._flat:
            raw = members.get(name)
            if raw is not None:
                try:
                    value = _scalar(raw)
                except _UNREADABLE:  # no scalar, or a number beyond all bounds: unknown
                    continue
                kind = value.__class__
                if kind is str or kind is int:
                    code |= said[value]
                else:
                    code |= said.truths[value] if kind is bool else said.make(value)
        for way, last, said in self._inner:
            inside = members
            for step in way:
                raw = inside.get(step)
                opened = None if raw is None else _raw_members(raw)
                if opened is None:  # missing, or no object: unknown
                    break
                inside = opened
            else:
                raw = inside.get(last)
                if raw is not None:
                    code |= said.by(_raw_scalar(raw))
        for paths, said in self._many:
            code |= _common(_raw_values(members, paths), said)
        if self._salon_at is not None:
            raw = members.get(self._salon_at)
            if raw is not None:
                salon = self._salons.by(_raw_scalar(raw))
        elif self._salon_paths:
            salon = _one(_raw_values(members, self._salon_paths), self._salons)
        return self._states.get((salon, code)) or self._state(salon, code)

    def read_state(self, record: Mapping[str, object]) -> RecordState:
        """What a record says that is already parsed: a create's body, a case's record."""
        code = 0
        for paths, said in self._facts:
            code |= _common(_values(record, paths, _parsed), said)
        found = _values(record, self._salon_paths, _parsed)
        return self._state(_one(found, self._salons), code)

    def _state(self, salon: str | None, code: Code) -> RecordState:
        state = RecordState(salon, code & ALL_FACTS, code >> MAX_FACTS)
        if len(self._states) < MAX_REMEMBERED and len(salon or "") <= MAX_REMEMBERED_CHARS:
            self._states[salon, code] = state
        return state


def _facts_by_field(
    resource: Resource, asker: Asker, asks: int
) -> Iterable[tuple[str, Callable[[object], Code]]]:
    """For each field that is asked about: what one value of it says about all its facts."""
    asked: dict[str, list[tuple[Code, Callable[[object], bool | None]]]] = {}
    for number, fact in enumerate(resource.facts):
        if asks >> number & 1:
            compare = predicate(fact.comparison, asker)
            asked.setdefault(fact.field, []).append((1 << number, compare))
    return ((name, _code_of(comparisons)) for name, comparisons in asked.items())


def _code_of(
    comparisons: list[tuple[Code, Callable[[object], bool | None]]],
) -> Callable[[object], Code]:
    if len(comparisons) == 1:
        ((bit, compare),) = comparisons

        def one(value: object) -> Code:
            holds = compare(value)
            return 0 if holds is None else bit if holds else bit << MAX_FACTS

        return one

    def code(value: object) -> Code:
        made = 0
        for bit, compare in comparisons:
            holds = compare(value)
            if holds is not None:
                made |= bit if holds else bit << MAX_FACTS
        return made

    return code


def _paths(resource: Resource, name: str) -> Paths:
    declared = resource.fields.get(name)
    if declared is None:
        raise ValueError(f"`{resource.name}` has no field `{name}` that a fact could rest on")
    for path in declared.paths:
        if path.whole or ITEMS in path.steps or not path.steps:
            raise ValueError(f"`{path}` holds no single value that a fact could rest on")
    return tuple(path.steps for path in declared.paths)


def _flat(paths: Paths) -> str | None:
    """The one member of the record in which the field stands, if it is so simple."""
    return paths[0][0] if len(paths) == 1 and len(paths[0]) == 1 else None


# -- values ----------------------------------------------------------------------------------

Opened = Callable[[Any], Mapping[str, Any] | None]  # an object's members; None = no object


def _raw_values(members: Mapping[str, Raw], paths: Paths) -> list[object] | None:
    """The scalars at the paths of a record as the CRM wrote it; see `_values`."""
    found = _values(members, paths, _raw_members)
    return None if found is None else [_raw_scalar(raw) for raw in found]


def _values(record: Mapping[str, Any], paths: Paths, opened: Opened) -> list[Any] | None:
    """What stands at the paths; None if something on the way is no object."""
    found: list[Any] = []
    for *way, last in paths:
        members = record
        for step in way:
            if step not in members:
                break
            inside = opened(members[step])
            if inside is None:
                return None
            members = inside
        else:
            if last in members:
                found.append(members[last])
    return found


def _raw_members(raw: Raw) -> Mapping[str, Raw] | None:
    try:
        return _object(raw)
    except _UNREADABLE:
        return None


def _raw_scalar(raw: Raw) -> object:
    try:
        return _scalar(raw)
    except _UNREADABLE:
        return _NO_SCALAR


def _parsed(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, dict) else None


def _common(values: list[Any] | None, said: Said[Code]) -> Code:
    """What all values say; nothing if there are none."""
    return reduce(and_, map(said.by, values)) if values else 0


def _one(values: list[Any] | None, said: Said[str | None]) -> str | None:
    """The salon that all values name."""
    salons = {said.by(value) for value in values or ()}
    return salons.pop() if len(salons) == 1 else None
