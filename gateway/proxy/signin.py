"""The gateway's own addresses on the guarded port, all under `/_salon/`.

    GET, POST  /_salon/sign-in    name and password -> a cookie, or a bearer token for programs
    GET, POST  /_salon/password   the same with a new password; the only thing a given one opens
    GET, POST  /_salon/sign-out   ends the sessions of this device
    POST       /_salon/code       the code of a second factor, after the right password
    GET, POST  /_salon/second-factor  name and password -> a key for an authenticator app
    POST       /_salon/set-up     the first code of that key: it counts from now on
    ...        /_salon/oidc/...   the same at an identity provider (`oidc.py`)
    POST       /_salon/renew      a session past half of its life -> a new one

True here:
* The wire guard and the canonical target are those of the pipeline; a request that they refuse
  is none of ours, and the pipeline refuses it. What they accept under the prefix never reaches
  the CRM, whatever it is.
* A browser's form counts only from a page of our own origin; it is answered with a page, or
  with a cookie that no script can read. JSON is answered with JSON, and never sets a cookie.
* A wrong name and a wrong password get the same answer, byte for byte, but for what was typed
  and the number of the entry.
* Half a sign-in is a ticket in a form (`identity/half.py`), good in the browser whose device
  cookie names the device in it; for programs, with that device beside it.
* Who has a session is who signed in here: the token is the gateway's own, of the device's epoch.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from gateway.accounts import Accounts, Refused, SignedIn
from gateway.domain.decision import Refusal
from gateway.domain.errors import GatewayError, OperatorError, RequestError
from gateway.domain.http import (
    Answer,
    BodySource,
    CanonicalTarget,
    Headers,
    Inbound,
    Outcome,
)
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.subject import DeviceId
from gateway.doorway import Doorway
from gateway.events import Event, emit
from gateway.identity.claims import Claims, verify
from gateway.identity.credential import credential
from gateway.identity.device_cookie import write_device
from gateway.identity.half import LASTS, Half, Step, half_key, read_half, write_half
from gateway.identity.issuing import Issuer
from gateway.identity.totp import otpauth_uri, write_secret
from gateway.mapping.guard import Guarded, guard
from gateway.mapping.hygiene import private_headers
from gateway.mapping.pattern import RESERVED
from gateway.mapping.target import canonical
from gateway.mapping.websocket import require_no_upgrade
from gateway.ports import Clock, EpochStore, Labels, Meter
from gateway.proxy import negotiate
from gateway.proxy.oidc import OidcSignIn
from gateway.proxy.refusals import render
from gateway.proxy.signin_answers import (
    HOME,
    PLAIN,
    SEE_OTHER,
    cookie_line,
    device_line,
    way_on,
)
from gateway.proxy.signin_forms import (
    CHANGE,
    CODE,
    SECOND,
    SIGN_IN,
    Sent,
    is_form,
    read_sent,
    require_empty,
    require_own_form,
)
from gateway.proxy.signin_pages import NOTHING, WORDS, Page, Second, page, weak_lines

PREFIX = f"/{RESERVED}"
NO_CONTENT = 204
Handler = Callable[[Guarded, CanonicalTarget, BodySource], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Answers what lies under the prefix.

    Attributes:
        cookie: the name of the one that carries a session; `__Host-...`.
        device_key: of device cookies.
        new_id: a number for a refusal.
        elsewhere: signing in at identity providers; None = nobody does.
    """

    accounts: Accounts
    epochs: EpochStore
    doorway: Doorway
    issuer: Issuer
    clock: Clock
    meter: Meter
    cookie: str
    device_key: bytes
    new_id: Callable[[], str]
    elsewhere: OidcSignIn | None = None

    async def answer(self, inbound: Inbound, body: BodySource) -> Outcome | None:
        """Answer a request; None = it is none of ours. Never raises, except when cancelled."""
        # Nothing else is ever canonical as `/_salon`: its letters have one spelling.
        if not inbound.target.startswith(PREFIX):
            return None
        try:
            guarded = guard(self.doorway.received(inbound), self.doorway.limits)
            target = canonical(guarded)
        except RequestError:
            return None
        if target.segments[:1] != (RESERVED,):
            return None
        try:
            return await self._handler(guarded, target)(guarded, target, body)
        except GatewayError as error:
            return self._refusal(guarded, error)
        except Exception as error:  # noqa: BLE001  # every one of them refuses
            emit(Event.INTERNAL_ERROR, error)
            return self._refusal(guarded, OperatorError(Reason.INTERNAL_ERROR))

    async def renewed(self, inbound: Inbound, answer: Answer) -> Answer:
        """The answer to somebody who opened a page, with a new session if theirs grows old.

        From then on it is theirs alone: a page for everybody may be kept by a cache in front of
        us, and with it the session (RFC 9111 7.3).
        """
        opened = inbound.method == "GET" and inbound.values("sec-fetch-dest") == ("document",)
        if not opened or inbound.values("authorization"):  # what is fetched, and programs
            return answer
        if _sets(answer, self.cookie):  # they have just signed in: an older session ends there
            return answer
        try:
            token = await self._next_token(inbound)
        except GatewayError:  # it goes on to its end
            return answer
        if token is None:
            return answer
        return replace(answer, headers=(*private_headers(answer.headers), self._session(token)))

    # -- the addresses ----------------------------------------------------------------------

    def _handler(self, guarded: Guarded, target: CanonicalTarget) -> Handler:
        require_no_upgrade(guarded)
        if self.elsewhere is not None and target.segments[1:2] == ("oidc",):
            return self.elsewhere.answer
        method = "GET" if guarded.method == "HEAD" else guarded.method
        asked = None if target.slash else (method, *target.segments[1:])
        if target.query and asked != ("GET", "sign-in"):
            raise RequestError(Reason.UNKNOWN_PARAMETER, "this address takes no parameters")
        match asked:
            case ("GET", "sign-in"):
                return self._show_sign_in
            case ("GET", "password"):
                return self._show_password
            case ("GET", "sign-out"):
                return self._show_sign_out
            case ("GET", "second-factor"):
                return self._show_second_factor
            case ("POST", "second-factor"):
                return self._begin_second_factor
            case ("POST", "set-up"):
                return self._set_up
            case ("POST", "code"):
                return self._give_code
            case ("POST", "sign-in"):
                return self._sign_in
            case ("POST", "password"):
                return self._change
            case ("POST", "sign-out"):
                return self._sign_out
            case ("POST", "renew"):
                return self._renew
            case _:
                raise RequestError(Reason.UNMAPPED, "nothing of the gateway is at this address")

    async def _show_sign_in(
        self, guarded: Guarded, target: CanonicalTarget, _: BodySource
    ) -> Outcome:
        match target.query:
            case ():
                wanted = HOME
            case (("next", wanted),):
                pass
            case _:
                raise RequestError(Reason.UNKNOWN_PARAMETER, "only `next` may be asked here")
        return page(
            Page.SIGN_IN,
            _language(guarded),
            next_page=way_on(wanted),
            elsewhere=self._links(way_on(wanted)),
        )

    async def _show_password(
        self, guarded: Guarded, _: CanonicalTarget, __: BodySource
    ) -> Outcome:
        return page(Page.PASSWORD, _language(guarded))

    async def _show_sign_out(
        self, guarded: Guarded, _: CanonicalTarget, __: BodySource
    ) -> Outcome:
        return page(Page.SIGN_OUT, _language(guarded))

    async def _show_second_factor(
        self, guarded: Guarded, _: CanonicalTarget, __: BodySource
    ) -> Outcome:
        return page(Page.SECOND_FACTOR, _language(guarded))

    async def _sign_in(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        sent = await self._sent(guarded, body, SIGN_IN)
        return await self._let_in(guarded, sent, sent.password, Page.SIGN_IN)

    async def _change(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        sent = await self._sent(guarded, body, CHANGE, CODE)
        words = WORDS[_language(guarded)]
        if sent.form and sent.again != sent.new:
            return self._wrong(guarded, sent, Page.PASSWORD, Reason.PASSWORD_WEAK, (words.differ,))
        found = await self.accounts.change_password(
            sent.name,
            sent.password,
            sent.new,
            peer=self._peer(guarded),
            device=sent.device,
            code=sent.code,
        )
        if isinstance(found, Refused):
            return self._refused(guarded, sent, Page.PASSWORD, found)
        if found:
            lines = weak_lines(found, _language(guarded))
            if sent.form:
                return self._wrong(guarded, sent, Page.PASSWORD, Reason.PASSWORD_WEAK, lines)
            told = " ".join(weak_lines(found, negotiate.Language.EN))
            raise RequestError(Reason.PASSWORD_WEAK, told)
        return await self._let_in(guarded, sent, sent.new, Page.PASSWORD)

    async def _give_code(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        sent = await self._sent(guarded, body, SECOND)
        half = self._half_of(sent, Step.CODE)
        if half is None:
            return self._too_late(guarded, sent)
        found = await self.accounts.give_code(half, sent.code, peer=self._peer(guarded))
        if isinstance(found, Refused):
            return self._refused(guarded, sent, Page.CODE, found, Second(ticket=sent.ticket))
        return self._begun(sent, found)

    async def _begin_second_factor(
        self, guarded: Guarded, _: CanonicalTarget, body: BodySource
    ) -> Outcome:
        sent = await self._sent(guarded, body, SIGN_IN, CODE)
        found = await self.accounts.begin_second_factor(
            sent.name, sent.password, sent.code, peer=self._peer(guarded), device=sent.device
        )
        return self._answered(guarded, sent, Page.SECOND_FACTOR, found)

    async def _set_up(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        sent = await self._sent(guarded, body, SECOND)
        half = self._half_of(sent, Step.ENROL)
        if half is None:
            return self._too_late(guarded, sent)
        found = await self.accounts.enrol(half, sent.code, peer=self._peer(guarded))
        if isinstance(found, Refused):
            again = self._second(half, sent.ticket)
            return self._refused(guarded, sent, Page.SET_UP, found, again)
        begun = self._begun(sent, found.signed_in, recovery=list(found.recovery))
        if not sent.form:
            return begun
        return page(
            Page.RECOVERY,
            _language(guarded),
            next_page=way_on(sent.next),
            second=Second(recovery=found.recovery),
            headers=tuple(one for one in begun.headers if one[0] == "Set-Cookie"),
        )

    async def _sign_out(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        browser = not guarded.values("authorization")
        if browser:  # before the cookie is looked for: a page elsewhere must not clear it
            require_own_form(guarded, self.doorway.origins)
        await require_empty(body)
        try:
            claims = await self._session_of(guarded)
        except RequestError as error:
            # Whoever is out already is out. Two credentials are nobody's to choose from.
            if not browser or error.cause is Cause.TWO_CREDENTIALS:
                raise
        else:
            await self.accounts.sign_out(claims.staff, claims.device, peer=self._peer(guarded))
        if not browser:
            return Answer(status=NO_CONTENT, headers=PLAIN)
        to = ("Location", f"{PREFIX}/{Page.SIGN_IN}")
        return Answer(status=SEE_OTHER, headers=(*PLAIN, to, cookie_line(self.cookie, "", 0)))

    async def _renew(self, guarded: Guarded, _: CanonicalTarget, body: BodySource) -> Outcome:
        await require_empty(body)
        token = await self._next_token(guarded)
        if token is None:
            return Answer(status=NO_CONTENT, headers=PLAIN)
        if guarded.values("authorization"):
            return self._told({"token": token})
        return Answer(status=NO_CONTENT, headers=(*PLAIN, self._session(token)))

    # -- who --------------------------------------------------------------------------------

    async def _sent(
        self,
        guarded: Guarded,
        body: BodySource,
        needed: frozenset[str],
        also: frozenset[str] = frozenset(),
    ) -> Sent:
        origins = self.doorway.origins
        return await read_sent(
            guarded, body, needed=needed, also=also, own_origins=origins, key=self.device_key
        )

    async def _let_in(self, guarded: Guarded, sent: Sent, password: str, asked: Page) -> Outcome:
        """Sign in, and hand out the session, or what asks for a code."""
        found = await self.accounts.sign_in(
            sent.name, password, peer=self._peer(guarded), device=sent.device
        )
        return self._answered(guarded, sent, asked, found)

    def _half_of(self, sent: Sent, step: Step) -> Half | None:
        """The first half of a sign-in, if this is the browser that it was in."""
        key, now = half_key(self.device_key), self.clock.now()
        return read_half(sent.ticket, key, now, step=step, device=sent.device)

    async def _session_of(self, inbound: Inbound) -> Claims:
        """Whose session this is, if it is one that nobody has ended.

        Raises:
            RequestError: UNAUTHENTICATED or ORIGIN_REFUSED.
        """
        token = credential(inbound, cookie=self.cookie, own_origins=self.doorway.origins)
        claims = verify(token, self.doorway.tokens, self.clock.now())
        floor = await self.epochs.floor(claims.staff, claims.device)
        if floor is None or claims.epoch < floor:
            unknown = floor is None
            raise RequestError(
                Reason.UNAUTHENTICATED,
                cause=Cause.SESSION_UNKNOWN if unknown else Cause.EPOCH_STALE,
            )
        return claims

    async def _next_token(self, inbound: Inbound) -> str | None:
        """A token for another life; None = this one is young still.

        Raises:
            RequestError: there is no session, or it may not go on without the password.
        """
        claims = await self._session_of(inbound)
        now = self.clock.now()
        if not self.issuer.is_due(claims, now):
            return None
        if not await self.accounts.may_renew(claims.staff, claims.device):
            raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.EXPIRED)
        return self.issuer.next(claims, now)

    def _peer(self, inbound: Inbound) -> str:
        return self.doorway.peer_of(inbound) or inbound.peer

    # -- what they get ----------------------------------------------------------------------

    def _session(self, token: str) -> tuple[str, str]:
        return cookie_line(self.cookie, token, self.issuer.lifetime_seconds)

    def _named(self, device: DeviceId) -> tuple[str, str]:
        """The cookie by which a device is known again; it lets nobody in."""
        return device_line(device, self.device_key)

    def _told(self, members: Mapping[str, object]) -> Answer:
        """A bearer token for a program (RFC 6749 5.1)."""
        lasts = {"token_type": "Bearer", "expires_in": self.issuer.lifetime_seconds}
        return _json({**members, **lasts})

    def _answered(
        self, guarded: Guarded, sent: Sent, asked: Page, found: SignedIn | Half | Refused
    ) -> Outcome:
        """What comes of a password."""
        if isinstance(found, Refused):
            return self._refused(guarded, sent, asked, found)
        if isinstance(found, Half):
            must = found.step is Step.ENROL and asked is not Page.SECOND_FACTOR
            return self._halfway(guarded, sent, found, must=must)
        if not found.must_change:
            return self._begun(sent, found)
        reason = Reason.PASSWORD_TEMPORARY
        if not sent.form:
            raise RequestError(reason, f"Choose your own password at {PREFIX}/password.")
        given = (WORDS[_language(guarded)].given,)
        return self._wrong(guarded, sent, Page.PASSWORD, reason, given)

    def _begun(self, sent: Sent, found: SignedIn, **besides: list[str]) -> Answer:
        """The session: as cookies to a browser, which goes on to where it wanted; or as JSON."""
        if found.device is None or found.epoch is None:
            raise OperatorError(Reason.INTERNAL_ERROR)
        token = self.issuer.first(found.staff, found.device, found.epoch, self.clock.now())
        if not sent.form:
            device = write_device(found.device, self.device_key)
            return self._told({"token": token, "device": device, **besides})
        to = ("Location", way_on(sent.next))
        kept = self._named(found.device)
        return Answer(status=SEE_OTHER, headers=(*PLAIN, to, self._session(token), kept))

    def _halfway(self, guarded: Guarded, sent: Sent, half: Half, *, must: bool) -> Answer:
        """The password was right; now the code, or the key that they want or must set up."""
        ticket = write_half(half, half_key(self.device_key), self.clock.now())
        second = self._second(half, ticket)
        if sent.form:
            words = WORDS[_language(guarded)]
            return page(
                Page.CODE if half.step is Step.CODE else Page.SET_UP,
                _language(guarded),
                next_page=way_on(sent.next),
                wrong=(words.required,) if must else (),
                second=second,
                headers=(self._named(half.device),),
            )
        whole: dict[str, object] = {
            "second_factor": half.step,
            "ticket": ticket,
            "device": write_device(half.device, self.device_key),
            "expires_in": int(LASTS[half.step].total_seconds()),
        }
        if half.step is Step.ENROL:
            whole |= {"secret": second.secret, "uri": second.uri}
        return _json(whole)

    def _second(self, half: Half, ticket: str) -> Second:
        """What a page says of it."""
        if half.step is Step.CODE:
            return Second(ticket=ticket)
        member = self.accounts.roster().members[half.staff]
        uri = otpauth_uri(
            half.secret, salon=next(iter(member.salons)), who=half.staff.removeprefix("staff:")
        )
        return Second(ticket=ticket, secret=write_secret(half.secret), uri=uri)

    def _too_late(self, guarded: Guarded, sent: Sent) -> Outcome:
        """A ticket that is none of ours, or of no use any more, or in another browser."""
        reason = Reason.UNAUTHENTICATED
        if not sent.form:
            raise RequestError(reason, cause=Cause.EXPIRED)
        return self._wrong(
            guarded, sent, Page.SIGN_IN, reason, (WORDS[_language(guarded)].too_late,)
        )

    def _refused(
        self, guarded: Guarded, sent: Sent, which: Page, found: Refused, second: Second = NOTHING
    ) -> Outcome:
        """It was wrong, or it is too early: one answer for whoever it is."""
        words = WORDS[_language(guarded)]
        line = words.wrong if which not in {Page.CODE, Page.SET_UP} else words.code_wrong
        if found.wait is not None:
            line = words.wait(found.wait)
        if sent.form:
            return self._wrong(guarded, sent, which, found.reason, (line,), found, second)
        self._count(found.reason, found.cause)
        return Refusal(reason=found.reason, request_id=found.request_id, retry_seconds=found.wait)

    def _wrong(
        self,
        guarded: Guarded,
        sent: Sent,
        which: Page,
        reason: Reason,
        lines: tuple[str, ...],
        found: Refused | None = None,
        second: Second = NOTHING,
    ) -> Answer:
        """The form once more, and what was wrong with it."""
        self._count(reason, found.cause if found else None)
        wait = None if found is None else found.wait
        headers: Headers = ()
        if wait is not None:
            headers = (("Retry-After", str(max(1, math.ceil(wait)))),)
        elif STATUS[reason] == 401:  # RFC 9110 15.5.2
            headers = (("WWW-Authenticate", 'Bearer realm="salon"'),)
        return page(
            which,
            _language(guarded),
            status=STATUS[reason],
            name=sent.name,
            next_page=way_on(sent.next),
            wrong=lines,
            second=second,
            headers=headers,
            elsewhere=self._links(way_on(sent.next)) if which is Page.SIGN_IN else (),
        )

    def _links(self, next_page: str) -> tuple[tuple[str, str], ...]:
        return () if self.elsewhere is None else self.elsewhere.links(next_page)

    def _refusal(self, guarded: Guarded, error: GatewayError) -> Outcome:
        """A refusal; as a page where a browser sent a form."""
        self._count(error.reason, error.cause)
        refusal = Refusal(
            reason=error.reason,
            request_id=self.new_id(),
            detail=error.detail,
            cause=error.cause,
        )
        if guarded.method != "POST" or not is_form(guarded):
            return refusal
        return render(refusal, replace(guarded, method="GET"), now=self.clock.now())

    def _count(self, reason: Reason, cause: Cause | None) -> None:
        if reason is Reason.UNAUTHENTICATED and cause is not None:
            self.meter.unauthenticated(cause)
        labels = Labels(
            role=None,
            resource=None,
            action=None,
            reason=reason,
            window=None,
            status=STATUS[reason],
        )
        self.meter.answered(labels, 0.0)


def _json(members: Mapping[str, object]) -> Answer:
    headers = (("Content-Type", "application/json"), *PLAIN)
    return Answer(status=200, headers=headers, body=msgspec.json.encode(members))


def _sets(answer: Answer, cookie: str) -> bool:
    return any(
        name == "Set-Cookie" and value.startswith(f"{cookie}=") for name, value in answer.headers
    )


def _language(inbound: Inbound) -> negotiate.Language:
    return negotiate.language(inbound.values("accept-language"))
