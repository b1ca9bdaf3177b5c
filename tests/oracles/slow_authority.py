"""Who sees and does what in the console: the rules a second time, from their text.

Roles are written out here by walking the `g` rows again and again; nothing is shared with the
code but the words.
"""

MAY_ENTER = {"role:manager", "role:owner"}
SEES_ALL = {"role:owner"}


def carried(role, inherits):
    """A role and all it inherits."""
    found = {role}
    while True:
        more = {b for a, b in inherits if a in found} - found
        if not more:
            return found
        found |= more


def holds(person, salon, inherits):
    """Everything a person holds in one salon."""
    return {one for role in person[salon] for one in carried(role, inherits)}


def holds_somewhere(person, inherits):
    return {one for salon in person for one in holds(person, salon, inherits)}


def may_enter(person, inherits):
    return bool(holds_somewhere(person, inherits) & MAY_ENTER)


def sees(viewer, other, inherits):
    if not may_enter(viewer, inherits):
        return False
    if holds_somewhere(viewer, inherits) & SEES_ALL:
        return True
    return any(salon in other for salon in viewer if holds(viewer, salon, inherits) & MAY_ENTER)


def may(act, who, whom, people, inherits):
    """May `who` do this to `whom`, both names?"""
    viewer, other = people[who], people[whom]
    if not sees(viewer, other, inherits):
        return False
    if act == "log_out":
        return True
    if who == whom:
        return False
    above = {
        role for role in holds_somewhere(other, inherits) if carried(role, inherits) & MAY_ENTER
    }
    return above <= holds_somewhere(viewer, inherits)
