"""What only the record can tell: every way it may be, and what a policy says to each.

What was noted of a record then is so in every *world*; what nobody looked at is so in some
worlds and otherwise in others. Where all worlds agree, a recorded request is decided.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from gateway.domain.decision import Permit
from gateway.domain.obligation import RecordVerdict
from gateway.domain.record import NOT_KNOWN, IsMe, RecordFact, RecordState
from gateway.domain.resource import Resource
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import Principal
from gateway.records import verdict_of
from gateway.tools.recorded import Recorded, known_facts

MAX_WORLDS = 4096  # six facts that nobody noted, and a few salons; beyond it nothing is sure
SALON = "its salon"  # among the names of facts; no fact is called so
ELSEWHERE = NOT_KNOWN  # a salon of nobody's: stands for every salon where a person does not work

# What a record can tell: a fact or its salon, by name and by how the adapter defines it.
Variable = tuple[object, ...]
World = Mapping[Variable, bool | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a policy says to one kind of record.

    Attributes:
        permit: None = such records may not be seen at all (inside others).
        change: they are changed, so one that does not pass is not kept back but bared.
        variables: what the verdict depends on, each with the number of the fact; -1 = the salon.
    """

    person: Principal
    resource: Resource
    permit: Permit | None
    change: bool = False
    variables: tuple[tuple[Variable, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        # Derived from the rest, and frozen like it.
        object.__setattr__(self, "variables", tuple(self._variables()))

    def _variables(self) -> Iterator[tuple[Variable, int]]:
        permit = self.permit
        if permit is None or not permit.depends:
            return
        for number, fact in enumerate(self.resource.facts):
            if permit.asks >> number & 1:
                yield self.variable(fact), number
        salon = self.resource.salon
        if salon is not None:
            yield (SALON, self._paths(salon.field), tuple(sorted(salon.names.items()))), -1

    def variable(self, fact: RecordFact) -> Variable:
        """Facts of two policies are one if nothing in their definitions differs."""
        me = self.person.crm_id if isinstance(fact.comparison, IsMe) else ""
        return fact.name, fact.comparison, self._paths(fact.field), me

    def _paths(self, name: str) -> tuple[object, ...]:
        known = self.resource.fields.get(name)
        return () if known is None else known.paths

    def verdict(self, world: World) -> RecordVerdict | None:
        """On a record of that world; None = it may not be seen."""
        if self.permit is None:
            return None
        verdict = self.permit.judge(self._state(world))
        return verdict if verdict.passes else None

    def hidden(self, world: World) -> frozenset[str] | None:
        """What leaves such a record when it is shown; None = the record itself."""
        if self.permit is None:
            return None
        verdict = verdict_of(self.permit, self.resource, change=self.change)(self._state(world))
        return verdict.hidden if verdict.passes else None

    def firing(self, world: World) -> tuple[RuleRef, ...]:
        """The denies that keep such a record back."""
        return () if self.permit is None else self.permit.judge(self._state(world)).by

    def _state(self, world: World) -> RecordState:
        salon, true, false = None, 0, 0
        for variable, number in self.variables:
            value = world[variable]
            if number < 0:
                salon = str(value) if value is not None else None
            else:
                true |= (value is True) << number
                false |= (value is False) << number
        return RecordState(salon, true, false)


def worlds(now: View, was: View | None, recorded: Recorded | None) -> list[World] | None:
    """Every world that two policies tell apart; None = too many.

    Args:
        now: the policy that is asked.
        was: the policy of then, if it is known and had a say.
        recorded: whose note of the record is to be so; None = of records without a note.
    """
    note = recorded.note if recorded is not None else None
    facts = {} if note is None else known_facts(note)
    choices: dict[Variable, tuple[bool | str | None, ...]] = {}
    for view in (was, now):
        if view is None:
            continue
        for variable, number in view.variables:
            if variable in choices:
                continue
            # What was noted was noted under the definitions of then.
            same = was is None or view is was or _defined(was, variable)
            if number < 0:
                known = note is not None and note.salon is not None and same
                salon = None if note is None or note.salon == NOT_KNOWN else note.salon
                choices[variable] = (salon,) if known else _salons(now, was)
            elif same and str(variable[0]) in facts:
                choices[variable] = (facts[str(variable[0])],)
            else:
                choices[variable] = (True, False, None)
    if prod(map(len, choices.values())) > MAX_WORLDS:
        return None
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


def hangs_on(
    view: View, listed: list[World] | None, outcome: Callable[[World], object]
) -> tuple[str, ...]:
    """The names of what nobody noted and the outcome turns with.

    Args:
        view: of the policy that is asked.
        listed: the worlds; None = too many to look.
        outcome: of one world.
    """
    open_ones = [
        variable
        for variable, _ in view.variables
        if listed is None or len({world[variable] for world in listed}) > 1
    ]
    turning = [one for one in open_ones if listed and _turns(one, listed, outcome)]
    return tuple(sorted(str(variable[0]) for variable in turning or open_ones))


def _turns(variable: Variable, listed: list[World], outcome: Callable[[World], object]) -> bool:
    """Are there two worlds that differ in this alone, and in what comes of it?"""
    found: dict[object, object] = {}
    for world in listed:
        rest = tuple(value for name, value in world.items() if name != variable)
        if found.setdefault(rest, outcome(world)) != outcome(world):
            return True
    return False


def _defined(was: View, variable: Variable) -> bool:
    """Was it the same thing then?"""
    if variable[0] != SALON:
        return any(was.variable(fact) == variable for fact in was.resource.facts)
    return any(known == variable for known, number in was.variables if number < 0)


def _salons(*views: View | None) -> tuple[str | None, ...]:
    posts = {post.salon for view in views if view is not None for post in view.person.posts}
    return (*sorted(posts), ELSEWHERE, None)
