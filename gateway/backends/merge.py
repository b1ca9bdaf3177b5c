"""Several workers' metrics as one exposition.

Counters and histograms are added up. Of a gauge, GAUGES says what N values mean as one; the
table is held to `meter.py` by a test, so that a new gauge gets its rule.

Only texts as `meter.py` writes them are read: all workers run this program, so the same labels
come in the same order, and a series is the same series if its text is. Nothing is parsed that
need not be: 20,000 series of 8 workers take a fifth of a second, not several.

INVARIANT: what `Departed` has taken never leaves the sums: a worker that ended does not make a
counter go back. What it counted after it was last asked is lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from prometheus_client.utils import floatToGoString

from gateway.backends.meter import (
    CALENDARS_MISSING,
    INCIDENT,
    ISSUER_KEYS_AGE,
    ISSUER_KEYS_UP,
    MAX_SERIES,
    OBSERVING,
    OBSERVING_UNTIL,
    POLICY_AGE,
    POLICY_INFO,
    POLICY_LOADED,
    POLICY_STALE,
    POLICY_STALE_SINCE,
    SERIES_DROPPED,
    UP,
    WORKER_UP,
)


class Rule(StrEnum):
    """What several values of a gauge are together."""

    SUM = "sum"
    LEAST = "least"
    MOST = "most"


GAUGES: Final[Mapping[str, Rule]] = {
    OBSERVING.name: Rule.MOST,  # by any
    OBSERVING_UNTIL.name: Rule.MOST,
    POLICY_INFO.name: Rule.MOST,  # two series while two policies are in force
    POLICY_LOADED.name: Rule.LEAST,  # the oldest counts, and its age
    POLICY_AGE.name: Rule.MOST,
    POLICY_STALE.name: Rule.MOST,
    POLICY_STALE_SINCE.name: Rule.LEAST,
    CALENDARS_MISSING.name: Rule.MOST,
    INCIDENT.name: Rule.MOST,  # closed where it is closed for any
    ISSUER_KEYS_UP.name: Rule.LEAST,  # its tokens count where they count for all
    ISSUER_KEYS_AGE.name: Rule.MOST,
    **{metric.name: Rule.LEAST for metric in UP.values()},  # up where it is up for all
    WORKER_UP.name: Rule.MOST,  # only the supervisor has it
    "process_virtual_memory_bytes": Rule.SUM,
    "process_resident_memory_bytes": Rule.SUM,
    "process_start_time_seconds": Rule.LEAST,  # the supervisor's
    "process_open_fds": Rule.SUM,
    "process_max_fds": Rule.LEAST,
    "python_info": Rule.MOST,
}
_COUNTED: Final = frozenset({"counter", "histogram"})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of an exposition.

    Attributes:
        head: its HELP and TYPE lines.
        kind: as TYPE says it.
        series: name and labels, as they stand in the text → value.
    """

    head: str
    kind: str
    series: dict[str, float] = field(default_factory=dict)


Exposition = dict[str, Family]


def read_exposition(text: str) -> Exposition:
    """The metrics in a text as `meter.py` renders it.

    Raises:
        ValueError: it is not such a text.
    """
    found: Exposition = {}
    head, family = "", None
    # By `\n` alone: other line ends may stand in a label's value.
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            head, family = line, None
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            family = found[name] = Family(f"{head}\n{line}\n", kind)
        else:
            series, space, value = line.rpartition(" ")
            if family is None or not space or series in family.series:
                raise ValueError("not an exposition of ours")
            family.series[series] = float(value)
    return found


def counted(exposition: Exposition) -> Exposition:
    """What of it only ever grows."""
    return {name: family for name, family in exposition.items() if family.kind in _COUNTED}


def merged(expositions: Iterable[Exposition]) -> Exposition:
    """All of them as one.

    A gauge without a rule is left out, and counted among the series that were dropped.
    """
    whole: Exposition = {}
    dropped = 0
    for exposition in expositions:
        for name, family in exposition.items():
            rule = Rule.SUM if family.kind in _COUNTED else GAUGES.get(name)
            if rule is None:
                dropped += len(family.series)
                continue
            into = whole.setdefault(name, Family(family.head, family.kind)).series
            for series, value in family.series.items():
                into[series] = _together(rule, into[series], value) if series in into else value
    if dropped:
        _count_dropped(whole, dropped)
    return whole


def render(exposition: Exposition) -> bytes:
    """The text of it."""
    lines = []
    for family in exposition.values():
        lines.append(family.head)
        lines += (
            f"{series} {floatToGoString(v)}\n"  # type: ignore[no-untyped-call]  # it has no types
            for series, v in family.series.items()
        )
    return "".join(lines).encode()


class Departed:
    """What workers that have ended had counted, as far as they were asked."""

    def __init__(self) -> None:
        self.total: Exposition = {}
        self._begun = 0

    def add(self, exposition: Exposition) -> None:
        """Take what a worker said last.

        Beyond MAX_SERIES no new series is begun but counted as dropped: labels come from closed
        sets, but a process may live through many policies and many workers.
        """
        dropped = 0
        for name, family in counted(exposition).items():
            into = self.total.setdefault(name, Family(family.head, family.kind)).series
            for series, value in family.series.items():
                if series not in into and self._begun >= MAX_SERIES:
                    dropped += 1
                    continue
                self._begun += series not in into
                into[series] = into.get(series, 0.0) + value
        if dropped:
            _count_dropped(self.total, dropped)


def _together(rule: Rule, one: float, other: float) -> float:
    match rule:
        case Rule.SUM:
            return one + other
        case Rule.LEAST:
            return min(one, other)
        case Rule.MOST:
            return max(one, other)


def _count_dropped(exposition: Exposition, count: int) -> None:
    name = SERIES_DROPPED.name
    head = f"# HELP {name} {SERIES_DROPPED.help}\n# TYPE {name} counter\n"
    series = exposition.setdefault(name, Family(head, "counter")).series
    series[name] = series.get(name, 0.0) + count
