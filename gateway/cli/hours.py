"""`hours`: is a salon open, in grace or closed at an instant, and when does it change?"""

import argparse
import json
import sys

from gateway.app import load_bundle
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.say import local, parse_moment
from gateway.domain.access import Window, WindowState
from gateway.domain.finding import did_you_mean
from gateway.domain.time import Instant
from gateway.enforcer.calendar import SalonHours
from gateway.enforcer.days import day_plan
from gateway.enforcer.window import local_date, window_at

EPILOG = """\
examples:
  salon-gateway hours                          every salon, now
  salon-gateway hours aoyama --at 2026-12-29T21:30
"""


_SAID = {
    WindowState.OPEN: "open",
    WindowState.GRACE: "in its grace time",
    WindowState.CLOSED: "closed",
    WindowState.UNKNOWN: "without hours, which counts as closed",
}


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "hours",
        help="open, grace or closed at an instant, and the next change",
        description="Show what hours.yaml says of an instant, for one salon or for all.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("salon", nargs="?", help="default: every salon")
    words.add_argument("--at", metavar="MOMENT", help="on the salon's clock (default: now)")
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look it up; print; exit."""
    bundle = load_bundle(args.config)
    salons = bundle.calendar.salons
    if args.salon is not None and args.salon not in salons:
        near = did_you_mean(args.salon, salons)
        print(f"salon-gateway hours: unknown salon `{args.salon}`; {near}", file=sys.stderr)
        return Exit.USAGE
    answers = {}
    for salon in [args.salon] if args.salon else sorted(salons):
        hours = salons[salon]
        try:
            at = parse_moment(args.at, hours.timezone) if args.at else SystemClock().now()
        except ValueError as error:
            print(f"salon-gateway hours: {error}", file=sys.stderr)
            return Exit.USAGE
        answers[salon] = (hours, at, window_at(hours, at))
    if args.output == "json":
        print(json.dumps({salon: _data(*found) for salon, found in answers.items()}, indent=2))
    else:
        for salon, found in answers.items():
            print(_sentence(bundle, salon, *found))
    return Exit.GOOD


def _sentence(bundle: Bundle, salon: str, hours: SalonHours, at: Instant, window: Window) -> str:
    zone = hours.timezone
    lines = [f"{salon} is {_SAID[window.state]} at {local(at, zone)} ({zone})"]
    if window.changes_at:
        after = window_at(hours, window.changes_at).state
        lines.append(f"  next change: {_SAID[after]} from {local(window.changes_at, zone)}")
    if window.opens_at:
        lines.append(f"  opens again, grace included: {local(window.opens_at, zone)}")
    plan = day_plan(hours, local_date(hours, at))
    spans = [f"{local(start, zone)} to {local(end, zone)}" for start, end in plan.intervals] or [
        "closed"
    ]
    where = f", {plan.by}" if plan.by else ""
    lines.append(f"  that day: {'; '.join(spans)} (`{plan.source}`{where})")
    if not window.state.inside:
        protected = ", ".join(resource for resource, _ in bundle.calendar.protected)
        exempt = ", ".join(bundle.calendar.exempt_roles)
        lines.append(f"  shut until then: {protected}; not for {exempt}")
    return "\n".join(lines)


def _data(hours: SalonHours, at: Instant, window: Window) -> dict[str, str | None]:
    return {
        "at": at.isoformat(),
        "timezone": hours.timezone,
        "state": window.state.value,
        "changes_at": window.changes_at.isoformat() if window.changes_at else None,
        "opens_at": window.opens_at.isoformat() if window.opens_at else None,
    }
