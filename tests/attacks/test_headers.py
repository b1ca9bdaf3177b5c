"""Tricks with headers: to be somebody else, to be elsewhere, to ask another thing, to get out.

One list per trick. Entries are added, never removed.
"""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import GatewayError, RequestError, UpstreamError
from gateway.domain.http import Headers, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.hygiene import answer_headers, request_headers
from gateway.mapping.links import location

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
UPSTREAM = "https://crm.example"

# Each of these is read as the truth by some server, framework, CDN or sign-on proxy.
IDENTITY = """
    Remote-User Remote-Groups Remote-Email X-Remote-User X-Remote-Group X-Remote-Extra-Scopes
    X-User X-User-Id X-User-Email X-Username X-Auth X-Auth-User X-Auth-Token X-Auth-Request-User
    X-Authenticated-User X-Authenticated-Userid X-Authentik-Username X-Authorization
    X-Webauth-User X-Client-Cert X-Client-Cert-Dn X-SSL-Client-Cert X-SSL-Client-S-DN
    SSL-Client-Cert Ssl-Client-Verify Client-Cert Client-Cert-Chain X-ARR-ClientCert
    X-Forwarded-User X-Forwarded-Email X-Forwarded-Access-Token X-Forwarded-Client-Cert
    X-Goog-Authenticated-User-Email X-Goog-IAP-JWT-Assertion Cf-Access-Jwt-Assertion
    Cf-Access-Authenticated-User-Email X-Amzn-Oidc-Identity X-MS-Client-Principal
    X-AppEngine-User-Email Tailscale-User-Login X-Vouch-User X-Pomerium-Claim-Email X-Api-Key
    Api-Key Private-Token Sudo X-Sudo X-Access-Token X-Session-Id X-Token X-JWT-Assertion
    X-SSO-User X-Shopify-Customer-Email X-Hasura-Role X-Hasura-Admin-Secret X-Staff-Id X-Actor-Id
    X-Consumer-Username X-Credential-Identifier-User X-Employee X-Grafana-Org-Role X-Dex-Login
    X-WEBAUTH-ROLE X-Saml-Subject X-OIDC-Claim-Sub OIDC_CLAIM_sub X-Kong-User X-Gitlab-Token
    X-Permissions X-Scope X-Internal X-Trusted-Proxy X-Is-Admin X-Login-Id Custom-Authenticated-Id
    WL-Proxy-Client-Cert X-Tls-Client-Subject X-MyApp-Api-Key X-Custom-Session
    X-Role X-Roles X-Groups X-Email X-Tenant-Id X-Account-Id X-Impersonate-User X-OAuth-Scopes
    Proxy-Authorization Proxy-Authenticate
""".split()  # noqa: SIM905  # a list to be read and added to
ELSEWHERE = """
    X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Server
    X-Forwarded-Prefix X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-By X-Forward-For
    X-Forwarded Forwarded Via X-Real-IP X-Client-IP Client-IP True-Client-IP CF-Connecting-IP
    Fastly-Client-IP X-Cluster-Client-IP X-Originating-IP X-ProxyUser-Ip X-Proxy-Url X-Host
    X-Remote-IP X-Remote-Addr X-Envoy-External-Address X-AppEngine-User-IP Host X-Url-Scheme
    X-Request-Id X-HTTP-Host-Override X-Amzn-Trace-Id X-Azure-ClientIP X-Azure-SocketIP
    WL-Proxy-Client-IP Proxy-Client-IP Ali-CDN-Real-IP Incap-Client-IP Cdn-Src-IP X-Edge-IP
    X-Backend-Host X-Custom-Host X-Base-Url X-Script-Path X-External-Prefix X-My-Scheme
    X-Server-Port Akamai-Client-IP My-Forwarded-For X-Vercel-Forwarded-For X-Nginx-Remote-Addr
""".split()  # noqa: SIM905
ANOTHER_REQUEST = """
    X-Original-URL X-Rewrite-URL X-Original-URI X-Original-Host X-Original-Method
    X-Waws-Unencoded-Url X-Request-Uri X-Document-Path X-Real-Url X-Orig-Path X-Query
    HTTP-Method-Override X-Real-Method X-Request-Verb
    X-Override-URL X-HTTP-Method X-HTTP-Method-Override X-Method-Override X-Accel-Redirect
    X-Accel-Mapping X-Sendfile-Type X-Envoy-Original-Path Max-Forwards Expect Upgrade
    HTTP2-Settings TE Trailer Transfer-Encoding Content-Length Keep-Alive Proxy-Connection
""".split()  # noqa: SIM905
OURS = {
    "accept",
    "accept-encoding",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
}


