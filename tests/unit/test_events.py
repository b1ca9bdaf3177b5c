"""The shell's log lines: JSON, closed names, nothing that a client sent."""

import json
import logging

from gateway.events import Event, emit


def test_an_event_is_one_json_line_with_the_error_s_type_and_place_only(caplog):
    caplog.set_level(logging.WARNING, "gateway")
    try:
        {}["Bearer very-secret\nsecond line"]
    except KeyError as error:
        emit(Event.PIPELINE_FAILED, error, part="state")
    (record,) = caplog.records
    line = json.loads(record.getMessage())
    assert line.pop("place").startswith("test_events.py:")
    assert line == {"event": "pipeline_failed", "error": "KeyError", "part": "state"}
    assert record.exc_info is None
    assert "\n" not in record.getMessage()


def test_an_error_that_was_never_raised_has_no_place(caplog):
    emit(Event.WIRE_FAILED, ValueError("x"))
    assert json.loads(caplog.records[0].getMessage())["place"] == ""
