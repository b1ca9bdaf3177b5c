"""The gateway as a process of its own, on free loopback ports, with a folder of its own.

The folder is the starter set of `salon-gateway init` with the demo's hours: Aoyama never
closes, Yoyogi is shut now and opens in five hours, at whatever time of day the test runs.
"""

import asyncio
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.app import load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.init import write_starter
from gateway.cli.token import Wish, issue_token
from gateway.demo.world import Process, process, write_hours
from gateway.domain.subject import DeviceId, staff_id

SECONDS = 60  # a guard, not a measure: nothing below takes long on an idle machine
AWAY = "http://127.0.0.1:9"  # nobody listens at `discard`


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back. `headers` as they came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def reason(self) -> str | None:
        """The reason of a refusal; None for the CRM's own answer."""
        kind = self.header("content-type") or ""
        return self.data["reason"] if kind.startswith("application/problem+json") else None

    @property
    def verdict(self) -> tuple[int, str | None]:
        return self.status, self.reason

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


def send(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """One request on a connection that may be used again."""
    connection.request(method, target, body=body, headers=dict(headers or {}))
    answer = connection.getresponse()
    data = answer.read()
    return Reply(status=answer.status, headers=tuple(answer.getheaders()), body=data)


def connect(url: str, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    return http.client.HTTPConnection(host, port, timeout=SECONDS)


def fetch(url: str, target: str, method: str = "GET", body: object = None) -> Reply:
    """Ask somebody directly: the CRM behind the gateway, or the admin port."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    with closing(connect(url)) as connection:
        return send(connection, method, target, headers, data)


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except ConnectionError:  # refused; or reset, when the listener closes at this moment
        return False
    return True


def run_cli(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The real command line, on this folder."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", "--config", str(folder / "gateway.yaml"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def write_folder(folder: Path, behind: str = AWAY, **config: Any) -> None:
    """The starter set, with our gateway.yaml and hours. Sections given replace the usual ones."""
    folder.mkdir(parents=True, exist_ok=True)
    write_starter(folder)
    write_hours(folder, SystemClock().now())
    crm = {"url": behind, "adapter": "adapters/salon-demo.yaml", **config.pop("upstream", {})}
    whole = {
        "listen": {"port": 0},
        "admin_listen": {"port": 0},
        "upstream": crm,
        "tokens": {"secret_file": "secrets/token-secret"},
        "apps": ["phone", "backoffice"],
    }
    # Every JSON text is YAML too.
    (folder / "gateway.yaml").write_text(json.dumps(whole | config), encoding="utf-8")


@dataclass(kw_only=True)
class Salon:
    """A running gateway, and how to ask it."""

    folder: Path
    process: Process
    context: ssl.SSLContext | None = None
    _tokens: dict[object, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return str(self.process.said["guarded"])

    @property
    def admin(self) -> str:
        return str(self.process.said["admin"])

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        return self.process.child.pid

    def token(self, who: str, *, app: str | None = "backoffice", device: str | None = None) -> str:
        """A fresh token: enrols the person, and starts at their current epoch."""
        wish = Wish(staff=staff_id(who), app=app, device=DeviceId(device) if device else None)
        settings = load_settings(str(self.folder / "gateway.yaml"))
        return asyncio.run(issue_token(settings, self.folder, wish, SystemClock().now()))

    def kept_token(self, who: str, app: str | None) -> str:
        """The same token again, for tests that log nobody out."""
        known = self._tokens.get((who, app))
        if known is None:
            known = self._tokens[who, app] = self.token(who, app=app)
        return known

    def forget_tokens(self) -> None:
        """The next `kept_token` is a fresh one."""
        self._tokens.clear()

    def bearer(self, who: str, app: str | None = "backoffice") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.kept_token(who, app)}"}

    def connect(self) -> http.client.HTTPConnection:
        return connect(self.url, self.context)

    def ask(
        self,
        method: str,
        target: str,
        who: str | None = None,
        *,
        app: str | None = "backoffice",
        body: object = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        sent: dict[str, str] = {}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        elif who is not None:
            sent |= self.bearer(who, app)
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        with closing(self.connect()) as connection:
            return send(connection, method, target, sent | dict(headers or {}), data)

    def raw(self, data: bytes) -> bytes:
        """Bytes as no client library would send them; everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as wire:
            wire.sendall(data)
            return b"".join(iter(lambda: wire.recv(65536), b""))

    def cli(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return run_cli(self.folder, *words)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels."""
        total = 0.0
        for line in fetch(self.admin, "/metrics").text.splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found is None or found[1] != name:
                continue
            carried = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
            if labels.items() <= carried.items():
                total += float(found[3])
        return total

    def status(self) -> dict[str, Any]:
        return dict(fetch(self.admin, "/status").data)

    def ready(self) -> dict[str, bool]:
        """What /readyz says, by part."""
        return {part["part"]: part["ok"] for part in fetch(self.admin, "/readyz").data}

    def entries(self) -> list[dict[str, Any]]:
        """The gateway's own entries, in order; the command line has a chain of its own."""
        lines: list[dict[str, Any]] = []
        for file in sorted((self.folder / "audit").glob("trail-[0-9]*.jsonl")):
            lines += map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["kind"] == "entry"]

    def acts(self) -> list[dict[str, Any]]:
        """What people did to the gateway itself, whoever entered it, by its time."""
        lines: list[dict[str, Any]] = []
        for file in (self.folder / "audit").glob("*.jsonl"):
            lines += map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return sorted((line for line in lines if line.get("act")), key=lambda line: line["at"])

    def reload(self) -> Reply:
        """Have the policy read again, good or bad; every change made before is in it."""
        return fetch(self.admin, "/reload", "POST")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's events of this name, in order."""
        lines = (self.folder / "gateway.log").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]


@contextmanager
def started(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[Salon]:
    """Run the gateway on a folder that is written already."""
    arguments = ["-m", "gateway", "--config", str(folder / "gateway.yaml"), "serve"]
    with process(arguments, folder / "gateway.log") as child:
        yield Salon(folder=folder, process=child, context=context)
    assert child.child.returncode == 0, (folder / "gateway.log").read_text(encoding="utf-8")


@contextmanager
def salon(folder: Path, behind: str = AWAY, **config: Any) -> Iterator[Salon]:
    """A folder, and the gateway on it."""
    write_folder(folder, behind, **config)
    with started(folder) as running:
        yield running
