"""Which headers pass, both ways, and where a redirect may lead."""

import pytest

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import Headers, Inbound
from gateway.domain.login import Passing
from gateway.domain.reason import Reason
from gateway.mapping import headernames
from gateway.mapping.hygiene import answer_headers, request_headers, wire_text
from gateway.mapping.links import location, own_link

UPSTREAM = "http://crm.example:8080"
BOTH = pytest.mark.parametrize("cut", [True, False])


def an_inbound(*headers: tuple[str, str], method: str = "GET", version: str = "1.1") -> Inbound:
    return Inbound(
        method=method,
        target="/api/clients",
        version=version,
        headers=headers,
        peer="192.0.2.7",
        secure=True,
    )


def forwarded(*headers: tuple[str, str], method: str = "GET", **how) -> Headers:
    version = how.pop("version", "1.1")
    asked = {
        "inject": (),
        "pass_cookies": frozenset(),
        "forward_token": False,
        "request_id": "r-1",
        "peer": "192.0.2.7",
        "secure": True,
        "host": "salon.example",
        "cut": True,
    } | how
    return request_headers(an_inbound(*headers, method=method, version=version), **asked)


def values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name.lower()]


def names(headers: Headers) -> set[str]:
    return {key.lower() for key, _ in headers}


def refused(*headers: tuple[str, str], method: str = "GET", **how) -> Reason:
    with pytest.raises(RequestError) as caught:
        forwarded(*headers, method=method, **how)
    return caught.value.reason


def returned(*headers: tuple[str, str], cut=True, **how) -> Headers:
    asked = {"allowed": frozenset(), "pass_cookies": frozenset(), "personal": False} | how
    return answer_headers(headers, cut=cut, **asked)


# ---------------------------------------------------------------- what we add


def test_the_crm_learns_who_asked_us_and_how_in_both_spellings() -> None:
    assert forwarded(cut=False) == (
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "salon.example"),
        ("Forwarded", 'for=192.0.2.7;host="salon.example";proto=https'),
        ("Via", "1.1 salon-gateway"),
        ("X-Request-Id", "r-1"),
    )


@pytest.mark.parametrize(
    ("peer", "plain", "node"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:DB8::0:1", "2001:db8::1", '"[2001:db8::1]"'),
        ("fe80::1%eth0", "fe80::1", '"[fe80::1]"'),
        ("", "unknown", "unknown"),
        ("192.0.2.7, 198.51.100.1", "unknown", "unknown"),
    ],
)
def test_a_peer_is_an_address_and_an_ipv6_one_stands_in_brackets_and_quotes(
    peer: str, plain: str, node: str
) -> None:
    headers = forwarded(peer=peer, host="", secure=False)
    assert values(headers, "X-Forwarded-For") == [plain]
    assert values(headers, "Forwarded") == [f"for={node};proto=http"]
    assert values(headers, "X-Forwarded-Host") == []


def test_via_names_the_version_that_we_were_spoken_to() -> None:
    assert values(forwarded(version="1.0"), "Via") == ["1.0 salon-gateway"]


@BOTH
def test_the_host_is_sent_only_if_it_is_to_be_preserved(cut) -> None:
    ours = ("Host", "salon.example:8443")
    asked = {"host": "salon.example:8443", "cut": cut}
    assert "host" not in names(forwarded(ours, **asked))
    assert values(forwarded(ours, preserve_host=True, **asked), "Host") == ["salon.example:8443"]


@pytest.mark.parametrize("host", ['a"b', "a b", "a;b", "a\r\nX: 1", "a/b", "a@b", "é", "a" * 256])
def test_a_host_that_is_no_host_name_is_refused(host: str) -> None:
    assert refused(host=host) is Reason.HOST_REFUSED


def test_where_answers_are_cut_plain_json_is_asked_for_whatever_the_client_wants() -> None:
    headers = forwarded(("Accept", "text/csv"), ("accept-encoding", "gzip, br"), cut=True)
    assert values(headers, "Accept") == ["application/json"]
    assert values(headers, "Accept-Encoding") == ["identity"]


def test_on_a_pass_route_the_client_chooses_its_form() -> None:
    mine = (("Accept", "text/css"), ("accept-encoding", "gzip, br"), ("Range", "bytes=0-9"))
    assert set(mine) <= set(forwarded(*mine, cut=False))


