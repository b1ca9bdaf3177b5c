"""`session`: log people and devices out, everywhere, at once; see who has been."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.app import base_of, load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.acting import HERE, act, bare, staff_of
from gateway.cli.enrolling import known_epochs
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId, device_id
from gateway.domain.time import Instant
from gateway.ports import EpochRow, EpochStore
from gateway.sessions import Sessions

T = TypeVar("T")

EPILOG = """\
examples:
  salon-gateway session revoke mei                   a lost phone: out everywhere
  salon-gateway session revoke mei --device phone-1  only this device
  salon-gateway session enrol mei                    make mei known, and print her epoch
  salon-gateway session list                         everybody known

A token carries the epoch of its issue. It counts as long as its epoch is not below the floor
of its person and of its device; `revoke` raises the floor above every token issued so far.
When it says so, it is in force in every gateway that shares this state, with their next request,
and it stands in the audit trail. Whoever is logged out may sign in anew: `salon-gateway staff
lock` keeps somebody out, `salon-gateway staff offboard` does so for good.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "session",
        help="log people or devices out; list who is known",
        description="Device sessions: log out, enrol, list.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("revoke", run_revoke, "log a person, or one device, out of everything"),
        ("enrol", run_enrol, "make a person (and a device) known; print the epoch for tokens"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.add_argument("staff", metavar="STAFF", type=staff_of, help="`mei` or `staff:mei`")
        action.add_argument(
            "--device", metavar="ID", type=_device, help="only this device, as its token names it"
        )
        action.set_defaults(run=run)
    text = "everybody known, with the floor below which tokens are refused"
    action = actions.add_parser("list", help=text, description=f"{text.capitalize()}.")
    action.set_defaults(run=run_list)


def run_revoke(args: argparse.Namespace) -> int:
    """Log out; say so; exit."""
    staff: StaffId = args.staff
    device: DeviceId | None = args.device

    async def ask(sessions: Sessions) -> int:
        return await sessions.log_out(staff, device, by=None, peer=HERE)

    def done(floor: int) -> int:
        where = "everywhere" if device is None else f"on {device}"
        if args.output == "json":
            _print_json({"staff": staff, "device": device, "floor": floor})
        else:
            print(f"{bare(staff)} is logged out {where}: tokens below epoch {floor} are refused")
        return Exit.GOOD

    return act("session", args.config, ask, done)


def run_enrol(args: argparse.Namespace) -> int:
    """Make known; say so; exit."""
    staff: StaffId = args.staff
    device: DeviceId | None = args.device

    def done(epoch: int) -> None:
        if args.output == "json":
            _print_json({"staff": staff, "device": device, "epoch": epoch})
        else:
            what = "" if device is None else f" with {device}"
            print(f"{bare(staff)} is known{what}: new tokens carry epoch {epoch}")

    return _with_store(args.config, lambda store, now: store.enrol(staff, device, now), done)


def run_list(args: argparse.Namespace) -> int:
    """List; exit."""

    def done(rows: Sequence[EpochRow]) -> None:
        if args.output == "json":
            _print_json([_as_data(row) for row in rows])
        elif rows:
            print_table([("who", "device", "floor", "since"), *map(_as_words, rows)])
        else:
            print("nobody is known yet: `salon-gateway session enrol STAFF` makes somebody known")

    return _with_store(args.config, lambda store, _: store.rows(), done)


def _with_store(
    config: str,
    ask: Callable[[EpochStore, Instant], Awaitable[T]],
    done: Callable[[T], None],
) -> int:
    settings, base = load_settings(config), base_of(config)

    async def once() -> T:
        async with known_epochs(settings, base) as store:
            return await ask(store, SystemClock().now())

    try:
        answer = asyncio.run(once())
    except StateUnavailableError as error:
        print(f"salon-gateway session: no answer: {error.detail}; try again", file=sys.stderr)
        return Exit.BROKEN
    done(answer)
    return Exit.GOOD


def _device(text: str) -> DeviceId:
    try:
        return device_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is not a device: {error}") from error


def _as_words(row: EpochRow) -> tuple[str, ...]:
    since = row.changed_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return bare(row.staff), row.device or "(everywhere)", str(row.floor), since


def _as_data(row: EpochRow) -> dict[str, str | int | None]:
    return {
        "staff": row.staff,
        "device": row.device,
        "floor": row.floor,
        "changed_at": row.changed_at.isoformat(),
    }


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))
