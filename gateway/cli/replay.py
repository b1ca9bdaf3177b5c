"""`replay`: what another policy would have said to the requests of the audit trail."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.app import load_bundle
from gateway.audit.chain import stamp
from gateway.audit.entry import Phase
from gateway.backends.audit_directory import TrailPath, list_trail
from gateway.bundle import Bundle
from gateway.cli.changes import (
    HEADLINES,
    REASONS,
    Groups,
    asked,
    group_as_data,
    in_words,
    lines_of,
)
from gateway.cli.exits import Exit
from gateway.cli.policy_sides import load_side
from gateway.cli.reports import EVERY_OUTPUT, Check, Outcome, print_report
from gateway.cli.say import parse_moment
from gateway.cli.trail import Unreadable, add_dir, directory_of, forwards
from gateway.domain.finding import PolicyError
from gateway.domain.subject import staff_id
from gateway.domain.time import Instant
from gateway.tools.recorded import Left, left_out, parse_recorded
from gateway.tools.replay import Replayer

EPILOG = """\
examples:
  salon-gateway replay                       had the files as they are now been in force
  salon-gateway replay ~/next/policies       with the policy of another folder
  salon-gateway replay ~/next --since 2026-11-01 --staff mei
  salon-gateway replay HEAD~1                with the policy of a git revision
  salon-gateway --output json replay ~/next/policies | jq .changes

CANDIDATE is a folder with gateway.yaml, a folder of policies (the rest is then as configured), or
a git revision of the configured policy, as `salon-gateway diff` takes them.
Rules, hours, roster and adapter are the candidate's; the clock, device, app, address, roles of
the token and what was noted of the record are those of then.

exit codes: 0 nothing would change, 1 something would, or lines of the trail are not as they were
written, 2 usage, 3 the candidate does not load
"""
PROGRESS_SECONDS = 0.5


@dataclass(slots=True)
class Report:
    """Everything there is to tell."""

    asked: int = 0
    left: Counter[Left] = field(default_factory=Counter)
    other_form: int = 0
    groups: Groups = field(default_factory=Groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries.

    Attributes:
        since, until: from when on, and before when; None = without a bound.
        staff: None = everybody.
    """

    since: Instant | None = None
    until: Instant | None = None
    staff: str | None = None

    def takes(self, members: dict[str, Any]) -> bool:
        """Is it one of them?"""
        at = str(members.get("at"))
        if self.since is not None and at < stamp(self.since):
            return False
        if self.until is not None and at >= stamp(self.until):
            return False
        return self.staff is None or members.get("staff") == self.staff

    def files(self, listed: list[TrailPath]) -> list[TrailPath]:
        """Those files that can hold some, by the UTC days on which they were begun.

        A day more on both sides: an entry is written after its request has come in.
        """
        kept = []
        for number, file in enumerate(listed):
            following = listed[number + 1] if number + 1 < len(listed) else None
            ended = following.day if following and following.worker == file.worker else None
            if self.since and ended and ended + timedelta(days=1) < self.since.date():
                continue
            if self.until and file.day - timedelta(days=1) > self.until.date():
                continue
            kept.append(file)
        return kept


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    words = verbs.add_parser(
        "replay",
        help="what would another policy have said to the requests of the trail?",
        description="Put the requests of the audit trail to a policy, and list what would change.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument(
        "candidate",
        nargs="?",
        metavar="CANDIDATE",
        help="the policy to try: a folder or a git revision (default: the configured one)",
    )
    words.add_argument("--since", metavar="MOMENT", help="requests from then on")
    words.add_argument("--until", metavar="MOMENT", help="requests before then")
    words.add_argument("--staff", metavar="ID", help="only this person: `mei` or `staff:mei`")
    add_dir(words)
    words.set_defaults(run=run, outputs=EVERY_OUTPUT)


def run(args: argparse.Namespace) -> int:
    """Replay; print; exit."""
    try:
        candidate, known = _policies(args)
        wanted = _wanted(args, candidate)
    except ValueError as error:
        print(f"salon-gateway replay: {error}", file=sys.stderr)
        return Exit.USAGE
    directory = directory_of(args)
    if directory is None:
        return Exit.USAGE
    unreadable = Unreadable()
    report = _replay(Replayer(candidate, known), wanted, directory, unreadable)
    match args.output:
        case "text":
            _print_text(candidate, report)
        case "json":
            data = _as_data(candidate, report, unreadable)
            print(json.dumps(data, ensure_ascii=False, indent=2))
        case output:
            print_report(output, "replay", list(_checks(report)), args.config)
    broken = unreadable.report() == Exit.BROKEN or report.other_form
    return Exit.BROKEN if broken or report.groups.count else Exit.GOOD


