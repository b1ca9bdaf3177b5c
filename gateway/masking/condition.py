"""What was asked, asked again of each record: does it stay?

True here:
- Free text (`Recheck`) is looked for in nothing but what stays of the record: the same nodes
  that cut it say where to look. A word that only stands in what is hidden is not found.
- A value stands for its text: a string as it decodes, a number as it is written (`-0` is `0`),
  an array of scalars by its items; what a `.**` leads to, and what nothing declares, at any
  depth. `true`, `false` and `null` say nothing, nor do names of members.
- A record inside a record is looked into where it may be seen, one level deep.
- The one record that holds a number (`ExactMatch`) is looked for behind everything that is
  hidden, and so only among records that may be seen at all.
- Only what is searched is decoded. One value is read in one go, and searched in parts.

Texts are compared as NFKC writes them, case folded.
"""

import re
import unicodedata
from collections.abc import Generator, Iterable, Iterator, Mapping

import msgspec
from msgspec import Raw

from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.question import Condition, ExactMatch, Recheck
from gateway.masking.judge import Judges
from gateway.masking.leaves import first_byte
from gateway.masking.pieces import read_items, read_members
from gateway.masking.plan import Node, Place, Plan

# Characters that Python normalizes in one go. Its time grows with the square of a run of
# accents: 8 MB of them would take hours. Unicode's Stream-Safe Text Format (UAX 15) allows 30.
NORMALIZED = 256
SEARCHED = 2**17  # characters searched in one go

_BRACE, _BRACKET = b"{["
_CONTAINERS = b"{["
# Up to so many characters, and better before one that never joins with what stands before.
_PART = re.compile(rf"(?s:.{{1,{NORMALIZED}}}(?=[\x00-\x7f]|\Z)|.{{1,{NORMALIZED}}})")
_NO_DIGITS = re.compile(r"[^0-9]++")
# Numbers with a point or an exponent keep their spelling; others have but one.
_read_any = msgspec.json.Decoder(float_hook=str).decode

Found = Generator[None, None, bool]


class Conditions:
    """All conditions of one question."""

    def __init__(self, conditions: tuple[Condition, ...], plan: Plan, judges: Judges) -> None:
        """Prepare to ask.

        Raises:
            ValueError: an exact match of a field that the records do not have.
        """
        exact = [condition for condition in conditions if isinstance(condition, ExactMatch)]
        for condition in exact:
            if condition.field not in plan.paths:
                raise ValueError(f"the records have no field `{condition.field}`")
        self._exact = [(plan.paths[condition.field], condition.digits) for condition in exact]
        self._searches = [
            _Search(condition, judges)
            for condition in conditions
            if isinstance(condition, Recheck) and condition.words
        ]

    def met(self, node: Node, members: Mapping[str, Raw], holders: dict[int, int]) -> Found:
        """Does a record meet all of them?

        Args:
            node: how it is to be cut.
            members: before anything leaves it.
            holders: grows by one for each exact match that the record holds.
        """
        meets = True
        for number, (paths, digits) in enumerate(self._exact):
            if any(_digits(text) == digits for path in paths for text in _at(members, path)):
                holders[number] = holders.get(number, 0) + 1
            else:
                meets = False
        for search in self._searches:
            meets = meets and (yield from search.finds(node, members))
        return meets


def folded(text: str) -> str:
    """A text as it is compared."""
    if text.isascii():
        return text.lower()
    if len(text) <= NORMALIZED:
        return unicodedata.normalize("NFKC", text).casefold()
    parts = (unicodedata.normalize("NFKC", part) for part in _PART.findall(text))
    return "".join(parts).casefold()


