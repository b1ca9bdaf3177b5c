"""`incident`: close the house to all but the owners; open it again; keep the evidence."""

import argparse
import asyncio
import hashlib
import hmac
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gateway.app import base_of, document_store, load_bundle, load_settings, state_store
from gateway.backends.clock import SystemClock
from gateway.backends.epoch_map import STALE_SECONDS
from gateway.backends.evidence import NotPackedError, pack, verify_evidence
from gateway.backends.evidence_parts import (
    Range,
    audit_parts,
    policy_parts,
    secrets_of,
    settings_parts,
    state_parts,
)
from gateway.cli.acting import HERE, act
from gateway.cli.exits import Exit
from gateway.cli.trail import printable
from gateway.domain.errors import StateUnavailableError
from gateway.domain.finding import PolicyError
from gateway.domain.subject import Role
from gateway.domain.time import Instant, from_milliseconds
from gateway.identity.incident import (
    MAX_REASON,
    Incident,
    is_contact,
    is_reason,
)
from gateway.incidents import Incidents, incident_in
from gateway.ports import EpochRow
from gateway.sessions import Sessions
from gateway.settings import MAX_CONTACT, Settings

DAYS_BEFORE = 30  # of the trail, before the incident began
EPILOG = """\
examples:
  salon-gateway incident start --reason "a laptop was stolen"
  salon-gateway incident start --reason "..." --contact "Hana, 00-0000-0000"
  salon-gateway incident status
  salon-gateway incident export evidence.tar         the trail, the policy, the roster, with hashes
  salon-gateway incident verify evidence.tar         is it as it was written?
  salon-gateway incident end                         people may sign in anew

From a start on only owners get in (`incident.owners` in gateway.yaml), in every gateway that
shares this state, and every session there is has ended, the owners' own too: they sign in anew.
Whoever is kept out reads the contact line. `end` brings no session back.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "incident",
        help="keep everybody but the owners out; end it; export evidence",
        description="Lockdown: everybody but the owners out, all sessions ended.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "keep everybody but the owners out, and end every session"
    action = actions.add_parser("start", help=text, description=f"{text.capitalize()}.")
    action.add_argument(
        "--reason", metavar="TEXT", type=_reason, required=True, help="one line, for later readers"
    )
    action.add_argument(
        "--contact",
        metavar="TEXT",
        type=_contact,
        help="one line for those kept out (default: `incident.contact` in gateway.yaml)",
    )
    action.set_defaults(run=run_start)
    for name, run, text in (
        ("end", run_end, "let people sign in again; no session comes back"),
        ("status", run_status, "is there one, since when, by whom and why"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.set_defaults(run=run)
    text = "write the trail of a range, the policy, the roster and their hashes into one tar file"
    action = actions.add_parser("export", help=text, description=f"{text.capitalize()}.")
    action.add_argument("file", metavar="FILE", type=Path, help="is made, and never written over")
    for name, which in (("--first", "first"), ("--last", "last")):
        action.add_argument(
            name,
            metavar="DATE",
            type=_date,
            help=f"{which} day (UTC) of the trail, 2026-11-21; whole files are taken",
        )
    action.set_defaults(run=run_export)
    text = "is an exported file as it was written?"
    action = actions.add_parser("verify", help=text, description=text.capitalize())
    action.add_argument("file", metavar="FILE", type=Path)
    action.add_argument(
        "--hash", metavar="HASH", type=str.lower, help="the hash that `export` printed"
    )
    action.set_defaults(run=run_verify)


# -- start, end, status -----------------------------------------------------------------------


def run_start(args: argparse.Namespace) -> int:
    """Start; say so; exit."""
    settings = load_settings(args.config)
    contact = args.contact or settings.incident.contact or ""

    async def ask(sessions: Sessions) -> Incident:
        incidents = _incidents(sessions)
        return await incidents.start(args.reason, contact, by=None, peer=HERE)

    def done(incident: Incident) -> int:
        if args.output == "json":
            _print_json(_as_data(incident))
        else:
            print("closed to everybody but the owners; every session has ended")
            print("\n".join(_as_words(incident)))
        _warn_without_owner(args.config, settings)
        return Exit.GOOD

    return act("incident", args.config, ask, done)


def run_end(args: argparse.Namespace) -> int:
    """End; say so; exit."""

    async def ask(sessions: Sessions) -> Incident | None:
        return await _incidents(sessions).end(by=None, peer=HERE)

    def done(incident: Incident | None) -> int:
        if args.output == "json":
            _print_json(None if incident is None else _as_data(incident))
        elif incident is None:
            print("there never was an incident")
        else:
            print("it has ended: people may sign in anew; no session of before comes back")
        return Exit.GOOD

    return act("incident", args.config, ask, done)


def run_status(args: argparse.Namespace) -> int:
    """Say how it stands; exit."""
    state = _asked(load_settings(args.config), base_of(args.config))
    if state is None:
        return Exit.BROKEN
    incident = state.incident
    if args.output == "json":
        _print_json(None if incident is None else _as_data(incident))
    elif incident is None:
        print("there never was an incident")
    else:
        print("\n".join(_as_words(incident)))
    return Exit.GOOD


def _incidents(sessions: Sessions) -> Incidents:
    return Incidents(
        epochs=sessions.epochs,
        documents=sessions.documents,
        audit=sessions.audit,
        clock=sessions.clock,
        heard=lambda: asyncio.sleep(STALE_SECONDS),
        policy=sessions.policy,
        new_id=sessions.new_id,
    )


def _warn_without_owner(config: str, settings: Settings) -> None:
    """Nobody who may still come in: better known now than in front of the locked door."""
    owners = frozenset(map(Role, settings.incident.owners))
    try:
        people = load_bundle(config).people.values()
    except PolicyError:
        return  # which of them is an owner the running gateway knows
    if all(owners.isdisjoint(person.held) for person in people):
        print(
            "salon-gateway incident: nobody on the staff list holds a role of `incident.owners`: "
            "nobody at all gets in until it ends",
            file=sys.stderr,
        )


# -- evidence ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What the state knows."""

    incident: Incident | None
    rows: Sequence[EpochRow]


