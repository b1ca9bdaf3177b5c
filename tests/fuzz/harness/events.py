"""Events come out cut, the same however the stream comes in pieces, as a browser reads them.

The first byte says in which pieces, the second what is hidden.
"""

import re

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.fieldpath import FieldPath
from gateway.domain.reason import Reason
from gateway.masking.cut import cut
from gateway.masking.events import EventCut
from gateway.masking.plan import build_plan
from tests.fuzz.draws import Draws, in_chunks
from tests.fuzz.harness.lines import CLIENT, HIDDEN
from tests.fuzz.refusals import require_reason
from tests.oracles.slow_cut import parse, seeing_all_but, slow_cut
from tests.properties.documents import same

RECORDS = FieldPath(())
PLANS = [build_plan(CLIENT, hidden, records=RECORDS) for hidden in HIDDEN]
MAX_BYTES = 512
SEEDS = (
    b'\x00\x00event: client.updated\nid: 7\ndata: {"id":1,"phone":"1"}\n\n: hello\n\n',
    b'\x01\x01data: {"id":1,\r\ndata: "phone":"1"}\r\n\r\nretry: 10\r\rdata\n\n',
    b'\x02\x02\xef\xbb\xbfdata:{"name":"a"}\n\nid\nevent:x\n\ndata: {"notes":[{"text":"t"}]}\n\n',
    b"\x03\x03data: [1]\n\n",
    b'\x04\x05data: {"extra":\ndata: [1,\r\ndata: 2]}\n\ndata: {"id":1}',
    b"\x05\x00event: a b\n\n",
)
# fmt: off
WORDS = (
    b"data: ", b"data:", b"data\n", b"event: ", b"id: ", b"retry: ", b"\n\n", b"\r\n", b"\r",
    b"\r\n\r\n", b": ", b'{"id":1}', b'"phone":', b"\0", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b" data",
)
# fmt: on
Event = tuple[str, str, str, bytes]


def check(data: bytes) -> None:
    draws = Draws(data)
    pieces, kind = draws.below(256), draws.below(len(HIDDEN))
    stream = draws.rest()
    whole, broken = _fed([stream], kind)
    for how in (0, pieces):
        made, failed = _fed(in_chunks(stream, how), kind)
        assert failed == broken
        assert made.startswith(whole)
        assert failed or made == whole
    if not broken:
        _require_same_events(stream, whole, kind)


def _fed(pieces: list[bytes], kind: int) -> tuple[bytes, bool]:
    """What comes out, and whether it ended in a refusal."""
    machine = EventCut(lambda document: _cut(document, kind))
    made: list[bytes] = []
    for at, piece in enumerate(pieces):
        try:
            made += machine.feed(piece)
        except UpstreamError as error:
            require_reason(error, {Reason.ANSWER_NOT_CUT})
            _require_shut(machine, pieces[at:])
            return b"".join(made), True
    machine.finish()
    _require_shut(machine, [b"data: {}\n\n"])
    return b"".join(made), False


def _require_shut(machine: EventCut, pieces: list[bytes]) -> None:
    for piece in pieces:
        try:
            machine.feed(piece)
        except UpstreamError:
            continue
        raise AssertionError("it went on after its end")


def _cut(document: bytes, kind: int) -> bytes | None:
    try:
        return bytes(cut(document, PLANS[kind]).body)
    except RequestError:
        return None


def _require_same_events(before: bytes, after: bytes, kind: int) -> None:
    came, went = _as_a_browser(before), _as_a_browser(after)
    assert [event[:3] for event in came] == [event[:3] for event in went]
    for (*_, document), (*_, shown) in zip(came, went, strict=True):
        if document == b"":
            assert shown == b""
            continue
        wanted, _ = slow_cut(document, CLIENT, seeing_all_but(HIDDEN[kind]), RECORDS)
        assert same(parse(shown), wanted)


def _as_a_browser(stream: bytes) -> list[Event]:
    """WHATWG HTML 9.2.6: name, last id, retry and data of every event that is dispatched."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)
    events: list[Event] = []
    name = last_id = retry = ""
    data: list[str] = []
    for line in lines[:-1]:  # what has no line end is not processed
        if line == "":
            if data and (len(data) > 1 or True):
                events.append((name, last_id, retry, "\n".join(data).encode()))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                name = value
            case "data":
                data.append(value)
            case "id" if "\0" not in value:
                last_id = value
            case "retry" if value.isascii() and value.isdigit():
                retry = value
    return events
