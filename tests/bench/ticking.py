"""`salon-gateway serve`, and how long its event loop stood still at the longest.

While one callback runs, nobody else is served. Every callback of the loop is timed, by the clock
on the wall and by the thread's CPU time (the first also counts what other programs took of the
core). SIGUSR1: write the longest since the last time to `pause.json` beside gateway.yaml.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from gateway.cli.main import main

_longest = {"seconds": 0.0, "cpu_seconds": 0.0}
_run = asyncio.Handle._run


def _timed(handle: asyncio.Handle) -> None:
    began, cpu_began = time.perf_counter(), time.thread_time()
    _run(handle)
    cpu_seconds, seconds = time.thread_time() - cpu_began, time.perf_counter() - began
    _longest["seconds"] = max(_longest["seconds"], seconds)
    _longest["cpu_seconds"] = max(_longest["cpu_seconds"], cpu_seconds)


def _tell(where: Path) -> None:
    unfinished = where.with_suffix(".part")
    unfinished.write_text(json.dumps(_longest), encoding="utf-8")
    unfinished.replace(where)
    _longest.update(seconds=0.0, cpu_seconds=0.0)


def _serve() -> int:
    where = Path(sys.argv[sys.argv.index("--config") + 1]).with_name("pause.json")

    def told(_number: int, _frame: FrameType | None) -> None:
        _tell(where)

    asyncio.Handle._run = _timed  # type: ignore[method-assign,assignment]  # every callback passes there
    signal.signal(signal.SIGUSR1, told)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_serve())
