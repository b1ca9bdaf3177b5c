"""Which request headers go to the CRM, and which of its answer headers come back.

House rules:
- Where answers are cut, headers pass by an allow-list, both ways. On pass routes they pass by
  a deny-list, because pages and assets need more than we can name.
- Whatever says who asks, from where, or with which method comes from us or not at all: the
  CRM believes such headers, and a client can write anything into them.
- Names compare in lower case. Values are text of one character per byte (latin-1), as read
  from the wire; `wire_text` turns them into what a library that writes UTF-8 must be given.
- Framing (Content-Length, Transfer-Encoding) is the HTTP library's alone, on the way out.
- What cannot be dropped without changing what the request means is refused, not dropped.
- An answer for somebody in particular is nobody else's: no shared cache may keep it. Neither
  one with a cookie: `Set-Cookie` by itself keeps no cache from storing (RFC 9111 7.3).
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import (
    HEADS_KEPT,
    HOP_BY_HOP,
    SAFE_METHODS,
    Fields,
    Headers,
    Inbound,
    fields_of,
)
from gateway.domain.login import NOTHING_MORE, Passing
from gateway.domain.reason import Reason
from gateway.mapping.headernames import (
    CUT_ANSWER,
    CUT_REQUEST,
    DENIED,
    DENIED_ANSWER,
    DENIED_ANSWER_PREFIXES,
    DENIED_FAMILIES,
    DENIED_PREFIXES,
    END_TO_END,
    NEVER_CUT,
    NEVER_TWICE,
    PRECONDITIONS,
    SHARED_CACHES,
)
from gateway.mapping.tracing import traced

PSEUDONYM = "salon-gateway"  # RFC 9110 7.6.3: a pseudonym hides our own name from the CRM's logs

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2: token
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 5.5, obs-text included
_HOST = re.compile(r"[0-9A-Za-z.\-_\[\]:]{1,255}")
# RFC 6265 4.1.1, and blanks in quotes. Not the bare blanks, commas, backslashes and lone quotes
# that some browsers send and some servers (Python's, at a blank) end a cookie at: what follows
# would be a cookie that nobody let pass.
_REQUEST_ID = "x-request-id"
_COOKIE = re.compile(r'[!#-+\--:<-\[\]-~]*|"[ !#-+\--:<-\[\]-~]*"')
# RFC 9111 5.2: one directive and what parts it from the next.
_DIRECTIVE = re.compile(
    r"[ \t]*+(?:([!#$%&\'*+\-.^_`|~0-9A-Za-z]++)"
    r'(?:=("(?:[^"\\]|\\.)*+"|[!#$%&\'*+\-.^_`|~0-9A-Za-z]++))?+)?+[ \t]*+(?:,|$)'
)


def request_headers(
    inbound: Inbound,
    *,
    inject: Headers,
    pass_cookies: frozenset[str],
    forward_token: bool,
    request_id: str,
    peer: str,
    secure: bool,
    host: str,
    cut: bool,
    preserve_host: bool = False,
    accept: str = "application/json",
    passing: Passing = NOTHING_MORE,
) -> Headers:
    """The headers of the request to the CRM.

    Args:
        inbound: the client's request.
        inject: `upstream.headers`; they replace any header of the same name.
        pass_cookies: names of the cookies that may go on, case-sensitive.
        forward_token: the client's `Authorization` goes on.
        request_id: ours.
        peer: the client's IP address.
        secure: the client's side is TLS.
        host: the Host the client asked for, as the wire guard accepted it; "" for none.
        cut: the answer will be cut.
        accept: and this is the type that can be cut.
        preserve_host: send `host` as Host instead of the CRM's own name.
        passing: the credential of the CRM's own login, where this request may carry it. What
            is injected goes before it.

    Raises:
        RequestError: MALFORMED_REQUEST, HOST_REFUSED, CONTENT_TYPE_REFUSED (a coded body),
            BODY_INVALID (part of a body) or PARAMETER_INVALID (a condition) where the request
            would mean something else without the header.
    """
    outgoing = _outgoing(
        inbound.headers,
        inbound.method,
        inbound.version,
        inject,
        pass_cookies,
        forward_token,
        peer,
        secure,
        host,
        cut,
        preserve_host,
        accept,
        passing,
    )
    # Of all of it, only our request id is new each time.
    if any(name.lower() == _REQUEST_ID for name, _ in inject):
        return outgoing
    return (*outgoing, ("X-Request-Id", request_id))


@lru_cache(maxsize=HEADS_KEPT)  # what is refused raises, and is looked at each time
def _outgoing(
    headers: Headers,
    method: str,
    version: str,
    inject: Headers,
    pass_cookies: frozenset[str],
    forward_token: bool,  # noqa: FBT001  # all of them are keys of the cache
    peer: str,
    secure: bool,  # noqa: FBT001
    host: str,
    cut: bool,  # noqa: FBT001
    preserve_host: bool,  # noqa: FBT001
    accept: str,
    passing: Passing,
) -> Headers:
    """All of `request_headers` but the request id."""
    if host and not _HOST.fullmatch(host):
        raise RequestError(Reason.HOST_REFUSED, "the Host header is not a host name")
    _require_well_formed(headers)
    fields = fields_of(headers)
    if cut:
        _require_unconditional(fields, method)
    injected = {name.lower() for name, _ in inject}
    lost = _connection_options(fields) | injected | (passing.withheld - passing.headers)
    if passing.headers:
        _require_carried(fields, passing.headers)
    if not forward_token and "authorization" not in passing.headers:
        lost.add("authorization")
    if passing.readable:
        lost.add("accept-encoding")
    passes = _passes_cut if cut else _passes
    kept = [
        (name, value)
        for name, value in traced(headers)
        if (lower := name.lower()) not in lost and (passes(lower) or lower in passing.headers)
    ]
    ours = [*_cookies(fields, pass_cookies | passing.cookies)]
    ours += [("Host", host)] if preserve_host and host else []
    ours += [("Accept", accept)] if cut else []
    ours += [("Accept-Encoding", "identity")] if cut or passing.readable else []
    ours += _forwarding(peer=peer, secure=secure, host=host)
    ours += [("Via", f"{version} {PSEUDONYM}")]
    return (*kept, *((n, v) for n, v in ours if n.lower() not in injected), *inject)


@lru_cache(maxsize=HEADS_KEPT)  # within a second a CRM answers with few different heads
def answer_headers(
    headers: Headers,
    *,
    cut: bool,
    allowed: frozenset[str],
    pass_cookies: frozenset[str],
    personal: bool = True,
    content_type: str = "application/json",
) -> Headers:
    """The CRM's headers for the client.

    Location never comes through here, nor Link through a cut: ask `links.py`, and set them.

    Args:
        headers: the CRM's.
        cut: the body is (or might have been) cut, so it is of our writing.
        allowed: more names that this route lets through a cut, in any case.
        pass_cookies: names of the cookies the CRM may set.
        personal: we know who asked, so the answer is theirs alone. What is cut always is.
        content_type: of what is cut: what we write, whatever the CRM called it.

    Raises:
        UpstreamError: UPSTREAM_INVALID: a header that is none.
    """
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise UpstreamError(Reason.UPSTREAM_INVALID, "the CRM sent a malformed header")
    cookies = [
        ("Set-Cookie", _host_only(value))
        for name, value in headers
        if name.lower() == "set-cookie" and _cookie_name(value) in pass_cookies
    ]
    if cut:
        names = CUT_ANSWER.union(map(str.lower, allowed)) - NEVER_CUT
        kept = [(n, _utf8(v)) for n, v in headers if n.lower() in names]
        ours = (
            ("Content-Type", content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return (*kept, *cookies, *ours)
    lost = DENIED_ANSWER | {"set-cookie"} | _options(v for n, v in headers if _is_connection(n))
    uncut = [
        (name, _utf8(value))
        for name, value in headers
        if (lower := name.lower()) not in lost and not lower.startswith(DENIED_ANSWER_PREFIXES)
    ]
    return (*(private_headers(uncut) if personal or cookies else uncut), *cookies)


def private_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers of an answer that is one person's, whatever the CRM says of caches."""
    headers = tuple(headers)
    rules = [value for name, value in headers if name.lower() == "cache-control"]
    varies = [value for name, value in headers if name.lower() == "vary"]
    kept = (
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in {"cache-control", "vary"}
        and not SHARED_CACHES.fullmatch(lower)
    )
    return (*kept, ("Cache-Control", private_rules(rules)), ("Vary", _vary(varies)))


