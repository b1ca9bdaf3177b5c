"""Resources, fields and field classes: the closed words that rules speak about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.domain.fieldpath import FieldPath
from gateway.domain.record import RecordFact, SalonOf

UNMAPPED = "unmapped"  # the class of every member no field of the adapter names
ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a resource.

    Attributes:
        name: as rules and audit name it.
        paths: every member that carries the value (`phone` and `contact.phone`).
        field_class: the class it is in; None = covered by an allow on the resource itself.
    """

    name: str
    paths: tuple[FieldPath, ...]
    field_class: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Another record inside a record: the `client` of an appointment. Decided as what it is.

    Attributes:
        path: where it stands; a list of records if it ends in `[]`.
        resource: the name of the resource that it is one of.
    """

    path: FieldPath
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of record in the CRM.

    Attributes:
        name: `client`.
        sensitive: unknown members are dropped and counted; answers must be JSON we can read.
        id: where the record id stands; it always shows. None = the record has none.
        fields: by name.
        facts: what rules may ask of a record. Their order numbers the bits of `RecordState`.
        salon: which field tells a record's salon; None = nothing does.
        embeds: name → another resource's records inside this one's. No name is a field's.
    """

    name: str
    sensitive: bool = True
    id: FieldPath | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    facts: tuple[RecordFact, ...] = ()
    salon: SalonOf | None = None
    embeds: Mapping[str, Embed] = field(default_factory=dict)

    @property
    def classes(self) -> frozenset[str]:
        """The field classes, `unmapped` included."""
        named = {f.field_class for f in self.fields.values() if f.field_class is not None}
        return frozenset(named | {UNMAPPED})

    def target(self, name: str) -> str:
        """A field's full name: `client.contact.email`, `client.name`, `client.unmapped`."""
        if name == UNMAPPED:
            return f"{self.name}.{UNMAPPED}"
        field_class = self.fields[name].field_class
        return ".".join(filter(None, (self.name, field_class, name)))

    @property
    def maskable(self) -> tuple[str, ...]:
        """Everything that can be hidden: the fields, and `unmapped` on a sensitive resource."""
        return (*self.fields, UNMAPPED) if self.sensitive else tuple(self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Every word a rule may use about things: what the adapter declares, and no more.

    Attributes:
        resources: by name.
        actions: the adapter's closed list.
    """

    resources: Mapping[str, Resource]
    actions: frozenset[str]

    def targets(self) -> Iterator[str]:
        """Every nameable resource: cards, classes and fields."""
        for resource in self.resources.values():
            yield resource.name
            yield from (f"{resource.name}.{c}" for c in sorted(resource.classes))
            yield from (resource.target(name) for name in resource.fields)
