r"""Bytes x plan -> the same bytes without what is hidden, or a refusal. Never bytes uncut.

True here:
- What stays keeps its bytes (`-0`, `0.10`, 23-digit numbers, escapes) and its order. Only the
  space between members goes; of members that stand twice the last one stays.
- Member names are compared decoded: `"e\u006dail"` is `email`. Case matters: `Email` is
  another member, unmapped.
- Anything but one well-formed UTF-8 document of the announced shape is refused.
- Text inside strings is text: JSON or HTML in a note is the note.
- A record that may not be seen leaves as if the CRM did not have it: its list is shorter, no
  number beside it counts it, and alone it is refused like one that does not exist.
- A condition (`domain/question.py`) takes records out in the same way, and with one present
  no number beside them may count them, whoever asks.
- Short bodies are cut in one go; longer ones in steps, so that others have their turn in
  between. Both ways end in the same, or in the same refusal.

msgspec's `Raw` does the work: it checks the grammar, the numbers and the escapes of what it
skips, but not its UTF-8. That is why the whole body is decoded once, for nothing else.

What one step may still cost, beyond a few milliseconds: a single record, a member beside the
records and a value that a condition searches are each read in one go, the answer is joined in
one go, and so are thousands of shapes forgotten. 8 MB take some 10 to 20 ms in one value, 30
to 50 ms in one record of 100,000 members, and more the smaller its members are.
"""

from collections.abc import Callable, Generator, Mapping
from functools import partial

import msgspec

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.fieldpath import ITEMS
from gateway.domain.http import MaskedBody
from gateway.domain.question import Condition
from gateway.domain.reason import Cause, Reason
from gateway.domain.record import RecordNote
from gateway.masking.cutter import TooManyShapesError
from gateway.masking.envelope import (
    NoRecordsError,
    RecordRefusedError,
    answer_steps,
    error_steps,
    short_answer,
    short_error,
)
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge
from gateway.masking.pieces import NotJsonError, require_utf8, require_utf8_steps
from gateway.masking.plan import Plan
from gateway.masking.steps import all_at_once
from gateway.masking.walk import Walk

