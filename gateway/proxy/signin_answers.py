"""What every answer of the sign-in goes by: its cookies, its headers, and where it leads."""

from gateway.domain.http import Headers
from gateway.domain.subject import DeviceId
from gateway.identity.device_cookie import write_device
from gateway.mapping.pattern import RESERVED
from gateway.mapping.target import linked_target
from gateway.proxy.signin_forms import DEVICE_COOKIE

HOME = "/"
SEE_OTHER = 303  # RFC 9110 15.4.4
DEVICE_DAYS = 400  # browsers keep no cookie longer (RFC 6265bis 5.5)
PLAIN: Headers = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)


def way_on(wanted: str) -> str:
    """Where to go after signing in: an address of the CRM's on this host, or its first page."""
    target = linked_target(wanted)
    if target is None or target.segments[:1] == (RESERVED,):
        return HOME
    return target.wire


def cookie_line(name: str, value: str, seconds: int) -> tuple[str, str]:
    """A cookie of this host alone (`__Host-`), over TLS alone, that no script reads."""
    attributes = f"Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"
    return "Set-Cookie", f"{name}={value}; {attributes}"


def device_line(device: DeviceId, key: bytes) -> tuple[str, str]:
    """The cookie by which a device is known again; it lets nobody in."""
    return cookie_line(DEVICE_COOKIE, write_device(device, key), DEVICE_DAYS * 86_400)
