"""What a record says and what a permit makes of it, a second time: slowly, from the words.

A record is plain parsed JSON here. How two values compare is not written again.
"""

import json
from functools import reduce
from itertools import product

from gateway.domain.record import predicate

SALONS = (None, "aoyama", "shibuya", "elsewhere")


def plain(value):
    """A value of `slow_cut.parse` as `json` would read it; what is no number is no value."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str):
        made = json.loads(value)
        return object() if made in (float("inf"), float("-inf")) else made
    return value


class WrongTypeError(Exception):
    """A member on the way is no object."""


def value_at(record, steps):
    """[] if there is none, [it] if there is."""
    if not isinstance(record, dict):
        raise WrongTypeError
    if steps[0] not in record:
        return []
    value = record[steps[0]]
    return value_at(value, steps[1:]) if steps[1:] else [value]


def values_of(record, declared):
    """Every value of a field; none if one of its paths cannot be walked."""
    try:
        return [value for path in declared.paths for value in value_at(record, path.steps)]
    except WrongTypeError:
        return []


def agreed(answers):
    """What all of them say; None if they differ, or if there are none."""
    return (
        answers[0]
        if answers and all(a is answers[0] or a == answers[0] for a in answers)
        else None
    )


def slow_state(record, resource, asker):
    """(salon, {number of a fact: True, False or None})."""
    facts = {}
    for number, fact in enumerate(resource.facts):
        compare = predicate(fact.comparison, asker)
        values = values_of(record, resource.fields[fact.field])
        facts[number] = agreed([compare(value) for value in values])
    salon = None
    if resource.salon is not None:
        values = values_of(record, resource.fields[resource.salon.field])
        salon = agreed([resource.salon.salon(value) for value in values])
    return salon, facts


def holds(row, facts):
    """Is a row's condition true, false or, by Kleene, unknown?"""
    parts = []
    for number, known in facts.items():
        if row.positive >> number & 1:
            parts.append(known)
        if row.negative >> number & 1:
            parts.append(None if known is None else not known)
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


def is_open(residual, facts):
    """Unknown never fires an allow and always fires a deny."""
    return any(holds(row, facts) is True for row in residual.allows) and not any(
        holds(row, facts) is not False for row in residual.denies
    )


def slow_hidden(permit, state):
    """The fields of a record in this state that are hidden; None: all of it is."""
    if not permit.depends:
        return set(permit.hidden)
    salon, facts = state
    if salon is None:
        grants = list(permit.grants.values()) if permit.everywhere else []
    else:
        grants = [permit.grants[salon]] if salon in permit.grants else []
    if not grants or not all(is_open(grant.test, facts) for grant in grants):
        return None
    shut = (
        {name for name, (read, _) in grant.fields.items() if not is_open(read, facts)}
        for grant in grants
    )
    return reduce(set.union, shut)


def every_state(resource):
    """All the states that records of a resource can be in, as rules see them."""
    for salon in SALONS if resource.salon is not None else (None,):
        for known in product((True, False, None), repeat=len(resource.facts)):
            yield salon, dict(enumerate(known))


def slow_may_refuse(permit, resource):
    """Is there a state in which a record does not pass?"""
    return any(slow_hidden(permit, state) is None for state in every_state(resource))


def ever_hidden(permit, resource):
    """What is hidden in some record that passes: what `Permit.hidden` must be."""
    return frozenset().union(*(slow_hidden(permit, s) or () for s in every_state(resource)))
