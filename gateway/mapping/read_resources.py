"""`resources:` of an adapter → resources, with everything wrong in them as findings.

A word of the owner's that two things could mean is refused: a field and a class of one name,
one member under two fields, a member inside another field's member. A rule that hides one of
them would otherwise leave the value standing under the other.
"""

from collections.abc import Callable

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.finding import Finding, did_you_mean
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.domain.subject import is_name
from gateway.mapping.shapes import ResourceShape
from gateway.texts.yamltext import Document, Key

NAME_RULE = "must be lower-case letters, digits, `_` and `-`"


def read_resource(
    document: Document, name: str, shape: ResourceShape, findings: list[Finding]
) -> Resource:
    """Read one resource; what is wrong with it is left out and appended to `findings`."""

    def complain(message: str, *path: Key) -> None:
        findings.append(document.finding(message, "resources", name, *path))

    if not is_name(name):
        complain(f"the resource name `{name}` {NAME_RULE}")
    record_id = _read_id(shape, complain)
    paths = _read_paths(shape, complain)
    classes = _read_classes(shape, complain)
    _require_apart(record_id, paths, complain)
    fields = {
        field: Field(name=field, paths=tuple(found), field_class=classes.get(field))
        for field, found in paths.items()
    }
    return Resource(name=name, sensitive=shape.sensitive, id=record_id, fields=fields)


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


def _require_apart(
    record_id: FieldPath | None, paths: dict[str, list[FieldPath]], complain: Complain
) -> None:
    """No member may stand at or inside another one's place."""
    owned = [(path, name) for name, found in paths.items() for path in found]
    owned += [(record_id, "")] if record_id is not None else []
    # Sorted, a path comes right before everything inside it.
    owned.sort(key=lambda pair: (pair[0].steps, pair[1]))
    outer: tuple[FieldPath, str] | None = None
    for path, name in owned:
        if outer is None or path.steps[: len(outer[0].steps)] != outer[0].steps:
            outer = (path, name)
            continue
        complain(
            f"`{outer[0]}` ({_owner(outer[1])}) and `{path}` ({_owner(name)}) overlap; "
            "give each member to one field, and none to the record id's",
            "fields",
            name or outer[1],
        )


def _owner(name: str) -> str:
    return f"the field `{name}`" if name else "the record id"
