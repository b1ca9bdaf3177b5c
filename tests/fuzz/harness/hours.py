"""Bytes become hours or findings, and any hours tell the window of any instant.

The window's state is the slow calendar's, which reads the same file minute by minute.
"""

from datetime import UTC, datetime, timedelta

from gateway.domain.finding import PolicyError
from gateway.domain.time import instant
from gateway.enforcer.calendar import Calendar, parse_hours
from gateway.enforcer.window import window_at
from gateway.texts.encoding import decode
from gateway.texts.yamltext import Document, parse_yaml
from tests.fuzz.refusals import require_findings
from tests.oracles.slow_calendar import timeline

GOOD = b"""\
salons:
  aoyama:
    timezone: Asia/Tokyo
    weekly: {wed: ["10:00-19:00"], fri: ["10:00-14:00", "15:00-20:00"], sat: ["20:00-02:00"]}
    regular_holidays: [tue, 2nd mon, last sun]
    public_holidays: ["2026-11-23"]
    closed_dates: ["2026-08-13"]
    special_openings: {"2026-11-22": ["10:00-24:00"], "2026-11-25": []}
    grace: {before: 60, after: 60}
protected: [client, message]
exempt_roles: [role:manager]
"""
MAX_BYTES = 700
SEEDS = (
    GOOD,
    GOOD.replace(b"Asia/Tokyo", b"Europe/Kyiv"),
    b'protected: []\nsalons: {a: {timezone: UTC, weekly: {}, closed_dates: ["2026-11-22"]}}\n',
    b'protected: []\nsalons: {a: {timezone: Pacific/Apia, weekly: {sun: ["23:59-23:58"]}}}\n',
)
# fmt: off
WORDS = (
    b"24:00", b"00:00", b"2026-11-22", b"sun", b"1st ", b"5th ", b"last ", b"grace: {", b"1440",
    b"Asia/Kathmandu", b"America/New_York", b"Etc/GMT+12", b"../zone", b"localtime", b"UTC",
    b"weekly: ", b"special_openings: ", b"9999-12-31", b"0001-01-01", b"-0", b"1_0", b"\xd9\xa1",
)
# fmt: on
FIRST = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
MINUTES = 600
_HORIZONS = [*range(0, MINUTES, 97), MINUTES - 1]


def check(data: bytes) -> None:
    try:
        document = parse_yaml(decode(data, "h.yaml"), "h.yaml")
        calendar = parse_hours(document)
    except PolicyError as error:
        require_findings(error, "h.yaml")
        return
    _require_told(document, calendar)


def _require_told(document: Document, calendar: Calendar) -> None:
    for name, hours in list(calendar.salons.items())[:2]:
        written = document.data["salons"][name]
        states = timeline(written, FIRST, MINUTES)
        for minute in _HORIZONS:
            window = window_at(hours, instant(FIRST + timedelta(minutes=minute)))
            assert window.state == states[minute]
            assert window.changes_at is None or window.changes_at > FIRST
