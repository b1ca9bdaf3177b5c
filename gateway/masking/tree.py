"""Every declared place of a record as a tree, before anything is hidden.

True here: an embedded record stands alone. What is inside it is declared by its own resource,
so no field, id or other embed of this one has a path at or under it. Fields may stand above.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.resource import Field, Resource


@dataclass(slots=True)
class Spot:
    """One place of the tree.

    Attributes:
        whole: those of the fields that end in `.**` here.
        embed: the name of the embed that stands here.
    """

    fields: list[Field] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)
    is_id: bool = False
    embed: str | None = None
    members: dict[str, "Spot"] = field(default_factory=dict)
    items: "Spot | None" = None

    def children(self) -> Iterable["Spot"]:
        """Every spot right below this one."""
        yield from self.members.values()
        if self.items is not None:
            yield self.items

    def has_id(self) -> bool:
        """Does the id stand here or below?"""
        return self.is_id or any(child.has_id() for child in self.children())

    def all_fields(self) -> Iterable[Field]:
        """Every field that stands here or below."""
        yield from self.fields
        for child in self.children():
            yield from child.all_fields()

    def all_embeds(self) -> Iterable[str]:
        """Every embed that stands here or below."""
        if self.embed is not None:
            yield self.embed
        for child in self.children():
            yield from child.all_embeds()


def tree_of(resource: Resource) -> Spot:
    """Arrange the paths of a resource's fields, of its id and of its embeds as a tree.

    Raises:
        ValueError: a path that does not start at a member of the record, an embed with
            `.**`, or anything at or under the place of an embed.
    """
    root = Spot()
    for declared in resource.fields.values():
        for path in declared.paths:
            spot = _reach(root, path)
            if declared not in spot.fields:
                spot.fields.append(declared)
            if path.whole:
                spot.whole.add(declared.name)
    if resource.id is not None:
        _reach(root, resource.id).is_id = True
    for name, embed in resource.embeds.items():
        spot = _reach(root, embed.path)
        if embed.path.whole or spot != Spot():
            raise ValueError(f"`{embed.path}` cannot be the embedded record `{name}` alone")
        spot.embed = name
    return root


def _reach(root: Spot, path: FieldPath) -> Spot:
    """The spot at the end of a path, made on the way where it is missing."""
    if not path.steps or path.steps[0] == ITEMS:
        raise ValueError(f"`{path}` is not a path inside a record: it must start with a name")
    spot = root
    for step in path.steps:
        if spot.embed is not None:
            raise ValueError(f"`{path}` leads into the embedded record `{spot.embed}`")
        if step == ITEMS:
            spot.items = spot.items or Spot()
            spot = spot.items
        else:
            spot = spot.members.setdefault(step, Spot())
    return spot
