"""Signing in at an identity provider: what is asked of it, and what of its answers counts.

OpenID Connect Core 1.0, the authorisation code flow with PKCE (RFC 7636, S256 and nothing else).
Nothing is kept here of a sign-in under way: its `state`, `nonce` and verifier stand in a ticket
that only we can have written, for one issuer, in a cookie of the browser that began it.

True here:
* an answer counts only in the browser that asked (`state`), from the issuer that it asked
  (RFC 9207), and its token only for this one asking (`nonce`) and for us (`aud`, `azp`);
* a sign-in at the provider that is older than the asking counts as none;
* a logout token is no ID token, and the other way round.

House rules: pure. What is not exactly as it must be is refused, and nothing of it is repeated.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import msgspec

from gateway.domain.reason import Cause
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.base64url import decode_base64url, encode_base64url
from gateway.identity.claims import (
    MAX_SESSION_CHARS,
    Claims,
    TokenPolicy,
    verify_foreign,
    verify_payload,
)
from gateway.identity.compact import MAX_TOKEN_CHARS, parse_compact, parse_object, refuse
from gateway.texts.jsontext import parse_strict_json

LASTS = timedelta(minutes=10)  # from the button to the way back
LOGOUT_LASTS = timedelta(minutes=5)  # a logout token older than that is refused
DRAWN_BYTES = 32  # RFC 7636 7.1: 256 bits
MAX_TICKET = 3584  # characters; a browser takes cookies of 4096
MAX_CODE = 2048
MAX_SUB = 255  # Core 2
MAX_ANSWER_BYTES = 64 * 2**10
MAX_DEPTH = 8
MAX_ADDRESS = 1024
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Back-Channel Logout 2.4 recommends the first; many providers still say the second.
LOGOUT_TYPES = frozenset({"logout+jwt", "application/logout+jwt", "jwt", "application/jwt"})
_CONTEXT = b"salon-gateway a sign-in under way v1"  # no other MAC of the key is one of these
_OURS = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "response_mode",
        "request",
        "request_uri",
    }
)


class Begun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign-in under way, as its ticket holds it.

    Attributes:
        next: where they wanted to go, as a target that was looked at.
        redirect_uri: where the provider sends them back to.
        at: when the button was pressed, in milliseconds since 1970.
    """

    issuer: str
    state: str
    nonce: str
    verifier: str
    next: str
    redirect_uri: str
    at: int

    def __repr__(self) -> str:
        return f"Begun({self.issuer!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a provider says of itself (Discovery 1.0 3, RFC 8414 2).

    Attributes:
        names_itself: it puts its name into its answers (RFC 9207 3).
        takes_basic: a client's secret may come as `client_secret_basic`.
    """

    authorization_endpoint: str
    token_endpoint: str
    names_itself: bool
    takes_basic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """Who has signed in at the provider.

    Attributes:
        claims: as of any token of this issuer; its device and its epoch say nothing.
        began_at: the earliest instant that the token names.
        sub, sid: how the provider will name them when it logs them out.
    """

    claims: Claims
    began_at: Instant
    sub: str
    sid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """Who was logged out at the provider; of `sub` and `sid` one at least is there.

    Attributes:
        until: from then on the token would be refused by itself.
    """

    jti: str
    sub: str | None
    sid: str | None
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who we are to a provider. `secret` None: a public client, by PKCE alone."""

    id: str
    secret: str | None = field(repr=False)


# -- the ticket -----------------------------------------------------------------------------


def ticket_key(secret: bytes) -> bytes:
    """The key for tickets, made of another secret."""
    return hmac.digest(secret, _CONTEXT, sha256)


def write_ticket(begun: Begun, key: bytes) -> str:
    """A ticket for a sign-in under way.

    Raises:
        ValueError: it would be longer than a cookie may be.
    """
    data = msgspec.json.encode(begun)
    text = f"{encode_base64url(data)}.{encode_base64url(hmac.digest(key, data, sha256))}"
    if len(text) > MAX_TICKET:
        raise ValueError("a sign-in with a way back that is too long for a cookie")
    return text


def read_ticket(text: str, key: bytes, now: Instant) -> Begun | None:
    """What a ticket says; None = it is none of ours, or its time is over."""
    if len(text) > MAX_TICKET:
        return None
    body, _, mark = text.partition(".")
    try:
        data, mac = decode_base64url(body), decode_base64url(mark)
    except ValueError:
        return None
    if not hmac.compare_digest(mac, hmac.digest(key, data, sha256)):
        return None
    begun = msgspec.json.decode(data, type=Begun)  # we wrote it
    moment, at = to_milliseconds(now), begun.at
    return begun if at <= moment < at + LASTS // timedelta(milliseconds=1) else None


