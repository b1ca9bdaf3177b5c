import pytest

from gateway.domain.errors import RequestError
from gateway.domain.http import Inbound
from gateway.domain.reason import Reason
from gateway.mapping.websocket import require_handshake, require_no_upgrade, socket_headers

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Host": "crm.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def a_request(*more, without=(), method="GET", version="1.1", **changed):
    headers = {name: value for name, value in GOOD.items() if name not in without}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return Inbound(
        method=method,
        target="/live",
        version=version,
        headers=(*headers.items(), *more),
        peer="192.0.2.1",
        secure=False,
    )


def refusal(request):
    with pytest.raises(RequestError) as caught:
        require_handshake(request)
    return caught.value.reason


def test_a_browsers_handshake_is_accepted_with_its_extensions_unread():
    more = (
        ("Origin", "https://crm.example"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    )
    assert require_handshake(a_request(*more, Connection="keep-alive, Upgrade")) == ()


@pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET"])
def test_the_protocol_is_named_in_any_case(value):
    assert require_handshake(a_request(Upgrade=value)) == ()


def test_subprotocols_come_in_their_order_over_all_lines():
    more = (("Sec-WebSocket-Protocol", "chat.v2 ,\tchat"), ("sec-websocket-protocol", "x"))
    assert require_handshake(a_request(*more)) == ("chat.v2", "chat", "x")


def test_a_request_that_opens_nothing_is_told_that_it_should():
    plain = a_request(without=("Upgrade", "Connection", "Sec-WebSocket-Key"))
    assert refusal(plain) is Reason.WEBSOCKET_ONLY


@pytest.mark.parametrize("version", ["8", "7", "14", "0", "013"])
def test_another_version_is_told_which_one_is_spoken(version):
    assert refusal(a_request(Sec_WebSocket_Version=version)) is Reason.WEBSOCKET_ONLY


BROKEN = {
    "another method": a_request(method="POST"),
    "HEAD": a_request(method="HEAD"),
    "an old version of HTTP": a_request(version="1.0"),
    "another protocol": a_request(Upgrade="h2c"),
    "two protocols": a_request(Upgrade="websocket, h2c"),
    "a version of it": a_request(Upgrade="websocket/13"),
    "two upgrades": a_request(("Upgrade", "websocket")),
    "no connection": a_request(without=("Connection",)),
    "a connection that closes": a_request(Connection="close"),
    "a connection that almost upgrades": a_request(Connection="upgraded"),
    "no key": a_request(without=("Sec-WebSocket-Key",)),
    "two keys": a_request(("Sec-WebSocket-Key", KEY)),
    "an empty key": a_request(Sec_WebSocket_Key=""),
    "a short key": a_request(Sec_WebSocket_Key="dGhl"),
    "a long key": a_request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZXh4eHg="),
    "a key in another alphabet": a_request(Sec_WebSocket_Key="_GhlIHNhbXBsZSBub25jZQ=="),
    "a key with two spellings": a_request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZR=="),
    "a key without padding": a_request(Sec_WebSocket_Key=KEY[:-2]),
    "two keys in one line": a_request(Sec_WebSocket_Key=f"{KEY}, {KEY}"),
    "no version": a_request(without=("Sec-WebSocket-Version",)),
    "two versions": a_request(("Sec-WebSocket-Version", "8")),
    "two versions in one line": a_request(Sec_WebSocket_Version="13, 8"),
    "a version that is no number": a_request(Sec_WebSocket_Version="١٣"),
    "a body": a_request(("Content-Length", "5")),
    "a body of unknown length": a_request(("Transfer-Encoding", "chunked")),
    "two lengths": a_request(("Content-Length", "0"), ("Content-Length", "0")),
    "an empty subprotocol": a_request(("Sec-WebSocket-Protocol", "")),
    "an empty one among them": a_request(("Sec-WebSocket-Protocol", "a,,b")),
    "a subprotocol twice": a_request(("Sec-WebSocket-Protocol", "a, a")),
    "a subprotocol with a space": a_request(("Sec-WebSocket-Protocol", "a b")),
    "a subprotocol in quotes": a_request(("Sec-WebSocket-Protocol", '"a"')),
    "a long subprotocol": a_request(("Sec-WebSocket-Protocol", "a" * 129)),
    "many": a_request(("Sec-WebSocket-Protocol", ",".join(map(str, range(17))))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_any_other_handshake_is_refused(name):
    assert refusal(BROKEN[name]) is Reason.MALFORMED_REQUEST


def test_a_length_of_nothing_is_no_body():
    assert require_handshake(a_request(("Content-Length", "0"))) == ()


def test_an_upgrade_of_a_route_that_is_no_websocket_is_refused():
    with pytest.raises(RequestError) as caught:
        require_no_upgrade(a_request())
    assert caught.value.reason is Reason.MALFORMED_REQUEST
    require_no_upgrade(a_request(without=("Upgrade",)))


def test_nothing_of_the_clients_handshake_goes_on_but_the_rest_does():
    headers = (
        ("Origin", "https://crm.example"),
        ("Sec-WebSocket-Key", KEY),
        ("sec-websocket-version", "13"),
        ("SEC-WEBSOCKET-PROTOCOL", "chat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Anything", "x"),
        ("X-Request-Id", "id-1"),
    )
    assert socket_headers(headers) == (headers[0], headers[-1])
