"""What an adapter says about one query parameter, or one member of a body that asks.

Fields of embedded records are named `<embed>.<field>`: `client.phone` for the phone of the
client inside a booking. One level: a deeper one has no name here, so it is an unknown
spelling, and what searches everything counts as searching it (`Searches.everything`).
"""

from collections.abc import Iterator, Mapping
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
            name that is no member's path stands for `unmapped` as well. Embedded fields are
            spelled by the paths of their members only; an embedded record itself, or its id,
            stands for everything that may be hidden of it.
    """

    members: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """Its value is compared with fields, so the answer tells about them.

    Attributes:
        fields: their names; `unmapped` for members that no field names.
        everything: it looks in every member, also where nothing here has a name for it.
        recheck: free text over a list. Whoever may not see all of the fields is answered with
            the records that the fields they see explain (`domain/question.py`).
    """

    fields: frozenset[str]
    everything: bool = False
    recheck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Its name speaks of fields, its value does not: `order[phone]=asc`.

    Attributes:
        fields: those that the name speaks of.
        value: what its value says.
    """

    fields: frozenset[str]
    value: Plain | Capped | FieldNamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Its value is a whole number of one person: a phone number at the front desk.

    It makes the request another one, with an action of its own (`Route.variants`). That action
    is the right to ask, so the field may be hidden.

    Attributes:
        field: with which the number is compared, of the answer's own records.
        allowance: how often one person may ask, in any hour.
    """

    field: str
    allowance: int


Parameter = Plain | Capped | FieldNamed | Searches | Named | Exact


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedMember:
    """One place of a body that asks, and what may stand there.

    Attributes:
        path: as the adapter would write it, for messages.
        parameter: what a text, a number or a switch here asks; None = none may stand here.
        members: what an object here may hold, by exact name; nothing = no object.
        items: what each item of an array here is; None = no array.
        slotted: a family gave it its name: standing here at all speaks of that field.
    """

    path: str = ""
    parameter: Parameter | None = None
    members: Mapping[str, "AskedMember"] = field(default_factory=dict)
    items: "AskedMember | None" = None
    slotted: bool = False


def embedded_names(
    resource: Resource, resources: Mapping[str, Resource]
) -> Mapping[str, frozenset[str]]:
    """Embed → the names of everything that may be hidden of its records: `client.phone`.

    Args:
        resource: the one that embeds.
        resources: every resource of the adapter, by name.
    """
    return {
        name: frozenset(f"{name}.{inner}" for inner in resources[embed.resource].maskable)
        for name, embed in resource.embeds.items()
    }


def field_named(resource: Resource, resources: Mapping[str, Resource] | None = None) -> FieldNamed:
    """The spellings of a resource's fields, gathered once when the adapter is read.

    Args:
        resource: whose records are sorted.
        resources: every resource of the adapter, by name; may be left out where nothing is
            embedded.
    """
    members: dict[str, frozenset[str]] = {}
    for spelling, names in _spelled(resource, resources or {}):
        members[spelling] = members.get(spelling, frozenset()) | names
    spelled = {**members}
    for name in resource.fields:
        # What goes to the CRM is the text. A name of ours that is no member of its records may
        # be one that nobody declared, or a container with other fields inside.
        inside = (f for text, f in spelled.items() if text.startswith(f"{name}."))
        known = spelled.get(name, frozenset({UNMAPPED}))
        members[name] = known.union({name}, *inside)
    return FieldNamed(members=members)


def _spelled(
    resource: Resource, resources: Mapping[str, Resource]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Every spelling of a member's path, and what stands there."""
    if resource.id is not None:
        yield _spelling(resource.id), frozenset()
    for name, declared in resource.fields.items():
        for path in declared.paths:
            yield _spelling(path), frozenset({name})
    everything = embedded_names(resource, resources)
    for name, embed in resource.embeds.items():
        inner, start = resources[embed.resource], _spelling(embed.path)
        # Ordered by its embedded record or by that one's id, an answer tells about records
        # that may not be shown at all: that is so when all of their fields are hidden.
        yield start, everything[name]
        if inner.id is not None:
            yield f"{start}.{_spelling(inner.id)}", everything[name]
        for field_name, declared in inner.fields.items():
            for path in declared.paths:
                yield f"{start}.{_spelling(path)}", frozenset({f"{name}.{field_name}"})


def _spelling(path: FieldPath) -> str:
    return ".".join(step for step in path.steps if step != ITEMS)
