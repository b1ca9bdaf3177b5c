"""One reading of the clock per request; everything inside is UTC."""

from datetime import UTC, datetime
from typing import NewType

# An aware datetime in UTC. Adding minutes to a zone-aware local time is wall-clock
# arithmetic in Python, so local times become an Instant first and stay one.
Instant = NewType("Instant", datetime)


def instant(moment: datetime) -> Instant:
    """Make an Instant of an aware datetime.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return Instant(moment.astimezone(UTC))
