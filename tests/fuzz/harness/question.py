"""A question is answered exactly where the slow reading of its declarations says so.

So never one that touches a hidden field. The first byte says what is asked, a query or a body,
the next two what is hidden; the rest is the question as it is typed.
"""

import json
from typing import Any

from gateway.domain.errors import RequestError
from gateway.domain.question import Condition, ExactMatch, Recheck
from gateway.domain.reason import Reason
from gateway.mapping.asked_body import require_body_answerable
from gateway.mapping.query import require_answerable
from gateway.masking.writes import read_body
from tests.fuzz.draws import Draws
from tests.fuzz.refusals import require_reason
from tests.oracles.slow_questions import asked_in_body, asked_in_query
from tests.properties.test_questions import DECLARED, EMBEDDED, MEMBERS, ROUTES, SPELLINGS

NAMES = ("memo", "staff", "note", "unmapped", *sorted(EMBEDDED))
MAX_BYTES = 300
SEEDS = (
    b"\x00\x00\x01page=2&sort=-memo,client.phone&q=a+b",
    b"\x01\x00\x02filter[memo]=a&filter[client.phone][$like]=b&staff_id__gt=3",
    b"\x00\x00\x09group_client=1&order[notes.text]=desc&memo=x&memo=y",
    b"\x00\x00\x01all=x&find=y",
    b"\x01\x00\x00Sort=x&sort[]=memo&_method=PUT&SORT[0]=a",
    b"\x02\x00\x01" + b'{"page":5,"q":"a b","filter":{"memo":{"like":"x","in":[1]}}}',
    b"\x02\x00\x04" + b'{"sort":["-memo"],"w":{"client":1,"memo__gt":2},"text":"t"}',
    (
        b"\x02\x00\x40"
        b'{"o":{"client.name":"asc"},"page":{"size":true},"filter":{"client":{"phone":{"in":["1"]}}}}'
    ),
)
# fmt: off
WORDS = (
    *(name.encode() for name in (*SPELLINGS, *(key for key in DECLARED if "{" not in key))),
    b"filter[", b"][$like]=", b"__gt", b"order[", b"group_", b"&", b"=", b"][", b"__", b",",
    b'{"', b'":{"', b'"filter":{"', b'"sort":["', b'"like":', b'"in":[', b'"w":{"', b"null",
)
# fmt: on


def check(data: bytes) -> None:
    draws = Draws(data)
    kind = draws.below(3)
    bits = draws.below(512) if draws.flag() else 1 << draws.below(9)
    hidden = frozenset(name for at, name in enumerate(NAMES) if bits >> at & 1)
    if kind == 2:
        _body(draws.rest(), hidden)
    else:
        text = draws.rest().decode("utf-8", "replace").replace("+", " ")
        pairs = tuple(
            (name, value) for name, _, value in (p.partition("=") for p in text.split("&"))
        )
        _query(pairs, hidden, sensitive=kind == 0)


def _query(pairs: tuple[tuple[str, str], ...], hidden: frozenset[str], *, sensitive: bool) -> None:
    expected = asked_in_query(DECLARED, SPELLINGS, sensitive, hidden, list(pairs))
    try:
        found: Any = _said(require_answerable(ROUTES[sensitive], pairs, hidden))
    except RequestError as error:
        found = str(error.reason)
    # A look-alike of a known name is refused on open resources too; the reference knows none.
    assert found == expected or (found == "unknown_parameter" and not sensitive)


def _body(data: bytes, hidden: frozenset[str]) -> None:
    try:
        body = read_body(data)
        conditions = require_body_answerable(ROUTES[True], body, hidden)
    except RequestError as error:
        require_reason(
            error, {Reason.UNKNOWN_PARAMETER, Reason.BODY_INVALID, Reason.HIDDEN_FIELD_ASKED}
        )
        return
    if not _holds_something(body):
        return  # what an empty object asks about, the reference does not say
    expected = asked_in_body(MEMBERS, SPELLINGS, hidden, json.loads(data)) if body else []
    assert sorted(set(map(tuple, _said(conditions)))) == sorted(set(expected))


def _said(conditions: tuple[Condition, ...]) -> list[tuple[str, ...]]:
    assert not any(isinstance(one, ExactMatch) for one in conditions)
    return [one.words for one in conditions if isinstance(one, Recheck)]


def _holds_something(value: Any) -> bool:
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return bool(value) and all(map(_holds_something, inside))
