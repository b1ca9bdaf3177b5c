"""JSON Schemas of the YAML files, for editors: completion, and a red line while typing.

INVARIANT: a schema never refuses a file that our reader accepts by itself (the environment
may mend a wrong gateway.yaml; an editor still shows what is wrong). It may accept more: what
only the whole file shows, `salon-gateway check` says.

Our reader takes every scalar as text; an editor sees YAML's own types. So a text may be any
scalar, a number or a switch may stand in quotes, and a value that may be left empty may be
null. A scalar is written as `not` a list or mapping, not as a list of types, because editors
would propose `true`, `false` and `null` for each type that is named.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.enforcer.assertions import LINE, AssertionsFile
from gateway.enforcer.calendar import HoursFile
from gateway.enforcer.hours import MAX_GRACE_MINUTES, ORDINALS, WEEKDAYS
from gateway.enforcer.observe import ObserveFile
from gateway.identity.staff_file import StaffFile
from gateway.mapping.shapes import AdapterFile
from gateway.settings import Settings
from gateway.texts.yamltext import Strict
from gateway.tools.case_file import DECISIONS, REASONS, CaseFile

NAMES = ("gateway", "hours", "staff", "adapter", "cases", "assertions", "observe")
_FILES: dict[str, tuple[str, type[Strict]]] = {
    "gateway": ("gateway.yaml", Settings),
    "hours": ("hours.yaml", HoursFile),
    "staff": ("staff.yaml", StaffFile),
    "adapter": ("adapters/<crm>.yaml", AdapterFile),
    "cases": ("policies/cases/*.yaml", CaseFile),
    "assertions": ("assertions.yaml", AssertionsFile),
    "observe": ("observe.yaml", ObserveFile),
}

# Python's and JavaScript's dialects of regular expressions read all of these alike.
_NAME = "^[a-z0-9][a-z0-9_-]{0,62}$"
_DEVICE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_INTERVAL = "^[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$"
# As pydantic reads them from text: blanks around, `_` between digits, any case.
_INTEGER = "^\\s*[+-]?[0-9][0-9_]*(\\.0*)?\\s*$"
_NUMBER = "^\\s*[+-]?[0-9_.]+([eE][+-]?[0-9_]+)?\\s*$"
_SWITCH = "^([tT]([rR][uU][eE])?|[fF]([aA][lL][sS][eE])?|[yY]([eE][sS])?|[nN][oO]?|[oO]([nN]|[fF][fF])|[01])$"  # noqa: E501  # one pattern
_VARIABLE = "\\$\\{[A-Z]"  # gateway.yaml: what `${NAME}` stands for is not known here

_LARGE: list[str] = ["object", "array"]
_TEXT: JsonSchemaValue = {"not": {"type": _LARGE}}
_EMPTY: JsonSchemaValue = {"not": {"type": [*_LARGE, "number", "boolean"]}, "pattern": "^$"}
_ROLE: JsonSchemaValue = {"type": "string", "pattern": _NAME.replace("^", "^role:")}
_FILLED = _TEXT | {"pattern": "\\S"}
_HOLIDAYS = [*WEEKDAYS, *(f"{nth} {day}" for nth in ORDINALS for day in WEEKDAYS)]

# The function that reads a value → what it may be. A reader that is not here and whose
# result has no form of its own (a PlainValidator) is a KeyError, so that it is not forgotten.
_READERS: dict[str, JsonSchemaValue] = {
    "read_interval": {"type": "string", "pattern": _INTERVAL, "examples": ["10:00-19:00"]},
    "read_date": {
        "not": {"type": [*_LARGE, "number", "boolean", "null"]},
        "pattern": _DATE,
    },
    "read_weekday": {"enum": list(WEEKDAYS)},
    "read_regular_holiday": {"enum": _HOLIDAYS},
    # Not an enum: the next machine may know more zones than this one.
    "read_timezone": {
        "type": "string",
        "minLength": 1,
        "examples": ["Asia/Tokyo", "Asia/Seoul", "Europe/Kyiv", "Europe/Berlin"],
    },
    "read_grace": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_GRACE_MINUTES},
            {"type": "string", "pattern": "^[0-9]{1,4}$"},
        ]
    },
    "read_salon_name": _TEXT | {"pattern": _NAME},
    "read_exempt_role": _ROLE,
    "_read_role": _ROLE,
    "_read_id": _TEXT | {"pattern": _NAME},
    "_read_device": _TEXT | {"pattern": _DEVICE},
    "_bare_name": _TEXT | {"pattern": _NAME},
    "_origin": {
        "type": "string",
        "pattern": "[hH][tT][tT][pP][sS]?:",
        "examples": ["http://127.0.0.1:8000"],
    },
    "_state_url": {"type": "string", "pattern": r"^(sqlite:|rediss?(\+sentinel|\+cluster)?://)"},
    # Cases. `1:2` is a number to YAML 1.1, so an address or a place may be one.
    "read_text": _FILLED,
    "read_sentence": _FILLED,
    "read_who": _TEXT | {"pattern": _NAME.replace("^", "^(staff:)?")},
    "read_request": {
        "type": "string",
        "pattern": "^[A-Z]+ /\\S*$",
        "examples": ["GET /api/clients/7"],
    },
    "read_at": {
        "not": {"type": [*_LARGE, "number", "boolean", "null"]},
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "examples": ["2026-11-25T12:00"],
    },
    "read_case_device": _TEXT | {"pattern": _DEVICE},
    "read_narrowing": _ROLE,
    "read_peer": _FILLED | {"examples": ["192.0.2.7"]},
    "read_record": {
        "type": "string",
        "pattern": "^\\s*\\{",
        "examples": ['{"stylist_id": "mei"}'],
    },
    "read_decision": {"enum": list(DECISIONS)},
    "read_reason": {"enum": list(REASONS)},
    "read_rule": _FILLED
    | {"examples": ["p, role:stylist, client, export, , deny", "salon_rules.csv:41"]},
    "read_line": {
        "type": "string",
        "pattern": f"^{LINE}$",
        "examples": ["role:stylist read client.contact.email when app:phone"],
    },
}
_MAY_BE_EMPTY = frozenset(
    {
        "_optional.<locals>.check",
        "_read_declared",
        "_read_list",
        "_read_observed",
        "_some_lines",
    }
)


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one file.

    Args:
        name: one of `NAMES`.
    """
    file, model = _FILES[name]
    generator = _WithVariables if name == "gateway" else _Owners
    found = model.model_json_schema(schema_generator=generator, mode="validation")
    if name == "gateway":
        found["type"] = ["object", "null"]  # an empty file: all of it is in the environment
    found["description"] = f"{file} of salon-gateway. `salon-gateway check` sees more than this."
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": file, **found}


