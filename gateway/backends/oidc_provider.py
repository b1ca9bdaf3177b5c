"""An identity provider at which people sign in, asked by https.

House rules: those of `jwks_fetch.py`. Its own description is looked at when somebody wants to sign
in, and counts for FRESH_SECONDS; a look that failed is not made again for PAUSE_SECONDS. Of codes
MOST_AT_ONCE are exchanged at a time: strangers can make us ask, and must not make us ask much.
"""

import asyncio
import ssl
from typing import Final

from yarl import URL

from gateway.backends.jwks_fetch import Fault, FetchError, fetch
from gateway.domain.reason import Cause
from gateway.events import Event, emit
from gateway.identity.compact import refuse
from gateway.identity.oidc import MAX_ANSWER_BYTES, Metadata, read_metadata
from gateway.ports import Clock

FRESH_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 10.0
MOST_AT_ONCE: Final = 8
WELL_KNOWN: Final = "/.well-known/openid-configuration"  # Discovery 1.0, 4.1
JSON: Final = frozenset({"application/json"})


class OidcProvider:
    """Implements oidc.Asked.

    Args:
        issuer: its name and, with WELL_KNOWN behind it, where it describes itself.
        tls: whom to believe that it is that host; checked always.
        clock: the machine's.

    Raises:
        ValueError: certificates would not be checked.
    """

    def __init__(self, issuer: str, *, tls: ssl.SSLContext, clock: Clock) -> None:
        if tls.verify_mode is not ssl.CERT_REQUIRED or not tls.check_hostname:
            raise ValueError("the certificate of an issuer is always checked")
        self._issuer = issuer
        self._tls = tls
        self._clock = clock
        self._found: Metadata | None = None
        self._until = clock.monotonic()  # so long is what was found, or not, not asked again
        self._looking = asyncio.Lock()
        self._exchanging = 0

    def __repr__(self) -> str:
        return f"OidcProvider({self._issuer!r})"

    async def metadata(self) -> Metadata:
        """As oidc.Asked says."""
        async with self._looking:  # who waits for it waits for the same look
            if self._clock.monotonic() >= self._until:
                self._found = await self._look()
                kept = PAUSE_SECONDS if self._found is None else FRESH_SECONDS
                self._until = self._clock.monotonic() + kept
            found = self._found
        if found is None:
            refuse(Cause.PROVIDER_REFUSED)
        return found

    async def exchange(self, endpoint: str, form: bytes, authorization: str | None) -> bytes:
        """As oidc.Asked says."""
        if self._exchanging >= MOST_AT_ONCE:
            self._failed("token", "busy")
            refuse(Cause.PROVIDER_REFUSED)
        self._exchanging += 1
        try:
            return await fetch(
                URL(endpoint, encoded=True),
                tls=self._tls,
                media_types=JSON,
                max_bytes=MAX_ANSWER_BYTES,
                form=form,
                authorization=authorization,
            )
        except FetchError as error:
            self._failed("token", str(error.fault))
            refuse(Cause.PROVIDER_REFUSED)
        finally:
            self._exchanging -= 1

    async def _look(self) -> Metadata | None:
        address = URL(self._issuer.removesuffix("/") + WELL_KNOWN, encoded=True)
        try:
            text = await fetch(
                address, tls=self._tls, media_types=JSON, max_bytes=MAX_ANSWER_BYTES
            )
            return read_metadata(text, self._issuer)
        except FetchError as error:
            self._failed("metadata", str(error.fault))
        except ValueError:
            self._failed("metadata", str(Fault.INVALID))
        return None

    def _failed(self, asked: str, why: str) -> None:
        emit(Event.SIGN_IN_PROVIDER_FAILED, issuer=self._issuer, asked=asked, why=why)
