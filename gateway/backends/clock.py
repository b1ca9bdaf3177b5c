"""The machine's clock. The only file that may ask it (ruff bans the calls elsewhere)."""

import time
from datetime import UTC, datetime

from gateway.domain.time import Instant


class SystemClock:
    """Implements ports.Clock."""

    def now(self) -> Instant:
        """The current instant, in UTC."""
        return Instant(datetime.now(UTC))

    def monotonic(self) -> float:
        """Seconds that never jump, for durations only."""
        return time.monotonic()
