"""Locks in memory. `away = True` is a store that cannot answer."""

from gateway.domain.errors import StateUnavailableError


class MemoryLocks:
    def __init__(self):
        self.locks = {}
        self.away = False

    async def get(self, key):
        if self.away:
            raise StateUnavailableError("the memory store was told to be away")
        return self.locks.get(key)
