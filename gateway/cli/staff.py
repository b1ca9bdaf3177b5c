"""`staff list`: who is on the roster, with which roles, and who has left."""

import argparse
import json

from gateway.app import load_bundle
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.domain.subject import ANYONE
from gateway.domain.time import Instant
from gateway.identity.roster import Member

EPILOG = """\
examples:
  salon-gateway staff list
  salon-gateway --output json staff list
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "staff",
        help="the roster",
        description="Look at the roster.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="everyone, with salon, roles and standing",
        description="List everyone on the roster: salon, roles (inherited ones in brackets), "
        "and whether they work here today.",
    )
    listing.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List; exit."""
    bundle = load_bundle(args.config)
    now = SystemClock().now()
    people = sorted(bundle.roster.members.values(), key=lambda member: member.staff)
    if args.output == "json":
        listed = [_data(bundle, member, now) for member in people]
        print(json.dumps(listed, ensure_ascii=False, indent=2))
        return Exit.GOOD
    rows = [("who", "name", "salon", "roles", "standing")]
    rows += [
        (
            member.staff,
            member.name,
            ", ".join(member.salons),
            _roles(member) + _inherited(bundle, member),
            standing(bundle, member, now),
        )
        for member in people
    ]
    print_table(rows)
    return Exit.GOOD


def standing(bundle: Bundle, member: Member, now: Instant) -> str:
    """`works here`, `joins ...`, `on notice since ...` or `left ...`."""
    today = bundle.today(next(iter(member.salons)), now)
    if member.leaves_on is not None and today > member.leaves_on:
        return f"left on {member.leaves_on}"
    if today < member.joined:
        return f"joins on {member.joined}"
    if member.on_notice_since is not None and member.on_notice_since <= today:
        return f"on notice since {member.on_notice_since}"
    return "works here"


def _roles(member: Member) -> str:
    """The roles; with their salon for somebody who works in several."""
    if len(member.salons) == 1:
        return ", ".join(*member.salons.values())
    return "; ".join(f"{salon}: {', '.join(roles)}" for salon, roles in member.salons.items())


def _inherited(bundle: Bundle, member: Member) -> str:
    given = {role for roles in member.salons.values() for role in roles}
    more = bundle.people[member.staff].held - {*given, ANYONE}
    return f" ({', '.join(sorted(more))})" if more else ""


def _data(bundle: Bundle, member: Member, now: Instant) -> dict[str, object]:
    return {
        "staff": member.staff,
        "name": member.name,
        "salons": {salon: list(roles) for salon, roles in member.salons.items()},
        "held": {post.salon: sorted(post.held) for post in bundle.people[member.staff].posts},
        "standing": standing(bundle, member, now),
    }
