"""Coming in, going out, and the own password.

House rules
- Whoever signs in gets a secret that nobody knew before; what the browser brought along is over.
- The password is asked of the accounts' service alone, which counts wrong ones and enters all.
- A password that somebody else gave lets nobody in: it is changed first, on a page of its own.
- Whoever has a second factor is asked for a code of it after the password. It is set up on the
  guarded port, where the people are who have no business here; nobody enters who must have one
  and has none.
- A new password begins a new visit; all others of the person end with their epoch.
"""

import hmac
import math
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from gateway.accounts import Refused, SignedIn
from gateway.console.authority import Viewer, viewer
from gateway.console.gate import read_form
from gateway.console.house import Asked, House, Signed
from gateway.console.replies import DEVICE, VISIT, give_cookie, gone_to, shown, take_cookie
from gateway.console.visits import Visit
from gateway.domain.errors import RequestError
from gateway.domain.reason import STATUS, Reason
from gateway.domain.subject import DeviceId, StaffId
from gateway.identity.device_cookie import write_device
from gateway.identity.half import Half, Step, half_key, read_half, write_half
from gateway.identity.incident import require_no_incident
from gateway.identity.locks import require_unlocked
from gateway.identity.session import require_current, require_standing
from gateway.identity.weakness import TEXTS, Weakness

_MAX_NAME = 63
_ENDS = {"": "/", "session": "/session?done"}  # where somebody goes who has come in
_NOT_IN = {
    Reason.LOCKED: "locked_you",
    Reason.HAS_LEFT: "not_for_you",
    Reason.INCIDENT: "incident_you",
}


async def admitted(house: House, asked: Asked, secret: str, visit: Visit) -> Signed | None:
    """Somebody with a visit, if they may still be here; looked at with every request.

    On the roster, with a role that opens the console, not logged out since, working here
    today, not locked: the turnstiles that a request to the CRM passes.

    Raises:
        StateUnavailableError: nobody can tell.
    """
    staff, device = StaffId(visit.staff), DeviceId(visit.device)
    try:
        who = await _require_entrant(house, asked, staff, device, visit.epoch)
    except RequestError:
        return None
    bundle = house.policies.current()
    return Signed(asked=asked, secret=secret, visit=visit, viewer=who, bundle=bundle)


async def _require_entrant(
    house: House, asked: Asked, staff: StaffId, device: DeviceId, epoch: int
) -> Viewer:
    bundle = house.policies.current()
    who = viewer(bundle.people, staff, house.settings)
    if who is None:
        raise RequestError(Reason.NO_RULE_ALLOWS, "The console is not for you.")
    principal = replace(bundle.full_token(staff), device=device, epoch=epoch)
    current = require_current(principal, await house.epochs.floor(staff, device))
    require_standing(current, bundle.today(principal.home.salon, asked.now))
    require_unlocked(staff, (await house.sessions.locks()).get(staff), asked.now)
    if house.incidents is not None:
        require_no_incident(principal, await house.incidents.state(), house.owners)
    return who


# -- sign in ------------------------------------------------------------------------------


async def sign_in(house: House, asked: Asked, *, signed: bool) -> web.Response:
    """The page with the two fields, and what its button does."""
    if not asked.is_post:
        if signed:
            return gone_to(asked, "/")
        return _sign_in_page(asked, "ended" if asked.secret is not None else None)
    form = await read_form(asked.request, frozenset({"name", "password"}))
    return await _try(house, asked, form.get("name", ""), form.get("password", ""), "/")


