"""One reading of the clock per request; everything inside is UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType
from zoneinfo import ZoneInfo

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


_WRITTEN = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)
# Within them every zone's clock can be turned into UTC and back.
_FIRST_YEAR, _LAST_YEAR = 1970, 9998


def read_moment(text: str) -> datetime:
    """Read `2026-11-24T20:31` as people write it.

    Returns:
        Aware if a zone is written, naive if it is meant on some salon's clock.

    Raises:
        ValueError: anything else; the message says what to write.
    """
    if not _WRITTEN.fullmatch(text):
        raise ValueError(f"`{text}` is not a moment; write 2026-11-24T20:31 (the salon's clock)")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"`{text}` is not a moment: {error}") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"`{text}` is not a moment: its year is out of range")
    return moment


def on_clock(moment: datetime, timezone: str) -> Instant:
    """The instant of a moment, on this clock if it names none of its own."""
    return instant(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone)))
