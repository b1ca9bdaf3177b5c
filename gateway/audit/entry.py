"""One audit entry: who asked what, when, what was answered and why.

Never in an entry: a token, a cookie, a query value, a body, a field's value.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.domain.access import WindowState
from gateway.domain.act import Act
from gateway.domain.reason import Cause, Reason
from gateway.domain.ruleref import RuleRef
from gateway.domain.subject import DeviceId, Role, StaffId
from gateway.domain.time import Instant

MAX_PATH_CHARACTERS = 256  # the rest of a refused path tells nobody anything


class Phase(StrEnum):
    """Which line of a request this is."""

    ANSWER = "answer"  # the only line of a read or a refusal; the last line of a write
    INTENT = "intent"  # a write, entered before it is forwarded
    TALLY = "tally"  # no request: `suppressed` refusals that no other line stands for
    END = "end"  # of an answer that flowed: what it showed in all, and what ended it
    ACT = "act"  # no request to the CRM: somebody was locked, logged out, let in, ...


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the trail. All lines of a request carry the same `request_id`.

    A `Struct`, since every stage of a request makes the next entry of the one before:
    `msgspec.structs.replace` does in 0.3 us what takes `dataclasses.replace` 13. Its members
    stand in a line of the trail in this order.

    Attributes:
        at: when the request came in (one clock reading per request).
        path: the raw path without query, at most 256 characters; only on refusals that no
            route accounts for (`unmapped`, malformed), None otherwise.
        route: the adapter's route as written (`GET /api/clients/{id}`), None if unmapped.
        record: the record id from the path, if the route names one.
        status, reason: of what the client was sent; None on an intent and a tally.
        ids: further records that the request names.
        facts: what was known from the request and some rule asks about, in the person's first
            salon: `app:phone` was true, `?approved_device` not known, the rest false.
        peer: where the request came from. With `unplaced` it is a trusted proxy that did not say
            for whom it asked.
        narrowed_to: the roles that the token claims; () = it narrows nothing, `role:-` = it
            claims none.
        sent: the names of the fields that the body sends.
        record_salon, record_facts: of the one record that was judged, as in `RecordNote`.
        whole: the CRM's answer went out as it came: nothing of it was to be cut.
        refused: how many records of the answer the rules kept back.
        unmatched: how many were left out since what was searched for stands in nothing of them
            that may be seen.
        would, would_by, would_hide, would_refuse: what observed rules, or an observed policy,
            would have done: refused the request for this reason by these rows, hidden these
            fields of the answer, kept back so many more of its records.
        shown, hidden: field names, sorted, of answers that were cut; () otherwise.
        suppressed: how many earlier refusals of unidentified callers this line stands for.
        grant: the asking (`identity/grant.py`) that let a request pass outside the window.
        act, whom: what `staff` did, and to whom, if to anybody. With `staff` None somebody on
            the gateway's own machine did it.
    """

    at: Instant
    request_id: str
    phase: Phase
    method: str
    path: str | None = None
    route: str | None = None
    resource: str | None = None
    action: str | None = None
    record: str | None = None
    ids: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    staff: StaffId | None = None
    salon: str | None = None
    roles: tuple[Role, ...] = ()
    narrowed_to: tuple[Role, ...] = ()
    device: DeviceId | None = None
    app: str | None = None
    peer: str
    unplaced: bool = False
    window: WindowState | None = None
    exempt: bool = False
    grant: str | None = None
    status: int | None = None
    reason: Reason | None = None
    cause: Cause | None = None
    rules: tuple[RuleRef, ...] = ()
    facts: tuple[str, ...] = ()
    record_salon: str | None = None
    record_facts: tuple[str, ...] = ()
    refused: int = 0
    unmatched: int = 0
    would: Reason | None = None
    would_by: tuple[RuleRef, ...] = ()
    would_hide: tuple[str, ...] = ()
    would_refuse: int = 0
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    whole: bool = False
    suppressed: int = 0
    act: Act | None = None
    whom: StaffId | None = None
    policy: str


def entry_of_act(
    act: Act,
    *,
    request_id: str,
    at: Instant,
    peer: str,
    policy: str,
    staff: StaffId | None = None,
    whom: StaffId | None = None,
    device: DeviceId | None = None,
) -> Entry:
    """The line of something done to the gateway itself; a request to the CRM it is not."""
    return Entry(
        request_id=request_id,
        at=at,
        phase=Phase.ACT,
        method="-",
        peer=peer,
        policy=policy,
        staff=staff,
        whom=whom,
        device=device,
        act=act,
    )
