"""What was done, told on the page after it: once it is done the browser asks for a page anew.

The sentence travels in the address, signed with the secret of the visit: a link that somebody
sends cannot tell the owner that a person is locked who is not. It is told for two minutes.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta

from gateway.domain.subject import DeviceId, StaffId, device_id, staff_id
from gateway.domain.time import Instant, to_milliseconds

TOLD = timedelta(minutes=2)

_FORM = re.compile(
    r"(?P<said>(?P<text>[a-z_]{1,32})~(?P<whom>[a-z0-9_-]{1,63})~(?P<device>[A-Za-z0-9._-]{0,64})"
    r"~(?P<at>\d{1,15}))~(?P<mac>[0-9a-f]{64})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing done.

    Attributes:
        text: the name of the sentence in texts.yaml.
    """

    text: str
    whom: StaffId
    device: DeviceId | None = None


def write_said(said: Said, csrf: str, now: Instant) -> str:
    """As it stands in an address."""
    bare = said.whom.removeprefix("staff:")
    plain = f"{said.text}~{bare}~{said.device or ''}~{to_milliseconds(now)}"
    return f"{plain}~{_mac(plain, csrf)}"


def read_said(text: str, csrf: str, now: Instant) -> Said | None:
    """What stands in an address; None = nothing that this visit said just now."""
    found = _FORM.fullmatch(text)
    if found is None or not hmac.compare_digest(found["mac"], _mac(found["said"], csrf)):
        return None
    if not 0 <= to_milliseconds(now) - int(found["at"]) < TOLD / timedelta(milliseconds=1):
        return None
    device = device_id(found["device"]) if found["device"] else None
    return Said(text=found["text"], whom=staff_id(found["whom"]), device=device)


def _mac(plain: str, csrf: str) -> str:
    return hmac.new(csrf.encode(), plain.encode(), hashlib.sha256).hexdigest()
