"""`serve --workers N` as real processes: one port, one admin port, N workers behind both."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.demo.world import process
from tests.e2e.gateway_process import (
    SECONDS,
    Salon,
    fetch,
    is_listening,
    run_cli,
    send,
    started,
    write_folder,
)
from tests.e2e.raw_crm import RawCrm, Say, json_answer, raw_crm
from tests.oracles.redis_process import RedisProcess

CARD = b'{"id": 7, "name": "Aoi", "phone": "+1-207-555-0107", "visits": 3}'
SHOWN = {"id": 7, "name": "Aoi", "visits": 3}  # to mei, a stylist on her phone
TARGET = "/api/clients/7"
COUNT = 4


def until(claim, ask):
    """Ask until the answer is truthy, and return it."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain until {claim}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def behind() -> Iterator[RawCrm]:
    with raw_crm() as crm:
        crm.answers = {TARGET: json_answer(CARD)}
        yield crm


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, behind) -> Iterator[Salon]:
    folder = tmp_path_factory.mktemp("salon")
    write_folder(folder, behind.url, workers=COUNT)
    with started(folder) as running:
        yield running


def workers(gateway: Salon):
    return gateway.status()["workers"]


def pids(gateway: Salon) -> dict[int, int]:
    return {told["worker"]: told["pid"] for told in workers(gateway)}


def all_listen(gateway: Salon) -> bool:
    return all(told["state"] == "listening" for told in workers(gateway))


def entries(folder: Path) -> dict[str, int]:
    """How many lines each worker has entered, by the name of its chain."""
    found: dict[str, int] = {}
    for file in (folder / "audit").glob("*.jsonl"):
        chain = file.name.split("-")[1]
        found[chain] = found.get(chain, 0) + file.read_bytes().count(b'"kind":"entry"')
    return found


def one_connection_each(
    gateway: Salon, stack: contextlib.ExitStack, bearer
) -> dict[str, http.client.HTTPConnection]:
    """A kept-alive connection to every worker: whose chain grows is who answered."""
    found: dict[str, http.client.HTTPConnection] = {}
    for _ in range(300):
        connection = stack.enter_context(closing(gateway.connect()))
        before = entries(gateway.folder)
        assert send(connection, "GET", TARGET, bearer).data == SHOWN
        after = entries(gateway.folder)
        (chain,) = (name for name in after if after[name] != before.get(name, 0))
        found.setdefault(chain, connection)
        if len(found) == COUNT:
            return found
    raise AssertionError(f"only these workers were reached: {sorted(found)}")


