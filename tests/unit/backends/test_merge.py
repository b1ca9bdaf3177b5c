"""Several workers' metrics as one scrape."""

import os
import shutil
import subprocess
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends import merge
from gateway.backends.merge import (
    GAUGES,
    Departed,
    counted,
    merged,
    read_exposition,
    render,
)
from gateway.backends.meter import METRICS, Kind, PrometheusMeter
from gateway.domain.access import WindowState
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import Role
from gateway.domain.time import from_milliseconds
from gateway.ports import Labels, LoadFault
from tests.oracles.slow_merge import LEAST, MOST, samples, slow_merge

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
NOON = from_milliseconds(1_795_000_000_000)
STYLIST = Role("role:stylist")
ODD = ['a"b\\c\nd', "予約", "x y", "a\u2028b\x85c", "# HELP x", "", "a} 7"]


class StillClock:
    def __init__(self, now=NOON):
        self.at = now

    def now(self):
        return self.at

    def monotonic(self):
        return 0.0


def answered(meter, number, seconds):
    labels = Labels(
        role=STYLIST,
        resource=f"r{number}",
        action="read",
        reason=Reason.RULE_DENIES,
        window=WindowState.OPEN,
        status=403,
    )
    meter.answered(labels, seconds)


# What may happen to a meter, by a number and a float.
HAPPENINGS = [
    answered,
    lambda meter, _, x: meter.decided(x),
    lambda meter, _, x: meter.forwarded(x),
    lambda meter, n, _: meter.unauthenticated(list(Cause)[n]),
    lambda meter, n, _: meter.dropped(ODD[n % len(ODD)], ODD[-n % len(ODD)], n + 1),
    lambda meter, n, _: meter.policy_loaded(f"d{n % 2}", NOON + timedelta(seconds=n)),
    lambda meter, n, _: meter.policy_load_failed(LoadFault.CASES, NOON + timedelta(seconds=n)),
    lambda meter, n, _: meter.calendars_missing(n),
    lambda meter, n, _: meter.up(("policy", "state", "audit", "upstream")[n % 4], ok=n > 4),
    lambda meter, n, _: meter.observing([("rule", NOON + timedelta(seconds=n))]),
    lambda meter, n, _: meter.worker_up(n, ok=n > 4),
    lambda meter, n, _: meter.worker_restarted(n),
]
STORIES = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 9), st.floats(0, 100)), max_size=12
)


def told(story):
    meter = PrometheusMeter(StillClock())
    for happening, number, seconds in story:
        happening(meter, number, seconds)
    return meter.render().decode()


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=1e-12), key


@settings(deadline=None, max_examples=60 * FUZZ)
@given(st.lists(STORIES, min_size=1, max_size=5))
def test_together_they_are_what_the_slow_reading_says(stories):
    texts = [told(story) for story in stories]
    whole = render(merged(map(read_exposition, texts))).decode()
    same(samples(whole), slow_merge(texts))


@settings(deadline=None, max_examples=30 * FUZZ)
@given(STORIES)
def test_what_is_read_and_written_is_the_same_text(story):
    text = told(story)
    assert render(read_exposition(text)).decode() == text
    assert render(merged([read_exposition(text)])).decode() == text


@settings(deadline=None, max_examples=30 * FUZZ)
@given(st.lists(STORIES, min_size=2, max_size=4))
def test_a_worker_that_ends_takes_no_count_with_it_and_leaves_no_gauge(stories):
    texts = [told(story) for story in stories]
    departed = Departed()
    for text in texts[1:]:
        departed.add(read_exposition(text))
    left = merged([read_exposition(texts[0]), departed.total])
    whole = merged(map(read_exposition, texts))
    same(samples(render(counted(left)).decode()), samples(render(counted(whole)).decode()))
    gauges = {name: family for name, family in left.items() if family.kind == "gauge"}
    alone = read_exposition(texts[0])
    assert gauges == {name: f for name, f in alone.items() if f.kind == "gauge"}


def test_every_gauge_has_a_rule_and_no_other_metric():
    gauges = {metric.name for metric in METRICS if metric.kind is Kind.GAUGE}
    assert {name for name in GAUGES if name.startswith("salon_gateway_")} == gauges


def test_every_gauge_that_a_process_really_shows_has_a_rule():
    shown = read_exposition(PrometheusMeter().render().decode())
    gauges = {name for name, family in shown.items() if family.kind == "gauge"}
    assert gauges == set(GAUGES)
    assert {family.kind for family in shown.values()} == {"gauge", "counter", "histogram"}


def test_the_slow_reading_knows_the_same_rules():
    written = {name: str(rule) for name, rule in GAUGES.items()}
    assert {name for name, rule in written.items() if rule == "least"} == LEAST
    assert {name for name, rule in written.items() if rule == "most"} == MOST


def test_a_gauge_without_a_rule_is_left_out_and_counted():
    odd = "# HELP odd x\n# TYPE odd gauge\nodd 7.0\n"
    whole = merged([read_exposition(odd), read_exposition(told([]))])
    assert "odd" not in whole
    found = samples(render(whole).decode())
    assert found["salon_gateway_series_dropped_total", frozenset()] == 1


def test_two_policies_in_force_are_two_series():
    first, second = (PrometheusMeter(StillClock()) for _ in range(2))
    first.policy_loaded("one", NOON)
    second.policy_loaded("two", NOON)
    texts = [meter.render().decode() for meter in (first, second)]
    whole = render(merged(map(read_exposition, texts))).decode()
    assert whole.count("salon_gateway_policy_info{") == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x 1.0\n",  # of no metric
        "# HELP x y\nx 1.0\n",
        "# HELP x y\n# TYPE x counter\nx one\n",
        "# HELP x y\n# TYPE x counter\nx\n",
        "# HELP x y\n# TYPE x counter\nx 1.0\nx 2.0\n",
        "# HELP x y\n# TYPE x\nx 1.0\n",
        "# HELP x y\n# TYPE x counter\nx 1.0\n\n",
        "internal_error\n",
    ],
)
def test_what_is_not_an_exposition_of_ours_is_refused(text):
    with pytest.raises(ValueError):
        read_exposition(text)


def test_what_ended_workers_leave_is_bounded_and_what_is_too_much_is_counted(monkeypatch):
    monkeypatch.setattr(merge, "MAX_SERIES", 2)
    head = "# HELP x_total y\n# TYPE x_total counter\n"
    departed = Departed()
    for number in range(4):
        departed.add(read_exposition(f'{head}x_total{{a="{number}"}} 1.0\n'))
    departed.add(read_exposition(f'{head}x_total{{a="0"}} 1.0\n'))
    found = samples(render(departed.total).decode())
    assert found["x_total", frozenset({("a", "0")})] == 2
    assert len([key for key in found if key[0] == "x_total"]) == 2
    assert found["salon_gateway_series_dropped_total", frozenset()] == 2


def test_promtool_has_nothing_to_say_about_the_whole():
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed; run `apt-get install prometheus`"
    story = [(happening, 3, 0.5) for happening in HAPPENINGS]
    whole = render(merged(read_exposition(told(story)) for _ in range(3)))
    done = subprocess.run(
        [promtool, "check", "metrics"], input=whole, capture_output=True, check=False
    )
    assert (done.stdout + done.stderr) == b""
