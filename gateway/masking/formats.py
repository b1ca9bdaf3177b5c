"""One way to cut a whole answer, whatever its format."""

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import assert_never

from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import Format
from gateway.domain.question import Condition
from gateway.masking.columns import cut_table_steps
from gateway.masking.cut import SHORT_BODY, Cut, cut, cut_steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge
from gateway.masking.lines import cut_lines_steps
from gateway.masking.plan import Plan

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
    """Cut an answer; a caller may pause wherever this yields. What is short is cut in one go.

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
        case Format.JSON if len(body) <= SHORT_BODY:
            return cut(
                body, plan, judge=judge, judges=judges, guards=guards, conditions=conditions
            )
        case Format.JSON:
            steps = cut_steps(
                body, plan, judge=judge, judges=judges, guards=guards, conditions=conditions
            )
        case Format.NDJSON:
            steps = cut_lines_steps(body, plan, judge=judge, judges=judges, conditions=conditions)
        case Format.CSV:
            steps = cut_table_steps(
                body, plan, columns=columns, judge=judge, judges=judges, conditions=conditions
            )
        case Format.EVENTS:
            raise ValueError("a stream of events is cut as it flows, not whole")
        case _:
            assert_never(wanted)
    return (yield from steps)
