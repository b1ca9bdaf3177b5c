"""The rules of the cut a second time: slowly, from their text, on parsed JSON.

A record is judged, then cut, one after the other; embedded ones in the same way.

Of a question's conditions: it cuts the record aside and looks into what stays.

It knows no tree, no shapes and no batches. It walks the document, keeps in mind the pattern
of steps it took, and asks the list of declared paths anew at every value. Scalars keep their
text, so the spelling of numbers and escapes can be compared.
"""

import json
import json.scanner
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace

from gateway.domain.decision import Permit
from gateway.domain.fieldpath import FieldPath
from gateway.domain.question import ExactMatch
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from tests.oracles.slow_records import plain, slow_hidden, slow_may_refuse, slow_state

EVERY = "[]"


class Text(str):
    """A number or a string exactly as it was spelled, quotes included."""

    __slots__ = ()


class RefusedError(Exception):
    """Not one well-formed document of the announced shape."""


class NoSuchRecordError(Exception):
    """The only record of the answer may not be seen."""


def seeing_all_but(hidden):
    """A permit that does not depend on the record."""
    return Permit(by=(RuleRef("salon_rules.csv", 1),), hidden=frozenset(hidden))


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
    """One cut. `strict`: undeclared members leave, whatever else holds (error bodies).

    `world`: resource name → (resource, permit) of records inside others; `closed`: these
    leave unseen; `prefix`: the embeds that lead to this record.
    """

    resource: Resource
    hidden: frozenset[str]
    strict: bool = False
    permit: object = None
    world: dict = field(default_factory=dict)
    asker: object = None
    closed: bool = False
    prefix: tuple = ()
    refused: int = 0
    dropped: Counter = field(default_factory=Counter)
    hid: set = field(default_factory=set)
    shown: set = field(default_factory=set)
    records: int = 0
    conditions: tuple = ()
    shut: bool = False
    unmatched: int = 0
    holders: Counter = field(default_factory=Counter)
    inner: dict = field(default_factory=dict)

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
        for embed in self.resource.embeds.values():
            yield None, embed.path.steps, False

    def embed_at(self, at):
        names = [name for name, e in self.resource.embeds.items() if e.path.steps == at]
        return names[0] if names else None

    def embed_below(self, at):
        return any(e.path.steps[: len(at)] == at for e in self.resource.embeds.values())

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
        if self.embed_at(at) is not None:
            return not self.closed and len(self.prefix) < 3
        if self.is_leaf(at) or self.undeclared_may_stay(at):
            return True
        longer = {steps[: len(at) + 1] for _, steps, _ in self.paths() if len(steps) > len(at)}
        return any(self.something_may_stay(s) for s in longer if s[: len(at)] == at)

    # -- the cut ---------------------------------------------------------------------------

    def leave(self, names):
        """Count one value that leaves with these hidden fields; none: it was unmapped."""
        self.hid |= self.named(names)
        labels = {self.resource.fields[name].field_class or "-" for name in names}
        self.dropped.update(labels or {"unmapped"})
        return []

    def named(self, names):
        return {".".join((*self.prefix, name)) for name in names}

    def embedded(self, name, value):
        """[] if the record inside leaves, [what stays of it] if it stays."""
        full = ".".join((*self.prefix, name))
        if not self.closed and len(self.prefix) >= 3:
            return self.leave(set())
        if not self.closed and value is None:
            return [value]
        if not self.closed and not isinstance(value, dict):
            return self.leave(set())
        if not self.closed and self.resource.embeds[name].resource in self.world:
            resource, permit = self.world[self.resource.embeds[name].resource]
            hidden = slow_hidden(permit, slow_state(plain(value), resource, self.asker))
            if hidden is not None:
                inner = Slow(
                    resource,
                    frozenset(hidden),
                    world=self.world,
                    asker=self.asker,
                    prefix=(*self.prefix, name),
                    dropped=self.dropped,
                    hid=self.hid,
                    shown=self.shown,
                )
                made = inner.members((), value)
                self.inner[id(made)] = (made, inner)
                return [made]
        self.hid.add(full)
        self.dropped["-"] += 1
        return []

    def value(self, at, value):
        """[] if it leaves, [what stays of it] if it stays."""
        over = self.hidden_over(at)
        hides = bool(over) or self.hidden_below(at)
        risky = hides or self.embed_below(at)
        if over and not self.id_at_or_below(at):
            return self.leave(over)
        if self.embed_at(at) is not None:
            return self.embedded(self.embed_at(at), value)
        if isinstance(value, dict) and self.goes_on(at, into_items=False):
            return self.opened(at, self.members(at, value))
        if isinstance(value, list) and self.goes_on(at, into_items=True):
            inner = [stays for item in value for stays in self.value((*at, EVERY), item)]
            return self.opened(at, inner)
        if self.is_leaf(at) and _is_leaf_value(value):
            self.shown |= self.named(self.names_at(at))
            return [value]
        if value is None and not self.is_leaf(at) and not hides:
            return [value]
        if self.undeclared_may_stay(at) and not risky:
            self.shown |= self.named(self.names_at(at))
            return [value]
        return self.leave(over)

    def opened(self, at, inner):
        if not self.something_may_stay(at):
            return []
        if not self.hidden_over(at):
            self.shown |= self.named(self.names_at(at) if self.has_whole(at) else ())
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
        """[] if the record may not be seen, [what stays of it] if it may."""
        if not isinstance(value, dict):
            raise RefusedError("a record is an object")
        state = (
            slow_state(plain(value), self.resource, self.asker) if self.permit.depends else None
        )
        hidden = slow_hidden(self.permit, state)
        if hidden is None:
            self.refused += 1
            return []
        secret = self.hidden
        self.hidden = frozenset(hidden)
        self.__post_init__()
        matches = self.matches(value)
        kept = self.members((), value) if matches else None
        self.hidden = secret
        if not matches:
            self.unmatched += 1
            return []
        self.records += 1
        return [kept]

    # -- what was asked for ------------------------------------------------------------------

    def matches(self, value):
        """Does a record that may be seen meet every condition?"""
        meets = not self.shut
        for number, condition in enumerate(self.conditions):
            if isinstance(condition, ExactMatch):
                texts = values_anywhere(value, self.resource.fields[condition.field].paths)
                digits = {"".join(c for c in folded(text) if c in "0123456789") for text in texts}
                self.holders[number] += condition.digits in digits
                meets &= condition.digits in digits
            else:
                aside = replace(self, dropped=Counter(), hid=set(), shown=set(), inner={})
                texts = list(aside.found_in(aside.members((), value), condition, inside=False))
                meets &= all(any(word in folded(t) for t in texts) for word in condition.words)
        return meets

    def found_in(self, kept, recheck, inside):
        """The texts of what stays of a record that count."""
        waiting = [((), kept)]
        while waiting:
            at, value = waiting.pop()
            if self.embed_at(at) is not None and isinstance(value, dict):
                if not inside:
                    _, inner = self.inner[id(value)]
                    yield from inner.found_in(value, recheck, inside=True)
            elif isinstance(value, dict):
                for name, below in value.items():
                    waiting.append(((*at, "a member []" if name == EVERY else name), below))
            elif isinstance(value, list):
                # An array of scalars stands for its items, where nothing is said of these.
                flat = _is_leaf_value(value) and not self.goes_on(at, into_items=True)
                waiting += [(at if flat else (*at, EVERY), item) for item in value]
            elif self.counts(at, recheck):
                yield from text_of(value)

    def counts(self, at, recheck):
        """Does a scalar here count?"""
        if any(self.whole_here(at[:n], recheck) for n in range(1, len(at) + 1)):
            return True
        if recheck.everything:
            return not self.is_id(at) or bool(self.visible_at(at))
        return bool(self.named(self.visible_at(at)) & recheck.fields)

    def visible_at(self, at):
        return set() if self.hidden_over(at) else self.names_at(at)

    def whole_here(self, at, recheck):
        wanted = recheck.everything or self.named(self.visible_at(at)) & recheck.fields
        return bool(wanted and self.visible_at(at) and self.has_whole(at))

    def guards(self):
        """May anything leave this answer?"""
        if self.hidden or self.permit.depends or self.conditions:
            return True
        inside, todo = set(), [self.resource]
        while todo:
            for embed in todo.pop().embeds.values():
                if embed.resource not in self.world:
                    return True
                if embed.resource not in inside:
                    inside.add(embed.resource)
                    todo.append(self.world[embed.resource][0])
        return any(
            permit.depends
            or (permit.hidden if resource.sensitive else permit.hidden - {"unmapped"})
            for resource, permit in map(self.world.get, inside)
        )

    def answer(self, value, steps, beside, totals):
        """Down the envelope to the records: [] if the one record goes, else [what stays]."""
        if not steps:
            return self.record(value)
        if steps[0] == EVERY:
            if not isinstance(value, list):
                raise RefusedError("no list")
            return [[i for item in value for i in self.answer(item, steps[1:], beside, totals)]]
        if not isinstance(value, dict) or steps[0] not in value:
            raise RefusedError("no such member")
        before = self.records
        inside = self.answer(value[steps[0]], steps[1:], beside, totals)
        if not inside:
            return []
        kept = {}
        for name, inner in value.items():
            if name == steps[0]:
                kept[name] = inside[0]
            else:
                for stays in self.beside(name, inner, beside, totals, self.records - before):
                    kept[name] = stays
        return [kept]

    def beside(self, name, inner, beside, totals, kept):
        if not self.guards():
            return [inner]
        if name not in beside or isinstance(inner, dict | list):
            return self.leave(set())
        if not self.conditions and not slow_may_refuse(self.permit, self.resource):
            return [inner]
        number = plain(inner)
        if name in totals:
            whole = isinstance(number, int) and not isinstance(number, bool)
            return [Text(kept)] if whole else self.leave(set())
        if self.conditions:  # whether there is a next page tells how many were found
            return self.leave(set())
        if isinstance(inner, Text) and (
            not isinstance(number, str) or (number.strip() and number.strip().isnumeric())
        ):
            return self.leave(set())
        return [inner]


