"""The head of a request as raw facts, without a connection."""

import pytest
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.proxy.head import Heads, address_of


@pytest.mark.parametrize(
    ("peername", "expected"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:0::1", 5, 0, 0), "2001:db8::1"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1"),
        (None, ""),
    ],
)
def test_one_client_has_one_address_however_the_socket_spells_it(peername, expected):
    assert address_of(peername) == expected


def a_message(path="/", *headers):
    pairs = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in headers]
    return RawRequestMessage(
        method="GET",
        path=path,
        version=HttpVersion11,
        headers=CIMultiDictProxy(CIMultiDict(pairs)),
        raw_headers=headers,
        should_close=False,
        compression=None,
        upgrade=False,
        chunked=False,
        url=URL(path, encoded=True),
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (a_message("/\u3042"), Reason.AMBIGUOUS_TARGET),
        (a_message("/\udce3"), Reason.AMBIGUOUS_TARGET),
        (a_message("/", (b"X", b"\xe9")), Reason.MALFORMED_REQUEST),
        (a_message("/", (b"\xe9", b"x")), Reason.MALFORMED_REQUEST),
        (a_message("/", (b"EXPECT", b"200-ok")), Reason.MALFORMED_REQUEST),
        (a_message("/", (b"X", b"y" * 996)), Reason.MALFORMED_REQUEST),
        (a_message("/", *[(b"X", b"y" * 95)] * 11), Reason.MALFORMED_REQUEST),
    ],
)
def test_a_head_that_is_not_plain_is_refused(message, reason):
    with pytest.raises(RequestError) as caught:
        Heads(1000).require_plain(message)
    assert caught.value.reason is reason


def test_a_plain_head_within_its_bound_passes():
    message = a_message("/", (b"Expect", b"100-Continue"), (b"X", b"y" * 900))
    Heads(1000).require_plain(message)


def test_a_connection_that_is_gone_has_no_request():
    with pytest.raises(ConnectionResetError):
        Heads(1000).inbound_of(a_message(), None)


class Wire:
    def get_extra_info(self, name):
        return ("192.0.2.1", 5) if name == "peername" else None


def test_each_head_of_a_connection_is_read_as_itself_whatever_came_before():
    heads = Heads(1000)
    good, other = a_message("/", (b"X", b"1")), a_message("/b", (b"X", b"2"), (b"x", b"3"))
    bad = a_message("/", (b"X", b"\xe9"))
    for _ in range(2):
        assert heads.inbound_of(good, Wire()).headers == (("X", "1"),)
        heads.require_plain(good)
        with pytest.raises(RequestError):
            heads.require_plain(bad)
        with pytest.raises(RequestError):
            heads.require_plain(bad)
        found = heads.inbound_of(other, Wire())
        heads.require_plain(other)
        assert (found.target, found.headers) == ("/b", (("X", "2"), ("x", "3")))
        assert found.values("x") == ("2", "3")


def test_the_same_head_with_another_target_is_looked_at_again():
    heads = Heads(1000)
    heads.require_plain(a_message("/", (b"X", b"1")))
    with pytest.raises(RequestError) as caught:
        heads.require_plain(a_message("/\u3042", (b"X", b"1")))
    assert caught.value.reason is Reason.AMBIGUOUS_TARGET
