import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.reason import Cause, Reason
from gateway.identity.credential import credential

OWN = frozenset({"https://crm.salon.example"})


def a_request(*headers, method="GET"):
    return Inbound(
        method=method,
        target="/api/clients",
        version="1.1",
        headers=headers,
        peer="127.0.0.1",
        secure=True,
    )


def find(*headers, method="GET", cookie="salon_token"):
    return credential(a_request(*headers, method=method), cookie=cookie, own_origins=OWN)


def cause(*headers, cookie="salon_token"):
    with pytest.raises(RequestError) as caught:
        find(*headers, cookie=cookie)
    assert caught.value.reason is Reason.UNAUTHENTICATED
    return caught.value.cause


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_bearer_scheme_is_known_in_any_case(scheme):
    assert find(("AUTHORIZATION", f"{scheme} a.b-_.c")) == "a.b-_.c"


def test_the_configured_cookie_carries_a_token():
    assert find(("Cookie", "theme=dark; salon_token=a.b.c; lang=ja")) == "a.b.c"


def test_a_cookie_may_come_in_a_second_header():
    assert find(("Cookie", "theme=dark"), ("cookie", "salon_token=a.b.c")) == "a.b.c"


def test_without_a_configured_cookie_no_cookie_is_read():
    assert cause(("Cookie", "salon_token=a.b.c"), cookie=None) is Cause.NO_CREDENTIAL
    bearer = ("Authorization", "Bearer x.y.z")
    assert find(bearer, ("Cookie", "salon_token=a.b.c"), cookie=None) == "x.y.z"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Cookie", "theme=dark"),),
        (("Cookie", "salon_token2=a.b.c; xsalon_token=a.b.c; Salon_Token=a.b.c"),),
        (("Cookie", 'theme="a; x'),),
        (("X-Authorization", "Bearer a.b.c"), ("Proxy-Authorization", "Bearer a.b.c")),
    ],
)
def test_no_credential_is_called_so(headers):
    assert cause(*headers) is Cause.NO_CREDENTIAL


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer a.b.c")),
        (("Authorization", "Bearer a.b.c"), ("authorization", "Basic eDp5")),
        (("Authorization", "Bearer a.b.c"), ("Cookie", "salon_token=a.b.c")),
        (("Authorization", ""), ("Cookie", "salon_token=a.b.c")),
        (("Cookie", "salon_token=a.b.c; salon_token=a.b.c"),),
        (("Cookie", "salon_token=a.b.c"), ("Cookie", "salon_token=a.b.c")),
        (("Cookie", "salon_token=; salon_token=a.b.c"),),
    ],
)
def test_two_credentials_are_refused_even_when_they_agree(headers):
    assert cause(*headers) is Cause.TWO_CREDENTIALS


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  a.b.c",
        "Bearer a.b.c ",
        "Bearer a.b.c, Bearer d.e.f",
        "Bearer a b",
        "Bearer\ta.b.c",
        " Bearer a.b.c",
        "Basic eDp5",
        "DPoP a.b.c",
        "a.b.c",
        "Bearer a.b.ç",
        "Bearer a.b.c\n",
        'Bearer "a.b.c"',
        "\u0392earer a.b.c",
        "Bearer token=a.b.c",
    ],
)
def test_another_scheme_or_form_is_malformed(value):
    assert cause(("Authorization", value)) is Cause.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        "salon_token",
        "salon_token=",
        'salon_token="a.b.c"',
        "salon_token =a.b.c",
        "salon_token=a.b.c;salon_token =x",
        "salon_token= a.b.c",
        "salon_token=a.b.c d",
        'x="a; salon_token=a.b.c; y="',
        'x="a; salon_token=a.b.c',
        "salon_token=a.b.c,d",
    ],
)
def test_a_cookie_that_readers_would_read_differently_is_malformed(value):
    assert cause(("Cookie", value)) is Cause.TOKEN_MALFORMED


def test_odd_cookies_of_others_do_no_harm():
    value = 'json={"a":"b"}; =; nameless; =empty; a=b=c; ; salon_token=a.b.c;'
    assert find(("Cookie", value)) == "a.b.c"


COOKIE = ("Cookie", "salon_token=a.b.c")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_with_the_cookie_needs_no_origin(method):
    assert find(COOKIE, method=method) == "a.b.c"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PURGE"])
def test_everything_else_with_the_cookie_needs_our_own_origin(method):
    assert find(COOKIE, ("Origin", "https://crm.salon.example"), method=method) == "a.b.c"
    with pytest.raises(RequestError) as caught:
        find(COOKIE, method=method)
    assert caught.value.reason is Reason.ORIGIN_REFUSED


@pytest.mark.parametrize(
    "origins",
    [
        ["null"],
        [""],
        ["https://evil.example"],
        ["http://crm.salon.example"],
        ["https://crm.salon.example:443"],
        ["https://crm.salon.example/"],
        ["https://CRM.salon.example"],
        ["https://crm.salon.example.evil.example"],
        ["https://crm.salon.example", "https://crm.salon.example"],
        ["https://evil.example", "https://crm.salon.example"],
        ["https://crm.salon.example https://evil.example"],
    ],
)
def test_an_origin_that_is_not_exactly_ours_is_refused(origins):
    headers = [("Origin", origin) for origin in origins]
    with pytest.raises(RequestError) as caught:
        find(COOKIE, *headers, method="POST")
    assert caught.value.reason is Reason.ORIGIN_REFUSED


def test_a_referer_does_not_stand_in_for_an_origin():
    with pytest.raises(RequestError) as caught:
        find(COOKIE, ("Referer", "https://crm.salon.example/x"), method="POST")
    assert caught.value.reason is Reason.ORIGIN_REFUSED


def test_a_websocket_from_another_site_is_refused_although_it_opens_with_get():
    upgrade = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    assert find(COOKIE, *upgrade, ("Origin", "https://crm.salon.example")) == "a.b.c"
    with pytest.raises(RequestError) as caught:
        find(COOKIE, *upgrade, ("Origin", "https://evil.example"))
    assert caught.value.reason is Reason.ORIGIN_REFUSED


def test_a_bearer_token_needs_no_origin():
    """No browser attaches it by itself."""
    assert find(("Authorization", "Bearer a.b.c"), method="DELETE") == "a.b.c"
