"""`grant`: cards that somebody asked for while the salon was closed; and the review of them."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from gateway.app import base_of, document_store, load_bundle, load_settings
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.acting import HERE, NotDoneError, act, bare, staff_of
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.subject import Role, StaffId
from gateway.domain.time import Instant, from_milliseconds
from gateway.grants import Grants
from gateway.identity.grant import Grant, Verdict, parse_grant
from gateway.ports import Kind
from gateway.sessions import Sessions
from gateway.settings import Settings

EPILOG = """\
examples:
  salon-gateway grant list                  what waits to be reviewed
  salon-gateway grant list --all            and what was, up to 400 days ago
  salon-gateway grant review NUMBER --by ken --verdict justified

Whoever asked for a card cannot ask again before somebody else who manages the salon has looked at
it. A review also ends a card that is open still. Why somebody asked stands here and in the
console, not in the audit trail: it may name a client.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "grant",
        help="cards outside the hours: who asked for one; review it",
        description="Cards outside the hours: list, review.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "who asked for a card while the salon was closed, and why"
    listing = actions.add_parser("list", help=text, description=f"{text.capitalize()}.")
    listing.add_argument(
        "--all", action="store_true", help="also what was reviewed, up to 400 days ago"
    )
    listing.set_defaults(run=run_list)
    text = "say what somebody who manages the salon found of it"
    review = actions.add_parser("review", help=text, description=f"{text.capitalize()}.")
    review.add_argument("number", metavar="NUMBER", help="of the grant, as `grant list` shows it")
    review.add_argument("--by", metavar="STAFF", type=staff_of, required=True, help="`ken`")
    review.add_argument(
        "--verdict", choices=[str(verdict) for verdict in Verdict], required=True, help="found"
    )
    review.set_defaults(run=run_review)


def run_list(args: argparse.Namespace) -> int:
    """List; exit."""
    try:
        found = asyncio.run(_read(args.config, past=args.all))
    except StateUnavailableError as error:
        print(f"salon-gateway grant: no answer: {error.detail}; try again", file=sys.stderr)
        return Exit.BROKEN
    now = SystemClock().now()
    if args.output == "json":
        print(json.dumps([_as_data(one, now) for one in found], ensure_ascii=False, indent=2))
    elif found:
        heads = ("number", "who", "salon", "card", "asked", "until", "how", "why")
        print_table([heads, *(_as_words(one, now) for one in found)])
    else:
        print("nothing waits to be reviewed")
    return Exit.GOOD


def run_review(args: argparse.Namespace) -> int:
    """Review; say so; exit."""
    by: StaffId = args.by
    verdict = Verdict(args.verdict)
    bundle, settings = load_bundle(args.config), load_settings(args.config)

    async def ask(sessions: Sessions) -> Grant:
        try:
            return await _grants(sessions, bundle, settings).review(
                args.number, verdict, by=by, peer=HERE
            )
        except RequestError as error:
            raise NotDoneError(
                f"{error.detail} `salon-gateway grant list` shows what waits; whoever reviews "
                "manages that salon and did not ask"
            ) from error

    def done(grant: Grant) -> int:
        if args.output == "json":
            print(json.dumps(_as_data(grant, SystemClock().now()), ensure_ascii=False))
        else:
            print(f"reviewed by {bare(by)}: {bare(StaffId(grant.staff))} can ask again")
        return Exit.GOOD

    return act("grant", args.config, ask, done)


async def _read(config: str, *, past: bool) -> Sequence[Grant]:
    documents = document_store(load_settings(config), base_of(config))
    now = SystemClock().now()
    try:
        kept = [*(await documents.all(Kind.GRANT, now)).values()]
        if past:
            kept += (await documents.all(Kind.GRANT_PAST, now)).values()
    finally:
        await documents.close()
    found = {grant.id: grant for grant in (parse_grant(one.value) for one in kept)}
    shown = (grant for grant in found.values() if past or grant.review is None)
    return sorted(shown, key=lambda grant: (grant.asked, grant.id))


def _grants(sessions: Sessions, bundle: Bundle, settings: Settings) -> Grants:
    """Grants on what an act has opened; nobody asks for one here."""
    return Grants(
        documents=sessions.documents,
        audit=sessions.audit,
        clock=sessions.clock,
        people=lambda: bundle.people,
        managers=frozenset(map(Role, settings.console.roles)),
        everywhere=frozenset(map(Role, settings.console.everywhere)),
        policy=sessions.policy,
        new_id=sessions.new_id,
        meter=None,
        settings=None,
    )


def _how(grant: Grant, now: Instant) -> str:
    if grant.review is not None:
        return grant.review.verdict
    return "open" if grant.is_open(now) else "to be reviewed"


def _as_words(grant: Grant, now: Instant) -> tuple[str, ...]:
    return (
        grant.id,
        bare(StaffId(grant.staff)),
        grant.salon,
        f"{grant.resource} {grant.record}",
        f"{grant.begun:%Y-%m-%d %H:%M} UTC",
        f"{grant.ends:%H:%M}",
        _how(grant, now),
        grant.reason,
    )


def _as_data(grant: Grant, now: Instant) -> dict[str, object]:
    review = grant.review
    return {
        "grant": grant.id,
        "staff": grant.staff,
        "device": grant.device,
        "salon": grant.salon,
        "resource": grant.resource,
        "record": grant.record,
        "reason": grant.reason,
        "asked_at": grant.begun.isoformat(),
        "until": grant.ends.isoformat(),
        "open": grant.is_open(now),
        "reviewed_by": None if review is None else review.by,
        "reviewed_at": None if review is None else from_milliseconds(review.at).isoformat(),
        "verdict": None if review is None else review.verdict,
    }
