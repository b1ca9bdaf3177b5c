"""Plain audit entries and a clock that stands still, for tests of the trail."""

from datetime import UTC, datetime

from gateway.audit.chain import entry_body
from gateway.audit.entry import Entry, Phase
from gateway.domain.time import Instant

NOON = Instant(datetime(2026, 11, 21, 12, tzinfo=UTC))


class SetClock:
    """Stands still until told otherwise."""

    def __init__(self, at=NOON):
        self.at = at

    def now(self):
        return self.at

    def monotonic(self):
        return 0.0


def an_entry(request_id, **changes):
    members = {
        "request_id": str(request_id),
        "at": NOON,
        "phase": Phase.ANSWER,
        "method": "GET",
        "peer": "192.0.2.1",
        "policy": "p",
    }
    return Entry(**members | changes)


def a_body(name):
    return entry_body(an_entry(name))
