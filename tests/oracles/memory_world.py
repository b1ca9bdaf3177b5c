"""The world of the pipeline in memory: clock, trail, CRM and meter that tests can steer.

The trail and the CRM can be told to fail; everything that happened stands in one list, in
order, so that a test can say what came before what.
"""

from datetime import datetime

from gateway.domain.errors import AuditUnavailableError
from gateway.domain.time import instant


class SetClock:
    """Stands still until told otherwise; counts how often it was read."""

    def __init__(self, text):
        self.reads = 0
        self.set(text)

    def set(self, text):
        self.moment = instant(datetime.fromisoformat(text))

    def now(self):
        self.reads += 1
        return self.moment

    def monotonic(self):
        return self.moment.timestamp()


class MemoryTrail:
    def __init__(self, happened):
        self.happened = happened
        self.entries = []
        self.full_after = None

    async def append(self, entry):
        if self.full_after is not None and len(self.entries) >= self.full_after:
            raise AuditUnavailableError("the memory trail was told to be full")
        self.happened.append(f"entered {entry.phase}")
        self.entries.append(entry)

    async def check(self):
        if self.full_after is not None:
            raise AuditUnavailableError("the memory trail was told to be full")

    async def close(self):
        pass


class MemoryAnswer:
    def __init__(self, status, headers, body, happened):
        self.status = status
        self.headers = headers
        self.body = body
        self.happened = happened
        self.closed = False

    async def read(self, max_bytes):
        assert len(self.body) <= max_bytes
        return self.body

    def arrived(self):
        return None

    async def stream(self):
        yield self.body

    async def close(self):
        self.closed = True


class MemoryUpstream:
    """Answers every request with `answer`, or raises `error`."""

    def __init__(self, happened):
        self.happened = happened
        self.sent = []
        self.error = None
        self.given = []
        self.says(200, b"{}")

    def says(self, status, body, headers=(("Content-Type", "application/json"),)):
        self.status, self.body, self.headers = status, body, tuple(headers)

    async def send(self, clearance, *, method, target, headers, body, **_length):
        self.happened.append("forwarded")
        self.sent.append((clearance, method, target.wire, headers, body))
        if self.error is not None:
            raise self.error
        answer = MemoryAnswer(self.status, self.headers, self.body, self.happened)
        self.given.append(answer)
        return answer

    async def check(self):
        if self.error is not None:
            raise self.error

    async def close(self):
        pass


class CountingMeter:
    """Keeps every call: (name, arguments)."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, *args, *kwargs.values()))

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


class Body:
    def __init__(self, data=b""):
        self.data = data

    async def read(self, max_bytes):
        assert len(self.data) <= max_bytes
        return self.data

    async def stream(self):
        yield self.data
