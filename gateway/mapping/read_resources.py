"""`resources:` of an adapter → resources, with everything wrong in them as findings.

A word of the owner's that two things could mean is refused: a field and a class of one name,
one member under two fields, a member inside another field's member. A rule that hides one of
them would otherwise leave the value standing under the other. Where an embedded record stands,
nothing else of the outer one does: what is inside it is declared, and decided, as what it is.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.finding import Finding, did_you_mean
from gateway.domain.resource import UNMAPPED, Embed, Field, Resource
from gateway.domain.subject import is_name
from gateway.mapping.read_facts import read_facts, read_salon
from gateway.mapping.shapes import NAME_RULE, EmbedShape, ResourceShape
from gateway.texts.yamltext import Document, Key


def read_resource(
    document: Document,
    name: str,
    shape: ResourceShape,
    known: Collection[str],
    findings: list[Finding],
) -> Resource:
    """Read one resource; what is wrong with it is left out and appended to `findings`.

    `known` are the names of all the file's resources, of which it may embed records.
    """

    def complain(message: str, *path: Key) -> None:
        findings.append(document.finding(message, "resources", name, *path))

    if not is_name(name):
        complain(f"the resource name `{name}` {NAME_RULE}")
    record_id = _read_id(shape, complain)
    paths = _read_paths(shape, complain)
    classes = _read_classes(shape, complain)
    embeds = _read_embeds(shape, known, complain)
    _require_apart(record_id, paths, embeds, complain)
    fields = {
        field: Field(name=field, paths=tuple(found), field_class=classes.get(field))
        for field, found in paths.items()
    }
    return Resource(
        name=name,
        sensitive=shape.sensitive,
        id=record_id,
        fields=fields,
        facts=read_facts(shape, fields, complain),
        salon=read_salon(shape, fields, complain),
        embeds=embeds,
    )


Complain = Callable[..., None]


def _read_id(shape: ResourceShape, complain: Complain) -> FieldPath | None:
    if shape.id is None:
        return None
    path = _read_path(shape.id, complain, "id")
    if path is not None and (path.whole or ITEMS in path.steps):
        complain(f"the record id `{shape.id}` must be one member of the record", "id")
    return path


def _read_paths(shape: ResourceShape, complain: Complain) -> dict[str, list[FieldPath]]:
    paths: dict[str, list[FieldPath]] = {}
    for name, typed in shape.fields.items():
        if name == UNMAPPED:
            complain(
                "`unmapped` stands for undeclared members; name the field otherwise",
                "fields",
                name,
            )
        elif not is_name(name):
            complain(f"the field name `{name}` {NAME_RULE}", "fields", name)
        elif name in shape.classes:
            complain(f"`{name}` is a field and a class; rename one", "fields", name)
        if not typed:
            complain(f"the field `{name}` names no member of the record", "fields", name)
        listed = list(enumerate(typed)) if isinstance(typed, list) else [(None, typed)]
        found = (
            _read_path(text, complain, "fields", name, *(() if at is None else (at,)))
            for at, text in listed
            if text or at is not None
        )
        paths[name] = [path for path in found if path is not None]
    return paths


def _read_path(text: str, complain: Complain, *where: Key) -> FieldPath | None:
    try:
        path = parse_field_path(text)
    except ValueError as error:
        complain(str(error), *where)
        return None
    if not path.steps or path.steps[0] == ITEMS:
        complain(f"`{text}` must start with a member of the record", *where)
        return None
    return path


def _read_classes(shape: ResourceShape, complain: Complain) -> dict[str, str]:
    """Field → its class."""
    found: dict[str, str] = {}
    for name, fields in shape.classes.items():
        if name == UNMAPPED:
            complain(
                "the class `unmapped` is there already; it holds undeclared members",
                "classes",
                name,
            )
        elif not is_name(name):
            complain(f"the class name `{name}` {NAME_RULE}", "classes", name)
        if not fields:
            complain(f"the class `{name}` has no fields; list some or remove it", "classes", name)
        for at, field in enumerate(fields):
            where = ("classes", name, at)
            if field not in shape.fields:
                known = did_you_mean(field, shape.fields)
                complain(f"unknown field `{field}`; {known}", *where)
            elif found.setdefault(field, name) != name:
                complain(f"`{field}` is in the class `{found[field]}` already; keep one", *where)
            elif field in fields[:at]:
                complain(f"`{field}` stands twice in the class `{name}`; keep one", *where)
    return found


def _read_embeds(
    shape: ResourceShape, known: Collection[str], complain: Complain
) -> dict[str, Embed]:
    found: dict[str, Embed] = {}
    for name, typed in shape.embeds.items():
        where = ("embeds", name)
        if not is_name(name) or name == UNMAPPED:
            complain(f"the name `{name}` of embedded records {NAME_RULE}, not `unmapped`", *where)
        elif name in shape.fields or name in shape.classes:
            kind = "field" if name in shape.fields else "class"
            complain(f"`{name}` is a {kind} already; name the embedded records otherwise", *where)
        # `client: client` says that the member `client` holds a record of `client`.
        short = not isinstance(typed, EmbedShape)
        embed = EmbedShape(at=name, resource=typed) if isinstance(typed, str) else typed
        if embed.resource not in known:
            complain(
                f"unknown resource `{embed.resource}`; {did_you_mean(embed.resource, known)}",
                *where,
                *(() if short else ("resource",)),
            )
            continue
        path = _read_path(embed.at, complain, *where, *(() if short else ("at",)))
        if path is None:
            continue
        if path.whole or ITEMS in path.steps[:-1]:
            complain(
                f"`{embed.at}` must lead to one record or to one list of them: "
                "`client`, `data.client`, `clients[]`",
                *where,
                "at",
            )
            continue
        found[name] = Embed(path=path, resource=embed.resource)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owned:
    """A place in the record that belongs to a field, to the record id or to embedded records.

    Attributes:
        steps: the place, with everything inside it.
        path: as typed.
        owner: as a finding calls it.
        where: of the owner in the file, below the resource; () = the record id.
        resource: what is embedded there; "" = nothing.
    """

    steps: tuple[str, ...]
    path: FieldPath
    owner: str
    where: tuple[str, ...] = ()
    resource: str = ""


def _require_apart(
    record_id: FieldPath | None,
    paths: dict[str, list[FieldPath]],
    embeds: dict[str, Embed],
    complain: Complain,
) -> None:
    """No member may stand at or inside another one's place."""
    # Sorted, a path comes right before everything inside it; embedded records before a field
    # at the same place.
    owned = sorted(
        _owned(record_id, paths, embeds),
        key=lambda one: (one.steps, not one.resource, one.where),
    )
    outer: _Owned | None = None
    for one in owned:
        if outer is None or one.steps[: len(outer.steps)] != outer.steps:
            outer = one
            continue
        what = f"`{outer.path}` ({outer.owner}) and `{one.path}` ({one.owner}) overlap; "
        if outer.resource:
            what += (
                f"declare what is inside the embedded records in the resource `{outer.resource}`"
            )
        elif one.resource:
            what += "embedded records stand apart from every field"
        else:
            what += "give each member to one field, and none to the record id's"
        complain(what, *(one.where or outer.where))


def _owned(
    record_id: FieldPath | None, paths: dict[str, list[FieldPath]], embeds: dict[str, Embed]
) -> list[_Owned]:
    owned = [
        _Owned(steps=path.steps, path=path, owner=f"the field `{name}`", where=("fields", name))
        for name, found in paths.items()
        for path in found
    ]
    if record_id is not None:
        owned.append(_Owned(steps=record_id.steps, path=record_id, owner="the record id"))
    for name, embed in embeds.items():
        # Where a list of records stands, no single record has its members either.
        last = embed.path.steps[-1] == ITEMS
        owned.append(
            _Owned(
                steps=embed.path.steps[:-1] if last else embed.path.steps,
                path=embed.path,
                owner=f"the embedded `{name}`",
                where=("embeds", name),
                resource=embed.resource,
            )
        )
    return owned
