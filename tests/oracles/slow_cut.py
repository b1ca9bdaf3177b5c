"""The rules of the cut a second time: slowly, from their text, on parsed JSON.

It knows no tree, no shapes and no batches. It walks the document, keeps in mind the pattern
of steps it took, and asks the list of declared paths anew at every value. Scalars keep their
text, so the spelling of numbers and escapes can be compared.
"""

import json
import json.scanner
from collections import Counter
from dataclasses import dataclass, field

from gateway.domain.fieldpath import FieldPath
from gateway.domain.resource import Resource

EVERY = "[]"


class Text(str):
    """A number or a string exactly as it was spelled, quotes included."""

    __slots__ = ()


class RefusedError(Exception):
    """Not one well-formed document of the announced shape."""


class _TextKeeping(json.JSONDecoder):
    def __init__(self):
        super().__init__(
            parse_float=_number,
            parse_int=_number,
            parse_constant=_constant,
            object_pairs_hook=_members,
        )
        self.parse_string = _string
        self.scan_once = json.scanner.py_make_scanner(self)


def _number(text):
    if not text.isascii():
        raise RefusedError("digits of another script")
    return Text(text)


def _members(pairs):
    for name, _ in pairs:
        name.encode("utf-8")  # half a surrogate pair raises
    return dict(pairs)


def _constant(text):
    raise RefusedError(text)


def _string(source, start, strict):
    value, end = json.decoder.scanstring(source, start, strict)
    value.encode("utf-8")  # half a surrogate pair raises
    return Text(source[start - 1 : end]), end


def parse(body: bytes):
    """Objects as dicts (the last of equal members wins), arrays as lists, scalars as `Text`."""
    try:
        value = _TextKeeping().decode(body.decode("utf-8"))
    except (ValueError, RecursionError, StopIteration) as error:
        raise RefusedError from error
    return value


