"""`serve`: run the gateway until told to stop."""

import argparse
import asyncio
import json
import logging
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.app import Gateway, base_of, load_settings
from gateway.cli.exits import Exit

SPARE_FILES = 128  # the trail, the state, listeners, the runtime's own

EPILOG = """\
examples:
  salon-gateway serve
  salon-gateway --config /etc/salon-gateway/gateway.yaml serve --port 8443

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

    allow_open_files(settings.limits.connections)

    settings_file = Path(args.config).absolute()  # not resolved: it may be a link that moves

    async def serve() -> None:
        # Before anybody can know that we listen: a SIGHUP that comes first would end us.
        signals = _Signals.caught()
        gateway = await Gateway.start(settings, base_of(args.config), settings_file=settings_file)
        scheme = "https" if settings.listen.certificate else "http"
        event = {
            "event": "listening",
            "guarded": f"{scheme}://{settings.listen.host}:{gateway.port}",
            "admin": f"http://{settings.admin_listen.host}:{gateway.admin_port}",
            "upstream": settings.upstream.url,
            "policy": gateway.bundles.current().digest,
        }
        print(json.dumps(event), flush=True)
        try:
            await _until_stopped(gateway, signals)
        finally:
            await gateway.stop()

    try:
        asyncio.run(serve())
    except OSError as error:
        where = f"{settings.listen.host}:{settings.listen.port}"
        print(f"salon-gateway: cannot listen on {where}: {error.strerror}", file=sys.stderr)
        return Exit.BROKEN
    return Exit.GOOD


@dataclass(frozen=True, slots=True)
class _Signals:
    """What the process was told: to stop, or to read the policy again."""

    stopped: asyncio.Event
    hung_up: asyncio.Event

    @classmethod
    def caught(cls) -> Self:
        """Catch SIGTERM, SIGINT and SIGHUP from now on."""
        signals = cls(asyncio.Event(), asyncio.Event())
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, signals.stopped.set)
        loop.add_signal_handler(signal.SIGINT, signals.stopped.set)
        loop.add_signal_handler(signal.SIGHUP, signals.hung_up.set)
        return signals


async def _until_stopped(gateway: Gateway, signals: _Signals) -> None:
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


def set_up_logging(form: str) -> None:
    """Send events to standard error, as JSON lines or as plain text."""
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(_JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("casbin", "watchfiles"):
        logging.getLogger(library).setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    """One JSON object a line: when, how grave, from where, and the event's own members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        message = record.getMessage()
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        line |= event if isinstance(event, dict) else {"event": "message", "text": message}
        return json.dumps(line, ensure_ascii=False)
