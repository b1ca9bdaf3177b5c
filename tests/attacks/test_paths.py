"""One address, two readings: every trick here was somebody's way past a gateway.

All of them are asked of the sample adapter. None may reach a route. Never delete a line.
"""

from pathlib import Path

import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.mapping.adapter import parse_adapter
from gateway.mapping.guard import WireLimits, guard
from gateway.mapping.query import require_answerable
from gateway.mapping.routes import RouteMatch, find
from gateway.mapping.target import canonical
from gateway.texts.yamltext import parse_yaml

FILE = Path(__file__).parents[2] / "adapters" / "salon-demo.yaml"
ADAPTER = parse_adapter(parse_yaml(FILE.read_text(encoding="utf-8"), FILE.name))


def sent(target: str, method: str = "GET") -> RouteMatch | Reason | None:
    inbound = Inbound(
        method=method,
        target=target,
        version="1.1",
        headers=(("Host", "salon.example"),),
        peer="192.0.2.7",
        secure=True,
    )
    try:
        return find(ADAPTER.routes, method, canonical(guard(inbound, WireLimits())))
    except RequestError as error:
        return error.reason


def asked(query: str, hidden: set[str]) -> Reason | None:
    inbound = Inbound(
        method="GET",
        target=f"/api/clients?{query}",
        version="1.1",
        headers=(("Host", "salon.example"),),
        peer="192.0.2.7",
        secure=True,
    )
    try:
        target = canonical(guard(inbound, WireLimits()))
        match = find(ADAPTER.routes, "GET", target)
        assert match is not None
        require_answerable(match.route, target.query, frozenset(hidden))
    except RequestError as error:
        return error.reason
    return None


def test_the_honest_requests_do_reach_their_routes():
    match = sent("/api/clients/7")
    assert isinstance(match, RouteMatch)
    assert (match.route.template, match.record) == ("GET /api/clients/{id}", "7")
    assert isinstance(sent("/assets/img/my%20logo.png?v=3"), RouteMatch)
    assert asked("page=2&per_page=50&sort=-last_visit&q=%E7%BE%8E%E5%92%B2", set()) is None


