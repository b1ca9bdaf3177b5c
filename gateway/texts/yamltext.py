"""Strict YAML: every scalar is text, nothing is guessed, every value knows its place.

PyYAML alone reads `22:00` as 1320 and `no` as False, keeps the last of two equal keys and
expands aliases. Here duplicates, aliases, anchors, tags, merge keys and several documents
are findings; pydantic gives the texts their meaning and reports everything wrong at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.domain.finding import Finding, Place, PolicyError, did_you_mean

MAX_DEPTH = 32  # our deepest file (an adapter) needs 7

# The tags PyYAML gives by itself; any other was typed by the owner (`!!python/object:...`).
_GUESSED = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "seq", "map")
)

Key = str | int
Path = tuple[Key, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


class Strict(BaseModel):
    """Base of every model of an owner's file: unknown keys are errors, values frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain data with the place of every key and value.

    Attributes:
        file: its name in findings.
        data: dicts, lists and str only; an empty value is "".
        places: path of keys and indices → where it stands. A mapping's entry is placed at
            its key; `()` is the document.
    """

    file: str
    data: Any
    places: Mapping[Path, Place]

    def place(self, *path: Key) -> Place:
        """The place of a path, or of its nearest ancestor that has one."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.places.get((), Place(self.file))

    def finding(self, message: str, *path: Key) -> Finding:
        """A finding at a path."""
        return Finding(self.place(*path), message)


def parse_yaml(text: str, file: str) -> Document:
    """Read one YAML document.

    Raises:
        PolicyError: everything wrong with the form, each with its place.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise PolicyError([_syntax(error, file)]) from error
    try:
        node = loader.get_single_node()
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError([_syntax(error, file)]) from error
    finally:
        loader.dispose()
    reader = _Reader(file)
    data = reader.read(node, (), 0) if node is not None else {}
    if reader.findings:
        raise PolicyError(reader.findings)
    return Document(file, data, reader.places)


def validate(document: Document, model: type[ModelT]) -> ModelT:
    """Give a document its meaning.

    Raises:
        PolicyError: every error pydantic found, at the place of the value it is about.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise PolicyError(
            _explain(document, model, details) for details in error.errors(include_url=False)
        ) from error


class _Reader:
    """One pass over the node tree, collecting values, places and findings."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Path, Place] = {}
        self.findings: list[Finding] = []
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self.places.setdefault(path, self._place(node))
        if id(node) in self._seen:
            return self._refuse(node, "an alias (`*name`) is not allowed; write the value out")
        self._seen.add(id(node))
        if depth > MAX_DEPTH:
            return self._refuse(node, f"nested deeper than {MAX_DEPTH} levels")
        if node.tag not in _GUESSED:
            return self._refuse(node, f"the tag `{node.tag}` is not allowed")
        if isinstance(node, yaml.ScalarNode):
            return node.value
        if isinstance(node, yaml.SequenceNode):
            return [
                self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)
            ]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML knows three kinds of node
        return self._mapping(node, path, depth)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, "a key must be plain text")
            elif key.value == "<<":
                self._refuse(key, "a merge key (`<<`) is not allowed; write the values out")
            elif key.value in values:
                first = self.places[*path, key.value].line
                self._refuse(key, f"the key `{key.value}` stands twice (first in line {first})")
            else:
                self.places[*path, key.value] = self._place(key)
                values[key.value] = self.read(value, (*path, key.value), depth + 1)
        return values

    def _place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self.file, mark.line + 1, mark.column + 1)

    def _refuse(self, node: yaml.Node, message: str) -> str:
        self.findings.append(Finding(self._place(node), message))
        return ""


def _syntax(error: Exception, file: str) -> Finding:
    """Turn a YAML syntax error into a finding."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        place = Place(file, mark.line + 1, mark.column + 1)
        return Finding(place, f"not valid YAML: {error.problem or error.context or 'unreadable'}")
    if isinstance(error, RecursionError):
        return Finding(Place(file), "not valid YAML: nested too deeply")
    first = str(error).splitlines()[0] if str(error) else "unreadable"
    return Finding(Place(file), f"not valid YAML: {first}")


def _explain(document: Document, model: type[BaseModel], details: Any) -> Finding:
    """Turn one pydantic error into a finding at the right place."""
    loc = tuple(details["loc"])
    path = _document_path(document, loc)
    name = loc[-1] if loc else ""
    match details["type"]:
        case "extra_forbidden":
            known = _keys_at(model, loc[:-1])
            message = f"unknown key `{name}`; {did_you_mean(str(name), known)}"
        case "missing":
            message = f"the key `{name}` is missing"
        case "value_error":
            message = str(details["ctx"]["error"])
        case _:
            typed = details["input"]
            got = f", got `{typed}`" if isinstance(typed, str) else ""
            message = details["msg"][0].lower() + details["msg"][1:] + got
    return document.finding(message, *path)


def _document_path(document: Document, loc: Path) -> Path:
    """Drop the parts of a pydantic location that are not in the file (union tags and such)."""
    path: Path = ()
    for part in loc:
        if (*path, part) in document.places:
            path = (*path, part)
    return path


def _keys_at(model: Any, loc: Path) -> set[str]:
    """The keys a model knows at a location, as a file spells them."""
    models = [model]
    for part in loc:
        models = [inner for outer in models for inner in _step(outer, part)]
    return {
        info.alias or name
        for found in models
        if isinstance(found, type) and issubclass(found, BaseModel)
        for name, info in found.model_fields.items()
    }


def _step(model: Any, part: Key) -> list[Any]:
    """What stands under `part` of a model, a list, a dict or a union."""
    origin = get_origin(model)
    if origin is Annotated:
        return _step(get_args(model)[0], part)
    if origin in {UnionType, Union}:
        return [found for arm in get_args(model) for found in _step(arm, part)]
    if origin in {list, tuple} and isinstance(part, int):
        return _flatten(get_args(model)[0])
    if origin in {dict, Mapping}:
        return _flatten(get_args(model)[1])
    if isinstance(model, type) and issubclass(model, BaseModel):
        for name, info in model.model_fields.items():
            if part in {name, info.alias}:
                return _flatten(info.annotation)
        return [model] if part == model.__name__ else []
    return []


def _flatten(annotation: Any) -> list[Any]:
    """A union's arms, or the annotation itself."""
    if get_origin(annotation) is Annotated:
        return _flatten(get_args(annotation)[0])
    if get_origin(annotation) in {UnionType, Union}:
        return [found for arm in get_args(annotation) for found in _flatten(arm)]
    return [annotation]
