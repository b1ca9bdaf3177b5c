"""`salon-gateway audit`: read the trail, prove that it is whole, find what is unmapped.

Reads only files, takes no lock and asks no running gateway, so it works on a copy of the
directory too. Text that came from outside (a path) is printed without control characters:
a log must not be able to write on the owner's terminal.
"""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.audit.entry import Phase
from gateway.audit.verify import Report
from gateway.backends.audit_directory import (
    Follower,
    list_trail,
    list_workers,
    verify_directory,
)
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.cli.trail import Unreadable, add_dir, backwards, directory_of, forwards, printable
from gateway.domain.reason import Reason

FOLLOW_SECONDS: Final = 0.5

_TAIL_EXAMPLES = """examples:
  salon-gateway audit tail -n 50
  salon-gateway audit tail --staff mei --reason outside_hours
  salon-gateway audit tail --acts              who was locked, logged out, let in, by whom
  salon-gateway --output json audit tail --follow | jq .record
"""
_VERIFY_EXAMPLES = """examples:
  salon-gateway audit verify
  salon-gateway audit verify --dir /backup/audit
  salon-gateway audit verify --expect 0:812:9f2c...   (as an earlier verify printed it)

Lines cut off the end since the current file began, and a trail written anew from its start,
cannot be seen in the files alone. Keep the `head` that verify prints in another place, and
hand it back with --expect: then they can.
"""
_UNMAPPED_EXAMPLES = """examples:
  salon-gateway audit unmapped
  salon-gateway --output json audit unmapped

Each line is a request that no route of the adapter knows, and that was refused for it. If
your people need it, add a route to the adapter.
"""