def forwarded(*headers: tuple[str, str], cut=False, method: str = "GET") -> Headers:
    inbound = Inbound(
        method=method,
        target="/",
        version="1.1",
        headers=headers,
        peer="192.0.2.7",
        secure=True,
    )
    return request_headers(
        inbound,
        inject=(("X-Service", "gate"),),
        pass_cookies=frozenset({"crm"}),
        forward_token=False,
        request_id="r-1",
        peer="192.0.2.7",
        secure=True,
        host="salon.example",
        cut=cut,
    )


def spellings(name: str) -> set[str]:
    return {name, name.lower(), name.upper(), name.replace("-", "_")}


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("name", [*IDENTITY, *ELSEWHERE, *ANOTHER_REQUEST])
def test_the_crm_never_sees_what_the_client_wrote_there(name: str, cut) -> None:
    for spelled in spellings(name):
        headers = forwarded((spelled, "evil"), cut=cut)
        assert "evil" not in [value for _, value in headers]


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(
    "named", ["x-forwarded-for", "X-Request-Id", "x-service", "forwarded", "via"]
)
def test_connection_cannot_take_our_own_headers_off(named: str, cut) -> None:
    headers = forwarded(("Connection", f"close, {named}"), cut=cut)
    assert named.lower() in {key.lower() for key, _ in headers}
    assert "connection" not in {key.lower() for key, _ in headers}


@pytest.mark.parametrize(
    "named", ["Content-Type", "cookie", "AUTHORIZATION", "content-length", "Content-Encoding"]
)
def test_connection_cannot_take_off_what_the_request_was_judged_by(named: str) -> None:
    with pytest.raises(RequestError) as caught:
        forwarded(("Connection", f"keep-alive,{named}"), ("Content-Type", "application/json"))
    assert caught.value.reason is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "cookie",
    [
        'x="; crm=mine; y"; crm=theirs',
        'crm="mine; y"',
        "crm=mine, crm=theirs",
        "crm=mine,admin=1",
        'crm="mine\\"; admin=1"',
        "crm=mine;crm=theirs",
        "crm=mine; a=b;\tcrm=theirs",
        "crm=; crm=theirs",
    ],
)
def test_a_second_cookie_of_a_passed_name_cannot_be_slipped_in(cookie: str) -> None:
    with pytest.raises(RequestError):
        forwarded(("Cookie", cookie))


@pytest.mark.parametrize(
    "value",
    [
        "//evil.example",
        "//evil.example/a",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        " /a",
        "/a b",
        "/a\r\nSet-Cookie: gate=1",
        "/é",
        "",
        "a",
        "?a=b",
        "#a",
        "../a",
        "http:/a",
        "https:a",
        "https:///evil.example",
        "http://crm.example/",  # the same name, but not the same origin
        "https://crm.example:8443/",
        "https://evil.example/",
        "https://crm.example.evil.example/",
        "https://crm.example@evil.example/",
        "https://crm.example:443@evil.example/",
        "https://user@crm.example/",
        "https://crm.example\\@evil.example/",
        "https://crm.example\\.evil.example/",
        "https://crm.example//evil.example/",
        "https://crm.example/\\evil.example",
        "https://crm.example./",
        "ftp://crm.example/",
        "javascript:alert(1)",
        "javascript://crm.example/%0aalert(1)",
        "data:text/html,<script>",
        "JaVaScRiPt:alert(1)",
        "\x01javascript:alert(1)",
        "https://crm\u3002example/",
    ],
)
def test_a_redirect_never_leads_out(value: str) -> None:
    assert location(value, origins=(UPSTREAM,)) is None


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        *("Location", "Content-Location", "Refresh"),  # a way out
        *("Alt-Svc", "Public-Key-Pins", "Strict-Transport-Security"),  # a way around us
        *("X-Accel-Redirect", "X-Accel-Buffering", "X-Sendfile", "X-Reproxy-URL"),
        *("Service-Worker-Allowed", "Clear-Site-Data", "Set-Cookie", "Proxy-Authenticate"),
        *("Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Keep-Alive"),
        *("Set-Cookie2", "WWW-Authenticate", "Authentication-Info", "SourceMap", "X-SourceMap"),
        *("NEL", "Report-To", "Reporting-Endpoints", "Expect-CT", "Public-Key-Pins-Report-Only"),
        *("Surrogate-Control", "Surrogate-Key", "X-LiteSpeed-Cache", "Edge-Control"),
        *("CDN-Cache-Control", "X-Accel-Expires", "Access-Control-Allow-Credentials"),
    ],
)
def test_the_crm_cannot_command_the_browser_or_the_proxy_before_us(name: str, cut) -> None:
    for allowed in (frozenset[str](), frozenset({name})):
        headers = answer_headers(
            ((name, "evil=1"),), cut=cut and not allowed, allowed=allowed, pass_cookies=frozenset()
        )
        assert "evil=1" not in [value for _, value in headers]


