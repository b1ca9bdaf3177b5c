"""NDJSON is cut line by line as the slow cut cuts the list of its lines, or refused.

The first byte says what is hidden.
"""

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import FieldPath, parse_field_path
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED, Field, Resource
from gateway.masking.lines import cut_lines_steps
from gateway.masking.plan import build_plan
from gateway.masking.steps import all_at_once
from tests.fuzz.refusals import require_reason
from tests.oracles.slow_cut import RefusedError, parse, seeing_all_but, slow_cut
from tests.properties.documents import same

RECORDS = FieldPath(("[]",))
CLIENT = Resource(
    name="client",
    id=parse_field_path("id"),
    fields={
        name: Field(name=name, paths=tuple(map(parse_field_path, paths)))
        for name, paths in {
            "name": ["name"],
            "phone": ["phone", "contact.phone"],
            "notes": ["notes[].text"],
            "extra": ["extra.**"],
        }.items()
    },
)
HIDDEN = (
    frozenset({"phone", UNMAPPED}),
    frozenset({"phone"}),
    frozenset({"name", "notes", UNMAPPED}),
    frozenset({"extra"}),
    frozenset(CLIENT.maskable),
    frozenset(),
)
PLANS = [build_plan(CLIENT, hidden, records=RECORDS) for hidden in HIDDEN]
MAX_BYTES = 512
SEEDS = (
    b'\x00{"id":1, "phone":"0901","name":"\\u7f8e"}\n{"id":2,"contact":{"phone":"2"},"x":1}\n',
    b'\x01{"id":1}\r\n{"p\\u0068one":"3","extra":{"a":[1,{"b":-0.10}]}}\r\n',
    b'\x02{"notes":[{"text":"t","by":"u"},{"text":[1]}]}\n{}',
    b'\x03{"extra":1}\n{"extra":{"phone":1}}\n\n',
    b'\x04[{"id":1}]\n',
    b'\x05{"name":"a\n"}\n{"name":\r"b"}\n',
    b"\x00",
)
# fmt: off
WORDS = (
    b"\n{", b"\r\n", b"\r", b"\n", b'{"id":', b'"phone":', b'"contact":{"phone":', b"\\u0070",
    b'"extra":', b'"notes":[{"text":', b"null", b"[[", b"}}", b"\xe2\x80\xa8", b"},{", b"\\n",
)
# fmt: on


def check(data: bytes) -> None:
    kind, body = (data[0] % len(HIDDEN), data[1:]) if data else (0, b"")
    made = _cut(body, kind)
    wanted = _slowly(body, kind)
    if made is None or wanted is None:
        assert made is wanted
        return
    assert made == b"" or made.endswith(b"\n")
    lines = made.split(b"\n")[:-1]
    assert len(lines) == len(wanted)
    for line, value in zip(lines, wanted, strict=True):
        assert b"\r" not in line
        assert same(parse(line), value)


def _cut(body: bytes, kind: int) -> bytes | None:
    try:
        return bytes(all_at_once(cut_lines_steps(body, PLANS[kind])).body)
    except UpstreamError as error:
        require_reason(error, {Reason.ANSWER_NOT_CUT})
        return None


def _slowly(body: bytes, kind: int) -> list | None:
    lines = body.split(b"\n")
    if lines[-1] == b"":
        del lines[-1]
    plain = []
    for line in lines:
        bare = line[:-1] if line.endswith(b"\r") else line
        try:
            whole = isinstance(parse(bare), dict)
        except RefusedError:
            whole = False
        if b"\r" in bare or not whole:
            return None
        plain.append(bare)
    value, _ = slow_cut(
        b"[" + b",".join(plain) + b"]", CLIENT, seeing_all_but(HIDDEN[kind]), RECORDS
    )
    return value
