"""RFC 4226 and RFC 6238 written a second time, slowly: HMAC by hand, bits by strings."""

from hashlib import sha1


def slow_hmac_sha1(key, message):
    """RFC 2104, for keys of at most a block."""
    block = key + bytes(64 - len(key))
    inner = sha1(bytes(one ^ 0x36 for one in block) + message).digest()  # noqa: S324  # RFC 4226
    return sha1(bytes(one ^ 0x5C for one in block) + inner).digest()  # noqa: S324  # RFC 4226


def slow_code(key, counter, digits=6):
    """RFC 4226 5.3 and 5.4: dynamic truncation, bit by bit."""
    message = bytes.fromhex(f"{counter:016x}")
    mac = slow_hmac_sha1(key, message)
    bits = "".join(f"{byte:08b}" for byte in mac)
    offset = int(bits[-4:], 2)
    number = int(bits[8 * offset + 1 : 8 * (offset + 4)], 2)  # without the sign
    return str(number).zfill(digits)[-digits:]


class SlowVerifier:
    """Which codes are taken, by keeping every step that ever was."""

    def __init__(self, key, digits=6):
        self.key, self.digits, self.over = key, digits, set()

    def take(self, typed, seconds):
        here = 0
        while (here + 1) * 30 <= seconds:
            here += 1
        fits = [
            step
            for step in (here - 1, here, here + 1)
            if step >= 0
            and slow_code(self.key, step, self.digits) == typed
            and not any(step <= gone for gone in self.over)
        ]
        if fits:
            self.over.add(max(fits))
        return bool(fits)