@BOTH
def test_injected_headers_replace_the_clients_and_ours_in_any_case(cut) -> None:
    inject = (("x-service", "gate"), ("AUTHORIZATION", "Basic eA=="), ("x-forwarded-host", "crm"))
    headers = forwarded(
        ("X-Service", "evil"),
        ("Authorization", "Bearer t"),
        inject=inject,
        forward_token=True,
        cut=cut,
    )
    assert values(headers, "X-Service") == ["gate"]
    assert values(headers, "Authorization") == ["Basic eA=="]
    assert values(headers, "X-Forwarded-Host") == ["crm"]


def test_an_injected_cookie_replaces_the_ones_that_would_pass() -> None:
    headers = forwarded(
        ("Cookie", "crm=1"), inject=(("Cookie", "svc=2"),), pass_cookies=frozenset({"crm"})
    )
    assert values(headers, "Cookie") == ["svc=2"]


# ---------------------------------------------------------------- what the client says


@pytest.mark.parametrize("name", sorted(headernames.CUT_REQUEST - {"traceparent", "tracestate"}))
def test_a_listed_header_passes_where_answers_are_cut(name: str) -> None:
    assert values(forwarded((name.title(), "v"), cut=True), name) == ["v"]


@pytest.mark.parametrize(
    "name", ["X-Anything", "Prefer", "Cache-Control", "DNT", "If-None-Match", "If-Range", "Range"]
)
def test_an_unlisted_header_does_not_pass_where_answers_are_cut(name: str) -> None:
    assert name.lower() not in names(forwarded((name, "v"), cut=True))
    assert name.lower() in names(forwarded((name, "v"), cut=False))


@BOTH
def test_the_token_goes_on_only_if_the_crm_trusts_its_issuer(cut) -> None:
    token = ("Authorization", "Bearer t")
    assert values(forwarded(token, cut=cut), "Authorization") == []
    assert values(forwarded(token, cut=cut, forward_token=True), "Authorization") == ["Bearer t"]


@BOTH
def test_only_the_named_cookies_go_on_each_as_it_came(cut) -> None:
    headers = forwarded(
        ("Cookie", 'gate=secret; crm="a=b c"; CRM=other'),
        ("cookie", "flag; lang=ja ;crm2="),
        pass_cookies=frozenset({"crm", "lang", "crm2", "flag"}),
        cut=cut,
    )
    assert values(headers, "Cookie") == ['crm="a=b c"; lang=ja; crm2=']


@BOTH
def test_without_a_named_cookie_there_is_no_cookie_header(cut) -> None:
    assert "cookie" not in names(forwarded(("Cookie", "gate=secret"), cut=cut))


def test_a_cookie_that_stands_twice_is_refused_unless_it_is_dropped_anyway() -> None:
    twice = ("Cookie", "crm=1; crm=2")
    assert refused(twice, pass_cookies=frozenset({"crm"})) is Reason.MALFORMED_REQUEST
    assert "cookie" not in names(forwarded(twice))


@pytest.mark.parametrize("name", ["Content-Type", "authorization"])
def test_a_header_that_was_judged_once_may_not_stand_twice(name: str) -> None:
    assert refused((name, "a"), (name.upper(), "b"), cut=False) is Reason.MALFORMED_REQUEST


@BOTH
def test_what_connection_names_does_not_pass(cut) -> None:
    headers = forwarded(
        ("Connection", "close, X-Hop"),
        ("connection", " user-agent"),
        ("X-Hop", "1"),
        ("User-Agent", "a"),
        cut=cut,
    )
    assert not names(headers) & {"connection", "x-hop", "user-agent"}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
@pytest.mark.parametrize("name", ["If-Match", "if-none-match", "If-Unmodified-Since"])
def test_a_write_on_a_condition_that_cannot_be_checked_is_refused_not_made_unconditional(
    method: str, name: str
) -> None:
    assert refused((name, "*"), method=method) is Reason.PARAMETER_INVALID
    assert name.lower() in names(forwarded((name, "*"), method=method, cut=False))


def test_a_coded_or_partial_body_is_refused_where_it_must_be_read() -> None:
    assert refused(("Content-Encoding", "gzip"), method="PUT") is Reason.CONTENT_TYPE_REFUSED
    assert refused(("Content-Range", "bytes 0-1/9"), method="PUT") is Reason.BODY_INVALID
    assert "content-encoding" not in names(forwarded(("Content-Encoding", "Identity")))
    assert "content-encoding" in names(forwarded(("Content-Encoding", "gzip"), cut=False))


