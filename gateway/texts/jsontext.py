"""Strict JSON: one document, one meaning, or nothing.

`json` alone takes UTF-16, NaN and half a surrogate pair, keeps the last of two equal
members and turns `1e400` into infinity. Two readers that differ on such a text see two
different requests, so here each of these is refused.

The values are for judging, not for sending on: `-0` and `0.10` lose their spelling.
Messages name no member and no value: they reach logs.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

# Python itself stops at 4,300 digits (quadratic conversion); an environment variable may
# lift that, this bound stays. The longest number a CRM has a use for is far below.
MAX_NUMBER_CHARS = 1_000

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_strict_json(data: bytes | str, max_depth: int, max_bytes: int) -> Any:
    """Read one JSON document (RFC 8259, and RFC 7493 where that is stricter).

    Args:
        data: UTF-8 without a byte-order mark, or text.
        max_depth: how many arrays and objects may stand inside each other; a scalar alone
            has depth 0, `{}` has 1.
        max_bytes: the longest document, in bytes of UTF-8.

    Raises:
        ValueError: what is wrong, without a word of the content. Nothing else is raised.
    """
    text = _decode(data, max_bytes)
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        # `from None`: the decoder's error carries the whole document.
        raise ValueError(f"not valid JSON at character {error.pos}") from None
    _refuse_depth(value, max_depth)
    # A lone surrogate can only come from an escape: as raw bytes it is not UTF-8.
    if _SURROGATE_ESCAPE.search(text) is not None:
        _refuse_lone_surrogates(value)
    return value


def _decode(data: bytes | str, max_bytes: int) -> str:
    """Bytes or text → text of bounded length that is encodable as UTF-8."""
    if isinstance(data, str):
        if len(data) > max_bytes:  # before the encoder doubles it in memory
            raise ValueError(f"longer than {max_bytes} bytes")
        try:
            data = data.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair") from None
    if len(data) > max_bytes:
        raise ValueError(f"longer than {max_bytes} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if text.startswith("\ufeff"):
        raise ValueError("starts with a byte-order mark")
    return text


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Names are compared after decoding: an escaped letter is that letter."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number is longer than {MAX_NUMBER_CHARS} characters")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number is longer than {MAX_NUMBER_CHARS} characters")
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_constant=_refuse_constant,
    parse_int=_integer,
    parse_float=_float,
)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse_depth(value: Any, max_depth: int) -> None:
    """Level by level, so that our own stack does not grow with the text."""
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise ValueError(f"nested deeper than {max_depth} levels")
        level = [
            child
            for container in level
            for child in _children(container)
            if isinstance(child, dict | list)
        ]


def _refuse_lone_surrogates(value: Any) -> None:
    """The decoder joins pairs, so whatever surrogate is left is alone."""
    todo = [value]
    while todo:
        item = todo.pop()
        texts = item.keys() if isinstance(item, dict) else (item,)
        for text in texts:
            if isinstance(text, str) and _SURROGATE.search(text) is not None:
                raise ValueError("holds half of a surrogate pair")
        todo.extend(_children(item))
