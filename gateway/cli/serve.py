"""`serve`: run the gateway until told to stop."""

import argparse
import asyncio
import gc
import json
import logging
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.app import Gateway, base_of, load_settings
from gateway.backends.worker_channel import Orders
from gateway.cli.exits import Exit
from gateway.settings import MAX_WORKERS, Settings
from gateway.workers import Serving, share_of, supervise

COLLECT_AFTER = 20_000  # objects, some hundred requests at once; a few MB
SPARE_FILES = 128  # the trail, the state, listeners, the runtime's own

EPILOG = """\
examples:
  salon-gateway serve
  salon-gateway --config /etc/salon-gateway/gateway.yaml serve --port 8443
  salon-gateway serve --workers 4

The policy is read again whenever its files change, and at SIGHUP: if it does not load, the
last good one stays and the log says why. SIGTERM or SIGINT stop (open requests finish).
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "serve",
        help="run the gateway",
        description="Run the gateway in front of the CRM that gateway.yaml names.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("--port", type=int, help="guarded port (over gateway.yaml; 0 = any free)")
    words.add_argument("--admin-port", type=int, help="admin port (0 = any free)")
    words.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help=f"processes that serve, 1 to {MAX_WORKERS} (over gateway.yaml; 1 = this one alone)",
    )
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve; return when stopped."""
    settings = load_settings(args.config)
    set_up_logging(settings.log)
    if args.port is not None:
        listen = settings.listen.model_copy(update={"port": args.port})
        settings = settings.model_copy(update={"listen": listen})
    if args.admin_port is not None:
        listen_admin = settings.admin_listen.model_copy(update={"port": args.admin_port})
        settings = settings.model_copy(update={"admin_listen": listen_admin})

    if args.workers is not None:
        settings = settings.model_copy(update={"workers": args.workers})
    settings_file = Path(args.config).absolute()  # not resolved: it may be a link that moves
    try:
        if settings.workers == 1:
            allow_open_files(settings.limits.connections)
            asyncio.run(_serve_alone(settings, base_of(args.config), settings_file))
            return Exit.GOOD
        # The workers inherit it.
        allow_open_files(share_of(settings, settings.workers, 0).limits.connections)
        orders = Orders(
            worker=0,
            admin="",
            settings="",
            base=str(base_of(args.config)),
            settings_file=str(settings_file),
            output=args.output,
            again=False,
        )
        return asyncio.run(_serve_together(settings, orders))
    except OSError as error:
        return cannot_listen(settings, error)


async def _serve_alone(settings: Settings, base: Path, settings_file: Path) -> None:
    # Before anybody can know that we listen: a SIGHUP that comes first would end us.
    signals = Told.by_signals()
    gateway = await Gateway.start(settings, base, settings_file=settings_file)
    spare_what_stays()
    policy = gateway.bundles.current().digest
    print(json.dumps(_listening(settings, gateway.port, gateway.admin_port, policy)), flush=True)
    try:
        await until_stopped(gateway, signals)
    finally:
        await gateway.stop()


async def _serve_together(settings: Settings, orders: Orders) -> int:
    signals = Told.by_signals()

    def told(serving: Serving) -> None:
        event = _listening(settings, serving.port, serving.admin_port, serving.policy)
        print(json.dumps({**event, "workers": settings.workers}), flush=True)

    return await supervise(
        settings, orders, told=told, stopped=signals.stopped, hung_up=signals.hung_up
    )


def _listening(settings: Settings, port: int, admin_port: int, policy: str) -> dict[str, object]:
    """The one line on standard output."""
    scheme = "https" if settings.listen.certificate else "http"
    return {
        "event": "listening",
        "guarded": f"{scheme}://{settings.listen.host}:{port}",
        "admin": f"http://{settings.admin_listen.host}:{admin_port}",
        "upstream": settings.upstream.url,
        "policy": policy,
    }


def cannot_listen(settings: Settings, error: OSError) -> int:
    """Say so, and the exit code."""
    where = f"{settings.listen.host}:{settings.listen.port}"
    print(f"salon-gateway: cannot listen on {where}: {error.strerror}", file=sys.stderr)
    return Exit.BROKEN


@dataclass(frozen=True, slots=True)
class Told:
    """What the process was told: to stop, or to read the policy again."""

    stopped: asyncio.Event
    hung_up: asyncio.Event

    @classmethod
    def by_signals(cls) -> Self:
        """Catch SIGTERM, SIGINT and SIGHUP from now on."""
        signals = cls(asyncio.Event(), asyncio.Event())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, signals.stopped.set)
        loop.add_signal_handler(signal.SIGINT, signals.stopped.set)
        loop.add_signal_handler(signal.SIGHUP, signals.hung_up.set)
        return signals


async def until_stopped(gateway: Gateway, signals: Told) -> None:
    """Wait for SIGTERM or SIGINT; read the policy again at each SIGHUP."""
    async with asyncio.TaskGroup() as tasks:
        reloading = tasks.create_task(_reload_at(signals.hung_up, gateway))
        await signals.stopped.wait()
        reloading.cancel()


async def _reload_at(hung_up: asyncio.Event, gateway: Gateway) -> None:
    """Read the policy again at each SIGHUP; those that come meanwhile are one more."""
    while await hung_up.wait():
        hung_up.clear()
        await gateway.bundles.reload()


def _workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 to {MAX_WORKERS}")
    return int(text)


def spare_what_stays() -> None:
    """Keep the garbage collector off what is there for good, and from looking too often.

    A policy is a few hundred thousand objects that stay, and a request leaves hardly a circle
    behind: what it takes is given back without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def allow_open_files(connections: int) -> None:
    """Raise the limit on open files for this many clients, each with a hop to the CRM behind.

    A usual soft limit is 1,024: beyond it connections would fail before ours is reached.
    """
    wanted = 2 * connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < wanted:
        print(
            f"salon-gateway: only {reachable} open files are allowed, {wanted} are wanted for "
            f"`limits.connections: {connections}`; raise `ulimit -n` or lower it",
            file=sys.stderr,
        )


def set_up_logging(form: str, worker: int | None = None) -> None:
    """Send events to standard error, as JSON lines or as plain text.

    Args:
        form: `json` or `text`.
        worker: said in each line, where several write.
    """
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(_JsonLines(worker))
    else:
        who = "" if worker is None else f" worker={worker}"
        handler.setFormatter(logging.Formatter(f"%(levelname)s %(name)s{who} %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("casbin", "watchfiles"):
        logging.getLogger(library).setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    """One JSON object a line: when, how grave, from where, and the event's own members."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._who,
        }
        message = record.getMessage()
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        line |= event if isinstance(event, dict) else {"event": "message", "text": message}
        return json.dumps(line, ensure_ascii=False)
