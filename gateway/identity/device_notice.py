"""What is still to be told of a new device, one way. A document, as `grant.py`'s notices are.

House rules: pure. It is read back exactly as it was written, or not at all.
"""

import re
from hashlib import sha256

import msgspec

from gateway.domain.errors import StateUnavailableError
from gateway.domain.subject import DeviceId, StaffId, device_id, is_name, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.grant import MAX_TOLD, render

_TO = re.compile(r"[a-z_]{1,16}", re.ASCII)


class DeviceNotice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody came with a device that was not known.

    Attributes:
        to: the way, `webhook` or `smtp`.
        device: as the token names it.
        app: in which app; None = the token does not say.
        asked: milliseconds since 1970: when it came.
        told: the managers who are told.
        tries: how often it was begun.
        due: milliseconds since 1970: when it is tried (again).
        given_up: it was tried for as long as makes sense.
    """

    to: str
    staff: str
    device: str
    app: str | None
    asked: int
    told: tuple[str, ...]
    tries: int
    due: int
    given_up: bool

    def __post_init__(self) -> None:
        for staff in (self.staff, *self.told):
            if staff_id(staff.removeprefix("staff:")) != staff:
                raise ValueError("a member of the staff is written `staff:...`")
        device_id(self.device)
        for moment in (self.asked, self.due):
            if moment < 0:
                raise ValueError("an instant lies between 1970 and 9999")
            from_milliseconds(moment)
        if not 1 <= len(self.told) <= MAX_TOLD or self.tries < 0:
            raise ValueError("somebody is told of a new device")
        if _TO.fullmatch(self.to) is None or not (self.app is None or is_name(self.app)):
            raise ValueError("a notice is of a device in an app, one way")

    @property
    def key(self) -> str:
        """Its own among the notices: of a person's device there is one, each way."""
        mark = sha256(f"{self.staff} {self.device}".encode()).hexdigest()[:32]
        return f"{mark}.{self.to}"


def device_notice(
    staff: StaffId,
    device: DeviceId,
    app: str | None,
    *,
    to: str,
    told: tuple[StaffId, ...],
    now: Instant,
) -> DeviceNotice:
    """The notice of a device that came now, due at once. An app that is no name is not told."""
    moment = to_milliseconds(now)
    return DeviceNotice(
        to=to,
        staff=staff,
        device=device,
        app=app if app is not None and is_name(app) else None,
        asked=moment,
        told=told,
        tries=0,
        due=moment,
        given_up=False,
    )


def parse_device_notice(data: bytes) -> DeviceNotice:
    """Read a notice back. Raises StateUnavailableError, as `grant.py`'s `parse_grant`."""
    try:
        notice = _NOTICES.decode(data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        raise StateUnavailableError("a notice in the state cannot be read") from None
    if render(notice) != data:
        raise StateUnavailableError("a notice in the state is written in another form")
    return notice


_NOTICES = msgspec.json.Decoder(DeviceNotice)
