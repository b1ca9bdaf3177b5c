"""The demo's own salon: a folder with a policy, a CRM process, a gateway process.

Whoever starts a process here ends it, by its own process id, whatever happens in between.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.domain.time import Instant

ZONE = "Asia/Tokyo"
START_SECONDS = 30.0


class StartError(RuntimeError):
    """A process of the demo did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A child that has said where it listens."""

    child: "subprocess.Popen[str]"
    said: dict[str, Any]


@contextlib.contextmanager
def process(arguments: list[str], log: Path) -> Iterator[Process]:
    """Run a child that prints one JSON line when it listens; end it at the end.

    Raises:
        StartError: it ended, or said something else.
    """
    child = None
    try:
        with log.open("w", encoding="utf-8") as errors, _signals_later():
            child = subprocess.Popen(  # noqa: S603  # our own modules, our own arguments
                [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        yield Process(child=child, said=_first_line(child, log))
    finally:
        if child is not None:
            _end(child)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Act on Ctrl-C and `kill` at the end: a child that is just born must not be forgotten."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _end(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    try:
        child.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _first_line(child: "subprocess.Popen[str]", log: Path) -> dict[str, Any]:
    """What the child says first; it says it when it listens, or ends without a word."""
    line = child.stdout.readline() if child.stdout is not None else ""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("event") != "listening":
        raise StartError(f"it did not start: {line}{log.read_text(encoding='utf-8')}".strip())
    return said


def crm(folder: Path) -> contextlib.AbstractContextManager[Process]:
    """The sample CRM, on any free port."""
    arguments = [
        "-m",
        "gateway.demo.crm",
        "--port",
        "0",
        "--database",
        str(folder / "crm.sqlite3"),
    ]
    return process(arguments, folder / "crm.log")


def gateway(folder: Path) -> contextlib.AbstractContextManager[Process]:
    """The gateway, as `salon-gateway serve` runs it."""
    arguments = ["-m", "gateway", "--config", str(folder / "gateway.yaml"), "serve"]
    return process(arguments, folder / "gateway.log")


def write_config(folder: Path, *, port: int, admin_port: int, crm_port: int) -> None:
    """gateway.yaml for the demo: loopback, embedded state, the sample CRM behind."""
    (folder / "gateway.yaml").write_text(
        f"""\
listen: {{host: 127.0.0.1, port: {port}}}
admin_listen: {{host: 127.0.0.1, port: {admin_port}}}
upstream: {{url: "http://127.0.0.1:{crm_port}", adapter: adapters/salon-demo.yaml}}
tokens: {{secret_file: secrets/token-secret}}
apps: [phone, backoffice]
""",
        encoding="utf-8",
    )


def write_hours(folder: Path, now: Instant) -> None:
    """Hours under which the tour comes out the same at any time of day, without a false clock.

    Aoyama never closes; Yoyogi is shut at this moment and opens five hours from now. The
    starter's cases speak of the starter's hours, so they go.
    """
    for cases in (folder / "policies" / "cases").glob("*.yaml"):
        cases.unlink()
    opens = now.astimezone(ZoneInfo(ZONE)) + timedelta(hours=5)
    closes = opens + timedelta(hours=2)
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    shut = "".join(f'      {day}: ["{opens:%H:%M}-{closes:%H:%M}"]\n' for day in days)
    always = "".join(f'      {day}: ["00:00-24:00"]\n' for day in days)
    (folder / "policies" / "hours.yaml").write_text(
        f"""\
# Written by the demo: Aoyama is always open, Yoyogi is shut now and opens in five hours.
salons:
  aoyama:
    timezone: {ZONE}
    weekly:
{always}  yoyogi:
    timezone: {ZONE}
    weekly:
{shut}    grace: {{before: 30, after: 30}}
protected: [client, message]
exempt_roles: [role:manager, role:owner]
""",
        encoding="utf-8",
    )
