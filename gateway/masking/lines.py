r"""NDJSON x plan -> the same lines without what is hidden.

True here:
- A line is one JSON object, alone: nothing goes on in the next line, nothing else stands beside
  it. Lines end in LF or CRLF; after the last one that may be missing. No line is empty.
- CR, LF and nothing else end lines. A CR inside a line is white space to JSON and a line end to
  some readers, so it is refused. U+2028 is a letter like any other.
- All lines together are cut as one list of records, so a condition on the whole answer and its
  counts mean what they mean there.
- What goes out ends its lines in LF, the last one too; no records are no lines.
"""

from collections.abc import Generator, Iterator

import msgspec
from msgspec.structs import replace

from gateway.domain.errors import UpstreamError
from gateway.domain.http import MaskedBody
from gateway.domain.question import Condition
from gateway.domain.reason import Reason
from gateway.masking.cut import Cut, cut_steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge
from gateway.masking.pieces import Text, read_items, read_members
from gateway.masking.plan import Plan


def cut_lines_steps(
    body: bytes,
    plan: Plan,
    *,
    judge: RecordJudge | None = None,
    judges: Judges = NO_JUDGES,
    conditions: tuple[Condition, ...] = (),
) -> Generator[None, None, Cut]:
    """Cut an NDJSON answer; a caller may pause wherever this yields.

    Args:
        body: all lines, of a size that the caller has bounded.
        plan: of a list of records, `[]`.
        judge: as for `cut_steps`.
        judges: as for `cut_steps`.
        conditions: as for `cut_steps`.

    Raises:
        UpstreamError: ANSWER_NOT_CUT.
    """
    documents: list[bytes] = []
    for line in _lines(body):
        documents.append(_require_object(line.removesuffix(b"\r")))
        yield
    joined = b"[" + b",".join(documents) + b"]"
    del documents
    made = yield from cut_steps(joined, plan, judge=judge, judges=judges, conditions=conditions)
    shown: list[bytes] = []
    for items, _ in Text(made.body).pieces(read_items):
        shown += (b"%b\n" % bytes(item) for item in items)
        yield
    return replace(made, body=MaskedBody(b"".join(shown)))


def _lines(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        yield body[at:end]
        at = end + 1


def _require_object(line: bytes) -> bytes:
    """The line, if it is one object and nothing else."""
    try:
        if b"\r" not in line:
            read_members(line)
            return line
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # refused below, without the error, which may carry the line
    raise UpstreamError(
        Reason.ANSWER_NOT_CUT, "The CRM's answer is not one JSON object a line."
    ) from None
