"""Other programs as children of this one: started on a core of their own, ended by their ids.

House rules: everything listens on loopback, on a port that was free. A child that does not come
up is an error with what it said. Children are ended by whoever started them, whatever happened.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class StartError(RuntimeError):
    """A process did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Running:
    """A child that listens.

    Attributes:
        said: what its first line said besides the port, if it is one of ours.
    """

    pid: int
    port: int
    said: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the server that is measured runs, and where everything else does."""

    server: frozenset[int]
    others: frozenset[int]

    @classmethod
    def of_machine(cls) -> "Cores":
        """The last core for servers, the others for the load and the upstream."""
        *others, last = sorted(os.sched_getaffinity(0))
        return cls(frozenset({last}), frozenset(others or [last]))

    @property
    def apart(self) -> bool:
        return not self.server & self.others


@contextlib.contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Run this thread there, and whatever it starts meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def speaking(words: Sequence[str], log: Path) -> Iterator[Running]:
    """A child of ours: its first line says, as JSON, where it listens."""
    with _child(words, log, {}, stdout=subprocess.PIPE) as child:
        line = _first_line(child)
        try:
            said = json.loads(line)
            address = str(said.get("guarded") or said["port"])
        except (ValueError, KeyError, AttributeError):
            raise StartError(f"{line}{_log_of(log)}".strip()) from None
        yield Running(child.pid, int(address.rpartition(":")[2]), said)


@contextlib.contextmanager
def listening(
    words: Sequence[str], log: Path, port: int, environment: Mapping[str, str]
) -> Iterator[Running]:
    """Somebody else's program, told to listen on this port."""
    with _child(words, log, environment, stdout=subprocess.DEVNULL) as child:
        until = time.monotonic() + START_SECONDS
        while not _answers(port):
            if child.poll() is not None or time.monotonic() > until:
                raise StartError(_log_of(log))
            time.sleep(0.05)
        yield Running(child.pid, port)


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _child(
    words: Sequence[str], log: Path, environment: Mapping[str, str], *, stdout: int
) -> Iterator["subprocess.Popen[str]"]:
    with log.open("w", encoding="utf-8") as errors:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=errors,
            text=True,
            env=os.environ | environment,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _first_line(child: "subprocess.Popen[str]") -> str:
    """What it says first; nothing if it ends, or is silent for too long."""
    assert child.stdout is not None
    late = threading.Timer(START_SECONDS, child.kill)
    late.start()
    try:
        return child.stdout.readline()
    finally:
        late.cancel()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _log_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:] or "it said nothing"