# Bytes. Beyond it we refuse, never pass uncut; the caller stops reading there. 8 MiB are
# some 10,000 records: about 60 ms of work, in steps, and a few seconds of it if every byte
# is meant to take long.
MAX_CUT_BODY = 8 * 2**20
# Bytes. So many are cut in one go, in a twentieth of a millisecond; where every byte is meant
# to take long (`{` in arrays, no two objects alike), in 4 ms.
SHORT_BODY = 8 * 2**10
# Whoever sends a NO_SUCH_RECORD says this and no more, whatever lies behind it.
NO_SUCH_RECORD_DETAIL = "There is no such record."
_UNREADABLE = (
    msgspec.MsgspecError,
    UnicodeError,
    RecursionError,
    NotJsonError,
    NoRecordsError,
    TooManyShapesError,
)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A body that may be shown, and what left it.

    Attributes:
        dropped: how many values left, by field class; `-` for fields in no class.
        records: how many records the answer still holds, without those inside others.
        refused: how many more left because they may not be seen.
        unmatched: how many more left because they are not what was asked for.
        hidden_fields: the fields that were present and left, sorted.
        shown_fields: the fields that were present and stay, sorted.
        note: what was known of the one record, if the answer is one and was judged by it.
    """

    body: MaskedBody
    dropped: Mapping[str, int]
    records: int
    refused: int
    hidden_fields: tuple[str, ...]
    shown_fields: tuple[str, ...]
    note: RecordNote | None = None
    unmatched: int = 0

    def __repr__(self) -> str:
        return f"Cut({len(self.body)} bytes)"  # errors and logs show no bodies


CutSteps = Generator[None, None, Cut]


def cut(
    body: bytes,
    plan: Plan,
    *,
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    guards: bool | None = None,
    conditions: tuple[Condition, ...] = (),
) -> Cut:
    """Take what is hidden out of an answer, and the records that may not be seen: in one go.

    Who has others waiting takes `cut_steps` of what is longer than `SHORT_BODY`. Arguments and
    errors are the same.
    """
    if len(body) > SHORT_BODY:
        return all_at_once(
            cut_steps(body, plan, judge=judge, judges=judges, guards=guards, conditions=conditions)
        )
    _require_fitting(plan, judge, conditions)
    walk = Walk(
        plan, careful=False, judge=judge, judges=judges, guards=guards, conditions=conditions
    )
    try:
        require_utf8(body)
        made = short_answer(walk, body)
        if _held_by_several(walk):
            walk = Walk(
                plan,
                careful=False,
                judge=judge,
                judges=judges,
                guards=guards,
                conditions=conditions,
                shut=True,
            )
            made = short_answer(walk, body)
    except _UNREADABLE:
        raise _not_cut() from None
    except RecordRefusedError as refused:
        raise _no_such_record(refused) from None
    return _result(made, walk)


def cut_steps(
    body: bytes,
    plan: Plan,
    *,
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    guards: bool | None = None,
    conditions: tuple[Condition, ...] = (),
) -> CutSteps:
    """The same, in steps.

    A generator that returns the `Cut`. It yields far more often than anybody needs to pause,
    some 10 microseconds to 2 ms of work apart: a caller looks at its clock at each step, and
    lets others work when it is time. What one step may cost at most, see above.

    Args:
        body: the whole JSON text, at most `MAX_CUT_BODY` (the caller's duty).
        plan: what stays.
        judge: of the answer's own records, by the permit of this request.
        judges: of records inside them, by resource.
        guards: does only what is known stay around the records? None = if anything may leave.
            Given where nothing is cut but only measured; without effect under conditions.
        conditions: what every record must meet that stays.

    Raises:
        UpstreamError: ANSWER_NOT_CUT: this is not a document of the shape the plan knows.
        RequestError: NO_SUCH_RECORD: it holds one record, and that may not be seen.
        ValueError: only one of plan and judge depends on the record; conditions on an answer
            that is one record, or on a field that there is not. At once, not at a step.
    """
    _require_fitting(plan, judge, conditions)
    walk = partial(
        Walk,
        plan,
        careful=False,
        judge=judge,
        judges=judges,
        guards=guards,
        conditions=conditions,
    )
    return _cut_steps(body, walk(), walk)


def _require_fitting(
    plan: Plan, judge: RecordJudge | None, conditions: tuple[Condition, ...]
) -> None:
    if plan.depends != (judge is not None and judge.depends):
        raise ValueError("the plan and the judge are of different permits")
    if conditions and ITEMS not in plan.records:
        raise ValueError("conditions choose among the records of a list, not on one record")


def _cut_steps(body: bytes, walk: Walk, another: Callable[..., Walk]) -> CutSteps:
    try:
        yield from require_utf8_steps(body)
        made = yield from answer_steps(walk, body)
        if _held_by_several(walk):
            walk = another(shut=True)
            made = yield from answer_steps(walk, body)
    # `from None`: these errors may carry the body, and errors end up in logs.
    except _UNREADABLE:
        raise _not_cut() from None
    except RecordRefusedError as refused:
        raise _no_such_record(refused) from None
    yield from walk.counts.add_up()
    return _result(made, walk)


def _held_by_several(walk: Walk) -> bool:
    """A number that was asked for is no number of one person."""
    holders = walk.counts.holders
    return bool(holders) and max(holders.values()) > 1


def _not_cut() -> UpstreamError:
    return UpstreamError(
        Reason.ANSWER_NOT_CUT,
        "The CRM's answer is not JSON of the shape that its adapter describes.",
    )


def _no_such_record(refused: RecordRefusedError) -> RequestError:
    return RequestError(
        Reason.NO_SUCH_RECORD,
        NO_SUCH_RECORD_DETAIL,
        cause=Cause.RECORD_REFUSED,
        note=refused.note,
    )


def cut_error(body: bytes, plan: Plan, *, judges: Judges = NO_JUDGES) -> Cut:
    """What may be shown of an error body, as `cut_error_steps` says: in one go."""
    if len(body) > SHORT_BODY:
        return all_at_once(cut_error_steps(body, plan, judges=judges))
    walk = Walk(plan, careful=True, judges=judges)
    try:
        require_utf8(body)
        made = short_error(walk, body)
    except _UNREADABLE:
        return _result(b"", Walk(plan, careful=True))
    return _result(made, walk)


def cut_error_steps(body: bytes, plan: Plan, *, judges: Judges = NO_JUDGES) -> CutSteps:
    """What may be shown of an error body: the declared members of a JSON object, or nothing.

    Nothing in it says which record it speaks of, so what is hidden in any record is hidden,
    and records inside it leave. Never raises: a page with a stack trace, a list of messages
    or broken JSON becomes an empty body. In steps, as `cut_steps`.
    """
    walk = Walk(plan, careful=True, judges=judges)
    try:
        yield from require_utf8_steps(body)
        made = yield from error_steps(walk, body)
    except _UNREADABLE:
        return _result(b"", Walk(plan, careful=True))
    yield from walk.counts.add_up()
    return _result(made, walk)


def _result(made: bytes, walk: Walk) -> Cut:
    counts = walk.counts
    dropped, hidden, shown = counts.total()
    return Cut(
        body=MaskedBody(made),
        dropped=dropped,
        records=counts.records,
        refused=counts.refused,
        unmatched=counts.unmatched,
        hidden_fields=hidden,
        shown_fields=shown,
        note=walk.note,
    )
