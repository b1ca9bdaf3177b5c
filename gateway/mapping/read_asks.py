"""`asks:` of a route → what its body may ask, as a tree; everything wrong as findings.

A key is a member path: `page.size`, `sort[]`, `conditions[].field`, `filter.{field}.like`. A
step that holds the slot is a family (`family.py`); where it is nothing but the slot, what is
inside an object is asked for by objects too: `filter.{field}` spells `{"filter": {"client":
{"phone": ...}}}` as well as `{"filter": {"client.phone": ...}}`.

A path that is written out wins over a family that spells it too; no two families may.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.domain.fieldpath import ITEMS, FieldPath, parse_field_path
from gateway.domain.http import SENDING
from gateway.domain.resource import Resource, Vocabulary
from gateway.mapping.family import SLOT, is_family
from gateway.mapping.parameters import AskedMember, Parameter
from gateway.mapping.read_query import (
    MAX_NAMES,
    Complain,
    Typed,
    is_exact,
    is_listed,
    read_family,
    read_parameter,
)
from gateway.mapping.routes import ASKING
from gateway.mapping.shapes import ParameterShape, RouteShape
from gateway.texts.yamltext import Key

Steps = tuple[str, ...]


@dataclass(slots=True)
class _Growing:
    """An `AskedMember` that is not done yet.

    Attributes:
        family: the key of the family that put the parameter here; "" = it is written out.
        written: some path that is written out leads here.
    """

    parameter: Parameter | None = None
    members: dict[str, "_Growing"] = field(default_factory=dict)
    items: "_Growing | None" = None
    family: str = ""
    written: bool = False
    slotted: bool = False


def read_asks(
    shape: RouteShape, method: str, resource: Resource, words: Vocabulary, complain: Complain
) -> AskedMember | None:
    """Read what a body may ask; None = the route declares nothing of the kind."""
    if not shape.asks:
        return None
    if method not in SENDING or shape.action not in ASKING:
        complain(
            "only what asks by POST, PUT or PATCH has `asks`: give the route the action `list`, "
            "`read` or `search`, or remove `asks`",
            "asks",
        )
    root, listed = _Growing(), is_listed(shape)
    count = 0
    for key, typed in sorted(shape.asks.items(), key=lambda item: is_family(item[0])):

        def object_to(message: str, *path: Key, key: str = key) -> None:
            complain(message, "asks", key, *path)

        path = _read_path(key, object_to)
        if path is None:
            continue
        if is_exact(typed):
            object_to("an exact look-up stands in `query`")
            continue
        if is_family(key):
            clashes: dict[str, str] = {}
            for steps, at, parameter in _family(path, typed, resource, words, object_to):
                count += 1
                _put_family(root, steps, at, parameter, key, clashes)
            for other, spelling in clashes.items():
                object_to(f"`{key}` and `{other}` both spell `{spelling}`; keep one")
            continue
        found = read_parameter(typed, resource, words, object_to, listed=listed)
        if isinstance(typed, ParameterShape) and typed.recheck and ITEMS in path.steps:
            object_to("`recheck` is for one text, not for every item of a list", "recheck")
        spot = _reach(root, path.steps)
        _mark_written(root, path.steps)
        spot.parameter = found
    if count > MAX_NAMES:
        complain(f"families spell more than {MAX_NAMES} members; name fewer", "asks")
    return _grown(root, "")


def _read_path(key: str, complain: Complain) -> FieldPath | None:
    try:
        path = parse_field_path(key)
    except ValueError as error:
        complain(str(error))
        return None
    if path.whole or not path.steps or path.steps[0] == ITEMS:
        complain(f"`{key}` must be a member of the body: `sort`, `sort[]`, `filter.{SLOT}`")
        return None
    return path


def _family(
    path: FieldPath, typed: Typed, resource: Resource, words: Vocabulary, complain: Complain
) -> Iterator[tuple[Steps, int, Parameter]]:
    """Every path that a family spells, and which of its steps is the first of the slot."""
    slots = [at for at, step in enumerate(path.steps) if is_family(step)]
    if len(slots) != 1:
        complain(f"`{path}` may hold `{SLOT}` once, and no other braces")
        return
    at = slots[0]
    before, step, after = path.steps[:at], path.steps[at], path.steps[at + 1 :]
    for name, parameter in read_family(step, typed, resource, words, complain).items():
        yield (*before, name, *after), at, parameter
        if step == SLOT and "." in name:
            yield (*before, *name.split("."), *after), at, parameter


def _put_family(
    root: _Growing,
    steps: Steps,
    at: int,
    parameter: Parameter,
    key: str,
    clashes: dict[str, str],
) -> None:
    first = _reach(root, steps[: at + 1])
    first.slotted = not first.written
    spot = _reach(root, steps)
    if spot.parameter is None:
        spot.parameter, spot.family = parameter, key
    elif spot.family not in {"", key}:
        clashes.setdefault(spot.family, ".".join(steps).replace(f".{ITEMS}", ITEMS))


def _reach(root: _Growing, steps: Steps) -> _Growing:
    """The spot at the end of a path, made on the way where it is missing."""
    spot = root
    for step in steps:
        if step == ITEMS:
            spot.items = spot.items or _Growing()
            spot = spot.items
        else:
            spot = spot.members.setdefault(step, _Growing())
    return spot


def _mark_written(root: _Growing, steps: Steps) -> None:
    for length in range(1, len(steps) + 1):
        _reach(root, steps[:length]).written = True


def _grown(spot: _Growing, path: str) -> AskedMember:
    start = f"{path}." if path else ""
    members: Mapping[str, AskedMember] = {
        name: _grown(inner, start + name) for name, inner in spot.members.items()
    }
    return AskedMember(
        path=path,
        parameter=spot.parameter,
        members=members,
        items=None if spot.items is None else _grown(spot.items, path + ITEMS),
        slotted=spot.slotted,
    )
