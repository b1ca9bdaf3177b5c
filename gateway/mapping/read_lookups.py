"""`lookup:` of the resources → the routes by which their records are read.

A look-up is asked before the rules have the last word, so it is a plain read of one record
and nothing else: anything wider is a finding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.domain.fieldpath import ITEMS
from gateway.domain.finding import Finding, did_you_mean
from gateway.domain.http import SAFE_METHODS, Format
from gateway.domain.resource import Vocabulary
from gateway.mapping.pattern import RECORD, Pattern, Slot
from gateway.mapping.routes import Route, RouteKind
from gateway.texts.yamltext import Document

Declared = tuple[Pattern, Route]
_READ = "read"


def read_lookups(
    document: Document, words: Vocabulary, declared: Sequence[Declared], findings: list[Finding]
) -> Mapping[str, Declared]:
    """Resource → the route that reads one of its records.

    Args:
        document: the adapter's file.
        words: the resources whose form is right; others are left out.
        declared: the routes that were read.
        findings: where everything wrong is appended.
    """
    found: dict[str, Declared] = {}
    for name in words.resources:
        typed = document.data["resources"][name].get("lookup")
        if typed is None:
            continue
        route = next((pair for pair in declared if pair[0].text == typed), None)
        objections = list(_objections(name, typed, route, document, declared))
        findings += [document.finding(text, "resources", name, "lookup") for text in objections]
        if route is not None and not objections:
            found[name] = route
    return found


def with_lookups(declared: Iterable[Declared], lookups: Mapping[str, Declared]) -> list[Declared]:
    """The same routes; those under rules that change records know how to look one up."""
    return [(pattern, _with_lookup(route, lookups)) for pattern, route in declared]


def _with_lookup(route: Route, lookups: Mapping[str, Declared]) -> Route:
    found = lookups.get(route.resource.name)
    if found is None or route.method in SAFE_METHODS or route.kind is not RouteKind.RULED:
        return route
    return replace(route, lookup=found[1].template)


def _objections(
    name: str,
    typed: str,
    found: Declared | None,
    document: Document,
    declared: Iterable[Declared],
) -> Iterable[str]:
    if found is None:
        if not _is_typed(typed, document):
            reading = [
                p.text for p, r in declared if r.resource.name == name and r.action == _READ
            ]
            yield f"no route is written `{typed}`; {did_you_mean(typed, reading)}"
        return
    pattern, route = found
    slots = [step for step in pattern.steps if isinstance(step, Slot)]
    if route.resource.name != name:
        yield f"`{typed}` leads to `{route.resource.name}`; name a route of `{name}`"
    if pattern.method != "GET" or route.action != _READ or route.kind is not RouteKind.RULED:
        yield f"`{typed}` must be a GET route with the action `read`, under rules"
    if pattern.rest or slots != [Slot(RECORD)]:
        yield f"`{typed}` must hold `{{id}}` once, and no other `{{name}}` or `**`"
    if ITEMS in route.records.steps:
        yield f"`{typed}` answers with a list; name a route that answers with one record"
    elif route.format is not Format.JSON:
        yield f"`{typed}` answers as `{route.format}`; name a route that answers with one record"
    if route.resource.id is None:
        yield f"`{name}` needs its `id`, so that the record can be told from another"


def _is_typed(text: str, document: Document) -> bool:
    """Is there such a route, read or not? What is wrong with it has been said already."""
    routes = document.data.get("routes")
    return isinstance(routes, list) and any(
        isinstance(route, dict) and route.get("match") == text for route in routes
    )
