"""Looking at a key set over real TLS: what counts as one, and all that does not."""

import asyncio
import gzip
import json

import pytest
import trustme
from aiohttp import web

from gateway.backends import jwks_fetch
from gateway.backends.jwks_fetch import Fault, FetchError, JwksAddress
from gateway.identity.keys import MAX_JWKS_BYTES
from tests.oracles.foreign_world import ALL, SigningKey, key_set
from tests.oracles.key_server import KeyServer


@pytest.fixture
async def server():
    async with KeyServer().listening() as running:
        running.body = key_set(SigningKey("one")).encode()
        yield running


def look(server, *, tls=None, url=None):
    return JwksAddress(url or server.url, tls=tls or server.trusting(), algorithms=ALL).fetch()


async def fault(promise):
    with pytest.raises(FetchError) as caught:
        await promise
    return caught.value.fault


async def test_a_published_set_is_its_keys(server):
    found = await look(server)
    assert [key.kid for key in found.table.keys] == ["one"]
    assert found.text == server.body
    ((path, headers),) = server.asked
    assert path == "/keys"
    assert headers["Accept-Encoding"] == "identity"


async def test_a_host_with_a_certificate_of_somebody_else_has_no_keys(server):
    assert await fault(look(server, tls=server.trusting(trustme.CA()))) is Fault.UNREACHABLE
    assert server.asked == []


async def test_a_certificate_for_another_name_is_none():
    async with KeyServer().listening("elsewhere.example") as other:
        assert await fault(look(other)) is Fault.UNREACHABLE
        assert other.asked == []


def test_nothing_but_https_and_nothing_unchecked_is_an_address(server):
    with pytest.raises(ValueError, match="https"):
        JwksAddress("http://localhost/keys", tls=server.trusting(), algorithms=ALL)
    careless = server.trusting()
    careless.check_hostname = False
    with pytest.raises(ValueError, match="always checked"):
        JwksAddress(server.url, tls=careless, algorithms=ALL)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 401, 404, 500, 503])
async def test_only_200_is_an_answer_and_no_redirect_is_followed(server, status):
    server.status = status
    server.headers = server.headers | {"Location": f"{server.url}/there"}
    assert await fault(look(server)) is Fault.STATUS
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/octet-stream", ""])
async def test_another_content_type_is_no_key_set(server, kind):
    server.headers = {"Content-Type": kind}
    assert await fault(look(server)) is Fault.CONTENT_TYPE


async def test_both_content_types_of_key_sets_are_read(server):
    server.headers = {"Content-Type": "application/jwk-set+json; charset=utf-8"}
    assert (await look(server)).table is not None


async def test_a_coding_that_nobody_asked_for_is_not_undone(server):
    server.body = gzip.compress(server.body)
    server.headers = server.headers | {"Content-Encoding": "gzip"}
    assert await fault(look(server)) is Fault.CONTENT_TYPE


async def test_a_set_may_have_256_kib_and_not_a_byte_more(server):
    server.body += b" " * (MAX_JWKS_BYTES - len(server.body))
    assert (await look(server)).table is not None
    server.body += b" "
    assert await fault(look(server)) is Fault.TOO_LARGE


async def test_an_answer_without_end_is_cut_off_at_its_size(server):
    async def endless(request):
        answer = web.StreamResponse(headers=server.headers)
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b" " * 65_536)
                await asyncio.sleep(0)  # the same loop serves whoever hangs up
        except ConnectionError:
            return answer

    server.answer = endless
    assert await fault(look(server)) is Fault.TOO_LARGE


async def test_one_who_says_nothing_more_is_not_waited_for(server, monkeypatch):
    monkeypatch.setattr(jwks_fetch, "FETCH_SECONDS", 0.2)
    over = asyncio.Event()

    async def silent(request):
        answer = web.StreamResponse(headers=server.headers)
        await answer.prepare(request)
        await answer.write(b"{")
        await over.wait()
        return answer

    server.answer = silent
    try:
        assert await fault(look(server)) is Fault.TIMEOUT
    finally:
        over.set()


async def test_nobody_there_is_unreachable():
    async with KeyServer().listening() as gone:
        pass
    assert await fault(look(gone)) is Fault.UNREACHABLE


def with_key(**changes):
    return json.dumps({"keys": [SigningKey("one").public | changes]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"keys": [], "keys": []}',
        b"\xef\xbb\xbf" + with_key(),
        with_key().replace(b'"kid"', b'"kid": "two", "kid"'),
        with_key(d="AAAA"),
        with_key(x="AAAA"),
        with_key(x="not base64url!"),
        with_key(kid=7),
        with_key(kty="oct", k="c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"),
        json.dumps({"keys": [SigningKey("one").public, SigningKey("one").public]}).encode(),
        json.dumps({"keys": [SigningKey(str(n)).public for n in range(65)]}).encode(),
    ],
)
async def test_what_is_broken_anywhere_is_no_set_at_all(server, body):
    server.body = body
    assert await fault(look(server)) is Fault.INVALID


async def test_the_environments_proxy_is_not_asked(server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert (await look(server)).table is not None
