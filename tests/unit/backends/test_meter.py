"""Metrics: closed names and labels, bounded series, text that Prometheus accepts."""

import shutil
import subprocess
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.backends import meter as meter_module
from gateway.backends.meter import METRICS, NAMES, Kind, PrometheusMeter
from gateway.domain.access import WindowState
from gateway.domain.reason import STATUS, TRAIL_CAUSES, Cause, Reason
from gateway.domain.subject import Role
from gateway.domain.time import from_milliseconds
from gateway.ports import BreakGlassStep, Labels, LoadFault, NoticeOutcome

NOON = from_milliseconds(1_795_000_000_000)
STYLIST = Role("role:stylist")


class StillClock:
    def __init__(self, now=NOON):
        self.at = now

    def now(self):
        return self.at

    def monotonic(self):
        return 0.0


def a_meter():
    return PrometheusMeter(StillClock())


def an_answer(reason=Reason.RULE_ALLOWS, *, status=None, **changes):
    given = {
        "role": STYLIST,
        "resource": "client",
        "action": "read",
        "reason": reason,
        "window": WindowState.OPEN,
        "status": status or STATUS.get(reason, 200),
    }
    return Labels(**(given | changes))


def samples(meter):
    found = {}
    for family in text_string_to_metric_families(meter.render().decode()):
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in found, "the same series twice"
            found[key] = sample.value
    return found


def value(meter, name, **labels):
    return samples(meter).get((f"salon_gateway_{name}", *sorted(labels.items())))


def fill(meter):
    """Make at least one series of every metric."""
    meter.answered(an_answer(), 0.004)
    meter.answered(an_answer(Reason.OUTSIDE_HOURS, window=WindowState.CLOSED), 0.001)
    meter.answered(
        an_answer(Reason.UNAUTHENTICATED, role=None, resource=None, action=None, window=None), 0
    )
    for cause in Cause:
        meter.unauthenticated(cause)
    meter.decided(2e-6)
    meter.forwarded(0.03)
    meter.exempt_access(Role("role:manager"), "client")
    meter.after_hours_attempt(STYLIST, "client")
    meter.dropped("client", "contact", 3)
    meter.records_refused("client", 2)
    meter.records_unmatched("client", 3)
    meter.would_deny(STYLIST, "client", "export", Reason.RULE_DENIES)
    meter.would_hide("client", "contact", 2)
    meter.would_refuse_records("client", 1)
    meter.would_unknown("client")
    meter.observing([("rule", NOON + timedelta(days=1))])
    meter.policy_loaded("sha256:abc", NOON)
    meter.policy_load_failed(LoadFault.CASES, NOON)
    meter.stream_cut()
    meter.calendars_missing(2)
    meter.incident(active=True)
    meter.break_glass(BreakGlassStep.USED, "client")
    meter.notice("webhook", NoticeOutcome.FAILED)
    meter.issuer_keys("https://a.example", NOON, ok=True)
    for part in ("policy", "state", "audit", "upstream"):
        meter.up(part, ok=True)
    meter.worker_up(0, ok=True)
    meter.worker_restarted(0)


@pytest.mark.parametrize(
    ("reason", "status", "outcome"),
    [
        (Reason.RULE_ALLOWS, 200, "allowed"),
        (Reason.RULE_ALLOWS, 404, "allowed"),  # the CRM's own word
        (Reason.PASSED, 304, "allowed"),
        (Reason.WOULD_DENY, 200, "allowed"),
        (Reason.RULE_ALLOWS, 500, "failed"),
        (Reason.RULE_DENIES, 403, "refused"),
        (Reason.UNAUTHENTICATED, 401, "refused"),
        (Reason.STATE_UNAVAILABLE, 503, "failed"),
        (Reason.APPLIED_NOT_SHOWN, 502, "failed"),
    ],
)
def test_an_answer_counts_once_under_its_outcome(reason, status, outcome):
    meter = a_meter()
    meter.answered(an_answer(reason, status=status), 0.1)
    meter.answered(an_answer(reason, status=status), 0.1)
    labels = {"role": STYLIST, "resource": "client", "action": "read", "reason": reason.value}
    assert value(meter, "requests_total", **labels, window="open", outcome=outcome) == 2
    assert value(meter, "denied_total", **labels) == (2 if outcome == "refused" else None)
    assert value(meter, "request_duration_seconds_count") == 2
    assert value(meter, "request_duration_seconds_sum") == pytest.approx(0.2)


