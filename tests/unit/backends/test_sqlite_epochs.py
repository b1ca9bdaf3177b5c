"""What the epochs in SQLite do beside the contract that every store keeps."""

import asyncio
import threading

from gateway.backends import sqlite_epochs
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.domain.subject import staff_id
from gateway.domain.time import from_milliseconds

MEI, NOW = staff_id("mei"), from_milliseconds(1_700_000_000_000)


async def test_a_loop_that_stood_still_asks_again_and_hears_of_a_logout_meanwhile(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sqlite_epochs, "READ_SECONDS", 1.0)
    path, raised = tmp_path / "epochs.sqlite3", []
    store = SqliteEpochs(path)
    issued = await store.enrol(MEI, None, NOW)

    async def log_out():
        other = SqliteEpochs(path)
        raised.append(await other.revoke(MEI, None, NOW))
        await other.close()

    asking = asyncio.ensure_future(store.floor(MEI, None))
    await asyncio.sleep(0)  # it is on its way, and its deadline has begun
    elsewhere = threading.Thread(target=asyncio.run, args=(log_out(),))
    elsewhere.start()
    elsewhere.join()  # our loop stands still, until the deadline has passed too
    clock = asyncio.get_running_loop().time
    until = clock() + 1.1
    while clock() < until:
        pass
    assert await asking == raised[0] > issued
    await store.close()
