"""One way to cut a whole answer, whatever its format."""

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import assert_never

from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import Format
from gateway.domain.question import Condition
from gateway.masking.columns import cut_table_steps
from gateway.masking.cut import Cut, cut, cut_steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge
from gateway.masking.lines import cut_lines_steps
from gateway.masking.plan import Plan
from gateway.masking.steps import all_at_once

NO_COLUMNS: Mapping[str, FieldPath] = MappingProxyType({})


def cut_as_steps(
    wanted: Format,
    body: bytes,
    plan: Plan,
    *,
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    guards: bool | None = None,
    conditions: tuple[Condition, ...] = (),
    columns: Mapping[str, FieldPath] = NO_COLUMNS,
) -> Generator[None, None, Cut]:
    """Cut an answer; a caller may pause wherever this yields.

    Args:
        wanted: what the route's adapter says of its answers.
        body: the whole of it, decoded, at most `MAX_CUT_BODY` bytes (the caller's duty).
        plan: what stays; for NDJSON and CSV of a list of records, `[]`.
        judge: as for `cut_steps`.
        judges: as for `cut_steps`.
        guards: as for `cut_steps`; nothing stands around lines and rows.
        conditions: as for `cut_steps`.
        columns: of the route.

    Raises:
        UpstreamError: ANSWER_NOT_CUT, ANSWER_TOO_LARGE.
        RequestError: NO_SUCH_RECORD, of JSON alone.
        ValueError: events are cut one by one while they flow (`events.py`).
    """
    match wanted:
        case Format.JSON:
            return cut_steps(
                body, plan, judge=judge, judges=judges, guards=guards, conditions=conditions
            )
        case Format.NDJSON:
            return cut_lines_steps(body, plan, judge=judge, judges=judges, conditions=conditions)
        case Format.CSV:
            return cut_table_steps(
                body, plan, columns=columns, judge=judge, judges=judges, conditions=conditions
            )
        case Format.EVENTS:
            raise ValueError("a stream of events is cut as it flows, not whole")
        case _:
            assert_never(wanted)


def cut_as(
    wanted: Format,
    body: bytes,
    plan: Plan,
    *,
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    guards: bool | None = None,
    conditions: tuple[Condition, ...] = (),
    columns: Mapping[str, FieldPath] = NO_COLUMNS,
) -> Cut:
    """`cut_as_steps` in one go; nobody waits for it if the body is a `SHORT_BODY`."""
    if wanted is Format.JSON:
        return cut(body, plan, judge=judge, judges=judges, guards=guards, conditions=conditions)
    return all_at_once(
        cut_as_steps(
            wanted,
            body,
            plan,
            judge=judge,
            judges=judges,
            guards=guards,
            conditions=conditions,
            columns=columns,
        )
    )