def private_rules(values: Iterable[str]) -> str:
    """A Cache-Control that keeps every shared cache out, and else says what the CRM said.

    RFC 9111 5.2.2.7: `private="name"` speaks of that header only, so it is not enough; and
    neither is `no-store`, beside a `must-understand` (5.2.2.3). What does not follow the grammar
    is read differently by everyone: nothing may be kept then.
    """
    text = ",".join(values)
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _DIRECTIVE.match(text, at)
        if match is None or match.end() == at:
            return "no-store"
        at = match.end()
        if match[1]:
            found.append((match[1].lower(), match[2] or ""))
    kept = [f"{n}={a}" if a else n for n, a in found if n not in {"public", "s-maxage", "private"}]
    return ", ".join([*kept, "private"])


def _vary(values: Iterable[str]) -> str:
    """What the CRM's answer depends on, and who asks besides (RFC 9110 12.5.5)."""
    names = [part.strip(" \t") for value in values for part in value.split(",")]
    if "*" in names:
        return "*"
    names = [name for name in names if _NAME.fullmatch(name)]
    known = {name.lower() for name in names}
    return ", ".join([*names, *(n for n in ("Authorization", "Cookie") if n.lower() not in known)])


def wire_text(value: str) -> str:
    """The text to give an HTTP library that writes UTF-8, so that `value`'s bytes go out.

    Raises:
        ValueError: not one character per byte, or bytes that are not UTF-8.
    """
    return value if value.isascii() else value.encode("latin-1").decode("utf-8")


