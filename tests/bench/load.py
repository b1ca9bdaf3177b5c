"""A lean load generator: the same request over and over on connections that stay open.

True here: nothing is timed. The next request goes out when the answer of the one before is
whole, on each connection; an answer that is not `200`, or ends early, stops everything. Answers
are not looked at: whoever measures has compared one of each before. It is one thread over
epoll(7) with no library, so that it takes little of the core that it shares with the upstream.
"""

import re
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 256 * 1024  # bytes taken at once from a socket
SECONDS = 120  # a guard, not a measure
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_UNTIL_LAST_CHUNK = -1


class LoadError(RuntimeError):
    """The server did not answer as it should; the message is what it said."""


class Connection:
    """One connection: a request out, an answer in, again and again."""

    __slots__ = ("left", "seen", "taken", "wire")

    def __init__(self, port: int) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = b""  # a head that is not whole; or the end of a chunked body
        self.left = 0  # bytes of the body that are still to come
        self.taken = 0  # bytes of bodies, chunk lines included

    def take(self, piece: memoryview) -> bool:
        """Read on. True when the answer is whole."""
        if self.left > 0:
            self.left -= len(piece)
            self.taken += len(piece)
            if self.left < 0:
                raise LoadError("more came than the Content-Length says")
            return not self.left
        if self.left == _UNTIL_LAST_CHUNK:
            return self._chunk(bytes(piece))
        head, end, body = (self.seen + bytes(piece)).partition(b"\r\n\r\n")
        if not end:
            self.seen = head
            return False
        self.seen = b""
        return self._begin(head, body)

    def _begin(self, head: bytes, body: bytes) -> bool:
        if head[:8] != b"HTTP/1.1" or head[9:12] != b"200":
            raise LoadError((head + b"\n" + body[:500]).decode(errors="replace"))
        length = _LENGTH.search(head)
        if length is None:
            if _CHUNKED.search(head) is None:
                raise LoadError("neither a length nor chunks: " + head.decode(errors="replace"))
            self.left = _UNTIL_LAST_CHUNK
            return self._chunk(body)
        self.left = int(length[1]) - len(body)
        self.taken += len(body)
        return not self.left

    def _chunk(self, piece: bytes) -> bool:
        """True at the last chunk: JSON holds no line feed of its own before a lone zero."""
        self.taken += len(piece)
        self.seen = (self.seen + piece[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
        if self.seen != _LAST_CHUNK:
            return False
        self.seen, self.left = b"", 0
        return True


class Load:
    """So many connections to one server, all with the same request."""

    def __init__(self, connections: list[Connection], request: bytes) -> None:
        self._by_file = {each.wire.fileno(): each for each in connections}
        self._request = request
        self._epoll = select.epoll()
        for file in self._by_file:
            self._epoll.register(file, select.EPOLLIN)
        self._piece = memoryview(bytearray(PIECE))

    def run(self, requests: int) -> int:
        """Ask so many times in all, and wait for every answer.

        Returns:
            Bytes of bodies that came.

        Raises:
            LoadError: an answer that is not 200, a connection that broke, or silence.
        """
        request, piece, by_file = self._request, self._piece, self._by_file
        for connection in by_file.values():
            connection.taken = 0
        waiting = asked = min(requests, len(by_file))
        for connection in list(by_file.values())[:asked]:
            connection.wire.sendall(request)
        while waiting:
            ready = self._epoll.poll(SECONDS)
            if not ready:
                raise LoadError(f"no answer within {SECONDS} s")
            for file, _ in ready:
                connection = by_file[file]
                size = connection.wire.recv_into(piece)
                if not size:
                    raise LoadError("the server closed a connection that should stay open")
                if not connection.take(piece[:size]):
                    continue
                if asked < requests:
                    asked += 1
                    connection.wire.sendall(request)
                else:
                    waiting -= 1
        return sum(connection.taken for connection in by_file.values())

    def close(self) -> None:
        self._epoll.close()


@contextmanager
def load(port: int, request: bytes, *, connections: int) -> Iterator[Load]:
    """Open connections, and close them at the end."""
    opened: list[Connection] = []
    try:
        for _ in range(connections):
            opened.append(Connection(port))  # noqa: PERF401  # each must be closed, if one fails
        machine = Load(opened, request)
        try:
            yield machine
        finally:
            machine.close()
    finally:
        for connection in opened:
            connection.wire.close()


def request_text(target: str, token: str) -> bytes:
    """What a phone of the salon sends; the same bytes for everybody who is measured."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: crm.salon.example\r\nAccept: application/json\r\n"
        f"User-Agent: salon-app/3.1 (phone)\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
