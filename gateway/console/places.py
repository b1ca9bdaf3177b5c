"""Every address of the console, and what may be asked of it. Pure.

An address is one of these, byte for byte, or it is not the console's.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.act import Act
from gateway.domain.subject import StaffId, is_name, staff_id

_STAFF = re.compile(r"/staff/(?P<name>[^/]{1,63})/(?P<act>[a-z-]{1,16})", re.ASCII)
_ASSET = "/assets/"


class Room(StrEnum):
    """What an address is about."""

    TODAY = "today"
    STAFF = "staff"
    DEVICES = "devices"
    REQUESTS = "requests"
    REVIEW = "review"  # of a request
    INCIDENT = "incident"
    INCIDENT_START = "incident_start"
    INCIDENT_END = "incident_end"
    ACT = "act"  # on one person: a page that asks for it, and the button
    SESSION = "session"
    PASSWORD = "password"  # noqa: S105  # a name, not a secret
    SIGN_IN = "sign_in"
    CODE = "code"  # of a second factor, after the password
    FIRST = "first"  # a password somebody else gave is changed, before anybody is in
    SIGN_OUT = "sign_out"
    LANGUAGE = "language"
    ASSET = "asset"


READ = frozenset({"GET", "HEAD"})
_METHODS = {
    Room.TODAY: READ,
    Room.STAFF: READ,
    Room.DEVICES: READ,
    Room.REQUESTS: READ,
    Room.REVIEW: frozenset({"POST"}),
    Room.INCIDENT: READ,
    Room.INCIDENT_START: frozenset({"POST"}),
    Room.INCIDENT_END: frozenset({"POST"}),
    Room.ACT: READ | {"POST"},
    Room.SESSION: READ,
    Room.PASSWORD: frozenset({"POST"}),
    Room.SIGN_IN: READ | {"POST"},
    Room.CODE: frozenset({"POST"}),
    Room.FIRST: frozenset({"POST"}),
    Room.SIGN_OUT: frozenset({"POST"}),
    Room.LANGUAGE: frozenset({"POST"}),
    Room.ASSET: READ,
}
_ROOMS = {
    "/": Room.TODAY,
    "/staff": Room.STAFF,
    "/devices": Room.DEVICES,
    "/requests": Room.REQUESTS,
    "/requests/review": Room.REVIEW,
    "/incident": Room.INCIDENT,
    "/incident/start": Room.INCIDENT_START,
    "/incident/end": Room.INCIDENT_END,
    "/session": Room.SESSION,
    "/session/password": Room.PASSWORD,
    "/sign-in": Room.SIGN_IN,
    "/sign-in/code": Room.CODE,
    "/sign-in/first": Room.FIRST,
    "/sign-out": Room.SIGN_OUT,
    "/language": Room.LANGUAGE,
}
_ACTS = {
    "log-out": Act.LOG_OUT,
    "lock": Act.LOCK,
    "unlock": Act.UNLOCK,
    "offboard": Act.OFFBOARD,
    "approve-device": Act.APPROVE_DEVICE,
    "refuse-device": Act.REFUSE_DEVICE,
}
_ONE_PRESS = frozenset({Act.LOG_OUT, Act.APPROVE_DEVICE, Act.REFUSE_DEVICE})  # no page before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One address.

    Attributes:
        path: as it was asked for, without its query.
        act, whom: of an `ACT`.
        asset: the file's name, of an `ASSET`.
    """

    room: Room
    path: str
    act: Act | None = None
    whom: StaffId | None = None
    asset: str | None = None

    @property
    def methods(self) -> frozenset[str]:
        """How it may be asked."""
        if self.act in _ONE_PRESS:
            return frozenset({"POST"})
        return _METHODS[self.room]


def find_place(path: str) -> Place | None:
    """The place of an address; None = it is none of the console's."""
    room = _ROOMS.get(path)
    if room is not None:
        return Place(room=room, path=path)
    if path.startswith(_ASSET):
        return Place(room=Room.ASSET, path=path, asset=path.removeprefix(_ASSET))
    found = _STAFF.fullmatch(path)
    if found is None or found["act"] not in _ACTS or not is_name(found["name"]):
        return None
    return Place(room=Room.ACT, path=path, act=_ACTS[found["act"]], whom=staff_id(found["name"]))
