"""An audit entry read back: what a policy can be asked about it again.

True here: an entry is what was written, and its hash has been looked at; still nothing is
taken for granted. One of another form is a ValueError, one that no policy can be asked about
has a `Left` that says why.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from gateway.audit.entry import MAX_PATH_CHARACTERS, Entry, Phase
from gateway.domain.http import BODYLESS, MISSING
from gateway.domain.reason import Cause, Reason
from gateway.domain.record import RecordNote
from gateway.domain.ruleref import RuleRef

LET_THROUGH: Final = frozenset({Reason.RULE_ALLOWS, Reason.WOULD_DENY})
# Refused for something that an entry tells enough of to ask again.
JUDGED: Final = frozenset(
    {
        Reason.RULE_DENIES,
        Reason.NO_RULE_ALLOWS,
        Reason.OUTSIDE_HOURS,
        Reason.DEVICE_NOT_APPROVED,
        Reason.NO_SUCH_RECORD,
        Reason.NO_LOOKUP,
        Reason.FIELD_NOT_WRITABLE,
        Reason.OVERWRITES_HIDDEN,
        Reason.UNMAPPED,
        Reason.HAS_LEFT,
    }
)


_ROWS: Final = ("rules", "would_by")
_NO_ANSWER: Final = frozenset({Phase.INTENT, Phase.TALLY, Phase.END, Phase.ACT})


class Left(StrEnum):
    """Why an entry cannot be asked about again."""

    QUESTION = "question"  # what it asked about is not kept
    BODY = "body"  # what was wrong with its body is not kept
    WIRE = "wire"  # not a request that rules are asked about
    IDENTITY = "identity"  # nobody, or nobody on the roster
    CRM = "crm"  # the rules let it through; the CRM or the answer failed
    GATEWAY = "gateway"  # we failed
    TALLY = "tally"  # refusals of strangers that have no line of their own


_LEFT: Final[Mapping[Reason, Left]] = {
    Reason.PASSED: Left.WIRE,  # never entered
    Reason.PUBLIC: Left.WIRE,
    Reason.MALFORMED_REQUEST: Left.WIRE,
    Reason.AMBIGUOUS_TARGET: Left.WIRE,
    Reason.METHOD_REFUSED: Left.WIRE,
    Reason.HOST_REFUSED: Left.WIRE,
    Reason.WEBSOCKET_ONLY: Left.WIRE,
    Reason.BODY_TOO_LARGE: Left.BODY,
    Reason.BODY_TIMEOUT: Left.BODY,
    Reason.UNAUTHENTICATED: Left.IDENTITY,
    Reason.ORIGIN_REFUSED: Left.IDENTITY,
    Reason.TOO_MANY_TRIES: Left.IDENTITY,
    Reason.PASSWORD_TEMPORARY: Left.IDENTITY,
    Reason.PASSWORD_WEAK: Left.IDENTITY,
    Reason.STATE_UNAVAILABLE: Left.GATEWAY,
    Reason.NOT_ON_ROSTER: Left.IDENTITY,
    Reason.DEVICE_WAITS: Left.IDENTITY,  # the state says so, and no policy
    Reason.DEVICE_REFUSED: Left.IDENTITY,
    Reason.IDLE: Left.IDENTITY,
    Reason.LOCKED: Left.IDENTITY,  # by an act: no policy says so
    Reason.INCIDENT: Left.IDENTITY,  # likewise
    Reason.BREAK_GLASS: Left.IDENTITY,  # by an act, too: somebody asked, and was given one card
    Reason.BREAK_GLASS_REFUSED: Left.IDENTITY,
    Reason.LOOKUP_FAILED: Left.CRM,
    Reason.UNKNOWN_PARAMETER: Left.QUESTION,
    Reason.PARAMETER_INVALID: Left.QUESTION,
    Reason.BUDGET_SPENT: Left.QUESTION,
    Reason.HIDDEN_FIELD_ASKED: Left.QUESTION,
    Reason.CONTENT_TYPE_REFUSED: Left.BODY,
    Reason.BODY_INVALID: Left.BODY,
    Reason.UPSTREAM_UNREACHABLE: Left.CRM,
    Reason.UPSTREAM_TIMEOUT: Left.CRM,
    Reason.UPSTREAM_INVALID: Left.CRM,
    Reason.UPSTREAM_REDIRECT: Left.CRM,
    Reason.ANSWER_NOT_CUT: Left.CRM,
    Reason.ANSWER_TOO_LARGE: Left.CRM,
    Reason.APPLIED_NOT_SHOWN: Left.CRM,
    Reason.LOGIN_NOT_LEARNED: Left.CRM,
    Reason.AUDIT_UNAVAILABLE: Left.GATEWAY,
    Reason.INTERNAL_ERROR: Left.GATEWAY,
}


class Recorded(Entry, frozen=True, kw_only=True):
    """The line with which a request was answered.

    Attributes:
        phase, status, reason: as of every such line.
        rules, would_by: of the policy of then; they may stand elsewhere now.
    """

    phase: Phase = Phase.ANSWER
    status: int = 0
    reason: Reason

    @property
    def let_through(self) -> bool:
        """Did the CRM answer?"""
        return self.reason in LET_THROUGH

    @property
    def recordless(self) -> bool:
        """Did the CRM answer with no record at all?"""
        return self.let_through and (self.status >= 400 or self.status in BODYLESS)

    @property
    def missing(self) -> bool:
        """Did the CRM have no such record?"""
        if self.let_through:
            return self.status in MISSING
        return self.cause is Cause.RECORD_MISSING

    @property
    def note(self) -> RecordNote | None:
        """What was known of the one record that was judged; None = none was looked at."""
        if self.record_salon is None and not self.record_facts:
            return None
        return RecordNote(self.record_salon, self.record_facts)


def parse_recorded(members: Mapping[str, Any]) -> Recorded | None:
    """The members of a line → the answer that it records.

    Args:
        members: as `audit.chain.parse` gives them.

    Returns:
        None for a line that records no answer: a head, an intent, a tally, an end, an act.

    Raises:
        ValueError: an entry of another form than this version writes.
    """
    if members.get("kind") != "entry" or members.get("phase") in _NO_ANSWER:
        return None
    try:
        rows = {name: [_row(text) for text in members.get(name, ())] for name in _ROWS}
        return msgspec.convert({**members, **rows}, Recorded)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise ValueError(f"the entry is of another form: {error}") from None


def _row(text: str) -> RuleRef:
    """`salon_rules.csv:41`, as `RuleRef` writes it."""
    file, _, line = text.rpartition(":")
    return RuleRef(file, int(line))


def left_out(recorded: Recorded) -> Left | None:
    """Why no policy can be asked about it again; None = one can."""
    reason = recorded.reason
    if reason not in LET_THROUGH | JUDGED:
        return _LEFT[reason]
    if recorded.staff is None or recorded.cause is Cause.OFFBOARDED:
        return Left.IDENTITY
    if reason is Reason.FIELD_NOT_WRITABLE and not recorded.sent:
        return Left.BODY  # entered before entries told what was sent
    if recorded.route is None:
        path = recorded.path
        return Left.WIRE if path is None or len(path) >= MAX_PATH_CHARACTERS else None
    return None


def known_facts(note: RecordNote) -> dict[str, bool | None]:
    """The facts of a note by name; what it does not name was not looked at."""
    return {text.lstrip("!?"): _value(text) for text in note.facts}


def _value(text: str) -> bool | None:
    return None if text.startswith("?") else not text.startswith("!")
