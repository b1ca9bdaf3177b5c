"""What the shell says to the log: closed event names, JSON, no value that a client sent."""

import json
import logging
from enum import StrEnum

_log = logging.getLogger("gateway.proxy")


class Event(StrEnum):
    """Every event of the guarded and the admin port."""

    PIPELINE_FAILED = "pipeline_failed"  # it promises not to raise: a bug of ours
    ANSWER_INVALID = "answer_invalid"  # an Answer that cannot be put on the wire
    ANSWER_BROKE_OFF = "answer_broke_off"  # a stream ended early; the connection was cut
    ANSWER_NOT_TAKEN = "answer_not_taken"  # the client stopped reading; the connection was cut
    CONNECTION_TURNED_AWAY = "connection_turned_away"
    WIRE_FAILED = "wire_failed"
    PROBE_FAILED = "probe_failed"


def emit(event: Event, error: BaseException | None = None, **facts: str | int) -> None:
    """Log one event. Of an error only its type and place: messages may quote a request."""
    line: dict[str, str | int] = {"event": str(event), **facts}
    if error is not None:
        line |= {"error": type(error).__qualname__, "at": _place(error)}
    _log.warning("%s", json.dumps(line, ensure_ascii=False))


def _place(error: BaseException) -> str:
    """`pipeline.py:120`: the innermost frame."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{file}:{trace.tb_lineno}"
