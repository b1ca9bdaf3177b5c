import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.login import Place, Source
from gateway.domain.reason import Cause, Reason
from gateway.identity.credential import credential, presented, require_no_foreign_origin

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


# ---------------------------------------------------------------- of a CRM's own login

SID = Source(place=Place.COOKIE, name="sessionid")
BEARER = Source(place=Place.HEADER, name="authorization", scheme="Bearer")
OWN_HEADER = Source(place=Place.HEADER, name="x-auth-token")


def shown(form, *headers, method="GET"):
    return presented(
        a_request(*headers, method=method), form, cookie="salon_token", own_origins=OWN
    )


def why(form, *headers):
    with pytest.raises(RequestError) as caught:
        shown(form, *headers)
    assert caught.value.reason is Reason.UNAUTHENTICATED
    return caught.value.cause


def test_a_session_is_presented_in_its_one_form():
    assert shown(SID, ("Cookie", "a=b; sessionid=x:1|y%41=; c=d")) == "x:1|y%41="
    assert shown(SID, ("Cookie", 'sessionid="x1"')) == '"x1"'
    assert shown(BEARER, ("authorization", "bearer 1|abc")) == "1|abc"
    assert shown(OWN_HEADER, ("X-Auth-Token", "abc")) == "abc"


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (SID, ()),
        (SID, (("Cookie", "Sessionid=abc; sessionid2=x"),)),
        (SID, (("Authorization", "Bearer abc"),)),
        (BEARER, (("Cookie", "sessionid=abc"),)),
        (BEARER, (("X-Authorization", "Bearer abc"),)),
        (OWN_HEADER, (("Authorization", "Bearer abc"),)),
        (OWN_HEADER, (("X_Auth_Token", "abc"),)),
    ],
)
def test_no_other_form_is_a_session(form, headers):
    assert why(form, *headers) is Cause.NO_CREDENTIAL


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (SID, (("Cookie", "sessionid=a; sessionid=a"),)),
        (SID, (("Cookie", "sessionid=a"), ("Cookie", "sessionid=b"))),
        (SID, (("Cookie", "sessionid=a"), ("Authorization", "Bearer x"))),
        (SID, (("Cookie", "sessionid=a; salon_token=x"),)),
        (BEARER, (("Authorization", "Bearer a"), ("Authorization", "Bearer b"))),
        (BEARER, (("Authorization", "Bearer a"), ("Cookie", "salon_token=x"))),
        (OWN_HEADER, (("X-Auth-Token", "a"), ("x-auth-token", "a"))),
        (OWN_HEADER, (("X-Auth-Token", "a"), ("Authorization", "Bearer x"))),
    ],
)
def test_a_session_and_another_credential_are_two(form, headers):
    assert why(form, *headers) is Cause.TWO_CREDENTIALS


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        (SID, (("Cookie", "sessionid"),)),
        (SID, (("Cookie", "sessionid="),)),
        (SID, (("Cookie", 'sessionid=""'),)),
        (SID, (("Cookie", "sessionid =a"),)),
        (SID, (("Cookie", "sessionid= a"),)),
        (SID, (("Cookie", "sessionid=a b"),)),
        (SID, (("Cookie", "sessionid=a,b"),)),
        (SID, (("Cookie", 'sessionid=a"b"'),)),
        (SID, (("Cookie", 'x="; sessionid=a; y="'),)),
        (SID, (("Cookie", f"sessionid={'x' * 9000}"),)),
        (BEARER, (("Authorization", "Token abc"),)),
        (BEARER, (("Authorization", "Bearer"),)),
        (BEARER, (("Authorization", "Bearer  abc"),)),
        (BEARER, (("Authorization", "Bearer abc, Bearer def"),)),
        (BEARER, (("Authorization", 'Bearer "abc"'),)),
        (OWN_HEADER, (("X-Auth-Token", ""),)),
        (OWN_HEADER, (("X-Auth-Token", "a b"),)),
        (OWN_HEADER, (("X-Auth-Token", "a\xe9"),)),
    ],
)
def test_a_session_that_readers_would_read_differently_is_malformed(form, headers):
    assert why(form, *headers) is Cause.TOKEN_MALFORMED


def test_a_session_cookie_changes_something_only_from_a_page_of_ours():
    cookie = ("Cookie", "sessionid=abc")
    assert shown(SID, cookie, ("Origin", "https://crm.salon.example"), method="POST") == "abc"
    for origin in ([], [("Origin", "null")], [("Origin", "https://evil.example")]):
        with pytest.raises(RequestError) as caught:
            shown(SID, cookie, *origin, method="POST")
        assert caught.value.reason is Reason.ORIGIN_REFUSED
    assert shown(BEARER, ("Authorization", "Bearer abc"), method="POST") == "abc"


def test_at_the_login_a_foreign_page_is_refused_and_an_app_without_an_origin_is_not():
    require_no_foreign_origin(a_request(method="POST"), OWN)
    require_no_foreign_origin(a_request(("Origin", "https://crm.salon.example")), OWN)
    for origin in ("null", "https://evil.example", ""):
        with pytest.raises(RequestError) as caught:
            require_no_foreign_origin(a_request(("Origin", origin)), OWN)
        assert caught.value.reason is Reason.ORIGIN_REFUSED
