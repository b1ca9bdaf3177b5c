"""Signing in at identity providers: begun, come back from, and logged out from there.

begin -> (at the provider) -> finish -> (`Accounts` lets them in) -> bind

INVARIANTS, each with a test in tests/attacks/test_oidc.py:
* a way back counts once, whatever the provider says of a code that was used;
* whom the provider has logged out is out when it is told so: what is bound first is ended, and
  what would be bound later is refused;
* nobody who has not signed in at a provider leaves anything behind in the state.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol, TypeVar

import msgspec

from gateway.domain.errors import RequestError, StateUnavailableError
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, StaffId, device_id, staff_id
from gateway.domain.time import Instant, from_milliseconds, to_milliseconds
from gateway.foreign import ForeignIssuer
from gateway.identity.base64url import encode_base64url
from gateway.identity.claims import SessionName, TokenPolicy
from gateway.identity.compact import refuse
from gateway.identity.foreign import DEVICE_PREFIX, issuer_named, session_key
from gateway.identity.foreign import decode as decode_seen
from gateway.identity.keys import KeyTable
from gateway.identity.oidc import (
    DRAWN_BYTES,
    LASTS,
    LOGOUT_TYPES,
    Arrived,
    Begun,
    Client,
    LoggedOut,
    Metadata,
    asking_address,
    exchange_form,
    read_exchanged,
    read_id_token,
    read_logout,
    read_return,
    read_ticket,
    write_ticket,
)
from gateway.ports import DocumentStore, Kept, Kind

# Longer than any session that begins with a sign-in can be renewed (`identity/accounts.py`).
REMEMBERED: Final = timedelta(days=40)
PUT_TRIES: Final = 8
_STATE, _LOGOUT, _SUB = "a sign-in", "a logout", "sub"

T = TypeVar("T")


class Asked(Protocol):
    """A provider, as far as it is asked by https: `backends/oidc_provider.py`."""

    async def metadata(self) -> Metadata:
        """What it says of itself; not older than some minutes.

        Raises:
            RequestError: UNAUTHENTICATED with PROVIDER_REFUSED: it is not to be had.
        """
        ...

    async def exchange(self, endpoint: str, form: bytes, authorization: str | None) -> bytes:
        """Give it a code.

        Raises:
            RequestError: as `metadata`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProvider:
    """An issuer at which people sign in."""

    issuer: ForeignIssuer
    client: Client
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """Somebody has come back from a provider, and who it is."""

    issuer: str
    arrived: Arrived
    next: str


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a name that the provider gave stands for here.

    Attributes:
        device: None = all of that person's sessions.
        ended: the provider has logged it out; no sign-in is bound to it any more.
    """

    staff: str
    device: str | None
    ended: bool


class Providers:
    """The service, over the state.

    Args:
        providers: each issuer once.
        documents: where names of sessions stand under keyed hashes.
        secret: that key: the one of `Foreign`, whose sessions a provider logs out, too.
        tickets: the key of tickets.
        draw: so many random bytes that nobody can guess.
    """

    def __init__(
        self,
        providers: Iterable[SignInProvider],
        *,
        documents: DocumentStore,
        secret: bytes,
        tickets: bytes,
        draw: Callable[[int], bytes],
    ) -> None:
        self._providers = {one.issuer.issuer: one for one in providers}
        self._documents = documents
        self._secret = secret
        self._tickets = tickets
        self._draw = draw

    def __repr__(self) -> str:
        return f"Providers({', '.join(self._providers)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Their issuers, in the order of gateway.yaml."""
        return tuple(self._providers)

    async def begin(
        self, issuer: str, *, next_page: str, redirect_uri: str, now: Instant
    ) -> tuple[str, str]:
        """Where the browser is sent, and the ticket that it keeps.

        Raises:
            RequestError: PARAMETER_INVALID: nobody signs in there; or as `Asked.metadata`.
        """
        provider = self._providers.get(issuer)
        if provider is None:
            raise RequestError(Reason.PARAMETER_INVALID, "nobody signs in at this `issuer`")
        state, nonce, verifier = (encode_base64url(self._draw(DRAWN_BYTES)) for _ in range(3))
        begun = Begun(
            issuer=issuer,
            state=state,
            nonce=nonce,
            verifier=verifier,
            next=next_page,
            redirect_uri=redirect_uri,
            at=to_milliseconds(now),
        )
        try:
            ticket = write_ticket(begun, self._tickets)
        except ValueError:
            ticket = write_ticket(msgspec.structs.replace(begun, next="/"), self._tickets)
        return asking_address(await provider.asked.metadata(), begun, provider.client), ticket

    async def finish(
        self, query: tuple[tuple[str, str], ...], ticket: str, clock: Callable[[], Instant]
    ) -> Back:
        """Who has come back.

        Args:
            query: of the address they came back to.
            ticket: of the browser; "" = it has none.
            clock: now, also after the provider has been asked.

        Raises:
            RequestError: UNAUTHENTICATED.
            StateUnavailableError: the state cannot say whether it is the first time.
        """
        begun = read_ticket(ticket, self._tickets, clock())
        provider = None if begun is None else self._providers.get(begun.issuer)
        if begun is None or provider is None:
            refuse(Cause.NO_CREDENTIAL)
        # First as if the answer need not say whose it is: what is not of this browser, or no
        # answer that lets anybody in, makes us ask nobody.
        read_return(query, begun, must_name=False)
        metadata = await provider.asked.metadata()
        # RFC 9700 4.4.2: with several providers, an answer that does not say whose it is may be
        # of another than the one that is about to be given the code.
        must_name = metadata.names_itself or len(self._providers) > 1
        code = read_return(query, begun, must_name=must_name)
        if provider.client.secret is not None and not metadata.takes_basic:
            refuse(Cause.PROVIDER_REFUSED)
        form, authorization = exchange_form(begun, code, provider.client)
        token = read_exchanged(
            await provider.asked.exchange(metadata.token_endpoint, form, authorization)
        )
        now = clock()
        arrived = await _under_its_keys(
            provider, lambda policy: read_id_token(token, policy, begun, now)
        )
        until = Instant(from_milliseconds(begun.at) + LASTS)
        if not await self._spend(self._key(begun.issuer, _STATE, begun.state), now, until):
            refuse(Cause.EXPIRED)
        return Back(issuer=begun.issuer, arrived=arrived, next=begun.next)

    async def bind(self, back: Back, device: DeviceId, now: Instant) -> None:
        """Remember on which device somebody is let in, before they are told so.

        After the epoch was asked for: what the provider ends from now on ends that, too.

        Raises:
            RequestError: UNAUTHENTICATED: the provider has ended it, or it is somebody else's.
            StateUnavailableError: it cannot be remembered.
        """
        staff = back.arrived.claims.staff
        await self._bind(self._key(back.issuer, _SUB, back.arrived.sub), staff, None, now)
        if back.arrived.sid is not None:
            key = self._key(back.issuer, SessionName.SID, back.arrived.sid)
            await self._bind(key, staff, device, now)

    async def ended(
        self,
        token: str,
        now: Instant,
        end: Callable[[StaffId, DeviceId | None], Awaitable[None]],
    ) -> None:
        """A provider has logged somebody out: end what it names.

        Args:
            token: the logout token.
            now: by our clock.
            end: ends the sessions of a person on a device, or on all (None).

        Raises:
            RequestError: UNAUTHENTICATED: it is no logout token of a provider, or came before.
        """
        named = issuer_named(token, LOGOUT_TYPES)
        provider = None if named is None else self._providers.get(named)
        if provider is None or named is None:
            refuse(Cause.WRONG_ISSUER)
        told = await _under_its_keys(provider, lambda policy: read_logout(token, policy, now))
        spent = self._key(named, _LOGOUT, told.jti)
        if await self._documents.get(Kind.SPENT, spent, now) is not None:
            refuse(Cause.EXPIRED)
        for staff, device in await self._whom(provider, told, now):
            await end(staff, device)
        # Last: what could not be ended is told again by the provider, and must count then.
        await self._spend(spent, now, told.until)

    # -- whose is it ------------------------------------------------------------------------

    async def _whom(
        self, provider: SignInProvider, told: LoggedOut, now: Instant
    ) -> tuple[tuple[StaffId, DeviceId | None], ...]:
        issuer = provider.issuer.issuer
        if told.sid is not None:
            found = await self._of_session(issuer, told.sid, now)
            if found:
                return found
        # A provider that names no `sid` in its ID tokens: then all of that person's sessions.
        if told.sub is None:
            return ()
        kept = await self._documents.get(
            Kind.PROVIDER_SESSION, self._key(issuer, _SUB, told.sub), now
        )
        if kept is not None:
            return ((_staff(_read(kept).staff), None),)
        if provider.issuer.names.staff != "sub":
            return ()
        try:
            return ((staff_id(told.sub.removeprefix("staff:")), None),)
        except ValueError:
            return ()  # nobody could have come in under it

    async def _of_session(
        self, issuer: str, sid: str, now: Instant
    ) -> tuple[tuple[StaffId, DeviceId | None], ...]:
        """Whom a session stands for; from now on it begins none."""
        key = self._key(issuer, SessionName.SID, sid)
        found: list[tuple[StaffId, DeviceId | None]] = []
        before = await self._change(
            key,
            now,
            lambda was: (
                Bound(staff="", device=None, ended=True)
                if was is None
                else msgspec.structs.replace(was, ended=True)
            ),
        )
        if before is not None and before.staff:
            device = None if before.device is None else device_id(before.device)
            found.append((_staff(before.staff), device))
        seen = await self._documents.get(Kind.SESSION_SEEN, key, now)
        if seen is not None:  # of an app that shows the provider's own tokens
            own = device_id(f"{DEVICE_PREFIX}{key[:32]}")
            found.append((_staff(decode_seen(seen.value).staff), own))
        return tuple(found)

    async def _bind(self, key: str, staff: StaffId, device: DeviceId | None, now: Instant) -> None:
        def bound(was: Bound | None) -> Bound:
            if was is None:
                return Bound(staff=staff, device=device, ended=False)
            if was.ended or was.staff != staff:
                refuse(Cause.EPOCH_STALE if was.ended else Cause.SESSION_UNKNOWN)
            # Two devices of one session: logging it out ends more, never less.
            return was if was.device == device else msgspec.structs.replace(was, device=None)

        await self._change(key, now, bound)

    async def _change(
        self, key: str, now: Instant, step: Callable[[Bound | None], Bound]
    ) -> Bound | None:
        """Write what `step` makes of what stands there, in one step; what stood there."""
        for _ in range(PUT_TRIES):
            kept = await self._documents.get(Kind.PROVIDER_SESSION, key, now)
            before = None if kept is None else _read(kept)
            value = msgspec.json.encode(step(before))
            written = await self._documents.put(
                Kind.PROVIDER_SESSION,
                key,
                value,
                replaces=None if kept is None else kept.revision,
                now=now,
                expires=Instant(now + REMEMBERED),
            )
            if written is not None:
                return before
        raise StateUnavailableError("A session of a provider changes too fast to be kept.")

    async def _spend(self, key: str, now: Instant, until: Instant) -> bool:
        """Is this the first time that it is shown? From now on it is not."""
        written = await self._documents.put(
            Kind.SPENT, key, b"{}", replaces=None, now=now, expires=until
        )
        return written is not None

    def _key(self, issuer: str, what: str, name: str) -> str:
        return session_key(self._secret, issuer, what, name)


