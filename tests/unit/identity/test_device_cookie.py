import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.subject import DeviceId
from gateway.identity.device_cookie import device_key, read_device, write_device

KEY = device_key(b"0123456789abcdef0123456789abcdef")
PHONE = DeviceId("phone-1.a")


def test_what_we_wrote_we_read():
    assert read_device(write_device(PHONE, KEY), KEY) == PHONE


def test_another_secret_is_another_key():
    other = device_key(b"x123456789abcdef0123456789abcdef")
    assert read_device(write_device(PHONE, other), KEY) is None


@given(st.data())
def test_one_character_changed_is_nobody_s(data):
    text = write_device(PHONE, KEY)
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    assert read_device(text[:at] + char + text[at + 1 :], KEY) is None


@pytest.mark.parametrize(
    "text", ["", ".", "phone-1", "phone-1.", ".AAAA", "phone 1.AAAA", "é.AAAA"]
)
def test_anything_else_is_nobody_s(text):
    assert read_device(text, KEY) is None


@given(st.text())
def test_nothing_is_raised(text):
    assert read_device(text, KEY) is None