@BOTH
@pytest.mark.parametrize(
    "header",
    [("X-A", "a\r\nb"), ("X-A", "a\0"), ("X-A", "\x7f"), ("X-A", "名"), ("X A", "a"), ("", "a")],
)
def test_a_header_that_could_break_a_line_is_refused_even_if_it_would_be_dropped(
    header: tuple[str, str], cut
) -> None:
    assert refused(header, cut=cut) is Reason.MALFORMED_REQUEST


def test_bytes_beyond_ascii_pass_if_they_are_utf8_and_are_refused_otherwise() -> None:
    name = "美咲".encode().decode("latin-1")
    assert values(forwarded(("User-Agent", name)), "User-Agent") == [name]
    assert refused(("User-Agent", "caf\xe9")) is Reason.MALFORMED_REQUEST


def test_wire_text_is_what_utf8_turns_back_into_the_same_bytes() -> None:
    assert wire_text("plain") == "plain"
    assert wire_text("美咲".encode().decode("latin-1")).encode() == "美咲".encode()
    for unwritable in ("caf\xe9", "美咲", "\udce9"):
        with pytest.raises(ValueError, match="codec"):
            wire_text(unwritable)


# ---------------------------------------------------------------- what comes back


def test_a_cut_answer_says_it_is_json_that_nobody_stores() -> None:
    assert returned(("Content-Type", "text/html"), ("X-Anything", "1")) == (
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )


def test_a_route_lets_more_names_through_a_cut_in_any_case() -> None:
    headers = returned(("X-Total-Count", "7"), ("x-b", "1"), allowed=frozenset({"x-total-COUNT"}))
    assert values(headers, "X-Total-Count") == ["7"]
    assert "x-b" not in names(headers)


@pytest.mark.parametrize(
    "name",
    [
        *("ETag", "Last-Modified", "Digest", "Repr-Digest", "Content-MD5", "Content-Length"),
        *("Content-Encoding", "Content-Range", "Vary", "Set-Cookie", "Location", "Link"),
        *("Transfer-Encoding", "Connection", "Content-Location", "Server"),
    ],
)
def test_not_even_a_route_lets_through_a_cut_what_describes_the_uncut_bytes(name: str) -> None:
    assert name.lower() not in names(returned((name, "v"), allowed=frozenset({name})))


def test_no_route_can_change_what_a_cut_answer_says_of_itself() -> None:
    headers = returned(
        ("Content-Type", "text/html"),
        ("Cache-Control", "public"),
        ("X-Content-Type-Options", "sniff"),
        allowed=frozenset({"Content-Type", "Cache-Control", "X-Content-Type-Options"}),
    )
    assert values(headers, "Content-Type") == ["application/json"]
    assert values(headers, "Cache-Control") == ["no-store"]
    assert values(headers, "X-Content-Type-Options") == ["nosniff"]


def test_on_a_public_route_everything_comes_back_as_it_was() -> None:
    headers = (
        ("Content-Type", "text/css"),
        ("ETag", '"a"'),
        ("content-length", "5"),
        ("Vary", "Accept"),
        ("X-Anything", "1"),
        ("X-Anything", "2"),
    )
    assert returned(*headers, cut=False) == headers


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((), "private"),
        (("public, max-age=600",), "max-age=600, private"),
        (("Public", "S-MaxAge=60, immutable"), "immutable, private"),
        (("private",), "private"),
        (('private="set-cookie, x", max-age=1',), "max-age=1, private"),
        (("no-store",), "no-store, private"),
        (
            ("no-store, must-understand, max-age=9",),
            "no-store, must-understand, max-age=9, private",
        ),
        ((" , no-cache ,",), "no-cache, private"),
        (('no-cache="a\\"b, public"',), 'no-cache="a\\"b, public", private'),
        (('x="public',), "no-store"),
        (("max-age = 5",), "no-store"),
        (("max-age=5 public",), "no-store"),
        (("",), "private"),
    ],
)
def test_no_shared_cache_keeps_what_was_somebody_s_answer(said, kept) -> None:
    headers = returned(*(("Cache-Control", value) for value in said), cut=False, personal=True)
    assert headers == (("Cache-Control", kept), ("Vary", "Authorization, Cookie"))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (("Accept",), "Accept, Authorization, Cookie"),
        (("cookie, Accept", "AUTHORIZATION"), "cookie, Accept, AUTHORIZATION"),
        (("Accept, *",), "*"),
        (("a b, ,Accept",), "Accept, Authorization, Cookie"),
    ],
)
def test_what_an_answer_depends_on_includes_who_asked(said, kept) -> None:
    headers = returned(*(("Vary", value) for value in said), cut=False, personal=True)
    assert values(headers, "Vary") == [kept]


