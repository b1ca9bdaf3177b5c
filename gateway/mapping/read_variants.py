"""Exact look-ups in `query:` of a route → the routes that requests with one are instead.

Such a request has an action of its own, so that rules can allow it alone, and takes beside the
number only words that the adapter lists (`one_of`). Never a page or its size: page by page,
several holders of one number would be the only one each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gateway.domain.fieldpath import ITEMS
from gateway.domain.finding import did_you_mean
from gateway.domain.http import Format
from gateway.domain.resource import Vocabulary
from gateway.mapping.family import is_family
from gateway.mapping.parameters import Exact, Plain
from gateway.mapping.read_query import Complain, is_exact
from gateway.mapping.routes import Route
from gateway.mapping.shapes import ParameterShape, RouteShape
from gateway.texts.yamltext import Key

# By which fields are asked, shown and sent: whoever may do that would have the look-up as well.
_ORDINARY = frozenset({"list", "read", "write"})


def read_variants(
    shape: RouteShape, route: Route, words: Vocabulary, complain: Complain
) -> Mapping[str, Route]:
    """The routes that requests with an exact look-up are instead, by its parameter.

    Args:
        shape: of the route as typed.
        route: as read, without them.
        words: of the adapter.
        complain: about what is wrong.
    """
    found: dict[str, Route] = {}
    beside = {
        name: one
        for name, one in route.query.items()
        if isinstance(one, Plain) and one.one_of is not None
    }
    for name, typed in shape.query.items():
        if not isinstance(typed, ParameterShape) or not is_exact(typed) or is_family(name):
            continue

        def object_to(message: str, *path: Key, name: str = name) -> None:
            complain(message, "query", name, *path)

        exact = _read_exact(typed, route, words, object_to)
        if exact is not None:
            found[name] = replace(
                route,
                action=typed.action or route.action,
                query={**beside, name: exact},
                asks=None,
                variants={},
            )
    return found


def _read_exact(
    typed: ParameterShape, route: Route, words: Vocabulary, complain: Complain
) -> Exact | None:
    objections = [*_not_exact(typed, route, words)]
    for message, *path in objections:
        complain(message, *path)
    if objections or typed.exact is None or typed.allowance is None:
        return None
    return Exact(field=typed.exact, allowance=typed.allowance)


def _not_exact(
    typed: ParameterShape, route: Route, words: Vocabulary
) -> Iterator[tuple[str, ...]]:
    if typed.model_fields_set != {"exact", "action", "allowance"}:
        yield (
            "an exact look-up is `{exact: FIELD, action: ACTION, allowance: N}`, no more or less",
        )
        return
    name, action = typed.exact or "", typed.action or ""
    if name not in route.resource.fields:
        known = did_you_mean(name, route.resource.fields)
        yield f"unknown field `{name}`; {known}", "exact"
    if action not in words.actions:
        known = did_you_mean(action, words.actions)
        yield f"unknown action `{action}`; add it to `actions`, or: {known}", "action"
    elif action in {*_ORDINARY, route.action}:
        message = (
            f"`{action}` is a right to more than this; give the look-up an action of its own, "
            "such as `find`, and add it to `actions`"
        )
        yield message, "action"
    streams = route.websocket or route.format is Format.EVENTS
    if route.method != "GET" or ITEMS not in route.records.steps or streams:
        yield ("an exact look-up needs a GET route that answers with one list, and no stream",)
