"""`diff`: what a change of policy changes, for whom, in both directions."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.exits import Exit
from gateway.cli.policy_sides import HEAD, WORKING, load_side
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, print_report
from gateway.domain.finding import Place, PolicyError
from gateway.enforcer.hours import read_date
from gateway.tools.diff import Change, Difference, Line, compare
from gateway.tools.diff_words import NOTHING, in_markdown, in_text, sentence
from gateway.tools.hours_words import Hours

STDOUT = "-"
EPILOG = """\
examples:
  salon-gateway diff                           what you changed since the last commit
  salon-gateway diff HEAD~1                    since the commit before it
  salon-gateway diff main my-branch
  salon-gateway diff ../old/policies policies
  salon-gateway diff v1:shop/policies policies
  salon-gateway diff origin/main --markdown -  for a pull request

A side is a folder with gateway.yaml, a folder with the policy files, or a revision of the git
repository that the policies lie in (`REV`, or `REV:FOLDER` from the top of the repository).
Where a side has no gateway.yaml of its own, the one of --config tells adapter, apps and networks.

exit codes: 0 nothing changes in who can do what, 1 something changes (as diff(1) has it) or could
not be compared, 2 usage, 3 a side does not load
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "diff",
        help="what a change of policy changes, for whom, in sentences",
        description="Compare two policies: who can do what now, and who no longer. Complete.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument(
        "old", nargs="?", default=HEAD, metavar="OLD", help="(default: %(default)s)"
    )
    words.add_argument("new", nargs="?", metavar="NEW", help=f"(default: the {WORKING})")
    words.add_argument(
        "--from",
        dest="since",
        metavar="DATE",
        help="the first day to look at; what is over by then is left out (default: today)",
    )
    words.add_argument(
        "--markdown",
        metavar="FILE",
        help=f"write it as Markdown, too; `{STDOUT}` = print that instead",
    )
    words.add_argument("--exit-zero", action="store_true", help="exit 0 also if something changes")
    words.set_defaults(run=run, outputs=EVERY_OUTPUT)


def run(args: argparse.Namespace) -> int:
    """Compare; print; exit."""
    try:
        since = None if args.since is None else read_date(args.since)
        _check_outputs(args)
        old, new = (_load(side, args.config) for side in (args.old, args.new))
    except ValueError as error:
        print(f"salon-gateway diff: {error}", file=sys.stderr)
        return Exit.USAGE
    difference = compare(old, new, since or _today(new))
    if args.markdown is not None and not _write_markdown(args, difference):
        return Exit.USAGE
    if args.markdown != STDOUT:
        _print(args, difference)
    if difference.unsaid or (difference.changes and not args.exit_zero):
        return Exit.BROKEN
    return Exit.GOOD


def _check_outputs(args: argparse.Namespace) -> None:
    if args.markdown == STDOUT and args.output != "text":
        raise ValueError(f"`--markdown {STDOUT}` is an output of its own")


def _load(typed: str | None, config: str) -> Bundle:
    try:
        return load_side(typed, config)
    except PolicyError:
        print(f"salon-gateway diff: `{typed or WORKING}` does not load", file=sys.stderr)
        raise


def _today(bundle: Bundle) -> date:
    """The date in the salon where it is earliest: nothing of today is left out."""
    now = SystemClock().now()
    salons = {post.salon for person in bundle.people.values() for post in person.posts}
    return min(bundle.today(salon, now) for salon in salons)


def _write_markdown(args: argparse.Namespace, difference: Difference) -> bool:
    text = "\n".join(in_markdown(difference, args.old, args.new or WORKING))
    if args.markdown == STDOUT:
        print(text)
        return True
    try:
        Path(args.markdown).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        why = (error.strerror or "unwritable").lower()
        print(f"salon-gateway diff: cannot write `{args.markdown}`: {why}", file=sys.stderr)
        return False
    return True


def _print(args: argparse.Namespace, difference: Difference) -> None:
    match args.output:
        case "text":
            print("\n".join(in_text(difference)))
        case "json":
            data = _as_data(difference, args.old, args.new or WORKING)
            print(json.dumps(data, ensure_ascii=False, indent=2))
        case output:
            print_report(output, "diff", list(_checks(difference)), args.config)


def _checks(difference: Difference) -> Iterator[Check]:
    """Each sentence where it can be read: the rule that allows now, or denies now."""
    for line in difference.lines:
        refs = line.by if line.change is Change.GAINED else line.stopped
        place = Place(refs[0].file, refs[0].line) if refs else None
        said = sentence(line, difference)
        yield Check(name=said, outcome=Outcome.WARNED, place=place, details=said)
    for note in difference.notes:
        if note.matters:
            yield Check(name=note.text, outcome=Outcome.WARNED, details=note.text)
    for staff in difference.unsaid:
        yield Check(name=f"{staff} could not be compared", outcome=Outcome.FAILED)
    if not difference.changes:
        yield Check(name=NOTHING, outcome=Outcome.PASSED)


def _as_data(difference: Difference, old: str, new: str) -> dict[str, Any]:
    return {
        "old": old,
        "new": new,
        "from": difference.since.isoformat(),
        "changes": difference.changes,
        "lines": [_line(line, difference) for line in difference.lines],
        "notes": [
            {"about": note.about.value, "matters": note.matters, "text": note.text}
            for note in difference.notes
        ],
        "not_compared": list(difference.unsaid),
    }


def _line(line: Line, difference: Difference) -> dict[str, Any]:
    when = line.when
    return {
        "change": line.change.value,
        "sentence": sentence(line, difference),
        "people": list(line.people),
        "resource": line.resource,
        "actions": list(line.actions),
        "read": list(line.read),
        "write": list(line.write),
        "records_of": list(when.salons),
        "hours": [{"salon": salon, **_hours(hours)} for salon, hours in when.hours],
        "opening_hours": list(line.weeks),
        "dates": when.dates,
        "only_if": list(when.given),
        "inside_another_record": when.inside,
        "rules": list(map(str, line.by)),
        "denied_by": list(map(str, line.stopped)),
    }


def _hours(hours: Hours) -> dict[str, Any]:
    return {
        "weekly": hours.weekly,
        "on": {day.isoformat(): times for day, times in hours.dates},
        "except": [day.isoformat() for day in hours.without],
    }
