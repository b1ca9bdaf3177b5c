"""The room of requests: who asked for a card while the salon was closed, and the review of it.

House rules
- Whoever manages a salon sees what was asked for there, with the reason; nobody else does.
- Nobody reviews their own; the service asks that, too (`gateway/grants.py`).
- A review also ends what is open, and is said once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from gateway.console.doors import require_form
from gateway.console.house import House, Signed
from gateway.console.replies import gone_to, shown
from gateway.console.said import Said, read_said, write_said
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import StaffId
from gateway.identity.grant import Grant, Verdict

SHOWN = 20  # of those that were reviewed; the command line lists them all


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One asking as the room shows it; moments on the salon's clock.

    Attributes:
        name: the person's; their id, if they are not on the roster any more.
        is_open: it can be used now.
        untold: it was tried to tell managers of it, and some way did not work (yet).
        mine: the viewer may review it.
        by: who reviewed it, by name; None = nobody has.
    """

    grant: Grant
    name: str
    asked: datetime
    until: datetime
    now: datetime
    is_open: bool
    untold: bool
    mine: bool
    by: str | None


async def requests(house: House, signed: Signed, said: str) -> web.Response:
    """The page. `said` is what the address carries of a review just said.

    Raises:
        StateUnavailableError: what was asked for is not known.
    """
    untold = await house.grants.untold()
    told = read_said(said, signed.visit.csrf, signed.asked.now)
    return shown(
        signed.asked,
        "requests",
        waiting=_seen(house, signed, await house.grants.waiting(), untold),
        past=_seen(house, signed, await house.grants.past(), untold)[:SHOWN],
        csrf=signed.visit.csrf,
        said=None if told is None else told.text,
        whom=None if told is None else _name(signed, told.whom),
    )


async def review(house: House, signed: Signed) -> web.Response:
    """What the two buttons do.

    Raises:
        RequestError: BODY_INVALID for no verdict; as `Grants.review`.
        StateUnavailableError, AuditUnavailableError: see `Grants`.
    """
    form = await require_form(signed, frozenset({"grant", "verdict"}))
    try:
        verdict = Verdict(form.get("verdict", ""))
    except ValueError:
        raise RequestError(Reason.BODY_INVALID, "That is no verdict.") from None
    asked = signed.asked
    grant = await house.grants.review(
        form.get("grant", ""), verdict, by=signed.staff, peer=asked.caller.peer
    )
    said = Said(text="done_review", whom=StaffId(grant.staff))
    return gone_to(asked, f"/requests?said={write_said(said, signed.visit.csrf, asked.now)}")


def _seen(
    house: House, signed: Signed, grants: Iterable[Grant], untold: frozenset[str]
) -> tuple[Request, ...]:
    """Those of the salons that the viewer manages."""
    viewer = signed.bundle.people.get(signed.staff)
    return tuple(
        _request(house, signed, grant, untold)
        for grant in grants
        if viewer is not None and house.grants.manages(viewer, grant.salon)
    )


def _request(house: House, signed: Signed, grant: Grant, untold: frozenset[str]) -> Request:
    hours = signed.bundle.hours(grant.salon)
    zone = ZoneInfo("UTC") if hours is None else hours.zone
    now = signed.asked.now
    return Request(
        grant=grant,
        name=_name(signed, StaffId(grant.staff)),
        asked=grant.begun.astimezone(zone),
        until=grant.ends.astimezone(zone),
        now=now.astimezone(zone),
        is_open=grant.is_open(now),
        untold=grant.id in untold,
        mine=grant.review is None and house.grants.may_review(signed.staff, grant),
        by=None if grant.review is None else _name(signed, StaffId(grant.review.by)),
    )


def _name(signed: Signed, staff: StaffId) -> str:
    person = signed.bundle.people.get(staff)
    return staff.removeprefix("staff:") if person is None else person.member.name
