"""One reading of the clock per request; everything inside is UTC."""

from datetime import UTC, datetime, timedelta
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


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(moment: Instant) -> int:
    """Whole milliseconds since 1970, rounded down, without floats."""
    return (moment - Instant(_EPOCH)) // _MILLISECOND


def from_milliseconds(count: int) -> Instant:
    """The instant so many milliseconds after 1970. Raises OverflowError beyond year 9999."""
    return Instant(_EPOCH + count * _MILLISECOND)
