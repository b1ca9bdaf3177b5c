"""What stays at each level of a record, compiled once for a resource and a set of hidden fields.

True here, and everywhere the plan is used:

1. **Deny wins.** What stands at or under a path of a hidden field leaves, also when a
   visible field's path leads there too. Under a visible path, the hidden part leaves.
2. **The id stays**, even at or under a hidden path: without it an app cannot ask again.
3. **What no path names is unmapped.** On a sensitive resource it leaves, unless `unmapped`
   is visible; on any other it stays. So is a value of another shape than the paths say:
   an object at a leaf without `.**`, a text where members are expected.
4. **A value of a wrong shape never stays where a hidden field or another record was expected
   below it.** `contact.phone` is hidden and `contact` is suddenly a list: the phone may be
   anywhere.
5. **A branch under which nothing may stay leaves whole**, not as an empty `{}`.
6. **An embedded record is decided as what it is**, whoever sees the record around it. Only
   `null` may stand in its place.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from gateway.domain.fieldpath import FieldPath
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.masking.tree import Spot, tree_of

NO_CLASS = "-"  # the label of dropped fields that are in no class
# Records inside records: a booking, its client, her stylist, his salon. Some CRMs embed in
# circles, and each level is a plan of its own.
MAX_EMBEDDED = 3

Prefix = tuple[str, ...]  # the embeds that lead to a record, from the outside in


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where another resource's record stands.

    Attributes:
        resource: whose judge decides.
        prefix: the names of its fields in the counts begin with this.
        drop: how it is counted if it may not be seen.
    """

    resource: str
    prefix: Prefix
    drop: Drop


class Program(Struct, frozen=True, eq=False):
    """What a node says about objects of one shape. Compared by identity.

    Attributes:
        delete: members that leave whatever they hold.
        drops: how their loss is counted.
        leaves: members with nothing declared below them.
        inner: members that should be objects with more declared in them.
        look: other members whose value decides.
        kept: its node remembers it, for later requests.
        sums: what it and others that were used together with it come to (`counts.py`).
            Grows, and outlives the request, if the program does.
    """

    delete: tuple[str, ...]
    drops: tuple[Drop, ...]
    leaves: tuple[tuple[str, "Node"], ...]
    inner: tuple[tuple[str, "Node"], ...]
    look: tuple[tuple[str, "Node"], ...]
    kept: bool = False
    sums: "dict[tuple[Program, ...], Sums]" = {}  # a Struct makes a new one


class Sums(NamedTuple):
    """What some programs come to that were used in one answer.

    Attributes:
        dropped: for each of them: how many values leave one object, by field class.
        hidden: the fields that leave, sorted.
        shown: the fields that stay, sorted.
    """

    dropped: tuple[tuple[tuple[str, int], ...], ...]
    hidden: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """What happens to a value at one place of a record. Compared by identity.

    Attributes:
        gone: set if the value leaves whatever it is; nothing else counts then.
        embed: set if an object here is a record of its own.
        names: the visible fields that stand here.
        leaf: a scalar or an array of scalars stays as it is.
        whole: a visible `.**` ends here: everything that is not hidden stays.
        members: what happens to the declared members, if the value is an object.
        items: what happens to every item, if the value is an array.
        rest: what happens to members that nothing declares; None = they stay.
        misfit: what happens to a value of a shape that nothing declares; None = it stays.
        hides: a hidden field stands here, above or below. If none does, `null` stays also
            where members, items or another record were expected.
        barren: nothing can stay under this place, so the emptied container leaves too.
        wary: here or below stands a leaf whose value must be looked at before it stays.
        programs: what was worked out for objects of some shapes, by their members in order.
            Grows, and outlives the request; `programs.py` bounds it.
    """

    gone: Drop | None = None
    embed: Place | None = None
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
    programs: dict[tuple[str, ...], Program] = field(default_factory=dict, repr=False)

    @property
    def plain(self) -> bool:
        """A leaf with nothing declared below: only the kind of its value is in question."""
        return self.leaf and not self.members and self.items is None

    @property
    def veiled(self) -> bool:
        """A hidden field stands here or above: of all that is here, only the id stays."""
        return self.rest is not None and bool(self.rest.fields)

    @property
    def branch(self) -> bool:
        """An object stays here, with what its members say."""
        return self.gone is None and bool(self.members)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """How to cut one kind of answer for one set of hidden fields.

    Attributes:
        record: what stays of a record, if that does not depend on the record.
        error: what stays of the members of an error body if anything at all may leave.
            Stricter than `record`: messages quote values ("a client with this e-mail exists").
            Nothing where some records may not be seen at all.
        open_error: the same if nothing may leave; only embedded records do.
        records: the steps from the root of the answer to the record or records.
        beside: members of the envelope that stay if they hold a scalar.
        page_totals: those of them that count the records of this answer.
        embeds: the resources whose records may stand inside.
        paths: where each field stands, hidden or not.
        hides: something of the records' own may leave.
        depends: what stays, and whether, depends on the record; `cut` needs a judge.
        may_refuse: and some records may be kept back, so nothing beside may count them.
        nothing_to_do: the resource is not sensitive, holds no other record and nothing of it
            is hidden: stream it.
    """

    record: Node
    error: Node
    open_error: Node
    records: tuple[str, ...]
    beside: frozenset[str]
    page_totals: frozenset[str]
    embeds: frozenset[str]
    paths: Mapping[str, tuple[FieldPath, ...]]
    hides: bool
    depends: bool
    may_refuse: bool
    nothing_to_do: bool


