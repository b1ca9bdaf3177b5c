"""`serve --workers N`: one process that serves nobody and keeps N that do.

The supervisor has no policy and sees no request for the CRM. It holds the guarded port
(`reserved_port.py`), starts the workers, starts again what ends (`supervision.py` says when),
answers at the admin port for all of them (`all_workers.py`; what is asked of the console a worker
answers, `console_relay.py`), and ends them. It is the other composition root beside `app.py`,
which each worker runs.

INVARIANT: no worker outlives `supervise`: it is waited for, after a bounded time killed by its own
process id; and if the supervisor itself is killed, the worker notices (`worker_channel.py`).
"""

import math
import random
import shutil
import tempfile
from asyncio import Event as Flag
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.backends.all_workers import AllWorkers
from gateway.backends.clock import SystemClock
from gateway.backends.console_relay import ConsoleRelay
from gateway.backends.meter import PrometheusMeter
from gateway.backends.reserved_port import ReservedPort
from gateway.backends.supervisor import Supervisor
from gateway.backends.worker_channel import Orders
from gateway.console.places import find_place
from gateway.proxy.admin import AdminServer, Rooms
from gateway.settings import Settings
from gateway.supervision import Supervision


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is told once, when all workers listen.

    Attributes:
        port, admin_port: real ones, also when 0 was asked for.
        policy: the digest of what the first worker loaded.
    """

    port: int
    admin_port: int
    policy: str


def share_of(settings: Settings, workers: int, port: int) -> Settings:
    """What one of N workers at this port may take.

    Bounds of the whole machine are divided, rounded up. The system shares connections out by
    chance, so one worker may turn somebody away a little before all of them are full.
    """

    def part(whole: int) -> int:
        return math.ceil(whole / workers)

    limits, upstream = settings.limits, settings.upstream
    return settings.model_copy(
        update={
            "listen": settings.listen.model_copy(update={"port": port}),
            "limits": limits.model_copy(
                update={
                    "connections": part(limits.connections),
                    "connections_per_peer": part(limits.connections_per_peer),
                }
            ),
            "upstream": upstream.model_copy(
                update={
                    "max_connections": part(upstream.max_connections),
                    "max_streams": part(upstream.max_streams),
                }
            ),
        }
    )


async def supervise(
    settings: Settings,
    orders: Orders,
    *,
    told: Callable[[Serving], None],
    stopped: Flag,
    hung_up: Flag,
) -> int:
    """Run `settings.workers` workers until told to stop.

    Args:
        settings: how gateway.yaml stands now.
        orders: what every worker is to be; number, socket and settings are filled in here.
        told: called once, when all of them listen.
        stopped: set to end.
        hung_up: set to have all policies read again.

    Returns:
        The exit code: 0, or that of the worker that could not start.

    Raises:
        OSError: an address cannot be bound.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        listen, ops = settings.listen, settings.admin_listen
        reserved = await ReservedPort.claim(listen.host, listen.port)
        stack.callback(reserved.close)
        # 0700, and nobody else's; a worker's socket in it needs no secret.
        folder = Path(tempfile.mkdtemp(prefix="salon-gateway-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        core = Supervision(settings.workers, random.random)  # its jitter needs no secret
        workers = AllWorkers(core.slots, PrometheusMeter(clock), clock.monotonic)
        admin = AdminServer(
            workers.ready,
            workers.metrics,
            workers.status,
            names=frozenset(ops.names),
            reload=workers.reload,
            console=_relay(workers) if settings.console.enabled else None,
        )
        admin_port = await admin.start(ops.host, ops.port)
        stack.push_async_callback(admin.stop)
        # Only what was set: some settings may not be given beside others, not even as by default.
        share = share_of(settings, settings.workers, reserved.port).model_dump_json(
            exclude_unset=True
        )

        def orders_of(worker: int, again: bool) -> Orders:  # noqa: FBT001  # as it is asked
            path = str(folder / f"{worker}.sock")
            return msgspec.structs.replace(
                orders, worker=worker, admin=path, settings=share, again=again
            )

        def all_listen(policy: str) -> None:
            told(Serving(port=reserved.port, admin_port=admin_port, policy=policy))

        supervisor = Supervisor(
            core, workers, orders=orders_of, told=all_listen, monotonic=clock.monotonic
        )
        return await supervisor.run(stopped, hung_up)


def _relay(workers: AllWorkers) -> Rooms:
    """The console's addresses, which a worker answers."""
    return ConsoleRelay(workers.listening, lambda path: find_place(path) is not None).handle
