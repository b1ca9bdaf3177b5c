"""`staff offboard`, `lock`, `unlock`: keep somebody out, from now on or from an instant.

A policy that does not load keeps nobody in: it is only asked who is on the roster, and for the
salon's clock. Whoever is neither there nor in the state is nobody known, and probably a slip of
the pen: a tombstone is for good, so that is asked back.
"""

import argparse
import json
import sys
from datetime import date
from typing import Final

from gateway.app import load_bundle
from gateway.backends.clock import SystemClock
from gateway.bundle import Bundle
from gateway.cli.acting import HERE, NotDoneError, act, bare, staff_of
from gateway.cli.device import registry_of
from gateway.cli.exits import Exit
from gateway.cli.say import local
from gateway.domain.finding import PolicyError, did_you_mean
from gateway.domain.subject import StaffId
from gateway.domain.time import Instant, from_milliseconds, on_clock, read_moment
from gateway.enforcer.closing import closing_time
from gateway.identity.locks import Lock
from gateway.ports import Kind
from gateway.sessions import Sessions

NOW: Final = "now"
END_OF_SHIFT: Final = "end-of-shift"

_OFFBOARD_EXAMPLES = """\
examples:
  salon-gateway staff offboard mei                          out at once, and for good
  salon-gateway staff offboard mei --at end-of-shift        when the salon closes today
  salon-gateway staff offboard mei --at 2026-11-30T20:00 --notice-from 2026-11-01

Ends every session on every device, the account, and what was learned of the CRM's login, streams
that are under way included. It is for good: the id is never used again, whatever staff.yaml says;
a new person with the same name gets another id. Somebody who may come back is locked instead.

With a later moment nothing changes until then, and then no job has to run. Said again, it moves
the moment. `--notice-from` makes the condition `on_notice` true from that day.
"""
_LOCK_EXAMPLES = """\
examples:
  salon-gateway staff lock mei
  salon-gateway staff unlock mei

A lock ends every session and keeps the person from beginning a new one, until it is lifted. A
lost phone alone needs none: `salon-gateway session revoke mei` ends its sessions.
"""
_UNLOCK_EXAMPLES = """\
examples:
  salon-gateway staff unlock mei

Sessions that the lock has ended stay ended: the person signs in anew. Who has left stays out.
"""
_REACTIVATE_EXAMPLES = """\
examples:
  salon-gateway staff reactivate mei

For somebody who comes back after longer than `devices.idle_days` of gateway.yaml. Who is locked or
has left stays out.
"""


