"""`adapters/<crm>.yaml` → how a CRM speaks: its words and its routes, or every finding at once.

HOUSE RULES
- What an adapter does not name does not exist: no route, no answer; no field, no showing.
- Form (`shapes.py`) and sense are judged in one go, so an owner sees all of it together.
- No free regular expressions, no inheritance, no defaults that open anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.login import Login
from gateway.domain.resource import Resource, Vocabulary
from gateway.domain.subject import is_name
from gateway.mapping.lookup import Lookup, build_lookup
from gateway.mapping.pattern import RECORD, Pattern, Reading, Slot
from gateway.mapping.read_login import read_login
from gateway.mapping.read_lookups import read_lookups, with_lookups
from gateway.mapping.read_resources import read_resource
from gateway.mapping.read_routes import read_route
from gateway.mapping.routes import Route, RouteTable, build_table
from gateway.mapping.shapes import (
    NAME_RULE,
    AdapterFile,
    LoginShape,
    PathsShape,
    ResourceShape,
    RouteShape,
)
from gateway.texts.yamltext import Document, validate

DEFAULT_ACTIONS = (
    "list",
    "read",
    "search",
    "create",
    "update",
    "write",
    "delete",
    "merge",
    "export",
    "send",
)
# Fields are shown by `read` and sent by `write`, whatever a CRM's routes are called.
FIELD_ACTIONS = frozenset({"read", "write"})

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """How one CRM speaks.

    Attributes:
        vocabulary: every word that rules may use about things.
        routes: every request that may be made.
        warnings: what is worth a look but does not keep the policy from loading.
        places: (resource, field) → where the field stands in the file.
        lookups: resource → how one record of it is read, for what changes one.
        login: the CRM's own login; None = people are known by tokens.
    """

    name: str
    vocabulary: Vocabulary
    routes: RouteTable
    warnings: tuple[Finding, ...] = ()
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    login: Login | None = None


def parse_adapter(document: Document) -> Adapter:
    """Read an adapter.

    Raises:
        PolicyError: every finding, warnings included.
    """
    findings: list[Finding] = []
    try:
        validate(document, AdapterFile)
    except PolicyError as error:
        findings.extend(error.findings)
    data = document.data if isinstance(document.data, dict) else {}
    name = data.get("adapter", "")
    if isinstance(name, str) and "adapter" in data and not is_name(name):
        findings.append(document.finding(f"the adapter name `{name}` {NAME_RULE}", "adapter"))
    actions = _read_actions(document, data.get("actions"), findings)
    resources, doubtful = _read_resources(document, data.get("resources"), findings)
    words = Vocabulary(resources=resources, actions=actions)
    reading = _read_paths(data.get("paths"))
    declared = _read_routes(document, data.get("routes"), words, doubtful, reading, findings)
    lookups = read_lookups(document, words, declared, findings)
    shape = _shape(LoginShape, data["login"]) if "login" in data else None
    login = None if shape is None else read_login(document, shape, declared, findings)
    if any(found.severity is Severity.ERROR for found in findings):
        raise PolicyError(findings)
    findings += _unreachable(document, words, declared)
    table = build_table(with_lookups(declared, lookups), reading)
    return Adapter(
        name=name,
        vocabulary=words,
        routes=table,
        warnings=tuple(sorted(findings)),
        places={
            (resource.name, name): document.place("resources", resource.name, "fields", name)
            for resource in resources.values()
            for name in resource.fields
        },
        lookups={name: build_lookup(found, table) for name, found in lookups.items()},
        login=login,
    )


def _read_actions(document: Document, typed: Any, findings: list[Finding]) -> frozenset[str]:
    if not isinstance(typed, list):
        return frozenset(DEFAULT_ACTIONS)
    for at, action in enumerate(typed):
        if isinstance(action, str) and not is_name(action):
            message = f"the action `{action}` {NAME_RULE}"
            findings.append(document.finding(message, "actions", at))
    return frozenset(action for action in typed if isinstance(action, str)) | FIELD_ACTIONS


def _read_paths(typed: Any) -> Reading:
    shape = _shape(PathsShape, typed)
    if shape is None:
        return Reading()
    return Reading(any_case=shape.case == "insensitive", any_end=shape.trailing_slash == "either")


def _read_resources(
    document: Document, typed: Any, findings: list[Finding]
) -> tuple[Mapping[str, Resource], frozenset[str]]:
    """The resources, and the names of those that are wrong in form, or embed such."""
    resources: dict[str, Resource] = {}
    doubtful: set[str] = set()
    for name, data in typed.items() if isinstance(typed, dict) else ():
        shape = _shape(ResourceShape, data)
        if shape is None:
            doubtful.add(name)
        else:
            resources[name] = read_resource(document, name, shape, typed, findings)
    for name, resource in resources.items():
        certain = {n: embed for n, embed in resource.embeds.items() if embed.resource in resources}
        if len(certain) < len(resource.embeds):
            doubtful.add(name)
            resources[name] = replace(resource, embeds=certain)
    return resources, frozenset(doubtful)


def _read_routes(
    document: Document,
    typed: Any,
    words: Vocabulary,
    doubtful: frozenset[str],
    reading: Reading,
    findings: list[Finding],
) -> list[tuple[Pattern, Route]]:
    if typed == []:
        message = "there are no routes, so everything would be refused; add one"
        findings.append(document.finding(message, "routes"))
    declared: list[tuple[int, Pattern, Route]] = []
    for at, data in enumerate(typed if isinstance(typed, list) else ()):
        shape = _shape(RouteShape, data)
        if shape is None or shape.resource in doubtful:
            continue
        read = read_route(document, at, shape, words, findings)
        if read is not None:
            declared.append((at, *read))
    _require_distinct(document, declared, reading, findings)
    return [(pattern, route) for _, pattern, route in declared]


def _require_distinct(
    document: Document,
    declared: list[tuple[int, Pattern, Route]],
    reading: Reading,
    findings: list[Finding],
) -> None:
    """No two routes for one request, and one name for one place of the path."""
    shapes: dict[Any, int] = {}
    names: dict[Any, tuple[str, int]] = {}
    for at, pattern, _ in declared:
        first = shapes.setdefault(pattern.shape_to(reading), at)
        if first != at:
            line = document.place("routes", first).line
            message = f"`{pattern.text}` matches what line {line} matches; keep one"
            findings.append(document.finding(message, "routes", at, "match"))
        for depth, step in enumerate(pattern.steps):
            # `{id}` is whichever record the route is about: `/clients/{id}`, but
            # `/clients/{client}/messages/{id}`.
            if not isinstance(step, Slot) or step.name == RECORD:
                continue
            name, where = names.setdefault(pattern.shape_to(reading)[1][:depth], (step.name, at))
            if name != step.name:
                line = document.place("routes", where).line
                message = f"`{{{step.name}}}` is called `{{{name}}}` in line {line}; use one name"
                findings.append(document.finding(message, "routes", at, "match"))


def _unreachable(
    document: Document, words: Vocabulary, declared: list[tuple[Pattern, Route]]
) -> list[Finding]:
    used: set[str] = set()
    todo = [route.resource.name for _, route in declared]
    while todo:  # a route leads to what it answers with, and to whatever is inside that
        name = todo.pop()
        if name not in used:
            used.add(name)
            todo += (embed.resource for embed in words.resources[name].embeds.values())
    return [
        Finding(
            document.place("resources", name),
            f"no route leads to the sensitive resource `{name}`",
            Severity.WARNING,
        )
        for name, resource in words.resources.items()
        if resource.sensitive and name not in used
    ]


def _shape(model: type[ModelT], data: Any) -> ModelT | None:
    """The part if its form is right; what is wrong with it `validate` has already said."""
    try:
        return model.model_validate(data)
    except ValidationError:
        return None
