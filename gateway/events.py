"""What the gateway says to its log: closed event names, JSON, no value that a client sent.

docs/operations.md lists them. The shell decides where they go (`salon-gateway serve`).
"""

import json
import logging
from enum import StrEnum

_log = logging.getLogger("gateway")


class Event(StrEnum):
    """Every event."""

    POLICY_LOADED = "policy_loaded"
    POLICY_LOAD_FAILED = "policy_load_failed"  # the last good one stays in force
    POLICY_WATCH_FAILED = "policy_watch_failed"  # files are looked at now and then instead
    SETTINGS_CHANGED = "settings_changed"  # gateway.yaml; what runs is as at the start
    STREAM_CUT_OFF = "stream_cut_off"  # a new policy does not allow an answer that had begun
    END_NOT_ENTERED = "end_not_entered"  # of an answer that flowed; its first entry is on disk
    BEAT_FAILED = "beat_failed"  # of `backends/pulse.py`: a bug of ours; the next one tries again
    AUDIT_REPAIRED = "audit_repaired"  # a torn last line was set aside at the start
    AUDIT_FAILING = "audit_failing"  # entries cannot be written; nothing is answered
    AUDIT_RECOVERED = "audit_recovered"
    INTERNAL_ERROR = "internal_error"  # a stage raised what it must not: a bug of ours
    PIPELINE_FAILED = "pipeline_failed"  # it promises not to raise: a bug of ours
    ANSWER_INVALID = "answer_invalid"  # an Answer that cannot be put on the wire
    ANSWER_BROKE_OFF = "answer_broke_off"  # a stream ended early; the connection was cut
    ANSWER_NOT_TAKEN = "answer_not_taken"  # the client stopped reading; the connection was cut
    CONNECTION_TURNED_AWAY = "connection_turned_away"
    WIRE_FAILED = "wire_failed"
    PROBE_FAILED = "probe_failed"
    WORKER_LISTENS = "worker_listens"
    WORKER_ENDED = "worker_ended"  # by itself, or killed by somebody; it is started again
    WORKER_NOT_STARTED = "worker_not_started"  # the system refused; it is tried again
    WORKER_KILLED = "worker_killed"  # it did not stop in its time
    WORKER_ORPHANED = "worker_orphaned"  # its supervisor is gone, so it stops
    DEVICE_SHARED = "device_shared"  # one device's sign-in, from two places side by side
    DEVICE_NOT_TOLD = "device_not_told"  # a new device, to managers: nobody to tell, or too many
    NOTICE_FAILED = "notice_failed"  # managers were not told of something; it is tried again
    NOTICE_GIVEN_UP = "notice_given_up"  # for a day; a grant stands in the console
    SIGN_IN_PROVIDER_FAILED = "sign_in_provider_failed"  # an identity provider, as it was asked
    ISSUER_KEYS_FAILED = "issuer_keys_failed"  # of another issuer; the last good set stays a while
    ISSUER_KEYS_CHANGED = "issuer_keys_changed"
    OBSERVING_FAILED = "observing_failed"  # what observed rules would do is not known


GOOD_NEWS = frozenset(
    {Event.POLICY_LOADED, Event.AUDIT_RECOVERED, Event.WORKER_LISTENS, Event.ISSUER_KEYS_CHANGED}
)


def emit(event: Event, error: BaseException | None = None, **facts: str | int | list[str]) -> None:
    """Log one event. Of an error only its type and place: messages may quote a request."""
    line: dict[str, str | int | list[str]] = {"event": str(event), **facts}
    if error is not None:
        line |= {"error": type(error).__qualname__, "place": _place(error)}
    level = logging.INFO if event in GOOD_NEWS else logging.WARNING
    _log.log(level, "%s", json.dumps(line, ensure_ascii=False))


def _place(error: BaseException) -> str:
    """`pipeline.py:120`: the innermost frame."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{file}:{trace.tb_lineno}"