def register(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the actions of `staff`."""
    for name, run, text, examples in (
        ("offboard", run_offboard, "see somebody out, for good", _OFFBOARD_EXAMPLES),
        ("lock", run_lock, "keep somebody out until you unlock them", _LOCK_EXAMPLES),
        ("unlock", run_unlock, "lift a lock", _UNLOCK_EXAMPLES),
        (
            "reactivate",
            run_reactivate,
            "let somebody in again who was away for long",
            _REACTIVATE_EXAMPLES,
        ),
    ):
        words = actions.add_parser(
            name,
            help=text,
            description=f"{text.capitalize()}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        words.add_argument("staff", metavar="ID", type=staff_of, help="`mei` or `staff:mei`")
        if run not in {run_unlock, run_reactivate}:
            words.add_argument(
                "--unlisted",
                action="store_true",
                help="the id is right, though neither staff.yaml nor the state knows it",
            )
        if run is run_offboard:
            words.add_argument(
                "--at",
                default=NOW,
                metavar="MOMENT",
                help="`now` (default), `end-of-shift`, or 2026-11-30T20:00 on the salon's clock",
            )
            words.add_argument(
                "--notice-from", type=_date, metavar="DATE", help="on notice from this day"
            )
        words.set_defaults(run=run)


def run_offboard(args: argparse.Namespace) -> int:
    """See out; say so; exit."""
    staff: StaffId = args.staff
    bundle = _policy(args.config)
    try:
        at = _moment(args.at, staff, bundle, SystemClock().now())
    except ValueError as error:
        print(f"salon-gateway staff: {error}", file=sys.stderr)
        return Exit.USAGE

    async def ask(sessions: Sessions) -> Lock:
        await _require_known(sessions, staff, bundle, unlisted=args.unlisted)
        return await sessions.offboard(
            staff, at=at, notice_from=args.notice_from, by=None, peer=HERE
        )

    def done(lock: Lock) -> int:
        if lock.has_left(SystemClock().now()):
            said = "has left: everything of theirs has ended, and the id is never used again"
        else:
            notice = f", on notice from {lock.notice_from}" if lock.notice_from else ""
            said = f"leaves at {_clock(lock, staff, bundle)}{notice}; nothing changes before"
        return _tell(args, lock, said)

    return act("staff", args.config, ask, done)


def run_lock(args: argparse.Namespace) -> int:
    """Lock; say so; exit."""
    staff: StaffId = args.staff
    bundle = _policy(args.config)

    async def ask(sessions: Sessions) -> Lock:
        await _require_known(sessions, staff, bundle, unlisted=args.unlisted)
        return await sessions.lock(staff, by=None, peer=HERE)

    def done(lock: Lock) -> int:
        if lock.has_left(SystemClock().now()):
            return _tell(args, lock, "has left already, which is more than a lock")
        said = "is locked: every session has ended, and no other begins"
        return _tell(args, lock, said + _leaving(lock, staff, bundle))

    return act("staff", args.config, ask, done)


def run_reactivate(args: argparse.Namespace) -> int:
    """Not idle any more; say so; exit."""
    staff: StaffId = args.staff
    bundle = _policy(args.config)

    async def ask(sessions: Sessions) -> Lock | None:
        await _require_known(sessions, staff, bundle, unlisted=False)
        lock = (await sessions.locks()).get(staff)
        if lock is not None and lock.has_left(sessions.clock.now()):
            raise NotDoneError(
                f"{bare(staff)} has left, and stays out; a new person gets a new id"
            )
        await registry_of(sessions).reactivate(staff, by=None, peer=HERE)
        return lock

    def done(lock: Lock | None) -> int:
        locked = lock is not None and lock.is_locked(SystemClock().now())
        return _tell(args, lock, "counts as seen today" + (", and is still locked" * locked))

    return act("staff", args.config, ask, done)


def run_unlock(args: argparse.Namespace) -> int:
    """Unlock; say so; exit."""
    staff: StaffId = args.staff
    bundle = _policy(args.config)

    async def ask(sessions: Sessions) -> tuple[Lock | None, Lock | None]:
        await _require_known(sessions, staff, bundle, unlisted=False)
        before = (await sessions.locks()).get(staff)
        await sessions.unlock(staff, by=None, peer=HERE)
        return before, (await sessions.locks()).get(staff)

    def done(locks: tuple[Lock | None, Lock | None]) -> int:
        before, lock = locks
        now = SystemClock().now()
        if lock is not None and lock.has_left(now):
            _tell(args, lock, "has left, and stays out; a new person gets a new id")
            return Exit.BROKEN
        was = before is not None and before.is_locked(now)
        said = "is not locked any more, and may sign in anew" if was else "was not locked"
        return _tell(args, lock, said + _leaving(lock, staff, bundle))

    return act("staff", args.config, ask, done)


# -- what is asked for --------------------------------------------------------------------


def _policy(config: str) -> Bundle | None:
    """The policy on disk; None and a sentence if it does not load."""
    try:
        return load_bundle(config)
    except PolicyError:
        print(
            "salon-gateway staff: the policy does not load (`salon-gateway check` says why), so "
            "staff.yaml and hours.yaml were not asked",
            file=sys.stderr,
        )
        return None


async def _require_known(
    sessions: Sessions, staff: StaffId, bundle: Bundle | None, *, unlisted: bool
) -> None:
    """A tombstone is for good, and a lock on the wrong id locks nobody: ask back."""
    now = sessions.clock.now()
    # Asked in any case: a list has seconds to answer, also when it has to open the files first;
    # and a state that does not answer is found out before an act is entered.
    known: set[str] = {*await sessions.documents.all(Kind.LOCK, now)}
    roster = set(bundle.roster.members) if bundle else set()
    if unlisted or staff in roster:
        return
    known |= {row.staff for row in await sessions.epochs.rows()}
    known |= (await sessions.documents.all(Kind.ACCOUNT, now)).keys()
    if staff in known:
        return
    near = did_you_mean(bare(staff), (name.removeprefix("staff:") for name in roster | known))
    raise NotDoneError(
        f"nobody knows `{bare(staff)}`; {near} (if the id is right all the same: `--unlisted`)"
    )


def _moment(text: str, staff: StaffId, bundle: Bundle | None, now: Instant) -> Instant | None:
    """What `--at` says; None = at once.

    Raises:
        ValueError: it is no moment, or one that is over, or nobody knows on whose clock.
    """
    if text == NOW:
        return None
    member = bundle.roster.members.get(staff) if bundle else None
    if text == END_OF_SHIFT:
        if bundle is None or member is None:
            raise ValueError(f"`{bare(staff)}` is not on the roster, so no shift is known of them")
        closings = [closing_time(bundle.hours(salon), now) for salon in member.salons]
        return max((closing for closing in closings if closing), default=None)
    try:
        moment = read_moment(text)
    except ValueError as error:
        raise ValueError(f"{error}, `{NOW}` or `{END_OF_SHIFT}`") from None
    zone = zone_of(staff, bundle)
    if moment.tzinfo is None and zone is None:
        raise ValueError(f"nobody knows on whose clock `{text}` is; write a zone: `{text}+09:00`")
    at = on_clock(moment, zone or "UTC")
    if at <= now:
        raise ValueError(f"`{text}` is over; `--at {NOW}` sees them out at once")
    return at


def zone_of(staff: StaffId, bundle: Bundle | None) -> str | None:
    """The zone of the person's first salon."""
    member = bundle.roster.members.get(staff) if bundle else None
    if bundle is None or member is None:
        return None
    hours = bundle.hours(next(iter(member.salons)))
    return None if hours is None else hours.timezone


def _date(text: str) -> date:
    try:
        moment = read_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if len(text) != len("2026-11-30"):
        raise argparse.ArgumentTypeError(f"`{text}` is not a day; write 2026-11-30")
    return moment.date()


# -- what is said -------------------------------------------------------------------------


def _leaving(lock: Lock | None, staff: StaffId, bundle: Bundle | None) -> str:
    return "" if lock is None or not lock.left else f"; leaves at {_clock(lock, staff, bundle)}"


def _clock(lock: Lock, staff: StaffId, bundle: Bundle | None) -> str:
    """When somebody leaves, on their salon's clock."""
    zone = zone_of(staff, bundle) or "UTC"
    return "once" if lock.leaves_at is None else f"{local(lock.leaves_at, zone)} ({zone})"


def _tell(args: argparse.Namespace, lock: Lock | None, said: str) -> int:
    if args.output == "json":
        print(
            json.dumps(
                {"staff": args.staff, "lock": lock_as_data(lock, SystemClock().now())}, indent=2
            )
        )
    else:
        print(f"{bare(args.staff)} {said}")
    return Exit.GOOD


def lock_as_data(lock: Lock | None, now: Instant) -> dict[str, object] | None:
    """A lock for programs."""
    if lock is None:
        return None
    return {
        "locked": lock.is_locked(now),
        "left": lock.has_left(now),
        "leaves_at": lock.leaves_at.isoformat() if lock.leaves_at else None,
        "notice_from": lock.notice_from.isoformat() if lock.notice_from else None,
        "since": from_milliseconds(lock.since).isoformat(),
        "by": lock.by,
    }
