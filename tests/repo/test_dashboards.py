"""Dashboard and alerts: well formed, in words, and only about what the gateway exports.

That each query works is shown by tests/e2e/test_dashboard.py on a real Prometheus.
"""

import json
import re

import pytest

from gateway.backends.meter import METRICS, Kind, PrometheusMeter
from gateway.domain.reason import Cause, Reason
from gateway.texts.yamltext import parse_yaml
from tests.repo.checkout import text

DASHBOARD = json.loads(text("dashboards/salon.json"))
RULES = [
    rule
    for group in parse_yaml(text("dashboards/alerts.yml"), "alerts.yml").data["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]] + [
    rule["expr"] for rule in RULES
]
ADDED_BY_PROMETHEUS = {"instance", "job"}


def exported():
    """Every name a query may use → its labels."""
    known = {}
    for metric in METRICS:
        labels = set(metric.labels) | ADDED_BY_PROMETHEUS
        if metric.kind is Kind.HISTOGRAM:
            known[f"{metric.name}_bucket"] = labels | {"le"}
            known[f"{metric.name}_sum"] = known[f"{metric.name}_count"] = labels
        else:
            known[metric.name] = labels
    shown = PrometheusMeter().render().decode()
    for name in re.findall(r"^# TYPE (process_\w+)", shown, re.MULTILINE):
        known[name] = ADDED_BY_PROMETHEUS
    return known


def used(query):
    """The metric names in a query, and the label matchers behind each."""
    return re.findall(r"\b((?:salon_gateway|process|python|up)[a-z_]*)(?:\{([^}]*)\})?", query)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_uses_only_what_the_gateway_exports(query):
    known = exported()
    found = used(query)
    assert found
    for name, matchers in found:
        assert name in known, name
        labels = dict(re.findall(r'(\w+)=~?"([^"]*)"', matchers))
        assert set(labels) <= known[name], f"{name}: {matchers}"
        if "reason" in labels:
            assert labels["reason"] in set(Reason)
        if "cause" in labels:
            assert labels["cause"] in set(Cause)


@pytest.mark.parametrize("query", QUERIES)
def test_what_a_query_groups_by_is_a_label_of_its_metric(query):
    known = exported()
    labels = set.union(*(known[name] for name, _ in used(query)))
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= labels


def test_every_metric_is_on_the_dashboard():
    seen = {name for query in QUERIES for name, _ in used(query)}
    # `policy_loaded_timestamp_seconds` says the same as `policy_age_seconds`.
    left_out = {"salon_gateway_policy_loaded_timestamp_seconds"}
    for metric in METRICS:
        names = {metric.name, f"{metric.name}_bucket"}
        assert names & seen or metric.name in left_out, metric.name


def test_the_dashboard_is_tied_to_no_installation():
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["DS_PROMETHEUS", "role", "resource"]
    assert variables["DS_PROMETHEUS"]["type"] == "datasource"
    assert all(variables[name]["datasource"] == source for name in ("role", "resource"))
    for panel in PANELS:
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])
    assert DASHBOARD["id"] is None


def test_every_panel_has_a_title_of_its_own_and_says_what_it_means():
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert "salon_gateway_" not in panel["title"] + panel["description"]


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_alert_says_how_grave_it_is_and_what_to_do():
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["labels"] == {"severity": rule["labels"]["severity"]}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")
        assert not rule["annotations"]["summary"].endswith(".")


def test_every_alert_has_a_case_in_which_it_fires():
    cases = text("dashboards/alerts_test.yml")
    fired = set(re.findall(r'alertname="(\w+)", alertstate="firing"', cases))
    for alert, expected in re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n(\s+- exp)?", cases):
        fired |= {alert} if expected else set()
    assert fired == {rule["alert"] for rule in RULES}
