"""`staff`: who is on the roster, with which roles, who is locked, and who has left."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.app import base_of, document_store, load_bundle, load_settings
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli import staff_acts
from gateway.cli.exits import Exit
from gateway.cli.say import local, print_table
from gateway.cli.staff_acts import lock_as_data, zone_of
from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import ANYONE, StaffId
from gateway.domain.time import Instant
from gateway.identity.locks import Lock
from gateway.identity.roster import Member
from gateway.sessions import locks_in

EPILOG = """\
examples:
  salon-gateway staff list
  salon-gateway --output json staff list
  salon-gateway staff lock mei                        nothing works for mei until unlocked
  salon-gateway staff offboard mei --at end-of-shift  for good, when the salon closes today
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "staff",
        help="the roster; lock people, see them out",
        description="Look at the roster; lock people and unlock them; see them out for good.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="everyone, with salon, roles and standing",
        description="List everyone on the roster: salon, roles (inherited ones in brackets), and "
        "whether they work here today, are locked, or have left. An id of somebody who has left "
        "that still stands there, or again, is named below.",
    )
    listing.set_defaults(run=run)
    staff_acts.register(actions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line.

    Attributes:
        member: None = not on the roster.
        lock: None = nothing is said of them.
        known: the state answered; without it `lock` says nothing.
    """

    staff: StaffId
    member: Member | None
    lock: Lock | None
    known: bool


def run(args: argparse.Namespace) -> int:
    """List; exit."""
    bundle = load_bundle(args.config)
    now = SystemClock().now()
    members = bundle.roster.members
    locks: Mapping[StaffId, Lock] = {}
    known = True
    try:
        locks = asyncio.run(_locks(args.config, now))
    except StateUnavailableError as error:
        known = False
        why = f"who is locked or has left is not known: {error.detail}"
        print(f"salon-gateway staff: {why}", file=sys.stderr)
    people = [
        Listed(staff=staff, member=members.get(staff), lock=locks.get(staff), known=known)
        for staff in (*sorted(members), *sorted(locks.keys() - members.keys()))
    ]
    if args.output == "json":
        data = [_data(bundle, one, now) for one in people]
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        print_table([_HEADING, *(_row(bundle, one, now) for one in people)])
        for one in people:
            if note := _note(bundle, one, now):
                print(note)
    return Exit.GOOD if known else Exit.BROKEN


_HEADING = ("who", "name", "salon", "roles", "standing")


async def _locks(config: str, now: Instant) -> Mapping[StaffId, Lock]:
    documents = document_store(load_settings(config), base_of(config))
    try:
        return await locks_in(documents, now)
    finally:
        await documents.close()


def _row(bundle: Bundle, one: Listed, now: Instant) -> tuple[str, ...]:
    member = one.member
    said = _whole_standing(bundle, one, now)
    if member is None:
        return one.staff, "-", "-", "-", said
    roles = _roles(member) + _inherited(bundle, member)
    return one.staff, member.name, ", ".join(member.salons), roles, said


def _whole_standing(bundle: Bundle, one: Listed, now: Instant) -> str:
    """What the roster says, and what the state says beside it."""
    roster = "not on the roster" if one.member is None else standing(bundle, one.member, now)
    if not one.known:
        return f"{roster}; locks not known"
    lock = one.lock
    if lock is None:
        return roster
    said = ["locked"] if lock.is_locked(now) else []
    if lock.has_left(now):
        said.append("has left")
    elif lock.leaves_at is not None:
        zone = zone_of(one.staff, bundle) or "UTC"
        said.append(f"leaves at {local(lock.leaves_at, zone)} ({zone})")
    return "; ".join((*([] if lock.has_left(now) and one.member else [roster]), *said))


def standing(bundle: Bundle, member: Member, now: Instant) -> str:
    """What the roster says: `works here`, `joins ...`, `on notice since ...` or `left ...`."""
    today = bundle.today(next(iter(member.salons)), now)
    if member.leaves_on is not None and today > member.leaves_on:
        return f"left on {member.leaves_on}"
    if today < member.joined:
        return f"joins on {member.joined}"
    if member.on_notice_since is not None and member.on_notice_since <= today:
        return f"on notice since {member.on_notice_since}"
    return "works here"


def _note(bundle: Bundle, one: Listed, now: Instant) -> str | None:
    """An id of somebody who has left, on a roster that does not say so."""
    member, lock = one.member, one.lock
    if member is None or lock is None or not lock.has_left(now):
        return None
    today = bundle.today(next(iter(member.salons)), now)
    if member.leaves_on is not None and today > member.leaves_on:
        return None
    return (
        f"{member.place}: `{one.staff.removeprefix('staff:')}` has left; give the new person "
        "another id, or take the one who left off the list"
    )


def _roles(member: Member) -> str:
    """The roles; with their salon for somebody who works in several."""
    if len(member.salons) == 1:
        return ", ".join(*member.salons.values())
    return "; ".join(f"{salon}: {', '.join(roles)}" for salon, roles in member.salons.items())


def _inherited(bundle: Bundle, member: Member) -> str:
    given = {role for roles in member.salons.values() for role in roles}
    more = bundle.people[member.staff].held - {*given, ANYONE}
    return f" ({', '.join(sorted(more))})" if more else ""


def _data(bundle: Bundle, one: Listed, now: Instant) -> dict[str, object]:
    """One line for programs; `lock` is `not known` where the state did not answer."""
    member = one.member
    return {
        "staff": one.staff,
        "name": None if member is None else member.name,
        "salons": {} if member is None else {s: list(r) for s, r in member.salons.items()},
        "held": {}
        if member is None
        else {post.salon: sorted(post.held) for post in bundle.people[member.staff].posts},
        "standing": None if member is None else standing(bundle, member, now),
        "lock": lock_as_data(one.lock, now) if one.known else "not known",
        "note": _note(bundle, one, now),
    }
