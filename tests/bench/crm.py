"""The CRM behind everybody who is measured: the same invented answers, from files.

nginx serves them if it is installed, a lean server of ours otherwise; neither is measured.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.answers import RECORDS, client_list, one_client
from tests.bench.processes import Running, speaking
from tests.bench.templates import PEERS, nginx, nginx_command

RECORD = "/api/clients/1"
LIST = "/api/clients?page=1"
LARGE = {5: "/api/clients?page=5", 8: "/api/clients?page=8"}  # MiB → list
PUBLIC, PASSED, RULED = "/health", "/staff", "/pages/1"  # 1 KB each
PASSED_LIST, PASSED_LARGE = "/assets/list", "/assets/5"
HUGE = "/assets/huge"
MOST_MASKABLE = 12_200  # records; a little less than the 8 MiB that the gateway cuts
GROWING = (1, 15, 150, 1_500, 7_500)  # records


def growing(records: int) -> str:
    """The target of a list of so many records."""
    return f"/api/clients?page={10_000 + records}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """Where it listens, and what it says."""

    port: int
    kind: str
    bodies: dict[str, bytes]


@contextmanager
def crm(folder: Path, *, huge_bytes: int) -> Iterator[Crm]:
    """Write its files and start it.

    Args:
        folder: it becomes the CRM's own.
        huge_bytes: size of HUGE, a file of zeros that takes no room on the disk.
    """
    site = folder / "site"
    site.mkdir(parents=True)
    bodies = _bodies()
    names = {target: f"{number}.json" for number, target in enumerate(bodies)}
    for target, body in bodies.items():
        (site / names[target]).write_bytes(body)
    names[HUGE] = "huge"
    with (site / "huge").open("wb") as file:
        file.truncate(huge_bytes)
    (site / "targets.json").write_text(json.dumps(names), encoding="utf-8")
    with _server(folder, site, names) as (kind, running):
        yield Crm(port=running.port, kind=kind, bodies=bodies)


def _bodies() -> dict[str, bytes]:
    record, listed, large = one_client(), client_list(), client_list(records=7_680)
    bodies = dict.fromkeys((RECORD, PUBLIC, PASSED, RULED), record)
    bodies |= dict.fromkeys((LIST, PASSED_LIST), listed)
    bodies |= {LARGE[5]: large, PASSED_LARGE: large}
    bodies[LARGE[8]] = client_list(records=MOST_MASKABLE)
    return (
        bodies
        | {growing(n): client_list(records=n) for n in GROWING if n != RECORDS}
        | {growing(RECORDS): listed}
    )


@contextmanager
def _server(folder: Path, site: Path, names: dict[str, str]) -> Iterator[tuple[str, Running]]:
    if nginx_command() is None:
        words = [sys.executable, str(PEERS / "lean_upstream.py"), str(site)]
        with speaking(words, folder / "upstream.log") as running:
            yield "a lean server of ours", running
        return
    files = "\n".join(f'        "{target}" {name};' for target, name in names.items())
    with nginx(folder, "upstream-nginx.conf", SITE=str(site), FILES=files) as running:
        yield "nginx", running
