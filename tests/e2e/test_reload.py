"""The policy changes while people work: nobody waits, nobody is dropped, nothing is mixed.

A gateway process, a CRM, and files that change as owners, editors and ConfigMaps change them.
"""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.app import load_bundle
from tests.e2e.gateway_process import (
    SECONDS,
    Reply,
    Salon,
    connect,
    fetch,
    salon,
    send,
    started,
    write_folder,
)
from tests.e2e.raw_crm import RawCrm, Say, raw_crm

CLIENTS = 8
SWAPS = 24
PHONE = "070-0000-0000"


class _Cards(BaseHTTPRequestHandler):
    """A CRM that has a card under every number, and keeps its connections."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        card = {"id": int(self.path.rpartition("/")[2]), "name": "Aoi", "phone": PHONE}
        body = json.dumps(card | {"notes": "-", "visits": 3}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@contextmanager
def cards() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cards)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()


def until(claim, ask):
    deadline = time.monotonic() + SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited in vain until {claim}"
        time.sleep(0.01)
    return answer


# -- under load ---------------------------------------------------------------------------


class Mount:
    """`policies` as a ConfigMap mounts it: links into a folder that is swapped in one rename.

    Release A: mei sees names and notes, no phone. Release B: names and phone, no notes; its
    rows stand 20 lines further down, and the roster differs too, so that any mixture of
    files has a digest of its own. `broken` does not load.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "policies"
        (self.folder / "assertions.yaml").unlink()  # they would keep release B out
        texts = {f.name: f.read_text(encoding="utf-8") for f in self.folder.glob("*.*")}
        rules = texts["salon_rules.csv"]
        health = "p, role:stylist,   client.health,         read, "
        assert health in rules, "salon_rules.csv has changed: write down its line"
        b_rules = "# b\n" * 20 + rules.replace(health, health.replace("health,", "contact,"))
        releases = {
            "a": texts,
            "b": texts | {"salon_rules.csv": b_rules, "staff.yaml": texts["staff.yaml"] + "# b\n"},
            "broken": texts | {"salon_rules.csv": rules + "p, role:stylst, client, read, ,\n"},
        }
        for name, files in releases.items():
            (self.folder / f"..{name}").mkdir()
            for file, text in files.items():
                (self.folder / f"..{name}" / file).write_text(text, encoding="utf-8")
        self.swap("a")
        for file in texts:
            (self.folder / file).unlink()
            (self.folder / file).symlink_to(f"..data/{file}")

    def digest(self, name: str) -> str:
        """Swap it in and build it, as a gateway would."""
        self.swap(name)
        return load_bundle(str(self.folder.parent / "gateway.yaml")).digest

    def swap(self, name: str) -> None:
        (self.folder / "..data_tmp").symlink_to(f"..{name}")
        (self.folder / "..data_tmp").rename(self.folder / "..data")


@dataclass
class Load:
    """Keep-alive clients that ask for one card after the other, each number once."""

    gateway: Salon
    replies: dict[str, Reply] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        headers = self.gateway.bearer("mei")
        threads = [
            threading.Thread(target=self._ask, args=(number, headers)) for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join(SECONDS)

    def _ask(self, client: int, headers: dict[str, str]) -> None:
        try:
            with closing(self.gateway.connect()) as connection:
                connection.connect()
                wire = connection.sock
                number = client
                while not self._done.is_set():
                    number += CLIENTS
                    reply = send(connection, "GET", f"/api/clients/{number}", headers)
                    self.replies[str(number)] = reply
                    # People look at a card before they ask for the next: a machine that is
                    # busy to the last with asking would show its own limits, not ours.
                    self._done.wait(0.02)
                    if connection.sock is not wire:
                        self.failures.append(f"client {client}: the connection was closed")
                        return
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"client {client}: {error!r}")


def in_force(gateway: Salon, *, stale: bool) -> str | None:
    """The digest in force, once the files on disk have been judged so."""
    status = gateway.status()
    return status["policy"] if (status["load_failure"] is not None) is stale else None


