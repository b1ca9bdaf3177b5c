"""`token`: issue a token for trying things out, signed with the shared secret."""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.app import base_of, load_settings, token_policy
from gateway.backends.clock import SystemClock
from gateway.backends.policy_folder import read_sources
from gateway.build import build
from gateway.cli.enrolling import known_epochs
from gateway.cli.exits import Exit
from gateway.cli.say import known_app, known_roles
from gateway.domain.finding import did_you_mean
from gateway.domain.subject import DeviceId, Role, StaffId, device_id
from gateway.domain.time import Instant
from gateway.identity.claims import issue
from gateway.settings import Settings

EPILOG = """\
examples:
  salon-gateway token mei --app phone
  curl -H "Authorization: Bearer $(salon-gateway token mei)" http://127.0.0.1:8080/api/clients

The token carries the current device-session epoch: `salon-gateway session revoke mei` ends it.
It needs `tokens.secret` or `tokens.secret_file`: tokens of a JWKS are signed by their issuer.
"""
MAX_HOURS = 24 * 31


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "token",
        help="issue a development token",
        description="Issue a token for somebody on the roster, and print it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("staff", metavar="STAFF", help="`mei` or `staff:mei`")
    words.add_argument("--device", help="name a device, to log it out by itself later")
    words.add_argument("--app", help="the `app` claim, for `app:` conditions")
    words.add_argument("--role", action="append", metavar="ROLE", help="narrow it to this role")
    words.add_argument("--hours", type=int, default=12, help="lifetime (default: %(default)s)")
    words.set_defaults(run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a development token shall say. `roles` None = all that the person holds."""

    staff: StaffId
    device: DeviceId | None = None
    app: str | None = None
    roles: frozenset[Role] | None = None
    hours: int = 12


def run(args: argparse.Namespace) -> int:
    """Issue; print; exit."""
    settings = load_settings(args.config)
    base = base_of(args.config)
    bundle = build(read_sources(settings, base))
    staff = StaffId(f"staff:{args.staff.removeprefix('staff:')}")
    problem = None
    if staff not in bundle.people:
        known = [name.removeprefix("staff:") for name in bundle.people]
        near = did_you_mean(args.staff.removeprefix("staff:"), known)
        problem = f"`{args.staff}` is not on the roster; {near}"
    elif not 1 <= args.hours <= MAX_HOURS:
        problem = f"`--hours` is 1 to {MAX_HOURS}"
    elif args.role and settings.tokens.claims.roles is None:
        problem = "`--role` needs a claim for roles; name it at `tokens.claims.roles`"
    if problem:
        print(f"salon-gateway token: {problem}", file=sys.stderr)
        return Exit.USAGE
    try:
        wish = Wish(
            staff=staff,
            device=device_id(args.device) if args.device else None,
            app=known_app(args.app, bundle.apps),
            roles=known_roles(args.role, bundle.roles),
            hours=args.hours,
        )
        token = asyncio.run(issue_token(settings, base, wish, SystemClock().now()))
    except ValueError as error:
        print(f"salon-gateway token: {error}", file=sys.stderr)
        return Exit.USAGE
    print(json.dumps({"token": token}) if args.output == "json" else token)
    return Exit.GOOD


async def issue_token(settings: Settings, base: Path, wish: Wish, now: Instant) -> str:
    """Enrol the person's device session and sign a token at its current epoch.

    Raises:
        ValueError: there is no shared secret to sign with, or the wish cannot be had.
        StateUnavailableError: the epoch cannot be read.
    """
    policy = token_policy(settings, base)
    for key in policy.keys.keys:
        if isinstance(key.material, bytes):
            secret, algorithm, kid = key.material, key.algorithm, key.kid
            break
    else:
        raise ValueError("no shared secret to sign with; set `tokens.secret_file`")
    async with known_epochs(settings, base) as epochs:
        epoch = await epochs.enrol(wish.staff, wish.device, now)
    return issue(
        key=secret,
        algorithm=algorithm,
        kid=kid,
        issuer=policy.issuer,
        audience=policy.audience,
        names=policy.names,
        staff=wish.staff,
        device=wish.device,
        app=wish.app,
        roles=wish.roles,
        epoch=epoch,
        now=now,
        lifetime_seconds=wish.hours * 3600,
    )