async def code(house: House, asked: Asked) -> web.Response:
    """The code of a second factor, after the password."""
    form = await read_form(asked.request, frozenset({"ticket", "code", "to"}))
    ticket, to = form.get("ticket", ""), _ENDS.get(form.get("to", ""), "/")
    key = half_key(house.device_key)
    half = read_half(ticket, key, asked.now, step=Step.CODE, device=asked.device)
    if half is None:
        return _sign_in_page(asked, "too_late", status=401)
    try:
        found = await house.accounts.give_code(half, form.get("code", ""), peer=asked.caller.peer)
        if isinstance(found, Refused):
            message, minutes = _refused(found)
            wrong = "wrong_code" if message == "not_signed_in" else message
            return _code_page(asked, ticket, to, wrong, minutes, status=STATUS[found.reason])
        return await _begin(house, asked, found, to)
    except RequestError as error:
        message = _NOT_IN.get(error.reason, "not_for_you")
        return _sign_in_page(asked, message, status=403)


async def _try(house: House, asked: Asked, name: str, password: str, to: str) -> web.Response:
    """Is it their password, and may they enter? Then they are in."""
    try:
        found = await house.accounts.sign_in(
            name, password, peer=asked.caller.peer, device=asked.device
        )
        if isinstance(found, Refused):
            return _sign_in_page(asked, *_refused(found), name, status=STATUS[found.reason])
        if isinstance(found, Half):
            return _halfway(house, asked, found, name, to)
        if found.must_change:
            return _first_page(asked, name)
        return await _begin(house, asked, found, to)
    except RequestError as error:
        message = _NOT_IN.get(error.reason, "not_for_you")
        return _sign_in_page(asked, message, 0, name, status=403)


def _halfway(house: House, asked: Asked, half: Half, name: str, to: str) -> web.Response:
    """The password was right: ask for the code, in this browser and no other."""
    if half.step is not Step.CODE:
        return _sign_in_page(asked, "needs_second_factor", 0, name, status=403)
    response = _code_page(asked, write_half(half, half_key(house.device_key), asked.now), to)
    named = write_device(half.device, house.device_key)
    give_cookie(response, asked.caller, DEVICE, named, keep=True)
    return response


async def _begin(house: House, asked: Asked, found: SignedIn, to: str) -> web.Response:
    """A new visit, in place of the one that the browser had. Raises RequestError."""
    if found.device is None or found.epoch is None:
        raise RequestError(Reason.PASSWORD_TEMPORARY, "Choose a password of your own first.")
    await _require_entrant(house, asked, found.staff, found.device, found.epoch)
    if asked.secret is not None:
        await house.visits.close(asked.secret, asked.now)
    secret = await house.visits.open(found.staff, found.device, found.epoch, asked.now)
    response = gone_to(asked, to)
    give_cookie(response, asked.caller, VISIT, secret)
    named = write_device(found.device, house.device_key)
    give_cookie(response, asked.caller, DEVICE, named, keep=True)
    return response


async def first(house: House, asked: Asked) -> web.Response:
    """Change a password that somebody else gave; then come in with the new one."""
    form = await read_form(asked.request, frozenset({"name", "old", "new", "again", "code"}))
    name, new = form.get("name", ""), form.get("new", "")
    if new != form.get("again", ""):
        return _first_page(asked, name, "not_the_same", status=422)
    try:
        found = await house.accounts.change_password(
            name,
            form.get("old", ""),
            new,
            peer=asked.caller.peer,
            device=asked.device,
            code=form.get("code", ""),
        )
    except RequestError as error:
        message = _NOT_IN.get(error.reason, "not_for_you")
        return _sign_in_page(asked, message, 0, name, status=403)
    if isinstance(found, Refused):
        message, minutes = _refused(found)
        return _first_page(asked, name, message, minutes, status=STATUS[found.reason])
    if found:
        return _first_page(asked, name, "weak", weak=found, status=422)
    return await _try(house, asked, name, new, "/")


def _refused(found: Refused) -> tuple[str, int]:
    """Why not, as the name of a text, and after how many minutes to try again."""
    if found.wait is None:
        return "not_signed_in", 0
    return "too_many", math.ceil(found.wait / 60)


def _sign_in_page(
    asked: Asked, message: str | None, minutes: int = 0, name: str = "", *, status: int = 200
) -> web.Response:
    return shown(
        asked, "sign_in", status=status, message=message, minutes=minutes, name=name[:_MAX_NAME]
    )


