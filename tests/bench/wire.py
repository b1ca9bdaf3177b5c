"""What a request costs a server, whoever it is: CPU time from the kernel, in turn, by rounds.

True here: before anything is measured each server's answer is compared with what it must be.
All servers run on a core of their own, the load and the CRM on the others. A round asks each
server so often that it works for about as long as the others did, so the accounting is as fine
for a fast one as for a slow one; what it took between the first request and the last answer,
divided by the requests, is one figure of that round.
"""

import http.client
import json
import resource
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from tests.bench.accounting import cpu_seconds
from tests.bench.load import LoadError, load, request_text
from tests.bench.measure import Timing
from tests.bench.processes import Running

CONNECTIONS = 16
CONNECTIONS_IF_LARGE = 4
LARGE_BYTES = 2**20
HIDDEN = ("phone", "email", "address", "notes")
MOST_REQUESTS = 5_000  # a round
TRIES = 3
SLOW_SECONDS = 0.1  # a request: no more than one at a time then
OPEN_FILES = 16_384


class WrongAnswerError(RuntimeError):
    """A server does not do the work that it is measured for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One line of a table: who is asked for what.

    Attributes:
        body: what the CRM says.
        cut: four members leave every record of it; otherwise it comes as it is.
    """

    server: Running
    target: str
    body: bytes
    cut: bool = False
    token: str = ""
    connections: int = 0  # 0: the usual number for a body of this size

    @property
    def width(self) -> int:
        """How many connections ask at once."""
        usual = CONNECTIONS if len(self.body) < LARGE_BYTES else CONNECTIONS_IF_LARGE
        return self.connections or usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done for a figure."""

    rounds: int
    seconds: float  # of a server's CPU time, for each line in each round


def measured(lines: Mapping[str, Asked], effort: Effort) -> dict[str, Timing]:
    """CPU time per request of each line, in turn, after a look at one answer of each.

    Raises:
        WrongAnswerError: an answer is not what it must be.
        LoadError: a server stopped answering.
    """
    for name, line in lines.items():
        check(name, line)
    often = {name: _how_often(name, line, effort.seconds) for name, line in lines.items()}
    taken: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(effort.rounds):
        for name, line in lines.items():
            taken[name].append(_patiently(name, line, often[name]))
    return {name: Timing(tuple(costs), often[name]) for name, costs in taken.items()}


def check(name: str, line: Asked) -> None:
    """Compare one answer with what the CRM says, less what must be gone.

    Raises:
        WrongAnswerError: it is something else.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", line.server.port, timeout=60)) as wire:
        wire.request("GET", line.target, headers=_headers(line))
        answer = wire.getresponse()
        got = answer.read()
    if answer.status != 200:
        raise WrongAnswerError(f"{name}: {answer.status} {got[:300]!r}")
    if (json.loads(got) != _without_hidden(line.body)) if line.cut else (got != line.body):
        raise WrongAnswerError(f"{name}: not what it should be: {got[:300]!r}")


def allow_open_files() -> None:
    """For a thousand connections, here and in whatever is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _headers(line: Asked) -> dict[str, str]:
    """Those of `request_text`, which http.client would write with others of its own."""
    fields = request_text(line.target, line.token).decode().split("\r\n")[1:-2]
    return dict(field.split(": ", 1) for field in fields)


def _without_hidden(body: bytes) -> object:
    document = json.loads(body)
    records: Iterable[dict[str, object]] = document if isinstance(document, list) else [document]
    for record in records:
        for field in HIDDEN:
            del record[field]
    return document


def _how_often(name: str, line: Asked, seconds: float) -> int:
    """Warm the server up, and find how many requests take it so long."""
    once = _patiently(name, line, 1)
    if once < SLOW_SECONDS:
        once = _patiently(name, line, 2 * line.width)
    return max(1, min(MOST_REQUESTS, int(seconds / once)))


def _patiently(name: str, line: Asked, requests: int) -> float:
    """Again, if the machine was so busy that a server refused or was too late; we say so."""
    for _ in range(TRIES - 1):
        try:
            return _cost(line, requests)
        except LoadError as error:
            print(f"{name}: measured again: {error}", file=sys.stderr)
    return _cost(line, requests)


def _cost(line: Asked, requests: int) -> float:
    """CPU seconds per request, with connections that have been used before."""
    with load(
        line.server.port,
        request_text(line.target, line.token),
        connections=min(line.width, requests),
    ) as machine:
        if requests > line.width:
            machine.run(line.width)  # opens the connections to the CRM, too
        before = cpu_seconds(line.server.pid)
        machine.run(requests)
        return (cpu_seconds(line.server.pid) - before) / requests
