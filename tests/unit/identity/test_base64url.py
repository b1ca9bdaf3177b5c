import pytest

from gateway.identity.base64url import decode_base64url, encode_base64url


@pytest.mark.parametrize(
    "data", [b"", b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc", bytes(range(256))]
)
def test_what_is_encoded_decodes_to_itself(data):
    assert decode_base64url(encode_base64url(data)) == data


@pytest.mark.parametrize(
    ("text", "trick"),
    [
        ("YQ==", "padding"),
        ("YQ=", "half the padding"),
        ("Y+8", "the alphabet of plain base64"),
        ("Y/8", "the alphabet of plain base64"),
        ("YR", "bits after the last byte"),
        ("YWJ", "bits after the last byte"),
        ("Y", "an impossible length"),
        ("YWJjZ", "an impossible length"),
        ("YW Jj", "a blank"),
        ("YWJj\n", "a final newline"),
        ("YWJ\u0661", "a digit that is not ASCII"),
    ],
)
def test_a_second_spelling_is_refused(text, trick):
    with pytest.raises(ValueError, match="base64url"):
        decode_base64url(text)
