"""What a lifted window may let through, written a second time from the text of the rule.

A record passes, and a field of it shows, only if BOTH clocks would let it: the one inside the
window with every row in force, and the one that really is, without the rows of hours.yaml. Other
salons of the person are judged as ever.
"""

from tests.oracles.slow_decide import is_open

INSIDE = {"inside_window": True, "outside_window": False}
UNKNOWN = {"inside_window": None, "outside_window": None}


def worlds(rows, facts, lifted, salon):
    """Every (rows, facts) under which a record of this salon must pass."""
    if salon != lifted:
        return [(rows, facts[salon])]
    without_hours = [(origin, row) for origin, row in rows if origin != "hours"]
    return [(rows, {**facts[salon], **INSIDE}), (without_hours, facts[salon])]


def as_told(rows, facts, lifted, salon):
    """What it comes to, exactly: no row of hours.yaml, and nobody knows whether it is open."""
    if salon != lifted:
        return [(rows, facts[salon])]
    without_hours = [(origin, row) for origin, row in rows if origin != "hours"]
    return [(without_hours, {**facts[salon], **UNKNOWN})]


def judge_record(rows, principal, resource, action, facts, lifted, record, how=worlds):
    """("passes", hidden, unwritable) or ("refused",), where everything must agree."""
    salon, known = record
    if resource.salon is None:
        salon = None
    posts = [post for post in principal.posts if salon in (None, post.salon)]
    if not posts:
        return ("refused",)
    of_record = {fact.name: known[fact.name] for fact in resource.facts}
    hidden, unwritable = set(), set()
    for post in posts:
        for these, clock in how(rows, facts, lifted, post.salon):
            everything = {**clock, **of_record}
            who = (these, principal.staff, post, resource)
            if not is_open(*who, resource.name, action, everything):
                return ("refused",)
            for name in resource.maskable:
                for verb, closed in (("read", hidden), ("write", unwritable)):
                    if not is_open(*who, resource.target(name), verb, everything):
                        closed.add(name)
    return ("passes", frozenset(hidden), frozenset(unwritable))