@dataclass
class Slow:
    """One cut. `strict`: undeclared members leave, whatever else holds (error bodies)."""

    resource: Resource
    hidden: frozenset[str]
    strict: bool = False
    dropped: Counter = field(default_factory=Counter)
    hid: set = field(default_factory=set)
    shown: set = field(default_factory=set)
    records: int = 0

    def __post_init__(self):
        if not self.resource.sensitive:
            self.hidden -= {"unmapped"}

    # -- what is declared ------------------------------------------------------------------

    def paths(self):
        """(field name, steps, whole) of every declared path; the id has no name."""
        for name, declared in self.resource.fields.items():
            for path in declared.paths:
                yield name, path.steps, path.whole
        if self.resource.id is not None:
            yield None, self.resource.id.steps, False

    def is_id(self, at):
        return self.resource.id is not None and self.resource.id.steps == at

    def id_at_or_below(self, at):
        return self.resource.id is not None and self.resource.id.steps[: len(at)] == at

    def declared(self, at):
        return any(steps[: len(at)] == at for _, steps, _ in self.paths())

    def goes_on(self, at, into_items):
        return any(
            len(steps) > len(at)
            and steps[: len(at)] == at
            and (steps[len(at)] == EVERY) == into_items
            for _, steps, _ in self.paths()
        )

    def names_at(self, at):
        return {name for name, steps, _ in self.paths() if name is not None and steps == at}

    # -- what is hidden --------------------------------------------------------------------

    def hidden_over(self, at):
        """The hidden fields of the nearest hidden path at or above; the id is above them all."""
        for length in range(len(at), 0, -1):
            names = self.names_at(at[:length]) & self.hidden
            if names:
                return names
        return set()

    def hidden_below(self, at):
        return any(
            name in self.hidden and len(steps) > len(at) and steps[: len(at)] == at
            for name, steps, _ in self.paths()
        )

    def undeclared_may_stay(self, at):
        if self.hidden_over(at):
            return False
        if any(
            whole and name not in self.hidden and at[: len(steps)] == steps
            for name, steps, whole in self.paths()
        ):
            return True
        return not self.strict and "unmapped" not in self.hidden

    def is_leaf(self, at):
        return self.is_id(at) or bool(self.names_at(at) and not self.hidden_over(at))

    def something_may_stay(self, at):
        if self.hidden_over(at) and not self.id_at_or_below(at):
            return False
        if self.is_leaf(at) or self.undeclared_may_stay(at):
            return True
        longer = {steps[: len(at) + 1] for _, steps, _ in self.paths() if len(steps) > len(at)}
        return any(self.something_may_stay(s) for s in longer if s[: len(at)] == at)

    # -- the cut ---------------------------------------------------------------------------

    def leave(self, names):
        """Count one value that leaves with these hidden fields; none: it was unmapped."""
        self.hid |= names
        labels = {self.resource.fields[name].field_class or "-" for name in names}
        self.dropped.update(labels or {"unmapped"})
        return []

    def value(self, at, value):
        """[] if it leaves, [what stays of it] if it stays."""
        over = self.hidden_over(at)
        risky = bool(over) or self.hidden_below(at)
        if over and not self.id_at_or_below(at):
            return self.leave(over)
        if isinstance(value, dict) and self.goes_on(at, into_items=False):
            return self.opened(at, self.members(at, value))
        if isinstance(value, list) and self.goes_on(at, into_items=True):
            inner = [stays for item in value for stays in self.value((*at, EVERY), item)]
            return self.opened(at, inner)
        if self.is_leaf(at) and _is_leaf_value(value):
            self.shown |= self.names_at(at)
            return [value]
        if value is None and not self.is_leaf(at) and not risky:
            return [value]
        if self.undeclared_may_stay(at) and not risky:
            self.shown |= self.names_at(at)
            return [value]
        return self.leave(over)

    def opened(self, at, inner):
        if not self.something_may_stay(at):
            return []
        if not self.hidden_over(at):
            self.shown |= {
                name for name, steps, _ in self.paths() if steps == at and self.has_whole(at)
            } - {None}
        return [inner]

    def has_whole(self, at):
        return any(whole for name, steps, whole in self.paths() if steps == at)

    def members(self, at, value):
        kept = {}
        for name, inner in value.items():
            below = (*at, name)
            if not self.declared_member(below):
                if self.undeclared_may_stay(at):
                    kept[name] = inner
                else:
                    self.leave(self.hidden_over(at))
            else:
                for stays in self.value(below, inner):
                    kept[name] = stays
        return kept

    def declared_member(self, at):
        # A member that is really called `[]` is not "every item".
        return at[-1] != EVERY and self.declared(at)

    def record(self, value):
        if not isinstance(value, dict):
            raise RefusedError("a record is an object")
        self.records += 1
        return self.members((), value)

    def answer(self, value, steps, beside):
        """Down the envelope to the records."""
        if not steps:
            return self.record(value)
        if steps[0] == EVERY:
            if not isinstance(value, list):
                raise RefusedError("no list")
            return [self.answer(item, steps[1:], beside) for item in value]
        if not isinstance(value, dict) or steps[0] not in value:
            raise RefusedError("no such member")
        kept = {}
        for name, inner in value.items():
            if name == steps[0]:
                kept[name] = self.answer(inner, steps[1:], beside)
            elif not self.hidden or (name in beside and not isinstance(inner, dict | list)):
                kept[name] = inner
            else:
                self.leave(set())
        return kept


def _is_leaf_value(value):
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, dict | list) for item in items)


def slow_cut(body, resource, hidden, records: FieldPath, beside=frozenset()):
    """The value that may be shown, and the `Slow` that counted. Raises RefusedError."""
    slow = Slow(resource, hidden)
    return slow.answer(parse(body), records.steps, beside), slow


def slow_cut_error(body, resource, hidden):
    """The same for an error body; None if nothing of it may be shown."""
    slow = Slow(resource, hidden)
    slow.strict = bool(slow.hidden)
    try:
        value = parse(body)
    except RefusedError:
        return None, slow
    return (slow.record(value) if isinstance(value, dict) else None), slow
