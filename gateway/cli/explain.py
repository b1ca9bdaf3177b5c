"""`explain`: why a request would be answered so, every stop, and what would change it."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gateway.app import load_bundle
from gateway.audit.entry import Phase
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.changes import HEADLINES, REASONS, in_words
from gateway.cli.changes import as_data as change_as_data
from gateway.cli.exits import Exit
from gateway.cli.recorded import find_entry
from gateway.cli.recorded import lines_of as recorded_lines
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, print_report
from gateway.cli.say import known_app, known_roles, local, parse_moment
from gateway.cli.trail import Unreadable, add_dir, directory_of, printable
from gateway.domain.finding import Place
from gateway.domain.http import SENDING
from gateway.domain.subject import device_id, staff_id
from gateway.tools.explain import Explanation, Question, explain, home_clock
from gateway.tools.explain_entry import Asked, question_of
from gateway.tools.record_text import HERE, parse_record
from gateway.tools.recorded import Left, Recorded, left_out, parse_recorded
from gateway.tools.replay import Change, replay

EPILOG = """\
examples:
  salon-gateway explain --who mei GET /api/clients/7
  salon-gateway explain --who mei --app phone --at 2026-11-24T21:30 GET /api/clients
  salon-gateway explain --who mei GET /api/clients/export
  salon-gateway explain --who mei --record {"stylist_id":"mei"} GET /api/clients/7
                                     (quote it for your shell; @FILE reads it from a file)

  salon-gateway explain --entry 6f1c...    the number on a refusal; what was recorded, and why

With --entry the clock, device, app, address, roles of the token and facts of the record are those
of then; the policy is the one in force. If that is the one that judged then, both must agree.

exit codes: 0 it goes through, 1 it is refused, or the policy that judged it says something else
than was recorded, 2 usage (also: there is no such entry), 3 the policy does not load
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
    words.add_argument("--who", metavar="STAFF", help="`mei` or `staff:mei`")
    words.add_argument("--entry", metavar="ID", help="the `request_id` of an audit entry instead")
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
    words.add_argument("--peer", help=f"the address it comes from (default: {HERE})")
    words.add_argument("method", nargs="?", metavar="METHOD")
    words.add_argument(
        "target", nargs="?", metavar="PATH", help="with its query, as the CRM's app sends it"
    )
    add_dir(words)
    words.set_defaults(run=run, refuse=words.error, outputs=EVERY_OUTPUT)


def run(args: argparse.Namespace) -> int:
    """Explain; print; exit."""
    alone = (args.who, args.at, args.app, args.device, args.role, args.record, args.peer)
    if args.entry is None and None in (args.who, args.method, args.target):
        args.refuse("say who and what: `--who STAFF METHOD PATH`; or `--entry ID`")
    if args.entry is not None and (any(alone) or args.method):
        args.refuse("`--entry` stands alone: everything is as it was recorded")
    bundle = load_bundle(args.config)
    try:
        if args.entry is not None:
            return _run_entry(args, bundle)
        question = _question(args, bundle)
    except (ValueError, OSError) as error:
        print(f"salon-gateway explain: {error}", file=sys.stderr)
        return Exit.USAGE
    answer = explain(bundle, question)
    match args.output:
        case "json":
            print(json.dumps(as_data(answer), ensure_ascii=False, indent=2))
        case "text":
            print("\n".join(sentences(answer)))
        case output:
            print_report(output, "explain", [_check(sentences(answer), answer)], args.config)
    return Exit.GOOD if answer.allowed else Exit.BROKEN


def _check(told: list[str], answer: Explanation | None, *, wrong: bool = False) -> Check:
    """The explanation for a CI server: it fails where the request is refused."""
    refs = [ref for stop in (answer.stops if answer else ()) for ref in stop.by]
    good = answer is not None and answer.allowed and not wrong
    return Check(
        name=told[0],
        outcome=Outcome.PASSED if good else Outcome.FAILED,
        place=Place(refs[0].file, refs[0].line) if refs else None,
        details="" if good else "\n".join(told[1:]),
    )


