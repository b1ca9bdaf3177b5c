"""Sessions learned from the CRM's own login: who they are, how they begin, go on and end.

`admit` before a request to the login is forwarded, `learn` before its answer goes out,
`identify` for every other request. What is remembered stands in the state; this holds nothing.

INVARIANTS, each with a test of its name in tests/attacks/test_learned.py:
* an unknown credential is nobody: only what `learn`, or `renew`, has put there identifies;
* a forced logout ends what was refreshed and renewed, too, and no refresh revives it;
* at a sign-in no credential that was ever somebody's goes on to the CRM: to many CRMs a session
  that is still theirs needs no password, and the phone that was logged out would be in again.
  Not what is known here to be somebody's, nor what the CRM says is: of a cookie that changes
  with every answer the last ones are known, and the first one opens the same session;
* a credential that was logged out is never learned again, not even from a good password: it is
  the lost phone's, too.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.domain.errors import StateUnavailableError, UpstreamError
from gateway.domain.http import Headers, Inbound
from gateway.domain.login import (
    Login,
    Passing,
    Refresh,
    SignIn,
    SignOut,
    Step,
    Who,
    carried_by,
    passing_of,
)
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, StaffId, device_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.identity.claims import Claims
from gateway.identity.compact import refuse
from gateway.identity.credential import found_at, presented, require_no_foreign_origin
from gateway.identity.learned import (
    Learned,
    Use,
    claims_of,
    credential_key,
    decode,
    encode,
    remembered_until,
    succeeded_by,
    surplus,
)
from gateway.identity.login import (
    DEVICE_PREFIX,
    Fresh,
    device_named,
    is_nobodys,
    issued,
    person_told,
    refresh_presented,
    staff_named,
    step_of,
    who_headers,
)
from gateway.identity.roster import Member
from gateway.identity.said import Answered
from gateway.identity.setcookie import cookie_set
from gateway.ports import DocumentStore, EpochStore, Kept, Kind

Ask = Callable[[Who, Headers], Awaitable[Answered]]

PUT_TRIES = 4  # several answers may hand out one credential at once; more is a store gone wrong
# A session's cookie is set with every answer by some CRMs; its new end is worth a write only now
# and then.
WORTH_A_WRITE_MILLISECONDS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Who asks, by a learned credential.

    Attributes:
        claims: in place of a token's. Whether they are still current, the epoch store knows.
        passing: what the request may carry to the CRM, and its answer back.
    """

    claims: Claims
    passing: Passing
    learned: Learned = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A request to the CRM's login that may be forwarded.

    Attributes:
        passing: what it may carry to the CRM.
        back: names of the cookies that the answer may set.
        claims: of the person whose refresh this is, current a moment ago; None = nobody's yet.
        left: of the person whose session this sign-out has ended; None = there was none.
        device: that a sign-in names.
        began_with: key of the cookie of nobody that goes on with a sign-in.
    """

    step: Step
    passing: Passing
    back: frozenset[str]
    claims: Claims | None = None
    left: Claims | None = None
    device: DeviceId | None = None
    earlier: Learned | None = field(default=None, repr=False)
    began_with: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """The service, over the state.

    Attributes:
        secret: the key under which credentials are hashed.
        new_id: 32 hex digits nobody can guess, for a session and its device.
        origins: our own, as browsers name them.
        token_cookie: the cookie that may carry a token of ours: another credential.
        at_hand: a document by its key, from a copy that may be a moment old; what it does not
            have, the state is asked for. A binding never changes whose it is and how old, and a
            logout is a matter of epochs, so only what has just been learned is missed.
    """

    documents: DocumentStore
    epochs: EpochStore
    secret: bytes = field(repr=False)
    new_id: Callable[[], str]
    origins: frozenset[str] = frozenset()
    token_cookie: str | None = None
    at_hand: Callable[[str], Awaitable[Learned | None]] | None = None

    # -- who asks -------------------------------------------------------------------------

    async def identify(self, login: Login, inbound: Inbound, now: Instant) -> Identified:
        """Whose is the one credential of this request?

        Raises:
            RequestError: UNAUTHENTICATED: none, two, malformed, unknown or expired;
                ORIGIN_REFUSED.
            StateUnavailableError: the state cannot say.
        """
        value = presented(
            inbound, login.credential, cookie=self.token_cookie, own_origins=self.origins
        )
        key = credential_key(self.secret, Use.ACCESS, login.credential, value)
        learned = await self._known(key, Use.ACCESS, now)
        return Identified(
            claims=claims_of(learned), passing=login.presented, learned=learned, key=key
        )

    async def stranger(self, login: Login, inbound: Inbound, now: Instant) -> Passing:
        """What a request to another `public` route may carry: a session of nobody, if needed.

        Some logins begin with a page that sets the cookie. One that is somebody's does not go
        on: who asks here was not identified by it.
        """
        if not login.begins_before:
            return login.unpresented
        value = found_at(inbound, login.credential)
        if value is not None and await self._remembered(login, value, now):
            return login.unpresented
        return login.presented

    # -- the login ------------------------------------------------------------------------

    async def admit(
        self, login: Login, template: str, inbound: Inbound, body: bytes, ask: Ask, now: Instant
    ) -> Admission:
        """May this request to one of the login's addresses be forwarded?

        A sign-out ends the session here before the CRM is asked: it ends whatever the CRM says.

        Args:
            login: of the policy in force.
            template: of the route, a key of `login.steps`.
            inbound: the request.
            body: whole, MAX_LOGIN_BODY bytes or less.
            ask: as of `learn`.
            now: when it came.

        Raises:
            RequestError: ORIGIN_REFUSED; UNAUTHENTICATED: a refresh by what is not known, is
                over or logged out; what `step_of`, `device_named` say.
            UpstreamError: LOGIN_NOT_LEARNED: the CRM does not say whether a session is anybody's.
            StateUnavailableError: the state cannot say.
        """
        if login.by_cookie:
            require_no_foreign_origin(inbound, self.origins)
        step = step_of(login.steps[template], inbound, body)
        match step:
            case SignIn():
                return await self._sign_in(login, step, inbound, ask, now)
            case Refresh():
                return await self._refresh(login, step, inbound, body, now)
            case SignOut():
                return await self._sign_out(login, step, inbound, body, now)

    async def _sign_in(
        self, login: Login, step: SignIn, inbound: Inbound, ask: Ask, now: Instant
    ) -> Admission:
        passing, began_with = login.passing(readable=True), None
        value = found_at(inbound, login.credential) if step.continues else None
        if value is not None and await self._is_nobodys(login, step, value, ask, now):
            passing = login.passing(login.credential, readable=True)
            began_with = credential_key(self.secret, Use.ACCESS, login.credential, value)
        return Admission(
            step=step,
            passing=passing,
            back=_cookies(login, step),
            device=device_named(step, inbound),
            began_with=began_with,
        )

    async def _is_nobodys(
        self, login: Login, step: SignIn, value: str, ask: Ask, now: Instant
    ) -> bool:
        """A session that may go on with a sign-in: unknown here, and of nobody to the CRM."""
        if step.who is None or await self._remembered(login, value, now):
            return False
        headers = who_headers(step.who, login.credential, value)
        return is_nobodys(step, await ask(step.who, headers))

    async def _refresh(
        self, login: Login, step: Refresh, inbound: Inbound, body: bytes, now: Instant
    ) -> Admission:
        value = refresh_presented(step.presents, inbound, body)
        if value is None:
            refuse(Cause.NO_CREDENTIAL)
        key = credential_key(self.secret, Use.REFRESH, step.presents, value)
        learned = await self._known(key, Use.REFRESH, now)
        await self._require_current(learned)
        return Admission(
            step=step,
            passing=login.passing(step.presents, readable=True),
            back=_cookies(None, step),
            claims=claims_of(learned),
            earlier=learned,
        )

    async def _sign_out(
        self, login: Login, step: SignOut, inbound: Inbound, body: bytes, now: Instant
    ) -> Admission:
        shown: list[str] = []
        access = found_at(inbound, login.credential)
        if access is not None:
            shown.append(credential_key(self.secret, Use.ACCESS, login.credential, access))
        if step.presents is not None:
            refresh = refresh_presented(step.presents, inbound, body)
            if refresh is not None:
                shown.append(credential_key(self.secret, Use.REFRESH, step.presents, refresh))
        ended = [await self._end(key, now) for key in shown]
        return Admission(
            step=step,
            passing=login.passing(login.credential, step.presents),
            back=_cookies(login, step),
            left=next((claims_of(learned) for learned in ended if learned is not None), None),
        )

    async def learn(
        self,
        login: Login,
        admission: Admission,
        answered: Answered,
        members: Mapping[StaffId, Member],
        ask: Ask,
        now: Instant,
    ) -> Claims | None:
        """Bind what the answer hands out, durably, before any of it goes out.

        Args:
            login: of the same policy as the admission.
            admission: the request's.
            answered: the CRM's answer, MAX_LOGIN_ANSWER bytes or less.
            members: of the roster.
            ask: puts the gateway's own question to the CRM, with these headers.
            now: when the request came: a life counts from before the CRM began it.

        Returns:
            Whose they are; None = nobody was signed in, or somebody signed out.

        Raises:
            UpstreamError: LOGIN_NOT_LEARNED.
            RequestError: NOT_ON_ROSTER.
            StateUnavailableError: it could not be kept.
        """
        step = admission.step
        if isinstance(step, SignOut):
            return None
        fresh = issued(step, answered, now)
        if fresh is None:
            return None
        if isinstance(step, Refresh):
            earlier = admission.earlier
        else:
            person = fresh.person
            if step.who is not None:
                headers = who_headers(step.who, login.credential, fresh.access.value)
                person = person_told(step, await ask(step.who, headers))
            if person is None:
                return None
            staff = staff_named(person, step.by, members)
            earlier = await self._begun(login, admission, fresh.access, staff, now)
        if earlier is None:
            raise ValueError("a refresh was admitted without what it refreshes")
        learned = await self._bind(login, Use.ACCESS, fresh.access, earlier, now)
        if fresh.refresh is not None:
            await self._bind(login, Use.REFRESH, fresh.refresh, earlier, now)
        await self._thin(StaffId(learned.staff), now)
        return claims_of(learned)

    async def renew(
        self, login: Login, identified: Identified, headers: Headers, now: Instant
    ) -> None:
        """An answer to somebody may hand out their session's cookie anew, where the adapter says.

        Call it before such an answer goes out, wherever `Set-Cookie` of it may pass.

        Raises:
            UpstreamError: LOGIN_NOT_LEARNED: not one plain cookie.
            StateUnavailableError: it could not be kept.
        """
        if not login.renews:
            return
        try:
            cookie = cookie_set(headers, login.credential.name, now)
        except ValueError:
            raise _not_learned("The CRM set its session's cookie in no plain way.") from None
        if cookie is None:
            return
        held = identified.learned
        # As long again as the first one at most: the adapter's `hours` were in that already.
        lasting = from_milliseconds(held.expires_at - held.issued_at + to_milliseconds(now))
        expires_at = min(cookie.expires_at or lasting, lasting)
        key = credential_key(self.secret, Use.ACCESS, login.credential, cookie.value)
        longer = to_milliseconds(expires_at) - held.expires_at
        if key == identified.key and longer < WORTH_A_WRITE_MILLISECONDS:
            return
        fresh = Fresh(value=cookie.value, expires_at=expires_at)
        await self._bind(login, Use.ACCESS, fresh, held, now)
        if key != identified.key:
            await self._thin(StaffId(held.staff), now)

    # -- the state ------------------------------------------------------------------------

    async def _known(self, key: str, use: Use, now: Instant) -> Learned:
        learned = None if self.at_hand is None else await self.at_hand(key)
        if learned is None:
            kept = await self.documents.get(Kind.LEARNED, key, now)
            learned = None if kept is None else decode(kept.value)
        if learned is None:
            refuse(Cause.SESSION_UNKNOWN)
        if learned.use is not use:
            refuse(Cause.SESSION_UNKNOWN)
        if now >= from_milliseconds(learned.expires_at):
            refuse(Cause.EXPIRED)
        return learned

    async def _remembered(self, login: Login, value: str, now: Instant) -> bool:
        key = credential_key(self.secret, Use.ACCESS, login.credential, value)
        return await self.documents.get(Kind.LEARNED, key, now) is not None

    async def _is_current(self, learned: Learned) -> bool:
        claims = claims_of(learned)
        floor = await self.epochs.floor(claims.staff, claims.device)
        return floor is not None and claims.epoch >= floor

    async def _require_current(self, learned: Learned) -> None:
        if not await self._is_current(learned):
            refuse(Cause.EPOCH_STALE)

    async def _begun(
        self, login: Login, admission: Admission, access: Fresh, staff: StaffId, now: Instant
    ) -> Learned:
        """A new session of this person; or the one that the CRM hands out again."""
        key = credential_key(self.secret, Use.ACCESS, login.credential, access.value)
        if key == admission.began_with:
            # Whoever planted that cookie in somebody's browser would be in as well.
            raise _not_learned("The CRM made somebody's session of one that was nobody's.")
        kept = await self.documents.get(Kind.LEARNED, key, now)
        if kept is not None:
            held = decode(kept.value)
            if held.staff != staff or not await self._is_current(held):
                raise _not_learned("The CRM handed out a session that was somebody's before.")
            return held
        session = self.new_id()
        device = admission.device or device_id(f"{DEVICE_PREFIX}{session}")
        return Learned(
            staff=staff,
            device=device,
            session=session,
            epoch=await self.epochs.enrol(staff, device, now),
            use=Use.ACCESS,
            issued_at=to_milliseconds(now),
            expires_at=to_milliseconds(access.expires_at),
        )

    async def _bind(
        self, login: Login, use: Use, fresh: Fresh, earlier: Learned, now: Instant
    ) -> Learned:
        """Keep a credential as one of this session, unless it is another session's."""
        key = credential_key(self.secret, use, login.credential, fresh.value)
        learned = succeeded_by(earlier, use=use, now=now, expires_at=fresh.expires_at)
        for _ in range(PUT_TRIES):
            kept = await self.documents.get(Kind.LEARNED, key, now)
            if kept is not None and decode(kept.value).session != earlier.session:
                raise _not_learned("The CRM handed out a session that is somebody else's.")
            if await self._put(key, learned, kept, now):
                return learned
        raise StateUnavailableError("A learned credential changes too fast to be kept.")

    async def _put(self, key: str, learned: Learned, kept: Kept | None, now: Instant) -> bool:
        written = await self.documents.put(
            Kind.LEARNED,
            key,
            encode(learned),
            replaces=None if kept is None else kept.revision,
            now=now,
            expires=remembered_until(learned),
        )
        return written is not None

    async def _thin(self, staff: StaffId, now: Instant) -> None:
        """Of what one person has, the oldest go. Another worker may have taken them already."""
        kept = await self.documents.all(Kind.LEARNED, now)
        learned = {key: decode(document.value) for key, document in kept.items()}
        for key in surplus(learned, staff):
            replaced = kept[key].revision
            await self.documents.remove(Kind.LEARNED, key, replaces=replaced, now=now)

    async def _end(self, key: str, now: Instant) -> Learned | None:
        """End the session of a credential, by its device's epoch: what flows ends as well.

        The documents stay, so that none of its credentials is ever learned again. Returns whose
        it was; None = nobody's any more.
        """
        kept = await self.documents.get(Kind.LEARNED, key, now)
        if kept is None:
            return None
        learned = decode(kept.value)
        # Once logged out, it must not log out what has begun on the device since.
        if not await self._is_current(learned):
            return None
        await self.epochs.revoke(StaffId(learned.staff), device_id(learned.device), now)
        return learned


def _cookies(login: Login | None, step: Step) -> frozenset[str]:
    """The cookies that an answer of this step may set, or remove."""
    sources = [] if login is None else [login.credential]
    return passing_of(*sources, *carried_by(step)).cookies


def _not_learned(detail: str) -> UpstreamError:
    return UpstreamError(Reason.LOGIN_NOT_LEARNED, detail)
