"""How long does everybody else wait while one large body is cut?"""

import json
import os
import signal
import time
from pathlib import Path

from tests.bench import crm
from tests.bench.load import load, request_text
from tests.bench.measure import spell
from tests.bench.ours import TICKING
from tests.bench.tables import Section
from tests.bench.wire import check
from tests.bench.world import Gateway, World

TARGET_SECONDS = 0.005
ANSWER_SECONDS = 20.0  # for its figures; it may be in the middle of something


def pausing(world: World, *, rounds: int) -> tuple[Section, float]:
    """The longest callback of the gateway's event loop, for several bodies.

    Returns:
        The table; and the longest pause of a body of 5 MB in seconds of CPU time.
    """
    bodies = {"1 KB, cut": crm.RECORD, "100 KB, cut": crm.LIST}
    bodies |= {f"{size} MB, cut": target for size, target in crm.LARGE.items()}
    rows, of_large = [], 0.0
    with world.another(rows=world.rows, module=TICKING) as gateway:
        for name, target in bodies.items():
            check(name, world.asked(target, cut=True, gateway=gateway))
            _pauses(gateway)  # what came before
            found = []
            for _ in range(rounds):
                with load(
                    gateway.server.port, request_text(target, gateway.token), connections=1
                ) as machine:
                    machine.run(1)
                found.append(_pauses(gateway))
            cpu = sorted(pause["cpu_seconds"] for pause in found)
            wall = max(pause["seconds"] for pause in found)
            of_large = cpu[-1] if target == crm.LARGE[5] else of_large
            rows.append((name, spell(cpu[len(cpu) // 2]), spell(cpu[-1]), spell(wall)))
    section = Section(
        title="How long the loop stands still",
        about=(
            "Target: at most 5 ms from a body of 5 MB.\n\n"
            "While one callback of the event loop runs, nobody else is served. The longest one "
            f"of a request, over {rounds} requests: its CPU time, and its time on the wall, which "
            "also counts what other programs took of the core."
        ),
        columns=("the CRM's answer", "usual longest, CPU", "longest, CPU", "longest, wall"),
        rows=rows,
    )
    return section, of_large


def _pauses(gateway: Gateway) -> dict[str, float]:
    """What it found since it was last asked."""
    where = gateway.config.with_name("pause.json")
    where.unlink(missing_ok=True)
    os.kill(gateway.server.pid, signal.SIGUSR1)
    return _read_when_there(where)


def _read_when_there(where: Path) -> dict[str, float]:
    until = time.monotonic() + ANSWER_SECONDS
    while not where.exists():
        if time.monotonic() > until:
            raise RuntimeError("the gateway does not tell how long its loop stood still")
        time.sleep(0.005)
    found: dict[str, float] = json.loads(where.read_text(encoding="utf-8"))
    return found
