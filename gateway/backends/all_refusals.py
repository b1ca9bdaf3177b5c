"""The refusals of the last hour of all workers: each has counted its own, one of them is asked.

A worker finds the others by their sockets, which stand beside its own in a folder that only this
user may enter. Whoever does not answer in time is left out: it is being started, or very busy.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from gateway.backends.unix_http import SilentError, exchange
from gateway.domain.reason import Reason
from gateway.domain.time import Instant

PAGE: Final = "/refusals"  # on the Unix socket alone
ASK_SECONDS: Final = 1.0
MAX_BYTES: Final = 16 * 2**10  # every reason there is, with a long number, is a third of it


class Counted(Protocol):
    """What one process has counted itself."""

    def last_hour(self, now: Instant) -> Mapping[Reason, int]:
        """Each reason that refused something, with how often."""
        ...


class AllRefusals:
    """Implements console.refused.RecentRefusals for one worker of several.

    Args:
        own: what this process has counted.
        socket: of this process's admin port; those of the others stand beside it.
    """

    def __init__(self, own: Counted, socket: Path) -> None:
        self._own = own
        self._socket = socket

    async def in_last_hour(self, now: Instant) -> Mapping[Reason, int]:
        """Each reason that refused something, with how often, in all of them."""
        others = [path for path in self._socket.parent.glob("*.sock") if path != self._socket]
        total = Counter(self._own.last_hour(now))
        for counts in await asyncio.gather(*map(_of, others)):
            total.update(counts)
        return total


def told(counts: Mapping[Reason, int]) -> Mapping[str, int]:
    """What this process says of itself to the others."""
    return {str(reason): count for reason, count in counts.items()}


async def _of(path: Path) -> Mapping[Reason, int]:
    try:
        answer = await exchange(
            path, "GET", PAGE, (("Host", "localhost"),), seconds=ASK_SECONDS, most=MAX_BYTES
        )
        found = json.loads(answer.body) if answer.status == 200 else {}
        return {Reason(name): int(count) for name, count in found.items()}
    except (SilentError, ValueError, TypeError, AttributeError):
        return {}