@pytest.mark.parametrize(
    "target",
    [
        # Not origin-form.
        "",
        "*",
        "api/clients",
        "http://salon.example/api/clients",
        "salon.example:443",
        "//evil.example/api/clients",
        "///api/clients",
        "/\\evil.example/api/clients",
        # Dot segments, plain and in disguise.
        "/assets/../api/clients/export",
        "/assets/./a",
        "/..",
        "/.",
        "/assets/..",
        "/assets/%2e%2e/api/clients/export",
        "/assets/.%2e/api/clients",
        "/assets/%2E./api",
        "/assets/%252e%252e/api/clients",
        "/assets/%25252e%25252e/api",
        "/assets/.../a",
        "/assets/..%00/a",
        "/assets/..%20/a",
        "/assets/..%2B/a",
        "/assets/.%2B/a",
        "/assets/..;/api/clients",
        "/assets/..%3b/api/clients",
        "/assets/%c0%ae%c0%ae/api",
        "/assets/%e0%80%ae/api",
        "/assets/%EF%BC%8E%EF%BC%8E/api/clients",
        "/assets/%E2%80%A5/api/clients",
        "/assets/%u002e%u002e/api",
        "/assets/%%32%65%%32%65/api",
        # Separators in disguise.
        "/assets%2f..%2fapi%2fclients",
        "/api/clients%2Fexport",
        "/api/clients%5Cexport",
        "/api\\clients\\export",
        "/assets/..%5c..%5capi",
        "/api/clients%252Fexport",
        "/assets/%c0%af/api",
        "/assets/%EF%BC%8F/api",
        "/assets/%E2%84%80/x",
        "/assets/%e2%88%95%00",
        # Empty segments.
        "/api//clients",
        "//api/clients",
        "/api/clients//7",
        "/api/clients//",
        "/api/clients/7//",
        "//",
        "///",
        "/api/clients/%2F",
        # What a rewriting server would make a second parameter of.
        "/assets/x&_route_=api/clients",
        "/assets/x%26_route_=api%2Fclients",
        "/assets/x&amp;path=api",
        # Another name for the same file or folder, on Windows and its disks.
        "/api/clients::$INDEX_ALLOCATION/7",
        "/assets/private:$I30:$INDEX_ALLOCATION/a",
        "/assets/web.config::$DATA",
        "/assets/PRIVAT~1/a",
        "/api/clients/~7",
        # What old code pages fold into ASCII: slashes, backslashes, colons, quotes.
        "/assets/..%C2%A5private",
        "/assets/a%E2%82%A9b",
        "/assets/..%E2%88%95private",
        "/assets/a%E2%81%84b",
        "/assets/a%E2%88%96b",
        "/assets/a%E2%88%B6b",
        "/assets/a%E2%80%B2b",
        "/assets/a%E2%80%98b",
        "/assets/a%C2%B4b",
        # Drawn as nothing.
        "/assets/priv%EF%B8%8Fate",
        "/assets/priv%E1%85%9Fate",
        "/assets/priv%CD%8Fate",
        "/assets/priv%E2%80%8Date",
        "/assets/priv%F3%A0%84%80ate",
        # Letters that fold into others.
        "/api/client%C5%BF",
        "/%E2%84%AApi/clients",
        # Path parameters, fragments, broken and idle percent signs.
        "/api/clients;x=1",
        "/api/clients;/7",
        "/api/clients%3Bx=1",
        "/api;/clients",
        "/api/clients#",
        "/api/clients#/../staff",
        "/api/clients/7%23",
        "/api/clients%3Fq=1",
        "/api/clients/%",
        "/api/clients/%7",
        "/api/clients/%zz",
        "/api/clients/7%25",
        "/api/clients/%u0037",
        # Letters and digits encoded for no honest reason.
        "/%61pi/clients",
        "/api/client%73",
        "/api/clients/%37",
        "/api/clients/expor%74",
        "/api/clients%2Dx",
        # Control, invisible and folding characters.
        "/api/clients\n",
        "/api/clients%0a",
        "/api/clients%0D%0AX:1",
        "/api/clients%00",
        "/api/clients\x00",
        "/api/clients/7%00.png",
        "/api/clients%09",
        "/api/clients\t",
        "/api/clients ",
        "/api/clients%20",
        "/api/clients/%207",
        "/api/clients%7F",
        "/api/clients%C2%85",
        "/api/clients%E2%80%A8",
        "/api/clients%E2%80%8B",
        "/api/clients%EF%BB%BF",
        "/api/clients%C2%AD",
        "/api/clients%C2%A0",
        "/api/clients/%ef%bc%97",
        "/api/cli%EF%BD%85nts",
        "/api/clients/e%CC%81",
        "/api/clients/%E2%85%A6",
        # Not UTF-8, not ASCII, or nothing at all.
        "/api/clients/%ff",
        "/api/clients/%C3",
        "/api/clients/%ED%A0%80",
        "/api/clients/%F5%80%80%80",
        "/api/clients/é",
        "/api/clients/\udce9",
        "/api/clients/７",
        # The query's own tricks.
        "/api/clients?",
        "/api/clients?&",
        "/api/clients?q&",
        "/api/clients?q&&sort=name",
        "/api/clients?=",
        "/api/clients?q=1&",
        "/api/clients?&q=1",
        "/api/clients?=1",
        "/api/clients?q=1;sort=phone",
        "/api/clients?q=1%00",
        "/api/clients?q=%0a",
        "/api/clients?q=\n",
        "/api/clients?%71=1",
        "/api/clients?s%6frt=phone",
        "/api/clients?sort=%70hone",
        "/api/clients?q=1#frag",
        "/api/clients?{q}=1",
        "/api/clients?q=1&amp;sort=phone",
        "/api/clients?_method=DELETE",
        "/api/clients?_METHOD=DELETE",
        "/api/clients?q=1&_method",
        "/api/clients?X-HTTP-Method-Override=PUT",
        "/api/clients?q%EF%B8%8F=1",
        "/api/clients?q%E2%80%98=1",
        "/api/clients?q={}",
        "/api/clients?q=a|b",
        "/api/clients?q=%ff",
        "/api/clients?q=é",
        "/api/clients?q=%",
        "/api/clients?q+=1",
        "/api/clients?%20sort=phone",
        "/api/clients?sort%00=phone",
        "/api/clients?a%26sort=phone",
        "/api/clients?a%3Db=1",
        "/api/clients?%EF%BD%93ort=phone",
    ],
)
def test_an_ambiguous_target_is_refused(target):
    assert sent(target) is Reason.AMBIGUOUS_TARGET