def _code_page(
    asked: Asked,
    ticket: str,
    to: str,
    message: str | None = None,
    minutes: int = 0,
    *,
    status: int = 200,
) -> web.Response:
    where = next(name for name, end in _ENDS.items() if end == to)
    return shown(
        asked, "code", status=status, message=message, minutes=minutes, ticket=ticket, to=where
    )


def _first_page(
    asked: Asked,
    name: str,
    message: str | None = None,
    minutes: int = 0,
    *,
    weak: tuple[Weakness, ...] = (),
    status: int = 200,
) -> web.Response:
    return shown(
        asked,
        "first",
        status=status,
        message=message,
        minutes=minutes,
        weak=_told(asked, weak),
        name=name[:_MAX_NAME],
    )


# -- the own session ----------------------------------------------------------------------


async def sign_out(house: House, signed: Signed) -> web.Response:
    """End this visit, and the session behind it."""
    asked = signed.asked
    await require_form(signed, frozenset())
    device = DeviceId(signed.visit.device)
    await house.accounts.sign_out(signed.staff, device, peer=asked.caller.peer)
    await house.visits.close(signed.secret, asked.now)
    response = gone_to(asked, "/sign-in")
    take_cookie(response, asked.caller, VISIT)
    return response


def session(signed: Signed, message: str | None) -> web.Response:
    """The room of the own session."""
    return _session_page(signed, message)


async def password(house: House, signed: Signed) -> web.Response:
    """Change the own password."""
    asked = signed.asked
    form = await require_form(signed, frozenset({"old", "new", "again", "code"}))
    old, new = form.get("old", ""), form.get("new", "")
    if new != form.get("again", ""):
        return _session_page(signed, "not_the_same", status=422)
    bare = signed.staff.removeprefix("staff:")
    found = await house.accounts.change_password(
        bare,
        old,
        new,
        peer=asked.caller.peer,
        device=DeviceId(signed.visit.device),
        code=form.get("code", ""),
    )
    if isinstance(found, Refused):
        return _session_page(signed, "wrong_password", status=403)
    if found:
        return _session_page(signed, "weak", found, status=422)
    return await _try(house, asked, bare, new, "/session?done")


def _session_page(
    signed: Signed,
    message: str | None,
    weak: tuple[Weakness, ...] = (),
    *,
    status: int = 200,
) -> web.Response:
    return shown(
        signed.asked,
        "session",
        status=status,
        csrf=signed.visit.csrf,
        name=signed.bundle.people[signed.staff].member.name,
        who=signed.staff.removeprefix("staff:"),
        message=message,
        minutes=0,
        weak=_told(signed.asked, weak),
    )


def _told(asked: Asked, weak: tuple[Weakness, ...]) -> list[str]:
    return [TEXTS[asked.speech.language][one] for one in weak]


# -- what every form of somebody signed in passes -------------------------------------------


async def require_form(signed: Signed, names: frozenset[str]) -> Mapping[str, str]:
    """The fields of a form of this visit.

    Raises:
        RequestError: ORIGIN_REFUSED without the visit's own token; else as `read_form`.
    """
    form = await read_form(signed.asked.request, names | {"csrf"})
    given, wanted = form.get("csrf", "").encode(), signed.visit.csrf.encode()
    if not hmac.compare_digest(given, wanted):
        raise RequestError(Reason.ORIGIN_REFUSED, "The form is not one of this visit.")
    return form


async def is_proved(house: House, signed: Signed, given: str) -> bool:
    """Was the password given within the last minutes, or is it now?

    Raises:
        RequestError: they have been locked, or have left, meanwhile.
    """
    asked = signed.asked
    if signed.visit.is_proved(asked.now):
        return True
    if not given:
        return False
    device = DeviceId(signed.visit.device)
    if not await house.accounts.is_password(
        signed.staff, given, peer=asked.caller.peer, device=device
    ):
        return False
    await house.visits.prove(signed.secret, asked.now)
    return True
