"""How the gateway is set up towards both sides: what of gateway.yaml a request meets."""

from dataclasses import dataclass, replace

from gateway.domain.http import Format, Headers, Inbound
from gateway.domain.login import NOTHING_MORE, Passing
from gateway.enforcer.facts import Network
from gateway.identity.claims import TokenPolicy
from gateway.mapping.client_address import client_address, client_scheme
from gateway.mapping.guard import Guarded, WireLimits
from gateway.mapping.hygiene import request_headers
from gateway.masking.mediatype import CONTENT_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """What stands the same for every request.

    Attributes:
        cookie: the one cookie that may carry the token; None = `Authorization` only.
        origins: our own, for unsafe methods with the cookie.
        preserve_host: the CRM gets the Host that the client named (Django and others check it).
        upstream_origin: scheme, host and port of the CRM, to recognise its own redirects.
        inject: headers that the CRM gets from us.
        lookup_headers: those it gets instead with a look-up: the gateway's own credentials.
        trusted_proxies: whose word on where a request comes from is taken.
    """

    limits: WireLimits
    tokens: TokenPolicy
    max_request_body: int
    upstream_origin: str
    cookie: str | None = None
    origins: frozenset[str] = frozenset()
    inject: Headers = ()
    lookup_headers: Headers = ()
    trusted_proxies: tuple[Network, ...] = ()
    pass_cookies: frozenset[str] = frozenset()
    forward_token: bool = False
    preserve_host: bool = False

    def received(self, inbound: Inbound) -> Inbound:
        """The request as its client sent it: over TLS or not, as a trusted proxy says."""
        trusted = self.trusted_proxies
        if not trusted:
            return inbound
        secure = client_scheme(inbound.peer, inbound.headers, trusted, secure=inbound.secure)
        return inbound if secure == inbound.secure else replace(inbound, secure=secure)

    def peer_of(self, inbound: Inbound) -> str | None:
        """Where the request comes from; None = not known."""
        return client_address(inbound.peer, inbound.headers, self.trusted_proxies)

    def outgoing(
        self,
        guarded: Guarded,
        request_id: str,
        *,
        cut: Format | None,
        inject: Headers | None = None,
        passing: Passing = NOTHING_MORE,
    ) -> Headers:
        """The headers of the request to the CRM.

        Args:
            guarded: the client's request.
            request_id: ours.
            cut: the answer will be cut, and is of this format; None = it will not be.
            inject: instead of the doorway's own.
            passing: the credential of the CRM's own login, where the request may carry it.
        """
        return request_headers(
            guarded,
            inject=self.inject if inject is None else inject,
            pass_cookies=self.pass_cookies,
            forward_token=self.forward_token,
            request_id=request_id,
            peer=guarded.peer,
            secure=guarded.secure,
            host="".join(guarded.values("host")),
            cut=cut is not None,
            accept=CONTENT_TYPES[cut or Format.JSON].partition(";")[0],
            preserve_host=self.preserve_host,
            passing=passing,
        )

    def letting_back(self, cookies: frozenset[str]) -> "Doorway":
        """The same, for an answer that may set these cookies as well."""
        if cookies <= self.pass_cookies:
            return self
        return replace(self, pass_cookies=self.pass_cookies | cookies)

    def origins_of_crm(self, guarded: Guarded) -> tuple[str, ...]:
        """Under which origins the CRM knows itself, in this request."""
        if not self.preserve_host:
            return (self.upstream_origin,)
        scheme = "https" if guarded.secure else "http"
        return self.upstream_origin, f"{scheme}://{''.join(guarded.values('host'))}"