Row = tuple[str, ...]


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `audit` and its verbs."""
    audit = verbs.add_parser(
        "audit",
        help="read and verify the audit trail",
        description="Read the audit trail, verify that it is whole, list unmapped requests.",
    )
    kinds = audit.add_subparsers(dest="audit_verb", required=True, metavar="VERB")
    raw = argparse.RawDescriptionHelpFormatter

    tail = kinds.add_parser(
        "tail",
        help="show the latest entries",
        description="Show the latest entries, oldest first, times in UTC.",
        epilog=_TAIL_EXAMPLES,
        formatter_class=raw,
    )
    tail.add_argument("-n", type=_count, default=20, metavar="N", help="how many (default 20)")
    tail.add_argument("--follow", action="store_true", help="go on with what is written next")
    tail.add_argument("--reason", choices=[str(reason) for reason in Reason], metavar="REASON")
    tail.add_argument("--acts", action="store_true", help="only what was done to people")
    tail.add_argument(
        "--staff", metavar="ID", help="what this person (`mei`) did, and what was done to them"
    )
    tail.set_defaults(run=run_tail)

    verify = kinds.add_parser(
        "verify",
        help="prove that no entry was changed or removed",
        description="Check every line of the trail; exit code 1 at the first broken place.",
        epilog=_VERIFY_EXAMPLES,
        formatter_class=raw,
    )
    verify.add_argument(
        "--expect",
        action="append",
        default=[],
        type=_point,
        metavar="WORKER:N:HASH",
        help="a line that the trail must hold; may be given several times",
    )
    verify.set_defaults(run=run_verify)

    unmapped = kinds.add_parser(
        "unmapped",
        help="list what was refused because no route knows it",
        description="Count the requests that were refused as unmapped, by method and path.",
        epilog=_UNMAPPED_EXAMPLES,
        formatter_class=raw,
    )
    unmapped.set_defaults(run=run_unmapped)
    for parser in (tail, verify, unmapped):
        add_dir(parser)


def run_tail(
    args: argparse.Namespace, *, pause: Callable[[], None] = lambda: time.sleep(FOLLOW_SECONDS)
) -> int:
    """`audit tail`.

    Args:
        args: of `register`.
        pause: called between two looks at the files; Ctrl-C in it ends the following.
    """
    directory = directory_of(args)
    if directory is None:
        return Exit.USAGE
    follower = Follower(directory) if args.follow else None
    unreadable = Unreadable()
    chosen = _latest(directory, unreadable, args)
    shown = {raw for raw, _ in chosen}  # written between the two looks: once is enough
    if args.output == "json":
        _print_raw(chosen)
    else:
        _print_entries(chosen)
    while follower is not None:
        try:
            pause()
        except KeyboardInterrupt:
            break
        fresh = unreadable.entries(follower.new_lines())
        for raw, members in fresh:
            if raw in shown or not _is_wanted(members, args):
                continue
            if args.output == "json":
                _print_raw([(raw, members)])
            else:
                _print_entries([(raw, members)])
    return unreadable.report()


def run_verify(args: argparse.Namespace) -> int:
    """`audit verify`."""
    directory = directory_of(args)
    if directory is None:
        return Exit.USAGE
    expected: dict[str, dict[int, str]] = {}
    for worker, n, digest in args.expect:
        expected.setdefault(worker, {})[n] = digest
    workers = sorted({*list_workers(directory), *expected})
    if not workers:
        print(f"no audit trail in `{directory}`", file=sys.stderr)
        return Exit.BROKEN
    verdicts = [_verdict(directory, worker, expected.get(worker, {})) for worker in workers]
    for verdict in verdicts:
        print(json.dumps(verdict) if args.output == "json" else _sentence(verdict))
    return Exit.GOOD if all(verdict["whole"] for verdict in verdicts) else Exit.BROKEN


def run_unmapped(args: argparse.Namespace) -> int:
    """`audit unmapped`."""
    directory = directory_of(args)
    if directory is None:
        return Exit.USAGE
    unreadable = Unreadable()
    rows: dict[tuple[str, str], _Seen] = {}
    for file in list_trail(directory):
        for _, members in unreadable.entries(forwards(file.path)):
            if members.get("reason") != Reason.UNMAPPED:
                continue
            key = members["method"], fold(members.get("path", ""))
            seen = rows.get(key, _Seen(0, ""))
            rows[key] = _Seen(seen.count + 1, max(seen.last, members["at"]))
    ordered = sorted(rows.items(), key=lambda item: (-item[1].count, item[0]))
    if args.output == "json":
        for (method, path), seen in ordered:
            print(
                json.dumps(
                    {"method": method, "path": path, "count": seen.count, "last_seen": seen.last}
                )
            )
    elif ordered:
        table = [("count", "last seen", "method", "path")]
        table += [(str(s.count), _time(s.last), m, p) for (m, p), s in ordered]
        print_table([tuple(map(printable, row)) for row in table])
    else:
        print("nothing was refused as unmapped")
    return unreadable.report()


def fold(path: str) -> str:
    """Make one of all record ids: `/clients/17/notes` → `/clients/{n}/notes`."""
    return "/".join(
        "{n}" if part.isascii() and part.isdigit() else part for part in path.split("/")
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    count: int
    last: str


def _latest(
    directory: Path, unreadable: Unreadable, args: argparse.Namespace
) -> list[tuple[bytes, dict[str, Any]]]:
    """The last wanted entries of all workers together, oldest first."""
    latest: list[tuple[bytes, dict[str, Any]]] = []
    for worker in list_workers(directory):
        found: deque[tuple[bytes, dict[str, Any]]] = deque()
        if args.n:
            for raw, members in unreadable.entries(backwards(directory, worker)):
                if _is_wanted(members, args):
                    found.appendleft((raw, members))
                if len(found) == args.n:
                    break
        latest += found
    # Stable: a worker's own lines stay in their order where the times are equal.
    latest.sort(key=lambda item: str(item[1]["at"]))
    return latest[-args.n :] if args.n else []


def _is_wanted(members: Mapping[str, Any], args: argparse.Namespace) -> bool:
    if args.reason is not None and members.get("reason") != args.reason:
        return False
    if args.acts and members.get("phase") != Phase.ACT:
        return False
    if args.staff is None:
        return True
    staff = f"staff:{args.staff.removeprefix('staff:')}"
    return staff in (members.get("staff"), members.get("whom"))


def _row(members: Mapping[str, Any]) -> Row:
    """One entry as columns: when, who, what, record, status, reason, rules."""
    if members["phase"] == Phase.ACT:
        return _act_row(members)
    if "resource" in members:
        what = f"{members.get('action', '-')} {members['resource']}"
    else:
        what = f"{members['method']} {members.get('path') or members.get('route', '-')}"
    reason = members.get("reason", members["phase"])
    if "cause" in members:
        reason += f" ({members['cause']})"
    if members["phase"] == Phase.END:
        reason += " (end)"  # of what flowed: no answer of its own
    if members.get("exempt"):
        reason += " (exempt)"
    if "would" in members:
        reason += f" ({', '.join((members['would'], *members.get('would_by', ())))})"
    if "would_hide" in members:
        reason += f" (would hide {', '.join(members['would_hide'])})"
    if "suppressed" in members:
        reason += f" +{members['suppressed']} more"
    return (
        _time(members["at"]),
        members.get("staff", "-"),
        what,
        members.get("record", "-"),
        str(members.get("status", "-")),
        reason,
        " ".join(members.get("rules", ())) or "-",
    )


def _act_row(members: Mapping[str, Any]) -> Row:
    """What somebody did to whom, in the same columns."""
    here = "staff" not in members and members["peer"] == "-"
    what = " ".join(members[name] for name in ("act", "whom") if name in members)
    if "device" in members:
        what += f" on {members['device']}"
    who = "(command line)" if here else members.get("staff", "-")
    return _time(members["at"]), who, what or "-", "-", "-", "act", "-"


def _time(at: str) -> str:
    """`2026-11-21T11:31:00.123456Z` → `2026-11-21 11:31:00Z`."""
    return f"{at[:10]} {at[11:19]}Z"


# The least widths, so that lines that come one by one stand under each other.
_WIDTHS: Final = (20, 14, 16, 6, 6, 14, 0)


def _print_entries(chosen: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    rows = [map(printable, _row(members)) for _, members in chosen]
    print_table(
        [[cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=True)] for row in rows]
    )
    sys.stdout.flush()


def _print_raw(chosen: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    for raw, _ in chosen:
        print(raw.decode("utf-8").rstrip("\n"))
    sys.stdout.flush()


def _verdict(directory: Path, worker: str, points: dict[int, str]) -> dict[str, Any]:
    """One worker's trail, judged."""
    try:
        report = verify_directory(directory, worker, points)
    except ValueError as error:
        place = {"file": f"trail-{worker}.head", "line": 1}
        return {"worker": worker, "whole": False, **place, "fault": "changed", "why": str(error)}
    except OSError as error:
        return {
            "worker": worker,
            "whole": False,
            "file": str(directory),
            "line": 1,
            "fault": "unreadable",
            "why": error.strerror or str(error),
        }
    return _members(worker, report)


