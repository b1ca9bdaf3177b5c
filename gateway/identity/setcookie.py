"""`Set-Cookie` → the one cookie of a name that it sets, and until when.

House rule: strict. Browsers read far more than RFC 6265 4.1.1 lets servers send, each a little
otherwise; what is not plainly one cookie with plain attributes is a ValueError.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway.domain.http import Headers
from gateway.domain.time import Instant, instant
from gateway.identity.credential import is_credential

_BLANK = " \t"
_SECONDS = re.compile(r"-?[0-9]{1,12}", re.ASCII)  # RFC 6265 5.2.2; 12 digits are 31,000 years
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# RFC 9110 5.6.7 IMF-fixdate, and the dashes of Netscape's cookies that many still write.
_DATE = re.compile(
    r"[A-Z][a-z]{2,8}, ([0-9]{2})([ -])([A-Z][a-z]{2})\2([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|UTC)",
    re.ASCII,
)
_FOREVER = timedelta(
    days=3660
)  # the answer's word is bounded elsewhere; this keeps dates in range


class SetCookie(NamedTuple):
    """A cookie that is set.

    Attributes:
        value: as it will be sent back, quotes included.
        expires_at: None = with the browser's session.
    """

    value: str
    expires_at: Instant | None


def cookie_set(headers: Headers, name: str, now: Instant) -> SetCookie | None:
    """The cookie of this name that an answer sets; None = it sets none, or removes it.

    Args:
        headers: of the answer.
        name: in its case.
        now: what a life is counted from.

    Raises:
        ValueError: two of this name, or one that is not plain.
    """
    found = [
        value
        for header, value in headers
        if header.lower() == "set-cookie" and _name(value) == name
    ]
    if len(found) > 1:
        raise ValueError("two cookies of one name")
    if not found:
        return None
    pair, *attributes = found[0].split(";")
    key, _, value = pair.partition("=")
    if key != name:
        raise ValueError("blanks round the name")
    # Nothing of ours may go on with what a browser would cut off or add.
    expires_at, over = _life(attributes, now)
    if value in ("", '""') or over:
        return None
    if not is_credential(value, quotes=True):
        raise ValueError("not a cookie's value")
    return SetCookie(value, expires_at)


def _name(set_cookie: str) -> str | None:
    key, equals, _ = set_cookie.partition(";")[0].partition("=")
    return key.strip(_BLANK) if equals else None


def _life(attributes: list[str], now: Instant) -> tuple[Instant | None, bool]:
    """Until when, and whether that is over. RFC 6265 5.3: `Max-Age` goes before `Expires`."""
    told: dict[str, str] = {}
    for attribute in attributes:
        key, _, value = attribute.partition("=")
        key = key.strip(_BLANK).lower()
        if key in {"max-age", "expires"}:
            # Two of them: the last one counts to browsers, the first one to some libraries.
            if key in told:
                raise ValueError("an attribute stands twice")
            told[key] = value.strip(_BLANK)
    dated = None if "expires" not in told else _date(told["expires"])
    if "max-age" in told:
        if not _SECONDS.fullmatch(told["max-age"]):
            raise ValueError("Max-Age is no number of seconds")
        seconds = int(told["max-age"])
        return Instant(now + min(timedelta(seconds=max(seconds, 0)), _FOREVER)), seconds <= 0
    return dated, dated is not None and dated <= now


def _date(text: str) -> Instant:
    found = _DATE.fullmatch(text)
    if found is None or found[3] not in _MONTHS:
        raise ValueError("Expires is no date")
    day, _, month, *rest = found.groups()
    year, hour, minute, second = map(int, rest)
    moment = datetime(year, _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
    return instant(moment)