def test_under_load_no_request_is_dropped_and_none_is_judged_by_a_mixture(tmp_path):
    with cards() as behind:
        write_folder(tmp_path, behind)
        mount = Mount(tmp_path)
        digests = {name: mount.digest(name) for name in "ba"}
        with started(tmp_path) as gateway:
            load = Load(gateway)
            with load.running():
                for number in range(SWAPS):
                    name = "ba"[number % 2]
                    if number % 5 == 4:
                        good = gateway.status()["policy"]
                        mount.swap("broken")
                        until("it is found bad", lambda: in_force(gateway, stale=True))
                        assert gateway.status()["policy"] == good
                    mount.swap(name)
                    until(
                        f"{name} is in force",
                        lambda name=name: in_force(gateway, stale=False) == digests[name],
                    )
            trail = gateway.entries()
    entries = {entry["record"]: entry for entry in trail}
    assert load.failures == []
    assert len(load.replies) > 20 * CLIENTS
    assert entries.keys() == load.replies.keys()
    # A machine that stands still for a quarter of a second makes the state store late, and that
    # is refused whatever the policy does: not what is asked here, as long as it is the exception.
    late = {r for r, entry in entries.items() if entry["reason"] == "state_unavailable"}
    assert all(load.replies[record].status == 503 for record in late)
    assert len(late) < len(entries) / 10
    assert {e["reason"] for r, e in entries.items() if r not in late} == {"rule_allows"}
    seen = dict.fromkeys(digests, 0)
    a_fields = {"id", "name", "notes", "visits"}
    b_fields = {"id", "name", "phone", "visits"}
    rules = {name: set() for name in digests}
    for record, reply in load.replies.items():
        if record in late:
            continue
        assert reply.status == 200
        entry = entries[record]
        (name,) = [name for name, digest in digests.items() if digest == entry["policy"]]
        seen[name] += 1
        assert reply.data.keys() == (a_fields if name == "a" else b_fields)
        assert set(entry["shown"]) == reply.data.keys() - {"id"}
        assert set(entry["hidden"]) == ({"phone"} if name == "a" else {"notes"})
        rules[name].add(json.dumps(entry["rules"]))
    assert min(seen.values()) > CLIENTS, seen
    # The same rows by their places in each release, and no place of one in the other.
    assert len(rules["a"]) == len(rules["b"]) == 1
    assert rules["a"].isdisjoint(rules["b"])


# -- streams ------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 30\r\n\r\n"
FILM = "/assets/film.mp4"


@pytest.fixture(scope="module")
def behind() -> Iterator[RawCrm]:
    with raw_crm() as crm:
        yield crm


@pytest.fixture
def gateway(tmp_path, behind) -> Iterator[Salon]:
    patience = {"answer_timeout_seconds": SECONDS, "total_timeout_seconds": SECONDS}
    with salon(tmp_path, behind.url, upstream=patience) as running:
        yield running


@contextmanager
def film(gateway: Salon, behind: RawCrm, who: str):
    """A film of which the first third has come; the rest comes when the event is set."""
    go_on = threading.Event()
    rest = Say(data=b"second...." + b"third.....", after=go_on)
    behind.answers[FILM] = Say(data=HEAD + b"first.....", more=(rest,))
    with closing(connect(gateway.url)) as connection:
        connection.request("GET", FILM, headers=gateway.bearer(who))
        answer = connection.getresponse()
        assert (answer.status, answer.read(10)) == (200, b"first.....")
        try:
            yield answer, go_on
        finally:
            go_on.set()


def without(staff: Path, who: str) -> str:
    text = staff.read_text(encoding="utf-8")
    assert f"  - id: {who}\n" in text
    return text.replace(f"  - id: {who}\n", f"  - id: not-{who}\n")


def test_an_open_stream_is_cut_off_if_the_new_policy_refuses_it(gateway, behind):
    staff = gateway.folder / "policies" / "staff.yaml"
    with film(gateway, behind, "rei") as (answer, go_on):
        staff.write_text(without(staff, "rei"), encoding="utf-8")
        assert gateway.reload().status == 200
        go_on.set()
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer.read()
    (event,) = until("it is said", lambda: gateway.events("stream_cut_off"))
    assert event["reason"] == "not_on_roster"
    assert gateway.metric("salon_gateway_streams_cut_total") == 1
    assert gateway.ask("GET", FILM, "rei").verdict == (403, "not_on_roster")


