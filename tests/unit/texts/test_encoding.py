"""Excel saves in many encodings; the wrong one is recognised and never half read."""

import pytest

from gateway.domain.finding import PolicyError
from gateway.texts.encoding import MAX_FILE_BYTES, decode

JAPANESE = "# スタイリストは電話番号を見られません\np, role:stylist, client, read, , allow\n"
KOREAN = "# 스타일리스트는 전화번호를 볼 수 없습니다\n"
UKRAINIAN = "# Стилісти не бачать номерів телефону\n"


def refused(data):
    with pytest.raises(PolicyError) as caught:
        decode(data, "salon_rules.csv")
    (finding,) = caught.value.findings
    return str(finding)


def test_utf8_with_and_without_a_byte_order_mark_is_read():
    assert decode(JAPANESE.encode("utf-8-sig"), "x") == JAPANESE == decode(JAPANESE.encode(), "x")


@pytest.mark.parametrize(
    ("text", "codec", "says"),
    [
        (JAPANESE, "shift_jis", "looks like Shift_JIS (Japanese Excel)"),
        (KOREAN, "cp949", "looks like CP949 (Korean Excel)"),
        (UKRAINIAN, "cp1251", "looks like CP1251 (Cyrillic Excel)"),
        (JAPANESE, "utf-16", "is UTF-16"),
        (UKRAINIAN, "utf-16-be", "NUL"),
    ],
)
def test_a_foreign_encoding_is_named_with_a_remedy(text, codec, says):
    found = refused(text.encode(codec))
    assert "save it as `CSV UTF-8`" in found
    if codec != "utf-16-be":  # without its mark it can only be seen to be no text
        assert says in found


def test_the_line_of_the_first_wrong_byte_is_named():
    assert refused(b"p, ok\n\xff\xfe\xfd\n").startswith("salon_rules.csv:2:")


def test_nul_characters_are_refused():
    assert "NUL characters" in refused(b"p, role:a\0\n")


def test_a_file_beyond_the_limit_is_refused_unread():
    assert "larger than" in refused(b"#" * (MAX_FILE_BYTES + 1))
