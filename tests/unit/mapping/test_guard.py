import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Headers, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import WireLimits, guard

HOST = ("Host", "salon.example")


def a_request(
    *headers: tuple[str, str],
    method: str = "GET",
    target: str = "/api/clients",
    version: str = "1.1",
    host: tuple[str, str] | None = HOST,
    secure: bool = False,
) -> Inbound:
    named: Headers = (host,) if host else ()
    return Inbound(
        method=method,
        target=target,
        version=version,
        headers=(*named, *headers),
        peer="192.0.2.7",
        secure=secure,
    )


def reason(inbound: Inbound, limits: WireLimits | None = None) -> Reason | None:
    try:
        assert guard(inbound, limits or WireLimits()) is inbound
    except RequestError as error:
        return error.reason
    return None


def hosted(host: str, *, hosts: set[str] | None = None, secure: bool = False) -> Reason | None:
    limits = WireLimits(hosts=frozenset(hosts or ()))
    return reason(a_request(host=("Host", host), secure=secure), limits)


def test_an_ordinary_request_passes_unchanged():
    assert reason(a_request(("Accept", "*/*"), ("Cookie", "a=b; c=d"))) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_ordinary_methods_pass(method):
    assert reason(a_request(method=method)) is None


def test_any_well_formed_host_is_served_when_none_is_named():
    for host in (
        "salon.example",
        "SALON.example:8443",
        "127.0.0.1:1",
        "[::1]",
        "[2001:DB8::1]:80",
    ):
        assert hosted(host) is None, host


def test_a_name_without_port_is_served_on_every_port():
    assert hosted("Salon.Example:8443", hosts={"salon.example"}) is None
    assert hosted("other.example", hosts={"salon.example"}) is Reason.HOST_REFUSED


def test_a_name_with_port_is_served_on_that_port_only():
    hosts = {"salon.example:8443"}
    assert hosted("salon.example:8443", hosts=hosts) is None
    assert hosted("salon.example:8444", hosts=hosts) is Reason.HOST_REFUSED
    assert hosted("salon.example", hosts=hosts, secure=True) is Reason.HOST_REFUSED


def test_a_missing_port_is_the_scheme_s_own():
    assert hosted("salon.example", hosts={"salon.example:443"}, secure=True) is None
    assert hosted("salon.example", hosts={"salon.example:80"}) is None
    assert hosted("salon.example", hosts={"salon.example:443"}) is Reason.HOST_REFUSED


def test_an_ipv6_host_is_compared_in_its_shortest_form():
    assert hosted("[2001:DB8:0:0::1]:80", hosts={"[2001:db8::1]"}) is None


@pytest.mark.parametrize(
    "host", ["Salon.example", "a,b", "http://salon.example", "", "a:99999", "[::01]", "a:080"]
)
def test_limits_refuse_a_host_that_could_never_match(host):
    with pytest.raises(ValueError, match="is not a lower-case host name"):
        WireLimits(hosts=frozenset({host}))


@pytest.mark.parametrize("coding", ["identity", "Identity"])
def test_a_body_without_a_coding_passes(coding):
    headers = (("Content-Length", "2"), ("Content-Encoding", coding))
    assert reason(a_request(*headers, method="POST")) is None


def test_a_chunked_body_passes():
    assert reason(a_request(("Transfer-Encoding", "chunked"), method="POST")) is None


def test_a_read_may_say_that_it_has_no_body():
    assert reason(a_request(("Content-Length", "0"))) is None
    assert reason(a_request(("Content-Length", "1"))) is Reason.MALFORMED_REQUEST


def test_names_in_any_script_pass_in_header_values_read_byte_by_byte():
    value = "ミホ 美咲 Оксана".encode().decode("latin-1")
    assert reason(a_request(("User-Agent", value))) is None


def test_a_tab_is_a_space_of_sorts():
    assert reason(a_request(("X-Note", "a\tb"))) is None


def test_each_size_is_refused_one_byte_beyond_its_limit():
    limits = WireLimits(max_target_bytes=10)
    assert reason(a_request(target="/" + "a" * 9), limits) is None
    assert reason(a_request(target="/" + "a" * 10), limits) is Reason.MALFORMED_REQUEST
    limits = WireLimits(max_headers=2, max_header_bytes=40)
    # `Host: salon.example` CRLF is 21 bytes, so 19 are left: 1 + 14 + 4.
    assert reason(a_request(("A", "b" * 14)), limits) is None
    assert reason(a_request(("A", "b" * 15)), limits) is Reason.MALFORMED_REQUEST
    assert reason(a_request(("A", ""), ("B", "")), limits) is Reason.MALFORMED_REQUEST


def test_a_target_is_measured_in_bytes():
    limits = WireLimits(max_target_bytes=10)
    assert reason(a_request(target="/" + "é" * 5), limits) is Reason.MALFORMED_REQUEST


def test_expecting_100_continue_is_fine():
    headers = (("Expect", "100-Continue"), ("Content-Length", "5"))
    assert reason(a_request(*headers, method="PUT")) is None


def test_a_browser_that_would_rather_have_https_is_not_upgrading():
    assert reason(a_request(("Upgrade-Insecure-Requests", "1"))) is None
