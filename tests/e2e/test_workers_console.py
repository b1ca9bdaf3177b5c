"""The owner's console before two real workers: signed in through the supervisor, out in both."""

import asyncio
import contextlib
import os
import re
import signal
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from gateway.cli.main import main
from tests.e2e.gateway_process import SECONDS, send, started, write_folder
from tests.e2e.raw_crm import json_answer, raw_crm
from tests.oracles.console_world import Browser

CARD, TARGET = b'{"id": 7, "name": "Aoi", "visits": 3}', "/api/clients/7"
PASSWORD = "seven quiet umbrellas"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("salon")
    with raw_crm() as crm:
        crm.answers = {TARGET: json_answer(CARD)}
        write_folder(folder, crm.url, workers=2, console={"enabled": True})
        with started(folder) as running:
            yield running


@pytest.fixture
def owner(gateway, monkeypatch):
    """A browser on the admin port; hana has a password."""
    monkeypatch.setattr("gateway.cli.account._typed", lambda: PASSWORD)
    config = str(gateway.folder / "gateway.yaml")
    assert main(["--config", config, "account", "set-password", "hana"]) == 0
    return Browser(urlsplit(gateway.admin).port)


def chains(gateway):
    """How many lines each worker has entered."""
    found = {}
    for file in (gateway.folder / "audit").glob("*.jsonl"):
        chain = file.name.split("-")[1]
        found[chain] = found.get(chain, 0) + file.read_bytes().count(b'"kind":"entry"')
    return found


def to_each_worker(gateway, stack, bearer):
    """A kept-alive connection to each: whose chain grows is who answered."""
    found = {}
    for _ in range(100):
        connection = stack.enter_context(closing(gateway.connect()))
        before = chains(gateway)
        assert send(connection, "GET", TARGET, bearer).status == 200
        after = chains(gateway)
        (chain,) = (name for name in after if after[name] != before.get(name, 0))
        found.setdefault(chain, connection)
        if len(found) == 2:
            return list(found.values())
    raise AssertionError(f"only these workers were reached: {sorted(found)}")


async def until(claim, ask):
    deadline = time.monotonic() + SECONDS
    while not (found := await ask()):
        assert time.monotonic() < deadline, f"waited in vain until {claim}"
        await asyncio.sleep(0.05)
    return found


async def test_a_logout_in_the_console_is_heard_by_both_workers(gateway, owner):
    token = await asyncio.to_thread(gateway.token, "mei", device="phone-mei")
    bearer = {"Authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as stack:
        both = await asyncio.to_thread(to_each_worker, gateway, stack, bearer)
        assert (await owner.sign_in()).to == "/"
        pages = [await owner.get(path) for path in ("/", "/staff", "/session", "/staff")]
        assert {page.status for page in pages} == {200}
        done = await owner.press(pages[-1], "/staff/mei/log-out")
        assert done.status == 303

        async def refused():
            statuses = [send(one, "GET", TARGET, bearer).status for one in both]
            return statuses == [401, 401]

        await until("both refuse", refused)
    entry = next(one for one in gateway.entries() if one.get("act") == "log_out")
    assert (entry["whom"], entry["peer"]) == ("staff:mei", "127.0.0.1")


async def test_the_first_room_counts_the_refusals_of_both(gateway, owner):
    assert (await owner.sign_in()).to == "/"
    before = await shown(owner)
    token = await asyncio.to_thread(gateway.token, "mei", device="phone-mei")
    bearer = {"Authorization": f"Bearer {token}"}
    with contextlib.ExitStack() as stack:
        for one in await asyncio.to_thread(to_each_worker, gateway, stack, bearer):
            for _ in range(3):
                assert send(one, "GET", "/api/unheard-of", bearer).status == 404
    for _ in range(4):  # whichever of them answers
        assert await shown(owner) == before + 6


async def shown(owner):
    """All refusals of the last hour that the first room shows."""
    page = await owner.get("/")
    assert page.status == 200
    return sum(map(int, re.findall(r"<dd>(\d+)</dd>", page.text)))


async def test_a_worker_that_is_killed_takes_nobody_out_of_the_console(gateway, owner):
    assert (await owner.sign_in()).to == "/"
    victim = gateway.status()["workers"][0]["pid"]
    os.kill(victim, signal.SIGKILL)
    for _ in range(10):
        assert (await owner.get("/staff")).status in {200, 502}
    assert (await owner.get("/staff")).status == 200

    async def back():
        workers = gateway.status()["workers"]
        return all(one["state"] == "listening" for one in workers) and workers[0]["pid"] != victim

    await until("it is back", back)
    assert (await owner.get("/staff")).status == 200
