"""Strict base64url (RFC 7515 section 2): one text for one value.

Python's decoder skips characters outside the alphabet, takes `=` anywhere and ignores the
bits after the last byte. A token that may be spelled in two ways slips past every list that
is keyed on its text, so here there is exactly one spelling.
"""

import base64
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


def decode_base64url(text: str) -> bytes:
    """Decode unpadded base64url.

    Raises:
        ValueError: padding, a character outside the alphabet, an impossible length, or bits
            after the last byte that are not zero.
    """
    if _ALPHABET.fullmatch(text) is None or len(text) % 4 == 1:
        raise ValueError("not base64url without padding")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("not the canonical base64url of its bytes")
    return data


def encode_base64url(data: bytes) -> str:
    """Encode as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
