"""Any bytes are cut as the slow cut cuts them where it depends on the record who sees what.

The first byte says under which resources and permits; the rest is the answer of the CRM.
"""

from tests.properties.test_cut_records import Case, a_case, compare

# A case's own document under its own permits, and a place for others.
CASES: tuple[Case, ...] = tuple(map(a_case, range(256)))
MAX_BYTES = 800
SEEDS = tuple(bytes([at]) + CASES[at].body for at in range(0, 256, 3) if len(CASES[at].body) < 800)
# fmt: off
WORDS = (
    b'"mine":"me"', b'"mine":"you"', b'"house":"aoyama"', b'"house":"SHI"', b'"inner":{', b"}]",
    b'"others":[{', b'"data":[', b'"total":7', b'"next":"', b'"email":', b"null", b"},{", b"7.0",
    b'"2015-01-31"', b'"\\u006de"', b"true", b"false", b'"contact":{', b'"page":{', b"[[", b'"',
)
# fmt: on


def check(data: bytes) -> None:
    at, body = (data[0], data[1:]) if data else (0, b"")
    compare(CASES[at], body)