def build_plan(
    resource: Resource,
    hidden: frozenset[str],
    *,
    records: FieldPath,
    beside: frozenset[str] = frozenset(),
    page_totals: frozenset[str] = frozenset(),
    depends: bool = False,
    may_refuse: bool = False,
) -> Plan:
    """Compile what stays.

    Args:
        resource: what the records are.
        hidden: field names and possibly `unmapped`, as in `Permit.hidden`. `unmapped` is
            without effect on a resource that is not sensitive.
        records: where the records stand in the answer: the root (the whole answer is one
            record), `[]`, `data[]`, `data`, `page.rows[]`.
        beside: members of the envelope that may stay; see `Plan.beside`.
        page_totals: those of `beside` that hold how many records this answer holds.
        depends: as `Permit.depends`.
        may_refuse: as `Permit.refuses`.

    Raises:
        ValueError: a hidden name the resource does not have (a typo that would show it), or
            a path that cannot be followed.
    """
    if records.whole:
        raise ValueError(f"`{records}` cannot say where records stand: `.**` is for fields")
    if may_refuse and not depends:
        raise ValueError("only what depends on the record can refuse one")
    record = build_node(resource, hidden)
    if not resource.sensitive:
        hidden -= {UNMAPPED}
    return Plan(
        record=record,
        # Where some records may not be seen at all, an error may speak of one of those.
        error=Node(rest=UNMAPPED_DROP)
        if may_refuse
        else _root(_Level(resource, hidden | {UNMAPPED}, closed=True)),
        open_error=_root(_Level(resource, hidden, closed=True)),
        records=records.steps,
        beside=beside,
        page_totals=page_totals,
        embeds=frozenset(embed.resource for embed in resource.embeds.values()),
        paths={name: declared.paths for name, declared in resource.fields.items()},
        hides=bool(hidden),
        depends=depends,
        may_refuse=may_refuse,
        nothing_to_do=not (resource.sensitive or resource.embeds or hidden or depends),
    )


def build_node(resource: Resource, hidden: frozenset[str], prefix: Prefix = ()) -> Node:
    """Compile what stays of one record. Worth keeping: see `judge.NodeOf`.

    Args:
        resource: what the record is.
        hidden: as for `build_plan`.
        prefix: the embeds that lead to the record; () = it is one of the answer's own.

    Raises:
        ValueError: as `build_plan`.
    """
    unknown = hidden - {*resource.fields, UNMAPPED}
    if unknown:
        raise ValueError(f"`{resource.name}` has no field `{min(unknown)}` that could be hidden")
    return _root(_Level(resource, hidden if resource.sensitive else hidden - {UNMAPPED}, prefix))


@dataclass(frozen=True, slots=True)
class _Level:
    """What does not change on the way down one record.

    Attributes:
        closed: embedded records leave unseen.
    """

    resource: Resource
    hidden: frozenset[str]
    prefix: Prefix = ()
    closed: bool = False

    def named(self, name: str) -> str:
        """A name as the counts say it: `client.phone` for the `phone` of the embed `client`."""
        return ".".join((*self.prefix, name))

    def drop_of(self, fields: Iterable[Field]) -> Drop | None:
        """How the loss of a value that carries these fields is counted, if any is hidden."""
        by_name = {
            self.named(f.name): f.field_class or NO_CLASS for f in fields if f.name in self.hidden
        }
        if not by_name:
            return None
        return Drop(fields=tuple(sorted(by_name)), classes=tuple(sorted(set(by_name.values()))))

    def embedded(self, name: str) -> Node:
        """The place of another record."""
        drop = Drop(fields=(self.named(name),), classes=(NO_CLASS,))
        if self.closed:
            return Node(gone=drop)
        if len(self.prefix) >= MAX_EMBEDDED:
            return Node(gone=UNMAPPED_DROP)
        place = Place(
            resource=self.resource.embeds[name].resource, prefix=(*self.prefix, name), drop=drop
        )
        return Node(embed=place, misfit=UNMAPPED_DROP)


def _root(level: _Level) -> Node:
    """The record itself: an object that stays, were it empty."""
    rest = UNMAPPED_DROP if UNMAPPED in level.hidden else None
    members = {
        name: _node(level, spot, rest, None)
        for name, spot in tree_of(level.resource).members.items()
    }
    return Node(members=members, rest=rest, wary=any(child.wary for child in members.values()))


def _node(level: _Level, spot: Spot, rest: Drop | None, above: Drop | None) -> Node:
    """Compile one place and everything below it.

    `rest` is what happens here to what nothing declares. `above` is set if a hidden field
    stands above: only the id stays.
    """
    above = level.drop_of(spot.fields) or above
    if above is not None and not spot.has_id():
        return Node(gone=above, hides=True)
    if spot.embed is not None:
        return level.embedded(spot.embed)
    visible = [] if above and not spot.is_id else [level.named(f.name) for f in spot.fields]
    whole = above is None and bool(spot.whole)
    rest = above or (None if whole else rest)
    members = {name: _node(level, below, rest, above) for name, below in spot.members.items()}
    items = None if spot.items is None else _node(level, spot.items, rest, above)
    children = (*members.values(), *(() if items is None else (items,)))
    leaf = spot.is_id or bool(visible)
    hides = above is not None or any(child.hides for child in children)
    risky = hides or any(True for _ in spot.all_embeds())
    misfit = rest or (UNMAPPED_DROP if risky else None)
    return Node(
        names=tuple(sorted(visible)),
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
