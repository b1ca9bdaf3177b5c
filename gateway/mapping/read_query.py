"""`query:` of a route → what each parameter asks, with everything wrong as findings.

A name that is written out wins over a family that spells it too; no two families may.
"""

from collections.abc import Callable, Mapping

from gateway.domain.fieldpath import ITEMS
from gateway.domain.finding import did_you_mean
from gateway.domain.http import Format
from gateway.domain.resource import ANY, UNMAPPED, Resource, Vocabulary
from gateway.mapping.family import is_family, slot_error, spelled
from gateway.mapping.parameters import (
    Capped,
    Named,
    Parameter,
    Plain,
    Searches,
    embedded_names,
    field_named,
)
from gateway.mapping.shapes import ParameterShape, RouteShape
from gateway.mapping.target import is_parameter_name
from gateway.texts.yamltext import Key

MAX_NAMES = 20_000  # of all families of a route: a resource has some dozens of spellings

_WORDS = ("plain", "field")
_DETAILED = "`{max: N}`, `{one_of: [...]}` or `{searches: [...]}`"

Complain = Callable[..., None]
Typed = str | ParameterShape


def read_query(
    shape: RouteShape, resource: Resource, words: Vocabulary, complain: Complain
) -> Mapping[str, Parameter]:
    """Read the declared parameters; what is wrong is left out and complained about.

    Exact look-ups are not among them: with one, a request is another (`read_variants.py`).
    """
    found: dict[str, Parameter] = {}
    families: dict[str, Mapping[str, Parameter]] = {}
    for name, typed in shape.query.items():

        def object_to(message: str, *path: Key, name: str = name) -> None:
            complain(message, "query", name, *path)

        _require_arrives(name, object_to)
        if is_family(name):
            families[name] = read_family(name, typed, resource, words, object_to)
        elif not is_exact(typed):
            parameter = read_parameter(typed, resource, words, object_to, listed=is_listed(shape))
            if parameter is not None:
                found[name] = parameter
    return _joined(found, shape, families, complain)


def read_parameter(
    typed: Typed, resource: Resource, words: Vocabulary, complain: Complain, *, listed: bool
) -> Parameter | None:
    """Read one parameter, or one member of a body that asks.

    Args:
        typed: what stands behind its name.
        resource: of the route.
        words: of the adapter.
        complain: about what is wrong.
        listed: records can leave the answer, because it is a list of them.
    """
    if isinstance(typed, str):
        return _read_word(typed, resource, words, complain)
    extra = typed.model_fields_set & {"action", "allowance"}
    if len(typed.model_fields_set - {"recheck"}) != 1 or extra:
        complain(f"a parameter is one of {_DETAILED}")
        return None
    if typed.recheck and typed.searches is None:
        complain("`recheck` goes with `searches` alone", "recheck")
    if typed.max is not None:
        return Capped(max=typed.max)
    if typed.one_of is not None:
        if not typed.one_of:
            complain("`one_of` must list the values it takes", "one_of")
        return Plain(one_of=frozenset(typed.one_of))
    if typed.searches is None:
        complain(f"a parameter is one of {_DETAILED}")
        return None
    if typed.recheck and not listed:
        complain(
            "`recheck` needs an answer that is a list, and no stream: `records: data[]`", "recheck"
        )
    return _read_searches(typed, resource, words, complain)


def read_family(
    name: str, typed: Typed, resource: Resource, words: Vocabulary, complain: Complain
) -> Mapping[str, Parameter]:
    """Spell a family out: every name it stands for → what that asks."""
    wrong = slot_error(name)
    if wrong is not None:
        complain(wrong)
        return {}
    searched = typed == "searches"
    inner = None if searched else _read_inner(typed, resource, words, complain)
    if inner is None and not searched:
        return {}
    members = field_named(resource, words.resources).members
    return {
        spelling: Searches(fields=fields) if inner is None else Named(fields=fields, value=inner)
        for spelling, fields in spelled(name, members).items()
    }


def is_listed(shape: RouteShape) -> bool:
    """Is the answer one list, of which records can leave? A stream is many answers."""
    streams = shape.websocket or Format(shape.format) is Format.EVENTS
    return shape.records.endswith(ITEMS) and not streams


def is_exact(typed: Typed) -> bool:
    """Is it meant as an exact look-up?"""
    return isinstance(typed, ParameterShape) and typed.exact is not None


def _require_arrives(name: str, complain: Complain) -> None:
    bare = name.replace("{", "").replace("}", "") if is_family(name) else name
    # The slot of `{field}` alone leaves `field`, which is a name like any other.
    if not is_parameter_name(bare):
        complain(f"`{name}` can never arrive as a parameter name; write it decoded")


def _joined(
    found: dict[str, Parameter],
    shape: RouteShape,
    families: Mapping[str, Mapping[str, Parameter]],
    complain: Complain,
) -> Mapping[str, Parameter]:
    """The names that are written out, then those that families spell."""
    spelled_by: dict[str, str] = {}
    for family, names in families.items():
        clashes = {spelled_by[name]: name for name in names if name in spelled_by}
        for other, name in clashes.items():
            complain(f"`{family}` and `{other}` both spell `{name}`; keep one", "query", family)
        spelled_by |= dict.fromkeys(names, family)
        found |= {name: one for name, one in names.items() if name not in shape.query}
    if len(spelled_by) > MAX_NAMES:
        complain(f"families spell more than {MAX_NAMES} names; name fewer", "query")
    return found


def _read_word(
    typed: str, resource: Resource, words: Vocabulary, complain: Complain
) -> Parameter | None:
    match typed:
        case "plain":
            return Plain()
        case "field":
            return field_named(resource, words.resources)
        case "searches":
            complain('say where it looks: `{searches: [...]}`; `["*"]` for everywhere')
            return None
        case _:
            complain(
                f"`{typed}` must be `plain`, `field`, {_DETAILED}; {did_you_mean(typed, _WORDS)}"
            )
            return None


def _read_inner(
    typed: Typed, resource: Resource, words: Vocabulary, complain: Complain
) -> Plain | Capped | None:
    """What the value of a family says, where only its name speaks of a field."""
    if isinstance(typed, ParameterShape) and typed.model_fields_set & {
        "searches",
        "exact",
        "recheck",
    }:
        complain("the slot names the field; write `searches`, without a list")
        return None
    if typed == "field":
        complain("a family that names fields twice is not understood; write each name out")
        return None
    found = read_parameter(typed, resource, words, complain, listed=False)
    return found if isinstance(found, Plain | Capped) else None


def _read_searches(
    typed: ParameterShape, resource: Resource, words: Vocabulary, complain: Complain
) -> Parameter:
    names = typed.searches or []
    if not names:
        complain('`searches` must list the fields it looks in; `["*"]` for all', "searches")
    embedded = frozenset().union(*embedded_names(resource, words.resources).values())
    known = {*resource.fields, UNMAPPED, *embedded}
    for at, name in enumerate(names):
        if name not in {*known, ANY}:
            complain(f"unknown field `{name}`; {did_you_mean(name, known)}", "searches", at)
    everything = ANY in names
    named = {*names, *resource.maskable, *embedded} if everything else {*names}
    return Searches(fields=frozenset(named - {ANY}), everything=everything, recheck=typed.recheck)