def _members(worker: str, report: Report) -> dict[str, Any]:
    """A report as JSON has it."""
    verdict: dict[str, Any] = {
        "worker": worker,
        "whole": report.broken is None,
        "files": report.files,
        "lines": report.lines,
    }
    if report.first is not None and report.last is not None:
        verdict["first"] = report.first.n
        verdict["head"] = f"{worker}:{report.last.n}:{report.last.hash}"
    if report.broken is not None:
        broken = report.broken
        verdict |= {"file": broken.file, "line": broken.line}
        verdict |= {"fault": str(broken.fault), "why": broken.detail}
    return verdict


def _sentence(verdict: Mapping[str, Any]) -> str:
    """A verdict for people."""
    worker = verdict["worker"]
    if verdict["whole"]:
        lines = f"{verdict['lines']} lines in {verdict['files']} file(s)"
        older = f", older than line {verdict['first']}: deleted by retention"
        return (
            f"worker {worker}: whole: {lines}{older if verdict['first'] > 1 else ''}\n"
            f"  head {verdict['head']}"
        )
    place = f"{verdict['file']}:{verdict['line']}: " if verdict["file"] else ""
    return f"worker {worker}: BROKEN: {place}{verdict['fault']}: {verdict['why']}"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of lines")
    return int(text)


def _point(text: str) -> tuple[str, int, str]:
    worker, n, digest = (*text.split(":"), "", "")[:3]
    if not worker or not n.isascii() or not n.isdigit() or len(digest) != 64:
        raise argparse.ArgumentTypeError(
            f"`{text}` is not WORKER:N:HASH as `audit verify` prints it behind `head`"
        )
    return worker, int(n), digest
