"""One word, two policies: which values a fact may have in both at once.

`network:salon` with one more address is true now and false before for that address, and never
the other way round; `dormant` after three years instead of five is true now for whoever was
dormant before. So the pairs are worked out from what the words mean: from all addresses there
are, and from values on both sides of every limit.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product

from gateway.domain.record import (
    Asker,
    AtLeast,
    AtMost,
    Comparison,
    Is,
    IsMe,
    OlderThan,
    RecordFact,
    predicate,
)
from gateway.domain.resource import Resource
from gateway.enforcer.bearers import APP
from gateway.enforcer.circumstances import Dial, Setting
from gateway.enforcer.days import ONE_DAY
from gateway.enforcer.facts import Network
from gateway.enforcer.when import Literal

BEFORE = " (before)"  # behind a word that meant something else in the old policy
# Four years: every length of a month and of a year.
_EVERY_DAY = tuple(date(2025, 1, 1) + n * ONE_DAY for n in range(4 * 365 + 1))

Told = tuple[tuple[str, bool | None], ...]  # facts, hashable
Value = bool | None
Values = tuple[Value, Value]  # before, after
_THREE: tuple[Value, ...] = (True, False, None)
_ALIKE: tuple[Values, ...] = tuple((value, value) for value in _THREE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """A setting of a dial: what the old rules are told of it, and the new ones.

    Attributes:
        shown: the same in words of their own; () = those of both.
        since, until: as in `Setting`.
    """

    old: Told = ()
    new: Told = ()
    shown: Told = ()
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A dial of both policies.

    Attributes:
        salon, resource: as in `Dial`.
    """

    name: str
    settings: tuple[Both, ...]
    salon: str | None = None
    resource: str | None = None

    def seen(self, side: int) -> Dial:
        """The dial as the old policy (0) or the new one (1) sees it."""
        return self._dial([(both.old, both.new)[side] for both in self.settings])

    def sides(self, setting: int) -> tuple[bool, bool]:
        """Of a window: is it open in this setting, before and after?"""
        both = self.settings[setting]
        old, new = (dict(told)["inside_window"] is True for told in (both.old, both.new))
        return old, new

    def in_words(self) -> Dial:
        """The dial with names that tell both sides apart."""
        return self._dial([both.shown or both.new or both.old for both in self.settings])

    def _dial(self, told: Iterable[Told]) -> Dial:
        settings = tuple(
            Setting(facts=dict(facts), since=both.since, until=both.until)
            for both, facts in zip(self.settings, told, strict=True)
        )
        return Dial(name=self.name, settings=settings, salon=self.salon, resource=self.resource)


def of_pairs(
    name: str,
    pairs: Collection[Values],
    *,
    before: bool,
    after: bool,
    resource: str | None = None,
) -> Joint:
    """A dial with one fact.

    Args:
        name: as rules name the fact.
        pairs: its values together.
        before: does the old policy know it?
        after: does the new one?
        resource: whose record.
    """
    ordered = tuple(dict.fromkeys(pairs))
    differ = tuple(pair for pair in ordered if pair[0] is not pair[1])
    settings = tuple(
        Both(
            old=((name, old),) if before else (),
            new=((name, new),) if after else (),
            shown=_shown(name, (old, new), differ) if before and after else ((name, new),),
        )
        for old, new in ordered
    )
    if not after:
        settings = tuple(
            Both(old=both.old, new=both.new, shown=both.old or ((name, None),))
            for both in settings
        )
    return Joint(name=name, settings=settings, resource=resource)


def _shown(name: str, pair: Values, differ: tuple[Values, ...]) -> Told:
    """The fact, the fact as it was, and a name for each pair in which they are two."""
    old, new = pair
    if not differ:
        return ((name, new),)
    unknown = old is None and new is None
    ways = tuple(
        (f"({_one(name, b)} & {_one(name + BEFORE, a)})", None if unknown else (a, b) == pair)
        for a, b in differ
    )
    return (*ways, (name, new), (name + BEFORE, old))


def _one(name: str, value: Value) -> str:
    return f"{name} not known" if value is None else str(Literal(name, negated=not value))