@pytest.mark.parametrize(
    "cookie",
    [
        '$Version="1"; $Path=/',
        "CRM=evil",
        "Crm=evil",
        "=crm=evil",
        "crm",
        "crm =evil",
        "\u00a0crm=evil",
        "__Host-crm=evil",
        "__host-crm=evil",
        "crm.=evil",
        "crm[]=evil",
        "..crm=evil",
    ],
)
def test_a_cookie_that_only_looks_like_a_passed_one_stays_here(cookie: str) -> None:
    headers = forwarded(("Cookie", cookie.encode().decode("latin-1")))
    assert "cookie" not in {name.lower() for name, _ in headers}


@pytest.mark.parametrize(
    "value",
    [
        *(
            "public",
            "s-maxage=9",
            "public, s-maxage=9",
            "PUBLIC",
            'private="x", public',
            "max-age=9",
        ),
        *("private=x", "must-understand, no-store", "no-store,public", 'x="', "public;", ""),
    ],
)
def test_no_shared_cache_learns_from_an_answer_for_somebody(value: str) -> None:
    headers = answer_headers(
        (("Cache-Control", value), ("Vary", "Accept")),
        cut=False,
        allowed=frozenset(),
        pass_cookies=frozenset(),
    )
    rules = [v for n, v in headers if n.lower() == "cache-control"]
    assert len(rules) == 1
    directives = {part.strip().lower() for part in rules[0].split(",")}
    assert directives & {"private", "no-store"}
    assert "public" not in directives
    assert "s-maxage" not in rules[0].lower()
    assert ("Vary", "Accept, Authorization, Cookie") in headers


# ---------------------------------------------------------------- whatever they think of next

NAMES = st.one_of(
    st.sampled_from([*IDENTITY, *ELSEWHERE, *ANOTHER_REQUEST, "Cookie", "Connection", "X-Ok"]),
    st.text(max_size=12),
)
VALUES = st.one_of(
    st.sampled_from(["a", "crm=1", "close, x-ok", "gzip", "*", "crm=1; gate=2"]),
    st.text(max_size=20),
    st.text(st.characters(max_codepoint=255), max_size=20),
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@settings(max_examples=300 * FUZZ, deadline=None)
@given(headers=PAIRS, cut=st.booleans(), method=st.sampled_from(["GET", "PUT"]))
def test_no_request_breaks_a_line_or_speaks_for_us(headers, cut, method: str) -> None:
    try:
        sent = forwarded(*headers, cut=cut, method=method)
    except RequestError:
        return
    plain = forwarded(cut=cut, method=method)
    for name, value in sent:
        assert not set(name + value) & set("\r\n\0")
        assert max(map(ord, name + value)) <= 255
    spoken = [(n, v) for n, v in sent if n.lower() in OURS and (cut or n.lower()[:6] != "accept")]
    assert spoken == [(n, v) for n, v in plain if n.lower() in OURS]
    assert [v for n, v in sent if n.lower() == "cookie"] in ([], ["crm=1"])


@settings(max_examples=300 * FUZZ, deadline=None)
@given(headers=PAIRS, cut=st.booleans())
def test_no_answer_breaks_a_line_or_sets_a_cookie_of_ours(headers, cut) -> None:
    try:
        sent = answer_headers(
            tuple(headers), cut=cut, allowed=frozenset({"X-Ok"}), pass_cookies=frozenset({"crm"})
        )
    except UpstreamError:
        return
    for name, value in sent:
        assert not set(name + value) & set("\r\n\0")
        assert name.lower() != "set-cookie" or value.startswith("crm=")
    if cut:
        assert {name.lower() for name, _ in sent} <= {
            *("x-ok", "set-cookie", "content-type", "cache-control", "x-content-type-options"),
            *("allow", "retry-after"),
        }


@settings(max_examples=500 * FUZZ, deadline=None)
@given(
    value=st.one_of(
        st.text(),
        st.text("/\\:@.?#htps crmexaple\t\n"),
        st.text("/\\:@.?#htps\t\n%").map(lambda tail: UPSTREAM + tail),
    )
)
def test_a_redirect_is_a_path_that_no_browser_takes_for_an_origin(value: str) -> None:
    path = location(value, origins=(UPSTREAM,))
    if path is None:
        return
    assert path.startswith("/")
    assert path[1:2] not in {"/", "\\"}
    assert path.isascii()
    assert path.isprintable()
    assert " " not in path
    assert value.endswith(path) or value == UPSTREAM or path[1:] == value.removeprefix(UPSTREAM)


def test_every_refusal_is_one_of_ours() -> None:
    for headers in ((("X", "\n"),), (("Connection", "cookie"),), (("Content-Encoding", "br"),)):
        with pytest.raises(GatewayError):
            forwarded(*headers, cut=True)
