"""`query:` of a route → what each parameter asks, with everything wrong as findings."""

from collections.abc import Callable, Mapping

from gateway.domain.finding import did_you_mean
from gateway.domain.resource import ANY, UNMAPPED, Resource, Vocabulary
from gateway.mapping.parameters import (
    Capped,
    Parameter,
    Plain,
    Searches,
    embedded_names,
    field_named,
)
from gateway.mapping.shapes import ParameterShape, RouteShape
from gateway.mapping.target import is_parameter_name
from gateway.texts.yamltext import Key

_WORDS = ("plain", "field")

Complain = Callable[..., None]


def read_query(
    shape: RouteShape, resource: Resource, words: Vocabulary, complain: Complain
) -> Mapping[str, Parameter]:
    """Read the declared parameters; what is wrong is left out and complained about."""
    found: dict[str, Parameter] = {}
    for name, typed in shape.query.items():

        def object_to(message: str, *path: Key, name: str = name) -> None:
            complain(message, "query", name, *path)

        if not is_parameter_name(name):
            object_to(f"`{name}` can never arrive as a parameter name; write it decoded")
        parameter = (
            _read_detailed(typed, resource, words, object_to)
            if isinstance(typed, ParameterShape)
            else _read_word(typed, resource, words, object_to)
        )
        if parameter is not None:
            found[name] = parameter
    return found


def _read_word(
    typed: str, resource: Resource, words: Vocabulary, complain: Complain
) -> Parameter | None:
    match typed:
        case "plain":
            return Plain()
        case "field":
            return field_named(resource, words.resources)
        case _:
            complain(
                f"`{typed}` must be `plain`, `field`, `{{max: N}}`, `{{one_of: [...]}}` or "
                f"`{{searches: [...]}}`; {did_you_mean(typed, _WORDS)}"
            )
            return None


def _read_detailed(
    typed: ParameterShape, resource: Resource, words: Vocabulary, complain: Complain
) -> Parameter | None:
    if len(typed.model_fields_set) != 1:
        complain("a parameter is one of `{max: N}`, `{one_of: [...]}`, `{searches: [...]}`")
        return None
    if typed.max is not None:
        return Capped(max=typed.max)
    if typed.one_of is not None:
        if not typed.one_of:
            complain("`one_of` must list the values it takes", "one_of")
        return Plain(one_of=frozenset(typed.one_of))
    return _read_searches(typed.searches or [], resource, words, complain)


def _read_searches(
    typed: list[str], resource: Resource, words: Vocabulary, complain: Complain
) -> Parameter:
    if not typed:
        complain('`searches` must list the fields it looks in; `["*"]` for all', "searches")
    embedded = frozenset().union(*embedded_names(resource, words.resources).values())
    known = {*resource.fields, UNMAPPED, *embedded}
    for at, name in enumerate(typed):
        if name not in {*known, ANY}:
            complain(f"unknown field `{name}`; {did_you_mean(name, known)}", "searches", at)
    everything = ANY in typed
    named = {*typed, *resource.maskable, *embedded} if everything else {*typed}
    return Searches(fields=frozenset(named - {ANY}), everything=everything)