async def _under_its_keys(provider: SignInProvider, read: Callable[[TokenPolicy], T]) -> T:
    """What is read under an issuer's keys; if one is not known, they are asked for once more."""
    keys = provider.issuer.keys
    try:
        return read(_policy(provider, keys.current()))
    except RequestError as error:
        if error.cause is not Cause.UNKNOWN_KEY:
            raise
    return read(_policy(provider, await keys.renewed()))


def _policy(provider: SignInProvider, table: KeyTable | None) -> TokenPolicy:
    if table is None:
        refuse(Cause.UNKNOWN_KEY)
    issuer = provider.issuer
    return TokenPolicy(
        issuer=issuer.issuer,
        audience=provider.client.id,
        keys=table,
        names=replace(issuer.names, epoch=None),
        leeway_seconds=issuer.leeway_seconds,
        several_audiences=True,
    )


def _read(kept: Kept) -> Bound:
    """A document, strictly. Raises StateUnavailableError: it is not one of ours."""
    try:
        bound = msgspec.json.decode(kept.value, type=Bound, strict=True)
    except msgspec.MsgspecError:
        bound = None
    if bound is None or msgspec.json.encode(bound) != kept.value:
        raise StateUnavailableError("A session of a provider cannot be read.")
    return bound


def _staff(text: str) -> StaffId:
    try:
        return staff_id(text.removeprefix("staff:"))
    except ValueError:
        raise StateUnavailableError("A session of a provider is nobody's.") from None
