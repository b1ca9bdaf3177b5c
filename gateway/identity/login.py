"""One step of the CRM's own login: which one a request is, and what the answer hands out.

A sign-in counts only if its answer is a success by status, holds the credential exactly once
and well-formed, and says whose it is. Three outcomes, and no fourth:
- nobody was signed in, and the answer says so: another status, `null` for the person, a member
  that only failures have. The answer goes on; what it may hand out is unknown, and so nobody's;
- somebody was;
- half of it: LOGIN_NOT_LEARNED, and nothing of the answer goes on. The owner would otherwise see a
  login that succeeds, and everything after it refused.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Never

from msgspec import Struct

from gateway.domain.errors import RequestError, UpstreamError
from gateway.domain.http import Headers, Inbound
from gateway.domain.login import Issuing, Place, Refresh, SignIn, Source, StaffKey, Step, Who
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, StaffId, device_id
from gateway.domain.time import Instant, from_milliseconds, instant
from gateway.identity.claims import MAX_SECONDS
from gateway.identity.compact import parse_compact, parse_object, refuse
from gateway.identity.credential import found_at, is_credential
from gateway.identity.roster import Member
from gateway.identity.said import MAX_DEPTH, MAX_LOGIN_ANSWER, Answered, Missing, member, sent_at
from gateway.identity.setcookie import cookie_set
from gateway.texts.jsontext import parse_strict_json

MIN_CREDENTIAL_CHARS = 16  # less can be guessed, or is no credential: `success`, `deleted`, an id
MAX_PERSON_CHARS = 200
DEFAULT_LIFE = timedelta(hours=12)  # a working day, where neither answer nor adapter says
MAX_LIFE = timedelta(days=30)  # whatever an answer says; the adapter may allow more
DEVICE_PREFIX = "crm."  # what a client says of itself is never a device that a token vouches for

_UNREAD = object()
_DIGITS = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MOMENT = re.compile(
    r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)  # RFC 3339 5.6


class Fresh(Struct, frozen=True, kw_only=True):
    """A credential that was handed out. Never shown: `repr` of it would be in a log one day."""

    value: str
    expires_at: Instant

    def __repr__(self) -> str:
        return f"Fresh(expires_at={self.expires_at!r})"


class Issued(Struct, frozen=True, kw_only=True):
    """What an answer hands out.

    Attributes:
        person: as the CRM calls them; None = the answer does not say (a refresh, or `who` does).
    """

    access: Fresh
    refresh: Fresh | None
    person: str | None


def step_of(steps: Iterable[Step], inbound: Inbound, body: bytes) -> Step:
    """Which of the steps at this address the request is.

    Raises:
        RequestError: BODY_INVALID: none, or not exactly one of them; or as `sent_at`.
    """
    fitting = [
        step
        for step in steps
        if step.when is None or sent_at(inbound, body, step.when.source) == step.when.word
    ]
    if len(fitting) != 1:
        raise RequestError(Reason.BODY_INVALID, "The login does not take this here.")
    return fitting[0]


def device_named(step: SignIn, inbound: Inbound) -> DeviceId | None:
    """The device that the app names; None = it names none.

    Raises:
        RequestError: MALFORMED_REQUEST: two, or not a device id.
    """
    values = () if step.device is None else inbound.values(step.device)
    if not values:
        return None
    try:
        named = device_id(",".join(values))  # two are none: no device has a comma
        return device_id(DEVICE_PREFIX + named)
    except ValueError:
        raise RequestError(Reason.MALFORMED_REQUEST, "The device has no plain name.") from None


def refresh_presented(presents: Source, inbound: Inbound, body: bytes) -> str | None:
    """The refresh token in a request; None = there is none.

    Raises:
        RequestError: UNAUTHENTICATED with TWO_CREDENTIALS or TOKEN_MALFORMED; or as `sent_at`.
    """
    if presents.place in {Place.COOKIE, Place.HEADER}:
        return found_at(inbound, presents)
    value = sent_at(inbound, body, presents)
    if value is not None and not is_credential(value, quotes=False):
        refuse(Cause.TOKEN_MALFORMED)
    return value


def issued(step: SignIn | Refresh, answered: Answered, now: Instant) -> Issued | None:
    """What the answer of a sign-in or a refresh hands out; None = nothing, and it says so.

    Raises:
        UpstreamError: LOGIN_NOT_LEARNED: half of it.
    """
    if not _is_success(step.issues, answered.status):
        return None
    try:
        answer = _Answer(answered, now)
        person: str | None = None
        if isinstance(step, SignIn):
            if any(
                _is_there(answer.member(Source(place=Place.BODY, path=p))) for p in step.unless
            ):
                return None
            if step.who is None and step.staff.place is Place.BODY:
                person = _person(answer.member(step.staff))
                if person is None:
                    return None
        access = answer.fresh(step.issues.access, step.issues, step.issues.hours)
        if isinstance(step, SignIn) and step.staff.place is Place.TOKEN:
            person = _person(claim(access.value, step.staff))
            if person is None:
                _not_learned()
        refresh = None
        if step.issues.refresh is not None:
            refresh = answer.fresh(step.issues.refresh, None, step.issues.refresh_hours)
    except ValueError:
        _not_learned()
    return Issued(access=access, refresh=refresh, person=person)


def person_told(step: SignIn, answered: Answered) -> str | None:
    """Whom the CRM names when asked with a fresh credential; None = nobody is signed in.

    Raises:
        UpstreamError: LOGIN_NOT_LEARNED: neither.
    """
    if answered.status in {401, 403} or 300 <= answered.status <= 399:
        return None
    try:
        if not 200 <= answered.status <= 299:
            _not_learned()
        return _person(member(_json(answered), step.staff))
    except ValueError:
        _not_learned()


def is_nobodys(step: SignIn, answered: Answered) -> bool:
    """Does the CRM say of a session that nobody is signed in with it?

    As `person_told`, and by a member that only failures have, if it names nobody besides.

    Raises:
        UpstreamError: LOGIN_NOT_LEARNED: it says neither.
    """
    try:
        if step.unless and 200 <= answered.status <= 299:
            told = _json(answered)
            failed = any(
                _is_there(member(told, Source(place=Place.BODY, path=path)))
                for path in step.unless
            )
            if failed and isinstance(member(told, step.staff), Missing):
                return True
    except ValueError:
        _not_learned()
    return person_told(step, answered) is None


def who_headers(who: Who, form: Source, value: str) -> Headers:
    """The headers with which the gateway asks the CRM who has this credential."""
    if form.place is Place.COOKIE:
        shown = ("Cookie", f"{form.name}={value}")
    else:
        shown = (form.name, f"{form.scheme} {value}" if form.scheme else value)
    asked = (shown, ("Accept", "application/json"), ("Accept-Encoding", "identity"))
    return (*asked, ("Content-Type", "application/json")) if who.method == "POST" else asked


def staff_named(person: str, by: StaffKey, members: Mapping[StaffId, Member]) -> StaffId:
    """Whom of the roster the CRM means.

    Raises:
        RequestError: NOT_ON_ROSTER: nobody, or one of several with one id in the CRM.
    """
    if by is StaffKey.ID:
        found = [staff for staff in members if staff == f"staff:{person}"]
    else:
        found = [one.staff for one in members.values() if one.crm_id == person]
    if len(found) != 1:
        raise RequestError(Reason.NOT_ON_ROSTER, "you are not on the staff list of this salon")
    return found[0]


def claim(token: str, source: Source) -> Any:
    """A claim of a token that the CRM just issued. Nobody checks it: it came from the CRM.

    Raises:
        ValueError: not a JWT, or no such claim.
    """
    try:
        payload = parse_object(parse_compact(token).payload)
    except RequestError:
        raise ValueError("not a JWT") from None
    name = str(source.path)  # .NET calls its claims `http://schemas...`, dots and all
    found = payload[name] if name in payload else member(payload, source)
    if isinstance(found, Missing):
        raise ValueError("no such claim")  # noqa: TRY004  # one refusal for all of it
    return found


class _Answer:
    """An answer that succeeded; its body is read as JSON only if somebody asks for it."""

    def __init__(self, answered: Answered, now: Instant) -> None:
        self._answered = answered
        self._now = now
        self._json: Any = _UNREAD

    def member(self, source: Source) -> Any:
        if self._json is _UNREAD:
            self._json = _json(self._answered)
        return member(self._json, source)

    def fresh(self, source: Source, told: Issuing | None, hours: int | None) -> Fresh:
        """The one credential at a place, with the least of the lives that are told of it."""
        value, until = self._value(source)
        lives = [] if until is None else [until]
        if told is not None and told.expires is not None:
            lives.append(self._until(told.expires, value))
        if hours is not None:
            lives.append(Instant(self._now + timedelta(hours=hours)))
        else:
            lives.append(
                Instant(self._now + (MAX_LIFE if lives or told is None else DEFAULT_LIFE))
            )
        expires_at = min(lives)
        if expires_at <= self._now or len(value) < MIN_CREDENTIAL_CHARS:
            raise ValueError("no credential that counts")
        return Fresh(value=value, expires_at=expires_at)

    def _value(self, source: Source) -> tuple[str, Instant | None]:
        if source.place is Place.COOKIE:
            cookie = cookie_set(self._answered.headers, source.name, self._now)
            if cookie is None:
                raise ValueError("no such cookie")
            return cookie.value, cookie.expires_at
        if source.place is Place.HEADER:
            return self._header(source), None
        if not source.path.steps:
            _require_plain(self._answered.headers)
            value: Any = self._answered.body.decode("ascii")
        else:
            value = self.member(source)
        if not isinstance(value, str) or not is_credential(value, quotes=False):
            raise ValueError("not a credential")
        return value, None

    def _header(self, source: Source) -> str:
        values = [v for name, v in self._answered.headers if name.lower() == source.name]
        if len(values) != 1:
            raise ValueError("not one header of this name")
        value = values[0]
        if source.scheme:
            scheme, _, value = value.partition(" ")
            if scheme.lower() != source.scheme.lower():
                raise ValueError("another scheme")
        if not is_credential(value, quotes=False):
            raise ValueError("not a credential")
        return value

    def _until(self, source: Source, value: str) -> Instant:
        if source.place is Place.TOKEN:  # RFC 7519 2: NumericDate
            found = claim(value, source)
            if type(found) is not int or not 0 <= found <= MAX_SECONDS:
                raise ValueError("not a date")
            return from_milliseconds(found * 1000)
        found = self.member(source)
        if isinstance(found, str) and _MOMENT.fullmatch(found):
            return instant(datetime.fromisoformat(found))
        text = str(found) if type(found) is int else found
        if not isinstance(text, str) or not _DIGITS.fullmatch(text):
            raise ValueError("not a number of seconds")
        return Instant(self._now + min(timedelta(seconds=int(text)), 400 * MAX_LIFE))


def _is_success(issues: Issuing, status: int) -> bool:
    return status in issues.success if issues.success else 200 <= status <= 299


def _is_there(found: Any) -> bool:
    """`error: null` and `error: false` say that there is none."""
    return not isinstance(found, Missing) and found is not None and found is not False


def _person(found: Any) -> str | None:
    """The CRM's name of a person, as the roster writes it; None = it says that it is nobody.

    A number is its digits: 17 and "17" are one person. 17.0 and "017" are nobody's name.
    """
    if found is None or found is False:
        return None
    if type(found) is int and 0 <= found < 2**63:
        return str(found)
    if isinstance(found, str) and 0 < len(found) <= MAX_PERSON_CHARS and found.isprintable():
        return found
    raise ValueError("not a person")


def _json(answered: Answered) -> Any:
    _require_plain(answered.headers)
    return parse_strict_json(answered.body, MAX_DEPTH, MAX_LOGIN_ANSWER)


def _require_plain(headers: Headers) -> None:
    if any(n.lower() == "content-encoding" and v.lower() != "identity" for n, v in headers):
        raise ValueError("a coded body")


def _not_learned() -> Never:
    raise UpstreamError(
        Reason.LOGIN_NOT_LEARNED,
        "The CRM's login did not answer with one credential and whose it is.",
    )