def test_what_is_not_known_has_a_dash_for_a_label():
    meter = a_meter()
    meter.answered(
        an_answer(Reason.UNMAPPED, role=None, resource=None, action=None, window=None), 0
    )
    labels = {"role": "-", "resource": "-", "action": "-", "reason": "unmapped"}
    assert value(meter, "requests_total", **labels, window="-", outcome="refused") == 1


def test_the_small_counters_count():
    meter = a_meter()
    fill(meter)
    assert value(meter, "exempt_access_total", role="role:manager", resource="client") == 1
    assert value(meter, "afterhours_attempts_total", role=STYLIST, resource="client") == 1
    assert value(meter, "fields_dropped_total", resource="client", field_class="contact") == 3
    assert value(meter, "unauthenticated_total", cause="expired") == 1
    assert value(meter, "policy_load_failures_total", reason="cases") == 1
    assert value(meter, "streams_cut_total") == 1
    assert value(meter, "calendars_missing") == 2
    assert value(meter, "incident") == 1
    meter.incident(active=False)
    assert value(meter, "incident") == 0
    assert value(meter, "issuer_keys_up", issuer="https://a.example") == 1
    assert value(meter, "issuer_keys_failures_total", issuer="https://a.example") == 0
    assert value(meter, "records_refused_total", resource="client") == 2
    assert value(meter, "records_unmatched_total", resource="client") == 3
    meter.dropped("client", "contact", 0)
    meter.dropped("client", "contact", -5)
    assert value(meter, "fields_dropped_total", resource="client", field_class="contact") == 3


def test_every_cause_and_failure_counter_starts_at_zero_so_that_rates_can_rise():
    meter = a_meter()
    for why in LoadFault:
        assert value(meter, "policy_load_failures_total", reason=why.value) == 0
    assert value(meter, "streams_cut_total") == 0
    assert value(meter, "series_dropped_total") == 0
    causes = set(Cause) - TRAIL_CAUSES
    assert all(value(meter, "unauthenticated_total", cause=c.value) == 0 for c in causes)
    assert value(meter, "unauthenticated_total", cause=Cause.RECORD_REFUSED) is None


def test_a_duration_on_a_bound_lies_below_it_and_the_longest_in_infinity():
    meter = a_meter()
    for seconds in (0.001, 0.0011, 60, 61):
        meter.forwarded(seconds)
    assert value(meter, "upstream_duration_seconds_bucket", le="0.001") == 1
    assert value(meter, "upstream_duration_seconds_bucket", le="0.0025") == 2
    assert value(meter, "upstream_duration_seconds_bucket", le="60") == 3
    assert value(meter, "upstream_duration_seconds_bucket", le="+Inf") == 4
    assert value(meter, "upstream_duration_seconds_count") == 4


def test_a_new_policy_replaces_the_old_ones_series():
    meter = a_meter()
    meter.policy_loaded("first", NOON)
    meter.policy_loaded("second", NOON + timedelta(seconds=90))
    assert value(meter, "policy_info", digest="first") is None
    assert value(meter, "policy_info", digest="second") == 1
    assert value(meter, "policy_loaded_timestamp_seconds") == 1_795_000_090


def test_what_is_stale_says_since_when_and_why_until_it_is_not():
    meter = a_meter()
    meter.policy_loaded("first", NOON)
    assert value(meter, "policy_stale") == 0
    for why in (LoadFault.UNREADABLE, LoadFault.FINDINGS):  # the reason changes, not the time
        meter.policy_load_failed(why, NOON)
        assert value(meter, "policy_stale") == 1
        name = "policy_stale_since_timestamp_seconds"
        found = {key[1:]: at for key, at in samples(meter).items() if key[0].endswith(name)}
        assert found == {(("reason", why.value),): 1_795_000_000}
    meter.policy_loaded("second", NOON + timedelta(seconds=90))
    assert value(meter, "policy_stale") == 0
    assert not any("stale_since" in key[0] for key in samples(meter))


def test_the_age_of_the_policy_grows_by_itself():
    clock = StillClock()
    meter = PrometheusMeter(clock)
    assert value(meter, "policy_age_seconds") is None
    meter.policy_loaded("x", NOON)
    clock.at = NOON + timedelta(minutes=7)
    assert value(meter, "policy_age_seconds") == 420


