"""One act, and somebody is out on every worker: kept-alive connections, streams, WebSockets.

How long it took is printed and kept in `.artefacts/out-at-once.json`; no time is asserted.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.out_at_once import COUNT, MEI, scene
from tests.oracles.redis_process import RedisProcess

ARTEFACT = Path(__file__).parents[2] / ".artefacts" / "out-at-once.json"
NOBODY = {"by": None, "peer": "-"}
LOGGED_OUT = (401, "unauthenticated")


def told(act: str, store: str, felt) -> None:
    """Say how long it took, and keep it beside what other tests measured."""
    found: dict[str, list[float]] = {}
    for one in felt:
        found.setdefault(one.kind, []).append(round(1000 * one.seconds, 1))
    print(f"\n{act}, {store}, milliseconds: {found}")
    ARTEFACT.parent.mkdir(exist_ok=True)
    kept = json.loads(ARTEFACT.read_text("utf-8")) if ARTEFACT.exists() else {}
    kept[f"{act}, {store}"] = found | {"longest": max(map(max, found.values()))}
    ARTEFACT.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def out_everywhere(felt, workers, *reasons: tuple[int, str]) -> None:
    assert Counter((one.kind, one.worker) for one in felt) == {
        (kind, pid): 1
        for kind in ("kept-alive connection", "stream", "WebSocket")
        for pid in workers
    }
    assert len(workers) == COUNT
    ways = {
        "kept-alive connection": set(reasons),
        "stream": {("broken off",)},
        "WebSocket": {("CLOSE", 1008, reason) for _, reason in reasons},
    }
    assert [one for one in felt if one.ended not in ways[one.kind]] == []


@pytest.mark.parametrize("store", ["SQLite", "Redis"])
async def test_a_logout_ends_all_that_a_person_has_on_every_worker(tmp_path, store):
    with RedisProcess(tmp_path) as server:
        config = {"state": {"url": server.url()}} if store == "Redis" else {}
        async with scene(tmp_path / "salon", **config) as salon:
            felt = await salon.put_out(lambda: salon.sessions.log_out(MEI, None, **NOBODY))
            out_everywhere(felt, salon.workers, LOGGED_OUT)
    told("logged out", store, felt)


async def test_so_do_a_lock_and_an_incident(tmp_path):
    async with scene(tmp_path / "salon") as salon:
        locked = await salon.put_out(lambda: salon.sessions.lock(MEI, **NOBODY))
        await salon.sessions.unlock(MEI, **NOBODY)
        incident = await salon.put_out(
            lambda: salon.incidents.start("a lost laptop", "", **NOBODY)
        )
        workers = salon.workers
    told("locked", "SQLite", locked)
    told("an incident", "SQLite", incident)
    # A lock ends the sessions as well: a worker may hear of either first.
    out_everywhere(locked, workers, (403, "locked"), LOGGED_OUT)
    out_everywhere(incident, workers, (403, "incident"))
