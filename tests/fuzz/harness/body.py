"""Whatever a body sends is counted as every field that it may change, or it is refused.

The reference walks each declared path into the body: where the way ends too early, by a text
or an empty object where more is declared, everything below is written over.
"""

import json
from typing import Any

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.masking.writes import fields_sent, read_body
from tests.fuzz.documents import a_resource
from tests.fuzz.refusals import require_reason

CLIENT = a_resource("client", sensitive=True)
MAX_BYTES = 300
SEEDS = (
    b'{"name":"a","contact":{"phone":"1","x":2},"notes":[{"text":"t"},{"by":{"name":"n"}}]}',
    b'{"id":"7","extra":{"a":[1]},"contact":null,"inner":{"name":"x"}}',
    b'{"notes":{},"tags":[1,[2]],"Name":1,"phone":{"a":1}}',
    b'{"id":7,"notes":"***"}',
    b'{"_method":"PUT"}',
    b"[1]",
)
# fmt: off
WORDS = (
    b'"name":', b'"phone":', b'"contact":{', b'"notes":[{', b'"by":', b'"extra":', b'"inner":',
    b'"id":"7"', b"null", b"{}", b"[]", b"\\u0070", b"***", b"090-xxxx", b'"[]":', b"true",
)
# fmt: on


def check(data: bytes) -> None:
    try:
        value = read_body(data)
        sent = fields_sent(value, CLIENT, record="7")
    except RequestError as error:
        require_reason(error, {Reason.BODY_INVALID})
        return
    assert value == json.loads(data)
    for name, field in CLIENT.fields.items():
        if value and any(_touched(value, path.steps) for path in field.paths):
            assert name in sent
    if "inner" in value:
        assert "inner" in sent
    known = {path.steps[0] for field in CLIENT.fields.values() for path in field.paths}
    if set(value) - known - {"id", "inner"}:
        assert "unmapped" in sent
    assert sent <= {*CLIENT.fields, *CLIENT.embeds, "unmapped"}


def _touched(value: Any, steps: tuple[str, ...]) -> bool:
    """Does a body that holds this value here change what stands at the end of these steps?"""
    if not steps:
        return True
    if steps[0] == "[]":
        # A list that is sent replaces the list that was.
        return True
    if not isinstance(value, dict) or not value:
        return True
    return steps[0] in value and _touched(value[steps[0]], steps[1:])