def schema_text(name: str) -> str:
    """The same as a file's text."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def file_name(name: str) -> str:
    """As the first lines of the starter files call it."""
    return f"{name}.schema.json"


class _Owners(GenerateJsonSchema):
    """pydantic's schema of a model, with scalars as people type them."""

    variables = False

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's hook
        return False  # `Ca File` says no more than `ca_file`

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        found.pop("title", None)
        if self.variables:
            found.pop("required", None)  # `SALON_GATEWAY_...` may give any key instead
        return found

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        # Editors insert defaults, and `null` would be read as a text.
        if found.get("default") is None or isinstance(found["default"], dict):
            found.pop("default", None)
        return found

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:  # noqa: ARG002  # ditto
        return dict(_TEXT)

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        found = super().int_schema(schema)
        if found.get("minimum", 0) > 1:
            found["minimum"] = 1  # `07777` is octal to YAML 1.1, and smaller than it looks
        return self._or_text(found, _INTEGER)

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return self._or_text(super().float_schema(schema), _NUMBER)

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        found = self._or_text(super().bool_schema(schema), _SWITCH)
        return {"anyOf": [*found["anyOf"], {"type": "integer", "minimum": 0, "maximum": 1}]}

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:  # noqa: ARG002  # ditto
        return dict(_READERS["read_date"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        words: JsonSchemaValue = {"enum": list(schema["expected"])}
        return self._or_text(words, _VARIABLE) if self.variables else words

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])  # no text is None; see `_MAY_BE_EMPTY`

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        keys = self.generate_inner(schema["keys_schema"])
        values = self.generate_inner(schema["values_schema"])
        if "enum" in keys:
            inner = {"properties": dict.fromkeys(keys["enum"], values)}
        elif "pattern" in keys:
            inner = {"patternProperties": {keys["pattern"]: values}}
        else:
            return {"type": "object", "additionalProperties": values}
        return {"type": "object", **inner, "additionalProperties": False}

    def function_plain_schema(
        self, schema: core_schema.PlainValidatorFunctionSchema
    ) -> JsonSchemaValue:
        return dict(_READERS[_reader(schema)])

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        reader = _reader(schema)
        if reader in _READERS:
            return dict(_READERS[reader])
        found = super().function_before_schema(schema)
        if reader == "_read_salons":
            roles = {"anyOf": [found["additionalProperties"], _EMPTY]}
            some = {"minProperties": 1, "additionalProperties": False}
            return {"type": "object", "patternProperties": {_NAME: roles}, **some}
        return {"anyOf": [found, _EMPTY]} if reader in _MAY_BE_EMPTY else found

    def function_after_schema(
        self, schema: core_schema.AfterValidatorFunctionSchema
    ) -> JsonSchemaValue:
        found = _READERS.get(_reader(schema))
        if found is None:
            return super().function_after_schema(schema)
        if self.variables:
            return found | {"pattern": f"{found['pattern']}|{_VARIABLE}"}
        return dict(found)

    def _or_text(self, typed: JsonSchemaValue, pattern: str) -> JsonSchemaValue:
        """A value of YAML's own type, or the same in quotes."""
        if self.variables and pattern != _VARIABLE:
            pattern = f"{pattern}|{_VARIABLE}"
        return {"anyOf": [typed, {"type": "string", "pattern": pattern}]}


class _WithVariables(_Owners):
    """The same for gateway.yaml, whose values may hold `${NAME}` or come from outside."""

    variables = True


def _reader(schema: Any) -> str:
    return str(schema["function"]["function"].__qualname__)
