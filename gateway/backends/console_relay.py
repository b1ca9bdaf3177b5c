"""The console's addresses on the supervisor's admin port: a worker answers them.

The supervisor has no policy and no state; every worker has both, and what somebody did in the
console stands in the state, so any of them may answer.

True here:
* Only what is asked of the console is handed on, whole and bounded; to one worker, once. If it
  was asked and is gone, nobody knows what it did: the answer is 502, never a second try.
* The worker is told the client's address in a header of our own (`domain/relayed.py`), which
  replaces whatever the client sent under that name.
* Framing and what concerns one connection alone (RFC 9110 7.6.1) is written anew on each side.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from gateway.backends.unix_http import Pairs, SilentError, Told, UnreachedError, exchange
from gateway.domain.relayed import PEER_HEADER, write_peer

MAX_HEAD_BYTES: Final = 32 * 2**10
MAX_BODY_BYTES: Final = 16 * 2**10  # twice a form of the console
MAX_PAGE_BYTES: Final = 16 * 2**20
BODY_SECONDS: Final = 10.0
PAGE_SECONDS: Final = 15.0  # 16 passwords that wait to be hashed take one
MOST_AT_ONCE: Final = 32  # pages under way; each is held in memory
_OURS = frozenset(  # of one connection, or of its framing
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        PEER_HEADER.lower(),
    }
)
_OF_THE_ANSWER = _OURS | {"date", "server"}


class ConsoleRelay:
    """Hands on what is the console's.

    Args:
        workers: the sockets of those that listen now.
        is_room: is a path, without its query, an address of the console's?
    """

    def __init__(
        self, workers: Callable[[], Sequence[Path]], is_room: Callable[[str], bool]
    ) -> None:
        self._workers = workers
        self._is_room = is_room
        self._under_way = 0
        self._turn = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The console's answer to a request; None = its address is none of the console's."""
        if not self._is_room(request.raw_path.partition("?")[0]):
            return None
        headers = _headers(request)
        if headers is None:
            return _said(431, "the head of this request is too large\n")
        body = await _body(request)
        if isinstance(body, web.Response):
            return body
        # Only now: whoever sends slowly takes no place.
        if self._under_way >= MOST_AT_ONCE:
            return _said(503, "too much is asked of the console at once; try again\n")
        self._under_way += 1
        try:
            return await self._relay(request, headers, body)
        finally:
            self._under_way -= 1

    async def _relay(self, request: web.BaseRequest, headers: Pairs, body: bytes) -> web.Response:
        # Our own server takes the body off an answer to HEAD, and leaves its length.
        method = "GET" if request.method == "HEAD" else request.method
        for path in self._in_turn():
            try:
                told = await exchange(
                    path,
                    method,
                    request.raw_path,
                    headers,
                    body,
                    seconds=PAGE_SECONDS,
                    most=MAX_PAGE_BYTES,
                )
            except UnreachedError:  # it has just ended: nothing was said to it
                continue
            except SilentError:
                return _said(502, "the gateway did not answer; look before you do it again\n")
            return _passed_on(told)
        return _said(503, "no part of the gateway listens; try again in a moment\n")

    def _in_turn(self) -> Sequence[Path]:
        """All that listen, another one first each time."""
        paths = self._workers()
        self._turn += 1
        at = self._turn % len(paths) if paths else 0
        return [*paths[at:], *paths[:at]]


def _headers(request: web.BaseRequest) -> Pairs | None:
    """What goes on, and for whom; None = it is too much."""
    if sum(len(name) + len(value) for name, value in request.raw_headers) > MAX_HEAD_BYTES:
        return None
    # RFC 9110 7.6.1: what `Connection` names is of this connection, too.
    named = {
        name.strip().lower()
        for line in request.headers.getall("Connection", [])
        for name in line.split(",")
    }
    kept = tuple(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _OURS | named
    )
    transport = request.transport
    peer: Any = None if transport is None else transport.get_extra_info("peername")
    secure = transport is not None and transport.get_extra_info("sslcontext") is not None
    address = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) else ""
    return (*kept, (PEER_HEADER, write_peer(address, secure=secure)))


async def _body(request: web.BaseRequest) -> bytes | web.Response:
    """What was sent along, or why it does not go on."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > MAX_BODY_BYTES:
                    return _said(413, "this is too large\n")
    except TimeoutError:
        return _said(408, "this did not come in time\n")
    except (web.RequestPayloadError, OSError, RuntimeError):
        return _said(400, "this broke off\n")
    return bytes(data)


def _passed_on(told: Told) -> web.Response:
    headers = CIMultiDict(
        (name, value) for name, value in told.headers if name.lower() not in _OF_THE_ANSWER
    )
    return web.Response(status=told.status, headers=headers, body=told.body)


def _said(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text)
    if status in {408, 413, 431}:
        response.force_close()  # the rest of it is not read
    return response
