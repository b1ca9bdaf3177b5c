"""What stays at each level of a record, compiled once for a resource and a set of hidden fields.

True here, and everywhere the plan is used:

1. **Deny wins.** What stands at or under a path of a hidden field leaves, also when a
   visible field's path leads there too. Under a visible path, the hidden part leaves.
2. **The id stays**, even at or under a hidden path: without it an app cannot ask again.
3. **What no path names is unmapped.** On a sensitive resource it leaves, unless `unmapped`
   is visible; on any other it stays. So is a value of another shape than the paths say:
   an object at a leaf without `.**`, a text where members are expected.
4. **A value of a wrong shape never stays where a hidden field was expected below it.**
   `contact.phone` is hidden and `contact` is suddenly a list: the phone may be anywhere.
5. **A branch under which nothing may stay leaves whole**, not as an empty `{}`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.fieldpath import ITEMS, FieldPath
from gateway.domain.resource import UNMAPPED, Field, Resource

NO_CLASS = "-"  # the label of dropped fields that are in no class


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A value leaves, and this is how it is counted.

    Attributes:
        fields: the hidden fields it carried; () for unmapped values.
        classes: the labels it is counted under, each once.
    """

    fields: tuple[str, ...]
    classes: tuple[str, ...]


UNMAPPED_DROP = Drop(fields=(), classes=(UNMAPPED,))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """What happens to a value at one place of a record. Compared by identity.

    Attributes:
        gone: set if the value leaves whatever it is; nothing else counts then.
        names: the visible fields that stand here.
        leaf: a scalar or an array of scalars stays as it is.
        whole: a visible `.**` ends here: everything that is not hidden stays.
        members: what happens to the declared members, if the value is an object.
        items: what happens to every item, if the value is an array.
        rest: what happens to members that nothing declares; None = they stay.
        misfit: what happens to a value of a shape that nothing declares; None = it stays.
        hides: a hidden field stands here, above or below. If none does, `null` stays also
            where members or items were expected.
        barren: nothing can stay under this place, so the emptied container leaves too.
        wary: here or below stands a leaf whose value must be looked at before it stays.
    """

    gone: Drop | None = None
    names: tuple[str, ...] = ()
    leaf: bool = False
    whole: bool = False
    members: Mapping[str, "Node"] = field(default_factory=dict)
    items: "Node | None" = None
    rest: Drop | None = None
    misfit: Drop | None = None
    hides: bool = False
    barren: bool = False
    wary: bool = False

    @property
    def plain(self) -> bool:
        """A leaf with nothing declared below: only the kind of its value is in question."""
        return self.leaf and not self.members and self.items is None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """How to cut one kind of answer for one set of hidden fields.

    Attributes:
        record: what stays of a record.
        error: what stays of the members of an error body. Stricter than `record` as soon as
            anything is hidden: messages quote values ("a client with this e-mail exists").
        records: the steps from the root of the answer to the record or records.
        beside: members of the envelope that stay if they hold a scalar.
        hides: anything at all may leave; if not, the envelope stays as it is.
        nothing_to_do: the resource is not sensitive and nothing of it is hidden: stream it.
    """

    record: Node
    error: Node
    records: tuple[str, ...]
    beside: frozenset[str]
    hides: bool
    nothing_to_do: bool


@dataclass(slots=True)
class Spot:
    """One place of the tree of declared paths, before anything is hidden."""

    fields: list[Field] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)  # those of the fields that end in `.**` here
    is_id: bool = False
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


def tree_of(resource: Resource) -> Spot:
    """Arrange the paths of a resource's fields and of its id as a tree.

    Raises:
        ValueError: a path that does not start at a member of the record.
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
    return root


def build_plan(
    resource: Resource,
    hidden: frozenset[str],
    *,
    records: FieldPath,
    beside: frozenset[str] = frozenset(),
) -> Plan:
    """Compile what stays.

    Args:
        resource: what the records are.
        hidden: field names and possibly `unmapped`, as in `Permit.hidden`. `unmapped` is
            without effect on a resource that is not sensitive.
        records: where the records stand in the answer: the root (the whole answer is one
            record), `[]`, `data[]`, `data`, `page.rows[]`.
        beside: members of the envelope that may stay; see `Plan.beside`.

    Raises:
        ValueError: a hidden name the resource does not have (a typo that would show it), or
            a path that cannot be followed.
    """
    unknown = hidden - {*resource.fields, UNMAPPED}
    if unknown:
        raise ValueError(f"`{resource.name}` has no field `{min(unknown)}` that could be hidden")
    if records.whole:
        raise ValueError(f"`{records}` cannot say where records stand: `.**` is for fields")
    if not resource.sensitive:
        hidden -= {UNMAPPED}
    root = tree_of(resource)
    strict = _root(root, hidden, UNMAPPED_DROP)
    record = strict if UNMAPPED in hidden else _root(root, hidden, None)
    return Plan(
        record=record,
        error=strict if hidden else record,
        records=records.steps,
        beside=beside,
        hides=bool(hidden),
        nothing_to_do=not resource.sensitive and not hidden,
    )


def _reach(root: Spot, path: FieldPath) -> Spot:
    """The spot at the end of a path, made on the way where it is missing."""
    if not path.steps or path.steps[0] == ITEMS:
        raise ValueError(f"`{path}` is not a path inside a record: it must start with a name")
    spot = root
    for step in path.steps:
        if step == ITEMS:
            spot.items = spot.items or Spot()
            spot = spot.items
        else:
            spot = spot.members.setdefault(step, Spot())
    return spot


def _root(root: Spot, hidden: frozenset[str], rest: Drop | None) -> Node:
    """The record itself: an object that stays, were it empty."""
    members = {name: _node(spot, hidden, rest, None) for name, spot in root.members.items()}
    return Node(members=members, rest=rest, wary=any(child.wary for child in members.values()))


def _node(spot: Spot, hidden: frozenset[str], rest: Drop | None, above: Drop | None) -> Node:
    """Compile one place and everything below it.

    `rest` is what happens here to what nothing declares. `above` is set if a hidden field
    stands above: only the id stays.
    """
    above = _drop_of(f for f in spot.fields if f.name in hidden) or above
    if above is not None and not spot.has_id():
        return Node(gone=above, hides=True)
    visible = () if above and not spot.is_id else tuple(sorted(f.name for f in spot.fields))
    whole = above is None and bool(spot.whole)
    rest = above or (None if whole else rest)
    members = {name: _node(below, hidden, rest, above) for name, below in spot.members.items()}
    items = None if spot.items is None else _node(spot.items, hidden, rest, above)
    children = (*members.values(), *(() if items is None else (items,)))
    leaf = spot.is_id or bool(visible)
    hides = above is not None or any(child.hides for child in children)
    misfit = rest or (UNMAPPED_DROP if hides else None)
    return Node(
        names=visible,
        leaf=leaf,
        whole=whole,
        members=members,
        items=items,
        rest=rest,
        misfit=misfit,
        hides=hides,
        barren=not leaf and rest is not None and all(c.gone or c.barren for c in children),
        wary=(leaf and not children and misfit is not None) or any(c.wary for c in children),
    )


def _drop_of(fields: Iterable[Field]) -> Drop | None:
    """How the loss of a value that carries these hidden fields is counted."""
    by_name = {f.name: f.field_class or NO_CLASS for f in fields}
    if not by_name:
        return None
    return Drop(fields=tuple(sorted(by_name)), classes=tuple(sorted(set(by_name.values()))))
