"""Whoever writes `X-Forwarded-For` by hand gains nothing by it."""

from ipaddress import ip_network

import pytest

from gateway.mapping.client_address import client_address, client_scheme

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
SALON = "192.0.2.7"


def told(peer, *values, trusted=PROXIES):
    return client_address(peer, tuple(("X-Forwarded-For", value) for value in values), trusted)


@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8:2::9", "11.0.0.1"])
def test_a_stranger_who_names_an_address_of_the_salon_is_still_a_stranger(peer):
    assert told(peer, SALON) == peer


def test_without_trusted_proxies_nobody_is_believed():
    assert told("10.0.0.1", SALON, trusted=()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["198.51.100.9"], "198.51.100.9"),
        ([f"{SALON}, 198.51.100.9"], "198.51.100.9"),  # the left one was sent by the client
        ([SALON, "198.51.100.9"], "198.51.100.9"),  # in a header of its own
        ([f"{SALON}, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),
        (["198.51.100.9 ,\t10.0.0.2"], "198.51.100.9"),
        (["::ffff:198.51.100.9"], "198.51.100.9"),
        (["198.51.100.9, ::ffff:10.0.0.2"], "198.51.100.9"),
        (["2001:db8:2::9, 2001:db8:1::5"], "2001:db8:2::9"),
    ],
)
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:1::1"])
def test_the_first_address_from_the_right_that_is_no_proxy_is_the_client(peer, values, client):
    assert told(peer, *values) == client


@pytest.mark.parametrize(
    "value",
    [
        "", ",", f"{SALON},", "unknown", "_hidden", f"{SALON}:443", "[2001:db8:2::9]",
        "[2001:db8:2::9]:443", '"198.51.100.9"', "198.51.100.9/24", "0x7f.1", "127.1", "010.0.0.1",
        "fe80::1%eth0", "198.51.100.9\u00a0", "１９２.0.2.7", "10.0.0.2, 10.0.0.3",
        f"{SALON}, unknown", f"{SALON}, unknown, 10.0.0.2",
    ],
)  # fmt: skip
def test_in_doubt_nobody_knows(value):
    assert told("10.0.0.1", value) is None


def test_no_header_from_a_proxy_tells_nothing():
    assert client_address("10.0.0.1", (("Forwarded", f"for={SALON}"),), PROXIES) is None


def test_a_long_chain_is_not_walked_to_its_end():
    assert told("10.0.0.1", ", ".join([SALON, *["10.0.0.2"] * 10_000])) is None


def test_a_proxy_made_to_drop_its_header_tells_nothing():
    """`Connection: X-Forwarded-For` makes some proxies remove what they added."""
    assert client_address("10.0.0.1", (("Connection", "X-Forwarded-For"),), PROXIES) is None
    # One further out, and the next one names only the proxy before it.
    assert told("10.0.0.1", "10.0.0.2") is None


@pytest.mark.parametrize(
    "name",
    ["X_Forwarded_For", "X-Forwarded-For ", "X-Forwarded-For\u00a0", "X-Forwarded-Fo\u0155"],
)
def test_a_name_that_other_servers_read_alike_is_another_header(name):
    headers = (("X-Forwarded-For", "198.51.100.9"), (name, SALON))
    assert client_address("10.0.0.1", headers, PROXIES) == "198.51.100.9"


@pytest.mark.parametrize("mapped", ["::ffff:192.0.2.7", "::ffff:c000:207"])
def test_an_address_of_the_salon_in_other_clothes_is_that_address(mapped):
    """So that a deny on `network:` holds whichever way somebody connects."""
    assert told(mapped) == told("10.0.0.1", mapped) == SALON


@pytest.mark.parametrize("like", ["::192.0.2.7", "64:ff9b::192.0.2.7", "2002:c000:207::"])
def test_an_address_that_only_carries_one_of_the_salon_is_not_it(like):
    assert told("10.0.0.1", like) != SALON


def scheme(*headers, peer="10.0.0.1", secure=False):
    return client_scheme(peer, headers, PROXIES, secure=secure)


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("name", ["X-Forwarded-Proto", "Forwarded"])
def test_nobody_but_a_trusted_proxy_says_what_the_client_speaks(name, secure):
    value = "proto=https" if name == "Forwarded" else "https"
    assert scheme((name, value), peer="192.0.2.99", secure=secure) is secure
    assert scheme((name, value), secure=secure) is True
    assert scheme((name, value.replace("https", "http")), secure=secure) is False


@pytest.mark.parametrize(
    "headers",
    [
        (),
        *(
            (("X-Forwarded-Proto", value),)
            for value in (
                "",
                "https,http",
                "http, https",
                "https https",
                "wss",
                "ſhttps",
                "on",
                "1",
            )
        ),
        (("X-Forwarded-Proto", "https"), ("x-forwarded-proto", "https")),
        (("X-Forwarded-Proto", "https"), ("Forwarded", "proto=http")),
        (("X-Forwarded-Proto", "https"), ("Forwarded", "for=x, proto=https")),
        (("Forwarded", "proto=https, proto=https"),),
        (("Forwarded", "proto=https;proto=http"),),
        (("Forwarded", 'for="a;proto=https"'),),
        (("Forwarded", "for=192.0.2.1"),),
        (("Forwarded", ""),),
        (("X-Forwarded-Ssl", "on"), ("Front-End-Https", "on"), ("X-Url-Scheme", "https")),
    ],
)
def test_in_doubt_it_is_what_the_socket_says(headers):
    assert scheme(*headers) is False
    assert scheme(*headers, secure=True) is True


def test_a_forwarded_header_is_read_by_its_grammar():
    assert scheme(("Forwarded", 'for=192.0.2.1;PROTO="https";by=_a')) is True
    assert scheme(("Forwarded", "proto=HTTPS"), ("X-Forwarded-Proto", "https")) is True
