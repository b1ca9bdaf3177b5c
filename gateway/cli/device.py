"""`device`: which devices people come with; approve, refuse, name and forget them."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.app import base_of, document_store, load_settings
from gateway.backends.clock import SystemClock
from gateway.cli.acting import HERE, NotDoneError, act, bare, staff_of
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.devices import DeviceRegistry, devices_in
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId, device_id
from gateway.domain.time import from_milliseconds
from gateway.identity.devices import Device, Record, State, read_label
from gateway.sessions import Sessions

EPILOG = """\
examples:
  salon-gateway device list --waiting              what waits for approval
  salon-gateway device approve mei phone-1
  salon-gateway device rename mei phone-1 "Mei's tablet"
  salon-gateway device refuse mei phone-1          out at once, and it stays out
  salon-gateway device forget mei phone-1          as if it had never come

A device is named as its token names it. Whether new ones wait is `devices.new` in gateway.yaml;
an approved one also makes the condition `approved_device` true. A lost phone: `device refuse`, or
`session revoke` to log it out only.
"""
_HEADING: Final = ("who", "device", "name", "state", "app", "last seen", "first seen")

Ask = Callable[[DeviceRegistry], Awaitable[None]]


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "device",
        help="the devices people come with; approve and refuse them",
        description="The registry of devices: list, approve, refuse, rename, forget.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "every device, with its state and when it was seen"
    listing = actions.add_parser("list", help=text, description=f"{text.capitalize()}.")
    listing.add_argument("--staff", metavar="ID", type=staff_of, help="only this person's")
    listing.add_argument(
        "--waiting", action="store_true", help="only those that wait for approval"
    )
    listing.set_defaults(run=run_list)
    for name, run, text in (
        ("approve", run_approve, "let a device come in"),
        ("refuse", run_refuse, "keep a device out, and end its sessions"),
        ("rename", run_rename, "give a device a name of your own"),
        ("forget", run_forget, "forget a device and what was said of it, and end its sessions"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.add_argument("staff", metavar="STAFF", type=staff_of, help="`mei` or `staff:mei`")
        action.add_argument("device", metavar="DEVICE", type=_device, help="as its token names it")
        if run is run_rename:
            action.add_argument(
                "name", metavar="NAME", nargs="?", type=_label, help="left out: none any more"
            )
        action.set_defaults(run=run)


def run_approve(args: argparse.Namespace) -> int:
    """Approve; say so; exit."""
    return _act(
        args,
        lambda registry: registry.approve(args.staff, args.device, by=None, peer=HERE),
        "is approved",
    )


def run_refuse(args: argparse.Namespace) -> int:
    """Refuse; say so; exit."""
    return _act(
        args,
        lambda registry: registry.refuse(args.staff, args.device, by=None, peer=HERE),
        "is refused, and logged out",
    )


def run_rename(args: argparse.Namespace) -> int:
    """Rename; say so; exit."""
    return _act(
        args,
        lambda registry: registry.rename(args.staff, args.device, args.name, by=None, peer=HERE),
        "has no name any more" if args.name is None else f"is called {args.name}",
    )


def run_forget(args: argparse.Namespace) -> int:
    """Forget; say so; exit."""
    return _act(
        args,
        lambda registry: registry.forget(args.staff, args.device, by=None, peer=HERE),
        "is forgotten, and logged out",
    )


def registry_of(sessions: Sessions) -> DeviceRegistry:
    """The registry over the same state and trail."""
    return DeviceRegistry(
        documents=sessions.documents,
        epochs=sessions.epochs,
        audit=sessions.audit,
        clock=sessions.clock,
        policy=sessions.policy,
        new_id=sessions.new_id,
    )


def run_list(args: argparse.Namespace) -> int:
    """List; exit."""
    try:
        records = asyncio.run(_records(args.config))
    except StateUnavailableError as error:
        print(f"salon-gateway device: no answer: {error.detail}; try again", file=sys.stderr)
        return Exit.BROKEN
    rows = [
        (staff, name, device)
        for staff, record in sorted(records.items())
        if args.staff in (None, staff)
        for name, device in sorted(record.devices.items())
        if device.state is State.WAITING or not args.waiting
    ]
    if args.output == "json":
        data = [_as_data(*row) for row in rows]
        print(json.dumps(data, ensure_ascii=False, indent=2))
    elif rows:
        print_table([_HEADING, *(_as_words(*row) for row in rows)])
    else:
        print("no device waits for approval" if args.waiting else "no device was seen yet")
    return Exit.GOOD


def _act(args: argparse.Namespace, ask: Ask, said: str) -> int:
    staff: StaffId = args.staff
    device: DeviceId = args.device

    async def once(sessions: Sessions) -> Device | None:
        registry = registry_of(sessions)
        try:
            await ask(registry)
        except RequestError:
            message = f"{bare(staff)} has no device `{device}`; `salon-gateway device list` names"
            raise NotDoneError(f"{message} those they came with") from None
        return (await registry.of(staff)).devices.get(device)

    def done(kept: Device | None) -> int:
        if args.output == "json":
            data = None if kept is None else _as_data(staff, device, kept)
            print(json.dumps(data, ensure_ascii=False, indent=2))
        else:
            print(f"{device} of {bare(staff)} {said}")
        return Exit.GOOD

    return act("device", args.config, once, done)


async def _records(config: str) -> Mapping[StaffId, Record]:
    documents = document_store(load_settings(config), base_of(config))
    try:
        return await devices_in(documents, SystemClock().now())
    finally:
        await documents.close()


def _device(text: str) -> DeviceId:
    try:
        return device_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is not a device: {error}") from error


def _label(text: str) -> str:
    try:
        return read_label(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _as_words(staff: StaffId, name: str, device: Device) -> tuple[str, ...]:
    state = str(device.state) if device.shared is None else f"{device.state}, shared"
    return (
        bare(staff),
        name,
        device.label or "-",
        state,
        device.app or "-",
        f"{device.last_seen:%Y-%m-%d %H:%M} UTC",
        f"{from_milliseconds(device.first):%Y-%m-%d %H:%M} UTC",
    )


def _as_data(staff: StaffId, name: str, device: Device) -> dict[str, str | None]:
    def moment(milliseconds: int | None) -> str | None:
        return None if milliseconds is None else from_milliseconds(milliseconds).isoformat()

    return {
        "staff": staff,
        "device": name,
        "name": device.label,
        "state": device.state,
        "app": device.app,
        "first_seen": moment(device.first),
        "last_seen": moment(device.last),
        "by": device.by,
        "said_at": moment(device.said),
        "shared_at": moment(device.shared),
    }
