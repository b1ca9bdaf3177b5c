"""The name of a device, so that only we can have written it: `id.mac`.

A device's id is no secret: it stands in tokens, in the trail and in `session list`. That
somebody shows it proves nothing, so beside it stands HMAC-SHA256 of it, under a key made of
the token secret. It lets nobody in; it tells a device that signed in before from a stranger.
"""

import hmac
from hashlib import sha256

from gateway.domain.subject import DeviceId, device_id
from gateway.identity.base64url import decode_base64url, encode_base64url

_CONTEXT = b"salon-gateway device cookie v1"  # so that no other MAC of the secret is one of these


def device_key(secret: bytes) -> bytes:
    """The key for devices, made of the secret that signs tokens."""
    return hmac.digest(secret, _CONTEXT, sha256)


def write_device(device: DeviceId, key: bytes) -> str:
    """A device's id with our mark on it."""
    return f"{device}.{encode_base64url(_mac(device, key))}"


def read_device(text: str, key: bytes) -> DeviceId | None:
    """The device that this names; None = we have not written it."""
    name, _, mark = text.rpartition(".")
    try:
        device, mac = device_id(name), decode_base64url(mark)
    except ValueError:
        return None
    return device if hmac.compare_digest(mac, _mac(device, key)) else None


def _mac(device: DeviceId, key: bytes) -> bytes:
    return hmac.digest(key, device.encode(), sha256)
