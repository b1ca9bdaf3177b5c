"""Answers: pages, where to go next, cookies. Every one carries the headers of `pages.py`."""

from typing import Any

from aiohttp import web

from gateway.console.gate import Caller
from gateway.console.house import Asked
from gateway.console.pages import ASSETS, HEADERS, page
from gateway.console.words import SPEECHES, Speech
from gateway.domain.errors import GatewayError
from gateway.domain.reason import STATUS, Reason

VISIT = "salon_console"  # cookies
DEVICE = "salon_device"
LANGUAGE = "salon_language"
_YEAR = 365 * 24 * 3600
_HTML = "text/html; charset=utf-8"
# What a person is told of a refusal, as far as it is not "the form could not be read".
_TOLD = {
    Reason.UNMAPPED: "not_here",
    Reason.ORIGIN_REFUSED: "not_from_here",
    Reason.HOST_REFUSED: "needs_https",
    Reason.NO_RULE_ALLOWS: "not_yours",
    Reason.LOCKED: "not_yours",  # since the page was shown
    Reason.HAS_LEFT: "not_yours",
    Reason.INCIDENT: "not_yours",
    Reason.STATE_UNAVAILABLE: "cannot",
    Reason.AUDIT_UNAVAILABLE: "cannot",
    Reason.INTERNAL_ERROR: "cannot",
}


def shown(asked: Asked, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page. `here` is where it leads back to when the language is changed."""
    body = page(template, asked.speech, here=asked.place.path, room=asked.place.room, **values)
    return web.Response(status=status, body=body, headers={**HEADERS, "Content-Type": _HTML})


def problem(speech: Speech, error: GatewayError) -> web.Response:
    """A page that says why not."""
    status = STATUS[error.reason]
    told = _TOLD.get(error.reason, "bad_form")
    body = page("problem", speech, title=told, lead=f"{told}_lead", here="/", room=None)
    return web.Response(status=status, body=body, headers={**HEADERS, "Content-Type": _HTML})


def gone_to(asked: Asked, address: str) -> web.Response:
    """What was asked is done, or goes elsewhere: the browser asks for that page (RFC 9110 15.4.4).

    Args:
        asked: of htmx, which would put the page into a row: it is told to open it instead.
        address: a path of ours.
    """
    if asked.partial:
        return web.Response(status=200, headers={**HEADERS, "HX-Redirect": address})
    return web.Response(status=303, headers={**HEADERS, "Location": address})


def asset(name: str) -> web.Response | None:
    """A file of ours, to be kept for a year: its address changes with it."""
    found = ASSETS.get(name)
    if found is None:
        return None
    content_type, body = found
    keep = {"Content-Type": content_type, "Cache-Control": f"private, max-age={_YEAR}, immutable"}
    return web.Response(body=body, headers={**HEADERS, **keep})


def give_cookie(
    response: web.Response, caller: Caller, name: str, value: str, *, keep: bool = False
) -> None:
    """A cookie that no script reads and no other site's page sends; up to the browser's end."""
    response.set_cookie(
        caller.cookie(name),
        value,
        path="/",
        httponly=True,
        secure=caller.secure,
        samesite="Strict",
        max_age=_YEAR if keep else None,
    )


def take_cookie(response: web.Response, caller: Caller, name: str) -> None:
    """Have the browser forget it. `__Host-` ones are only replaced by the likes of them."""
    response.set_cookie(
        caller.cookie(name),
        "",
        path="/",
        httponly=True,
        secure=caller.secure,
        samesite="Strict",
        max_age=0,
    )


def speech_of(code: str | None, otherwise: str) -> Speech:
    """The language that was chosen, or the one that the browser asks for."""
    return SPEECHES.get(code or "", SPEECHES[otherwise])