def test_an_open_stream_goes_on_if_the_new_policy_allows_it(gateway, behind):
    staff = gateway.folder / "policies" / "staff.yaml"
    with film(gateway, behind, "ken") as (answer, go_on):
        staff.write_text(without(staff, "rei"), encoding="utf-8")
        assert gateway.reload().status == 200
        go_on.set()
        assert answer.read() == b"second....third....."
    assert gateway.metric("salon_gateway_streams_cut_total") == 0


# -- who asks for it ----------------------------------------------------------------------


def break_rules(gateway: Salon) -> str:
    """A wrong row, renamed over; returns the good text."""
    rules = gateway.folder / "policies" / "salon_rules.csv"
    text = rules.read_text(encoding="utf-8")
    beside = rules.with_suffix(".new")
    beside.write_text(f"{text}p, role:stylst, client, read, , allow\n", encoding="utf-8")
    beside.rename(rules)
    return text


def test_a_changed_file_is_noticed_and_a_bad_one_is_told_everywhere(gateway):
    digest = gateway.status()["policy"]
    text = break_rules(gateway)
    until("it is found", lambda: gateway.metric("salon_gateway_policy_stale") == 1)
    ready = fetch(gateway.admin, "/readyz")
    policy = {part["part"]: part for part in ready.data}["policy"]
    assert policy["ok"] is True
    assert policy["detail"] == "stale: the policy before stays in force"
    assert policy["digest"] == digest
    assert policy["stale"]["reason"] == "findings"
    assert "did you mean `role:stylist`?" in policy["stale"]["findings"][0]
    assert gateway.status()["load_failure"] == policy["stale"]
    name = "salon_gateway_policy_stale_since_timestamp_seconds"
    assert 0 <= time.time() - gateway.metric(name, reason="findings") < SECONDS
    failures = "salon_gateway_policy_load_failures_total"
    assert gateway.metric(failures, reason="findings") >= 1
    assert gateway.metric(failures) == gateway.metric(failures, reason="findings")
    (gateway.folder / "policies" / "salon_rules.csv").write_text(text, encoding="utf-8")
    until("it is mended", lambda: gateway.metric("salon_gateway_policy_stale") == 0)
    assert gateway.metric(name) == 0
    mended = {part["part"]: part for part in fetch(gateway.admin, "/readyz").data}["policy"]
    assert (mended["detail"], mended["stale"], mended["digest"]) == ("", None, digest)


def test_the_admin_port_reads_it_again_and_says_what_came_of_it(gateway):
    digest = gateway.status()["policy"]
    good = gateway.reload()
    assert (good.status, good.data["policy"]) == (200, digest)
    text = break_rules(gateway)
    bad = gateway.reload()
    assert (bad.status, bad.data["policy"]) == (409, digest)
    assert "did you mean `role:stylist`?" in bad.data["load_failure"]["findings"][0]
    rules = gateway.folder / "policies" / "salon_rules.csv"
    rules.write_text(f"{text}# mended\n", encoding="utf-8")
    mended = gateway.reload()
    assert mended.status == 200
    assert mended.data["policy"] == gateway.status()["policy"] != digest
    assert fetch(gateway.admin, "/reload").status == 405


def test_no_web_page_can_ask_for_it(gateway):
    loads = len(gateway.events("policy_loaded"))
    with closing(connect(gateway.admin)) as connection:
        reply = send(connection, "POST", "/reload", {"Origin": "http://127.0.0.1:9180"})
    assert reply.status == 403
    assert len(gateway.events("policy_loaded")) == loads


def test_sighup_reads_it_again_although_no_byte_changed(gateway):
    loads = len(gateway.events("policy_loaded"))
    os.kill(gateway.pid, signal.SIGHUP)
    until("it is read", lambda: len(gateway.events("policy_loaded")) > loads)


def test_a_changed_gateway_yaml_waits_for_a_restart_and_the_log_says_so(gateway):
    config = gateway.folder / "gateway.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "\n# later\n", encoding="utf-8")
    (event,) = until("it is said", lambda: gateway.events("settings_changed"))
    assert event["file"] == "gateway.yaml"
