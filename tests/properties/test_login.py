"""Credentials are found as the slow reading of the same rules finds them."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import RequestError
from gateway.domain.login import Place, Source
from gateway.domain.reason import Cause
from gateway.identity.credential import found_at
from gateway.identity.said import alike, sent_at
from gateway.identity.setcookie import cookie_set
from tests.oracles.login_samples import FORM, NOW, a_request
from tests.oracles.slow_login import set_cookie, shown_cookie

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SID = Source(place=Place.COOKIE, name="sid")
SAID = {Cause.TWO_CREDENTIALS: "two", Cause.TOKEN_MALFORMED: "malformed"}

MESS = st.text('sidS=;" \t,\\ab1\x00\xe9', max_size=12)
PIECES = st.lists(
    st.one_of(
        st.just("sid=abc"),
        st.just('sid="abc"'),
        st.just("theme=dark"),
        MESS,
        MESS.map("sid={}".format),
        MESS.map("{}sid=a".format),
    ),
    max_size=4,
).map(";".join)


@settings(max_examples=600 * FUZZ, deadline=None)
@given(st.lists(PIECES, max_size=2))
def test_a_shown_cookie_is_the_one_that_the_slow_reading_finds(headers):
    inbound = a_request(*(("Cookie", header) for header in headers))
    try:
        value = found_at(inbound, SID)
        found = "nothing" if value is None else f"={value}"
    except RequestError as error:
        found = SAID[error.cause]
    assert found == shown_cookie(headers, "sid")


DATES = st.builds(
    "{}{} {}{}{} {}:{}:{} {}".format,
    st.sampled_from(["Sat,", "Saturday,", "sat,", "Sat", "S,"]),
    st.just(""),
    st.sampled_from(["21 Nov ", "21-Nov-", "31 Feb ", "21 nov ", "1 Nov ", "21 Nov-"]),
    st.sampled_from(["2026", "1970", "2027", "26", "9999"]),
    st.just(""),
    st.sampled_from(["10", "09", "24"]),
    st.sampled_from(["00", "59"]),
    st.sampled_from(["00", "61"]),
    st.sampled_from(["GMT", "UTC", "JST"]),
)
ATTRIBUTES = st.lists(
    st.one_of(
        st.sampled_from(["Path=/", " HttpOnly", "Secure", "", " Domain=crm.example", "Max-Age"]),
        st.one_of(st.integers(-5, 10**14).map(str), MESS).map(" Max-Age={}".format),
        st.sampled_from(["max-age= 60 ", "MAX-AGE=60", " Max-Age =60", "xmax-age=0"]),
        st.one_of(DATES, MESS).map(" Expires={}".format),
    ),
    max_size=4,
).map(lambda parts: "".join(f";{part}" for part in parts))
LINES = st.tuples(
    st.one_of(st.sampled_from(["sid", " sid", "sid\t", "SID", "theme"]), MESS),
    st.one_of(st.sampled_from(["=abc", "=", '=""', '="abc"', ""]), MESS.map("={}".format)),
    ATTRIBUTES,
).map("".join)


@settings(max_examples=900 * FUZZ, deadline=None)
@given(st.lists(LINES, max_size=2))
def test_a_set_cookie_is_the_one_that_the_slow_reading_finds(lines):
    headers = tuple(("Set-Cookie", line) for line in lines)
    try:
        found = cookie_set(headers, "sid", NOW)
        told = "nothing" if found is None else tuple(found)
    except ValueError:
        told = "malformed"
    assert told == set_cookie(lines, "sid", NOW)


# A form, read the way each of several servers would: whatever is let through means one thing.
NAMES = st.sampled_from(["token", "Token", "token[]", "to.ken", "tok%65n", "x", "TOKEN", ""])
FIELDS = st.lists(
    st.tuples(NAMES, st.sampled_from(["=a", "=b", "=", "", "=%61", "=a+b", ";token=c"])),
    max_size=4,
)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(FIELDS)
def test_a_field_that_is_taken_is_the_only_one_that_anybody_could_take(fields):
    body = "&".join(name + value for name, value in fields).encode()
    source = Source(place=Place.FORM, name="token")
    try:
        found = sent_at(a_request(FORM), body, source)
    except RequestError:
        return
    parted = body.decode().replace("%65", "e").replace("%61", "a").split("&")
    loose = [part for part in parted if alike(part.partition("=")[0]) == "token"]
    assert len(loose) == (0 if found is None else 1)
    if found is not None:
        assert loose[0] in {f"token={found.replace(' ', '+')}", "token"}
