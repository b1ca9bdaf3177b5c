"""Families of names: one line of an adapter that asks the same of every field.

`filter[{field}]` stands for as many names as the resource's fields have spellings. All of them
are spelled out once, when the adapter is read; a request is then a look-up by its exact name,
and whatever was not spelled out is unknown.

A member inside another is spelled with a dot, `client.phone`, as JSON:API has it. Where the
family's own text shows it, also in the CRM's other ways:

* `filter[{field}]`, a slot in brackets: `filter[client][phone]` (Rails, PHP);
* `{field}__icontains`, a slot at a double underscore: `client__phone__icontains` (Django).
"""

from collections.abc import Iterator, Mapping

SLOT = "{field}"


def is_family(text: str) -> bool:
    """Does it have a slot? Braces never arrive in a name, so one of them is meant as one."""
    return "{" in text or "}" in text


def slot_error(text: str) -> str | None:
    """What is wrong with the slot of a family; None = nothing."""
    if text.count(SLOT) == text.count("{") == text.count("}") == 1:
        return None
    return f"`{text}` may hold `{SLOT}` once, and no other braces"


def spelled(text: str, members: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """Every name that a family stands for → the fields of which it speaks.

    Args:
        text: with one slot.
        members: spelling → the fields it may mean, as `FieldNamed` has them.
    """
    before, _, after = text.partition(SLOT)
    found: dict[str, frozenset[str]] = {}
    for spelling, fields in members.items():
        for written in dict.fromkeys(_written(spelling.split("."), before, after)):
            name = before + written + after
            # `a__b` may be a member of that name and `b` inside `a`: then it speaks of both.
            found[name] = found.get(name, frozenset()) | fields
    return found


def _written(steps: list[str], before: str, after: str) -> Iterator[str]:
    yield ".".join(steps)
    if before.endswith("[") and after.startswith("]"):
        yield "][".join(steps)
    if before.endswith("__") or after.startswith("__"):
        yield "__".join(steps)