@pytest.mark.parametrize(
    "name",
    ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "X-Cache-Control", "No-Vary-Search"],
)
def test_what_shared_caches_obey_first_is_not_left_on_somebody_s_answer(name) -> None:
    assert name.lower() in names(returned((name, "max-age=9"), cut=False))
    assert name.lower() not in names(returned((name, "max-age=9"), cut=False, personal=True))


@pytest.mark.parametrize("name", sorted(headernames.DENIED_ANSWER))
def test_what_is_the_connections_or_leads_elsewhere_never_comes_back(name: str) -> None:
    assert returned((name.title(), "v"), cut=False) == ()


@pytest.mark.parametrize("name", ["X-Powered-By", "X-AspNet-Version", "X-Accel-Redirect"])
def test_what_tells_of_the_crms_kitchen_never_comes_back(name: str) -> None:
    assert returned((name, "v"), cut=False) == ()


def test_what_the_crms_connection_names_does_not_come_back() -> None:
    assert returned(("Connection", "X-Hop"), ("x-hop", "1"), ("X-B", "2"), cut=False) == (
        ("X-B", "2"),
    )


@BOTH
def test_only_named_cookies_are_set_and_for_our_host_alone(cut) -> None:
    headers = returned(
        ("Set-Cookie", "crm=a=b; Path=/; domain=crm.example; HttpOnly"),
        ("set-cookie", "gate=stolen"),
        ("Set-Cookie", "CRM=other"),
        ("Set-Cookie", "*=any"),
        cut=cut,
        pass_cookies=frozenset({"crm"}),
    )
    assert values(headers, "Set-Cookie") == ["crm=a=b; Path=/; HttpOnly"]


@BOTH
@pytest.mark.parametrize("header", [("X-A", "a\r\nSet-Cookie: gate=1"), ("X-A", "\0"), ("", "a")])
def test_a_malformed_answer_header_is_an_invalid_answer(header: tuple[str, str], cut) -> None:
    with pytest.raises(UpstreamError) as caught:
        returned(header, cut=cut)
    assert caught.value.reason is Reason.UPSTREAM_INVALID


def test_what_comes_back_can_always_be_written_as_utf8() -> None:
    utf8 = "美咲".encode().decode("latin-1")
    headers = returned(("X-A", utf8), ("X-B", "caf\xe9"), ("Set-Cookie", "c=\xe9"), cut=False)
    assert [wire_text(value) for _, value in headers] == ["美咲", "café"]


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/api/clients/7", "/api/clients/7"),
        ("/", "/"),
        ("/a?b=c&d=http://x.example/#e", "/a?b=c&d=http://x.example/#e"),
        (f"{UPSTREAM}/api/clients/7?x=1", "/api/clients/7?x=1"),
        (f"{UPSTREAM}", "/"),
        (f"{UPSTREAM}?x=1", "/?x=1"),
        ("HTTP://CRM.Example:8080/a", "/a"),
    ],
)
def test_a_redirect_on_the_crms_own_origin_becomes_a_path(value: str, path: str) -> None:
    assert location(value, origins=(UPSTREAM,)) == path


def test_a_default_port_is_no_other_origin() -> None:
    assert location("http://crm.example:80/a", origins=("http://crm.example",)) == "/a"
    assert location("https://crm.example/a", origins=("https://crm.example:443/",)) == "/a"
    assert location("https://crm.example:80/a", origins=("https://crm.example",)) is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("?page=2", "/api/clients?page=2"),
        ("8", "/api/8"),
        ("./8", "/api/8"),
        ("8/notes?a=b:c", "/api/8/notes?a=b:c"),
        ("/api/clients", "/api/clients"),
        ("http://crm.example:8080/x", "/x"),
        ("../8", None),
        ("8/../9", None),
        ("a/.", None),
        ("a/%2e%2E/b", None),
        ("", None),
        ("#top", None),
        ("a:b", None),
        ("javascript:alert(1)", None),
        ("a\\b", None),
        ("a b", None),
        ("a\nb", None),
    ],
)
def test_a_reference_is_resolved_against_what_was_asked_for(value: str, path: str | None) -> None:
    assert location(value, origins=(UPSTREAM,), base="/api/clients?page=1") == path