def verified(folder: Path) -> list[dict[str, object]]:
    done = run_cli(folder, "--output", "json", "audit", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- one gateway to whoever looks at it ---------------------------------------------------


def test_it_says_once_that_all_listen_and_how_many(gateway):
    assert gateway.process.said["workers"] == COUNT
    assert gateway.process.said["policy"] == gateway.status()["policy"]
    assert gateway.process.said.keys() == {
        "event",
        "guarded",
        "admin",
        "upstream",
        "policy",
        "workers",
    }


def test_connections_are_spread_over_processes_each_with_its_own_chain(gateway):
    with contextlib.ExitStack() as stack:
        reached = one_connection_each(gateway, stack, gateway.bearer("mei", "phone"))
    assert set(reached) == {"0", "1", "2", "3"}
    assert len(set(pids(gateway).values()) | {gateway.pid}) == COUNT + 1
    assert {verdict["worker"] for verdict in verified(gateway.folder)} == set(reached)


def test_one_scrape_counts_what_all_of_them_answered(gateway):
    def counted():
        return sum(
            gateway.metric(f"salon_gateway_{name}")
            for name in ("requests_total", "request_duration_seconds_count")
        )

    before = counted()
    for _ in range(20):
        assert gateway.ask("GET", TARGET, "mei", app="phone").data == SHOWN
    assert counted() == before + 40
    assert gateway.metric("salon_gateway_policy_info") == 1
    assert gateway.metric("salon_gateway_worker_up") == COUNT


def test_readiness_lists_the_parts_of_every_worker(gateway):
    reply = fetch(gateway.admin, "/readyz")
    assert reply.status == 200
    assert {(part["worker"], part["part"]) for part in reply.data} == {
        (worker, part)
        for worker in range(COUNT)
        for part in ("worker", "policy", "state", "audit", "upstream")
    }
    assert all(part["ok"] for part in reply.data)
    assert fetch(gateway.admin, "/healthz").text == "ok\n"


def test_a_reload_reaches_all_and_is_refused_if_they_refuse(gateway):
    digest = gateway.status()["policy"]
    rules = gateway.folder / "policies" / "salon_rules.csv"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(f"{text}p, role:stylst, client, read, , allow\n", encoding="utf-8")
    bad = gateway.reload()
    assert (bad.status, bad.data["policy"]) == (409, digest)
    assert [told["ok"] for told in bad.data["workers"]] == [False] * COUNT
    assert "did you mean" in bad.data["workers"][3]["load_failure"]["findings"][0]
    assert fetch(gateway.admin, "/readyz").status == 200  # the policy before stays in force
    assert gateway.metric("salon_gateway_policy_stale") == 1
    rules.write_text(f"{text}# mended\n", encoding="utf-8")
    good = gateway.reload()
    assert good.status == 200
    assert {told["policy"] for told in good.data["workers"]} == {good.data["policy"]}
    assert good.data["policy"] != digest
    assert gateway.metric("salon_gateway_policy_stale") == 0


def test_sighup_goes_to_all(gateway):
    def loaded():
        return {event["worker"] for event in gateway.events("policy_loaded")[before:]}

    before = len(gateway.events("policy_loaded"))
    os.kill(gateway.pid, signal.SIGHUP)
    until("all have read it again", lambda: loaded() == set(range(COUNT)))


def test_a_second_gateway_on_the_same_port_does_not_slip_in(gateway, tmp_path):
    port = urlsplit(gateway.url).port
    write_folder(tmp_path / "other", listen={"port": port}, workers=2)
    done = run_cli(tmp_path / "other", "serve")
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
    assert done.stdout == ""


# -- one that dies ------------------------------------------------------------------------


class Load(threading.Thread):
    """Asks again and again on kept-alive connections; what is broken off is asked anew."""

    def __init__(self, gateway: Salon):
        super().__init__(daemon=True)
        self.gateway, self.bearer = gateway, gateway.bearer("mei", "phone")
        self.over = threading.Event()
        self.right = self.broken = 0
        self.wrong: list[tuple[int, bytes]] = []

    def run(self):
        connection = self.gateway.connect()
        while not self.over.is_set():
            try:
                reply = send(connection, "GET", TARGET, self.bearer)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                connection = self.gateway.connect()
                continue
            if reply.status == 200 and reply.data == SHOWN:
                self.right += 1
            else:
                self.wrong.append((reply.status, reply.body))
        connection.close()


def test_a_worker_killed_under_load_comes_back_and_nobody_gets_a_wrong_answer(gateway):
    loads = [Load(gateway) for _ in range(8)]
    killed = pids(gateway)[2]
    before = gateway.metric("salon_gateway_requests_total")
    for load in loads:
        load.start()
    until("all are answered", lambda: all(load.right > 5 for load in loads))
    seen = gateway.metric("salon_gateway_requests_total")
    os.kill(killed, signal.SIGKILL)
    ended = until("it is noticed", lambda: gateway.events("worker_ended"))[-1]
    assert (ended["worker"], ended["pid"], ended["how"]) == (2, killed, "SIGKILL")
    # The others go on, also while it is away, and what it had counted is not gone.
    assert gateway.metric("salon_gateway_requests_total") >= seen > before
    until("it is back", lambda: all_listen(gateway) and pids(gateway)[2] != killed)
    goals = [load.right + 5 for load in loads]
    until("all go on", lambda: all(a.right > b for a, b in zip(loads, goals, strict=True)))
    for load in loads:
        load.over.set()
    for load in loads:
        load.join(SECONDS)
    assert [load.wrong for load in loads] == [[]] * len(loads)
    assert sum(load.broken for load in loads) <= 2 * len(loads)
    assert gateway.metric("salon_gateway_worker_restarts_total", worker="2") == 1
    assert gateway.metric("salon_gateway_worker_restarts_total") == 1
    assert len(verified(gateway.folder)) == COUNT


def test_while_one_is_away_it_is_told_and_the_others_keep_it_ready(gateway):
    rules = gateway.folder / "policies" / "salon_rules.csv"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(f"{text}p, role:stylst, client, read, , allow\n", encoding="utf-8")
    assert gateway.reload().status == 409
    try:
        os.kill(pids(gateway)[1], signal.SIGKILL)

        # It cannot start: the others keep the policy before, it has none.
        def failed():
            return [e for e in gateway.events("worker_ended") if e["how"] == "exit code 3"]

        until("it was tried twice", lambda: len(failed()) >= 2)
        assert failed()[1]["again_in_ms"] > 0
        said = [e for e in gateway.events("policy_load_failed") if e["worker"] == 1][-1]
        assert "did you mean" in said["findings"][0]
        reply = fetch(gateway.admin, "/readyz")
        (itself,) = (p for p in reply.data if (p["worker"], p["part"]) == (1, "worker"))
        assert (reply.status, itself["ok"]) == (200, False)
        assert gateway.metric("salon_gateway_worker_up", worker="1") == 0
        assert gateway.metric("salon_gateway_worker_up") == COUNT - 1
        for _ in range(20):
            assert gateway.ask("GET", TARGET, "mei", app="phone").data == SHOWN
    finally:
        rules.write_text(text, encoding="utf-8")
    until("it is back", lambda: all_listen(gateway))
    assert gateway.metric("salon_gateway_worker_up") == COUNT


def test_a_worker_that_hangs_is_told_and_makes_the_gateway_unready(gateway):
    frozen = pids(gateway)[3]
    before = gateway.metric("salon_gateway_requests_total")
    os.kill(frozen, signal.SIGSTOP)
    try:
        reply = fetch(gateway.admin, "/readyz")
        (itself,) = (p for p in reply.data if (p["worker"], p["part"]) == (3, "worker"))
        assert (reply.status, itself["ok"]) == (503, False)
        assert gateway.metric("salon_gateway_worker_up", worker="3") == 0
        assert gateway.metric("salon_gateway_requests_total") >= before
    finally:
        os.kill(frozen, signal.SIGCONT)
    until("it is well again", lambda: fetch(gateway.admin, "/readyz").status == 200)


# -- logged out ---------------------------------------------------------------------------


def logged_out_everywhere(gateway: Salon) -> None:
    """`session revoke` says that it is done: then every worker refuses, on open connections."""
    bearer = {"Authorization": f"Bearer {gateway.token('mei', app='phone')}"}
    with contextlib.ExitStack() as stack:
        reached = one_connection_each(gateway, stack, bearer)
        for connection in reached.values():  # and each has the session at hand
            assert send(connection, "GET", TARGET, bearer).data == SHOWN
        done = gateway.cli("session", "revoke", "mei")
        assert done.returncode == 0, done.stderr
        verdicts = {
            worker: send(connection, "GET", TARGET, bearer).verdict
            for worker, connection in reached.items()
        }
    assert verdicts == dict.fromkeys(map(str, range(COUNT)), (401, "unauthenticated"))
    gateway.forget_tokens()


def test_a_logout_is_in_force_in_every_worker_on_open_connections_with_sqlite(gateway):
    for _ in range(3):
        logged_out_everywhere(gateway)


def test_a_logout_is_in_force_in_every_worker_on_open_connections_with_redis(tmp_path, behind):
    with RedisProcess(tmp_path) as server:
        folder = tmp_path / "salon"
        write_folder(folder, behind.url, workers=COUNT, state={"url": server.url()})
        with started(folder) as gateway:
            for _ in range(2):
                logged_out_everywhere(gateway)


# -- the end ------------------------------------------------------------------------------


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only what is left of it?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] not in {"Z", "X"}


