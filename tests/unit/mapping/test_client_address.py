"""Where a request comes from; what strangers try is in tests/attacks/test_client_address.py."""

import os
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mapping.client_address import MAX_HOPS, client_address

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
PROXIES = (ip_network("192.0.2.8/30"), ip_network("2001:db8:1::/48"))
PROXY, NEXT_PROXY = "192.0.2.9", "192.0.2.10"
PERSON = "198.51.100.9"


def told(peer, *values, name="X-Forwarded-For"):
    return client_address(peer, tuple((name, value) for value in values), PROXIES)


def test_without_a_proxy_the_peer_is_the_person():
    assert told(PERSON) == PERSON
    assert client_address(PERSON, (), ()) == PERSON


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR"])
def test_a_trusted_proxy_names_the_person(name):
    assert told(PROXY, PERSON, name=name) == PERSON


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X-Real-IP", "Forwarded", "X-Forwarded"])
def test_no_other_header_names_anybody(name):
    assert told(PROXY, PERSON, name=name) is None
    both = (("X-Forwarded-For", PERSON), (name, "203.0.113.5"))
    assert client_address(PROXY, both, PROXIES) == PERSON


def test_an_ipv4_address_in_an_ipv6_one_is_the_ipv4_address():
    assert told(f"::ffff:{PERSON}") == PERSON
    assert told(f"::ffff:{PROXY}", f"::ffff:{PERSON}, ::ffff:{NEXT_PROXY}") == PERSON


def test_an_address_has_one_spelling_in_the_answer():
    assert told(PROXY, "2001:0DB8:0002:0::9") == "2001:db8:2::9"


def test_a_peer_that_is_no_address_is_not_known():
    assert told("") is None
    assert told("unix", PERSON) is None


def test_a_chain_may_have_so_many_proxies_and_not_one_more():
    chain = [NEXT_PROXY] * (MAX_HOPS - 1)
    assert told(PROXY, ", ".join([PERSON, *chain])) == PERSON
    assert told(PROXY, ", ".join([PERSON, *chain, NEXT_PROXY])) is None


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
LINES = st.lists(st.one_of(TEXTS, ADDRESSES, st.just(PROXY), st.just(PERSON)), max_size=5)
HEADERS = st.lists(LINES.map(",".join), max_size=3)


@settings(max_examples=200 * FUZZ, deadline=None)
@given(HEADERS, st.lists(st.sampled_from(["192.0.2.10", "2001:db8:1::5"]), max_size=3))
def test_what_a_person_writes_changes_nothing_that_proxies_append(written, proxies):
    """Each proxy appends whom it sees: the person, then the proxies before it."""
    appended = ", ".join([PERSON, *proxies])
    own_line = told(PROXY, *written, appended)
    same_line = told(PROXY, *written[:-1], ", ".join([*written[-1:], appended]))
    assert own_line == same_line == PERSON


@settings(max_examples=200 * FUZZ, deadline=None)
@given(HEADERS, ADDRESSES)
def test_a_stranger_is_who_is_connected(written, peer):
    if not any(ip_address(peer) in network for network in PROXIES):
        assert told(peer, *written) == told(peer)


@settings(max_examples=200 * FUZZ, deadline=None)
@given(HEADERS)
def test_the_answer_is_never_a_proxy_and_always_an_address(written):
    client = told(PROXY, *written)
    if client is not None:
        assert not any(ip_address(client) in network for network in PROXIES)