class _Search:
    """Free text, in what stays of a record."""

    def __init__(self, recheck: Recheck, judges: Judges) -> None:
        self._words = recheck.words
        self._fields = recheck.fields
        self._everything = recheck.everything
        self._judges = judges
        self._inside = any("." in name for name in recheck.fields)
        self._ways: dict[Node, tuple[tuple[str, Node], ...]] = {}

    def finds(self, node: Node, members: Mapping[str, Raw]) -> Found:
        """Does each word stand in a visible value?"""
        missing = list(self._words)
        for text in self._object(node, members, whole=False, inside=False):
            found = folded(text)
            if len(found) <= SEARCHED:
                missing = [word for word in missing if word not in found]
            else:
                missing = yield from _not_in(found, missing)
            if not missing:
                return True
        return False

    def _object(
        self, node: Node, members: Mapping[str, Raw], *, whole: bool, inside: bool
    ) -> Iterator[str]:
        """The texts in an object that is `whole`ly the value of a searched field, or not.

        `inside`: it is a record inside the record, or in one.
        """
        if not whole and not self._everything:
            for name, below in self._way(node):
                if name in members:
                    yield from self._value(below, members[name], whole=False, inside=inside)
            return
        for name, raw in members.items():
            child = node.members.get(name)
            if child is not None:
                yield from self._value(child, raw, whole=whole, inside=inside)
            elif node.rest is None:
                yield from _texts(raw)

    def _value(self, node: Node, raw: Raw, *, whole: bool, inside: bool) -> Iterator[str]:
        if node.gone is not None:
            return
        wanted = whole or self._wants(node)
        below = whole or (wanted and node.whole)
        first = first_byte(raw)
        if first == _BRACE and node.members:
            yield from self._object(node, read_members(raw), whole=below, inside=inside)
        elif first == _BRACKET and node.items is not None:
            for item in read_items(raw):
                yield from self._value(node.items, item, whole=below, inside=inside)
        elif node.leaf and (values := _scalars(raw, first)) is not None:
            yield from values if wanted else ()
        elif node.embed is not None:
            if first == _BRACE and not inside:
                yield from self._embedded(node.embed, read_members(raw))
        elif node.misfit is None and (below or self._everything):
            yield from _texts(raw)

    def _embedded(self, place: Place, members: Mapping[str, Raw]) -> Iterator[str]:
        judge = self._judges.get(place.resource)
        node = None if judge is None else judge.node(members, place.prefix)
        if node is not None:
            yield from self._object(node, members, whole=False, inside=True)

    def _wants(self, node: Node) -> bool:
        """Does a field stand here that is searched, and may be seen?"""
        if not node.names or node.veiled:
            return False
        return self._everything or not self._fields.isdisjoint(node.names)

    def _way(self, node: Node) -> tuple[tuple[str, Node], ...]:
        """The members that lead to what is searched."""
        way = self._ways.get(node)
        if way is None:
            way = self._ways[node] = tuple(
                (name, child) for name, child in node.members.items() if self._leads(child)
            )
        return way

    def _leads(self, node: Node) -> bool:
        if node.gone is not None:
            return False
        if self._wants(node) or (node.embed is not None and self._inside):
            return True
        below = (*node.members.values(), *(() if node.items is None else (node.items,)))
        return any(map(self._leads, below))


def _not_in(text: str, words: Iterable[str]) -> Generator[None, None, list[str]]:
    """Those of the words that a long text does not hold."""
    missing = []
    for word in words:
        for start in range(0, len(text), SEARCHED):
            if text.find(word, start, start + SEARCHED + len(word)) >= 0:
                break
            yield
        else:
            missing.append(word)
    return missing


def _at(members: Mapping[str, Raw], path: FieldPath) -> Iterator[str]:
    """The texts at a path, whoever may see them."""
    first, *steps = path.steps
    raw = members.get(first)
    if raw is not None:
        yield from _below(raw, steps, path.whole)


def _below(raw: Raw, steps: list[str], whole: bool) -> Iterator[str]:  # noqa: FBT001  # as in FieldPath
    first = first_byte(raw)
    if not steps:
        yield from _texts(raw) if whole else _scalars(raw, first) or ()
    elif steps[0] == ITEMS and first == _BRACKET:
        for item in read_items(raw):
            yield from _below(item, steps[1:], whole)
    elif steps[0] != ITEMS and first == _BRACE:
        inner = read_members(raw).get(steps[0])
        if inner is not None:
            yield from _below(inner, steps[1:], whole)


def _digits(text: str) -> str:
    return _NO_DIGITS.sub("", folded(text))


def _scalars(raw: Raw, first: int) -> list[str] | None:
    """The texts of a scalar or of an array of scalars; None = it is neither."""
    if first == _BRACE:
        return None
    value = _any(raw)
    if first != _BRACKET:
        return _said(value)
    if isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            return None
        return [text for item in value for text in _said(item)]
    return []


def _texts(raw: Raw) -> Iterator[str]:
    """Every text in a value, at any depth."""
    waiting = [_any(raw)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        else:
            yield from _said(value)


def _any(raw: Raw) -> object:
    try:
        return _read_any(raw)
    except msgspec.ValidationError:
        return None  # a number of thousands of digits, which is nobody's


def _said(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(value)] if isinstance(value, int) and not isinstance(value, bool) else []
