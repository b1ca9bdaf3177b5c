"""The head of a request as raw facts, without a connection."""

import pytest
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.proxy.head import address_of, inbound_of, require_plain_head
from gateway.proxy.limits import PortLimits


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
        require_plain_head(message, PortLimits(max_head_bytes=1000))
    assert caught.value.reason is reason


def test_a_plain_head_within_its_bound_passes():
    message = a_message("/", (b"Expect", b"100-Continue"), (b"X", b"y" * 900))
    require_plain_head(message, PortLimits(max_head_bytes=1000))


def test_a_connection_that_is_gone_has_no_request():
    with pytest.raises(ConnectionResetError):
        inbound_of(a_message(), None)