# -- what is asked --------------------------------------------------------------------------


def read_metadata(data: bytes, issuer: str) -> Metadata:
    """Read a provider's own description.

    Args:
        data: JSON, as it was fetched.
        issuer: whose it must be, letter for letter (Discovery 4.3).

    Raises:
        ValueError: it is another's, or a provider at which nobody can sign in as we do it.
    """
    told = parse_strict_json(data, max_depth=MAX_DEPTH, max_bytes=MAX_ANSWER_BYTES)
    if not isinstance(told, dict) or told.get("issuer") != issuer:
        raise ValueError("not the description of this issuer")
    if "code" not in _texts(told, "response_types_supported", ()):
        raise ValueError("no authorisation code flow")
    # Providers that take PKCE without saying so are common; who names others only does not.
    if "S256" not in _texts(told, "code_challenge_methods_supported", ("S256",)):
        raise ValueError("no PKCE with S256")
    methods = _texts(told, "token_endpoint_auth_methods_supported", ("client_secret_basic",))
    names_itself = told.get("authorization_response_iss_parameter_supported", False)
    if type(names_itself) is not bool:
        raise ValueError("neither true nor false")
    return Metadata(
        authorization_endpoint=_address(told.get("authorization_endpoint")),
        token_endpoint=_address(told.get("token_endpoint")),
        names_itself=names_itself,
        takes_basic="client_secret_basic" in methods,
    )