def _is_leaf_value(value):
    items = value if isinstance(value, list) else [value]
    return not any(isinstance(item, dict | list) for item in items)


def folded(text):
    return unicodedata.normalize("NFKC", text).casefold()


def text_of(value):
    """[] for what says nothing."""
    if not isinstance(value, Text):
        return []
    if value.startswith('"'):
        return [json.loads(value)]
    return [str(int(value)) if value.lstrip("-").isdigit() else str(value)]


def values_anywhere(record, paths):
    """The texts of a field's values, whoever may see them."""
    found = []
    for path in paths:
        values = [record]
        for step in path.steps:
            values = [
                below
                for value in values
                for below in (
                    (value if isinstance(value, list) else [])
                    if step == EVERY
                    else ([value[step]] if isinstance(value, dict) and step in value else [])
                )
            ]
        while values:
            value = values.pop()
            if path.whole and isinstance(value, dict):
                values += value.values()
            elif isinstance(value, list) and (path.whole or _is_leaf_value(value)):
                values += value
            else:
                found += text_of(value)
    return found


def slow_cut(
    body,
    resource,
    permit,
    records: FieldPath,
    beside=frozenset(),
    totals=(),
    world=None,
    asker=None,
    conditions=(),
):
    """The value that may be shown, and the `Slow` that counted.

    Raises RefusedError and NoSuchRecordError.
    """

    def slow_of(*, shut):
        return Slow(
            resource,
            permit.hidden,
            permit=permit,
            world=world or {},
            asker=asker,
            conditions=conditions,
            shut=shut,
        )

    slow = slow_of(shut=False)
    made = slow.answer(parse(body), records.steps, beside, totals)
    if any(held > 1 for held in slow.holders.values()):
        slow = slow_of(shut=True)
        made = slow.answer(parse(body), records.steps, beside, totals)
    if not made:
        raise NoSuchRecordError
    return made[0], slow


def slow_cut_error(body, resource, permit, world=None):
    """The same for an error body; None if nothing of it may be shown."""
    slow = Slow(resource, permit.hidden, permit=permit, world=world or {}, closed=True)
    slow.strict = slow.guards()
    try:
        value = parse(body)
    except RefusedError:
        return None, slow
    if not isinstance(value, dict):
        return None, slow
    if slow_may_refuse(permit, resource):  # it may speak of a record that they may not see
        for _ in value:
            slow.leave(set())
        return {}, slow
    return slow.members((), value), slow
