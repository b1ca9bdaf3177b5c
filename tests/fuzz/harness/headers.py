"""No header of the CRM's leads a client elsewhere, sets a cookie of its own or breaks a line.

Nor does a client's header bring the CRM a cookie that nobody let pass.

What a reference of the CRM leads to is what Python's urllib resolves it to, as a path of ours.
"""

import re
from http.cookies import SimpleCookie
from ipaddress import ip_address, ip_network
from urllib.parse import urljoin, urlsplit

from aiohttp._cookie_helpers import parse_cookie_header

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import HOP_BY_HOP, Format, Headers, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.client_address import client_address, client_scheme
from gateway.mapping.hygiene import answer_headers, request_headers
from gateway.mapping.links import location, own_link
from gateway.mapping.target import linked_target
from gateway.masking.mediatype import content_fits, json_media_type
from tests.fuzz.harness.guard import head
from tests.fuzz.refusals import require_reason

CRM, OURS = "http://crm.example:3000", "https://salon.example"
BASE = "/api/clients/7"
PROXIES = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
MAX_BYTES = 512
SEEDS = (
    b'GET / 1.1\nCookie: theme=dark; session=x\nCookie: a="b; theme=c"\nCookie: theme="a b"',
    b"GET / 1.1\nLocation: http://crm.example:3000/api/clients/8?x=1#y\nContent-Type: text/csv",
    b'GET / 1.1\nLink: </api/clients?page=2>; rel="next", <//evil.example>; rel=prev\nLocation: 8',
    b"GET / 1.1\nSet-Cookie: theme=dark; Domain=.example\nSet-Cookie: session=x\nETag: x",
    b"GET / 1.1\nConnection: close, X-A\nX-A: b\nCache-Control: public, max-age=60\nVary: a",
    b"GET / 1.1\nX-Forwarded-For: 203.0.113.7, 192.0.2.9\nX-Forwarded-Proto: https",
    b"GET / 1.1\nContent-Type: application/vnd.api+json; charset=UTF-8\nForwarded: proto=http",
    b"GET / 1.1\nLocation: ../x\nLocation: /\\evil.example\nLocation: ./a:b?c",
)
# fmt: off
WORDS = (
    b"Cookie: ", b"theme=", b"session=", b'"', b", ", b" ", b"\\",
    b"Location: ", b"Link: ", b"Set-Cookie: ", b"//", b"/\\", b"http://crm.example:3000", b"@",
    b"https:", b"javascript:", b"%2e%2e", b"/../", b"./", b">; rel=", b'"next"', b"anchor=",
    b"<", b"X-Forwarded-For: ", b"::ffff:192.0.2.1", b"%eth0", b"for=", b"; charset=utf-8",
    b"+json", b"theme=", b"theme", b"; Domain=", b"Cache-Control: ", b'private="', b"no-cache",
    b"Vary: *",
)
# fmt: on
_KEPT_LINK = re.compile(r'</(?!/)[^\\<>"\s]*>; rel="[a-z][a-z0-9. -]*"')


def check(data: bytes) -> None:
    headers = head(data).headers
    for name, value in headers:
        match name.lower():
            case "location":
                _require_ours(value)
            case "link":
                _require_own_links(value)
    for cut in (False, True):
        _require_clean(headers, cut=cut)
    _require_address(headers)
    _require_own_cookies(headers)
    if json_media_type(headers) is not None:
        assert content_fits(headers, Format.JSON)
    assert sum(content_fits(headers, one) for one in Format) <= 1


def _require_ours(value: str) -> None:
    for base in (None, BASE):
        path = location(value, origins=(CRM,), base=base)
        if path is None:
            continue
        parts = urlsplit(urljoin(f"{OURS}/api/clients/7?x", path))
        assert (parts.scheme, parts.netloc) == ("https", "salon.example")
        if linked_target(path) is None:
            continue  # nobody could ask for it; empty segments and dots are read in many ways
        there = urlsplit(urljoin(f"{CRM}{BASE}", value))
        assert there.netloc.lower() == "crm.example:3000"
        assert (there.path or "/", there.query, there.fragment) == parts[2:]


def _require_own_links(value: str) -> None:
    kept = own_link(value, origins=(CRM,), reachable=lambda path: "no" not in path, base=BASE)
    for link in kept.split(", ") if kept is not None else ():
        assert _KEPT_LINK.fullmatch(link)
        assert "no" not in link[: link.index(">")]


def _require_clean(headers: Headers, *, cut: bool) -> None:
    try:
        kept = answer_headers(
            headers,
            cut=cut,
            allowed=frozenset({"x-total-count"}),
            pass_cookies=frozenset({"theme"}),
        )
    except UpstreamError as error:
        require_reason(error, {Reason.UPSTREAM_INVALID})
        return
    lower = [(name.lower(), value) for name, value in kept]
    assert not HOP_BY_HOP & {name for name, _ in lower}
    assert not {"location", "content-length", "content-encoding"} & {n for n, _ in lower if cut}
    for name, value in lower:
        assert not set(name + value) & set("\r\n\0")
        if name == "set-cookie":
            assert value.partition("=")[0].strip(" \t") == "theme"
            assert not re.search(r";\s*domain\s*(=|;|$)", value, re.IGNORECASE)
    caches = [value for name, value in lower if name == "cache-control"]
    assert len(caches) == 1
    assert ("no-store" if cut else "private") in caches[0] or "no-store" in caches[0]
    assert "public" not in re.sub(r'"[^"]*"', "", caches[0]).lower().replace(" ", "").split(",")


def _require_own_cookies(headers: Headers) -> None:
    """Of the client's cookies those that may go on do, and to no reader any other."""
    inbound = Inbound(
        method="GET", target="/", version="1.1", headers=headers, peer="192.0.2.7", secure=True
    )
    try:
        kept = request_headers(
            inbound,
            inject=(),
            pass_cookies=frozenset({"theme"}),
            forward_token=False,
            request_id="r",
            peer="192.0.2.7",
            secure=True,
            host="salon.example",
            cut=False,
        )
    except RequestError:
        return
    assert all(set(name + value).isdisjoint("\r\n\0") for name, value in kept)
    cookies = [value for name, value in kept if name.lower() == "cookie"]
    assert len(cookies) <= 1
    for cookie in cookies:
        assert set(SimpleCookie(cookie)) <= {"theme"}
        assert {name for name, _ in parse_cookie_header(cookie)} <= {"theme"}


def _require_address(headers: Headers) -> None:
    assert client_address("198.51.100.1", headers, PROXIES) == "198.51.100.1"
    assert client_scheme("198.51.100.1", headers, PROXIES, secure=True)
    found = client_address("192.0.2.1", headers, PROXIES)
    if found is not None:
        assert not any(ip_address(found) in network for network in PROXIES)
        said = ",".join(value for name, value in headers if name.lower() == "x-forwarded-for")
        assert any(_same(found, hop.strip(" \t")) for hop in said.split(","))


def _same(found: str, hop: str) -> bool:
    try:
        address = ip_address(hop)
    except ValueError:
        return False
    return ip_address(found) in {address, getattr(address, "ipv4_mapped", None)}
