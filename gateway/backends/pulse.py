"""A beat. By one, what flows is looked at again: see `flowing.py`.

By another the gateway hears of logouts: see `epoch_map.py`. Each has a task of its own. A beat
that takes longer than its time is followed by the next at once; one that fails is logged, and
the next one comes all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.events import Event, emit

STOP_SECONDS = 2.0


class Pulse:
    """Calls `beat` again and again.

    Args:
        beat: what to do; it promises to be quick.
        seconds: from one beat to the next.
    """

    def __init__(self, beat: Callable[[], Awaitable[None]], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="pulse")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._beat()
            except Exception as error:  # noqa: BLE001  # no beat would be no forced logout
                emit(Event.BEAT_FAILED, error)