def test_sigterm_lets_a_request_that_is_under_way_finish_and_leaves_nothing(tmp_path):
    go_on = threading.Event()
    folder = tmp_path / "salon"
    answers: list[bytes] = []
    with raw_crm() as crm:
        good = json_answer(CARD)
        crm.answers = {TARGET: Say(data=good.data, after=go_on)}
        write_folder(folder, crm.url, workers=2)
        with started(folder) as gateway:
            its = pids(gateway)
            bearer = gateway.bearer("mei", "phone")
            asking = threading.Thread(
                target=lambda: answers.append(gateway.ask("GET", TARGET, headers=bearer).body)
            )
            asking.start()
            until("it is under way", lambda: crm.requests)
            os.kill(gateway.pid, signal.SIGTERM)
            until("nobody listens", lambda: not is_listening(gateway.port))
            assert is_alive(gateway.pid)
            go_on.set()
            asking.join(SECONDS)
            assert gateway.process.child.wait(SECONDS) == 0
    assert [json.loads(body) for body in answers] == [SHOWN]
    assert not any(map(is_alive, its.values()))
    assert len(verified(folder)) == 2
    assert "worker_ended" not in (folder / "gateway.log").read_text(encoding="utf-8")


def test_workers_end_when_their_supervisor_is_killed(tmp_path, behind, monkeypatch):
    runtime = tmp_path / "t"
    runtime.mkdir()
    monkeypatch.setenv("TMPDIR", str(runtime))
    folder = tmp_path / "salon"
    write_folder(folder, behind.url, workers=2)
    arguments = ["-m", "gateway", "--config", str(folder / "gateway.yaml"), "serve"]
    with process(arguments, folder / "gateway.log") as child:
        gateway = Salon(folder=folder, process=child)
        its = pids(gateway)
        (private,) = runtime.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        os.kill(gateway.pid, signal.SIGKILL)
        until("they are gone", lambda: not any(map(is_alive, its.values())))
    assert {event["worker"] for event in gateway.events("worker_orphaned")} == {0, 1}
    assert list(runtime.iterdir()) == []
    assert len(verified(folder)) == 2
    with started(folder):  # and nothing of theirs is in the way of the next
        pass


