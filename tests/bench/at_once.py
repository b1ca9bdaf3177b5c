"""How soon somebody who is logged out is out, on every worker: the end of reliability.md.

A real gateway with four workers; tests/e2e/out_at_once.py says who is there and what is measured.
"""

import tempfile
from pathlib import Path

from tests.e2e.out_at_once import MEI, Felt, scene
from tests.oracles.redis_process import RedisProcess

INTRO = """\
## How soon a logout is felt

Four workers (`serve --workers 4`). Somebody has, on each of them, a kept-alive connection that
asks all the time, an event stream that flows, and a WebSocket on which messages come. Another
process logs them out. Measured is how long after it was told that this is done each of them felt
it: a next request is refused, the stream is broken off, the WebSocket is closed with the reason.
All of them are to within 100 ms.
"""


async def run(rounds: int) -> dict[str, list[Felt]]:
    """So many logouts before each state store."""
    found: dict[str, list[Felt]] = {}
    with tempfile.TemporaryDirectory() as directory, RedisProcess(directory) as server:
        configs = {"SQLite": {}, "Redis": {"state": {"url": server.url()}}}
        for store, config in configs.items():
            felt = found[store] = []
            async with scene(Path(directory) / store, **config) as salon:
                for _ in range(rounds):
                    felt += await salon.put_out(
                        lambda: salon.sessions.log_out(MEI, None, by=None, peer="-")
                    )
    return found


def page(found: dict[str, list[Felt]]) -> str:
    heads = "state store", "what was open", "how many", "half of them within", "all of them within"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for store, felt in found.items():
        for kind in dict.fromkeys(one.kind for one in felt):
            times = sorted(one.seconds for one in felt if one.kind == kind)
            cells = (
                str(len(times)),
                _milliseconds(times[len(times) // 2]),
                _milliseconds(times[-1]),
            )
            lines.append(f"| {store} | {kind} | {' | '.join(cells)} |")
    return "\n".join([INTRO, *lines, ""])


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"
