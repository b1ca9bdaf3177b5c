"""What the gateway answers: permit or denial inside, answer or refusal outside.

A decision is a value: built once, never changed, and carrying everything that the audit
entry, the metrics and the lock screen need, so nobody downstream asks the rules again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.obligation import REFUSED, Grant, RecordVerdict, all_of
from gateway.domain.reason import ALLOWING, Cause, Reason
from gateway.domain.record import RecordState
from gateway.domain.ruleref import RuleRef
from gateway.domain.time import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The request may go to the CRM, with these duties on the way there and back.

    Attributes:
        by: the rules that allow it, in whatever salon and under whatever facts of the record.
        hidden: field names (and `unmapped`) that are hidden in some record that passes. They
            may not be asked about: the answer would tell.
        unwritable: field names (and `unmapped`) that may not be sent to some record that passes.
        exempt: allowed outside the window because of an exempt role; counted.
        depends: what passes, is hidden or writable depends on the record; `judge` says how.
            If not, every record passes with the `hidden` and `unwritable` above.
        refuses: some record may not pass.
        grants: salon → what it lets the person do. Salons that refused do not stand here.
        everywhere: no salon of the person's refused, so a record of unknown salon may pass.
        whole: the verdict on all records that pass, taken together.
        uncut: answers pass as they are. Only where the whole policy is observed, not enforced.
    """

    by: tuple[RuleRef, ...]
    hidden: frozenset[str] = frozenset()
    unwritable: frozenset[str] = frozenset()
    exempt: bool = False
    depends: bool = False
    refuses: bool = False
    grants: Mapping[str, Grant] = field(default_factory=dict)
    everywhere: bool = True
    uncut: bool = False
    whole: RecordVerdict = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # INVARIANT: an allow names the rule that allowed it. An allow that nobody can
        # trace back to a line of salon_rules.csv is a bug, not a decision.
        if not self.by:
            raise ValueError("a permit needs at least one determining rule")
        if self.depends and not self.grants:
            raise ValueError("what depends on the record needs somebody to judge it")
        whole = RecordVerdict(passes=True, hidden=self.hidden, unwritable=self.unwritable)
        object.__setattr__(self, "whole", whole)  # derived from the rest, and frozen like it

    @property
    def asks(self) -> int:
        """Every fact of the record that anything here asks about, one bit each."""
        bits = 0
        for grant in self.grants.values():
            bits |= grant.asks
        return bits

    def judge(self, state: RecordState) -> RecordVerdict:
        """The verdict on one record.

        A record is judged by its own salon; one whose salon is not known must pass in all
        of the person's. A salon where the person does not work lets nothing pass.
        """
        if not self.depends:
            return self.whole
        if state.salon is not None:
            grant = self.grants.get(state.salon)
            return REFUSED if grant is None else grant.judge(state)
        if not self.everywhere:
            return REFUSED
        return all_of(grant.judge(state) for grant in self.grants.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The request stops here.

    Attributes:
        by: the rules that determined it; empty when nothing allowed it.
        salon: whose rules and hours say so, for somebody who works in several.
    """

    reason: Reason
    by: tuple[RuleRef, ...] = ()
    salon: str | None = None

    def __post_init__(self) -> None:
        if self.reason in ALLOWING:
            raise ValueError(f"{self.reason} is not a denial")


# There is no third answer, and mypy proves that each caller handles both.
Decision = Permit | Denial


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Leave to forward without rules: a `pass` or `public` route. Not a permit."""

    reason: Reason

    def __post_init__(self) -> None:
        if self.reason not in {Reason.PASSED, Reason.PUBLIC}:
            raise ValueError(f"{self.reason} is not a passage")


Clearance = Permit | Passage  # what the upstream port asks to see before it forwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the client is told. The shell renders it as problem+json or as a page.

    Attributes:
        request_id: same as in the audit entry; the person can quote it.
        detail: one English sentence without secrets.
        by: the rules behind it, file and line.
        opens_at: for `outside_hours`: when the window opens again, None = not known.
        timezone: IANA name of the salon's zone, to print `opens_at` as the salon's clock does.
        cause: not shown to the client.
        retry_seconds: for `budget_spent`: when the next one is free; None = not known.
        card: for `outside_hours`: the address of a card that can be asked for; None = it cannot.
    """

    reason: Reason
    request_id: str
    detail: str = ""
    by: tuple[RuleRef, ...] = ()
    opens_at: Instant | None = None
    timezone: str = "UTC"
    cause: Cause | None = None
    retry_seconds: float | None = None
    card: str | None = None
