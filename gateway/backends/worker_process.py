"""One worker's process, as the supervisor has it: started, told, ended by its own id.

It is started anew, not forked: a supervisor has threads and an event loop. It imports from where
the supervisor does, whatever lies in the folder it stands in. Its log goes where ours goes.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from typing import Final, Self

import msgspec

from gateway.backends.worker_channel import MAX_LINE_BYTES, RELOAD, Listening, Orders

MODULE: Final = "gateway.cli.worker"
_LAST_WORDS_SECONDS = 1.0


class WorkerProcess:
    """A running worker; `start` makes one.

    Attributes:
        orders: what it was told to be.
        pid: its process id, until `ended` has returned.
    """

    def __init__(
        self,
        orders: Orders,
        child: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.orders = orders
        self.pid = child.pid
        self._child = child
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls, orders: Orders) -> Self:
        """Start a process with these orders.

        Raises:
            OSError: the system refuses.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # not what lies in the current folder
                    "-m",
                    MODULE,
                    str(theirs.fileno()),
                    f"worker={orders.worker}",  # for whoever reads `ps`
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C in a terminal reaches every process of its session: it is for the
                    # supervisor, which then lets its workers finish.
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        except BaseException:
            ours.close()
            raise
        writer.write(msgspec.json.encode(orders) + b"\n")
        return cls(orders, child, reader, writer)

    async def listening(self) -> Listening | None:
        """Wait until it listens; None if it ends before that."""
        try:
            line = await self._reader.readline()
            return msgspec.json.decode(line, type=Listening) if line else None
        except (OSError, ValueError):  # a reset; not a line of ours (msgspec's is a ValueError)
            return None

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, or the negative number of a signal."""
        code = await self._child.wait()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._writer.wait_closed()
        return code

    def reload(self) -> None:
        """Have it read its policy again, now or as soon as it has started."""
        self._writer.write(RELOAD)

    def terminate(self) -> None:
        """Tell it to finish and to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        # asyncio knows when the process was waited for: the id is never somebody else's by then.
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(number)
