"""The guarded port, held for the workers that listen at it.

With SO_REUSEPORT the system lets several sockets of one user listen at one port, and shares the
connections out. That alone would let a second gateway slip in by mistake, and while no worker
lives the port would be anybody's. So the supervisor claims it first, by itself, as a server that
wants it alone, and then holds it without listening:

- nobody else can have it: not another user, not somebody who does not ask for SO_REUSEPORT, not
  a second supervisor, which asks for it alone as this one did;
- port 0 is one port for all, and stays the same when workers are started again.

A claim is a short `listen` since only that is decided at once: `bind` with SO_REUSEADDR (without
which connections of an earlier run would block the port for a minute) succeeds for two.
"""

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class ReservedPort:
    """A port that is held until `close`."""

    port: int
    _held: ExitStack

    @classmethod
    async def claim(cls, host: str, port: int) -> Self:
        """Hold a port at every address of a host.

        Args:
            host: a name or an address; empty = every address of this machine.
            port: 0 = any free one.

        Raises:
            OSError: somebody has it, or may not be had.
        """
        listed = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with ExitStack() as held:
            # Some systems list an address twice.
            for family, address in dict.fromkeys((one[0], one[4]) for one in listed):
                claimed = _opened(family)
                if claimed is None:
                    continue
                held.enter_context(claimed)
                _claim(claimed, (address[0], port, *address[2:]))
                port = int(claimed.getsockname()[1])
            return cls(port, held.pop_all())

    def close(self) -> None:
        """Let go of it."""
        self._held.close()


def _opened(family: int) -> socket.socket | None:
    """A socket as asyncio's servers have it; None of a family that this machine does without."""
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened


def _claim(claimed: socket.socket, address: tuple[object, ...]) -> None:
    level = socket.SOL_SOCKET
    if address[1] == 0:  # nobody else asks for the port that the system will choose
        claimed.setsockopt(level, socket.SO_REUSEPORT, 1)
        claimed.bind(address)
        return
    claimed.setsockopt(level, socket.SO_REUSEADDR, 1)
    claimed.bind(address)
    claimed.listen(1)
    claimed.setsockopt(level, socket.SO_REUSEADDR, 0)
    claimed.setsockopt(level, socket.SO_REUSEPORT, 1)
    claimed.shutdown(socket.SHUT_RDWR)  # stays bound, listens no more
