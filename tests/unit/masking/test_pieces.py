"""Long texts in pieces: what is told is what stands there, and nothing broken passes."""

import json

import msgspec
import pytest

from gateway.masking import pieces
from gateway.masking.pieces import PIECE, NotJsonError, Text, read_items, read_records

LONG = "x" * (PIECE // 50)


def read(value, *, indent=None, reader=read_records):
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    return body, read_all(Text(body), reader)


def read_all(text, reader=read_records):
    found = list(text.pieces(reader))
    text.end()
    return found


def read_members(text):
    found = {name: bytes(memoryview(text.value())) for name in text.members()}
    text.end()
    return found


def told(found):
    return [json.loads(msgspec.json.encode(item)) for items, _ in found for item in items]


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "name": LONG},
        {"id": 1, "name": 'a},{"b', "note": LONG},
        {"id": 1, "log": [{"a": 1}, {"b": 2}] * 40},
        {"id": 1, "deep": [[{"a": LONG}, {}], [{}, {}]]},
        {},
    ],
)
def test_a_long_list_is_told_in_several_pieces_and_whole(indent, record):
    value = [{**record, "n": n} for n in range(400 if record else 30_000)]
    body, found = read(value, indent=indent)
    assert told(found) == value
    assert len(found) > 2
    assert max(len(text) for _, text in found) < len(body) / 2


@pytest.mark.parametrize(
    "item", [1, 1.5e5, True, None, "text", 'a","b', [1], ["]", "["], {"a": 1}]
)
def test_arrays_of_all_kinds_are_told_in_pieces(item):
    value = [item] * (4 * PIECE // len(json.dumps(item)))
    _, found = read(value, reader=read_items)
    assert told(found) == value
    assert len(found) > 3


def test_the_text_of_a_piece_is_an_array_of_its_items():
    for items, text in read([{"n": n, "x": LONG} for n in range(200)])[1]:
        assert json.loads(msgspec.json.encode(items)) == json.loads(text)


def test_one_item_longer_than_all_pieces_is_told():
    value = [{"a": 1}, {"log": [{"n": 1}, {"n": 2}] * PIECE}, {"b": 1}]
    assert told(read(value)[1]) == value


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
@pytest.mark.parametrize(
    "broken", [b"},]", b"},,{", b"} {", b"}},{", b"}],[{", b",{", b"]", b"\x00", b'"', b"}]}"]
)
def test_a_long_list_that_is_broken_anywhere_is_refused(where, broken):
    body, _ = read([{"n": n, "x": LONG} for n in range(200)])
    at = body.index(b"},", int(where * (len(body) - 4000)))
    text = Text(body[:at] + broken + body[at + 2 :])
    with pytest.raises((msgspec.MsgspecError, NotJsonError)):
        read_all(text)


def test_msgspec_still_says_where_the_rest_of_a_text_begins():
    assert read_members(Text(b'{"a" : {"x":[1]}  , "b":2 }')) == {
        "a": b'{"x":[1]}',
        "b": b"2",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{,}",
        b'{"a":1,}',
        b'{"a" 1}',
        b"{a:1}",
        b'{"a":1]',
        b'{"a":1',
        b'{"a":}',
        b'{"\x01":1}',
        b'{"\\ud800":1}',
        b'{"a":01}',
        b"[]",
        b"",
        b'{"a":1}x',
    ],
)
def test_an_object_that_is_broken_is_refused(body):
    with pytest.raises((msgspec.MsgspecError, NotJsonError, UnicodeError)):
        read_members(Text(body))


@pytest.mark.parametrize("at", [0, PIECE - 2, PIECE - 1, PIECE, 3 * PIECE + 1])
def test_every_byte_is_checked_to_be_utf8(at):
    good = ("x" * at + "山" + "x" * PIECE * 3).encode()
    for _ in pieces.require_utf8_steps(good):
        pass
    for bad in (b"\xff", b"\xed\xa0\x80", b"\xe5\xb1", b"\xc0\xaf"):
        with pytest.raises(UnicodeError):
            for _ in pieces.require_utf8_steps(good[:at] + bad + good[at:]):
                pass
    with pytest.raises(UnicodeError):
        for _ in pieces.require_utf8_steps(good[: at + 2]):
            pass