def asking_address(metadata: Metadata, begun: Begun, client: Client) -> str:
    """Where the browser is sent (Core 3.1.2.1).

    `prompt=login`, and `max_age` so that the provider says when it was: whoever signs out of a
    tablet here must not be let in again by a session that is still open there.
    """
    asked = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": begun.redirect_uri,
        "scope": "openid",
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": encode_base64url(sha256(begun.verifier.encode()).digest()),
        "code_challenge_method": "S256",
        "prompt": "login",
        "max_age": "0",
    }
    endpoint = metadata.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def exchange_form(begun: Begun, code: str, client: Client) -> tuple[bytes, str | None]:
    """What is posted for a code, and its `Authorization` (RFC 6749 2.3.1, 4.1.3)."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": begun.redirect_uri,
        "code_verifier": begun.verifier,
    }
    if client.secret is None:
        return urlencode(form | {"client_id": client.id}).encode(), None
    pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}".encode()
    basic = encode_base64(pair)
    return urlencode(form).encode(), f"Basic {basic}"


def encode_base64(data: bytes) -> str:
    """With padding, in the alphabet of RFC 7617."""
    text = encode_base64url(data).replace("-", "+").replace("_", "/")
    return text + "=" * (-len(text) % 4)


# -- what is answered -----------------------------------------------------------------------


def read_return(query: Iterable[tuple[str, str]], begun: Begun | None, *, must_name: bool) -> str:
    """The code that the provider sent the browser back with.

    Args:
        query: decoded; what has no meaning here is passed over (RFC 6749 4.1.2).
        begun: by the browser's ticket; None = it has none.
        must_name: the answer must say whose it is (`iss`).

    Raises:
        RequestError: UNAUTHENTICATED.
    """
    told: dict[str, str] = {}
    for name, value in query:
        if name in {"state", "code", "iss", "error"}:
            if name in told:
                refuse(Cause.CLAIM_INVALID)
            told[name] = value
    state = told.get("state", "")
    # Before anything else of it is looked at: who did not ask here is told nothing.
    if begun is None or not hmac.compare_digest(state.encode(), begun.state.encode()):
        refuse(Cause.NO_CREDENTIAL)
    if told.get("iss", begun.issuer) != begun.issuer or (must_name and "iss" not in told):
        refuse(Cause.WRONG_ISSUER)
    code = told.get("code", "")
    if "error" in told:
        refuse(Cause.PROVIDER_REFUSED)
    if not 0 < len(code) <= MAX_CODE or not (code.isascii() and code.isprintable()):
        refuse(Cause.CLAIM_INVALID)
    return code


def read_exchanged(data: bytes) -> str:
    """The ID token in the answer to a code (Core 3.1.3.3); nothing else of it is kept.

    Raises:
        RequestError: UNAUTHENTICATED.
    """
    try:
        told = parse_strict_json(data, max_depth=MAX_DEPTH, max_bytes=MAX_ANSWER_BYTES)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        refuse(Cause.PROVIDER_REFUSED)
    kind, token = told.get("token_type"), told.get("id_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        refuse(Cause.PROVIDER_REFUSED)
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS:
        refuse(Cause.PROVIDER_REFUSED)
    return token


def read_id_token(token: str, policy: TokenPolicy, begun: Begun, now: Instant) -> Arrived:
    """Who has signed in (Core 3.1.3.7).

    Args:
        token: as the provider gave it for the code.
        policy: of this issuer, with our client id as the audience and no claim for the epoch.
        begun: the asking that it answers.
        now: by our clock.

    Raises:
        RequestError: UNAUTHENTICATED with the first cause found.
    """
    told = verify_foreign(token, policy, now)
    payload = parse_object(parse_compact(token).payload)
    nonce = payload.get("nonce")
    if not isinstance(nonce, str):
        refuse(Cause.CLAIM_INVALID)
    if not hmac.compare_digest(nonce.encode("utf-8", "replace"), begun.nonce.encode()):
        refuse(Cause.CLAIM_INVALID)
    # We trust no other audience, so a token that is for one more is for somebody else.
    if payload.get("aud") not in (policy.audience, [policy.audience]):
        refuse(Cause.WRONG_AUDIENCE)
    if payload.get("azp", policy.audience) != policy.audience:
        refuse(Cause.WRONG_AUDIENCE)
    # `iat` and `auth_time` have whole seconds.
    asked = begun.at - begun.at % 1000 - policy.leeway_seconds * 1000
    if to_milliseconds(told.began_at) < asked:
        refuse(Cause.EXPIRED)
    sub = _name(payload, "sub", MAX_SUB)
    if sub is None:
        refuse(Cause.CLAIM_INVALID)
    return Arrived(
        claims=told.claims,
        began_at=told.began_at,
        sub=sub,
        sid=_name(payload, "sid", MAX_SESSION_CHARS),
    )


def read_logout(token: str, policy: TokenPolicy, now: Instant) -> LoggedOut:
    """Whom the provider has logged out (Back-Channel Logout 1.0, 2.4 and 2.6).

    Raises:
        RequestError: UNAUTHENTICATED with the first cause found.
    """
    payload = verify_payload(token, policy, now, types=LOGOUT_TYPES)
    events = payload.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        refuse(Cause.CLAIM_INVALID)
    iat = payload.get("iat")  # as a moment it was looked at, if it is there
    if "nonce" in payload or type(iat) is not int:
        refuse(Cause.CLAIM_INVALID)
    until = from_milliseconds(iat * 1000) + LOGOUT_LASTS + _leeway(policy)
    if now >= until:
        refuse(Cause.EXPIRED)
    jti = _name(payload, "jti", MAX_SESSION_CHARS)
    sub, sid = _name(payload, "sub", MAX_SUB), _name(payload, "sid", MAX_SESSION_CHARS)
    if jti is None or (sub is None and sid is None):
        refuse(Cause.CLAIM_INVALID)
    return LoggedOut(jti=jti, sub=sub, sid=sid, until=Instant(until))


def _leeway(policy: TokenPolicy) -> timedelta:
    return timedelta(seconds=policy.leeway_seconds)


def _name(payload: dict[str, Any], name: str, most: int) -> str | None:
    if name not in payload:
        return None
    value = payload[name]
    if not isinstance(value, str) or not 0 < len(value) <= most:
        refuse(Cause.CLAIM_INVALID)
    return value


def _texts(told: dict[str, Any], name: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    value = told.get(name, list(otherwise))
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"`{name}` is no list of texts")
    return tuple(value)


def _address(value: object) -> str:
    """An endpoint: https, plain ASCII, and nothing in it that we say ourselves."""
    if not isinstance(value, str) or len(value) > MAX_ADDRESS:
        raise ValueError("an endpoint is missing")
    if not value.isascii() or not value.isprintable() or set(value) & set(' "<>\\#'):
        raise ValueError("an endpoint is no address")
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.port == 0:
        raise ValueError("an endpoint is not `https://host/path`")
    if _OURS & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        raise ValueError("an endpoint says what is ours to say")
    return value