def _require_well_formed(headers: Headers) -> None:
    seen: set[str] = set()
    for name, value in headers:
        plain = value.isascii() and value.isprintable()
        if not _NAME.fullmatch(name) or not (plain or _VALUE.fullmatch(value)):
            raise _malformed("a header is malformed")
        lower = name.lower()
        if lower in seen and lower in NEVER_TWICE:
            raise _malformed(f"the header `{lower}` stands twice")
        seen.add(lower)
        if plain:
            continue
        try:
            wire_text(value)
        except ValueError as error:
            raise _malformed(f"the header `{lower}` is not UTF-8") from error


def _require_unconditional(fields: Fields, method: str) -> None:
    """Refuse what would mean something else once the header is gone.

    Conditions and ranges of reads are simply not passed on: answering them in full is always
    right (RFC 9110 13.2.1, 14.2).
    """
    codings = {value.strip().lower() for value in fields.get("content-encoding", ())}
    if codings - {"identity"}:
        raise RequestError(Reason.CONTENT_TYPE_REFUSED, "send the body without a content coding")
    if "content-range" in fields:  # RFC 9110 14.4: a partial PUT
        raise RequestError(Reason.BODY_INVALID, "send the whole body, not a range of it")
    if method in SAFE_METHODS:
        return
    for name in PRECONDITIONS:
        if name in fields:
            raise RequestError(
                Reason.PARAMETER_INVALID, f"`{name}` cannot be checked here; send without it"
            )


