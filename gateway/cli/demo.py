"""`demo`: a sample salon with its CRM, guarded, and a tour of what the gateway does."""

import argparse
import asyncio
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from gateway.app import load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.exits import Exit
from gateway.cli.init import write_starter
from gateway.cli.token import Wish, issue_token
from gateway.demo.tour import Scene, play
from gateway.demo.world import StartError, crm, gateway, write_config, write_hours
from gateway.domain.subject import DeviceId, staff_id

PORT, ADMIN_PORT = 8080, 9180
PEOPLE = (
    Wish(staff=staff_id("ken"), app="backoffice", device=DeviceId("desk")),
    Wish(staff=staff_id("mei"), app="phone", device=DeviceId("phone-mei")),
    Wish(staff=staff_id("yuki"), app="phone", device=DeviceId("phone-yuki")),
)
EPILOG = """\
examples:
  salon-gateway demo                 the tour, then it keeps serving until Ctrl-C
  salon-gateway demo --once          the tour alone, for scripts

The sample CRM and the gateway run as processes of their own, on loopback, and end with the demo.
Everything it writes lies in a temporary folder, which is printed and removed at the end.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "demo",
        help="a sample salon, guarded, with a tour",
        description="Start a sample salon CRM, put the gateway in front of it, play a tour.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument(
        "--once", action="store_true", help="play the tour, exit 0 if all came out as said"
    )
    words.add_argument("--port", type=int, help=f"guarded port (default: {PORT} or a free one)")
    words.add_argument(
        "--admin-port", type=int, help=f"admin port (default: {ADMIN_PORT} or a free one)"
    )
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start, tour, serve, clean up."""
    # A plain `kill` ends the demo like Ctrl-C: with its children, and its folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = _port(args.port, PORT, once=args.once)
    admin_port = _port(args.admin_port, ADMIN_PORT, once=args.once)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="salon-gateway-")))
        try:
            scene = _start(stack, folder, port, admin_port)
        except StartError as error:
            print(f"salon-gateway demo: {error}", file=sys.stderr)
            return Exit.BROKEN
        print(f"guarded: {scene.guarded}   admin: {scene.admin}   files: {folder}")
        good = play(scene, sys.stdout)
        print("\nEvery step came out as said." if good else "\nNot every step came out as said.")
        if not args.once:
            _write_tokens(folder)  # the tour logged Mei out; its lines shall be repeatable
            print(f"Mei has a new token. Still serving on {scene.guarded}; Ctrl-C ends it.")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):  # the way it ends
                while True:
                    signal.pause()
    return Exit.GOOD if good else Exit.BROKEN


def _start(stack: ExitStack, folder: Path, port: int, admin_port: int) -> Scene:
    """A folder with a policy, a CRM behind, the gateway in front, tokens for three people."""
    write_starter(folder)
    (folder / "gateway.yaml").unlink()
    write_hours(folder, SystemClock().now())
    behind = stack.enter_context(crm(folder))
    write_config(folder, port=port, admin_port=admin_port, crm_port=behind.said["port"])
    _write_tokens(folder)
    front = stack.enter_context(gateway(folder))
    return Scene(guarded=front.said["guarded"], admin=front.said["admin"], folder=folder)


def _write_tokens(folder: Path) -> None:
    settings = load_settings(str(folder / "gateway.yaml"))
    (folder / "tokens").mkdir(exist_ok=True)
    for wish in PEOPLE:
        token = asyncio.run(issue_token(settings, folder, wish, SystemClock().now()))
        file = folder / "tokens" / f"{wish.staff.removeprefix('staff:')}.token"
        file.write_text(token + "\n", encoding="ascii")


def _port(asked: int | None, usual: int, *, once: bool) -> int:
    """The port that was asked for; else the usual one if it is free; else any free one."""
    if asked is not None:
        return asked
    if once:
        return 0
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            print(f"port {usual} is taken; using a free one")
            return 0
    return usual
