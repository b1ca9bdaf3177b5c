"""A record as somebody writes it down to ask about it: JSON, as the CRM sends it.

Used wherever a record is given by hand: `explain --record`, `record:` of a case. And where such
a question comes from, unless it says so.
"""

from collections.abc import Mapping
from typing import Any

from gateway.texts.jsontext import parse_strict_json

MAX_RECORD_DEPTH = 32
MAX_RECORD_BYTES = 2**20
HERE = "127.0.0.1"  # where a request comes from if nobody says


def parse_record(text: str | bytes) -> Mapping[str, Any]:
    """Read one record.

    Raises:
        ValueError: it is not one strict JSON object.
    """
    value = parse_strict_json(text, MAX_RECORD_DEPTH, MAX_RECORD_BYTES)
    if not isinstance(value, dict):
        raise ValueError("a record is one JSON object")  # noqa: TRY004  # a wrong argument
    return value
