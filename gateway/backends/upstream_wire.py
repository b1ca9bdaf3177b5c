"""What may be written to the CRM: the head of a request as bytes, or a refusal to send it.

House rules:
- The bytes of the target that are sent are the bytes that were decided on; they are compared
  once more in the very head that goes out.
- Nothing is added that the caller did not give, but Host and the framing.
- What could end a line, begin a header or announce another body is never written. A header is
  written as it was read: one character is one byte (latin-1).
- Whose fault something is, is said in the functions at the end and nowhere else.
"""

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache

from yarl import URL

from gateway.domain.errors import UpstreamError
from gateway.domain.http import HOP_BY_HOP, SENDING, Headers
from gateway.domain.reason import Reason

# RFC 9110 5.5: what may stand in a field's value. Nothing that ends a line is in it.
_VALUE = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
# RFC 9110 5.6.2: token.
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UNSPOKEN_METHODS = frozenset({"CONNECT", "TRACE"})  # another target form; echoes our headers
# Framing is ours; `Expect` would wait for a 100 nobody passes on.
_NOT_TO_GIVE = HOP_BY_HOP | {"content-length", "expect"}


def request_head(
    method: str,
    wire: str,
    headers: Headers,
    *,
    host: str,
    body: bytes | AsyncIterator[bytes] | None,
    length: int | None = None,
) -> bytes:
    """The head of a request, down to the empty line.

    Args:
        method: upper case, as it is to be sent.
        wire: the target, exactly as it is to be sent.
        headers: one character per byte; any Host among them takes the place of `host`.
        host: the CRM's own, with its port unless that is the scheme's.
        body: only how it is framed is written here.
        length: of a body that is streamed; None = it goes in chunks.

    Raises:
        UpstreamError: UPSTREAM_INVALID: it cannot be written without becoming another request.
    """
    if not (method.isascii() and method.isalpha() and method.isupper()) or (
        method in _UNSPOKEN_METHODS
    ):
        raise invalid("the method cannot be forwarded")
    _require_origin_form(wire)
    hosts = [_require_giveable(name) for name, _ in headers].count("host")
    if hosts > 1:
        raise invalid("the request has two Host headers")
    own = "" if hosts else f"Host: {host}\r\n"
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers])
    framing = _framing(method, body, length)
    text = f"{method} {wire} HTTP/1.1\r\n{own}{fields}{framing}\r\n"
    try:
        head = text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise invalid("a header of the request cannot be sent") from error
    # What is left without the lawful bytes are the ends of lines: one for each line we wrote.
    expected = len(headers) + (2 if hosts else 3) + bool(framing)
    if head.translate(None, _VALUE) != b"\r\n" * expected:
        raise invalid("a header of the request cannot be sent")
    if head.split(b" ", 2)[1] != wire.encode("ascii"):
        raise invalid("the target would not be sent as it was decided on")
    return head


def _require_origin_form(wire: str) -> None:
    # RFC 9112 3.2.1: origin-form. A fragment is never sent (RFC 9110 4.1).
    if not (wire.startswith("/") and wire.isascii() and wire.isprintable()) or (
        " " in wire or "#" in wire
    ):
        raise invalid("the target is not in the form that can be sent")


@lru_cache(maxsize=512)
def _require_giveable(name: str) -> str:
    """The name of a header that a caller may give, in lower case."""
    lower = name.lower()
    if not name or not name.isascii() or name.encode("ascii").translate(None, _TOKEN):
        raise invalid("a header of the request cannot be sent")
    if lower in _NOT_TO_GIVE:
        raise invalid("a header of the request cannot be sent")
    return lower


def _framing(method: str, body: bytes | AsyncIterator[bytes] | None, length: int | None) -> str:
    if body is not None and not isinstance(body, bytes):
        # Many servers take no chunks (WSGI knows none), so a length that is known is said.
        return (
            "Transfer-Encoding: chunked\r\n" if length is None else f"Content-Length: {length}\r\n"
        )
    if body or method in SENDING:  # RFC 9110 8.6: a length of zero where content is expected
        return f"Content-Length: {len(body or b'')}\r\n"
    return ""


def origin_of(base_url: str) -> URL:
    """Scheme, host and port, and nothing else. ValueError: it is more or less than that."""
    url = URL(base_url)
    origin = url.origin() if url.absolute and url.scheme in {"http", "https"} else None
    if origin is None or url not in {origin, origin / ""}:
        raise ValueError("the upstream's URL is http:// or https://, a host and a port, no more")
    return origin


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Certificates and names are checked, always. ValueError: the file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"the CA file `{ca_file}` cannot be read") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def unreachable() -> UpstreamError:
    """There is no connection, so nothing was sent."""
    return UpstreamError(Reason.UPSTREAM_UNREACHABLE, "the CRM cannot be reached")


def too_slow() -> UpstreamError:
    """A wait came to its bound."""
    return UpstreamError(Reason.UPSTREAM_TIMEOUT, "the CRM took too long")


def invalid(detail: str) -> UpstreamError:
    """Not an exchange of HTTP as we accept it."""
    return UpstreamError(Reason.UPSTREAM_INVALID, detail)


def broken_off() -> UpstreamError:
    """The connection ended before the answer did."""
    return invalid("the CRM broke off")


def too_large(max_bytes: int) -> UpstreamError:
    """More than can be held to be cut."""
    return UpstreamError(
        Reason.ANSWER_TOO_LARGE, f"the CRM's answer is larger than {max_bytes} bytes"
    )
