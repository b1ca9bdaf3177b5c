"""`explain`: why a request would be answered so, every stop, and what would change it."""

import argparse
import json
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gateway.app import load_bundle
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.say import known_app, known_roles, local, parse_moment
from gateway.domain.subject import device_id, staff_id
from gateway.texts.jsontext import parse_strict_json
from gateway.tools.explain import Explanation, Question, explain, home_clock

MAX_RECORD_DEPTH = 32
MAX_RECORD_BYTES = 2**20
EPILOG = """\
examples:
  salon-gateway explain --who mei GET /api/clients/7
  salon-gateway explain --who mei --app phone --at 2026-11-24T21:30 GET /api/clients
  salon-gateway explain --who mei GET /api/clients/export
  salon-gateway explain --who mei --record {"stylist_id":"mei"} GET /api/clients/7
                                     (quote it for your shell; @FILE reads it from a file)

exit codes: 0 it goes through, 1 it is refused, 2 usage, 3 the policy does not load
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "explain",
        help="why would this request be answered so?",
        description="Judge one request without sending it, and show every stop on its way.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("--who", required=True, metavar="STAFF", help="`mei` or `staff:mei`")
    words.add_argument("--at", metavar="MOMENT", help="on the salon's clock (default: now)")
    words.add_argument("--app", help="the token's `app` claim (default: none, an unknown fact)")
    words.add_argument("--device", help="the token's device (default: none, an unknown fact)")
    words.add_argument(
        "--role", action="append", metavar="ROLE", help="narrow the token to this role"
    )
    words.add_argument(
        "--record",
        metavar="JSON",
        help="the record it is about, as the CRM's JSON has it, or a file with it (`@FILE`)",
    )
    words.add_argument("--peer", default="127.0.0.1", help="the address it comes from")
    words.add_argument("method", metavar="METHOD")
    words.add_argument("target", metavar="PATH", help="with its query, as the CRM's app sends it")
    words.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain; print; exit."""
    bundle = load_bundle(args.config)
    try:
        question = _question(args, bundle)
    except (ValueError, OSError) as error:
        print(f"salon-gateway explain: {error}", file=sys.stderr)
        return Exit.USAGE
    answer = explain(bundle, question)
    if args.output == "json":
        print(json.dumps(as_data(answer), ensure_ascii=False, indent=2))
    else:
        print("\n".join(sentences(answer)))
    return Exit.GOOD if answer.allowed else Exit.BROKEN


def _question(args: argparse.Namespace, bundle: Bundle) -> Question:
    staff = staff_id(args.who.removeprefix("staff:"))
    at = SystemClock().now()
    if args.at:
        at = parse_moment(args.at, home_clock(bundle, staff))
    ip_address(args.peer)  # raises ValueError with a readable message
    return Question(
        staff=staff,
        method=args.method.upper(),
        target=args.target,
        at=at,
        device=device_id(args.device) if args.device else None,
        app=known_app(args.app, bundle.apps),
        roles=known_roles(args.role, bundle.roles),
        peer=args.peer,
        record=None if args.record is None else _record(args.record),
    )


def _record(typed: str) -> Mapping[str, Any]:
    """The record of `--record`.

    Raises:
        ValueError: it is not one JSON object.
    """
    data = Path(typed[1:]).read_bytes() if typed.startswith("@") else typed.encode()
    value = parse_strict_json(data, MAX_RECORD_DEPTH, MAX_RECORD_BYTES)
    if not isinstance(value, dict):
        raise ValueError("`--record` is one JSON object")  # noqa: TRY004  # a wrong argument
    return value


def sentences(answer: Explanation) -> list[str]:
    """The explanation for people."""
    question = answer.question
    zone = answer.window.timezone if answer.window else "UTC"
    asked = f"{question.staff} {question.method} {question.target}"
    verdict = "goes through" if answer.allowed else f"is refused: {answer.stops[0].reason}"
    lines = [f"{asked} {verdict}", f"  at       {local(question.at, zone)} ({zone})"]
    if answer.salon:
        lines.append(f"  who      {', '.join(answer.roles)} in {answer.salon}")
    if answer.route:
        lines.append(f"  route    {answer.route}")
    if answer.resource:
        record = f", record {answer.record}" if answer.record else ""
        lines.append(f"  access   {answer.action} {answer.resource}{record}")
    if answer.window:
        change = answer.window.changes_at
        until = f" until {local(change, zone)}" if change else ""
        lines.append(f"  window   {answer.window.state}{until}")
    for stop in answer.stops:
        places = f" ({', '.join(map(str, stop.by))})" if stop.by else ""
        lines.append(f"  stop     {stop.reason}: {stop.detail}{places}")
    if answer.allowed_by:
        lines.append(f"  allow    {', '.join(map(str, answer.allowed_by))}")
    if answer.only:
        lines.append(f"  only     records with {answer.only}; others as if they did not exist")
    lines += [f"  salon    {sentence}" for sentence in answer.elsewhere]
    if answer.exempt:
        lines.append("  exempt   outside the hours, let through for an exempt role, and counted")
    for field in answer.hidden:
        why = ", ".join(map(str, field.by)) if field.by else "no rule shows it"
        unless = f" unless {field.unless}" if field.unless else ""
        why = f" ({why})" if field.by or not field.unless else ""
        lines.append(f"  hidden   {field.name}{unless}{why}")
    if answer.unwritable and answer.question.method in {"POST", "PUT", "PATCH"}:
        lines.append(f"  unsent   {', '.join(answer.unwritable)} (may not be sent)")
    if answer.shown:
        lines.append(f"  shown    {', '.join(answer.shown)}")
    lines += [f"  change   {sentence}" for sentence in answer.would_change]
    return lines


def as_data(answer: Explanation) -> dict[str, Any]:
    """The explanation for programs."""
    window = answer.window
    return {
        "allowed": answer.allowed,
        "who": answer.question.staff,
        "at": answer.question.at.isoformat(),
        "salon": answer.salon,
        "roles": list(answer.roles),
        "route": answer.route,
        "resource": answer.resource,
        "action": answer.action,
        "record": answer.record,
        "window": window.state.value if window else None,
        "changes_at": window.changes_at.isoformat() if window and window.changes_at else None,
        "stops": [
            {"reason": stop.reason.value, "detail": stop.detail, "rules": list(map(str, stop.by))}
            for stop in answer.stops
        ],
        "allowed_by": list(map(str, answer.allowed_by)),
        "exempt": answer.exempt,
        "only": answer.only,
        "elsewhere": list(answer.elsewhere),
        "hidden": {field.name: list(map(str, field.by)) for field in answer.hidden},
        "hidden_unless": {field.name: field.unless for field in answer.hidden if field.unless},
        "shown": list(answer.shown),
        "unwritable": list(answer.unwritable),
        "would_change": list(answer.would_change),
    }