def test_what_is_observed_ends_by_itself_kind_by_kind():
    clock = StillClock()
    meter = PrometheusMeter(clock)
    assert value(meter, "observing", kind="rule") == 0
    hour = timedelta(hours=1)
    meter.observing([("rule", NOON + 2 * hour), ("rule", NOON + hour), ("hours", NOON + hour)])
    assert value(meter, "observing", kind="rule") == 1
    assert value(meter, "observing", kind="everything") == 0
    until = value(meter, "observing_until_timestamp_seconds", kind="rule")
    assert until == (NOON + 2 * hour).timestamp()
    clock.at = NOON + hour
    assert value(meter, "observing", kind="hours") == 0
    assert value(meter, "observing_until_timestamp_seconds", kind="hours") is None
    assert value(meter, "observing", kind="rule") == 1
    meter.observing([])  # another policy
    assert value(meter, "observing", kind="rule") == 0


def test_what_observed_rules_would_have_done_is_counted():
    meter = a_meter()
    fill(meter)
    labels = {"role": STYLIST, "resource": "client", "action": "export"}
    assert value(meter, "would_deny_total", **labels, reason="rule_denies") == 1
    assert value(meter, "would_hide_total", resource="client", field_class="contact") == 2
    assert value(meter, "would_refuse_records_total", resource="client") == 1
    assert value(meter, "would_unknown_total", resource="client") == 1


def test_readiness_is_not_reported_before_it_was_asked_for():
    meter = a_meter()
    assert value(meter, "state_up") is None
    meter.up("state", ok=True)
    assert value(meter, "state_up") == 1
    meter.up("state", ok=False)
    assert value(meter, "state_up") == 0
    meter.up("no such part", ok=True)
    assert value(meter, "series_dropped_total") == 1


def test_series_are_bounded_and_what_is_too_many_is_counted(monkeypatch):
    meter = a_meter()
    monkeypatch.setattr(meter_module, "MAX_SERIES", meter._begun + 2)
    for number in range(10):
        meter.dropped(f"resource-{number}", "contact", 1)
    meter.dropped("resource-0", "contact", 1)  # a series that is there goes on
    found = [key for key in samples(meter) if key[0] == "salon_gateway_fields_dropped_total"]
    assert len(found) == 2
    assert value(meter, "fields_dropped_total", resource="resource-0", field_class="contact") == 2
    assert value(meter, "series_dropped_total") == 8


def test_every_metric_of_ours_stands_in_the_table_with_its_type_and_labels():
    meter = a_meter()
    fill(meter)
    families = {
        family.name: family
        for family in text_string_to_metric_families(meter.render().decode())
        if family.name.startswith("salon_gateway_")
    }
    for metric in METRICS:
        family = families.pop(metric.name.removesuffix("_total"))
        assert family.type == metric.kind.value
        assert family.samples, f"{metric.name} has no series here"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    assert not families


def test_names_are_unique_prefixed_and_counters_end_in_total():
    assert len(set(NAMES)) == len(NAMES)
    for metric in METRICS:
        assert metric.name.startswith("salon_gateway_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_two_meters_in_one_process_do_not_mix():
    first, second = a_meter(), a_meter()
    first.calendars_missing(1)
    assert value(second, "calendars_missing") is None


def test_the_process_and_the_platform_are_measured_too():
    names = {key[0] for key in samples(a_meter())}
    assert {"process_resident_memory_bytes", "python_info"} <= names


def test_a_label_with_quotes_and_newlines_stays_one_label():
    meter = a_meter()
    meter.dropped('a"b\\c\nd', "予約", 1)
    assert value(meter, "fields_dropped_total", resource='a"b\\c\nd', field_class="予約") == 1


def test_promtool_has_nothing_to_say_about_our_names():
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed; run `apt-get install prometheus`"
    meter = a_meter()
    fill(meter)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=meter.render(), capture_output=True, check=False
    )
    assert (done.stdout + done.stderr) == b""


def test_the_age_of_an_issuers_keys_is_told_while_they_count():
    issuer = "https://a.example"
    clock = StillClock()
    meter = PrometheusMeter(clock)
    assert value(meter, "issuer_keys_age_seconds", issuer=issuer) is None
    meter.issuer_keys(issuer, NOON, ok=True)
    clock.at = NOON + timedelta(minutes=5)
    assert value(meter, "issuer_keys_age_seconds", issuer=issuer) == 300
    meter.issuer_keys(issuer, NOON, ok=False)
    assert value(meter, "issuer_keys_up", issuer=issuer) == 1
    meter.issuer_keys(issuer, None, ok=False)
    assert value(meter, "issuer_keys_up", issuer=issuer) == 0
    assert value(meter, "issuer_keys_failures_total", issuer=issuer) == 2
    assert value(meter, "issuer_keys_age_seconds", issuer=issuer) is None
