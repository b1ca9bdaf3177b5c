"""What an adapter says about one query parameter: the four kinds there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.resource import UNMAPPED, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Says nothing about a field: a cursor, an order.

    Attributes:
        one_of: the only values it takes; None = any.
    """

    one_of: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """A number from 0 to `max`, such as a page size."""

    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNamed:
    """Its value names fields: `sort=-name,visits`.

    Attributes:
        members: spelling → the fields it may mean. Field names and member paths are both
            spellings; the record id's stands for no field, because it always shows. A field
            name that is no member's path stands for `unmapped` as well.
    """

    members: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """Its value is compared with fields, so the answer tells about them.

    Attributes:
        fields: their names; `unmapped` for members that no field names.
    """

    fields: frozenset[str]


Parameter = Plain | Capped | FieldNamed | Searches


def field_named(resource: Resource) -> FieldNamed:
    """The spellings of a resource's fields, gathered once when the adapter is read."""
    members: dict[str, frozenset[str]] = {}
    if resource.id is not None:
        members[_spelling(resource.id)] = frozenset()
    for name, declared in resource.fields.items():
        for spelling in map(_spelling, declared.paths):
            members[spelling] = members.get(spelling, frozenset()) | {name}
    spelled = {**members}
    for name in resource.fields:
        # What goes to the CRM is the text. A name of ours that is no member of its records may
        # be one that nobody declared, or a container with other fields inside.
        inside = (f for text, f in spelled.items() if text.startswith(f"{name}."))
        known = spelled.get(name, frozenset({UNMAPPED}))
        members[name] = known.union({name}, *inside)
    return FieldNamed(members=members)


def _spelling(path: FieldPath) -> str:
    return ".".join(step for step in path.steps if step != ITEMS)
