"""The dashboard and the alerts, asked of a real Prometheus that scrapes a real gateway.

Everything runs as a process of its own on loopback, on ports nobody chose, in a folder that
is thrown away: the sample CRM, the gateway, Prometheus. The traffic is scripted so that every
panel has something to show.
"""

import asyncio
import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app import load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.init import write_starter
from gateway.cli.token import Wish, issue_token
from gateway.demo.tour import Scene, fetch
from gateway.demo.world import crm, gateway, write_config, write_hours
from gateway.domain.subject import DeviceId, staff_id

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "dashboards"
DEADLINE_SECONDS = 60  # only says that waiting ends; every wait polls
POLL_SECONDS = 0.1
MISSING = "`{}` is not installed; run `sh tests/install-system-packages.sh`"

# What Grafana fills in. An hour reaches back before the gateway began, as a day would.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$role": ".*", "$resource": ".*"}
# Panels that have nothing to show after this traffic, each with the reason. None has.
LEGITIMATELY_EMPTY: dict[str, str] = {}
# Panels that show a number, and the number is 0 because nothing is wrong.
RIGHTLY_ZERO = {
    "Salons without hours",
    "Counts that were left out",
    "Answers cut off by a new policy",
    "Workers started again",
    "Lockdown",
    "Cards outside the hours, by step",
    "Managers told of it",
}

# The only hours.yaml of the demo that matters here: Yoyogi is closed now. A manager there is let
# in all the same, and counted.
MANAGER_OF_YOYOGI = """
  - id: nao
    name: Nao Hayashi
    salons: {yoyogi: [role:manager]}
    joined: 2020-04-01
"""
# One that counts, and three that are only observed: their rules are tried out on one person.
MESSAGES_OF_OTHERS = "p, staff:nao, message, list, !own_client, deny"
OBSERVED = (
    "p, staff:nao, booking, list, , deny",
    "p, staff:nao, client.health, read, , deny",
    "p, staff:nao, client, list, !own_client, deny",
)
PEOPLE = (
    Wish(staff=staff_id("ken"), app="backoffice", device=DeviceId("desk")),
    Wish(staff=staff_id("mei"), app="phone", device=DeviceId("phone-mei")),
    Wish(staff=staff_id("yuki"), app="phone", device=DeviceId("phone-yuki")),
    Wish(staff=staff_id("nao"), app="backoffice", device=DeviceId("desk-2")),
)


def tool(name):
    found = shutil.which(name)
    if found is None:
        pytest.fail(MISSING.format(name))
    return found


def until(claim, ask):
    """Ask until the answer is truthy, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain until {claim}"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Prometheus:
    url: str

    def get(self, path, **parameters):
        """The `data` of an API answer; an expression that does not parse fails here."""
        reply = fetch(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", {})
        assert reply.status == 200, (parameters, reply.text)
        return reply.data["data"]

    def query(self, expression):
        data = self.get("/api/v1/query", query=expression)
        assert data["resultType"] == "vector"
        return [(found["metric"], float(found["value"][1])) for found in data["result"]]


@contextlib.contextmanager
def prometheus(folder, admin):
    """A Prometheus that scrapes one admin port every second, ended by its own pid."""
    folder.mkdir()
    (folder / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(DASHBOARDS / "alerts.yml")],
                "scrape_configs": [
                    {
                        "job_name": "salon-gateway",
                        "static_configs": [{"targets": [admin.removeprefix("http://")]}],
                    }
                ],
            }
        )
    )
    log = folder / "log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--log.format=json",
            ],
            stdout=errors,
            stderr=errors,
        )

    def listening():
        assert child.poll() is None, log.read_text()
        found = re.search(r'"address":"(127\.0\.0\.1:[1-9]\d*)"', log.read_text())
        return found and f"http://{found[1]}"

    try:
        url = until("Prometheus listens", listening)
        until("Prometheus is ready", lambda: fetch(f"{url}/-/ready", {}).status == 200)
        yield Prometheus(url)
    finally:
        child.terminate()
        try:
            child.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def prepared(folder, crm_port):
    """The starter set with the demo's hours, one more manager, and a CRM 'upgrade'."""
    write_starter(folder)
    write_hours(folder, SystemClock().now())
    with (folder / "policies" / "staff.yaml").open("a", encoding="utf-8") as staff:
        staff.write(MANAGER_OF_YOYOGI)
    rules = folder / "policies" / "salon_rules.csv"
    rows = "\n".join((*OBSERVED, MESSAGES_OF_OTHERS))
    rules.write_text(f"{rows}\n{rules.read_text(encoding='utf-8')}", encoding="utf-8")
    lines = (f'  - {{rule: "{row}", enforce_from: 2199-12-31}}\n' for row in OBSERVED)
    observe = folder / "policies" / "observe.yaml"
    observe.write_text(f"rules:\n{''.join(lines)}", encoding="utf-8")
    adapter = folder / "adapters" / "salon-demo.yaml"
    known = adapter.read_text(encoding="utf-8")
    assert "      created_at: created_at\n" in known
    # As if the CRM had begun to send this member after the adapter was written.
    adapter.write_text(known.replace("      created_at: created_at\n", ""), encoding="utf-8")
    write_config(folder, port=0, admin_port=0, crm_port=crm_port)
    settings = load_settings(str(folder / "gateway.yaml"))
    (folder / "tokens").mkdir()
    for wish in PEOPLE:
        token = asyncio.run(issue_token(settings, folder, wish, SystemClock().now()))
        name = wish.staff.removeprefix("staff:")
        (folder / "tokens" / f"{name}.token").write_text(token, encoding="ascii")


