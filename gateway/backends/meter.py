"""Every metric of the gateway: the table first, then the counting.

House rules
- A name stands in METRICS or it does not exist. Never a person, a record or a path in a
  label: labels come from closed sets (the policy's roles and resources, the adapter's
  actions, our reasons), `-` where there is none.
- Series are bounded all the same: beyond MAX_SERIES a new one is not begun but counted in
  `salon_gateway_series_dropped_total`.
- Counting is adding to a number in a dict, a fifth of what `labels().inc()` costs; text is
  made when Prometheus asks. All of it happens on the event loop's thread.
- Nothing here raises: a metric never costs an answer.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from gateway.backends.clock import SystemClock
from gateway.domain.reason import ALLOWING, TRAIL_CAUSES, Cause, Reason
from gateway.domain.subject import Role
from gateway.domain.time import Instant
from gateway.ports import BreakGlassStep, Clock, Labels, LoadFault, NoticeOutcome

MAX_SERIES = 20_000  # some 3 MB of text; a policy with 20 roles and 30 resources stays below
NONE = "-"
OBSERVABLE = ("rule", "hours", "everything")


class Kind(StrEnum):
    """Prometheus metric types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # one of each: hashed by identity
class Metric:
    """One metric: what stands in docs and dashboards.

    Attributes:
        buckets: upper bounds in seconds, of a histogram.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _metric(kind: Kind, name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name=f"salon_gateway_{name}", kind=kind, help=help_text, labels=labels)


def _seconds(name: str, help_text: str, *buckets: float) -> Metric:
    return Metric(
        name=f"salon_gateway_{name}", kind=Kind.HISTOGRAM, help=help_text, buckets=buckets
    )


# From a cached page to the longest a CRM is waited for (60 s by default).
_ROUND_TRIP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# A decision takes about a microsecond; with the cut of a large answer a few milliseconds.
_THINKING = (1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1)

REQUESTS = _metric(
    Kind.COUNTER,
    "requests_total",
    "Answered requests; outcome is allowed, refused or failed (5xx).",
    "role",
    "resource",
    "action",
    "reason",
    "window",
    "outcome",
)
DENIED = _metric(
    Kind.COUNTER,
    "denied_total",
    "Refused requests.",
    "role",
    "resource",
    "action",
    "reason",
)
UNAUTHENTICATED = _metric(
    Kind.COUNTER, "unauthenticated_total", "Refused credentials, by what was wrong.", "cause"
)
AFTER_HOURS = _metric(
    Kind.COUNTER,
    "afterhours_attempts_total",
    "Accesses refused because the salon is closed.",
    "role",
    "resource",
)
EXEMPT = _metric(
    Kind.COUNTER,
    "exempt_access_total",
    "Accesses outside hours that an exempt role allowed.",
    "role",
    "resource",
)
DROPPED = _metric(
    Kind.COUNTER,
    "fields_dropped_total",
    "Values that were cut out of answers, by field class.",
    "resource",
    "field_class",
)
RECORDS_REFUSED = _metric(
    Kind.COUNTER,
    "records_refused_total",
    "Records that were kept back: they exist, but their facts or their salon refuse.",
    "resource",
)
RECORDS_UNMATCHED = _metric(
    Kind.COUNTER,
    "records_unmatched_total",
    "Records left out of an answer since only what is hidden of them fits the question.",
    "resource",
)
WOULD_DENY = _metric(
    Kind.COUNTER,
    "would_deny_total",
    "Requests that passed because what would have refused them is only observed.",
    "role",
    "resource",
    "action",
    "reason",
)
WOULD_HIDE = _metric(
    Kind.COUNTER,
    "would_hide_total",
    "Values that stayed because what would have hidden them is only observed.",
    "resource",
    "field_class",
)
WOULD_REFUSE = _metric(
    Kind.COUNTER,
    "would_refuse_records_total",
    "Records that were shown because what would keep them back is only observed.",
    "resource",
)
WOULD_UNKNOWN = _metric(
    Kind.COUNTER,
    "would_unknown_total",
    "Requests of which nobody can say what observed rules would have done.",
    "resource",
)
OBSERVING = _metric(
    Kind.GAUGE, "observing", "1 while rules are observed, not enforced: by what.", "kind"
)
OBSERVING_UNTIL = _metric(
    Kind.GAUGE,
    "observing_until_timestamp_seconds",
    "When the last of them begins to count; no series if none is observed.",
    "kind",
)
REQUEST_SECONDS = _seconds(
    "request_duration_seconds", "Whole requests, refused ones included.", *_ROUND_TRIP
)
DECISION_SECONDS = _seconds("decision_duration_seconds", "Decisions.", *_THINKING)
UPSTREAM_SECONDS = _seconds(
    "upstream_duration_seconds", "The CRM, to the end of its answer.", *_ROUND_TRIP
)
POLICY_INFO = _metric(Kind.GAUGE, "policy_info", "The policy in force; always 1.", "digest")
POLICY_LOADED = _metric(
    Kind.GAUGE, "policy_loaded_timestamp_seconds", "When the policy in force was loaded."
)
POLICY_AGE = _metric(
    Kind.GAUGE, "policy_age_seconds", "How long ago the policy in force was loaded."
)
POLICY_FAILURES = _metric(
    Kind.COUNTER,
    "policy_load_failures_total",
    "Policies that did not load, by why; the one before stayed in force.",
    "reason",
)
POLICY_STALE = _metric(
    Kind.GAUGE,
    "policy_stale",
    "1 while the files on disk are not the policy in force, because they do not load.",
)
POLICY_STALE_SINCE = _metric(
    Kind.GAUGE,
    "policy_stale_since_timestamp_seconds",
    "Since when the files on disk are not the policy in force, and why; no series if they are.",
    "reason",
)
BREAK_GLASS = _metric(
    Kind.COUNTER, "break_glass_total", "Cards outside the window, by step.", "step", "resource"
)
NOTICES = _metric(
    Kind.COUNTER,
    "break_glass_notices_total",
    "Tries at telling managers of a card outside the window, or of a new device.",
    "way",
    "outcome",
)
STREAMS_CUT = _metric(
    Kind.COUNTER,
    "streams_cut_total",
    "Answers cut off because a new policy refuses what had begun.",
)
CALENDARS_MISSING = _metric(
    Kind.GAUGE,
    "calendars_missing",
    "Salons without a calendar: closed for all but exempt roles.",
)
INCIDENT = _metric(
    Kind.GAUGE, "incident", "1 while a lockdown keeps everybody but the owners out."
)
ISSUER_KEYS_UP = _metric(
    Kind.GAUGE,
    "issuer_keys_up",
    "1 while keys of another issuer of tokens count here, 0 while its tokens are refused.",
    "issuer",
)
ISSUER_KEYS_AGE = _metric(
    Kind.GAUGE,
    "issuer_keys_age_seconds",
    "How long ago the keys of another issuer that count here were fetched.",
    "issuer",
)
ISSUER_KEYS_FAILURES = _metric(
    Kind.COUNTER,
    "issuer_keys_failures_total",
    "Looks at the key set of another issuer that failed.",
    "issuer",
)
# What `/readyz` found last; no series before it was asked.
UP = {
    part: _metric(Kind.GAUGE, f"{part}_up", f"{title} at the last readiness check: 1 or 0.")
    for part, title in {
        "policy": "The policy",
        "state": "The state store",
        "audit": "The audit trail",
        "upstream": "The CRM",
    }.items()
}
# Of the supervisor of `serve --workers`; a single process has no series of them.
WORKER_UP = _metric(
    Kind.GAUGE, "worker_up", "1 if the worker process listens and was heard just now.", "worker"
)
WORKER_RESTARTS = _metric(
    Kind.COUNTER,
    "worker_restarts_total",
    "Worker processes started again because the one before had ended.",
    "worker",
)
SERIES_DROPPED = _metric(
    Kind.COUNTER, "series_dropped_total", "Counts that would have begun one series too many."
)

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    DENIED,
    UNAUTHENTICATED,
    AFTER_HOURS,
    EXEMPT,
    BREAK_GLASS,
    NOTICES,
    DROPPED,
    RECORDS_REFUSED,
    RECORDS_UNMATCHED,
    WOULD_DENY,
    WOULD_HIDE,
    WOULD_REFUSE,
    WOULD_UNKNOWN,
    OBSERVING,
    OBSERVING_UNTIL,
    REQUEST_SECONDS,
    DECISION_SECONDS,
    UPSTREAM_SECONDS,
    POLICY_INFO,
    POLICY_LOADED,
    POLICY_AGE,
    POLICY_FAILURES,
    POLICY_STALE,
    POLICY_STALE_SINCE,
    STREAMS_CUT,
    CALENDARS_MISSING,
    ISSUER_KEYS_UP,
    ISSUER_KEYS_AGE,
    ISSUER_KEYS_FAILURES,
    INCIDENT,
    *UP.values(),
    WORKER_UP,
    WORKER_RESTARTS,
    SERIES_DROPPED,
)
NAMES: tuple[str, ...] = tuple(metric.name for metric in METRICS)


@dataclass(slots=True)
class _Numbers:
    """The series of a counter or gauge: label values → number."""

    metric: Metric
    series: dict[tuple[str, ...], float] = field(default_factory=dict)

    def family(self) -> Family:
        kind = CounterMetricFamily if self.metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(self.metric.name, self.metric.help, labels=self.metric.labels)
        for labels, value in self.series.items():
            family.add_metric(labels, value)
        return family


@dataclass(slots=True)
class _Durations:
    """A histogram without labels."""

    metric: Metric
    counts: list[int]  # one per bucket, not cumulative; the last one is +Inf
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.metric.buckets, seconds)] += 1
        self.total += seconds

    def family(self) -> Family:
        family = HistogramMetricFamily(self.metric.name, self.metric.help, labels=())
        below, buckets = 0, []
        for bound, count in zip((*self.metric.buckets, "+Inf"), self.counts, strict=True):
            below += count
            buckets.append((str(bound), below))
        family.add_metric((), buckets, self.total)
        return family


class PrometheusMeter(Collector):
    """Implements ports.Meter."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        refused: Callable[[Reason, Instant], None] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._told = refused  # who else is told of each refusal: the console's hour
        self._numbers = {m: _Numbers(m) for m in METRICS if m.kind is not Kind.HISTOGRAM}
        self._durations = {
            m: _Durations(m, [0] * (len(m.buckets) + 1))
            for m in METRICS
            if m.kind is Kind.HISTOGRAM
        }
        self._begun = 0  # series with labels
        self._loaded_at: Instant | None = None
        self._observing: tuple[tuple[str, Instant], ...] = ()
        self._issuer_keys: dict[str, Instant | None] = {}  # bounded: names of gateway.yaml
        # Counters that alerts watch exist from the start: rate() needs a zero to rise from.
        for metric in (STREAMS_CUT, SERIES_DROPPED):
            self._numbers[metric].series[()] = 0
        for why in LoadFault:
            self._add(POLICY_FAILURES, (why,), 0)
        for cause in frozenset(Cause) - TRAIL_CAUSES:
            self._add(UNAUTHENTICATED, (cause,), 0)
        for step in BreakGlassStep:
            self._add(BREAK_GLASS, (step, NONE), 0)
        for way in ("webhook", "smtp"):
            for outcome in NoticeOutcome:
                self._add(NOTICES, (way, outcome), 0)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def answered(self, labels: Labels, seconds: float) -> None:
        """Count one request and its total duration."""
        self._durations[REQUEST_SECONDS].observe(seconds)
        role = labels.role or NONE
        resource, action = labels.resource or NONE, labels.action or NONE
        # The members are strings; `.value` would cost as much as all the counting.
        reason, window = labels.reason, labels.window or NONE
        outcome = _outcome(labels.reason, labels.status)
        self._add(REQUESTS, (role, resource, action, reason, window, outcome))
        if outcome == "refused":
            self._add(DENIED, (role, resource, action, reason))
            if self._told is not None:
                self._told(reason, self._clock.now())

    def unauthenticated(self, cause: Cause) -> None:
        """Count a refused credential by what was wrong with it."""
        self._add(UNAUTHENTICATED, (cause,))

    def decided(self, seconds: float) -> None:
        """Observe how long a decision took."""
        self._durations[DECISION_SECONDS].observe(seconds)

    def forwarded(self, seconds: float) -> None:
        """Observe how long the CRM took, to the end of its answer."""
        self._durations[UPSTREAM_SECONDS].observe(seconds)

    def exempt_access(self, role: Role, resource: str) -> None:
        """Count an access outside hours that an exempt role allowed."""
        self._add(EXEMPT, (role, resource))

    def after_hours_attempt(self, role: Role, resource: str) -> None:
        """Count an access that the window refused."""
        self._add(AFTER_HOURS, (role, resource))

    def dropped(self, resource: str, field_class: str, count: int) -> None:
        """Count values that left an answer, by field class (`-` for fields without one)."""
        if count > 0:  # a counter never goes down
            self._add(DROPPED, (resource, field_class), count)

    def records_refused(self, resource: str, count: int) -> None:
        """Count records that were kept back."""
        self._add(RECORDS_REFUSED, (resource,), count)

    def records_unmatched(self, resource: str, count: int) -> None:
        """Count records that did not fit a question by what may be seen of them."""
        self._add(RECORDS_UNMATCHED, (resource,), count)

    def would_deny(self, role: Role, resource: str, action: str, reason: Reason) -> None:
        """Count a request that only an observation let pass."""
        self._add(WOULD_DENY, (role, resource, action, reason))

    def would_hide(self, resource: str, field_class: str, count: int) -> None:
        """Count values that only an observation left in an answer."""
        if count > 0:
            self._add(WOULD_HIDE, (resource, field_class), count)

    def would_refuse_records(self, resource: str, count: int) -> None:
        """Count records that only an observation showed."""
        self._add(WOULD_REFUSE, (resource,), count)

    def would_unknown(self, resource: str) -> None:
        """Count a request of which nobody can say what would have been."""
        self._add(WOULD_UNKNOWN, (resource,))

    def observing(self, until: Sequence[tuple[str, Instant]]) -> None:
        """Set what is observed; each ends by itself, at its instant."""
        self._observing = tuple(until)

    def policy_loaded(self, digest: str, at: Instant) -> None:
        """A policy came into force: the one series of `policy_info` is replaced."""
        self._loaded_at = at
        self._numbers[POLICY_INFO].series = {(digest,): 1}
        self._numbers[POLICY_LOADED].series = {(): at.timestamp()}
        self._numbers[POLICY_STALE].series[()] = 0
        self._numbers[POLICY_STALE_SINCE].series = {}

    def policy_load_failed(self, why: LoadFault, since: Instant) -> None:
        """A policy did not load; the one before stays in force, stale since then."""
        self._add(POLICY_FAILURES, (why,))
        self._numbers[POLICY_STALE].series[()] = 1
        self._numbers[POLICY_STALE_SINCE].series = {(why,): since.timestamp()}

    def break_glass(self, step: BreakGlassStep, resource: str) -> None:
        """Count a step on the way of a card outside the window."""
        self._add(BREAK_GLASS, (step, resource))

    def notice(self, way: str, outcome: NoticeOutcome) -> None:
        """Count a try at telling managers of it: `webhook` or `smtp`."""
        self._add(NOTICES, (way, outcome))

    def stream_cut(self) -> None:
        """Count an answer that had begun and was cut off, because a new policy refuses it."""
        self._add(STREAMS_CUT, ())

    def calendars_missing(self, count: int) -> None:
        """Set how many salons have no calendar."""
        self._numbers[CALENDARS_MISSING].series[()] = count

    def incident(self, *, active: bool) -> None:
        """Set whether a lockdown keeps everybody but the owners out."""
        self._numbers[INCIDENT].series[()] = 1 if active else 0

    def issuer_keys(self, issuer: str, found_at: Instant | None, *, ok: bool) -> None:
        """Set what counts of another issuer's keys after a look at them.

        Args:
            issuer: as gateway.yaml names it.
            found_at: when those were fetched that count; None = none do.
            ok: whether this look found a set.
        """
        self._add(ISSUER_KEYS_FAILURES, (issuer,), 0 if ok else 1)
        self._numbers[ISSUER_KEYS_UP].series[(issuer,)] = 0 if found_at is None else 1
        self._issuer_keys[issuer] = found_at

    def up(self, part: str, *, ok: bool) -> None:
        """Set what the readiness check found: `policy`, `state`, `audit` or `upstream`."""
        if part in UP:
            self._numbers[UP[part]].series[()] = 1 if ok else 0
        else:
            self._add(SERIES_DROPPED, ())

    def worker_up(self, worker: int, *, ok: bool) -> None:
        """Set whether a worker process listens and was heard."""
        self._numbers[WORKER_UP].series[(str(worker),)] = 1 if ok else 0

    def worker_restarted(self, worker: int, count: int = 1) -> None:
        """Count that a worker was started again; 0 begins the series, so that rates can rise."""
        self._add(WORKER_RESTARTS, (str(worker),), count)

    def render(self) -> bytes:
        """Everything, in the text format of `/metrics` (see `content_type`)."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """What prometheus_client asks a collector."""
        if self._loaded_at is not None:
            age = (self._clock.now() - self._loaded_at) / timedelta(seconds=1)
            self._numbers[POLICY_AGE].series[()] = age
        self._collect_observing()
        self._numbers[ISSUER_KEYS_AGE].series = {
            (issuer,): (self._clock.now() - found_at) / timedelta(seconds=1)
            for issuer, found_at in self._issuer_keys.items()
            if found_at is not None
        }
        for numbers in self._numbers.values():
            yield numbers.family()
        for durations in self._durations.values():
            yield durations.family()

    def _collect_observing(self) -> None:
        now, ends = self._clock.now(), self._numbers[OBSERVING_UNTIL].series
        ends.clear()
        for kind, end in sorted(self._observing, key=lambda observed: observed[1]):
            if now < end:
                ends[(kind,)] = end.timestamp()
        for kind in OBSERVABLE:
            self._numbers[OBSERVING].series[(kind,)] = float((kind,) in ends)

    def _add(self, metric: Metric, labels: tuple[str, ...], count: float = 1) -> None:
        series = self._numbers[metric].series
        try:
            series[labels] += count
        except KeyError:
            if labels and self._begun >= MAX_SERIES:
                self._numbers[SERIES_DROPPED].series[()] += 1
                return
            self._begun += bool(labels)
            series[labels] = count


def _outcome(reason: Reason, status: int) -> str:
    if status >= 500:
        return "failed"  # also when it was the CRM that failed behind an allow
    return "allowed" if reason in ALLOWING else "refused"
