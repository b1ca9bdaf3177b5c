"""Signing in at an identity provider, on the guarded port: below `/_salon/oidc/`.

    GET   start?issuer=...&next=...   to the provider, with a ticket in a cookie
    GET   callback?code=...&state=... back from it -> the gateway's own session
    POST  logout                      the provider itself: somebody was logged out there

True here:
* a page of another site begins no sign-in, and ends none in a browser that has begun none;
* the session is the gateway's own, on a device of ours, and is entered before its cookie is set;
* nothing that a provider says is repeated: not its errors, not its tokens.
"""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from gateway.accounts import Accounts
from gateway.domain.errors import OperatorError, RequestError
from gateway.domain.http import Answer, BodySource, CanonicalTarget, Outcome
from gateway.domain.login import Place, Source
from gateway.domain.reason import Cause, Reason
from gateway.domain.subject import DeviceId, StaffId
from gateway.doorway import Doorway
from gateway.identity.compact import MAX_TOKEN_CHARS
from gateway.identity.credential import found_at
from gateway.identity.issuing import Issuer
from gateway.identity.oidc import LASTS
from gateway.mapping.guard import Guarded
from gateway.mapping.pattern import RESERVED
from gateway.oidc import Providers
from gateway.ports import Clock, Meter
from gateway.proxy.signin_answers import HOME, PLAIN, SEE_OTHER, cookie_line, device_line, way_on
from gateway.proxy.signin_forms import read_servers_form, shown_device

TICKET_COOKIE = "__Host-salon-oidc"
PREFIX = f"/{RESERVED}/oidc"
OK, BAD_REQUEST = 200, 400
_TICKET = Source(place=Place.COOKIE, name=TICKET_COOKIE)
_MAX_BODY = 2 * MAX_TOKEN_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSignIn:
    """Answers what lies under its prefix; raises GatewayError where it refuses.

    Attributes:
        cookie: the name of the one that carries a session.
        device_key: of device cookies.
    """

    providers: Providers
    accounts: Accounts
    doorway: Doorway
    issuer: Issuer
    clock: Clock
    meter: Meter
    cookie: str
    device_key: bytes

    def links(self, next_page: str) -> tuple[tuple[str, str], ...]:
        """For the sign-in page: the host of each provider, and where its button leads."""
        way_back = "" if next_page == HOME else f"&next={quote(next_page, safe='')}"
        return tuple(
            (
                urlsplit(issuer).hostname or issuer,
                f"{PREFIX}/start?issuer={quote(issuer, safe='')}{way_back}",
            )
            for issuer in self.providers.names
        )

    async def answer(self, guarded: Guarded, target: CanonicalTarget, body: BodySource) -> Outcome:
        """Answer a request below the prefix."""
        # HEAD is not GET here: each of the two does something.
        match None if target.slash else (guarded.method, *target.segments[2:]):
            case ("GET", "start"):
                return await self._start(guarded, target)
            case ("GET", "callback"):
                return await self._back(guarded, target)
            case ("POST", "logout") if not target.query:
                return await self._logged_out(guarded, body)
            case _:
                raise RequestError(Reason.UNMAPPED, "nothing of the gateway is at this address")

    async def _start(self, guarded: Guarded, target: CanonicalTarget) -> Outcome:
        # Fetch metadata (W3C, 2.3), from browsers that send it: by a link of ours, or by hand.
        if not set(guarded.values("sec-fetch-site")) <= {"same-origin", "none"}:
            raise RequestError(Reason.ORIGIN_REFUSED, "a page of another site begins no sign-in")
        asked = dict(target.query)
        if len(asked) != len(target.query) or not {"issuer"} <= asked.keys() <= {"issuer", "next"}:
            raise RequestError(Reason.UNKNOWN_PARAMETER, "say which `issuer`, and no more")
        to, ticket = await self.providers.begin(
            asked["issuer"],
            next_page=way_on(asked.get("next", HOME)),
            redirect_uri=f"{self._origin(guarded)}{PREFIX}/callback",
            now=self.clock.now(),
        )
        kept = cookie_line(TICKET_COOKIE, ticket, int(LASTS.total_seconds()))
        return Answer(status=SEE_OTHER, headers=(*PLAIN, ("Location", to), kept))

    async def _back(self, guarded: Guarded, target: CanonicalTarget) -> Outcome:
        peer = self._peer(guarded)
        try:
            ticket = found_at(guarded, _TICKET) or ""
            device = shown_device(guarded, self.device_key)
            back = await self.providers.finish(target.query, ticket, self.clock.now)
        except RequestError as error:
            await self.accounts.refused_elsewhere(error, peer=peer)
            raise
        claims = back.arrived.claims
        found = await self.accounts.sign_in_elsewhere(
            claims.staff, began=back.arrived.began_at, peer=peer, device=device
        )
        if found.device is None or found.epoch is None:
            raise OperatorError(Reason.INTERNAL_ERROR)
        now = self.clock.now()
        try:
            await self.providers.bind(back, found.device, now)
        except RequestError as error:
            await self.accounts.refused_elsewhere(error, peer=peer, whom=claims.staff)
            raise
        token = self.issuer.on_behalf(claims, found.device, found.epoch, now)
        cookies = (
            cookie_line(self.cookie, token, self.issuer.lifetime_seconds),
            device_line(found.device, self.device_key),
            cookie_line(TICKET_COOKIE, "", 0),
        )
        to = ("Location", way_on(back.next))
        return Answer(status=SEE_OTHER, headers=(*PLAIN, to, *cookies))

    async def _logged_out(self, guarded: Guarded, body: BodySource) -> Outcome:
        """Back-Channel Logout 1.0, 2.5 to 2.8."""
        peer = self._peer(guarded)

        async def end(staff: StaffId, device: DeviceId | None) -> None:
            await self.accounts.sign_out(staff, device, peer=peer)

        try:
            form = await read_servers_form(guarded, body, max_bytes=_MAX_BODY)
            token = form.get("logout_token", "")
            await self.providers.ended(token, self.clock.now(), end)
        except RequestError as error:
            self.meter.unauthenticated(error.cause or Cause.TOKEN_MALFORMED)
            return Answer(status=BAD_REQUEST, headers=PLAIN)
        return Answer(status=OK, headers=PLAIN)

    def _origin(self, guarded: Guarded) -> str:
        """Which of our own origins they ask at; their `Host` only chooses among them."""
        host = "".join(guarded.values("host")).lower()
        origins: frozenset[str] = self.doorway.origins
        here = [one for one in origins if one.partition("://")[2] == host]
        if len(here or origins) != 1:
            raise RequestError(Reason.HOST_REFUSED, "nobody signs in at a provider from here")
        (origin,) = here or origins
        return origin

    def _peer(self, guarded: Guarded) -> str:
        return self.doorway.peer_of(guarded) or guarded.peer
