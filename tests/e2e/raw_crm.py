"""A CRM that says, byte for byte, what a test tells it to, on a loopback port of its own.

It keeps every request as it came, so a test can tell what was forwarded and what was not.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

SECONDS = 60  # a guard against a test that hangs


@dataclass(frozen=True, kw_only=True)
class Say:
    """What to send, and how to end: `close`, `reset`, or `hang` until the other side goes.

    Attributes:
        after: send nothing before this is set.
        more: what follows, each piece after its own event.
    """

    data: bytes
    end: str = "close"
    after: threading.Event | None = None
    more: "tuple[Say, ...]" = ()


def json_answer(body: bytes, status: str = "200 OK", kind: str = "application/json") -> Say:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Say(data=head.encode() + body)


class RawCrm:
    """Listens; answers each request as `answers` says of its path, else 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Say] = {}
        self.requests: list[bytes] = []
        self.port = 0
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Away: whoever connects now is refused."""
        if self._listener is not None:
            with suppress(OSError):  # wakes the thread that waits in `accept`
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for wire in self._open:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
        self._threads.clear()
        self._open.clear()

    def paths(self) -> list[str]:
        """What was asked for so far, as `GET /path`."""
        return [b" ".join(head.split(b" ")[:2]).decode() for head in self.requests]

    def _run(self, work: object, *words: object) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was closed: that is the end
            while True:
                wire, _ = listener.accept()
                wire.settimeout(SECONDS)
                self._open.append(wire)
                self._run(self._serve, wire)

    def _serve(self, wire: socket.socket) -> None:
        with wire, suppress(OSError):
            request = _whole_request(wire)
            if not request:
                return
            self.requests.append(request)
            path = request.split(b" ")[1].decode().partition("?")[0]
            say = self.answers.get(path, json_answer(b"{}", "404 Not Found"))
            for piece in (say, *say.more):
                if piece.after is not None:
                    piece.after.wait(SECONDS)
                wire.sendall(piece.data)
            if say.end == "hang":
                wire.recv(1)
            if say.end == "reset":
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _whole_request(wire: socket.socket) -> bytes:
    """Head and body; empty if the other side went without a word."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = wire.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = (int(lengths[0].split(b":")[1]) if lengths else 0) - len(body)
    while left > 0:
        more = wire.recv(left)
        if not more:
            break
        data, left = data + more, left - len(more)
    return data


@contextmanager
def raw_crm() -> Iterator[RawCrm]:
    crm = RawCrm()
    crm.start()
    try:
        yield crm
    finally:
        crm.stop()
