"""Which server is the master? What more than half of the listed sentinels say.

A sentinel that is cut off from the others goes on naming the old master, and whoever believed it
would not hear of logouts at the new one. So one voice is never enough where several are listed,
and where no server has more than half of the voices, nobody is asked and the request is refused.

House rules
- Only the sentinels of the URL are asked; those that they know of are not.
- All at once, and no longer than it takes: the slow ones are not waited for. They have until the
  next time we ask.
"""

import asyncio
from collections import Counter

from redis.exceptions import RedisError

from gateway.backends.redis_address import RedisAddress, Server
from gateway.backends.redis_pace import Pace
from gateway.backends.redis_pool import Pool, Reply, Tls
from gateway.domain.errors import StateUnavailableError


class Sentinels:
    """Asks all that are listed. Belongs to one event loop."""

    def __init__(self, address: RedisAddress, tls: Tls) -> None:
        self._address = address
        now = asyncio.get_running_loop().time
        self._pools = [Pool(one, address, tls, Pace(monotonic=now)) for one in address.servers]
        self._late: set[asyncio.Task[Server | None]] = set()  # who have not answered yet

    async def master(self) -> Server:
        """The master's place.

        Raises:
            StateUnavailableError: no place has more than half of the voices.
        """
        await self._end_late()
        loop = asyncio.get_running_loop()
        asked = {loop.create_task(self._voice(pool), name="sentinel") for pool in self._pools}
        self._late, waiting = asked, asked
        votes: Counter[Server | None] = Counter()
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            votes.update(task.result() for task in done)
            for server, voices in votes.items():
                if server is not None and 2 * voices > len(asked):
                    return server
        raise StateUnavailableError(
            f"{self._address}: of {len(asked)} sentinels not more than half name one master"
        )

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        await self._end_late()
        for pool in self._pools:
            await pool.close()

    async def _end_late(self) -> None:
        late = {task for task in self._late if not task.done()}
        for task in late:
            task.cancel()  # which closes its connection
        if late:
            await asyncio.wait(late)

    async def _voice(self, pool: Pool) -> Server | None:
        try:
            return _server(
                await pool.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.service)
            )
        except (RedisError, OSError, ValueError):
            return None  # one voice less; the others decide


def _server(reply: Reply) -> Server:
    match reply:
        case [bytes(host), bytes(port)] if host and port.isdigit() and int(port) <= 65535:
            return Server(host=host.decode("ascii"), port=int(port))
        case _:
            raise ValueError("no master of that name")