def _policies(args: argparse.Namespace) -> tuple[Bundle, list[Bundle]]:
    """The candidate, and the policies that may have judged then.

    Raises:
        PolicyError: the candidate does not load.
        ValueError: there is no such candidate.
    """
    if args.candidate is None:
        return load_bundle(args.config), []
    candidate = load_side(args.candidate, args.config)
    try:
        return candidate, [load_bundle(args.config)]
    except PolicyError:
        print("salon-gateway replay: the configured policy does not load", file=sys.stderr)
        return candidate, []


def _wanted(args: argparse.Namespace, bundle: Bundle) -> Wanted:
    zones = {hours.timezone for hours in bundle.calendar.salons.values()}
    clock = zones.pop() if len(zones) == 1 else "UTC"
    staff = args.staff and staff_id(args.staff.removeprefix("staff:"))
    return Wanted(
        since=parse_moment(args.since, clock) if args.since else None,
        until=parse_moment(args.until, clock) if args.until else None,
        staff=staff or None,
    )


def _replay(replayer: Replayer, wanted: Wanted, directory: Path, unreadable: Unreadable) -> Report:
    """Line by line: whatever the trail's length, only the kinds of changes are kept."""
    report = Report()
    files = wanted.files(list_trail(directory))
    for _, members in unreadable.entries(_progressing(files)):
        if not wanted.takes(members):
            continue
        suppressed = members.get("suppressed", 0)
        if isinstance(suppressed, int) and suppressed > 0:
            report.left[Left.TALLY] += suppressed
        if members.get("phase") == Phase.TALLY:
            continue
        try:
            recorded = parse_recorded(members)
        except ValueError:
            report.other_form += 1
            continue
        if recorded is None:
            continue
        left = left_out(recorded)
        if left is not None:
            report.left[left] += 1
            continue
        report.asked += 1
        change = replayer.change(recorded)
        if change is not None:
            report.groups.add(change)
    return report


def _progressing(files: list[TrailPath]) -> Iterator[bytes]:
    """The lines; on a terminal, with how far it is."""
    tells = sys.stderr.isatty()
    total = sum(file.path.stat().st_size for file in files if file.path.exists()) if tells else 0
    done, next_at = 0, time.monotonic() + PROGRESS_SECONDS
    told = False
    for file in files:
        for line in forwards(file.path):
            yield line
            done += len(line)
            if tells and time.monotonic() >= next_at:
                percent = min(100, 100 * done // max(1, total))
                print(f"\rreplaying: {percent} %", end="", file=sys.stderr, flush=True)
                told, next_at = True, time.monotonic() + PROGRESS_SECONDS
    if told:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


# -- what it says -------------------------------------------------------------------------------


def _print_text(bundle: Bundle, report: Report) -> None:
    for group in report.groups.listed():
        print("\n".join(lines_of(group)))
    changed = report.groups.count
    said = f"{changed} of them would be answered otherwise" if changed else "nothing changes"
    print(f"{report.asked} requests asked again under policy {bundle.digest[:12]}: {said}")
    for left, count in sorted(report.left.items()):
        print(f"not asked again: {count}: {REASONS[left]}")
    if report.other_form:
        print(f"not asked again: {report.other_form}: entries of another version")


def _as_data(bundle: Bundle, report: Report, unreadable: Unreadable) -> dict[str, Any]:
    return {
        "policy": bundle.digest,
        "asked": report.asked,
        "changed": report.groups.count,
        "changes": [group_as_data(group) for group in report.groups.listed()],
        "left_out": {left.value: count for left, count in sorted(report.left.items())},
        "other_form": report.other_form,
        "unreadable": unreadable.count,
    }


def _checks(report: Report) -> Iterator[Check]:
    for group in report.groups.listed():
        change = group.example
        yield Check(
            name=f"{HEADLINES[change.kind]}: {asked(change.recorded)}: {in_words(change)}",
            outcome=Outcome.FAILED,
            details="\n".join(lines_of(group)),
        )
    if not report.groups.count:
        yield Check(
            name="recorded requests are answered as they were",
            outcome=Outcome.PASSED,
            details=f"{report.asked} asked again",
        )
