"""One audit entry, found by its request id and told to people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.audit.entry import Phase
from gateway.backends.audit_directory import list_workers
from gateway.cli.changes import asked
from gateway.cli.trail import Unreadable, backwards, printable
from gateway.tools.recorded import Recorded


def find_entry(directory: Path, request_id: str, unreadable: Unreadable) -> dict[str, Any] | None:
    """The line with which a request was answered; its intent if there is no answer.

    Only lines that name the id are read, from the latest on.
    """
    wanted = request_id.encode("utf-8", "replace")
    intent = None
    for worker in list_workers(directory):
        lines = (raw for raw in backwards(directory, worker) if wanted in raw)
        for _, members in unreadable.entries(lines):
            if members.get("request_id") != request_id:
                continue
            if members.get("phase") == Phase.ANSWER:
                return members
            intent = members
    return intent


def lines_of(recorded: Recorded) -> Iterator[str]:
    """What was recorded, for people."""
    zulu = f"{recorded.at:%Y-%m-%d %H:%M:%S}Z"
    yield f"recorded {printable(recorded.request_id)}, {zulu}, policy {recorded.policy[:12]}"
    record = f", record {recorded.record}" if recorded.record else ""
    told = {
        "who": _who(recorded),
        "asked": f"{_asked(recorded)}{record}",
        "ids": ", ".join(recorded.ids),
        "sent": ", ".join(recorded.sent),
        "answer": _answer(recorded),
        "rules": ", ".join(map(str, recorded.rules)),
        "window": recorded.window or "",
        "facts": ", ".join(recorded.facts),
        "record": _record(recorded),
        "shown": "everything the CRM sent" if recorded.whole else ", ".join(recorded.shown),
        "hidden": ", ".join(recorded.hidden),
        "refused": f"{recorded.refused} records of the list" if recorded.refused else "",
        "observed": _would(recorded),
    }
    for name, text in told.items():
        if text:
            yield f"  {name:<8} {printable(text)}"


def _asked(recorded: Recorded) -> str:
    """The route; of a HEAD request too, since a GET route answers it."""
    said = asked(recorded)
    return said if said.startswith(f"{recorded.method} ") else f"{recorded.method}: {said}"


def _who(recorded: Recorded) -> str:
    if recorded.staff is None:
        return f"nobody known, from {recorded.peer}"
    said: str = recorded.staff
    if recorded.salon:
        said += f" as {', '.join(recorded.roles)} in {recorded.salon}"
    if recorded.narrowed_to:
        said += f" (a token for {', '.join(recorded.narrowed_to)})"
    said += f", device {recorded.device}" if recorded.device else ""
    said += f", app {recorded.app}" if recorded.app else ""
    return said + f", from {recorded.peer}" + (", for nobody named" if recorded.unplaced else "")


def _answer(recorded: Recorded) -> str:
    cause = f" ({recorded.cause})" if recorded.cause else ""
    exempt = ", for an exempt role" if recorded.exempt else ""
    return f"{recorded.status} {recorded.reason}{cause}{exempt}"


def _record(recorded: Recorded) -> str:
    note = recorded.note
    if note is None:
        return ""
    salon = [f"of salon {note.salon}"] if note.salon else []
    return ", ".join((*note.facts, *salon))


def _would(recorded: Recorded) -> str:
    said = []
    if recorded.would:
        by = f" ({', '.join(map(str, recorded.would_by))})" if recorded.would_by else ""
        said.append(f"would be refused: {recorded.would}{by}")
    if recorded.would_hide:
        said.append(f"would hide {', '.join(recorded.would_hide)}")
    if recorded.would_refuse:
        said.append(f"would keep {recorded.would_refuse} more records back")
    return "; ".join(said)