def _run_entry(args: argparse.Namespace, bundle: Bundle) -> int:
    """Tell what was recorded, then explain it.

    Raises:
        ValueError: there is no such entry, or it tells no answer.
    """
    directory = directory_of(args)
    if directory is None:
        return Exit.USAGE
    unreadable = Unreadable()
    members = find_entry(directory, args.entry, unreadable)
    if unreadable.report() == Exit.BROKEN and members is None:
        return Exit.BROKEN
    if members is None:
        raise ValueError(f"no entry `{printable(args.entry)}` in `{directory}`")
    recorded = parse_recorded(members)
    if recorded is None and members["phase"] == Phase.ACT:
        raise ValueError(
            "the entry is an act, no request; `salon-gateway audit tail --acts` shows it"
        )
    if recorded is None:
        raise ValueError("only an intent was entered: nobody knows how the request ended")
    asked = question_of(bundle, recorded)
    answer = None if asked is None else explain(bundle, asked.question)
    left = left_out(recorded)
    change = None if left is not None else replay(bundle, recorded)
    wrong = recorded.policy == bundle.digest and change is not None
    if args.output == "json":
        data = {
            "entry": members,
            "policy": bundle.digest,
            "same_policy": recorded.policy == bundle.digest,
            "change": None if change is None else change_as_data(change),
            "not_asked_again": left,
            "not_kept": list(asked.unknown) if asked else [],
            "not_noted": list(asked.unnoted) if asked else [],
            "explanation": None if answer is None else as_data(answer),
        }
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        told = [*recorded_lines(recorded), *_between(bundle, recorded, asked, change, left)]
        told += ["nothing more can be said of it"] if answer is None else sentences(answer)
        if args.output == "text":
            print("\n".join(told))
        else:
            print_report(args.output, "explain", [_check(told, answer, wrong=wrong)], args.config)
    if wrong and change is not None:
        print(
            f"salon-gateway explain: differs from what was recorded: {in_words(change)}",
            file=sys.stderr,
        )
    return Exit.BROKEN if wrong or answer is None or not answer.allowed else Exit.GOOD


def _between(
    bundle: Bundle,
    recorded: Recorded,
    asked: Asked | None,
    change: Change | None,
    left: Left | None,
) -> Iterator[str]:
    """How the policy in force stands to what was recorded."""
    if recorded.policy == bundle.digest:
        yield "the policy in force is the one that judged it:"
    else:
        yield f"another policy judged it than the one in force ({bundle.digest[:12]}), under which"
        if left is not None:
            yield f"  it cannot be judged again: {REASONS[left]}"
        elif change is None:
            yield "  it would be answered the same:"
        else:
            yield f"  {HEADLINES[change.kind]}: {in_words(change)}"
    if asked is not None and asked.unknown:
        yield f"  not kept of its address: {', '.join(asked.unknown)} (`-` stands for it below)"
    if asked is not None and asked.unnoted:
        yield f"  not noted of its record: {', '.join(asked.unnoted)}"


def _question(args: argparse.Namespace, bundle: Bundle) -> Question:
    staff = staff_id(args.who.removeprefix("staff:"))
    at = SystemClock().now()
    if args.at:
        at = parse_moment(args.at, home_clock(bundle, staff))
    peer = args.peer or HERE
    ip_address(peer)  # raises ValueError with a readable message
    return Question(
        staff=staff,
        method=args.method.upper(),
        target=args.target,
        at=at,
        device=device_id(args.device) if args.device else None,
        app=known_app(args.app, bundle.apps),
        roles=known_roles(args.role, bundle.roles),
        peer=peer,
        record=None if args.record is None else _record(args.record),
    )


def _record(typed: str) -> Mapping[str, Any]:
    """The record of `--record`.

    Raises:
        ValueError: it is not one JSON object.
    """
    data = Path(typed[1:]).read_bytes() if typed.startswith("@") else typed.encode()
    return parse_record(data)


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
    lines += [f"  kept     {sentence}" for sentence in answer.kept]
    lines += [f"  needs    {sentence}" for sentence in answer.needs]
    lines += [f"  salon    {sentence}" for sentence in answer.elsewhere]
    if answer.exempt:
        lines.append("  exempt   outside the hours, let through for an exempt role, and counted")
    for field in answer.hidden:
        why = ", ".join(map(str, field.by)) if field.by else "no rule shows it"
        unless = f" unless {field.unless}" if field.unless else ""
        why = f" ({why})" if field.by or not field.unless else ""
        lines.append(f"  hidden   {field.name}{unless}{why}")
    if answer.unwritable and answer.question.method in SENDING:
        lines.append(f"  unsent   {', '.join(answer.unwritable)} (may not be sent)")
    if answer.shown:
        lines.append(f"  shown    {', '.join(answer.shown)}")
    lines += [f"  change   {sentence}" for sentence in answer.would_change]
    lines += [f"  observed {sentence}" for sentence in answer.observed]
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
        "kept": list(answer.kept),
        "needs": list(answer.needs),
        "elsewhere": list(answer.elsewhere),
        "hidden": {field.name: list(map(str, field.by)) for field in answer.hidden},
        "hidden_unless": {field.name: field.unless for field in answer.hidden if field.unless},
        "shown": list(answer.shown),
        "unwritable": list(answer.unwritable),
        "would_change": list(answer.would_change),
        "observed": list(answer.observed),
    }