def traffic(scene):
    """Once through everything that is counted; each line says what it must lead to."""
    asked = [
        ("ken", "/api/clients/7", 200),  # the whole card
        ("mei", "/api/clients/7", 200),  # cut, with an undeclared member dropped
        ("mei", "/api/clients/export", 403),  # rule_denies
        ("mei", "/api/clients?email=client7@mail.example", 403),  # hidden_field_asked
        ("mei", "/api/clients?q=555-0107", 200),  # found by what she may not see
        ("yuki", "/api/clients/7", 403),  # outside_hours
        ("nao", "/api/clients", 200),  # exempt; and none of them would be there
        ("nao", "/api/clients/7", 200),  # with notes that would be hidden
        ("nao", "/api/bookings", 200),  # would be rule_denies
        ("nao", "/api/messages", 200),  # none of them his own
        ("ken", "/no/such/address", 404),  # unmapped
        ("mei", "/staff", 200),  # passed
        (None, "/api/clients/7", 401),  # no_credential
    ]
    for who, target, status in asked:
        _, reply = scene.ask(who, target)
        assert reply.status == status, (who, target, reply.text)
    asked_for_the_head_alone(scene, "nao", "/api/clients")  # would be who knows what
    forged = {"Authorization": "Bearer e30.e30.AA"}
    assert fetch(f"{scene.guarded}/api/clients/7", forged).status == 401
    assert fetch(f"{scene.admin}/readyz", {}).status == 200


