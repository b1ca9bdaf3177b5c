"""The room of an incident: how it stands; for owners, the buttons that begin and end one.

House rules, besides those of `acts.py`: whoever may begin or end one is whoever would still pass
during it, so that nobody shuts a door that they cannot open again. A start ends the visit of
whoever pressed the button, too: it may be theirs that somebody else has.
"""

from collections.abc import Mapping

from aiohttp import web

from gateway.console.doors import is_proved, require_form
from gateway.console.house import House, Signed
from gateway.console.places import Room
from gateway.console.replies import gone_to, shown
from gateway.console.team import zone_of
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.time import from_milliseconds
from gateway.identity.incident import MAX_REASON, is_contact, is_reason
from gateway.incidents import Incidents
from gateway.settings import MAX_CONTACT

_FIELDS = {
    Room.INCIDENT_START: frozenset({"password", "reason", "contact"}),
    Room.INCIDENT_END: frozenset({"password"}),
}


async def lockdown(house: House, signed: Signed) -> web.Response:
    """The page, or what one of its buttons does.

    Raises:
        RequestError: UNMAPPED where there is no such room, NO_RULE_ALLOWS for what they may not
            do; what `require_form` raises.
        StateUnavailableError, AuditUnavailableError: see `Incidents`.
    """
    incidents, room = house.incidents, signed.asked.place.room
    if incidents is None:
        raise RequestError(Reason.UNMAPPED, "There is no such page.")
    if room not in _FIELDS:
        return await _page(house, incidents, signed)
    if not _may(house, signed):
        raise RequestError(Reason.NO_RULE_ALLOWS, "That is not for you to do.")
    form = await require_form(signed, _FIELDS[room])
    reason, contact = (form.get(name, "").strip() for name in ("reason", "contact"))
    starts = room is Room.INCIDENT_START
    if starts and not (is_reason(reason) and is_contact(contact)):
        return await _page(house, incidents, signed, "bad_incident", form, status=422)
    if not await is_proved(house, signed, form.get("password", "")):
        message = "wrong_password" if form.get("password") else "prove_label"
        return await _page(house, incidents, signed, message, form, status=403)
    by, peer = signed.staff, signed.asked.caller.peer
    if starts:
        await incidents.start(reason, contact or house.contact, by=by, peer=peer)
        return gone_to(signed.asked, "/sign-in")
    await incidents.end(by=by, peer=peer)
    return gone_to(signed.asked, "/incident")


def _may(house: House, signed: Signed) -> bool:
    return not house.owners.isdisjoint(signed.bundle.people[signed.staff].held)


async def _page(
    house: House,
    incidents: Incidents,
    signed: Signed,
    message: str | None = None,
    form: Mapping[str, str] | None = None,
    *,
    status: int = 200,
) -> web.Response:
    incident = await incidents.state()
    zone = zone_of(signed.bundle, signed.bundle.people[signed.staff])
    now = signed.asked.now.astimezone(zone)
    moments = [] if incident is None else [incident.since, incident.ended]
    since, ended = (
        None if at is None else from_milliseconds(at).astimezone(zone)
        for at in [*moments, None, None][:2]
    )
    return shown(
        signed.asked,
        "incident",
        status=status,
        csrf=signed.visit.csrf,
        who=signed.staff.removeprefix("staff:"),
        incident=incident,
        since=since,
        ended=ended,
        now=now,
        may=_may(house, signed),
        proved=signed.visit.is_proved(signed.asked.now),
        message=message,
        form={
            "reason": (form or {}).get("reason", ""),
            "contact": (form or {}).get("contact", house.contact),
        },
        longest={"reason": MAX_REASON, "contact": MAX_CONTACT},
    )
