"""`account`: who signs in here with a password; give somebody one, take an account away.

A password is read from the terminal without echo, or as one line from standard input; never
from the command line, where the history of the shell and the list of processes show it.
"""

import argparse
import asyncio
import getpass
import json
import secrets
import sys
from collections.abc import Mapping

from gateway.accounts import Accounts
from gateway.app import base_of, document_store, load_bundle, load_settings
from gateway.backends.argon2 import Argon2Hasher
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.acting import HERE, NotDoneError, act, bare, staff_of
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.domain.errors import StateUnavailableError
from gateway.domain.finding import did_you_mean
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import from_milliseconds
from gateway.identity.accounts import Account, parse_account
from gateway.identity.passwords import generate
from gateway.identity.roster import Roster
from gateway.identity.weakness import TEXTS, Weakness
from gateway.ports import Kind
from gateway.sessions import Sessions

MAX_LINE = 4096  # characters of standard input that are read

EPILOG = """\
examples:
  salon-gateway account set-password mei --generate   print one; mei changes it when signing in
  salon-gateway account set-password mei              let mei type it here, twice, unseen
  salon-gateway account list
  salon-gateway account remove mei
  salon-gateway account second-factor remove mei      mei has lost the phone with the app

For salons without an identity provider: with `accounts.enabled` people sign in at /_salon/sign-in.
Setting a password, or removing an account, ends every session of that person at once.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "account",
        help="passwords of people who sign in at the gateway",
        description="Own accounts: set a password, list, remove.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("set-password", run_set, "give somebody a password, and an account if they have none"),
        ("list", run_list, "everybody who has an account"),
        ("remove", run_remove, "take an account away"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        if run is not run_list:
            action.add_argument("staff", metavar="STAFF", type=staff_of, help="`mei`")
        if run is run_set:
            action.add_argument(
                "--generate",
                action="store_true",
                help="make one and print it; it has to be changed at the first sign-in",
            )
        action.set_defaults(run=run)
    second = actions.add_parser(
        "second-factor",
        help="take a second factor away",
        description="The second factor of somebody who has lost the phone with the app.",
    )
    acts = second.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "take it away, and end every session"
    remove = acts.add_parser("remove", help=text, description=f"{text.capitalize()}.")
    remove.add_argument("staff", metavar="STAFF", type=staff_of, help="`mei`")
    remove.set_defaults(run=run_remove_second)


def run_set(args: argparse.Namespace) -> int:
    """Set; say so; exit."""
    staff: StaffId = args.staff
    bundle = load_bundle(args.config)
    temporary: bool = args.generate
    try:
        _require_on_roster(staff, bundle)
        password = generate(secrets.randbelow) if temporary else _typed()
    except NotDoneError as error:
        print(f"salon-gateway account: {error}", file=sys.stderr)
        return Exit.USAGE

    async def ask(sessions: Sessions) -> tuple[Weakness, ...]:
        hasher = Argon2Hasher()
        try:
            return await _accounts(sessions, bundle.roster, hasher).set_password(
                staff, password, by=None, peer=HERE, temporary=temporary
            )
        finally:
            hasher.close()

    def done(weak: tuple[Weakness, ...]) -> int:
        for one in weak:
            print(f"salon-gateway account: {TEXTS['en'][one]}", file=sys.stderr)
        if weak:
            return Exit.USAGE
        if args.output == "json":
            told = {"password": password} if temporary else {}
            print(json.dumps({"staff": staff, "temporary": temporary, **told}))
        elif temporary:
            print(password)
            print(
                f"{bare(staff)} can sign in with it once, and then chooses another; every session "
                "of theirs has ended",
                file=sys.stderr,
            )
        else:
            print(f"{bare(staff)} has a new password; every session of theirs has ended")
        return Exit.GOOD

    return act("account", args.config, ask, done)


def run_remove(args: argparse.Namespace) -> int:
    """Remove; say so; exit."""
    staff: StaffId = args.staff

    async def ask(sessions: Sessions) -> bool:
        now = sessions.clock.now()
        if await sessions.documents.get(Kind.ACCOUNT, staff, now) is None:
            raise NotDoneError(f"`{bare(staff)}` has no account; `account list` names who has")
        nobody = Roster(members={}, roles=frozenset())
        hasher = Argon2Hasher()
        try:
            return await _accounts(sessions, nobody, hasher).remove(staff, by=None, peer=HERE)
        finally:
            hasher.close()

    def done(removed: bool) -> int:  # noqa: FBT001  # what `remove` answers
        if args.output == "json":
            print(json.dumps({"staff": staff, "removed": removed}))
        else:
            print(f"{bare(staff)} has no account any more; every session of theirs has ended")
        return Exit.GOOD

    return act("account", args.config, ask, done)


def run_remove_second(args: argparse.Namespace) -> int:
    """Take it away; say so; exit."""
    staff: StaffId = args.staff

    async def ask(sessions: Sessions) -> bool:
        kept = await sessions.documents.get(Kind.ACCOUNT, staff, sessions.clock.now())
        if kept is None or parse_account(kept.value).second is None:
            raise NotDoneError(
                f"`{bare(staff)}` has no second factor; `account list` says who has"
            )
        nobody = Roster(members={}, roles=frozenset())
        hasher = Argon2Hasher()
        try:
            accounts = _accounts(sessions, nobody, hasher)
            return await accounts.remove_second_factor(staff, by=None, peer=HERE)
        finally:
            hasher.close()

    def done(removed: bool) -> int:  # noqa: FBT001  # what `remove_second_factor` answers
        if args.output == "json":
            print(json.dumps({"staff": staff, "removed": removed}))
        else:
            print(
                f"{bare(staff)} has no second factor any more; every session of theirs has ended. "
                "If the phone is in somebody's hands, set a new password, too"
            )
        return Exit.GOOD

    return act("account", args.config, ask, done)


def run_list(args: argparse.Namespace) -> int:
    """List; exit."""
    bundle = load_bundle(args.config)

    async def read() -> Mapping[str, Account]:
        documents = document_store(load_settings(args.config), base_of(args.config))
        try:
            kept = await documents.all(Kind.ACCOUNT, SystemClock().now())
        finally:
            await documents.close()
        return {staff: parse_account(one.value) for staff, one in sorted(kept.items())}

    try:
        found = asyncio.run(read())
    except StateUnavailableError as error:
        print(f"salon-gateway account: no answer: {error.detail}; try again", file=sys.stderr)
        return Exit.BROKEN
    if args.output == "json":
        listed = [_as_data(staff, account, bundle) for staff, account in found.items()]
        print(json.dumps(listed, ensure_ascii=False, indent=2))
    elif found:
        rows = [_as_words(staff, account, bundle) for staff, account in found.items()]
        print_table([("who", "password", "since", "second factor", "devices"), *rows])
    else:
        print(
            "nobody has an account yet: `salon-gateway account set-password STAFF --generate` "
            "makes one"
        )
    return Exit.GOOD


def _accounts(sessions: Sessions, roster: Roster, hasher: Argon2Hasher) -> Accounts:
    """The accounts on what an act has opened; nobody signs in here."""
    return Accounts(
        documents=sessions.documents,
        epochs=sessions.epochs,
        hasher=hasher,
        audit=sessions.audit,
        clock=sessions.clock,
        roster=lambda: roster,
        policy=sessions.policy,
        new_id=sessions.new_id,
        new_device=_no_device,
    )


def _no_device() -> DeviceId:
    raise AssertionError("nobody signs in on the command line")


def _require_on_roster(staff: StaffId, bundle: Bundle) -> None:
    if staff not in bundle.roster.members:
        near = did_you_mean(bare(staff), map(bare, bundle.roster.members))
        raise NotDoneError(f"`{bare(staff)}` is not on the roster; {near}")


def _typed() -> str:
    """The new password from the terminal, twice and unseen, or from standard input."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline(MAX_LINE)
        if not line:
            raise NotDoneError("no password on standard input; write it as one line")
        return line.removesuffix("\n").removesuffix("\r")
    first = getpass.getpass("New password: ")
    if getpass.getpass("The same again: ") != first:
        raise NotDoneError("these were two passwords; nothing was changed")
    return first


def _as_words(staff: str, account: Account, bundle: Bundle) -> tuple[str, ...]:
    kind = "to be changed" if account.must_change else "their own"
    if staff not in bundle.roster.members:
        kind = "of no use: not on the roster"
    since = from_milliseconds(account.changed_at).strftime("%Y-%m-%d %H:%M UTC")
    second = "-"
    if account.second is not None:
        second = f"yes, {len(account.second.recovery)} recovery codes left"
    return staff.removeprefix("staff:"), kind, since, second, str(len(account.devices))


def _as_data(staff: str, account: Account, bundle: Bundle) -> dict[str, object]:
    return {
        "staff": staff,
        "on_roster": staff in bundle.roster.members,
        "must_change": account.must_change,
        "changed_at": from_milliseconds(account.changed_at).isoformat(),
        "second_factor": account.second is not None,
        "recovery_codes": 0 if account.second is None else len(account.second.recovery),
        "devices": sorted(account.devices),
    }
