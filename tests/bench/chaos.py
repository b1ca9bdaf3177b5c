"""A Redis that is killed, frozen, flushed, slow or older than it was: what a salon notices of it.

    python -m tests.bench.chaos [ROUNDS]

Eight people ask all the time, as requests do: the floor of their session, and whether they are
locked, both from what is kept at hand in front of a real redis-server. Two of them are out: one
was logged out, one is locked. Each round does one thing to Redis and undoes it. Counted are wrong
allows (one of those two was let in); measured are the longest refusal and how long after Redis was
back everybody who may was let in again. Writes docs/reliability.md.

Flushed and older: the machine refuses until `state repair`, which is what is measured there, from
its end on; people then enrol anew, as they do when they sign in.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import redis

from gateway.backends.document_map import LocalDocuments
from gateway.backends.epoch_map import POLL_SECONDS, STALE_SECONDS, LocalEpochs
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.state import parse_redis
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId
from gateway.ports import Kind
from tests.bench import at_once
from tests.bench.machine import machine
from tests.oracles.redis_process import RedisProcess

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
PHONE = DeviceId("phone-1")
INSIDE = [StaffId(f"staff:p{number}") for number in range(6)]
LOGGED_OUT, LOCKED = StaffId("staff:logged-out"), StaffId("staff:locked")
AWAY_SECONDS = 0.6  # how long each trouble lasts
SLOW_SECONDS = 5.0
GIVE_UP_SECONDS = 15.0

INTRO = """\
# What a failing Redis does to a salon