def asked_for_the_head_alone(scene, who, target):
    token = scene.token_file(who).read_text(encoding="ascii").strip()
    connection = http.client.HTTPConnection(scene.guarded.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("HEAD", target, headers={"Authorization": f"Bearer {token}"})
        assert connection.getresponse().status == 200


def a_policy_that_does_not_load(scene, pid):
    staff = scene.folder / "policies" / "staff.yaml"
    staff.write_bytes(staff.read_bytes() + b"\n: : :\n")
    os.kill(pid, signal.SIGHUP)
    until(
        "the gateway has noticed",
        lambda: "salon_gateway_policy_stale 1.0" in metrics(scene),
    )
    # It stays so: the policy in force is stale from now on.


def metrics(scene):
    return fetch(f"{scene.admin}/metrics", {}).text


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("salon")
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(crm(folder))
        prepared(folder, behind.said["port"])
        front = stack.enter_context(gateway(folder))
        scene = Scene(guarded=front.said["guarded"], admin=front.said["admin"], folder=folder)
        asked = stack.enter_context(prometheus(folder / "prometheus", scene.admin))

        def seen(name, least):
            return any(value >= least for _, value in asked.query(f"salon_gateway_{name}"))

        until("the first scrape", lambda: seen("policy_info", 1))
        # Twice, with a scrape in between: rate() needs a step it can see.
        for times in (1, 2):
            traffic(scene)
            until(
                f"round {times} is scraped",
                lambda times=times: (
                    seen("unauthenticated_total", times) and seen("exempt_access_total", times)
                ),
            )
        a_policy_that_does_not_load(scene, front.child.pid)
        until("the failed load is scraped", lambda: seen("policy_load_failures_total", 1))
        yield scene, asked


def panels():
    dashboard = json.loads((DASHBOARDS / "salon.json").read_text(encoding="utf-8"))
    return [
        (panel["title"], target["legendFormat"], filled_in(target["expr"]))
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"an unknown template variable in {expression}"
    return expression


@pytest.mark.parametrize(("title", "legend", "expression"), panels())
def test_every_panel_shows_something(world, title, legend, expression):
    _, asked = world
    found = asked.query(expression)
    if title in LEGITIMATELY_EMPTY:
        return
    assert found, "the panel is empty"
    assert not any(math.isnan(value) for _, value in found)
    assert (max(value for _, value in found) > 0) is (title not in RIGHTLY_ZERO)
    named = re.findall(r"\{\{(\w+)\}\}", legend)
    for labels, _ in found:
        assert all(labels.get(name) for name in named), f"the legend names a label: {labels}"
    if not named:
        assert len(found) == 1, "without labels in its legend a line must be the only one"


@pytest.mark.parametrize(
    ("title", "least"),
    [
        ("Tried after hours, by role", 2),
        ("Let in after hours, by role", 2),
        ("Members nobody declared, by resource", 2),
        ("Policies that did not load", 1),
    ],
)
def test_rare_things_are_counted_from_the_first_one_on(world, title, least):
    _, asked = world
    (expression,) = (expression for name, _, expression in panels() if name == title)
    assert any(value >= least for _, value in asked.query(expression))


def test_readiness_and_status_name_what_is_only_observed(world):
    scene, _ = world
    (policy,) = (p for p in fetch(f"{scene.admin}/readyz", {}).data if p["part"] == "policy")
    assert policy["ok"]
    assert f"observed only: {len(OBSERVED)}" in policy["detail"]
    for told in (policy["observing"], fetch(f"{scene.admin}/status", {}).data["observing"]):
        assert len(told) == len(OBSERVED)
        assert told[0] == (
            f"`{OBSERVED[0]}` refuses and hides nothing before 2199-12-31 (observe.yaml:2)"
        )


@pytest.mark.parametrize("name", ["role", "resource"])
def test_the_choices_of_a_template_variable_are_what_was_counted(world, name):
    _, asked = world
    dashboard = json.loads((DASHBOARDS / "salon.json").read_text(encoding="utf-8"))
    (variable,) = (v for v in dashboard["templating"]["list"] if v["name"] == name)
    metric = re.fullmatch(rf"label_values\((\w+), {name}\)", variable["query"]["query"])[1]
    values = asked.get(f"/api/v1/label/{name}/values", **{"match[]": metric})
    wanted = {"role": "role:stylist", "resource": "client"}[name]
    assert wanted in values


def test_prometheus_evaluates_every_alert(world):
    _, asked = world

    def evaluated():
        (group,) = asked.get("/api/v1/rules")["groups"]
        rules = group["rules"]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    for rule in until("every rule was evaluated", evaluated):
        assert (rule["health"], rule.get("lastError")) == ("ok", None), rule["name"]
        asked.query(rule["query"])


def test_what_happened_raises_its_alert_and_nothing_else_does(world):
    _, asked = world
    # The upgrade, the manager after hours, the broken file, and what is only observed; nothing
    # that is down.
    expected = {"ExemptAccess", "FieldsUnmappedDropped", "Observing", "PolicyLoadFailed"}

    def raised():
        alerts = asked.get("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts}

    until("the four alerts fire", lambda: raised() >= expected)
    assert raised() == expected


def test_promtool_accepts_the_rules_and_their_tests():
    for kind, file in (("check", "alerts.yml"), ("test", "alerts_test.yml")):
        done = subprocess.run(
            [tool("promtool"), kind, "rules", DASHBOARDS / file],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_has_nothing_against_what_a_running_gateway_exports(world):
    scene, _ = world
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=metrics(scene),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout + done.stderr).splitlines() == []
