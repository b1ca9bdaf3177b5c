"""What the supervisor and a worker say to each other: one pair of sockets, lines of JSON.

The supervisor sends the orders, and later `reload`; the worker says once that it listens. Each
side notices the other's end by the end of the stream: nobody else holds the pair open. So a
worker whose supervisor was killed stops, and does not go on at the port unwatched.

House rule: settings hold secrets, so orders go through here, never through arguments or the
environment, which others on the machine may read.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.events import Event, emit

MAX_LINE_BYTES: Final = 16 * 2**20  # a whole gateway.yaml; anything longer is not ours
RELOAD: Final = b"reload\n"
# As long as a supervisor would wait before it kills: the event loop may be the thing that hangs.
ORPHAN_SECONDS: Final = 20.0


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker is to be.

    Attributes:
        worker: its number.
        admin: path of the Unix socket to answer the supervisor on.
        settings: `Settings` as JSON: as they stood when the supervisor started, though
            gateway.yaml may be another one by now.
        base: the folder that relative paths start from.
        settings_file: where gateway.yaml is.
        output: how findings are printed.
        again: is this a start after an end, while others serve?
    """

    worker: int
    admin: str
    settings: str
    base: str
    settings_file: str
    output: str
    again: bool


class Listening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker says when it listens.

    Attributes:
        policy: the digest of what it loaded.
    """

    policy: str


class Lifeline:
    """The worker's end.

    Attributes:
        gone: the supervisor has ended without telling us to stop.

    Args:
        descriptor: an inherited, connected socket; it goes no further.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # noqa: FBT003  # it takes no keyword
        self._socket = socket.socket(fileno=descriptor)
        self._rest = b""
        self.gone = False

    def orders(self) -> Orders:
        """Wait for the orders.

        Raises:
            EOFError: the supervisor is gone.
            msgspec.DecodeError: somebody else than a supervisor started us.
        """
        line = self._line()
        if not line:
            raise EOFError("no supervisor")
        return msgspec.json.decode(line, type=Orders)

    def say(self, listening: Listening) -> None:
        """Tell the supervisor that we listen; if it is gone, `follow` notices."""
        try:
            self._socket.sendall(msgspec.json.encode(listening) + b"\n")
        except OSError:
            return

    def follow(self, *, reload: Callable[[], None], stop: Callable[[], None]) -> None:
        """From now on do as the supervisor says; in a thread, so that a hung loop ends as well.

        Args:
            reload: called in that thread.
            stop: called in that thread, once, when the supervisor is gone.
        """
        threading.Thread(
            target=self._follow, args=(reload, stop), name="lifeline", daemon=True
        ).start()

    def _follow(self, reload: Callable[[], None], stop: Callable[[], None]) -> None:
        while line := self._line():
            if line == RELOAD:
                reload()
        self.gone = True
        emit(Event.WORKER_ORPHANED)
        stop()
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)  # it did not stop by itself; the trail is as after any crash: whole

    def _line(self) -> bytes:
        """The next line, newline included; empty at the end."""
        while b"\n" not in self._rest:
            try:
                more = self._socket.recv(65_536)
            except OSError:
                more = b""
            if not more or len(self._rest) > MAX_LINE_BYTES:
                return b""
            self._rest += more
        line, newline, self._rest = self._rest.partition(b"\n")
        return line + newline