def linked(value: str, reachable=lambda _path: True) -> str | None:
    return own_link(value, origins=(UPSTREAM,), reachable=reachable, base="/api/clients")


def test_links_become_paths_of_ours_with_their_relation_and_nothing_else() -> None:
    value = (
        f'<{UPSTREAM}/api/clients?page=2>; rel="next"; title="Aoi, +81", '
        '<?page=9>;rel=last ,</x>; REL="Prev first"'
    )
    assert linked(value) == (
        '</api/clients?page=2>; rel="next", </api/clients?page=9>; rel="last", '
        '</x>; rel="prev first"'
    )


def test_a_link_that_may_not_be_shown_is_left_out() -> None:
    value = '</a>; rel="next", </b>; rel="prev"'
    assert linked(value, {"/b"}.__contains__) == '</b>; rel="prev"'
    assert linked(value, lambda _path: False) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "</a>",
        "</a>; rel",
        "</a>; rel=x; rel=y",
        '</a>; rel="https://evil.example/x"',
        '</a>; rel="next"; anchor="/other"',
        "<//evil.example/>; rel=next",
        "<https://evil.example/>; rel=next",
        "<javascript:alert(1)>; rel=next",
        "</a b>; rel=next",
        "</a>; rel=next x",
        '</a>; title="; rel=next',
        "</a>; rel=" + "n" * 40,
        "</a>; rel=next, " + "x" * 20_000,
    ],
)
def test_what_is_no_link_to_us_is_dropped(value: str) -> None:
    assert linked(value) is None


def test_after_what_cannot_be_read_no_link_counts_and_there_are_not_many() -> None:
    assert linked("</a>; rel=next, x, </b>; rel=prev") == '</a>; rel="next"'
    assert linked(", ".join(f"</{n}>; rel=next" for n in range(50))).count("rel") == 32


# ---------------------------------------------------------------- traces

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@BOTH
def test_a_trace_is_passed_on(cut) -> None:
    headers = forwarded(
        ("traceparent", TRACE), ("tracestate", "a=1, b@c=x y"), ("tracestate", ""), cut=cut
    )
    assert values(headers, "traceparent") == [TRACE]
    assert values(headers, "tracestate") == ["a=1, b@c=x y", ""]


@BOTH
@pytest.mark.parametrize(
    "value",
    [
        *("", "x", TRACE.upper(), TRACE + "-", TRACE + " ", "01" + TRACE[2:], "ff" + TRACE[2:]),
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        TRACE.replace("-", "_"),
    ],
)
def test_a_malformed_trace_is_dropped_whole(value: str, cut) -> None:
    headers = forwarded(("Traceparent", value), ("tracestate", "a=1"), cut=cut)
    assert not names(headers) & {"traceparent", "tracestate"}


def test_two_traces_are_none() -> None:
    headers = forwarded(("traceparent", TRACE), ("Traceparent", TRACE), cut=False)
    assert "traceparent" not in names(headers)


@pytest.mark.parametrize(
    "value",
    [
        *("a", "A=1", "a=", "a=1,a=2", "=1", "a=1=2", "a=\xe9", "a@=1", "a=" + "x" * 600),
        ",".join(f"k{n}=1" for n in range(33)),
    ],
)
def test_a_malformed_state_is_dropped_alone(value: str) -> None:
    headers = forwarded(("traceparent", TRACE), ("tracestate", value.encode().decode("latin-1")))
    assert "tracestate" not in names(headers)
    assert values(headers, "traceparent") == [TRACE]


