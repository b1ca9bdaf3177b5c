"""A token's text → its parts, before any key is looked at.

True here: what leaves this file has one spelling and one meaning. Nothing in it is trusted
yet: no signature has been checked.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Never

from gateway.domain.errors import RequestError
from gateway.domain.reason import Cause, Reason
from gateway.identity.base64url import decode_base64url
from gateway.texts.jsontext import parse_strict_json

MAX_TOKEN_CHARS = 8 * 2**10  # bytes; a header line of common servers ends there too
MAX_DEPTH = 16  # our deepest claim is a list of strings

# The signature may be empty here, so that `alg: none` is called by its name later.
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)

# Each asks us to read the token in another way. RFC 7515 4.1.11: what is critical and not
# understood must be refused; RFC 7797 `b64`; RFC 7516 `zip`, `enc`; `cty`: a nested token.
# `jku`, `jwk`, `x5*` may stand there and are never looked at: keys come from the table.
_REFUSED_HEADERS = frozenset({"crit", "b64", "zip", "enc", "cty"})

# RFC 8725 3.11: a logout token or a DPoP proof of the same issuer is no access token.
TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """The outer form of a token.

    Attributes:
        alg: as the token claims; compared with the key's, never chosen by.
        kid: the key it names, None if it names none.
    """

    alg: str
    kid: str | None
    payload: bytes = field(repr=False)


def refuse(cause: Cause) -> Never:
    """One answer for every bad credential; the cause goes to audit and metrics only."""
    raise RequestError(Reason.UNAUTHENTICATED, cause=cause)


def parse_compact(token: str, types: frozenset[str] = TYPES) -> Unverified:
    """Read a JWS in compact form (RFC 7515 7.1) strictly.

    `types`: what its `typ` may be, in lower case.

    Raises:
        RequestError: UNAUTHENTICATED, with TOKEN_MALFORMED as cause.
    """
    if len(token) > MAX_TOKEN_CHARS:
        refuse(Cause.TOKEN_MALFORMED)
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        refuse(Cause.TOKEN_MALFORMED)
    try:
        header, payload, _ = (decode_base64url(part) for part in parts.groups())
    except ValueError:
        refuse(Cause.TOKEN_MALFORMED)
    members = parse_object(header)
    alg, kid, typ = members.get("alg"), members.get("kid"), members.get("typ", "JWT")
    if not isinstance(alg, str) or not isinstance(typ, str) or typ.lower() not in types:
        refuse(Cause.TOKEN_MALFORMED)
    # `kid: null` is not an absent `kid`: an issuer that writes it is broken.
    if "kid" in members and not isinstance(kid, str):
        refuse(Cause.TOKEN_MALFORMED)
    if not members.keys().isdisjoint(_REFUSED_HEADERS):
        refuse(Cause.TOKEN_MALFORMED)
    return Unverified(alg=alg, kid=kid, payload=payload)


def parse_object(data: bytes) -> dict[str, Any]:
    """A header or payload: a strict JSON object."""
    try:
        value = parse_strict_json(data, max_depth=MAX_DEPTH, max_bytes=MAX_TOKEN_CHARS)
    except ValueError:
        refuse(Cause.TOKEN_MALFORMED)
    if not isinstance(value, dict):
        refuse(Cause.TOKEN_MALFORMED)
    return value
