"""A line of the trail is taken as sound exactly when it is one that our own chain could write.

And what is shown of a line is what stands in it.
"""

import hashlib
import json

from gateway.audit.chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Head,
    Link,
    chain,
    head_body,
    parse,
    parse_head,
    read_line,
)
from gateway.domain.time import from_milliseconds

HEAD, AFTER = chain(
    head_body(Head(worker="w1", file=1, oldest=1, started=from_milliseconds(1_795_000_000_000))),
    GENESIS,
)
ENTRY, _ = chain('{"kind":"entry","path":"/a?b=é","ids":["7"],"whole":true'.encode(), AFTER)
MAX_BYTES = 1024
SEEDS = (
    HEAD,
    ENTRY,
    ENTRY.replace(b'"path"', b'"kind":"x","path"'),
    # From here on: bodies that are chained as they come.
    b'+{"kind":"entry","a":1',
    b'+{"kind":"head","format":1,"worker":"w","file":1,"oldest":1,"started":"x"',
    b'+{"kind":"entry","hash":"x","n":7,"prev":"0"',
    b'+{"kind":"entry","a":{"b":[{"c":{}}]}',
)
# fmt: off
WORDS = (
    b'"kind":"', b'"hash":"', b'"prev":"', b'"n":', b'"format":1', b"\n", b"\\u0000", b"NaN",
    b"\xff", b"\\ud800", b"[[[[", b"}", b"{", b'"file":true', b"1e400", b'"started":"',
)
# fmt: on


def check(data: bytes) -> None:
    if data.startswith(b"+"):
        _chained(data[1:])
        return
    line = read_line(data)
    shown = _shown(data)
    if line is None or not line.sound:
        assert shown is None
        return
    body = data[: data.rindex(b',"n":')]
    again, link = chain(body, Link(line.link.n - 1, line.prev))
    assert (again, link) == (data, line.link)
    assert shown is None or shown == json.loads(data)


def _chained(body: bytes) -> None:
    """Whatever body is chained, no other bytes pass for its line."""
    raw, link = chain(body, AFTER)
    line = read_line(raw)
    if line is not None:
        assert line.sound
        assert (line.link, line.prev) == (link, AFTER.hash)
        at = hashlib.sha256(body).digest()[0] % len(raw)
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        other = read_line(changed)
        assert other is None or not other.sound
        assert _shown(changed) is None
    shown = _shown(raw)
    if shown is not None:
        assert len(raw) <= MAX_LINE_BYTES
        assert shown == json.loads(raw)


def _shown(raw: bytes) -> object:
    """The members, or None: refused. A head is read by its own reader too."""
    try:
        members = parse(raw)
    except ValueError:
        members = None
    try:
        head = parse_head(raw)
    except ValueError:
        return members
    assert members is not None
    assert head == members
    assert (head["kind"], type(head["file"]), type(head["oldest"])) == ("head", int, int)
    return members
