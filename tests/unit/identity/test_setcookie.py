from datetime import timedelta

import pytest

from gateway.identity.setcookie import SetCookie, cookie_set
from tests.oracles.login_samples import NOW, SESSION, set_cookie


def read(more="", *, value=SESSION, name="sessionid"):
    return cookie_set((set_cookie(value, name, more),), "sessionid", NOW)


def test_a_cookie_without_a_life_lasts_as_long_as_the_browser():
    assert read("; HttpOnly; Path=/; SameSite=Lax") == SetCookie(SESSION, None)


def test_quotes_belong_to_the_value_as_a_browser_sends_it_back():
    assert read(value=f'"{SESSION}"').value == f'"{SESSION}"'


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ("; Max-Age=60", 60),
        (";max-age=60", 60),
        ("; expires=Sat, 21 Nov 2026 10:01:00 GMT", 60),
        ("; Expires=Sat, 21-Nov-2026 10:01:00 GMT", 60),
        ("; Expires=Saturday, 21 Nov 2026 10:01:00 UTC", 60),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", 60),  # RFC 6265 5.3: the latter
    ],
)
def test_a_life_is_read(more, seconds):
    assert read(more).expires_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ("", ""),
        ('""', "; Path=/"),
        (SESSION, "; Max-Age=0"),
        (SESSION, "; Max-Age=-1"),
        (SESSION, "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ("deleted", "; Expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0"),
        (SESSION, "; Max-Age=0; Expires=Sat, 21 Nov 2099 10:01:00 GMT"),
        (SESSION, "; Expires=Sat, 21 Nov 2026 10:00:00 GMT"),
    ],
)
def test_a_removed_cookie_is_none(value, more):
    assert read(more, value=value) is None


@pytest.mark.parametrize("name", ["Sessionid", "sessionid2", "__Host-sessionid", "x; sessionid"])
def test_another_name_is_another_cookie(name):
    assert read(name=name) is None


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ("a b", ""),
        ("a,b", ""),
        ("a\\b", ""),
        ('a"b', ""),
        ('"ab', ""),
        (" ab", ""),
        ("ab ", ""),
        ("\xe9", ""),
        (SESSION, "; Max-Age=soon"),
        (SESSION, "; Max-Age=1.5"),
        (SESSION, "; Max-Age=+5"),
        (SESSION, "; Max-Age"),
        (SESSION, "; Max-Age=60; max-age=0"),
        (SESSION, "; Expires=tomorrow"),
        (SESSION, "; Expires=Sat, 31 Feb 2027 10:00:00 GMT"),
        (SESSION, "; Expires=Sat, 21 Foo 2027 10:00:00 GMT"),
        ("x" * 9000, ""),
    ],
)
def test_what_is_not_plain_is_refused(value, more):
    with pytest.raises(ValueError, match=r"."):
        read(more, value=value)


@pytest.mark.parametrize("name", [" sessionid", "sessionid ", "sessionid\t"])
def test_blanks_round_the_name_are_refused_since_browsers_drop_them(name):
    with pytest.raises(ValueError, match="blanks"):
        read(name=name)


def test_two_cookies_of_one_name_are_refused_even_if_one_removes():
    for other in (set_cookie(), set_cookie(""), set_cookie("another-one-0123456789")):
        with pytest.raises(ValueError, match="two"):
            cookie_set((set_cookie(), other), "sessionid", NOW)
