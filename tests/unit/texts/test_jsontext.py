import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.texts.jsontext import MAX_NUMBER_CHARS, parse_strict_json

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))


def read(data, max_depth=8, max_bytes=10_000):
    return parse_strict_json(data, max_depth=max_depth, max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"null", None),
        (b' {"a": [1, -0.5, true, "x"]} \r\n', {"a": [1, -0.5, True, "x"]}),
        ('"美咲 \\ud83d\\ude00"'.encode(), "美咲 😀"),
        ("{}", {}),
        (b"12345678901234567890123", 12345678901234567890123),
    ],
)
def test_an_ordinary_document_reads_as_json_does(text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{} {}",
        b"[1,]",
        b"{'a': 1}",
        b'"tab\there"',
        b"01",
        b"+1",
        b".5",
        b"0x10",
        b"\x0b1",
        "\u00a0" + "1",
        "\uff11",
        b"// comment\n1",
    ],
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError, match="not valid JSON"):
        read(text)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b'{"a": -Infinity}'])
def test_constants_that_json_does_not_have_are_refused(text):
    with pytest.raises(ValueError, match="NaN and Infinity"):
        read(text)


@pytest.mark.parametrize("text", [b"1e400", b"[-1E999]"])
def test_a_number_that_would_become_infinity_is_refused(text):
    with pytest.raises(ValueError, match="too large"):
        read(text)


@pytest.mark.parametrize("tail", ["", ".5"])
def test_a_number_of_endless_digits_is_refused(tail):
    with pytest.raises(ValueError, match="a number is longer"):
        read("1" * (MAX_NUMBER_CHARS + 1) + tail)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}',
        b'[{"deep": {"email": 1, "e\\u006dail": 2}}]',
        b'{"": 1, "": 2}',
    ],
)
def test_a_member_that_stands_twice_is_refused_however_it_is_spelled(text):
    with pytest.raises(ValueError, match="twice"):
        read(text)


def test_equal_names_in_different_objects_are_not_duplicates():
    assert read(b'{"a": {"a": 1}, "b": {"a": 2}}') == {"a": {"a": 1}, "b": {"a": 2}}


@pytest.mark.parametrize(
    "data",
    ['{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32")],
)
def test_other_unicode_encodings_are_refused(data):
    with pytest.raises(ValueError):
        read(data)


@pytest.mark.parametrize("data", [b'\xef\xbb\xbf{"a":1}', '\ufeff{"a":1}'])
def test_a_byte_order_mark_is_refused(data):
    with pytest.raises(ValueError, match="byte-order mark"):
        read(data)


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"'], ids=["latin", "cesu", "overlong"]
)
def test_bytes_that_are_not_utf8_are_refused(data):
    with pytest.raises(ValueError, match="not UTF-8"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [b'"\\ud800"', b'{"\\uDFFF": 1}', b'[{"a": ["\\ud83dx"]}]', b'"\\ude00\\ud83d"', '"\ud800"'],
)
def test_half_a_surrogate_pair_is_refused_in_names_and_in_values(data):
    with pytest.raises(ValueError, match="surrogate"):
        read(data)


def test_depth_counts_arrays_and_objects_alike():
    assert read(b'[{"a": []}]', max_depth=3) == [{"a": []}]
    with pytest.raises(ValueError, match="deeper than 2"):
        read(b'[{"a": []}]', max_depth=2)
    assert read(b"1", max_depth=0) == 1
    with pytest.raises(ValueError, match="deeper than 0"):
        read(b"[]", max_depth=0)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_tower_of_brackets_is_a_refusal_and_not_a_crash(opening, closing):
    for height in (500, 5_000, 100_000):
        tower = opening * height + "1" + closing * height
        with pytest.raises(ValueError, match="nested"):
            read(tower, max_bytes=10_000_000)


def test_brackets_inside_strings_are_not_depth():
    assert read(b'"[[[[[[[["', max_depth=0) == "[[[[[[[["


def test_length_is_counted_in_bytes():
    assert read('"é"', max_bytes=4) == "é"
    with pytest.raises(ValueError, match="longer than 3 bytes"):
        read('"é"', max_bytes=3)
    with pytest.raises(ValueError, match="longer than 3 bytes"):
        read('"é"'.encode(), max_bytes=3)


@pytest.mark.parametrize(
    "data", [b'{"secret": 1, "secret": 2}', b'{"secret": tru}', b'["secret\\ud800"]']
)
def test_no_content_stands_in_a_message_or_behind_it(data):
    with pytest.raises(ValueError) as caught:
        read(data)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value, "doc")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=100 * FUZZ)
@given(_values, st.booleans())
def test_whatever_json_writes_reads_back(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_strict_json(text.encode(), max_depth=99, max_bytes=10**6) == value


@settings(max_examples=300 * FUZZ)
@given(st.binary(max_size=60) | st.text('{}[]",:\\ud8e1.-Na ', max_size=40))
def test_nothing_but_a_value_error_comes_out_and_json_agrees_on_the_value(data):
    try:
        value = parse_strict_json(data, max_depth=8, max_bytes=50)
    except ValueError:
        return
    assert json.loads(data) == value
