"""`state`: does the state store know what it was told? And put back what it lost."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.app import base_of, document_store, load_settings
from gateway.backends.clock import SystemClock
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_memory import Repair
from gateway.cli.exits import Exit
from gateway.cli.say import print_table
from gateway.domain.errors import StateUnavailableError
from gateway.ports import DocumentStore, Kind

T = TypeVar("T")

EPILOG = """\
examples:
  salon-gateway state check    can it answer, has it lost anything, how much is in it
  salon-gateway state repair   Redis was flushed or put back from an older copy: go on with it

A Redis that lost its memory no longer knows who was locked or logged out. Each machine with a
gateway notices, and refuses everybody with 503. It also keeps every lock in a ledger of its own,
beside gateway.yaml (state/lock-ledger.sqlite3). `repair` writes the locks of this machine's
ledger back, ends all sessions, and tells all others. If a gateway on another machine goes on
refusing, its ledger has a lock that this one did not know: run `repair` there, too.

Only locks are kept twice. Accounts, sign-ins, devices and learned credentials that Redis lost are
gone, and whoever had them is refused. With `sqlite:` there is nothing to repair.
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs."""
    words = verbs.add_parser(
        "state",
        help="check what the state store knows; repair a Redis that lost its memory",
        description="What the state store knows: locks, accounts, sign-ins, devices.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = words.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("check", run_check, "whether it answers and has lost nothing, and how much is in it"),
        ("repair", run_repair, "put the locks of this machine's ledger back into Redis"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text.capitalize()}.")
        action.set_defaults(run=run)


def run_check(args: argparse.Namespace) -> int:
    """Ask; say; exit."""

    async def ask(store: DocumentStore) -> dict[str, int]:
        await store.check()
        now = SystemClock().now()
        return {kind: len(await store.all(kind, now)) for kind in Kind}

    def done(counts: dict[str, int]) -> None:
        if args.output == "json":
            _print_json({"documents": counts})
        else:
            print("the state store answers, and has lost nothing that this machine knows of")
            print_table(
                [("what", "how many"), *((kind, str(many)) for kind, many in counts.items())]
            )

    return _with_documents(args.config, ask, done)


def run_repair(args: argparse.Namespace) -> int:
    """Repair, if need be; say what was done; exit."""

    async def ask(store: DocumentStore) -> Repair | None:
        if isinstance(store, RedisDocuments):
            return await store.repair()
        await store.check()
        return None

    def done(repair: Repair | None) -> None:
        if args.output == "json":
            _print_json(_as_data(repair))
        elif repair is None:
            print("nothing was lost, and nothing was done")
        else:
            print("\n".join(_in_words(repair)))

    return _with_documents(args.config, ask, done)


def _with_documents(
    config: str, ask: Callable[[DocumentStore], Awaitable[T]], done: Callable[[T], None]
) -> int:
    store = document_store(load_settings(config), base_of(config))  # connects to nothing yet

    async def once() -> T:
        try:
            return await ask(store)
        finally:
            await store.close()

    try:
        answer = asyncio.run(once())
    except StateUnavailableError as error:
        print(f"salon-gateway state: no answer: {error.detail}", file=sys.stderr)
        return Exit.BROKEN
    done(answer)
    return Exit.GOOD


def _in_words(repair: Repair) -> list[str]:
    words = [
        "Redis has a new memory, and the other gateways accept it within a second",
        "all sessions have ended, and everybody signs in anew",
        f"locks written back from this machine's ledger: {len(repair.entries)}",
    ]
    if repair.disputed:
        names = ", ".join(repair.disputed)
        words.append(f"of two minds, look whether this is what you want: {names}")
    if repair.unreadable:
        names = ", ".join(repair.unreadable)
        words.append(f"unreadable, so refused, and this machine does not know them: {names}")
    words.append("accounts, sign-ins, devices and learned credentials that Redis lost are gone")
    return words


def _as_data(repair: Repair | None) -> dict[str, object]:
    if repair is None:
        return {"repaired": False}
    return {
        "repaired": True,
        "written_back": sorted(repair.entries),
        "disputed": list(repair.disputed),
        "unreadable": list(repair.unreadable),
    }


def _print_json(data: object) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))