def run_export(args: argparse.Namespace) -> int:
    """Export; say so; exit."""
    settings, base, now = load_settings(args.config), base_of(args.config), SystemClock().now()
    state = _asked(settings, base)
    if state is None:
        return Exit.BROKEN
    wanted = _range(args, state.incident, now)
    try:
        parts = [
            *audit_parts(base / settings.audit.directory, wanted),
            *policy_parts(settings, base),
            *state_parts(state.incident, state.rows),
            *settings_parts(settings),
        ]
        digest = pack(
            args.file, parts, _about(args.config, wanted, now), secrets_of(settings, base)
        )
    except NotPackedError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"the trail cannot be read: {(error.strerror or 'unknown').lower()}")
    if args.output == "json":
        _print_json({"file": str(args.file), "files": len(parts), "sha256": digest})
    else:
        print(f"{args.file}: {len(parts)} files, the trail from {wanted.first} to {wanted.last}")
        print(f"sha256 {digest}")
        print("keep this line somewhere else: `incident verify --hash` asks for it")
    return Exit.GOOD


def run_verify(args: argparse.Namespace) -> int:
    """Look; say what was found; exit."""
    try:
        verdict = verify_evidence(args.file)
        wrong = list(verdict.wrong)
        if args.hash is not None:
            with args.file.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not hmac.compare_digest(digest.encode(), args.hash.encode()):
                wrong.insert(0, "the whole file has another hash than the one expected")
    except OSError as error:
        return _failed(f"`{args.file}` cannot be read: {(error.strerror or 'unknown').lower()}")
    if args.output == "json":
        _print_json({"whole": not wrong, "files": verdict.files, "wrong": wrong})
    else:
        for one in wrong:
            print(printable(one))
        print(f"{'not whole' if wrong else 'whole'}: {verdict.files} files as the manifest says")
    return Exit.BROKEN if wrong else Exit.GOOD


def _range(args: argparse.Namespace, incident: Incident | None, now: Instant) -> Range:
    begin = now if incident is None else min(now, incident.began)
    first = args.first or (begin - timedelta(days=DAYS_BEFORE)).date()
    return Range(first=first, last=args.last or now.date())


def _about(config: str, wanted: Range, now: Instant) -> dict[str, Any]:
    try:
        digest = load_bundle(config).digest
    except PolicyError:
        digest = None  # it does not load as it stands; the files are there all the same
    return {
        "made_at": now.isoformat(),
        "policy_digest": digest,
        "trail": {"first": wanted.first.isoformat(), "last": wanted.last.isoformat()},
    }


# -- how --------------------------------------------------------------------------------------


def _asked(settings: Settings, base: Path) -> _State | None:
    """What the state says; None = nothing, and that was said."""

    async def once() -> _State:
        documents, epochs = document_store(settings, base), state_store(settings, base)
        try:
            incident = await incident_in(documents, SystemClock().now())
            return _State(incident=incident, rows=await epochs.rows())
        finally:
            await documents.close()
            await epochs.close()

    try:
        return asyncio.run(once())
    except StateUnavailableError as error:
        _failed(f"no answer: {error.detail}")
        return None


def _failed(why: str) -> int:
    print(f"salon-gateway incident: {why}", file=sys.stderr)
    return Exit.BROKEN


def _as_words(incident: Incident) -> list[str]:
    lines = [
        f"incident {incident.number}: {'active' if incident.is_active else 'ended'}",
        f"  since    {_moment(incident.since)}, by {_who(incident.by)}",
        f"  reason   {incident.reason}",
        f"  contact  {incident.contact or '(none)'}",
    ]
    if incident.ended is not None:
        by = (
            "somebody on the gateway's machine" if incident.ended_by is None else incident.ended_by
        )
        lines.append(f"  ended    {_moment(incident.ended)}, by {by}")
    elif not incident.settled:
        lines.append("  stopped while it began: run `incident start` again, or `incident end`")
    return lines


def _who(by: str | None) -> str:
    return "somebody on the gateway's machine" if by is None else by


def _as_data(incident: Incident) -> dict[str, Any]:
    return {
        "number": incident.number,
        "active": incident.is_active,
        "since": _iso(incident.since),
        "by": incident.by,
        "reason": incident.reason,
        "contact": incident.contact,
        "floor": incident.floor,
        "settled": incident.settled,
        "ended": None if incident.ended is None else _iso(incident.ended),
        "ended_by": incident.ended_by,
    }


def _moment(milliseconds: int) -> str:
    return from_milliseconds(milliseconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(milliseconds: int) -> str:
    return from_milliseconds(milliseconds).isoformat()


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))


def _reason(text: str) -> str:
    if not is_reason(text):
        raise argparse.ArgumentTypeError(f"a reason is one line of 1 to {MAX_REASON} characters")
    return text


def _contact(text: str) -> str:
    if not is_contact(text):
        raise argparse.ArgumentTypeError(f"a contact line has up to {MAX_CONTACT} characters")
    return text


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"`{text}` is not a day; write 2026-11-21") from error
