"""The buttons: log out, lock, unlock, see out.

House rules
- Whether they may is asked here, of the policy and the state as they stand now, whatever a page
  showed before. It is done, and entered, by `gateway/sessions.py`.
- What cannot be taken back by the next press asks for the password again, on a page that says
  what will happen.
- The same button pressed twice does the same once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from aiohttp import web

from gateway.console.approvals import press
from gateway.console.authority import DEVICE_ACTS
from gateway.console.doors import is_proved, require_form
from gateway.console.house import House, Signed
from gateway.console.replies import gone_to, shown
from gateway.console.said import Said, write_said
from gateway.console.team import member, zone_of
from gateway.domain.act import Act
from gateway.domain.errors import RequestError
from gateway.domain.reason import Reason
from gateway.domain.subject import DeviceId, StaffId
from gateway.domain.time import Instant, instant
from gateway.enforcer.days import spans_of
from gateway.identity.principal import Person

FARTHEST = timedelta(days=3 * 366)  # a last day later than this is a slip of the pen
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIELDS = {
    Act.LOG_OUT: frozenset({"device"}),
    Act.APPROVE_DEVICE: frozenset({"device"}),
    Act.REFUSE_DEVICE: frozenset({"device"}),
    Act.LOCK: frozenset({"password"}),
    Act.UNLOCK: frozenset({"password"}),
    Act.OFFBOARD: frozenset({"password", "last_day", "notice_from"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """When somebody goes.

    Attributes:
        at: None = at once.
    """

    at: Instant | None
    notice_from: date | None


async def act(house: House, signed: Signed, wanted: Act, whom: StaffId) -> web.Response:
    """The page of a grave act, or what a button does.

    Raises:
        RequestError: UNMAPPED for somebody they do not see, NO_RULE_ALLOWS for what they may
            not do; what `require_form` raises.
        StateUnavailableError, AuditUnavailableError: see `Sessions`.
    """
    asked = signed.asked
    person = signed.bundle.people.get(whom)
    if person is None or not signed.viewer.sees(person):
        raise RequestError(Reason.UNMAPPED, "There is no such person among yours.")
    if not signed.viewer.may(wanted, person, house.settings):
        raise RequestError(Reason.NO_RULE_ALLOWS, "That is not for you to do.")
    if not asked.is_post:
        return await _asking(house, signed, wanted, person)
    form = await require_form(signed, _FIELDS[wanted])
    if wanted in DEVICE_ACTS:
        return await press(house, signed, wanted, whom, form.get("device", ""))
    if wanted is Act.LOG_OUT:
        return await _log_out(house, signed, whom, form.get("device", ""))
    leaving = _leaving(signed, person, form) if wanted is Act.OFFBOARD else None
    if wanted is Act.OFFBOARD and leaving is None:
        return await _asking(house, signed, wanted, person, "bad_date", form, status=422)
    if not await is_proved(house, signed, form.get("password", "")):
        message = "wrong_password" if form.get("password") else "prove_label"
        return await _asking(house, signed, wanted, person, message, form, status=403)
    return await _done(house, signed, wanted, whom, leaving)


async def _done(
    house: House, signed: Signed, wanted: Act, whom: StaffId, leaving: Leaving | None
) -> web.Response:
    by, peer = signed.staff, signed.asked.caller.peer
    text = f"done_{wanted}"
    if wanted is Act.LOCK:
        await house.sessions.lock(whom, by=by, peer=peer)
    elif wanted is Act.UNLOCK:
        await house.sessions.unlock(whom, by=by, peer=peer)
    elif leaving is not None:
        lock = await house.sessions.offboard(
            whom, at=leaving.at, notice_from=leaving.notice_from, by=by, peer=peer
        )
        text = "done_offboard" if lock.has_left(signed.asked.now) else "done_offboard_later"
    return _told(signed, Said(text=text, whom=whom))


async def _log_out(house: House, signed: Signed, whom: StaffId, named: str) -> web.Response:
    asked = signed.asked
    device = await _device(house, whom, named)
    await house.sessions.log_out(whom, device, by=signed.staff, peer=asked.caller.peer)
    text = "done_log_out" if device is None else "done_log_out_device"
    said = Said(text=text, whom=whom, device=device)
    if not asked.partial or whom == signed.staff:
        return _told(signed, said)
    now = house.clock.now()  # after the act: the row shows what it did
    row = member(signed.bundle, signed.viewer, house.settings, whom, await house.state(now))
    return shown(asked, "row", member=row, csrf=signed.visit.csrf, said=said)


async def _device(house: House, whom: StaffId, named: str) -> DeviceId | None:
    """A device of theirs that the state knows; none named = all. Raises RequestError."""
    if not named:
        return None
    for row in await house.epochs.rows():
        if row.staff == whom and row.device is not None and row.device == named:
            return row.device
    raise RequestError(Reason.UNMAPPED, "They have no such device.")


def _told(signed: Signed, said: Said) -> web.Response:
    bare = said.whom.removeprefix("staff:")
    words = write_said(said, signed.visit.csrf, signed.asked.now)
    return gone_to(signed.asked, f"/staff?said={words}#p-{bare}")


async def _asking(
    house: House,
    signed: Signed,
    wanted: Act,
    person: Person,
    message: str | None = None,
    form: Mapping[str, str] | None = None,
    *,
    status: int = 200,
) -> web.Response:
    asked = signed.asked
    state = await house.state(asked.now)
    whom = person.member.staff
    row = member(signed.bundle, signed.viewer, house.settings, whom, state)
    assert row is not None  # noqa: S101  # `act` has seen that they see this person
    return shown(
        asked,
        "act",
        status=status,
        csrf=signed.visit.csrf,
        act=str(wanted),
        who=signed.staff.removeprefix("staff:"),
        member=row,
        proved=signed.visit.is_proved(asked.now),
        message=message,
        form={key: (form or {}).get(key, "") for key in ("last_day", "notice_from")},
        earliest=row.now.date().isoformat(),
        latest=(row.now.date() + FARTHEST).isoformat(),
    )


def _leaving(signed: Signed, person: Person, form: Mapping[str, str]) -> Leaving | None:
    """When they go; None = the dates cannot be."""
    zone = zone_of(signed.bundle, person)
    today = signed.asked.now.astimezone(zone).date()
    try:
        last, notice = _date(form.get("last_day", "")), _date(form.get("notice_from", ""))
    except ValueError:
        return None
    if last is None:
        return (
            None if notice is not None and notice > today else Leaving(at=None, notice_from=notice)
        )
    if not today <= last <= today + FARTHEST or (notice is not None and notice > last):
        return None
    return Leaving(at=_end_of(signed, person, last), notice_from=notice)


def _end_of(signed: Signed, person: Person, last: date) -> Instant:
    """Midnight after the day, or its last closing if that is later: a Saturday may end at two."""
    zone = zone_of(signed.bundle, person)
    midnight = instant(datetime.combine(last + timedelta(days=1), time(), zone))
    hours = [signed.bundle.hours(post.salon) for post in person.posts]
    closings = [end for one in hours if one is not None for _, end in spans_of(one, last)]
    return max([midnight, *closings])


def _date(text: str) -> date | None:
    if not text:
        return None
    if _DATE.fullmatch(text) is None:
        raise ValueError("not a date")
    return date.fromisoformat(text)
