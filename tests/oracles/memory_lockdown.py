"""The last incident, in memory. `away = True` is a store that cannot answer."""

from gateway.domain.errors import StateUnavailableError


class MemoryLockdown:
    def __init__(self):
        self.incident = None
        self.away = False

    async def current(self):
        if self.away:
            raise StateUnavailableError("the memory store was told to be away")
        return self.incident
