"""Where a field stands in a JSON record: `phone`, `contact.phone`, `tags[]`, `history.**`."""

from dataclasses import dataclass

ITEMS = "[]"  # a step: every item of an array


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A path of member names from the record's root.

    Attributes:
        steps: decoded member names; `ITEMS` stands for every item of an array.
        whole: the path ends in `.**`: the value passes with whatever is inside it. Without
            it a leaf is a scalar or an array of scalars; an object found there is unmapped.
    """

    steps: tuple[str, ...]
    whole: bool = False

    def __str__(self) -> str:
        text = ".".join(self.steps).replace(f".{ITEMS}", ITEMS)
        return f"{text}.**" if self.whole else text


def parse_field_path(text: str) -> FieldPath:
    """Read a path as owners write it.

    Args:
        text: member names joined by dots; `[]` after a name for "every item"; `[]` alone or
            an empty text for the root; `.**` at the end for "the whole subtree".

    Raises:
        ValueError: an empty name, or `[]` or `*` where it cannot stand.
    """
    whole = text.endswith(".**")
    rest = text.removesuffix(".**")
    steps: list[str] = []
    for part in rest.split(".") if rest else []:
        name = part
        items = 0
        while name.endswith(ITEMS):
            name = name.removesuffix(ITEMS)
            items += 1
        if not name and not (items and not steps):
            raise ValueError(f"`{text}` has an empty member name")
        if "[" in name or "]" in name or "*" in name:
            raise ValueError(f"`{text}` is not a path: names, dots, `[]` and a final `.**` only")
        steps += [name] if name else []
        steps += [ITEMS] * items
    if whole and not steps:
        raise ValueError("`.**` needs a member name before it")
    return FieldPath(tuple(steps), whole)
