"""What would another policy have said to a recorded request, with the clock and facts of then?

True here:
- A change is sure, or it is called a *may*: where it hangs on something about the record that
  nobody noted, or on the records of a list, which are not in the trail.
- If the policy of then is at hand, a *may* is told only where the two policies differ. Under
  the policy that judged it, a request never changes.
- What the trail does not keep is not judged again: what a question asked about, and members
  that no field of the adapter names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gateway.bundle import Bundle
from gateway.domain.decision import Passage
from gateway.domain.reason import Reason
from gateway.domain.ruleref import RuleRef
from gateway.tools.asked_again import Asked, Policy, Stop
from gateway.tools.recorded import Recorded, left_out
from gateway.tools.sights import Masks, compare
from gateway.tools.worlds import World, hangs_on, worlds

THERE = "whether the record is there"
NOWHERE = frozenset({None, Reason.NO_SUCH_RECORD})


class Kind(StrEnum):
    """What becomes of a recorded request."""

    REFUSED = "refused"  # it was let through
    MAY_REFUSE = "may_refuse"  # ditto; the record decides, and was not looked at
    LET_THROUGH = "let_through"  # it was refused
    MAY_LET_THROUGH = "may_let_through"
    OTHER_REASON = "other_reason"  # it was refused, and would be for another reason
    MASK = "mask"  # it is let through with other fields or other records


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One recorded request that another policy would have answered otherwise.

    Attributes:
        reason: why it would be refused (perhaps, of a *may*); or `rule_allows`, `passed`,
            `public`.
        by: the rows that say so.
        hides: fields that were shown and would be hidden.
        shows: fields that were hidden and would be shown.
        may_hide, may_show: likewise, of some records.
        fewer, more: some records of the list may be kept back, or come.
        unrecorded: what it hangs on and nobody noted.
    """

    kind: Kind
    recorded: Recorded
    reason: Reason
    by: tuple[RuleRef, ...] = ()
    hides: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    may_hide: tuple[str, ...] = ()
    may_show: tuple[str, ...] = ()
    fewer: bool = False
    more: bool = False
    unrecorded: tuple[str, ...] = ()


def replay(bundle: Bundle, recorded: Recorded, known: Iterable[Bundle] = ()) -> Change | None:
    """Put one recorded request to a policy; None = it would have been answered the same.

    Args:
        bundle: the candidate.
        recorded: an entry that `left_out` lets in.
        known: policies that may have judged it then.

    Raises:
        ValueError: `left_out` says why it cannot be asked.
    """
    return Replayer(bundle, known).change(recorded)


class Replayer:
    """A candidate, and the policies of then that are at hand. Asks as often as you like."""

    def __init__(self, bundle: Bundle, known: Iterable[Bundle] = ()) -> None:
        self._now = Policy(bundle)
        self._known = {other.digest: Policy(other) for other in known}
        self._known[bundle.digest] = self._now

    def change(self, recorded: Recorded) -> Change | None:
        """As `replay`."""
        left = left_out(recorded)
        if left is not None:
            raise ValueError(f"this cannot be asked again: {left}")
        now = self._now.ask(recorded)
        known = self._known.get(recorded.policy)
        was = None if known is None else known.ask(recorded)
        if isinstance(now, Stop):
            return _stopped(recorded, now)
        if isinstance(now, Passage):
            return _passed(recorded, now)
        return _judged(recorded, now, was if isinstance(was, Asked) else None)


def _stopped(recorded: Recorded, now: Stop) -> Change | None:
    if recorded.let_through:
        return Change(kind=Kind.REFUSED, recorded=recorded, reason=now.reason, by=now.by)
    if recorded.reason is now.reason:
        return None
    return Change(kind=Kind.OTHER_REASON, recorded=recorded, reason=now.reason, by=now.by)


def _passed(recorded: Recorded, now: Passage) -> Change | None:
    """A `pass` or `public` route: nothing is judged or cut."""
    if not recorded.let_through:
        return Change(kind=Kind.LET_THROUGH, recorded=recorded, reason=now.reason)
    more = recorded.refused > 0
    if not recorded.hidden and not more:
        return None
    return Change(
        kind=Kind.MASK, recorded=recorded, reason=now.reason, shows=recorded.hidden, more=more
    )


def _judged(recorded: Recorded, now: Asked, was: Asked | None) -> Change | None:
    """What the record, or what is noted of it, makes of it."""
    every = worlds(now.own, was.own if was else None, recorded)
    listed = None if every is None else _as_it_was(every, recorded, was)
    if listed is None:
        outcomes: frozenset[Reason | None] = NOWHERE
    else:
        outcomes = frozenset(map(now.refusal, listed))
    if recorded.missing and outcomes <= NOWHERE:
        if recorded.let_through or outcomes != {None} or not now.match.route.ids:
            return None  # the CRM had no such record: 404 one way or the other
        outcomes = NOWHERE  # one of several was missing; nobody knows what the CRM does then
    kind = _kind(recorded, outcomes)
    reason = min((one for one in outcomes if one is not None), default=Reason.RULE_ALLOWS)
    if kind in {Kind.REFUSED, Kind.OTHER_REASON}:
        by = next(iter(map(now.own.firing, listed or ())), ())
        return Change(kind=kind, recorded=recorded, reason=reason, by=by)
    sure = kind in {Kind.LET_THROUGH, None}
    masks = compare(recorded, now, was, listed) if recorded.let_through else Masks()
    if kind is None and not masks:
        return None
    return Change(
        kind=kind or Kind.MASK,
        recorded=recorded,
        reason=Reason.RULE_ALLOWS if sure else reason,
        by=now.by if kind is Kind.LET_THROUGH else (),
        hides=tuple(masks.hides),
        shows=tuple(masks.shows),
        may_hide=tuple(masks.may_hide),
        may_show=tuple(masks.may_show),
        fewer=masks.fewer,
        more=masks.more,
        unrecorded=() if sure else hangs_on(now.own, listed, now.refusal) or (THERE,),
    )


def _as_it_was(every: list[World], recorded: Recorded, was: Asked | None) -> list[World]:
    """The worlds in which the policy of then says what was recorded."""
    if was is None:
        return every
    then = None if recorded.let_through else recorded.reason
    return [world for world in every if was.refusal(world) is then] or every


def _kind(recorded: Recorded, outcomes: frozenset[Reason | None]) -> Kind | None:
    """None = it would be let through, or refused, as it was."""
    if recorded.let_through:
        if None not in outcomes:
            return Kind.REFUSED
        return None if len(outcomes) == 1 else Kind.MAY_REFUSE
    if outcomes == {None}:
        return Kind.LET_THROUGH
    if None in outcomes:
        return Kind.MAY_LET_THROUGH
    return None if recorded.reason in outcomes else Kind.OTHER_REASON