@pytest.mark.parametrize(
    "value", ['a"b', '"a', "a,b", 'a"; gate="b', "a\\b", '"a"b', "a\tb", '""a', "caf\u00c3\u00a9"]
)
def test_a_passed_cookie_is_one_to_every_reader(value: str) -> None:
    passed = frozenset({"crm"})
    assert refused(("Cookie", f"crm={value}"), pass_cookies=passed) is Reason.MALFORMED_REQUEST
    assert "cookie" not in names(forwarded(("Cookie", f"other={value.partition(';')[0]}")))


# ---------------------------------------------------------------- the CRM's own login

SESSION = Passing(cookies=frozenset({"sessionid"}))
TOKEN = Passing(headers=frozenset({"authorization"}))
OWN = Passing(headers=frozenset({"x-auth-token"}))


@BOTH
def test_a_learned_session_goes_on_as_it_came_and_no_other_cookie(cut) -> None:
    came = ("Cookie", 'a=1; sessionid="x|1"; Sessionid=2; b=3')
    assert values(forwarded(came, passing=SESSION, cut=cut), "Cookie") == ['sessionid="x|1"']
    assert "cookie" not in names(forwarded(came, cut=cut))


@BOTH
def test_a_learned_session_goes_on_beside_the_cookies_that_always_may(cut) -> None:
    came = ("Cookie", "csrftoken=1; sessionid=2")
    headers = forwarded(came, passing=SESSION, pass_cookies=frozenset({"csrftoken"}), cut=cut)
    assert values(headers, "Cookie") == ["csrftoken=1; sessionid=2"]


@BOTH
def test_a_learned_token_goes_on_as_it_came(cut) -> None:
    came = ("authorization", "bearer 1|abc")
    assert came in forwarded(came, passing=TOKEN, cut=cut)
    assert "authorization" not in names(forwarded(came, passing=SESSION, cut=cut))
    own = ("X-Auth-Token", "abc")
    assert own in forwarded(own, passing=OWN, cut=cut)
    assert "x-auth-token" not in names(forwarded(own, passing=TOKEN, cut=cut))
    assert "x-auth-tokens" not in names(forwarded(("X-Auth-Tokens", "a"), passing=OWN, cut=cut))


@BOTH
def test_what_is_injected_goes_before_a_learned_credential(cut) -> None:
    inject = (("Authorization", "Basic eA=="), ("Cookie", "svc=1"), ("x-auth-token", "ours"))
    came = (("Authorization", "Bearer t"), ("Cookie", "sessionid=2"), ("X-Auth-Token", "theirs"))
    for passing in (SESSION, TOKEN, OWN):
        headers = forwarded(*came, passing=passing, inject=inject, cut=cut)
        assert values(headers, "Authorization") == ["Basic eA=="]
        assert values(headers, "Cookie") == ["svc=1"]
        assert values(headers, "X-Auth-Token") == ["ours"]


@BOTH
@pytest.mark.parametrize(
    ("passing", "came"),
    [
        (SESSION, [("Cookie", "sessionid=1; sessionid=1")]),
        (SESSION, [("Cookie", "sessionid=1"), ("Cookie", "sessionid=2")]),
        (SESSION, [("Cookie", "sessionid=1 2")]),
        (TOKEN, [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
        (OWN, [("X-Auth-Token", "a"), ("x-auth-token", "b")]),
        (OWN, [("X-Auth-Token", "a"), ("Connection", "X-Auth-Token")]),
    ],
)
def test_a_learned_credential_that_the_crm_might_read_otherwise_is_refused(
    passing, came, cut
) -> None:
    assert refused(*came, passing=passing, cut=cut) is Reason.MALFORMED_REQUEST


def test_an_answer_that_will_be_read_is_asked_for_without_a_coding() -> None:
    came = (("Accept-Encoding", "gzip, br"), ("Accept", "text/html"))
    headers = forwarded(*came, passing=Passing(readable=True), cut=False)
    assert values(headers, "Accept-Encoding") == ["identity"]
    assert values(headers, "Accept") == ["text/html"]


@BOTH
def test_the_crm_sets_the_cookie_of_its_login_for_this_host_alone(cut) -> None:
    kept = "sessionid=1; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=60"
    headers = returned(
        ("Set-Cookie", kept.replace("; Secure", "; domain=.crm.example; Secure")),
        ("Set-Cookie", "Sessionid=2"),
        ("Set-Cookie", "tracker=1"),
        cut=cut,
        pass_cookies=SESSION.cookies,
    )
    assert values(headers, "Set-Cookie") == [kept]