def apps(old: Collection[str], new: Collection[str]) -> Joint:
    """An app that a policy does not declare is not known to it, whatever it is called."""

    def told(known: Collection[str], app: str | None) -> Told:
        return tuple((f"app:{n}", n == app if app in known else None) for n in sorted(known))

    names = tuple(dict.fromkeys((*new, *old)))
    settings = tuple(
        Both(old=told(old, app), new=told(new, app), shown=told(names, app))
        for app in (*names, None)
    )
    return Joint(name=APP, settings=settings)


def networks(
    old: Mapping[str, tuple[Network, ...]], new: Mapping[str, tuple[Network, ...]]
) -> Iterator[Joint]:
    """One dial for each network of either policy."""
    for name in dict.fromkeys((*new, *old)):
        pairs: Collection[Values] = _ALIKE
        if name in old and name in new and old[name] != new[name]:
            pairs = [*_inside(old[name], new[name]), (None, None)]
        full = f"network:{name}"
        yield of_pairs(full, pairs, before=name in old, after=name in new)


def _inside(old: Iterable[Network], new: Iterable[Network]) -> Iterator[Values]:
    """Which addresses there are: in the old ranges or not, in the new ones or not."""
    bounds = [
        [(n.version, int(n.network_address), int(n.broadcast_address) + 1) for n in ranges]
        for ranges in (old, new)
    ]
    starts = {(version, 0) for version in (4, 6)}
    starts |= {(v, at) for ranges in bounds for v, *edges in ranges for at in edges}
    for version, at in sorted(starts - {(4, 2**32), (6, 2**128)}):
        before, after = (
            any(v == version and first <= at < end for v, first, end in ranges)
            for ranges in bounds
        )
        yield before, after


def same_or_not(
    old: RecordFact | None,
    new: RecordFact | None,
    before: Resource | None,
    after: Resource | None,
    ids: tuple[str, str],
) -> Collection[Values]:
    """Which values a record's fact has together.

    Args:
        old: the fact as it was; None = there was none of this name.
        new: the fact as it is, likewise.
        before: the resource as it was.
        after: the resource as it is.
        ids: the person's `crm_id` before and after.
    """
    if old is None or new is None or before is None or after is None:
        return _ALIKE
    paths = frozenset(before.fields[old.field].paths)
    if paths != frozenset(after.fields[new.field].paths):
        return tuple(product(_THREE, _THREE))  # another member altogether
    if old.comparison == new.comparison and (ids[0] == ids[1] or old.comparison != IsMe()):
        return _ALIKE
    found = dict.fromkeys(_compared(old.comparison, new.comparison, ids))
    while len(paths) > 1:
        # A value may stand at several places; where these disagree the fact is not known.
        more = [(_agreed(a[0], b[0]), _agreed(a[1], b[1])) for a in found for b in found]
        if found.keys() >= {*more}:
            break
        found |= dict.fromkeys(more)
    return tuple(sorted(found, key=lambda pair: [_THREE.index(value) for value in pair[::-1]]))


def _agreed(one: Value, other: Value) -> Value:
    return one if one is other else None


def _compared(old: Comparison, new: Comparison, ids: tuple[str, str]) -> Iterator[Values]:
    """Both comparisons of one value of every kind there is, on both sides of every limit."""
    # A month has 28 to 31 days: which of two spans is the longer may depend on the date.
    spans = isinstance(old, OlderThan) and isinstance(new, OlderThan)
    for today in _EVERY_DAY if spans else _EVERY_DAY[:1]:
        judges = [
            predicate(comparison, Asker(crm_id=me, today=today))
            for comparison, me in ((old, ids[0]), (new, ids[1]))
        ]
        for value in _values((old, new), ids, today):
            before, after = (judge(value) for judge in judges)
            yield before, after


def _values(
    comparisons: Iterable[Comparison], ids: tuple[str, str], today: date
) -> Iterator[object]:
    yield from (None, True, False, "", "-", 0.5)
    words = list(ids)
    for comparison in comparisons:
        match comparison:
            case Is(value=str() as word):
                words.append(word)
            case AtLeast(number=number) | AtMost(number=number):
                yield from (number + step / 2 for step in range(-2, 3))
            case OlderThan():
                day = comparison.since(today)
                yield from (d.isoformat() for d in (day, *_near(day)))
            case Is() | IsMe():
                pass
    yield from words
    yield from (int(word) for word in words if word.isascii() and word.isdigit())


def _near(day: date) -> Iterator[date]:
    if day > date.min:
        yield day - ONE_DAY
    yield day + ONE_DAY
