"""What the gateway answers: permit or denial inside, answer or refusal outside.

A decision is a value: built once, never changed, and carrying everything that the audit
entry, the metrics and the lock screen need, so nobody downstream asks the rules again.
"""

from dataclasses import dataclass

from gateway.domain.reason import ALLOWING, Cause, Reason
from gateway.domain.time import Instant


@dataclass(frozen=True, slots=True, order=True)
class RuleRef:
    """Where a rule stands, so a person can go and look: `salon_rules.csv:41`."""

    file: str
    line: int  # 1-based, as editors count

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The request may go to the CRM, with these duties on the way there and back.

    Attributes:
        by: the rules that allow it.
        hidden: field names (and `unmapped`) that leave the answer and may not be asked about.
        unwritable: field names (and `unmapped`) that may not be sent.
        exempt: allowed outside the window because of an exempt role; counted.
    """

    by: tuple[RuleRef, ...]
    hidden: frozenset[str] = frozenset()
    unwritable: frozenset[str] = frozenset()
    exempt: bool = False

    def __post_init__(self) -> None:
        # INVARIANT: an allow names the rule that allowed it. An allow that nobody can
        # trace back to a line of salon_rules.csv is a bug, not a decision.
        if not self.by:
            raise ValueError("a permit needs at least one determining rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The request stops here.

    Attributes:
        by: the rules that determined it; empty when nothing allowed it.
    """

    reason: Reason
    by: tuple[RuleRef, ...] = ()

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
    """

    reason: Reason
    request_id: str
    detail: str = ""
    by: tuple[RuleRef, ...] = ()
    opens_at: Instant | None = None
    timezone: str = "UTC"
    cause: Cause | None = None
