"""Any bytes are cut as the slow cut cuts them, or refused where it refuses them.

The first byte says by which resource, what is hidden and where the records are; the rest is
the answer of the CRM, as an answer and as an error.
"""

from gateway.domain.errors import UpstreamError
from gateway.domain.fieldpath import FieldPath
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED
from gateway.masking.cut import cut, cut_error
from gateway.masking.plan import build_plan
from tests.fuzz.harness.lines import CLIENT, HIDDEN
from tests.fuzz.refusals import require_reason
from tests.oracles.slow_cut import RefusedError, seeing_all_but, slow_cut, slow_cut_error
from tests.properties.documents import WIRE, Writer, agree


def _cases():
    """(resource, hidden, records, beside): a plain one, then whatever a seed makes."""
    for hidden in HIDDEN[:4]:
        for records in (("data", "[]"), (), ("[]",)):
            yield CLIENT, hidden, FieldPath(records), frozenset({"total"})
    for seed in range(244):
        writer = Writer(seed)
        resource = writer.resource()
        hidden = writer.some((*resource.fields, UNMAPPED))
        records = FieldPath(writer.dice.choice(WIRE))
        yield resource, hidden, records, writer.some(("total", "next"))


CASES = tuple(_cases())
PLANS = tuple(build_plan(one[0], one[1], records=one[2], beside=one[3]) for one in CASES)
MAX_BYTES = 512
SEEDS = (
    b'\x00{"data":[{"id":1,"phone":"1","name":"\\u7f8e"},{"notes":[{"text":1}]}],"total":2}',
    b'\x01{"id":1,"contact":{"phone":"2"},"extra":{"a":[1,{"b":-0.10}]},"x":{"y":1}}',
    b'\x02[{"p\\u0068one":"3"},{"phone":[1,2]},{"phone":{"a":1}},{"name":"]}"}]',
    *(bytes([at]) + Writer(at).answer(WIRE[at % len(WIRE)]).encode() for at in range(12, 60, 4)),
)
# fmt: off
WORDS = (
    b'"data":[', b'"phone":', b'"contact":{', b'"notes":[{"text":', b'"extra":', b'"id":',
    b"\\u00", b'"email":', b'"Email":', b'"total":', b"null", b"-0", b"1e400", b"}]", b"},{",
    b"[[", b"\\ud83d", b'"\\"', b"\xed\xa0\x80", b"\xef\xbb\xbf", b" ", b"\n", b'"[]":', b'"":',
)
# fmt: on


def check(data: bytes) -> None:
    at, body = (data[0], data[1:]) if data else (0, b"")
    resource, hidden, records, beside = CASES[at]
    try:
        wanted, slow = slow_cut(body, resource, seeing_all_but(hidden), records, beside)
    except RefusedError:
        _require_refused(body, at)
    else:
        agree(cut(body, PLANS[at]), wanted, slow)
    wanted, slow = slow_cut_error(body, resource, seeing_all_but(hidden))
    made = cut_error(body, PLANS[at])
    if wanted is None:
        assert made.body == b""
    else:
        slow.records = 0
        agree(made, wanted, slow)


def _require_refused(body: bytes, at: int) -> None:
    try:
        cut(body, PLANS[at])
    except UpstreamError as error:
        require_reason(error, {Reason.ANSWER_NOT_CUT})
        return
    raise AssertionError("what is no answer of this shape was cut all the same")
