"""The console: from a request on the admin port to a page, or to something done.

    gate ─► place ─► whose visit? ─► may they still be here? ─► room

INVARIANT: nothing is shown of people, and nothing is done, for anybody who does not pass all of
this, now; and whatever goes wrong on the way is a page that says no.
"""

from urllib.parse import unquote

from aiohttp import web

from gateway.console.acts import act
from gateway.console.approvals import devices
from gateway.console.doors import admitted, code, first, password, session, sign_in, sign_out
from gateway.console.gate import caller_of, cookie_of, read_form, require_ours
from gateway.console.house import Asked, House, Signed
from gateway.console.lockdown import lockdown
from gateway.console.places import Place, Room, find_place
from gateway.console.replies import (
    DEVICE,
    LANGUAGE,
    VISIT,
    asset,
    give_cookie,
    gone_to,
    problem,
    shown,
    speech_of,
)
from gateway.console.requests import requests, review
from gateway.console.said import read_said
from gateway.console.team import team
from gateway.console.today import today
from gateway.console.words import SPEECHES, TEXTS
from gateway.domain.errors import (
    GatewayError,
    OperatorError,
    RequestError,
    StateUnavailableError,
)
from gateway.domain.reason import Reason
from gateway.events import Event, emit
from gateway.identity.device_cookie import read_device

_HTMX = "HX-Request"


class Console:
    """The rooms on the admin port, which has checked the `Host` by then."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer a request; None = its address is none of the console's. Never raises."""
        place = find_place(request.raw_path.partition("?")[0])
        if place is None:
            return None
        wishes = request.headers.getall("Accept-Language", [])
        speech = speech_of(None, self._house.language(wishes))
        try:
            return await self._answer(request, place)
        except GatewayError as error:
            response = problem(speech, error)
            if error.reason is Reason.METHOD_REFUSED:  # RFC 9110 15.5.6
                response.headers["Allow"] = ", ".join(sorted(place.methods))
            return response
        except Exception as error:  # noqa: BLE001  # the last door: a page, never a stack trace
            emit(Event.INTERNAL_ERROR, error, part="console")
            return problem(speech, OperatorError(Reason.INTERNAL_ERROR))

    async def _answer(self, request: web.BaseRequest, place: Place) -> web.Response:
        house = self._house
        if request.method not in place.methods:
            raise RequestError(Reason.METHOD_REFUSED, "That is not done this way.")
        caller = caller_of(request, house.settings.trusted_proxies)
        require_ours(request, caller)
        if place.asset is not None:
            found = asset(place.asset)
            if found is None:
                raise RequestError(Reason.UNMAPPED, "There is no such file.")
            return found
        chosen = cookie_of(request, caller.cookie(LANGUAGE))
        asked = Asked(
            request=request,
            place=place,
            caller=caller,
            speech=speech_of(
                chosen, house.language(request.headers.getall("Accept-Language", []))
            ),
            secret=cookie_of(request, caller.cookie(VISIT)),
            device=read_device(cookie_of(request, caller.cookie(DEVICE)) or "", house.device_key),
            now=house.clock.now(),
            partial=request.headers.get(_HTMX) == "true",
        )
        try:
            return await self._enter(asked)
        except GatewayError as error:
            return problem(asked.speech, error)

    async def _enter(self, asked: Asked) -> web.Response:
        house, room = self._house, asked.place.room
        if room is Room.LANGUAGE:
            return await _choose_language(asked)
        if room is Room.SIGN_IN:
            return await sign_in(house, asked, signed=await self._is_signed(asked))
        if room is Room.CODE:
            return await code(house, asked)
        if room is Room.FIRST:
            return await first(house, asked)
        signed = await self._signed(asked)
        if signed is None:
            return gone_to(asked, "/sign-in")
        if not (asked.partial and not asked.is_post):  # a page that refreshes itself is nobody
            await house.visits.touch(signed.secret, signed.visit, asked.now)
        return await self._room(signed)

    async def _signed(self, asked: Asked) -> Signed | None:
        """Whoever asks, if they are signed in and may still be here; what is over is ended."""
        if asked.secret is None:
            return None
        visit = await self._house.visits.find(asked.secret, asked.now)
        if visit is None:
            return None
        signed = await admitted(self._house, asked, asked.secret, visit)
        if signed is None:
            await self._house.visits.close(asked.secret, asked.now)
        return signed

    async def _is_signed(self, asked: Asked) -> bool:
        """Need they not sign in? Whose visit cannot be read must be able to begin another."""
        try:
            return await self._signed(asked) is not None
        except StateUnavailableError:
            return False

    async def _room(self, signed: Signed) -> web.Response:
        house, place = self._house, signed.asked.place
        match place.room:
            case Room.TODAY:
                return await self._today(signed)
            case Room.STAFF:
                return await self._staff(signed)
            case Room.DEVICES:
                return await devices(house, signed, _query(signed.asked, "said"))
            case Room.INCIDENT | Room.INCIDENT_START | Room.INCIDENT_END:
                return await lockdown(house, signed)
            case Room.REQUESTS:
                return await requests(house, signed, _query(signed.asked, "said"))
            case Room.REVIEW:
                return await review(house, signed)
            case Room.SESSION:
                done = signed.asked.request.raw_path.partition("?")[2] == "done"
                return session(signed, "done_password" if done else None)
            case Room.PASSWORD:
                return await password(house, signed)
            case Room.SIGN_OUT:
                return await sign_out(house, signed)
            case Room.ACT if place.act is not None and place.whom is not None:
                return await act(house, signed, place.act, place.whom)
            case _:
                raise RequestError(Reason.UNMAPPED, "There is no such page.")

    async def _today(self, signed: Signed) -> web.Response:
        house, now = self._house, signed.asked.now
        refused = await house.refusals.in_last_hour(now)
        seen = today(house.policies, signed.viewer, refused, TEXTS.reasons, now)
        template = "now" if signed.asked.partial else "today"
        return shown(signed.asked, template, today=seen, now=now)

    async def _staff(self, signed: Signed) -> web.Response:
        asked = signed.asked
        state = await self._house.state(asked.now)
        people = team(signed.bundle, signed.viewer, self._house.settings, state)
        said = read_said(_query(asked, "said"), signed.visit.csrf, asked.now)
        return shown(
            asked,
            "staff",
            people=people,
            csrf=signed.visit.csrf,
            said=said,
        )


async def _choose_language(asked: Asked) -> web.Response:
    """Keep the language that was chosen, and go back to where it was."""
    form = await read_form(asked.request, frozenset({"language", "here"}))
    language, here = form.get("language", ""), find_place(form.get("here", ""))
    if language not in SPEECHES:
        raise RequestError(Reason.BODY_INVALID, "The console does not speak this language.")
    back = here.path if here is not None and "GET" in here.methods else "/"
    response = gone_to(asked, back)
    give_cookie(response, asked.caller, LANGUAGE, language, keep=True)
    return response


def _query(asked: Asked, name: str) -> str:
    """One value of the query, as it stands there once; "" otherwise."""
    query = asked.request.raw_path.partition("?")[2]
    values = [
        value for key, _, value in (p.partition("=") for p in query.split("&")) if key == name
    ]
    return unquote(values[0]) if len(values) == 1 else ""