def _require_carried(fields: Fields, names: frozenset[str]) -> None:
    """A credential in a header goes on once, and no hop may take it off."""
    dropped = _options(fields.get("connection", ()))
    for name in names:
        if len(fields.get(name, ())) > 1 or name in dropped:
            raise _malformed(f"the header `{name}` stands twice, or is not for the CRM")


def _connection_options(fields: Fields) -> set[str]:
    options = _options(fields.get("connection", ()))
    if options & END_TO_END:
        raise _malformed("Connection names a header that is not for one connection only")
    return options


def _options(values: Iterable[str]) -> set[str]:
    return {part.strip().lower() for value in values for part in value.split(",")}


def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


def _passes_cut(name: str) -> bool:
    return name in CUT_REQUEST or name == "authorization"


def _passes(name: str) -> bool:
    # CGI and WSGI read `X_Remote_User` as `X-Remote-User`.
    if name in HOP_BY_HOP or name in DENIED or name == "cookie" or "_" in name:
        return False
    return not name.startswith(DENIED_PREFIXES) and not _in_family(name)


@lru_cache(maxsize=512)  # browsers send a few dozen names
def _in_family(name: str) -> bool:
    return DENIED_FAMILIES.fullmatch(name) is not None


def _cookies(fields: Fields, pass_cookies: frozenset[str]) -> Headers:
    """One Cookie header with the cookies that may go on, or none."""
    pairs: dict[str, str] = {}
    for header in fields.get("cookie", ()):
        for part in header.split(";"):
            name, equals, value = part.strip(" \t").partition("=")
            if not equals or name not in pass_cookies:
                continue
            if not _COOKIE.fullmatch(value):
                raise _malformed(f"the value of the cookie `{name}` is not a plain one")
            # Two of one name: we and the CRM might each believe another one.
            if name in pairs:
                raise _malformed(f"the cookie `{name}` stands twice")
            pairs[name] = part.strip(" \t")
    return (("Cookie", "; ".join(pairs.values())),) if pairs else ()


@lru_cache(maxsize=1024)  # one phone asks many times
def _forwarding(*, peer: str, secure: bool, host: str) -> Headers:
    """What the CRM learns about the client's side, in the old spelling and in RFC 7239's."""
    scheme = "https" if secure else "http"
    address = _address(peer)
    # RFC 7239 6: an IPv6 address stands in brackets and, for its colons, in quotes.
    node = f'"[{address}]"' if ":" in address else address
    forwarded = (
        f'for={node};host="{host}";proto={scheme}' if host else f"for={node};proto={scheme}"
    )
    return (
        ("X-Forwarded-For", address),
        ("X-Forwarded-Proto", scheme),
        *((("X-Forwarded-Host", host),) if host else ()),
        ("Forwarded", forwarded),
    )


def _address(peer: str) -> str:
    """The peer's address without a zone; RFC 7239 6.2 has a word for not knowing it."""
    try:
        address = ip_address(peer)
    except ValueError:
        return "unknown"
    return str(address).partition("%")[0] if isinstance(address, IPv6Address) else str(address)


def _cookie_name(set_cookie: str) -> str:
    """The name; "" without a `=`, where it is a value without a name or nothing (RFC 6265 5.2)."""
    name, equals, _ = set_cookie.partition(";")[0].partition("=")
    return name.strip(" \t") if equals else ""


def _host_only(set_cookie: str) -> str:
    """Without its Domain: at our origin it is a cookie for this host alone, or none at all."""
    parts = set_cookie.split(";")
    kept = [p for p in parts[1:] if p.partition("=")[0].strip(" \t").lower() != "domain"]
    return _utf8(";".join([parts[0], *kept]))


def _utf8(value: str) -> str:
    """Bytes that are not UTF-8 are ISO-8859-1, as they were for RFC 2616; make them UTF-8."""
    try:
        wire_text(value)
    except ValueError:
        return value.encode("utf-8").decode("latin-1")
    return value


def _malformed(detail: str) -> RequestError:
    return RequestError(Reason.MALFORMED_REQUEST, detail)