Written by `python -m tests.bench.chaos` (four minutes); do not edit it by hand. Eight people ask
all the time whether their session is current and whether they are locked, through what stands
between a request and a real Redis. One of them was logged out and one is locked: each time one of
those two was let in would be a *wrong allow*. A refusal is to come within 250 ms, and everybody
who may is to be let in again within 2 s of Redis being back, without a restart. After *flushed*
and *an older copy* an operator says `salon-gateway state repair` first, and the time counts from
there.
"""


@dataclass(kw_only=True)
class Figures:
    """What one kind of trouble did."""

    rounds: int = 0
    asked: int = 0
    wrong: int = 0
    refusals: list[float] = field(default_factory=list)  # seconds each
    recoveries: list[float] = field(default_factory=list)


class Salon:
    """People who ask, and the stores they ask."""

    def __init__(self, server: RedisProcess, path: Path) -> None:
        self.server = server
        address, ledger = parse_redis(server.url()), path / "ledger.sqlite3"
        self.epochs = RedisEpochs(address, ledger=ledger)
        self.documents = RedisDocuments(address, ledger=ledger)
        self.floors = LocalEpochs(self.epochs, monotonic=monotonic)
        self.locks = LocalDocuments(
            self.documents, Kind.LOCK, bytes, monotonic=monotonic, now=_now
        )
        self.tokens: dict[StaffId, int] = {}
        self.figures = Figures()
        self.inside_at: dict[StaffId, float] = {}

    async def open_up(self) -> None:
        """Everybody signs in; two are put out."""
        for person in (*INSIDE, LOGGED_OUT, LOCKED):
            self.tokens[person] = await self.epochs.enrol(person, PHONE, _now())
        await self.epochs.revoke(LOGGED_OUT, None, _now())
        if await self.documents.get(Kind.LOCK, LOCKED, _now()) is None:
            await self.documents.put(Kind.LOCK, LOCKED, b"{}", replaces=None, now=_now())

    async def poll(self) -> None:
        """As the gateway does."""
        while True:
            await asyncio.gather(self.floors.poll(), self.locks.poll())
            await asyncio.sleep(POLL_SECONDS)

    async def ask(self, person: StaffId) -> None:
        """One person, for ever."""
        while True:
            begun, figures = monotonic(), self.figures
            figures.asked += 1
            try:
                floor = await self.floors.floor(person, PHONE)
                lock = await self.locks.get(person)
            except StateUnavailableError:
                figures.refusals.append(monotonic() - begun)
            else:
                inside = floor is not None and self.tokens[person] >= floor and lock is None
                if inside:
                    self.inside_at[person] = begun
                figures.wrong += inside and person in {LOGGED_OUT, LOCKED}
            await asyncio.sleep(0.002)

    async def recovered(self) -> None:
        """Wait until everybody who may has been let in by a question asked from now on."""
        back = monotonic()
        while not all(self.inside_at.get(person, 0.0) >= back for person in INSIDE):
            if monotonic() - back > GIVE_UP_SECONDS:
                break  # it stands in the figures
            await asyncio.sleep(0.002)
        self.figures.recoveries.append(monotonic() - back)

    def admin(self) -> "contextlib.closing[redis.Redis]":
        return contextlib.closing(redis.Redis(port=self.server.port))


async def killed(salon: Salon) -> None:
    salon.server.kill()
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(salon.server.start)
    await salon.recovered()


async def frozen(salon: Salon) -> None:
    salon.server.freeze()
    await asyncio.sleep(AWAY_SECONDS)
    salon.server.thaw()
    await salon.recovered()


async def slow(salon: Salon) -> None:
    def sleep() -> None:
        with salon.admin() as control:
            control.execute_command("DEBUG", "SLEEP", SLOW_SECONDS)

    await asyncio.to_thread(sleep)
    await salon.recovered()


async def flushed(salon: Salon) -> None:
    with salon.admin() as control:
        control.flushall()
    await asyncio.sleep(AWAY_SECONDS)
    await salon.documents.repair()
    await _anew(salon)
    await salon.recovered()


async def older(salon: Salon) -> None:
    with salon.admin() as control:
        copy = {key: control.dump(key) for key in control.keys("*")}
        # One more logout, which the copy does not know.
        token = await salon.epochs.enrol(LOGGED_OUT, PHONE, _now())
        await salon.epochs.revoke(LOGGED_OUT, None, _now())
        pipeline = control.pipeline(transaction=True)
        pipeline.flushall()
        for key, dump in copy.items():
            pipeline.restore(key, 0, dump)
        pipeline.execute()
    await asyncio.sleep(STALE_SECONDS)  # until a logout is to be in force
    salon.tokens[LOGGED_OUT] = token
    await asyncio.sleep(AWAY_SECONDS)
    await salon.documents.repair()
    await _anew(salon)
    await salon.recovered()


async def _anew(salon: Salon) -> None:
    for person in (*INSIDE, LOCKED):
        salon.tokens[person] = await salon.epochs.enrol(person, PHONE, _now())


TROUBLES: dict[str, Callable[[Salon], Awaitable[None]]] = {
    "killed, and started again": killed,
    "frozen (SIGSTOP)": frozen,
    f"slow: an answer takes {SLOW_SECONDS:.0f} s": slow,
    "flushed": flushed,
    "put back from an older copy": older,
}


async def run(rounds: int) -> dict[str, Figures]:
    """Each trouble so many times."""
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as directory:
        options = (
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--enable-debug-command",
            "local",
        )
        with RedisProcess(directory, *options) as server:
            salon = Salon(server, Path(directory))
            await salon.open_up()
            async with asyncio.TaskGroup() as group:
                asking = [group.create_task(salon.ask(one)) for one in salon.tokens]
                asking.append(group.create_task(salon.poll()))
                for name, trouble in TROUBLES.items():
                    await salon.recovered()
                    found[name] = salon.figures = Figures()
                    for _ in range(rounds):
                        await trouble(salon)
                        salon.figures.rounds += 1
                for task in asking:
                    task.cancel()
            await salon.epochs.close()
            await salon.documents.close()
    return found


def page(found: dict[str, Figures]) -> str:
    heads = "what happened to Redis", "rounds", "questions", "wrong allows", "refusals"
    heads = *heads, "longest refusal", "longest recovery"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, figures in found.items():
        cells = (
            name,
            str(figures.rounds),
            f"{figures.asked:,}",
            str(figures.wrong),
            f"{len(figures.refusals):,}",
            _milliseconds(figures.refusals),
            _milliseconds(figures.recoveries),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([INTRO, machine(quick=True), *lines, ""])


def _milliseconds(seconds: list[float]) -> str:
    return f"{1000 * max(seconds):.0f} ms" if seconds else "-"


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    both = page(asyncio.run(run(number))), at_once.page(asyncio.run(at_once.run(number)))
    PAGE.write_text("\n".join(both), "utf-8")