@pytest.mark.parametrize(
    ("method", "target"),
    [
        # The export under another name: a format suffix, another case, another method.
        ("GET", "/api/clients/export.csv"),
        ("GET", "/api/clients/export.json"),
        ("GET", "/api/clients/EXPORT"),
        ("GET", "/api/clients/Export"),
        ("DELETE", "/api/clients/export"),
        ("PUT", "/api/clients/export"),
        ("PATCH", "/api/clients/export"),
        ("POST", "/api/clients/export"),
        ("POST", "/api/clients/export/merge"),
        ("DELETE", "/api/clients/EXPORT"),
        # Actions, lists and wildcards in the place of a record id.
        ("POST", "/api/clients/7:merge"),
        ("DELETE", "/api/clients/7,8,9"),
        ("DELETE", "/api/clients/*"),
        ("DELETE", "/api/clients/%2A"),
        ("GET", "/api/clients/7%5B%5D"),
        ("GET", "/api/clients/7.csv"),
        ("GET", "/api/clients/(7)"),
        ("GET", "/api/clients/7@8"),
        ("GET", "/api/clients/7=8"),
        ("GET", "/api/clients/~a"),
        ("GET", "/api/clients/$metadata"),
        ("GET", "/api/clients/" + "7" * 129),
        ("GET", "/api/clients/%E7%BE%8E%E5%92%B2"),
        # The same with a slash behind it, which may be another address or the same.
        ("GET", "/api/clients/"),
        ("GET", "/api/clients/7/"),
        ("GET", "/api/clients/export/"),
        ("DELETE", "/api/clients/7/"),
        ("GET", "/staff/"),
        ("GET", "/assets/a/"),
        ("GET", "/api/"),
        # Neighbours nobody declared, and look-alikes.
        ("GET", "/ap%C4%B1/clients"),
        ("GET", "/api/cl%C4%B0ents"),
        ("GET", "/api/cli%C3%A9nts"),
        ("GET", "/%C3%A5ssets/a"),
        ("GET", "/API/clients"),
        ("GET", "/api/Clients/7"),
        ("GET", "/api"),
        ("GET", "/"),
        ("GET", "/api/clients/7/history"),
        ("GET", "/api/clients/7/merge"),
        ("GET", "/db"),
        ("DELETE", "/api/clients"),
        ("POST", "/staff"),
        ("POST", "/assets/a.js"),
        ("GET", "/assets"),
        ("OPTIONS", "/api/clients"),
        ("GET", "/api/v1/clients"),
        ("GET", "/.git/config"),
        ("GET", "/staff.html"),
        ("GET", "/Staff"),
        ("GET", "/api/clients/7/../8".replace("..", "-")),
    ],
)
def test_what_is_not_declared_is_unmapped(method, target):
    assert sent(target, method) is None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("sort=phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=-phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=name,phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=name%2Cphone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=PHONE", Reason.HIDDEN_FIELD_ASKED),
        ("sort=contact.phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=contact", Reason.HIDDEN_FIELD_ASKED),
        ("sort=clients.phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=phone+asc", Reason.HIDDEN_FIELD_ASKED),
        ("sort=+phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=%2Bphone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=phone_e164", Reason.HIDDEN_FIELD_ASKED),
        ("sort=%EF%BD%90hone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=(case+when+phone+like+'1%25'+then+1+end)", Reason.HIDDEN_FIELD_ASKED),
        ("phone=555", Reason.HIDDEN_FIELD_ASKED),
        ("phone=", Reason.HIDDEN_FIELD_ASKED),
        ("sort=name&sort=phone", Reason.PARAMETER_INVALID),
        ("sort=name&SORT=phone", Reason.UNKNOWN_PARAMETER),
        ("sort%5B%5D=phone", Reason.UNKNOWN_PARAMETER),
        ("phone_like=555", Reason.UNKNOWN_PARAMETER),
        ("phone__startswith=0", Reason.UNKNOWN_PARAMETER),
        ("alias%5Bp%5D=phone", Reason.UNKNOWN_PARAMETER),
        ("fields=phone", Reason.UNKNOWN_PARAMETER),
        ("format=csv", Reason.UNKNOWN_PARAMETER),
        ("callback=x", Reason.UNKNOWN_PARAMETER),
        ("_method=DELETE", Reason.AMBIGUOUS_TARGET),
        ("sort[]=phone", Reason.UNKNOWN_PARAMETER),
        ("q[]=1", Reason.UNKNOWN_PARAMETER),
        ("sort=name&sort%5B%5D=phone", Reason.UNKNOWN_PARAMETER),
        ("phone", Reason.HIDDEN_FIELD_ASKED),
        ("sort=[phone]", Reason.HIDDEN_FIELD_ASKED),
        ("q=555&phone", Reason.HIDDEN_FIELD_ASKED),
        ("per_page=100000", Reason.PARAMETER_INVALID),
        ("per_page=-1", Reason.PARAMETER_INVALID),
    ],
)
def test_a_question_about_a_hidden_field_is_refused(query, reason):
    assert asked(query, {"phone", "unmapped"}) is reason