def test_a_frozen_worker_does_not_outlive_a_stop(tmp_path, behind):
    folder = tmp_path / "salon"
    write_folder(folder, behind.url, workers=2)
    arguments = ["-m", "gateway", "--config", str(folder / "gateway.yaml"), "serve"]
    with process(arguments, folder / "gateway.log") as child:
        gateway = Salon(folder=folder, process=child)
        its = pids(gateway)
        os.kill(its[1], signal.SIGSTOP)
        os.kill(gateway.pid, signal.SIGINT)
        assert gateway.process.child.wait(SECONDS) == 0
    assert not any(map(is_alive, its.values()))
    assert [event["worker"] for event in gateway.events("worker_killed")] == [1]


# -- one that cannot start ----------------------------------------------------------------


def test_a_policy_that_does_not_load_ends_the_whole_with_one_message(tmp_path):
    folder = tmp_path / "salon"
    write_folder(folder)
    rules = folder / "policies" / "salon_rules.csv"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(f"{text}p, role:stylst, client, read, , allow\n", encoding="utf-8")
    alone = run_cli(folder, "serve")
    together = run_cli(folder, "serve", "--workers", "4")
    assert (together.returncode, together.stdout) == (3, "")
    assert alone.returncode == 3
    assert together.stderr == alone.stderr


def test_a_trail_that_another_gateway_writes_ends_the_whole(gateway):
    done = run_cli(gateway.folder, "serve", "--workers", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "another process writes the audit trail" in done.stderr


@pytest.mark.parametrize("wrong", ["0", "65", "-1", "two", "٢"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(gateway, wrong):
    done = run_cli(gateway.folder, "serve", "--workers", wrong)
    assert done.returncode == 2
    assert "1 to 64" in done.stderr


def test_a_worker_without_a_supervisor_does_nothing():
    ours, theirs = socket.socketpair()
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
        )
    ours.close()
    assert child.wait(SECONDS) == 1
