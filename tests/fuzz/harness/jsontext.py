"""Strict JSON takes exactly the documents that have one meaning, and gives that meaning.

Against the standard library's parser, with each of the stricter rules written out once more.
"""

import json
import math
from typing import Any

from gateway.texts.jsontext import MAX_NUMBER_CHARS, parse_strict_json

DEPTH = 6
MOST = 300
MAX_BYTES = 320
SEEDS = (
    b'{"a":[1,-0,0.10,1e5,{"b":null}],"c":"\\u00e9\\ud83d\\ude00","":true}',
    '{"メモ":"佐藤","b":[[],{}]}'.encode(),
    b'"text"',
    b"[1,2.5,[[[[[[[]]]]]]]]",
    b'{"a":1,"\\u0061":2}',
    b"[NaN,Infinity,-Infinity,1e400]",
    b'"\\ud800"',
    b"\xef\xbb\xbf1",
    b"1" * 250,
)
# fmt: off
WORDS = (
    b"\\ud83d", b"\\ude00", b"\\u0061", b"NaN", b"Infinity", b"e400", b"-0", b"[[[[", b"]]]]",
    b'{"a":', b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\xe2\x80\xa8", b"null", b"true",
)
# fmt: on


class _NotPlainError(ValueError):
    """One of the stricter rules."""


def check(data: bytes) -> None:
    assert _same(_strict(data), _slow(data))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return
    assert _same(_strict(text), _slow(data))


def _strict(data: bytes | str) -> Any:
    try:
        return parse_strict_json(data, DEPTH, MOST)
    except ValueError:
        return _NotPlainError


def _slow(data: bytes) -> Any:
    try:
        if len(data) > MOST or data.startswith(b"\xef\xbb\xbf"):
            raise _NotPlainError
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_constant=_constant,
            parse_float=_finite,
        )
        _require_plain(value, 0)
    except (ValueError, RecursionError):
        return _NotPlainError
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for at, (name, _) in enumerate(pairs):
        if any(name == other for other, _ in pairs[:at]):
            raise _NotPlainError
    return dict(pairs)


def _constant(_: str) -> Any:
    raise _NotPlainError


def _finite(text: str) -> float:
    if math.isinf(float(text)) or len(text) > MAX_NUMBER_CHARS:
        raise _NotPlainError
    return float(text)


def _require_plain(value: Any, depth: int) -> None:
    """No half surrogate pair, nothing too deep."""
    if isinstance(value, str):
        value.encode("utf-8")
        return
    if not isinstance(value, dict | list):
        return
    if depth + 1 > DEPTH:
        raise _NotPlainError
    for name in value if isinstance(value, dict) else ():
        name.encode("utf-8")
    for inner in value.values() if isinstance(value, dict) else value:
        _require_plain(inner, depth + 1)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one type all the way down: 1, 1.0 and True are three things."""
    return repr(one) == repr(other)
